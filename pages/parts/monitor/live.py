"""Folders that are being watched: how each watch is, its scores and alarms; nothing is scored here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from asd_core.formats import display_name, score_text
from asd_core.monitoring.arriving.recording_time import in_recorded_order, recorded_time
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.past_alarms import PastAlarm, past_alarms
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.status import read_status
from asd_core.monitoring.table import list_tables
from pages.parts.monitor.alarm_list import alarm_list
from pages.parts.monitor.controls import controls, settings
from pages.parts.monitor.followed import Followed
from pages.parts.monitor.marks import clip_marks
from pages.parts.monitor.now import NEXT, follow, now_panel
from pages.parts.monitor.sounds import sound_of
from pages.parts.monitor.standing import moment, time_text
from pages.parts.monitor.view import HeardClip, announce, figure, last_clips, listed, play, told
from pages.shared.choices import choose, switch
from pages.shared.components.play_list import play_list
from pages.shared.context import Chosen
from pages.shared.frame import fragment
from pages.shared.plain_text import plain, shown_text
from pages.shared.verdicts import verdict_badge
from pages.shared.watch_form import watch_form

MAX_TABLES = 50
PARTS = {"scores": "Scores", "alarms": "Alarms", "rebaseline": "Re-baseline", "settings": "Settings"}
ORDERS = {"judged": "When judged", "recorded": "When recorded"}
SPANS = {"hour": "Last hour", "day": "Last day", "all": "All"}
HOURS = {"hour": 1, "day": 24}
RECORDED_TITLE = "Recorded (the recorder's own time)"
CLIP = "clip"
"""What the URL calls the clip that is looked at."""
_PICKED = "watch_clip"


def live_tab(chosen: Chosen, place: Any = st) -> None:
    """Show all watches, and one of them closely.

    Parameters
    ----------
    place
        Where the list of watches is drawn.
    """
    tables = {path.name: path for path in list_tables()[:MAX_TABLES]}
    if not tables:
        st.info("No folder is being watched yet. Start a watch here or from the shell:", icon=":material/sensors:")
        _command(chosen)
        _form(chosen)
        return
    if (following := st.session_state.pop(NEXT, None)) in tables:
        st.session_state["watch"] = following
    titles = {name: _title(path) for name, path in tables.items()}
    name = choose("Watch", titles, key="watch", place=place)
    followed = follow(tables[name])
    now_panel(list(tables.values()), followed)
    controls(followed)
    _closely(followed)
    with st.expander("Watch another folder", icon=":material/create_new_folder:"):
        _form(chosen)
        st.caption("Or from the shell:")
        _command(chosen)


def _title(table: Path) -> str:
    """What a watch is called in the list: its machine, and its table."""
    status = read_status(Beside(table).status)
    machine = "" if status is None else display_name(unescaped(status.machine))
    return f"{machine} · {display_name(table.stem)}" if machine else display_name(table.stem)


def _form(chosen: Chosen) -> None:
    started = watch_form(chosen.detectors, key="new_watch")
    if started is not None:
        st.session_state[NEXT] = started.name
        st.rerun()


def _command(chosen: Chosen) -> None:
    model = next(iter(chosen.detectors.values()))
    st.code(f"python -m asd_core watch FOLDER --model {shlex.quote(shown_text(str(model)))}", language="shell")
    st.caption(
        "It scores each clip as it arrives, raises and clears alarms, and, started again, resumes where it stopped. "
        "Clips below the data folder, or below a folder that ASD_DATA_ROOTS names, can be heard here."
    )


def _closely(followed: Followed) -> None:
    rows = list(followed.rows)
    part = switch("Show", PARTS, key="watch_part", label_visibility="collapsed")
    alarms = past_alarms(followed.events, rows)
    announce([_heard(row) for row in rows if row.event], followed.table.name)
    if part == "alarms":
        alarm_list(alarms, followed.beside, followed.notes, heard=_heard, sound=partial(_sound, followed))
    elif part == "rebaseline":
        _rebaseline(followed)
    elif part == "settings":
        settings(followed)
    elif rows:
        _scores(followed, rows, alarms)


def _rebaseline(followed: Followed) -> None:
    from pages.parts.monitor.rebaseline import rebaseline_panel

    fragment(lambda: rebaseline_panel(followed.table))()


def _scores(followed: Followed, rows: list[WatchRow], alarms: Sequence[PastAlarm]) -> None:
    left, right = st.columns(2)
    span = switch("Time", SPANS, key="span", place=left)
    by = switch("Order", ORDERS, key="by", place=right) if any(row.recorded for row in rows) else "judged"
    clips = [_heard(row, by) for row in _within(in_recorded_order(rows) if by == "recorded" else rows, span, by)]
    picked = _picked(followed)
    shown = _row(followed, rows, picked) or rows[-1]
    pick = partial(_pick, followed)

    def pressed(key: str) -> None:
        pick(key)
        play(key)

    title = RECORDED_TITLE if by == "recorded" else "Time judged (UTC)"
    figure(clips, on_pick=pressed, time_title=title, ringed=shown.key)
    _clip(followed, shown, alarms, is_newest=shown.key == rows[-1].key and not picked)
    last_clips(clips, followed.table.name, partial(_sound, followed), notes=followed.notes, on_pick=pick)


def _clip(followed: Followed, row: WatchRow, alarms: Sequence[PastAlarm], *, is_newest: bool) -> None:
    """Show one clip: its sound, what was made of it, and what a person says of it."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{'The newest clip' if is_newest else 'The clip that was picked'}**", width="content")
            st.markdown(verdict_badge(row.verdict), width="content")
            if not is_newest and st.button("Follow the newest", key="follow_newest", icon=":material/update:"):
                _pick(followed, "")
                st.rerun()
        sounds = listed([_heard(row)], partial(_sound, followed), followed.notes)
        pick = partial(_pick, followed)
        play_list(sounds, key=f"one:{followed.table.name}", label="This clip", told=told(), on_pick=pick)
        st.text(_details(row))
        for alarm in alarms:
            if row.key in {each.key for each in alarm.rows} or row.key == alarm.raised.key:
                st.markdown(f":material/notifications_active: in the alarm of {plain(time_text(alarm.raised.time))}")
        clip_marks(followed.beside, row.key, followed.notes.get(row.key))


def _details(row: WatchRow) -> str:
    said = [
        f"judged {time_text(row.time)}",
        f"recorded {recorded_time(row):%Y-%m-%d %H:%M:%S}" if row.recorded else "",
        f"score {score_text(row.anomaly_score)}, threshold {score_text(row.threshold)}",
        "" if row.p_value is None else f"{row.p_value:.2g} of held-out normal clips score as high",
        "heard while the watch was paused" if row.paused else "",
        "judged again once its file was whole" if row.replaces else "",
        shown_text(row.drift),
    ]
    return "; ".join(filter(None, said))


def _heard(row: WatchRow, by: str = "judged") -> HeardClip:
    title = Path(unescaped(row.path)).name
    if by == "judged":
        return HeardClip(row, time_text(row.time), row.time, title)
    recorded = recorded_time(row)
    return HeardClip(row, f"{recorded:%Y-%m-%d %H:%M:%S}", f"{recorded.isoformat()}+00:00", title)


def _within(rows: Sequence[WatchRow], span: str, by: str) -> Sequence[WatchRow]:
    """The rows of the last hour or day before the newest one."""
    if span not in HOURS or not rows:
        return rows
    place = (lambda row: moment(row.time)) if by == "judged" else recorded_time
    first: datetime = max(map(place, rows)) - timedelta(hours=HOURS[span])
    return [row for row in rows if place(row) >= first]


def _picked(followed: Followed) -> str:
    """Key of the clip that the reader has picked, at first the one that the URL names; empty: the newest."""
    table, key = st.session_state.get(_PICKED, (followed.table.name, st.query_params.get(CLIP, "")))
    key = key if table == followed.table.name else ""
    _pick(followed, key)
    if key:
        st.query_params[CLIP] = shown_text(key)
    else:
        st.query_params.pop(CLIP, None)
    return str(key)


def _pick(followed: Followed, key: str) -> None:
    st.session_state[_PICKED] = (followed.table.name, key)


def _row(followed: Followed, rows: Sequence[WatchRow], key: str) -> WatchRow | None:
    """The row of a key; an alarm of long ago is known by its event alone."""
    found = next((row for row in reversed(rows) if row.key == key), None)
    event = next((event for event in followed.events if key and event.key == key and event.clip), None)
    if found is not None or event is None:
        return found
    model = "" if followed.status is None else followed.status.model
    scores = (event.anomaly_score, event.threshold)
    return WatchRow(event.time, event.clip, model, "ok", "", *scores, "anomalous", alarm=True, event=event.kind)


def _sound(followed: Followed, heard: HeardClip) -> Any:
    return sound_of(followed.beside, heard.row)
