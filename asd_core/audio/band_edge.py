"""Up to which frequency a recording has sound: lossy coding leaves out what lies above an edge."""

from __future__ import annotations

import numpy as np

from asd_core.types import Float32Array

BAND_HZ = 100.0
MIN_DROP_DB = 30.0
"""Everything above the edge is at least this far below the band just under it."""
TRANSITION_HZ = 700.0
"""Within which the level falls by so much; what falls more slowly is the sound's own."""
MAX_BELOW_TOP_DB = 66.0
"""A band further below the loudest one is a decoder's noise."""
EMPTY_DB = -85.0
"""The level of white noise that has as much in this band: a microphone has more, even where a machine is quiet."""
_N_NEIGHBOURS = 5
"""The level under an edge is the median of so many bands: a lone tone is no edge."""
FULL_SHARE = 0.95
"""Of half the sampling rate: sound that reaches so high is not called limited."""
_WINDOW = 4096
_N_WINDOWS = 48
_TINY = 1e-20


def band_edge_hz(samples: Float32Array, *, sr: int) -> float | None:
    """Return the frequency above which there is no sound, to 100 Hz; None where sound reaches up to half the rate.

    The level of each band is its median over the louder half of 48 windows of 4096 samples, spread over the recording.

    Parameters
    ----------
    samples
        Shape (n_samples,), at the rate at which they were decoded.
    sr
        That rate in Hz.
    """
    if len(samples) < _WINDOW:
        return None
    levels_db = _band_levels_db(samples, sr)  # (n_bands,)
    n_transition = round(TRANSITION_HZ / BAND_HZ)
    highest_above = np.maximum.accumulate(levels_db[::-1])[::-1][n_transition:]
    below = np.median(np.lib.stride_tricks.sliding_window_view(levels_db, _N_NEIGHBOURS), axis=1)
    below, above = below[: 1 - _N_NEIGHBOURS + len(highest_above)], highest_above[_N_NEIGHBOURS - 1 :]
    is_edge = (below >= above + MIN_DROP_DB) & (below >= levels_db.max() - MAX_BELOW_TOP_DB) & (above <= EMPTY_DB)
    if not is_edge.any():
        return None
    edge_hz = float(np.flatnonzero(is_edge)[-1] + _N_NEIGHBOURS - 2) * BAND_HZ
    return edge_hz if edge_hz <= FULL_SHARE * sr / 2 else None


def _band_levels_db(samples: Float32Array, sr: int) -> Float32Array:
    starts = np.linspace(0, len(samples) - _WINDOW, _N_WINDOWS).astype(int)
    windows = samples[starts[:, None] + np.arange(_WINDOW)]  # (n_windows, 4096)
    loudest = np.argsort(np.square(windows).sum(axis=1))[_N_WINDOWS // 2 :]
    taper = np.hanning(_WINDOW)
    spectra = np.fft.rfft(windows[loudest] * taper, axis=1)
    power = np.median(np.square(np.abs(spectra)), axis=0) / np.square(taper).sum()  # (2049,)
    bands = np.minimum(np.fft.rfftfreq(_WINDOW, 1 / sr) // BAND_HZ, sr / 2 // BAND_HZ - 1).astype(int)
    mean_power = np.bincount(bands, weights=power) / np.bincount(bands)
    levels_db: Float32Array = 10 * np.log10(mean_power + _TINY)
    return levels_db
