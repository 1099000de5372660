"""Long recordings as a sequence of clips, in bounded memory: a segment every few seconds, at the package's rate.

The limits of `audio.reading` on size and length are for uploads and clips. Here an operator names the file, which may
last `MAX_RECORDING_S` and have `MAX_RECORDING_BYTES` (a plain WAV ends at 4 GiB, RF64 does not); every other rule of
the reader holds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asd_core.audio.faults import sound_warnings
from asd_core.audio.opening import MAX_RECORDING_BYTES
from asd_core.audio.reading import MAX_DURATION_S, MAX_RECORDING_S, MIN_DURATION_S, SoundStream, stream_sound
from asd_core.errors import UsageError
from asd_core.types import SR, Float32Array, Waveform

MIN_HOP_S = 0.1


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of a recording.

    Parameters
    ----------
    start_s, end_s
        Where it lies in the recording, in seconds.
    waveform
        Its sound; `digest` is of the samples, `warnings` holds the faults of `asd_core.audio.faults` ("silent: ...")
        and "partial: ...", and in the first segment also the file's own ("truncated: ..."); of a compressed recording
        that breaks off, "truncated: ..." is in the last.
    is_whole
        Whether it has the full length; only the last one may be shorter.
    """

    start_s: float
    end_s: float
    waveform: Waveform
    is_whole: bool


def check_segments(segment_s: float, hop_s: float) -> None:
    """Check length and hop of segments.

    Raises
    ------
    UsageError
        Out of range, or not a number.
    """
    if not MIN_DURATION_S <= segment_s <= MAX_DURATION_S:
        raise UsageError(f"segments must last {MIN_DURATION_S} to {MAX_DURATION_S} s, got {segment_s:g}")
    if not MIN_HOP_S <= hop_s <= MAX_DURATION_S:
        raise UsageError(f"segments must start every {MIN_HOP_S} to {MAX_DURATION_S} s, got {hop_s:g}")


def segments(
    path: str | os.PathLike[str], *, segment_s: float, hop_s: float, channel: int | None = None
) -> Iterator[Segment]:
    """Cut a recording into segments, each read on demand.

    Segments start at 0, `hop_s`, 2 `hop_s`, ... The first that would reach past the end is the last one and shorter; it
    is left out where all of its sound was in the segment before. Memory holds one segment and one block.

    Parameters
    ----------
    segment_s, hop_s
        Length, and distance of starts, in seconds; rounded to whole samples.
    channel
        Channel to take, from 0; None takes the mean of all channels.

    Raises
    ------
    UsageError
        See `check_segments`.
    AudioError
        As `asd_core.audio.reading.read_waveform`; damage late in the file is found late.
    """
    check_segments(segment_s, hop_s)
    n_segment, n_hop = round(segment_s * SR), round(hop_s * SR)
    with stream_sound(path, max_bytes=MAX_RECORDING_BYTES, max_duration_s=MAX_RECORDING_S, channel=channel) as sound:
        file_warnings = sound.warnings
        for start, samples in _cut(at_rate(sound), n_segment=n_segment, n_hop=n_hop):
            yield as_segment(start, samples, n_segment, (*file_warnings, *sound.late_warnings))
            file_warnings = ()


def as_segment(start: int, samples: Float32Array, n_segment: int, warnings: tuple[str, ...]) -> Segment:
    """Make a segment of samples at the package's rate, the first of which is `start`; names their faults."""
    is_whole = len(samples) == n_segment
    if not is_whole:
        warnings += (f"partial: the recording's end, {len(samples) / SR:.2f} s of {n_segment / SR:g} s",)
    samples.setflags(write=False)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    waveform = Waveform(samples, digest=digest, warnings=warnings + sound_warnings(samples, sr=SR))
    return Segment(start / SR, (start + len(samples)) / SR, waveform, is_whole)


def _cut(blocks: Iterator[Float32Array], *, n_segment: int, n_hop: int) -> Iterator[tuple[int, Float32Array]]:
    """Yield first sample and samples of each segment, the last one possibly shorter."""
    kept = np.empty(0, dtype=np.float32)  # the sound from `start` on
    start = covered = 0
    for block in blocks:
        kept = np.concatenate([kept, block])
        while len(kept) >= max(n_segment, n_hop):
            yield start, kept[:n_segment].copy()
            covered = start + n_segment
            start += n_hop
            kept = kept[n_hop:]
    while len(kept) and start + len(kept) > covered:
        samples = kept[:n_segment].copy()
        yield start, samples
        covered = start + len(samples)
        start += n_hop
        kept = kept[n_hop:]


def at_rate(sound: SoundStream) -> Iterator[Float32Array]:
    """Blocks at the package's rate, the same as if the whole recording were resampled at once."""
    if sound.sr == SR:
        yield from sound.blocks
        return
    import soxr

    stream = soxr.ResampleStream(sound.sr, SR, 1, dtype="float32")
    for block in sound.blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
