"""What neighbours do to a promise: one detector, three ways to choose the clips that its threshold rests on.

Clips of one recording are nearly the same sound. Whether a threshold's promise holds on *new* recordings therefore
depends on what was held out: clips drawn at random have neighbours among the fitted ones, whole recordings have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, ReadableClips
from asd_core.data.recordings import FOLDS, TRAINING_SHARE, Recordings
from asd_core.detectors import detector_class
from asd_core.errors import DataSetError, InputError
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.tasks.calibrate import Plan, fit_and_calibrate, plan_calibration, scored
from asd_core.types import FloatArray

HeldOut = Literal["at_random", "by_recording", "untold"]


@dataclass(frozen=True, eq=False)
class Trial:
    """A threshold that promises something, and what it does on recordings that nothing has heard.

    Parameters
    ----------
    held_out
        `at_random`: a fifth of the clips; `by_recording`: recordings were given, and are left out whole; `untold`: they
        were not given, and are found in the sound or replaced by runs in name order.
    calibration, test
        Scores of the clips that the threshold rests on, by fits that have not heard them; of all clips of the other
        recordings, normal and faulty.
    threshold
        Scores that reach it are alarms.
    promised
        False-alarm rate that it promises.
    calibration_recordings, test_recordings
        The recording of each clip.
    """

    held_out: HeldOut
    calibration: Scores
    test: Scores
    threshold: float
    promised: float
    calibration_recordings: tuple[str, ...]
    test_recordings: tuple[str, ...]

    @property
    def false_alarms(self) -> float:
        """Share of the normal test clips that alarm."""
        return self._alarm_share(~self.test.is_anomalous)

    @property
    def found(self) -> float:
        """Share of the faulty test clips that alarm."""
        return self._alarm_share(self.test.is_anomalous)

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Where the clips that the threshold rests on lie, and where the normal test clips do.

        Each of shape (n_clips, 2): number of the recording, from 1 in the order of names, and anomaly score.
        """
        rows = np.flatnonzero(~self.test.is_anomalous)
        new = [self.test_recordings[row] for row in rows]
        number = {name: place for place, name in enumerate(sorted({*self.calibration_recordings, *new}), start=1)}

        def placed(names: Sequence[str], scores: FloatArray) -> FloatArray:
            return np.stack([[number[name] for name in names], scores], axis=1)

        return (
            placed(self.calibration_recordings, self.calibration.anomaly_scores),
            placed(new, self.test.anomaly_scores[rows]),
        )

    def _alarm_share(self, rows: np.ndarray) -> float:
        return float(is_anomalous(self.test.anomaly_scores[rows], self.threshold).mean())


def try_promise(known: ReadableClips, held_out: HeldOut, *, detector: str = "vggish_knn", split: int = 0) -> Trial:
    """Fit a detector of preset quick on 60 % of the normal recordings, calibrate it, and score all other clips.

    Parameters
    ----------
    known
        Clips of one machine, each with its recording.
    detector
        Registry name.
    split
        Seed of the recordings that are drawn, of the clips held out at random and of the detector.

    Raises
    ------
    DataSetError
        A clip without recording, or fewer than three normal recordings.
    InputError
        Too few clips for a threshold, or what `asd_core.tasks.calibrate.fit_and_calibrate` refuses.
    """
    train, test = split_recordings(known.clips, seed=split)
    normal, others = known.only(train), known.only(test)
    if held_out == "untold":
        normal = replace(normal, clips=tuple(replace(clip, recording=None) for clip in normal.clips))
    made = detector_class(detector).from_preset("quick", seed=split)
    if held_out == "at_random":
        plan = fifth_at_random(len(train), seed=split)
    else:
        plan = plan_calibration(normal, detector=made, channel=None)
    with TemporaryDirectory() as folder:
        checkpoint = CheckpointFile(Path(folder) / "checkpoint")
        calibration = fit_and_calibrate(made, normal, plan, channel=None, checkpoint=checkpoint).heldout
    threshold = default_threshold(calibration.anomaly_scores)
    if threshold.value is None or threshold.promised_fpr is None:
        raise InputError(f"{len(calibration.clips)} clips are too few for a threshold with a promise")
    return Trial(
        held_out,
        calibration,
        scored(made, FileClips(others.clips), "test", others.digests),
        threshold.value,
        threshold.promised_fpr,
        tuple(str(known.clips[train[row]].recording) for row in plan.heldout),
        tuple(str(clip.recording) for clip in others.clips),
    )


def split_recordings(clips: Sequence[Clip], *, seed: int) -> tuple[list[int], list[int]]:
    """Training rows, the clips of 60 % of the normal recordings, and all others, to test on.

    Raises
    ------
    DataSetError
        A clip without recording, or fewer than three normal recordings.
    """
    if nameless := [clip.relative for clip in clips if clip.recording is None]:
        raise DataSetError(f"each clip must name its recording, {nameless[0]} does not")
    names = sorted({str(clip.recording) for clip in clips if clip.label == "normal"})
    if len(names) < 3:
        raise DataSetError(f"three normal recordings are needed, got {len(names)}")
    drawn = set(np.random.default_rng(seed).permutation(names)[: int(TRAINING_SHARE * len(names))].tolist())
    train = [row for row, clip in enumerate(clips) if clip.label == "normal" and clip.recording in drawn]
    return train, sorted(set(range(len(clips))) - set(train))


def fifth_at_random(n_clips: int, *, seed: int) -> Plan:
    """Plan to hold a random fifth of the clips out for good, as if each were a recording of its own."""
    folds = np.ones(n_clips, dtype=np.int64)
    folds[np.random.default_rng(seed).permutation(n_clips)[: round(n_clips / FOLDS)]] = 0
    names = tuple(map(str, range(n_clips)))
    return Plan(Recordings("order", names, names, (), n_clips), folds, "held_out")


def mean_and_spread(rates: Sequence[float]) -> FloatArray:
    """Mean of some rates, their 10 % and their 90 % quantile, shape (3,)."""
    return np.array([np.mean(rates), *np.quantile(rates, [0.1, 0.9])])
