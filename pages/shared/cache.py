"""Cached wrappers around `asd_core`, keyed by versions and digests, and nothing else.

Arrays and objects go in behind an underscore and never into a key: Streamlit hashes large arrays from a sample.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st

from asd_core.artifacts import Artifact, open_artifact
from asd_core.assess import summarise
from asd_core.audio import read_waveform
from asd_core.datasets.bench import write_bench
from asd_core.detector import Detector
from asd_core.errors import AsdError
from asd_core.evaluation.metrics import RocCurve, roc_curve
from asd_core.library import clips_folder
from asd_core.pipeline import OWN_SUFFIX
from asd_core.places import data_dir
from asd_core.scored_clips import Scores
from asd_core.types import AnomalyMap, BoolArray, FloatArray, Waveform
from pages.shared.frame import EMBEDDED_NAME, Chosen

_BENCH_LOCK = threading.Lock()


def artifacts(chosen: Chosen) -> tuple[dict[str, Artifact], dict[str, AsdError]]:
    """Open the current version of each detector; damaged ones come back as their errors."""
    good: dict[str, Artifact] = {}
    bad: dict[str, AsdError] = {}
    for name, folder in chosen.detectors.items():
        try:
            current = (folder / "current").read_text("ascii", "replace")
            good[name] = _artifact(str(folder), current)
            if not current.startswith(good[name].version):  # another server published in between: not under this key
                _artifact.clear(str(folder), current)
        except AsdError as error:
            bad[name] = error
    return good, bad


@st.cache_resource(max_entries=64, show_spinner=False)
def _artifact(folder: str, current: str) -> Artifact:  # noqa: ARG001 - `current` is the key that changes
    return open_artifact(Path(folder))


def detector(artifact: Artifact) -> Detector:
    """Load a version's trained detector; shared by all sessions and never changed."""
    return _detector(str(artifact.folder), artifact)


@st.cache_resource(max_entries=8, show_spinner="Loading the detector …")
def _detector(folder: str, _artifact: Artifact) -> Detector:  # noqa: ARG001 - the folder is the key
    return _artifact.detector()


@dataclass(frozen=True)
class KeptScores(Scores):
    """Scores whose columns are made once: a large set's would cost more than all else that a page does with them.

    Arrays are shared by all sessions and cannot be written to.
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
        """One id a clip."""
        return super().machine_ids

    @cached_property
    def curve(self) -> RocCurve | None:
        """The ROC; None where the clips are of one class."""
        labels = self.is_anomalous
        return roc_curve(labels, self.anomaly_scores) if labels.any() and not labels.all() else None


def _locked(array: Any) -> Any:
    array.flags.writeable = False
    return array


def tested(artifact: Artifact) -> KeptScores:
    """Labelled test clips of a version."""
    return _kept_scores(str(artifact.folder), artifact)


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept_scores(folder: str, _artifact: Artifact) -> KeptScores:  # noqa: ARG001 - the folder is the key
    return KeptScores(_artifact.scores.of("test").labelled().clips)


@st.cache_data(max_entries=256, show_spinner="Computing intervals …")
def summary(folder: str, _artifact: Artifact) -> dict[str, Any]:  # noqa: ARG001 - the folder is the key
    """Figures of a version's own test scores, with intervals."""
    return summarise(_artifact, tested(_artifact))


@dataclass(frozen=True, eq=False)
class Heard:
    """What a detector makes of a clip."""

    anomaly_score: float
    anomaly_map: AnomalyMap
    warnings: tuple[str, ...]


def heard(artifact: Artifact, waveform: Waveform) -> Heard:
    """Score and map of a clip; computed once for each version and clip."""
    return _heard(str(artifact.folder), waveform.digest, artifact, waveform)


@st.cache_resource(max_entries=256, show_spinner="Listening …")
def _heard(folder: str, digest: str, _artifact: Artifact, _waveform: Waveform) -> Heard:  # noqa: ARG001 - keys
    trained = detector(_artifact)
    return Heard(trained.anomaly_score(_waveform), trained.anomaly_map(_waveform), trained.input_warnings(_waveform))


def clips_root(chosen: Chosen) -> Path | None:
    """Folder of the machine's clips, generated first where they are simulated; None where it is not known."""
    if chosen.data_set not in (EMBEDDED_NAME, EMBEDDED_NAME + OWN_SUFFIX):
        return clips_folder(chosen.data_set, chosen.machine)
    return embedded_bench() / chosen.machine


def tree_stamp(root: Path) -> str:
    """Digest of the folders' names, times and numbers of files: cheap, and another one when a file comes or goes."""
    folders = [(folder, os.stat(folder).st_mtime_ns, len(names)) for folder, _, names in os.walk(root)]  # noqa: PTH116
    return hashlib.sha256(repr(sorted(folders)).encode()).hexdigest()[:16]


def embedded_bench() -> Path:
    """Folder of the clips that come with the project, generated first where they are not there yet."""
    root = data_dir() / EMBEDDED_NAME
    if not root.is_dir():
        bar = st.progress(0.0, "Generating the simulated clips, once …")
        with _BENCH_LOCK:  # another session may be at it
            write_bench(root, on_progress=lambda done, total: bar.progress(done / total, f"{done} of {total} clips"))
        bar.empty()
    return root


@st.cache_resource(max_entries=32, show_spinner=False)
def clip(path: str, digest: str, channel: int | None) -> Waveform:  # noqa: ARG001 - the digest is part of the key
    """Read a clip whose digest is known."""
    return read_waveform(path, channel=channel)
