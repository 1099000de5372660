"""Recordings are what is independent, not clips: which clips belong together, and splits that keep them together.

Clips of real data sets are often cut from few long recordings, and neighbours are nearly the same sound. A clip held
out at random then has a neighbour among the fitted ones, its score is far too low, and a threshold from such scores
breaks its promise. Recordings are given (`Clip.recording`), found in the sound, or replaced by runs of clips in natural
name order.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from asd_core.features.prints import SoundPrint, border_ratio
from asd_core.types import FloatArray, IntArray

How = Literal["given", "found", "order"]
FOLDS = 5
MAX_RUN = 20
TRAINING_SHARE = 0.60
NEARLY_EQUAL = 0.8
"""Cosine of two sketches from which two clips count as nearly equal; independent clips of real machines reach 0.3."""
CHAIN_BORDERS = 10
CHAIN_RATIO = 2.0
CHAIN_SHARE = 0.15
"""A chain's borders must also lie among the lowest share of borders between clips that do not follow each other."""
_RANDOM_BORDERS = 1000
_MOST_DIGITS = 100
"""More of them are no number in a name; Python refuses to read some thousands."""


class Named(Protocol):
    """What a clip's path says of it."""

    @property
    def relative(self) -> str:
        """Path below the machine's folder, `/` between its parts."""

    @property
    def shown(self) -> str:
        """The same with its owner's name for it: natural order of these stands for the order of recording."""

    @property
    def machine_id(self) -> str:
        """The machine."""

    @property
    def recording(self) -> str | None:
        """The recording it was cut from, where that is given."""


@dataclass(frozen=True)
class Recordings:
    """Which clips belong together.

    Parameters
    ----------
    how
        `given` with the clips; `found` in the sound; or by name `order`: not known, runs of clips stand for recordings.
    labels
        The recording, or the run, of each clip.
    units
        What is split as a whole: for each clip its recording, or a piece of it where a machine id has only one or where
        it was found in the sound; equal and nearly equal clips share one.
    doubles
        Groups of rows with equal or nearly equal sound.
    n_least
        Recordings of the machine id that has the fewest; runs where recordings are not known.
    """

    how: How
    labels: tuple[str, ...]
    units: tuple[str, ...]
    doubles: tuple[tuple[int, ...], ...]
    n_least: int

    @property
    def n(self) -> int:
        """Number of recordings, or of the runs that stand for them."""
        return len(set(self.labels))

    @property
    def keeps_promises(self) -> bool:
        """Whether a threshold from these clips says something of new recordings: not where an id has only one."""
        return self.how == "order" or self.n_least > 1


def natural_key(path: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which `clip_9` comes before `clip_10`."""
    parts = re.split(r"(\d+)", path)
    return tuple(
        (int(part), "") if part.isdigit() and part.isascii() and len(part) <= _MOST_DIGITS else (-1, part)
        for part in parts
    )


def name_order(clip: Named) -> tuple[tuple[tuple[int, str], ...], str]:
    """Sort key for the natural order of the owners' names; equal names are ordered by path."""
    return natural_key(clip.shown), clip.relative


def find_recordings(clips: Sequence[Named], prints: Sequence[SoundPrint | None]) -> Recordings:
    """Group clips by recording: as given, else as found in the sound, else in runs by name.

    Parameters
    ----------
    clips
        In any order. Recordings count as given where each clip has one.
    prints
        One for each clip; None where it cannot be read.
    """
    doubles = find_doubles(prints)
    by_id = _rows_by_id(clips)
    given = [clip.recording for clip in clips]
    if clips and all(label is not None for label in given):
        how: How = "given"
        labels = [str(label) for label in given]
        units = _units_of_given(labels, by_id)
    else:
        chains = _chains(clips, prints, by_id)
        how = "found" if 2 * len(chains) >= len(clips) > 0 else "order"
        labels, units = _labels_by_sound(chains if how == "found" else {}, by_id)
    counts = [len({labels[row] for row in rows}) for rows in by_id.values()]
    n_least, joined = min(counts, default=0), _joined(units, doubles)
    if joined is None:  # all recordings share sounds: those stay together, recordings do not
        joined = _joined(_labels_by_sound({}, by_id)[1], doubles) or tuple(units)
        n_least = min(n_least, 1)
    return Recordings(how, tuple(labels), joined, doubles, n_least)


def in_runs(clips: Sequence[Named], recordings: Recordings) -> Recordings:
    """The same recordings, with runs in name order as units: for when one of them holds nearly all clips."""
    _, units = _labels_by_sound({}, _rows_by_id(clips))
    return replace(recordings, units=tuple(units), n_least=min(recordings.n_least, 1))


def assign_folds(clips: Sequence[Named], recordings: Recordings, *, n_folds: int = FOLDS, seed: int) -> IntArray:
    """Deal whole units to folds; fewer than `n_folds` units are left out one at a time.

    A function of seed, names and relative paths. Each unit goes to the fold with the fewest clips of its machine id so
    far. Fold 0, which is held out where only one is, is the one with the most units: the more recordings a threshold
    rests on, the better it holds for others.

    Returns
    -------
    IntArray
        Shape (n_clips,): the fold of each clip, from 0; one fold only where there is only one unit.
    """
    by_unit: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(recordings.units):
        by_unit[name].append(row)
    n_folds = max(1, min(n_folds, len(by_unit)))
    units = sorted(by_unit.values(), key=lambda rows: min(name_order(clips[row]) for row in rows))
    totals: Counter[int] = Counter()
    of_id: Counter[tuple[int, str]] = Counter()
    folds = np.zeros(len(clips), dtype=np.int64)
    for position in np.random.default_rng(seed).permutation(len(units)):
        unit = units[position]
        machine_id = clips[unit[0]].machine_id
        fold = min((of_id[fold, machine_id], totals[fold], fold) for fold in range(n_folds))[-1]
        of_id[fold, machine_id] += len(unit)
        totals[fold] += len(unit)
        folds[unit] = fold
    n_units = Counter(int(folds[unit[0]]) for unit in units)
    most = min(range(n_folds), key=lambda fold: (-n_units[fold], fold))
    renamed: IntArray = np.where(folds == most, 0, np.where(folds == 0, most, folds))
    return renamed


def training_rows(
    clips: Sequence[Named], recordings: Recordings, *, seed: int, strata: Sequence[str] | None = None
) -> set[int]:
    """Draw the training clips of own recordings: of each machine id about 60 % of its clips, whole units at a time.

    At least one unit is drawn, and one left where there are two.

    Parameters
    ----------
    strata
        What else each clip is of, as day or night: the share is drawn of each, so that the detector hears all of them.
    """
    drawn: set[str] = set()
    for rows in _strata(clips, strata):
        own = [recordings.units[row] for row in rows]
        sizes = Counter(own)
        names = list(dict.fromkeys(own))
        wanted, n_drawn = TRAINING_SHARE * len(rows), 0
        for rank, position in enumerate(np.random.default_rng(seed).permutation(len(names))):
            size = sizes[names[position]]
            nearer = abs(n_drawn + size - wanted) <= abs(n_drawn - wanted)
            if rank == 0 or (nearer and rank < len(names) - 1):
                drawn.add(names[position])
                n_drawn += size
    return {row for row, unit in enumerate(recordings.units) if unit in drawn}


def _strata(clips: Sequence[Named], strata: Sequence[str] | None) -> list[list[int]]:
    """Rows of each machine id and stratum, in natural name order."""
    by_id = _rows_by_id(clips)
    if strata is None:
        return list(by_id.values())
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for machine_id, rows in by_id.items():
        for row in rows:
            found[machine_id, strata[row]].append(row)
    return list(found.values())


def find_doubles(prints: Sequence[SoundPrint | None]) -> tuple[tuple[int, ...], ...]:
    """Find groups of rows with equal or nearly equal sound; silence is nearly equal to nothing.

    Where more than half of all clips would be nearly equal, that is how the machine sounds, and only equal ones count.
    """
    heard = [row for row, each in enumerate(prints) if each is not None and each.sketch.any()]
    equal = _same_digest(prints)
    groups = _merged([*equal, *_near_pairs(prints, heard)])
    if any(2 * len(group) > len(prints) > 2 for group in groups):
        groups = _merged(equal)
    return tuple(sorted(tuple(sorted(group)) for group in groups))


def _rows_by_id(clips: Sequence[Named]) -> dict[str, list[int]]:
    """Rows of each machine id in natural name order."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row in sorted(range(len(clips)), key=lambda row: name_order(clips[row])):
        rows[clips[row].machine_id].append(row)
    return rows


def _same_digest(prints: Sequence[SoundPrint | None]) -> list[tuple[int, ...]]:
    by_digest: dict[str, list[int]] = defaultdict(list)
    for row, each in enumerate(prints):
        if each is not None:
            by_digest[each.digest].append(row)
    return [tuple(rows) for rows in by_digest.values() if len(rows) > 1]


def _near_pairs(prints: Sequence[SoundPrint | None], heard: Sequence[int]) -> list[tuple[int, ...]]:
    """Pairs of rows whose sketches point the same way, compared a block at a time."""
    sketches = np.array([each.sketch for row in heard if (each := prints[row]) is not None], dtype=np.float32)
    if not len(sketches):
        return []
    sketches /= np.linalg.norm(sketches, axis=1, keepdims=True)
    pairs: list[tuple[int, ...]] = []
    for start in range(0, len(sketches), 512):
        cosines = sketches[start : start + 512] @ sketches.T
        near = np.argwhere(cosines >= NEARLY_EQUAL)
        pairs += [(heard[start + one], heard[other]) for one, other in near.tolist() if start + one < other]
    return pairs


def _merged(groups: Sequence[Sequence[int]]) -> list[set[int]]:
    """Join groups that share a row."""
    of: dict[int, set[int]] = {}
    for group in groups:
        joined = set(group).union(*(of[row] for row in group if row in of))
        for row in joined:
            of[row] = joined
    return list({id(group): group for group in of.values()}.values())


def _joined(units: Sequence[str], doubles: Sequence[Sequence[int]]) -> tuple[str, ...] | None:
    """Move each double to the unit of its group's first clip; None where nothing would be left to split."""
    moved = list(units)
    for group in doubles:
        for row in group:
            moved[row] = units[group[0]]
    return tuple(moved) if len(set(moved)) > 1 or len(set(units)) < 2 else None


def _units_of_given(labels: Sequence[str], by_id: dict[str, list[int]]) -> list[str]:
    units = list(labels)
    for machine_id, rows in by_id.items():
        if len({labels[row] for row in rows}) == 1:  # one recording: pieces of it, and no promise for others
            for row, run in zip(rows, _runs(len(rows)), strict=True):
                units[row] = f"{labels[row]}, id {machine_id}, run {run}"
    return units


def _labels_by_sound(chains: dict[int, str], by_id: dict[str, list[int]]) -> tuple[list[str], list[str]]:
    """Labels and units of chains, cut in pieces of at most a fifth of the id's clips, and of runs of all others."""
    n_clips = sum(map(len, by_id.values()))
    labels, units = [""] * n_clips, [""] * n_clips
    for machine_id, rows in by_id.items():
        piece = math.ceil(len(rows) / FOLDS)
        seen: Counter[str] = Counter()
        for row in rows:
            if row in chains:
                labels[row] = chains[row]
                units[row] = f"{chains[row]}, piece {seen[chains[row]] // piece}"
                seen[chains[row]] += 1
        loose = [row for row in rows if row not in chains]
        for row, run in zip(loose, _runs(len(loose)), strict=True):
            labels[row] = units[row] = f"id {machine_id}, run {run}"
    return labels, units


def _runs(n_clips: int) -> list[int]:
    """Number of the run of each clip in name order: runs of min(20, a fifth of the clips)."""
    length = max(1, min(MAX_RUN, math.ceil(n_clips / FOLDS)))
    return [row // length for row in range(n_clips)]


def _chains(clips: Sequence[Named], prints: Sequence[SoundPrint | None], by_id: dict[str, list[int]]) -> dict[int, str]:
    """Rows of clips that continue each other, with their chain's name."""
    found: dict[int, str] = {}
    for rows in by_id.values():
        by_folder: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_folder[clips[row].shown.rpartition("/")[0]].append(row)
        for neighbours in by_folder.values():
            for chain in _chains_of([prints[row] for row in neighbours]):
                first, last = (clips[neighbours[place]].shown for place in (chain[0], chain[-1]))
                found |= {neighbours[place]: f"{first} to {last}" for place in chain}
    return found


def _chains_of(prints: Sequence[SoundPrint | None]) -> list[range]:
    """Runs of places where ten borders in a row are, by their median, like the inside of a recording."""
    if len(prints) <= CHAIN_BORDERS:
        return []
    ratios = [_ratio(prints[place], prints[place + 1]) for place in range(len(prints) - 1)]
    unrelated = _unrelated_ratios(prints)
    continues = np.zeros(len(ratios), dtype=np.bool_)
    for start in range(len(ratios) - CHAIN_BORDERS + 1):
        median = float(np.median(ratios[start : start + CHAIN_BORDERS]))
        if median < CHAIN_RATIO and (unrelated <= median).mean() < CHAIN_SHARE:
            continues[start : start + CHAIN_BORDERS] = True
    chains, begin = [], None
    for place, same in enumerate([*continues.tolist(), False]):
        if same and begin is None:
            begin = place
        elif not same and begin is not None:
            chains.append(range(begin, place + 1))
            begin = None
    return chains


def _unrelated_ratios(prints: Sequence[SoundPrint | None]) -> FloatArray:
    """Border ratios of seeded pairs that do not follow each other."""
    pairs = np.random.default_rng(0).integers(0, len(prints), (_RANDOM_BORDERS, 2)).tolist()
    return np.array([_ratio(prints[one], prints[other]) for one, other in pairs if other - one not in (0, 1)])


def _ratio(before: SoundPrint | None, after: SoundPrint | None) -> float:
    return math.inf if before is None or after is None else border_ratio(before, after)
