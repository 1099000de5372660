"""Fitting a detector so that its threshold is calibrated on clips of recordings that the scoring model has not heard.

Two ways. Cross-fitting: the detector is fitted on all clips, and each clip's calibration score comes from a second fit
without its fold (Vovk 2015, cross-conformal predictors). Holding out: one fold of recordings is never fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.artifacts.manifest import CalibrationSummary
from asd_core.data.clips import Clip, prints_of
from asd_core.data.data_set import FileClips, ReadableClips
from asd_core.data.recordings import FOLDS, Named, Recordings, assign_folds, find_recordings, in_runs
from asd_core.detectors.contract import FEW_TRAINING_CLIPS, Detector, Progress, ignore_progress, never_stop
from asd_core.errors import InputError, UsageError
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.types import FloatArray, IntArray

MIN_TRAINING_CLIPS = 3
"""Fewer leave no two clips to fit without the one to be scored."""
_MIN_FITTED = 2


@dataclass(frozen=True)
class Plan:
    """Which clips are fitted, and which get a calibration score by a fit without them.

    Parameters
    ----------
    recordings
        Of all clips.
    folds
        Shape (n_clips,): the fold of each clip.
    how
        `cross_fit`: every fold is left out once, and the detector itself is fitted on all clips. `held_out`: fold 0 is
        never fitted.
    """

    recordings: Recordings
    folds: IntArray
    how: Literal["cross_fit", "held_out"]

    @property
    def n_folds(self) -> int:
        """Number of folds that get scores."""
        return int(self.folds.max()) + 1 if self.how == "cross_fit" else 1

    @property
    def fitted(self) -> list[int]:
        """Rows of the clips that the detector itself is fitted on."""
        return [row for row in range(len(self.folds)) if self.how == "cross_fit" or self.folds[row] != 0]

    @property
    def never_fitted(self) -> list[int]:
        """Rows of the clips that the detector itself is not fitted on."""
        return sorted(set(self.heldout) - set(self.fitted))

    @property
    def heldout(self) -> list[int]:
        """Rows of the clips that get a calibration score."""
        return [row for row in range(len(self.folds)) if self.how == "cross_fit" or self.folds[row] == 0]


@dataclass(frozen=True)
class Fit:
    """A detector's fit, and what its threshold is taken from.

    Parameters
    ----------
    clips
        What the detector itself was fitted on.
    heldout
        Scores of the clips of `Plan.heldout`, each by a fit without it, on the detector's own scale.
    history
        Progress of the detector's own fit.
    """

    clips: FileClips
    heldout: Scores
    history: tuple[Progress, ...]
    plan: Plan

    @property
    def calibration(self) -> CalibrationSummary:
        """What is kept of it with the detector."""
        scores, recordings = self.heldout.anomaly_scores, self.plan.recordings
        return CalibrationSummary(
            n=len(scores),
            mean=float(scores.mean()),
            std=float(scores.std()),
            min=float(scores.min()),
            median=float(np.median(scores)),
            max=float(scores.max()),
            how=self.plan.how,
            folds=self.plan.n_folds,
            n_recordings=recordings.n,
            recordings_from=recordings.how,
            keeps_promises=recordings.keeps_promises,
        )


def plan_calibration(
    normal: ReadableClips, *, detector: Detector, channel: int | None, n_folds: int | None = None
) -> Plan:
    """Group the normal clips by recording and deal them to folds.

    Clips of a split `val` are the ones held out where they are enough for a threshold with a promise.

    Parameters
    ----------
    n_folds
        How many folds are left out in turn; 1 holds one of five out for good. None: 5 for a detector that fits in
        seconds, else 1.

    Raises
    ------
    UsageError
        `n_folds` below 1.
    InputError
        Too few clips.
    """
    if n_folds is None:
        n_folds = FOLDS if detector.fits_in_seconds else 1
    if n_folds < 1:
        raise UsageError(f"folds must be 1 or more, got {n_folds}")
    distinct = len(set(normal.digests))
    if distinct < MIN_TRAINING_CLIPS:
        raise InputError(
            f"training needs at least {MIN_TRAINING_CLIPS} distinct normal clips, got {distinct}: record more of the "
            f"machine while it runs well ({FEW_TRAINING_CLIPS} make scores steady)"
        )
    recordings = find_recordings(normal.clips, prints_of(normal.clips, channel=channel))
    is_validation = np.array([clip.split == "val" for clip in normal.clips])
    n_others = len({digest for digest, own in zip(normal.digests, is_validation, strict=True) if not own})
    if is_validation.sum() >= n_needed(DEFAULT_RULE) and n_others >= _MIN_FITTED:
        return Plan(recordings, np.where(is_validation, 0, 1), "held_out")
    wanted = FOLDS if n_folds == 1 else n_folds
    recordings, folds = deal_folds(normal.clips, recordings, normal.digests, n_folds=wanted, seed=detector.seed)
    return Plan(recordings, folds, "held_out" if n_folds == 1 else "cross_fit")


def deal_folds(
    clips: Sequence[Named], recordings: Recordings, digests: Sequence[str], *, n_folds: int, seed: int
) -> tuple[Recordings, IntArray]:
    """Deal whole recordings to folds; runs of clips instead where a fold would leave fewer than two distinct clips.

    Returns
    -------
    tuple
        The recordings, with the units that were dealt, and the fold of each clip, shape (n_clips,).
    """
    folds = assign_folds(clips, recordings, n_folds=n_folds, seed=seed)
    if _fewest_left(folds, digests) < _MIN_FITTED:
        recordings = in_runs(clips, recordings)
        folds = assign_folds(clips, recordings, n_folds=n_folds, seed=seed)
    return recordings, folds


def _fewest_left(folds: IntArray, digests: Sequence[str]) -> int:
    """Distinct clips that are left for the fit without the largest fold."""
    return min(
        len({digest for digest, own in zip(digests, folds, strict=True) if own != fold}) for fold in np.unique(folds)
    )


def fit_and_calibrate(
    detector: Detector,
    normal: ReadableClips,
    plan: Plan,
    *,
    channel: int | None,
    on_progress: Callable[[Progress], None] = ignore_progress,
    should_stop: Callable[[], bool] = never_stop,
    checkpoint: CheckpointFile,
    resume: bool = False,
) -> Fit:
    """Fit a detector, then score clips by fits that have not heard them.

    Parameters
    ----------
    on_progress
        Told of all fits as of one long training.
    checkpoint
        Of the detector's own fit; each further fit has one beside it. `forget` removes them.
    resume
        Whether checkpoints of an earlier run are taken up.

    Raises
    ------
    InputError, TrainingStopped
        As `Detector.fit`.
    """
    if not resume:
        forget(checkpoint, plan)
    narrator = _Narrator(on_progress, n_fits=1 if plan.how == "held_out" else 1 + plan.n_folds)
    clips, others = (
        FileClips(tuple(normal.clips[row] for row in rows), channel) for rows in (plan.fitted, plan.never_fitted)
    )
    detector.fit(clips, heldout=others, on_progress=narrator, should_stop=should_stop, checkpoint=checkpoint)
    history = tuple(narrator.heard)
    scores = _calibration_scores(
        detector,
        normal,
        plan,
        channel=channel,
        should_stop=should_stop,
        on_progress=narrator,
        checkpoint=checkpoint,
    )
    return Fit(clips, scores, history, plan)


def forget(checkpoint: CheckpointFile, plan: Plan) -> None:
    """Remove the checkpoint of a training and those of its further fits."""
    checkpoint.remove()
    for fold in range(plan.n_folds):
        _fold_checkpoint(checkpoint, fold).remove()


def _calibration_scores(
    detector: Detector,
    normal: ReadableClips,
    plan: Plan,
    *,
    channel: int | None,
    should_stop: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    checkpoint: CheckpointFile,
) -> Scores:
    """Score the clips that `Plan.heldout` lists by fits without their fold, on the fitted detector's own scale."""
    if plan.how == "held_out":
        clips = FileClips(tuple(normal.clips[row] for row in plan.heldout), channel)
        return scored(detector, clips, "heldout", [normal.digests[row] for row in plan.heldout])
    scores = np.empty(len(normal.clips))
    for fold in range(plan.n_folds):
        rest, own = _parted(normal, plan.folds == fold, channel)
        other = replace(detector)
        kept = _fold_checkpoint(checkpoint, fold)
        other.fit(rest, heldout=own, on_progress=on_progress, should_stop=should_stop, checkpoint=kept)
        scores[plan.folds == fold] = other.anomaly_scores(own) * (detector.score_unit / other.score_unit)
    return _kept(normal.clips, normal.digests, scores, "heldout")


def _fold_checkpoint(checkpoint: CheckpointFile, fold: int) -> CheckpointFile:
    return CheckpointFile(checkpoint.path.with_name(f"{checkpoint.path.name}-fold-{fold}"))


def _parted(normal: ReadableClips, is_own: np.ndarray, channel: int | None) -> tuple[FileClips, FileClips]:
    rest = tuple(clip for clip, own in zip(normal.clips, is_own, strict=True) if not own)
    own = tuple(clip for clip, own in zip(normal.clips, is_own, strict=True) if own)
    return FileClips(rest, channel), FileClips(own, channel)


def scored(detector: Detector, clips: FileClips, split: str, digests: Sequence[str]) -> Scores:
    """Score clips, and keep each score with what the clip's path says of it."""
    return _kept(clips.clips, digests, detector.anomaly_scores(clips), split)


def _kept(clips: Sequence[Clip], digests: Sequence[str], anomaly_scores: FloatArray, split: str) -> Scores:
    return Scores(
        tuple(
            ScoredClip(
                clip.relative,
                clip.machine_id,
                split,
                clip.label,
                clip.kind or "",
                digest,
                float(score),
                "" if clip.name is None else clip.shown,
            )
            for clip, digest, score in zip(clips, digests, anomaly_scores, strict=True)
        )
    )


class _Narrator:
    """Passes progress on as that of one long training: the detector's own fit, then those without a fold."""

    def __init__(self, on_progress: Callable[[Progress], None], *, n_fits: int) -> None:
        self._on_progress, self._n_fits = on_progress, n_fits
        self._n_done, self._elapsed_s = 0, 0.0
        self.heard: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        if progress.epoch == 0 and self._n_done > 0:
            return  # how long all fits take was said before the first
        if progress.epoch > 0:
            self.heard.append(progress)
        left = self._n_fits - self._n_done - 1
        whole_s = progress.elapsed_s + progress.eta_s
        self._on_progress(
            replace(
                progress,
                epoch=self._n_done * progress.epochs + progress.epoch,
                epochs=self._n_fits * progress.epochs,
                elapsed_s=self._elapsed_s + progress.elapsed_s,
                eta_s=progress.eta_s + left * whole_s,
            )
        )
        if progress.epoch == progress.epochs:
            self._n_done += 1
            self._elapsed_s += progress.elapsed_s
