"""The sound of a watched clip: its kept copy, else the file itself as long as it is the one that was judged."""

from __future__ import annotations

import os
from pathlib import Path

from asd_core.artifacts.store import open_artifact
from asd_core.data.library import allowed_roots
from asd_core.errors import InputError
from asd_core.features.cache import split_name
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.kept import kept_path
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.types import Waveform
from pages.shared.context import PROJECT
from pages.shared.keys import ClipFile
from pages.shared.sources import clip

OVERWRITTEN = "the file has been written again since it was judged, and no copy of that clip was kept"


def sound_of(beside: Beside, row: WatchRow) -> Waveform | None:
    """Read a clip's sound as its verdict was made from it; None where neither copy nor file is there.

    Raises
    ------
    InputError
        The file lies outside the allowed roots, or holds another recording by now.
    AudioError, ArtifactError
        It cannot be read; or the detector whose channel was heard is gone.
    """
    copy = kept_path(beside, row.key)
    if copy is not None and copy.is_file():
        return clip(ClipFile(os.fspath(copy), f"{copy.stat().st_mtime_ns} ns", None))
    name, span = split_name(unescaped(row.path))
    path = Path(name)
    if "\0" in name or not path.is_file():
        return None
    if not any(path.parent.resolve().is_relative_to(root) for root in allowed_roots()):
        raise InputError("this clip lies outside the folders that the dashboard may read; ASD_DATA_ROOTS names them")
    channel = open_artifact(PROJECT / unescaped(row.model)).channel
    status = path.stat()
    if span is None and row.signature not in (None, (status.st_size, status.st_mtime_ns)):
        raise InputError(OVERWRITTEN)
    return clip(ClipFile(os.fspath(path), f"{status.st_mtime_ns} ns", channel, span))
