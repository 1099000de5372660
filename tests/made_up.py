"""A summary of made-up figures, each with a value of its own, so that a figure in another's place is seen."""

from __future__ import annotations

from asd_core.artifacts.manifest import CalibrationSummary
from asd_core.evaluation.label_rules import DecisionFigures, Optimism
from asd_core.evaluation.metrics import Confusion, IdFigures
from asd_core.evaluation.summary import Decisions, Ranking, Summary
from asd_core.evaluation.thresholds import Threshold
from asd_core.evaluation.uncertainty import Interval

RANKING = Ranking(
    n_normal=40,
    n_anomalous=10,
    auc_pooled=Interval(0.811, 0.971, 0.911),
    auc_mean=Interval(0.772, 0.932, 0.872),
    pauc_mean=Interval(0.553, 0.753, 0.653),
    per_id={"00": IdFigures(0.954, 0.724, 25, 6), "02": IdFigures(0.795, 0.585, 15, 4)},
    ids_excluded=(),
)
CONFUSION = Confusion(tn=32, fp=8, fn=3, tp=7)
THRESHOLD = Threshold(0.0123456, "conformal", False, 0.1, 20)
CALIBRATION = CalibrationSummary(
    n=20, how="cross_fit", folds=5, n_recordings=13, recordings_from="found", keeps_promises=True
)
OPTIMISM = Optimism(
    naive=DecisionFigures(fpr=0.052, tpr=0.93, f1=0.816, accuracy=0.9),
    honest=DecisionFigures(fpr=0.134, tpr=0.84, f1=0.617, accuracy=0.8),
    n_splits=200,
)
SUMMARY = Summary(RANKING, Decisions(THRESHOLD, CONFUSION), OPTIMISM)
