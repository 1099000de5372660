"""The table of a watch: the CSV file of what it has heard, which survives kills.

One clip is one line, appended and synced as a whole; the file alone is the watch's memory. A line that a kill left
incomplete is cut off when the file is next opened. Control characters in names are escaped, so that no name can break
a line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import slug
from asd_core.errors import UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import COLUMNS, COLUMNS_BY_HEADER, HEADER, WatchRow
from asd_core.system.files import append_line
from asd_core.system.locks import hold, is_held
from asd_core.system.places import data_dir

MAX_LINE_BYTES = 1024 * 1024
TAIL_BYTES = 512 * 1024
"""A page reads this much of a long table: some 1,500 clips."""
BUSY_WAIT_S = 0.5
"""A page that checks whether a watch is running holds its lock for an instant."""


def watches_dir() -> Path:
    """Folder of the tables of watches for which no other place was given."""
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
    columns
        Those of its header: a table keeps the columns that it was begun with.
    """

    path: Path
    descriptor: int
    damaged: int = 0
    columns: tuple[str, ...] = COLUMNS

    def append(self, row: WatchRow) -> None:
        """Write one whole line and sync it.

        Raises
        ------
        DiskFullError
            The disk is full; nothing of the line is left in the table.
        OSError
            The disk is failing, or the table was removed or replaced.
        """
        self._check_place()
        append_line(self.descriptor, row.line(self.columns), name=self.path)

    def _check_place(self) -> None:
        """Refuse to keep writing to a file that has lost its name: its rows would be gone at the end of the watch."""
        try:
            is_there = os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise OSError(f"{self.path} was removed or replaced while the watch wrote to it: start the watch again")

    def rows(self) -> Iterator[WatchRow]:
        """Read its rows, cut off an incomplete last line, and write the header of a new table.

        Raises
        ------
        UsageError
            The file is not such a table.
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
            append_line(self.descriptor, HEADER, name=self.path)

    def _check_header(self, line: bytes) -> None:
        torn = not line.endswith(b"\n") and HEADER.startswith(line)
        if line not in COLUMNS_BY_HEADER and not torn:
            raise UsageError(f"{self.path} is another file, no table of a watch; name a new one")
        self.columns = COLUMNS_BY_HEADER.get(line, COLUMNS)

    def _parsed(self, line: bytes) -> WatchRow | None:
        try:
            return WatchRow.parse(line)
        except ValueError:
            self.damaged += 1
            return None


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[WatchTable]:
    """Open or create a table for one watch; read its `rows` first.

    Raises
    ------
    BusyError
        Another watch writes to it.
    UsageError
        It is a link, a folder or a device.
    """
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
    """Whether a watch is writing to this table now; on Windows always False."""
    return is_held(_lock(path))


def own_files(path: Path) -> frozenset[str]:
    """Where a table, its lock and what lies beside it are, links resolved."""
    return frozenset(map(os.path.realpath, (path, _lock(path), Beside(path).folder)))


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def list_tables() -> list[Path]:
    """Tables in the data folder, the most recently written first; links are left out."""
    folder = watches_dir()
    if not folder.is_dir():
        return []
    found = [path for path in folder.glob("*.csv") if not path.is_symlink() and path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def read_rows(path: Path) -> tuple[list[WatchRow], int]:
    """Read all whole rows of a table that a watch may be writing to; and how many damaged lines were passed over.

    Raises
    ------
    OSError
        There is no such table.
    UsageError
        The file is no table of a watch.
    """
    rows, n_damaged = list[WatchRow](), 0
    with path.open("rb") as file:
        header = file.readline(MAX_LINE_BYTES)
        if header and header not in COLUMNS_BY_HEADER:
            raise UsageError(f"{path} is no table of a watch")
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            if not line.endswith(b"\n"):
                break
            try:
                rows.append(WatchRow.parse(line))
            except ValueError:
                n_damaged += 1
    return rows, n_damaged


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
        """Read on and return all rows kept, oldest first; if the table is gone, the last rows remain."""
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
            start += len(file.readline(MAX_LINE_BYTES))  # the rest of a line whose beginning was skipped
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            if not line.endswith(b"\n"):
                break
            start += len(line)
            if line not in COLUMNS_BY_HEADER:
                with contextlib.suppress(ValueError):
                    self.rows.append(WatchRow.parse(line))
        self._offset = start
        while len(self.rows) > self.n_rows:
            self.rows.popleft()
            self.is_cut = True
