"""The manifest of a trained detector: what it is, how it was made, its threshold, digests of its files.

It is read as if somebody hostile had written it: limits first, then the schema, then every value; it chooses neither
files nor classes outside fixed names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from asd_core.artifacts.arrays import STATE
from asd_core.data.folder_rules import FolderRules, IdsFrom
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import Detector
from asd_core.errors import ArtifactError, InputError, UsageError
from asd_core.evaluation.scores import SCORES, finite_float
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.features.encoders.contract import EncoderIdentity, WeightFile
from asd_core.features.encoders.weights import parse_files, weights_digest
from asd_core.features.familiarity import Familiarity
from asd_core.features.log_mel import FEATURE_CONFIG
from asd_core.formats import counted
from asd_core.system.files import no_constant, parse_json
from asd_core.system.typed_json import from_json, to_json

SCHEMA = 1
KIND = "asd_core detector"
MANIFEST = "manifest.json"
PAYLOAD_FILES: tuple[str, ...] = (STATE, SCORES)
MAX_MANIFEST_BYTES = 256 * 1024
PROMISE_CONDITION = "new recordings of the same machine, microphone and place"
MAX_PAYLOAD_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A JSON object with a key per field; a field that earlier versions did not write has the default None.

    Parameters
    ----------
    other
        Keys that only later versions know: kept, and written back as they were read.
    """

    other: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values; a field that may be missing is left out where it is None."""
        table = to_json(self)
        other = table.pop("other")
        optional = {each.name for each in fields(self) if each.default is None}
        return {**other, **{name: value for name, value in table.items() if value is not None or name not in optional}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            A key is missing, or a value is of another type than its field.
        """
        own = {each.name: each for each in fields(cls) if each.name != "other"}
        needed = {name for name, each in own.items() if each.default is MISSING and each.default_factory is MISSING}
        if missing := sorted(needed - set(content)):
            raise ValueError(f"it lacks {', '.join(missing)}")
        known = from_json(cls, {name: value for name, value in content.items() if name in own})
        return replace(known, other={name: value for name, value in content.items() if name not in own})


@dataclass(frozen=True, kw_only=True)
class ManifestData(_Record):
    """What a detector was trained on.

    Parameters
    ----------
    ids
        Machine ids of the training clips, sorted.
    fingerprint
        SHA-256 over the digests of all training clips.
    fitted_digests, heldout_digests
        First `DIGEST_PREFIX` hex digits of the SHA-256 of each fitted clip, and of those that were kept out of the fit.
    layout
        File-name grammar by which the clips were found.
    normal, recording_by, ids_from, segment_s, hop_s
        How labels, recordings, ids and clips were found, see `asd_core.data.folder_rules.FolderRules`.
    n_lossy, lossy
        How many training clips were coded lossily, and how most of them were: `MP3: nothing above 15.8 kHz`; None where
        none was.
    added_digests
        Of the fitted and held-out ones, those that a watch heard and somebody called normal; None where there are none.
    """

    data_set: str
    machine: str
    ids: tuple[str, ...]
    simulated: bool
    fingerprint: str
    fitted_digests: tuple[str, ...]
    heldout_digests: tuple[str, ...]
    layout: str | None = None
    normal: tuple[str, ...] | None = None
    recording_by: str | None = None
    ids_from: IdsFrom | None = None
    segment_s: float | None = None
    hop_s: float | None = None
    n_lossy: int | None = None
    lossy: str | None = None
    added_digests: tuple[str, ...] | None = None

    @property
    def rules(self) -> FolderRules:
        """The rules of the training that hold for further clips of the machine, wherever they are kept."""
        return FolderRules(
            normal=self.normal or (),
            recording_by=self.recording_by,
            ids_from=self.ids_from,
            segment_s=self.segment_s,
            hop_s=self.hop_s,
            lossy=bool(self.n_lossy),
        )


@dataclass(frozen=True, kw_only=True)
class EncoderRecord(_Record):
    """The encoder that ran in training, as in `EncoderIdentity`; `files` is None where only their digest was kept."""

    id: str
    title: str
    dimension: int
    digest: str
    files: tuple[WeightFile, ...] | None = None

    @classmethod
    def of(cls, identity: EncoderIdentity) -> Self:
        """Record an encoder."""
        return cls(
            id=identity.id,
            title=identity.title,
            dimension=identity.dimension,
            digest=identity.digest,
            files=identity.files,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            As `_Record.from_json`; or a file that `parse_files` refuses, or files that do not give the digest.
        """
        record = super().from_json({name: value for name, value in content.items() if name != "files"})
        if "files" not in content:
            return record
        try:
            files = parse_files(content["files"])
            if files and weights_digest(files) != record.digest:
                raise ValueError("they do not give the encoder's digest")
        except ValueError as error:  # a name that no disk can hold is one, too
            raise ValueError(f"files of the encoder: {error}") from error
        return replace(record, files=files)


@dataclass(frozen=True, kw_only=True)
class CalibrationSummary(_Record):
    """What the threshold rests on: scores of normal clips by models that have not heard them.

    Parameters
    ----------
    n
        Scores: `n_heldout` of the `train` command.
    mean, std, min, median, max
        Of the scores; None where there was none.
    how
        `cross_fit` or `held_out`, by whole recordings; None: clips held out at random, by an earlier version.
    folds
        Folds that were left out in turn.
    n_recordings
        Recordings among the training clips, or the runs of clips in name order that stand for them.
    recordings_from
        `given`, `found` in the sound, or `order`.
    keeps_promises
        False where a machine id has one recording only: its threshold promises nothing for new ones.
    """

    n: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    median: float | None = None
    max: float | None = None
    how: str | None = None
    folds: int | None = None
    n_recordings: int | None = None
    recordings_from: str | None = None
    keeps_promises: bool | None = None

    @property
    def is_old(self) -> bool:
        """Whether clips were held out at random: on dependent clips such a threshold breaks its promise."""
        return self.how is None

    @property
    def basis(self) -> str:
        """What the promise rests on, for people: `13 recordings`."""
        if self.is_old:
            return f"{self.n} clips held out at random: calibrated the old way"
        count = self.n_recordings or 0
        if self.recordings_from == "order":
            return f"{counted(count, 'run')} of clips in name order, as recordings are not known"
        return counted(count, "recording")

    def clips_text(self, n: int) -> str:
        """Name `n` of the normal clips behind these scores, for people: `36 held-out normal clips`."""
        if self.how == "cross_fit":
            return f"{n} normal clips, each scored by a fit that has not heard it"
        return f"{n} held-out normal clips"


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(_Record):
    """How training went.

    Parameters
    ----------
    heldout_loss
        After the last epoch; None where the detector has no loss.
    loss, heldout_losses
        One value per epoch.
    mean_spectrum_loss
        What `heldout_loss` would be if the fitted frames' mean spectrum were always predicted; None where the detector
        has no loss, and for versions that do not say.
    device
        Where it computed, see `Detector.trained_on`; None for versions that do not say: on the processor.
    """

    seconds: float
    heldout_loss: float | None
    loss: tuple[float | None, ...]
    heldout_losses: tuple[float | None, ...]
    mean_spectrum_loss: float | None = None
    device: str | None = None

    @property
    def beats_mean_spectrum(self) -> bool | None:
        """Whether the held-out loss is below that of always predicting the mean spectrum; None where unknown."""
        if self.heldout_loss is None or self.mean_spectrum_loss is None:
            return None
        return self.heldout_loss < self.mean_spectrum_loss


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 of a file of the version."""

    sha256: str
    bytes: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read an entry of `files`; raises ValueError where it has no proper size and SHA-256."""
        sha256, size = content.get("sha256"), content.get("bytes")
        if not isinstance(sha256, str) or type(size) is not int or not 0 < size <= MAX_PAYLOAD_BYTES:
            raise ValueError(f"it must have a SHA-256 and a size of 1..{MAX_PAYLOAD_BYTES} bytes")
        return cls(sha256, size)


@dataclass(frozen=True, kw_only=True)
class Manifest(_Record):
    """What a trained detector is and how it was made.

    Parameters
    ----------
    created_at
        When this version was made, ISO 8601, UTC.
    detector, title
        Registry key, and name for people with the encoder that ran.
    settings
        Hyper-parameters, see `settings_json`.
    features
        `FEATURE_CONFIG` of the package that trained it.
    channel
        Channel to read from recordings with several; None is their mean.
    versions
        Package name to version.
    parent
        Version whose arrays this one shares, because only the threshold is another; None for a training.
    familiarity
        What the training clips are like as recordings.
    threshold_reason
        Why the threshold was chosen, in the user's words.
    files
        Of `PAYLOAD_FILES`; empty until the version is published.
    """

    created_at: str
    detector: str
    title: str
    encoder: EncoderRecord | None
    preset: str
    settings: Mapping[str, int | str]
    features: Mapping[str, Any]
    channel: int | None
    threshold: Threshold
    calibration: CalibrationSummary
    data: ManifestData
    training: TrainingRecord
    versions: Mapping[str, str]
    warnings: tuple[str, ...]
    parent: str | None
    familiarity: Familiarity | None = None
    threshold_reason: str | None = None
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    @property
    def promise(self) -> str:
        """What the saved threshold promises, on which condition, and what that rests on: one line for people."""
        return promise_of(self.threshold, self.calibration)

    def to_json(self) -> dict[str, Any]:
        """Content of `manifest.json`."""
        table = super().to_json()
        if not self.threshold.provisional:  # versions before this field stay as they are, byte by byte
            table["threshold"].pop("provisional")
        return {**table, "kind": KIND, "schema": SCHEMA}


def promise_of(threshold: Threshold, calibration: CalibrationSummary, *, short: bool = False) -> str:
    """Say what a threshold promises, on which condition, and what that rests on.

    Parameters
    ----------
    threshold
        The saved one, or one that a rule gives now.
    calibration
        Of the detector whose scores it is for.
    short
        Leave out the condition, where the long form is beside it.
    """
    if threshold.uses_test_labels:
        return "chosen on test labels: no promise"
    if threshold.provisional:
        scores = f"{threshold.n_calibration} normal score{'' if threshold.n_calibration == 1 else 's'}"
        return f"provisional, the highest of {scores}: no promise"
    if threshold.promised_fpr is None:
        if calibration.keeps_promises is False and RULES[threshold.rule].promises_fpr:
            least = "" if calibration.n_recordings == 1 else ", of a machine id only one"
            return f"from {calibration.basis}{least}: no promise for new ones"
        return "no promise"
    condition = "" if short else f" on average, for {PROMISE_CONDITION}"
    share = f"{100 * threshold.promised_fpr:.4g} %"
    return f"at most {share} of normal clips give a false alarm{condition}; rests on {calibration.basis}"


def file_record(content: bytes) -> FileRecord:
    """Record a file by its content."""
    return FileRecord(hashlib.sha256(content).hexdigest(), len(content))


def settings_json(detector: Detector) -> dict[str, int | str]:
    """Hyper-parameters for a manifest: integers as they are, floats as `repr`, so that they come back exact."""
    settings: dict[str, int | str] = {}
    for each in fields(detector):
        if each.init:
            value = getattr(detector, each.name)
            settings[each.name] = repr(value) if isinstance(value, float) else value
    return settings


def format_manifest(manifest: Manifest) -> bytes:
    """Write a manifest; raises InputError where it is too large or holds a number that is not finite."""
    try:
        text = json.dumps(manifest.to_json(), allow_nan=False, indent=1, sort_keys=True).encode()
    except ValueError as error:
        raise InputError(f"a manifest must hold finite numbers only: {error}") from error
    if len(text) > MAX_MANIFEST_BYTES:
        raise InputError(f"a manifest must stay below {MAX_MANIFEST_BYTES} bytes, got {len(text)}")
    return text


def parse_manifest(text: bytes, folder: Path) -> Manifest:
    """Read and check a manifest; raises ArtifactError, which names the version's folder."""
    try:
        table = parse_json(text, parse_constant=no_constant, parse_float=finite_float, parse_int=_bounded_integer)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder}: {MANIFEST} is not valid JSON: {error}") from error
    if not isinstance(table, dict) or table.pop("kind", None) != KIND:
        raise ArtifactError(f"{folder}: {MANIFEST} does not describe an {KIND}")
    schema = table.pop("schema", None)
    if type(schema) is not int or schema != SCHEMA:
        raise ArtifactError(f"{folder}: schema {schema!r} is unknown; this version reads {SCHEMA}")
    try:
        manifest = Manifest.from_json(table)
        _check_values(manifest)
    except (ValueError, ArtifactError, InputError) as error:
        raise ArtifactError(f"{folder}: {MANIFEST}: {error}") from error
    return manifest


def build_detector(manifest: Manifest) -> Detector:
    """Make the detector that a manifest describes, not fitted; raises ArtifactError where its settings are not fit."""
    kind = detector_class(manifest.detector)
    try:
        settings: dict[str, Any] = {
            name: kind.parse_setting(name, str(value)) for name, value in manifest.settings.items()
        }
        return kind(**settings)
    except UsageError as error:
        raise ArtifactError(f"settings of {manifest.detector}: {error}") from error


def _check_values(manifest: Manifest) -> None:
    if manifest.detector not in DETECTOR_NAMES:
        raise ValueError(f"unknown detector {manifest.detector!r}")
    if set(manifest.files) != set(PAYLOAD_FILES):
        raise ValueError(f"files must be exactly {PAYLOAD_FILES}")
    if manifest.channel is not None and manifest.channel < 0:
        raise ValueError(f"channel must be null or a number from 0, got {manifest.channel!r}")
    if manifest.features != FEATURE_CONFIG:
        raise ValueError(f"trained on features {manifest.features}, but {FEATURE_CONFIG} are at hand")
    build_detector(manifest)


def _bounded_integer(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{text[:20]}... is out of range")
    return int(text)
