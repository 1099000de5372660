"""The one scale on which scores of unlike detectors are shown: 0.5 is the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asd_core.errors import InputError
from asd_core.evaluation.common_scale import on_common_scale
from asd_core.evaluation.thresholds import is_anomalous

NUMBERS = st.floats(-1e300, 1e300, allow_subnormal=True)
NORMAL = st.lists(NUMBERS, max_size=30)


@given(threshold=NUMBERS, normal=NORMAL)
def test_the_threshold_is_at_a_half_exactly(threshold, normal):
    assert on_common_scale(threshold, threshold=threshold, normal_scores=normal) == 0.5


@given(scores=st.lists(NUMBERS, min_size=1, max_size=20), threshold=NUMBERS, normal=NORMAL)
@example(scores=[-9007199254740994.0, -6004799503160661.0], threshold=0.0, normal=[])
def test_a_place_rises_with_the_score_and_is_on_the_side_of_its_verdict(scores, threshold, normal):
    scores = np.sort(scores)
    places = on_common_scale(scores, threshold=threshold, normal_scores=normal)
    assert ((places >= 0) & (places <= 1)).all()
    assert (np.diff(places) >= 0).all()
    assert ((places >= 0.5) == is_anomalous(scores, threshold)).all()


def test_the_median_normal_clip_is_at_a_quarter_and_one_as_far_above_the_threshold_at_three_quarters():
    normal = [1.0, 2.0, 3.0]
    places = on_common_scale([2.0, 8.0, 5.0 + 27.0], threshold=5.0, normal_scores=normal)
    assert places == pytest.approx([0.25, 0.75, 0.95])


def test_a_change_of_the_scores_unit_moves_nothing():
    scores, normal = np.array([0.3, 0.7, 2.0]), np.array([0.1, 0.4, 0.5])
    here = on_common_scale(scores, threshold=0.6, normal_scores=normal)
    assert on_common_scale(1000 * scores - 7, threshold=593.0, normal_scores=1000 * normal - 7) == pytest.approx(here)


def test_a_threshold_below_most_normal_clips_is_measured_by_how_far_they_spread():
    normal = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    places = on_common_scale([0.5 + 2.0 / 1.349, 0.5], threshold=0.5, normal_scores=normal)
    assert places == pytest.approx([0.75, 0.5])


@pytest.mark.parametrize("normal", [[], [2.0], [2.0, 2.0]])
def test_without_a_spread_the_threshold_itself_is_the_unit(normal):
    assert on_common_scale(4.0, threshold=2.0, normal_scores=normal) == pytest.approx(0.75)
    assert on_common_scale(1.0, threshold=0.0, normal_scores=[]) == pytest.approx(0.75)


@pytest.mark.parametrize("bad", [{"anomaly_scores": [np.nan]}, {"threshold": np.inf}, {"normal_scores": [np.nan]}])
def test_what_is_not_finite_has_no_place(bad):
    with pytest.raises(InputError, match="finite"):
        on_common_scale(**{"anomaly_scores": [1.0], "threshold": 1.0, "normal_scores": [0.0], **bad})
