"""The figure of real and simulated clips: its measurements are right, and real clips stay out of the kept picture."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from asd_core.types import SR


@pytest.fixture(scope="module")
def spectra():
    return pytest.importorskip("benchmarks.spectra")


def tone(modulation_hz, *, carrier_hz=3000.0, depth=0.5, seconds=10):
    times_s = np.arange(seconds * SR) / SR
    envelope = 1 + depth * np.cos(2 * np.pi * modulation_hz * times_s)
    return (0.1 * np.sqrt(envelope) * np.sin(2 * np.pi * carrier_hz * times_s)).astype(np.float32)


def test_a_modulation_is_found_at_its_rate_with_its_power(spectra):
    found = spectra.modulation_spectrum(tone(8.0))
    edges = spectra.MODULATION_HZ
    at = int(np.nanargmax(found))
    assert edges[at] <= 8.0 < edges[at + 1]
    around = slice(at - 1, at + 2)
    power = (10 ** (found[around] / 10) * np.diff(edges)[around]).sum()
    assert power == pytest.approx(0.5**2 / 2, rel=0.15)  # of a cosine of depth 0.5
    assert np.nanmedian(found) < found[at] - 40


def test_what_lies_below_1_khz_does_not_modulate(spectra):
    low = tone(3.0, carrier_hz=300.0)
    with_low, without = spectra.modulation_spectrum(tone(8.0) + low), spectra.modulation_spectrum(tone(8.0))
    at = int(np.digitize(3.0, spectra.MODULATION_HZ)) - 1
    assert with_low[at] < np.nanmax(without) - 40


def test_shares_below_are_those_of_the_sorted_values(spectra):
    curve = spectra.shares_below(np.array([3.0, 1.0, 2.0, 10.0]))
    assert curve.x.tolist() == [1, 2, 3, 10]
    assert curve.y.tolist() == [0.25, 0.5, 0.75, 1]


def test_points_are_placed_on_linear_and_logarithmic_axes(spectra):
    panel = spectra.Panel("x", (1, 100), (0, 1), True, None)
    assert panel.place(np.array([10.0, 1000.0]), np.array([0.25, 2.0])) == "125,135 250,0"
    panel = spectra.Panel("x", (0, 100), (0, 1), False, None)
    assert panel.place(np.array([10.0]), np.array([1.0])) == "25,0"


def test_curves_are_medians_between_tenth_and_ninetieth_percentile(spectra):
    clips = [
        spectra.Measured(np.full(128, -30.0 + step), np.full(40, -20.0 - step), {"level": -step}) for step in range(11)
    ]
    group = spectra.Group("x", "#000000", "", clips)
    curve = spectra.spectrum_curve(group)
    assert (curve.low[5], curve.y[5], curve.high[5]) == pytest.approx((-29, -25, -21))
    curve = spectra.modulation_curve(group)
    assert curve.x[0] == pytest.approx(np.sqrt(spectra.MODULATION_HZ[0] * spectra.MODULATION_HZ[1]))
    assert (curve.low[3], curve.y[3], curve.high[3]) == pytest.approx((-29, -25, -21))
    assert group.values("level").tolist() == [-step for step in range(11)]


def test_simulated_only_draws_no_real_clip(spectra, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(spectra, "N_SIMULATED", 3)
    monkeypatch.setattr(spectra, "real", lambda *_: pytest.fail("opened a real clip"))
    monkeypatch.setattr(sys, "argv", ["spectra", "--out", str(tmp_path), "--simulated-only"])
    spectra.main()
    assert [path.name for path in tmp_path.iterdir()] == [spectra.NAME]
    picture = (tmp_path / spectra.NAME).read_text()
    assert picture.count("<polyline") == 2 * 2 * len(spectra.PANELS)
    assert "nan" not in picture
    assert "real" not in picture
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| id")]
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {12}


@pytest.mark.real_data
def test_real_clips_are_those_of_the_asked_ids_and_label(spectra):
    if not spectra.SHARED.is_dir():
        pytest.skip(f"{spectra.SHARED} is not there")
    assert len(spectra.real(("02", "04"), "anomaly")) == 4
    assert len(spectra.real(("00",), "anomaly")) == 3
