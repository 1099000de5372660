"""Simulating, downloading and sweeping in a process of its own, which goes on when the page or the server ends.

::

    <data folder>/chore/
        .lock           held by that process until it ends; the kernel frees it
        status.json     what is made, how far it is, how it ended; replaced as a whole
        log.txt         what the process printed

One at a time. No Streamlit in here: `python -m pages.shared.data_chores` is the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asd_core.errors import AsdError, BusyError, UsageError
from asd_core.files import replace_file
from asd_core.locks import is_held
from asd_core.logs import configure, event, fault
from asd_core.pipeline import slug
from asd_core.places import data_dir

PROJECT = Path(__file__).resolve().parents[2]
STATES = ("running", "done", "failed", "stopped", "lost")
WRITE_EVERY_S = 0.3
STOP_S = 5.0


@dataclass(frozen=True)
class Chore:
    """What is made, how far it is, and how it ended.

    Parameters
    ----------
    kind
        `simulate`, `download` or `sweep`.
    name
        The data set that it makes or reads.
    settings
        Size and seed; machines and part; or the machine.
    state
        One of `STATES`.
    stage, done, total
        What is counted: clips, or bytes of a download.
    error, warnings
        For people.
    """

    kind: str
    name: str
    settings: Mapping[str, Any]
    state: str = "running"
    stage: str = ""
    done: int = 0
    total: int = 0
    pid: int | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()


def read_chore() -> Chore | None:
    """Return the chore that runs or ended last; None where there is none or its status is damaged."""
    path = _folder() / "status.json"
    if path.is_symlink() or not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        chore = Chore(**{**values, "warnings": tuple(values["warnings"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if chore.state == "running" and not is_running():
        return replace(chore, state="lost", error="its process ended without a word; start it again")
    return chore


def is_running() -> bool:
    """Whether a process holds the lock."""
    return is_held(_folder() / ".lock")


def start(kind: str, name: str, settings: Mapping[str, Any]) -> None:
    """Start a process that makes a data set.

    Raises
    ------
    BusyError
        Another one is being made.
    """
    _folder().mkdir(parents=True, exist_ok=True)
    descriptor = _lock()
    if descriptor is None:
        raise BusyError("another data set is being made; wait for it or stop it")
    try:
        _write(Chore(kind, name, dict(settings)))
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (_folder() / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pages.shared.data_chores"],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=() if os.name == "nt" else (descriptor,),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        _write(Chore(kind, name, dict(settings), pid=process.pid))
    finally:
        os.close(descriptor)  # the process holds the lock now
    threading.Thread(target=process.wait, daemon=True).start()


def stop() -> None:
    """Ask the process to end, then end it; what a download has fetched is kept for the next time."""
    chore = read_chore()
    if chore is None or chore.state != "running" or chore.pid is None:
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(chore.pid, number)
        deadline = time.monotonic() + STOP_S
        while is_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not is_running():
            break
    found = read_chore()
    if found is not None and found.state == "lost":
        _write(replace(found, state="stopped", error="stopped"))


def dismiss() -> None:
    """Forget a chore that has ended."""
    if not is_running():
        (_folder() / "status.json").unlink(missing_ok=True)


def _folder() -> Path:
    return data_dir() / "chore"


def _write(chore: Chore) -> None:
    replace_file(_folder() / "status.json", json.dumps(asdict(chore), indent=1).encode() + b"\n")


def _lock() -> int | None:
    """Take the lock at once: its descriptor, or None where another process holds it."""
    descriptor = os.open(_folder() / ".lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    if os.name == "nt":
        return descriptor
    import fcntl

    for attempt in range(3):  # another look may hold it for an instant
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02 * attempt)
        else:
            return descriptor
    os.close(descriptor)
    return None


def sweep_path(name: str, machine: str) -> Path:
    """Where the report of a sweep over nu and gamma is kept."""
    return data_dir() / "sweeps" / f"{slug(name)}.{slug(machine)}.json"


# --- the process ---


def main() -> int:
    """Do what `status.json` says and write how it ended: the process's boundary."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    configure("chores")
    path = _folder() / "status.json"
    values = json.loads(path.read_bytes())
    chore = replace(Chore(**{**values, "warnings": ()}), pid=os.getpid())
    try:
        warnings = {"simulate": _simulate, "download": _download, "sweep": _sweep}[chore.kind](chore)
    except KeyboardInterrupt:
        ended = replace(chore, state="stopped", error="stopped; a download goes on from what has been fetched")
    except AsdError as error:
        ended = replace(chore, state="failed", error=str(error))
    except Exception as error:  # noqa: BLE001 - see above
        traceback.print_exc()
        fault(error, kind=chore.kind, data_set=chore.name)
        ended = replace(chore, state="failed", error=f"{type(error).__name__}; see {_folder() / 'log.txt'}")
    else:
        ended = replace(chore, state="done", warnings=tuple(warnings[:20]))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(ended)
    event("chore ended", kind=chore.kind, data_set=chore.name, state=ended.state, reason=ended.error)
    return 0 if ended.state == "done" else 1


class _Notes:
    """Progress on disk, a few times a second."""

    def __init__(self, chore: Chore) -> None:
        self._chore, self._written = chore, 0.0

    def note(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._written >= WRITE_EVERY_S or done == total:
            self._written = time.monotonic()
            _write(replace(self._chore, stage=stage, done=done, total=total))


def _simulate(chore: Chore) -> list[str]:
    from asd_core.datasets.bench import write_bench
    from asd_core.library import add_folder, new_bench_folder

    root, notes = new_bench_folder(chore.name), _Notes(chore)
    write_bench(
        root,
        size=chore.settings["size"],
        seed=chore.settings["seed"],
        on_progress=lambda done, total: notes.note("clips simulated", done, total),
    )
    add_folder(chore.name, root, kind="simulated")
    return []


def _download(chore: Chore) -> list[str]:
    from asd_core.datasets.download import download
    from asd_core.datasets.steps import Step
    from asd_core.library import add_folder

    notes = _Notes(chore)

    def show(step: Step) -> None:
        notes.note(f"{step.stage} {step.name}", step.done, step.total)

    report = download(chore.settings["machines"], part=chore.settings["part"], on_progress=show)
    add_folder(chore.name, report.folder, kind="downloaded")
    kept = [file.name for file in report.files if file.status == "kept"]
    return [*report.warnings, *(f"{name} is not the published file and was not unpacked" for name in kept)]


def _sweep(chore: Chore) -> list[str]:
    from asd_core.library import read_library
    from asd_core.sweep import sweep

    known, machine, notes = read_library().find(chore.name), chore.settings["machine"], _Notes(chore)
    if known is None:
        raise UsageError(f"no data set is called {chore.name!r}")
    report = sweep(
        known.folder / known.machines[machine],
        normal=known.normal,
        workers=1,
        on_progress=lambda done, total: notes.note("clips embedded", done, total),
    )
    path = sweep_path(chore.name, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(report, allow_nan=False).encode())
    return []


if __name__ == "__main__":
    sys.exit(main())
