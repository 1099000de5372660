"""Log-mel frames of the networks, VGGish's own front end, and windows over frames.

Two front ends, not to be mixed: `log_mel` (Slaney mel, decibels) is the input of the LSTM and the GRU;
`vggish_patches` (HTK mel, natural logarithm) is the input of the encoders.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy

from asd_core.errors import InputError
from asd_core.system.threads import one_blas_thread
from asd_core.types import SR, Float32Array, FloatArray, Waveform

_Array = TypeVar("_Array", bound=npt.NDArray[np.floating])

N_FFT = 1024
HOP_LENGTH = 512
N_MELS = 128
AMIN = 1e-10
_BLOCK_FRAMES = 64
"""A block's arrays fit in the processor's cache; a whole clip's do not."""
_GROUP_FILTERS = 16
FEATURE_CONFIG = {"sr": SR, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "n_mels": N_MELS, "mel": "slaney", "power": 2}
LOG_MEL = f"log_mel 1 {sorted(FEATURE_CONFIG.items())} amin={AMIN}"
"""Name of `log_mel`'s frames in a cache; its number is raised when the same samples give different frames."""

VGGISH_FRAME = 400
VGGISH_HOP = 160
VGGISH_FFT = 512
VGGISH_BANDS = 64
VGGISH_PATCH = 96
VGGISH_MIN_SAMPLES = VGGISH_FRAME + (VGGISH_PATCH - 1) * VGGISH_HOP
"""15,600 samples: below this there is no patch."""
VGGISH_LOG_OFFSET = 0.01


def checked_samples(clip: Waveform, *, min_samples: int) -> Float32Array:
    """Return the clip's samples after the checks that every front end needs.

    Raises
    ------
    InputError
        A rate other than 16 kHz, not one-dimensional, too short, or not finite.
    """
    samples = clip.samples
    if clip.sr != SR:
        raise InputError(f"sample rate must be {SR} Hz, got {clip.sr}; read the file with asd_core.audio.reading first")
    if samples.ndim != 1:
        raise InputError(f"a clip must be mono, shape (n_samples,), got shape {samples.shape}")
    _check_length(len(samples), min_samples)
    if not np.isfinite(samples).all():
        raise InputError("a clip must be finite, got NaN or Inf")
    return samples


def _check_length(n_samples: int, min_samples: int) -> None:
    if n_samples < min_samples:
        raise InputError(f"a clip needs at least {min_samples} samples ({min_samples / SR:.3f} s), got {n_samples}")


def log_mel_frames(clip: Waveform, *, min_samples: int) -> Float32Array:
    """Log-mel frames of a clip, see `log_mel`; computed once where the clip has a cache.

    Raises
    ------
    InputError
        As `checked_samples`.
    """
    frames = clip.derived(LOG_MEL, lambda: log_mel(checked_samples(clip, min_samples=min_samples)))
    _check_length(clip.n_samples, min_samples)  # frames from the cache were not checked
    return frames


@one_blas_thread()
def log_mel(samples: Float32Array) -> Float32Array:
    """Log-mel frames in dB, equal to librosa's to 1e-4 dB.

    The reference is `power_to_db(melspectrogram(y, sr=16000, n_fft=1024, hop_length=512, n_mels=128, power=2.0),
    ref=1.0, amin=1e-10, top_db=None)` of librosa 0.11: periodic Hann window, centred frames, zero-padded edges.

    Parameters
    ----------
    samples
        Shape (n_samples,) at 16 kHz.

    Returns
    -------
    Float32Array
        Shape (1 + n_samples // 512, 128) in dB; at least -100.
    """
    padded = np.zeros(len(samples) + N_FFT, dtype=np.float32)
    padded[N_FFT // 2 : N_FFT // 2 + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]  # (n_frames, 1024)
    mel = _mel_power(frames)
    np.maximum(mel, np.float32(AMIN), out=mel)
    np.log10(mel, out=mel)
    mel *= np.float32(10.0)
    return mel


def _mel_power(frames: Float32Array) -> Float32Array:
    """Power in the mel bands of frames (n_frames, 1024), shape (n_frames, 128)."""
    power = np.empty((len(frames), N_FFT // 2 + 1), dtype=np.float32)
    windowed = np.empty((min(_BLOCK_FRAMES, len(frames)), N_FFT), dtype=np.float32)
    for at in range(0, len(frames), _BLOCK_FRAMES):
        part = frames[at : at + _BLOCK_FRAMES]
        spectrum = scipy.fft.rfft(np.multiply(part, hann(N_FFT), out=windowed[: len(part)]), axis=1, workers=1)
        row = np.square(spectrum.real, out=power[at : at + len(part)])
        row += np.square(spectrum.imag)
    mel = np.empty((len(frames), N_MELS), dtype=np.float32)
    for bands, bins, weights in _filter_groups():
        mel[:, bands] = power[:, bins] @ weights
    return mel


@cache
def _filter_groups() -> tuple[tuple[slice, slice, Float32Array], ...]:
    """Neighbouring filters, the bins they cover and their weights there (n_bins, n_filters); the rest is zero."""
    groups = []
    for at in range(0, N_MELS, _GROUP_FILTERS):
        bands = slice(at, at + _GROUP_FILTERS)
        seen = np.flatnonzero(mel_filterbank()[bands].any(axis=0))
        bins = slice(int(seen[0]), int(seen[-1]) + 1)
        groups.append((bands, bins, _read_only(np.ascontiguousarray(mel_filterbank()[bands, bins].T))))
    return tuple(groups)


def frame_times_s(n_frames: int) -> FloatArray:
    """Centres of log-mel frames in seconds, shape (n_frames,)."""
    return np.arange(n_frames, dtype=np.float64) * (HOP_LENGTH / SR)


def windows(frames: npt.NDArray[np.float32], *, length: int) -> npt.NDArray[np.float32]:
    """All runs of `length` successive frames, as a view that copies nothing.

    Returns
    -------
    Float32Array
        Shape (n_frames - length + 1, length, n_bands), read-only.

    Raises
    ------
    InputError
        Fewer frames than `length`.
    """
    if len(frames) < length:
        raise InputError(f"a window needs {length} frames of {HOP_LENGTH} samples, got {len(frames)}")
    view = np.lib.stride_tricks.sliding_window_view(frames, length, axis=0)  # (n_windows, n_bands, length)
    return view.transpose(0, 2, 1)


@cache
def mel_filterbank() -> Float32Array:
    """Slaney mel filterbank, area-normalised, shape (128, 513); read-only.

    Malcolm Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.
    """
    edges = _slaney_to_hz(np.linspace(0.0, _hz_to_slaney(SR / 2), N_MELS + 2))
    bins = np.fft.rfftfreq(N_FFT, 1.0 / SR)
    ramps = edges[:, None] - bins[None, :]  # (130, 513)
    widths = np.diff(edges)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return _read_only(weights.astype(np.float32))


@cache
def mel_band_centres_hz() -> FloatArray:
    """Centre frequencies of the 128 bands in Hz, shape (128,); read-only."""
    return _read_only(_slaney_to_hz(np.linspace(0.0, _hz_to_slaney(SR / 2), N_MELS + 2))[1:-1])


@one_blas_thread()
def vggish_patches(samples: Float32Array) -> FloatArray:
    """Log-mel patches of VGGish's front end.

    Periodic Hann of 25 ms every 10 ms, magnitude spectrum (FFT 512), 64 HTK mel bands of 125-7500 Hz without area
    normalisation, `ln(mel + 0.01)`, patches of 96 frames. Nothing is padded: incomplete frames and patches are dropped.
    Source: tensorflow/models, research/audioset/vggish (Hershey et al. 2017).

    Returns
    -------
    FloatArray
        Shape (n_patches, 96, 64); n_patches is 0 below 15,600 samples and 10 for 10 s.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if len(signal) < VGGISH_MIN_SAMPLES:
        return np.zeros((0, VGGISH_PATCH, VGGISH_BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(signal, VGGISH_FRAME)[::VGGISH_HOP]  # (n_frames, 400)
    n_patches = len(frames) // VGGISH_PATCH
    frames = frames[: n_patches * VGGISH_PATCH]
    magnitude = np.abs(scipy.fft.rfft(frames * hann(VGGISH_FRAME, np.float64), VGGISH_FFT, axis=1, workers=1))
    mel: FloatArray = np.log(magnitude @ vggish_mel_matrix() + VGGISH_LOG_OFFSET)  # (n_patches * 96, 64)
    return mel.reshape(n_patches, VGGISH_PATCH, VGGISH_BANDS)


@cache
def vggish_mel_matrix() -> FloatArray:
    """HTK mel matrix of VGGish, shape (257, 64), triangles linear in mel, DC weight 0; read-only."""
    bins_mel = _hz_to_htk(np.linspace(0.0, SR / 2, VGGISH_FFT // 2 + 1))[:, None]  # (257, 1)
    edges = np.linspace(_hz_to_htk(125.0), _hz_to_htk(7500.0), VGGISH_BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0.0, np.minimum((bins_mel - lower) / (centre - lower), (upper - bins_mel) / (upper - centre)))
    weights[0] = 0.0
    return _read_only(weights)


@cache
def hann(length: int, dtype: type[np.float32] | type[np.float64] = np.float32) -> npt.NDArray[np.floating]:
    """Periodic Hann window, shape (length,); read-only."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return _read_only(window.astype(dtype))


def _read_only(array: _Array) -> _Array:
    array.setflags(write=False)
    return array


def _hz_to_htk(hz: npt.ArrayLike) -> FloatArray:
    mels: FloatArray = 1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0)
    return mels


_SLANEY_HZ_PER_MEL = 200.0 / 3
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_slaney(hz: float) -> float:
    if hz < _SLANEY_BREAK_HZ:
        return hz / _SLANEY_HZ_PER_MEL
    return float(_SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL + np.log(hz / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP)


def _slaney_to_hz(mels: FloatArray) -> FloatArray:
    break_mel = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
    logarithmic = _SLANEY_BREAK_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(mels, break_mel) - break_mel))
    hz: FloatArray = np.where(mels < break_mel, mels * _SLANEY_HZ_PER_MEL, logarithmic)
    return hz
