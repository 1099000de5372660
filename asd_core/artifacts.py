"""One trained detector on disk: versions that are written once, and a file `current` that names one of them.

::

    <out>/<data set>/<machine>/<detector>/
        current                 "v0001-1a2b3c4d <SHA-256 of its manifest>"
        v0001-1a2b3c4d/
            manifest.json       what it is, how it was made, its threshold, digests of the files below
            manifest.sha256     digest of the manifest, for a version named directly
            state.safetensors   what the detector learned
            scores.csv          scores of held-out and test clips, with their labels

Nothing here can run code: arrays are safetensors, the rest is JSON and CSV, and a manifest never chooses files or
classes outside fixed names. SHA-256 tells damage, not malice: whoever can write here can also rewrite the digests.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import secrets
import stat
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.clips import LABELS
from asd_core.detector import Detector, State
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.encoder import WeightFile
from asd_core.encoders.weights import difference_of, parse_files, weights_digest
from asd_core.errors import ArtifactError, InputError, UsageError
from asd_core.evaluation.thresholds import Threshold
from asd_core.familiarity import Familiarity, traits
from asd_core.features import FEATURE_CONFIG
from asd_core.locks import hold
from asd_core.types import BoolArray, FloatArray, Waveform

SCHEMA = 1
MANIFEST, MANIFEST_DIGEST, STATE, SCORES, CURRENT = (
    "manifest.json",
    "manifest.sha256",
    "state.safetensors",
    "scores.csv",
    "current",
)
PAYLOAD_FILES = (STATE, SCORES)
VERSION_FILES = {MANIFEST, MANIFEST_DIGEST, *PAYLOAD_FILES}
MAX_MANIFEST_BYTES = 256 * 1024
MAX_PAYLOAD_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 64 * 1024
DIGEST_PREFIX = 16
"""Hex digits of a clip's SHA-256 that a manifest keeps: 64 bits tell 10,000 clips apart."""
MAX_TRAINING_CLIPS = 10_000
STALE_S = 3600.0
SCORE_COLUMNS = ("path", "machine_id", "split", "label", "kind", "digest", "anomaly_score")

_CURRENT = re.compile(r"(v\d{4,9}-[0-9a-f]{8}) ([0-9a-f]{64})\n")
_DIGEST = re.compile(r"([0-9a-f]{64})\n")
_VERSION = re.compile(r"v(\d{4,9})-[0-9a-f]{8}")
_DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64"}


@dataclass(frozen=True)
class ScoredClip:
    """A clip's score, kept with the detector.

    Parameters
    ----------
    path
        Relative to the machine's folder.
    split
        `heldout` (normal clips kept out of the fit) or `test`.
    digest
        SHA-256 of the file.
    """

    path: str
    machine_id: str
    split: str
    label: str
    kind: str
    digest: str
    anomaly_score: float


@dataclass(frozen=True)
class Scores:
    """The scored clips of a detector as columns."""

    clips: tuple[ScoredClip, ...]

    def of(self, split: str) -> Scores:
        """Only those of a split."""
        return Scores(tuple(clip for clip in self.clips if clip.split == split))

    def labelled(self) -> Scores:
        """Only those with a label."""
        return Scores(tuple(clip for clip in self.clips if clip.label != "unlabelled"))

    @property
    def anomaly_scores(self) -> FloatArray:
        """Shape (n_clips,)."""
        return np.array([clip.anomaly_score for clip in self.clips], dtype=np.float64)

    @property
    def is_anomalous(self) -> BoolArray:
        """Shape (n_clips,)."""
        return np.array([clip.label == "anomalous" for clip in self.clips], dtype=np.bool_)

    @property
    def machine_ids(self) -> tuple[str, ...]:
        """One id a clip."""
        return tuple(clip.machine_id for clip in self.clips)


@dataclass(frozen=True)
class Artifact:
    """A version on disk whose manifest has been read and checked; arrays and scores are read when asked for."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Name of the version's folder."""
        return self.folder.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds those of the arrays."""
        return _recorded_digest(self.folder)

    @property
    def detector_name(self) -> str:
        """Registry key."""
        return str(self.manifest["detector"])

    @property
    def title(self) -> str:
        """Name for people, with the encoder that ran."""
        return str(self.manifest["title"])

    @property
    def encoder_id(self) -> str | None:
        """Id of the encoder that ran, or None."""
        encoder = self.manifest["encoder"]
        return None if encoder is None else str(encoder["id"])

    @property
    def encoder_title(self) -> str | None:
        """Honest name of the encoder that ran, or None."""
        encoder = self.manifest["encoder"]
        return None if encoder is None else str(encoder["title"])

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated sound."""
        return bool(self.manifest["data"]["simulated"])

    @property
    def channel(self) -> int | None:
        """Channel to read from recordings with several; None is their mean."""
        channel = self.manifest["channel"]
        return None if channel is None else int(channel)

    @cached_property
    def threshold(self) -> Threshold:
        """The threshold saved with this version."""
        return Threshold.from_json(dict(self.manifest["threshold"]))

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """What the training clips were like as recordings; None for versions that do not say."""
        return _read_familiarity(self.manifest, self.folder)

    def unfamiliar(self, waveform: Waveform) -> tuple[str, ...]:
        """`unfamiliar: text` lines on how a recording is unlike the training clips, whatever the machine does."""
        if self.familiarity is None:
            return ()
        return tuple(f"unfamiliar: {remark}" for remark in self.familiarity.check(traits(waveform)))

    @cached_property
    def training_digests(self) -> frozenset[str]:
        """Digest prefixes of fitted and held-out clips: they are no test clips."""
        data = self.manifest["data"]
        return frozenset(data["fitted_digests"]) | frozenset(data["heldout_digests"])

    def was_trained_on(self, digest: str) -> bool:
        """Whether a clip with this digest was fitted or held out."""
        return digest[:DIGEST_PREFIX] in self.training_digests

    @cached_property
    def scores(self) -> Scores:
        """Scores of held-out and test clips."""
        return _parse_scores(self._payload(SCORES))

    def detector(self) -> Detector:
        """Build the trained detector.

        Raises
        ------
        ArtifactError
            Arrays are damaged, or the encoder at hand is another than the one it was trained with.
        EncoderUnavailableError
            Its encoder is out of reach.
        """
        detector = _build_detector(self.manifest)
        self._check_encoder(detector)
        spec = detector.state_spec()
        try:
            return detector.restore(_parse_safetensors(self._payload(STATE), spec_names=set(spec)))
        except InputError as error:
            raise ArtifactError(f"{self.folder}: {STATE}: {error}") from error

    def _check_encoder(self, detector: Detector) -> None:
        identity = detector.encoder_identity
        recorded = self.manifest["encoder"]
        got = None if identity is None else (identity.id, identity.dimension, identity.digest)
        want = None if recorded is None else (recorded["id"], recorded["dimension"], recorded["digest"])
        if got != want:
            known = _encoder_files(self.manifest, self.folder)
            difference = difference_of(known, identity.files) if known and identity is not None else ""
            raise ArtifactError(
                f"{self.folder}: trained with the encoder {want}, but {got} is at hand: scores would mean nothing"
                f"{f' ({difference})' if difference else ''}"
            )

    def _payload(self, name: str) -> bytes:
        recorded = self.manifest["files"][name]
        content = _read_file(self.folder / name, at_most=MAX_PAYLOAD_BYTES)
        if len(content) != recorded["bytes"] or hashlib.sha256(content).hexdigest() != recorded["sha256"]:
            raise ArtifactError(f"{self.folder}: {name} is damaged: size or SHA-256 differ from the manifest's")
        return content


def open_artifact(model: Path) -> Artifact:
    """Open a detector folder (its `current` counts) or one version in it.

    Raises
    ------
    ArtifactError
        Missing, damaged, of an unknown schema, or with other files than it should have.
    """
    if _VERSION.fullmatch(model.name):
        return _open_version(model, _recorded_digest(model))
    text = _read_file(model / CURRENT, at_most=200).decode("ascii", "replace")
    match = _CURRENT.fullmatch(text)
    if match is None:
        raise ArtifactError(f"{model / CURRENT} is damaged: it must hold a version and a SHA-256")
    return _open_version(model / match[1], match[2])


def list_versions(detector_folder: Path) -> list[Path]:
    """Version folders, oldest first."""
    if not detector_folder.is_dir():
        return []
    found = [path for path in detector_folder.iterdir() if path.is_dir() and _VERSION.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_sequence(path), path.name))


def find_artifacts(out: Path) -> list[Path]:
    """Detector folders `<data set>/<machine>/<detector>` below `out` that have a current version, sorted."""
    return sorted(path.parent for path in out.glob(f"*/*/*/{CURRENT}") if path.parent.name in DETECTOR_NAMES)


def locked(detector_folder: Path) -> AbstractContextManager[None]:
    """Hold the folder's lock: one process at a time trains or publishes here.

    Raises
    ------
    BusyError
        Another process holds it.
    """
    return hold(
        detector_folder / ".lock", busy=f"{detector_folder} is busy: another process trains or saves this detector"
    )


def publish(
    detector_folder: Path, *, manifest: Mapping[str, Any], state: State, scores: Sequence[ScoredClip]
) -> Artifact:
    """Write a new version and make it current; the caller holds the lock.

    Every file is synced before the folder gets its name, and `current` is replaced last: whatever happens on the way,
    readers see the old version or the new one.

    Raises
    ------
    InputError
        The manifest is too large or holds a number that is not finite.
    OSError
        The disk is full or not writable; the old version stays.
    """
    from safetensors.numpy import save

    _sweep(detector_folder)
    payloads = {STATE: save(state), SCORES: _format_scores(scores)}
    files = {name: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for name, c in payloads.items()}
    text = _format_manifest({**manifest, "schema": SCHEMA, "files": files})
    digest = hashlib.sha256(text).hexdigest()
    versions = list_versions(detector_folder)
    name = f"v{(_sequence(versions[-1]) if versions else 0) + 1:04d}-{secrets.token_hex(4)}"
    staged = detector_folder / f".tmp-{name}"
    staged.mkdir()
    for file_name, content in {**payloads, MANIFEST: text, MANIFEST_DIGEST: digest.encode() + b"\n"}.items():
        _write_synced(staged / file_name, content)
    _sync_folder(staged)
    staged.rename(detector_folder / name)
    _sync_folder(detector_folder)
    replace_file(detector_folder / CURRENT, f"{name} {digest}\n".encode())
    return open_artifact(detector_folder)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, all or nothing, and sync it."""
    staged = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    try:
        _write_synced(staged, content)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as CSV that reads back equal: a carriage return is quoted, which Python 3.11's writer leaves bare."""
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return stream.getvalue()


def settings_json(detector: Detector) -> dict[str, int | str]:
    """Hyper-parameters for a manifest: integers as they are, floats as `repr`, so that they come back exact."""
    settings: dict[str, int | str] = {}
    for field in fields(detector):
        if field.init:
            value = getattr(detector, field.name)
            settings[field.name] = repr(value) if isinstance(value, float) else value
    return settings


@dataclass(frozen=True)
class CheckpointFile:
    """A training's finished epochs in one file: SHA-256, then safetensors; a damaged one counts as none."""

    path: Path

    def read(self) -> State | None:
        """Return the arrays last written, or None."""
        if not self.path.is_file():
            return None
        content = self.path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        try:
            return _parse_safetensors(content[32:], spec_names=None)
        except ArtifactError:
            return None

    def write(self, state: State) -> None:
        """Replace them, all or nothing."""
        from safetensors.numpy import save

        content = save(state)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.path, hashlib.sha256(content).digest() + content)

    def remove(self) -> None:
        """Forget the training."""
        self.path.unlink(missing_ok=True)


def _recorded_digest(folder: Path) -> str:
    match = _DIGEST.fullmatch(_read_file(folder / MANIFEST_DIGEST, at_most=200).decode("ascii", "replace"))
    if match is None:
        raise ArtifactError(f"{folder}: {MANIFEST_DIGEST} is damaged: it must hold a SHA-256")
    return match[1]


def _open_version(folder: Path, digest: str) -> Artifact:
    if folder.is_symlink():
        raise ArtifactError(f"{folder} is a link; a version is a folder of its own")
    text = _read_file(folder / MANIFEST, at_most=MAX_MANIFEST_BYTES)
    if hashlib.sha256(text).hexdigest() != digest:
        raise ArtifactError(f"{folder}: {MANIFEST} is damaged: its SHA-256 is not the recorded one")
    manifest = _parse_manifest(text, folder)
    try:
        sizes = {path.name: path.lstat().st_size for path in folder.iterdir()}
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be listed: {error.strerror}") from error
    if set(sizes) != VERSION_FILES:
        raise ArtifactError(f"{folder} must hold exactly {sorted(VERSION_FILES)}, got {sorted(sizes)[:20]}")
    for name in PAYLOAD_FILES:
        wanted = manifest["files"][name]["bytes"]
        if sizes[name] != wanted:
            raise ArtifactError(f"{folder}: {name} is damaged: {sizes[name]} bytes, not {wanted}")
    if _recorded_digest(folder) != digest:
        raise ArtifactError(f"{folder}: {MANIFEST_DIGEST} is damaged: it differs from {CURRENT}")
    return Artifact(folder, manifest)


_REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "kind": str,
    "created_at": str,
    "detector": str,
    "title": str,
    "encoder": (dict, type(None)),
    "preset": str,
    "settings": dict,
    "features": dict,
    "channel": (int, type(None)),
    "threshold": dict,
    "calibration": dict,
    "data": dict,
    "training": dict,
    "versions": dict,
    "warnings": list,
    "parent": (str, type(None)),
    "files": dict,
}
_REQUIRED_DATA: Mapping[str, type | tuple[type, ...]] = {
    "data_set": str,
    "machine": str,
    "ids": list,
    "simulated": bool,
    "fingerprint": str,
    "fitted_digests": list,
    "heldout_digests": list,
}
_REQUIRED_ENCODER: Mapping[str, type | tuple[type, ...]] = {"id": str, "title": str, "dimension": int, "digest": str}
KIND = "asd_core detector"


def _parse_manifest(text: bytes, folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(text, parse_constant=_no_constant, parse_float=_finite_float, parse_int=_bounded_integer)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder}: {MANIFEST} is not valid JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ArtifactError(f"{folder}: {MANIFEST} does not describe an {KIND}")
    if type(manifest.get("schema")) is not int or manifest["schema"] != SCHEMA:
        raise ArtifactError(f"{folder}: schema {manifest.get('schema')!r} is unknown; this version reads {SCHEMA}")
    _check_types(manifest, _REQUIRED, folder)
    _check_types(manifest["data"], _REQUIRED_DATA, folder)
    if manifest["encoder"] is not None:
        _check_types(manifest["encoder"], _REQUIRED_ENCODER, folder)
        _encoder_files(manifest, folder)
    _check_values(manifest, folder)
    return manifest


def _check_types(table: Mapping[str, Any], required: Mapping[str, type | tuple[type, ...]], folder: Path) -> None:
    for name, kinds in required.items():
        if name not in table or not isinstance(table[name], kinds):
            raise ArtifactError(f"{folder}: {MANIFEST} lacks {name!r} or has it in another type")


def _check_values(manifest: Mapping[str, Any], folder: Path) -> None:
    if manifest["detector"] not in DETECTOR_NAMES:
        raise ArtifactError(f"{folder}: unknown detector {manifest['detector']!r}")
    if set(manifest["files"]) != set(PAYLOAD_FILES):
        raise ArtifactError(f"{folder}: {MANIFEST} must list exactly {PAYLOAD_FILES}")
    _check_files(manifest, folder)
    for name in ("ids", "fitted_digests", "heldout_digests"):
        if not all(isinstance(entry, str) for entry in manifest["data"][name]):
            raise ArtifactError(f"{folder}: {name} must hold text only")
    channel = manifest["channel"]
    if isinstance(channel, bool) or (channel is not None and channel < 0):
        raise ArtifactError(f"{folder}: channel must be null or a number from 0, got {channel!r}")
    if manifest["features"] != FEATURE_CONFIG:
        raise ArtifactError(f"{folder}: trained on features {manifest['features']}, but {FEATURE_CONFIG} are at hand")
    Threshold.from_json(manifest["threshold"])
    _read_familiarity(manifest, folder)
    _build_detector(manifest)


def _check_files(manifest: Mapping[str, Any], folder: Path) -> None:
    for name, entry in manifest["files"].items():
        if not (
            isinstance(entry, dict) and _is_payload_size(entry.get("bytes")) and isinstance(entry.get("sha256"), str)
        ):
            raise ArtifactError(f"{folder}: {MANIFEST} has no proper size and SHA-256 of {name}")


def _read_familiarity(manifest: Mapping[str, Any], folder: Path) -> Familiarity | None:
    """Read what the training clips were like; versions from before it was kept have none."""
    table = manifest.get("familiarity")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ArtifactError(f"{folder}: {MANIFEST} has familiarity in another type")
    try:
        return Familiarity.from_json(table)
    except InputError as error:
        raise ArtifactError(f"{folder}: {MANIFEST}: {error}") from error


def _encoder_files(manifest: Mapping[str, Any], folder: Path) -> tuple[WeightFile, ...]:
    """List the files of the encoder's weights; none where it has no weights, or was listed by its digest alone."""
    try:
        files = parse_files((manifest["encoder"] or {}).get("files", []))
        if files and weights_digest(files) != manifest["encoder"]["digest"]:
            raise ValueError("they do not give the encoder's digest")
    except ValueError as error:  # a name that no disk can hold is one, too
        raise ArtifactError(f"{folder}: {MANIFEST}: files of the encoder: {error}") from error
    return files


def _is_payload_size(size: object) -> bool:
    return type(size) is int and 0 < size <= MAX_PAYLOAD_BYTES


def _build_detector(manifest: Mapping[str, Any]) -> Detector:
    kind = detector_class(manifest["detector"])
    try:
        settings: dict[str, Any] = {
            name: kind.parse_setting(name, str(value)) for name, value in manifest["settings"].items()
        }
        return kind(**settings)
    except UsageError as error:
        raise ArtifactError(f"settings of {manifest['detector']}: {error}") from error


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _finite_float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is out of range")
    return value


def _bounded_integer(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{text[:20]}... is out of range")
    return int(text)


def _format_manifest(manifest: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(manifest, allow_nan=False, indent=1, sort_keys=True).encode()
    except ValueError as error:
        raise InputError(f"a manifest must hold finite numbers only: {error}") from error
    if len(text) > MAX_MANIFEST_BYTES:
        raise InputError(f"a manifest must stay below {MAX_MANIFEST_BYTES} bytes, got {len(text)}")
    return text


def _parse_safetensors(content: bytes, *, spec_names: set[str] | None) -> State:
    """Check the header before safetensors sees the bytes, then read the arrays."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else MAX_HEADER_BYTES + 1
    if length > min(MAX_HEADER_BYTES, len(content) - 8):
        raise ArtifactError(f"{STATE}: the header must be at most {MAX_HEADER_BYTES} bytes, it claims {length}")
    try:
        header = json.loads(content[8 : 8 + length])
        names = set(header) - {"__metadata__"}
        if spec_names is not None and names != spec_names:
            raise ArtifactError(f"{STATE}: must hold exactly {sorted(spec_names)}, got {sorted(names)[:20]}")
        if unknown := {header[name]["dtype"] for name in names} - set(_DTYPES):
            raise ArtifactError(f"{STATE}: unknown types {sorted(unknown)}")
        return dict(load(content))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise ArtifactError(f"{STATE} is damaged: {error}") from error


def _format_scores(scores: Sequence[ScoredClip]) -> bytes:
    rows: list[Sequence[str]] = [SCORE_COLUMNS]
    for clip in scores:
        if not math.isfinite(clip.anomaly_score):
            raise InputError(f"the score of {clip.path!r} is not finite")
        *text, score = (getattr(clip, column) for column in SCORE_COLUMNS)
        rows.append([*text, repr(float(score))])
    return csv_text(rows).encode("utf-8", "backslashreplace")


def _parse_scores(content: bytes) -> Scores:
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        if tuple(rows[0]) != SCORE_COLUMNS:
            raise ArtifactError(f"{SCORES} must have the columns {SCORE_COLUMNS}")
        clips = tuple(_scored_clip(row) for row in rows[1:])
    except (ValueError, IndexError, TypeError, csv.Error) as error:
        raise ArtifactError(f"{SCORES} is damaged: {error}") from error
    return Scores(clips)


def _scored_clip(row: Sequence[str]) -> ScoredClip:
    path, machine_id, split, label, kind, digest, score = row
    if split not in ("heldout", "test") or label not in LABELS:
        raise ValueError(f"{path!r} has the split {split!r} and the label {label!r}")
    return ScoredClip(path, machine_id, split, label, kind, digest, _finite_float(score))


def _read_file(path: Path, *, at_most: int) -> bytes:
    """Read a regular file that is no link, up to a size."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"{path} is not a regular file")
        if status.st_size > at_most:
            raise ArtifactError(f"{path} must be at most {at_most} bytes, it has {status.st_size}")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(at_most + 1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(detector_folder: Path) -> None:
    """Remove what killed writers left behind more than an hour ago."""
    for path in detector_folder.glob(".tmp-*"):
        if time.time() - path.lstat().st_mtime > STALE_S:
            if path.is_dir() and not path.is_symlink():
                for child in path.iterdir():
                    child.unlink()
                path.rmdir()
            else:
                path.unlink()


def _sequence(version: Path) -> int:
    match = _VERSION.fullmatch(version.name)
    return int(match[1]) if match else 0
