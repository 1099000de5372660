"""Which files are recordings: the suffixes under which each kind is kept, and whether only WAV and FLAC are read.

WAV and FLAC are read by `asd_core.audio.reading` itself. Every other kind is known by its first bytes, never by its
name, and decoded in the limited child process alone (`asd_core.audio.sandbox`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asd_core.errors import AudioError, UsageError

if TYPE_CHECKING:
    from asd_core.audio.riff import Content

FORMATS_VARIABLE = "ASD_FORMATS"
LOSSLESS_SUFFIXES = (".wav", ".wave", ".bwf", ".rf64", ".flac")
"""Read by the bounded reader, in this process."""
OTHER_SUFFIXES = (
    ".mp3",
    ".ogg",
    ".oga",
    ".opus",
    ".m4a",
    ".m4b",
    ".aac",
    ".mp4",
    ".m4v",
    ".mov",
    ".qt",
    ".3gp",
    ".3gpp",
    ".3g2",
    ".webm",
    ".weba",
    ".mka",
    ".mkv",
    ".aif",
    ".aiff",
    ".aifc",
    ".amr",
    ".wma",
)
"""Read through PyAV, in the limited child process alone."""
LOSSY = "lossy: "
"""Begins the warning about a recording whose coding left something out."""


@dataclass(frozen=True)
class Kind:
    """A kind of recording that only the child process decodes.

    Parameters
    ----------
    name
        What people call it.
    demuxer
        FFmpeg's name of the one reader that it is handed to.
    """

    name: str
    demuxer: str


MP3, ADTS = Kind("MP3", "mp3"), Kind("AAC", "aac")
MP4 = Kind("M4A or MP4", "mov")
_MARKS = (
    (0, b"OggS", Kind("Ogg", "ogg")),
    (4, b"ftyp", MP4),
    (4, b"moov", MP4),  # QuickTime files of older cameras
    (4, b"mdat", MP4),
    (4, b"wide", MP4),
    (0, b"\x1aE\xdf\xa3", Kind("WebM or Matroska", "matroska")),
    (0, b"#!AMR\n", Kind("AMR", "amr")),
    (0, b"#!AMR-WB\n", Kind("AMR", "amr")),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), Kind("WMA", "asf")),
)
_AIFF = Kind("AIFF", "aiff")
_WAV_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.726",
    0x0045: "G.726",
    0x0064: "G.726",
    0x0055: "MP3",
}
KINDS = (
    MP3,
    ADTS,
    _AIFF,
    *(kind for _, _, kind in _MARKS),
    *(Kind(f"WAV with {name}", "wav") for name in _WAV_CODECS.values()),
)
"""All that the child process decodes."""
_MPEG_HEADER_BYTES = 4
_MAX_CHUNKS = 1000


def only_lossless() -> bool:
    """Whether `ASD_FORMATS=strict` switches all formats but WAV and FLAC off.

    Raises
    ------
    UsageError
        Another value than `strict` or `all`.
    """
    value = os.environ.get(FORMATS_VARIABLE, "").strip().lower() or "all"
    if value not in ("all", "strict"):
        raise UsageError(f"{FORMATS_VARIABLE} must be all or strict (WAV and FLAC alone), got {value!r}")
    return value == "strict"


def readable_kinds() -> str:
    """Name what is read, as after "must be"."""
    return "WAV or FLAC" if only_lossless() else "WAV or FLAC, or else MP3, M4A, AAC, Ogg, WebM, AIFF, AMR or WMA"


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes, in lower case, of the files that are listed as recordings."""
    return LOSSLESS_SUFFIXES if only_lossless() else LOSSLESS_SUFFIXES + OTHER_SUFFIXES


def is_lossy(warnings: Iterable[str]) -> bool:
    """Whether a recording with these warnings was coded with loss."""
    return any(text.startswith(LOSSY) for text in warnings)


def kind_of(content: Content) -> Kind | None:
    """Tell by its first bytes what only the child process decodes; None for WAV, FLAC and what is no recording."""
    start = bytes(content[:16])
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        codec = _WAV_CODECS.get(_wav_tag(content))
        return Kind(f"WAV with {codec}", "wav") if codec else None
    if start[:3] == b"ID3":
        return ADTS if _mpeg_kind(_after_tag(content)) is ADTS else MP3
    marked = (kind for at, mark, kind in _MARKS if start[at : at + len(mark)] == mark)
    return next(marked, None) or _mpeg_kind(start)


def other_kind(content: Content) -> Kind | None:
    """Return the kind of a recording for the child process; None for what the bounded reader accepts or refuses.

    Raises
    ------
    AudioError
        With code "magic", where `ASD_FORMATS=strict` switches this kind off.
    """
    kind = kind_of(content)
    if kind is None or not only_lossless():
        return kind
    if kind.demuxer == "wav":
        return None
    what = f"only WAV and FLAC are read on this machine, this is {kind.name}"
    raise AudioError("magic", what, cure="convert the file to WAV or FLAC", command="ffmpeg -i {file} converted.wav")


def _wav_tag(content: Content) -> int:
    """The format tag in the first fmt chunk of a WAV; 0 where there is none."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        head = content[at : at + 10]
        if len(head) < 10:
            return 0
        identity, n_bytes, tag = struct.unpack("<4sIH", head)
        if identity == b"fmt ":
            return int(tag)
        at += 8 + n_bytes + (n_bytes & 1)
    return 0


def _after_tag(content: Content) -> bytes:
    """The first bytes of the sound behind an ID3 tag, whose length has 7 bits a byte."""
    sizes = content[6:10]
    n_bytes = sum((size & 0x7F) << 7 * place for place, size in enumerate(reversed(sizes)))
    return bytes(content[10 + n_bytes : 10 + n_bytes + _MPEG_HEADER_BYTES])


def _mpeg_kind(start: bytes) -> Kind | None:
    """Tell MP3 and AAC in ADTS by the header of their first frame, each field of which must have a legal value."""
    if len(start) < _MPEG_HEADER_BYTES or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return None
    if start[1] & 0xF6 == 0xF0 and start[2] >> 2 & 0xF < 13:  # layer 0 and one of 13 rates
        return ADTS
    is_mp3 = start[1] & 0x06 == 0x02 and start[1] & 0x18 != 0x08  # layer III of a version that exists
    has_rates = start[2] >> 4 not in (0, 15) and start[2] >> 2 & 3 != 3
    return MP3 if is_mp3 and has_rates else None
