"""Trivial numbers of a clip are what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asd_core.data.clips import Clip
from asd_core.evaluation.trivial import directed, mean_aucs
from asd_core.features.trivial import numbers
from asd_core.types import SR


def clip(label, machine_id="00"):
    return Clip(Path(label), label, machine_id, "test", label)


def test_numbers_of_a_sine_and_of_noise():
    sine = numbers((0.1 * np.sin(2 * np.pi * 1000 * np.arange(SR) / SR)).astype(np.float32))
    assert sine["kurtosis"] == pytest.approx(1.5, abs=0.01)
    assert sine["crest factor"] == pytest.approx(np.sqrt(2), abs=0.01)
    assert sine["level"] == pytest.approx(-23.01, abs=0.01)
    assert sine["zero crossings"] == pytest.approx(2000 / SR, rel=0.01)
    assert sine["spectral centroid"] == pytest.approx(1000, abs=5)
    assert sine["share below 500 Hz"] < 1e-3
    noise = numbers(np.random.default_rng(0).normal(0, 0.1, 4 * SR).astype(np.float32))
    assert noise["kurtosis"] == pytest.approx(3, abs=0.05)
    assert noise["peaks beyond 4 standard deviations"] == pytest.approx(6.3e-5, abs=6e-5)
    assert noise["share above 4 kHz"] == pytest.approx(0.5, abs=0.02)
    assert noise["spectral flatness"] > 0.9 > 0.1 > sine["spectral flatness"]
    assert len(noise) >= 12


def test_clicks_raise_the_kurtosis_of_the_second_difference_most():
    rumble = np.convolve(np.random.default_rng(1).normal(0, 0.5, SR), np.hanning(50) / 50, mode="same")
    clicks = np.zeros(SR)
    clicks[::2000] = 0.05
    before, after = (numbers(sound.astype(np.float32)) for sound in (rumble, rumble + clicks))
    ratios = {name: after[name] / before[name] for name in before if name.startswith("kurtosis")}
    assert ratios["kurtosis of the second difference"] > 10 > 1.5 > ratios["kurtosis"]


def test_the_better_direction_is_chosen_once_for_all_sets():
    clips = [clip("normal"), clip("normal"), clip("anomalous"), clip("anomalous")]
    up, down = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 2.5])
    aucs = [mean_aucs(clips, {"up": up, "down": down}), mean_aucs(clips, {"up": up, "down": -down})]
    assert aucs[0] == {"up": 1.0, "down": 0.0}
    assert directed(aucs) == {"up": [1.0, 1.0], "down": [0.0, 1.0]}
    assert directed(aucs[:1]) == {"up": [1.0], "down": [1.0]}


def test_the_mean_is_over_ids_not_over_clips():
    clips = [clip("normal"), clip("anomalous"), *[clip("normal", "02")] * 2, *[clip("anomalous", "02")] * 2]
    values = np.array([0.0, 1.0, 5.0, 6.0, 5.5, 5.5])
    assert mean_aucs(clips, {"x": values}) == {"x": 0.75}
