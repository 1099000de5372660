"""One process at a time: a lock on a file, which the kernel frees when its holder dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from asd_core.errors import BusyError
from asd_core.system.places import data_dir

DATA_SET_WAIT_S = 20.0
"""Storing the clips of one upload takes some seconds on a slow disk."""
POLL_S = 0.01


@contextlib.contextmanager
def hold(lock: Path, *, busy: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file, which is created with its folder if missing; on Windows nothing is locked.

    Parameters
    ----------
    wait_s
        How long to wait for another holder.

    Raises
    ------
    BusyError
        Another process still holds it; the text is `busy`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    while (descriptor := lock_file(lock)) is None:
        if time.monotonic() >= deadline:
            raise BusyError(busy)
        time.sleep(POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_file(path: Path) -> int | None:
    """Take a file's lock at once: its open descriptor, or None where another holds it.

    The lock lasts until the descriptor is closed, in this process and in those that inherited it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    if flock(descriptor) and _is_named(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether an open lock file still has its name: its last holder may have removed it with what it guarded."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def flock(descriptor: int) -> bool:
    """Lock an open file at once; False where another holds it, or its disk knows no locks. True on Windows."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def data_set_lock(name: str) -> AbstractContextManager[None]:
    """Hold a data set's lock: one process or session at a time stores clips in it or deletes it.

    Raises
    ------
    BusyError
        Another one holds it for longer than `DATA_SET_WAIT_S`.
    """
    busy = f"the data set {name} is busy: clips are being stored in it, or it is being deleted; try again"
    return hold(data_set_lock_path(name), busy=busy, wait_s=DATA_SET_WAIT_S)


def data_set_lock_path(name: str) -> Path:
    """The file of a data set's lock; whoever holds it may remove it."""
    return data_dir() / "locks" / f"{name}.lock"


def is_held(lock: Path) -> bool:
    """Whether another process holds a lock file, without creating or changing it. Always False on Windows."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return False
    try:
        return not flock(descriptor)
    finally:
        os.close(descriptor)
