"""Trainings in the background: a table of jobs on disk; `python -m asd_core.jobs RUN_DIR` trains one of them.

::

    <data folder>/runs/
        .lock                               held for moments, by whoever changes the table
        .slot                               held by the process that trains, until it ends
        20260131T120000000000Z-1a2b3c4d/
            job.json                        what to train
            status.json                     state, process, heartbeat, reason, model; replaced as a whole
            progress.jsonl                  a line an epoch
            log.txt                         what the process printed

The table needs no server: a training goes on when the one that started it dies, starts the next one when it ends, and
whoever calls `sweep` finds the ones that died. While a process trains, only that process writes its status.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from asd_core.artifacts import replace_file
from asd_core.detector import Progress
from asd_core.detectors import detector_class
from asd_core.errors import AsdError, BusyError, TrainingStopped, UsageError
from asd_core.logs import configure, event, fault
from asd_core.pipeline import TrainingRequest, slug, train
from asd_core.places import data_dir

STATES = ("queued", "running", "done", "failed", "cancelled", "lost")
ACTIVE_STATES = ("queued", "running")
MAX_QUEUED = 8
MIN_FREE_BYTES = 2**30
"""Room for the largest detector that may be published and for its checkpoint."""
MAX_FILE_BYTES = 2 * 2**30
MAX_MEMORY_BYTES = 32 * 2**30
"""Of address space, most of which torch and TensorFlow only reserve."""
NICENESS = 10
TERM_S, KILL_S = 5.0, 0.5
HEARTBEAT_S = 2.0
HEARTBEAT_LIMIT_S = 30.0
LOCK_S = 2.0
MAX_JSON_BYTES = 256 * 1024
MAX_PROGRESS_BYTES = 8 * 2**20
MAX_WARNINGS = 20

_JOB, _STATUS, _PROGRESS, _LOG = "job.json", "status.json", "progress.jsonl", "log.txt"
_DONE, _UNEXPECTED, _USAGE, _SOME_REFUSED, _BUSY, _INTERRUPTED = 0, 1, 2, 3, 4, 130
_RUN_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_HEADER: Mapping[str, Any] = {"schema": 1, "command": "train"}
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]
_TEXT, _WHOLE, _NOTHING = (str,), (int,), type(None)
_REQUEST_TYPES: Mapping[str, tuple[type, ...]] = {
    "detector": _TEXT,
    "data": _TEXT,
    "machine": (str, _NOTHING),
    "ids": (list, _NOTHING),
    "normal": (str, _NOTHING),
    "name": (str, _NOTHING),
    "preset": _TEXT,
    "settings": (dict, _NOTHING),
    "seed": _WHOLE,
    "threads": _WHOLE,
    "channel": (int, _NOTHING),
    "resume": (bool,),
    "out": _TEXT,
}
_STATUS_TYPES: Mapping[str, tuple[type, ...]] = {
    "state": _TEXT,
    "pid": (int, _NOTHING),
    "started": (str, _NOTHING),
    "began_at": (str, _NOTHING),
    "ended_at": (str, _NOTHING),
    "heartbeat": (str, _NOTHING),
    "error": (str, _NOTHING),
    "model": (str, _NOTHING),
    "version": (str, _NOTHING),
    "warnings": (list,),
}
_PROGRESS_TYPES: Mapping[str, tuple[type, ...]] = {
    "epoch": _WHOLE,
    "epochs": _WHOLE,
    "loss": (int, float, _NOTHING),
    "heldout_loss": (int, float, _NOTHING),
    "elapsed_s": (int, float),
    "eta_s": (int, float),
}


@dataclass(frozen=True)
class Status:
    """How far a job is.

    Parameters
    ----------
    state
        One of `STATES`.
    pid, started
        The process that trains, and when the system started it: process numbers are used again.
    began_at, ended_at, heartbeat
        ISO 8601, UTC; `heartbeat` is the last sign of life.
    error
        Why it failed, was cancelled or lost, for people.
    model, version
        The published detector's folder and version.
    """

    state: str
    pid: int | None = None
    started: str | None = None
    began_at: str | None = None
    ended_at: str | None = None
    heartbeat: str | None = None
    error: str | None = None
    model: str | None = None
    version: str | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Content of `status.json`."""
        return {**_HEADER, **asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, content: object) -> Status:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        values = _checked(content, {**_STATUS_TYPES, "schema": _WHOLE, "command": _TEXT})
        status = cls(**{**values, "warnings": _texts(values["warnings"])})
        if status.state not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}; got {status.state[:40]!r}")
        if status.pid is not None and not 2 <= status.pid < 2**31:
            raise ValueError(f"pid must be 2..{2**31 - 1}")
        if (status.state == "running" and status.pid is None) or (status.state == "done" and status.model is None):
            raise ValueError("a running job must have a pid and one that is done a model")
        for moment in (status.began_at, status.ended_at, status.heartbeat):
            _age_s(moment)
        return status


@dataclass(frozen=True)
class Job:
    """One training: what was asked for, and how far it is.

    Parameters
    ----------
    folder
        Its run folder; the folder's name is the job's.
    request
        None where `job.json` is damaged.
    """

    folder: Path
    request: TrainingRequest | None
    status: Status

    @property
    def name(self) -> str:
        """Made up when it was submitted; sorts by time."""
        return self.folder.name

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, UTC."""
        return datetime.strptime(self.name.split("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.status.state

    @property
    def is_active(self) -> bool:
        """Whether it waits or trains."""
        return self.state in ACTIVE_STATES


def runs_dir() -> Path:
    """Folder of all run folders; made by the first `submit`."""
    return (data_dir() / "runs").resolve()


def submit(request: TrainingRequest) -> Job:
    """Put a training in the queue, and start it if nothing else trains.

    Raises
    ------
    UsageError
        An unknown detector, preset or setting, more than one thread, or too little room on the disk.
    BusyError
        The queue is full, or the same detector is already queued or running for these clips.
    """
    request = _checked_request(request)
    text = _json_bytes({**_HEADER, "warnings": [], "request": request_json(request)})
    _check_free_disk(request)
    with _table():
        _check_room(request)
        folder = _make_run(text)
    event("training asked for", job=folder.name, detector=request.detector, data=str(request.data))
    with contextlib.suppress(BusyError):  # it is queued: whoever looks next starts it
        sweep()
    return read_job(folder)


def resubmit(job: Job) -> Job:
    """Train again from the last finished epoch, as a new job. Raises as `submit`."""
    if job.request is None:
        raise UsageError(f"{job.name} cannot be repeated: {job.status.error}")
    return submit(replace(job.request, resume=True))


def list_jobs() -> list[Job]:
    """All jobs, newest first; a damaged one is listed as failed or lost, with the reason."""
    runs = runs_dir()
    if not runs.is_dir():
        return []
    names = sorted((path.name for path in runs.iterdir() if _RUN_NAME.fullmatch(path.name)), reverse=True)
    found = []
    for name in names:
        with contextlib.suppress(UsageError):  # deleted meanwhile, or not a folder
            found.append(read_job(runs / name))
    return found


def read_job(run_dir: Path) -> Job:
    """Read one job; a damaged one is failed or lost.

    Raises
    ------
    UsageError
        No run folder of the runs folder.
    """
    folder = _checked_folder(run_dir)
    try:
        request = parse_request(_read_json(folder / _JOB))
    except ValueError as error:
        return Job(folder, None, Status("failed", error=f"{_JOB} is damaged: {error}"))
    try:
        return Job(folder, request, Status.from_json(_read_json(folder / _STATUS)))
    except ValueError as error:
        return Job(folder, request, Status("lost", error=f"{_STATUS} is damaged: {error}"))


def progress(job: Job) -> list[Progress]:
    """Finished epochs so far, oldest first; an unfinished or damaged line is left out."""
    found = []
    for line in _tail(job.folder / _PROGRESS, MAX_PROGRESS_BYTES).split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(Progress(**_checked(json.loads(line, parse_constant=_refuse_constant), _PROGRESS_TYPES)))
    return found


def log_text(job: Job, *, at_most: int = 64 * 1024) -> str:
    """End of what the training process printed, up to a number of bytes."""
    return _tail(job.folder / _LOG, at_most).decode("utf-8", "replace")


def cancel(job: Job) -> Job:
    """End a job within 6 s, its process and all that it started; finished epochs stay in the checkpoint.

    A job that has ended already stays as it is.
    """
    with _table():
        job = read_job(job.folder)
        if job.state == "queued":
            _write_status(job.folder, _ended(job.status, "cancelled", "cancelled before it began"))
    if job.state == "running":
        _end_process(job.status)
        with _table():
            _close_if_running(job.folder, "cancelled", "cancelled; finished epochs are kept")
        with contextlib.suppress(BusyError):
            sweep()
    return read_job(job.folder)


def delete(job: Job) -> None:
    """Remove a run folder; the detector it published stays.

    Raises
    ------
    UsageError
        It still waits or trains.
    """
    with _table():
        job = read_job(job.folder)
        if job.is_active:
            raise UsageError(f"{job.name} is {job.state}: cancel it first")
        doomed = job.folder.rename(job.folder.with_name(f".tmp-{job.name}"))
    shutil.rmtree(doomed)


def sweep() -> None:
    """Mark running jobs whose process is gone as lost, then start the next queued one if nothing trains.

    Raises
    ------
    BusyError
        Another process holds the table for more than a moment.
    """
    if not runs_dir().is_dir():
        return
    with _table():
        jobs = list_jobs()
        if not any(_still_runs(job) for job in jobs):
            _start_first([job for job in reversed(jobs) if job.state == "queued"])


def request_json(request: TrainingRequest) -> dict[str, Any]:
    """Write a request as JSON values."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    ids, settings = request.ids, request.settings
    return values | {
        "data": str(request.data),
        "out": str(request.out),
        "ids": None if ids is None else list(ids),
        "settings": None if settings is None else dict(settings),
    }


def parse_request(content: object) -> TrainingRequest:
    """Read the request of a `job.json`.

    Raises
    ------
    ValueError
        Other keys, types or values than it may hold.
    """
    job = _checked(content, {"schema": _WHOLE, "command": _TEXT, "warnings": (list,), "request": (dict,)})
    values = _checked(job["request"], _REQUEST_TYPES)
    ids, settings = values["ids"], values["settings"]
    for name, value in (settings or {}).items():
        if type(value) not in (int, float, str, bool):
            raise ValueError(f"setting {name!r} must be a number or a text")
    return TrainingRequest(
        **{
            **values,
            "data": Path(values["data"]),
            "out": Path(values["out"]),
            "ids": None if ids is None else _texts(ids),
        }
    )


# --- what a new job must fulfil ---


def _checked_request(request: TrainingRequest) -> TrainingRequest:
    """Check types, then values, and make the paths absolute: the process that trains may be started from elsewhere."""
    request = replace(request, data=request.data.expanduser().absolute(), out=request.out.expanduser().absolute())
    try:
        parse_request({**_HEADER, "warnings": [], "request": request_json(request)})
    except ValueError as error:
        raise UsageError(f"this training cannot be written down: {error}") from error
    settings = {"seed": request.seed, "threads": request.threads, **(request.settings or {})}
    detector = detector_class(request.detector).from_preset(request.preset, **settings)
    if detector.threads != 1:
        raise UsageError(f"a job trains with 1 thread, beside the dashboard; got {detector.threads}")
    return request


def _check_free_disk(request: TrainingRequest) -> None:
    for place in (runs_dir(), request.out):
        existing = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < MIN_FREE_BYTES:
            raise UsageError(
                f"training needs {MIN_FREE_BYTES / 2**30:.1f} GiB free in {existing}, got {free / 2**30:.1f} GiB"
            )


def _check_room(request: TrainingRequest) -> None:
    active = [job for job in list_jobs() if job.is_active and job.request is not None]
    for job in active:
        if job.request is not None and _subject(job.request) == _subject(request):
            raise BusyError(f"{request.detector} is already {job.state} for these clips (job {job.name})")
    if sum(job.state == "queued" for job in active) >= MAX_QUEUED:
        raise BusyError(f"{MAX_QUEUED} jobs wait already; let one begin or cancel it first")


def _subject(request: TrainingRequest) -> tuple[str, str, str]:
    """What two jobs must not share: detector, machine folder and name of the data set."""
    machine_folder = request.data / (request.machine or "")
    place = machine_folder if machine_folder.is_dir() else request.data
    return request.detector, os.path.realpath(place), slug(request.name) if request.name else ""


def _make_run(text: bytes) -> Path:
    """Write a run folder under its name only when it is whole."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}"
    staged = runs_dir() / f".tmp-{name}"
    staged.mkdir()
    replace_file(staged / _JOB, text)
    _write_status(staged, Status("queued"))
    return staged.rename(runs_dir() / name)


# --- the table and its locks ---


@contextlib.contextmanager
def _table(wait_s: float = LOCK_S) -> Iterator[None]:
    runs = runs_dir()
    runs.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    while (descriptor := _lock(runs / ".lock")) is None:
        if time.monotonic() > deadline:
            raise BusyError(f"the jobs in {runs} are busy: another process changes them; try again")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Take a file's lock at once: its open descriptor, or None where another holds it; the kernel frees it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    if _flock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _flock(descriptor: int) -> bool:
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_runs(job: Job) -> bool:
    if job.state != "running":
        return False
    if _is_alive(job.status):
        return True
    _signal_group(job.status, "SIGKILL")  # what a killed training may have started
    _close_if_running(job.folder, "lost", "its process ended without a word (killed, or the machine went down)")
    return False


def _close_if_running(folder: Path, state: str, error: str) -> None:
    """Write the end of a job whose process is gone; read anew, as it may have written its own end just before."""
    status = read_job(folder).status
    if status.state == "running":
        _write_status(folder, _ended(status, state, error))
        event("training ended", job=folder.name, state=state, reason=error)


def _start_first(queued: Sequence[Job]) -> None:
    slot = _lock(runs_dir() / ".slot") if queued else None
    if slot is None:
        return
    try:
        for job in queued:
            if _launch(job, slot):
                return
    finally:
        os.close(slot)  # the process that trains holds it now


def _launch(job: Job, slot: int) -> bool:
    """Start a job's process, which inherits the slot's lock: there is no moment in which nobody holds it."""
    inherited = () if os.name == "nt" else (slot,)
    command = [sys.executable, "-m", "asd_core.jobs", str(job.folder), *(f"--slot={number}" for number in inherited)]
    paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with (job.folder / _LOG).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=inherited,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
    except OSError as error:
        _write_status(job.folder, _ended(job.status, "failed", f"could not be started: {error.strerror}"))
        return False
    _write_status(job.folder, _running(process.pid))
    threading.Thread(target=process.wait, name=f"reaper of {job.name}", daemon=True).start()
    return True


def _running(pid: int) -> Status:
    now = _now()
    return Status("running", pid=pid, started=_process_start(pid), began_at=now, heartbeat=now)


def _ended(status: Status, state: str, error: str) -> Status:
    return replace(status, state=state, error=error, ended_at=_now())


# --- processes ---


def _is_alive(status: Status) -> bool:
    if os.name == "nt":
        return status.heartbeat is not None and _age_s(status.heartbeat) < HEARTBEAT_LIMIT_S
    return status.pid is not None and status.started is not None and _process_start(status.pid) == status.started


def _process_start(pid: int) -> str | None:
    """When the system started a process, in its own words; None where there is none, or only its remains."""
    if Path("/proc/self/stat").exists():
        return _start_from_proc(pid)
    if os.name == "nt":
        return None
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _start_from_proc(pid: int) -> str | None:
    """Boot and clock ticks since then (proc(5): field 22; the name in field 2 may hold anything but ends at `)`).

    A process whose first thread has ended lives on with the others (field 20), and so do its locks.
    """
    try:
        state, *values = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    has_ended = state in (b"Z", b"X") and int(values[16]) <= 1
    return None if has_ended else f"{boot} {int(values[18])}"


def _end_process(status: Status) -> None:
    if not _is_alive(status):
        return
    _signal_group(status, "SIGTERM")
    _wait_until_gone(status, TERM_S)
    _signal_group(status, "SIGKILL")
    _wait_until_gone(status, KILL_S)


def _wait_until_gone(status: Status, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _is_alive(status) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal_group(status: Status, signal_name: str) -> None:
    """Signal a job's process and all that it started, unless its number belongs to another process by now."""
    if status.pid is None or _process_start(status.pid) not in (None, status.started):
        return
    number = getattr(signal, signal_name, signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            os.kill(status.pid, number)
        else:
            os.killpg(status.pid, number)


# --- the process that trains ---


def main(argv: Sequence[str] | None = None) -> int:
    """Train what a run folder asks for and return the exit code; then start the next job."""
    parser = argparse.ArgumentParser(prog="python -m asd_core.jobs", description="Run one training job.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a folder that the dashboard made")
    parser.add_argument("--slot", type=int, metavar="FD", help="inherited lock (set by whoever starts the job)")
    arguments = parser.parse_args(argv)
    configure("jobs")
    try:
        with _slot(arguments.slot):
            code = _run(arguments.run_dir)
        with contextlib.suppress(BusyError):  # whoever looks next starts the next job
            sweep()
    except BusyError as error:
        return _fail(error, _BUSY)
    except (AsdError, OSError) as error:
        return _fail(error, _USAGE)
    return code


def _fail(message: object, code: int) -> int:
    print(f"asd_core.jobs: {message}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _slot(inherited: int | None) -> Iterator[None]:
    """Hold the one training slot: the lock that was handed over, or a new one."""
    path = runs_dir() / ".slot"
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist: no job was submitted")
    descriptor = _lock(path) if inherited is None else _inherited_lock(inherited, path)
    if descriptor is None:
        raise BusyError("another job trains; this one waits in the queue")
    try:
        yield
    finally:
        os.close(descriptor)


def _inherited_lock(descriptor: int, path: Path) -> int | None:
    try:
        is_slot = os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        is_slot = False
    if not is_slot:
        raise UsageError(f"--slot must be an open descriptor of {path}")
    os.set_inheritable(descriptor, False)
    return descriptor if _flock(descriptor) else None


def _run(run_dir: Path) -> int:
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    _limit_self()
    request, status = _claim(run_dir)
    folder = _checked_folder(run_dir)
    event("training began", job=folder.name, detector=request.detector)
    with _heartbeat(folder, status):
        status, code = _train(folder, request, status, stops)
    _write_status(folder, replace(status, ended_at=_now(), heartbeat=_now()))
    event("training ended", job=folder.name, state=status.state, reason=status.error)
    return code


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
    with _table(wait_s=HEARTBEAT_LIMIT_S):
        job = read_job(run_dir)
        own = job.state == "running" and job.status.pid == os.getpid()
        if job.request is None or not (own or job.state == "queued"):
            raise UsageError(f"{job.name} is {job.state}, only a queued job can be run")
        status = _running(os.getpid())
        _write_status(job.folder, status)
    return job.request, status


@contextlib.contextmanager
def _heartbeat(folder: Path, status: Status) -> Iterator[None]:
    """Renew the status from a thread of its own: reading clips can take minutes without a word."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # a full disk fails the training where it matters
                _write_status(folder, replace(status, heartbeat=_now()))

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
        _check_free_disk(request)
        with (folder / _PROGRESS).open("a", encoding="utf-8") as stream:
            result = train(request, on_progress=partial(_append_progress, stream), should_stop=lambda: bool(stops))
    except TrainingStopped as error:
        return replace(status, state="cancelled", error=str(error)), _INTERRUPTED
    except AsdError as error:
        return replace(status, state="failed", error=str(error)), _BUSY if isinstance(error, BusyError) else _USAGE
    except Exception as error:  # noqa: BLE001 - see above
        traceback.print_exc()
        fault(error, job=folder.name)
        detail = f" ({error.strerror})" if isinstance(error, OSError) else ""
        return replace(status, state="failed", error=f"{type(error).__name__}{detail}; see {_LOG}"), _UNEXPECTED
    done = replace(
        status,
        state="done",
        model=str(result.model),
        version=result.artifact.version,
        warnings=result.warnings[:MAX_WARNINGS],
    )
    return done, _SOME_REFUSED if result.refused else _DONE


def _append_progress(stream: TextIO, event: Progress) -> None:
    values = {name: _finite_or_none(value) for name, value in asdict(event).items()}
    stream.write(json.dumps(values, allow_nan=False) + "\n")
    stream.flush()


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# --- files ---


def _checked_folder(run_dir: Path) -> Path:
    """Take run folders in the runs folder only, whatever path is asked for."""
    folder = runs_dir() / run_dir.name
    inside = run_dir.parent.resolve() == folder.parent and _RUN_NAME.fullmatch(run_dir.name)
    if not inside or folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{str(run_dir)!r} is no run folder in {folder.parent}")
    return folder


def _write_status(folder: Path, status: Status) -> None:
    replace_file(folder / _STATUS, _json_bytes(status.to_json()))


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, allow_nan=False, indent=1).encode() + b"\n"
    except ValueError as error:
        raise UsageError("a setting must be finite, got NaN or Infinity") from error


def _read_json(path: Path) -> object:
    """Read a small JSON file; every fault is a ValueError."""
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is missing or no regular file")
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_JSON_BYTES + 1)
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"it must be at most {MAX_JSON_BYTES} bytes")
        content: object = json.loads(text, parse_constant=_refuse_constant)
    except (OSError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _checked(content: object, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Exactly these keys with exactly these types; `schema` and `command` are checked and left out."""
    if not isinstance(content, dict) or set(content) != set(types):
        raise ValueError(f"it must hold exactly {', '.join(types)}")
    for name, allowed in types.items():
        if type(content[name]) not in allowed:
            raise ValueError(f"{name} must be {' or '.join(kind.__name__ for kind in allowed)}")
    if "schema" in types and any(content[name] != value for name, value in _HEADER.items()):
        raise ValueError("it is of another schema or command")
    return {name: value for name, value in content.items() if name not in _HEADER}


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list must hold texts only")
    return tuple(str(value) for value in values)


def _tail(path: Path, at_most: int) -> bytes:
    """Last bytes of a file; none where there is no such file."""
    if path.is_symlink() or not path.is_file():
        return b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:  # deleted meanwhile
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - at_most))
        return stream.read(at_most)
    return b""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _age_s(moment: str | None) -> float:
    """Seconds since a moment; ValueError where it is none."""
    if moment is None:
        return 0.0
    then = datetime.fromisoformat(moment)
    if then.tzinfo is None:
        raise ValueError(f"{moment} must name its time zone")
    return (datetime.now(UTC) - then).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
