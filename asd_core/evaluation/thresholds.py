"""Rules that turn anomaly scores into a decision, and what each of them promises.

A score at or above the threshold is anomalous; `is_anomalous` is the one place that says so.
Rules that use test labels are optimistic by nature; `optimism` measures by how much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import ArtifactError, InputError, ThresholdError, UndefinedMetricError, UsageError
from asd_core.types import BoolArray, FloatArray

_SPLITS_AT_ONCE = 64
_ROUNDING = 1e-9
"""Slack for counts that are whole numbers but for floating-point rounding, such as 10 * 0.9."""


@dataclass(frozen=True)
class RuleSpec:
    """What people need to know of a rule before they choose it.

    Parameters
    ----------
    title
        One line for people.
    uses_test_labels
        True where the rule looks at the labels it is later judged by.
    rule_value
        What the rule's number means; None where the rule takes none.
    default
        The number used where none is given; None where there is no default.
    promises_fpr
        Whether the rule announces a false-alarm rate.
    """

    title: str
    uses_test_labels: bool
    rule_value: str | None = None
    default: float | None = None
    promises_fpr: bool = False


RULES: Mapping[str, RuleSpec] = {
    "conformal": RuleSpec(
        "Split-conformal: false alarms at most alpha on average", False, "alpha, the false-alarm rate", 0.10, True
    ),
    "quantile": RuleSpec("Quantile of the normal scores", False, "the share of normal scores below", 0.9, True),
    "gamma": RuleSpec(
        "Gamma distribution fitted to the normal scores (DCASE baselines)", False, "the share below", 0.9, True
    ),
    "mean_std": RuleSpec("Mean plus k standard deviations of the normal scores", False, "k", 3.0),
    "zero": RuleSpec("Zero, the decision boundary of a one-class SVM", False),
    "closest_topleft": RuleSpec("ROC point closest to the top left corner", True),
    "youden": RuleSpec("Largest Youden index, TPR - FPR", True),
    "best_f1": RuleSpec("Largest F1 of the anomalous class", True),
    "target_tpr": RuleSpec("Fewest false alarms at a wanted detection rate", True, "the smallest TPR allowed", 0.9),
    "target_fpr": RuleSpec("Most detections at a bearable false-alarm rate", True, "the largest FPR allowed", 0.1),
    "cost": RuleSpec("Least expected cost", True, "the cost of a miss, in false alarms", 1.0),
    "manual": RuleSpec("A value set by hand", False, "the threshold itself"),
}

_OPEN_UNIT_INTERVAL = ("conformal", "quantile", "gamma")


@dataclass(frozen=True)
class Threshold:
    """A threshold with its origin.

    Parameters
    ----------
    value
        Scores at or above it are anomalous; None where the rule could not give one (then `reason` says why).
    rule
        One of `RULES`.
    uses_test_labels
        True makes every figure at this threshold optimistic.
    promised_fpr
        In (0, 1); None where the rule promises nothing.
    n_calibration
        Number of scores the rule looked at.
    per_id
        A threshold for each machine id, where each had enough scores.
    reason
        Why `value` is None.
    rule_value
        The rule's number, see `RuleSpec.rule_value`.
    prior
        Assumed share of anomalous clips, in (0, 1); rule `cost` only.
    """

    value: float | None
    rule: str
    uses_test_labels: bool
    promised_fpr: float | None
    n_calibration: int
    per_id: Mapping[str, float] | None = None
    reason: str | None = None
    rule_value: float | None = None
    prior: float | None = None

    def for_ids(self, machine_ids: Sequence[str]) -> FloatArray:
        """Return the threshold that counts for each clip, shape (n,); `value` where an id has none of its own.

        Raises
        ------
        ThresholdError
            The rule gave no threshold.
        """
        if self.value is None:
            raise ThresholdError(f"there is no threshold: {self.reason or 'the rule gave none'}")
        per_id = self.per_id or {}
        return np.array([per_id.get(machine_id, self.value) for machine_id in machine_ids], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`; never NaN or Infinity."""
        plain = asdict(self)
        plain["per_id"] = None if self.per_id is None else dict(self.per_id)
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Threshold:
        """Return the threshold that `to_json` wrote; keys unknown here are left out.

        Raises
        ------
        ArtifactError
            An unknown rule, a missing key, or a value of another kind or not finite.
        """
        rule = stored.get("rule")
        if not isinstance(rule, str) or rule not in RULES:
            raise ArtifactError(f"stored threshold: rule must be one of {', '.join(RULES)}, got {rule!r}")
        per_id = stored.get("per_id")
        if per_id is not None and not isinstance(per_id, Mapping):
            raise ArtifactError(f"stored threshold: per_id must be an object, got {per_id!r}")
        return cls(
            value=_stored_number(stored, "value"),
            rule=rule,
            uses_test_labels=RULES[rule].uses_test_labels,
            promised_fpr=_stored_number(stored, "promised_fpr"),
            n_calibration=_stored_count(stored),
            per_id=None if per_id is None else {str(key): _stored_finite(per_id, key) for key in per_id},
            reason=None if stored.get("reason") is None else str(stored["reason"]),
            rule_value=_stored_number(stored, "rule_value"),
            prior=_stored_number(stored, "prior"),
        )


def _stored_finite(stored: Mapping[str, Any], key: str) -> float:
    value = stored[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtifactError(f"stored threshold: {key} must be a finite number, got {value!r}")
    return float(value)


def _stored_number(stored: Mapping[str, Any], key: str) -> float | None:
    return None if stored.get(key) is None else _stored_finite(stored, key)


def _stored_count(stored: Mapping[str, Any]) -> int:
    count = stored.get("n_calibration")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ArtifactError(f"stored threshold: n_calibration must be a whole number from 0, got {count!r}")
    return count


def checked_scores(anomaly_scores: npt.ArrayLike) -> FloatArray:
    """Return the scores as float64, shape (n,), after checking that they are finite numbers.

    Raises
    ------
    InputError
        Not numbers, not one-dimensional, or NaN or Inf among them.
    """
    scores = np.asarray(anomaly_scores)
    if scores.ndim != 1:
        raise InputError(f"anomaly scores must have shape (n,), got {scores.shape}")
    if scores.dtype.kind not in "fiu":
        if scores.size:
            raise InputError(f"anomaly scores must be numbers, got an array of {scores.dtype}")
        return np.empty(0)
    finite = np.isfinite(scores)
    if not finite.all():
        raise InputError(f"anomaly scores must be finite, got {scores[~finite][0]} at position {finite.argmin()}")
    return scores.astype(np.float64)


def checked_labelled(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return labels (bool) and scores (float64), both of shape (n,), after the checks every figure needs.

    Raises
    ------
    InputError
        Labels other than True/False or 0/1, another number of labels than scores, or a score that is not finite.
    """
    scores = checked_scores(anomaly_scores)
    labels = np.asarray(is_anomalous)
    if labels.shape != scores.shape:
        raise InputError(f"labels and scores must have one shape, got {labels.shape} and {scores.shape}")
    if labels.dtype.kind not in "biu" and labels.size:
        raise InputError(f"labels must be True (anomalous) or False (normal), got an array of {labels.dtype}")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("labels must be True (anomalous) or False (normal), got other numbers")
    return labels.astype(np.bool_), scores


def checked_both_classes(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return `checked_labelled`, and insist on at least one clip of each class.

    Raises
    ------
    InputError
        See `checked_labelled`.
    UndefinedMetricError
        No clips, or only one class.
    """
    labels, scores = checked_labelled(is_anomalous, anomaly_scores)
    if not len(labels):
        raise UndefinedMetricError("not defined: there are no clips")
    if labels.all():
        raise UndefinedMetricError(f"not defined: all {len(labels)} clips are anomalous, none is normal")
    if not labels.any():
        raise UndefinedMetricError(f"not defined: all {len(labels)} clips are normal, none is anomalous")
    return labels, scores


def is_anomalous(anomaly_scores: npt.ArrayLike, threshold: npt.ArrayLike) -> BoolArray:
    """Whether each score reaches its threshold (ties count).

    Parameters
    ----------
    anomaly_scores
        Any shape; finite.
    threshold
        One number, or one for each score; may be infinite.

    Returns
    -------
    BoolArray
        The shape of the scores; shape () for a single score.

    Raises
    ------
    InputError
        NaN on either side, or as many thresholds as there are no scores.
    """
    scores, limits = np.asarray(anomaly_scores, dtype=np.float64), np.asarray(threshold, dtype=np.float64)
    if limits.ndim and limits.shape != scores.shape:
        raise InputError(f"there must be one threshold, or one for each of {scores.shape} scores, got {limits.shape}")
    if np.isnan(scores).any() or np.isnan(limits).any():
        raise InputError("a decision needs numbers, got NaN among the scores or thresholds")
    return np.asarray(scores >= limits)


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


def _spec(rule: str) -> RuleSpec:
    if rule not in RULES:
        raise UsageError(f"rule must be one of {', '.join(RULES)}; got {rule!r}")
    return RULES[rule]


def check_rule(rule: str, rule_value: float | None = None) -> None:
    """Refuse an unknown rule or a value out of its range.

    Raises
    ------
    UsageError
        The text names the rules, or what the value must be.
    """
    _checked_rule_value(rule, rule_value)


def _checked_rule_value(rule: str, rule_value: float | None) -> float | None:
    spec = _spec(rule)
    if spec.rule_value is None:
        if rule_value is not None:
            raise UsageError(f"rule {rule} takes no value, got {rule_value}")
        return None
    value = spec.default if rule_value is None else float(rule_value)
    if value is None or not math.isfinite(value):
        raise UsageError(
            f"rule {rule} needs a finite value ({spec.rule_value}), got {'none' if value is None else value}"
        )
    _check_range(rule, value)
    return value


def _check_range(rule: str, value: float) -> None:
    if rule in _OPEN_UNIT_INTERVAL and not _ROUNDING < value < 1 - _ROUNDING:
        raise UsageError(f"rule {rule} needs a value strictly between 0 and 1, got {value}")
    if rule in ("target_tpr", "target_fpr") and not 0 <= value <= 1:
        raise UsageError(f"rule {rule} needs a rate from 0 to 1, got {value}")
    if rule == "cost" and not value > 0:
        raise UsageError(f"rule cost needs a cost ratio above 0, got {value}")


def _just_above(value: float) -> float:
    above = float(np.nextafter(value, np.inf))
    if math.isinf(above):
        raise ThresholdError(f"no finite threshold lies above the score {value}")
    return above


def n_needed(rule: str, rule_value: float | None = None) -> int:
    """Return how many normal scores a label-free rule needs.

    Conformal: ceil(1 / alpha) - 1, below which its quantile is infinite. Quantile and gamma: the same count for their
    promise, asked of each id before it gets a threshold of its own. Mean and standard deviation: 2. Otherwise 0.
    """
    value = _checked_rule_value(rule, rule_value)
    if rule not in _OPEN_UNIT_INTERVAL or value is None:
        return 2 if rule == "mean_std" else 0
    tail = value if rule == "conformal" else 1 - value
    return math.ceil(1 / tail - _ROUNDING) - 1


def _conformal(scores: FloatArray, alpha: float) -> float:
    # A new exchangeable score exceeds the k-th smallest of m, k = ceil((m + 1)(1 - alpha)), with probability <= alpha
    # (Vovk et al. 2005; Lei et al. 2018, Theorem 2.2), ties included. Our decision is >=, so one float up.
    rank_from_top = math.floor((len(scores) + 1) * alpha + _ROUNDING)
    return _just_above(float(np.sort(scores)[len(scores) - rank_from_top]))


def _gamma(scores: FloatArray, share_below: float) -> float:
    from scipy import stats

    try:
        with np.errstate(all="ignore"):
            shape, location, scale = stats.gamma.fit(scores)
            value = float(stats.gamma.ppf(share_below, shape, loc=location, scale=scale))
    except (stats.FitError, FloatingPointError, ValueError) as error:
        raise ThresholdError(f"the gamma distribution cannot be fitted to these normal scores: {error}") from error
    if not math.isfinite(value):
        raise ThresholdError("the gamma distribution cannot be fitted to these normal scores: no finite quantile")
    return value


def _label_free_value(rule: str, scores: FloatArray, value: float) -> float:
    """Return one threshold from scores that are enough and not all equal."""
    if rule == "conformal":
        return _conformal(scores, value)
    if rule == "quantile":
        return _just_above(float(np.quantile(scores, value)))
    if rule == "gamma":
        return _gamma(scores, value)
    with np.errstate(over="ignore"):
        limit = float(scores.mean() + value * scores.std())
    if not math.isfinite(limit):
        raise ThresholdError("mean plus k standard deviations of these scores is not finite")
    return limit


def _lack(rule: str, scores: FloatArray, value: float) -> str | None:
    """Return why a rule cannot work on these normal scores, or None."""
    if not len(scores):
        return "there are no normal scores to choose it from"
    if rule in ("conformal", "mean_std") and len(scores) < n_needed(rule, value):
        needed = n_needed(rule, value)
        return f"rule {rule} at {value:g} needs at least {needed} held-out normal clips, got {len(scores)}"
    if np.ptp(scores) == 0:
        return f"all {len(scores)} normal scores are equal ({scores[0]:g}), so they say nothing about spread"
    if not math.isfinite(float(np.ptp(scores))):
        return "the normal scores spread over more than a float can hold"
    return None


def _per_id(rule: str, scores: FloatArray, value: float, machine_ids: Sequence[str]) -> dict[str, float] | None:
    """Return a threshold for each id, or None where one of them lacks what the rule needs."""
    names = np.asarray(machine_ids, dtype=str)
    if names.shape != scores.shape:
        raise InputError(f"there must be one machine id for each score, got {len(names)} for {len(scores)}")
    needed = n_needed(rule, value)
    per_id: dict[str, float] = {}
    for name in np.unique(names):
        own = scores[names == name]
        if len(own) < needed or _lack(rule, own, value) is not None:
            return None
        try:
            per_id[str(name)] = _label_free_value(rule, own, value)
        except ThresholdError:
            return None
    return per_id


def _promise(rule: str, value: float | None) -> float | None:
    if value is None or not RULES[rule].promises_fpr:
        return None
    return value if rule == "conformal" else round(1 - value, 12)


def from_normal_scores(
    rule: str,
    normal_scores: npt.ArrayLike,
    *,
    rule_value: float | None = None,
    machine_ids: Sequence[str] | None = None,
) -> Threshold:
    """Return the threshold that a label-free rule takes from held-out normal scores.

    Conformal: just above the ceil((m + 1)(1 - alpha))-th smallest of m scores. Quantile: just above the quantile
    (linear between scores). Gamma: `scipy.stats.gamma.fit`, then its quantile, as the DCASE baselines from 2021 on do.
    Mean and standard deviation: mean + k std, ddof 0. Zero and manual do not look at the scores.
    With machine ids, `per_id` is filled where each id has at least `n_needed` scores that are not all equal.

    Parameters
    ----------
    rule
        A rule of `RULES` that uses no test labels.
    normal_scores
        Shape (m,), finite; of clips that took no part in training (scores of training clips promise nothing).
    rule_value
        See `RuleSpec.rule_value`; None takes the default.
    machine_ids
        One for each score.

    Returns
    -------
    Threshold
        Conformal with too few or all-equal scores: `value` None, `reason` says why.

    Raises
    ------
    UsageError
        An unknown rule, one that needs labels, or a value out of its range.
    InputError
        Scores that are not finite, or not one machine id for each.
    ThresholdError
        Another rule than conformal that cannot work on these scores.
    """
    value = _checked_rule_value(rule, rule_value)
    if RULES[rule].uses_test_labels:
        raise UsageError(f"rule {rule} needs labelled test clips; normal scores alone cannot give it")
    scores = checked_scores(normal_scores)
    if rule == "zero" or rule == "manual" or value is None:
        return Threshold(value or 0.0, rule, False, None, len(scores), rule_value=value)
    lack = _lack(rule, scores, value)
    if lack is not None and rule != "conformal":
        raise ThresholdError(f"no threshold: {lack}")
    if lack is not None:
        return Threshold(None, rule, False, _promise(rule, value), len(scores), reason=lack, rule_value=value)
    return Threshold(
        value=_label_free_value(rule, scores, value),
        rule=rule,
        uses_test_labels=False,
        promised_fpr=_promise(rule, value),
        n_calibration=len(scores),
        per_id=None if machine_ids is None else _per_id(rule, scores, value, machine_ids),
        rule_value=value,
    )


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
        return np.asarray(tpr > limit - _ROUNDING, dtype=np.float64)
    if rule == "target_fpr":
        return np.where(fpr < limit + _ROUNDING, tpr, -1.0)
    share = n_anomalous / (n_normal + n_anomalous) if prior is None else prior
    return -(limit * share * (1 - tpr) + (1 - share) * fpr)


def _checked_labelled_rule(rule: str, rule_value: float | None, prior: float | None) -> float | None:
    value = _checked_rule_value(rule, rule_value)
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
    """Return the threshold that a rule with labels likes best; among equals the highest.

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
    chosen = float(points.thresholds[best]) if best else _just_above(float(points.thresholds[1]))
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
