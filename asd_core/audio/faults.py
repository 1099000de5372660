"""Faults of a recording that show in its samples: what a detector would otherwise take for a fault of the machine.

Each is a warning `code: text` with its figure and what to do; no sample is changed. Codes: "silent", "clipping",
"dropouts", "dc_offset". What costs time is looked at only where something is suspicious, so that reading stays fast.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_core.types import BoolArray, Float32Array

SILENT_BELOW = 1e-6
MIN_FLAT = 10
"""Samples at the extreme level from which a clip may be clipped."""
NEAR_PEAK = 0.02
"""A sound that is not clipped has more samples within this share below its peak than at the peak itself."""
MIN_PEAK_STEPS, MIN_RMS_STEPS = 200, 8
"""Peak and RMS, in steps of the converter, below which equal samples prove nothing."""
MIN_OFFSET, OFFSET_SHARE = 0.001, 0.5
"""Least mean that counts as an offset: of full scale, and of the sound's RMS."""
GRID_S = 0.004
"""Samples at this distance are compared, so every stretch of twice this length that stands still is found."""
LOUD_SHARE = 0.25
"""A dropout breaks into a sound: just before and after it the RMS is at least this share of the clip's."""
_BLOCK = 4096
_EVERY = 17
_AT_ONCE = 1024
_STEP_SAMPLES = 2**18
_IndexArray = npt.NDArray[np.intp]


def sound_warnings(samples: Float32Array, *, sr: int) -> tuple[str, ...]:
    """Say what is wrong with a mono recording, at the rate at which it was recorded; a silent one has no other fault.

    Parameters
    ----------
    samples
        Shape (n_samples,), finite, full scale is 1.
    sr
        Its sampling rate in Hz.
    """
    starts = np.arange(0, len(samples), _BLOCK)
    tops, bottoms = np.maximum.reduceat(samples, starts), np.minimum.reduceat(samples, starts)  # (n_blocks,)
    lowest, highest = float(bottoms.min()), float(tops.max())
    if highest - lowest <= 4 * SILENT_BELOW and _is_silent(samples, lowest, highest):
        return (f"silent: no sample is further than {SILENT_BELOW:g} from the mean",)
    found = (_clipping(samples, tops, bottoms), _dropouts(samples, sr, (lowest, highest)), _offset(samples))
    return tuple(text for text in found if text is not None)


def _is_silent(samples: Float32Array, lowest: float, highest: float) -> bool:
    mean = float(samples.mean(dtype=np.float64))
    return max(highest - mean, mean - lowest) < SILENT_BELOW


def _clipping(samples: Float32Array, tops: Float32Array, bottoms: Float32Array) -> str | None:
    lowest, highest = float(bottoms.min()), float(tops.max())
    half = (highest - lowest) / 2
    at_top = _count_equal(samples, highest, np.flatnonzero(tops == highest))
    at_bottom = _count_equal(samples, lowest, np.flatnonzero(bottoms == lowest))
    if max(at_top, at_bottom) < MIN_FLAT or half < MIN_PEAK_STEPS * _step(samples):
        return None
    below_top = np.count_nonzero(samples > highest - NEAR_PEAK * half) - at_top
    above_bottom = np.count_nonzero(samples < lowest + NEAR_PEAK * half) - at_bottom
    sides = ((at_top, below_top), (at_bottom, above_bottom))
    n_flat = sum(n_at for n_at, n_near in sides if n_at >= MIN_FLAT and n_at > n_near)
    if not n_flat:
        return None
    return (
        f"clipping: {n_flat} samples ({n_flat / len(samples):.2%}) are cut off at {max(highest, -lowest):.3f} of full "
        "scale; lower the recorder's gain and record again"
    )


def _count_equal(samples: Float32Array, value: float, blocks: _IndexArray) -> int:
    """Count the samples of this value, all of which lie in these blocks."""
    found = (np.count_nonzero(samples[at : at + _BLOCK] == value) for at in (blocks * _BLOCK).tolist())
    return sum(map(int, found))


def _offset(samples: Float32Array) -> str | None:
    some = samples[::_EVERY]  # whose mean is nearly that of all, and soon had
    roughly = abs(float(some.mean()))
    if roughly < MIN_OFFSET / 2 or roughly < OFFSET_SHARE / 2 * float(some.std()):
        return None
    mean = float(samples.mean(dtype=np.float64))
    if abs(mean) < MIN_OFFSET:
        return None
    rms = float(samples.std(dtype=np.float64))
    if abs(mean) < OFFSET_SHARE * rms:
        return None
    return (
        f"dc_offset: the mean of the samples is {mean:.3f} of full scale, the sound around it has an RMS of {rms:.3f}; "
        "remove it with a high-pass filter (20 Hz), or repair the recorder"
    )


def _dropouts(samples: Float32Array, sr: int, extremes: tuple[float, float]) -> str | None:
    grid = max(2, round(GRID_S * sr))
    still = _still(samples, grid)  # (n_intervals,)
    if not still.any():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]])))
    first, last = edges[::2] * grid, edges[1::2] * grid  # samples of the grid inside each stretch
    is_inside = (first >= 3 * grid) & (last + 3 * grid <= len(samples)) & ~np.isin(samples[first], extremes)
    first, last = first[is_inside], last[is_inside]
    rms = float(samples.std(dtype=np.float64))
    if not len(first) or rms < MIN_RMS_STEPS * _step(samples):
        return None
    loud = LOUD_SHARE * rms
    breaks_off = (_rms(samples, first - 3 * grid, 2 * grid) >= loud) & (_rms(samples, last + grid, 2 * grid) >= loud)
    n_found = np.count_nonzero(breaks_off)
    if not n_found:
        return None
    lengths_s = ((last - first)[breaks_off] + grid) / sr  # on average, half a grid more at each end
    return (
        f"dropouts: the sound stops {n_found} times for about {1000 * float(np.median(lengths_s)):.0f} ms; look for a "
        "buffer that overflows or a bad connection in the recorder, and record again"
    )


def _still(samples: Float32Array, grid: int) -> BoolArray:
    """Whether all samples from one point of the grid to the next are equal, shape (n_points - 1,)."""
    points = samples[::grid]
    still: BoolArray = points[1:] == points[:-1]
    if not still.any():
        return still
    for part in _parts(np.flatnonzero(still)):
        between = part[:, None] * grid + np.arange(grid)  # (n_candidates, grid)
        still[part] = (samples[between] == points[part, None]).all(axis=1)
    return still


def _rms(samples: Float32Array, starts: _IndexArray, length: int) -> Float32Array:
    """RMS about the mean of stretches of `length` samples, shape (n_starts,)."""
    return np.concatenate([samples[part[:, None] + np.arange(length)].std(axis=1) for part in _parts(starts)])


def _parts(indices: _IndexArray) -> list[_IndexArray]:
    """So many at once that a long recording needs little memory."""
    return [indices[at : at + _AT_ONCE] for at in range(0, len(indices), _AT_ONCE)]


def _step(samples: Float32Array) -> float:
    """The smallest difference between neighbours that is not zero: the converter's step, or less than it."""
    differences = np.abs(np.diff(samples[:_STEP_SAMPLES]))
    return float(differences[differences > 0].min(initial=np.inf))
