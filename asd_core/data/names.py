"""What the owners of clips call them, where clips are stored under names made from their content.

`names.jsonl` in the folder of a data set holds one JSON object per line, `{"path", "name"}`; a later one replaces an
earlier one of the same clip. Newer ones also have `recorded` (ISO 8601, local time without a zone) and `recorded_from`,
which says how that is known. Earlier releases kept one object in `names.json`, and marked clips are named in
`marked.jsonl`; both are read.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from asd_core.audio.recorded import recorded_at, time_in_name
from asd_core.data.recordings import name_order
from asd_core.errors import AudioError, FileError
from asd_core.formats import display_name
from asd_core.system.files import parse_json, read_if_present

if TYPE_CHECKING:
    from asd_core.data.clips import Clip, ClipIndex

NAMES, OLD_NAMES, MARKED_NAMES = "names.jsonl", "names.json", "marked.jsonl"
_STRETCH = "#t="
_MAX_NAMES_BYTES = 256 * 2**20
_STORED_NAME = re.compile(r"[0-9a-f]{16,64}")
"""Names made from digests; a clip that is called otherwise bears its owner's name already."""


@dataclass(frozen=True)
class RecordedTime:
    """When a clip was recorded, and what says so: its `name`, its `metadata`, the `file`, or the `upload`."""

    time: datetime
    source: str

    @property
    def written(self) -> str:
        """The time alone: `2024-05-01 13:45:10`."""
        return f"{self.time:%Y-%m-%d %H:%M:%S}"

    @property
    def text(self) -> str:
        """The time and how it is known: `recorded 2024-05-01 13:45:10, as its name says`."""
        return TIME_SOURCES[self.source].format(self.written)


TIME_SOURCES = {
    "name": "recorded {}, as its name says",
    "metadata": "recorded {}, as its metadata say",
    "file": "recorded at an unknown time, last changed {}",
    "upload": "recorded at an unknown time, uploaded {}",
}


@dataclass(frozen=True)
class ClipNames:
    """Names that the owners of stored clips gave them.

    Parameters
    ----------
    names
        Relative path of a clip to its name, fit to show; in the order in which clips were first named.
    faults
        Messages: which file of names is damaged, and where. The other names are still given.
    recorded
        Relative path of a clip to the time it was recorded, where that was noted.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    recorded: Mapping[str, RecordedTime] = field(default_factory=dict)


def owner_name(text: str) -> str:
    """Make the name of a file as it came fit to show; its folders stay, steps upwards and to the root do not."""
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    return display_name("/".join(parts) or text)


def read_names(folder: Path) -> ClipNames:
    """Read the names of the clips below a data set's folder; none where there is no file of names."""
    older, newer = _whole_names(folder / OLD_NAMES), _line_names(folder / NAMES)
    names = {**_marked_names(folder / MARKED_NAMES), **older.names, **newer.names}
    return ClipNames(names, older.faults + newer.faults, newer.recorded)


def with_names(index: ClipIndex) -> ClipIndex:
    """The same clips with their owners' names, in natural order of these; the same index where none has one.

    Of equal names in a folder the later ones are numbered, `a (2).wav`.
    """
    names = told_apart(read_names(index.root).names)
    if not names:
        return index
    return replace(index, clips=tuple(sorted((_with_name(clip, names) for clip in index.clips), key=name_order)))


def _with_name(clip: Clip, names: Mapping[str, str]) -> Clip:
    path, stretch = _parts(clip)
    name = names.get(path)
    if name is None or _STORED_NAME.fullmatch(clip.path.stem) is None:
        return clip
    return replace(clip, name=name + stretch)


def _parts(clip: Clip) -> tuple[str, str]:
    """Relative path of a clip's file, and what names a stretch of it: `#t=start,end`, empty for a whole file."""
    if clip.span is None:
        return clip.relative, ""
    path, mark, stretch = clip.relative.rpartition(_STRETCH)
    return path, mark + stretch


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Number names that occur again in a folder, in order: `a.wav`, `a (2).wav`."""
    taken: set[tuple[str, str]] = set()
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for path, name in names.items():
        folder, own = path.rpartition("/")[0], name
        while (folder, own) in taken:
            seen[folder, name] += 1
            own = _numbered(name, 1 + seen[folder, name])
        taken.add((folder, own))
        found[path] = own
    return found


def _numbered(name: str, number: int) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem} ({number}).{suffix}" if dot and stem and "/" not in suffix else f"{name} ({number})"


def name_lines(names: Mapping[str, str], recorded: Mapping[str, RecordedTime]) -> bytes:
    """Write lines of `names.jsonl` for clips by their relative paths."""
    lines = (
        json.dumps({"path": path, "name": owner_name(name), **_time_entry(recorded.get(path))}) + "\n"
        for path, name in names.items()
    )
    return "".join(lines).encode("ascii")


def _time_entry(recorded: RecordedTime | None) -> dict[str, str]:
    if recorded is None:
        return {}
    return {"recorded": recorded.time.isoformat(timespec="seconds"), "recorded_from": recorded.source}


def names_content(path: Path) -> bytes:
    """Read a whole file of names, nothing where there is none; raises FileError where it is no regular file."""
    return read_if_present(path, at_most=_MAX_NAMES_BYTES) or b""


def _line_names(path: Path) -> ClipNames:
    try:
        lines = names_content(path).splitlines()
    except FileError as error:
        return ClipNames(faults=(_names_fault(path, str(error)),))
    names: dict[str, str] = {}
    recorded: dict[str, RecordedTime] = {}
    damaged: list[int] = []
    for number, line in enumerate(lines, start=1):
        entry = _json_object(line)
        clip, name = entry.get("path"), entry.get("name")
        if not (isinstance(clip, str) and isinstance(name, str)):
            damaged.append(number)
            continue
        names[clip] = owner_name(name)
        if (time := _recorded_time(entry)) is not None:
            recorded[clip] = time
    if not damaged:
        return ClipNames(names, recorded=recorded)
    fault = _names_fault(path, f"{len(damaged)} lines, the first is line {damaged[0]}")
    return ClipNames(names, (fault,), recorded)


def _recorded_time(entry: Mapping[str, object]) -> RecordedTime | None:
    """The time that a line notes; None where it notes none, or one that cannot be read."""
    time, source = entry.get("recorded"), entry.get("recorded_from")
    if not isinstance(time, str) or not isinstance(source, str) or source not in TIME_SOURCES:
        return None
    try:
        return RecordedTime(datetime.fromisoformat(time).replace(tzinfo=None), source)
    except ValueError:
        return None


def _whole_names(path: Path) -> ClipNames:
    if not os.path.lexists(path):
        return ClipNames()
    try:
        names = _json_object(names_content(path)).get("names")
    except FileError as error:
        return ClipNames(faults=(_names_fault(path, str(error)),))
    if not isinstance(names, dict):
        return ClipNames(faults=(_names_fault(path, "it must hold an object with names"),))
    return ClipNames({path: owner_name(str(name)) for path, name in names.items()})


def recorded_time(clip: Clip, names: ClipNames) -> RecordedTime | None:
    """When a clip was recorded: as noted, else by name, metadata or file; None where it cannot be opened."""
    if (noted := _noted(clip, names)) is not None:
        return noted
    try:
        found = recorded_at(clip.path, name=None if clip.name is None else clip.name.removesuffix(_parts(clip)[1]))
    except AudioError:
        return None
    source = "upload" if found.how == "file" and clip.name is not None else found.how
    return RecordedTime(_begun(found.time, clip, source), source)


def known_time(clip: Clip, names: ClipNames) -> RecordedTime | None:
    """When a clip was recorded, where a note or its name says so; the clip is not opened."""
    if (noted := _noted(clip, names)) is not None:
        return noted
    time = time_in_name(clip.shown.removesuffix(_parts(clip)[1]))
    return None if time is None else RecordedTime(_begun(time, clip, "name"), "name")


def _noted(clip: Clip, names: ClipNames) -> RecordedTime | None:
    noted = names.recorded.get(_parts(clip)[0])
    return None if noted is None else replace(noted, time=_begun(noted.time, clip, noted.source))


def _begun(time: datetime, clip: Clip, source: str) -> datetime:
    """When a stretch of a longer recording begins; the time of a file says nothing of its beginning."""
    return time + timedelta(seconds=clip.span[0]) if clip.span and source in ("name", "metadata") else time


def _marked_names(path: Path) -> dict[str, str]:
    """Names of marked clips, under either label; lines that cannot be read name no clip."""
    try:
        entries: Sequence[Mapping[str, object]] = [_json_object(line) for line in names_content(path).splitlines()]
    except FileError:
        return {}
    named = ((entry.get("digest"), entry.get("shown_name")) for entry in entries)
    return dict(_marked_places(named))


def _marked_places(named: Iterable[tuple[object, object]]) -> Iterable[tuple[str, str]]:
    for digest, name in named:
        if isinstance(digest, str) and isinstance(name, str) and name:
            for label in ("normal", "anomalous"):
                yield f"{label}/{digest[:16]}.wav", owner_name(name)


def _names_fault(path: Path, reason: str) -> str:
    return f"{path.name} is damaged ({reason}): it is kept as it is, and clips without a name show their stored one"


def _json_object(content: bytes) -> dict[str, object]:
    """Parse a JSON object; empty for anything else."""
    try:
        found = parse_json(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
