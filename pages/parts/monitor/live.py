"""Folders that `python -m asd_core watch` listens to: only its tables are read here, nothing is scored."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import open_artifact
from asd_core.data.library import allowed_roots
from asd_core.errors import AsdError, InputError
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.table import Tail, is_running, list_tables
from asd_core.types import Waveform
from pages.parts.monitor.view import HeardClip, monitor, time_text
from pages.shared.choices import choose
from pages.shared.context import PROJECT, Chosen
from pages.shared.frame import fragment
from pages.shared.keys import ClipFile
from pages.shared.plain_text import shown_text
from pages.shared.sources import clip

POLL_S = 2.0
MAX_TABLES = 50
KEY = "monitor_tail"


def live_tab(chosen: Chosen) -> None:
    """Let the reader choose a table, and follow it."""
    tables = {path.name: path for path in list_tables()[:MAX_TABLES]}
    if not tables:
        st.info("No folder is being watched yet. Start a watch from the shell, then reload this page:")
        _command(chosen)
        return
    name = choose("Watched folder", list(tables), key="watch")
    tail = st.session_state.get(KEY)
    if tail is None or tail.path != tables[name]:
        tail = st.session_state[KEY] = Tail(tables[name])
    fragment(lambda: _panel(tail), run_every=POLL_S)()
    with st.expander("Watch another folder"):
        _command(chosen)


def _command(chosen: Chosen) -> None:
    model = next(iter(chosen.detectors.values()))
    st.code(f"python -m asd_core watch FOLDER --model {shlex.quote(shown_text(str(model)))}", language="shell")
    st.caption(
        "It scores each clip as it arrives, raises and clears alarms, and, started again, resumes where it stopped. "
        "Clips below the data folder, or below a folder that ASD_DATA_ROOTS names, can be heard here."
    )


def _panel(tail: Tail) -> None:
    rows = tail.update()
    if is_running(tail.path):
        st.markdown(":green-badge[:material/sensors: a watch is running]")
    else:
        st.markdown(":gray-badge[:material/sensors_off: no watch is running; these are its last clips]")
    if rows and _by_simulated(rows[-1]):
        st.warning(
            f"The detector in use here was **{TRAINED_ON_SIMULATED}**: its verdicts tell how far a clip is from "
            "the simulation, not whether your machine is faulty.",
            icon=":material/science:",
        )
    clips = [HeardClip(row, time_text(row.time), row.time, Path(unescaped(row.path)).name) for row in rows]
    monitor(clips, name=tail.path.name, sound=_sound, is_cut=tail.is_cut)


def _by_simulated(row: WatchRow) -> bool:
    """Whether a row's detector was trained on simulated sound; tables of earlier releases leave it to the detector."""
    return _detector_is_simulated(unescaped(row.model)) if row.simulated is None else row.simulated


@st.cache_data(max_entries=64, show_spinner=False)
def _detector_is_simulated(model: str) -> bool:
    if "\0" in model:
        return False
    try:
        return open_artifact(PROJECT / model).simulated
    except AsdError:  # gone, or damaged: the table is shown all the same
        return False


def _sound(heard: HeardClip) -> Waveform | None:
    path = Path(unescaped(heard.row.path))
    if "\0" in str(path) or not path.is_file():
        return None
    if not any(path.parent.resolve().is_relative_to(root) for root in allowed_roots()):
        raise InputError("this clip lies outside the folders that the dashboard may read; ASD_DATA_ROOTS names them")
    channel = open_artifact(PROJECT / heard.row.model).channel
    return clip(ClipFile(str(path), f"{path.stat().st_mtime_ns} ns", channel))
