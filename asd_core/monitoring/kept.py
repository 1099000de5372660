"""Copies of clips beside the table: all of an alarm, and the others thinned by age and size.

A copy is called by the key of its row and lies in `alarms` or `others`, so that it is found without an index; its time
of change is the time of judging. The first clips of an alarm, and the few before it, stay until they alone are more
than may be kept; an alarm that lasts for weeks drives out no earlier one's. Of the others all of the last hour are
there, about one in ten of the last week (those whose key says so: a hash, the same after a restart), and none that are
older.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from asd_core.audio.reading import encode_flac
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.telling.events import RAISED
from asd_core.system import logs
from asd_core.system.disk import free_bytes
from asd_core.types import Waveform

DEFAULT_KEPT_MB = 500
ALL_FOR_S = 3600.0
"""All clips of so many seconds are kept."""
SOME_FOR_S = 7 * 86_400.0
"""Then one in `ONE_IN`, until they are so old."""
ONE_IN = 10
N_BEFORE = 3
"""Clips before an alarm that belong to it."""
MOST_OF_ALARM = 100
"""Later clips of an alarm that lasts are kept like the others."""
LEAST_FREE_BYTES = 200 * 2**20
"""Nothing is kept where less is free on the disk: the table needs it."""
TRY_AGAIN_S = 60.0
_ALARMS, _OTHERS = "alarms", "others"
_SUFFIX, _STAGED = ".flac", ".tmp"
_NAME = re.compile(r"([0-9a-f]{16})\.flac")


@dataclass(frozen=True)
class KeptClip:
    """A copy of a clip.

    Parameters
    ----------
    key
        Of its row (`WatchRow.key`).
    judged
        When it was judged, in seconds since 1970.
    of_alarm
        Whether it belongs to an alarm, or to the clips just before one.
    """

    key: str
    path: Path
    judged: float
    n_bytes: int
    of_alarm: bool

    @property
    def outlives_the_hour(self) -> bool:
        """Whether it is one of those that are kept for a week."""
        return int(self.key, 16) % ONE_IN == 0


class Keeper:
    """Keeps copies of the clips that a watch judges.

    What there is is listed once, with the first clip; from then on the work of a clip does not grow with their number.

    Parameters
    ----------
    max_bytes
        Most bytes that the copies may take; 0 keeps no further ones.
    least_free_bytes
        Free bytes on the disk, below which nothing is kept.
    """

    def __init__(self, beside: Beside, max_bytes: int, *, least_free_bytes: int = LEAST_FREE_BYTES) -> None:
        self._beside, self._max_bytes, self._least_free_bytes = beside, max_bytes, least_free_bytes
        self._hour: deque[KeptClip] = deque()
        self._week: deque[KeptClip] = deque()
        self._alarms: deque[KeptClip] = deque()
        self._n_bytes = 0
        self._n_of_alarm = 0
        """Clips since the alarm was raised, or since the start."""
        self._is_listed = False
        self._failing_since: float | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of all copies, as far as is known."""
        return self._n_bytes

    def keep(self, row: WatchRow, sound: Waveform) -> None:
        """Keep a copy of a clip; a full disk is no reason to stop watching: it is then not kept."""
        if self._max_bytes <= 0 or self._waits():
            return
        try:
            self._list_once()
            if self._has_room():
                self._write(row, sound)
            self._thin(_seconds(row.time))
        except OSError as error:
            self._note_failure(error.strerror or type(error).__name__)

    def _waits(self) -> bool:
        return self._failing_since is not None and time.monotonic() - self._failing_since < TRY_AGAIN_S

    def _note_failure(self, reason: str) -> None:
        if self._failing_since is None:
            logs.event("clips are not kept", reason=reason, folder=os.fspath(self._beside.clips))
        self._failing_since = time.monotonic()

    def _list_once(self) -> None:
        if self._is_listed:
            return
        for folder in (_ALARMS, _OTHERS):
            (self._beside.clips / folder).mkdir(parents=True, exist_ok=True)
            for litter in (self._beside.clips / folder).glob(f"*{_STAGED}"):
                litter.unlink(missing_ok=True)
        for clip in kept_clips(self._beside):
            (self._alarms if clip.of_alarm else self._hour).append(clip)
            self._n_bytes += clip.n_bytes
        self._is_listed = True

    def _has_room(self) -> bool:
        free = free_bytes(self._beside.clips)
        if free < self._least_free_bytes:
            self._note_failure(f"only {free / 1e6:.0f} MB are free")
        return free >= self._least_free_bytes

    def _write(self, row: WatchRow, sound: Waveform) -> None:
        content, of_alarm = encode_flac(sound.samples, sr=sound.sr), self._is_of_alarm(row)
        path = _place(self._beside, row.key, of_alarm=of_alarm)
        judged, staged = _seconds(row.time), path.with_suffix(_STAGED)
        try:
            with staged.open("xb") as stream:
                stream.write(content)
            os.utime(staged, (judged, judged))
            staged.replace(path)
        except OSError:
            staged.unlink(missing_ok=True)
            raise
        self._failing_since = None
        clip = KeptClip(row.key, path, judged, len(content), of_alarm)
        (self._alarms if of_alarm else self._hour).append(clip)
        self._n_bytes += len(content)
        if row.event == RAISED:
            self._keep_before_alarm()

    def _is_of_alarm(self, row: WatchRow) -> bool:
        self._n_of_alarm = 1 if row.event == RAISED else self._n_of_alarm + 1
        return bool(row.event) or (row.alarm and self._n_of_alarm <= MOST_OF_ALARM)

    def _keep_before_alarm(self) -> None:
        """Let the clips just before the one that raised an alarm belong to it."""
        raised_by = self._alarms.pop()
        before = [self._hour.pop() for _ in range(min(N_BEFORE, len(self._hour)))]
        for clip in reversed(before):
            path = _place(self._beside, clip.key, of_alarm=True)
            clip.path.replace(path)
            self._alarms.append(replace(clip, path=path, of_alarm=True))
        self._alarms.append(raised_by)

    def _thin(self, now: float) -> None:
        while self._hour and now - self._hour[0].judged > ALL_FOR_S:
            clip = self._hour.popleft()
            if clip.outlives_the_hour:
                self._week.append(clip)
            else:
                self._remove(clip)
        while self._week and now - self._week[0].judged > SOME_FOR_S:
            self._remove(self._week.popleft())
        while self._n_bytes > self._max_bytes:
            self._remove((self._week or self._hour or self._alarms).popleft())

    def _remove(self, clip: KeptClip) -> None:
        clip.path.unlink(missing_ok=True)
        self._n_bytes -= clip.n_bytes


def kept_path(beside: Beside, key: str) -> Path | None:
    """Where the copy of a row's clip lies; None where there is none, or `key` is no key."""
    if _NAME.fullmatch(f"{key}{_SUFFIX}") is None:
        return None
    places = (_place(beside, key, of_alarm=of_alarm) for of_alarm in (True, False))
    return next((path for path in places if _size(path)), None)


def kept_clips(beside: Beside) -> list[KeptClip]:
    """List all copies, the oldest first."""
    found = (clip for folder in (_ALARMS, _OTHERS) for clip in _listed(beside.clips / folder))
    return sorted(found, key=lambda clip: (clip.judged, clip.key))


def _listed(folder: Path) -> Iterator[KeptClip]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        name = _NAME.fullmatch(entry.name)
        if name is None or not entry.is_file(follow_symlinks=False):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # a watch has removed it
        yield KeptClip(name[1], Path(entry.path), status.st_mtime, status.st_size, folder.name == _ALARMS)


def _place(beside: Beside, key: str, *, of_alarm: bool) -> Path:
    return beside.clips / (_ALARMS if of_alarm else _OTHERS) / f"{key}{_SUFFIX}"


def _size(path: Path) -> int:
    """Bytes of a regular file; 0 where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
