"""When a file has arrived: clips below a folder that may be judged, each once per path, size and time of change.

A file is judged when it has been unchanged for the settling time, nobody has it open for writing as far as the system
tells, it was read in full, and it does not end in zeros that a copy may have reserved. Where one of the last two is
not so, more patience is had before it is judged with its warning, or refused. A file that got its name by a rename
need not settle. What is whole but has not settled is read and held: if the file is then overwritten (a ring buffer),
what was held is a clip of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_core.audio.recorded import Recorded
from asd_core.audio.segments import check_segments
from asd_core.data.folders import Skipped
from asd_core.errors import AudioError, UsageError
from asd_core.features.cache import split_name
from asd_core.monitoring.arriving.growing import Cut
from asd_core.monitoring.arriving.lookout import Lookout, Sighting, seen_as
from asd_core.monitoring.arriving.readings import (
    Print,
    Reading,
    ends_in_zeros,
    may_end_anywhere,
    read_as,
    states_its_end,
)
from asd_core.monitoring.arriving.segmented import Segmented
from asd_core.monitoring.arriving.settling import LEAST_SETTLE_S, MAX_SETTLE_S, Settle, Settling
from asd_core.monitoring.rows import Signature, WatchRow, unescaped
from asd_core.system.open_files import is_open_for_writing
from asd_core.types import Waveform

__all__ = [
    "LEAST_SETTLE_S",
    "MAX_SETTLE_S",
    "Arrival",
    "ArrivalSettings",
    "Arrivals",
    "FolderMissingError",
    "Settle",
]

READ_AFTER_S = 1.0
"""A file that has been unchanged for so long is read, and held until it has settled."""
MAX_HELD_BYTES, MAX_HELD_FILE_BYTES = 64 * 2**20, 16 * 2**20
"""Of all sounds that are held, and of a file that is read before it has settled."""
KEPT_PRINTS = 200
_WAKE_S = 0.1
_LEAST_WAIT_S = 0.02


@dataclass(frozen=True)
class ArrivalSettings:
    """How arrivals are recognised.

    Parameters
    ----------
    settle_s
        Seconds that a file must have been unchanged; None: learned from the folder, at least `LEAST_SETTLE_S`. With 0,
        files are taken as whole from the first moment.
    trusts_system
        Whether the system's notices of changes and its knowledge of open files are used where there are any; on
        network shares there are none.
    segment_s, hop_s
        Cut recordings into segments of this length and distance, also while they grow; None: each file is one clip,
        and segments lie one behind the other.
    patience_s
        Seconds that a file must have been unchanged that cannot be read in full; None: from the settling time.
    """

    settle_s: float | None = None
    trusts_system: bool = True
    segment_s: float | None = None
    hop_s: float | None = None
    patience_s: float | None = None

    def __post_init__(self) -> None:
        for seconds in (self.settle_s, self.patience_s):
            if seconds is not None and not 0 <= seconds <= MAX_SETTLE_S:
                raise UsageError(f"files settle within 0 to {MAX_SETTLE_S:g} s, got {seconds:g}")
        if self.segment_s is not None:
            check_segments(self.segment_s, self.segment_s if self.hop_s is None else self.hop_s)
        elif self.hop_s is not None:
            raise UsageError("a hop needs the length of segments: give both, or none")

    @property
    def cut(self) -> Cut | None:
        """How recordings are cut; None where each file is one clip."""
        if self.segment_s is None:
            return None
        return Cut(self.segment_s, self.segment_s if self.hop_s is None else self.hop_s)


@dataclass(frozen=True, eq=False)
class Arrival:
    """A clip that may be judged now.

    Parameters
    ----------
    path
        Its file.
    name
        What its row calls it: the path, with `#t=10,20` for a segment.
    signature
        The file's as it was read.
    sound
        What was read, or why it cannot be.
    recorded
        When it was recorded.
    replaces
        Key of the row of the same clip that was judged before the file was whole; usually empty.
    """

    path: str
    name: str
    signature: Signature
    sound: Waveform | AudioError
    recorded: Recorded | None
    replaces: str = ""


class FolderMissingError(Exception):
    """The watched folder is missing, a link, or cannot be read; `reason` says which."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(eq=False)
class _Waiting:
    """A file that is not judged yet.

    Parameters
    ----------
    first
        When it was first seen, by the clock that only goes on.
    since
        When it was last seen to change; of files that were there at the start, their own time.
    is_renamed
        Whether it got its name by a rename, and has not changed since.
    is_watched
        Whether it came while we looked.
    n_noted
        Files that had been seen to change when this one last did.
    closed
        Whether nobody had it open for writing when that was last asked; None where the system does not tell.
    is_quiet
        Whether it has paused, with nobody known to have it open, since its last change.
    pause_s
        The longest pause after which it went on growing although it had looked whole.
    last_pause_s
        The pause before its last change, until it is known whether it goes on or was overwritten.
    reading
        What it holds.
    earlier
        What it held, complete, before its last change, until that is known, too.
    has_shrunk
        Whether it became shorter than that, so that it was overwritten.
    is_elsewhere
        Whether other files changed between: a recorder that closes its file changes it alone.
    replaces
        Key of the row of the same clip that was judged before the file was whole.
    """

    path: str
    signature: Signature
    first: float
    since: float
    is_renamed: bool
    is_watched: bool
    n_noted: int
    closed: bool | None = None
    is_quiet: bool = False
    pause_s: float = 0.0
    last_pause_s: float = 0.0
    reading: Reading | None = None
    earlier: Reading | None = None
    has_shrunk: bool = False
    is_elsewhere: bool = False
    replaces: str = ""

    @property
    def n_held(self) -> int:
        """Bytes of the sounds that are held of it."""
        return sum(each.n_bytes for each in (self.reading, self.earlier) if each is not None)


@dataclass(frozen=True)
class _Judged:
    """A clip that was judged of late: its row, its print, and when its file had last changed."""

    key: str
    mark: Print
    since: float


class Arrivals:
    """The clips below a folder that have not been judged, as they become whole.

    Entered, it looks after the folder on a thread of its own; otherwise whenever it is asked.

    Parameters
    ----------
    channel
        Channel to hear, from 0; None takes the mean of all.
    clock
        A clock that only goes on, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        settings: ArrivalSettings,
        *,
        channel: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._settings, self._channel, self._clock = os.fspath(folder), settings, channel, clock
        self._lookout = Lookout(self._root, trusts_system=settings.trusts_system, clock=clock)
        self._settling = Settling(settings.settle_s, settings.patience_s)
        self._done: set[int] = set()
        self._unsigned: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._judged: OrderedDict[str, _Judged] = OrderedDict()
        self._segmented = None if settings.cut is None else Segmented(settings.cut, channel)
        self._n_noted = 0
        self._holding: dict[str, int] = {}
        self.n_early = 0
        """Clips that were judged before they were whole."""

    def __enter__(self) -> Self:
        self._lookout.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening for changes."""
        self._lookout.__exit__(kind, error, trace)

    @property
    def settle(self) -> Settle:
        """How long files must be unchanged now."""
        return self._settling.settle(knows_writers=self._lookout.sees_writers)

    @property
    def notices(self) -> str:
        """`system` where the system reports changes, `polling` where the folder is looked through."""
        return self._lookout.kind

    @property
    def n_waiting(self) -> int:
        """Files that are not judged yet."""
        return len(self._waiting)

    def know(self, row: WatchRow) -> None:
        """Take over a row that was written earlier; in the order of the table."""
        name = unescaped(row.path)
        if self._segmented is not None and split_name(name)[1] is not None:
            if self._segmented.know(name, row):
                self._finish(split_name(name)[0], row.signature)
        elif row.signature is None:
            self._unsigned.add(name)
        else:
            self._finish(name, row.signature)

    def due(self) -> Iterator[Arrival]:
        """Read and yield the clips that may be judged now, the oldest first, then by name.

        Raises
        ------
        FolderMissingError
            The folder is missing, a link, or cannot be read.
        """
        try:
            sightings = self._lookout.take()
        except OSError as error:
            raise FolderMissingError(error) from error
        for sighting in sightings:
            self._note(sighting)
        self._unsigned.clear()  # what was not there at the first look comes anew
        now, segmented = self._clock(), self._segmented
        for each in sorted(self._waiting.values(), key=lambda each: (each.signature[1], each.path)):
            if self._waiting.get(each.path) is each:
                yield from self._hear(each, now) if segmented is None else self._hear_segments(each, segmented, now)

    def heard(self, arrival: Arrival, row: WatchRow) -> None:
        """Note that an arrival's row is on the disk."""
        if arrival.name != arrival.path and self._segmented is not None:
            self.n_early += bool(arrival.replaces)
            self._segmented.heard(arrival.name, arrival.signature, row)
            return
        self._learn(arrival)
        self._finish(arrival.path, arrival.signature)
        each = self._waiting.get(arrival.path)
        since = self._clock() if each is None else each.since
        if each is not None and each.signature == arrival.signature:
            self._drop(each)
        if isinstance(arrival.sound, Waveform):
            self._judged[arrival.path] = _Judged(row.key, Print.of(arrival.sound), since)
            self._judged.move_to_end(arrival.path)
            if len(self._judged) > KEPT_PRINTS:
                self._judged.popitem(last=False)

    def _learn(self, arrival: Arrival) -> None:
        """Learn from how a file grew; of one that was judged too early that has been learned when it was read."""
        self.n_early += bool(arrival.replaces)
        each = self._waiting.get(arrival.path)
        if each is not None and each.is_watched and each.signature == arrival.signature and not each.replaces:
            self._settling.note(each.pause_s)

    def _learn_early(self, each: _Waiting, sound: Waveform | AudioError) -> None:
        """Find out whether a clip was judged before its file was whole, and wait longer from now on."""
        judged = self._judged.get(each.path)
        if judged is None or each.replaces or not judged.mark.goes_on_in(sound):
            return
        each.replaces = judged.key
        if not judged.mark.is_cut:
            self._settling.note(each.first - judged.since)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait until something may have arrived, at most so long, or until stopped."""
        self._lookout.pace_s = seconds
        end = time.monotonic() + min(seconds, max(_LEAST_WAIT_S, self._next_in()))
        while not stop.is_set() and not self._lookout.has_urgent:
            left = end - time.monotonic()
            if left <= 0:
                return
            stop.wait(min(left, _WAKE_S))

    def skipped(self, *, but: Set[str]) -> Skipped:
        """What is no clip now, by path below the folder; `but` are paths of our own files."""
        others = ((kind, path) for kind, path in self._lookout.others() if path not in but)
        return Skipped.of((kind, os.path.relpath(path, self._root)) for kind, path in others)

    def _finish(self, path: str, signature: Signature | None) -> None:
        if signature is not None:
            self._done.add(hash((path, signature)))

    def _note(self, sighting: Sighting) -> None:
        """Take in a file that came or changed."""
        path, signature = sighting.path, sighting.signature
        self._n_noted += 1
        each = self._waiting.get(path)
        if path in self._unsigned:
            self._finish(path, signature)
        if hash((path, signature)) in self._done:
            if each is not None:
                self._drop(each)
        elif each is None:
            age_s = max(0.0, time.time() - signature[1] / 1e9) if sighting.was_there else 0.0
            is_watched, since = not sighting.was_there, sighting.at - age_s
            self._waiting[path] = _Waiting(
                path, signature, sighting.at, since, sighting.is_renamed, is_watched, self._n_noted
            )
        elif each.signature != signature:
            self._note_change(each, sighting)

    def _note_change(self, each: _Waiting, sighting: Sighting) -> None:
        """Take in that a waiting file has changed: it goes on, or is overwritten; the next reading tells."""
        reading, pause_s = each.reading, sighting.at - each.since
        if each.earlier is None and reading is not None and reading.is_complete:
            each.earlier, each.last_pause_s = reading, pause_s
            each.is_elsewhere = self._n_noted - each.n_noted > 1
        elif reading is None and each.is_quiet:
            each.pause_s = max(each.pause_s, pause_s)
        self._hold(each, None)
        if each.earlier is not None and sighting.signature[0] < each.earlier.signature[0]:
            each.has_shrunk = True
        each.signature, each.since, each.n_noted = sighting.signature, sighting.at, self._n_noted
        each.is_renamed, each.closed, each.is_quiet = sighting.is_renamed, None, False

    def _hear(self, each: _Waiting, now: float) -> Iterator[Arrival]:
        """Yield what a waiting file held before it was overwritten, and what it holds, where that may be judged."""
        if each.has_shrunk:
            yield from self._hear_earlier(each)
        quiet_s, settle_s = now - each.since, self._settle_s(each)
        if quiet_s < min(READ_AFTER_S, settle_s) or self._is_open(each, quiet_s):
            return
        each.is_quiet = True
        reading = each.reading
        if reading is None:
            if quiet_s < settle_s and not self._may_hold(each):
                return
            reading = self._read(each)
            if reading is None:
                return
            if self._is_overwritten(each, reading):
                yield from self._hear_earlier(each)
            self._learn_early(each, reading.sound)
        if quiet_s >= self._needed_s(each, reading) and self._is_still_so(each, reading, now):
            yield from self._hear_earlier(each)
            yield self._arrival(each, each.reading or reading)

    def _settle_s(self, each: _Waiting) -> float:
        return 0.0 if each.is_renamed else self.settle.seconds

    def _needed_s(self, each: _Waiting, reading: Reading) -> float:
        """How long the file must be unchanged, after what was read of it."""
        settle_s = self._settle_s(each)
        if reading.is_complete and (reading.states_end or each.closed):
            return settle_s
        return self._patience_s(each)

    def _patience_s(self, each: _Waiting) -> float:
        return max(self._settle_s(each), self._settling.patience_s(self.settle.seconds))

    def _is_open(self, each: _Waiting, quiet_s: float) -> bool:
        """Whether somebody has the file open for writing; what notices say is believed for a while only."""
        if not self._lookout.sees_writers:
            return False
        is_open = is_open_for_writing(each.path)
        if is_open is None:
            each.closed = None
            return self._lookout.is_written(each.path) and quiet_s < self._patience_s(each)
        has_changed = seen_as(each.path) != each.signature  # and been closed, which is not reported yet
        each.closed = not is_open and not has_changed
        return not each.closed

    def _may_hold(self, each: _Waiting) -> bool:
        return each.signature[0] <= MAX_HELD_FILE_BYTES and sum(self._holding.values()) <= MAX_HELD_BYTES

    def _hold(self, each: _Waiting, reading: Reading | None) -> None:
        each.reading = reading
        self._weigh(each)

    def _weigh(self, each: _Waiting) -> None:
        if each.n_held:
            self._holding[each.path] = each.n_held
        else:
            self._holding.pop(each.path, None)

    def _drop(self, each: _Waiting) -> None:
        self._waiting.pop(each.path, None)
        self._holding.pop(each.path, None)

    def _read(self, each: _Waiting) -> Reading | None:
        """Read a file and hold what it says; None where it is gone or has changed by now."""
        reading = read_as(each.path, each.signature, channel=self._channel)
        if reading is None:
            self._drop_if_gone(each)
        self._hold(each, reading)
        return reading

    def _drop_if_gone(self, each: _Waiting) -> bool:
        is_gone = seen_as(each.path) is None
        if is_gone:
            self._lookout.forget(each.path, each.signature)
            self._drop(each)
        return is_gone

    def _is_overwritten(self, each: _Waiting, reading: Reading) -> bool:
        """Whether what a file held before its last change was a clip of its own; unknown is no."""
        earlier = each.earlier
        if earlier is None or isinstance(earlier.sound, AudioError) or isinstance(reading.sound, AudioError):
            return False
        goes_on = Print.of(earlier.sound).goes_on_in(reading.sound)
        if goes_on:
            each.pause_s = max(each.pause_s, each.last_pause_s)
        if goes_on or (reading.says_the_same(earlier) and not each.is_elsewhere):
            each.earlier = None
            self._weigh(each)
        return each.earlier is not None

    def _hear_earlier(self, each: _Waiting) -> Iterator[Arrival]:
        """Yield what a file held before it was overwritten."""
        earlier, each.earlier, each.has_shrunk = each.earlier, None, False
        self._weigh(each)
        if earlier is not None:
            yield self._arrival(each, earlier)
            each.first, each.pause_s, each.replaces = each.since, 0.0, ""

    def _is_still_so(self, each: _Waiting, reading: Reading, now: float) -> bool:
        """Whether a file still holds what was read; one that was not complete is read again, its time may lie."""
        if reading.is_complete:
            is_same = seen_as(each.path) == each.signature
            if not is_same:
                self._drop_if_gone(each)
            return is_same
        again = self._read(each)
        if again is None:
            return False
        if not again.says_the_same(reading):
            each.since = now
        return again.says_the_same(reading)

    def _arrival(self, each: _Waiting, reading: Reading) -> Arrival:
        return Arrival(each.path, each.path, reading.signature, reading.sound, reading.recorded, each.replaces)

    def _hear_segments(self, each: _Waiting, segmented: Segmented, now: float) -> Iterator[Arrival]:
        """Yield the segments that a file holds by now, and its end once it is whole."""
        quiet_s = now - each.since
        signature = seen_as(each.path)
        if signature is None:
            self._drop_if_gone(each)
            return
        is_whole = signature == each.signature and self._may_be_whole(each, quiet_s)
        try:
            for heard in segmented.new(each.path, signature, is_whole=is_whole):
                yield Arrival(
                    *(each.path, heard.name, signature, heard.segment.waveform, heard.recorded, heard.replaces)
                )
        except AudioError as error:
            is_whole = is_whole and quiet_s >= self._patience_s(each)
            if is_whole and not segmented.has_begun(each.path):
                yield Arrival(each.path, each.path, signature, error, None)
        if is_whole and each.path in self._waiting:
            self._finish(each.path, signature)
            if each.is_watched:
                self._settling.note(each.pause_s)
            self._drop(each)

    def _may_be_whole(self, each: _Waiting, quiet_s: float) -> bool:
        """Whether a recording that is cut into segments no longer grows."""
        settle_s = self._settle_s(each)
        if quiet_s < settle_s or self._is_open(each, quiet_s):
            return False
        each.is_quiet = True
        is_sure = states_its_end(each.path) or (each.closed and may_end_anywhere(each.path))
        return (is_sure and not ends_in_zeros(each.path)) or quiet_s >= self._patience_s(each)

    def _next_in(self) -> float:
        """Seconds until the next file may be judged."""
        now, settle_s = self._clock(), self.settle.seconds
        steps = sorted((min(READ_AFTER_S, settle_s), settle_s, self._settling.patience_s(settle_s)))
        return min(
            (step - (now - each.since) for each in self._waiting.values() for step in steps if step > now - each.since),
            default=MAX_SETTLE_S,
        )
