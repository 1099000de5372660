"""One stretch of a long recording at a time, in memory for that stretch: what training on long recordings reads.

A stretch has the same samples as the segment of `asd_core.audio.segments` at that place. The recording last read stays
open, so that stretches in order cost one pass over the file; going back starts it again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
from collections.abc import Iterator

import numpy as np

from asd_core.audio.faults import sound_warnings
from asd_core.audio.kinds import LOSSY
from asd_core.audio.opening import MAX_RECORDING_BYTES
from asd_core.audio.reading import MAX_RECORDING_S, MIN_DURATION_S, Extent, SoundStream, probe, stream_sound
from asd_core.audio.segments import at_rate
from asd_core.errors import AudioError
from asd_core.types import SR, Float32Array, Waveform

KEPT_OPEN = 2
"""So many recordings stay open at most."""


def extent(path: str | os.PathLike[str]) -> Extent:
    """Rate, length and channels of a recording of any length, as its header has them; errors as `stream_sound`."""
    return _extent(os.fspath(path), _key(path, None))


@functools.lru_cache(maxsize=4096)  # asked for each stretch, and a compressed file is opened by the child
def _extent(path: str, status: tuple[object, ...]) -> Extent:  # noqa: ARG001 - a changed file is another one
    return probe(path, max_bytes=MAX_RECORDING_BYTES, max_duration_s=MAX_RECORDING_S)


def read_stretch(path: str | os.PathLike[str], span: tuple[float, float], *, channel: int | None = None) -> Waveform:
    """Read a stretch of a recording.

    Parameters
    ----------
    span
        Start and end in seconds; an end beyond the recording's is its end.
    channel
        Channel to take, from 0; None takes the mean of all channels.

    Returns
    -------
    Waveform
        `digest` is of the samples; `warnings` holds faults of the stretch, and of its file in the stretch that begins
        or ends it; that it was coded lossily in each.

    Raises
    ------
    AudioError
        As `asd_core.audio.reading.read_waveform`; `too_short` where less than 0.5 s of the stretch is there.
    """
    start, end = (round(second * SR) for second in span)
    with _LOCK:
        samples, warnings = _read(path, channel, start, end)
    if len(samples) < MIN_DURATION_S * SR:
        what = f"{len(samples) / SR:.2f} s of the stretch from {span[0]:g} to {span[1]:g} s are there"
        raise AudioError("too_short", what, cure="name a stretch of the recording", name=os.fspath(path))
    samples.setflags(write=False)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    return Waveform(samples, digest=digest, warnings=warnings + sound_warnings(samples, sr=SR))


_LOCK = threading.Lock()
_OPEN: dict[tuple[object, ...], _Recording] = {}


def _read(
    path: str | os.PathLike[str], channel: int | None, start: int, end: int
) -> tuple[Float32Array, tuple[str, ...]]:
    key = _key(path, channel)
    recording = _OPEN.pop(key, None)
    if recording is None or start < recording.start:
        if recording is not None:
            recording.close()
        recording = _Recording(path, channel)
    is_open = False
    try:
        samples = recording.read(start, end)
        is_open = not recording.has_ended
    finally:
        if not is_open:
            recording.close()
    if is_open:
        _OPEN[key] = recording
    while len(_OPEN) > KEPT_OPEN:
        _OPEN.pop(next(iter(_OPEN))).close()
    return samples, recording.warnings_at(start)


def _key(path: str | os.PathLike[str], channel: int | None) -> tuple[object, ...]:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return (os.fspath(path), channel)
    return (os.fspath(path), channel, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class _Recording:
    """An open recording at the package's rate, read forwards; `start` is the first sample that is still at hand."""

    def __init__(self, path: str | os.PathLike[str], channel: int | None) -> None:
        self._stack = contextlib.ExitStack()
        sound: SoundStream = self._stack.enter_context(
            stream_sound(path, max_bytes=MAX_RECORDING_BYTES, max_duration_s=MAX_RECORDING_S, channel=channel)
        )
        self._sound = sound
        self.start = 0
        self.has_ended = False
        self._kept = np.empty(0, dtype=np.float32)
        self._blocks: Iterator[Float32Array] = at_rate(sound)

    def read(self, start: int, end: int) -> Float32Array:
        """Samples from `start` to `end` or the recording's end; what lies before them is forgotten."""
        parts, n_kept = [self._kept], len(self._kept)
        while self.start + n_kept < end:
            block = next(self._blocks, None)
            if block is None:
                self.has_ended = True
                break
            parts.append(block)
            n_kept += len(block)
            if self.start + n_kept <= start:  # nothing of it is wanted
                self.start, parts, n_kept = self.start + n_kept, [], 0
        self._kept = np.concatenate([np.empty(0, dtype=np.float32), *parts])
        self._kept = self._kept[max(0, start - self.start) :]
        self.start = max(start, self.start)
        return self._kept[: end - self.start].copy()

    def warnings_at(self, start: int) -> tuple[str, ...]:
        """The file's warnings that concern a stretch: all where it begins the file, else on coding and the end."""
        late = self._sound.late_warnings if self.has_ended else ()
        return (*(text for text in self._sound.warnings if start == 0 or text.startswith(LOSSY)), *late)

    def close(self) -> None:
        """Close the file."""
        self._stack.close()
