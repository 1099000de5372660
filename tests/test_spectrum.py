"""Spectra keep levels and positions whatever the window, and the plane and the boundary are those of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_core.errors import InputError
from asd_core.features.log_mel import log_mel
from asd_core.features.spectra import (
    HOPS,
    MAX_BANDS,
    MAX_STEPS,
    SCALES,
    WINDOWS,
    mean_spectrum,
    mean_spectrum_hz,
    principal_plane,
    spectrogram,
    spectrum_spread,
)
from asd_core.reports import plots

NOISE = np.random.default_rng(0).normal(0, 0.05, 80_000).astype(np.float32)


def tone(hz: float, seconds: float = 5.0, level: float = 0.1) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000)


@pytest.mark.parametrize("n_samples", [1, 512, 15_999, 80_000])
def test_the_default_is_what_the_networks_see(n_samples):
    drawn = spectrogram(NOISE[:n_samples])
    np.testing.assert_allclose(drawn.levels_db, log_mel(NOISE[:n_samples]), atol=1e-4)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("window", WINDOWS)
def test_noise_has_one_level_whatever_the_window_and_axis(window, scale):
    drawn = spectrogram(NOISE, window=window, scale=scale)
    inner = drawn.levels_db[8:-8, 10:-10]
    power_db = 10 * np.log10(np.power(10.0, inner / 10).mean())
    assert power_db == pytest.approx(10 * np.log10(0.05**2 / 8000) + 52.94, abs=0.3)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("hz", [300.0, 1000.0, 5000.0])
def test_a_tone_lies_in_the_band_of_its_frequency(hz, scale):
    drawn = spectrogram(tone(hz), window=2048, scale=scale)
    loudest = int(drawn.levels_db.mean(axis=0).argmax())
    assert loudest == np.abs(drawn.bands_hz - hz).argmin()


@pytest.mark.parametrize("hop", HOPS)
def test_a_click_lies_at_its_time(hop):
    samples = np.zeros(160_000)
    samples[48_000] = 0.5
    drawn = spectrogram(samples, window=2 * max(hop, 128), hop_length=hop)
    at = int(drawn.levels_db.max(axis=1).argmax())
    start, end = drawn.span_s
    assert start + (at + 0.5) * (end - start) / len(drawn.levels_db) == pytest.approx(3.0, abs=max(hop / 16_000, 0.02))


def test_a_ten_minute_clip_stays_a_small_picture():
    drawn = spectrogram(np.zeros(16_000 * 600, dtype=np.float32), window=1024, hop_length=1024, scale="linear")
    assert drawn.levels_db.shape[0] <= MAX_STEPS
    assert drawn.levels_db.shape[1] <= MAX_BANDS
    assert (drawn.levels_db == -100).all()


@pytest.mark.parametrize(
    ("samples", "options", "match"),
    [
        ([], {}, "n_samples"),
        ([np.nan], {}, "finite"),
        ([0.0], {"scale": "bark"}, "scale"),
        ([0.0], {"window": 0}, "window"),
        ([0.0], {"hop_length": 0}, "hop"),
    ],
)
def test_what_is_no_spectrogram_is_refused(samples, options, match):
    with pytest.raises(InputError, match=match):
        spectrogram(np.array(samples), **options)


def test_the_mean_spectrum_has_the_level_of_noise_and_the_place_of_a_tone():
    assert mean_spectrum(NOISE).mean() == pytest.approx(-12.1, abs=0.3)
    assert mean_spectrum_hz()[mean_spectrum(tone(2000.0)).argmax()] == 2000.0
    assert mean_spectrum(np.zeros(10)).shape == mean_spectrum_hz().shape


def test_the_spread_holds_the_middle_four_fifths_and_the_mean_of_the_power():
    rows = np.repeat(np.arange(0.0, 101.0)[:, None], 3, axis=1)
    spread = spectrum_spread(rows)
    assert spread.low_db.tolist() == [10.0] * 3
    assert spread.high_db.tolist() == [90.0] * 3
    assert spread.n_clips == 101
    assert spectrum_spread([[0.0], [10 * np.log10(3)]]).mean_db[0] == pytest.approx(10 * np.log10(2))
    with pytest.raises(InputError, match="at least 1 clip"):
        spectrum_spread(np.zeros((0, 4)))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_lifting_a_shadow_gives_the_shadow_and_a_cut_through_a_row_holds_it(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(12, 30)) * np.linspace(3, 0.1, 30)
    plane = principal_plane(rows)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-9)
    points = rng.normal(size=(5, 2))
    np.testing.assert_allclose(plane.project(plane.lift(points)), points, atol=1e-9)
    other = rng.normal(size=30)
    np.testing.assert_allclose(plane.lift(plane.project(other[None]), through=other)[0], other, atol=1e-9)
    assert 0 < plane.shares[1] <= plane.shares[0] <= 1


def test_the_plane_holds_the_widest_spread_and_does_not_flip():
    rows = np.random.default_rng(0).normal(size=(200, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1] + 5
    plane = principal_plane(rows)
    points = plane.project(rows)
    assert np.corrcoef(points[:, 0], rows[:, 0])[0, 1] > 0.999
    assert plane.shares[0] > plane.shares[1] > 0.05
    assert sum(plane.shares) <= 1
    np.testing.assert_allclose(principal_plane(rows[::-1]).axes, plane.axes, atol=1e-9)


def test_rows_on_one_line_have_one_direction_and_equal_rows_none():
    line = np.outer([0.0, 1.0, 3.0], np.ones(4))
    plane = principal_plane(line)
    assert plane.shares == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(plane.project(line), [[-8 / 3, 0], [-2 / 3, 0], [10 / 3, 0]], atol=1e-9)
    equal = principal_plane(np.ones((3, 4)))
    assert equal.shares == (0.0, 0.0)
    assert not equal.project(np.ones((3, 4))).any()


@pytest.mark.parametrize("rows", [np.zeros((1, 4)), np.zeros((3, 1)), [[0.0, 1.0], [np.nan, 2.0]]])
def test_one_row_one_number_or_no_number_is_no_plane(rows):
    with pytest.raises(InputError, match="at least 2 finite rows"):
        principal_plane(rows)


def test_a_lines_chart_keeps_lines_bands_and_rules():
    x = np.array([20.0, 200.0, 2000.0])
    band = plots.Line("a", x / 10, "#111111", low=x / 20, high=x)
    chart = plots.lines_chart(
        x, [band, plots.Line("b", x * np.nan, "#222222")], x_title="Hz", y_title="dB", rules={"t": 5}
    )
    rows = chart.to_dict(validate=True)["datasets"]  # pages do not validate
    assert plots.spec_of(chart)["datasets"] == rows
    drawn = [row for data in rows.values() for row in data]
    assert {"label": "a", "x": 20.0, "y": 2.0, "low": 1.0, "high": 20.0} in drawn
    assert {"label": "b", "x": 200.0, "y": None} in drawn
    assert {"y": 5, "text": "t"} in drawn
    with pytest.raises(InputError, match="axis' shape"):
        plots.lines_chart(x, [plots.Line("a", x[:2], "#111111")], x_title="", y_title="")


def test_cells_keep_their_columns_and_gaps():
    options = {"low": 0, "high": 1, "x_title": "", "y_title": "", "value_title": ""}
    columns = [("1", np.array([0.25, 0.5])), (" ", None), ("2", np.array([1.0, 0.0]))]
    spec = plots.cells_picture(columns, **options, y_ticks=[(0.5, "1 kHz")]).to_dict()
    assert {"c": "2", "r": 0, "v": 1.0} in next(iter(spec["datasets"].values()))
    assert spec["encoding"]["x"]["scale"]["domain"] == ["1", " ", "2"]
    assert spec["encoding"]["y"]["axis"]["values"] == [1.0]
    for wrong in ([], [("1", np.zeros(2)), ("1", np.zeros(2))], [("1", np.zeros(2)), ("2", np.zeros(3))]):
        with pytest.raises(InputError, match="columns"):
            plots.cells_picture(wrong, **options)


def test_a_histogram_counts_every_clip_once():
    classes = {"normal": np.arange(10.0), "anomalous": np.arange(5.0, 20.0)}
    rows = next(iter(plots.histogram(classes, ["#111111", "#222222"], x_title="").to_dict()["datasets"].values()))
    for name, values in classes.items():
        assert sum(row["clips"] for row in rows if row["class"] == name) == len(values)
    assert max(row["to"] for row in rows) <= 25
    with pytest.raises(InputError, match="at least 1 value"):
        plots.histogram({}, [], x_title="")


def test_the_boundary_is_drawn_only_where_scores_change_sign():
    cloud = plots.Cloud("clips", np.zeros((3, 2)), "#111111")
    options = {"x_title": "", "y_title": ""}
    crossing = plots.score_plane([0, 1], [0, 1], [[-1, 1], [-1, 1]], [cloud], **options)
    outside = plots.score_plane([0, 1], [0, 1], [[1, 2], [1, 2]], [cloud], **options)
    assert [trace.type for trace in crossing.data] == ["heatmap", "contour", "scatter"]
    assert [trace.type for trace in outside.data] == ["heatmap", "scatter"]
    with pytest.raises(InputError, match="scores must have shape"):
        plots.score_plane([0, 1], [0, 1], [[1, 2]], [], **options)


def test_a_scatter_has_every_cloud_and_rule():
    figure = plots.score_scatter([plots.Cloud("a", np.ones((2, 2)), "#111111")], x_title="m", rules={"t": 0.5})
    assert [trace.name for trace in figure.data] == ["a"]
    assert figure.layout.annotations[0].text == "t"


def test_the_last_step_of_a_long_clip_is_no_quieter_for_holding_fewer_frames():
    drawn = spectrogram(np.tile(NOISE, 2), window=256, hop_length=64, scale="linear")
    power = np.power(10.0, drawn.levels_db / 10).mean(axis=1)
    assert len(power) == 626
    assert 10 * np.log10(power[-1] / power[1:-1].mean()) > -5  # half of its one frame is beyond the clip: -3 dB
