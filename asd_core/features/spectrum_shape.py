"""The shape of a clip's spectrum, level apart, and how unlike the training clips' shapes another one may be.

Clips of one recording are nearly the same sound, so a limit from clips drawn at random would accuse every recording
that was not trained on. The limit here comes from whole runs of clips, each compared with the shapes of the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from asd_core.errors import InputError
from asd_core.features.log_mel import N_FFT, N_MELS, log_mel_frames, mel_band_centres_hz
from asd_core.types import FloatArray, IntArray, Waveform

N_BANDS = 32
MIN_SHAPES = 8
LEAST_SPREAD_DB = 0.3
"""Each band is given at least this spread from clip to clip, so that bands that never varied accuse nobody of noise."""
LEAST_GAP_DB = 1.5
"""A shape nearer to the training clips' mean than this (root mean square over the bands) is never called strange."""
N_FOLDS = 10
LONGEST_RUN = 20
"""Clips that follow one another, where nothing says which recording they are from."""
LIMIT_SHARE = 0.99
LIMIT_FACTOR, SCARCE_CLIPS = 1.1, 8
"""See `limit_from_held_out`. Chosen so that few clips of unheard recordings are accused, see `benchmarks.familiar`."""
_N_TRIANGLE = N_BANDS * (N_BANDS + 1) // 2
_MEAN_DIGITS, _COVARIANCE_DIGITS, _LIMIT_DIGITS = 2, 3, 3


def band_levels_db(clip: Waveform) -> FloatArray:
    """Mean log-mel level of each band, shape (32,), dB; a band is four neighbouring mel bands.

    The mean is of decibels, not of power: a single knock hardly moves it.

    Raises
    ------
    InputError
        As `asd_core.features.log_mel.checked_samples`; shorter than 1024 samples.
    """
    frames = log_mel_frames(clip, min_samples=N_FFT).mean(axis=0, dtype=np.float64)  # (128,)
    return np.asarray(frames.reshape(N_BANDS, -1).mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class SpectrumShape:
    """Mean and covariance of the training clips' shapes, and the largest distance that is still familiar.

    Parameters
    ----------
    mean_db
        Shape (32,): mean level of each band in dB, the clip's mean over its bands removed.
    covariance_db2
        Lower triangle of their covariance, row by row, shape (528,), dB squared.
    limit
        Distance above which a shape is called unfamiliar, see `distance`.
    """

    mean_db: tuple[float, ...]
    covariance_db2: tuple[float, ...]
    limit: float

    @classmethod
    def fit(cls, levels_db: FloatArray, *, groups: Sequence[Hashable] | None = None) -> Self:
        """Learn mean, covariance and limit.

        Parameters
        ----------
        levels_db
            Band levels of the training clips, shape (n_clips, 32), dB, in the order of their names.
        groups
            One label per clip: its recording. Clips of one group are held out together. Without it, or with one
            label for all, runs of up to 20 consecutive clips are.

        Raises
        ------
        InputError
            Fewer than 8 clips, another number of bands, or not one group per clip.
        """
        shapes = _checked_shapes(levels_db)
        folds = held_out_folds(len(shapes), groups)
        held_out = [_of(shapes[folds != fold], math.inf).distances(shapes[folds == fold]) for fold in np.unique(folds)]
        limit = limit_from_held_out(np.concatenate(held_out))
        whole = _of(shapes, math.inf)
        most = float(whole.distances(shapes).max())  # what was learned from is familiar
        step = 10.0**-_LIMIT_DIGITS
        return cls(whole.mean_db, whole.covariance_db2, round(max(limit, most, step) + step, _LIMIT_DIGITS))

    def distance(self, levels_db: Sequence[float]) -> float:
        """Mahalanobis distance to the mean shape, divided by the root of the number of bands: about 1 is usual."""
        return float(self.distances(_shapes(np.array([levels_db], dtype=np.float64)))[0])

    def distances(self, shapes: FloatArray) -> FloatArray:
        """Distance of each shape (n, 32), level removed; shape (n,)."""
        gaps = shapes - np.array(self.mean_db)
        # NumPy's, though the root is triangular: importing SciPy's would take longer than scoring ten clips.
        whitened = np.linalg.solve(self._root, gaps.T)  # (32, n)
        return np.asarray(np.sqrt(np.square(whitened).mean(axis=0)), dtype=np.float64)

    def is_unfamiliar(self, levels_db: Sequence[float]) -> bool:
        """Whether a clip's shape lies beyond the limit and, in plain decibels, far enough from the mean."""
        return self.distance(levels_db) > self.limit and _rms(self._gaps_db(levels_db)) > LEAST_GAP_DB

    def differences(self, levels_db: Sequence[float]) -> str:
        """Say where a clip's shape differs most: '9 dB more at 1.2 to 1.6 kHz and 5 dB less at 0.3 to 0.4 kHz'."""
        gaps_db = self._gaps_db(levels_db)
        strange = gaps_db / np.sqrt(np.diag(self._covariance))
        clear = np.abs(strange) >= np.abs(strange).max() / 2
        stretches = _stretches(np.sign(gaps_db) * clear)
        stretches.sort(key=lambda stretch: -float(np.abs(strange[stretch]).max()))
        return " and ".join(_words(gaps_db, stretch) for stretch in stretches[:2])

    def _gaps_db(self, levels_db: Sequence[float]) -> FloatArray:
        gaps_db: FloatArray = _shapes(np.array([levels_db], dtype=np.float64))[0] - np.array(self.mean_db)
        return gaps_db

    @cached_property
    def _covariance(self) -> FloatArray:
        """The covariance with the least spread added, shape (32, 32)."""
        lower = np.zeros((N_BANDS, N_BANDS))
        lower[np.tril_indices(N_BANDS)] = self.covariance_db2
        return lower + np.tril(lower, -1).T + LEAST_SPREAD_DB**2 * np.eye(N_BANDS)

    @cached_property
    def _root(self) -> FloatArray:
        return np.asarray(np.linalg.cholesky(self._covariance), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return numbers for a manifest; `from_json` reads them."""
        return {"mean_db": list(self.mean_db), "covariance_db2": list(self.covariance_db2), "limit": self.limit}

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            Names or numbers that `to_json` would not write.
        """
        names = ["mean_db", "covariance_db2", "limit"]
        if not isinstance(table, Mapping) or set(table) != set(names):
            raise InputError(f"the spectrum's shape must hold exactly {names}")
        mean_db, covariance_db2 = (_numbers(table, name) for name in names[:2])
        (limit,) = _numbers({"limit": [table["limit"]]}, "limit")
        if len(mean_db) != N_BANDS or len(covariance_db2) != _N_TRIANGLE or not limit > 0:
            raise InputError(
                f"the spectrum's shape must hold {N_BANDS} means, {_N_TRIANGLE} covariances and a limit above 0, "
                f"got {len(mean_db)}, {len(covariance_db2)} and {limit}"
            )
        shape = cls(mean_db, covariance_db2, limit)
        try:
            shape._root  # noqa: B018 - computed and kept
        except np.linalg.LinAlgError:
            raise InputError("the spectrum's shape must hold a covariance: a positive definite matrix") from None
        return shape


def held_out_folds(n_clips: int, groups: Sequence[Hashable] | None = None) -> IntArray:
    """Fold of each clip, whole groups in one fold; without groups, runs of consecutive clips take their place.

    Parameters
    ----------
    groups
        One label per clip. A single label for all clips tells nothing, as None does.

    Returns
    -------
    IntArray
        Shape (n_clips,): 0, 1, ... up to `N_FOLDS` - 1; at least two folds.

    Raises
    ------
    InputError
        Not one group per clip.
    """
    if groups is not None and len(groups) != n_clips:
        raise InputError(f"there must be one group per clip, got {len(groups)} for {n_clips} clips")
    if groups is None or len(set(groups)) < 2:
        run = max(1, min(LONGEST_RUN, n_clips // N_FOLDS))
        groups = [index // run for index in range(n_clips)]
    number = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    return np.array([number[group] % N_FOLDS for group in groups], dtype=np.int64)


def limit_from_held_out(values: FloatArray) -> float:
    """Limit for clips of recordings that were not heard, from one value per held-out training clip.

    The 99 % quantile of the values, which is the largest of fewer than a hundred, times 1.1, and more where there are
    few clips: twice as much with eight.
    """
    quantile = float(np.quantile(values, LIMIT_SHARE, method="higher"))
    return LIMIT_FACTOR * (1 + SCARCE_CLIPS / len(values)) * quantile


def _of(shapes: FloatArray, limit: float) -> SpectrumShape:
    centred = shapes - shapes.mean(axis=0)
    covariance = centred.T @ centred / max(1, len(shapes) - 1)
    lower = covariance[np.tril_indices(N_BANDS)].round(_COVARIANCE_DIGITS) + 0.0  # no -0.0
    mean_db = shapes.mean(axis=0).round(_MEAN_DIGITS) + 0.0
    return SpectrumShape(tuple(mean_db.tolist()), tuple(lower.tolist()), limit)


def _checked_shapes(levels_db: FloatArray) -> FloatArray:
    if levels_db.ndim != 2 or levels_db.shape[1] != N_BANDS:
        raise InputError(f"band levels must have the shape (n_clips, {N_BANDS}), got {levels_db.shape}")
    if len(levels_db) < MIN_SHAPES:
        raise InputError(f"a spectrum's shape needs at least {MIN_SHAPES} training clips, got {len(levels_db)}")
    return _shapes(levels_db)


def _shapes(levels_db: FloatArray) -> FloatArray:
    """Levels with each clip's mean removed, shape (n, 32)."""
    return np.asarray(levels_db - levels_db.mean(axis=1, keepdims=True), dtype=np.float64)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _stretches(signs: FloatArray) -> list[slice]:
    """Runs of neighbouring bands with the same sign; 0 is in none."""
    found, at = [], 0
    for sign, run in itertools.groupby(signs.tolist()):
        n = len(list(run))
        if sign:
            found.append(slice(at, at + n))
        at += n
    return found


def _words(gaps_db: FloatArray, stretch: slice) -> str:
    gap_db = float(gaps_db[stretch].mean())
    per_band = N_MELS // N_BANDS
    centres_khz = mel_band_centres_hz() / 1000
    low, high = centres_khz[stretch.start * per_band], centres_khz[stretch.stop * per_band - 1]
    return f"{abs(gap_db):.1f} dB {'more' if gap_db > 0 else 'less'} at {low:.2g} to {high:.2g} kHz"


def _numbers(table: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = table[name]
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{name} of the spectrum's shape must be a list of numbers")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise InputError(f"{name} of the spectrum's shape must be finite numbers")
    return tuple(map(float, values))
