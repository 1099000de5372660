"""Single clips of a data set of uploads removed, or moved to another label, with what is kept of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from asd_core.data.marked import forget_marks
from asd_core.data.names import NAMES, name_lines, names_content, read_names
from asd_core.data.table import KnownSet
from asd_core.data.uploads import destination
from asd_core.errors import UsageError
from asd_core.features.cache import clip_entries
from asd_core.system.files import folder_beneath, parse_json, replace_beneath
from asd_core.system.locks import data_set_lock


def move_clips(known: KnownSet, clips: Sequence[str], kind: str | None) -> int:
    """Change the label of uploaded clips; returns how many had another one.

    Their machine id, their owners' names and times of recording stay.

    Parameters
    ----------
    clips
        Paths below the data set's folder, as its index has them.
    kind
        None for normal, else the kind of anomaly; empty means `anomalous`.

    Raises
    ------
    UsageError
        Not a data set of uploads, a clip that is not in it, or a kind that is not fit.
    BusyError
        Clips are being stored in it.
    """
    label = _destination_label(known, kind)
    with data_set_lock(known.name):
        moved = {clip: _under(label, clip) for clip in _checked(known, clips) if _under(label, clip) != clip}
        _rename(known.folder, moved)
        _write_names(known, moved, gone=moved.keys())
    return len(moved)


def remove_clips(known: KnownSet, clips: Sequence[str]) -> int:
    """Remove uploaded clips, their names, their features and marks of their sound; returns how many.

    Detectors that have learned from them stay as they are. Raises as `move_clips`.
    """
    _destination_label(known, None)
    with data_set_lock(known.name):
        doomed = _checked(known, clips)
        _forget_features(known, doomed)
        for clip in doomed:
            (known.folder / clip).unlink(missing_ok=True)
        _write_names(known, {}, gone=doomed)
    forget_marks(Path(clip).stem for clip in doomed)
    return len(doomed)


def _destination_label(known: KnownSet, kind: str | None) -> str:
    """Folder of the label; refuse a data set whose clips are not ours to move."""
    if not known.uploaded:
        raise UsageError(f"{known.name} was not uploaded here: tidy its folder where it lies")
    return destination(known.name, kind=kind).folder.name


def _checked(known: KnownSet, clips: Sequence[str]) -> list[str]:
    """The clips that are there; refuse a path that leads out of the folder, or through a link."""
    for clip in clips:
        path = known.folder / clip
        parts = PurePosixPath(clip).parts
        leads_out = ".." in parts or not path.is_relative_to(known.folder) or path.parent.resolve() != path.parent
        if leads_out or len(parts) < 2 or path.is_symlink():
            raise UsageError(f"{clip[:120]!a} is no clip of {known.name}")
    return [clip for clip in dict.fromkeys(clips) if (known.folder / clip).is_file()]


def _under(label: str, clip: str) -> str:
    """The clip's path in the folder of another label."""
    return PurePosixPath(label, *PurePosixPath(clip).parts[1:]).as_posix()


def _rename(root: Path, moved: Mapping[str, str]) -> None:
    for clip, place in moved.items():
        with folder_beneath(root, PurePosixPath(place).parts[:-1], make=True):
            (root / clip).replace(root / place)


def _write_names(known: KnownSet, moved: Mapping[str, str], *, gone: Iterable[str]) -> None:
    """Write the file of names without the lines of clips that are gone, and with those of moved ones."""
    names, left = read_names(known.folder), frozenset(gone)
    lines = names_content(known.folder / NAMES).splitlines(keepends=True)
    kept = b"".join(line for line in lines if _path(line) not in left)
    if kept and not kept.endswith(b"\n"):
        kept += b"\n"
    new = {place: names.names[clip] for clip, place in moved.items() if clip in names.names}
    times = {place: names.recorded[clip] for clip, place in moved.items() if clip in names.recorded}
    if lines or new:
        replace_beneath(known.folder, PurePosixPath(NAMES), kept + name_lines(new, times))


def _path(line: bytes) -> object:
    with contextlib.suppress(ValueError):
        entry = parse_json(line)
        return entry.get("path") if isinstance(entry, dict) else None
    return None


def _forget_features(known: KnownSet, clips: Iterable[str]) -> None:
    paths = [known.folder / clip for clip in clips]
    entries, _ = clip_entries(paths, (path.stem for path in paths))
    for entry in entries:
        with contextlib.suppress(OSError):
            entry.unlink()
