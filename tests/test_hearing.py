"""What a watch says of its own hearing: states that begin, last, are cleared, and do not come and go."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.errors import AudioError, UsageError
from asd_core.features.familiarity import traits
from asd_core.monitoring import health
from asd_core.monitoring import hearing as hearing_module
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.hearing import STATES, Hearing, HearingRules, QuietAfter, StateChange
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.status import read_status
from asd_core.monitoring.telling.events import BACK, DEAF, WatchEvent, read_events
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.system.clock import Moment
from asd_core.types import SR, Waveform

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ROOM = 10**12


@dataclass
class Listening:
    """A watch's hearing, and a clock that is moved by hand."""

    rules: HearingRules = field(default_factory=HearingRules)
    seconds: float = 0.0
    clock_off_s: float = 0.0
    n_clips: int = 0
    changes: list[tuple[float, StateChange]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hearing = Hearing(self.rules)

    @property
    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.seconds + self.clock_off_s), 500 + self.seconds)

    @property
    def on(self) -> list[str]:
        return [state.name for state in self.hearing.states]

    @property
    def history(self) -> list[tuple[str, bool]]:
        return [(change.name, change.is_on) for _, change in self.changes]

    def wait(
        self,
        seconds: float,
        *,
        n_waiting: int = 0,
        free_bytes: int = ROOM,
        is_paused: bool = False,
        missing: str = "",
        step_s: float = 1.0,
    ) -> None:
        given = {"n_waiting": n_waiting, "free_bytes": free_bytes, "is_paused": is_paused, "missing": missing}
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + step_s)
            self._take(self.hearing.tick(self.now, **given))

    def hear(
        self, sound: Waveform | AudioError | None = None, *, reason: str = "", drift: str = "", recorded: str = ""
    ) -> WatchRow:
        self.n_clips += 1
        heard = hum(self.n_clips, seconds=1.0) if sound is None else sound
        refused = isinstance(heard, AudioError)
        status = "refused" if refused else "warning" if reason else "ok"
        row = WatchRow(
            self.now.text, f"/in/{self.n_clips}.wav", "m", status, f"{heard.code}: {heard}" if refused else reason,
            None if refused else 1.0, 2.0, "" if refused else "normal", traits=None if refused else traits(heard),
            drift=drift, recorded=recorded,
        )  # fmt: skip
        self._take(self.hearing.heard(row, heard, self.now))
        return row

    def _take(self, changes: list[StateChange]) -> None:
        self.changes += [(self.seconds, change) for change in changes]

    def last_text(self) -> str:
        return self.changes[-1][1].text


def local(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).astimezone().strftime("%H:%M")


# No clip


def test_quiet_is_said_once_after_the_time_asked_for_and_cleared_by_the_next_clip():
    watch = Listening(HearingRules(quiet_after_s=120))
    watch.wait(60)
    watch.hear()
    watch.wait(119)
    assert watch.history == []
    watch.wait(600)
    assert watch.history == [("quiet", True)]
    assert watch.changes[0][0] == 60 + 120
    assert watch.changes[0][1].text == f"no clip for 2 min; the last came at {local(60)}; is the recorder running?"
    assert watch.hearing.states[0].since == "2026-01-31T12:01:00.000+00:00"
    row = watch.hear()
    assert watch.history == [("quiet", True), ("quiet", False)]
    assert watch.last_text() == "clips come again, after 12 min without"
    assert watch.changes[-1][1].key == row.key
    assert watch.on == []


def test_what_is_shown_of_quiet_goes_on_and_names_files_that_are_not_whole():
    watch = Listening(HearingRules(quiet_after_s=120))
    watch.wait(3600, n_waiting=2)
    (state,) = watch.hearing.states
    assert state.text == (
        f"no clip for 60 min; none has come since the start at {local(1)}; 2 files there, not whole yet; "
        "is the recorder running?"
    )
    assert watch.history == [("quiet", True)]


def test_the_time_after_which_it_is_quiet_is_learned_from_the_usual_gap():
    watch = Listening()
    assert watch.hearing.quiet_after.seconds == 900
    for _ in range(20):
        watch.hear()
        watch.wait(10)
    assert watch.hearing.quiet_after == QuietAfter(300, "the least; clips usually come within 10 s")
    watch.wait(3600)
    assert watch.changes[0][0] == 190 + 300
    watch.hear()  # the outage of an hour is no habit
    assert watch.hearing.quiet_after.seconds == 300
    for _ in range(30):
        watch.wait(600)
        watch.hear()
    assert watch.hearing.quiet_after == QuietAfter(3000, "5 times the usual gap of 10 min")


def test_clips_that_come_in_bursts_are_not_called_quiet_between_the_bursts():
    watch = Listening()
    for _ in range(6):
        for _ in range(60):
            watch.hear()
            watch.seconds += 0.05
        watch.wait(600)
    assert watch.hearing.quiet_after.seconds == pytest.approx(3000, rel=0.01)
    assert watch.history == []


def test_a_restarted_watch_takes_the_rhythm_from_its_table_and_says_when_the_last_clip_came():
    watch = Listening()
    for number in range(20):
        at = START - timedelta(hours=2) + timedelta(seconds=100 * number)
        watch.hearing.know(WatchRow(at.isoformat(), "/in/a.wav", "m", "ok", "", 1.0, 2.0, "normal"))
    assert watch.hearing.quiet_after == QuietAfter(500, "5 times the usual gap of 100 s")
    watch.wait(600)
    assert watch.changes[0][0] == 501  # counted from the start
    assert f"the last came at {local(-7200 + 1900)}" in watch.changes[0][1].text


def test_a_paused_watch_does_not_become_quiet_and_counts_from_its_end():
    watch = Listening(HearingRules(quiet_after_s=120))
    watch.hear()
    watch.wait(3600, is_paused=True)
    watch.wait(119)
    assert watch.history == []
    watch.wait(2)
    assert watch.history == [("quiet", True)]
    watch.hear()
    assert len(watch.hearing._gaps) == 0  # neither the pause nor what followed it is a gap between clips


def test_a_missing_folder_is_a_state_of_its_own_and_no_quiet():
    watch = Listening(HearingRules(quiet_after_s=60))
    watch.hear()
    watch.wait(3, missing="No such file or directory")
    watch.wait(3)
    assert watch.history == []
    watch.wait(600, missing="No such file or directory")
    assert watch.history == [("folder", True)]
    assert "No such file or directory; is its disk or share connected?" in watch.last_text()
    watch.wait(1)
    assert watch.history == [("folder", True), ("folder", False)]


# What clips show


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("flat", {"reason": "silent: no sample is further than 1e-06 from the mean"}, "is the microphone connected"),
        ("clipped", {"reason": "clipping: 80 samples are cut off; lower the gain"}, "lower the recorder's gain"),
        ("drift", {"drift": "level is 12.0 dB below training"}, "level is 12.0 dB below training; has the microphone"),
        ("refusals", {"sound": AudioError("format", "it is no recording")}, "could not be heard: format: it is no rec"),
    ],
)
def test_so_many_clips_in_a_row_begin_a_state_and_as_many_others_end_it(name, given, said):
    watch = Listening(HearingRules(n_clips=3))
    for word in ("xx.xx.x.", "xxx", ".x..x..xx", "..."):
        for letter in word:
            watch.wait(10)
            watch.hear(**(given if letter == "x" else {}))
        assert (
            watch.history
            == [[], [(name, True)], [(name, True)], [(name, True), (name, False)]][
                ("xx.xx.x.", "xxx", ".x..x..xx", "...").index(word)
            ]
        )
    began, ended = (change for _, change in watch.changes)
    assert said in began.text
    assert (
        f"3 {'files' if name == 'refusals' else 'clips'} in a row, since {local(90)}" in began.text or name == "drift"
    )
    assert ended.text.endswith("since 3 clips")
    assert began.key
    assert ended.key


def test_a_state_is_said_to_last_since_the_first_clip_was_recorded_where_that_can_be_believed():
    for recorded_s, since_s in ((-60, -60), (-90_000, 0), (60, 0)):
        watch = Listening(HearingRules(n_clips=1))
        at = (START + timedelta(seconds=recorded_s)).astimezone().replace(tzinfo=None)
        watch.hear(reason="silent: nothing", recorded=at.isoformat())
        text = next(state.text for state in watch.hearing.states if state.name == "flat")
        assert f"1 clip in a row, since {local(since_s)}, hold" in text


def test_several_states_last_side_by_side_and_each_ends_by_itself():
    watch = Listening(HearingRules(n_clips=2))
    for _ in range(2):
        watch.hear(reason="clipping: 80 samples are cut off; lower it", drift="level is 3 dB above training")
    assert sorted(watch.on) == ["clipped", "drift"]
    for _ in range(2):
        watch.hear(drift="level is 3 dB above training")
    assert watch.on == ["drift"]


def test_silence_is_not_called_drift_as_well_while_it_lasts_and_until_drift_speaks_of_other_clips():
    watch = Listening(HearingRules(n_clips=2))
    silent = {"sound": Waveform(np.zeros(SR, np.float32)), "reason": "silent: nothing"}
    for n_clips, sound in ((2, silent), (9, silent), (2, {}), (18, {})):
        for _ in range(n_clips):
            watch.hear(drift="level is 90 dB below training" if watch.n_clips > 1 else "", **sound)
    assert watch.history == [("flat", True), ("flat", False)]
    for _ in range(4):
        watch.hear(drift="level is 10 dB below training")
    assert watch.on == ["drift"]


def test_a_refused_clip_says_nothing_of_the_sound():
    watch = Listening(HearingRules(n_clips=2))
    silent = {"reason": "silent: nothing"}
    watch.hear(**silent)
    watch.hear(AudioError("format", "it is no recording"))
    watch.hear(**silent)
    assert watch.on == ["flat"]


def repeated(offset: int) -> Waveform:
    """Ten seconds of a stuck buffer of one second."""
    return Waveform(np.tile(hum(5, seconds=1.0).samples, 11)[offset : offset + 10 * SR].copy())


@pytest.mark.parametrize("sounds", [[hum(1)] * 3, [repeated(at) for at in (0, 3777, 9123)]], ids=["equal", "stuck"])
def test_the_same_sound_again_and_again_is_said(sounds):
    watch = Listening(HearingRules(n_clips=3))
    watch.hear()
    for sound in sounds:
        watch.wait(60)
        watch.hear(sound)
    assert watch.history == [("constant", True)]
    assert watch.last_text().startswith(f"3 clips in a row, since {local(60)}, are the same sound")
    for _ in range(4):
        watch.hear()
    assert watch.on == []


def test_a_steady_noise_is_not_the_same_sound():
    watch, rng = Listening(HearingRules(n_clips=2)), np.random.default_rng(0)
    for _ in range(12):
        watch.hear(Waveform((0.1 * rng.standard_normal(10 * SR)).astype(np.float32)))
    assert watch.history == []


def test_silence_again_and_again_is_called_flat_alone():
    watch = Listening(HearingRules(n_clips=3))
    for _ in range(5):
        watch.hear(Waveform(np.zeros(SR, np.float32)), reason="silent: nothing")
    assert watch.on == ["flat"]


# Disk and clock


def test_a_disk_that_is_nearly_full_is_said_until_there_is_some_room_again():
    watch = Listening(HearingRules(least_free_bytes=100_000_000))
    for free in (101, 99, 101, 99, 124):
        watch.wait(2, free_bytes=free * 1_000_000)
    assert watch.history == [("disk", True)]
    assert "only 99 MB are free on the disk of the table, less than 100 MB" in watch.last_text()
    watch.wait(2, free_bytes=126_000_000)
    assert watch.history == [("disk", True), ("disk", False)]


@pytest.mark.parametrize(
    ("step_s", "words"), [(3600, "this computer's clock went ahead by 1 h"), (-40, "went back by 40 s")]
)
def test_a_clock_that_is_set_while_watching_is_said_and_cleared_after_a_calm_time(step_s, words):
    watch = Listening(HearingRules(quiet_after_s=3600))
    watch.wait(10)
    watch.clock_off_s = step_s
    watch.wait(650)
    assert watch.history == [("clock", True)]
    assert words in watch.last_text()
    watch.wait(30)
    assert watch.history == [("clock", True), ("clock", False)]


def test_a_clock_that_is_corrected_little_by_little_is_no_jump():
    watch = Listening(HearingRules(quiet_after_s=10**6))
    for _ in range(100):
        watch.wait(10)
        watch.clock_off_s += 0.5
    assert watch.history == []


def test_a_recorder_whose_clock_was_never_set_is_said_until_it_is():
    watch = Listening(HearingRules(quiet_after_s=10**6))
    row = watch.hear(recorded="1970-01-01T00:00:10")
    assert watch.history == [("clock", True)]
    assert "a clip is dated 1970-01-01: the recorder's clock was never set" in watch.last_text()
    assert watch.changes[0][1].key == row.key
    for _ in range(70):
        watch.wait(10)
        watch.hear(recorded=watch.now.wall.astimezone().replace(tzinfo=None).isoformat())
    assert watch.history == [("clock", True), ("clock", False)]


def test_a_jump_of_the_clock_makes_no_quiet():
    watch = Listening(HearingRules(quiet_after_s=600))
    watch.hear()
    watch.clock_off_s = 86_400
    watch.wait(60)
    assert "quiet" not in watch.on


# Over a restart


def event(kind: str, state: str, text: str = "deaf") -> WatchEvent:
    return WatchEvent(f"{kind}{state}{text}", kind, START.isoformat(), "pump", text, state)


def test_states_that_lasted_are_taken_over_from_the_log():
    watch = Listening(HearingRules(n_clips=2))
    log = [
        event(DEAF, "quiet"), event(DEAF, "flat"), event(BACK, "quiet"), event(DEAF, "clipped"), event(BACK, "clipped"),
        event(DEAF, "clipped", "clipped again"), event(DEAF, "of a later release"), event("raised", ""),
    ]  # fmt: skip
    watch.hearing.recall(log)
    assert watch.on == ["flat", "clipped"]
    assert [state.text for state in watch.hearing.states] == ["deaf", "clipped again"]
    for _ in range(2):
        watch.hear(reason="clipping: still; lower it")
    assert watch.history == [("flat", False)]  # told once, not again for each start


def test_a_folder_and_a_disk_that_are_there_again_at_the_start_are_said():
    watch = Listening()
    watch.hearing.recall([event(DEAF, "folder"), event(DEAF, "disk"), event(DEAF, "quiet")])
    watch.wait(1)
    assert watch.history == [("folder", False), ("disk", False)]
    assert watch.on == ["quiet"]
    watch.hear()
    assert watch.on == []


@pytest.mark.parametrize(
    "options", [{"quiet_after_s": 0.0}, {"quiet_after_s": float("nan")}, {"quiet_after_s": 1e9}, {"n_clips": 0}]
)
def test_rules_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError, match="deaf takes"):
        HearingRules(**options)


def test_every_state_has_a_name_of_its_own():
    assert len(set(STATES.values())) == len(STATES)


# In a watch


MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_knn"


@contextmanager
def watching(folder: Path, table: Path, **options):
    """A watch that runs; gives what waits until something holds."""
    stop = threading.Event()
    arrivals = ArrivalSettings(settle_s=0.0, trusts_system=False)
    request = WatchRequest(folder, MODEL, table, poll_s=0.05, arrivals=arrivals, machine="rail 1", **options)
    thread = threading.Thread(target=watch, args=(request,), kwargs={"stop": stop})
    thread.start()

    def until(holds, *, within_s: float = 20.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end and thread.is_alive():
            if holds():
                return True
            time.sleep(0.01)
        return False

    try:
        yield until
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def told(table: Path) -> list[tuple[str, str]]:
    return [(event.kind, event.state) for event in read_events(Beside(table).events)]


def test_a_watch_tells_that_it_is_deaf_shows_it_remembers_it_and_clears_it(tmp_path, monkeypatch):
    folder, table = tmp_path / "in", tmp_path / "t.csv"
    folder.mkdir()
    status = Beside(table).status
    rules = HearingRules(quiet_after_s=0.3)
    with watching(folder, table, hearing=rules) as until:
        assert until(lambda: (DEAF, "quiet") in told(table))
        assert until(lambda: [state.name for state in read_status(status).states] == ["quiet"])
        assert health.check_watch(table).line.startswith("rail 1: NOT WELL: deaf: no clip for ")
    assert (health.check_watch(table).is_well, read_status(status).state) == (True, "ended")
    assert told(table) == [("started", ""), (DEAF, "quiet"), ("ended", "")]
    with watching(folder, table, hearing=HearingRules(quiet_after_s=3600)) as until:
        assert until(lambda: [state.name for state in read_status(status).states] == ["quiet"])  # it lasted
        (folder / "a.wav").write_bytes(encode_wav(hum(1, seconds=1.0).samples))
        assert until(lambda: (BACK, "quiet") in told(table))
        assert until(lambda: read_status(status).states == ())
        assert read_status(status).quiet_after_s == 3600
    assert told(table)[3:] == [("started", ""), (BACK, "quiet"), ("ended", "")]


def test_a_watch_whose_folder_is_gone_says_so_and_that_it_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(hearing_module, "FOLDER_GRACE_S", 0.2)
    folder, table = tmp_path / "in", tmp_path / "t.csv"
    folder.mkdir()
    with watching(folder, table) as until:
        assert until(lambda: told(table) == [("started", "")])
        folder.rmdir()
        assert until(lambda: (DEAF, "folder") in told(table))
        words = "deaf: the folder cannot be read: No such file or directory"
        assert until(lambda: words in health.check_watch(table).line)
        assert read_status(Beside(table).status).state == "waiting"
        folder.mkdir()
        assert until(lambda: (BACK, "folder") in told(table))
