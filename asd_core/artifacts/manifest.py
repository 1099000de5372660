"""The manifest of a trained detector: what it is, how it was made, its threshold, digests of its files.

It is read as if somebody hostile had written it: limits first, then the schema, then every value; it chooses neither
files nor classes outside fixed names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from asd_core.artifacts.arrays import STATE
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import Detector
from asd_core.errors import ArtifactError, InputError, UsageError
from asd_core.evaluation.scores import SCORES, finite_float
from asd_core.evaluation.thresholds import Threshold
from asd_core.features.encoders.contract import WeightFile
from asd_core.features.encoders.weights import parse_files, weights_digest
from asd_core.features.familiarity import Familiarity
from asd_core.features.log_mel import FEATURE_CONFIG
from asd_core.system.files import parse_json

SCHEMA = 1
KIND = "asd_core detector"
MANIFEST = "manifest.json"
PAYLOAD_FILES = (STATE, SCORES)
MAX_MANIFEST_BYTES = 256 * 1024
MAX_PAYLOAD_BYTES = 512 * 2**20
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


def settings_json(detector: Detector) -> dict[str, int | str]:
    """Hyper-parameters for a manifest: integers as they are, floats as `repr`, so that they come back exact."""
    settings: dict[str, int | str] = {}
    for field in fields(detector):
        if field.init:
            value = getattr(detector, field.name)
            settings[field.name] = repr(value) if isinstance(value, float) else value
    return settings


def format_manifest(manifest: Mapping[str, Any]) -> bytes:
    """Write a manifest; raises InputError where it is too large or holds a number that is not finite."""
    try:
        text = json.dumps(manifest, allow_nan=False, indent=1, sort_keys=True).encode()
    except ValueError as error:
        raise InputError(f"a manifest must hold finite numbers only: {error}") from error
    if len(text) > MAX_MANIFEST_BYTES:
        raise InputError(f"a manifest must stay below {MAX_MANIFEST_BYTES} bytes, got {len(text)}")
    return text


def parse_manifest(text: bytes, folder: Path) -> dict[str, Any]:
    """Read and check a manifest; raises ArtifactError, which names the version's folder."""
    try:
        manifest = parse_json(text, parse_constant=_no_constant, parse_float=finite_float, parse_int=_bounded_integer)
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
        encoder_files(manifest, folder)
    _check_values(manifest, folder)
    return manifest


def build_detector(manifest: Mapping[str, Any]) -> Detector:
    """Make the detector that a manifest describes, not fitted; raises ArtifactError where its settings are not fit."""
    kind = detector_class(manifest["detector"])
    try:
        settings: dict[str, Any] = {
            name: kind.parse_setting(name, str(value)) for name, value in manifest["settings"].items()
        }
        return kind(**settings)
    except UsageError as error:
        raise ArtifactError(f"settings of {manifest['detector']}: {error}") from error


def read_familiarity(manifest: Mapping[str, Any], folder: Path) -> Familiarity | None:
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


def encoder_files(manifest: Mapping[str, Any], folder: Path) -> tuple[WeightFile, ...]:
    """List the files of the encoder's weights; none where it has no weights, or was listed by its digest alone."""
    try:
        files = parse_files((manifest["encoder"] or {}).get("files", []))
        if files and weights_digest(files) != manifest["encoder"]["digest"]:
            raise ValueError("they do not give the encoder's digest")
    except ValueError as error:  # a name that no disk can hold is one, too
        raise ArtifactError(f"{folder}: {MANIFEST}: files of the encoder: {error}") from error
    return files


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
    read_familiarity(manifest, folder)
    build_detector(manifest)


def _check_files(manifest: Mapping[str, Any], folder: Path) -> None:
    for name, entry in manifest["files"].items():
        if not (
            isinstance(entry, dict) and _is_payload_size(entry.get("bytes")) and isinstance(entry.get("sha256"), str)
        ):
            raise ArtifactError(f"{folder}: {MANIFEST} has no proper size and SHA-256 of {name}")


def _is_payload_size(size: object) -> bool:
    return type(size) is int and 0 < size <= MAX_PAYLOAD_BYTES


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _bounded_integer(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{text[:20]}... is out of range")
    return int(text)
