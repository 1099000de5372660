"""Several detectors on the same clips: where verdicts differ, where each fails, and whether one ranks better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation import uncertainty
from asd_core.evaluation.checks import checked_both_classes
from asd_core.evaluation.delong import delong, delong_over_ids
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import Threshold, is_anomalous
from asd_core.evaluation.uncertainty import N_DRAWS, Interval, estimate_of, limits_json
from asd_core.types import BoolArray, FloatArray

SIGNIFICANT = 0.05
_BAND_CELLS = 2_000_000
"""Drawn counts held in memory together: 16 MB."""

IntArray: TypeAlias = npt.NDArray[np.int64]
Outcome: TypeAlias = Literal["better", "worse", "even"]
"""How one detector ranks beside another; `even` where the difference may be chance."""


def distinct_titles(titles: Sequence[str]) -> tuple[str, ...]:
    """Number titles that occur more than once, so that rows can be told apart."""
    seen: dict[str, int] = {}
    named = []
    for title in titles:
        seen[title] = seen.get(title, 0) + 1
        named.append(title if seen[title] == 1 else f"{title} ({seen[title]})")
    return tuple(named)


def alarms(anomaly_scores: FloatArray, thresholds: Sequence[Threshold]) -> BoolArray:
    """Return which clips raise an alarm, shape (n_detectors, n_clips); a detector without a threshold raises none.

    Parameters
    ----------
    anomaly_scores
        Shape (n_detectors, n_clips).
    thresholds
        One per detector.
    """
    rows = [
        np.zeros(len(scores), dtype=np.bool_) if threshold.value is None else is_anomalous(scores, threshold.value)
        for scores, threshold in zip(anomaly_scores, thresholds, strict=True)
    ]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), -1)


def disagreements(alarms: BoolArray, *, raised_by: int | None = None) -> IntArray:
    """Return the clips on which verdicts differ, ascending.

    Parameters
    ----------
    alarms
        Shape (n_detectors, n_clips).
    raised_by
        Only those on which this detector raises the alarm; None takes all.
    """
    differ = alarms.any(axis=0) & ~alarms.all(axis=0)
    return np.flatnonzero(differ if raised_by is None else differ & alarms[raised_by])


@dataclass(frozen=True)
class Quadrants:
    """Counts of clips by two verdicts: (normal, anomalous) clips each."""

    both: tuple[int, int]
    only_first: tuple[int, int]
    only_second: tuple[int, int]
    neither: tuple[int, int]


def quadrants(first: BoolArray, second: BoolArray, labels: BoolArray) -> Quadrants:
    """Count two detectors' alarms, shape (n_clips,) each, by label."""

    def counted(cell: BoolArray) -> tuple[int, int]:
        return int((cell & ~labels).sum()), int((cell & labels).sum())

    return Quadrants(
        counted(first & second), counted(first & ~second), counted(~first & second), counted(~first & ~second)
    )


@dataclass(frozen=True)
class Failures:
    """How often one verdict is wrong in a group of clips: `k` of `n`."""

    group: str
    k: int
    n: int


def misses(clips: Sequence[ScoredClip], alarms: BoolArray, by: Callable[[ScoredClip], str]) -> list[Failures]:
    """Count anomalous clips without an alarm, shape (n_clips,), by group; groups in sorted order."""
    return _failures(clips, ~alarms, by, label="anomalous")


def false_alarms(clips: Sequence[ScoredClip], alarms: BoolArray, by: Callable[[ScoredClip], str]) -> list[Failures]:
    """Count normal clips with an alarm, shape (n_clips,), by group; groups in sorted order."""
    return _failures(clips, alarms, by, label="normal")


def _failures(
    clips: Sequence[ScoredClip], wrong: BoolArray, by: Callable[[ScoredClip], str], *, label: str
) -> list[Failures]:
    counts: dict[str, list[int]] = {}
    for clip, failed in zip(clips, wrong.tolist(), strict=True):
        if clip.label == label:
            count = counts.setdefault(by(clip), [0, 0])
            count[0] += failed
            count[1] += 1
    return [Failures(group, *counts[group]) for group in sorted(counts)]


@dataclass(frozen=True, eq=False)
class Band:
    """A pointwise interval of the TPR on a grid of false-alarm rates; shape (n_grid,) each."""

    fpr: FloatArray
    low: FloatArray
    high: FloatArray


def roc_band(
    labels: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    *,
    n_grid: int = 101,
    n_draws: int = N_DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
) -> Band:
    """Return the percentile-bootstrap band of the ROC, pointwise: clips resampled within class.

    At each FPR the band shows the largest TPR that a threshold reaches with no more false alarms (`tpr_at_fpr`). So a
    draw needs no curve: the threshold lies just above the normal score that would be one false alarm too many.

    Raises
    ------
    InputError
        Not one label for each score, or a grid or number of draws that is too small.
    UndefinedMetricError
        One class only.
    """
    if n_grid < 2 or n_draws < 1:
        raise InputError(f"a band needs a grid of at least 2 rates and 1 draw, got {n_grid} and {n_draws}")
    known, scores = checked_both_classes(labels, anomaly_scores)
    falling = -scores
    distinct = np.unique(falling)
    normal, anomalous = (np.searchsorted(distinct, falling[rows]) for rows in (~known, known))
    grid = np.linspace(0, 1, n_grid)
    allowed = np.searchsorted(np.arange(len(normal) + 1) / len(normal), grid, side="right") - 1
    rng = np.random.default_rng(seed)
    at_once = max(1, _BAND_CELLS // (len(distinct) + len(scores)))
    draws = [
        _tpr_draws(normal, anomalous, allowed, n_steps=len(distinct), n_draws=min(at_once, n_draws - start), rng=rng)
        for start in range(0, n_draws, at_once)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(draws), (tail, 1 - tail), axis=0)
    return Band(grid, low, high)


def _tpr_draws(
    normal: IntArray, anomalous: IntArray, allowed: IntArray, *, n_steps: int, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """TPR of resampled clips with at most `allowed` false alarms, shape (n_draws, n_grid); steps count downwards."""
    drawn_normal = np.sort(normal[rng.integers(0, len(normal), size=(n_draws, len(normal)))], axis=1)
    drawn = anomalous[rng.integers(0, len(anomalous), size=(n_draws, len(anomalous)))]
    flat = drawn + n_steps * np.arange(n_draws)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_draws * n_steps).reshape(n_draws, n_steps)
    above = np.concatenate([np.zeros((n_draws, 1), dtype=np.int64), counts.cumsum(axis=1)], axis=1)
    # The first step with one false alarm too many; past the last normal clip every threshold is allowed.
    bound = np.concatenate([drawn_normal, np.full((n_draws, 1), n_steps)], axis=1)[:, allowed]
    return np.asarray(np.take_along_axis(above, bound, axis=1) / len(anomalous))


@dataclass(frozen=True)
class Difference:
    """AUC of one detector minus that of another on the same clips.

    Parameters
    ----------
    auc_mean
        Difference of the means over machine ids, the figure that ranks detectors, with its paired bootstrap interval;
        None where no id has both classes.
    p_value
        DeLong's, two-sided, of no difference of the means over ids; None where it is not defined.
    auc_pooled, p_pooled
        The same of all ids pooled.
    """

    auc_mean: Interval | None
    p_value: float | None
    auc_pooled: Interval
    p_pooled: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`; `p_delong` is of the pooled AUC, `p_delong_mean` of the mean."""
        return {
            "auc_mean": estimate_of(self.auc_mean),
            "auc_mean_ci": limits_json(self.auc_mean),
            "p_delong_mean": self.p_value,
            "auc_pooled": self.auc_pooled.estimate,
            "auc_pooled_ci": limits_json(self.auc_pooled),
            "p_delong": self.p_pooled,
        }


def difference(ours: Scores, other: Scores, *, seed: int = 0) -> Difference | None:
    """Return AUC(ours) - AUC(other), both of the same clips in one order; None where a class is missing.

    Parameters
    ----------
    seed
        Of the paired bootstrap.
    """
    labels, first, second = ours.is_anomalous, ours.anomaly_scores, other.anomaly_scores
    try:
        pooled = uncertainty.paired_bootstrap(labels, first, second, seed=seed)
        test = delong(labels, first, second)
    except UndefinedMetricError:
        return None
    ids = ours.machine_ids
    try:
        mean = uncertainty.paired_bootstrap(labels, first, second, machine_ids=ids, seed=seed)
    except UndefinedMetricError:
        return Difference(None, None, pooled, test.p_value)
    try:
        p_value = delong_over_ids(labels, first, second, ids).p_value
    except UndefinedMetricError:
        p_value = None
    return Difference(mean, p_value, pooled, test.p_value)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number (Holm 1979); None stays None and does not count."""
    known = sorted((p, row) for row, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, row) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[row] = highest
    return adjusted


def outcome(difference: float, p_value: float | None) -> Outcome:
    """Say how the first of two detectors ranks beside the second, by the difference of their AUCs and its p-value."""
    if p_value is None or p_value >= SIGNIFICANT:
        return "even"
    return "better" if difference > 0 else "worse"


def difference_words(first: str, second: str, difference: float, p_value: float | None) -> str:
    """Say what a difference of two AUCs amounts to."""
    found = outcome(difference, p_value)
    if found == "even":
        return "the difference may be chance"
    return f"{first if found == 'better' else second} ranks better; hardly chance"
