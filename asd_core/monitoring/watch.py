"""Listening all day: clips are scored as they arrive in a folder, and alarms raised and cleared.

What has arrived is the affair of `monitoring.arriving.arrivals`: a clip is judged once it is whole, and once per path,
size and time of change. Each clip is a row of the table, which alone is the watch's memory; what somebody must be told
is written to the log of events before anything is sent. A kill at any moment loses neither: the next start goes on from
both.
Sub-folders are included; hidden files and folders, those of operating systems and files that are no recordings are not,
but counted. Links are refused, never followed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.data.folders import Skipped, check_is_folder
from asd_core.detectors.contract import Detector
from asd_core.errors import AsdError, AudioError, UsageError
from asd_core.features.familiarity import ClipTraits, traits
from asd_core.formats import TRAINED_ON_SIMULATED, counted
from asd_core.monitoring.alarms import (
    DRIFT_CLIPS,
    AlarmRule,
    AskedRule,
    Judge,
    check_can_judge,
    settle_rule,
    write_rule,
)
from asd_core.monitoring.arriving.arrivals import Arrival, Arrivals, ArrivalSettings, FolderMissingError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.budget import Budget, Rhythm, learn_rhythm
from asd_core.monitoring.control import Control, read_control
from asd_core.monitoring.hearing import Hearing, HearingRules, StateChange
from asd_core.monitoring.kept import DEFAULT_KEPT_MB, Keeper
from asd_core.monitoring.pulse import Pulse, PulseSettings
from asd_core.monitoring.rows import WatchRow, alarm_event, escaped
from asd_core.monitoring.status import (
    ENDED,
    HEARTBEAT_S,
    LISTENING,
    PAUSED,
    WAITING,
    NewestClip,
    WatchStatus,
)
from asd_core.monitoring.table import Tail, WatchTable, default_table, open_table, own_files
from asd_core.monitoring.tallies import MAX_WINDOW, Rule
from asd_core.monitoring.telling import events
from asd_core.monitoring.telling.events import CLEARED, RAISED, EventLog, WatchEvent, event_id
from asd_core.monitoring.telling.outbox import Outbox, TellSettings
from asd_core.system.clock import Moment, moment
from asd_core.system.disk import free_bytes
from asd_core.system.files import DiskFullError
from asd_core.system.processes import process_start
from asd_core.tasks.score import score_waveform
from asd_core.types import Waveform

MIN_POLL_S, MAX_POLL_S = 0.05, 3600.0
DISK_WAIT_S = 1.0


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
    rule
        What raises an alarm; a budget is settled for the detector and the rhythm of its clips.
    every_s
        Seconds from one clip to the next, for a budget; None: learned from the table, where it holds enough.
    record
        Record scores even if no alarm can ever be raised.
    poll_s
        Seconds between two looks at the folder.
    once
        Judge what is there, then end.
    machine
        What its owner calls the machine; empty: the name of the folder.
    arrivals, hearing, tell
        How arrivals are recognised, when the watch calls itself deaf, and who is told.
    kept_bytes
        Most bytes of copies of clips beside the table.
    pulse
        Who is shown that the watch lives.
    """

    folder: Path
    model: Path
    table: Path | None = None
    rule: AskedRule = field(default_factory=AlarmRule)
    every_s: float | None = None
    record: bool = False
    n_drift: int = DRIFT_CLIPS
    poll_s: float = 1.0
    once: bool = False
    machine: str = ""
    arrivals: ArrivalSettings = field(default_factory=ArrivalSettings)
    hearing: HearingRules = field(default_factory=HearingRules)
    tell: TellSettings = field(default_factory=TellSettings)
    kept_bytes: int = DEFAULT_KEPT_MB * 10**6
    pulse: PulseSettings = field(default_factory=PulseSettings)

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
    rule: Rule
    n_before: int = 0
    n_judged: int = 0
    n_early: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    n_raised: int = 0
    n_cleared: int = 0
    alarm: bool = False
    drift: str = ""
    settle_s: float = 0.0
    skipped: Skipped = field(default_factory=Skipped)
    warnings: list[str] = field(default_factory=list)

    def count(self, row: WatchRow) -> None:
        """Add a row."""
        self.n_judged += 1
        self.n_early += bool(row.replaces)
        self.n_raised += row.event == RAISED
        self.n_cleared += row.event == CLEARED
        if row.status == "refused":
            self.refused.append({"path": row.path, "reason": row.reason})

    def to_json(self) -> dict[str, Any]:
        """Return the summary of the `watch` command."""
        names = ("title", "simulated", "n_before", "n_judged", "n_early", "refused", "n_raised", "n_cleared")
        own = {name: getattr(self, name) for name in (*names, "alarm", "drift", "settle_s", "warnings")}
        own |= {name: os.fspath(getattr(self, name)) for name in ("folder", "table", "model")}
        own["skipped"] = self.skipped.to_json()
        return {"schema": 1, "command": "watch", **own, "rule": self.rule.to_json()}


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
    check_can_judge(artifact, record=request.record, rule=request.rule)
    path = request.table or default_table(folder, artifact)
    with open_table(path) as table:
        return _Watcher(request, folder, artifact, artifact.detector(), table, stop or threading.Event(), say).run()


class _Watcher:
    """A running watch: what it waits for, the alarm, and what it tells."""

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
        self._beside = Beside(table.path)
        self._machine = escaped(request.machine or folder.name)
        rule = settle_rule(request.rule, artifact, rhythm=_rhythm(request, table))
        reference = artifact.scores.of("heldout").anomaly_scores
        self._judge = Judge(rule, artifact.familiarity, request.n_drift, reference)
        self._arrivals = Arrivals(folder, request.arrivals, channel=artifact.channel)
        self._hearing = Hearing(request.hearing, artifact.familiarity)
        self._log, self._outbox = EventLog(self._beside.events), Outbox(self._beside, request.tell)
        self._keeper = Keeper(self._beside, request.kept_bytes)
        self._pulse = Pulse(self._beside.status, request.pulse)
        self._control = Control()
        self._newest: NewestClip | None = None
        self._alarm_since = ""
        self._unwritten: deque[WatchEvent] = deque()
        self._missing, self._died = "", False
        self._started, self._written = moment(), 0.0
        self.report = WatchReport(folder, table.path, artifact.folder, artifact.title, artifact.simulated, rule)

    def run(self) -> WatchReport:
        """Recall, then look, judge and wait, until stopped; or until nothing is left to judge."""
        with ExitStack() as stack:
            stack.enter_context(self._pulse)
            self._recall()
            stack.enter_context(self._outbox)
            stack.enter_context(self._arrivals)
            died = "; the watch before it was killed or died" if self._died else ""
            mark = f", {TRAINED_ON_SIMULATED}" if self.report.simulated else ""
            self._tell_of_watch(events.STARTED, f"listening to {self._folder}: {self.report.title}{mark}{died}")
            try:
                self._listen()
            except (AsdError, OSError) as error:
                self._tell_of_watch(events.ENDED, f"ended by an error: {error}")
                self._beat(ENDED)
                raise
            self._tell_of_watch(events.ENDED, f"ended after {counted(self.report.n_judged, 'clip')}")
        self._beat(ENDED)
        self.report.alarm, self.report.drift = self._judge.alarm, self._judge.drift
        self.report.settle_s = self._arrivals.settle.seconds
        self.report.skipped = self._arrivals.skipped(but=own_files(self._table.path))
        return self.report

    def _listen(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._tick()
            if self._request.once and not self._arrivals.n_waiting:
                return
            self._arrivals.wait(self._request.poll_s, self._stop)

    def _recall(self) -> None:
        """Read what the table and the log hold, write events that a kill kept from the log, and say how it begins."""
        told = self._log.open()
        self._hearing.recall(told)
        self._died = [event.kind for event in told if event.kind in (events.STARTED, events.ENDED)][-1:] == [
            events.STARTED
        ]
        for row in self._table.rows():
            self._arrivals.know(row)
            self._judge.recall(row)
            self._hearing.know(row)
            self._note_newest(row)
            self.report.n_before += 1
            if row.event:
                self._write_event(alarm_event(row, machine=self._machine, evidence=self._judge.evidence))
        with contextlib.suppress(OSError):  # a full disk: alarms are then replayed by the default rule
            write_rule(self._beside.rule, self.report.rule)
        self._warn_at_start()
        mark = f", {TRAINED_ON_SIMULATED}" if self.report.simulated else ""
        self._say(
            f"watching {self._folder} with {self.report.title} ({self._artifact.version}{mark}): an alarm is "
            f"{self.report.rule.text}; rows go to {self._table.path}"
        )
        settle = self._arrivals.settle
        self._say(f"a file is judged when it has not changed for {settle.seconds:g} s ({settle.origin})")
        if self.report.n_before:
            alarm = "on" if self._judge.alarm else "off"
            self._say(f"{self.report.n_before} clips are in the table already; alarm {alarm}")

    def _warn_at_start(self) -> None:
        if self._table.damaged:
            self.report.warnings.append(f"{self._table.damaged} damaged lines in {self._table.path} were skipped")
        if self._artifact.threshold.value is None:
            alarms = " and no alarms" if isinstance(self.report.rule, AlarmRule) else ""
            self.report.warnings.append(f"the detector has no threshold: no verdicts{alarms}")
        if self._artifact.familiarity is None:
            self.report.warnings.append("the detector does not know its training clips' traits: no drift")

    def _look(self) -> None:
        """Judge what has arrived."""
        try:
            for arrival in self._arrivals.due():
                if self._stop.is_set():
                    return
                self._judge_clip(arrival)
        except FolderMissingError as error:
            self._miss(error)
        else:
            self._find()

    def _miss(self, error: FolderMissingError) -> None:
        if self._request.once:
            raise error.reason
        if not self._missing:
            self._say(f"waiting for {self._folder}: {error.reason.strerror}")
        self._missing = error.reason.strerror or "no reason known"

    def _find(self) -> None:
        if self._missing:
            self._say(f"{self._folder} is back")
        self._missing = ""

    def _judge_clip(self, arrival: Arrival) -> None:
        model, sound, now = os.fspath(self._artifact.folder), arrival.sound, moment()
        paused = self._control.is_paused(now.wall)
        scored = score_waveform(sound, self._artifact, self._detector, path=arrival.name, model=model)
        drift = self._judge.drift
        row = self._judge.judge(scored, _traits(sound), now=now.text, replaces=arrival.replaces, paused=paused)
        row = _placed(row, arrival)
        if not self._append(row):
            return
        self._arrivals.heard(arrival, row)
        self.report.count(row)
        self._note_newest(row)
        if isinstance(sound, Waveform):  # before anybody is told, so that a message can carry the clip
            self._keeper.keep(row, sound)
        if row.event:
            self._write_event(alarm_event(row, machine=self._machine, evidence=self._judge.evidence))
        self._tell_changes(self._hearing.heard(row, sound, now), now)
        self._tell(row, drift)
        self._tick()

    def _append(self, row: WatchRow) -> bool:
        """Write a row, waiting for room where the disk is full; False where the watch was stopped meanwhile."""
        is_told = False
        while True:
            try:
                self._table.append(row)
            except DiskFullError as error:
                if self._request.once:
                    raise
                if not is_told:
                    self._say(f"waiting for room on the disk: {error.strerror or error}")
                is_told = True
                self._beat()
                if self._stop.wait(DISK_WAIT_S):
                    return False
            else:
                if is_told:
                    self._say("there is room on the disk again")
                return True

    def _note_newest(self, row: WatchRow) -> None:
        self._newest = NewestClip(row.key, row.time, row.recorded, row.anomaly_score, row.threshold, row.verdict)
        if row.event:
            self._alarm_since = row.time if row.event == RAISED else ""

    def _tick(self) -> None:
        """Look at the clocks, the disk and what is asked, and let the heart beat; not more often than is needed."""
        now = moment()
        if now.monotonic - self._written < min(HEARTBEAT_S, self._request.poll_s):
            return
        self._hear_control(now)
        changes = self._hearing.tick(
            now,
            n_waiting=self._arrivals.n_waiting,
            free_bytes=free_bytes(self._table.path.parent),
            is_paused=self._control.is_paused(now.wall),
            missing=self._missing,
        )
        self._tell_changes(changes, now)
        self._write_events()
        self._beat()

    def _beat(self, state: str | None = None) -> None:
        """Let the heart beat."""
        if state is None:
            is_paused = self._control.is_paused(moment().wall)
            state = PAUSED if is_paused else WAITING if self._missing else LISTENING
        self._write_status(state)

    def _hear_control(self, now: Moment) -> None:
        before, self._control = self._control.is_paused(now.wall), read_control(self._beside.control)
        after = self._control.is_paused(now.wall)
        if before != after:
            kind = events.PAUSED if after else events.RESUMED
            until = f" until {self._control.paused_until}" if after else ""
            self._tell_of_watch(kind, f"{kind}{until}")

    def _write_status(self, state: str) -> None:
        now, settle, quiet = moment(), self._arrivals.settle, self._hearing.quiet_after
        self._written = now.monotonic
        status = WatchStatus(
            at=now.text,
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or "",
            state=state,
            started_at=self._started.text,
            folder=escaped(os.fspath(self._folder)),
            model=escaped(os.fspath(self._artifact.folder)),
            machine=self._machine,
            title=self.report.title,
            rule=self.report.rule.text,
            settle_s=settle.seconds,
            settle_from=settle.origin,
            notices=self._arrivals.notices,
            alarm=self._judge.alarm,
            alarm_since=self._alarm_since,
            n_judged=self.report.n_judged,
            n_refused=len(self.report.refused),
            n_early=self.report.n_early,
            n_waiting=self._arrivals.n_waiting,
            n_raised=self.report.n_raised,
            drift=self._judge.drift,
            simulated=self.report.simulated,
            paused_until=self._control.paused_until,
            newest=self._newest,
            states=self._hearing.states,
            sinks=tuple(self._outbox.sinks),
            quiet_after_s=quiet.seconds,
            quiet_from=quiet.origin,
        )
        self._pulse.beat(status)

    def _tell_changes(self, changes: list[StateChange], now: Moment) -> None:
        for change in changes:
            kind = events.DEAF if change.is_on else events.BACK
            about = event_id(kind, change.name, change.key or now.text)
            self._write_event(
                WatchEvent(about, kind, now.text, self._machine, escaped(change.text), change.name, change.key)
            )
            self._say(f"{now.text} {kind}: {escaped(change.text)}")

    def _tell_of_watch(self, kind: str, text: str) -> None:
        now = moment()
        self._write_event(WatchEvent(event_id(kind, now.text), kind, now.text, self._machine, escaped(text)))

    def _write_event(self, event: WatchEvent) -> None:
        self._unwritten.append(event)
        self._write_events()

    def _write_events(self) -> None:
        """Write what waits for the log, in its order; on a full disk it waits on."""
        with contextlib.suppress(DiskFullError):
            while self._unwritten:
                if self._log.append(self._unwritten[0]):
                    self._outbox.wake()
                self._unwritten.popleft()

    def _tell(self, row: WatchRow, drift_before: str) -> None:
        if row.status == "refused":
            self._say(f"{row.time} refused {row.path}: {row.reason}")
        if row.event:
            self._say(f"{row.time} alarm {row.event}: {self._judge.evidence}, at {row.path}")
        if bool(row.drift) != bool(drift_before):
            self._say(f"{row.time} drift: {row.drift or 'gone'}")


def _rhythm(request: WatchRequest, table: WatchTable) -> Rhythm | None:
    """How often a clip comes: as asked, or as the table's newest rows tell, or the folder's files."""
    if request.every_s is not None:
        return Rhythm(request.every_s, "as asked")
    if not isinstance(request.rule, Budget):
        return None
    return learn_rhythm(Tail(table.path).update(), request.folder)


def _placed(row: WatchRow, arrival: Arrival) -> WatchRow:
    """The row with what is known of its file."""
    n_bytes, changed_ns = arrival.signature
    recorded = arrival.recorded
    return replace(
        row,
        recorded="" if recorded is None else recorded.time.isoformat(),
        recorded_from="" if recorded is None else recorded.how,
        n_bytes=n_bytes,
        changed_ns=changed_ns,
    )


def _traits(sound: Waveform | AudioError) -> ClipTraits | None:
    return traits(sound) if isinstance(sound, Waveform) else None
