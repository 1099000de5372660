"""Which clips of an index are trained on, and which recording each was cut from, where paths do not say so plainly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from asd_core.data.clips import Clip, ClipIndex, prints_of
from asd_core.data.recordings import find_recordings, training_rows
from asd_core.errors import DataSetError, UsageError


def with_splits(index: ClipIndex, *, seed: int) -> tuple[Clip, ...]:
    """Give a split to clips without one: normal ones train where others are given to test, else some are drawn."""
    open_normal = [clip for clip in index.clips if clip.label == "normal" and not clip.split]
    given = {clip.split for clip in index.clips if clip.label == "normal"} - {""}
    training = {clip.relative for clip in (open_normal if given else _drawn(index, open_normal, seed=seed))}
    return tuple(
        clip if clip.split else replace(clip, split="train" if clip.relative in training else "test")
        for clip in index.clips
    )


def _drawn(index: ClipIndex, normal: Sequence[Clip], *, seed: int) -> list[Clip]:
    """Training clips among the normal ones: about 60 %, by recording, where the id has anomalous clips; else all."""
    tested = {clip.machine_id for clip in index.clips if clip.label == "anomalous"}
    split = [clip for clip in normal if clip.machine_id in tested]
    recordings = find_recordings(split, prints_of(split, channel=index.channel))
    rows = training_rows(split, recordings, seed=seed, strata=[clip.rule for clip in split])
    return [clip for clip in normal if clip.machine_id not in tested] + [split[row] for row in rows]


def with_recordings(index: ClipIndex, recording_by: str) -> tuple[Clip, ...]:
    """Give each clip the recording that its path names, see `FolderRules.recording_by`.

    Raises
    ------
    UsageError
        No regular expression.
    DataSetError
        A normal clip that may be trained on, and whose path names none.
    """
    clips = index.clips
    if recording_by == "folder":
        return tuple(replace(clip, recording=clip.relative.rpartition("/")[0]) for clip in clips)
    if recording_by == "none":
        return tuple(replace(clip, recording=clip.relative) for clip in clips)
    try:
        pattern = re.compile(recording_by)
    except re.error as error:
        raise UsageError(
            f"recordings are named by folder, none or a regular expression (--recording-by); {recording_by!r} is none: "
            f"{error}"
        ) from error
    named = tuple(replace(clip, recording=_first_group(pattern, clip.relative)) for clip in clips)
    needed = [clip for clip in named if clip.label == "normal" and clip.split != "test"]
    if nameless := [clip.relative for clip in needed if clip.recording is None]:
        raise DataSetError(
            f"{recording_by!r} (--recording-by) names no recording for {len(nameless)} normal clips, among them "
            f"{nameless[0]}"
        )
    return named


def _first_group(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.search(path)
    return None if match is None else match.group(min(1, pattern.groups))
