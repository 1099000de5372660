"""What somebody is told of a watch: alarms, deafness, its start and end; a file that is only ever appended to.

The log is written before anything is sent, and what was sent is noted elsewhere (`monitoring.telling.outbox`), so that
a kill at any moment loses no event. An event's id is made from what it is about: writing it again after a kill changes
nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from asd_core.system.files import append_line, no_constant, parse_json

RAISED: Final = "raised"
CLEARED: Final = "cleared"
DEAF: Final = "deaf"
BACK: Final = "back"
STARTED: Final = "started"
ENDED: Final = "ended"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
KINDS: Final = (RAISED, CLEARED, DEAF, BACK, STARTED, ENDED, PAUSED, RESUMED)

MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True)
class WatchEvent:
    """Something that people are told.

    Parameters
    ----------
    id
        The same for the same event, also after a kill; see `event_id`.
    kind
        One of `KINDS`.
    time
        When it was noticed, ISO 8601 in UTC.
    machine
        What is watched, as its owner calls it.
    text
        One sentence for people; control characters escaped.
    state
        For `deaf` and `back`: which state (`monitoring.hearing`); else empty.
    key
        Of the row that it is about (`WatchRow.key`); empty where it is about none.
    clip
        That row's path, escaped.
    recorded
        When that clip was recorded, ISO 8601, local.
    anomaly_score, threshold
        Of that row.
    simulated
        Whether the detector was trained on simulated sound.
    """

    id: str
    kind: str
    time: str
    machine: str
    text: str
    state: str = ""
    key: str = ""
    clip: str = ""
    recorded: str = ""
    anomaly_score: float | None = None
    threshold: float | None = None
    simulated: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what `to_json` gave; fields of later releases are ignored.

        Raises
        ------
        ValueError
            It is no event.
        """
        known = {each.name for each in fields(cls)}
        needed = {"id", "kind", "time", "machine", "text"}
        if not isinstance(table, dict) or not needed <= set(table):
            raise ValueError(f"an event must have {sorted(needed)}")
        own = {name: value for name, value in table.items() if name in known}
        numbers = ("anomaly_score", "threshold")
        if any(not isinstance(own.get(name), (int, float, type(None))) for name in numbers):
            raise ValueError(f"{' and '.join(numbers)} of an event must be numbers")
        others = {name: value for name, value in own.items() if name not in (*numbers, "simulated")}
        if any(not isinstance(value, str) for value in others.values()) or own["kind"] not in KINDS:
            raise ValueError("an event must consist of texts, and its kind be known")
        return cls(**own)


def event_id(*about: str) -> str:
    """Make an event's id from what it is about, such as its kind and the key of its row."""
    return hashlib.sha256("\0".join(about).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class EventLog:
    """The events of one watch, in their order; one process writes, others may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[str] = set()

    def open(self) -> list[WatchEvent]:
        """Read all events, and cut off a line that a kill left incomplete; call it before `append`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as stream:
            stream.seek(0)
            content = stream.read()
            whole = content.rfind(b"\n") + 1
            stream.truncate(whole)
        found = list(_parsed(content[:whole]))
        self._known = {event.id for event in found}
        return found

    def append(self, event: WatchEvent) -> bool:
        """Write an event and sync it; False where it has been written before.

        Raises
        ------
        DiskFullError
            The disk is full; nothing of the event is left in the log.
        OSError
            The disk is failing.
        """
        if event.id in self._known:
            return False
        line = json.dumps(event.to_json(), allow_nan=False).encode("ascii") + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            append_line(descriptor, line, name=self.path)
        finally:
            os.close(descriptor)
        self._known.add(event.id)
        return True


def read_events(path: Path) -> list[WatchEvent]:
    """Read the whole events of a log that a watch may be writing to; none where there is no log."""
    with contextlib.suppress(FileNotFoundError):
        return list(_parsed(path.read_bytes()))
    return []


def _parsed(content: bytes) -> Iterator[WatchEvent]:
    """Yield the events of the whole lines; a damaged line is passed over."""
    for line in content.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            yield WatchEvent.from_json(parse_json(line, parse_constant=no_constant))
