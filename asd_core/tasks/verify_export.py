"""Whether an exported folder scores as the detector it was made from, shown in an environment that lacks this package.

The folder's own scorer runs there with onnxruntime and NumPy on clips that are drawn now; this package scores the same
files from the saved version. What `detector.json` says is compared with that version, too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import ClipKey, Label, render_clip
from asd_core.detectors.contract import Detector
from asd_core.errors import ArtifactError, FileError, UsageError
from asd_core.evaluation.operating import verdict
from asd_core.features.log_mel import VGGISH_BANDS, VGGISH_MIN_SAMPLES, log_mel, vggish_patches
from asd_core.system.files import parse_json, read_regular
from asd_core.system.packages import installed_versions
from asd_core.system.typed_json import to_json
from asd_core.tasks.environments import FromWhere, last_line, make_environment, run_in
from asd_core.tasks.export_onnx import (
    DETECTOR,
    GOLDEN,
    MODEL,
    SCORER,
    Subtype,
    describe,
    model_bytes,
    read_description,
    scorer_bytes,
    wav_in_channel,
)
from asd_core.types import SR, Float32Array, FloatArray, Waveform

SCORE_TOLERANCE = 1e-4
"""Relative difference of scores."""
MAP_TOLERANCE = 1e-3
"""Mean difference of maps, relative to their mean size."""
LOG_MEL_TOLERANCE_DB = 1e-3
FAINT_DB = 60.0
"""So far below the loudest band of its frame, a band's level is no longer sure to 0.001 dB in single precision, in
which this package computes its frames: rounding leaves noise some 140 dB below the frame (measured)."""
DEPTHS_DB = (FAINT_DB, 80.0, 100.0, 200.0)
RAIL = "rail"
_TINY = 1e-12
NEEDED = ("onnxruntime", "numpy")
RUN_S = 600.0
MAX_FILE_BYTES = 2**30
_VERSION = re.compile(r"v\d{4,9}-[0-9a-f]{8}")
_FREE_KEYS = {"model", "versions", "golden", "files"}
"""Of `detector.json`: where and with what it was made, and what is compared by other means."""


@dataclass(frozen=True)
class Environment:
    """Where the folder ran.

    Parameters
    ----------
    made
        `index`: installed by pip from the package index; `linked`: the packages installed beside this one, and no
        others, linked into it.
    python, packages
        Its Python, and all packages in it.
    why
        Why the index was not used; empty where it was, or where that was asked for.
    """

    made: FromWhere
    python: str
    packages: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class ClipCheck:
    """One clip, scored here and by the folder; None where the folder's result has no such number.

    Parameters
    ----------
    score_difference
        Relative.
    map_difference
        Mean absolute difference over mean size of the map.
    log_mel_db
        Largest difference of log-mel frames in dB, in bands at most `FAINT_DB` below the loudest of their frame.
    faint_db
        The same for fainter bands, by how many dB they are below: `60-80`, ...; those that the clip has.
    run_ms
        Least processor time of a run in the environment, on one thread, in ms.
    """

    name: str
    duration_s: float
    anomaly_score: float
    exported_score: float | None
    score_difference: float | None
    map_difference: float | None
    log_mel_db: float | None
    faint_db: Mapping[str, float]
    run_ms: float

    @property
    def faults(self) -> list[str]:
        """What differs by more than its limit."""
        limits = (
            ("the score", self.score_difference, SCORE_TOLERANCE),
            ("the map", self.map_difference, MAP_TOLERANCE),
            ("log-mel (dB)", self.log_mel_db, LOG_MEL_TOLERANCE_DB),
        )
        return [
            f"{self.name}: {what} differs {'in kind' if got is None else f'by {got:.2g}'}, the limit is {limit:g}"
            for what, got, limit in limits
            if got is None or got > limit
        ]


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Parameters
    ----------
    seed
        Of the clips.
    environment
        None where the folder's scorer was not run.
    same_graph
        Whether `model.onnx` has the nodes and constants that this package builds from the version; None where other
        versions of this package or of onnx have built it.
    faults
        What is not as it should be, in sentences; empty where the folder is verified.
    """

    out: Path
    model: Path
    title: str
    simulated: bool
    version: str
    seed: int
    environment: Environment | None
    same_graph: bool | None
    clips: tuple[ClipCheck, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """Return the report of `export --verify`."""
        return {"schema": 1, "command": "export", **to_json(self), "verified": self.verified}


@dataclass(frozen=True, eq=False)
class _Exported:
    """An exported folder, what it says, and the version that it was made from."""

    folder: Path
    description: Mapping[str, Any]
    artifact: Artifact
    detector: Detector

    def content(self, name: str) -> bytes | None:
        """Content of one of the folder's files; None where it is missing or no regular file."""
        try:
            return read_regular(self.folder / Path(name).name, at_most=MAX_FILE_BYTES)
        except FileError:
            return None


@dataclass(frozen=True, eq=False)
class _Found:
    """What the folder's scorer made of a clip."""

    anomaly_score: float
    verdict: str
    map: FloatArray
    log_mel: FloatArray
    seconds: float


def verify_export(
    folder: Path, *, model: Path | None = None, seed: int | None = None, made: FromWhere = "index"
) -> Verification:
    """Run an exported folder in an environment of its own and compare it with the detector it was made from.

    Parameters
    ----------
    model
        The detector's folder, or the version; default the one that `detector.json` names.
    seed
        Of the clips; default a new one.
    made
        How the environment is made, see `make_environment`.

    Raises
    ------
    UsageError
        No exported folder, no version to compare it with, or a negative seed.
    ArtifactError
        A damaged detector.
    """
    if seed is not None and seed < 0:
        raise UsageError(f"seed must not be negative, got {seed}")
    description = read_description(folder)
    if description is None:
        raise UsageError(f"{folder} is no exported detector: it has no {DETECTOR} of ours")
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    artifact, warnings = _origin(description, model)
    exported = _Exported(folder, description, artifact, artifact.detector())
    faults, may_run = _file_faults(exported)
    faults += _description_faults(exported)
    graph_fault = _graph_fault(exported) if _built_alike(description) else None
    faults += [graph_fault] if graph_fault else []
    environment, clips = None, list[ClipCheck]()
    if may_run:
        environment, clips, found = _run(exported, seed, made)
        faults += found
    return Verification(
        out=folder,
        model=artifact.folder,
        title=artifact.title,
        simulated=artifact.simulated,
        version=artifact.version,
        seed=seed,
        environment=environment,
        same_graph=graph_fault is None if _built_alike(description) else None,
        clips=tuple(clips),
        faults=tuple(faults),
        warnings=tuple(warnings),
    )


def _origin(description: Mapping[str, Any], model: Path | None) -> tuple[Artifact, list[str]]:
    """Open the version that was exported, and say where a newer one is current by now."""
    version, named = str(description.get("version")), model or Path(str(description.get("model")))
    try:
        artifact = open_artifact(named)
    except ArtifactError as error:
        if model is None:
            raise UsageError(f"the detector it was made from cannot be opened; name it (--model): {error}") from error
        raise
    if artifact.version != version and _VERSION.fullmatch(version) and (artifact.folder.parent / version).is_dir():
        artifact = open_artifact(artifact.folder.parent / version)
    try:
        current = open_artifact(artifact.folder.parent).version
    except ArtifactError:  # a version that was copied without its detector's folder
        return artifact, []
    newer = f"outdated: {current} is the detector's current version by now; export it again to use that"
    return artifact, [] if current == artifact.version else [newer]


def _file_faults(exported: _Exported) -> tuple[list[str], bool]:
    """What is wrong with the files, and whether the scorer may be run: only one that this package wrote is."""
    recorded, faults = exported.description.get("files"), []
    if not isinstance(recorded, dict) or not {MODEL, SCORER, GOLDEN} <= set(recorded):
        return [f"{DETECTOR} does not list the folder's files"], False
    for name, entry in sorted(recorded.items()):
        content = exported.content(name)
        if content is None:
            faults.append(f"{name} is missing")
        elif not isinstance(entry, dict) or entry.get("sha256") != hashlib.sha256(content).hexdigest():
            faults.append(f"{name} is changed: its SHA-256 is not the one in {DETECTOR}")
    if exported.content(SCORER) != scorer_bytes():
        return [*faults, f"{SCORER} is not the one that this version of the package writes: it was not run"], False
    return faults, True


def _description_faults(exported: _Exported) -> list[str]:
    """What `detector.json` says otherwise than the version."""
    artifact, detector = exported.artifact, exported.detector
    quiet = Waveform(np.zeros(max(2 * SR, 4 * detector.min_samples), dtype=np.float32))
    wanted = parse_json(json.dumps(describe(artifact, detector, detector.anomaly_map(quiet))))
    got = exported.description
    return [
        f"{DETECTOR} has another {key} than {artifact.version}: {_short(got.get(key))}, not {_short(value)}"
        for key, value in wanted.items()
        if key not in _FREE_KEYS and _short(got.get(key), None) != _short(value, None)
    ]


def _short(value: object, at_most: int | None = 80) -> str:
    text = json.dumps(value, sort_keys=True)  # in which true is not 1
    return text if at_most is None or len(text) <= at_most else f"{text[: at_most - 3]}..."


def _built_alike(description: Mapping[str, Any]) -> bool:
    """Whether the same versions of this package and of onnx built the graph."""
    by, at_hand = description.get("versions"), installed_versions(("onnx",))
    return isinstance(by, dict) and all(by.get(name) == at_hand.get(name) for name in ("asd_core", "onnx"))


def _graph_fault(exported: _Exported) -> str | None:
    """Say in what `model.onnx` differs from the graph of the version, beyond the rounding of another processor."""
    import onnx

    content = exported.content(MODEL) or b""
    try:
        onnx.checker.check_model(content)
    except (ValueError, onnx.checker.ValidationError):
        return f"{MODEL} is no graph"
    got = onnx.load_model_from_string(content).graph
    wanted = onnx.load_model_from_string(model_bytes(exported.artifact, exported.detector)).graph
    if list(got.node) != list(wanted.node) or len(got.initializer) != len(wanted.initializer):
        return f"{MODEL} has other nodes than the graph of {exported.artifact.version}"
    for mine, theirs in zip(wanted.initializer, got.initializer, strict=True):
        if not _alike(onnx.numpy_helper.to_array(mine), onnx.numpy_helper.to_array(theirs)):
            return f"{MODEL} has other numbers in {mine.name} than the graph of {exported.artifact.version}"
    return None


def _alike(mine: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> bool:
    tolerance = 1e-6 if mine.dtype == np.float32 else 1e-12
    return mine.shape == theirs.shape and bool(np.allclose(mine, theirs, rtol=tolerance, atol=0))


def _run(exported: _Exported, seed: int, made: FromWhere) -> tuple[Environment, list[ClipCheck], list[str]]:
    """Draw clips, let the folder score them in an environment of its own, and compare; also say what is wrong."""
    with tempfile.TemporaryDirectory(prefix="asd-verify-") as place:
        clips, out, inside = (Path(place) / name for name in ("clips", "found", "environment"))
        clips.mkdir()
        out.mkdir()
        _write_clips(clips, exported, seed)
        made, why = make_environment(inside, NEEDED, made=made)
        runner = Path(__file__).with_name("exported") / "run_folder.py"
        try:
            run_in(inside, runner, exported.folder.resolve(), clips, out, limit_s=RUN_S)
        except subprocess.SubprocessError as error:
            return Environment(made, "", {}, why), [], [f"the folder's scorer failed: {last_line(error)}"]
        told = parse_json((out / "environment.json").read_bytes())
        checks, faults = [], []
        for path in sorted(clips.glob("*.wav")):
            check, wrong = _compare(path, _found(out / f"{path.stem}.npz"), exported)
            checks.append(check)
            faults += [*check.faults, *wrong]
    faults += _golden_faults(exported, checks)
    return Environment(made, told["python"], told["packages"], why), checks, faults


def _found(path: Path) -> _Found:
    with np.load(path, allow_pickle=False) as kept:
        score, word, seconds = (kept[name].item() for name in ("anomaly_score", "verdict", "seconds"))
        return _Found(score, word, kept["map"].astype(np.float64), kept["log_mel"].astype(np.float64), seconds)


def _golden_faults(exported: _Exported, checks: Sequence[ClipCheck]) -> list[str]:
    """Whether the expected score of the golden clip is the one computed here."""
    golden = exported.description.get("golden")
    expected = golden.get("anomaly_score") if isinstance(golden, dict) else None
    scores = [check.anomaly_score for check in checks if check.name == Path(GOLDEN).stem]
    if scores and isinstance(expected, float) and _relative(expected, scores[0]) <= SCORE_TOLERANCE:
        return []
    computed = f"this package computes {scores[0]:.9g}" if scores else "which is missing"
    return [f"{DETECTOR} expects the score {expected} of {GOLDEN}, {computed}"]


def _compare(path: Path, found: _Found, exported: _Exported) -> tuple[ClipCheck, list[str]]:
    """Compare a clip; also say where the folder's verdict is not that of the version's threshold."""
    artifact = exported.artifact
    waveform = read_waveform(path, channel=artifact.channel)
    anomaly_score, anomaly_map = exported.detector.anomaly_score_and_map(waveform)
    log_mel_db, faint_db = _log_mel_differences(found.log_mel * _decibels(artifact), _log_mel_db(waveform, artifact))
    check = ClipCheck(
        name=path.stem,
        duration_s=waveform.duration_s,
        anomaly_score=anomaly_score,
        exported_score=found.anomaly_score if np.isfinite(found.anomaly_score) else None,
        score_difference=_finite(_relative(found.anomaly_score, anomaly_score)),
        map_difference=_map_difference(found.map, anomaly_map.values),
        log_mel_db=log_mel_db,
        faint_db=faint_db,
        run_ms=1000 * found.seconds,
    )
    wanted = verdict(found.anomaly_score, artifact.threshold.value)
    said = f"{check.name}: the folder's verdict is {found.verdict!r}, by the version's threshold it is {wanted!r}"
    return check, [] if found.verdict == wanted else [said]


def _relative(got: float, wanted: float) -> float:
    return 0.0 if got == wanted else abs(got - wanted) / max(abs(wanted), _TINY)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _map_difference(got: FloatArray, wanted: FloatArray) -> float | None:
    if got.shape != wanted.shape:
        return None
    return _finite(float(np.abs(got - wanted).mean() / max(float(np.abs(wanted).mean()), _TINY)))


def _decibels(artifact: Artifact) -> float:
    """What the frames of the detector's front end are multiplied with to be in dB."""
    return 1.0 if artifact.encoder_id is None else float(20 / np.log(10))


def _log_mel_db(waveform: Waveform, artifact: Artifact) -> FloatArray:
    """The frames of the detector's front end, in dB."""
    if artifact.encoder_id is None:
        return log_mel(waveform.samples).astype(np.float64)
    missing = max(0, VGGISH_MIN_SAMPLES - waveform.n_samples)
    patches: FloatArray = vggish_patches(np.pad(waveform.samples, (0, missing)))
    return patches.reshape(-1, VGGISH_BANDS) * _decibels(artifact)


def _log_mel_differences(got: FloatArray, wanted: FloatArray) -> tuple[float | None, dict[str, float]]:
    """Largest difference in dB of bands that are not faint, and of faint ones by their depth."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return None, {}
    differences, depths = np.abs(got - wanted), wanted.max(axis=1, keepdims=True) - wanted
    faint = {}
    for low, high in itertools.pairwise(DEPTHS_DB):
        if (there := (depths > low) & (depths <= high)).any():
            faint[f"{low:g}-{high:g}"] = float(differences[there].max())
    return float(differences[depths <= FAINT_DB].max()), faint


def _write_clips(folder: Path, exported: _Exported, seed: int) -> None:
    """Write the clips: simulated rails as 16-bit files, all others as floating-point ones, in the channel it hears."""
    for name, samples in drawn_clips(seed, min_samples=exported.detector.min_samples):
        subtype: Subtype = "PCM_16" if name.startswith(RAIL) else "FLOAT"
        content = wav_in_channel(samples, exported.artifact.channel, subtype=subtype)
        (folder / f"{name}.wav").write_bytes(content)
    if (golden := exported.content(GOLDEN)) is not None:
        (folder / GOLDEN).write_bytes(golden)


def drawn_clips(seed: int, *, min_samples: int = 1) -> Iterator[tuple[str, Float32Array]]:
    """Draw clips of every kind that a scorer may meet: names, and samples (n_samples,)."""
    rng = np.random.default_rng(seed)
    ten, shortest = 10 * SR, max(SR // 2, min_samples)

    def noise(n_samples: int, peak: float) -> FloatArray:
        return np.clip(rng.standard_normal(n_samples) * peak / 4, -peak, peak)

    t = np.arange(ten) / SR
    low, middle, high = rng.uniform([60.0, 600.0, 3000.0], [400.0, 2500.0, 7500.0])
    sounds = {
        "silence": np.zeros(ten),
        "full_scale": np.where(rng.random(ten) < 0.5, -1.0, 1.0),
        "half_a_second": noise(shortest, 0.3),
        "a_minute": noise(60 * SR, 0.2) + 0.2 * np.sin(2 * np.pi * low * np.arange(60 * SR) / SR),
        "odd_length": noise(max(int(rng.integers(SR, 12 * SR)), min_samples), 0.1),
        "noise": noise(ten, 10 ** rng.uniform(-3, -0.1)),
        "faint_noise": noise(ten, 2**-14),
        "tones": 0.3 * np.sin(2 * np.pi * low * t) + 0.03 * np.sin(2 * np.pi * middle * t),
        "sweep": 0.9 * np.sin(2 * np.pi * (low * t + (high - low) / 20 * t**2)),
    }
    for name, samples in sounds.items():
        yield name, samples.astype(np.float32)
    labels: tuple[Label, ...] = ("normal", "normal", "anomaly", "anomaly")
    for count, label in enumerate(labels):
        key = ClipKey(("00", "02", "04")[rng.integers(3)], "test", label, int(rng.integers(1000)))
        samples = render_clip(key, seed=int(rng.integers(1, 2**31))).samples
        yield f"{RAIL}_{label}_{count}", samples if len(samples) >= min_samples else np.tile(samples, 8)
