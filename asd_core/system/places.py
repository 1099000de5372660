"""Folders of files that are not part of the project, as absolute paths that do not depend on the current folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from asd_core.errors import UsageError

TFHUB_CACHE_NAME = "tfhub"


def data_dir() -> Path:
    """Folder of generated clips, caches, downloads and runs: `ASD_DATA_DIR`, else the user's data folder.

    Raises
    ------
    UsageError
        This user, or the one that `ASD_DATA_DIR` names by `~user`, has no home folder.
    """
    if named := os.environ.get("ASD_DATA_DIR"):
        return with_home(named, source="ASD_DATA_DIR")
    return _user_data_dir() / "asd_core"


def _user_data_dir() -> Path:
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support"
    variable, below_home = ("LOCALAPPDATA", "") if sys.platform == "win32" else ("XDG_DATA_HOME", ".local/share")
    named = os.environ.get(variable)
    return Path(named).absolute() if named else _home() / below_home


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "this user has no home folder (HOME is not set, and the user is unknown): name a folder by ASD_DATA_DIR"
        ) from error


def with_home(path: str | Path, *, source: str) -> Path:
    """Make a path absolute, with `~` or `~user` at its start replaced by that home folder.

    Parameters
    ----------
    source
        Where the path was named, for the message.

    Raises
    ------
    UsageError
        No such user, or a user without a home folder.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            f"{source} names {str(path)!a}, but there is no such home folder: name the folder in full"
        ) from error


def artifacts_dir(project: Path) -> Path:
    """Folder of the trained detectors that the dashboard shows: `ASD_ARTIFACTS_DIR`, else the project's."""
    named = os.environ.get("ASD_ARTIFACTS_DIR")
    return with_home(named, source="ASD_ARTIFACTS_DIR") if named else project / "artifacts"


def vggish_dir() -> Path | None:
    """Folder of the operator's own VGGish SavedModel (`ASD_VGGISH_DIR`), or None."""
    named = os.environ.get("ASD_VGGISH_DIR")
    return with_home(named, source="ASD_VGGISH_DIR") if named else None


def benches_dir() -> Path:
    """Folder of the simulated benches of any size and seed."""
    return data_dir() / "benches"
