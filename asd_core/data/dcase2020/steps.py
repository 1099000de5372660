"""What fetching and unpacking share: progress, reasons to give up, room on the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_core.errors import DownloadError, DownloadStopped
from asd_core.system.disk import free_bytes

_RESERVE_BYTES = 64_000_000


@dataclass(frozen=True)
class Step:
    """How far something is: `stage` is download (bytes) or unpack (clips)."""

    stage: str
    name: str
    done: int
    total: int


def ignore_step(step: Step) -> None:
    """Do nothing with a step."""
    del step


def never() -> bool:
    """Never stop."""
    return False


def stop_if(should_stop: Callable[[], bool]) -> None:
    """Raise `DownloadStopped` if the caller wants to stop."""
    if should_stop():
        raise DownloadStopped("stopped as asked; the same command goes on from what has been fetched")


def error_text(error: Exception) -> str:
    """Text of an error, or at least its type."""
    return str(error) or type(error).__name__


def check_room(folder: Path, needed: int) -> None:
    """Refuse what does not fit on the disk; `needed` in bytes.

    Raises
    ------
    DownloadError
        The text says how much is needed and how much is free.
    """
    free = free_bytes(folder)
    if free < needed + _RESERVE_BYTES:
        raise DownloadError(
            f"not enough room in {folder}: {(needed + _RESERVE_BYTES) / 1e6:.0f} MB are needed for archive and clips, "
            f"{free / 1e6:.0f} MB are free; make room, or choose another folder (--to)"
        )
