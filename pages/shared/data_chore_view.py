"""How far a data set is that is being made, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shared.data_chores import Chore, dismiss, is_running, read_chore, stop
from pages.shared.data_table import size_text
from pages.shared.frame import fragment, shown_text

POLL_S = 1.0
DOING = {
    "simulate": "Simulated data set",
    "download": "Download of",
    "sweep": "Grid of nu and gamma on",
}


def chore_panel(kinds: Sequence[str]) -> None:
    """Show what is being made, and how one of these kinds ended; look again every second while it runs."""
    chore = read_chore()
    if chore is not None and (chore.kind in kinds or chore.state == "running"):
        alive = chore.state == "running"
        fragment(lambda: _panel(alive), run_every=POLL_S if alive else None)()


def _panel(was_alive: bool) -> None:
    chore = read_chore()
    if chore is None:
        return
    if was_alive and chore.state != "running":
        st.rerun()
    with st.container(border=True):
        with st.container(horizontal=True):
            st.markdown(f"**{DOING.get(chore.kind, 'Working on')}**", width="content")
            st.text(chore.name, width="content")
        if chore.state == "running":
            _running(chore)
        else:
            _ended(chore)


def _running(chore: Chore) -> None:
    share = chore.done / chore.total if chore.total else 0.0
    st.progress(min(share, 1.0), _step(chore))
    st.caption("It goes on when you leave this page.")
    if st.button("Stop", key="stop_chore", icon=":material/stop_circle:"):
        stop()
        st.rerun()


def _step(chore: Chore) -> str:
    if not chore.total:
        return "Starting …"
    if chore.stage.startswith("download"):
        return f"{size_text(chore.done)} of {size_text(chore.total)} fetched"
    if chore.stage.startswith("unpack"):
        return f"{chore.done:,} of {chore.total:,} clips unpacked"
    return f"{chore.done:,} of {chore.total:,} {chore.stage}"


def _ended(chore: Chore) -> None:
    if chore.state == "done":
        st.success(
            "Done." if chore.kind == "sweep" else "Done: it is among the data sets now.", icon=":material/check:"
        )
    elif chore.state == "stopped":
        st.info("Stopped. Start it again to go on; a download keeps what it has fetched.", icon=":material/info:")
    else:
        st.error("It did not succeed:", icon=":material/error:")
        st.text(shown_text(chore.error))
        if chore.kind == "download":
            st.caption(
                "Without a connection to zenodo.org the data cannot be fetched from here. Copy the files by hand as "
                "the message says, or use own recordings or the simulated bench."
            )
    for line in chore.warnings:
        st.text(shown_text(line))
    if not is_running() and st.button("Close", key="dismiss_chore"):
        dismiss()
        st.rerun()
