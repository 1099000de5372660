"""Listening all day: clips are scored as they arrive in a folder, and alarms raised and cleared.

A clip has arrived when its header says where it ends and it can be read up to there, or when its size and time are the
same at two looks. It is then judged,
once per path, and added to the table; a path in the table is never judged again. Sub-folders are included; hidden files
and folders, those of operating systems and files that are no recordings are not, but counted. Links are refused, never
followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.audio.kinds import readable_suffixes
from asd_core.audio.opening import opened
from asd_core.audio.reading import read_waveform
from asd_core.data.folders import Skipped, check_is_folder, litter_kind
from asd_core.detectors.contract import Detector
from asd_core.errors import AudioError, UsageError
from asd_core.features.familiarity import ClipTraits, traits
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.monitoring.alarms import DRIFT_CLIPS, MAX_WINDOW, AlarmRule, Judge
from asd_core.monitoring.rows import CLEARED, RAISED, WatchRow, unescaped
from asd_core.monitoring.table import WatchTable, default_table, open_table, own_files
from asd_core.system.clock import utc_now
from asd_core.tasks.score import score_waveform
from asd_core.types import Waveform

MIN_POLL_S, MAX_POLL_S = 0.05, 3600.0
SETTLED_S = 3.0
"""A folder that changed less than this ago may change again within one tick of its clock; FAT's tick is 2 s."""
RELIST_S = 60.0
"""A folder is listed again after this long in any case: some network file systems never report a change."""

LINKED = "linked folders"

Signature = tuple[int, int]
"""Size in bytes and time of the last change in ns: a file that is still being written changes one of them."""


@dataclass(frozen=True)
class WatchRequest:
    """What to watch, and how.

    Parameters
    ----------
    model
        A detector folder, or one version in it. The version that is current at the start judges until the end.
    table
        CSV file of the rows; None means one in the data folder, the same at each start.
    n_drift
        Number of clips whose median is compared with the training clips.
    poll_s
        Seconds between two looks at the folder.
    once
        Judge what is there, then end.
    """

    folder: Path
    model: Path
    table: Path | None = None
    rule: AlarmRule = field(default_factory=AlarmRule)
    n_drift: int = DRIFT_CLIPS
    poll_s: float = 1.0
    once: bool = False

    def __post_init__(self) -> None:
        if not MIN_POLL_S <= self.poll_s <= MAX_POLL_S:
            raise UsageError(f"looks must be {MIN_POLL_S} to {MAX_POLL_S:g} s apart, got {self.poll_s:g}")
        if not 1 <= self.n_drift <= MAX_WINDOW:
            raise UsageError(f"drift takes 1 to {MAX_WINDOW} clips, got {self.n_drift}")


@dataclass
class WatchReport:
    """What a watch did from its start to its end."""

    folder: Path
    table: Path
    model: Path
    title: str
    simulated: bool
    rule: AlarmRule
    n_before: int = 0
    n_judged: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    n_raised: int = 0
    n_cleared: int = 0
    alarm: bool = False
    drift: str = ""
    skipped: Skipped = field(default_factory=Skipped)
    warnings: list[str] = field(default_factory=list)

    def count(self, row: WatchRow) -> None:
        """Add a row."""
        self.n_judged += 1
        self.n_raised += row.event == RAISED
        self.n_cleared += row.event == CLEARED
        if row.status == "refused":
            self.refused.append({"path": row.path, "reason": row.reason})

    def to_json(self) -> dict[str, Any]:
        """Return the summary of the `watch` command."""
        own = {name: getattr(self, name) for name in ("title", "simulated", "n_before", "n_judged", "refused")}
        own |= {name: getattr(self, name) for name in ("n_raised", "n_cleared", "alarm", "drift", "warnings")}
        own |= {name: os.fspath(getattr(self, name)) for name in ("folder", "table", "model")}
        own["skipped"] = self.skipped.to_json()
        return {"schema": 1, "command": "watch", **own, "rule": {"k": self.rule.k, "n": self.rule.n}}


def watch(
    request: WatchRequest, *, stop: threading.Event | None = None, say: Callable[[str], None] = lambda _: None
) -> WatchReport:
    """Judge clips as they arrive until `stop` is set; a kill loses nothing: the next start continues from the table.

    Parameters
    ----------
    stop
        Checked between clips, and waited for between looks.
    say
        Receives one line for people at each alarm, drift or problem with the folder.

    Raises
    ------
    UsageError
        No such folder at the start, or an unsuitable table.
    BusyError
        Another watch writes to the table.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    OSError
        The table cannot be written.
    """
    check_is_folder(request.folder)
    folder = request.folder.resolve()
    artifact = open_artifact(request.model)
    path = request.table or default_table(folder, artifact)
    with open_table(path) as table:
        watcher = _Watcher(request, folder, artifact, artifact.detector(), table, stop or threading.Event(), say)
        watcher.recall()
        watcher.run()
        return watcher.report


class _Watcher:
    """A running watch: what it has judged, what it waits for, and the alarm."""

    def __init__(
        self,
        request: WatchRequest,
        folder: Path,
        artifact: Artifact,
        detector: Detector,
        table: WatchTable,
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._request, self._folder, self._artifact, self._detector = request, folder, artifact, detector
        self._table, self._stop, self._say = table, stop, say
        self._judge = Judge(request.rule, artifact.familiarity, request.n_drift)
        self._done: set[str] = set()
        self._waiting = _Waiting(folder, self._done)
        self._unfinished: dict[str, Signature] = {}
        self._is_missing = False
        self.report = WatchReport(folder, table.path, artifact.folder, artifact.title, artifact.simulated, request.rule)

    def recall(self) -> None:
        """Read what the table holds, and say how the watch begins."""
        for row in self._table.rows():
            self._done.add(unescaped(row.path))
            self._judge.recall(row)
        self.report.n_before = len(self._done)
        self._warn_at_start()
        rule = self.report.rule
        mark = f", {TRAINED_ON_SIMULATED}" if self.report.simulated else ""
        self._say(
            f"watching {self._folder} with {self.report.title} ({self._artifact.version}{mark}): an alarm is raised by "
            f"{rule.k} anomalous of the last {rule.n} clips and cleared by {rule.most_when_clear} or fewer; "
            f"rows go to {self._table.path}"
        )
        if self._done:
            self._say(f"{len(self._done)} clips are in the table already; alarm {'on' if self._judge.alarm else 'off'}")

    def _warn_at_start(self) -> None:
        if self._table.damaged:
            self.report.warnings.append(f"{self._table.damaged} damaged lines in {self._table.path} were skipped")
        if self._artifact.threshold.value is None:
            self.report.warnings.append("the detector has no threshold: no verdicts and no alarms")
        if self._artifact.familiarity is None:
            self.report.warnings.append("the detector does not know its training clips' traits: no drift")

    def run(self) -> None:
        """Look, judge, wait, until stopped; or until nothing is left to judge."""
        while not self._stop.is_set():
            found = self._look()
            if found is not None:
                self._judge_arrived(found)
            if self._request.once and not self._unfinished:
                break
            self._stop.wait(self._request.poll_s)
        self.report.alarm, self.report.drift = self._judge.alarm, self._judge.drift
        self.report.skipped = self._waiting.skipped(but=own_files(self._table.path))

    def _look(self) -> dict[str, Signature] | None:
        """Clips not judged yet, the oldest first, then by name; None while the folder is missing."""
        try:
            found = self._waiting.look()
        except OSError as error:
            if self._request.once:
                raise
            if not self._is_missing:
                self._say(f"waiting for {self._folder}: {error.strerror}")
            self._is_missing = True
            return None
        if self._is_missing:
            self._say(f"{self._folder} is back")
        self._is_missing = False
        return dict(sorted(found.items(), key=lambda item: (item[1][1], item[0])))

    def _judge_arrived(self, found: dict[str, Signature]) -> None:
        self._unfinished = {path: signature for path, signature in self._unfinished.items() if path in found}
        for path, signature in found.items():
            if self._stop.is_set():
                return
            sound = _read(path, self._artifact.channel)
            if sound is None:
                continue
            if not _is_whole(path, sound) and self._unfinished.get(path) != signature:
                self._unfinished[path] = signature
                continue
            self._unfinished.pop(path, None)
            self._write(path, sound)

    def _write(self, path: str, sound: Waveform | AudioError) -> None:
        model = os.fspath(self._artifact.folder)
        scored = score_waveform(sound, self._artifact, self._detector, path=path, model=model)
        drift = self._judge.drift
        now = utc_now("milliseconds")
        row = self._judge.judge(scored, _traits(sound), now=now)
        self._table.append(row)
        self._done.add(path)
        self.report.count(row)
        self._tell(row, drift)

    def _tell(self, row: WatchRow, drift_before: str) -> None:
        if row.status == "refused":
            self._say(f"{row.time} refused {row.path}: {row.reason}")
        if row.event:
            counts = f"{self._judge.n_anomalous} of the last {self.report.rule.n} clips anomalous"
            self._say(f"{row.time} alarm {row.event}: {counts}, at {row.path}")
        if bool(row.drift) != bool(drift_before):
            self._say(f"{row.time} drift: {row.drift or 'gone'}")


@dataclass
class _Listed:
    """A folder as it was listed: its inode and time of change, what is in it, and when it was listed.

    `others` are kind and path of what is no clip.
    """

    inode: int
    changed_ns: int
    folders: list[str]
    clips: list[str]
    others: list[tuple[str, str]]
    at: float
    was_settled: bool

    def holds(self, status: os.stat_result) -> bool:
        """Whether a folder of this status need not be listed again."""
        same = (self.inode, self.changed_ns) == (status.st_ino, status.st_mtime_ns)
        return same and self.was_settled and time.monotonic() - self.at < RELIST_S


class _Waiting:
    """Clips below a folder that are not judged yet.

    The work of a look grows with the folders and the waiting clips, not with the judged ones. A folder is listed only
    when it has changed: files that arrive, disappear or are renamed change its time.

    Parameters
    ----------
    done
        Paths of judged clips; the owner adds to them.
    """

    def __init__(self, folder: Path, done: Set[str]) -> None:
        self._root, self._done = os.fspath(folder), done
        self._listed: dict[str, _Listed] = {}

    def look(self) -> dict[str, Signature]:
        """Path and signature of each clip that waits; raises OSError where the folder is a link or cannot be read."""
        if Path(self._root).is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it has become a link, which is not followed", self._root)
        listed: dict[str, _Listed] = {}
        found: dict[str, Signature] = {}
        places = [self._root]
        while places:
            place = places.pop()
            try:
                now = listed[place] = self._listing(place)
            except OSError:
                if place == self._root:
                    raise
                continue  # a sub-folder is gone
            places += now.folders
            now.clips = [clip for clip in now.clips if clip not in self._done]
            found |= {clip: signature for clip in now.clips if (signature := _signature(clip)) is not None}
        self._listed = listed
        return found

    def skipped(self, *, but: Set[str]) -> Skipped:
        """What was no clip at the last look, by path below the folder; `but` are paths of our own files."""
        return Skipped.of(
            (kind, os.path.relpath(path, self._root))
            for listed in self._listed.values()
            for kind, path in listed.others
            if path not in but
        )

    def _listing(self, place: str) -> _Listed:
        status = Path(place).stat(follow_symlinks=place == self._root)
        before = self._listed.get(place)
        return before if before is not None and before.holds(status) else _list(place, status)


def _list(place: str, status: os.stat_result) -> _Listed:
    """List the sub-folders, the audio files and all else in a folder; links are not followed."""
    folders, clips, others = [], [], []
    suffixes = readable_suffixes()
    with os.scandir(place) as entries:
        for entry in entries:
            if (kind := _kind(entry, suffixes)) is not None:
                others.append((kind, entry.path))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                clips.append(entry.path)
    was_settled = time.time() - status.st_mtime > SETTLED_S
    return _Listed(status.st_ino, status.st_mtime_ns, folders, clips, others, time.monotonic(), was_settled)


def _kind(entry: os.DirEntry[str], suffixes: Sequence[str]) -> str | None:
    """Kind under which an entry is passed over; None for a folder and for what is called like a recording."""
    if (kind := litter_kind(entry.name)) is not None or entry.is_dir(follow_symlinks=False):
        return kind
    suffix = Path(entry.name).suffix.lower()
    if suffix in suffixes:
        return None
    return LINKED if entry.is_dir() else suffix or "without suffix"


def _signature(path: str) -> Signature | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _read(path: str, channel: int | None) -> Waveform | AudioError | None:
    """Read a clip, or the reason why it cannot be read; None where it is gone by now."""
    try:
        return read_waveform(path, channel=channel)
    except AudioError as error:
        return error if os.path.lexists(path) else None


def _is_whole(path: str, sound: Waveform | AudioError) -> bool:
    if isinstance(sound, AudioError) or any(line.startswith(("truncated", "unfinished")) for line in sound.warnings):
        return False
    return _states_its_end(path)


def _states_its_end(path: str) -> bool:
    """Whether a readable file says where it ends; others, such as an MP3, can be read at any time while they grow."""
    with contextlib.suppress(AudioError), opened(path) as descriptor:
        start, n_bytes = os.read(descriptor, 8), os.fstat(descriptor).st_size
        length = int.from_bytes(start[4:], "little")
        return start[:4] == b"fLaC" or (start[:4] == b"RIFF" and 0 < length <= n_bytes - 8)
    return False


def _traits(sound: Waveform | AudioError) -> ClipTraits | None:
    return traits(sound) if isinstance(sound, Waveform) else None
