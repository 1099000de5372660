"""The alarms of a watch: when, for how long, by what; their clips to hear; and what people said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import streamlit as st

from asd_core.formats import counted, display_name, score_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import Note
from asd_core.monitoring.past_alarms import PastAlarm
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.types import Waveform
from pages.parts.monitor.marks import alarm_marks
from pages.parts.monitor.standing import lasting_text, moment, time_text
from pages.parts.monitor.view import HeardClip, listed
from pages.shared.components.play_list import MOST_ROWS, play_list
from pages.shared.paging import page_start
from pages.shared.plain_text import shown_text

PER_PAGE = 5


def alarm_list(
    alarms: Sequence[PastAlarm],
    beside: Beside,
    notes: Mapping[str, Note],
    *,
    heard: Callable[[WatchRow], HeardClip],
    sound: Callable[[HeardClip], Waveform | None],
) -> None:
    """Draw the alarms, the newest first.

    Parameters
    ----------
    heard
        Makes of a row what lists show.
    """
    if not alarms:
        st.info("No alarm has been raised so far.", icon=":material/check:")
        return
    first = page_start(len(alarms), key="alarms_page", page_rows=PER_PAGE)
    for alarm in alarms[first : first + PER_PAGE]:
        with st.container(border=True):
            _alarm(alarm, beside, notes, heard, sound)


def _alarm(
    alarm: PastAlarm,
    beside: Beside,
    notes: Mapping[str, Note],
    heard: Callable[[WatchRow], HeardClip],
    sound: Callable[[HeardClip], Waveform | None],
) -> None:
    st.markdown(f"**{_when(alarm)}**")
    st.text(shown_text(_what(alarm)))
    if alarm.rows:
        clips = [heard(row) for row in alarm.rows[-MOST_ROWS:]]
        label = f"Clips of the alarm of {time_text(alarm.raised.time)}"
        key = f"alarm_sounds:{beside.table.name}:{alarm.key}"
        play_list(listed(clips, sound, notes), key=key, label=label, height_px=160)
    else:
        st.caption("Its clips are older than the rows that are shown here.")
    if alarm.anomalous:
        st.caption(
            f"What is said of the alarm is said of its {counted(len(alarm.anomalous), 'anomalous clip')} too; "
            "an acknowledgement is about the alarm alone."
        )
    alarm_marks(beside, alarm, notes.get(alarm.key))


def _when(alarm: PastAlarm) -> str:
    raised = moment(alarm.raised.time)
    if alarm.cleared is None:
        lasting = lasting_text((datetime.now(UTC) - raised).total_seconds())
        return f":orange-badge[:material/notifications_active: on] since {time_text(alarm.raised.time)}, {lasting}"
    lasting = lasting_text((moment(alarm.cleared.time) - raised).total_seconds())
    return f"{time_text(alarm.raised.time)} to {time_text(alarm.cleared.time)}, {lasting}"


def _what(alarm: PastAlarm) -> str:
    event = alarm.raised
    name = display_name(unescaped(event.clip).rpartition("/")[2])
    score = f"score {score_text(event.anomaly_score)}, threshold {score_text(event.threshold)}"
    return f"{event.text}; raised by {name}: {score}"
