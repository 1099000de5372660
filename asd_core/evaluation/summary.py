"""What labelled scores amount to: how well they rank, what a threshold decides, and how optimistic its choice is.

Values are typed; `to_json` writes them under the keys of the `evaluate` command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy.typing as npt

from asd_core.errors import ThresholdError, UndefinedMetricError
from asd_core.evaluation import label_rules, metrics, uncertainty
from asd_core.evaluation.label_rules import Optimism
from asd_core.evaluation.metrics import ClassFigures, Confusion, IdFigures
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import Threshold
from asd_core.evaluation.uncertainty import MIN_NORMALS_FOR_PAUC, Interval, estimate_of, limits_json, undefined_text
from asd_core.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Ranking:
    """How well scores rank labelled clips, whatever the threshold.

    Parameters
    ----------
    n_normal, n_anomalous
        Clips of each class.
    auc_pooled
        AUC of all clips together, with its 95 % interval; None where there is one class only.
    auc_mean, pauc_mean
        AUC and partial AUC, averaged over the machine ids that have both classes; None where no id has.
    per_id
        Figures of each machine id.
    ids_excluded
        Ids of one class only.
    reason
        Why `auc_pooled` is None.
    """

    n_normal: int
    n_anomalous: int
    auc_pooled: Interval | None
    auc_mean: Interval | None
    pauc_mean: Interval | None
    per_id: Mapping[str, IdFigures]
    ids_excluded: tuple[str, ...]
    reason: str | None = None

    @property
    def areas(self) -> dict[str, Interval | None]:
        """The three areas under their names, the mean over ids first."""
        return {"auc_mean": self.auc_mean, "auc_pooled": self.auc_pooled, "pauc_mean": self.pauc_mean}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which figures are missing or not reliable, and why."""
        lines = [f"id {name}: {each.reason}" for name, each in self.per_id.items() if each.reason]
        few = [
            name for name, each in self.per_id.items() if 0 < each.n_normal < MIN_NORMALS_FOR_PAUC and each.n_anomalous
        ]
        if few:
            lines.append(f"pauc not reliable: fewer than {MIN_NORMALS_FOR_PAUC} normal clips of id {', '.join(few)}")
        if self.reason is not None:
            lines.append(f"auc_pooled: {self.reason}")
        lines += [
            f"{name}: {undefined_text(each)}"
            for name, each in self.areas.items()
            if each is not None and each.limits is None
        ]
        return tuple(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        names = ("auc_pooled", "auc_mean", "pauc_mean")
        return {
            **{f"{name}_ci": limits_json(self.areas[name]) for name in names},
            "n_normal": self.n_normal,
            "n_anomalous": self.n_anomalous,
            **{name: estimate_of(self.areas[name]) for name in names},
            "ids_excluded": list(self.ids_excluded),
            "per_id": {name: _id_json(each) for name, each in self.per_id.items()},
        }


@dataclass(frozen=True)
class Decisions:
    """What a threshold decides on labelled clips.

    Parameters
    ----------
    threshold
        With its rule and promise.
    confusion
        Counts of the decisions; None where the rule gave no threshold.
    """

    threshold: Threshold
    confusion: Confusion | None

    @property
    def observed_fpr(self) -> Interval | None:
        """The false-alarm rate with Wilson's 95 % interval; None without a threshold or without normal clips."""
        if self.confusion is None or not self.confusion.n_normal:
            return None
        return uncertainty.wilson(self.confusion.fp, self.confusion.n_normal)

    @property
    def per_class(self) -> dict[str, ClassFigures]:
        """Precision, recall, F1 and support, seen from either class; empty without a threshold."""
        return {} if self.confusion is None else self.confusion.per_class()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        observed, decided = self.observed_fpr, self.confusion
        threshold = {**self.threshold.to_json(), "observed_fpr": estimate_of(observed)}
        if observed is not None:
            threshold["observed_fpr_ci"] = limits_json(observed)
        return {
            "threshold": threshold,
            "confusion": None if decided is None else asdict(decided),
            "accuracy": None if decided is None else decided.accuracy,
            "per_class": {name: asdict(each) for name, each in self.per_class.items()} or None,
        }


@dataclass(frozen=True)
class Summary:
    """Labelled scores summed up.

    Parameters
    ----------
    optimism
        For a rule that uses the labels: what it gives on clips that it was not chosen on; None for other rules, and
        where there are too few clips to tell.
    """

    ranking: Ranking
    decisions: Decisions
    optimism: Optimism | None = None

    @property
    def threshold(self) -> Threshold:
        """The threshold that decided."""
        return self.decisions.threshold

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`; `optimism` is there for rules that use the labels."""
        told = None if self.optimism is None else asdict(self.optimism)
        return {
            **self.ranking.to_json(),
            "warnings": list(self.ranking.warnings),
            **self.decisions.to_json(),
            **({"optimism": told} if self.threshold.uses_test_labels else {}),
        }


def _id_json(figures: IdFigures) -> dict[str, Any]:
    return {
        "auc": figures.auc,
        "pauc": figures.pauc,
        "n_normal": figures.n_normal,
        "n_anomalous": figures.n_anomalous,
    }


def ranking(scores: Scores, *, seed: int = 0) -> Ranking:
    """Return the areas under the ROC of labelled scores, with 95 % bootstrap intervals.

    Parameters
    ----------
    seed
        Of the bootstrap.
    """
    labels, values, ids = scores.is_anomalous, scores.anomaly_scores, scores.machine_ids
    per_id = metrics.per_id(labels, values, ids)
    intervals: Mapping[str, Interval] = {}
    reason = None
    try:
        intervals = uncertainty.bootstrap(labels, values, machine_ids=ids, seed=seed)
    except UndefinedMetricError as error:
        reason = str(error)
    return Ranking(
        n_normal=int((~labels).sum()),
        n_anomalous=int(labels.sum()),
        auc_pooled=intervals.get("auc_pooled"),
        auc_mean=intervals.get("auc_mean"),
        pauc_mean=intervals.get("pauc_mean"),
        per_id=per_id,
        ids_excluded=metrics.mean_over_ids(per_id).ids_excluded,
        reason=reason,
    )


def summarise(scores: Scores, threshold: Threshold, *, per_id: bool = False, seed: int = 0) -> Summary:
    """Sum up labelled scores at a threshold.

    Parameters
    ----------
    per_id
        Decide each clip by its own id's threshold.
    seed
        Of bootstrap and optimism.

    Raises
    ------
    ThresholdError
        `per_id`, but the ids have no thresholds of their own.
    """
    if per_id and threshold.per_id is None:
        raise ThresholdError(
            f"rule {threshold.rule} gives no threshold for each id: some id has too few held-out clips"
        )
    labels, values = scores.is_anomalous, scores.anomaly_scores
    in_force = threshold.for_ids(scores.machine_ids) if per_id else threshold.value
    return Summary(
        ranking=ranking(scores, seed=seed),
        decisions=Decisions(threshold, _confusion(labels, values, in_force)),
        optimism=_optimism(labels, values, threshold, seed=seed),
    )


def _confusion(labels: BoolArray, values: FloatArray, in_force: npt.ArrayLike | None) -> Confusion | None:
    return None if in_force is None else metrics.confusion_at(labels, values, in_force)


def _optimism(labels: BoolArray, values: FloatArray, threshold: Threshold, *, seed: int) -> Optimism | None:
    if not threshold.uses_test_labels:
        return None
    try:
        return label_rules.optimism(
            threshold.rule, labels, values, rule_value=threshold.rule_value, prior=threshold.prior, seed=seed
        )
    except UndefinedMetricError:
        return None
