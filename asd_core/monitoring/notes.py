"""What people said of clips and alarms: acknowledged, normal after all, a fault; each with a note.

The file is only ever appended to, a line of JSON per note, written as a whole and synced: several pages may write at
once, and a kill loses at most the note that was being written. What was said last of a row counts.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from asd_core.errors import UsageError
from asd_core.monitoring.beside import Beside
from asd_core.system.clock import utc_now
from asd_core.system.files import append_line, no_constant, parse_json, read_if_present

ACKNOWLEDGED: Final = "acknowledged"
NORMAL: Final = "normal"
FAULT: Final = "fault"
UNDONE: Final = "undone"
SAID: Final = (ACKNOWLEDGED, NORMAL, FAULT, UNDONE)

MAX_TEXT = 500
"""Characters of a note."""
MAX_KEY = 64
MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Note:
    """What somebody said.

    Parameters
    ----------
    key
        Of the row (`WatchRow.key`), or the id of the event that raised an alarm (`events.event_id`).
    said
        `acknowledged`, `normal`, `fault`, or `undone`, which takes back what was said of this row before.
    text
        The person's own words; may be empty.
    time
        ISO 8601 in UTC.
    """

    key: str
    said: str
    text: str
    time: str

    @classmethod
    def now(cls, key: str, said: str, text: str = "") -> Self:
        """What is said at this moment."""
        return cls(key, said, text, utc_now("milliseconds"))

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read a line of the file.

        Raises
        ------
        ValueError
            It is no note.
        """
        names = ("key", "said", "text", "time")
        if not isinstance(table, dict) or any(not isinstance(table.get(name), str) for name in names):
            raise ValueError(f"a note must have the texts {names}")
        if table["said"] not in SAID:
            raise ValueError(f"a note must say one of {SAID}")
        return cls(*(table[name] for name in names))


def note(beside: Beside, *said: Note) -> None:
    """Write down what somebody says; several notes are written together or not at all.

    Raises
    ------
    UsageError
        An unknown word, no key, or a text of more than `MAX_TEXT` characters.
    OSError
        The disk is full or failing.
    """
    for each in said:
        _check(each)
    lines = b"".join(json.dumps(asdict(each)).encode("ascii") + b"\n" for each in said)
    beside.folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(beside.notes, flags, 0o644)
    try:
        whole = (b"\n" if _ends_torn(descriptor) else b"") + lines
        append_line(descriptor, whole, name=beside.notes)
    finally:
        os.close(descriptor)


def read_notes(beside: Beside) -> dict[str, Note]:
    """What was said last of each row, in the order in which it was said; what was taken back is left out.

    Raises
    ------
    FileError
        The file is larger than `MAX_FILE_BYTES`, a link, or cannot be read.
    """
    latest: dict[str, Note] = {}
    for each in _parsed(read_if_present(beside.notes, at_most=MAX_FILE_BYTES) or b""):
        latest.pop(each.key, None)
        if each.said != UNDONE:
            latest[each.key] = each
    return latest


def _check(said: Note) -> None:
    if said.said not in SAID or not 0 < len(said.key) <= MAX_KEY:
        raise UsageError(f"a note names a row and says one of {', '.join(SAID)}")
    if len(said.text) > MAX_TEXT:
        raise UsageError(f"a note must have at most {MAX_TEXT} characters, got {len(said.text)}")


def _ends_torn(descriptor: int) -> bool:
    """Whether a kill left the last line incomplete: the next one then begins on a line of its own."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def _parsed(content: bytes) -> Iterator[Note]:
    """Yield the notes of the whole lines; a damaged line is passed over."""
    for line in content.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            yield Note.from_json(parse_json(line, parse_constant=no_constant))
