"""What several tests need and takes long to make: made by whichever process comes first, and kept in `build/tests`."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sounds import PROJECT

from asd_core.system.locks import hold
from asd_core.system.places import data_dir

if TYPE_CHECKING:
    from asd_core.data.simulated.writing import ClipWriter, Recipe

KEPT = PROJECT / "build" / "tests"
PACKAGES = ("numpy", "scipy", "soundfile")
WAIT_S = 600.0
LARGE_BYTES = 20_000_000


def made_once(name: str, make: Callable[[Path], object], *, depends_on: str) -> Path:
    """Return a folder that `make` has written; nobody may change what is in it.

    Parameters
    ----------
    name
        Of the folder; one is kept per name.
    make
        Called with the folder to write, which does not exist yet.
    depends_on
        Everything that the content follows from: it is made anew when that changes.
    """
    folder = KEPT / f"{name}-{hashlib.sha256(depends_on.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    with hold(KEPT / f".{name}.lock", busy=f"{name} is being made by another test process", wait_s=WAIT_S):
        if not folder.is_dir():
            for earlier in KEPT.glob(f"{name}-*"):
                shutil.rmtree(earlier)
            staged = KEPT / f".{name}-{uuid.uuid4().hex[:8]}"
            make(staged)
            staged.rename(folder)
    return folder


def copied(
    write: Callable[..., Path],
    root: Path,
    recipe: Recipe,
    render: Callable[[ClipWriter], None],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a simulated data set; a large one in the data folder is copied where it was written before.

    Parameters
    ----------
    write
        `asd_core.data.simulated.writing.write_simulated`, whose other parameters follow.
    """
    root = Path(root).resolve()
    if recipe.n_bytes < LARGE_BYTES or root.parent != data_dir().resolve() or root.exists():
        return write(root, recipe, render, on_progress=on_progress)
    make = partial(write, recipe=recipe, render=render, on_progress=on_progress)
    kept = made_once(root.name, make, depends_on=json.dumps([recipe.header, recipe.paths, code_digest()]))
    staged = root.with_name(f".{root.name}.partial-{uuid.uuid4().hex[:8]}")
    shutil.copytree(kept, staged)
    try:
        staged.rename(root)
    except OSError:  # another thread or process was faster
        shutil.rmtree(staged)
        return write(root, recipe, render, on_progress=on_progress)
    if on_progress is not None:
        on_progress(len(recipe.paths), len(recipe.paths))
    return root


def code_digest() -> str:
    """SHA-256 of the package's code, and of the versions of what draws and writes sounds."""
    found = hashlib.sha256()
    for path in sorted((PROJECT / "asd_core").rglob("*.py")):
        found.update(path.relative_to(PROJECT).as_posix().encode())
        found.update(path.read_bytes())
    for package in PACKAGES:
        found.update(metadata.version(package).encode())
    return found.hexdigest()
