"""What a person says of a clip or of an alarm: the buttons, the note, and how it is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import ACKNOWLEDGED, FAULT, MAX_TEXT, NORMAL, UNDONE, Note, note
from asd_core.monitoring.past_alarms import PastAlarm
from pages.parts.monitor.rebaseline_taking import take_as_far_as_possible
from pages.parts.monitor.standing import time_text
from pages.shared.plain_text import plain

BUTTONS: Mapping[str, tuple[str, str]] = {
    ACKNOWLEDGED: ("Acknowledge", ":material/done_all:"),
    NORMAL: ("This was normal", ":material/check_circle:"),
    FAULT: ("This was a fault", ":material/report:"),
}
BADGES: Mapping[str, str] = {
    ACKNOWLEDGED: ":gray-badge[:material/done_all: acknowledged]",
    NORMAL: ":blue-badge[:material/check_circle: marked as normal]",
    FAULT: ":orange-badge[:material/report: marked as a fault]",
}


def clip_marks(beside: Beside, clip: str, said: Note | None) -> None:
    """Let a person say what a clip was.

    Parameters
    ----------
    clip
        The key of its row.
    said
        What was said of it last.
    """
    _marks(beside, (clip,), said, words=(NORMAL, FAULT), key=f"clip:{beside.table.name}:{clip}")


def alarm_marks(beside: Beside, alarm: PastAlarm, said: Note | None) -> None:
    """Let a person acknowledge an alarm, or say what it was; its anomalous clips are then marked with it."""
    _marks(beside, (alarm.key,), said, words=tuple(BUTTONS), key=f"alarm:{beside.table.name}:{alarm.key}", alarm=alarm)


def _marks(
    beside: Beside,
    keys: tuple[str, ...],
    said: Note | None,
    *,
    words: Sequence[str],
    key: str,
    alarm: PastAlarm | None = None,
) -> None:
    clips = () if alarm is None else tuple(row.key for row in alarm.anomalous)
    if said is not None:
        _said(said)
        if st.button("Undo", key=f"undo:{key}", icon=":material/undo:", help="Takes back what was said"):
            _write(beside, (*keys, *(clips if said.said in (NORMAL, FAULT) else ())), UNDONE, "")
        if said.said != ACKNOWLEDGED:
            return
    with st.form(f"marks:{key}", border=False, clear_on_submit=True):
        text = st.text_input("Note (optional)", max_chars=MAX_TEXT, key=f"note:{key}")
        with st.container(horizontal=True):
            pressed = [
                word
                for word in words
                if (said is None or word != said.said)
                and st.form_submit_button(BUTTONS[word][0], icon=BUTTONS[word][1], key=f"{word}:{key}")
            ]
    if pressed:
        word = pressed[0]
        _write(beside, (*keys, *(clips if word != ACKNOWLEDGED else ())), word, text)


def _said(said: Note) -> None:
    st.markdown(f"{BADGES[said.said]} {plain(time_text(said.time))}")
    if said.text:
        st.text(said.text)


def _write(beside: Beside, keys: Sequence[str], word: str, text: str) -> None:
    note(beside, *(Note.now(key, word, text.strip()) for key in keys))
    if word != ACKNOWLEDGED:
        take_as_far_as_possible(beside.table)
    st.rerun()
