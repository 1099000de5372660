"""Caches and remains of interrupted work, which take disk space and can be recreated; and emptying them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from asd_core.errors import UsageError
from asd_core.features import cache as feature_cache
from asd_core.system.disk import (
    ASIDE,
    folder_bytes,
    remove_tree,
    set_aside,
)
from asd_core.system.places import TFHUB_CACHE_NAME, benches_dir, data_dir
from asd_core.tasks.train import CHECKPOINT


@dataclass(frozen=True)
class Cache:
    """Files that can be recreated."""

    name: str
    title: str
    paths: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return sum(folder_bytes(path) for path in self.paths)


def caches(out: Path) -> tuple[Cache, ...]:
    """Caches that may be emptied: surveys, features of clips, downloaded encoder weights, interrupted work."""
    own = data_dir()
    left = [*own.glob(".*.partial-*"), *benches_dir().glob(".*.partial-*"), *own.glob(f"*/{ASIDE}*")]
    left += [*own.glob(f"{ASIDE}*"), *out.glob(f"*/*/*/{CHECKPOINT}*"), *out.glob(f"*/*/*/{ASIDE}*")]
    return (
        Cache(
            "surveys", "Reports on data sets and sweeps (made again when asked for)", (own / "surveys", own / "sweeps")
        ),
        Cache("features", "Features of clips (computed again when needed)", (feature_cache.cache_folder(),)),
        Cache("vggish", "Downloaded VGGish weights (fetched again when needed)", (own / TFHUB_CACHE_NAME,)),
        Cache("unfinished", "Unfinished pieces: checkpoints of stopped trainings, half-made benches", tuple(left)),
    )


def empty_cache(name: str, *, out: Path) -> None:
    """Delete one of `caches`; call it while nothing is being trained or generated.

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
