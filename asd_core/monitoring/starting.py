"""Watches started and stopped from the dashboard: each is a process of its own that outlives the dashboard.

What was asked for is kept beside the table, so that the same watch can be started again. Its output goes to a file
beside the table too. Nothing secret is on its command line: whom it tells comes from the environment of whoever runs
the dashboard.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from asd_core.artifacts.store import open_artifact
from asd_core.data.library import checked_folder
from asd_core.errors import BusyError, FileError, UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import one_line
from asd_core.monitoring.status import ENDED, HEARTBEAT_S, WatchStatus, read_status
from asd_core.monitoring.table import default_table, is_running, list_tables, watches_dir
from asd_core.system.clock import age_s, utc_now
from asd_core.system.files import json_bytes, no_constant, parse_json, read_if_present, replace_file
from asd_core.system.locks import hold
from asd_core.system.logs import event
from asd_core.system.processes import process_start, signal_group

MAX_WATCHES = 8
START_WAIT_S, STOP_WAIT_S, LOOK_S = 30.0, 20.0, 0.05
SILENT_S = 10 * HEARTBEAT_S
"""Without a heartbeat for so long, a watch is called dead or stuck."""
MAX_NAME = 80
RECORD = "record"
MAX_LOG_BYTES = 2**20
_MAX_REQUEST_BYTES = 64 * 1024
_LOG_END_BYTES = 4096
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class WatchSettings:
    """What a watch is started with.

    Parameters
    ----------
    folder, model
        The watched folder and the detector's folder, absolute.
    machine
        What its owner calls the machine; empty: the name of the folder.
    alarm
        The alarm's rule as `asd watch --alarm` takes it; `RECORD` records scores and raises none.
    every_s
        Seconds from one clip to the next, which a budget of alarms needs; None: learned from the folder.
    segment_s
        Length in seconds of the clips that long recordings are cut into; None leaves files whole.
    page
        Address of the dashboard, for links in messages; may be empty.
    """

    folder: str
    model: str
    machine: str = ""
    alarm: str = "3/5"
    every_s: float | None = None
    segment_s: float | None = None
    page: str = ""

    def command(self, table: Path) -> list[str]:
        """The command that watches into this table."""
        command = [sys.executable, "-m", "asd_core", "watch", self.folder, f"--model={self.model}"]
        command += [f"--csv={table}", "--record" if self.alarm == RECORD else f"--alarm={self.alarm}"]
        named = {"machine": self.machine, "page": self.page, "every": self.every_s, "segment": self.segment_s}
        return [*command, *(f"--{name}={value}" for name, value in named.items() if value)]

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what was kept.

        Raises
        ------
        ValueError
            It is something else.
        """
        if not isinstance(table, dict) or table.get("schema") != 1:
            raise ValueError("no settings of a watch, or those of another release")
        own = {each.name: table[each.name] for each in fields(cls) if each.name in table}
        numbers = {name: own.pop(name, None) for name in ("every_s", "segment_s")}
        if any(not isinstance(value, str) for value in own.values()) or not {"folder", "model"} <= set(own):
            raise ValueError("a watch has a folder and a model")
        if any(not isinstance(value, (int, float, type(None))) for value in numbers.values()):
            raise ValueError(f"{' and '.join(numbers)} must be numbers")
        return cls(**own, **numbers)


def start_watch(settings: WatchSettings, *, table: Path | None = None) -> Path:
    """Start a watch, wait until it listens, and return its table.

    Parameters
    ----------
    table
        None: that of the folder and the detector.

    Raises
    ------
    UsageError
        A folder outside the allowed roots, too long a name, or the watch ended at once; its own words are in the text.
    BusyError
        A watch writes to this table already, `MAX_WATCHES` are running, or another one is being started.
    ArtifactError
        The detector cannot be opened.
    OSError
        The disk is full or failing.
    """
    folder = checked_folder(settings.folder)
    if len(settings.machine) > MAX_NAME:
        raise UsageError(f"a machine's name must have at most {MAX_NAME} characters")
    model = Path(settings.model).absolute()
    settings = replace(
        settings, folder=os.fspath(folder), model=os.fspath(model), machine=one_line(settings.machine).strip()
    )
    artifact = open_artifact(model)
    table = default_table(folder, artifact) if table is None else table
    watches_dir().mkdir(parents=True, exist_ok=True)
    busy = "another watch is being started: try again in a moment"
    with hold(watches_dir() / ".starting.lock", busy=busy, wait_s=START_WAIT_S):
        _check_free(table)
        _keep(settings, table)
        began = utc_now("milliseconds")
        process = _launch(settings, table)
        _wait_until_it_listens(table, process, began)
    event("watch started", table=table.name, folder=settings.folder, pid=process.pid)
    return table


def start_again(table: Path, *, model: Path | None = None) -> None:
    """Start the watch of a table with the settings that it was last started with here. Raises as `start_watch`.

    Parameters
    ----------
    model
        Another detector's folder; None: the same one.
    """
    settings = last_settings(table)
    if settings is None:
        raise UsageError("this watch was not started from the dashboard: start it again where it was started")
    start_watch(settings if model is None else replace(settings, model=os.fspath(model)), table=table)


def stop_watch(table: Path) -> None:
    """End a watch once it has judged the clip that it is at; nothing happens where none runs.

    Raises
    ------
    UsageError
        Its process cannot be reached from here.
    BusyError
        It goes on for longer than `STOP_WAIT_S`.
    """
    if not is_alive(table):
        return
    status = read_status(Beside(table).status)
    if status is None or (process_start(status.pid) or "") != status.process_start:
        raise UsageError("the process of this watch cannot be reached from here: stop it where it was started")
    event("watch stopped", table=table.name, pid=status.pid)
    _terminate(status)
    deadline = time.monotonic() + STOP_WAIT_S
    while is_alive(table):
        if time.monotonic() > deadline:
            raise BusyError("the watch has been asked to end and is still at work: look again in a moment")
        time.sleep(LOOK_S)


def is_alive(table: Path) -> bool:
    """Whether a watch writes to this table now; Windows knows no locks: there its heartbeat tells."""
    if os.name != "nt":
        return is_running(table)
    status = read_status(Beside(table).status)
    return status is not None and status.state != ENDED and age_s(status.at) < SILENT_S


def last_settings(table: Path) -> WatchSettings | None:
    """What the watch of a table was last started with from the dashboard; None where it was not, or nobody knows."""
    with suppress(FileError, ValueError):
        content = read_if_present(_request_path(table), at_most=_MAX_REQUEST_BYTES)
        if content is not None:
            return WatchSettings.from_json(parse_json(content, parse_constant=no_constant))
    return None


def _request_path(table: Path) -> Path:
    return Beside(table).folder / "request.json"


def _check_free(table: Path) -> None:
    if is_alive(table):
        raise BusyError("a watch with this detector listens to this folder already")
    n_running = sum(is_alive(each) for each in list_tables())
    if n_running >= MAX_WATCHES:
        raise BusyError(f"{n_running} watches are running, the most at a time: stop one first")


def _keep(settings: WatchSettings, table: Path) -> None:
    _request_path(table).parent.mkdir(parents=True, exist_ok=True)
    replace_file(_request_path(table), json_bytes({"schema": 1, **asdict(settings)}))


def _launch(settings: WatchSettings, table: Path) -> subprocess.Popen[bytes]:
    paths = [os.fspath(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    log = os.open(Beside(table).log, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        if os.fstat(log).st_size > MAX_LOG_BYTES:
            os.ftruncate(log, 0)
        process = subprocess.Popen(
            settings.command(table),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    finally:
        os.close(log)
    threading.Thread(target=process.wait, name=f"reaper of {table.name}", daemon=True).start()
    return process


def _wait_until_it_listens(table: Path, process: subprocess.Popen[bytes], began: str) -> None:
    """Wait for the first heartbeat; a slow machine may take longer than we wait, and is then left to it."""
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline:
        status = read_status(Beside(table).status)
        if status is not None and status.at >= began:
            return
        if process.poll() is not None:
            raise UsageError(f"the watch did not start: {_last_words(Beside(table).log)}")
        time.sleep(LOOK_S)


def _last_words(log: Path) -> str:
    """The last line that a watch wrote, without its label."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END_BYTES))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return one_line(lines[-1]).removeprefix("error: ") if lines else "it said nothing"


def _terminate(status: WatchStatus) -> None:
    """Ask a watch to end; one that was not started as the leader of its group, as by a script, is asked alone."""
    with suppress(ProcessLookupError):
        if os.name == "nt" or os.getpgid(status.pid) == status.pid:
            signal_group(status.pid, process_start(status.pid), "SIGTERM")
        else:
            os.kill(status.pid, signal.SIGTERM)
