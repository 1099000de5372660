"""A watch's heartbeat: what it is doing, written every few seconds for pages, `health` and supervisors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from asd_core.errors import FileError
from asd_core.system.files import (
    DISK_FULL,
    DiskFullError,
    json_bytes,
    no_constant,
    parse_json,
    read_if_present,
    replace_file,
)

HEARTBEAT_S = 2.0
"""Written at least this often while the watch lives."""
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
        When this was written, ISO 8601 in UTC.
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

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"schema": 1, **asdict(self)}

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            It is no status.
        """
        if not isinstance(table, dict) or table.get("schema") != 1:
            raise ValueError("no status of a watch, or one of another release")
        own = {each.name: table[each.name] for each in fields(cls) if each.name in table}
        try:
            own["newest"] = None if own.get("newest") is None else NewestClip(**own["newest"])
            own["states"] = tuple(StateOn(**each) for each in own.get("states", ()))
            own["sinks"] = tuple(SinkStatus(**each) for each in own.get("sinks", ()))
            return cls(**own)
        except TypeError as error:
            raise ValueError(f"no status of a watch: {error}") from error


def write_status(path: Path, status: WatchStatus) -> None:
    """Replace the heartbeat, all or nothing; raises `DiskFullError` where the disk is full."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json_bytes(status.to_json()))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(error.errno, f"{path} cannot be written to: {error.strerror}") from error
        raise


def read_status(path: Path) -> WatchStatus | None:
    """Read a heartbeat; None where there is none, or it is damaged."""
    try:
        content = read_if_present(path, at_most=MAX_STATUS_BYTES)
        return None if content is None else WatchStatus.from_json(parse_json(content, parse_constant=no_constant))
    except (FileError, ValueError):
        return None
