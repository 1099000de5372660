"""Figures of a ranking or of decisions, as pure functions on arrays.

Labels: True is anomalous. Scores: higher is stranger. AUC and pAUC equal the official DCASE 2020 Task 2 evaluator's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation.checks import checked_labelled
from asd_core.evaluation.operating import operating_points
from asd_core.evaluation.thresholds import is_anomalous as decided_anomalous
from asd_core.types import BoolArray, FloatArray

PAUC_MAX_FPR = 0.1
"""The false-alarm rate up to which DCASE measures the partial AUC."""


@dataclass(frozen=True, eq=False)
class RocCurve:
    """The ROC at every distinct threshold, none left out.

    Parameters
    ----------
    fpr, tpr
        Shape (n_distinct + 1,), rising from 0 to 1.
    thresholds
        Shape (n_distinct + 1,), falling. The first is Inf (no alarm at all): replace it before writing JSON.
    false_positives, true_positives
        Shape (n_distinct + 1,), int64: the counts behind the rates.
    n_normal, n_anomalous
        Clips of each class, from 1.
    """

    fpr: FloatArray
    tpr: FloatArray
    thresholds: FloatArray
    false_positives: npt.NDArray[np.int64]
    true_positives: npt.NDArray[np.int64]
    n_normal: int
    n_anomalous: int


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall of the anomalous class at each distinct score, from the highest; shape (n_distinct,)."""

    precision: FloatArray
    recall: FloatArray
    thresholds: FloatArray


@dataclass(frozen=True, eq=False)
class DetCurve:
    """False-alarm and miss rates at every point of the ROC; shape (n_distinct + 1,), the first threshold is Inf."""

    fpr: FloatArray
    fnr: FloatArray
    thresholds: FloatArray


def roc_curve(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> RocCurve:
    """Return the ROC with all distinct thresholds; a point equals the confusion matrix at its threshold.

    Raises
    ------
    InputError
        Not one label for each score, labels other than True/False, or NaN or Inf among the scores.
    UndefinedMetricError
        No clips, or only one class.
    """
    points = operating_points(is_anomalous, anomaly_scores)
    return RocCurve(
        fpr=points.false_positives / points.n_normal,
        tpr=points.true_positives / points.n_anomalous,
        thresholds=points.thresholds,
        false_positives=points.false_positives,
        true_positives=points.true_positives,
        n_normal=points.n_normal,
        n_anomalous=points.n_anomalous,
    )


def precision_recall_curve(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> PrecisionRecallCurve:
    """Return TP / (TP + FP) and TP / (TP + FN) at each distinct score; raises as `roc_curve` does."""
    roc = roc_curve(is_anomalous, anomaly_scores)
    alarms = roc.true_positives[1:] + roc.false_positives[1:]
    return PrecisionRecallCurve(roc.true_positives[1:] / alarms, roc.tpr[1:], roc.thresholds[1:])


def det_curve(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> DetCurve:
    """Return false-alarm and miss rates at every point of the ROC; raises as `roc_curve` does."""
    roc = roc_curve(is_anomalous, anomaly_scores)
    return DetCurve(roc.fpr, (roc.n_anomalous - roc.true_positives) / roc.n_anomalous, roc.thresholds)


def auc(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> float:
    """Return the area under the ROC, in [0, 1], half credit for ties (Mann-Whitney U / (n_normal * n_anomalous)).

    Raises
    ------
    InputError, UndefinedMetricError
        See `roc_curve`.
    """
    return _auc_of(roc_curve(is_anomalous, anomaly_scores))


def pauc(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike, *, max_fpr: float = PAUC_MAX_FPR) -> float:
    """Return the partial AUC for FPR in [0, max_fpr], standardised after McClish (1989).

    With A the area under the ROC up to p = max_fpr, linear between its points: 0.5 (1 + (A - p^2/2) / (p - p^2/2)).
    A perfect ranking has 1, constant scores 0.5; at p = 0.1 the lowest possible value is 0.47368.

    Parameters
    ----------
    is_anomalous, anomaly_scores
        Shape (n,) each.
    max_fpr
        In (0, 1]; 1 gives the AUC.

    Raises
    ------
    InputError, UndefinedMetricError
        See `roc_curve`; also `max_fpr` out of its range.
    """
    if not 0 < max_fpr <= 1:
        raise InputError(f"max_fpr must lie in (0, 1], got {max_fpr}")
    return _pauc_of(roc_curve(is_anomalous, anomaly_scores), max_fpr)


def _auc_of(roc: RocCurve) -> float:
    # Whole numbers up to the one division: exact.
    heights = roc.true_positives[1:] + roc.true_positives[:-1]
    return float(np.diff(roc.false_positives) @ heights) / (2 * roc.n_normal * roc.n_anomalous)


def _pauc_of(roc: RocCurve, max_fpr: float) -> float:
    stop = int(np.searchsorted(roc.fpr, max_fpr, side="right"))
    fpr = np.append(roc.fpr[:stop], max_fpr)
    tpr = np.append(roc.tpr[:stop], np.interp(max_fpr, roc.fpr[stop - 1 : stop + 1], roc.tpr[stop - 1 : stop + 1]))
    area = float(np.trapezoid(tpr, fpr))
    return mcclish(area, max_fpr=max_fpr)


_AreaT = TypeVar("_AreaT", float, FloatArray)


def mcclish(area: _AreaT, *, max_fpr: float) -> _AreaT:
    """Return an area under the ROC up to `max_fpr` on the scale where chance is 0.5 and perfection 1."""
    least = max_fpr**2 / 2
    return 0.5 * (1 + (area - least) / (max_fpr - least))


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class, each in [0, 1]; None where the figure's denominator is zero."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions; positive means anomalous."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n_normal(self) -> int:
        """Normal clips."""
        return self.tn + self.fp

    @property
    def n_anomalous(self) -> int:
        """Anomalous clips."""
        return self.fn + self.tp

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions; None without clips."""
        return _share(self.tn + self.tp, self.n_normal + self.n_anomalous)

    @property
    def fpr(self) -> float | None:
        """Share of the normal clips that raise an alarm; None without normal clips."""
        return _share(self.fp, self.n_normal)

    @property
    def tpr(self) -> float | None:
        """Share of the anomalous clips that are found; None without anomalous clips."""
        return _share(self.tp, self.n_anomalous)

    def per_class(self) -> dict[str, ClassFigures]:
        """Return precision, recall, F1 = 2 TP / (2 TP + FP + FN) and support, seen from either class."""
        return {
            "normal": _class_figures(hits=self.tn, false_claims=self.fn, misses=self.fp, support=self.n_normal),
            "anomalous": _class_figures(hits=self.tp, false_claims=self.fp, misses=self.fn, support=self.n_anomalous),
        }

    def per_class_at_mix(self, *, n_normal: int, n_anomalous: int) -> dict[str, ClassFigures]:
        """Return what `per_class` would be at the same two rates in a test set of so many clips of each class.

        Recall stays as it is; precision and F1 depend on the class mix. Empty where this matrix lacks a class.
        """
        if self.fpr is None or self.tpr is None:
            return {}
        fp, tp = self.fpr * n_normal, self.tpr * n_anomalous
        tn, fn = n_normal - fp, n_anomalous - tp
        return {
            "normal": _class_figures(hits=tn, false_claims=fn, misses=fp, support=n_normal),
            "anomalous": _class_figures(hits=tp, false_claims=fp, misses=fn, support=n_anomalous),
        }


def _class_figures(*, hits: float, false_claims: float, misses: float, support: int) -> ClassFigures:
    return ClassFigures(
        precision=_share(hits, hits + false_claims),
        recall=_share(hits, hits + misses),
        f1=_share(2 * hits, 2 * hits + false_claims + misses),
        support=support,
    )


def confusion_at(
    is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike, threshold: float | npt.ArrayLike
) -> Confusion:
    """Return the confusion matrix at a threshold; one class, or no clips, is allowed.

    Parameters
    ----------
    is_anomalous, anomaly_scores
        Shape (n,) each.
    threshold
        One number, or shape (n,): one for each clip, see `Threshold.for_ids`.

    Raises
    ------
    InputError
        See `roc_curve`; also NaN thresholds, or not one for each clip.
    """
    labels, scores = checked_labelled(is_anomalous, anomaly_scores)
    alarms = decided_anomalous(scores, threshold)
    return Confusion(
        tn=int((~alarms & ~labels).sum()),
        fp=int((alarms & ~labels).sum()),
        fn=int((~alarms & labels).sum()),
        tp=int((alarms & labels).sum()),
    )


@dataclass(frozen=True)
class IdFigures:
    """AUC and pAUC of one machine id; both None where `reason` says why."""

    auc: float | None
    pauc: float | None
    n_normal: int
    n_anomalous: int
    reason: str | None = None


@dataclass(frozen=True)
class MeanFigures:
    """Arithmetic means over the ids that have both classes, and the names of the others.

    Means are None where no id has both classes.
    """

    auc_mean: float | None
    pauc_mean: float | None
    ids_included: tuple[str, ...]
    ids_excluded: tuple[str, ...]


def clips_by_id(machine_ids: Sequence[str], *, n_clips: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the positions of each id's clips, ids in sorted order.

    Raises
    ------
    InputError
        Another number of ids than clips.
    """
    names = np.asarray(machine_ids, dtype=str)
    if names.shape != (n_clips,):
        raise InputError(f"there must be one machine id for each of {n_clips} clips, got {names.size}")
    return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}


def clips_of_both_classes(labels: BoolArray, machine_ids: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Return the positions of each id's clips, for the ids that have both classes, in sorted order.

    Raises
    ------
    UndefinedMetricError
        No id has both classes.
    InputError
        Another number of ids than clips.
    """
    groups = clips_by_id(machine_ids, n_clips=len(labels)).values()
    both = [own for own in groups if labels[own].any() and not labels[own].all()]
    if not both:
        raise UndefinedMetricError("not defined: no id has normal and anomalous clips")
    return both


def per_id(
    is_anomalous: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    machine_ids: Sequence[str],
    *,
    max_fpr: float = PAUC_MAX_FPR,
) -> dict[str, IdFigures]:
    """Return AUC and pAUC of each machine id, ids in sorted order.

    Raises
    ------
    InputError
        See `pauc`; also not one id for each clip.
    """
    labels, scores = checked_labelled(is_anomalous, anomaly_scores)
    groups = clips_by_id(machine_ids, n_clips=len(labels))
    return {name: _id_figures(labels[clips], scores[clips], max_fpr) for name, clips in groups.items()}


def _id_figures(labels: npt.NDArray[np.bool_], scores: FloatArray, max_fpr: float) -> IdFigures:
    n_anomalous = int(labels.sum())
    n_normal = len(labels) - n_anomalous
    try:
        return IdFigures(auc(labels, scores), pauc(labels, scores, max_fpr=max_fpr), n_normal, n_anomalous)
    except UndefinedMetricError as error:
        return IdFigures(None, None, n_normal, n_anomalous, str(error))


def mean_over_ids(figures: Mapping[str, IdFigures]) -> MeanFigures:
    """Return DCASE's average: the arithmetic mean over ids, those with one class only left out and named."""
    aucs = {name: each.auc for name, each in figures.items() if each.auc is not None}
    paucs = [each.pauc for each in figures.values() if each.pauc is not None]
    return MeanFigures(
        auc_mean=float(np.mean(list(aucs.values()))) if aucs else None,
        pauc_mean=float(np.mean(paucs)) if paucs else None,
        ids_included=tuple(aucs),
        ids_excluded=tuple(name for name in figures if name not in aucs),
    )
