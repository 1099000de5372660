"""Free space on a disk, checked before much is written; sizes; and removing folders without leaving half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from asd_core.errors import UsageError
from asd_core.system.files import rename_beneath
from asd_core.system.places import data_dir

ASIDE = ".tmp-deleted-"
"""Start of the name of a folder that is being removed."""

MIN_FREE_BYTES = 2**30
"""Must stay free on the disk."""


def free_bytes(place: Path | None = None) -> int:
    """Free bytes on the disk of a folder that may not exist yet; None: the data folder."""
    return shutil.disk_usage(existing_folder(place)).free


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
            f"{n_bytes / 1e6:.0f} MB do not fit on the disk of {existing_folder(place)}: "
            f"{free / 1e6:.0f} MB are free, and {MIN_FREE_BYTES / 1e6:.0f} MB must stay free. Delete something "
            "(the Data page lists what can be deleted under Disk space), or move to a larger disk "
            "(ASD_DATA_DIR names the data folder)"
        )


def existing_folder(place: Path | None = None) -> Path:
    """The folder itself or the nearest one above it that exists; None: the data folder."""
    folder = (data_dir() if place is None else place).resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())


def folder_bytes(folder: Path) -> int:
    """Size of the files below a folder, or of a file; links count as themselves."""
    if not folder.is_dir() or folder.is_symlink():
        return folder.lstat().st_size if os.path.lexists(folder) else 0
    total = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with contextlib.suppress(OSError):  # deleted in the meantime
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - thousands of files
    return total


def set_aside(folder: Path, root: Path) -> Path:
    """Rename a folder that is to be removed, so that nobody sees half of it; refuse one outside `root`.

    Raises
    ------
    UsageError
        It is a link, `root` itself, or outside it, even if a folder on the way becomes a link in the meantime.
    FileNotFoundError
        It is gone.
    """
    top, place = root.resolve(), folder.parent.resolve() / folder.name
    if folder.is_symlink() or place == top or not place.is_relative_to(top):
        raise UsageError(f"{folder} leads out of {root}: it is not deleted")
    aside = place.with_name(f"{ASIDE}{secrets.token_hex(6)}")
    try:
        rename_beneath(top, place.relative_to(top), aside.name)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UsageError(f"{folder} leads out of {root}: it is not deleted") from error
        raise
    return aside


def remove_tree(folder: Path) -> None:
    """Remove a folder that was set aside, even if another process is removing it too."""
    while os.path.lexists(folder):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
