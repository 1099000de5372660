"""What was read of a file that may still be growing: whether it can be all, and whether another reading goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass

from asd_core.audio.opening import opened
from asd_core.audio.reading import read_waveform
from asd_core.audio.recorded import Recorded, recorded_at
from asd_core.errors import AudioError
from asd_core.monitoring.arriving.growing import HOLE_BYTES, HOLE_S, silent_tail
from asd_core.monitoring.arriving.lookout import seen_as
from asd_core.monitoring.rows import Signature
from asd_core.types import SR, Float32Array, Waveform

_UNSETTLED_TAIL = SR // 10
"""Samples at the end that may differ once more sound follows: resampling and lossy coding look ahead."""
_LEAST_PRINT = SR // 4


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file held.

    Parameters
    ----------
    signature
        The file's, before and after it was read.
    sound
        What was read, or why it cannot be.
    recorded
        When it was recorded; None where that cannot be read.
    is_complete
        Whether it was read in full and does not end in zeros that a copy may have reserved.
    states_end
        Whether the file says where it ends; others, such as an MP3, can be read at any time while they grow.
    """

    signature: Signature
    sound: Waveform | AudioError
    recorded: Recorded | None
    is_complete: bool
    states_end: bool

    @property
    def n_bytes(self) -> int:
        """Memory that its samples take."""
        return self.sound.samples.nbytes if isinstance(self.sound, Waveform) else 0

    def says_the_same(self, other: Reading) -> bool:
        """Whether another reading gave the same bytes, or the same refusal."""
        if isinstance(self.sound, Waveform) and isinstance(other.sound, Waveform):
            return self.sound.digest == other.sound.digest
        return str(self.sound) == str(other.sound)


def read_as(path: str, signature: Signature, *, channel: int | None) -> Reading | None:
    """Read a file that has this signature; None where it is gone or has changed by now."""
    sound: Waveform | AudioError
    recorded = None
    try:
        sound, recorded = read_waveform(path, channel=channel), recorded_at(path)
    except AudioError as error:
        sound = error
    reading = Reading(signature, sound, recorded, _is_complete(path, sound), states_its_end(path))
    return reading if seen_as(path) == signature else None


def _is_complete(path: str, sound: Waveform | AudioError) -> bool:
    if isinstance(sound, AudioError) or is_cut(sound):
        return False
    return silent_tail(sound.samples) < HOLE_S * sound.sr and not ends_in_zeros(path)


def is_cut(sound: Waveform) -> bool:
    """Whether a recording breaks off, or its recorder had not finished it."""
    return any(line.startswith(("truncated", "unfinished")) for line in sound.warnings)


def ends_in_zeros(path: str) -> bool:
    """Whether the last `HOLE_BYTES` of a file are zero."""
    with contextlib.suppress(AudioError), opened(path) as descriptor:
        start = os.fstat(descriptor).st_size - HOLE_BYTES
        if start >= 0:
            os.lseek(descriptor, start, os.SEEK_SET)
            return not os.read(descriptor, HOLE_BYTES).strip(b"\0")
    return False


def states_its_end(path: str) -> bool:
    """Whether a file says where it ends, and reaches so far."""
    with contextlib.suppress(AudioError), opened(path) as descriptor:
        start, n_bytes = os.read(descriptor, 28), os.fstat(descriptor).st_size
        if start[:4] == b"fLaC" or start[4:8] == b"ftyp":
            return True
        if start[:4] == b"RIFF":
            return 0 < int.from_bytes(start[4:8], "little") <= n_bytes - 8
        if start[:4] in (b"RF64", b"BW64"):
            return 0 < int.from_bytes(start[20:28], "little") <= n_bytes - 8
    return False


def may_end_anywhere(path: str) -> bool:
    """Whether a file is of a kind that never says where it ends."""
    with contextlib.suppress(AudioError), opened(path) as descriptor:
        return os.read(descriptor, 4) not in (b"RIFF", b"RF64", b"BW64", b"fLaC")
    return False


@dataclass(frozen=True)
class Print:
    """What is kept of a sound, to know it again at the beginning of a longer one.

    Parameters
    ----------
    n_samples
        Its length.
    n_known
        Samples from its start of which `digest` is; zeros at its end are left out.
    is_cut
        Whether it broke off, or ended in zeros.
    """

    n_samples: int
    n_known: int
    digest: bytes
    is_cut: bool

    @classmethod
    def of(cls, sound: Waveform) -> Print:
        """Make the print of a sound."""
        n_zeros = silent_tail(sound.samples)
        n_known = max(0, sound.n_samples - max(n_zeros, _UNSETTLED_TAIL))
        return cls(
            sound.n_samples, n_known, _digest(sound.samples[:n_known]), is_cut(sound) or n_zeros >= HOLE_S * sound.sr
        )

    def goes_on_in(self, sound: Waveform | AudioError) -> bool:
        """Whether a sound begins with this one and is more of it: the file had not been whole."""
        if isinstance(sound, AudioError) or self.n_known < _LEAST_PRINT or sound.n_samples < self.n_samples:
            return False
        is_more = sound.n_samples > self.n_samples or (self.is_cut and not is_cut(sound))
        return is_more and _digest(sound.samples[: self.n_known]) == self.digest


def _digest(samples: Float32Array) -> bytes:
    return hashlib.sha256(samples.tobytes()).digest()
