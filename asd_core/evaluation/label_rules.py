"""Rules that choose a threshold by labelled test clips, and by how much that flatters them.

A threshold is judged by the labels it was chosen on, so that its figures are optimistic by nature; `optimism` measures
by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import ThresholdError, UndefinedMetricError, UsageError
from asd_core.evaluation.operating import OperatingPoints, operating_points
from asd_core.evaluation.thresholds import ROUNDING, RULES, Threshold, check_rule, just_above
from asd_core.types import FloatArray

_SPLITS_AT_ONCE = 64


def _merit(
    rule: str,
    false_positives: npt.NDArray[np.int64],
    true_positives: npt.NDArray[np.int64],
    *,
    n_normal: int,
    n_anomalous: int,
    value: float | None,
    prior: float | None,
) -> FloatArray:
    """Return how good each operating point is by a rule, shape of the counts; the first maximum is the choice.

    Points run from the highest threshold down, so of equal ones the first has the fewest alarms.
    """
    fpr, tpr = false_positives / n_normal, true_positives / n_anomalous
    if rule == "closest_topleft":
        return -(fpr**2 + (1 - tpr) ** 2)
    if rule == "youden":
        return tpr - fpr
    if rule == "best_f1":
        return 2 * true_positives / (n_anomalous + true_positives + false_positives)
    limit = 0.0 if value is None else value
    if rule == "target_tpr":
        return np.asarray(tpr > limit - ROUNDING, dtype=np.float64)
    if rule == "target_fpr":
        return np.where(fpr < limit + ROUNDING, tpr, -1.0)
    share = n_anomalous / (n_normal + n_anomalous) if prior is None else prior
    return -(limit * share * (1 - tpr) + (1 - share) * fpr)


def _checked_labelled_rule(rule: str, rule_value: float | None, prior: float | None) -> float | None:
    value = check_rule(rule, rule_value)
    if not RULES[rule].uses_test_labels:
        raise UsageError(f"rule {rule} uses no labels; take it from held-out normal scores")
    if prior is not None and (rule != "cost" or not 0 < prior < 1):
        raise UsageError(f"a prior belongs to rule cost and lies strictly between 0 and 1, got {prior} for {rule}")
    return value


def from_labelled_scores(
    rule: str,
    is_anomalous: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    *,
    rule_value: float | None = None,
    prior: float | None = None,
) -> Threshold:
    """Return the threshold that is best by a rule that uses labels; the highest of equally good ones.

    `closest_topleft` minimises FPR^2 + (1 - TPR)^2, `youden` maximises TPR - FPR, `best_f1` maximises
    2 TP / (2 TP + FP + FN), `cost` minimises ratio * prior * (1 - TPR) + (1 - prior) * FPR.
    `target_tpr` takes the fewest false alarms with TPR >= its value, `target_fpr` the most detections with
    FPR <= its value. A choice of 'no alarm at all' lies just above the highest score.

    Parameters
    ----------
    rule
        A rule of `RULES` that uses test labels.
    is_anomalous, anomaly_scores
        Shape (n,) each.
    rule_value
        See `RuleSpec.rule_value`; None takes the default.
    prior
        Rule `cost`: the share of anomalous clips to expect, in (0, 1); None takes the share among these clips.

    Raises
    ------
    UsageError
        An unknown rule, one without labels, or a value out of its range.
    InputError, UndefinedMetricError
        See `checked_both_classes`.
    ThresholdError
        All scores are equal.
    """
    value = _checked_labelled_rule(rule, rule_value, prior)
    points = operating_points(is_anomalous, anomaly_scores)
    n_normal, n_anomalous = points.n_normal, points.n_anomalous
    if len(points.thresholds) == 2:
        raise ThresholdError(f"no threshold: all {n_normal + n_anomalous} scores are equal")
    if rule == "cost" and prior is None:
        prior = n_anomalous / (n_normal + n_anomalous)
    merit = _merit(
        rule,
        points.false_positives,
        points.true_positives,
        n_normal=n_normal,
        n_anomalous=n_anomalous,
        value=value,
        prior=prior,
    )
    best = int(merit.argmax())
    chosen = float(points.thresholds[best]) if best else just_above(float(points.thresholds[1]))
    return Threshold(chosen, rule, True, None, n_normal + n_anomalous, rule_value=value, prior=prior)


@dataclass(frozen=True)
class DecisionFigures:
    """Figures at a threshold, each in [0, 1]; F1 is that of the anomalous class."""

    fpr: float
    tpr: float
    f1: float
    accuracy: float


@dataclass(frozen=True)
class Optimism:
    """A labelled rule judged by the clips it was chosen on (`naive`) and by other clips (`honest`, means over splits).

    `naive` and `honest` differ by the rule's optimism.
    """

    naive: DecisionFigures
    honest: DecisionFigures
    n_splits: int


def _figures(
    false_positives: npt.NDArray[np.int64],
    true_positives: npt.NDArray[np.int64],
    *,
    n_normal: int,
    n_anomalous: int,
) -> DecisionFigures:
    right = true_positives + n_normal - false_positives
    return DecisionFigures(
        fpr=float(np.mean(false_positives / n_normal)),
        tpr=float(np.mean(true_positives / n_anomalous)),
        f1=float(np.mean(2 * true_positives / (n_anomalous + true_positives + false_positives))),
        accuracy=float(np.mean(right / (n_normal + n_anomalous))),
    )


def _half_counts(steps: npt.NDArray[np.int64], n_steps: int, n_splits: int, rng: np.random.Generator) -> Any:
    """Return the running counts of a random half of some clips, shape (n_splits, n_steps + 1)."""
    n_half = len(steps) // 2
    chosen = rng.permuted(np.broadcast_to(steps, (n_splits, len(steps))), axis=1)[:, :n_half]
    flat = chosen + n_steps * np.arange(n_splits)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_splits * n_steps).reshape(n_splits, n_steps)
    return np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))


def _steps(points: OperatingPoints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each normal and each anomalous clip the number of its distinct score, from the highest."""
    order = np.arange(len(points.thresholds) - 1)
    return np.repeat(order, np.diff(points.false_positives)), np.repeat(order, np.diff(points.true_positives))


def _other_half(
    points: OperatingPoints, fp_half: Any, tp_half: Any, merit: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the false and true positives that each split's choice causes among the clips not chosen from."""
    best = merit.argmax(axis=1)
    # 'No alarm' lies just above the half's own highest score; the other half may reach higher.
    highest_of_half = ((fp_half + tp_half) > 0).argmax(axis=1) - 1
    best = np.where(best == 0, highest_of_half, best)
    split = np.arange(len(best))
    return points.false_positives[best] - fp_half[split, best], points.true_positives[best] - tp_half[split, best]


def optimism(
    rule: str,
    is_anomalous: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    *,
    rule_value: float | None = None,
    prior: float | None = None,
    n_splits: int = 200,
    seed: int = 0,
) -> Optimism:
    """Choose a labelled rule's threshold on a random half of each class and judge it by the other half.

    Parameters
    ----------
    rule, is_anomalous, anomaly_scores, rule_value, prior
        See `from_labelled_scores`.
    n_splits
        Number of random halvings, from 1.
    seed
        Of the halvings.

    Raises
    ------
    UsageError, InputError, UndefinedMetricError, ThresholdError
        See `from_labelled_scores`; also UndefinedMetricError with fewer than two clips of a class.
    """
    value = _checked_labelled_rule(rule, rule_value, prior)
    points = operating_points(is_anomalous, anomaly_scores)
    if min(points.n_normal, points.n_anomalous) < 2:
        raise UndefinedMetricError("not defined: halving the clips needs at least two of each class")
    if n_splits < 1:
        raise UsageError(f"there must be at least one split, got {n_splits}")
    threshold = from_labelled_scores(rule, is_anomalous, anomaly_scores, rule_value=rule_value, prior=prior)
    index = int(np.searchsorted(-points.thresholds, -(threshold.value or 0.0), side="right")) - 1
    naive = _figures(
        points.false_positives[[index]],
        points.true_positives[[index]],
        n_normal=points.n_normal,
        n_anomalous=points.n_anomalous,
    )
    rng = np.random.default_rng(seed)
    normal_steps, anomalous_steps = _steps(points)
    n_steps = len(points.thresholds) - 1
    n_normal, n_anomalous = points.n_normal // 2, points.n_anomalous // 2
    outcomes = []
    for start in range(0, n_splits, _SPLITS_AT_ONCE):
        n_now = min(_SPLITS_AT_ONCE, n_splits - start)
        fp_half = _half_counts(normal_steps, n_steps, n_now, rng)
        tp_half = _half_counts(anomalous_steps, n_steps, n_now, rng)
        merit = _merit(
            rule, fp_half, tp_half, n_normal=n_normal, n_anomalous=n_anomalous, value=value, prior=threshold.prior
        )
        outcomes.append(_other_half(points, fp_half, tp_half, merit))
    honest = _figures(
        np.concatenate([fp for fp, _ in outcomes]),
        np.concatenate([tp for _, tp in outcomes]),
        n_normal=points.n_normal - n_normal,
        n_anomalous=points.n_anomalous - n_anomalous,
    )
    return Optimism(naive, honest, n_splits)
