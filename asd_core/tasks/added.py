"""Normal clips that a detector is trained on beside its data set: what a re-baseline adds.

They lie in a folder of their own, `<round>/<sitting>/<name>`: those of one re-baseline in one round, those that were
heard in one go in one sitting, which is split as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asd_core.data.clips import Clip
from asd_core.errors import UsageError

ADDED = "rebaseline"
"""First part of the relative paths of such clips, and of the paths in a detector's scores."""
_RULE = "called normal by somebody"


def added_clips(folder: Path, *, beside: Sequence[Clip]) -> list[Clip]:
    """List the clips of a folder of added ones, sorted by path.

    Parameters
    ----------
    beside
        The data set's own training clips: the first one's machine id is that of the added ones, and where all of
        them have a recording, the sitting is that of the added ones; else recordings are found as usual.

    Raises
    ------
    UsageError
        No such clips, or no training clips beside them.
    """
    files = sorted(path for path in folder.glob("*/*/*") if path.is_file() and not path.is_symlink())
    if not files or not beside:
        raise UsageError(f"{folder} holds no clips <round>/<sitting>/<name> to add, or there are none to add them to")
    is_given = all(clip.recording is not None for clip in beside)
    return [
        Clip(
            path,
            f"{ADDED}/{path.relative_to(folder).as_posix()}",
            beside[0].machine_id,
            "train",
            "normal",
            recording=f"{ADDED}/{path.parent.relative_to(folder).as_posix()}" if is_given else None,
            rule=_RULE,
        )
        for path in files
    ]


def is_added(clip: Clip) -> bool:
    """Whether a clip was added to its data set's own."""
    return clip.rule == _RULE


def round_of(path: str) -> str:
    """Round that a scored clip was added in, by its path in the scores; empty for one of the data set."""
    parts = path.split("/")
    return parts[1] if len(parts) == 4 and parts[0] == ADDED else ""
