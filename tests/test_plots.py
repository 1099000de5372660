"""Figures keep what they are told: positions, colours, counts, and the words for what is cut off."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from asd_core.errors import InputError
from asd_core.evaluation.metrics import roc_curve
from asd_core.reports import plots


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def spec_of(chart) -> dict:
    return json.loads(chart.to_json())


def drawn_counts(chart) -> dict[str, float]:
    """Class -> share drawn, from the rows of the bars."""
    shares: dict[str, float] = {}
    spec = spec_of(chart)
    for layer in spec["layer"]:
        if layer["mark"]["type"] == "bar":
            for row in spec["datasets"][layer.get("data", spec.get("data"))["name"]]:
                shares[row["class"]] = shares.get(row["class"], 0) + row["share"]
    return shares


@pytest.mark.parametrize("n_samples", [1, 7, 1999, 2000, 2001, 160_000])
def test_envelope_keeps_extremes_wherever_they_are(n_samples):
    samples = np.zeros(n_samples, dtype=np.float32)
    samples[n_samples // 3] = 0.9
    samples[-1] -= 0.7
    lowest, highest = plots.waveform_envelope(samples)
    assert len(lowest) == len(highest) == min(2000, n_samples)
    assert lowest.min() == samples.min()
    assert highest.max() == samples.max()
    assert (lowest <= highest).all()


@pytest.mark.parametrize("samples", [[], [[0.0, 1.0]]])
def test_envelope_refuses_what_is_no_signal(samples):
    with pytest.raises(InputError, match="n_samples"):
        plots.waveform_envelope(np.array(samples))


def test_waveform_figure_is_light_and_ends_with_the_clip():
    figure = plots.waveform_figure(np.sin(np.arange(160_000)), 16_000)
    assert len(figure.to_json()) < 60_000
    assert tuple(figure.layout.xaxis.range) == (0, 10)


@pytest.mark.parametrize("palette", plots.PALETTES)
def test_heatmap_puts_time_right_and_low_bands_down(palette):
    values = np.zeros((5, 3))  # (n_steps, n_bands)
    values[4, 0] = 1.0
    picture = pixels(plots.heatmap_png(values, low=0, high=1, palette=palette))
    assert picture.shape == (3, 5, 3)
    bright = picture.sum(axis=2) == picture.sum(axis=2).max()
    assert np.argwhere(bright).tolist() == [[2, 4]]


def test_heatmap_colours_are_those_of_the_palette():
    picture = pixels(plots.heatmap_png(np.array([[0.0], [1.0]]), low=0, high=1, palette="viridis"))
    assert picture[0, 0].tolist() == [0x44, 0x01, 0x54]
    assert picture[0, 1].tolist() == [0xFD, 0xE7, 0x25]


def test_heatmap_clips_and_survives_values_that_are_not_finite():
    values = np.array([[-5.0, np.nan, -np.inf, 0.0], [9.0, np.inf, 1.0, 1.0]])
    picture = pixels(plots.heatmap_png(values, low=0, high=1))
    assert len({tuple(pixel) for pixel in picture[:, 0]}) == 1
    assert len({tuple(pixel) for pixel in picture[:, 1]}) == 1


def test_one_band_becomes_a_strip_of_the_asked_height():
    picture = pixels(plots.heatmap_png(np.arange(10.0)[:, None], low=0, high=9, height_px=24))
    assert picture.shape == (24, 10, 3)
    assert (picture == picture[:1]).all()


def test_constant_map_is_drawn():
    assert pixels(plots.heatmap_png(np.full((4, 2), 3.0), low=3.0, high=3.0)).shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("values", "limits", "palette", "words"),
    [
        (np.zeros(4), (0, 1), "viridis", "n_bands"),
        (np.zeros((0, 4)), (0, 1), "viridis", "n_bands"),
        (np.zeros((4, 4)), (1, 0), "viridis", "low <= high"),
        (np.zeros((4, 4)), (0, np.inf), "viridis", "finite limits"),
        (np.zeros((4, 4)), (0, 1), "jet", "viridis, cividis, magma"),
    ],
)
def test_heatmap_names_the_broken_rule(values, limits, palette, words):
    with pytest.raises(InputError, match=words):
        plots.heatmap_png(values, low=limits[0], high=limits[1], palette=palette)


def test_frequency_ticks_lie_at_the_middle_of_their_band():
    bands_hz = np.array([500.0, 1000.0, 2000.0, 4000.0])
    ticks = plots.frequency_ticks(bands_hz, ticks_hz=(250, 500, 1000, 1500, 4000))
    assert ticks == ((0.125, "500 Hz"), (0.375, "1 kHz"), (0.5, "1.5 kHz"), (0.875, "4 kHz"))


def test_histogram_states_what_it_cuts_off():
    normal = np.linspace(1, 2, 990)
    anomalous = np.concatenate([np.linspace(1, 2, 1000), np.full(10, 1e6)])
    chart = plots.score_histogram(normal, anomalous, threshold=1.5)
    assert "0 normal, 10 anomalous" in " ".join(spec_of(chart)["title"]["subtitle"])
    assert drawn_counts(chart)["Anomalous"] == pytest.approx(1000 / 1010, abs=1e-4)


def test_histogram_without_tails_draws_every_clip():
    chart = plots.score_histogram([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], central_share=1.0)
    assert drawn_counts(chart) == pytest.approx({"Normal": 1.0, "Anomalous": 1.0}, abs=1e-4)
    assert "title" not in spec_of(chart)


def test_histogram_draws_normal_clips_upwards_and_anomalous_ones_downwards():
    spec = spec_of(plots.score_histogram([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], central_share=1.0))
    rows = [row for name in spec["datasets"] for row in spec["datasets"][name] if row.get("share")]
    assert {row["class"] for row in rows if row["drawn"] > 0} == {"Normal"}
    assert {row["class"] for row in rows if row["drawn"] < 0} == {"Anomalous"}
    assert all(abs(row["drawn"]) == row["share"] for row in rows)


def test_histogram_takes_in_a_near_threshold_and_names_a_far_one():
    near = spec_of(plots.score_histogram([1.0, 2.0], [2.0, 3.0], threshold=3.5, central_share=1.0))
    far = spec_of(plots.score_histogram([1.0, 2.0], [2.0, 3.0], threshold=50.0, central_share=1.0))
    assert [layer["mark"]["type"] for layer in near["layer"]] == ["bar", "line", "rule", "text"]
    assert [layer["mark"]["type"] for layer in far["layer"]] == ["bar", "line"]
    assert far["title"]["subtitle"] == ["The threshold 50 lies outside the axis"]


@pytest.mark.parametrize("threshold", [None, np.inf, -np.inf])
def test_histogram_draws_no_rule_without_a_finite_threshold(threshold):
    layers = spec_of(plots.score_histogram([1.0, 2.0], [2.0, 3.0], threshold=threshold))["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["bar", "line"]


def test_histogram_of_equal_scores_and_one_class_is_drawn():
    assert drawn_counts(plots.score_histogram([0.0] * 5, [])) == {"Normal": pytest.approx(1.0)}


def test_log_axis_needs_positive_scores():
    with pytest.raises(InputError, match="positive scores"):
        plots.score_histogram([-1.0, 2.0], [3.0], log_axis=True)


@pytest.mark.parametrize("scores", [[np.nan, 1.0], [[1.0]]])
def test_histogram_refuses_scores_it_cannot_count(scores):
    with pytest.raises(InputError, match="finite"):
        plots.score_histogram(np.array(scores), [1.0])


def test_histogram_needs_a_score():
    with pytest.raises(InputError, match="at least 1 score"):
        plots.score_histogram([], [])


def test_roc_overlay_draws_chance_then_curves_and_points():
    rates = np.linspace(0, 1, 5)
    curves = [
        plots.RocCurve("LSTM, AUC 0.941", rates, np.sqrt(rates), "#CC79A7", "dash", point=(0.1, 0.6)),
        plots.RocCurve("GRU, AUC 0.892", rates, rates, "#56B4E9"),
    ]
    figure = plots.roc_overlay(curves)
    names = [trace.name for trace in figure.data]
    assert names == ["chance", "LSTM, AUC 0.941", "LSTM, AUC 0.941: operating point", "GRU, AUC 0.892"]
    np.testing.assert_allclose(figure.data[1].y, np.sqrt(rates), rtol=1e-6)
    assert figure.layout.shapes[0].x1 == 0.1


def test_learning_curves_count_epochs_from_one():
    figure = plots.learning_curves({"training": [3.0, 2.0, 1.0], "held-out": [3.5]})
    assert [list(trace.x) for trace in figure.data] == [[1, 2, 3], [1]]


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_differ_and_can_be_seen_in_both_themes():
    colours = [plots.NORMAL_COLOUR, plots.ANOMALOUS_COLOUR, *plots.DETECTOR_COLOURS.values()]
    assert len(set(colours)) == len(colours)
    assert all(contrast(colour, ground) > 2 for colour in colours for ground in ("#ffffff", "#0e1117"))
    assert min(contrast(plots.NEUTRAL_COLOUR, ground) for ground in ("#ffffff", "#0e1117")) > 4
    assert plots.DETECTOR_DASHES.keys() == plots.DETECTOR_COLOURS.keys()


def test_lines_near_zero_are_seen_beside_far_ones_when_asked_for():
    lines = [plots.Line("a", np.array([-1.0, 0.5, 200.0]), "#123456")]
    near, even = (
        plots.lines_chart([1, 2, 3], lines, x_title="x", y_title="y", symlog_y=asked).to_json()
        for asked in (True, False)
    )
    assert '"symlog"' in near
    assert '"symlog"' not in even


def test_edges_cover_the_central_scores_and_not_an_outlier():
    scores = np.append(np.linspace(0, 1, 1000), 50.0)
    edges = plots.score_edges(scores)
    assert len(edges) == 41
    np.testing.assert_allclose(np.diff(edges), (edges[-1] - edges[0]) / 40)
    assert -0.02 < edges[0] < 0.01
    assert 0.99 < edges[-1] < 1.05
    assert (np.diff(plots.score_edges([3.0, 3.0])) > 0).all()


def staircase(n):
    rng = np.random.default_rng(1)
    labels = rng.random(n) < 0.5
    return roc_curve(labels, rng.standard_normal(n) + labels)


def test_a_thinned_curve_leaves_out_what_no_screen_shows():
    curve = staircase(30_987)
    drawn = plots.along_curve(curve.fpr, curve.tpr)
    assert 1000 < len(drawn) <= plots.MAX_CURVE_POINTS
    assert drawn[0] == 0
    assert drawn[-1] == len(curve.fpr) - 1
    way = curve.fpr + curve.tpr
    assert np.diff(way[drawn]).max() <= 2 * 2.0 / (plots.MAX_CURVE_POINTS - 2)


def test_a_small_curve_and_a_small_cloud_stay_whole():
    curve = staircase(1_101)
    assert plots.along_curve(curve.fpr, curve.tpr).tolist() == list(range(len(curve.fpr)))
    assert plots.seen_marks(np.zeros((50, 2)), ["normal"] * 50).tolist() == list(range(50))


def test_figures_of_a_large_set_hold_no_more_points_than_a_screen_shows():
    curve = staircase(30_987)
    overlay = plots.roc_overlay([plots.RocCurve("x", curve.fpr, curve.tpr, "#009E73")])
    det = plots.det_figure(curve.fpr, 1 - curve.tpr, point=(0.1, 0.1), colour="#009E73")
    for figure in (overlay, det):
        assert max(len(trace.x) for trace in figure.data) <= plots.MAX_CURVE_POINTS


def test_marks_left_out_hide_behind_one_of_their_own_group():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((30_987, 2))
    groups = ["normal" if normal else "rail" for normal in rng.random(len(points)) < 0.9]
    drawn = plots.seen_marks(points, groups)
    assert plots.MAX_MARKS // 2 < len(drawn) <= plots.MAX_MARKS
    assert len(np.unique(drawn)) == len(drawn)
    assert {groups[row] for row in drawn} == {"normal", "rail"}
    span = np.ptp(points, axis=0)
    for row in range(0, len(points), 500):
        same = [other for other in drawn if groups[other] == groups[row]]
        assert (np.abs(points[same] - points[row]) / span).max(axis=1).min() < 0.05


def test_boxes_of_a_large_class_are_drawn_from_their_figures():
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal(30_987), np.arange(30_987) % 2 == 0
    ids = [f"{row % 4:02d}" for row in range(30_987)]
    figure = plots.scores_by_id(scores, labels, ids, threshold=0.0)
    own = scores[~labels & (np.array(ids) == "01")]
    box = figure.data[0]
    assert box.median[list(box.x).index("id 01")] == pytest.approx(np.median(own))
    assert box.upperfence[list(box.x).index("id 01")] <= own.max()
    assert sum(len(outliers) for box in figure.data for outliers in box.y) <= 2 * 4 * 200
    assert len(figure.to_json()) < 60_000
