"""Cached wrappers around `asd_core`, keyed by versions, digests and stamps, and nothing else.

Streamlit hashes large arrays from a sample, so no array ever goes into a key: `HASHES` says what stands for the objects
that hold some. What is large itself (sounds, maps, pictures) is kept by `kept`, within a bound of bytes for the server.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from asd_core.artifacts.store import Artifact, open_current, read_current
from asd_core.audio.reading import read_waveform
from asd_core.data.data_set import OWN_SUFFIX, DataSet
from asd_core.data.library import clips_folder
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors.contract import Detector
from asd_core.errors import AsdError
from asd_core.evaluation.metrics import RocCurve, roc_curve
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.summary import Summary, summarise
from asd_core.system.places import data_dir
from asd_core.tasks.compare import Comparison, Method
from asd_core.types import AnomalyMap, BoolArray, FloatArray, Waveform
from pages.shared.frame import EMBEDDED_NAME, Chosen
from pages.shared.held import Held

MAX_HELD_BYTES = 512 * 2**20
"""Sounds, maps and pictures kept in memory for all sessions together."""
_BENCH_LOCK = threading.Lock()

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tree:
    """A folder of clips with `tree_stamp`'s digest of it: another value when a clip comes or goes."""

    root: Path
    stamp: str


@dataclass(frozen=True)
class ClipFile:
    """A recording to be read by one channel; `content` tells its contents apart: a digest, or a time of change."""

    path: str
    content: str
    channel: int | None


@dataclass(frozen=True, eq=False)
class StampedSet:
    """A data set with the stamp of the folder that it was indexed from."""

    data_set: DataSet
    stamp: str


def _digest(waveform: Waveform) -> str:
    if not waveform.digest:
        raise ValueError("only a sound with a digest can be kept")
    return waveform.digest


HASHES: dict[str | type[Any], Callable[[Any], Any]] = {
    Artifact: lambda artifact: (os.fsencode(artifact.folder), artifact.digest),
    Waveform: _digest,
    Method: lambda method: method.key,
    Comparison: lambda comparison: (tuple(method.key for method in comparison.methods), comparison.fingerprint),
    Tree: lambda tree: (os.fsencode(tree.root), tree.stamp),
    StampedSet: lambda stamped: (os.fsencode(stamped.data_set.index.root), stamped.stamp),
    type(Path()): os.fsencode,
}
"""What stands for an object in a key, for Streamlit's `hash_funcs` and for `kept`; none reads a clip or an array."""


@st.cache_resource(max_entries=1, show_spinner=False)
def held() -> Held:
    """Return what all sessions share of large values."""
    return Held(MAX_HELD_BYTES)


def kept(spinner: str = "") -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Keep a function's results in `held`, by its arguments as `HASHES` and otherwise their own hash tell them apart.

    Results go with the session that uploaded a clip which they, or arguments, are: see `Held.drop`.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def asked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            values = (*args, *kwargs.values())

            def make() -> Result:
                with st.spinner(spinner) if spinner else nullcontext():
                    return function(*args, **kwargs)

            key = (function.__module__, function.__qualname__, *map(_key, values), *kwargs)
            return held().get(key, make, sounds=lambda value: _digests((*values, value)))

        return asked

    return decorate


def once(key: tuple[Hashable, ...], make: Callable[[], Result]) -> Result:
    """Compute what takes long for one session and give it to all; the others wait, and say so."""
    place = st.empty()

    def on_wait() -> None:
        place.caption(":material/hourglass_top: Another page is at it already; its result will be used here too.")

    try:
        return held().get(key, make, on_wait=on_wait)
    finally:
        place.empty()


def _key(value: Any) -> Hashable:
    stand_in = HASHES.get(type(value))
    key: Hashable = value if stand_in is None else stand_in(value)
    return key


def _digests(values: tuple[Any, ...]) -> set[str]:
    return {value.digest for value in values if isinstance(value, Waveform)}


def artifacts(chosen: Chosen) -> tuple[dict[str, Artifact], dict[str, AsdError]]:
    """Open the current version of each detector; damaged ones come back as their errors."""
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


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def tested(artifact: Artifact) -> KeptScores:
    """Labelled test clips of a version."""
    return KeptScores(artifact.scores.of("test").labelled().clips)


@st.cache_data(max_entries=256, show_spinner="Computing intervals …", hash_funcs=HASHES)
def summary(artifact: Artifact) -> Summary:
    """Figures of a version's own test scores, with intervals."""
    return summarise(tested(artifact), artifact.threshold)


@dataclass(frozen=True, eq=False)
class Heard:
    """What a detector makes of a clip."""

    anomaly_score: float
    anomaly_map: AnomalyMap
    warnings: tuple[str, ...]


@kept("Listening …")
def heard(artifact: Artifact, waveform: Waveform) -> Heard:
    """Score and map of a clip; computed once for each version and clip."""
    trained = detector(artifact)
    return Heard(*trained.anomaly_score_and_map(waveform), trained.input_warnings(waveform))


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


def tree(root: Path) -> Tree:
    """Take a folder of clips as it is now."""
    return Tree(root, tree_stamp(root))


@kept()
def clip(file: ClipFile) -> Waveform:
    """Read a clip of a data set."""
    return read_waveform(file.path, channel=file.channel)
