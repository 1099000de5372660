"""The same clip in noise, through a band, amplified, and what becomes of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sounds import hum

from asd_core.detectors.what_if import (
    Change,
    changed,
    clipped_share,
    in_normal_spreads,
    spread_evenly,
)
from asd_core.errors import InputError
from asd_core.types import SR, Waveform


@dataclass
class Loudness:
    """Scores a clip by its level in dB."""

    def anomaly_score(self, clip: Waveform) -> float:
        return float(20 * np.log10(np.sqrt(np.mean(np.square(clip.samples.astype(float))))))


def tones():
    t = np.arange(2 * SR) / SR
    samples = 0.2 * np.sin(2 * np.pi * 300 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    return Waveform(samples.astype(np.float32), digest="tones")


def level_at(samples, hz):
    t = np.arange(len(samples)) / SR
    return 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz * t)))


def test_no_change_gives_the_very_clip():
    clip = tones()
    assert changed(clip, Change()) is clip
    assert changed(clip, Change(seed=3)) is clip


def test_gain_in_decibels_scales_the_samples():
    louder = changed(tones(), Change(gain_db=6))
    np.testing.assert_allclose(louder.samples, tones().samples * 10**0.3, rtol=1e-5, atol=1e-7)


def test_noise_has_the_level_asked_for():
    clip = tones()
    noise = changed(clip, Change(snr_db=10)).samples - clip.samples
    ratio_db = 20 * np.log10(np.std(clip.samples) / np.std(noise))
    assert ratio_db == pytest.approx(10, abs=0.1)


def test_noise_is_settled_by_its_seed():
    clip = tones()
    one, again, other = (changed(clip, Change(snr_db=0, seed=seed)).samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_band_keeps_its_tone_and_drops_the_other():
    dull = changed(tones(), Change(high_hz=1000)).samples
    assert level_at(dull, 300) == pytest.approx(0.2, rel=0.01)
    assert level_at(dull, 3000) < 1e-3
    assert len(dull) == tones().n_samples


def test_the_microphone_passes_no_noise_outside_its_band():
    clip = hum(1)
    heard = changed(clip, Change(snr_db=0, high_hz=2000)).samples
    power = np.square(np.abs(np.fft.rfft(heard)))
    hz = np.fft.rfftfreq(len(heard), 1 / SR)
    assert power[hz > 3000].sum() < 1e-6 * power.sum()


def test_what_exceeds_full_scale_is_cut_off_and_counted():
    loud = changed(tones(), Change(gain_db=20))
    assert np.abs(loud.samples).max() == 1.0
    assert 0.3 < clipped_share(loud) < 1.0
    assert clipped_share(tones()) == 0.0


def test_silence_stays_silent():
    silent = Waveform(np.zeros(SR, np.float32), digest="silence")
    assert not changed(silent, Change(snr_db=0, gain_db=40)).samples.any()


def test_clips_and_changes_have_digests_of_their_own():
    clip, nameless = tones(), Waveform(tones().samples)
    digests = {
        changed(clip, Change(gain_db=1)).digest,
        changed(clip, Change(gain_db=2)).digest,
        changed(clip, Change(gain_db=1, snr_db=5)).digest,
        changed(nameless, Change(gain_db=1)).digest,
        changed(Waveform(-nameless.samples), Change(gain_db=1)).digest,
        clip.digest,
    }
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"gain_db": 61}, "gain_db must be within"),
        ({"gain_db": float("nan")}, "gain_db must be within"),
        ({"snr_db": -121}, "snr_db must be within"),
        ({"low_hz": 500, "high_hz": 400}, "a band must lie in"),
        ({"high_hz": 9000}, "a band must lie in"),
    ],
)
def test_impossible_changes_are_refused(wrong, rule):
    with pytest.raises(InputError, match=rule):
        Change(**wrong)


def test_distance_to_the_threshold_is_counted_in_spreads_of_normal_scores():
    normal = np.array([1.0, 3.0])  # standard deviation 1
    at = in_normal_spreads(np.array([5.0, 7.0, 4.0]), threshold=5.0, normal_scores=normal)
    np.testing.assert_allclose(at, [0.0, 2.0, -1.0])
    assert np.isnan(in_normal_spreads(np.array([5.0]), threshold=5.0, normal_scores=np.array([2.0, 2.0]))).all()


def test_few_clips_are_taken_from_every_label_and_id():
    labels = [False] * 6 + [True] * 6
    ids = ["00", "00", "00", "00", "02", "02"] * 2
    picked = spread_evenly(labels, ids, at_most=4)
    assert {(labels[at], ids[at]) for at in picked} == {(False, "00"), (False, "02"), (True, "00"), (True, "02")}
    assert spread_evenly(labels, ids, at_most=100) == list(range(12))
    with pytest.raises(InputError, match="at least 1 clip"):
        spread_evenly(labels, ids, at_most=0)
