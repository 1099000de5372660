"""The form that starts a watch: which folder, with which detector, and when an alarm is raised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from asd_core.data.library import ROOTS_VARIABLE, allowed_roots
from asd_core.monitoring.starting import MAX_NAME, RECORD, WatchSettings, start_watch
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from pages.shared.plain_text import shown_text

RULES = {
    "3/5": "3 anomalous of the last 5 clips",
    "2/3": "2 anomalous of the last 3 clips",
    "5/10": "5 anomalous of the last 10 clips",
    "1/1": "every anomalous clip",
    "budget:1/day": "what gives at most one false alarm a day",
    "budget:1/week": "what gives at most one false alarm a week",
    "budget:1/month": "what gives at most one false alarm a month",
    "cusum:20": "many clips that are somewhat odd (CUSUM)",
    RECORD: "nothing: scores are recorded only",
}
"""Alarm rules as `asd watch --alarm` takes them."""


def watch_form(detectors: Mapping[str, Path], *, key: str, machine: str = "") -> Path | None:
    """Draw the form; return the table of the watch that was started by it in this run.

    Parameters
    ----------
    detectors
        Registry names to detector folders, at least one; the first is suggested.
    key
        Unique on its page.
    machine
        Suggested name of the machine.
    """
    st.caption("The folder into which your recorder writes its clips; it may lie below one of these:")
    st.text("\n".join(shown_text(str(root)) for root in allowed_roots()))
    st.caption(f"Whoever runs this program allows other places with the environment variable `{ROOTS_VARIABLE}`.")
    with st.form(key):
        folder = st.text_input(
            "Folder, in full", key=f"{key}_folder", placeholder=f"{shown_text(str(allowed_roots()[-1]))}/incoming"
        )
        name = st.selectbox(
            "Detector", list(detectors), key=f"{key}_detector", format_func=lambda name: DETECTOR_SHORT_NAMES[name]
        )
        called = st.text_input("Name of the machine", machine, key=f"{key}_machine", max_chars=MAX_NAME)
        rule = st.selectbox("An alarm is raised by", list(RULES), key=f"{key}_rule", format_func=RULES.__getitem__)
        every_s = st.number_input(
            "Seconds from one clip to the next (0: learned from the folder)",
            *(0.0, 86_400.0, 0.0, 1.0),
            key=f"{key}_every",
            help="A promise of at most so many false alarms needs it.",
        )
        segment_s = st.number_input(
            "Cut long recordings into clips of so many seconds (0: a file is a clip)",
            *(0.0, 3600.0, 0.0, 1.0),
            key=f"{key}_segment",
        )
        is_sent = st.form_submit_button("Start watching", icon=":material/sensors:")
    if not is_sent:
        return None
    settings = WatchSettings(
        folder=folder.strip(),
        model=str(detectors[name]),
        machine=called.strip(),
        alarm=rule,
        every_s=every_s or None,
        segment_s=segment_s or None,
        page=_dashboard(),
    )
    with st.spinner("Starting …"):
        return start_watch(settings)


def _dashboard() -> str:
    """The dashboard's address as this browser has it, for links in messages; empty where it is not known."""
    found = urlsplit(st.context.url or "")
    if found.scheme not in ("http", "https"):
        return ""
    return f"{found.scheme}://{found.netloc}{found.path.rpartition('/')[0]}"
