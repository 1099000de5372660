"""When a recording was made: its name says so, or its metadata, or else the file's own time.

Times are naive and local: a name or metadata without a zone tells the recorder's clock, and what is given in UTC is
turned into this machine's time.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Literal

from asd_core.audio.opening import FileContent, naming_refusals, opened, regular_size
from asd_core.audio.riff import Chunk, Content, chunks
from asd_core.errors import AudioError

FIRST_YEAR, LAST_YEAR = 1990, 2099
"""A date outside these years is taken for another number, or for a clock that was never set."""

_NO_LIMIT = 2**63
_EPOCH = datetime(1970, 1, 1)  # local: what a file system without a time gives
_INFO_BYTES = 4096
_SECONDS_FROM_1904_TO_1970 = 2_082_844_800
_MAX_BOXES = 1000
_BEXT_DATE, _BEXT_TIME = slice(320, 330), slice(330, 338)
"""OriginationDate and OriginationTime of a bext chunk (EBU Tech 3285, section 2.3)."""

_DATE = r"(?<!\d)(?P<year>\d{4})(?P<dash>[-_.:]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
_ZONE = r"(?:[.,]\d{1,9})?(?P<zone>Z(?![A-Za-z])|\+\d\d:?\d\d|-\d\d:\d\d)?(?![-:]?\d{2}(?!\d))(?!\d)"
_SECONDS = r"(?P<hour>\d\d)[-_.:h]?(?P<minute>\d\d)[-_.:m]?(?P<second>\d\d)"
_FORMS = (
    re.compile(_DATE + r"(?:[T/ _-]{0,3}| at )" + _SECONDS + _ZONE),
    re.compile(_DATE + r"(?:T(?P<hour>\d\d):?|[/ _-]{1,3}(?P<hour2>\d\d)[-.:h])(?P<minute>\d\d)" + _ZONE),
    re.compile(
        r"(?<!\d)(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)[-_](?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)"
    ),
)
"""Dates with a time of day. Where nothing separates the digits, seconds are asked for: '20240501_0001' is a counter."""
_DATE_ALONE = re.compile(_DATE + r"(?!\d)")
_UNIX = re.compile(r"(?<![0-9A-Za-z])(?P<seconds>1\d{9})(?:\d{3})?(?![0-9A-Za-z])")


@dataclass(frozen=True)
class Recorded:
    """When a recording was made.

    Parameters
    ----------
    time
        Naive, local; 00:00 where metadata give a date alone.
    how
        What says so: the recording's name, its metadata (bext or LIST INFO of a WAV, the header of an M4A or MP4), or
        the file's time of change.
    """

    time: datetime
    how: Literal["name", "metadata", "file"]


def recorded_at(path: str | os.PathLike[str], *, name: str | None = None) -> Recorded:
    """Find out when a recording was made.

    Parameters
    ----------
    path
        A regular file; links are not followed.
    name
        The owner's name of it, where it is kept under another one; may begin with its folder.

    Raises
    ------
    AudioError
        With code "open" or "not_file". What the file holds is never refused here.
    """
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        n_bytes = regular_size(descriptor, _NO_LIMIT)
        changed = os.fstat(descriptor).st_mtime
        if (time := time_in_name(os.fspath(path) if name is None else name)) is not None:
            return Recorded(time, "name")
        if (time := time_in_metadata(FileContent(descriptor, n_bytes))) is not None:
            return Recorded(time, "metadata")
    return Recorded(_local(changed) or _EPOCH, "file")


def time_in_name(name: str) -> datetime | None:
    """Read the time from a file's name, or from a folder named by the date and a file by the time; None without one.

    Known: `2024-05-01_13-45-10`, `20240501T134510Z`, `2024-05-01 13.45`, `240501-134510`, seconds since 1970 and alike.
    """
    parts = PurePath(name.replace("\\", "/")).parts[-2:]
    text, n_folder = "/".join(parts), len("/".join(parts[:-1]))
    for form in _FORMS:
        for found in form.finditer(text):
            if found.end() > n_folder + 1 and (time := _time(found.groupdict())) is not None:
                return time
    unix = _UNIX.search(parts[-1]) if parts else None
    return None if unix is None else _local(float(unix["seconds"]))


def time_in_metadata(content: Content) -> datetime | None:
    """Read the time that a WAV, or an M4A or MP4, holds of itself; None where there is none, or another format."""
    return time_in_wav(content) or time_in_mp4(content)


def time_in_mp4(content: Content) -> datetime | None:
    """Read when an M4A, MP4 or MOV was made from the header of its movie (ISO 14496-12, section 8.2.2)."""
    if content[4:8] != b"ftyp":
        return None
    movie = _box(content, b"moov", 0, len(content))
    header = None if movie is None else _box(content, b"mvhd", *movie)
    if header is None:
        return None
    start, end = header
    body = content[start : min(end, start + 12)]
    n_bytes = 8 if body[:1] == b"\x01" else 4
    seconds = int.from_bytes(body[4 : 4 + n_bytes]) if len(body) >= 4 + n_bytes else 0
    return _local(seconds - _SECONDS_FROM_1904_TO_1970) if seconds else None


def _box(content: Content, wanted: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Find a box among its siblings; return where its body starts and ends."""
    for _ in range(_MAX_BOXES):
        head = content[at : min(at + 16, end)]
        if len(head) < 8:
            return None
        n_bytes, body = int.from_bytes(head[:4]), at + 8
        if n_bytes == 1:
            n_bytes, body = int.from_bytes(head[8:16]), at + 16
        stop = end if n_bytes == 0 else at + n_bytes
        if stop < body:
            return None
        if head[4:8] == wanted:
            return body, min(stop, end)
        at = stop
    return None


def time_in_wav(content: Content) -> datetime | None:
    """Read the time from a WAV's bext or LIST INFO chunk; None where there is none, or no WAV."""
    if content[:4] not in (b"RIFF", b"RF64", b"BW64") or content[8:12] != b"WAVE":
        return None
    found: dict[bytes, Chunk] = {}
    try:
        for identity, chunk in chunks(content):
            if identity != b"LIST" or content[chunk.start : chunk.start + 4] == b"INFO":
                found.setdefault(identity, chunk)
    except AudioError:  # more chunks than a recording has
        return None
    origin, created = _bext_text(content, found.get(b"bext")), _info_text(content, found.get(b"LIST"))
    return _time_in_text(origin) or _time_in_text(created)


def _bext_text(content: Content, chunk: Chunk | None) -> str:
    if chunk is None or chunk.n_bytes < _BEXT_TIME.stop:
        return ""
    body = content[chunk.start : chunk.start + _BEXT_TIME.stop]
    return " ".join(_text(body[part]).replace(" ", "-") for part in (_BEXT_DATE, _BEXT_TIME))


def _info_text(content: Content, chunk: Chunk | None) -> str:
    """Return what ICRD holds, the date of creation."""
    if chunk is None:
        return ""
    body = content[chunk.start : chunk.start + min(chunk.n_bytes, _INFO_BYTES)]
    at = 4
    while at + 8 <= len(body):
        n_bytes = int.from_bytes(body[at + 4 : at + 8], "little")
        if body[at : at + 4] == b"ICRD":
            return _text(body[at + 8 : at + 8 + n_bytes])
        at += 8 + n_bytes + (n_bytes & 1)
    return ""


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1").strip()


def _time_in_text(text: str) -> datetime | None:
    for form in (*_FORMS[:2], _DATE_ALONE):
        if (found := form.search(text)) is not None and (time := _time(found.groupdict())) is not None:
            return time
    return None


def _time(parts: dict[str, str | None]) -> datetime | None:
    """Build a local time from the parts of a match; None where no calendar has it."""
    hour = parts.get("hour") or parts.get("hour2")
    month, day, minute, second = (int(parts.get(part) or 0) for part in ("month", "day", "minute", "second"))
    year = int(f"20{parts['year']}"[-4:])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        time = datetime(year, month, day, int(hour or 0), minute, second)
    except ValueError:
        return None
    return _in_local_time(time, parts.get("zone"))


def _in_local_time(time: datetime, zone: str | None) -> datetime | None:
    if not zone:
        return time
    digits = zone.replace(":", "")
    offset = timedelta() if zone == "Z" else timedelta(hours=int(digits[1:3]), minutes=int(digits[3:]))
    utc = time.replace(tzinfo=UTC) - (-offset if zone.startswith("-") else offset)
    return _local(utc.timestamp())


def _local(seconds: float) -> datetime | None:
    """Turn seconds since 1970 into local time without a zone; None outside the years that are believed."""
    try:
        time = datetime.fromtimestamp(int(seconds))
    except (OverflowError, ValueError, OSError):
        return None
    return time if FIRST_YEAR <= time.year <= LAST_YEAR else None
