"""Lengths, levels, duplicates and refusals of a data set's clips, read once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.audio.reading import READER_VERSION
from asd_core.audio.refusals import in_data_set
from asd_core.data.clips import channel_warnings
from asd_core.data.data_set import DataSet
from asd_core.data.label_differences import Measures, differences, measure
from asd_core.errors import AudioError, FileError
from asd_core.features.cache import read_clip
from asd_core.system.files import parse_json, read_small_text, replace_file
from asd_core.system.places import data_dir
from asd_core.system.typed_json import from_json, to_json
from asd_core.types import FloatArray

_HEADER: Mapping[str, Any] = {"schema": 1, "command": "survey"}

_VERSION = 2
"""Raised where the same clips give other entries."""
MAX_LISTED = 500
_MAX_SURVEY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Group:
    """The clips of one id, split and label.

    Parameters
    ----------
    n
        Number of clips.
    length_s, level_dbfs
        (least, median, most) of the length and of the RMS level in the channel that is used; 0 dBFS is full scale.
    """

    machine_id: str
    split: str
    label: str
    n: int
    length_s: tuple[float, ...]
    level_dbfs: tuple[float, ...]


@dataclass(frozen=True)
class Survey:
    """What the clips of a data set are like.

    Parameters
    ----------
    groups
        By id, split and label.
    duplicates
        Groups of paths with the same sound, the first `MAX_LISTED` of `n_duplicates`.
    refused
        `AudioError.entry` of the first `MAX_LISTED` of the `n_refused` clips that the reader refused.
    warnings
        `path: code: text`, the first `MAX_LISTED`.
    channels
        A warning if clips have several channels and nothing says which to use.
    labels_differ
        How the anomalous clips differ from the normal ones as recordings, see `asd_core.data.label_differences`.
    """

    n_clips: int
    groups: tuple[Group, ...]
    n_duplicates: int
    duplicates: tuple[tuple[str, ...], ...]
    n_refused: int
    refused: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]
    channels: tuple[str, ...]
    labels_differ: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Write it as it is kept."""
        return {**_HEADER, **to_json(self), "groups": [to_json(group) for group in self.groups]}

    @classmethod
    def from_json(cls, content: object) -> Survey:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        if not isinstance(content, dict) or any(content.get(name) != value for name, value in _HEADER.items()):
            raise ValueError(f"it must hold {_HEADER}")
        if not isinstance(content.get("groups"), list):
            raise ValueError("groups must be a list")
        values = {name: value for name, value in content.items() if name not in _HEADER}
        plain = from_json(cls, {**values, "groups": []})
        return replace(plain, groups=tuple(from_json(Group, group) for group in content["groups"]))


def survey(data_set: DataSet, *, on_progress: Callable[[int, int], None] | None = None) -> Survey:
    """Read every clip once and sum up lengths, levels, duplicates and refusals; kept on disk until a file changes.

    If it cannot be kept, it is made again the next time.
    """
    cached = _place(data_set)
    found = _read_survey(cached)
    if found is None:
        found = _survey(data_set, on_progress or _no_progress)
        with contextlib.suppress(OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            replace_file(cached, json.dumps(found.to_json(), allow_nan=False, indent=1).encode() + b"\n")
    return found


def has_survey(data_set: DataSet) -> bool:
    """Whether `survey` has read these clips before."""
    return _read_survey(_place(data_set)) is not None


def kept_surveys(names: Iterable[str]) -> list[Path]:
    """Surveys, also outdated ones, of data sets that are or were filed under these names.

    Those of earlier releases do not say which data set they are of: all of them are given.
    """
    folder = data_dir() / "surveys"
    return [
        *(path for name in names for path in folder.glob(f"{name}.*.json")),
        *folder.glob(f"{'[0-9a-f]' * 64}.json"),
    ]


def _place(data_set: DataSet) -> Path:
    return data_dir() / "surveys" / f"{data_set.name}.{survey_key(data_set)}.json"


def survey_key(data_set: DataSet) -> str:
    """Digest of the clips' names, labels, channel, sizes and times of change, and of the reader's version."""
    place = f"survey {_VERSION}, reader {READER_VERSION}\n{data_set.index.root}\nchannel {data_set.index.channel}\n"
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape"))
    for clip in data_set.index.clips:
        with contextlib.suppress(OSError):
            status = clip.path.lstat()
            line = f"{clip.relative}\n{clip.split} {clip.label} {status.st_size} {status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _no_progress(_n_done: int, _n_clips: int) -> None:
    pass


def _read_survey(path: Path) -> Survey | None:
    with contextlib.suppress(FileError, ValueError):
        return Survey.from_json(parse_json(read_small_text(path, at_most=_MAX_SURVEY_BYTES)))
    return None


def _survey(data_set: DataSet, on_progress: Callable[[int, int], None]) -> Survey:
    clips = data_set.index.clips
    groups: dict[tuple[str, str, str], list[Measures]] = {}
    digests: dict[str, list[str]] = {}
    refused, warnings = [], []
    for n_done, clip in enumerate(clips, start=1):
        try:
            waveform = read_clip(clip.path, channel=data_set.index.channel, span=clip.span)
        except AudioError as error:
            refused.append(in_data_set(error).entry(clip.relative))
        else:
            key = (clip.machine_id, clip.split, clip.label)
            groups.setdefault(key, []).append(measure(waveform, clip.path))
            digests.setdefault(waveform.digest, []).append(clip.relative)
            warnings += [f"{clip.relative}: {text}" for text in waveform.warnings]
        on_progress(n_done, len(clips))
    duplicates = [tuple(paths) for paths in digests.values() if len(paths) > 1]
    return Survey(
        n_clips=len(clips),
        groups=tuple(_group(*key, rows) for key, rows in sorted(groups.items())),
        n_duplicates=len(duplicates),
        duplicates=tuple(duplicates[:MAX_LISTED]),
        n_refused=len(refused),
        refused=tuple(refused[:MAX_LISTED]),
        warnings=tuple(warnings[:MAX_LISTED]),
        channels=tuple(channel_warnings(data_set.index)),
        labels_differ=differences((label, each) for (_, _, label), rows in groups.items() for each in rows),
    )


def _group(machine_id: str, split: str, label: str, rows: Sequence[Measures]) -> Group:
    lengths, levels = np.array([(row.length_s, row.level_dbfs) for row in rows]).T
    return Group(machine_id, split, label, len(rows), _spread(lengths), _spread(levels))


def _spread(values: FloatArray) -> tuple[float, ...]:
    return float(values.min()), float(np.median(values)), float(values.max())
