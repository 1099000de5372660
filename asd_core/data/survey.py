"""What the clips of a data set are like: lengths, levels, duplicates, refusals; read once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.audio.reading import read_waveform
from asd_core.data.clips import channel_warnings
from asd_core.data.data_set import DataSet
from asd_core.errors import AudioError, FileError
from asd_core.system.files import parse_json, read_small_text, replace_file
from asd_core.system.places import data_dir
from asd_core.types import Waveform

_HEADER: Mapping[str, Any] = {"schema": 1, "command": "survey", "warnings": []}

MAX_LISTED = 500
_MAX_SURVEY_BYTES = 64 * 2**20
SILENCE_DBFS = -120.0


def survey(data_set: DataSet, *, on_progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Read every clip once and sum up lengths, levels, duplicates and refusals; kept on disk until a file changes.

    Where it cannot be kept, it is made again the next time.

    `groups` has a row for each id, split and label: `n`, and `[least, median, most]` of `length_s` and of the RMS level
    `level_dbfs` (0 dBFS is full scale), of the channel that the data set is heard by. `channels` holds a warning where
    clips have several channels and nothing tells which to take.
    """
    cached = data_dir() / "surveys" / f"{survey_key(data_set)}.json"
    found = _read_survey(cached)
    if found is None:
        found = _survey(data_set, on_progress or _no_progress)
        with contextlib.suppress(OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            replace_file(cached, json.dumps(found, allow_nan=False, indent=1).encode() + b"\n")
    return found


def has_survey(data_set: DataSet) -> bool:
    """Whether `survey` has read these clips before."""
    return _read_survey(data_dir() / "surveys" / f"{survey_key(data_set)}.json") is not None


def survey_key(data_set: DataSet) -> str:
    """Digest over what the clips are called, labelled, their channel, and their sizes and times of change."""
    place = f"{data_set.index.root}\nchannel {data_set.index.channel}\n"
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape"))
    for clip in data_set.index.clips:
        with contextlib.suppress(OSError):
            status = clip.path.lstat()
            line = f"{clip.relative}\n{clip.split} {clip.label} {status.st_size} {status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _no_progress(_n_done: int, _n_clips: int) -> None:
    pass


def _read_survey(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileError, ValueError):
        found = parse_json(read_small_text(path, at_most=_MAX_SURVEY_BYTES))
        if isinstance(found, dict) and found.get("schema") == 1 and found.get("command") == "survey":
            return found
    return None


def _survey(data_set: DataSet, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    clips = data_set.index.clips
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    digests: dict[str, list[str]] = {}
    refused, warnings = [], []
    for n_done, clip in enumerate(clips, start=1):
        try:
            waveform = read_waveform(clip.path, channel=data_set.index.channel)
        except AudioError as error:
            refused.append({"path": clip.relative, "reason": f"{error.code}: {error}"})
        else:
            key = (clip.machine_id, clip.split, clip.label)
            groups.setdefault(key, []).append((waveform.duration_s, level_dbfs(waveform)))
            digests.setdefault(waveform.digest, []).append(clip.relative)
            warnings += [f"{clip.relative}: {text}" for text in waveform.warnings]
        on_progress(n_done, len(clips))
    duplicates = [paths for paths in digests.values() if len(paths) > 1]
    return {
        **_HEADER,
        "n_clips": len(clips),
        "groups": [_group_json(*key, rows) for key, rows in sorted(groups.items())],
        "n_duplicates": len(duplicates),
        "duplicates": duplicates[:MAX_LISTED],
        "n_refused": len(refused),
        "refused": refused[:MAX_LISTED],
        "warnings": warnings[:MAX_LISTED],
        "channels": channel_warnings(data_set.index),
    }


def _group_json(machine_id: str, split: str, label: str, rows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    lengths, levels = np.array(rows).T
    spread = {
        name: [float(value) for value in (values.min(), np.median(values), values.max())]
        for name, values in (("length_s", lengths), ("level_dbfs", levels))
    }
    return {"machine_id": machine_id, "split": split, "label": label, "n": len(rows), **spread}


def level_dbfs(waveform: Waveform) -> float:
    """RMS level, dB relative to full scale; silence counts as -120."""
    power = float(np.square(waveform.samples, dtype=np.float64).mean())
    return max(SILENCE_DBFS, 10.0 * float(np.log10(max(power, 1e-30))))
