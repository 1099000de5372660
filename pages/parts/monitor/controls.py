"""Stopping, starting and pausing a watch, and what it was started with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.errors import AsdError
from asd_core.formats import MISSING
from asd_core.monitoring.control import ask_pause, ask_resume, read_control
from asd_core.monitoring.rebaselining.versions import version_in_use
from asd_core.monitoring.rows import unescaped
from asd_core.monitoring.starting import last_settings, start_again, stop_watch
from asd_core.monitoring.status import WatchStatus
from pages.parts.monitor.followed import Followed
from pages.parts.monitor.standing import time_text
from pages.shared.plain_text import plain, shown_text

PAUSE_MIN = 30
NOTICES = {"system": "the operating system reports changes", "polling": "the folder is looked through"}


def controls(followed: Followed) -> None:
    """Draw the buttons that fit what the watch is doing."""
    name = followed.table.name
    newer = _newer(followed)
    model = None if newer is None else newer.folder.parent
    with st.container(horizontal=True, vertical_alignment="center"):
        if followed.is_alive:
            if st.button("Stop", key=f"stop:{name}", icon=":material/stop_circle:"):
                with st.spinner("It ends after the clip that it is at …"):
                    stop_watch(followed.table)
                st.rerun()
            _pause(followed)
        if last_settings(followed.table) is not None and _starts_again(followed, newer):
            with st.spinner("Starting …"):
                start_again(followed.table, model=model)
            st.rerun()


def _pause(followed: Followed) -> None:
    """Offer a pause, or its end; the watch looks at what is asked every second or so."""
    name, beside = followed.table.name, followed.beside
    if read_control(beside.control).is_paused(datetime.now(UTC)):
        if st.button("Resume", key=f"resume:{name}", icon=":material/play_arrow:"):
            ask_resume(beside)
            st.rerun()
    elif st.button(
        f"Pause {PAUSE_MIN} min",
        key=f"pause:{name}",
        icon=":material/pause:",
        help="New clips raise no alarm meanwhile",
    ):
        ask_pause(beside, PAUSE_MIN)
        st.rerun()


def _starts_again(followed: Followed, newer: Artifact | None) -> bool:
    """Offer to start a watch that has ended, or one that runs with a version that is no longer current."""
    name = followed.table.name
    if not followed.is_alive:
        return st.button("Start again", key=f"again:{name}", icon=":material/play_circle:")
    if newer is None:
        return False
    st.markdown(f"It judges by an earlier version; {plain(newer.version)} is current.", width="content")
    return st.button(f"Go on with {newer.version}", key=f"again:{name}", icon=":material/restart_alt:")


def _newer(followed: Followed) -> Artifact | None:
    """The version by which the watch would judge if it were started again, where that is another one."""
    status = followed.status
    model = "" if status is None else unescaped(status.model)
    if not model or "\0" in model:
        return None
    try:
        found = version_in_use(followed.beside, Path(model))
    except AsdError:  # gone, or damaged: the watch goes on with what it has read
        return None
    return None if found.folder == Path(model) else found


def settings(followed: Followed) -> None:
    """Say what a watch listens to and how, and whom it tells."""
    status = followed.status
    if status is None:
        st.text(f"Table: {shown_text(str(followed.table))}")
        st.caption("This watch of an earlier release says no more of itself.")
        return
    for name, value in _described(status).items():
        st.text(f"{name}: {shown_text(value)}")
    st.text(f"Table: {shown_text(str(followed.table))}")
    if not status.sinks:
        st.caption(
            "Nobody is told of its alarms: whoever runs this program names services, mail or a broker with the "
            "environment variable `ASD_NOTIFY`."
        )
    if followed.is_alive and last_settings(followed.table) is None:
        st.caption("It was started from a shell or by a service, which may start it again when it is stopped here.")


def _described(status: WatchStatus) -> dict[str, str]:
    sinks = [f"{sink.title} ({sink.n_sent} sent, {sink.n_waiting} waiting)" for sink in status.sinks]
    return {
        "Folder": status.folder,
        "Detector": f"{status.title}, {status.model}",
        "Alarm": status.rule,
        "A file is judged when it has not changed for": f"{status.settle_s:g} s ({status.settle_from})",
        "Changes": NOTICES.get(status.notices, status.notices),
        "Since its start": (
            f"{time_text(status.started_at)}: {status.n_judged} clips judged, {status.n_refused} refused, "
            f"{status.n_early} judged again once they were whole, {status.n_raised} alarms"
        ),
        "Files that wait": str(status.n_waiting),
        "Told": "; ".join(sinks) or MISSING,
    }
