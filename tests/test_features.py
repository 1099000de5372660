"""Features against librosa, Google's VGGish front end and the facts of their definition."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from asd_core.errors import InputError
from asd_core.features.log_mel import (
    checked_samples,
    frame_times_s,
    log_mel,
    mel_band_centres_hz,
    mel_filterbank,
    vggish_mel_matrix,
    vggish_patches,
    windows,
)
from asd_core.types import Waveform

SINE = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / 16000))
NOISE = np.random.RandomState(0).uniform(-1, 1, 48000)


def librosa_log_mel(samples):
    mel = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=1024, hop_length=512, n_mels=128, power=2.0)
    return librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T


@pytest.mark.parametrize("n_samples", [1024, 8000, 16000, 160000, 160001])
def test_log_mel_equals_librosa(n_samples):
    rng = np.random.default_rng(n_samples)
    samples = (0.05 * rng.standard_normal(n_samples) + 0.1 * np.sin(np.arange(n_samples))).astype(np.float32)
    ours = log_mel(samples)
    assert ours.dtype == np.float32
    assert ours.shape == (1 + n_samples // 512, 128)
    np.testing.assert_allclose(ours, librosa_log_mel(samples), atol=1e-4, rtol=0)


def test_log_mel_of_silence_is_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros(16000, np.float32)), -100, atol=1e-4)


def test_a_ten_second_clip_has_313_frames():
    assert log_mel(np.zeros(160000, np.float32)).shape == (313, 128)
    assert frame_times_s(313)[-1] == pytest.approx(312 * 0.032)


def test_mel_filterbank_equals_librosa():
    np.testing.assert_allclose(mel_filterbank(), librosa.filters.mel(sr=16000, n_fft=1024, n_mels=128), atol=1e-8)
    np.testing.assert_allclose(mel_band_centres_hz(), librosa.mel_frequencies(130, fmin=0, fmax=8000)[1:-1])


def test_cached_tables_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        mel_filterbank()[0, 0] = 1


def test_windows_are_views_of_the_frames():
    frames = np.arange(313 * 128, dtype=np.float32).reshape(313, 128)
    view = windows(frames, length=11)
    assert view.shape == (303, 11, 128)
    assert np.shares_memory(view, frames)
    np.testing.assert_array_equal(view[7], frames[7:18])


def test_windows_refuse_too_few_frames():
    with pytest.raises(InputError, match="needs 11 frames"):
        windows(np.zeros((10, 128), np.float32), length=11)


def test_vggish_patches_of_a_sine_are_the_known_answer():
    patches = vggish_patches(SINE)
    assert patches.shape == (3, 96, 64)
    expected = (-3.429619, 2.126577, -4.601163, 4.811118)
    np.testing.assert_allclose((patches.mean(), patches.std(), patches.min(), patches.max()), expected, rtol=1e-5)
    assert patches[0, 0].argmax() == 19
    np.testing.assert_allclose(patches[0, 0, :4], [-4.48313, -4.27083, -4.17064, -4.23771], rtol=1e-5)
    np.testing.assert_allclose(patches[0, 0, 20:23], [4.77504, 2.26222, -0.58961], rtol=1e-5)
    np.testing.assert_allclose(patches[2, 95, -4:], [-4.60037, -4.60069, -4.60099, -4.60116], rtol=1e-5)


def test_vggish_patches_of_noise_are_the_known_answer():
    patches = vggish_patches(NOISE)
    np.testing.assert_allclose((patches.mean(), patches.std()), (2.838894, 0.801535), rtol=1e-5)
    np.testing.assert_allclose(patches[0, 0, :4], [1.65204, 1.45113, 1.75828, 2.06333], rtol=1e-5)


def test_vggish_patches_of_silence_are_the_log_offset():
    np.testing.assert_allclose(vggish_patches(np.zeros(16000)), np.log(0.01))


@pytest.mark.parametrize(
    ("n_samples", "n_patches"),
    [(15599, 0), (15600, 1), (16000, 1), (30959, 1), (30960, 2), (160000, 10), (480000, 31)],
)
def test_vggish_patch_count(n_samples, n_patches):
    assert len(vggish_patches(np.zeros(n_samples, np.float32))) == n_patches


def test_vggish_mel_matrix_is_the_known_answer():
    matrix = vggish_mel_matrix()
    assert matrix.shape == (257, 64)
    assert matrix.sum() == pytest.approx(230.913599, rel=1e-6)
    assert np.count_nonzero(matrix) == 461


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Waveform(np.zeros(16000, np.float32), sr=8000), "16000 Hz, got 8000"),
        (Waveform(np.zeros((2, 16000), np.float32)), "must be mono"),
        (Waveform(np.zeros(100, np.float32)), "at least 5632 samples"),
        (Waveform(np.full(16000, np.nan, np.float32)), "NaN or Inf"),
    ],
)
def test_checked_samples_names_the_broken_limit(clip, message):
    with pytest.raises(InputError, match=message):
        checked_samples(clip, min_samples=5632)
