"""Both ways of choosing the clips that a threshold rests on, tried on the long simulated recordings, once for all."""

from __future__ import annotations

from asd_core.data.data_set import readable
from asd_core.data.table import EMBEDDED_RECORDINGS, KnownSet, read_library
from asd_core.tasks.neighbours import HeldOut, Trial, try_promise
from pages.shared.data_sets import indexed
from pages.shared.keys import held, once
from pages.shared.progress import counting_bar

N_SPLITS = 5
"""Draws of the days that are learned."""
WAYS: dict[HeldOut, str] = {"at_random": "A random fifth of the clips", "by_recording": "Whole recordings"}
Trials = dict[HeldOut, tuple[Trial, ...]]


def long_recordings() -> KnownSet | None:
    """Return the long simulated recordings; None where a data set of the user's own has their name."""
    known = read_library().find(EMBEDDED_RECORDINGS)
    return known if known is not None and known.embedded else None


def is_tried(known: KnownSet) -> bool:
    """Whether `neighbour_trials` would return at once."""
    return held().find(_key(known)) is not None


def neighbour_trials(known: KnownSet) -> Trials:
    """Return the trials of each way; the first time takes half a minute, with the recordings' generation."""
    return once(_key(known), lambda: _tried(known))


def _key(known: KnownSet) -> tuple[object, ...]:
    return "neighbours", known.folder, N_SPLITS


def _tried(known: KnownSet) -> Trials:
    clips = readable(indexed(known, "slider").index.clips, channel=None)
    with counting_bar("Fitting and calibrating \u2026") as report:
        found: Trials = {}
        for held_out in WAYS:
            trials = []
            for split in range(N_SPLITS):
                trials.append(try_promise(clips, held_out, split=split))
                report(len(found) * N_SPLITS + split + 1, len(WAYS) * N_SPLITS)
            found[held_out] = tuple(trials)
    return found
