"""Common mistakes with thresholds, made on purpose beside the right way, so that their price can be measured.

A threshold from the clips that the detector was fitted on, one chosen on the labels that judge it, and one for several
machine ids whose scores differ in level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_core.errors import ThresholdError, UndefinedMetricError, UsageError
from asd_core.evaluation.checks import checked_both_classes, checked_scores
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.metrics import Confusion, clips_by_id, confusion_at
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import (
    DEFAULT_RULE,
    MIN_SCORES_PER_ID,
    from_normal_scores,
    just_above,
    n_needed,
)
from asd_core.types import FloatArray

N_DRAWS = 200


@dataclass(frozen=True)
class Judged:
    """A threshold and what it decides on labelled test clips."""

    threshold: float
    confusion: Confusion

    @classmethod
    def at(cls, threshold: float, test: Scores) -> Judged:
        """Judge test clips, all labelled, by one threshold."""
        return cls(threshold, confusion_at(test.is_anomalous, test.anomaly_scores, threshold))


def conformal_value(normal_scores: npt.ArrayLike, *, alpha: float | None = None) -> float:
    """Return the split-conformal threshold of scores that need not have any spread.

    Scores of clips that a detector knows by heart are all equal; the rule's formula then gives just above that score.

    Parameters
    ----------
    normal_scores
        Shape (m,), finite.
    alpha
        The false-alarm rate, in (0, 1); None takes 10 %.

    Raises
    ------
    ThresholdError
        Fewer scores than the rule needs.
    """
    scores = checked_scores(normal_scores)
    found = from_normal_scores(DEFAULT_RULE, scores, rule_value=alpha)
    if found.value is not None:
        return found.value
    if len(scores) < n_needed(DEFAULT_RULE, alpha):
        raise ThresholdError(f"no threshold: {found.reason}")
    return just_above(float(scores.max()))


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A rule that uses labels, chosen again and again on a few labelled clips of those there are.

    Parameters
    ----------
    n_normal, n_anomalous
        Clips that each choice is made on.
    announced, new
        False-alarm rate, detection rate and F1 of the anomalous class, shape (n_draws, 3): on the clips that the
        threshold was chosen on, and on all others.
    """

    n_normal: int
    n_anomalous: int
    announced: FloatArray
    new: FloatArray


def redrawn(
    rule: str,
    is_anomalous: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    *,
    per_class: int | None = None,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> Redrawn:
    """Choose a rule's threshold on random labelled clips and judge it by these and by all others.

    Parameters
    ----------
    rule
        One that uses test labels, see `label_rules.from_labelled_scores`.
    is_anomalous, anomaly_scores
        Shape (n,) each.
    per_class
        Clips of each class to choose on, below their number; None takes half of each class, rounded down.
    n_draws
        From 1.
    seed
        Of the draws.

    Raises
    ------
    UndefinedMetricError
        A class has too few clips to choose on some and judge on others.
    UsageError, InputError, ThresholdError
        As `from_labelled_scores`; also `per_class` or `n_draws` below 1.
    """
    if n_draws < 1 or (per_class is not None and per_class < 1):
        raise UsageError(f"there must be at least one draw of at least one clip, got {n_draws} of {per_class}")
    labels, scores = checked_both_classes(is_anomalous, anomaly_scores)
    classes = [np.flatnonzero(~labels), np.flatnonzero(labels)]
    chosen_on = [len(own) // 2 if per_class is None else per_class for own in classes]
    if any(not 0 < n < len(own) for n, own in zip(chosen_on, classes, strict=True)):
        raise UndefinedMetricError(
            f"not defined: {len(classes[0])} normal and {len(classes[1])} anomalous clips cannot be divided into "
            f"{chosen_on[0]} and {chosen_on[1]} to choose on and others to judge by"
        )
    rng = np.random.default_rng(seed)
    announced, new = np.empty((n_draws, 3)), np.empty((n_draws, 3))
    for draw in range(n_draws):
        drawn = np.zeros(len(labels), dtype=np.bool_)
        for own, n in zip(classes, chosen_on, strict=True):
            drawn[rng.permutation(own)[:n]] = True
        threshold = _chosen(rule, labels[drawn], scores[drawn])
        announced[draw] = _rates(confusion_at(labels[drawn], scores[drawn], threshold))
        new[draw] = _rates(confusion_at(labels[~drawn], scores[~drawn], threshold))
    return Redrawn(chosen_on[0], chosen_on[1], announced, new)


def _chosen(rule: str, labels: npt.NDArray[np.bool_], scores: FloatArray) -> float:
    return from_labelled_scores(rule, labels, scores).value or 0.0


def _rates(confusion: Confusion) -> tuple[float, float, float]:
    return confusion.fpr or 0.0, confusion.tpr or 0.0, confusion.per_class()["anomalous"].f1 or 0.0


@dataclass(frozen=True)
class IdThresholds:
    """One machine id under the threshold of all ids together, and under one of its own.

    Parameters
    ----------
    n_heldout
        Its held-out normal clips.
    pooled
        Its test clips by the threshold of all ids.
    own
        By the threshold of its own held-out clips; None where these are too few for one.
    """

    machine_id: str
    n_heldout: int
    pooled: Judged
    own: Judged | None


def by_id(heldout: Scores, test: Scores, *, alpha: float | None = None) -> tuple[IdThresholds, ...]:
    """Judge each id's test clips by the conformal threshold of all held-out clips, and by that of its own.

    An id has one of its own from `MIN_SCORES_PER_ID` held-out clips on, or from what the rule needs if that is more.

    Parameters
    ----------
    heldout, test
        Normal clips, and labelled ones.
    alpha
        See `conformal_value`.

    Raises
    ------
    ThresholdError
        Too few held-out clips even for all ids together.
    """
    pooled = conformal_value(heldout.anomaly_scores, alpha=alpha)
    rows = clips_by_id(heldout.machine_ids, n_clips=len(heldout.clips))
    scores, labels, values = heldout.anomaly_scores, test.is_anomalous, test.anomaly_scores
    least = max(n_needed(DEFAULT_RULE, alpha), MIN_SCORES_PER_ID)
    found = []
    for name, tested in clips_by_id(test.machine_ids, n_clips=len(test.clips)).items():
        own = scores[rows.get(name, np.zeros(0, np.int64))]

        def judged(threshold: float, tested: npt.NDArray[np.int64] = tested) -> Judged:
            return Judged(threshold, confusion_at(labels[tested], values[tested], threshold))

        by_own = judged(conformal_value(own, alpha=alpha)) if len(own) >= least else None
        found.append(IdThresholds(name, len(own), judged(pooled), by_own))
    return tuple(found)


def spread_out(n_all: int, at_most: int) -> npt.NDArray[np.int64]:
    """Return `at_most` of `n_all` positions, evenly spread and in order; all of them where there are no more.

    Raises
    ------
    UsageError
        `at_most` is below 1.
    """
    if at_most < 1:
        raise UsageError(f"at_most must be 1 or more, got {at_most}")
    return np.arange(n_all) if n_all <= at_most else np.arange(at_most) * n_all // at_most
