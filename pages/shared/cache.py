"""Cached access to trained detectors, keyed by nothing but versions and digests; see `keys`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st

from asd_core.artifacts.store import Artifact, open_current, read_current
from asd_core.detectors.contract import Detector
from asd_core.errors import AsdError
from asd_core.evaluation.metrics import RocCurve, roc_curve
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.summary import Summary, summarise
from asd_core.types import AnomalyMap, BoolArray, FloatArray, Waveform
from pages.shared.context import Chosen
from pages.shared.keys import HASHES, kept


def artifacts(chosen: Chosen) -> tuple[dict[str, Artifact], dict[str, AsdError]]:
    """Open the current version of each detector; damaged ones are returned as their errors."""
    good: dict[str, Artifact] = {}
    bad: dict[str, AsdError] = {}
    for name, folder in chosen.detectors.items():
        try:
            good[name] = _artifact(folder, read_current(folder))
        except AsdError as error:
            bad[name] = error
    return good, bad


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _artifact(folder: Path, current: str) -> Artifact:
    return open_current(folder, current)


@st.cache_resource(max_entries=8, show_spinner="Loading the detector …", hash_funcs=HASHES)
def detector(artifact: Artifact) -> Detector:
    """Load a version's trained detector; shared by all sessions and never changed."""
    return artifact.detector()


@dataclass(frozen=True)
class KeptScores(Scores):
    """Scores whose columns are built once: for a large set that costs more than everything else a page does with them.

    The arrays are shared by all sessions and read-only.
    """

    @cached_property
    def anomaly_scores(self) -> FloatArray:  # type: ignore[override]
        """Shape (n_clips,)."""
        return _locked(super().anomaly_scores)

    @cached_property
    def is_anomalous(self) -> BoolArray:  # type: ignore[override]
        """Shape (n_clips,)."""
        return _locked(super().is_anomalous)

    @cached_property
    def machine_ids(self) -> tuple[str, ...]:  # type: ignore[override]
        """One id per clip."""
        return super().machine_ids

    @cached_property
    def curve(self) -> RocCurve | None:
        """The ROC; None where the clips are all of one class."""
        labels = self.is_anomalous
        return roc_curve(labels, self.anomaly_scores) if labels.any() and not labels.all() else None


def _locked(array: Any) -> Any:
    array.flags.writeable = False
    return array


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def tested(artifact: Artifact) -> KeptScores:
    """Return the labelled test clips of a version."""
    return KeptScores(artifact.scores.of("test").labelled().clips)


@st.cache_data(max_entries=256, show_spinner="Computing intervals …", hash_funcs=HASHES)
def summary(artifact: Artifact) -> Summary:
    """Return the figures of a version's own test scores, with intervals."""
    return summarise(tested(artifact), artifact.threshold)


@dataclass(frozen=True, eq=False)
class Heard:
    """What a detector makes of a clip."""

    anomaly_score: float
    anomaly_map: AnomalyMap
    warnings: tuple[str, ...]


@kept("Listening …")
def heard(artifact: Artifact, waveform: Waveform) -> Heard:
    """Return score and map of a clip, from one pass; computed once per version and clip."""
    trained = detector(artifact)
    return Heard(*trained.anomaly_score_and_map(waveform), trained.input_warnings(waveform))
