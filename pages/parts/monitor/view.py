"""What a monitor shows: the current state, scores over time with alarms, and the last clips to play."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import streamlit as st

from asd_core.formats import display_name, rate_text, score_text
from asd_core.monitoring.alarms import DRIFT_CLIPS
from asd_core.monitoring.notes import Note
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.telling.events import RAISED
from asd_core.reports.plots import TimelinePoint, score_timeline
from asd_core.types import Waveform
from pages.shared.components.play_list import ListedSound, Told, Tone, play_list
from pages.shared.frame import first_screen
from pages.shared.plain_text import warning_text

LAST_CLIPS = 60
RECENT = 10
FIGURE, PICKED = "timeline", "picked"
_TOLD = "monitor_plays"


@dataclass(frozen=True)
class HeardClip:
    """A judged clip as the monitor shows it.

    Parameters
    ----------
    place
        For display: `clip 12`, or a time.
    at
        The same for the figure's axis.
    title
        Its name; plain text, never Markdown.
    """

    row: WatchRow
    place: str
    at: int | str
    title: str

    @property
    def key(self) -> str:
        """What names it in lists, figures and links."""
        return self.row.key


def monitor(
    clips: Sequence[HeardClip],
    *,
    name: str,
    sound: Callable[[HeardClip], Waveform | None],
    span: tuple[float, float] | None = None,
    score_span: tuple[float, float] | None = None,
    is_cut: bool = False,
) -> None:
    """Draw everything for the clips heard so far, oldest first.

    Parameters
    ----------
    name
        What is being watched; clips of different names are kept apart.
    sound
        Reads a clip when it is to be played; returns None where its sound is not available.
    is_cut
        Whether earlier clips are left out.
    """
    announce(clips, name)
    with first_screen():
        state, counted = st.columns([3, 2])
    with state.container(border=True, height="stretch"):
        _state(clips, is_cut=is_cut)
    with counted.container(border=True, height="stretch"):
        counts([clip.row for clip in clips], last=clips[-1].place if clips else "", is_cut=is_cut)
    figure(clips, span=span, score_span=score_span, on_pick=play)
    if clips:
        last_clips(clips, name, sound)


def play(key: str) -> None:
    """Have the list that `told` is given to play a clip; it must have been drawn before."""
    st.session_state[_TOLD] = Told(key, told().count + 1)


def told() -> Told:
    """What a list was last told to play in this session."""
    now = st.session_state.get(_TOLD)
    return now if isinstance(now, Told) else Told()


def announce(clips: Sequence[HeardClip], name: str) -> None:
    """Announce a change of the alarm once, as a toast: screen readers read it out."""
    told = st.session_state.get("monitor_told")
    events = [clip for clip in clips if clip.row.event]
    now = (name, events[-1].row.path, events[-1].row.event) if events else (name, "", "")
    st.session_state["monitor_told"] = now
    if told is not None and told[0] == name and told != now and events:
        icon = ":material/notifications_active:" if now[2] == RAISED else ":material/check:"
        st.toast(f"Alarm {now[2]} at {events[-1].place}.", icon=icon)


def _state(clips: Sequence[HeardClip], *, is_cut: bool) -> None:
    if not clips:
        st.markdown("## :material/hourglass_empty: no clip yet")
        return
    row = clips[-1].row
    if row.alarm:
        st.markdown("## :orange[:material/notifications_active: ALARM]")
        st.markdown(f"since {_alarm_start(clips, is_cut=is_cut)}")
    else:
        st.markdown("## :blue[:material/check: no alarm]")
        ended = [clip.place for clip in clips if clip.row.event and clip.row.event != RAISED]
        st.markdown(f"the last alarm was cleared at {ended[-1]}" if ended else "none so far")
    _drift(row, n_known=sum(clip.row.traits is not None for clip in clips))


def _alarm_start(clips: Sequence[HeardClip], *, is_cut: bool) -> str:
    raised = [clip.place for clip in clips if clip.row.event == RAISED]
    if raised:
        return raised[-1]
    return f"before {clips[0].place}" if is_cut else clips[0].place


def _drift(row: WatchRow, *, n_known: int) -> None:
    if not row.drift:
        early = f" It can be told once {DRIFT_CLIPS} clips have been heard." if n_known < DRIFT_CLIPS else ""
        st.caption(f":material/trending_flat: No drift of level or spectrum away from training was reported.{early}")
        return
    st.markdown(
        ":material/trending_up: **Drift**: recent clips are unlike those of training, whatever the machine does"
    )
    for text in row.drift.split("; "):
        st.text(text)


def counts(rows: Sequence[WatchRow], *, last: str, is_cut: bool) -> None:
    """Say how many clips were heard, and what they were called.

    Parameters
    ----------
    last
        Where the last one lies: `clip 12`, or a time.
    """
    judged = [row for row in rows if row.verdict]
    n_refused = sum(row.status == "refused" for row in rows)
    recent = judged[-RECENT:]
    anomalous = rate_text(sum(row.verdict == "anomalous" for row in recent), len(recent))
    alarms = sum(row.event == RAISED for row in rows)
    st.markdown(f"**{len(rows)}** {'newest clips' if is_cut else 'clips heard'}, {n_refused} refused")
    st.markdown(f"**{anomalous}** of the last {len(recent)} anomalous")
    st.markdown(f"**{alarms}** {'alarm' if alarms == 1 else 'alarms'} raised")
    if last:
        st.caption(f"Last: {last}")


def figure(
    clips: Sequence[HeardClip],
    *,
    on_pick: Callable[[str], None],
    span: tuple[float, float] | None = None,
    score_span: tuple[float, float] | None = None,
    time_title: str = "Time (UTC)",
    ringed: str = "",
) -> None:
    """Draw the scores in the order of the clips, with threshold and alarms.

    Parameters
    ----------
    on_pick
        Called with the key of the clip whose point was pressed.
    ringed
        Key of the clip whose point has a ring.
    """
    points = [
        TimelinePoint(
            clip.at, clip.row.anomaly_score, clip.row.threshold, clip.row.verdict, clip.row.alarm, clip.title, clip.key
        )
        for clip in clips
        if clip.row.anomaly_score is not None
    ]
    n_alarms = sum(after and not before for before, after in pairwise([False, *(point.alarm for point in points)]))
    alt = f"Anomaly scores of {len(points)} clips in order, with threshold; with {n_alarms} alarms"
    st.subheader("Anomaly score, higher = more anomalous")
    keys = {point.key for point in points}

    def picked() -> None:
        found = [str(each.get("key")) for each in st.session_state[FIGURE].selection.get(PICKED, [])]
        if found and found[-1] in keys:
            on_pick(found[-1])

    st.vega_lite_chart(
        score_timeline(points, span=span, score_span=score_span, time_title=time_title, picks=PICKED, ringed=ringed),
        key=FIGURE,
        width="stretch",
        alt=alt,
        on_select=picked,
    )
    st.caption(":material/touch_app: Press a point to hear its clip; by the keyboard, the list below.")


def last_clips(
    clips: Sequence[HeardClip],
    name: str,
    sound: Callable[[HeardClip], Waveform | None],
    *,
    notes: Mapping[str, Note] | None = None,
    on_pick: Callable[[str], None] | None = None,
) -> None:
    """List the last clips, the newest first, to listen to; those of an alarm say so.

    A list that picks nothing plays what `play` names.
    """
    st.subheader("Last clips")
    play_list(
        listed(clips[: -LAST_CLIPS - 1 : -1], sound, notes or {}),
        key=f"monitor_sounds:{name}",
        label="Last clips, the newest first",
        height_px=230,
        on_pick=on_pick,
        told=told() if on_pick is None else Told(),
    )


def listed(
    clips: Sequence[HeardClip], sound: Callable[[HeardClip], Waveform | None], notes: Mapping[str, Note]
) -> list[ListedSound]:
    """The clips as rows of a list of sounds, with what was said of them."""
    return [
        ListedSound(
            id=clip.key,
            title=f"{clip.place} · {display_name(clip.title)}",
            sound=partial(sound, clip),
            note=_outcome(clip.row),
            truth=_called(clip.row, notes.get(clip.key)),
            tone=_tone(clip.row),
        )
        for clip in {clip.key: clip for clip in clips}.values()
    ]


def _called(row: WatchRow, note: Note | None) -> str:
    """Say what a clip was called, what became of the alarm with it, and what a person said of it."""
    said = _became(row)
    return f"{said}; marked as {note.said}" if note is not None else said


def _became(row: WatchRow) -> str:
    said = f"called {row.verdict}" if row.verdict else "refused" if row.status == "refused" else "no verdict"
    return f"{said}, alarm {row.event}" if row.event else f"{said}, in the alarm" if row.alarm else said


def _tone(row: WatchRow) -> Tone:
    return "anomalous" if row.verdict == "anomalous" else "normal" if row.verdict == "normal" else "neutral"


def _outcome(row: WatchRow) -> str:
    if row.status == "refused":
        return display_name(warning_text(row.reason))
    return f"score {score_text(row.anomaly_score)}, threshold {score_text(row.threshold)}"
