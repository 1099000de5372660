"""What a watch has heard: a row a clip, when an alarm is raised and cleared, and the CSV file that survives kills.

One clip is one line, appended and synced as a whole; the file alone is the watch's memory. A line that a kill tore off
is cut when the file is opened again. Control characters in names are escaped, so that no name can break a line.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import math
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import slug
from asd_core.errors import UsageError
from asd_core.features.familiarity import ClipTraits, Familiarity
from asd_core.formats import cell_text
from asd_core.system.files import csv_text
from asd_core.system.locks import hold, is_held
from asd_core.system.places import data_dir
from asd_core.tasks.score import ScoreRow

RAISED, CLEARED = "raised", "cleared"
MAX_WINDOW = 1000
DRIFT_CLIPS = 20
MAX_LINE_BYTES = 1024 * 1024
TAIL_BYTES = 512 * 1024
"""A page reads this much of a long table: some 1,500 clips."""
BUSY_WAIT_S = 0.5
"""A page that looks whether a watch runs holds its lock for an instant."""

_SCORE_COLUMNS = tuple(column.name for column in fields(ScoreRow))
_TRAIT_COLUMNS = {
    "level_db": "level_dbfs",
    "peak_db": "peak_dbfs",
    "bandwidth_hz": "bandwidth_hz",
    "noise_floor_db": "noise_floor_db",
    "duration_s": "duration_s",
    "centroid_hz": "centroid_hz",
}
COLUMNS = ("time", *(name for name in _SCORE_COLUMNS if name != "encoder"), "alarm", "event", *_TRAIT_COLUMNS, "drift")
_HEADER = (",".join(COLUMNS) + "\n").encode("ascii")
_CHOICES = {
    "status": ("ok", "warning", "refused"),
    "verdict": ("normal", "anomalous", ""),
    "alarm": ("0", "1"),
    "event": (RAISED, CLEARED, ""),
}


@dataclass(frozen=True)
class WatchRow:
    """One clip as a watch judged it.

    Parameters
    ----------
    time
        When it was judged, ISO 8601 in UTC.
    path
        Absolute, escaped; `unescaped` gives the file's.
    model
        Folder of the detector's version.
    status, reason, anomaly_score, threshold, verdict
        As in a `ScoreRow`.
    alarm
        Whether the alarm stands after this clip.
    event
        `raised`, `cleared` or empty: what this clip did to the alarm.
    traits
        What the recording is like; None for a refused clip.
    drift
        Where recent clips have moved to, away from training; empty where nowhere.
    """

    time: str
    path: str
    model: str
    status: str
    reason: str
    anomaly_score: float | None
    threshold: float | None
    verdict: str
    alarm: bool = False
    event: str = ""
    traits: ClipTraits | None = None
    drift: str = ""

    def line(self) -> bytes:
        """One line of the table, its end included."""
        own = {name: getattr(self, name) for name in COLUMNS if hasattr(self, name)}
        own["alarm"] = str(int(self.alarm))
        own |= {name: getattr(self.traits, trait, None) for name, trait in _TRAIT_COLUMNS.items()}
        return csv_text([[own[name] for name in COLUMNS]]).encode()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read a line of the table.

        Raises
        ------
        ValueError
            It is none.
        """
        cells = _cells(line.decode("utf-8"))
        if len(cells) != len(COLUMNS):
            raise ValueError(f"a row must have {len(COLUMNS)} cells, got {len(cells)}")
        named = dict(zip(COLUMNS, cells, strict=True))
        datetime.fromisoformat(named["time"])
        for name, known in _CHOICES.items():
            if named[name] not in known:
                raise ValueError(f"{name} must be one of {known}")
        traits = {trait: _number(named[name]) for name, trait in _TRAIT_COLUMNS.items()}
        values = [value for value in traits.values() if value is not None]
        whole = dict(zip(traits, values, strict=True)) if len(values) == len(traits) else None
        texts = {
            name: named[name] for name in ("time", "path", "model", "status", "reason", "verdict", "event", "drift")
        }
        return cls(
            **texts,
            anomaly_score=_number(named["anomaly_score"]),
            threshold=_number(named["threshold"]),
            alarm=named["alarm"] == "1",
            traits=None if whole is None else ClipTraits(**whole),
        )


def _cells(line: str) -> list[str]:
    try:
        return [cell_text(cell) for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise ValueError(f"not a line of CSV: {error}") from error


def _number(cell: str) -> float | None:
    if not cell:
        return None
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"numbers must be finite, got {cell}")
    return value


def escaped(text: str) -> str:
    r"""Write line breaks, other control characters and bytes that are no UTF-8 as `\x0a`; a backslash is doubled."""
    return "".join(_escape(letter) for letter in text)


def _escape(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    return letter if letter.isprintable() else f"\\x{ord(letter):x};"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def unescaped(text: str) -> str:
    """Undo `escaped`."""
    return re.sub(
        r"\\(?:(\\)|x([0-9a-f]{1,6});)", lambda found: found[1] or chr(min(int(found[2], 16), 0x10FFFF)), text
    )


@dataclass(frozen=True)
class AlarmRule:
    """`k` of the last `n` clips anomalous raise an alarm; fewer than half of `k` (rounded up) clear it.

    Refused clips, and those without a verdict, do not count among the `n`.
    """

    k: int = 3
    n: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= MAX_WINDOW:
            raise UsageError(f"an alarm takes k of n clips, 1 <= k <= n <= {MAX_WINDOW}; got {self.k}/{self.n}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `3/5`.

        Raises
        ------
        UsageError
            Something else, or numbers out of range.
        """
        if (found := re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())) is None:
            raise UsageError(f"an alarm is written as k/n, such as 3/5; got {text[:40]!a}")
        return cls(int(found[1]), int(found[2]))

    @property
    def most_when_clear(self) -> int:
        """Most anomalous clips among the last `n` with which a standing alarm is cleared."""
        return math.ceil(self.k / 2) - 1

    def stands(self, n_anomalous: int, *, stood: bool) -> bool:
        """Whether the alarm stands after a clip, given whether it stood before."""
        return n_anomalous > self.most_when_clear if stood else n_anomalous >= self.k


@dataclass
class Judge:
    """Alarm and drift, clip after clip; what it knows is in the rows it has seen."""

    rule: AlarmRule = field(default_factory=AlarmRule)
    familiarity: Familiarity | None = None
    n_drift: int = DRIFT_CLIPS
    alarm: bool = field(default=False, init=False)
    drift: str = field(default="", init=False)
    _verdicts: deque[str] = field(default_factory=deque, init=False)
    _traits: deque[ClipTraits] = field(default_factory=deque, init=False)

    @property
    def n_anomalous(self) -> int:
        """Anomalous clips in the window."""
        return self._verdicts.count("anomalous")

    def recall(self, row: WatchRow) -> None:
        """Take over a row that was judged before."""
        self._note(row.verdict, row.traits)
        self.alarm, self.drift = row.alarm, row.drift

    def judge(self, scored: ScoreRow, traits: ClipTraits | None, *, now: str) -> WatchRow:
        """Judge the next clip."""
        self._note(scored.verdict, traits)
        event = self._alarm_event() if scored.verdict else ""
        if traits is not None:
            self.drift = self._drifted()
        return WatchRow(
            now,
            escaped(scored.path),
            escaped(scored.model),
            scored.status,
            _one_line(scored.reason),
            scored.anomaly_score,
            scored.threshold,
            scored.verdict,
            self.alarm,
            event,
            traits,
            self.drift,
        )

    def _note(self, verdict: str, traits: ClipTraits | None) -> None:
        if verdict:
            self._verdicts.append(verdict)
        if traits is not None:
            self._traits.append(traits)
        while len(self._verdicts) > self.rule.n:
            self._verdicts.popleft()
        while len(self._traits) > self.n_drift:
            self._traits.popleft()

    def _alarm_event(self) -> str:
        stood, self.alarm = self.alarm, self.rule.stands(self.n_anomalous, stood=self.alarm)
        if stood == self.alarm:
            return ""
        return RAISED if self.alarm else CLEARED

    def _drifted(self) -> str:
        if self.familiarity is None or len(self._traits) < self.n_drift:
            return ""
        return "; ".join(self.familiarity.drift(self._traits))


# --- the file ---


def watches_dir() -> Path:
    """Folder of the tables of watches that were given no other place."""
    return data_dir() / "watches"


def default_table(folder: Path, artifact: Artifact) -> Path:
    """Where the table of a folder and a detector lies, the same at each start."""
    subject = f"{folder}\0{artifact.folder.parent.resolve()}"
    digest = hashlib.sha256(os.fsencode(subject)).hexdigest()[:8]
    return watches_dir() / f"{slug(folder.name)[:40]}-{artifact.detector_name}-{digest}.csv"


@dataclass
class WatchTable:
    """An open table; `append` is the only way to change it.

    Parameters
    ----------
    damaged
        Lines that could not be read when it was opened; they were left alone.
    """

    path: Path
    descriptor: int
    damaged: int = 0

    def append(self, row: WatchRow) -> None:
        """Write one whole line and sync it.

        Raises
        ------
        OSError
            The disk is full or failing; a torn line is cut off when the table is opened again. Or the table was removed
            or replaced.
        """
        self._check_place()
        self._write(row.line())

    def _check_place(self) -> None:
        """Refuse to write on into a file that has lost its name: its rows would be gone with the end of the watch."""
        try:
            is_there = os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise OSError(f"{self.path} was removed or replaced while the watch wrote to it: start the watch again")

    def _write(self, line: bytes) -> None:
        written = os.write(self.descriptor, line)
        os.fsync(self.descriptor)
        if written != len(line):
            raise OSError(f"{self.path}: only {written} of {len(line)} bytes could be written; is the disk full?")

    def rows(self) -> Iterator[WatchRow]:
        """Read the rows that stand in it, cut a torn last line off, and write the header of a new table.

        Raises
        ------
        UsageError
            The file is no such table.
        """
        end = 0
        with os.fdopen(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b"")):
                if number == 0:
                    self._check_header(line)
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                if number and (row := self._parsed(line)) is not None:
                    yield row
        os.ftruncate(self.descriptor, end)
        if end == 0:
            self._write(_HEADER)

    def _check_header(self, line: bytes) -> None:
        torn = not line.endswith(b"\n") and _HEADER.startswith(line)
        if line != _HEADER and not torn:
            raise UsageError(f"{self.path} is another file, no table of a watch; name a new one")

    def _parsed(self, line: bytes) -> WatchRow | None:
        try:
            return WatchRow.parse(line)
        except ValueError:
            self.damaged += 1
            return None


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[WatchTable]:
    """Open or make a table for one watch; read its `rows` first.

    Raises
    ------
    BusyError
        Another watch writes to it.
    UsageError
        It is a link, a folder or a device.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(_lock(path), busy=f"another watch writes to {path}", wait_s=BUSY_WAIT_S))
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        stack.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{path} must be a regular file")
        yield WatchTable(path, descriptor)


def is_running(path: Path) -> bool:
    """Whether a watch writes to this table now; on Windows always False."""
    return is_held(_lock(path))


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def list_tables() -> list[Path]:
    """Tables in the data folder, the one written to last first; links are left out."""
    folder = watches_dir()
    if not folder.is_dir():
        return []
    found = [path for path in folder.glob("*.csv") if not path.is_symlink() and path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))


@dataclass
class Tail:
    """The newest rows of a table that a watch may be writing to; each `update` reads only what is new.

    Parameters
    ----------
    n_rows
        Rows kept.
    """

    path: Path
    n_rows: int = 300
    rows: deque[WatchRow] = field(default_factory=deque, init=False)
    is_cut: bool = field(default=False, init=False)
    """Whether there are rows before those kept."""
    _offset: int = field(default=0, init=False)
    _inode: int = field(default=0, init=False)

    def update(self) -> Sequence[WatchRow]:
        """Read on and return all rows kept, oldest first; a table that is gone keeps its last rows."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return self.rows
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return self.rows
            if status.st_ino != self._inode or status.st_size < self._offset:
                self.rows.clear()
                self.is_cut, self._offset, self._inode = False, 0, status.st_ino
            self._read_on(file, status.st_size)
        return self.rows

    def _read_on(self, file: BinaryIO, size: int) -> None:
        start = max(self._offset, size - TAIL_BYTES)
        file.seek(start)
        if start > self._offset:
            self.is_cut = True
            start += len(file.readline(MAX_LINE_BYTES))  # the rest of a line whose beginning is passed over
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            if not line.endswith(b"\n"):
                break
            start += len(line)
            if line != _HEADER:
                with contextlib.suppress(ValueError):
                    self.rows.append(WatchRow.parse(line))
        self._offset = start
        while len(self.rows) > self.n_rows:
            self.rows.popleft()
            self.is_cut = True
