"""A background job in its own process: within limits, with a heartbeat, and with a reason for every end."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TextIO

from asd_core.detectors import detector_class
from asd_core.detectors.contract import Progress
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import AsdError, BusyError, TrainingStopped, UsageError
from asd_core.jobs.chores import Chore, Step
from asd_core.jobs.table import (
    LOG,
    PROGRESS,
    Job,
    Status,
    checked_folder,
    read_job,
    running,
    runs_dir,
    slot_path,
    table,
    write_status,
    write_step,
)
from asd_core.system.clock import utc_now
from asd_core.system.devices import CPU, has_gpu_driver
from asd_core.system.disk import MIN_FREE_BYTES, existing_folder, free_bytes
from asd_core.system.locks import flock, lock_file
from asd_core.system.logs import event, fault
from asd_core.system.processes import lead_group
from asd_core.tasks.train import TrainingRequest, train

DONE, UNEXPECTED, USAGE, SOME_REFUSED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Room for the largest detector that may be published and for its checkpoint."""
MAX_FILE_BYTES = 2 * 2**30
"""For a training; archives that are downloaded are larger."""
MAX_MEMORY_BYTES = 32 * 2**30
"""Of address space, most of which torch and TensorFlow only reserve."""
NICENESS = 10
HEARTBEAT_S = 2.0
HEARTBEAT_LIMIT_S = 30.0
MAX_WARNINGS = 20
WRITE_STEP_S = 0.3


def run(run_dir: Path, *, token: str | None = None) -> int:
    """Run the job in a run folder, whose lane's slot the caller holds; returns the exit code.

    Parameters
    ----------
    token
        Tells the process that was started for this run from any other; None where it is run by hand.
    """
    stops: list[int] = []
    _listen(stops)
    job = _claim(run_dir, token)
    if job.chore is not None:
        return _run_chore(job, job.chore, stops)
    if job.request is None:
        raise UsageError(f"{job.name} cannot be run: {job.status.error}")
    return _run_training(job, job.request, stops)


def _listen(stops: list[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))


def _run_training(job: Job, request: TrainingRequest, stops: Sequence[int]) -> int:
    _limit_self(MAX_FILE_BYTES, max_memory_bytes=None if may_use_gpu(request) else MAX_MEMORY_BYTES)
    event("training began", job=job.name, detector=request.detector)
    status, code = _in_words(job, lambda: _train(job.folder, request, job.status, stops))
    _write_end(job.folder, status)
    event("training ended", job=job.name, state=status.state, reason=status.error)
    return code


def _run_chore(job: Job, chore: Chore, stops: list[int]) -> int:
    _limit_self(None, max_memory_bytes=MAX_MEMORY_BYTES)
    event("chore began", job=job.name, kind=chore.kind, data_set=chore.name)
    status, code = _in_words(job, lambda: _do(job.folder, chore, job.status, stops))
    _write_end(job.folder, status)
    event("chore ended", job=job.name, kind=chore.kind, state=status.state, reason=status.error)
    return code


def _write_end(folder: Path, status: Status) -> None:
    now = utc_now("milliseconds")
    write_status(folder, replace(status, ended_at=now, heartbeat=now))


@contextlib.contextmanager
def slot(inherited: int | None, lane: str) -> Iterator[None]:
    """Hold a lane's one slot: the lock that was handed over, or a new one."""
    path = slot_path(lane)
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist: no job was submitted")
    descriptor = lock_file(path) if inherited is None else _inherited_lock(inherited, path)
    if descriptor is None:
        raise BusyError("another job is running; this one waits in the queue")
    try:
        yield
    finally:
        os.close(descriptor)


def check_free_disk(request: TrainingRequest) -> None:
    """Raise UsageError where the table's or the detectors' disk has less than `MIN_FREE_BYTES` to spare."""
    for place in (runs_dir(), request.out):
        free = free_bytes(place)
        if free < MIN_FREE_BYTES:
            raise UsageError(
                f"training needs {MIN_FREE_BYTES / 2**30:.1f} GiB free in {existing_folder(place)}, "
                f"got {free / 2**30:.1f} GiB"
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


def may_use_gpu(request: TrainingRequest) -> bool:
    """Whether a training may compute on a GPU: CUDA reserves far more addresses than any limit on memory allows."""
    is_network = issubclass(detector_class(request.detector), NetworkDetector)
    return is_network and (request.settings or {}).get("device") != CPU and has_gpu_driver()


def _limit_self(max_file_bytes: int | None, *, max_memory_bytes: int | None) -> None:
    """Give way to the dashboard and stay within bounds; both are inherited by the next job, so set, never added to."""
    if os.name == "nt":
        return
    import resource

    os.nice(max(0, NICENESS - os.nice(0)))
    for kind, limit in ((resource.RLIMIT_FSIZE, max_file_bytes), (resource.RLIMIT_AS, max_memory_bytes)):
        _, hard = resource.getrlimit(kind)
        bounds = [bound for bound in (limit, hard) if bound not in (None, resource.RLIM_INFINITY)]
        soft = min(bounds, default=resource.RLIM_INFINITY)
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but may not set it
            resource.setrlimit(kind, (soft, hard))


def _claim(run_dir: Path, token: str | None) -> Job:
    """Take a queued job, or the one that this process was started for, and write down which process works on it."""
    with table(wait_s=HEARTBEAT_LIMIT_S):
        job = read_job(run_dir)
        own = job.state == "running" and token is not None and job.status.token == token
        if not (own or job.state == "queued"):
            raise UsageError(f"{job.name} is {job.state}, only a queued job can be run")
        if own:
            lead_group()
        status = running(os.getpid(), command=job.status.command, token=token)
        write_status(job.folder, status)
    return replace(job, folder=checked_folder(run_dir), status=status)


@contextlib.contextmanager
def _heartbeat(folder: Path, status: Status) -> Iterator[None]:
    """Renew the status from a thread of its own: reading clips can take minutes without any output."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # a full disk fails the training where it matters
                write_status(folder, replace(status, heartbeat=utc_now("milliseconds")))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _interrupted(stops: list[int]) -> Iterator[None]:
    """Let a signal interrupt what is done, wherever it is; afterwards signals are noted in `stops` again."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt("stopped; a download goes on from what has been fetched")

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, interrupt)
        if stops:  # it came before this
            interrupt()
        yield
    finally:
        _listen(stops)


def _do(folder: Path, chore: Chore, status: Status, stops: list[int]) -> tuple[Status, int]:
    """Do a chore; returns how it ended, and the exit code."""
    with _interrupted(stops):
        warnings = chore.perform(_Steps(folder, chore.kind).note)
    return replace(status, state="done", warnings=tuple(warnings[:MAX_WARNINGS])), DONE


class _Steps:
    """How far a chore is, written to disk a few times per second."""

    def __init__(self, folder: Path, command: str) -> None:
        self._folder, self._command, self._written = folder, command, -math.inf

    def note(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._written >= WRITE_STEP_S or done == total:
            self._written = time.monotonic()
            write_step(self._folder, Step(stage, done, total), command=self._command)


def _train(folder: Path, request: TrainingRequest, status: Status, stops: Sequence[int]) -> tuple[Status, int]:
    """Train; returns how it ended, and the exit code."""
    check_free_disk(request)
    with (folder / PROGRESS).open("a", encoding="utf-8") as stream:
        result = train(request, on_progress=partial(_append_progress, stream), should_stop=lambda: bool(stops))
    done = replace(
        status,
        state="done",
        model=str(result.model),
        version=result.artifact.version,
        warnings=result.warnings[:MAX_WARNINGS],
    )
    return done, SOME_REFUSED if result.refused else DONE


def _in_words(job: Job, work: Callable[[], tuple[Status, int]]) -> tuple[Status, int]:
    """Work, with a heartbeat; returns how it ended, and the exit code.

    The process's boundary: every fault becomes a reason.
    """
    with _heartbeat(job.folder, job.status):
        try:
            return work()
        except (TrainingStopped, KeyboardInterrupt) as error:
            return replace(job.status, state="cancelled", error=str(error)), INTERRUPTED
        except AsdError as error:
            code = BUSY if isinstance(error, BusyError) else USAGE
            return replace(job.status, state="failed", error=error.advice), code
        except Exception as error:  # noqa: BLE001 - see above
            return _unexpected(job.folder, error, job.status)


def _unexpected(folder: Path, error: Exception, status: Status) -> tuple[Status, int]:
    traceback.print_exception(error)
    fault(error, job=folder.name)
    detail = f" ({error.strerror})" if isinstance(error, OSError) else ""
    return replace(status, state="failed", error=f"{type(error).__name__}{detail}; see {LOG}"), UNEXPECTED


def _append_progress(stream: TextIO, event: Progress) -> None:
    values = {name: _finite_or_none(value) for name, value in asdict(event).items()}
    stream.write(json.dumps(values, allow_nan=False) + "\n")
    stream.flush()


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
