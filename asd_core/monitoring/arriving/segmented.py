"""How far each recording has been heard by segments."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from asd_core.audio.opening import opened
from asd_core.audio.recorded import Recorded, recorded_at
from asd_core.audio.segments import Segment
from asd_core.errors import AudioError
from asd_core.features.cache import split_name
from asd_core.monitoring.arriving.growing import Cut, length_so_far, segments_there
from asd_core.monitoring.arriving.recording_time import later
from asd_core.monitoring.rows import Signature, WatchRow

_HEAD = slice(128, 4224)
"""Bytes of a file that tell one recording from the next of the same name: sound, behind a header that may change."""


@dataclass(frozen=True)
class Heard:
    """A segment that may be judged now.

    Parameters
    ----------
    replaces
        Key of the row of the same segment that was judged before the recording went on; usually empty.
    """

    name: str
    segment: Segment
    recorded: Recorded
    replaces: str = ""


@dataclass
class _Progress:
    """How far a recording was heard.

    Parameters
    ----------
    n_heard
        Number of the next segment.
    signature
        The file's when a segment was last heard.
    head
        Digest of its beginning; empty where that is not known.
    last_key
        Key of the last segment's row.
    has_rest
        Whether that was the shorter one at the end.
    """

    n_heard: int = 0
    signature: Signature = (0, 0)
    head: bytes = b""
    last_key: str = ""
    has_rest: bool = False


class Segmented:
    """The segments of recordings, each given once however the file grows."""

    def __init__(self, cut: Cut, channel: int | None) -> None:
        self._cut, self._channel = cut, channel
        self._of: dict[str, _Progress] = {}

    def know(self, name: str, row: WatchRow) -> bool:
        """Take over a segment that was heard earlier; returns whether it ended its recording."""
        path, index = split_name(name)[0], self._cut.index_of(name)
        progress = self._of.setdefault(path, _Progress())
        if row.signature is not None and row.signature[0] < progress.signature[0]:
            progress = self._of[path] = _Progress()  # overwritten by a shorter one
        progress.n_heard = max(progress.n_heard, (index or 0) + 1)
        progress.signature, progress.last_key = row.signature or (0, 0), row.key
        progress.has_rest = row.traits is not None and row.traits.duration_s < self._cut.segment_s - 1e-3
        return progress.has_rest

    def heard(self, name: str, signature: Signature, row: WatchRow) -> None:
        """Note that a segment's row is on the disk."""
        self.know(name, replace(row, n_bytes=signature[0], changed_ns=signature[1]))

    def has_begun(self, path: str) -> bool:
        """Whether segments of a recording were heard."""
        return self._of.get(path, _Progress()).n_heard > 0

    def new(self, path: str, signature: Signature, *, is_whole: bool) -> Iterator[Heard]:
        """Yield the segments that were not heard yet; `heard` must be told of each before the next.

        Raises
        ------
        AudioError
            As `asd_core.monitoring.arriving.growing.segments_there`.
        """
        progress, replaces = self._progress(path, signature), ""
        if progress.has_rest and signature != progress.signature:
            progress.n_heard -= 1  # the recording went on after its end had been heard
            progress.has_rest, replaces = False, progress.last_key
        found = segments_there(path, self._cut, first=progress.n_heard, channel=self._channel, is_whole=is_whole)
        for segment in found:
            yield Heard(self._cut.name_of(path, segment), segment, _recorded(path, segment), replaces)
            replaces = ""

    def _progress(self, path: str, signature: Signature) -> _Progress:
        """How far this recording was heard; another one of the same name begins anew."""
        head = _head(path)
        progress = self._of.setdefault(path, _Progress())
        if signature[0] < progress.signature[0] or (progress.head and head and progress.head != head):
            progress = self._of[path] = _Progress()
        progress.head = progress.head or head
        return progress


def _head(path: str) -> bytes:
    """Digest of a file's beginning; empty where it is not there yet."""
    with contextlib.suppress(AudioError), opened(path) as descriptor:
        start = os.read(descriptor, _HEAD.stop)
        if len(start) == _HEAD.stop:
            return hashlib.sha256(start[_HEAD]).digest()
    return b""


def _recorded(path: str, segment: Segment) -> Recorded:
    recorded = recorded_at(path)
    after_s = segment.start_s
    if recorded.how == "file":  # which is when its newest sound was written
        after_s -= length_so_far(path)
    return Recorded(later(recorded.time, after_s), recorded.how)
