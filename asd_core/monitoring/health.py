"""Whether watches are well: they live, they hear, and somebody can be told; from outside, by what they leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asd_core.formats import ago_text, counted, score_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.status import ENDED, HEARTBEAT_S, PAUSED, WAITING, NewestClip, WatchStatus, read_status
from asd_core.monitoring.table import is_running, list_tables
from asd_core.system.clock import age_s

DEAD_AFTER_S: Final = 3 * HEARTBEAT_S
"""Without a heartbeat for so long, a watch that holds its table hangs."""
HANGS_AFTER_S: Final = 300.0
"""A watch that lives but has not gone round for so long hangs; an hour of sound is judged sooner."""


@dataclass(frozen=True)
class WatchHealth:
    """How a watch is.

    Parameters
    ----------
    name
        What its owner calls the machine, or its table's name where that is not known.
    table
        Its table.
    problems
        What is wrong, a sentence each; empty where all is well. An alarm is nothing wrong with the watch.
    text
        What it is doing, in a line.
    status
        Its heartbeat; None where there is none.
    """

    name: str
    table: Path
    problems: tuple[str, ...]
    text: str
    status: WatchStatus | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def line(self) -> str:
        """The watch in one line."""
        return f"{self.name}: {self.text}" if self.is_well else f"{self.name}: NOT WELL: {'; '.join(self.problems)}"

    def to_json(self) -> dict[str, Any]:
        """Return its part of what the `health` command writes."""
        own = {"name": self.name, "table": os.fspath(self.table), "well": self.is_well, "text": self.text}
        status = None if self.status is None else self.status.to_json()
        return {**own, "problems": list(self.problems), "status": status}


def check_watch(table: Path, *, name: str = "", must_run: bool = False) -> WatchHealth:
    """Look at the watch that writes to a table.

    Parameters
    ----------
    name
        What to call it where its heartbeat does not say.
    must_run
        Whether a watch that ended, or never ran, is not well either.
    """
    status = read_status(Beside(table).status)
    name = (status.machine if status is not None else "") or name or table.name
    if not _lives(table, status):
        problem, text = _end(status)
        is_wrong = must_run or (status is not None and status.state != ENDED)
        return WatchHealth(name, table, (problem,) if is_wrong else (), text, status)
    if status is None:
        return WatchHealth(name, table, (), "starting: no heartbeat yet", None)
    return WatchHealth(name, table, tuple(_problems(status)), _doing(status), status)


def check_all() -> list[WatchHealth]:
    """Look at all watches of the data folder that have a heartbeat or run, by name."""
    found = [check_watch(table) for table in list_tables() if is_running(table) or Beside(table).status.is_file()]
    return sorted(found, key=lambda health: (health.name, health.table.name))


def health_json(found: Iterable[WatchHealth]) -> dict[str, Any]:
    """Return the report of the `health` command."""
    watches = list(found)
    is_well = all(health.is_well for health in watches)
    own = [health.to_json() for health in watches]
    return {"schema": 1, "command": "health", "warnings": [], "well": is_well, "watches": own}


def hangs(status: WatchStatus | None, pid: int, *, after_s: float) -> bool:
    """Whether this process has not gone round for so long; a heartbeat of another one says nothing of it."""
    if status is None or status.pid != pid or status.state == ENDED:
        return False
    return age_s(status.looked_at or status.at) > after_s


def _lives(table: Path, status: WatchStatus | None) -> bool:
    """Whether a process watches now: it holds the table's lock; on Windows, which has none, its heart beats."""
    if os.name != "nt":
        return is_running(table)
    return status is not None and status.state != ENDED and age_s(status.at) <= DEAD_AFTER_S


def _end(status: WatchStatus | None) -> tuple[str, str]:
    """What is wrong where the watch should run, and how it ended."""
    if status is None:
        return "it is not running, and there is no heartbeat of it", "never started"
    seen = _ago(max(0.0, age_s(status.at)))
    if status.state == ENDED:
        return f"it ended {seen} and is not running", f"ended {seen}"
    return f"it died: the last heartbeat was {seen}; start it again, nothing is lost", f"died {seen}"


def _problems(status: WatchStatus) -> Iterable[str]:
    """What is wrong with a watch whose process lives."""
    stale_s, round_s = age_s(status.at), age_s(status.looked_at or status.at)
    if abs(stale_s) > DEAD_AFTER_S:
        yield f"it hangs, or its disk is full: the last heartbeat was {_ago(abs(stale_s))}; start it again"
    elif round_s > HANGS_AFTER_S:
        yield f"it hangs: it last went round {_ago(round_s)}; start it again"
    yield from (f"deaf: {state.text}" for state in status.states)
    if status.state == WAITING and not any(state.name == "folder" for state in status.states):
        yield f"waiting: {status.folder} cannot be read"
    for sink in status.sinks:
        if sink.failing_since:
            waiting = counted(sink.n_waiting, "message")
            yield f"{sink.title} cannot be told since {sink.failing_since}: {sink.error} ({waiting} waiting)"


def _doing(status: WatchStatus) -> str:
    until = f"paused until {status.paused_until}" if status.state == PAUSED else status.state
    alarm = f"ALARM since {status.alarm_since}" if status.alarm else "no alarm"
    waiting = f"; {counted(status.n_waiting, 'file')} waiting" if status.n_waiting else ""
    return f"{until}; {alarm}; {_last(status.newest)}{waiting}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else ago_text(seconds)


def _last(newest: NewestClip | None) -> str:
    if newest is None:
        return "no clip yet"
    heard = f"last clip {_ago(max(0.0, age_s(newest.time)))}"
    if newest.anomaly_score is None:
        return f"{heard}, refused"
    verdict = f", {newest.verdict}" if newest.verdict else ""
    return f"{heard}{verdict}, score {score_text(newest.anomaly_score)} (threshold {score_text(newest.threshold)})"
