"""From a folder of clips to a published detector: training, calibration, scores of the test clips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.artifacts.manifest import (
    CalibrationSummary,
    EncoderRecord,
    Manifest,
    ManifestData,
    TrainingRecord,
    settings_json,
)
from asd_core.artifacts.store import DIGEST_PREFIX, MAX_TRAINING_CLIPS, Artifact, locked, publish
from asd_core.artifacts.versions import writable_folder
from asd_core.audio.kinds import LOSSY
from asd_core.data.clips import ClipIndex
from asd_core.data.data_set import (
    DataSet,
    FileClips,
    LabelRow,
    ReadableClips,
    fingerprint,
    label_rows,
    most_common_coding,
    open_data_set,
    readable,
    slug,
    without_lossy,
)
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.folders import Skipped
from asd_core.data.recordings import FOLDS
from asd_core.detectors import detector_class
from asd_core.detectors.contract import FEW_TRAINING_CLIPS, Detector, Progress, ignore_progress, never_stop
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import DataSetError, UsageError
from asd_core.evaluation.thresholds import DEFAULT_RULE, Threshold, default_threshold, n_needed
from asd_core.features.familiarity import MIN_CLIPS, Familiarity, traits
from asd_core.features.log_mel import FEATURE_CONFIG
from asd_core.system.clock import utc_now
from asd_core.system.devices import CPU, DEVICES
from asd_core.system.packages import installed_versions
from asd_core.system.typed_json import to_json
from asd_core.tasks.added import added_clips, is_added
from asd_core.tasks.calibrate import Plan, fit_and_calibrate, forget, plan_calibration, scored

GENERAL_WARNINGS = (
    "few_clips: ",
    "few_validation: ",
    "lossy: ",
    "no_better_than_mean: ",
    "no_promise: ",
    "provisional: ",
    "refused: ",
    "shared_recordings: ",
    "subsample: ",
)
CHECKPOINT = ".checkpoint-"
"""Start of the names of files in a detector's folder from which a training that was cut short goes on."""
MAX_CLIP_WARNINGS = 50
"""A manifest has a size limit: warnings about further clips are counted, not kept."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train on what; see the `train` command.

    Parameters
    ----------
    channel
        From 0, or "mean" of all; None takes the layout's own (`ClipIndex.channel`).
    rules
        How the names below the folder are to be understood.
    folds
        Folds of recordings that are left out in turn to calibrate the threshold, see
        `asd_core.tasks.calibrate.plan_calibration`.
    added
        Folder of further normal clips, see `asd_core.tasks.added`; None: there are none.
    """

    detector: str
    data: Path
    machine: str | None = None
    ids: tuple[str, ...] | None = None
    name: str | None = None
    preset: str = "quick"
    settings: Mapping[str, Any] | None = None
    seed: int = 0
    threads: int = 1
    channel: int | Literal["mean"] | None = None
    resume: bool = False
    out: Path = Path("artifacts")
    rules: FolderRules = NO_RULES
    folds: int | None = None
    added: Path | None = None


@dataclass(frozen=True)
class TrainingResult:
    """A published detector, the clips that were refused, and warnings.

    Parameters
    ----------
    labels
        How labels were understood.
    skipped
        Files that were passed over, and clips that were not trained on because of their coding.
    """

    artifact: Artifact
    model: Path
    refused: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    labels: tuple[LabelRow, ...] = ()
    skipped: Skipped = field(default_factory=Skipped)

    def to_json(self) -> dict[str, Any]:
        """Keys of the `train` command."""
        manifest = self.artifact.manifest
        return {
            "schema": 1,
            "command": "train",
            "warnings": list(self.warnings),
            "model": str(self.model),
            "version": self.artifact.version,
            "detector": self.artifact.detector_name,
            "title": self.artifact.title,
            "encoder": self.artifact.encoder_id,
            "simulated": self.artifact.simulated,
            "data_simulated": self.artifact.simulated,
            "n_train": len(manifest.data.fitted_digests),
            "n_heldout": manifest.calibration.n,
            "seconds": manifest.training.seconds,
            "heldout_loss": manifest.training.heldout_loss,
            "mean_spectrum_loss": manifest.training.mean_spectrum_loss,
            "device": manifest.training.device,
            "threshold": manifest.threshold.to_json(),
            "calibration": manifest.calibration.to_json(),
            "labels": [to_json(row) for row in self.labels],
            "skipped": self.skipped.to_json(),
            "refused": list(self.refused),
        }


def train(
    request: TrainingRequest,
    *,
    on_progress: Callable[[Progress], None] = ignore_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> TrainingResult:
    """Train one detector on normal training clips, calibrate its threshold, score the test clips, publish.

    Nothing is learned or chosen from test clips; their scores are stored so that an ROC curve can be shown at once.

    Raises
    ------
    UsageError
        Unknown detector, preset or setting; a data set without normal training clips; packages that are not installed.
    InputError
        Too few clips, or features or scores that never change.
    BusyError
        Another process trains the same detector.
    TrainingStopped
        `should_stop` returned True; `resume` continues from the last finished epoch.
    """
    kind = detector_class(request.detector)
    kind.require_packages()  # before all clips are read
    settings = {"seed": request.seed, "threads": request.threads, **(request.settings or {})}
    detector = kind.from_preset(request.preset, **settings)
    if detector.seed < 0 or detector.threads < 1:
        raise UsageError(f"seed must be 0 or more and threads 1 or more, got {detector.seed} and {detector.threads}")
    data_set = open_data_set(
        request.data,
        machine=request.machine,
        ids=request.ids,
        name=request.name,
        seed=detector.seed,
        rules=request.rules,
    )
    folder = detector_folder(request.out, data_set, request.detector)
    with locked(folder):
        return _train(detector, data_set, folder, request, on_progress, should_stop)


def device_setting(kind: type[Detector], device: str) -> dict[str, str]:
    """Write the device that is wanted as a detector's setting; only networks have it, and `auto` is their default.

    Raises
    ------
    UsageError
        Unknown, or a GPU for a detector that is fitted without one.
    """
    if device not in DEVICES:
        raise UsageError(f"device must be one of {', '.join(DEVICES)}; got {device!r}")
    if device == "auto" or (device == CPU and not issubclass(kind, NetworkDetector)):
        return {}
    if not issubclass(kind, NetworkDetector):
        raise UsageError(f"{kind.name} is fitted on the processor; only networks train on {device}")
    return {"device": device}


def detector_folder(out: Path, data_set: DataSet, detector: str) -> Path:
    """Where a detector's versions go; a data set whose folder is marked read-only gets a folder beside it."""
    return writable_folder(out / data_set.name / slug(data_set.index.machine) / detector)


def _train(
    detector: Detector,
    data_set: DataSet,
    folder: Path,
    request: TrainingRequest,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> TrainingResult:
    began = monotonic()
    channel, shortest = _channel(request, data_set.index), detector.min_samples
    index = data_set.index
    training_clips = [clip for clip in index.select(label="normal") if clip.split != "test"]
    if request.added is not None:
        training_clips += added_clips(request.added, beside=training_clips)
    normal, left_out = without_lossy(readable(training_clips, channel=channel, min_samples=shortest), request.rules)
    _check_training_clips(normal, data_set)
    plan = plan_calibration(normal, detector=detector, channel=channel, n_folds=request.folds)
    checkpoint = _checkpoint(
        folder, detector, channel, [normal.digests[row] for row in (*plan.fitted, *plan.never_fitted)]
    )
    fit = fit_and_calibrate(
        detector,
        normal,
        plan,
        channel=channel,
        on_progress=on_progress,
        should_stop=should_stop,
        checkpoint=checkpoint,
        resume=request.resume,
    )
    training = _training_record(fit.history, monotonic() - began, detector.trained_on)
    threshold = default_threshold(
        fit.heldout.anomaly_scores,
        machine_ids=fit.heldout.machine_ids,
        keeps_promises=plan.recordings.keeps_promises,
    )
    calibration = fit.calibration
    test = readable(data_set.index.select(split="test"), channel=channel, min_samples=shortest)
    test_scores = scored(detector, FileClips(test.clips, channel), "test", test.digests)
    warnings = (
        *_training_warnings(normal, plan, threshold, calibration),
        *index.remarks,
        *detector.training_warnings,
        *(text for text in test.warnings if not (any(normal.codings) and text.startswith(LOSSY))),
    )
    identity = detector.encoder_identity
    manifest = Manifest(
        created_at=utc_now(),
        detector=detector.name,
        title=detector.title,
        encoder=None if identity is None else EncoderRecord.of(identity),
        preset=request.preset,
        settings=settings_json(detector),
        features=FEATURE_CONFIG,
        channel=channel,
        threshold=threshold,
        calibration=calibration,
        familiarity=_familiarity(fit.clips, [plan.recordings.units[row] for row in plan.fitted]),
        data=_manifest_data(data_set, normal, plan, request.rules),
        training=training,
        versions=installed_versions(),
        warnings=_shortened(warnings),
        parent=None,
    )
    artifact = publish(folder, manifest=manifest, state=detector.state, scores=[*fit.heldout.clips, *test_scores.clips])
    forget(checkpoint, plan)
    given = {clip.relative: label for clip, label in zip(normal.clips, plan.recordings.labels, strict=True)}
    return TrainingResult(
        artifact,
        folder,
        normal.refused + test.refused,
        warnings,
        label_rows(index.clips, given if plan.recordings.how != "order" else {}),
        index.skipped + left_out,
    )


def _channel(request: TrainingRequest, index: ClipIndex) -> int | None:
    if request.channel is None:
        return index.channel
    return None if request.channel == "mean" else request.channel


def _manifest_data(data_set: DataSet, normal: ReadableClips, plan: Plan, rules: FolderRules) -> ManifestData:
    prefixes = [digest[:DIGEST_PREFIX] for digest in normal.digests]
    return ManifestData(
        data_set=data_set.name,
        machine=data_set.index.machine,
        layout=data_set.index.layout,
        ids=tuple(sorted({clip.machine_id for clip in normal.clips if not is_added(clip)})),
        simulated=data_set.simulated is not None,
        fingerprint=fingerprint(normal.digests),
        fitted_digests=tuple(prefixes[row] for row in plan.fitted),
        heldout_digests=tuple(prefixes[row] for row in plan.never_fitted),
        normal=rules.normal or None,
        recording_by=rules.recording_by,
        ids_from=rules.ids_from,
        segment_s=rules.segment_s,
        hop_s=rules.hop_s,
        n_lossy=sum(map(bool, normal.codings)) or None,
        lossy=most_common_coding(normal.codings),
        added_digests=tuple(prefix for prefix, clip in zip(prefixes, normal.clips, strict=True) if is_added(clip))
        or None,
    )


def _check_training_clips(normal: ReadableClips, data_set: DataSet) -> None:
    if not normal.clips and normal.refused:
        raise _all_refused(normal.refused, data_set.index)
    if not normal.clips:
        raise DataSetError(f"{data_set.index.root} has no normal training clips; {_way_out(data_set.index)}")
    if len(normal.clips) > MAX_TRAINING_CLIPS:
        raise UsageError(f"at most {MAX_TRAINING_CLIPS} training clips, got {len(normal.clips)}: name fewer ids")


def _all_refused(refused: Sequence[Mapping[str, str]], index: ClipIndex) -> DataSetError:
    """The error of a data set whose normal training clips are all refused: what helps with the first of them."""
    first = refused[0]
    head = f"{index.root} has no readable normal training clips ({len(refused)} refused)"
    return DataSetError(
        f"{head}; {first['reason'].partition(': ')[2]}", advice=f"{head}; {first['path']}: {first['advice']}"
    )


def _way_out(index: ClipIndex) -> str:
    """What to do where no normal clip may be trained on."""
    n_unlabelled, n_test = (
        len(index.select(label="unlabelled")),
        len(index.select(label="normal", split="test")),
    )
    if n_unlabelled == len(index.clips):
        return (
            f"its {n_unlabelled} clips carry no label: if all of them are normal, say that everything else is normal "
            "(--normal . with a dot), else put the normal ones into a folder named normal, or write labels.csv"
        )
    if index.select(label="unlabelled", split="train"):
        return "; ".join(remark.partition(": ")[2] for remark in index.remarks)
    if n_test:
        return f"all {n_test} normal clips are test clips: put those to be trained on into train/normal"
    return "put normal clips into a folder named normal, or train/normal"


def _familiarity(fitted: FileClips, groups: Sequence[str]) -> Familiarity | None:
    """What the training clips are like; None where they are too few to say."""
    if len(fitted) < MIN_CLIPS:
        return None
    return Familiarity.fit([traits(clip) for clip in fitted], groups=groups)


def _training_warnings(
    normal: ReadableClips, plan: Plan, threshold: Threshold, calibration: CalibrationSummary
) -> tuple[str, ...]:
    found, n_fitted = [*normal.warnings, *_validation_warnings(normal, plan)], len(plan.fitted)
    if n_fitted < FEW_TRAINING_CLIPS:
        found.append(f"few_clips: only {n_fitted} training clips; below {FEW_TRAINING_CLIPS} scores are unsteady")
    if threshold.provisional:
        needed = n_needed(DEFAULT_RULE)
        how = "" if calibration.how == "cross_fit" else f", or calibrate on all clips in folds (--folds {FOLDS})"
        found.append(
            f"provisional: the threshold is the highest of {calibration.n} normal scores and promises nothing; "
            f"{needed} are needed for one that does: add normal clips{how}"
        )
    elif not calibration.keeps_promises:
        found.append(f"no_promise: from {calibration.basis}: no promise for new ones")
    if normal.refused:
        found.append(f"refused: {len(normal.refused)} training clips could not be read")
    return tuple(found)


def _validation_warnings(normal: ReadableClips, plan: Plan) -> list[str]:
    """Warn of a split for validation that is too small, or that shares recordings with the training clips."""
    is_validation = [clip.split == "val" for clip in normal.clips]
    if not any(is_validation):
        return []
    if plan.how != "held_out" or plan.heldout != [row for row, is_own in enumerate(is_validation) if is_own]:
        n_own, needed = sum(is_validation), n_needed(DEFAULT_RULE)
        others = f"beside {n_own} validation clips there are too few to train on"
        why = f"{n_own} validation clips are too few for a threshold, {needed} are needed" if n_own < needed else others
        return [f"few_validation: {why}; they were trained on like the others"]
    fitted = {plan.recordings.units[row] for row in plan.fitted}
    shared = [row for row in plan.heldout if plan.recordings.units[row] in fitted]
    if not shared or plan.recordings.how == "order":
        return []
    return [
        f"shared_recordings: {len(shared)} of {len(plan.heldout)} validation clips are of recordings that were trained "
        "on, so the threshold may be too low; keep whole recordings on one side"
    ]


def _shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """Shorten warnings to fit a manifest: all about the training, then the first ones about single clips."""
    general = [text for text in warnings if text.startswith(GENERAL_WARNINGS)]
    single = [text[:300] for text in warnings if not text.startswith(GENERAL_WARNINGS)]
    more = [f"more: {len(single) - MAX_CLIP_WARNINGS} clips with warnings"] if len(single) > MAX_CLIP_WARNINGS else []
    return (*general, *single[:MAX_CLIP_WARNINGS], *more)


def _checkpoint(folder: Path, detector: Detector, channel: int | None, digests: Sequence[str]) -> CheckpointFile:
    """One file per detector, settings and split: training resumes only from its own epochs, on whatever device."""
    settings = sorted((name, value) for name, value in settings_json(detector).items() if name != "device")
    parts = [detector.name, repr(settings), str(channel), *digests]
    return CheckpointFile(folder / f"{CHECKPOINT}{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}")


def _training_record(history: Sequence[Progress], seconds: float, device: str) -> TrainingRecord:
    return TrainingRecord(
        seconds=round(seconds, 3),
        heldout_loss=history[-1].heldout_loss if history else None,
        loss=tuple(progress.loss for progress in history),
        heldout_losses=tuple(progress.heldout_loss for progress in history),
        mean_spectrum_loss=history[-1].mean_spectrum_loss if history else None,
        device=device,
    )
