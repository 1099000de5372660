"""Where files that are not the project's own are kept, as absolute paths that hold wherever a process is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TFHUB_CACHE_NAME = "tfhub"


def data_dir() -> Path:
    """Folder of generated clips, caches, downloads and runs: `ASD_DATA_DIR`, else the user's data folder."""
    if named := os.environ.get("ASD_DATA_DIR"):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "asd_core"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "asd_core"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))).absolute() / "asd_core"


def artifacts_dir(project: Path) -> Path:
    """Folder of the trained detectors that the dashboard shows: `ASD_ARTIFACTS_DIR`, else the project's."""
    named = os.environ.get("ASD_ARTIFACTS_DIR")
    return Path(named).expanduser().absolute() if named else project / "artifacts"


def vggish_dir() -> Path | None:
    """Folder of the operator's own VGGish SavedModel (`ASD_VGGISH_DIR`), or None."""
    named = os.environ.get("ASD_VGGISH_DIR")
    return Path(named).expanduser().absolute() if named else None
