"""The jobs in the table, newest first; what has been read once is read again only where it may have changed."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from asd_core.errors import UsageError
from asd_core.jobs.table import JOB, RUN_NAME, STATUS, Job, read_job, runs_dir


def list_jobs() -> list[Job]:
    """All trainings, newest first; a damaged one is listed as failed or lost, with the reason."""
    return [job for job in _listing.jobs() if job.chore is None]


def list_chores() -> list[Job]:
    """All chores, newest first; what has ended is not looked at again."""
    return [job for job in _listing.jobs(look_at_ended=False) if job.chore is not None]


def active_jobs() -> list[Job]:
    """Trainings and chores that wait or run, newest first; what has ended is not looked at again."""
    return [job for job in _listing.jobs(look_at_ended=False) if job.is_active]


_Signature = tuple[tuple[int, int, int] | None, ...]


class _Listing:
    """Jobs as they were read last: a run is read again only where its files have changed since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Signature, Job]] = {}

    def jobs(self, *, look_at_ended: bool = True) -> list[Job]:
        """List all jobs, newest first; those that have ended stay so, and need no look."""
        runs = runs_dir()
        if not runs.is_dir():
            return []
        folders = sorted((path for path in runs.iterdir() if RUN_NAME.fullmatch(path.name)), reverse=True)
        found = []
        with self._lock:
            self._read = {folder: self._read[folder] for folder in folders if folder in self._read}
            for folder in folders:
                with contextlib.suppress(UsageError):  # deleted meanwhile, or not a folder
                    found.append(self._job(folder, look_at_ended=look_at_ended))
        return found

    def _job(self, folder: Path, *, look_at_ended: bool) -> Job:
        before, job = self._read.get(folder, (None, None))
        if job is not None and not job.is_active and not look_at_ended:
            return job
        signature = (_file_signature(folder / JOB), _file_signature(folder / STATUS))
        if job is None or signature != before:
            job = read_job(folder)
            self._read[folder] = (signature, job)
        return job


_listing = _Listing()


def _file_signature(path: Path) -> tuple[int, int, int] | None:
    """Tell one content of a file from the next; files of the table are replaced, never written in place."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
