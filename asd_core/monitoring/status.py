"""A watch's heartbeat: what it is doing, written every few seconds for pages, `health` and supervisors."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from asd_core.errors import FileError
from asd_core.system.clock import age_s, utc_now
from asd_core.system.files import json_bytes, no_constant, parse_json, read_if_present
from asd_core.system.typed_json import from_json

HEARTBEAT_S = 2.0
"""Written so often while the watch lives."""
MAX_STATUS_BYTES = 256 * 1024

LISTENING: Final = "listening"
WAITING: Final = "waiting"
"""The folder is missing."""
PAUSED: Final = "paused"
ENDED: Final = "ended"


@dataclass(frozen=True)
class StateOn:
    """A state of deafness that lasts: its name (`monitoring.hearing`), since when (ISO, UTC), and a sentence."""

    name: str
    since: str
    text: str


@dataclass(frozen=True)
class SinkStatus:
    """How far one sink has been told.

    Parameters
    ----------
    title
        What it is, without its secrets: `mqtts://broker/...`.
    n_waiting, n_sent, n_doubled
        Events not sent yet, sent, and sent perhaps twice because a kill fell between sending and noting.
    failing_since, error
        Since when it cannot be reached (ISO, UTC), and why; both empty where it can.
    """

    title: str
    n_waiting: int = 0
    n_sent: int = 0
    n_doubled: int = 0
    failing_since: str = ""
    error: str = ""


@dataclass(frozen=True)
class NewestClip:
    """The clip that was judged last; the fields are those of its row."""

    key: str
    time: str
    recorded: str
    anomaly_score: float | None
    threshold: float | None
    verdict: str


@dataclass(frozen=True)
class WatchStatus:
    """What a watch is doing.

    Parameters
    ----------
    at
        When this was written, ISO 8601 in UTC: the process lives.
    pid, process_start
        Its process (`asd_core.system.processes.process_start`).
    state
        `listening`, `waiting` (its folder is missing), `paused` or `ended`.
    started_at
        When the watch started, ISO 8601 in UTC.
    folder, model, machine, title
        What is watched, by which version, under which name, and the detector's title; texts are escaped.
    rule
        The alarm's rule in words.
    settle_s, settle_from
        How long a file must have been unchanged, and where that figure comes from.
    notices
        `system` where changes are reported by the operating system, `polling` where the folder is looked through.
    alarm, alarm_since
        Whether the alarm is on, and since when (ISO, UTC).
    n_judged, n_refused, n_early, n_waiting, n_raised
        Since the start: rows, refused ones, clips judged before they were whole; files that wait; alarms raised.
    newest
        The clip that was judged last, also before the start; None before the first.
    states
        States of deafness that last.
    sinks
        Who is told, and how far.
    looked_at
        When the watch last went round, ISO 8601 in UTC: it does not hang. While a long recording is judged, this stays
        behind `at`.
    quiet_after_s, quiet_from
        How long no clip may come before the watch is called quiet, and where that figure comes from.
    """

    at: str
    pid: int
    process_start: str
    state: str
    started_at: str
    folder: str
    model: str
    machine: str
    title: str
    rule: str
    settle_s: float
    settle_from: str
    notices: str
    alarm: bool = False
    alarm_since: str = ""
    n_judged: int = 0
    n_refused: int = 0
    n_early: int = 0
    n_waiting: int = 0
    n_raised: int = 0
    drift: str = ""
    simulated: bool | None = None
    paused_until: str = ""
    newest: NewestClip | None = None
    states: tuple[StateOn, ...] = ()
    sinks: tuple[SinkStatus, ...] = ()
    looked_at: str = ""
    quiet_after_s: float = 0.0
    quiet_from: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"schema": 1, **asdict(self)}

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what `to_json` gave; fields of later releases are ignored.

        Raises
        ------
        ValueError
            It is no status: a field is missing, of another type, or a moment that is none.
        """
        if not isinstance(table, dict) or table.get("schema") != 1:
            raise ValueError("no status of a watch, or one of another release")
        found = from_json(cls, {each.name: table[each.name] for each in fields(cls) if each.name in table})
        moments = (found.at, found.started_at, found.looked_at, *(state.since for state in found.states))
        for moment in filter(None, (*moments, *([] if found.newest is None else [found.newest.time]))):
            age_s(moment)
        return found


def write_status(path: Path, status: WatchStatus) -> None:
    """Replace the heartbeat, all or nothing for its readers; raises OSError where the disk is full.

    It is not synced: a heartbeat is worth nothing after a power cut, and a memory card would wear out. Whoever writes
    holds the table's lock, so one name is enough for the file that is not whole yet, and a kill leaves no others.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    staged.write_bytes(json_bytes(status.to_json()))
    staged.replace(path)


def read_status(path: Path) -> WatchStatus | None:
    """Read a heartbeat; None where there is none, or it is damaged."""
    try:
        content = read_if_present(path, at_most=MAX_STATUS_BYTES)
        return None if content is None else WatchStatus.from_json(parse_json(content, parse_constant=no_constant))
    except (FileError, ValueError):
        return None


class Heart:
    """Writes a watch's status every few seconds, by a thread of its own: a long judging does not stop it.

    A full disk does not end the watch: the file then grows old, which its readers notice.

    Parameters
    ----------
    every_s
        Seconds between two beats.
    """

    def __init__(self, path: Path, *, every_s: float = HEARTBEAT_S) -> None:
        self._path, self._every_s = path, every_s
        self._status: WatchStatus | None = None
        self._writing, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; the file keeps what was written last."""
        self._stop.set()
        self._thread.join()

    def beat(self, status: WatchStatus) -> None:
        """Take over what the watch is doing, and write it at once where it is another state or the first one."""
        status = replace(status, looked_at=status.at)
        before, self._status = self._status, status
        if before is None or _what_is_shown(before) != _what_is_shown(status):
            self._write()

    def _beat_on(self) -> None:
        while not self._stop.wait(self._every_s):
            self._write()

    def _write(self) -> None:
        with self._writing:
            if self._status is None:
                return
            with contextlib.suppress(OSError):
                write_status(self._path, replace(self._status, at=utc_now("milliseconds")))


def _what_is_shown(status: WatchStatus) -> tuple[object, ...]:
    """What nobody should have to wait for."""
    return status.state, status.alarm, tuple(state.name for state in status.states)
