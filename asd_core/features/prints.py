"""The print of a recording: what tells equal, nearly equal and continuing recordings apart without keeping their sound.

- A digest of the decoded sound: a WAV file and its FLAC copy have the same.
- A sketch: the second difference of the samples, projected with random signs to a few hundred numbers. The cosine of
  two sketches estimates that of the sounds (Charikar et al. 2002, count sketch). The difference makes low hum, which
  two recordings may share by chance, weigh nothing.
- Both ends, at the file's own rate, with linear predictors learned from the last and the first milliseconds: where one
  file continues another, each predicts the other's first sample as well as its own next one.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from asd_core.audio.kinds import LOSSLESS_SUFFIXES
from asd_core.audio.reading import MAX_DURATION_S, MAX_FILE_BYTES, stream_sound
from asd_core.features.cache import read_clip
from asd_core.types import SR, Float32Array, FloatArray, Waveform

SKETCH = 512
"""Numbers of a sketch: the cosine's error has a standard deviation of 1 / sqrt(512) = 0.044."""
_DIGEST_WORDS = 4
_ORDER = 16
"""Of the linear predictors."""
_EDGE = 512
"""Samples at each end from which they are learned."""
_TRAITS = f"print 1 sketch={SKETCH} order={_ORDER} edge={_EDGE}"


@dataclass(frozen=True, eq=False)
class SoundPrint:
    """What is kept of a recording.

    Parameters
    ----------
    digest
        24 hex digits over the decoded samples at 16 kHz.
    sketch
        Shape (512,), norm about 1; zeros for silence and clips of less than three samples.
    rate
        The file's own sampling rate in Hz.
    head, tail
        Shape (2, 18): the first or last 16 samples in the order in which their neighbour follows, with the predictor's
        16 weights, its constant and the root mean square of its error below. NaN where the recording is too short, or
        never changes there.
    """

    digest: str
    sketch: FloatArray
    rate: float
    head: FloatArray
    tail: FloatArray


def sound_print(
    path: str | os.PathLike[str], *, channel: int | None = None, span: tuple[float, float] | None = None
) -> SoundPrint:
    """Read a recording's print, or that of a stretch of it, from the feature cache where it is there.

    Parameters
    ----------
    channel
        Channel to take, from 0; None takes the mean of all channels.
    span
        Start and end of the stretch in seconds; None takes the whole file.

    Raises
    ------
    AudioError
        As `asd_core.audio.reading.read_waveform`.
    """
    waveform = read_clip(path, channel=channel, span=span)
    is_at_own_rate = span is None and os.fspath(path).lower().endswith(LOSSLESS_SUFFIXES)
    own = path if is_at_own_rate else None
    return _unpacked(waveform.derived(_TRAITS, lambda: _packed(waveform, own, channel)))


def border_ratio(before: SoundPrint, after: SoundPrint) -> float:
    """How badly each of two recordings predicts the first sample beyond their common border.

    Root mean square of both errors, in units of the predictors' own error: about 1 where `after` continues `before`,
    several times that for unrelated recordings, infinite where it cannot be told.
    """
    if before.rate != after.rate:
        return float("inf")
    errors = (_miss(before.tail, after.head), _miss(after.head, before.tail))
    own = before.tail[1, -1] ** 2 + after.head[1, -1] ** 2
    ratio = float(np.sqrt((errors[0] ** 2 + errors[1] ** 2) / own)) if own > 0 else float("inf")
    return ratio if np.isfinite(ratio) else float("inf")


def _miss(edge: FloatArray, other: FloatArray) -> float:
    """Error of the predictor of one edge at the first sample of the other."""
    return float(other[0, 0] - edge[0, :_ORDER] @ edge[1, :_ORDER] - edge[1, _ORDER])


def _packed(waveform: Waveform, path: str | os.PathLike[str] | None, channel: int | None) -> FloatArray:
    """Numbers of a print; its edges at the file's own rate, or, without a path, at the package's."""
    digest = hashlib.sha256(waveform.samples.tobytes()).digest()
    words = [int.from_bytes(digest[3 * word : 3 * word + 3]) for word in range(_DIGEST_WORDS)]
    samples, rate = waveform.samples.astype(np.float64), float(SR)
    if path is not None:
        with stream_sound(path, max_bytes=MAX_FILE_BYTES, max_duration_s=MAX_DURATION_S, channel=channel) as sound:
            samples = np.concatenate([np.zeros(0, np.float32), *sound.blocks]).astype(np.float64)
            rate = float(sound.sr)
    head, tail = _edge(samples[:_EDGE][::-1]), _edge(samples[-_EDGE:])
    return np.concatenate([words, [rate], _sketch(waveform.samples), head.ravel(), tail.ravel()])


def _unpacked(packed: FloatArray) -> SoundPrint:
    words, rest = packed[:_DIGEST_WORDS], packed[_DIGEST_WORDS:]
    edges = rest[1 + SKETCH :].reshape(2, 2, _ORDER + 2)
    digest = "".join(f"{int(word):06x}" for word in words)
    return SoundPrint(digest, rest[1 : 1 + SKETCH], float(rest[0]), edges[0], edges[1])


def _sketch(samples: Float32Array) -> FloatArray:
    curve = np.diff(samples.astype(np.float64), 2)
    norm = float(np.linalg.norm(curve))
    if not norm > 0:
        return np.zeros(SKETCH)
    signs = np.random.default_rng(0).integers(0, 2, len(curve), dtype=np.int8) * 2 - 1
    signed = np.concatenate([curve * signs / norm, np.zeros(-len(curve) % SKETCH)])
    sketch: FloatArray = signed.reshape(-1, SKETCH).sum(axis=0)
    return sketch


def _edge(samples: FloatArray) -> FloatArray:
    """Last samples, newest first, above a linear predictor of the next one: 16 weights, a constant, its error's RMS."""
    edge = np.full((2, _ORDER + 2), np.nan)
    if len(samples) < 4 * _ORDER:
        return edge
    past = np.lib.stride_tricks.sliding_window_view(samples, _ORDER)[:-1, ::-1]
    past = np.column_stack([past, np.ones(len(past))])
    target = samples[_ORDER:]
    weights = np.linalg.lstsq(past, target, rcond=None)[0]
    error = float(np.sqrt(np.square(target - past @ weights).mean()))
    edge[0, :_ORDER] = samples[::-1][:_ORDER]
    edge[1] = [*weights, error]
    return edge
