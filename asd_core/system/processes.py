"""Whether a process is still the one that was started: process ids are reused, so the start time is compared too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def process_start(pid: int) -> str | None:
    """Start time of a process as the system writes it; None if there is none or only a zombie."""
    if Path("/proc/self/stat").exists():
        return _start_from_proc(pid)
    if os.name == "nt":
        return None
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _start_from_proc(pid: int) -> str | None:
    """Boot id, and clock ticks since boot (proc(5): field 22; the name in field 2 may hold anything but ends at `)`).

    A process whose first thread has ended lives on with the others (field 20), and so do its locks.
    """
    try:
        state, *values = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    has_ended = state in (b"Z", b"X") and int(values[16]) <= 1
    return None if has_ended else f"{boot} {int(values[18])}"


def lead_group() -> None:
    """Make this process the leader of its own group, so that `signal_group` reaches what it starts.

    Processes are started as group leaders, but the child of a launcher is not one.
    """
    if os.name != "nt" and os.getpgrp() != os.getpid():
        os.setsid()


def signal_group(pid: int | None, started: str | None, signal_name: str) -> None:
    """Signal a process and all that it started, unless its id now belongs to another process."""
    if pid is None or process_start(pid) not in (None, started):
        return
    number = getattr(signal, signal_name, signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            os.kill(pid, number)
        else:
            os.killpg(pid, number)
