"""Sounds taken apart: synthetic ones, whose parts, rhythm and pitch are known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from asd_core.errors import InputError, MissingExtraError
from asd_core.features.librosa_views import constant_q, rhythm, sound_parts
from asd_core.types import SR

SECONDS = 8


def tone(hz, *, amplitude=0.1, seconds=SECONDS):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * SR)) / SR)


def knocks(per_second, *, seconds=SECONDS):
    """Noise bursts of 5 ms."""
    rng = np.random.default_rng(0)
    signal = np.zeros(int(seconds * SR))
    for start in range(SR // 4, len(signal) - 80, int(SR / per_second)):
        signal[start : start + 80] = 0.8 * rng.standard_normal(80) * np.exp(-np.arange(80) / 20)
    return signal


def energy(samples):
    return float(np.square(samples).sum())


def test_a_hum_and_knocks_are_told_apart_and_add_up_to_the_whole():
    hum, clicks = tone(440), knocks(2)
    parts = sound_parts(hum + clicks)
    middle = slice(SR // 2, -SR // 2)  # at its edges a tone begins and ends, which is percussive indeed
    assert energy((parts.harmonic - hum)[middle]) < 0.05 * energy(hum[middle])
    assert energy((parts.percussive - clicks)[middle]) < 0.2 * energy(clicks[middle])
    np.testing.assert_allclose(parts.harmonic + parts.percussive, hum + clicks, atol=1e-6)


@pytest.mark.parametrize(("per_second", "bpm"), [(1, 60), (2, 120), (5, 300)])
def test_knocks_have_their_rhythm_in_beats_per_minute(per_second, bpm):
    found = rhythm(knocks(per_second) + 1e-4 * np.random.default_rng(1).standard_normal(SECONDS * SR))
    assert found.beats_per_minute == pytest.approx(bpm, rel=0.04)
    assert found.strength.shape == (1 + SECONDS * SR // 128, len(found.tempi_bpm))
    assert 0 <= found.strength.min() <= found.strength.max() <= 1


def test_silence_and_steady_noise_have_no_rhythm():
    assert rhythm(np.zeros(3 * SR)).beats_per_minute is None
    for seed in range(5):
        found = rhythm(0.1 * np.random.default_rng(seed).standard_normal(10 * SR))
        assert found.beats_per_minute is None
        assert found.strength.mean() < 0.1


def test_a_tone_peaks_at_its_own_bin_and_at_its_own_level():
    found = constant_q(tone(440, amplitude=0.1))
    mean = found.levels_db[100:-100].mean(axis=0)
    assert found.bins_hz[mean.argmax()] == pytest.approx(440)
    assert mean.max() == pytest.approx(-20, abs=0.5)
    assert found.bins_hz[-1] < SR / 2


@pytest.mark.parametrize("n_samples", [1, 300, SR // 4, SR + 1])
def test_short_clips_keep_their_length(n_samples):
    signal = 0.1 * np.random.default_rng(0).standard_normal(n_samples)
    parts = sound_parts(signal)
    assert parts.harmonic.shape == parts.percussive.shape == (n_samples,)
    for picture, n_steps in ((rhythm(signal).strength, None), (constant_q(signal).levels_db, 1 + n_samples // 256)):
        assert np.isfinite(picture).all()
        assert n_steps is None or len(picture) == n_steps


@pytest.mark.parametrize("view", [sound_parts, rhythm, constant_q])
def test_what_is_no_clip_is_refused(view):
    for wrong in (np.zeros(0), np.zeros((2, 2)), np.array([0.0, np.nan])):
        with pytest.raises(InputError, match="a clip must be finite"):
            view(wrong)


def test_librosa_is_imported_when_it_is_asked_for_and_named_where_it_is_missing(monkeypatch):
    code = "import sys, asd_core.features.librosa_views; print('librosa' in sys.modules, 'numba' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split() == [b"False"] * 2
    )
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingExtraError, match=r"finding a rhythm needs librosa: pip install 'asd_core\[views\]'"):
        rhythm(np.zeros(SR))
