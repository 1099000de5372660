"""The walk over the chunks of a WAV file: bytes in, header out.

Nothing is decoded here, and no file is opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from asd_core.errors import AudioError

MAX_CHUNKS = 1000
MAX_CHANNELS = 8
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000

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
}


class Content(Protocol):
    """Bytes in memory or in a file; slices are read on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True)
class Chunk:
    """Where a RIFF chunk's body starts, and how long it claims to be."""

    start: int
    n_bytes: int


@dataclass(frozen=True)
class WavHeader:
    """What the RIFF walk found; libsndfile has to agree."""

    subtype: str
    channels: int
    sr: int
    n_frames: int
    start: int
    warnings: tuple[str, ...]


def wav_header(content: Content) -> WavHeader:
    """Walk the RIFF chunks and check everything that libsndfile would act on.

    Parameters
    ----------
    content
        The whole file; its first 12 bytes are known to be those of RIFF/WAVE.

    Raises
    ------
    AudioError
        With code "chunks", "fmt", "codec", "channels", "rate" or "empty".
    """
    fmt, sound = _fmt_and_sound(content)
    subtype, channels, sr, frame_bytes = _parse_fmt(content, fmt)
    n_present = min(sound.n_bytes, len(content) - sound.start)
    if n_present == 0:
        rule = f"data chunk must hold samples, it claims {sound.n_bytes} bytes and {len(content) - sound.start} follow"
        raise AudioError("empty", f"{rule}; save a streamed recording again")
    warnings: tuple[str, ...] = ()
    if n_present < sound.n_bytes:
        text = f"truncated: the header claims {sound.n_bytes} bytes of sound, {n_present} are there"
        warnings = (text,)
    return WavHeader(subtype, channels, sr, n_present // frame_bytes, sound.start, warnings)


def _fmt_and_sound(content: Content) -> tuple[Chunk, Chunk]:
    """Return the only fmt chunk and the only data chunk, which follows it."""
    found: dict[bytes, list[Chunk]] = {b"fmt ": [], b"data": []}
    for identity, chunk in chunks(content):
        if identity in found:
            found[identity].append(chunk)
    n_fmt, n_data = len(found[b"fmt "]), len(found[b"data"])
    if (n_fmt, n_data) != (1, 1):
        raise AudioError("chunks", f"WAV must have one fmt and one data chunk, got {n_fmt} and {n_data}")
    fmt, sound = found[b"fmt "][0], found[b"data"][0]
    if sound.start < fmt.start:
        raise AudioError("chunks", "WAV must have its fmt chunk before its data chunk")
    return fmt, sound


def chunks(content: Content) -> Iterator[tuple[bytes, Chunk]]:
    """Yield identity and place of each chunk until one reaches past the end."""
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            return
        identity, n_bytes = struct.unpack("<4sI", content[at : at + 8])
        yield identity, Chunk(at + 8, n_bytes)
        at += 8 + n_bytes + (n_bytes & 1)
    if at + 8 <= len(content):
        raise AudioError("chunks", f"WAV must have at most {MAX_CHUNKS} chunks, got more")


def _parse_fmt(content: Content, fmt: Chunk) -> tuple[str, int, int, int]:
    """Return subtype, channels, rate in Hz and bytes per frame."""
    low, high = _FMT_BYTES
    if not low <= fmt.n_bytes <= high or fmt.start + fmt.n_bytes > len(content):
        raise AudioError("fmt", f"fmt chunk must have {low}..{high} bytes, all present; it claims {fmt.n_bytes}")
    tag, channels, sr, _, frame_bytes, bits = struct.unpack("<HHIIHH", content[fmt.start : fmt.start + 16])
    if tag == _EXTENSIBLE:
        tag = _extensible_tag(content[fmt.start : fmt.start + fmt.n_bytes])
    if (tag, bits) not in _WAV_SUBTYPES:
        raise AudioError("codec", f"must be PCM of 8/16/24/32 or float of 32/64 bits, got tag {tag:#06x}, {bits} bits")
    check_layout(channels, sr)
    if frame_bytes != channels * bits // 8:
        rule = f"block align must be {channels * bits // 8} ({channels} channels x {bits} bits)"
        raise AudioError("fmt", f"{rule}, got {frame_bytes}")
    return _WAV_SUBTYPES[tag, bits], channels, sr, frame_bytes


def _extensible_tag(body: bytes) -> int:
    """Return the format tag inside the sub-format GUID of WAVE_FORMAT_EXTENSIBLE."""
    if len(body) < _EXTENSIBLE_BYTES:
        rule = f"fmt chunk of the extensible form must have {_EXTENSIBLE_BYTES} bytes"
        raise AudioError("fmt", f"{rule}, got {len(body)}")
    if body[26:40] != _GUID_TAIL:
        raise AudioError("codec", "sub-format must be PCM or float, got another one; convert the file first")
    return int.from_bytes(body[24:26], "little")


def check_layout(channels: int, sr: int) -> None:
    """Refuse a number of channels or a sampling rate in Hz that no recording may have, WAV or not."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError("channels", f"must have 1..{MAX_CHANNELS} channels, got {channels}")
    if not MIN_RATE_HZ <= sr <= MAX_RATE_HZ:
        raise AudioError(
            "rate", f"sample rate must be {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz, got {sr}; convert the file first"
        )
