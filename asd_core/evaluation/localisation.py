"""Does a map point at the fault? Maps against the known cells of a simulated fault, clip by clip.

Masks: True where the fault changes the log-mel spectrogram, shape (n_frames, 128). A random map has a pixel AUC and a
time AUC of 0.5 and hits as often as the mask is large: the mean mask share. Figures are of one clip and then averaged
over clips, so that a clip with a large mask weighs no more than another; MVTec AD (Bergmann et al. 2019) pools the
pixels of all images instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation import metrics
from asd_core.evaluation.uncertainty import Interval, percentile_interval, wilson
from asd_core.features.log_mel import N_MELS, frame_times_s, mel_band_centres_hz
from asd_core.types import AnomalyMap, BoolArray, FloatArray

NEAR_FRAMES = 2
"""A hit is near within 2 frames, 64 ms: a log-mel frame is that long."""
_TIE_S = 1e-9
"""A frame half-way between two steps takes the earlier one, whatever the rounding."""
_N_DRAWS = 2000


@dataclass(frozen=True)
class Localisation:
    """How well the map of one anomalous clip points at its fault; figures lie in [0, 1].

    Parameters
    ----------
    pixel_auc
        See `pixel_auc`; for a map over time only it rates the map as if it pointed at all bands.
    time_auc
        See `time_auc`; None where the fault is audible in every frame that has a value.
    hits, hits_nearly
        See `pointing_hit`, with a tolerance of 0 and of 2 frames; for a map over time only they ask whether the frame
        is right, not the band. None where all values are equal.
    chance_of_hit, chance_of_near_hit
        Share of the cells (for a map over time only: of the frames) that count as a hit, among those with a value.
    over_time_only
        Whether the map has one band.
    """

    pixel_auc: float
    time_auc: float | None
    hits: bool | None
    hits_nearly: bool | None
    chance_of_hit: float
    chance_of_near_hit: float
    over_time_only: bool


@dataclass(frozen=True)
class LocalisationSummary:
    """Figures over the clips of one kind of fault; None where no clip has them.

    Parameters
    ----------
    n_clips
        Clips with a mask that marks something.
    n_empty
        Clips left out: their fault is too faint to be marked where the map has values (or marked everywhere).
    pixel_auc, time_auc
        Means over clips with percentile-bootstrap intervals over clips; chance is 0.5.
    n_time
        Clips behind `time_auc`.
    hit_rate, near_hit_rate
        Shares of clips with Wilson intervals.
    n_pointing
        Clips behind them.
    chance_of_hit, chance_of_near_hit
        Mean mask share, and with the tolerance: the hit rates of a map that points at random.
    """

    n_clips: int
    n_empty: int
    pixel_auc: Interval | None
    time_auc: Interval | None
    n_time: int
    hit_rate: Interval | None
    near_hit_rate: Interval | None
    n_pointing: int
    chance_of_hit: float | None
    chance_of_near_hit: float | None


def upsample(anomaly_map: AnomalyMap, *, n_frames: int = 313) -> tuple[FloatArray, BoolArray]:
    """Bring a map to the grid of log-mel frames, by nearest time and nearest band.

    Parameters
    ----------
    anomaly_map
        Times must rise; with one band its values are repeated over all 128.
    n_frames
        Frames of the grid, 32 ms each, from 1.

    Returns
    -------
    values
        Shape (n_frames, 128); before the first and after the last step the nearest one's.
    has_value
        Shape (n_frames,): False for frames further from every step than half the distance between steps. A lone step
        reaches everywhere.

    Raises
    ------
    InputError
        Shapes that do not fit each other, no steps, times or bands that do not rise, values that are not finite.
    """
    steps, times_s, bands_hz = _checked_map(anomaly_map)
    if n_frames < 1:
        raise InputError(f"n_frames must be at least 1, got {n_frames}")
    frames_s = frame_times_s(n_frames)
    nearest_step = _nearest(times_s, frames_s, tie=_TIE_S)
    reach_s = float(np.diff(times_s).max()) / 2 if len(times_s) > 1 else np.inf
    has_value: BoolArray = np.abs(times_s[nearest_step] - frames_s) <= reach_s + _TIE_S
    nearest_band = _nearest(bands_hz, mel_band_centres_hz(), tie=0.0)
    return steps[np.ix_(nearest_step, nearest_band)], has_value


def _checked_map(anomaly_map: AnomalyMap) -> tuple[FloatArray, FloatArray, FloatArray]:
    values, times_s, bands_hz = anomaly_map.values, anomaly_map.times_s, anomaly_map.bands_hz
    if values.ndim != 2 or not values.size or values.shape != (len(times_s), len(bands_hz)):
        raise InputError(
            f"a map needs values of shape (n_steps, n_bands), got {values.shape} for {len(times_s)} times and "
            f"{len(bands_hz)} bands"
        )
    if not np.isfinite(values).all():
        raise InputError("a map's values must be finite")
    for name, axis in (("times_s", times_s), ("bands_hz", bands_hz)):
        if len(axis) > 1 and not (np.diff(axis) > 0).all():
            raise InputError(f"a map's {name} must rise")
    return values, times_s, bands_hz


def _nearest(places: FloatArray, wanted: FloatArray, *, tie: float) -> npt.NDArray[np.int64]:
    """Position of the nearest of rising `places` for each of `wanted`; of two equally near the first."""
    return np.searchsorted((places[1:] + places[:-1]) / 2, wanted - tie)


def pixel_auc(values: FloatArray, mask: BoolArray, has_value: BoolArray) -> float:
    """AUC of the cells' values with the mask as their labels; chance is 0.5.

    The pixel-level AUROC of anomaly localisation (Bergmann et al. 2019, MVTec AD), here of one clip.

    Parameters
    ----------
    values, mask
        Shape (n_frames, n_bands).
    has_value
        Shape (n_frames,): frames that count.

    Raises
    ------
    UndefinedMetricError
        The mask marks none or all of the cells that count.
    InputError
        Shapes that do not fit each other, or values that are not finite.
    """
    cells, marked = _counted(values, mask, has_value)
    return metrics.auc(marked.ravel(), cells.ravel())


def time_auc(values: FloatArray, mask: BoolArray, has_value: BoolArray) -> float:
    """AUC of the frames: mean value over bands against frames with any marked cell; chance is 0.5.

    The same parameters as `pixel_auc`, and it raises the same; judges maps with one band and with many alike.
    """
    cells, marked = _counted(values, mask, has_value)
    return metrics.auc(marked.any(axis=1), cells.mean(axis=1))


def pointing_hit(values: FloatArray, mask: BoolArray, has_value: BoolArray, *, tolerance_frames: int = 0) -> bool:
    """Whether the cell with the largest value lies in the mask; chance is the share of marked cells.

    The pointing game (Zhang et al. 2018, Top-Down Neural Attention by Excitation Backprop). Where several cells share
    the largest value, the one nearest to their middle is the point.

    Parameters
    ----------
    values, mask, has_value
        See `pixel_auc`.
    tolerance_frames
        How many frames before or after the point a marked cell of its band may lie; raises the chance of a hit.

    Raises
    ------
    UndefinedMetricError
        See `pixel_auc`; also where all values are equal.
    InputError
        See `pixel_auc`; also a negative tolerance.
    """
    if tolerance_frames < 0:
        raise InputError(f"tolerance_frames must not be negative, got {tolerance_frames}")
    cells, marked = _counted(values, mask, has_value)
    if cells.min() == cells.max():
        raise UndefinedMetricError("not defined: all values are equal, the map points nowhere")
    return bool(_widened(marked, tolerance_frames)[_point(cells)])


def _widened(marked: BoolArray, tolerance_frames: int) -> BoolArray:
    """Cells within so many frames of a marked one in the same band, the shape of `marked`."""
    padded = np.pad(marked, ((tolerance_frames, tolerance_frames), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * tolerance_frames + 1, axis=0)
    return np.asarray(around.any(axis=-1))


def _point(cells: FloatArray) -> tuple[int, int]:
    """Frame and band of the largest value."""
    largest = np.argwhere(cells == cells.max())  # (n_tied, 2)
    distance = np.square(largest - largest.mean(axis=0)).sum(axis=1)
    frame, band = largest[distance.argmin()].tolist()
    return frame, band


def _counted(values: FloatArray, mask: BoolArray, has_value: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Values and mask of the frames that count, both (n_counted, n_bands)."""
    if values.ndim != 2 or values.shape != mask.shape or has_value.shape != values.shape[:1]:
        raise InputError(
            "values and mask must have one shape (n_frames, n_bands), has_value (n_frames,); got "
            f"{values.shape}, {mask.shape} and {has_value.shape}"
        )
    counted = has_value.astype(np.bool_)
    cells, marked = values[counted], mask[counted].astype(np.bool_)
    if not np.isfinite(cells).all():
        raise InputError("values must be finite")
    if not marked.any():
        raise UndefinedMetricError("not defined: the mask marks no cell that has a value")
    if marked.all():
        raise UndefinedMetricError("not defined: the mask marks every cell that has a value")
    return cells, marked


def localise(anomaly_map: AnomalyMap, mask: BoolArray) -> Localisation:
    """Rate the map of one anomalous clip.

    Parameters
    ----------
    mask
        Shape (n_frames, 128), True where the fault is audible.

    Raises
    ------
    UndefinedMetricError
        The mask marks none or all of the cells that have a value.
    InputError
        See `upsample` and `pixel_auc`.
    """
    if mask.ndim != 2 or mask.shape[1] != N_MELS:
        raise InputError(f"a mask must have shape (n_frames, {N_MELS}), got {mask.shape}")
    values, has_value = upsample(anomaly_map, n_frames=len(mask))
    over_time_only = anomaly_map.values.shape[1] == 1
    pixels = pixel_auc(values, mask, has_value)
    pointed, target = values, mask
    if over_time_only:
        pointed, target = values[:, :1], np.asarray(mask.any(axis=1, keepdims=True))
    return Localisation(
        pixel_auc=pixels,
        time_auc=_time_auc_or_none(values, mask, has_value),
        hits=_hit_or_none(pointed, target, has_value, 0),
        hits_nearly=_hit_or_none(pointed, target, has_value, NEAR_FRAMES),
        chance_of_hit=float(target[has_value].mean()),
        chance_of_near_hit=float(_widened(target[has_value], NEAR_FRAMES).mean()),
        over_time_only=over_time_only,
    )


def _time_auc_or_none(values: FloatArray, mask: BoolArray, has_value: BoolArray) -> float | None:
    try:
        return time_auc(values, mask, has_value)
    except UndefinedMetricError:
        return None


def _hit_or_none(values: FloatArray, mask: BoolArray, has_value: BoolArray, tolerance_frames: int) -> bool | None:
    try:
        return pointing_hit(values, mask, has_value, tolerance_frames=tolerance_frames)
    except UndefinedMetricError:
        return None


def localise_all(clips: Iterable[tuple[str, AnomalyMap, BoolArray]]) -> dict[str, LocalisationSummary]:
    """Rate maps by kind of fault.

    Parameters
    ----------
    clips
        (kind, map, mask) of anomalous clips; they may be read one at a time.

    Returns
    -------
    dict of str to LocalisationSummary
        Kinds in sorted order.

    Raises
    ------
    InputError
        See `localise`.
    """
    found: dict[str, list[Localisation]] = {}
    n_empty: dict[str, int] = {}
    for kind, anomaly_map, mask in clips:
        rated = found.setdefault(kind, [])
        try:
            rated.append(localise(anomaly_map, mask))
        except UndefinedMetricError:
            n_empty[kind] = n_empty.get(kind, 0) + 1
    return summarise_by_kind(found, n_empty=n_empty)


def summarise_by_kind(
    found: Mapping[str, Sequence[Localisation]], *, n_empty: Mapping[str, int]
) -> dict[str, LocalisationSummary]:
    """Average the clips of each kind, kinds in sorted order; `n_empty` counts the clips left out."""
    return {kind: _summary(found[kind], n_empty.get(kind, 0)) for kind in sorted(found)}


def _summary(clips: Sequence[Localisation], n_empty: int) -> LocalisationSummary:
    times = [clip.time_auc for clip in clips if clip.time_auc is not None]
    hits = [clip.hits for clip in clips if clip.hits is not None]
    near_hits = [clip.hits_nearly for clip in clips if clip.hits_nearly is not None]
    return LocalisationSummary(
        n_clips=len(clips),
        n_empty=n_empty,
        pixel_auc=_mean_interval([clip.pixel_auc for clip in clips]),
        time_auc=_mean_interval(times),
        n_time=len(times),
        hit_rate=wilson(sum(hits), len(hits)) if hits else None,
        near_hit_rate=wilson(sum(near_hits), len(near_hits)) if near_hits else None,
        n_pointing=len(hits),
        chance_of_hit=_mean_or_none([clip.chance_of_hit for clip in clips]),
        chance_of_near_hit=_mean_or_none([clip.chance_of_near_hit for clip in clips]),
    )


def _mean_or_none(shares: Sequence[float]) -> float | None:
    return float(np.mean(shares)) if shares else None


def _mean_interval(figures: Sequence[float]) -> Interval | None:
    """Mean over clips with its 95 % percentile-bootstrap interval; None without clips."""
    if not figures:
        return None
    array = np.array(figures, dtype=np.float64)
    picks = np.random.default_rng(0).integers(0, len(array), size=(_N_DRAWS, len(array)))
    draws = array[picks].mean(axis=1)
    return percentile_interval(draws, estimate=float(array.mean()), confidence=0.95, n_clips=[len(array)])
