"""What a verdict says beside its numbers, whatever the threshold is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from asd_core.errors import InputError
from asd_core.reports.plots import heatmap_png, map_limit
from pages.parts.check import verdicts
from pages.shared import listening


def said(threshold: float | None, anomaly_score: float = 0.006) -> str:
    artifact = SimpleNamespace(threshold=SimpleNamespace(value=threshold), encoder_id=None)
    return verdicts._times(artifact, SimpleNamespace(anomaly_score=anomaly_score))


def test_a_score_is_compared_with_a_threshold_above_0_alone():
    assert said(0.002) == " (**3.00** times the threshold)"
    for threshold in (0.0, -0.0, -0.002, None):
        assert said(threshold) == ""


@pytest.mark.parametrize("threshold", [None, 0.0, -0.5])
def test_a_map_without_a_threshold_above_0_is_drawn_and_its_scale_says_its_own_limit(threshold):
    values = np.tile(np.linspace(0, 1, 101), (3, 1))
    limit = map_limit(values, threshold)
    assert limit == pytest.approx(0.99)
    assert listening._limit_text(threshold, limit) == "0.99"
    assert heatmap_png(values, low=0.0, high=limit).startswith(b"\x89PNG")
    with pytest.raises(InputError):
        heatmap_png(values, low=0.0, high=-6.0)


def test_a_map_with_a_threshold_has_one_scale_for_all_clips():
    assert map_limit(np.ones((2, 2)), 0.5) == 6.0
    assert listening._limit_text(0.5, 6.0) == "12 × threshold"
