"""Room on the disk, what may be emptied, and deleting without leaving half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from asd_core.errors import UsageError
from asd_core.features import cache as feature_cache
from asd_core.system.disk import MIN_FREE_BYTES, check_free_disk, free_bytes
from asd_core.system.files import rename_beneath
from asd_core.system.places import TFHUB_CACHE_NAME, data_dir

__all__ = [
    "ASIDE",
    "MIN_FREE_BYTES",
    "Cache",
    "benches_dir",
    "caches",
    "check_free_disk",
    "empty_cache",
    "folder_bytes",
    "free_bytes",
    "set_aside",
]

ASIDE = ".tmp-deleted-"
"""How the name of a folder that is being removed begins."""


@dataclass(frozen=True)
class Cache:
    """Something on disk that can be had again."""

    name: str
    title: str
    paths: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return sum(folder_bytes(path) for path in self.paths)


def folder_bytes(folder: Path) -> int:
    """Size of the files below a folder, or of a file; links count as themselves."""
    if not folder.is_dir() or folder.is_symlink():
        return folder.lstat().st_size if os.path.lexists(folder) else 0
    total = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - thousands of files
    return total


def caches(out: Path) -> tuple[Cache, ...]:
    """What may be emptied: surveys, features of clips, downloaded encoder weights, remains of what was stopped."""
    own = data_dir()
    left = [*own.glob(".*.partial-*"), *benches_dir().glob(".*.partial-*"), *own.glob(f"*/{ASIDE}*")]
    left += [*own.glob(f"{ASIDE}*"), *out.glob("*/*/*/.checkpoint-*"), *out.glob(f"*/*/*/{ASIDE}*")]
    return (
        Cache(
            "surveys", "Reports on data sets and sweeps (made again when asked for)", (own / "surveys", own / "sweeps")
        ),
        Cache("features", "Features of clips (computed again when needed)", (feature_cache.cache_folder(),)),
        Cache("vggish", "Downloaded VGGish weights (fetched again when needed)", (own / TFHUB_CACHE_NAME,)),
        Cache("unfinished", "Unfinished pieces: checkpoints of stopped trainings, half-made benches", tuple(left)),
    )


def empty_cache(name: str, *, out: Path) -> None:
    """Delete one of `caches`; call it while nothing trains and nothing is being made.

    Raises
    ------
    UsageError
        No such cache.
    """
    found = next((cache for cache in caches(out) if cache.name == name), None)
    if found is None:
        raise UsageError(f"no cache is called {name[:60]!a}")
    for path in found.paths:
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
        elif path.is_dir():
            root = data_dir() if path.resolve().is_relative_to(data_dir().resolve()) else out
            with contextlib.suppress(FileNotFoundError):  # another process empties it as well
                remove_tree(set_aside(path, root))


def set_aside(folder: Path, root: Path) -> Path:
    """Rename a folder that is to be removed, so that nobody sees half of it; refuse what leads out of `root`.

    Raises
    ------
    UsageError
        A link, `root` itself, or a place outside it, also where a folder on the way becomes a link meanwhile.
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
    """Remove a folder that was set aside, though another process may be removing it, too."""
    while os.path.lexists(folder):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def benches_dir() -> Path:
    """Folder of the simulated benches of any size and seed."""
    return data_dir() / "benches"
