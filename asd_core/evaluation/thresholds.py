"""Thresholds, the rules that choose them, and the rules that need normal scores alone.

A score at or above the threshold is anomalous; `is_anomalous` is the one place that says so. Rules that use test labels
are in `label_rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import ArtifactError, InputError, ThresholdError, UsageError
from asd_core.evaluation.checks import checked_scores
from asd_core.types import BoolArray, FloatArray

MIN_SCORES_PER_ID = 12
"""An id needs as many for a threshold of its own; from fewer, it would be too unsteady to keep its promise."""
ROUNDING = 1e-9
"""Slack for counts that are whole numbers but for floating-point rounding, such as 10 * 0.9."""


@dataclass(frozen=True)
class RuleSpec:
    """What people need to know of a rule before they choose it.

    Parameters
    ----------
    title
        One line for people.
    uses_test_labels
        True where the rule uses the labels it is later judged by.
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
    "target_tpr": RuleSpec("Fewest false alarms at a wanted detection rate", True, "the smallest detection rate", 0.9),
    "target_fpr": RuleSpec("Most detections at a bearable false-alarm rate", True, "the largest false-alarm rate", 0.1),
    "cost": RuleSpec("Least expected cost", True, "the cost of a miss, in false alarms", 1.0),
    "highest": RuleSpec("Highest of the normal scores", False),
    "manual": RuleSpec("A value set by hand", False, "the threshold itself"),
}

DEFAULT_RULE = "conformal"
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
        Number of scores the rule used.
    per_id
        One threshold per machine id, where each id had enough scores.
    reason
        Why `value` is None.
    rule_value
        The rule's number, see `RuleSpec.rule_value`.
    prior
        Assumed share of anomalous clips, in (0, 1); rule `cost` only.
    provisional
        Whether it is only a stopgap, from too few normal scores for a promise.
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
    provisional: bool = False

    def for_ids(self, machine_ids: Sequence[str]) -> FloatArray:
        """Return the threshold of each clip, shape (n,): that of its id, or `value` where the id has none of its own.

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
        """Return the threshold that `to_json` wrote; unknown keys are ignored.

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
            provisional=_stored_flag(stored, "provisional"),
        )


def _stored_finite(stored: Mapping[str, Any], key: str) -> float:
    value = stored[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtifactError(f"stored threshold: {key} must be a finite number, got {value!r}")
    return float(value)


def _stored_number(stored: Mapping[str, Any], key: str) -> float | None:
    return None if stored.get(key) is None else _stored_finite(stored, key)


def _stored_flag(stored: Mapping[str, Any], key: str) -> bool:
    flag = stored.get(key, False)
    if not isinstance(flag, bool):
        raise ArtifactError(f"stored threshold: {key} must be true or false, got {flag!r}")
    return flag


def _stored_count(stored: Mapping[str, Any]) -> int:
    count = stored.get("n_calibration")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ArtifactError(f"stored threshold: n_calibration must be a whole number from 0, got {count!r}")
    return count


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
        NaN on either side, or neither one threshold nor one per score.
    """
    scores, limits = np.asarray(anomaly_scores, dtype=np.float64), np.asarray(threshold, dtype=np.float64)
    if limits.ndim and limits.shape != scores.shape:
        raise InputError(f"there must be one threshold, or one for each of {scores.shape} scores, got {limits.shape}")
    if np.isnan(scores).any() or np.isnan(limits).any():
        raise InputError("a decision needs numbers, got NaN among the scores or thresholds")
    return np.asarray(scores >= limits)


def check_rule(rule: str, rule_value: float | None = None) -> float | None:
    """Return the number that a rule takes, by default the rule's own; None where it takes none.

    Raises
    ------
    UsageError
        An unknown rule (the text names all), or a value out of its range (the text says what it must be).
    """
    if rule not in RULES:
        raise UsageError(f"rule must be one of {', '.join(RULES)}; got {rule!r}")
    spec = RULES[rule]
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
    if rule in _OPEN_UNIT_INTERVAL and not ROUNDING < value < 1 - ROUNDING:
        raise UsageError(f"rule {rule} needs a value strictly between 0 and 1, got {value}")
    if rule in ("target_tpr", "target_fpr") and not 0 <= value <= 1:
        raise UsageError(f"rule {rule} needs a rate from 0 to 1, got {value}")
    if rule == "cost" and not value > 0:
        raise UsageError(f"rule cost needs a cost ratio above 0, got {value}")


def just_above(value: float) -> float:
    """Return the smallest threshold at which a score is still normal.

    Raises
    ------
    ThresholdError
        The score is the largest float.
    """
    above = float(np.nextafter(value, np.inf))
    if math.isinf(above):
        raise ThresholdError(f"no finite threshold lies above the score {value}")
    return above


def n_needed(rule: str, rule_value: float | None = None) -> int:
    """Return how many normal scores a label-free rule needs.

    Conformal: ceil(1 / alpha) - 1, below which its quantile is infinite. Quantile and gamma: the same count for their
    promise, required of each id before it gets a threshold of its own. Mean and standard deviation: 2. Otherwise 0.
    """
    value = check_rule(rule, rule_value)
    if rule not in _OPEN_UNIT_INTERVAL or value is None:
        return 2 if rule == "mean_std" else 0
    tail = value if rule == "conformal" else 1 - value
    return math.ceil(1 / tail - ROUNDING) - 1


def _conformal(scores: FloatArray, alpha: float) -> float:
    # A new exchangeable score exceeds the k-th smallest of m, k = ceil((m + 1)(1 - alpha)), with probability <= alpha
    # (Vovk et al. 2005; Lei et al. 2018, Theorem 2.2), ties included. Our decision is >=, so one float up.
    rank_from_top = math.floor((len(scores) + 1) * alpha + ROUNDING)
    return just_above(float(np.sort(scores)[len(scores) - rank_from_top]))


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
        return just_above(float(np.quantile(scores, value)))
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
    needed = max(n_needed(rule, value), MIN_SCORES_PER_ID)
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


def _highest(scores: FloatArray, *, alpha: float | None = None) -> Threshold:
    if not len(scores):
        raise ThresholdError("no threshold: there are no normal scores to choose it from")
    is_provisional = len(scores) < n_needed(DEFAULT_RULE, alpha)
    value = just_above(float(scores.max()))
    return Threshold(value, "highest", False, None, len(scores), provisional=is_provisional)


def default_threshold(
    normal_scores: npt.ArrayLike,
    *,
    alpha: float | None = None,
    machine_ids: Sequence[str] | None = None,
    keeps_promises: bool = True,
) -> Threshold:
    """Return the threshold a detector is born with: split-conformal at 10 %, or provisional from fewer than 9 scores.

    Parameters
    ----------
    normal_scores, machine_ids, keeps_promises
        As for `from_normal_scores`.
    alpha
        Another false-alarm rate than 10 %, in (0, 1), which needs ceil(1 / alpha) - 1 scores.

    Raises
    ------
    InputError
        Scores that are not finite, or nine and more that are all equal: such a detector has learned nothing.
    ThresholdError
        No score at all.
    """
    scores = checked_scores(normal_scores)
    is_enough = len(scores) >= n_needed(DEFAULT_RULE, alpha)
    if is_enough and not np.ptp(scores) > 0:
        raise InputError(
            f"all {len(scores)} held-out clips have the same score {scores[0]:g}: the detector has learned nothing"
        )
    if not is_enough:
        return _highest(scores, alpha=alpha)
    return from_normal_scores(
        DEFAULT_RULE, scores, rule_value=alpha, machine_ids=machine_ids, keeps_promises=keeps_promises
    )


def from_normal_scores(
    rule: str,
    normal_scores: npt.ArrayLike,
    *,
    rule_value: float | None = None,
    machine_ids: Sequence[str] | None = None,
    keeps_promises: bool = True,
) -> Threshold:
    """Return the threshold that a label-free rule takes from held-out normal scores.

    Conformal: just above the ceil((m + 1)(1 - alpha))-th smallest of m scores. Quantile: just above the quantile
    (linear between scores). Gamma: `scipy.stats.gamma.fit`, then its quantile, as the DCASE baselines from 2021 on do.
    Mean and standard deviation: mean + k std, ddof 0. Highest: just above the highest score. Zero and manual do not use
    the scores. With machine ids, `per_id` is filled where each id has at least 12 scores, and `n_needed`, that are not
    all equal.

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
    keeps_promises
        False where the scores are not like those of new recordings, because all are of one: no rate is promised.

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
    value = check_rule(rule, rule_value)
    if RULES[rule].uses_test_labels:
        raise UsageError(f"rule {rule} needs labelled test clips; normal scores alone cannot give it")
    scores = checked_scores(normal_scores)
    if rule == "highest":
        return _highest(scores)
    if rule == "zero" or rule == "manual" or value is None:
        return Threshold(value or 0.0, rule, False, None, len(scores), rule_value=value)
    promise = _promise(rule, value) if keeps_promises else None
    lack = _lack(rule, scores, value)
    if lack is not None and rule != "conformal":
        raise ThresholdError(f"no threshold: {lack}")
    if lack is not None:
        return Threshold(None, rule, False, promise, len(scores), reason=lack, rule_value=value)
    return Threshold(
        value=_label_free_value(rule, scores, value),
        rule=rule,
        uses_test_labels=False,
        promised_fpr=promise,
        n_calibration=len(scores),
        per_id=None if machine_ids is None else _per_id(rule, scores, value, machine_ids),
        rule_value=value,
    )
