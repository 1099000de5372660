"""Trivial numbers of a clip are what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asd_core.data.clips import Clip
from asd_core.errors import InputError
from asd_core.evaluation.metrics import auc, mcclish
from asd_core.evaluation.trivial import best_number, directed, mean_aucs
from asd_core.features.trivial import names, numbers, numbers_of
from asd_core.types import SR, Waveform


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


def test_the_best_number_is_chosen_by_the_mean_over_ids_in_its_better_direction():
    clips = [clip(label, name) for name in ("00", "02") for label in ("normal", "normal", "anomalous", "anomalous")]
    falls = np.array([4.0, 3.0, 2.0, 3.5, 14.0, 13.0, 12.0, 11.0])
    level = np.array([1.0, 4.0, 2.0, 3.0, 1.0, 4.0, 2.0, 3.0])
    best = best_number(clips, {"level": level, "falls": falls})
    assert (best.name, best.more_is_anomalous, best.n_numbers, best.n_clips) == ("falls", False, 2, 8)
    assert best.auc_per_id == {"00": 0.75, "02": 1.0}
    assert best.auc_mean == 0.875
    assert best.auc_pooled == auc([each.label == "anomalous" for each in clips], -falls)
    assert best.pauc_mean == pytest.approx((mcclish(0.5 * 0.1, max_fpr=0.1) + 1.0) / 2)
    assert best.to_json()["auc_per_id"] == {"00": 0.75, "02": 1.0}


def test_without_an_id_of_both_classes_no_number_is_best():
    assert best_number([clip("normal"), clip("anomalous", "02")], {"x": np.array([1.0, 2.0])}) is None


def test_numbers_of_a_clip_are_taken_once_where_it_has_a_cache():
    class Remembering(Waveform):
        def _derived(self, name, compute):
            kept = vars(self).setdefault("kept", {})
            kept[name] = kept[name] if name in kept else compute()
            vars(self).update(n_asked=vars(self).get("n_asked", 0) + 1)
            return kept[name]

    sound = Remembering(np.random.default_rng(2).normal(0, 0.1, 4096).astype(np.float32), digest="x")
    found = numbers_of(sound)
    assert found == numbers(sound.samples)
    assert numbers_of(sound) == found
    assert (len(sound.kept), sound.n_asked) == (1, 2)
    assert all(name in next(iter(sound.kept)) for name in names())


def test_silence_has_numbers_and_a_clip_that_is_too_short_has_none():
    assert all(np.isfinite(list(numbers(np.zeros(4096, dtype=np.float32)).values())))
    with pytest.raises(InputError, match="at least 2048 samples"):
        numbers_of(Waveform(np.zeros(2047, dtype=np.float32)))
