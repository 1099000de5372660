"""Spectra for looking at: spectrograms at any window, mean spectra with their spread, and a plane through many numbers.

Levels are power densities on the scale of the detectors' log-mel frames (`features.log_mel.log_mel`), whatever the
window and the frequency axis, so that one range in dB fits all pictures: 0 dB is -52.9 dB re full scale squared per Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from asd_core.errors import InputError
from asd_core.features.log_mel import AMIN, HOP_LENGTH, N_FFT, mel_band_centres_hz
from asd_core.types import SR, Float32Array, FloatArray

WINDOWS = (256, 512, 1024, 2048, 4096)
"""Window lengths in samples, 16 to 256 ms."""
HOPS = (64, 128, 256, 512, 1024)
"""Steps between windows in samples, 4 to 64 ms."""
SCALES = ("mel", "linear")
MAX_STEPS, MAX_BANDS = 800, 320
"""Largest picture; beyond it the power of neighbours is averaged."""
MEAN_WINDOW = 1024

_HANN_ENERGY = 0.375
"""Mean square of a Hann window."""
_REFERENCE_HZ = SR / N_FFT
_CHUNK_FRAMES = 512


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """Levels over time and frequency.

    Parameters
    ----------
    levels_db
        Shape (n_steps, n_bands) in dB; at least -100.
    bands_hz
        Shape (n_bands,): rising centre frequencies in Hz.
    span_s
        Where the first step begins and the last one ends, in seconds; reaches beyond the clip by part of a step.
    """

    levels_db: Float32Array
    bands_hz: FloatArray
    span_s: tuple[float, float]


@dataclass(frozen=True, eq=False)
class SpectrumSpread:
    """Mean spectrum of many clips and how far they differ.

    Parameters
    ----------
    mean_db, low_db, high_db
        Shape (n_bins,) each: mean of the power, and the 10th and 90th percentile over clips.
    n_clips
        How many.
    """

    mean_db: FloatArray
    low_db: FloatArray
    high_db: FloatArray
    n_clips: int


@dataclass(frozen=True, eq=False)
class PrincipalPlane:
    """The plane in which rows of many numbers differ most.

    Parameters
    ----------
    centre
        Shape (n_features,): the rows' mean.
    axes
        Shape (2, n_features): orthonormal.
    shares
        Of the rows' variance along each axis, from 0 to 1.
    """

    centre: FloatArray
    axes: FloatArray
    shares: tuple[float, float]

    def project(self, rows: npt.ArrayLike) -> FloatArray:
        """Shadow of rows (n, n_features) on the plane, shape (n, 2)."""
        shadow: FloatArray = (np.asarray(rows, dtype=np.float64) - self.centre) @ self.axes.T
        return shadow

    def lift(self, points: npt.ArrayLike, *, through: npt.ArrayLike | None = None) -> FloatArray:
        """Rows above points (n, 2) of the parallel plane that goes through a row, by default through the centre."""
        base = self.centre if through is None else np.asarray(through, dtype=np.float64)
        offset = base - self.project(base[None])[0] @ self.axes
        rows: FloatArray = offset + np.asarray(points, dtype=np.float64) @ self.axes
        return rows


def spectrogram(
    samples: npt.ArrayLike, *, window: int = N_FFT, hop_length: int = HOP_LENGTH, scale: str = "mel"
) -> Spectrogram:
    """Spectrogram of a clip at 16 kHz, no larger than 800 steps and 320 bands.

    Frames are centred and the edges zero-padded. At 1024, 512 and mel it is `log_mel` of the detectors. Windows
    shorter than 1024 are zero-padded to it, so that every mel band holds a bin.

    Parameters
    ----------
    samples
        Shape (n_samples,), full scale is 1.
    window, hop_length
        In samples, each at least 1.
    scale
        `mel`: 128 Slaney bands; `linear`: bins up to 8 kHz.
    """
    signal = _checked(samples)
    if scale not in SCALES:
        raise InputError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    if window < 1 or hop_length < 1:
        raise InputError(f"window and hop must be at least 1 sample, got {window} and {hop_length}")
    n_fft = max(window, N_FFT)
    padded = np.pad(signal, window // 2)
    if len(padded) < window:
        padded = np.pad(padded, (0, window - len(padded)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop_length]  # (n_frames, window)
    weights = _band_weights(n_fft, scale)
    group = -(-len(frames) // MAX_STEPS)
    chunk = group * max(1, _CHUNK_FRAMES // group)
    parts = [
        _grouped(_density(frames[at : at + chunk], n_fft) @ weights.T, group) for at in range(0, len(frames), chunk)
    ]
    power = np.concatenate(parts)  # (n_steps, n_bands)
    ends = ((len(power) * group - 0.5) * hop_length / SR, -0.5 * hop_length / SR)
    levels = 10 * np.log10(np.maximum(power, AMIN))
    return Spectrogram(levels.astype(np.float32), _band_centres(n_fft, scale), (ends[1], ends[0]))


def mean_spectrum(samples: npt.ArrayLike) -> FloatArray:
    """Power density of a clip averaged over time, in dB, shape (512,): the bins of `mean_spectrum_hz`."""
    signal = _checked(samples)
    signal = np.pad(signal, (0, max(0, MEAN_WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(signal, MEAN_WINDOW)[:: MEAN_WINDOW // 2]
    power = np.zeros(MEAN_WINDOW // 2 + 1)
    for at in range(0, len(frames), _CHUNK_FRAMES):
        power += _density(frames[at : at + _CHUNK_FRAMES], MEAN_WINDOW).sum(axis=0)
    levels: FloatArray = 10 * np.log10(np.maximum(power[1:] / len(frames), AMIN))
    return levels


def mean_spectrum_hz() -> FloatArray:
    """Centres of the bins of `mean_spectrum` in Hz, shape (512,); 0 Hz is left out."""
    return np.asarray(np.fft.rfftfreq(MEAN_WINDOW, 1.0 / SR)[1:], dtype=np.float64)


def spectrum_spread(spectra_db: npt.ArrayLike) -> SpectrumSpread:
    """Mean (of the power) and 10th to 90th percentile of clips' mean spectra.

    Parameters
    ----------
    spectra_db
        Shape (n_clips, n_bins), at least one clip.
    """
    rows = np.asarray(spectra_db, dtype=np.float64)
    if rows.ndim != 2 or len(rows) == 0:
        raise InputError(f"spectra must have shape (n_clips, n_bins) with at least 1 clip, got {rows.shape}")
    low, high = np.percentile(rows, [10, 90], axis=0)
    return SpectrumSpread(10 * np.log10(np.power(10.0, rows / 10).mean(axis=0)), low, high, len(rows))


def principal_plane(rows: npt.ArrayLike) -> PrincipalPlane:
    """Plane through the rows' mean along their two directions of largest variance.

    The largest loading of each axis is positive, so that a picture does not flip. Rows on one line have no variance
    along the second axis, equal rows none at all.

    Parameters
    ----------
    rows
        Shape (n, n_features), finite, n >= 2.

    Raises
    ------
    InputError
        Fewer than two rows or columns, or not finite.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise InputError(f"a plane needs at least 2 finite rows of at least 2 numbers, got shape {table.shape}")
    centre = table.mean(axis=0)
    _, lengths, axes = np.linalg.svd(table - centre, full_matrices=False)
    axes = axes[:2] * np.copysign(1.0, axes[[0, 1], np.abs(axes[:2]).argmax(axis=1)])[:, None]
    power = np.square(lengths)
    shares = power[:2] / (power.sum() or 1.0)
    return PrincipalPlane(centre, axes, (float(shares[0]), float(shares[1])))


def _checked(samples: npt.ArrayLike) -> FloatArray:
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or signal.size == 0 or not np.isfinite(signal).all():
        raise InputError(f"a clip must be finite and of shape (n_samples,), at least 1 sample, got {signal.shape}")
    return signal


def _density(frames: FloatArray, n_fft: int) -> FloatArray:
    """Power density of frames (n, window), shape (n, n_fft // 2 + 1)."""
    window = frames.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    spectrum = scipy.fft.rfft(frames * hann, n_fft, axis=1, workers=1)
    reference = _HANN_ENERGY * N_FFT / max(float(np.square(hann).sum()), 1e-12) / _REFERENCE_HZ
    power: FloatArray = (np.square(spectrum.real) + np.square(spectrum.imag)) * reference
    return power


def _band_weights(n_fft: int, scale: str) -> FloatArray:
    """Weights (n_bands, n_fft // 2 + 1) that average a density; rows sum to about 1."""
    bins = np.fft.rfftfreq(n_fft, 1.0 / SR)
    if scale == "linear":
        n_bands = min(MAX_BANDS, len(bins))
        band = np.arange(len(bins)) * n_bands // len(bins)
        chosen = (band[None] == np.arange(n_bands)[:, None]).astype(np.float64)
        averaging: FloatArray = chosen / chosen.sum(axis=1, keepdims=True)
        return averaging
    edges = np.concatenate([[0.0], mel_band_centres_hz(), [SR / 2]])
    ramps = edges[:, None] - bins[None]
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    slaney: FloatArray = triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None] * (SR / n_fft)
    return slaney


def _band_centres(n_fft: int, scale: str) -> FloatArray:
    if scale == "mel":
        return mel_band_centres_hz()
    centres: FloatArray = _band_weights(n_fft, scale) @ np.fft.rfftfreq(n_fft, 1.0 / SR)
    return centres


def _grouped(power: FloatArray, group: int) -> FloatArray:
    """Mean of each `group` successive rows; the last group may be smaller."""
    starts = np.arange(0, len(power), group)
    sizes = np.diff([*starts, len(power)])
    means: FloatArray = np.add.reduceat(power, starts, axis=0) / sizes[:, None]
    return means
