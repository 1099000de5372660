"""What speaks against a clip that somebody called normal: a fault among the normals makes a detector deaf to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from asd_core.features.spectrum_shape import LEAST_GAP_DB, N_BANDS, band_levels_db
from asd_core.monitoring.rebaselining.quarantine import MarkedClip
from asd_core.types import FloatArray, Waveform

HIGHEST: Final = "highest"
IN_ALARM: Final = "in_alarm"
LIKE_FAULT: Final = "like_fault"
UNLIKE_OTHERS: Final = "unlike_others"
_LEAST_COMPARED = 5
_SPREADS = 5.0
"""A spectrum is unlike the others from so many robust standard deviations on (median absolute deviation)."""
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Doubt:
    """A reason to listen again: its code, and a sentence for people."""

    code: str
    text: str


def shape_db(clip: Waveform) -> FloatArray:
    """The shape of a clip's spectrum, level apart: shape (32,), dB."""
    levels = band_levels_db(clip)
    return np.asarray(levels - levels.mean())


def doubts_of(
    clips: Sequence[MarkedClip],
    anomaly_scores: Sequence[float],
    *,
    heldout_scores: FloatArray,
    shapes: Sequence[FloatArray],
    normal_shapes: Sequence[FloatArray],
    fault_shapes: Mapping[str, FloatArray],
    marked_fault_shapes: Mapping[str, FloatArray],
) -> list[tuple[Doubt, ...]]:
    """List what speaks against each clip.

    Parameters
    ----------
    anomaly_scores, shapes
        Of the clips, by the detector in use; shapes as `shape_db`.
    heldout_scores
        Shape (n,): of the normal clips that the detector's threshold rests on.
    normal_shapes
        Of clips that are known to be normal, from before the change; may be none.
    fault_shapes
        Of faults from before the change, by how they are called.
    marked_fault_shapes
        Of faults that the watch has heard: taken to be from after it, as the clips are.
    """
    highest = float(heldout_scores.max()) if len(heldout_scores) else math.inf
    is_unlike, shift = _unlike_others(shapes), _shift(shapes, normal_shapes)
    faults = {**fault_shapes, **{name: shape - shift for name, shape in marked_fault_shapes.items()}}
    found = []
    for clip, score, shape, unlike in zip(clips, anomaly_scores, shapes, is_unlike, strict=True):
        own = [_like_fault(shape - shift, normal_shapes, faults)]
        if unlike:
            own.append(Doubt(UNLIKE_OTHERS, "its spectrum is unlike that of the other clips marked normal"))
        if score > highest:
            share = f"1 in {len(heldout_scores) + 1}"
            own.append(Doubt(HIGHEST, f"it scores above every held-out normal clip (expected of {share} normal clips)"))
        if clip.alarm:
            own.append(Doubt(IN_ALARM, "it was heard during an alarm"))
        found.append(tuple(doubt for doubt in own if doubt is not None))
    return found


def _shift(shapes: Sequence[FloatArray], normal_shapes: Sequence[FloatArray]) -> FloatArray:
    """How far the clips have moved from the known normal ones as a whole, shape (32,): that is the machine's change.

    Without it, every clip of a changed machine might be nearer to some fault than to the old normal sound. Of few clips
    nobody knows what they have in common: it is 0.
    """
    if len(shapes) < _LEAST_COMPARED or not normal_shapes:
        return np.zeros(N_BANDS)
    return np.asarray(np.median(np.stack(shapes), axis=0) - np.median(np.stack(normal_shapes), axis=0))


def _like_fault(
    shape: FloatArray, normal_shapes: Sequence[FloatArray], fault_shapes: Mapping[str, FloatArray]
) -> Doubt | None:
    """Whether a clip's spectrum is nearer to that of a known fault than to any of the normal clips."""
    if not fault_shapes or not normal_shapes:
        return None
    gaps = {name: _gap_db(shape, other) for name, other in fault_shapes.items()}
    nearest = min(gaps, key=gaps.__getitem__)
    if gaps[nearest] >= min(_gap_db(shape, other) for other in normal_shapes):
        return None
    return Doubt(LIKE_FAULT, f"its spectrum is nearer to a known fault ({nearest}) than to any normal clip")


def _unlike_others(shapes: Sequence[FloatArray]) -> list[bool]:
    """Whether each shape is far from the median of all; of fewer than `_LEAST_COMPARED`, none is."""
    if len(shapes) < _LEAST_COMPARED:
        return [False] * len(shapes)
    centre = np.median(np.stack(shapes), axis=0)  # (32,)
    gaps = np.array([_gap_db(shape, centre) for shape in shapes])
    spread = _MAD_TO_SD * float(np.median(np.abs(gaps - np.median(gaps))))
    limit = max(float(np.median(gaps)) + _SPREADS * spread, LEAST_GAP_DB)
    return [bool(gap > limit) for gap in gaps]


def _gap_db(one: FloatArray, other: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(one - other))))
