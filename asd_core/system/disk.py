"""Room on a disk, checked before much is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from asd_core.errors import UsageError
from asd_core.system.places import data_dir

MIN_FREE_BYTES = 2**30
"""Stays free on the disk, whatever is written."""


def free_bytes(place: Path | None = None) -> int:
    """Room left on the disk of a folder that may not exist yet; None: the data folder's."""
    return shutil.disk_usage(_existing(place)).free


def check_free_disk(n_bytes: int, place: Path | None = None) -> None:
    """Refuse to write `n_bytes` where less than `MIN_FREE_BYTES` would be left.

    Parameters
    ----------
    place
        Folder that is written to, which may not exist yet; None: the data folder.

    Raises
    ------
    UsageError
        Too little room; the text says how much is free and where to make room.
    """
    free = free_bytes(place)
    if free < n_bytes + MIN_FREE_BYTES:
        raise UsageError(
            f"{n_bytes / 1e6:.0f} MB do not fit on the disk of {_existing(place)}: {free / 1e6:.0f} MB are free, and "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB must stay free. Delete something (the Data page lists what can be deleted "
            "under Disk space), or move to a larger disk (ASD_DATA_DIR names the data folder)"
        )


def _existing(place: Path | None) -> Path:
    folder = (data_dir() if place is None else place).resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())
