"""The compare page's slow views: a map of the clips' sound, and where the detectors point."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots
from asd_core.data.simulated.record import load_mask
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.scores import ScoredClip
from asd_core.evaluation.uncertainty import Interval, interval_text
from asd_core.features.cache import read_named
from asd_core.features.encoders import load_encoder
from asd_core.features.spectra import principal_plane
from asd_core.formats import MISSING
from asd_core.types import AnomalyMap, BoolArray, FloatArray
from pages.parts.compare.clips import pickable, play
from pages.parts.compare.methods import JUDGED_HASHES, Judged
from pages.shared.cache import detector
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root
from pages.shared.keys import held, once
from pages.shared.plain_text import plain

ENCODER = "logmel_stats"
MAX_MAPPED = 2000
"""Clips on one map at most."""


def map_view(chosen: Chosen, judged: Judged) -> None:
    """Draw clips that sound alike side by side: PCA of their encoder vectors."""
    root = clips_root(chosen)
    n_all = len(judged.comparison.clips)
    judged = _mapped(judged)
    clips = judged.comparison.clips
    if root is None or len(clips) < 2:
        st.info("A map needs the sound of the clips, which is not here for this data set.", icon=":material/info:")
        return
    encoder = load_encoder(ENCODER)
    artifacts = [method.artifact for method in judged.comparison.methods if method.artifact is not None]
    channel = artifacts[0].channel if artifacts else None
    points, shares = _plane(root, clips, channel)
    if len(clips) < n_all:
        st.caption(f"{len(clips):,} of the {n_all:,} clips, drawn at random, the same at each visit.")
    st.caption(
        f"{encoder.identity.title}: one vector of {encoder.dimension} numbers per clip (mean over its 0.96 s patches), "
        f"seen along the two directions of widest spread. They hold {100 * shares[0]:.0f} % and "
        f"{100 * shares[1]:.0f} % of the variance: clips that lie apart sound different, clips that lie together need "
        "not sound alike."
    )
    picked = pickable(
        judged,
        points,
        [clip.kind or clip.label for clip in clips],
        key="map",
        x_title=f"First principal component ({100 * shares[0]:.0f} % of the variance)",
        y_title=f"Second principal component ({100 * shares[1]:.0f} %)",
        alt=f"Map of {len(clips)} clips by their sound; colour tells normal from anomalous, shape the kind of fault",
    )
    play(chosen, judged, picked)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _mapped(judged: Judged) -> Judged:
    """Draw a sample where there are more clips than can be read while a reader waits."""
    comparison = judged.comparison
    if len(comparison.clips) <= MAX_MAPPED:
        return judged
    rows = sorted(random.Random(0).sample(range(len(comparison.clips)), MAX_MAPPED))  # noqa: S311 - no secret
    sampled = comparison.of(rows)
    return replace(judged, comparison=sampled, alarms=judged.alarms[:, rows])


def _plane(root: Path, clips: tuple[ScoredClip, ...], channel: int | None) -> tuple[FloatArray, tuple[float, float]]:
    """Return the points of the map, shape (n_clips, 2), and the two directions' shares of the variance."""
    key = ("plane", ENCODER, channel, tuple(clip.digest for clip in clips))
    return once(key, partial(_projected, root, clips, channel))


def _projected(
    root: Path, clips: tuple[ScoredClip, ...], channel: int | None
) -> tuple[FloatArray, tuple[float, float]]:
    vectors = np.array(_vectors(root, clips, channel))
    plane = principal_plane(vectors)
    return plane.project(vectors), plane.shares


def _vectors(root: Path, clips: tuple[ScoredClip, ...], channel: int | None) -> list[FloatArray]:
    """Return the mean encoder vector of each clip, shape (n_numbers,).

    Each is kept on its own, so that an interrupted session leaves its finished work to the next one.
    """
    encoder = load_encoder(ENCODER)

    def vector(clip: ScoredClip) -> FloatArray:
        return held().get(
            ("vector", ENCODER, clip.digest, channel),
            lambda: encoder.encode(read_named(root, clip.path, channel=channel, within=allowed_roots())).mean(axis=0),
        )

    bar = st.progress(0.0, "Listening to the clips, once …")
    found = []
    for done, clip in enumerate(clips, start=1):
        found.append(vector(clip))
        bar.progress(done / len(clips), f"{done} of {len(clips)} clips")
    bar.empty()
    return found


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
