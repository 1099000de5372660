"""A trained detector as a folder that runs without this package: an ONNX graph, a scorer of one file, a golden clip.

::

    <DIR>/
        model.onnx      waveform to score, map and log-mel frames; front end and learned arrays inside
        detector.json   threshold, names, settings, where it came from, digests of the other files
        score.py        reads WAV files and prints verdicts, with onnxruntime and NumPy alone
        golden.wav      generated sound
        golden.npz      its map, as this package computes it
        README.txt

`export-dcase`, which writes the official score files of DCASE 2020 for a detector's test clips, is another thing.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import textwrap
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.data.simulated.writing import to_pcm16
from asd_core.detectors.contract import Detector
from asd_core.errors import FileError, UsageError
from asd_core.evaluation.operating import verdict
from asd_core.features.encoders import load_encoder
from asd_core.features.log_mel import HOP_LENGTH, VGGISH_HOP
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.system.files import json_bytes, parse_json, read_if_present, sync_folder, write_synced
from asd_core.system.onnx_graphs import OPSET, Graph
from asd_core.system.packages import installed_versions
from asd_core.types import SR, AnomalyMap, Float32Array, Waveform

SCHEMA = 1
KIND = "asd_core exported detector"
MODEL, DETECTOR, SCORER, GOLDEN, GOLDEN_MAP, README = (
    "model.onnx",
    "detector.json",
    "score.py",
    "golden.wav",
    "golden.npz",
    "README.txt",
)
OUTPUTS = ("anomaly_score", "anomaly_map", "log_mel")
MAX_DESCRIPTION_BYTES = 256 * 1024
LEAST_RUNTIME = "1.16"
"""The oldest ONNX Runtime that the folders were tried with; the same scores."""
NATURAL_LOGARITHM = "natural logarithm of a magnitude"
Subtype: TypeAlias = Literal["PCM_16", "FLOAT"]
_PACKAGES = ("numpy", "onnx", "onnxruntime")
_GOLDEN_CLIP, _GOLDEN_SEED = ClipKey("00", "test", "anomaly", 0), 2016
_MADE_BY_PYTHON = "__pycache__"
"""Appears in a folder whose `score.py` was imported there."""


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Parameters
    ----------
    out
        The folder.
    files
        Names of its files and their sizes in bytes.
    description
        Content of `detector.json`.
    """

    out: Path
    files: Mapping[str, int]
    description: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the report of the command `export`."""
        told = ("model", "version", "detector", "title", "simulated", "threshold")
        return {
            "schema": SCHEMA,
            "command": "export",
            "warnings": [],
            "out": str(self.out),
            **{key: self.description[key] for key in told},
            "files": dict(self.files),
        }


def export_onnx(model: Path, out: Path) -> ExportReport:
    """Write a detector's folder; an earlier export there is replaced, all or nothing as far as readers can see.

    Raises
    ------
    UsageError
        A detector that has no graph, or a folder that holds anything but an earlier export.
    ArtifactError
        A damaged detector.
    """
    check_folder(out)
    files, description = exported_files(open_artifact(model))
    _write_folder(out, files)
    return ExportReport(out, {name: len(content) for name, content in files.items()}, description)


def why_not(artifact: Artifact) -> str | None:
    """Say why a detector cannot be exported, in a sentence; None where it can."""
    encoder = artifact.encoder_id
    if encoder is None or load_encoder(encoder).has_graph:
        return None
    return (
        f"{artifact.title} cannot be exported: the network of its encoder {artifact.encoder_title} is TensorFlow's and "
        "is not ours to rebuild. Train the same detector on log-mel statistics instead, which can be exported"
    )


def exported_files(artifact: Artifact) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Make the folder's files, and the content of `detector.json`, which is among them.

    Raises
    ------
    UsageError
        A detector that has no graph.
    """
    if (reason := why_not(artifact)) is not None:
        raise UsageError(reason)
    detector = artifact.detector()
    anomaly_score, anomaly_map = detector.anomaly_score_and_map(Waveform(_golden_samples()))
    description = describe(artifact, detector, anomaly_map)
    golden = {"anomaly_score": anomaly_score, "verdict": verdict(anomaly_score, artifact.threshold.value)}
    files = {
        MODEL: model_bytes(artifact, detector),
        SCORER: scorer_bytes(),
        GOLDEN: wav_in_channel(_golden_samples(), artifact.channel, subtype="PCM_16"),
        GOLDEN_MAP: _map_bytes(anomaly_map),
        README: _readme(artifact, description).encode(),
    }
    description |= {"golden": golden, "files": {name: _record(content) for name, content in files.items()}}
    return {**files, DETECTOR: json_bytes(description)}, description


def exported_zip(artifact: Artifact) -> bytes:
    """Pack the folder as a ZIP file; raises as `exported_files`."""
    files, _ = exported_files(artifact)
    packed, folder = io.BytesIO(), f"{artifact.detector_name}-{artifact.version}"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}/{name}", content)
    return packed.getvalue()


def model_bytes(artifact: Artifact, detector: Detector) -> bytes:
    """Build `model.onnx`: samples to score, map and log-mel frames; the same bytes from the same arrays."""
    graph = Graph()
    found = detector.add_to_graph(graph, graph.input("samples", ["n_samples"]))
    graph.output(found.anomaly_score, "anomaly_score", [], np.float64)
    graph.output(graph.to_float(found.anomaly_map), "anomaly_map", ["n_steps", "n_bands"])
    graph.output(found.log_mel, "log_mel", ["n_frames", "n_log_mel_bands"])
    told = {"title": artifact.title, "version": artifact.version, "simulated": str(artifact.simulated).lower()}
    return graph.to_bytes(metadata=told)


def scorer_bytes() -> bytes:
    """Return the text of `score.py`."""
    return Path(__file__).with_name("exported").joinpath(SCORER).read_bytes()


def describe(artifact: Artifact, detector: Detector, anomaly_map: AnomalyMap) -> dict[str, Any]:
    """Say what an exported detector is; all of `detector.json` but its golden clip and the other files' digests.

    Parameters
    ----------
    anomaly_map
        Of any clip of a few seconds: its steps and bands are those of every clip.
    """
    manifest = artifact.manifest
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "detector": artifact.detector_name,
        "title": artifact.title,
        "encoder": artifact.encoder_id,
        "data_set": manifest.data.data_set,
        "machine": manifest.data.machine,
        "ids": list(manifest.data.ids),
        "simulated": artifact.simulated,
        "settings": dict(manifest.settings),
        "created_at": manifest.created_at,
        "model": str(artifact.folder.resolve()),
        "version": artifact.version,
        "manifest_sha256": artifact.digest,
        "versions": installed_versions(_PACKAGES),
        "opset": OPSET,
        "sr": SR,
        "channel": artifact.channel,
        "min_samples": detector.min_samples,
        "outputs": list(OUTPUTS),
        "threshold": artifact.threshold.to_json(),
        "promise": manifest.promise,
        "map": _map_axes(anomaly_map),
        "log_mel": _log_mel_axes(artifact),
    }


def _map_axes(found: AnomalyMap) -> dict[str, Any]:
    times_s, over_bands = found.times_s, bool(np.isfinite(found.bands_hz).all())
    return {
        "unit": found.unit,
        "first_s": round(float(times_s[0]), 9),
        "step_s": round(float(times_s[1] - times_s[0]), 9),
        "bands_hz": [round(float(hz), 3) for hz in found.bands_hz] if over_bands else None,
    }


def _log_mel_axes(artifact: Artifact) -> dict[str, Any]:
    if artifact.encoder_id is None:
        return {"unit": "dB", "step_s": HOP_LENGTH / SR}
    return {"unit": NATURAL_LOGARITHM, "step_s": VGGISH_HOP / SR}


@cache
def _golden_samples() -> Float32Array:
    """A simulated slide rail with a fault, 10 s, in 16-bit steps; no bench that comes with the project has it."""
    steps = to_pcm16(render_clip(_GOLDEN_CLIP, seed=_GOLDEN_SEED).samples)
    samples = steps.astype(np.float32) / np.float32(32768)
    samples.setflags(write=False)
    return samples


def wav_in_channel(samples: Float32Array, channel: int | None, *, subtype: Subtype) -> bytes:
    """Write samples (n_samples,) as a WAV file in which this channel has them; None: the only one.

    The channels before it have half of them, so that it is noticed where one of those is heard.
    """
    import soundfile

    n_channels = (channel or 0) + 1
    frames = np.repeat(samples[:, None], n_channels, axis=1)
    frames[:, :-1] *= np.float32(0.5)
    content = io.BytesIO()
    soundfile.write(content, to_pcm16(frames) if subtype == "PCM_16" else frames, SR, format="WAV", subtype=subtype)
    return content.getvalue()


def _map_bytes(found: AnomalyMap) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, values=found.values, times_s=found.times_s, bands_hz=found.bands_hz)
    return packed.getvalue()


def _record(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier export.

    Raises
    ------
    UsageError
        It does, or it is a link or no folder.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is a link or no folder; name a new folder")
    names = {path.name for path in out.iterdir()} - {_MADE_BY_PYTHON} if out.exists() else set()
    known = {MODEL, DETECTOR, SCORER, GOLDEN, GOLDEN_MAP, README}
    if names and (not names <= known or read_description(out) is None):
        raise UsageError(f"{out} holds something else than an exported detector; name a new or empty folder")


def read_description(folder: Path) -> dict[str, Any] | None:
    """Read the `detector.json` of an exported folder; None where there is none, or it is none of ours."""
    try:
        text = read_if_present(folder / DETECTOR, at_most=MAX_DESCRIPTION_BYTES)
        content = None if text is None else parse_json(text)
    except (FileError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("kind") == KIND else None


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Write to a folder beside it and rename; where that is interrupted, the earlier folder is there or set aside."""
    out.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    staged, aside = (out.with_name(f".{out.name}.{word}-{mark}") for word in ("partial", "earlier"))
    try:
        staged.mkdir()
        for name, content in files.items():
            write_synced(staged / name, content)
        sync_folder(staged)
        if out.exists():
            out.rename(aside)
        staged.rename(out)
        sync_folder(out.parent)
    finally:
        if aside.exists() and not out.exists():
            aside.rename(out)
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _readme(artifact: Artifact, description: Mapping[str, Any]) -> str:
    threshold = artifact.threshold
    paragraphs = [
        f"{artifact.title}, version {artifact.version}: a detector of anomalous sound that learned from normal clips "
        f"of the machine {artifact.manifest.data.machine} only"
        f"{f', {TRAINED_ON_SIMULATED}' if artifact.simulated else ''}. A higher score is stranger.",
        f"Install:  python -m pip install 'onnxruntime>={LEAST_RUNTIME}' numpy\nCheck:    python {SCORER}\n"
        f"Score:    python {SCORER} FILE.wav ...",
        f"{MODEL} takes `samples`: float32, shape (n_samples,), mono, {SR} Hz, full scale 1, at least "
        f"{description['min_samples']} of them. It gives `anomaly_score`, float64; `anomaly_map`, float32, shape "
        f"(n_steps, n_bands), one step every {description['map']['step_s']:g} s; and `log_mel`, the frames of its "
        f"front end ({description['log_mel']['unit']}). It has no operators of its own and no external data (opset "
        f"{OPSET}).",
        _threshold_sentence(threshold.value, artifact.manifest.promise),
        f"{GOLDEN} is generated sound; {DETECTOR} holds its score and {GOLDEN_MAP} its map, as asd_core computed them. "
        "`python -m asd_core export --verify DIR` compares the folder with the detector it was made from.",
    ]
    return "\n\n".join(text if "\n" in text else textwrap.fill(text, 100) for text in paragraphs) + "\n"


def _threshold_sentence(value: float | None, promise: str) -> str:
    if value is None:
        return "There is no threshold: scores come without a verdict."
    return f"A score of {value:.6g} or more is anomalous; {promise}."
