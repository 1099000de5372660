"""The walk over the chunks of a WAV file: bytes in, header out.

RIFF/WAVE, and RF64 or BW64 with the sizes of their ds64 chunk (EBU Tech 3306, ITU-R BS.2088), which field recorders
write beyond 4 GiB. A recorder that streams, or was killed, leaves the length of the sound open: it then reaches to the
end of the file, or to the chunks that follow. Nothing is decoded here, and no file is opened.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from asd_core.audio.refusals import (
    bad_rate,
    contradictory_length,
    damaged_header,
    no_sound,
    too_many_channels,
    unknown_codec,
)

MAX_CHUNKS = 1000
MAX_CHANNELS = 8
MAX_CHANNELS_OF_WHICH_ONE = 64
"""Where one channel is named, so that no mean is taken."""
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
UNFINISHED = "unfinished: the recorder was stopped before it wrote the length; heard to the end of the file"

_FMT_BYTES = (16, 4096)
_EXTENSIBLE = 0xFFFE
_EXTENSIBLE_BYTES = 40
_GUID_TAIL = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
_WAV_SUBTYPES = {
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (3, 32): "FLOAT",
    (3, 64): "DOUBLE",
    (6, 8): "ALAW",
    (7, 8): "ULAW",
}
_IN_DS64 = 0xFFFFFFFF
_UNKNOWN_IN_DS64 = 2**64 - 1
_DS64, _DS64_ENTRY = struct.Struct("<QQQI"), struct.Struct("<4sQ")
"""Sizes of the file and of the sound, frames, and how many other chunks of 4 GiB or more follow with their sizes."""
_LEFT_OPEN = (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00, 0x7FFFF000)
"""Sizes that stand for 'unknown yet': of FFmpeg and many others, of Android's Oboe, of ALSA's arecord, of SoX.

They are written for the sound, or for the whole file, and the sound is then what remains of it.
"""
_TAIL_BYTES = 2**20
_TAIL_CANDIDATES = _TAIL_CHUNKS = 64
_AFTER_SOUND = re.compile(rb"LIST|bext|id3 |ID3 |cue |smpl|inst|fact|iXML|axml|_PMX|JUNK|junk|PAD |FLLR|plst|DISP|acid")
"""Chunks that programs write behind the sound."""


class Content(Protocol):
    """Bytes in memory or in a file; slices are read on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True)
class Chunk:
    """Where a RIFF chunk's body starts, and how long it claims to be."""

    start: int
    n_bytes: int
    is_open: bool = False
    """Whether its length was never written; `n_bytes` is then what stands in its place."""


@dataclass(frozen=True)
class WavHeader:
    """What the RIFF walk found.

    Parameters
    ----------
    subtype
        Kind of the samples, in libsndfile's words.
    channels, sr
        At least 1 channel; the rate in Hz may be any.
    n_frames
        Frames that are there.
    start, frame_bytes
        Where the first frame lies, and bytes per frame.
    warnings
        `code: text` lines: "truncated" or "unfinished".
    """

    subtype: str
    channels: int
    sr: int
    n_frames: int
    start: int
    frame_bytes: int
    warnings: tuple[str, ...]


def is_wav(content: Content) -> bool:
    """Whether the first bytes are those of a WAV, of whatever size."""
    return content[:4] in (b"RIFF", b"RF64", b"BW64") and content[8:12] == b"WAVE"


def wav_header(content: Content) -> WavHeader:
    """Walk the RIFF chunks and check everything that decoding relies on.

    Parameters
    ----------
    content
        The whole file, for which `is_wav` holds.

    Raises
    ------
    AudioError
        With code "chunks", "fmt", "codec", "channels" or "empty"; the rate is not checked.
    """
    fmt, sound = _fmt_and_sound(content)
    subtype, channels, sr, frame_bytes = _parse_fmt(content, fmt)
    n_present, warnings = _present(content, sound)
    return WavHeader(subtype, channels, sr, n_present // frame_bytes, sound.start, frame_bytes, warnings)


def _present(content: Content, sound: Chunk) -> tuple[int, tuple[str, ...]]:
    """Return how many bytes of sound there are, and what is to be said about it."""
    n_after = max(0, len(content) - sound.start)
    if sound.is_open:
        n_present = _end_of_open_sound(content, sound.start) - sound.start
        if sound.n_bytes == 0 and 0 < n_present < n_after:
            raise contradictory_length(n_present)
    else:
        n_present = min(sound.n_bytes, n_after)
    if n_present <= 0:
        raise no_sound()
    if sound.is_open:
        return n_present, () if sound.n_bytes else (UNFINISHED,)
    if n_present < sound.n_bytes:
        return n_present, (f"truncated: the header claims {sound.n_bytes} bytes of sound, {n_present} are there",)
    return n_present, ()


def _end_of_open_sound(content: Content, start: int) -> int:
    """Find where sound without a length ends: before the chunks that follow it, or with the file."""
    tail_start = max(start, len(content) - _TAIL_BYTES)
    found = [tail_start + mark.start() for mark in _AFTER_SOUND.finditer(content[tail_start : len(content)])]
    return next((at for at in found[-_TAIL_CANDIDATES:] if are_chunks(content, at)), len(content))


def are_chunks(content: Content, at: int) -> bool:
    """Whether chunks, one behind the other, fill the file from here to its very end."""
    for _ in range(_TAIL_CHUNKS):
        if len(content) <= at:
            return at <= len(content) + 1  # the byte that pads the last one is often missing
        head = content[at : at + 8]
        if len(head) < 8 or not all(32 <= letter < 127 for letter in head[:4]):
            return False
        n_inside = int.from_bytes(head[4:], "little")
        at += 8 + n_inside + n_inside % 2
    return False


def _fmt_and_sound(content: Content) -> tuple[Chunk, Chunk]:
    """Return the only fmt chunk and the only data chunk, which follows it."""
    found: dict[bytes, list[Chunk]] = {b"fmt ": [], b"data": [], b"ds64": []}
    for identity, chunk in chunks(content):
        if identity in found:
            found[identity].append(chunk)
    n_fmt, n_data = len(found[b"fmt "]), len(found[b"data"])
    if (n_fmt, n_data) != (1, 1):
        raise damaged_header("chunks", f"WAV must have one fmt and one data chunk, got {n_fmt} and {n_data}")
    if content[:4] != b"RIFF" and not found[b"ds64"]:
        raise damaged_header("chunks", "RF64 must have a ds64 chunk")
    fmt, sound = found[b"fmt "][0], found[b"data"][0]
    if sound.start < fmt.start:
        raise damaged_header("chunks", "WAV must have its fmt chunk before its data chunk")
    return fmt, sound


def chunks(content: Content) -> Iterator[tuple[bytes, Chunk]]:
    """Yield identity and place of each chunk until one reaches past the end, or is sound without a length.

    Raises
    ------
    AudioError
        With code "chunks", where there are more than `MAX_CHUNKS`.
    """
    sizes: dict[bytes, int] = {}  # of chunks of 4 GiB or more
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            return
        identity, n_bytes = struct.unpack("<4sI", content[at : at + 8])
        if identity == b"ds64" and content[:4] != b"RIFF":
            sizes = _sizes(content[at + 8 : at + 8 + min(n_bytes, _FMT_BYTES[1])])
        chunk = _chunk(content, at + 8, n_bytes, sizes.get(identity), is_sound=identity == b"data")
        yield identity, chunk
        if chunk.is_open:
            return
        n_bytes = chunk.n_bytes
        at += 8 + n_bytes + (n_bytes & 1)
    if at + 8 <= len(content):
        raise damaged_header("chunks", f"WAV must have at most {MAX_CHUNKS} chunks, got more")


def _chunk(content: Content, start: int, n_bytes: int, n_in_ds64: int | None, *, is_sound: bool) -> Chunk:
    """Return a chunk with its true size, or as one whose length was never written; only sound can be that."""
    is_in_ds64 = n_bytes == _IN_DS64 and n_in_ds64 is not None
    if is_in_ds64:
        n_bytes = n_in_ds64 or 0
    if not is_sound:
        return Chunk(start, n_bytes)
    if n_bytes == 0:
        return Chunk(start, 0, is_open=not are_chunks(content, start))
    if is_in_ds64:
        return Chunk(start, n_bytes, is_open=n_bytes == _UNKNOWN_IN_DS64)
    return Chunk(start, n_bytes, is_open=n_bytes in _LEFT_OPEN or n_bytes + start - 8 in _LEFT_OPEN)


def _sizes(ds64: bytes) -> dict[bytes, int]:
    """Read the sizes that need more than 32 bits; the first table entry of a chunk counts."""
    if len(ds64) < _DS64.size:
        raise damaged_header("chunks", f"ds64 chunk must have {_DS64.size} bytes, got {len(ds64)}")
    _, n_sound, _, n_entries = _DS64.unpack(ds64[: _DS64.size])
    table = ds64[_DS64.size : _DS64.size + n_entries * _DS64_ENTRY.size]
    whole = len(table) // _DS64_ENTRY.size * _DS64_ENTRY.size
    sizes: dict[bytes, int] = {b"data": n_sound}
    for identity, n_bytes in _DS64_ENTRY.iter_unpack(table[:whole]):
        sizes.setdefault(identity, n_bytes)
    return sizes


def _parse_fmt(content: Content, fmt: Chunk) -> tuple[str, int, int, int]:
    """Return subtype, channels, rate in Hz and bytes per frame."""
    low, high = _FMT_BYTES
    if not low <= fmt.n_bytes <= high or fmt.start + fmt.n_bytes > len(content):
        raise damaged_header("fmt", f"fmt chunk must have {low}..{high} bytes, all present; it claims {fmt.n_bytes}")
    tag, channels, sr, _, frame_bytes, bits = struct.unpack("<HHIIHH", content[fmt.start : fmt.start + 16])
    if tag == _EXTENSIBLE:
        tag = _extensible_tag(content[fmt.start : fmt.start + fmt.n_bytes])
    if (tag, bits) not in _WAV_SUBTYPES:
        raise unknown_codec(tag, bits)
    if channels == 0:
        raise damaged_header("channels", f"there must be 1..{MAX_CHANNELS} channels, got 0")
    if frame_bytes != channels * bits // 8:
        rule = f"block align must be {channels * bits // 8}: {channels} channels x {bits} bits"
        raise damaged_header("fmt", f"{rule}, got {frame_bytes}")
    return _WAV_SUBTYPES[tag, bits], channels, sr, frame_bytes


def _extensible_tag(body: bytes) -> int:
    """Return the format tag inside the sub-format GUID of WAVE_FORMAT_EXTENSIBLE."""
    if len(body) < _EXTENSIBLE_BYTES:
        rule = f"fmt chunk of the extensible form must have {_EXTENSIBLE_BYTES} bytes"
        raise damaged_header("fmt", f"{rule}, got {len(body)}")
    if body[26:40] != _GUID_TAIL:
        raise damaged_header("codec", "sub-format must be PCM, floating point or G.711, got another one")
    return int.from_bytes(body[24:26], "little")


def check_layout(channels: int, sr: int, *, channel: int | None = None) -> None:
    """Refuse a number of channels or a sampling rate in Hz that no recording may have, WAV or not.

    Parameters
    ----------
    channel
        The one that is to be heard; None for the mean of all, of which there may then be fewer.
    """
    most = MAX_CHANNELS if channel is None else MAX_CHANNELS_OF_WHICH_ONE
    if channels > most:
        raise too_many_channels(channels, MAX_CHANNELS, MAX_CHANNELS_OF_WHICH_ONE)
    if channels < 1:
        raise damaged_header("channels", f"there must be 1..{MAX_CHANNELS} channels, got {channels}")
    if not MIN_RATE_HZ <= sr <= MAX_RATE_HZ:
        raise bad_rate(sr, MIN_RATE_HZ, MAX_RATE_HZ)
