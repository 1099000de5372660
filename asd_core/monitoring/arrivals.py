"""When a file has arrived: clips below a folder that may be judged, each once per path, size and time of change."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_core.audio.kinds import readable_suffixes
from asd_core.audio.reading import read_waveform
from asd_core.audio.recorded import Recorded, recorded_at
from asd_core.data.folders import Skipped, litter_kind
from asd_core.errors import AudioError, UsageError
from asd_core.monitoring.rows import Signature, WatchRow, unescaped
from asd_core.types import Waveform

LINKED = "linked folders"
LEAST_SETTLE_S, MAX_SETTLE_S = 2.0, 3600.0
"""Least time without a change that is learned from a folder; the most that may be asked for."""


@dataclass(frozen=True)
class ArrivalSettings:
    """How arrivals are recognised.

    Parameters
    ----------
    settle_s
        Seconds that a file must have been unchanged; None: learned from the folder, at least `LEAST_SETTLE_S`.
    trusts_system
        Whether the system's notices of changes and its knowledge of open files are used where there are any; on
        network shares there are none.
    segment_s, hop_s
        Cut recordings into segments of this length and distance, also while they grow; None: each file is one clip.
    """

    settle_s: float | None = None
    trusts_system: bool = True
    segment_s: float | None = None
    hop_s: float | None = None

    def __post_init__(self) -> None:
        if self.settle_s is not None and not 0 <= self.settle_s <= MAX_SETTLE_S:
            raise UsageError(f"files settle within 0 to {MAX_SETTLE_S:g} s, got {self.settle_s:g}")


@dataclass(frozen=True)
class Settle:
    """How long a file must have been unchanged, in seconds, and where that figure comes from, in words."""

    seconds: float
    origin: str


@dataclass(frozen=True, eq=False)
class Arrival:
    """A clip that may be judged now.

    Parameters
    ----------
    path
        Its file.
    name
        What its row calls it: the path, with `#t=10,20` for a segment.
    signature
        The file's as it was read.
    sound
        What was read, or why it cannot be.
    recorded
        When it was recorded.
    replaces
        Key of the row of the same clip that was judged before the file was whole; usually empty.
    """

    path: str
    name: str
    signature: Signature
    sound: Waveform | AudioError
    recorded: Recorded | None
    replaces: str = ""


class FolderMissingError(Exception):
    """The watched folder is missing, a link, or cannot be read; `reason` says which."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass
class _Seen:
    signature: Signature
    since: float


class Arrivals:
    """The clips below a folder that have not been judged, as they become whole.

    Parameters
    ----------
    channel
        Channel to hear, from 0; None takes the mean of all.
    """

    def __init__(self, folder: Path, settings: ArrivalSettings, *, channel: int | None) -> None:
        self._root, self._settings, self._channel = os.fspath(folder), settings, channel
        self._done: dict[str, Signature | None] = {}
        self._seen: dict[str, _Seen] = {}
        self._others: list[tuple[str, str]] = []
        self.n_early = 0
        """Clips that were judged before they were whole."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening for changes."""

    @property
    def settle(self) -> Settle:
        """How long files must be unchanged now."""
        if self._settings.settle_s is not None:
            return Settle(self._settings.settle_s, "as asked")
        return Settle(LEAST_SETTLE_S, "the least")

    @property
    def notices(self) -> str:
        """`system` where the system reports changes, `polling` where the folder is looked through."""
        return "polling"

    @property
    def n_waiting(self) -> int:
        """Files that are not judged yet."""
        return len(self._seen)

    def know(self, row: WatchRow) -> None:
        """Take over a row that was written earlier; in the order of the table."""
        self._done[unescaped(row.path)] = row.signature

    def due(self) -> Iterator[Arrival]:
        """Read and yield the clips that may be judged now, the oldest first, then by name.

        Raises
        ------
        FolderMissingError
            The folder is missing, a link, or cannot be read.
        """
        try:
            found = self._look()
        except OSError as error:
            raise FolderMissingError(error) from error
        now = time.monotonic()
        self._seen = {path: self._since(path, signature, now) for path, signature in found.items()}
        for path, seen in sorted(self._seen.items(), key=lambda item: (item[1].signature[1], item[0])):
            if now - seen.since < self.settle.seconds:
                continue
            arrival = self._read(path, seen.signature)
            if arrival is not None:
                yield arrival

    def heard(self, arrival: Arrival, row: WatchRow) -> None:
        """Note that an arrival's row is on the disk."""
        self._done[arrival.name] = row.signature
        self._seen.pop(arrival.path, None)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait until something may have arrived, at most so long, or until stopped."""
        stop.wait(seconds)

    def skipped(self, *, but: Set[str]) -> Skipped:
        """What was no clip at the last look, by path below the folder; `but` are paths of our own files."""
        others = ((kind, path) for kind, path in self._others if path not in but)
        return Skipped.of((kind, os.path.relpath(path, self._root)) for kind, path in others)

    def _since(self, path: str, signature: Signature, now: float) -> _Seen:
        seen = self._seen.get(path)
        if seen is not None and seen.signature == signature:
            return seen
        age_s = 0.0 if seen is not None else max(0.0, time.time() - signature[1] / 1e9)
        return _Seen(signature, now - age_s)

    def _look(self) -> dict[str, Signature]:
        if Path(self._root).is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it has become a link, which is not followed", self._root)
        found: dict[str, Signature] = {}
        self._others, places, suffixes = [], [self._root], readable_suffixes()
        while places:
            place = places.pop()
            try:
                entries = list(os.scandir(place))
            except OSError:
                if place == self._root:
                    raise
                continue  # a sub-folder is gone
            for entry in entries:
                if (kind := _kind(entry, suffixes)) is not None:
                    self._others.append((kind, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    places.append(entry.path)
                else:
                    found |= self._new(entry.path)
        return found

    def _new(self, path: str) -> dict[str, Signature]:
        """The file with its signature, unless it has been judged as it is."""
        signature = _signature(path)
        is_judged = path in self._done and self._done[path] in (None, signature)
        return {} if signature is None or is_judged else {path: signature}

    def _read(self, path: str, signature: Signature) -> Arrival | None:
        """Read a clip, or the reason why it cannot be read; None where it is gone or has changed by now."""
        sound: Waveform | AudioError
        try:
            sound, recorded = read_waveform(path, channel=self._channel), recorded_at(path)
        except AudioError as error:
            sound, recorded = error, None
        return Arrival(path, path, signature, sound, recorded) if _signature(path) == signature else None


def _kind(entry: os.DirEntry[str], suffixes: Sequence[str]) -> str | None:
    """Kind under which an entry is passed over; None for a folder and for what is called like a recording."""
    if (kind := litter_kind(entry.name)) is not None or entry.is_dir(follow_symlinks=False):
        return kind
    suffix = Path(entry.name).suffix.lower()
    if suffix in suffixes:
        return None
    return LINKED if entry.is_dir() else suffix or "without suffix"


def _signature(path: str) -> Signature | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
