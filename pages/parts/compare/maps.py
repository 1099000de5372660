"""The compare page's slow views: a map of the clips' sound, and where the detectors point."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import fingerprint
from asd_core.data.library import allowed_roots
from asd_core.data.simulated.record import load_mask
from asd_core.errors import DataSetError
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.scores import ScoredClip
from asd_core.evaluation.uncertainty import Interval, interval_text
from asd_core.features.cache import read_named
from asd_core.features.encoders import load_encoder
from asd_core.features.spectra import principal_plane
from asd_core.formats import MISSING
from asd_core.types import AnomalyMap, BoolArray, FloatArray, Waveform
from pages.parts.compare.clips import Plane, listen_on
from pages.parts.compare.listing import channel_of
from pages.parts.compare.methods import JUDGED_HASHES, Judged
from pages.shared.cache import detector
from pages.shared.components.plane import Marks, PlaneAxis, clip_plane
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root, has_clips
from pages.shared.frame import fragment
from pages.shared.keys import held, once
from pages.shared.plain_text import plain
from pages.shared.sources import clip_title, load_scored

ENCODER = "logmel_stats"
MAX_MAPPED = 2000
"""Clips on one map at most."""
TURN_S, PAUSE_S = 1.0, 0.3
"""A growing map hears clips for so long at a time, and waits for other choices of its reader in between."""


def map_view(chosen: Chosen, judged: Judged) -> None:
    """Draw clips that sound alike side by side, while they are listened to and afterwards."""
    n_all = len(judged.comparison.clips)
    judged = _mapped(judged)
    clips = judged.comparison.clips
    load = loader(chosen)
    if len(clips) < 2 or load is None:
        st.info("A map needs the sound of the clips, which is not here for this data set.", icon=":material/info:")
        return
    if len(clips) < n_all:
        st.caption(f"{len(clips):,} of the {n_all:,} clips, drawn at random, the same at each visit.")
    mapping = Mapping(clips, channel_of(judged), load)
    found = held().find(mapping.key)
    if found is None:
        _growing(mapping)
        return
    points, shares = found
    _map_caption(shares)
    plane = Plane(judged, "map", points, _groups(clips), *_axis_titles(shares))
    listen_on(chosen, plane, alt=_alt(len(clips)))


def loader(chosen: Chosen) -> Callable[[ScoredClip, int | None], Waveform] | None:
    """Return what reads a clip without keeping it, or renders one that comes with the project; None without sound."""
    if not has_clips(chosen):
        return partial(_rendered, chosen)
    root = clips_root(chosen)
    return None if root is None else partial(_read, root)


def _read(root: Path, clip: ScoredClip, channel: int | None) -> Waveform:
    return read_named(root, clip.path, channel=channel, within=allowed_roots())


def _rendered(chosen: Chosen, clip: ScoredClip, channel: int | None) -> Waveform:
    sound = load_scored(chosen, clip, channel)
    if sound is None:
        raise DataSetError(f"{clip.shown}: its sound is not here")
    return sound


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _mapped(judged: Judged) -> Judged:
    """Draw a sample where there are more clips than can be read while a reader waits."""
    comparison = judged.comparison
    if len(comparison.clips) <= MAX_MAPPED:
        return judged
    rows = sorted(random.Random(0).sample(range(len(comparison.clips)), MAX_MAPPED))  # noqa: S311 - no secret
    sampled = comparison.of(rows)
    return replace(judged, comparison=sampled, alarms=judged.alarms[:, rows])


@dataclass(frozen=True, eq=False)
class Mapping:
    """Clips to be mapped by their sound: a vector for each, heard once for all sessions, a few at a time.

    Parameters
    ----------
    channel
        The channel that is heard; None for the mean.
    load
        Reads a clip by its channel.
    """

    clips: tuple[ScoredClip, ...]
    channel: int | None
    load: Callable[[ScoredClip, int | None], Waveform]

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """Names the finished map among the values that all sessions share."""
        return "plane", ENCODER, self.channel, fingerprint([clip.digest for clip in self.clips])

    @cached_property
    def order(self) -> list[int]:
        """In which order the clips are heard: mixed, so that the first of them stand for all."""
        order = list(range(len(self.clips)))
        random.Random(0).shuffle(order)  # noqa: S311 - no secret
        return order

    def vector(self, row: int) -> FloatArray:
        """Return the mean encoder vector of a clip, shape (n_numbers,); kept, so that no session hears it again."""

        def heard() -> FloatArray:
            return load_encoder(ENCODER).encode(self.load(self.clips[row], self.channel)).mean(axis=0)

        found: FloatArray = held().get(self._vector_key(row), heard)
        return found

    def _vector_key(self, row: int) -> tuple[Hashable, ...]:
        return "vector", ENCODER, self.clips[row].digest, self.channel

    def known(self) -> dict[int, FloatArray]:
        """Return the vectors of the clips that were heard so far, by their positions, in the order of hearing."""
        found = {row: held().find(self._vector_key(row)) for row in self.order}
        return {row: vector for row, vector in found.items() if vector is not None}

    def listen(self, *, for_s: float, at_least: int = 24) -> None:
        """Hear clips that were not heard yet until the time is over, but so many that there is something to draw.

        One session listens at a time; the others return at once and see what it heard.
        """
        turn = _turn(self.key)
        if not turn.acquire(blocking=not self.known()):
            return
        try:
            known = self.known()
            end = time.monotonic() + for_s
            for n, row in enumerate((row for row in self.order if row not in known), start=len(known) + 1):
                self.vector(row)
                if time.monotonic() > end and n >= at_least:
                    return
        finally:
            turn.release()

    def finish(self, vectors: dict[int, FloatArray]) -> tuple[FloatArray, tuple[float, float]]:
        """Return the points of the finished map, shape (n_clips, 2), and the two directions' shares of the variance."""
        return held().get(self.key, lambda: projected(np.array([vectors[row] for row in range(len(self.clips))])))


@st.cache_resource(max_entries=256, show_spinner=False)
def _turn(_key: tuple[Hashable, ...]) -> threading.Lock:
    """Return the lock of a map that several sessions may ask for at once."""
    return threading.Lock()


def projected(vectors: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
    """Project vectors, shape (n_clips, n_numbers), on their plane of widest spread; points and shares of variance."""
    plane = principal_plane(vectors)
    return plane.project(vectors), plane.shares


def _growing(mapping: Mapping) -> None:
    """Draw the map of the clips heard so far, and hear more of them at each turn; the page runs again at the end."""

    def grow() -> None:
        mapping.listen(for_s=TURN_S)
        known = mapping.known()
        total = len(mapping.clips)
        if len(known) == total:
            mapping.finish(known)
            st.rerun()
        st.progress(len(known) / total, f"Listening to the clips, once for everybody: {len(known)} of {total} so far")
        if len(known) < 2:
            return
        points, shares = projected(np.array(list(known.values())))
        _map_caption(shares)
        clips = [mapping.clips[row] for row in known]
        titles = _axis_titles(shares)
        clip_plane(
            (PlaneAxis.over(points[:, 0], titles[0]), PlaneAxis.over(points[:, 1], titles[1])),
            Marks(points, _groups(clips), [clip_title(clip) for clip in clips]).message(),
            plane="growing",
            alt=_alt(len(clips)),
            key="plane:growing",
        )

    fragment(grow, run_every=PAUSE_S)()


def _groups(clips: Sequence[ScoredClip]) -> list[str]:
    return [clip.kind or clip.label for clip in clips]


def _axis_titles(shares: tuple[float, float]) -> tuple[str, str]:
    return (
        f"First principal component ({100 * shares[0]:.0f} % of the variance)",
        f"Second principal component ({100 * shares[1]:.0f} %)",
    )


def _alt(n_clips: int) -> str:
    return f"Map of {n_clips} clips by their sound; colour tells normal from anomalous, shape the kind of fault"


def _map_caption(shares: tuple[float, float]) -> None:
    encoder = load_encoder(ENCODER)
    st.caption(
        f"{encoder.identity.title}: one vector of {encoder.dimension} numbers per clip (mean over its 0.96 s patches), "
        f"seen along the two directions of widest spread. They hold {100 * shares[0]:.0f} % and "
        f"{100 * shares[1]:.0f} % of the variance: clips that lie apart sound different, clips that lie together need "
        "not sound alike."
    )


def localisation_view(chosen: Chosen, judged: Judged) -> None:
    """Rate the detectors' maps against the known place of each simulated fault, on demand."""
    methods = [method.artifact for method in judged.comparison.methods if method.artifact is not None]
    root = clips_root(chosen) if methods and all(artifact.simulated for artifact in methods) else None
    if root is None:
        st.info(
            "Where a fault is heard is known for simulated clips only, so that maps cannot be rated on this data set.",
            icon=":material/info:",
        )
        return
    st.caption(
        ":material/science: Simulated data: each fault's cells in time and frequency are known from the generator, "
        "and each detector's map is held against them."
    )
    known = {artifact.title: held().find(_localised(artifact, judged)) for artifact in methods}
    missing = [artifact for artifact in methods if known[artifact.title] is None]
    faults = tuple(clip for clip in judged.comparison.clips if clip.label == "anomalous")
    if missing:
        st.markdown(f"{len(faults)} anomalous clips are heard by {len(missing)} detectors: about a minute.")
        if st.button("Rate the maps", icon=":material/travel_explore:"):
            _localise({_localised(artifact, judged): artifact for artifact in missing}, root, faults)
            st.rerun()
        return
    _localisation_table({title: found for title, found in known.items() if found is not None})


def _localised(artifact: Artifact, judged: Judged) -> tuple[str, ...]:
    """Key of a version's figures on these clips."""
    return "localised", str(artifact.folder), artifact.digest, judged.comparison.fingerprint


def _localise(artifacts: dict[tuple[str, ...], Artifact], root: Path, faults: tuple[ScoredClip, ...]) -> None:
    bar, total = st.progress(0.0, "Rating maps …"), len(artifacts) * len(faults)

    def rated(artifact: Artifact, before: int) -> Iterator[tuple[str, AnomalyMap, BoolArray]]:
        trained = detector(artifact)
        for done, clip in enumerate(faults, start=before + 1):
            heard = trained.anomaly_map(read_named(root, clip.path, channel=artifact.channel, within=allowed_roots()))
            bar.progress(done / total, f"{plain(artifact.title)}: {done - before} of {len(faults)} clips")
            yield clip.kind, heard, load_mask(root.parent, f"{root.name}/{clip.path}")

    for number, (key, artifact) in enumerate(artifacts.items()):
        once(key, partial(localise_all, rated(artifact, number * len(faults))))
    bar.empty()


def _localisation_table(summaries: dict[str, dict[str, LocalisationSummary]]) -> None:
    rows = [
        {
            "Detector": title,
            "Fault": kind,
            "Pixel AUC": _interval_text(summary.pixel_auc),
            "Time AUC": _interval_text(summary.time_auc),
            "Hits": _interval_text(summary.hit_rate),
            "Hits by chance": MISSING if summary.chance_of_hit is None else f"{summary.chance_of_hit:.3f}",
            "Hits within 64 ms": _interval_text(summary.near_hit_rate),
            "Clips (left out)": f"{summary.n_clips} ({summary.n_empty})",
        }
        for title, by_kind in summaries.items()
        for kind, summary in by_kind.items()
    ]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch", height="content", alt="How well maps point at the fault"
    )
    st.caption(
        "AUC by chance: 0.5. A hit: the map's highest cell lies where the fault is heard. Brackets: 95 % intervals. A "
        "map of patches of 0.96 s is over time only: it is asked for the frame, not for the band. Left out: faults too "
        "faint to be marked."
    )


def _interval_text(interval: Interval | None) -> str:
    return interval_text(interval, missing=MISSING)
