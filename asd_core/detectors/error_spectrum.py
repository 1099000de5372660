"""The error spectrum of a clip, measured against those of normal clips.

A network's squared error, averaged over the clip's time, leaves one number per band: its error spectrum. The mean over
bands as well, the usual score, is ruled by the bands with the largest errors, which are loud and noisy. Two ways out:
relative errors, each as a multiple of what is normal in its band, so that every band counts alike; and the Mahalanobis
distance, which weighs each band, and each combination of bands, by how it varies from one normal clip to the next; the
baseline systems of the DCASE challenges from 2023 on offer it beside the mean (Harada et al. 2023, arXiv 2305.07828).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.covariance import whitening_of
from asd_core.errors import InputError
from asd_core.features.log_mel import N_MELS
from asd_core.types import AnomalyMap, Float32Array, FloatArray

_LEAST_SHARE = 0.01
"""Least spread of a band, as a share of the bands' average: what never varied is not divided by almost nothing."""
_LEAST_ERROR_SHARE = 0.1
"""Least normal error of a band, as a share of the bands' average: bands that were silent in training have none."""
_TINY = 1e-30
_NAMES = ("error_mean", "error_frame_spread", "error_clip_spread", "error_whitening")
_SHAPES = ((N_MELS,), (N_MELS,), (N_MELS,), (N_MELS, N_MELS))

STATE_SPEC = {name: TensorSpec("float64", shape, optional=True) for name, shape in zip(_NAMES, _SHAPES, strict=True)}


@dataclass(frozen=True, eq=False)
class NormalErrors:
    """How the errors of normal clips spread over bands.

    Parameters
    ----------
    mean
        Shape (n_mels,): mean error of each band over normal clips.
    frame_spread
        Shape (n_mels,): standard deviation of each band's error over the time steps of all normal clips.
    clip_spread
        Shape (n_mels,): standard deviation over normal clips of each band's mean over time.
    whitening
        Shape (n_mels, n_mels): takes a clip's error spectrum in units of `clip_spread` about `mean` to uncorrelated
        numbers of variance 1.
    """

    mean: FloatArray
    frame_spread: FloatArray
    clip_spread: FloatArray
    whitening: FloatArray

    @classmethod
    def of(cls, maps: Iterable[FloatArray | Float32Array]) -> Self:
        """Measure the squared errors of normal clips, each of shape (n_steps, n_mels), one clip at a time."""
        spectra, squares, n_steps = [], np.zeros(N_MELS), 0
        for errors in maps:
            spectra.append(errors.mean(axis=0, dtype=np.float64))
            squares += np.square(errors, dtype=np.float64).sum(axis=0)
            n_steps += len(errors)
        rows = np.stack(spectra)  # (n_clips, n_mels)
        mean, clip_spread = rows.mean(axis=0), _floored(rows.std(axis=0))
        frame_spread = _floored(np.sqrt(np.maximum(squares / n_steps - np.square(mean), 0)))
        return cls(mean, frame_spread, clip_spread, whitening_of((rows - mean) / clip_spread))

    @classmethod
    def from_state(cls, state: State) -> Self | None:
        """Read them from a detector's state; None where an earlier version kept none.

        Raises
        ------
        InputError
            Some of the arrays are missing, or a spread is not positive.
        """
        kept = [state[name] for name in _NAMES if name in state]
        if not kept:
            return None
        if len(kept) < len(_NAMES):
            raise InputError(f"the state must hold all of {', '.join(_NAMES)}, or none of them")
        found = cls(*(np.array(array, dtype=np.float64) for array in kept))
        if min(found.frame_spread.min(), found.clip_spread.min()) <= 0:
            raise InputError("spreads of errors must be positive")
        return found

    def to_state(self) -> State:
        """Return what `from_state` reads."""
        arrays = (self.mean, self.frame_spread, self.clip_spread, self.whitening)
        return {name: array.copy() for name, array in zip(_NAMES, arrays, strict=True)}

    def relative(self, errors: FloatArray) -> FloatArray:
        """Errors (n_steps, n_mels) as multiples of what is normal in each band, same shape: 1 on average."""
        return errors / self.least_mean

    @property
    def least_mean(self) -> FloatArray:
        """Normal error of each band, shape (n_mels,), no smaller than a tenth of the bands' average."""
        return np.maximum(self.mean, max(_LEAST_ERROR_SHARE * float(self.mean.mean()), _TINY))

    def in_spreads(self, errors: FloatArray) -> FloatArray:
        """Errors (n_steps, n_mels) in normal spreads of a time step above what is normal in each band; same shape."""
        return (errors - self.mean) / self.frame_spread

    def errors_of(self, found: AnomalyMap) -> FloatArray:
        """Errors (n_steps, n_mels) from which `relative` or `in_spreads` made a map."""
        if found.unit == "times_normal":
            return found.values * self.least_mean
        return found.values * self.frame_spread + self.mean

    def strangeness(self, spectrum: FloatArray) -> FloatArray:
        """An error spectrum (n_mels,) in normal spreads of a clip above what is normal in each band; same shape."""
        return (spectrum - self.mean) / self.clip_spread

    def distance(self, spectrum: FloatArray) -> float:
        """Mahalanobis distance of an error spectrum (n_mels,) over the root of n_mels: about 1 for a normal clip."""
        whitened = self.whitening @ self.strangeness(spectrum)
        return float(np.sqrt(np.square(whitened).mean()))


def share_of_largest(spectrum: FloatArray, n_bands: int) -> float:
    """Share, in 0..1, that the bands with the largest errors have of an error spectrum's sum, and so of its mean."""
    return float(np.sort(spectrum)[::-1][:n_bands].sum() / spectrum.sum())


def _floored(spread: FloatArray) -> FloatArray:
    return np.maximum(spread, max(_LEAST_SHARE * float(spread.mean()), _TINY))
