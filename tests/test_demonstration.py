"""What a detector is shown with, and how good it is in words."""

from __future__ import annotations

import numpy as np
import pytest

from asd_core.errors import InputError
from asd_core.evaluation.demonstration import demonstration, score_build_up
from asd_core.evaluation.in_words import FaultsFound, faults_found
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.types import AnomalyMap


def clips(label, scores, machine_id="00"):
    return [
        ScoredClip(f"{label}_{machine_id}_{i}", machine_id, "test", label, "", "d", s) for i, s in enumerate(scores)
    ]


def test_the_faults_found_are_those_at_the_last_point_within_the_rate():
    normal = clips("normal", np.arange(100) / 100)  # 5 of 100 are at 0.95 or higher
    anomalous = clips("anomalous", [0.935] * 17 + [0.95] * 40 + [2.0] * 43)
    found = faults_found(Scores((*normal, *anomalous, *clips("unlabelled", [9.0]))))
    assert found == FaultsFound(83, 100, 5, 100)
    assert found.text == "finds 83 of 100 faults at 5 false alarms in 100"
    assert faults_found(Scores((*normal, *anomalous)), false_alarm_rate=0.0).n_found == 43


def test_shares_are_said_per_hundred_with_their_counts():
    found = FaultsFound(124, 150, 7, 150)
    assert found.text == "finds 83 of 100 faults at 5 false alarms in 100"
    assert found.counts == "124 of 150 anomalous clips, with 7 false alarms on 150 normal"
    assert FaultsFound(100, 200, 1, 100).text == "finds 50 of 100 faults at 1 false alarm in 100"


def test_few_clips_are_counted_as_they_are():
    found = faults_found(Scores((*clips("normal", [0.1] * 12), *clips("anomalous", [1.0] * 8 + [0.0] * 2))))
    assert found.text == "finds 8 of 10 anomalous clips, with 0 false alarms on 12 normal"


def test_one_class_alone_says_nothing():
    assert faults_found(Scores(tuple(clips("normal", [1.0, 2.0])))) is None
    assert faults_found(Scores(tuple(clips("anomalous", [1.0, 2.0])))) is None
    assert faults_found(Scores(())) is None
    with pytest.raises(InputError, match="from 0 to below 1"):
        faults_found(Scores(()), false_alarm_rate=5)


def test_the_clips_shown_are_in_the_middle_and_of_one_machine():
    every = (
        *clips("anomalous", [0.2, 1.5, 9.0, 1.6, 3.0, 1.0], "02"),
        *clips("normal", [0.1, 0.9, 0.3, 0.2], "02"),
        *clips("normal", [0.0] * 9, "00"),
    )
    shown = demonstration(Scores(every), threshold=1.0)
    assert (shown.anomalous.anomaly_score, shown.normal.anomaly_score) == (1.6, 0.3)  # of 1.0, 1.5, 1.6, 3.0, 9.0
    assert shown.normal.machine_id == "02"


def test_a_normal_clip_of_another_machine_stands_in_and_nothing_found_is_no_demonstration():
    found, other = clips("anomalous", [2.0], "02"), clips("normal", [0.5], "00")
    assert demonstration(Scores((*found, *other)), threshold=1.0).normal.machine_id == "00"
    assert demonstration(Scores((*found, *other)), threshold=3.0) is None
    assert demonstration(Scores(tuple(found)), threshold=1.0) is None


@pytest.mark.parametrize(
    "values", [[[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]], [[2.0], [-1.0], [2.0]], [[-1.0], [-2.0], [-0.5]]]
)
def test_a_score_builds_up_to_itself(values):
    values = np.array(values)
    steps = np.arange(3.0)
    curve = score_build_up(AnomalyMap(values, steps, np.full(values.shape[1], np.nan)), 1.2)
    assert curve[-1] == pytest.approx(1.2)
    assert (np.diff(curve) >= 0).all()
    expected = [0.6, 0.6, 1.2] if values.max() > 0 else [0.4, 0.8, 1.2]
    np.testing.assert_allclose(curve, expected)
