"""The numbers of axes: at least three, round, never a letter for a power of ten; and every figure has them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import PROJECT

from asd_core.errors import InputError
from asd_core.reports import plots
from asd_core.reports.plots import Cloud, Line, RocCurve
from asd_core.reports.plots.curves import learning_curves
from asd_core.reports.plots.ticks import LEAST_TICKS, MOST_TICKS, log_ticks, nice_ticks, tick_text
from asd_core.reports.svg import Curve, by_id_svg, histogram_svg

SPANS = st.tuples(st.floats(-1e4, 1e4), st.floats(1e-4, 1e6))
TINY = np.array([1.5e-10, 2e-10, 4e-10])


@given(SPANS)
def test_a_linear_axis_has_at_least_three_numbers_evenly_apart(span):
    low, high = span[0], span[0] + span[1]
    ticks = nice_ticks(low, high)
    assert LEAST_TICKS <= len(ticks) <= MOST_TICKS
    assert low - 1e-6 * span[1] <= ticks[0]
    assert ticks[-1] <= high + 1e-6 * span[1]
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0], rtol=1e-3)


@given(st.floats(1e-9, 1e6), st.floats(1.01, 1e9))
def test_a_logarithmic_axis_has_at_least_three_numbers_within_it(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert LEAST_TICKS <= len(ticks) <= MOST_TICKS
    assert low * (1 - 1e-9) <= ticks[0]
    assert ticks[-1] <= low * ratio * (1 + 1e-9)
    assert ticks == sorted(set(ticks))


def test_powers_of_ten_are_taken_where_they_suffice_and_steps_between_them_where_not():
    assert log_ticks(0.5, 2e3) == [1.0, 10.0, 100.0, 1000.0]
    assert log_ticks(0.9, 40.0) == [1.0, 3.0, 10.0, 30.0]
    assert nice_ticks(0.0, 1.0) == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (3.0, 1.0)])
def test_an_axis_that_cannot_be_is_refused(ends):
    with pytest.raises(InputError):
        log_ticks(*ends)
    if ends[1] <= ends[0]:
        with pytest.raises(InputError, match="must end above"):
            nice_ticks(*ends)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0002, "0.0002"), (0.25, "0.25"), (-3.0, "-3"), (20_000.0, "20,000"), (1.5e-10, "1.5e-10")],
)
def test_a_number_of_an_axis_is_plain_or_a_power_and_never_a_letter(value, text):
    assert tick_text(value) == text


def axes(figure):
    return [each for name, each in figure.to_plotly_json()["layout"].items() if name.startswith(("xaxis", "yaxis"))]


def figures():
    """Every figure of Plotly that pages draw, over numbers that are tiny where that can be."""
    curve = RocCurve("one", np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.7, 1.0]), "#009E73", point=(0.2, 0.7))
    points = np.column_stack([TINY, TINY])
    rates = np.array([0.002, 0.05, 0.5])
    yield plots.roc_overlay([curve])
    yield plots.learning_curves({"training": TINY.tolist()}, log_axis=True, unit="mean squared error")
    yield plots.learning_curves({"training": TINY.tolist()}, unit="mean squared error")
    yield plots.det_figure(rates, rates[::-1], point=(0.05, 0.05), colour="#009E73")
    yield plots.band_figure([0.0, 500.0, 1000.0], [1e-10, 2e-10], colour="#009E73")
    yield plots.score_scatter([Cloud("a", points, "#009E73")], x_title="Day")
    yield plots.score_plane([0, 1], [0, 1], [[-1, 1], [-1, 1]], [], x_title="First", y_title="Second")
    yield plots.scores_by_id(TINY, [False, True, False], ["00", "00", "02"], threshold=2e-10)
    yield plots.waveform_figure(np.array([0.0, 0.5, -0.5], dtype=np.float32), 16_000)


def test_every_axis_has_a_title_and_no_letter_for_a_power_of_ten():
    for figure in figures():
        for axis in axes(figure):
            assert axis["title"]["text"], axis
            writes_powers = axis.get("exponentformat") == "power"
            assert writes_powers or "tickformat" in axis or "ticktext" in axis or axis["title"]["text"] in UNIT_FREE


UNIT_FREE = ("Time (s)", "Amplitude (1 = full scale)")
"""Axes whose numbers are of a known size."""


def test_losses_have_numbers_on_a_logarithmic_axis_however_near_they_lie():
    for losses in ([0.71, 0.7, 0.69], [1.0, 0.01, 0.0001], [0.5]):
        axis = learning_curves({"training": losses}, log_axis=True).layout.yaxis
        assert axis.type == "log"
        assert len(axis.tickvals) >= LEAST_TICKS
        low, high = (10**end for end in axis.range)
        assert all(low <= tick <= high for tick in axis.tickvals)
        assert low < min(losses) <= max(losses) < high


def test_a_loss_of_0_has_a_linear_axis():
    assert learning_curves({"training": [0.0, 1.0]}, log_axis=True).layout.yaxis.type is None


def test_lines_over_time_write_half_a_second_in_full():
    chart = plots.lines_chart([0.0, 0.5, 1.0], [Line("a", np.ones(3), "#009E73")], x_title="Time (s)", y_title="Error")
    formats = {layer["encoding"]["x"]["axis"]["format"] for layer in chart.to_dict()["layer"]}
    assert formats == {",~r"}


def test_pictures_of_reports_have_three_numbers_along_their_scores_and_shares():
    normal, anomalous = np.linspace(0.001, 0.004, 30), np.linspace(0.002, 0.009, 30)
    histogram = histogram_svg(normal, anomalous, thresholds={"": 0.004})
    assert histogram.count('text-anchor="middle"') >= LEAST_TICKS
    assert histogram.count(" %</text>") >= 2
    assert by_id_svg({"00": (normal, anomalous)}, threshold=None).count('text-anchor="middle"') >= LEAST_TICKS


@pytest.mark.parametrize("name", plots.DETECTOR_COLOURS)
def test_a_detectors_curve_in_a_report_has_the_colour_and_a_dash_of_its_own(name):
    rates = np.array([0.0, 1.0])
    curves = {other: Curve.of_detector(other, "", rates, rates) for other in plots.DETECTOR_COLOURS}
    assert curves[name].colour == plots.DETECTOR_COLOURS[name]
    assert len({curve.dash for curve in curves.values()}) == len(curves)
    assert (curves[name].dash == "") == (plots.DETECTOR_DASHES[name] == "solid")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_no_axis_of_vega_writes_ten_as_1e_1():
    """Vega gives a format without digits those of the step between ticks: `~g` would write -10 as `-1e+1`."""
    folder = PROJECT / "asd_core" / "reports" / "plots"
    formats = [found for path in folder.glob("*.py") for found in re.findall(r'"([^"\s]*~[a-z])"', path.read_text())]
    assert "~r" in formats
    assert [each for each in formats if each.endswith("~g") and not re.search(r"\d", each)] == []


def test_a_symmetric_logarithmic_axis_has_its_numbers_within_the_lines():
    line = Line("a", np.array([-4.0, 0.5, 40.0]), "#009E73")
    chart = plots.lines_chart([0.0, 0.5, 1.0], [line], x_title="Noise (dB)", y_title="Spreads", symlog_y=True)
    (values,) = {tuple(layer["encoding"]["y"]["axis"]["values"]) for layer in chart.to_dict()["layer"]}
    assert values == (-3, -1, 0, 1, 3, 10, 30)
