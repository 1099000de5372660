"""What is in a folder: files that came or changed, by the system's notices or by looking through it on a thread.

Nothing is opened here. On Linux, where watchdog (extra `watch`) is installed and no other computer can write to the
folder, the kernel reports changes, and the folder is listed anew once in a while only. Elsewhere it is looked through
in the background, so that a folder of 100,000 files delays no verdict.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asd_core.audio.kinds import readable_suffixes
from asd_core.data.folders import litter_kind
from asd_core.monitoring.rows import Signature
from asd_core.system.extras import missing_modules
from asd_core.system.open_files import is_shared

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

LINKED = "linked folders"
RELIST_S = 60.0
"""Seconds after which a folder is listed anew although the system reports changes: it may have lost some."""
_FIRST_LOOK_S = 1.0
SYSTEM, POLLING = "system", "polling"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file that came or changed.

    Parameters
    ----------
    at
        When that was seen, by the clock that only goes on.
    is_renamed
        Whether it got its name by a rename from one that is passed over, such as `.a.wav` or `a.wav.part`.
    was_there
        Whether it was there at the first look.
    """

    path: str
    signature: Signature
    at: float
    is_renamed: bool = False
    was_there: bool = False


class Lookout:
    """Looks after a folder and all below it.

    Entered, it looks by itself on a thread; otherwise each `take` looks first.

    Parameters
    ----------
    trusts_system
        Whether the system's notices are used where there are any.
    """

    def __init__(self, root: str, *, trusts_system: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self.sees_writers = trusts_system and sys.platform == "linux" and not is_shared(root)
        """Whether the system knows of all who may write to the folder."""
        self._may_notice = self.sees_writers and not missing_modules(("watchdog",))
        self._notices: _Notices | None = None
        self._listed_at: float | None = None
        self._seen: set[int] = set()
        self._forgotten: set[int] = set()
        self._passed: dict[int, Signature] = {}
        self._fresh: list[Sighting] = []
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._has_looked, self._end = threading.Event(), threading.Event()
        self.pace_s = 1.0
        """Seconds between two looks."""
        self.took_s = 0.0
        """How long the last full look took."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread and the system's notices."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._stop_notices()

    @property
    def kind(self) -> str:
        """`system` where changes are reported, `polling` where the folder is looked through."""
        return POLLING if self._notices is None else SYSTEM

    @property
    def has_urgent(self) -> bool:
        """Whether a file got its name by a rename, and may be whole at once."""
        notices = self._notices
        return notices is not None and notices.has_renamed

    def is_written(self, path: str) -> bool:
        """Whether notices say that somebody wrote to a file and has not closed it since."""
        notices = self._notices
        return notices is not None and path in notices.unclosed

    def take(self) -> list[Sighting]:
        """What came or changed since the last call.

        Raises
        ------
        OSError
            The folder is missing, a link, or cannot be read.
        """
        if self._thread is None:
            self.look()
        while not self._has_looked.wait(_FIRST_LOOK_S):
            if not self._thread or not self._thread.is_alive():
                self.look()  # its error is ours
        self._check_root()
        if self._error is not None:
            raise self._error
        with self._lock:
            fresh, self._fresh = self._fresh, []
        notices = self._notices
        return fresh if notices is None else fresh + self._noticed(notices)

    def forget(self, path: str, signature: Signature) -> None:
        """Report a file again when it is next seen as it was: it had disappeared."""
        with self._lock:
            self._forgotten.add(_mark(path, signature))

    def others(self) -> list[tuple[str, str]]:
        """Kind and path of what is passed over now; nothing where the folder cannot be read."""
        listing = _Listing(self._root)
        with contextlib.suppress(OSError):
            listing.look()
        return listing.others

    def look(self) -> None:
        """Look for changes where nobody reports them; list the folder where that has not been done for long."""
        with self._looking:
            try:
                self._check_root()
                self._start_notices()
                if self._notices is None or self._is_old():
                    self._list()
                self._error = None
            except OSError as error:
                self._error = error
                self._stop_notices()
        self._has_looked.set()

    def _run(self) -> None:
        while True:
            started = time.monotonic()
            self.look()
            took_s = time.monotonic() - started
            if self._end.wait(max(self.pace_s, took_s)):
                return

    def _is_old(self) -> bool:
        return self._listed_at is None or self._clock() - self._listed_at >= RELIST_S

    def _check_root(self) -> None:
        if Path(self._root).is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it has become a link, which is not followed", self._root)
        os.scandir(self._root).close()

    def _list(self) -> None:
        """Look at all that is there, and report what is not as it was at the last listing."""
        started, is_first = time.monotonic(), self._listed_at is None
        with self._lock:
            before = self._seen
            before -= self._forgotten
            self._forgotten = set()
        now = self._clock()
        listing = _Listing(self._root, before).look()
        fresh = [
            Sighting(path, signature, now, self._passed.get(inode) == signature, is_first)
            for path, signature, inode in listing.fresh
        ]
        self._seen, self._passed, self._listed_at = listing.seen, listing.passed, now
        self.took_s = time.monotonic() - started
        with self._lock:
            self._fresh += fresh

    def _noticed(self, notices: _Notices) -> list[Sighting]:
        found = []
        now = self._clock()
        for path, is_renamed in notices.take():
            if (signature := seen_as(path)) is not None:
                found.append(Sighting(path, signature, now, is_renamed))
        return found

    def _start_notices(self) -> None:
        """See to it that changes are reported, also of a folder that was made again."""
        if not self._may_notice or self._thread is None:
            return
        status = os.lstat(self._root)
        root_id = status.st_dev, status.st_ino
        if self._notices is not None and self._notices.is_alive_for(root_id):
            return
        self._stop_notices()
        self._listed_at = None if self._listed_at is None else -RELIST_S + self._clock()
        try:
            self._notices = _Notices(self._root, root_id)
        except OSError:
            if Path(self._root).is_dir():  # the kernel allows no more of them: its limits are for all programs
                self._may_notice = False

    def _stop_notices(self) -> None:
        notices, self._notices = self._notices, None
        if notices is not None:
            notices.stop()


def seen_as(path: str) -> Signature | None:
    """Size and time of change of a file, or of a link; None for what is no file, and where nothing is there."""
    try:
        status = os.lstat(path)
        if Path(path).is_dir():
            return None
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


@dataclass
class _Listing:
    """One pass over a folder.

    Parameters
    ----------
    known
        Marks of the recordings that were there at the pass before.
    seen
        Marks of those that are there.
    fresh
        Path, signature and inode of those that came or changed.
    others
        Kind and path of what is passed over.
    passed
        Inode and signature of the files among them, which may become recordings by a rename.
    """

    root: str
    known: Set[int] = frozenset()
    seen: set[int] = field(default_factory=set)
    fresh: list[tuple[str, Signature, int]] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    passed: dict[int, Signature] = field(default_factory=dict)

    def look(self) -> Self:
        """Go through the folder; raises OSError where it cannot be read."""
        suffixes, places = readable_suffixes(), [self.root]
        while places:
            place = places.pop()
            try:
                self._look_into(place, suffixes, places)
            except OSError:  # a sub-folder is gone
                if place == self.root:
                    raise
        return self

    def _look_into(self, place: str, suffixes: tuple[str, ...], places: list[str]) -> None:
        before, known, seen = os.path.join(place, ""), self.known, self.seen  # noqa: PTH118 - joined 100,000 times
        with _entries(place) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(suffixes) and name[0] != ".":  # decided at once for 99,999 of 100,000 files
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # it is gone
                    if stat.S_ISREG(status.st_mode):
                        path = before + name
                        mark = hash((path, status.st_size, status.st_mtime_ns))
                        seen.add(mark)
                        if mark not in known:
                            self.fresh.append((path, (status.st_size, status.st_mtime_ns), status.st_ino))
                        continue
                self._look_closer(entry, before + name, suffixes, places)

    def _look_closer(self, entry: os.DirEntry[str], path: str, suffixes: tuple[str, ...], places: list[str]) -> None:
        """Note a folder in `places`, and what is passed over; anything else that is called a recording is one.

        A pipe, or a link to a file, is refused by its reader: nobody should wait for it in silence.
        """
        kind = _kind(entry.name, suffixes)
        if _is_folder(entry):
            if (litter := litter_kind(entry.name)) is None and not entry.is_symlink():
                places.append(path)
            else:
                self.others.append((litter or LINKED, path))
            return
        if kind is not None:
            self.others.append((kind, path))
        with contextlib.suppress(OSError):  # it is gone
            status = entry.stat(follow_symlinks=False)
            signature = status.st_size, status.st_mtime_ns
            if kind is not None:
                self.passed[status.st_ino] = signature
                return
            mark = _mark(path, signature)
            self.seen.add(mark)
            if mark not in self.known:
                self.fresh.append((path, signature, status.st_ino))


def _mark(path: str, signature: Signature) -> int:
    """Stands for a file as it is, in a fifth of the memory."""
    return hash((path, *signature))


@contextlib.contextmanager
def _entries(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """List a folder; by its descriptor where that can be, since the system then looks up names, not whole paths."""
    if os.scandir not in os.supports_fd:
        with os.scandir(folder) as entries:
            yield entries
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads to itself is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _kind(name: str, suffixes: tuple[str, ...]) -> str | None:
    """Kind under which a file of this name is passed over; None for what is called like a recording."""
    if (kind := litter_kind(name)) is not None:
        return kind
    suffix = Path(name).suffix.lower()
    return None if suffix in suffixes else suffix or "without suffix"


class _Notices:
    """The kernel's reports of changes below a folder, by path.

    Raises
    ------
    OSError
        The folder cannot be watched.
    """

    def __init__(self, root: str, root_id: tuple[int, int]) -> None:
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        class Handler(FileSystemEventHandler):
            def dispatch(_, event: FileSystemEvent) -> None:  # noqa: N805 - `self` is the notices
                self.note(event)

        self._root, self._root_id = root, root_id
        self._suffixes = readable_suffixes()
        self._touched: dict[str, bool] = {}
        self._lock = threading.Lock()
        self.unclosed: set[str] = set()
        self._observer: BaseObserver = Observer()
        try:
            self._observer.schedule(Handler(), root, recursive=True, event_filter=_kinds_of_events())
            self._observer.start()
        except OSError:
            self._observer.stop()
            raise

    @property
    def has_renamed(self) -> bool:
        """Whether a file that was renamed waits to be taken."""
        with self._lock:
            return any(self._touched.values())

    def is_alive_for(self, root_id: tuple[int, int]) -> bool:
        """Whether it still reports on the folder that has its name now."""
        return root_id == self._root_id and all(emitter.is_alive() for emitter in self._observer.emitters)

    def take(self) -> list[tuple[str, bool]]:
        """Paths of recordings that came or changed since, and whether they got their names by a rename."""
        with self._lock:
            touched, self._touched = self._touched, {}
        return list(touched.items())

    def stop(self) -> None:
        """Stop reporting."""
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()

    def note(self, event: FileSystemEvent) -> None:
        """Take in a report."""
        path, moved_to = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        if event.is_directory:
            return  # what is in a new one is reported, too
        if event.event_type == "moved":
            self._note_moved(path, moved_to)
        elif self._is_recording(path):
            with self._lock:
                if event.event_type == "modified":
                    self.unclosed.add(path)
                elif event.event_type in ("closed", "deleted"):
                    self.unclosed.discard(path)
                self._touched[path] = self._touched.get(path, False) and event.event_type == "attrib"

    def _note_moved(self, path: str, moved_to: str) -> None:
        with self._lock:
            self.unclosed.discard(path)
            self._touched.pop(path, None)
            if self._is_recording(moved_to):
                self._touched[moved_to] = not self._is_recording(path)

    def _is_recording(self, path: str) -> bool:
        """Whether a path is called like a recording and lies in no folder that is passed over."""
        *folders, name = ("", *Path(os.path.relpath(path, self._root)).parts)
        return bool(name) and _kind(name, self._suffixes) is None and all(litter_kind(part) is None for part in folders)


def _kinds_of_events() -> list[type[FileSystemEvent]]:
    from watchdog import events

    return [
        *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileAttribEvent, events.FileClosedEvent),
        *(events.FileMovedEvent, events.FileDeletedEvent, events.DirCreatedEvent, events.DirMovedEvent),
    ]
