"""Where a score comes from, seen from outside: lower one band to its usual level and note how far the score falls.

This works for every detector, since it needs `anomaly_score` alone. Occlusion as an explanation: Zeiler and Fergus,
Visualizing and Understanding Convolutional Networks, ECCV 2014. Sound is only ever lowered: what is missing from a band
is not explained. Altered sound is not recorded sound: a fall shows what the score depends on in this clip, not what the
machine's fault is, and a detector may find the altered band strange.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from asd_core.detectors.contract import Detector
from asd_core.errors import InputError
from asd_core.features.log_mel import HOP_LENGTH, N_FFT, N_MELS, checked_samples, mel_band_centres_hz
from asd_core.types import SR, Float32Array, FloatArray, Waveform

N_BINS = N_FFT // 2 + 1
MAX_BANDS = 64
"""Narrower bands would hold fewer than three bins of 15.6 Hz."""

_Spectrum = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class BandOcclusion:
    """How much the score falls when one band is lowered to its usual level.

    Parameters
    ----------
    edges_hz
        Shape (n_bands + 1,), rising from 0 to 8000 Hz, evenly spaced in mel.
    falls
        Shape (n_bands,), in the detector's unit: `base_score` less the score with the band altered. Higher means that
        more of the score depends on the band; below 0 the altered band sounds stranger than the recorded one.
    base_score
        Score of the clip as it is.
    """

    edges_hz: FloatArray
    falls: FloatArray
    base_score: float


def band_occlusion(detector: Detector, waveform: Waveform, *, n_bands: int = 16) -> BandOcclusion:
    """Occlude one band after the other; costs `n_bands` + 1 scores.

    A band's usual level is the median over time of its magnitudes in this clip, so that a tone that lasts through
    the whole clip is left as it is.

    Parameters
    ----------
    detector
        Any fitted detector.
    n_bands
        In 1..64.

    Raises
    ------
    NotFittedError
        Before `fit`.
    InputError
        A number of bands out of range, or a clip that the detector refuses.
    """
    edges_hz = band_edges_hz(n_bands)
    base_score = detector.anomaly_score(waveform)
    falls = [base_score - score_without_band(detector, waveform, band, n_bands=n_bands) for band in range(n_bands)]
    return BandOcclusion(edges_hz, np.array(falls, dtype=np.float64), base_score)


def score_without_band(detector: Detector, waveform: Waveform, band: int, *, n_bands: int = 16) -> float:
    """Score the clip with one band lowered to its usual level; one step of `band_occlusion`.

    Parameters
    ----------
    band
        In 0..n_bands - 1, from the lowest.

    Raises
    ------
    NotFittedError, InputError
        See `band_occlusion`.
    """
    spectrum = _stft(checked_samples(waveform, min_samples=max(N_FFT, detector.min_samples)))
    bins = _bins_of_bands(band_edges_hz(n_bands))[band]
    ordinary = np.median(np.abs(spectrum[:, bins]), axis=0)
    spectrum[:, bins] = _at_most(spectrum[:, bins], ordinary)
    return detector.anomaly_score(Waveform(_istft(spectrum, n_samples=len(waveform.samples))))


def band_edges_hz(n_bands: int) -> FloatArray:
    """Edges of bands evenly spaced on the mel scale of the features, shape (n_bands + 1,), from 0 to 8000 Hz.

    Raises
    ------
    InputError
        Not 1..64 bands.
    """
    if not 1 <= n_bands <= MAX_BANDS:
        raise InputError(f"n_bands must be 1..{MAX_BANDS}, got {n_bands}")
    knots_hz = np.concatenate([[0.0], mel_band_centres_hz(), [SR / 2]])  # evenly spaced in mel
    edges_hz: FloatArray = np.interp(np.linspace(0, N_MELS + 1, n_bands + 1), np.arange(N_MELS + 2), knots_hz)
    return edges_hz


def _at_most(cells: _Spectrum, level: FloatArray) -> _Spectrum:
    """Cells with magnitudes of at most `level`; phases stay.

    Raising the quiet cells as well fills a machine's pauses with noise: on the simulated bench the falls then point at
    the wrong bands more often.
    """
    magnitude = np.abs(cells)
    gain = np.divide(level, magnitude, out=np.ones_like(magnitude), where=magnitude > level)
    return np.asarray(cells * gain)


def _bins_of_bands(edges_hz: FloatArray) -> list[slice]:
    """Bins of each band; every bin is in exactly one."""
    first = np.searchsorted(np.fft.rfftfreq(N_FFT, 1.0 / SR), edges_hz[:-1])
    return [slice(int(low), int(high)) for low, high in zip(first, [*first[1:], N_BINS], strict=True)]


def _window() -> FloatArray:
    """Root of a periodic Hann window: applied before and after, its square adds up to 1 at half a window's hop."""
    window: FloatArray = np.sin(np.pi * np.arange(N_FFT) / N_FFT)
    return window


def _stft(samples: Float32Array) -> _Spectrum:
    """Spectrum of frames centred every 512 samples, shape (n_frames, 513)."""
    n_frames = 1 + -(-len(samples) // HOP_LENGTH)
    padded = np.zeros((n_frames + 1) * HOP_LENGTH)
    padded[HOP_LENGTH : HOP_LENGTH + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]  # (n_frames, 1024)
    spectrum: _Spectrum = scipy.fft.rfft(frames * _window(), axis=1, workers=1)
    return spectrum


def _istft(spectrum: _Spectrum, *, n_samples: int) -> Float32Array:
    """Overlap-add, the inverse of `_stft`, shape (n_samples,)."""
    frames = scipy.fft.irfft(spectrum, N_FFT, axis=1, workers=1) * _window()  # (n_frames, 1024)
    halves = np.zeros((len(frames) + 1, HOP_LENGTH))
    halves[:-1] += frames[:, :HOP_LENGTH]
    halves[1:] += frames[:, HOP_LENGTH:]
    return halves.reshape(-1)[HOP_LENGTH : HOP_LENGTH + n_samples].astype(np.float32)
