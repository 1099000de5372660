"""The variance of an AUC after DeLong, and the paired test of two detectors on the same clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from asd_core.errors import UndefinedMetricError
from asd_core.evaluation import metrics
from asd_core.evaluation.checks import checked_both_classes
from asd_core.evaluation.uncertainty import Interval, check_confidence, no_spread
from asd_core.types import BoolArray, FloatArray

_ROUNDING = 1e-28
"""A variance this small is rounding: one clip in a million by a million gives 1e-24."""


@dataclass(frozen=True)
class DeLong:
    """AUC by DeLong's method, and its difference to a second detector's where there is one.

    Parameters
    ----------
    auc
        AUC of the first detector with its interval, clipped to [0, 1].
    variance
        Of that AUC.
    auc_b, variance_b
        The same for the second detector, None without one.
    difference
        AUC(a) - AUC(b) with its interval, clipped to [-1, 1].
    difference_variance
        Of the difference; both detectors scored the same clips.
    p_value
        Two-sided, of no difference; 1 for equal rankings; None where a difference has no variance (see
        `difference.reason`).
    """

    auc: Interval
    variance: float
    auc_b: Interval | None = None
    variance_b: float | None = None
    difference: Interval | None = None
    difference_variance: float | None = None
    p_value: float | None = None


def _midranks(values: FloatArray) -> FloatArray:
    """Return ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = counts.cumsum() - (counts - 1) / 2
    return ranks[inverse]


def _components(labels: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each anomalous clip's share of normal clips below it, and each normal clip's of anomalous ones above."""
    overall = _midranks(scores)
    anomalous, normal = scores[labels], scores[~labels]
    above_normals = (overall[labels] - _midranks(anomalous)) / len(normal)
    below_anomalous = 1 - (overall[~labels] - _midranks(normal)) / len(anomalous)
    return above_normals, below_anomalous


def _variance(of_anomalous: FloatArray, of_normal: FloatArray) -> float:
    variance = float(of_anomalous.var(ddof=1) / len(of_anomalous) + of_normal.var(ddof=1) / len(of_normal))
    return variance if variance > _ROUNDING else 0.0


def _normal_interval(
    estimate: float, variance: float, confidence: float, *, least: float, labels: BoolArray
) -> Interval:
    if not variance > 0:
        return Interval.undefined(estimate, no_spread(int((~labels).sum()), int(labels.sum())))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    return Interval(max(least, estimate - reach), min(1.0, estimate + reach), estimate)


def delong(
    is_anomalous: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> DeLong:
    """Return variance and interval of an AUC, or of the difference of two on the same clips.

    DeLong, DeLong and Clarke-Pearson (1988), with midranks in O(n log n) after Sun and Xu (2014).

    Parameters
    ----------
    is_anomalous, scores_a, scores_b
        Shape (n,) each, clips in one order.
    confidence
        In (0, 1).

    Raises
    ------
    UndefinedMetricError
        Fewer than two clips of a class.
    InputError
        See `metrics.roc_curve`; also a confidence out of range.
    """
    check_confidence(confidence)
    labels, first = checked_both_classes(is_anomalous, scores_a)
    fewest = min(int(labels.sum()), int((~labels).sum()))
    if fewest < 2:
        raise UndefinedMetricError("not defined: DeLong's variance needs at least two clips of each class")
    components_a = _components(labels, first)
    variance_a = _variance(*components_a)
    auc_a = _normal_interval(metrics.auc(labels, first), variance_a, confidence, least=0.0, labels=labels)
    if scores_b is None:
        return DeLong(auc_a, variance_a)
    _, second = checked_both_classes(labels, scores_b)
    components_b = _components(labels, second)
    variance_b = _variance(*components_b)
    auc_b = _normal_interval(metrics.auc(labels, second), variance_b, confidence, least=0.0, labels=labels)
    gap = auc_a.estimate - auc_b.estimate
    variance = _variance(components_a[0] - components_b[0], components_a[1] - components_b[1])
    return DeLong(
        auc_a,
        variance_a,
        auc_b,
        variance_b,
        _normal_interval(gap, variance, confidence, least=-1.0, labels=labels),
        variance,
        _p_value(gap, variance),
    )


@dataclass(frozen=True)
class MeanDifference:
    """Difference of two detectors' AUCs, averaged over machine ids.

    Parameters
    ----------
    difference
        Mean over ids of AUC(a) - AUC(b) with its interval, clipped to [-1, 1].
    variance
        Of that mean.
    p_value
        Two-sided, of no difference; 1 for equal rankings; None where the difference has no variance.
    """

    difference: Interval
    variance: float
    p_value: float | None


def delong_over_ids(
    is_anomalous: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    machine_ids: Sequence[str],
    *,
    confidence: float = 0.95,
) -> MeanDifference:
    """Return the difference of two AUCs averaged over machine ids, its variance, and its test.

    DeLong's method (1988) gives the variance of the difference within each id. Ids share no clip, so their K
    differences are independent, and the variance of their mean is the sum of theirs over K squared. The ids are taken
    as given: nothing is said of other machines.

    Parameters
    ----------
    is_anomalous, scores_a, scores_b
        Shape (n,) each, clips in one order.
    machine_ids
        One for each clip; ids of one class are left out, as in `metrics.mean_over_ids`.
    confidence
        In (0, 1).

    Raises
    ------
    UndefinedMetricError
        No id has both classes, or one that has them has fewer than two clips of a class.
    InputError
        See `delong`.
    """
    labels, first = checked_both_classes(is_anomalous, scores_a)
    _, second = checked_both_classes(labels, scores_b)
    strata = metrics.clips_of_both_classes(labels, machine_ids)
    found = [delong(labels[own], first[own], second[own], confidence=confidence) for own in strata]
    gap = float(np.mean([each.difference.estimate for each in found if each.difference is not None]))
    variance = sum(each.difference_variance or 0.0 for each in found) / len(found) ** 2
    included = labels[np.concatenate(strata)]
    interval = _normal_interval(gap, variance, confidence, least=-1.0, labels=included)
    return MeanDifference(interval, variance, _p_value(gap, variance))


def _p_value(gap: float, variance: float) -> float | None:
    if variance > 0:
        return math.erfc(abs(gap) / math.sqrt(2 * variance))
    return 1.0 if gap == 0 else None
