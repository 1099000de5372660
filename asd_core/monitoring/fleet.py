"""Several watches from one file: each a process of its own, started again when it ends, ended with the others.

::

    [defaults]
    alarm = "3/5"
    notify-file = "notify.txt"

    [[watch]]
    name = "pump 3"
    dir = "/srv/sound/pump3"
    model = "/srv/detectors/pump3/vggish_knn"

The keys are the options of the `watch` command. Relative places are meant from the file's folder. Addresses that hold
secrets do not belong in it: they come from `notify-file`, or from the environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from asd_core.artifacts.store import open_artifact
from asd_core.errors import AsdError, UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.health import WatchHealth, check_watch, hangs
from asd_core.monitoring.rows import one_line
from asd_core.monitoring.status import WatchStatus, read_status
from asd_core.monitoring.table import default_table
from asd_core.monitoring.telling.ping import Ping
from asd_core.system.files import read_small_text
from asd_core.system.supervision import ALIVE, READY, STOPPING, VARIABLE, notify_supervisor

MAX_FLEET_BYTES = 256 * 1024
MAX_WATCHES = 100
END_WITHIN_S: Final = 10.0
"""Watches that were asked to end and have not done so by then are killed: nothing is lost, rows are synced."""
FIRST_PAUSE_S, MAX_PAUSE_S, CALM_S = 1.0, 60.0, 300.0
"""Before a watch that ended is started again; twice as long each time, and short again after it has run for a while."""
SETTLED_S = 10.0
"""A watch that cannot start ends sooner."""
KILLED_AFTER_S = 1800.0
"""A watch that has not gone round for so long hangs: a recording of many hours, judged as one clip, takes less."""
ROUND_S, CHECK_S = 0.2, 10.0
_NOT_FOR_WATCHES = (VARIABLE, "ASD_HEARTBEAT")
"""Variables of the environment that are meant for this process alone."""

_PLACES = ("dir", "model", "csv", "notify-file", "vggish")
_TEXTS = ("alarm", "page", "quiet-hours")
_NUMBERS = ("poll", "drift", "settle", "segment", "hop", "deaf-after", "keep", "every", "metrics")
_SWITCHES = ("attach", "poll-only", "record")
KEYS = ("name", *_PLACES, *_TEXTS, *_NUMBERS, *_SWITCHES)
"""Keys of a watch, and of the defaults but for `name`, `dir`, `csv` and `metrics`: options of the `watch` command."""
_OWN = ("name", "dir", "csv", "metrics")
_SECRET = ("notify", "heartbeat")
_DEFAULT_KEYS = tuple(key for key in KEYS if key not in _OWN)


@dataclass(frozen=True)
class FleetWatch:
    """One watch of a fleet.

    Parameters
    ----------
    name
        What its owner calls the machine; no two are alike.
    folder, model
        What is watched, and by which detector.
    options
        The other options of the `watch` command by name, without their dashes.
    """

    name: str
    folder: Path
    model: Path
    options: Mapping[str, str | float | bool] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of the command line after `watch`."""
        found = [os.fspath(self.folder), f"--model={self.model}", f"--machine={self.name}"]
        for key, value in self.options.items():
            if value is True:
                found.append(f"--{key}")
            elif value is not False:
                found.append(f"--{key}={value:g}" if isinstance(value, float) else f"--{key}={value}")
        return tuple(found)

    def table(self) -> Path:
        """The table that it writes to.

        Raises
        ------
        ArtifactError
            The detector cannot be opened.
        """
        if "csv" in self.options:
            return Path(str(self.options["csv"]))
        return default_table(self.folder.resolve(), open_artifact(self.model))


@dataclass(frozen=True)
class Fleet:
    """The watches of a file."""

    path: Path
    watches: tuple[FleetWatch, ...]


def parse_fleet(path: Path) -> Fleet:
    """Read a fleet's file.

    Raises
    ------
    FileError
        It cannot be read.
    UsageError
        It is no TOML, names no watch, or holds a key or value that is not known; the text names it and what is known.
    """
    try:
        content = tomllib.loads(read_small_text(path, at_most=MAX_FLEET_BYTES))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    _known(path, "the file", content, ("defaults", "watch"))
    defaults = _table(path, "[defaults]", content.get("defaults", {}), _DEFAULT_KEYS)
    tables = content.get("watch", [])
    if not isinstance(tables, list) or not 1 <= len(tables) <= MAX_WATCHES:
        raise UsageError(f"{path} must hold 1 to {MAX_WATCHES} watches, each as [[watch]]")
    watches = tuple(
        _watch(path, f"watch {number}", {**defaults, **_table(path, f"watch {number}", table, KEYS)})
        for number, table in enumerate(tables, start=1)
    )
    _check_apart(path, watches)
    return Fleet(path, watches)


def check_fleet(fleet: Fleet) -> list[WatchHealth]:
    """Look at the watches of a fleet, in its order; each must run."""
    return [_check(watch) for watch in fleet.watches]


def _check(watch: FleetWatch) -> WatchHealth:
    try:
        table = watch.table()
    except AsdError as error:
        return WatchHealth(watch.name, watch.folder, (f"its detector cannot be opened: {error}",), "cannot start")
    return check_watch(table, name=watch.name, must_run=True)


def _known(path: Path, place: str, table: object, known: Sequence[str]) -> dict[str, object]:
    """The entries of a table, all of which must be known."""
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {place} must be a table of keys and values")
    if secrets := [key for key in table if key in _SECRET]:
        raise UsageError(
            f"{path}: {place}: {secrets[0]} is a secret and does not belong in this file: use notify-file, "
            f"or the environment (ASD_NOTIFY, ASD_HEARTBEAT)"
        )
    if unknown := [key for key in table if key not in known]:
        raise UsageError(f"{path}: {place}: unknown {', '.join(map(ascii, unknown))}; known are {', '.join(known)}")
    return table


def _table(path: Path, place: str, table: object, known: Sequence[str]) -> dict[str, str | float | bool]:
    """The entries of a table, checked by kind; places are made absolute."""
    return {key: _value(path, place, key, value) for key, value in _known(path, place, table, known).items()}


def _value(path: Path, place: str, key: str, value: object) -> str | float | bool:
    wanted = "true or false" if key in _SWITCHES else "a number" if key in _NUMBERS else "a text in one line"
    if isinstance(value, bool) and key in _SWITCHES:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and key in _NUMBERS:
        return value
    if isinstance(value, str) and value.strip() and value.isprintable() and key not in (*_SWITCHES, *_NUMBERS):
        return os.fspath(path.absolute().parent / Path(value).expanduser()) if key in _PLACES else value
    raise UsageError(f"{path}: {place}: {key} must be {wanted}, got {value!a}")


def _watch(path: Path, place: str, table: dict[str, str | float | bool]) -> FleetWatch:
    if missing := [key for key in ("dir", "model") if key not in table]:
        raise UsageError(f"{path}: {place} needs {' and '.join(missing)}")
    folder, model = Path(str(table.pop("dir"))), Path(str(table.pop("model")))
    name = str(table.pop("name", folder.name))
    return FleetWatch(name, folder, model, table)


def _check_apart(path: Path, watches: Sequence[FleetWatch]) -> None:
    """Refuse two watches that would be taken for each other, or want the same table or port."""
    for key in ("name", "csv", "metrics"):
        given = [watch.name if key == "name" else watch.options.get(key) for watch in watches]
        if doubled := [value for value in given if value is not None and given.count(value) > 1]:
            raise UsageError(f"{path}: two watches have the {key} {doubled[0]!a}: give each its own")


@dataclass
class _Child:
    """A watch's process, and when it may be started again."""

    watch: FleetWatch
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = field(default_factory=lambda: FIRST_PAUSE_S)
    due_at: float = 0.0
    n_starts: int = 0
    table: Path | None = None

    def status(self) -> WatchStatus | None:
        """Its heartbeat; None where there is none yet, or its detector cannot be opened."""
        if self.table is None:
            with contextlib.suppress(AsdError):
                self.table = self.watch.table()
        return None if self.table is None else read_status(Beside(self.table).status)


@dataclass(frozen=True)
class FleetReport:
    """What a fleet did: starts by the watches' names, and watches that had to be killed at the end."""

    n_starts: Mapping[str, int]
    killed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what `watch --config` writes."""
        own = {"starts": dict(self.n_starts), "killed": list(self.killed)}
        return {"schema": 1, "command": "watch", "warnings": [], **own}


def run_fleet(
    fleet: Fleet,
    *,
    stop: threading.Event,
    say: Callable[[str], None],
    heartbeat_url: str = "",
    command: Sequence[str] = (sys.executable, "-m", "asd_core", "watch"),
) -> FleetReport:
    """Run a fleet's watches until `stop` is set; what they print is said with their name before each line.

    Parameters
    ----------
    heartbeat_url
        Asked for every minute while all watches run; empty: none.
    command
        What starts a watch; its arguments follow.
    """
    children = [_Child(watch) for watch in fleet.watches]
    ping = Ping(heartbeat_url) if heartbeat_url else None
    runner = _Runner(children, command, say)
    try:
        if ping is not None:
            ping.__enter__()
        runner.run(stop, ping)
    finally:
        notify_supervisor(STOPPING)
        if ping is not None:
            ping.__exit__(None, None, None)
        killed = runner.end()
    return FleetReport({child.watch.name: child.n_starts for child in children}, tuple(killed))


class _Runner:
    """Starts, looks after and ends the processes of a fleet."""

    def __init__(self, children: Sequence[_Child], command: Sequence[str], say: Callable[[str], None]) -> None:
        self._children, self._command = children, command
        self._saying, self._say_line = threading.Lock(), say
        self._threads: list[threading.Thread] = []
        self._checked_at = time.monotonic()

    def run(self, stop: threading.Event, ping: Ping | None) -> None:
        notify_supervisor(f"{READY}\n{ALIVE}")
        while not stop.is_set():
            for child in self._children:
                self._look_after(child)
            if time.monotonic() - self._checked_at >= CHECK_S:
                self._end_those_that_hang()
            notify_supervisor(ALIVE)
            if ping is not None and all(map(_is_settled, self._children)):
                ping.alive()
            stop.wait(ROUND_S)

    def end(self) -> list[str]:
        """Ask all to end, wait, and kill those that have not; returns the names of these."""
        running = [child for child in self._children if child.process is not None and child.process.poll() is None]
        for child in running:
            _signal(child, signal.SIGTERM)
        deadline, killed = time.monotonic() + END_WITHIN_S, []
        for child in running:
            if child.process is not None and not _ends(child.process, deadline - time.monotonic()):
                killed.append(child.watch.name)
                child.process.kill()
                child.process.wait()
        for thread in self._threads:
            thread.join(1.0)
        if killed:
            self._say("fleet", f"killed {', '.join(killed)}: not ended within {END_WITHIN_S:g} s")
        return killed

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            ran_s, code = now - child.started_at, child.process.returncode
            child.pause_s = FIRST_PAUSE_S if ran_s >= CALM_S else child.pause_s
            self._say(child.watch.name, f"ended with {_how(code)}; starts again in {child.pause_s:g} s")
            child.process, child.due_at = None, now + child.pause_s
            child.pause_s = min(2 * child.pause_s, MAX_PAUSE_S)
        if child.process is None and now >= child.due_at:
            self._start(child)

    def _start(self, child: _Child) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_WATCHES}
        environment["PYTHONUNBUFFERED"] = "1"
        child.process = subprocess.Popen(
            [*self._command, *child.watch.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
        )
        child.started_at, child.n_starts = time.monotonic(), child.n_starts + 1
        if child.process.stdout is not None:
            thread = threading.Thread(target=self._repeat, args=(child.watch.name, child.process.stdout), daemon=True)
            thread.start()
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]

    def _repeat(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._say(name, line.decode("utf-8", "backslashreplace").rstrip("\n"))

    def _say(self, name: str, line: str) -> None:
        with self._saying:
            self._say_line(f"{name} | {one_line(line)}")

    def _end_those_that_hang(self) -> None:
        """Kill what lives but no longer goes round; it is then started again like any that ended."""
        self._checked_at = time.monotonic()
        for child in self._children:
            process = child.process
            if process is not None and hangs(child.status(), process.pid, after_s=KILLED_AFTER_S):
                self._say(child.watch.name, "hangs and is killed; nothing is lost")
                process.kill()


def _is_settled(child: _Child) -> bool:
    """Whether a watch runs, and not only for the moment between two failures."""
    return child.process is not None and time.monotonic() - child.started_at >= SETTLED_S


def _signal(child: _Child, number: int) -> None:
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(number)


def _ends(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(max(0.0, within_s))
    except subprocess.TimeoutExpired:
        return False
    return True


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
