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
from asd_core.data.clips import Clip, prints_of
from asd_core.data.data_set import FileClips, ReadableClips
from asd_core.data.recordings import FOLDS, Recordings, assign_folds, find_recordings, in_runs
from asd_core.detectors.contract import Detector, Progress
from asd_core.errors import InputError, UsageError
from asd_core.evaluation.scores import ScoredClip, Scores
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
    def heldout(self) -> list[int]:
        """Rows of the clips that get a calibration score."""
        return [row for row in range(len(self.folds)) if self.how == "cross_fit" or self.folds[row] == 0]


def plan_calibration(
    normal: ReadableClips, *, detector: Detector, channel: int | None, n_folds: int | None = None
) -> Plan:
    """Group the normal clips by recording and deal them to folds.

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
        raise InputError(f"training needs at least {MIN_TRAINING_CLIPS} distinct normal clips, got {distinct}")
    recordings = find_recordings(normal.clips, prints_of(normal.clips, channel=channel))
    wanted = FOLDS if n_folds == 1 else n_folds
    folds = assign_folds(normal.clips, recordings, n_folds=wanted, seed=detector.seed)
    if _fewest_left(folds, normal.digests) < _MIN_FITTED:
        recordings = in_runs(normal.clips, recordings)
        folds = assign_folds(normal.clips, recordings, n_folds=wanted, seed=detector.seed)
    return Plan(recordings, folds, "held_out" if n_folds == 1 else "cross_fit")


def _fewest_left(folds: IntArray, digests: Sequence[str]) -> int:
    """Distinct clips that are left for the fit without the largest fold."""
    return min(
        len({digest for digest, own in zip(digests, folds, strict=True) if own != fold}) for fold in np.unique(folds)
    )


def calibration_scores(
    detector: Detector,
    normal: ReadableClips,
    plan: Plan,
    *,
    channel: int | None,
    should_stop: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    checkpoint: CheckpointFile,
) -> Scores:
    """Score the clips that `Plan.heldout` lists, each by a fit that has not heard its fold.

    Parameters
    ----------
    detector
        Fitted on the clips of `Plan.fitted`. Scores of other fits are brought to its scale by `Detector.score_unit`.
    on_progress
        Called with the progress of each further fit.
    checkpoint
        Of the detector's own training; each further fit has one beside it.
    """
    if plan.how == "held_out":
        clips = FileClips(tuple(normal.clips[row] for row in plan.heldout), channel)
        return scored(detector, clips, "heldout", [normal.digests[row] for row in plan.heldout])
    scores = np.empty(len(normal.clips))
    for fold in range(plan.n_folds):
        rest, own = _parted(normal, plan.folds == fold, channel)
        other = replace(detector)
        kept = fold_checkpoint(checkpoint, fold)
        other.fit(rest, heldout=own, on_progress=on_progress, should_stop=should_stop, checkpoint=kept)
        scores[plan.folds == fold] = other.anomaly_scores(own) * (detector.score_unit / other.score_unit)
    return _kept(normal.clips, normal.digests, scores, "heldout")


def fold_checkpoint(checkpoint: CheckpointFile, fold: int) -> CheckpointFile:
    """Where the fit without a fold keeps its finished epochs."""
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
            ScoredClip(clip.relative, clip.machine_id, split, clip.label, clip.kind or "", digest, float(score))
            for clip, digest, score in zip(clips, digests, anomaly_scores, strict=True)
        )
    )
