"""Recordings that the reader refuses, written as WAVs that it reads.

Rate, channels and level are kept, except for what is asked for or was refused: an odd rate becomes 16 kHz, samples that
are no numbers become 0, and of a file that breaks off what can be read is kept. Memory holds a block, not a recording.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asd_core.audio import refusals
from asd_core.audio.opening import MAX_RECORDING_BYTES, naming_refusals
from asd_core.audio.reading import MAX_ABS, MAX_RECORDING_S, Sound, SoundStream, stream_sound, unchecked_sound
from asd_core.audio.riff import MAX_CHANNELS, MAX_CHANNELS_OF_WHICH_ONE, MAX_RATE_HZ, MIN_RATE_HZ
from asd_core.errors import AudioError, UsageError
from asd_core.types import SR, Float32Array

QUIET = 1 / 256
"""Below this peak 16 bits would be coarse, and floats are written."""
DIVISORS = 1e-6, 1e12

_MAX_WAV_BYTES = 4 * 10**9
"""Beyond it an RF64 is written."""
_OF_OTHER_KINDS = ("magic", "codec")


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert, and how.

    Parameters
    ----------
    paths
        Recordings; links are followed.
    to
        Folder of the WAVs, made where it is missing. A file in it is never replaced.
    divide
        Samples are divided by this.
    channel
        The only channel kept, from 0, or the mean of all; None keeps all. Up to 8 are averaged or kept.
    """

    paths: tuple[Path, ...]
    to: Path
    divide: float = 1.0
    channel: int | Literal["mean"] | None = None


@dataclass(frozen=True)
class Converted:
    """A file that was written: the recording, the WAV made of it, its length in seconds, and what is to be said."""

    path: Path
    out: Path
    seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ConvertReport:
    """What became of each recording."""

    files: tuple[Converted, ...]
    refused: tuple[dict[str, str], ...]

    @property
    def warnings(self) -> list[str]:
        """What is to be said about the files written, each line with its file."""
        return [f"{file.path}: {text}" for file in self.files for text in file.warnings]

    def to_json(self) -> dict[str, Any]:
        """The report of the command."""
        files = [{"path": str(file.path), "out": str(file.out), "seconds": file.seconds} for file in self.files]
        report = {"schema": 1, "command": "convert", "warnings": self.warnings, "files": files}
        return {**report, "refused": list(self.refused)}


@dataclass
class _Heard:
    """What was found while a recording was read through."""

    n_frames: int = 0
    peak: float = 0.0
    n_not_finite: int = 0
    are_integers: bool = True
    warnings: tuple[str, ...] = ()


def convert(request: ConvertRequest) -> ConvertReport:
    """Write a 16-bit WAV per recording, or one of 32-bit floats where it goes beyond full scale or is very quiet.

    Raises
    ------
    UsageError
        A divisor that is none, or a target that is no folder. A recording that cannot be converted is listed instead.
    """
    low, high = DIVISORS
    if not low <= request.divide <= high:
        raise UsageError(f"samples are divided by {low:g} to {high:g}, got {request.divide:g}")
    if os.path.lexists(request.to) and not request.to.is_dir():
        raise UsageError(f"{request.to} is no folder; name a folder for the converted recordings")
    request.to.mkdir(parents=True, exist_ok=True)
    files, refused = [], []
    for path in request.paths:
        try:
            files.append(_converted(path, request))
        except AudioError as refusal:
            refused.append(refusal.entry(str(path)))
    return ConvertReport(tuple(files), tuple(refused))


def _converted(path: Path, request: ConvertRequest) -> Converted:
    out = request.to / f"{path.stem}.wav"
    with naming_refusals(str(path)):
        if os.path.lexists(out):
            raise AudioError("open", f"{out} is there already, and is never replaced", cure="name another folder")
        heard = _Heard()
        with _opened(path, request) as sound:
            seconds = _listen(sound, request, heard)
        with _opened(path, request) as sound:
            _write(out, sound, request, heard)
    return Converted(path, out, seconds, heard.warnings)


@contextlib.contextmanager
def _opened(path: Path, request: ConvertRequest) -> Iterator[Sound]:
    """Open a recording of any kind that is read, with the channels to be written; its samples may still be anything."""
    source, limit = os.path.realpath(path), MAX_RECORDING_BYTES
    with contextlib.ExitStack() as stack:
        try:
            sound = stack.enter_context(unchecked_sound(source, max_bytes=limit))
        except AudioError as refusal:
            if refusal.code not in _OF_OTHER_KINDS:
                raise
            one = request.channel if isinstance(request.channel, int) else None
            decoded = stream_sound(source, max_bytes=limit, max_duration_s=MAX_RECORDING_S, channel=one)
            yield _mono(stack.enter_context(decoded))
        else:
            _check_layout(sound, request.channel)
            yield _chosen(sound, request.channel)


def _mono(stream: SoundStream) -> Sound:
    return Sound(stream.sr, stream.n_frames, 1, stream.warnings, (block[:, None] for block in stream.blocks))


def _chosen(sound: Sound, channel: int | Literal["mean"] | None) -> Sound:
    if channel is None:
        return sound
    pick = _mean if channel == "mean" else operator.itemgetter((slice(None), [channel]))
    return replace(sound, n_channels=1, blocks=map(pick, sound.blocks))


def _mean(frames: Float32Array) -> Float32Array:
    with np.errstate(invalid="ignore", over="ignore"):  # samples that are no numbers are dealt with later
        mean: Float32Array = np.mean(frames, axis=1, keepdims=True)
        return mean


def _listen(sound: Sound, request: ConvertRequest, heard: _Heard) -> float:
    """Read a recording through once; return its length in seconds, or refuse it."""
    for frames in _cured(sound, request, heard):
        heard.peak = max(heard.peak, float(np.abs(frames).max(initial=0.0)))
        if heard.n_frames > MAX_RECORDING_S * sound.sr:
            rule = f"{MAX_RECORDING_S} s"
            raise refusals.too_long(heard.n_frames, sound.sr, rule=rule, max_recording_s=MAX_RECORDING_S)
    if heard.n_frames == 0:
        raise refusals.no_sound()
    if heard.peak > MAX_ABS:
        raise refusals.out_of_range(heard.peak * request.divide, MAX_ABS, are_integers=heard.are_integers)
    heard.warnings += sound.warnings
    if heard.n_not_finite:
        heard.warnings += (f"nonfinite: {heard.n_not_finite} samples that were no numbers are now 0",)
    return heard.n_frames / sound.sr


def _check_layout(sound: Sound, channel: int | Literal["mean"] | None) -> None:
    most = MAX_CHANNELS_OF_WHICH_ONE if isinstance(channel, int) else MAX_CHANNELS
    if sound.n_channels > most:
        raise refusals.too_many_channels(sound.n_channels, MAX_CHANNELS, MAX_CHANNELS_OF_WHICH_ONE)
    if isinstance(channel, int) and not 0 <= channel < sound.n_channels:
        raise refusals.no_such_channel(channel, sound.n_channels)
    low, high = refusals.CONVERTED_RATES_HZ
    if not low <= sound.sr <= high:
        raise refusals.bad_rate(sound.sr, MIN_RATE_HZ, MAX_RATE_HZ)


def _cured(sound: Sound, request: ConvertRequest, heard: _Heard) -> Iterator[Float32Array]:
    """Yield the frames to be written, at the file's own rate, and count what was found."""
    try:
        for frames in sound.blocks:
            is_finite = np.isfinite(frames)
            found: Float32Array = np.where(is_finite, frames, 0).astype(np.float32, copy=False)
            heard.n_frames += len(frames)
            heard.n_not_finite += int(frames.size - is_finite.sum())
            heard.are_integers &= bool((found == np.rint(found)).all())
            with np.errstate(over="ignore"):  # what is too loud even for a float is refused
                divided = found / np.float32(request.divide)
            yield divided
    except OSError as error:
        raise refusals.cannot_open(error) from error
    except AudioError as refusal:
        if refusal.code != "decode" or not heard.n_frames:
            raise
        heard.warnings += (f"damaged: only the first {heard.n_frames / sound.sr:.2f} s could be read",)


def _write(out: Path, sound: Sound, request: ConvertRequest, heard: _Heard) -> None:
    blocks: Iterable[Float32Array] = _cured(sound, request, _Heard())
    sr = sound.sr
    if not MIN_RATE_HZ <= sr <= MAX_RATE_HZ:
        sr, blocks = SR, _resampled(blocks, sound.sr, sound.n_channels)
    is_float = heard.peak > 1 or 0 < heard.peak < QUIET
    raw = (_as_float(frames) if is_float else _as_16_bit(frames) for frames in blocks)
    frame_bytes = sound.n_channels * (4 if is_float else 2)
    is_large = heard.n_frames * sr / sound.sr * frame_bytes > _MAX_WAV_BYTES
    header = functools.partial(_rf64_header if is_large else _wav_header, sr, sound.n_channels, is_float=is_float)
    try:
        _fill(out, raw, header)
    except OSError as error:  # of the source they are refusals by now
        raise UsageError(f"{out} cannot be written: {error.strerror}; name a folder with room") from error


def _fill(out: Path, parts: Iterable[bytes], header: Callable[..., bytes]) -> None:
    """Write a file that was not there; an unfinished one is removed again."""
    with contextlib.ExitStack() as undo, out.open("xb") as file:
        undo.callback(out.unlink)
        file.write(header(n_bytes=0))
        n_bytes = sum(map(file.write, parts))
        file.seek(0)
        file.write(header(n_bytes=n_bytes))
        undo.pop_all()


def _wav_header(sr: int, n_channels: int, *, is_float: bool, n_bytes: int) -> bytes:
    tag, bits = (3, 32) if is_float else (1, 16)
    align = n_channels * bits // 8
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, n_channels, sr, sr * align, align, bits)
    return struct.pack("<4sI4s", b"RIFF", n_bytes + 36, b"WAVE") + fmt + struct.pack("<4sI", b"data", n_bytes)


def _rf64_header(sr: int, n_channels: int, *, is_float: bool, n_bytes: int) -> bytes:
    """The same with sizes of 64 bits, in a ds64 chunk."""
    fmt = _wav_header(sr, n_channels, is_float=is_float, n_bytes=0)[12:36]
    n_frames = n_bytes // (n_channels * (4 if is_float else 2))
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, n_bytes + 72, n_bytes, n_frames, 0)
    return struct.pack("<4sI4s", b"RF64", 2**32 - 1, b"WAVE") + ds64 + fmt + struct.pack("<4sI", b"data", 2**32 - 1)


def _as_float(frames: Float32Array) -> bytes:
    return frames.astype("<f4").tobytes()


def _as_16_bit(frames: Float32Array) -> bytes:
    return np.clip(np.rint(frames * 32768), -32768, 32767).astype("<i2").tobytes()


def _resampled(blocks: Iterable[Float32Array], sr: int, n_channels: int) -> Iterator[Float32Array]:
    import soxr

    stream = soxr.ResampleStream(sr, SR, n_channels, dtype="float32")
    shape = (-1,) if n_channels == 1 else (-1, n_channels)
    for frames in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(frames).reshape(shape)).reshape(-1, n_channels)
    yield stream.resample_chunk(np.empty((0, n_channels), np.float32).reshape(shape), last=True).reshape(-1, n_channels)
