"""Maps in normal spreads, strange bands, and the lesson from errors to a score: labels, scales and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import CALIBRATION
from printed import after, before, drawn, figures, line_with, metrics_of, text_of
from sounds import hum

from asd_core.detectors import detector_class
from asd_core.detectors.error_spectrum import share_of_largest
from asd_core.errors import UsageError
from asd_core.evaluation.thresholds import Threshold
from asd_core.formats import score_text
from asd_core.reports import html
from asd_core.reports.plots import map_limit
from asd_core.types import AnomalyMap
from pages.parts.check import bands
from pages.parts.learn import networks as learn_networks
from pages.parts.learn import pooling as learn_pooling
from pages.shared import listening
from pages.shared.cache import Heard

POOLED = ("mahalanobis", "combined", "mean")
QUICK = {"epochs": 2, "windows_per_epoch": 64, "batch_size": 16}
CONFORMAL = Threshold(1.5, "conformal", False, 0.1, 31)


@pytest.fixture(scope="module")
def trained():
    """A small network, pooled in each way: the weights are the same."""
    clips = [hum(seed) for seed in range(12)]
    by_pooling = {}
    for pooling in POOLED:
        kind = detector_class("lstm_predictor")
        by_pooling[pooling] = kind.from_preset("quick", hidden=8, layers=1, pooling=pooling, **QUICK).fit(clips)
    return by_pooling


def made(threshold: float = 1.5, title: str = "A"):
    return SimpleNamespace(
        title=title,
        detector_name="lstm_predictor",
        threshold=replace(CONFORMAL, value=threshold),
        manifest=SimpleNamespace(calibration=CALIBRATION),
        folder=Path("a"),
        digest="a",
    )


def spreads(low: float = -1.0) -> Heard:
    """A map in normal spreads whose second step is the highest in its last band, and below normal elsewhere."""
    values = np.full((3, 2), low)
    values[1, -1] = 3.25
    return Heard(0.9, AnomalyMap(values, np.array([0.48, 1.44, 2.4]), np.array([150.0, 2000.0]), "spreads"), ())


def test_a_map_in_normal_spreads_has_one_scale_whatever_the_threshold_and_the_clip():
    for unit in ("spreads", "times_normal"):
        assert map_limit(np.full((2, 2), -3.0), 1.06, unit=unit) == 12.0
        assert map_limit(np.full((2, 2), 90.0), None, unit=unit) == 12.0
    assert map_limit(np.ones((2, 2)), 0.5) == 6.0
    assert listening._scale_texts(1.06, 12.0, unit="spreads") == ("normal", "12 spreads above")
    assert listening._scale_texts(1.06, 12.0, unit="times_normal") == ("0", "12 × normal")
    assert listening._scale_texts(0.5, 6.0, unit="error") == ("0", "12 × threshold")


def test_the_strangest_place_of_a_map_in_spreads_is_told_with_its_distance_from_normal():
    text = listening.loudest_text(spreads())
    assert text == "strangest at 1.44 s near 2.0 kHz: 3.2 normal spreads above what is normal there"
    times = replace(spreads().anomaly_map, unit="times_normal")
    assert listening.loudest_text(Heard(0.9, times, ())).endswith("2.0 kHz: 3.2 times what is normal there")
    assert listening.spreads_text(-0.46) == "0.5 normal spreads below what is normal there"


def test_a_maps_label_says_whether_it_is_squared_error_or_normal_spreads():
    panel = listening._map_panel(made(), spreads(), hum(0), listening.Size())
    assert panel.label == "A: error in normal spreads above what is normal in its band"
    assert (panel.scale.low, panel.scale.high) == ("normal", "12 spreads above")
    squared = spreads()
    for unit, label in (
        ("error", "squared error"),
        ("times_normal", "error as a multiple of what is normal in its band"),
    ):
        other = replace(squared, anomaly_map=replace(squared.anomaly_map, unit=unit))
        assert listening._map_panel(made(), other, hum(0), listening.Size()).label == f"A: {label}"


def test_the_strangest_place_is_the_highest_of_a_map_that_lies_below_normal_everywhere():
    assert listening.strangest_place(Heard(0.1, spreads(-9.0).anomaly_map, ())) == (1.44, 2000.0)


def test_the_chart_of_strange_bands_names_the_strangest_one_of_each_network(trained, monkeypatch):
    monkeypatch.setattr(bands, "detector", lambda _: trained["mahalanobis"])
    clip = hum(99)
    score, found = trained["mahalanobis"].anomaly_score_and_map(clip)
    strangeness = trained["mahalanobis"].band_strangeness(found)
    heard = {"lstm_predictor": Heard(score, found, ())}
    app = drawn(lambda: bands.strange_bands({"lstm_predictor": made()}, heard))
    line = line_with(text_of(app), "normal spreads")
    assert after(line, "A:") == f"{abs(strangeness.max()):.1f}"
    assert f"{strangeness.max():.1f} normal spreads" in app.get("vega_lite_chart")[0].proto.alt


def test_a_network_without_errors_of_normal_clips_has_no_chart_of_bands(trained, monkeypatch):
    state = {key: array for key, array in trained["mean"].state.items() if not key.startswith("error_")}
    old = (
        detector_class("lstm_predictor")
        .from_preset("quick", hidden=8, layers=1, pooling="mean", **QUICK)
        .restore(state)
    )
    monkeypatch.setattr(bands, "detector", lambda _: old)
    heard = Heard(*old.anomaly_score_and_map(hum(99)), ())
    app = drawn(lambda: bands.strange_bands({"lstm_predictor": made()}, {"lstm_predictor": heard}))
    assert not app.subheader
    assert not app.get("vega_lite_chart")
    with pytest.raises(UsageError, match="train it again"):
        old.band_strangeness(heard.anomaly_map)


def test_an_error_spectrum_is_the_mean_over_time_of_the_squared_errors_whatever_the_maps_unit(trained):
    clip = hum(98)
    squared = trained["mean"].anomaly_map(clip)
    expected = squared.values.mean(axis=0)
    for pooling, unit in (("mean", "error"), ("mahalanobis", "spreads"), ("combined", "times_normal")):
        found = trained[pooling].anomaly_map(clip)
        assert found.unit == unit
        np.testing.assert_allclose(trained[pooling].error_spectrum(found), expected, rtol=1e-9)


def test_the_share_of_the_largest_errors_is_of_their_sum():
    assert share_of_largest(np.array([1.0, 5.0, 2.0, 2.0]), 1) == 0.5
    assert share_of_largest(np.array([1.0, 5.0, 2.0, 2.0]), 3) == 0.9


@pytest.mark.parametrize("pooling", POOLED)
def test_the_lesson_shows_every_number_and_its_verdict_is_by_the_detectors_own(trained, monkeypatch, pooling):
    clip, network = hum(97), trained[pooling]
    score, found = network.anomaly_score_and_map(clip)
    for page in (learn_pooling, learn_networks):
        monkeypatch.setattr(page, "detector", lambda _: network)
        monkeypatch.setattr(page, "heard", lambda *_: Heard(score, found, ()))
    monkeypatch.setattr(learn_pooling, "_scores", lambda *_: network.scores_by_pooling(clip))
    squared = trained["mean"].anomaly_map(clip).values
    errors, distance = squared.mean(axis=1), trained["mahalanobis"].anomaly_score(clip)

    def lesson():
        learn_pooling.from_errors_to_score(made(), clip, errors, found.times_s, at=0, what="predictions")

    app = drawn(lesson)
    text = text_of(app)
    relative = trained["mean"].scores_by_pooling(clip)["relative"]
    assert f"**{score_text(float(squared.mean()))}**" in line_with(text, "errors is")
    assert f"**{score_text(distance)}**" in line_with(text, "The Mahalanobis distance")
    assert next(iter(metrics_of(app).values())) == score_text(score)
    own = line_with(text, "This detector takes")
    if pooling == "combined":
        assert [each.removesuffix(".") for each in own.split() if each[0].isdigit()] == [
            score_text(relative),
            score_text(distance),
        ]
        assert f"**{score_text((relative * distance) ** 0.5)}**" in own
    else:
        assert ("distance" if pooling == "mahalanobis" else "mean") in own
    line = line_with(text, "Why not the mean alone?")
    assert f"**{score_text(relative)}**" in line
    normal, spectrum = network.normal_errors, squared.mean(axis=0)
    strangest = int(normal.strangeness(spectrum).argmax())
    loudest = np.sort(normal.mean)[-13:].sum() / normal.mean.sum()
    assert after(line, "a tenth of all, have") == f"{100 * loudest:.1f}"
    assert before(line, "normal spreads above") == f"{normal.strangeness(spectrum).max():.1f}"
    assert figures(line.split("normal there, and has")[1])[0] == f"{100 * spectrum[strangest] / spectrum.sum():.1f}"


def test_the_picture_of_a_windows_errors_keeps_the_scale_of_errors_when_the_score_is_a_distance(trained, monkeypatch):
    monkeypatch.setattr(learn_pooling, "detector", lambda _: trained["mahalanobis"])
    usual = float(trained["mahalanobis"].normal_errors.mean.mean())
    assert learn_pooling.usual_error(made(threshold=1.06)) == pytest.approx(usual)
    assert usual < 0.5


def test_a_reports_map_says_its_unit_and_how_far_its_colours_reach():
    def entry(unit, n_bands=2):
        found = AnomalyMap(np.ones((3, n_bands)), np.arange(3.0), np.arange(1.0, n_bands + 1), unit)
        return SimpleNamespace(
            detector=SimpleNamespace(anomaly_score_and_map=lambda _: (0.9, found)),
            summary=SimpleNamespace(threshold=replace(CONFORMAL, value=0.5)),
            assessment=SimpleNamespace(title="A", artifact=SimpleNamespace(simulated=False)),
        )

    assert html._map(entry("error"), hum(0))["scale"] == "squared error, 0 to 6"
    assert html._map(entry("times_normal"), hum(0))["scale"].endswith("what is normal in its band, 0 to 12")
    assert html._map(entry("spreads"), hum(0))["scale"].startswith("error in normal spreads above")
    assert html._map(entry("error", 1), hum(0))["scale"] == ""
