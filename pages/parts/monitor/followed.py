"""A watch as a page follows it: its table, heartbeat, events and notes, each read anew only where it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import Note, read_notes
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.starting import is_alive
from asd_core.monitoring.status import WatchStatus, read_status
from asd_core.monitoring.table import Tail
from asd_core.monitoring.telling.events import WatchEvent, read_events

ALL_ROWS = 1500
"""Rows of the watch that is looked at; others are shown with their last ones."""
FEW_ROWS = 60

Content = TypeVar("Content")


@dataclass
class _File(Generic[Content]):
    """A file's content, read again once its size or time has changed."""

    path: Path
    read: Callable[[], Content]
    _stamp: tuple[int, int] | None = field(default=None, init=False)
    _content: Content | None = field(default=None, init=False)

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Size and time of the file; None where it is missing."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def now(self) -> Content:
        """The content as it is now."""
        stamp = self.stamp
        if self._content is None or stamp != self._stamp:
            self._content, self._stamp = self.read(), stamp
        return self._content


@dataclass
class Followed:
    """A watch that a session follows.

    Parameters
    ----------
    n_rows
        The most rows that are kept.
    """

    table: Path
    n_rows: int = ALL_ROWS

    def __post_init__(self) -> None:
        beside = self.beside
        self._tail = Tail(self.table, self.n_rows)
        self._events = _File(beside.events, lambda: read_events(beside.events))
        self._notes = _File(beside.notes, lambda: read_notes(beside))

    @property
    def beside(self) -> Beside:
        """Where what belongs to its table lies."""
        return Beside(self.table)

    @property
    def rows(self) -> Sequence[WatchRow]:
        """Its newest rows, the oldest first."""
        return self._tail.update()

    @property
    def is_cut(self) -> bool:
        """Whether there are rows before those kept."""
        return self._tail.is_cut

    @property
    def status(self) -> WatchStatus | None:
        """Its heartbeat."""
        return read_status(self.beside.status)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return is_alive(self.table)

    @property
    def events(self) -> list[WatchEvent]:
        """What somebody was told."""
        return self._events.now()

    @property
    def notes(self) -> dict[str, Note]:
        """What people said of its clips and alarms."""
        return self._notes.now()

    @property
    def seen(self) -> tuple[object, ...]:
        """What a page draws anew for: the newest row, how far events and notes go, and whether the watch runs."""
        rows = self.rows
        newest = (len(rows), rows[-1].key) if rows else (0, "")
        status = self.status
        state = None if status is None else (status.state, status.started_at)
        return self.table, newest, self._events.stamp, self._notes.stamp, self.is_alive, state
