"""The jobs in the table, newest first, without opening the files of every run.

A run folder's name says when its job was submitted. That a run has ended, and its lane, is noted once in one file
beside the run folders, so that even a new process opens only that file and the runs that are not in it::

    <data folder>/runs/.ended
        4718592                                     inode of the runs folder: a copy of the table begins anew
        20260131T120000000000Z-1a2b3c4d train

A line that is missing or damaged only costs reading that run: what is not noted is looked at.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from asd_core.errors import FileError, UsageError
from asd_core.jobs.table import JOB, LANES, STATUS, TRAIN, Job, read_job, run_names, runs_dir
from asd_core.system.files import read_if_present, replace_file

ENDED = ".ended"
MAX_ENDED_BYTES = 64 * 2**20
"""Of some 40 bytes per run."""


class Jobs(Sequence[Job]):
    """Jobs of a listing, newest first; each is read when it is looked at.

    A run that is deleted after the listing is left out of a walk through it; asking for it alone raises UsageError.

    Parameters
    ----------
    names
        Names of the run folders.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Jobs: ...
    def __getitem__(self, index: int | slice) -> Job | Jobs:
        if isinstance(index, slice):
            return Jobs(self.names[index])
        return _listing.job(self.names[index])

    def __iter__(self) -> Iterator[Job]:
        for name in self.names:
            with contextlib.suppress(UsageError):
                yield _listing.job(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Jobs({list(self.names)!r})"


def list_jobs() -> Jobs:
    """All trainings, newest first; a damaged one is listed as failed or lost, with the reason."""
    return Jobs([name for name, lane in _listing.look().lanes.items() if lane == TRAIN])


def list_chores() -> Jobs:
    """All chores, newest first."""
    return Jobs([name for name, lane in _listing.look().lanes.items() if lane != TRAIN])


def active_jobs() -> list[Job]:
    """Trainings and chores that wait or run, newest first; what has ended is not looked at again."""
    return list(_listing.look().active)


def note_ended() -> None:
    """Write down which runs have ended, where that is not what is written there; call it with `table` held."""
    _listing.note()


_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class _Look:
    """What is in the table: the lane of each run by its name, newest first, and the jobs that wait or run."""

    lanes: dict[str, str]
    active: tuple[Job, ...]


class _Listing:
    """What was read last: a run is read again only where its files have changed since, and the notes likewise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = Path()
        self._read: dict[str, tuple[_Signature, Job]] = {}
        self._noted: tuple[_Signature, dict[str, str]] = ((), {})
        self._last = _Look({}, ())

    def look(self) -> _Look:
        """Find all runs; only those are read that are not known to have ended."""
        with self._lock:
            self._turn_to(runs_dir())
            names, noted = run_names(), self._notes()
            self._forget_others(names)
            lanes, active = {}, []
            for name in names:
                if name in noted:
                    lanes[name] = noted[name]
                    continue
                with contextlib.suppress(UsageError):  # deleted meanwhile
                    job = self._job(name, look_at_ended=False)
                    lanes[name] = job.lane
                    if job.is_active:
                        active.append(job)
            self._last = _Look(lanes, tuple(active))
            return self._last

    def job(self, name: str) -> Job:
        """Read one job, unless its files are those that were read last; raises UsageError where it was deleted."""
        with self._lock:
            self._turn_to(runs_dir())
            return self._job(name, look_at_ended=True)

    def note(self) -> None:
        """Write the notes anew where runs had ended or gone at the last look."""
        with self._lock:
            unsure = {job.name for job in self._last.active} | {
                name for name, (_, job) in self._read.items() if job.is_damaged
            }
            ended = {name: lane for name, lane in self._last.lanes.items() if name not in unsure}
            if ended == self._noted[1]:
                return
            with contextlib.suppress(OSError):  # a full disk: the next process reads these runs once more
                replace_file(self._runs / ENDED, _text(self._runs, ended.items()))

    def _turn_to(self, runs: Path) -> None:
        if runs != self._runs:
            self._runs, self._read, self._noted, self._last = runs, {}, ((), {}), _Look({}, ())

    def _forget_others(self, names: Sequence[str]) -> None:
        gone = self._read.keys() - names if self._read else ()
        for name in gone:
            del self._read[name]

    def _job(self, name: str, *, look_at_ended: bool) -> Job:
        folder = self._runs / name
        before, job = self._read.get(name, (None, None))
        if job is not None and not job.is_active and not look_at_ended:
            return job
        signature = (_file_signature(folder / JOB), _file_signature(folder / STATUS))
        if job is None or signature != before:
            job = read_job(folder)
            self._read[name] = (signature, job)
        return job

    def _notes(self) -> dict[str, str]:
        """Lanes of the runs that are noted to have ended."""
        signature = (_file_signature(self._runs / ENDED),)
        if signature != self._noted[0]:
            self._noted = signature, _read_notes(self._runs)
        return self._noted[1]


_listing = _Listing()


def _text(runs: Path, ended: Iterable[tuple[str, str]]) -> bytes:
    lines = [str(runs.stat().st_ino), *(f"{name} {lane}" for name, lane in ended)]
    return "".join(f"{line}\n" for line in lines).encode()


def _read_notes(runs: Path) -> dict[str, str]:
    """Read `.ended`; lines that are damaged are left out, and all of them where it was copied from elsewhere."""
    try:
        text = (read_if_present(runs / ENDED, at_most=MAX_ENDED_BYTES) or b"").decode("ascii", "replace")
    except FileError:
        return {}
    head, *lines = text.split("\n")
    if not head or head != str(runs.stat().st_ino):
        return {}
    pairs = (line.split(" ") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[1] in LANES}


def _file_signature(path: Path) -> tuple[int, int, int] | None:
    """Tell one content of a file from the next; files of the table are replaced, never written in place."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
