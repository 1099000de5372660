"""Replaying test clips as if they came from a machine that breaks and is repaired: stored scores, one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.cache import split_name
from asd_core.features.familiarity import ClipTraits, traits
from asd_core.monitoring.alarms import AlarmRule, Judge
from asd_core.monitoring.rows import WatchRow
from asd_core.system.clock import utc_now
from asd_core.tasks.score import ScoreRow
from asd_core.types import Waveform
from pages.parts.monitor.view import HeardClip, monitor, play
from pages.shared.cards import promise_text, simulated_badge, threshold_origin
from pages.shared.choices import choose, turn_on
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root
from pages.shared.frame import first_screen, fragment
from pages.shared.keys import HASHES, ClipFile
from pages.shared.plain_text import plain
from pages.shared.sources import clip, clip_title, name_order
from pages.shared.verdicts import verdict_word

BEFORE, BROKEN, AFTER = 20, 15, 20
SPEEDS = ("0.2", "0.5", "1", "2", "5")
FIRST_SPEED = "2"
TICK_S = 1.0
RULE = AlarmRule()
KEY = "monitor_replay"


def replay_order(clips: Sequence[ScoredClip]) -> list[ScoredClip]:
    """Normal clips, then anomalous ones, then further normal ones, each by name: a fault that comes and is repaired."""
    by_name = sorted(clips, key=name_order)
    normal = [scored for scored in by_name if scored.label == "normal"]
    anomalous = [scored for scored in by_name if scored.label == "anomalous"]
    return [*normal[:BEFORE], *anomalous[:BROKEN], *normal[BEFORE : BEFORE + AFTER]]


@dataclass
class Replay:
    """A replay of this session.

    Parameters
    ----------
    name
        Detector version and machine id.
    root
        Folder of the clips; None where their sound is not available.
    """

    name: str
    artifact: Artifact
    clips: list[ScoredClip]
    root: Path | None
    speed: float
    judge: Judge
    rows: list[WatchRow] = field(default_factory=list)
    paused: bool = False
    _revealed: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether every clip has been revealed."""
        return len(self.rows) == len(self.clips)

    def set_speed(self, speed: float) -> None:
        """Continue at another speed, in clips per second."""
        self._revealed, self._since = self._position(), time.monotonic()
        self.speed = speed

    def pause(self, paused: bool) -> None:
        """Pause or continue."""
        self._revealed, self._since = self._position(), time.monotonic()
        self.paused = paused

    def reveal(self) -> None:
        """Judge the clips that have become due since the last call."""
        for scored in self.clips[len(self.rows) : int(self._position())]:
            self.rows.append(self._judged(scored))

    def _position(self) -> float:
        return self._revealed if self.paused else self._revealed + self.speed * (time.monotonic() - self._since)

    def _judged(self, scored: ScoredClip) -> WatchRow:
        value = self.artifact.threshold.value
        verdict = verdict_word(scored.anomaly_score, value, missing="")
        row = ScoreRow(
            path=scored.path,
            model=self.artifact.version,
            encoder="",
            status="ok",
            reason="",
            anomaly_score=scored.anomaly_score,
            threshold=value,
            verdict=verdict,
            simulated=self.artifact.simulated,
        )
        now = utc_now("milliseconds")
        return self.judge.judge(row, self._traits(scored), now=now)

    def _traits(self, scored: ScoredClip) -> ClipTraits | None:
        if self.root is None or not (self.root / split_name(scored.path)[0]).is_file():
            return None
        return _traits(self.sound(scored))

    def sound(self, scored: ScoredClip) -> Waveform:
        """Read a clip's sound."""
        return clip(ClipFile.named(self.root or Path(), scored.path, scored.digest, self.artifact.channel))


@st.cache_data(max_entries=1000, show_spinner=False, hash_funcs=HASHES)
def _traits(waveform: Waveform) -> ClipTraits:
    return traits(waveform)


def replay_tab(chosen: Chosen, good: dict[str, Artifact]) -> None:
    """Draw the controls, and the monitor of a replay that has been started."""
    artifact, machine_id, speed = _controls(good)
    clips = replay_order([each for each in artifact.scores.of("test").clips if each.machine_id == machine_id])
    if not clips:
        st.info("This detector has no labelled test clips to replay.", icon=":material/info:")
        return
    name = f"{artifact.folder}:{machine_id}"
    is_started = _is_of(name)
    with nullcontext() if is_started else first_screen(), st.container(horizontal=True, vertical_alignment="center"):
        label = "Play demo" if chosen.embedded else "Replay the test clips"
        if st.button(label, key="replay", icon=":material/play_circle:", type="secondary" if is_started else "primary"):
            judge = Judge(RULE, artifact.familiarity)
            st.session_state[KEY] = Replay(name, artifact, clips, clips_root(chosen), speed, judge)
            st.session_state.pop("monitor_told", None)
            st.rerun()
        if is_started:
            _pause_button(st.session_state[KEY])
        is_heard = turn_on("Sound", key="replay_sound", help="Each clip is heard as it comes, until the next one does.")
    _say_what_it_is(artifact, clips)
    if not is_started:
        return
    replay = st.session_state[KEY]
    if replay.speed != speed:
        replay.set_speed(speed)
    goes_on = not (replay.is_over or replay.paused)
    fragment(lambda: _panel(replay, is_heard=is_heard), run_every=TICK_S if goes_on else None)()


def _is_of(name: str) -> bool:
    """Whether a replay of this name has been started in this session."""
    replay = st.session_state.get(KEY)
    return replay is not None and replay.name == name


def _controls(good: dict[str, Artifact]) -> tuple[Artifact, str, float]:
    left, middle, right = st.columns([3, 1, 1])
    name = choose("Detector", good, key="detector", place=left, format_func=lambda name: good[name].title)
    artifact = good[name]
    ids = sorted({each.machine_id for each in artifact.scores.of("test").clips}) or ["00"]
    machine_id = choose("Machine id", ids, key="replay_id", place=middle)
    st.session_state.setdefault("replay_speed", st.query_params.get("replay_speed", FIRST_SPEED))
    speed = choose("Clips per second", SPEEDS, key="replay_speed", place=right)
    return artifact, machine_id, float(speed)


def _say_what_it_is(artifact: Artifact, clips: Sequence[ScoredClip]) -> None:
    kind = "simulated " if artifact.simulated else ""
    n_anomalous = sum(each.label == "anomalous" for each in clips)
    calibration = artifact.manifest.calibration
    st.caption(
        f":material/replay: A replay, not live: {len(clips)} {kind}test clips in a fixed order, normal first, then "
        f"{n_anomalous} of a faulty machine, then normal again. Scores are those stored with the detector, "
        f"its threshold is {threshold_origin(artifact.threshold, calibration)}. "
        f"{promise_text(artifact.threshold, calibration)} {RULE.k} anomalous of the last {RULE.n} clips raise an "
        f"alarm, {RULE.most_when_clear} or fewer clear it."
    )
    if badge := simulated_badge(artifact.simulated):
        st.markdown(f"{plain(artifact.title)}:{badge}")


def _pause_button(replay: Replay) -> None:
    if replay.is_over:
        return
    label, icon = ("Resume", "play_arrow") if replay.paused else ("Pause", "pause")
    if st.button(label, key="replay_pause", icon=f":material/{icon}:"):
        replay.pause(not replay.paused)
        st.rerun()


def _panel(replay: Replay, *, is_heard: bool) -> None:
    was_over, n_before = replay.is_over, len(replay.rows)
    replay.reveal()
    if is_heard and len(replay.rows) > n_before:
        play(replay.rows[-1].key)
    scores = [each.anomaly_score for each in replay.clips]
    threshold = replay.artifact.threshold.value
    limits = scores if threshold is None else [*scores, threshold]
    clips = [
        HeardClip(row, f"clip {number}", number, clip_title(scored))
        for number, (row, scored) in enumerate(zip(replay.rows, replay.clips, strict=False), start=1)
    ]
    by_path = {row.path: scored for row, scored in zip(replay.rows, replay.clips, strict=False)}
    monitor(
        clips,
        name=replay.name,
        sound=lambda heard: None if replay.root is None else replay.sound(by_path[heard.row.path]),
        span=(1, len(replay.clips)),
        score_span=(min(limits), max(limits)),
    )
    if replay.is_over and not was_over:
        st.rerun()
