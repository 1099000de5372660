"""Points of a ROC and the clips that flip between two thresholds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_core.evaluation.metrics import confusion_at, roc_curve
from asd_core.evaluation.operating import cells, flips, point_of, share_below, threshold_at

SCORES = np.array([0.1, 0.4, 0.4, 0.7, 0.9])
LABELS = np.array([False, False, True, True, True])


@given(st.floats(-1, 2))
def test_the_point_of_any_threshold_has_its_confusion_matrix(threshold):
    curve = roc_curve(LABELS, SCORES)
    point = point_of(curve.thresholds, threshold)
    confusion = confusion_at(LABELS, SCORES, threshold)
    assert (curve.false_positives[point], curve.true_positives[point]) == (confusion.fp, confusion.tp)


def test_flips_are_the_clips_between_two_thresholds_loudest_first():
    assert flips(SCORES, 0.8, 0.4).tolist() == [3, 1, 2]
    assert flips(SCORES, 0.4, 0.8).tolist() == [3, 1, 2]
    assert flips(SCORES, 0.41, 0.69).tolist() == []


def test_each_clip_falls_in_its_cell():
    assert cells(LABELS, SCORES, 0.4).tolist() == ["true normal", "false alarm", *["true alarm"] * 3]
    assert cells(LABELS, SCORES, 0.8).tolist()[2:] == ["miss", "miss", "true alarm"]


def test_share_below_counts_strictly_smaller_scores():
    assert share_below(SCORES, 0.4) == 0.2
    assert share_below([], 0.4) is None


def test_a_point_and_its_threshold_name_each_other():
    curve = roc_curve(LABELS, SCORES)
    for point in range(len(curve.thresholds)):
        threshold = threshold_at(curve.thresholds, point)
        assert np.isfinite(threshold)
        assert point_of(curve.thresholds, threshold) == point
