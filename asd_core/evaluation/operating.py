"""Operating points: what each possible threshold decides, and which clips two of them decide differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_core.evaluation.checks import checked_both_classes
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.formats import class_word
from asd_core.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """What every possible threshold would decide, from 'no alarm' to 'all alarms'.

    Parameters
    ----------
    thresholds
        Shape (n_distinct + 1,), falling: Inf, then each distinct score.
    false_positives, true_positives
        Shape (n_distinct + 1,), int64: normal and anomalous clips at or above each threshold.
    n_normal, n_anomalous
        Clips of each class.
    """

    thresholds: FloatArray
    false_positives: npt.NDArray[np.int64]
    true_positives: npt.NDArray[np.int64]
    n_normal: int
    n_anomalous: int


def operating_points(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> OperatingPoints:
    """Return the counts at every distinct threshold; ties fall together.

    Raises
    ------
    InputError, UndefinedMetricError
        See `checked_both_classes`.
    """
    labels, scores = checked_both_classes(is_anomalous, anomaly_scores)
    distinct, step = np.unique(scores, return_inverse=True)
    step = len(distinct) - 1 - step  # the highest score is the first step
    n_steps = len(distinct)
    return OperatingPoints(
        thresholds=np.concatenate(([np.inf], distinct[::-1])),
        false_positives=np.concatenate(([0], np.bincount(step[~labels], minlength=n_steps).cumsum())),
        true_positives=np.concatenate(([0], np.bincount(step[labels], minlength=n_steps).cumsum())),
        n_normal=int((~labels).sum()),
        n_anomalous=int(labels.sum()),
    )


def shortest_threshold(anomaly_scores: npt.ArrayLike, threshold: float) -> float:
    """Return the threshold with the fewest digits, at least four, that decides every score as a threshold does.

    Parameters
    ----------
    anomaly_scores
        Shape (n_clips,); may be empty.
    """
    decided = is_anomalous(anomaly_scores, threshold)
    for digits in range(4, 17):
        rounded = float(f"{threshold:.{digits}g}")
        if np.array_equal(is_anomalous(anomaly_scores, rounded), decided):
            return rounded
    return threshold


def verdict(anomaly_score: float, threshold: float | None) -> str:
    """Return `anomalous` or `normal`; empty without a threshold."""
    return "" if threshold is None else class_word(bool(is_anomalous(anomaly_score, threshold)))


def flips(anomaly_scores: npt.ArrayLike, before: npt.ArrayLike, after: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the positions of clips that two thresholds decide differently, in order of falling score.

    Parameters
    ----------
    anomaly_scores
        Shape (n_clips,).
    before, after
        One number each, or one for each clip.
    """
    scores = np.asarray(anomaly_scores, dtype=np.float64)
    changed = np.flatnonzero(is_anomalous(scores, before) != is_anomalous(scores, after))
    return changed[np.argsort(-scores[changed], kind="stable")]


CELLS = ("false alarm", "miss", "true alarm", "true normal")


def cells(labels: BoolArray, anomaly_scores: FloatArray, threshold: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Name the cell of the confusion matrix that each clip falls in, one of `CELLS`, shape (n_clips,).

    Parameters
    ----------
    threshold
        One number, or one for each clip.
    """
    alarms = is_anomalous(anomaly_scores, threshold)
    return np.select(
        [alarms & ~labels, ~alarms & labels, alarms & labels], ["false alarm", "miss", "true alarm"], "true normal"
    )


def telling_clips(labels: BoolArray, anomaly_scores: FloatArray, threshold: float | None) -> dict[str, int]:
    """Pick the clips that reveal most about a threshold; without one, the clip with the highest score.

    Returns
    -------
    dict of str to int
        Why a clip was picked, and its position: the loudest false alarm, the strongest miss, the clearest true alarm
        and the most ordinary normal clip, as far as there are any.
    """
    if threshold is None:
        return {"Highest score": int(anomaly_scores.argmax())}
    names = cells(labels, anomaly_scores, threshold)
    picks = {
        "False alarm with the highest score": ("false alarm", -np.inf, np.argmax),
        "Miss with the lowest score": ("miss", np.inf, np.argmin),
        "True alarm with the highest score": ("true alarm", -np.inf, np.argmax),
        "Normal clip with the lowest score": ("true normal", np.inf, np.argmin),
    }
    return {
        why: int(pick(np.where(names == cell, anomaly_scores, empty)))
        for why, (cell, empty, pick) in picks.items()
        if (names == cell).any()
    }


def share_below(reference_scores: npt.ArrayLike, anomaly_score: float) -> float | None:
    """Return the share of reference scores that lie below a score, or None without any."""
    reference = np.asarray(reference_scores, dtype=np.float64)
    return float((reference < anomaly_score).mean()) if reference.size else None
