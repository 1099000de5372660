"""What pages and commands ask of a running watch; it looks at the file every second or so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asd_core.errors import FileError, UsageError
from asd_core.monitoring.beside import Beside
from asd_core.system.files import json_bytes, parse_json, read_if_present, replace_file

FOREVER = "until resumed"
MAX_PAUSE_MIN = 366 * 24 * 60
MAX_CONTROL_BYTES = 4096


@dataclass(frozen=True)
class Control:
    """What is asked of a watch.

    Parameters
    ----------
    paused_until
        ISO 8601 in UTC, or `FOREVER`; empty: not paused.
    """

    paused_until: str = ""

    def is_paused(self, now: datetime) -> bool:
        """Whether the pause lasts at a moment with its zone."""
        if self.paused_until in ("", FOREVER):
            return self.paused_until == FOREVER
        return now < datetime.fromisoformat(self.paused_until)


def read_control(path: Path) -> Control:
    """Read what is asked; nothing where the file is missing or damaged."""
    try:
        content = read_if_present(path, at_most=MAX_CONTROL_BYTES)
        return Control() if content is None else _parsed(parse_json(content))
    except (FileError, ValueError):
        return Control()


def _parsed(table: Any) -> Control:
    """What a control file says; raises ValueError where it is none."""
    if not isinstance(table, dict) or table.get("schema") != 1:
        raise ValueError("no control of a watch, or one of another release")
    until = table.get("paused_until", "")
    if not isinstance(until, str):
        raise ValueError("the end of a pause must be a text")
    if until not in ("", FOREVER) and datetime.fromisoformat(until).tzinfo is None:
        raise ValueError("the end of a pause must name its zone")
    return Control(until)


def ask_pause(beside: Beside, minutes: float | None = None, *, now: datetime | None = None) -> Control:
    """Ask a watch to pause, for some minutes or until it is asked to resume; returns what is asked now.

    While it is paused, clips are judged and their rows written, but they count for no alarm.

    Raises
    ------
    UsageError
        No such number of minutes.
    OSError
        The file cannot be written.
    """
    if minutes is None:
        return _ask(beside, Control(FOREVER))
    if not 0 < minutes <= MAX_PAUSE_MIN:
        raise UsageError(f"a pause lasts from 0 to {MAX_PAUSE_MIN:,} minutes (a year), got {minutes:g}")
    until = (now or datetime.now(UTC)).astimezone(UTC) + timedelta(minutes=minutes)
    return _ask(beside, Control(until.isoformat(timespec="seconds")))


def ask_resume(beside: Beside) -> Control:
    """Ask a watch to go on; raises OSError where the file cannot be written."""
    return _ask(beside, Control())


def _ask(beside: Beside, control: Control) -> Control:
    beside.control.parent.mkdir(parents=True, exist_ok=True)
    replace_file(beside.control, json_bytes({"schema": 1, "paused_until": control.paused_until}))
    return control
