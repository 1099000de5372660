"""One process at a time: a lock on a file, which the kernel frees when its holder dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from asd_core.errors import BusyError


@contextlib.contextmanager
def hold(lock: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock file, made with its folder where missing; on Windows nothing is locked.

    Raises
    ------
    BusyError
        Another process holds it; `busy` says what it does.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        _flock(descriptor, busy)
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, busy: str) -> None:
    if os.name == "nt":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BusyError(busy) from error
