"""A background training in its own process: within bounds, with signs of life, and every end put into words."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TextIO

from asd_core.detector import Progress
from asd_core.errors import AsdError, BusyError, TrainingStopped, UsageError
from asd_core.job_table import (
    LOG,
    PROGRESS,
    Status,
    checked_folder,
    flock,
    lock_file,
    read_job,
    running,
    runs_dir,
    table,
    utc_now,
    write_status,
)
from asd_core.logs import event, fault
from asd_core.pipeline import TrainingRequest, train

DONE, UNEXPECTED, USAGE, SOME_REFUSED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130
MIN_FREE_BYTES = 2**30
"""Room for the largest detector that may be published and for its checkpoint."""
MAX_FILE_BYTES = 2 * 2**30
MAX_MEMORY_BYTES = 32 * 2**30
"""Of address space, most of which torch and TensorFlow only reserve."""
NICENESS = 10
HEARTBEAT_S = 2.0
HEARTBEAT_LIMIT_S = 30.0
MAX_WARNINGS = 20


def run(run_dir: Path) -> int:
    """Train what a run folder asks for, holding the slot; returns the exit code."""
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    _limit_self()
    request, status = _claim(run_dir)
    folder = checked_folder(run_dir)
    event("training began", job=folder.name, detector=request.detector)
    with _heartbeat(folder, status):
        status, code = _train(folder, request, status, stops)
    write_status(folder, replace(status, ended_at=utc_now(), heartbeat=utc_now()))
    event("training ended", job=folder.name, state=status.state, reason=status.error)
    return code


@contextlib.contextmanager
def slot(inherited: int | None) -> Iterator[None]:
    """Hold the one training slot: the lock that was handed over, or a new one."""
    path = runs_dir() / ".slot"
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist: no job was submitted")
    descriptor = lock_file(path) if inherited is None else _inherited_lock(inherited, path)
    if descriptor is None:
        raise BusyError("another job trains; this one waits in the queue")
    try:
        yield
    finally:
        os.close(descriptor)


def check_free_disk(request: TrainingRequest) -> None:
    """Raise UsageError where the table's or the detectors' disk has less than `MIN_FREE_BYTES` to spare."""
    for place in (runs_dir(), request.out):
        existing = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < MIN_FREE_BYTES:
            raise UsageError(
                f"training needs {MIN_FREE_BYTES / 2**30:.1f} GiB free in {existing}, got {free / 2**30:.1f} GiB"
            )


def _inherited_lock(descriptor: int, path: Path) -> int | None:
    try:
        is_slot = os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        is_slot = False
    if not is_slot:
        raise UsageError(f"--slot must be an open descriptor of {path}")
    os.set_inheritable(descriptor, False)
    return descriptor if flock(descriptor) else None


def _limit_self() -> None:
    """Give way to the dashboard and stay within bounds; both are inherited by the next job, so set, never added to."""
    if os.name == "nt":
        return
    import resource

    os.nice(max(0, NICENESS - os.nice(0)))
    for kind, limit in ((resource.RLIMIT_FSIZE, MAX_FILE_BYTES), (resource.RLIMIT_AS, MAX_MEMORY_BYTES)):
        _, hard = resource.getrlimit(kind)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but may not set it
            resource.setrlimit(kind, (soft, hard))


def _claim(run_dir: Path) -> tuple[TrainingRequest, Status]:
    with table(wait_s=HEARTBEAT_LIMIT_S):
        job = read_job(run_dir)
        own = job.state == "running" and job.status.pid == os.getpid()
        if job.request is None or not (own or job.state == "queued"):
            raise UsageError(f"{job.name} is {job.state}, only a queued job can be run")
        status = running(os.getpid())
        write_status(job.folder, status)
    return job.request, status


@contextlib.contextmanager
def _heartbeat(folder: Path, status: Status) -> Iterator[None]:
    """Renew the status from a thread of its own: reading clips can take minutes without a word."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # a full disk fails the training where it matters
                write_status(folder, replace(status, heartbeat=utc_now()))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _train(folder: Path, request: TrainingRequest, status: Status, stops: Sequence[int]) -> tuple[Status, int]:
    """Train; how it ended, and the exit code. The process's boundary: whatever went wrong becomes a reason."""
    try:
        check_free_disk(request)
        with (folder / PROGRESS).open("a", encoding="utf-8") as stream:
            result = train(request, on_progress=partial(_append_progress, stream), should_stop=lambda: bool(stops))
    except TrainingStopped as error:
        return replace(status, state="cancelled", error=str(error)), INTERRUPTED
    except AsdError as error:
        return replace(status, state="failed", error=str(error)), BUSY if isinstance(error, BusyError) else USAGE
    except Exception as error:  # noqa: BLE001 - see above
        traceback.print_exc()
        fault(error, job=folder.name)
        detail = f" ({error.strerror})" if isinstance(error, OSError) else ""
        return replace(status, state="failed", error=f"{type(error).__name__}{detail}; see {LOG}"), UNEXPECTED
    done = replace(
        status,
        state="done",
        model=str(result.model),
        version=result.artifact.version,
        warnings=result.warnings[:MAX_WARNINGS],
    )
    return done, SOME_REFUSED if result.refused else DONE


def _append_progress(stream: TextIO, event: Progress) -> None:
    values = {name: _finite_or_none(value) for name, value in asdict(event).items()}
    stream.write(json.dumps(values, allow_nan=False) + "\n")
    stream.flush()


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
