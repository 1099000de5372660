"""What a verdict says beside its numbers, whatever the threshold is."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import PROJECT, hum

from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.errors import InputError
from asd_core.reports.plots import heatmap_png, map_limit
from asd_core.types import AnomalyMap
from pages.parts.check import verdicts
from pages.shared import listening
from pages.shared.cache import Heard


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


def heard(n_bands: int) -> Heard:
    """A map whose second step is the highest."""
    values = np.zeros((3, n_bands))
    values[1, -1] = 1.0
    bands_hz = np.full(1, np.nan) if n_bands == 1 else np.linspace(100.0, 2000.0, n_bands)
    return Heard(0.9, AnomalyMap(values, np.array([0.48, 1.44, 2.4]), bands_hz), ())


def test_a_map_over_time_only_is_not_said_to_be_strangest_anywhere():
    assert listening.loudest_text(heard(2)) == "strangest at 1.44 s near 2.0 kHz"
    text = listening.loudest_text(heard(1))
    assert text == "highest at 1.44 s; simulated faults are found in time hardly better than by chance"


def test_the_maps_that_may_be_called_strangest_are_those_whose_time_auc_is_above_a_half():
    """By the table of docs/evaluation.md, where a map over time only is marked as such."""
    page = (PROJECT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page.split("## Where a detector hears the anomaly")[1].split("How to read it")[0]
    areas: dict[str, list[float]] = {}
    for line in table.splitlines():
        if found := re.match(r"\| ([^|]+) \| (?:grease|rail) \| \d+ \| [^|]+ \| (0\.\d+) ", line):
            areas.setdefault(found[1], []).append(float(found[2]))
    assert [len(each) for each in areas.values()] == [2] * len(DETECTOR_NAMES)  # a belt is heard all the time
    over_time_only = {title for title in areas if title.endswith("(map over time only)")}
    assert len(over_time_only) == 3
    assert {title for title, each in areas.items() if min(each) < 0.5} == over_time_only


@pytest.mark.parametrize("name", ["vggish_ocsvm", "vggish_knn", "vggish_mahalanobis"])
def test_a_curve_over_time_is_told_as_what_it_is(name):
    clips = [hum(seed) for seed in range(8)]
    detector = detector_class(name).from_preset("quick").fit(clips)
    score, found = detector.anomaly_score_and_map(clips[0])
    trace = listening._trace(SimpleNamespace(title="A", detector_name=name), Heard(score, found, ()), "#000000")
    pools_to_the_score = bool(np.isclose(found.values.mean(), score, rtol=1e-9))
    assert ("whose mean is the clip's" in trace.alt) == pools_to_the_score
    assert ("falls without each patch" in trace.alt) != pools_to_the_score
    assert "strangest" not in trace.alt + trace.note
