"""Background jobs: their current state, and the panel of a chore that runs or has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import streamlit as st

from asd_core.errors import BusyError
from asd_core.formats import size_text
from asd_core.jobs import queue as jobs
from asd_core.jobs.chores import Chore, Step
from asd_core.jobs.listing import active_jobs
from asd_core.jobs.table import Job, read_job, step
from pages.shared.frame import fragment
from pages.shared.plain_text import shown_text, warning_text, without_options

POLL_S = 1.0
DOING = {
    "simulate": "Simulated data set",
    "download": "Download of",
    "sweep": "Grid of nu and gamma on",
}


def cleared_jobs() -> list[Job]:
    """Close jobs whose process died, start the next one, and return the active ones; another process may do so."""
    with contextlib.suppress(BusyError):
        return jobs.clear_dead_jobs()
    return active_jobs()


def chore_panel(kinds: Sequence[str]) -> bool:
    """Show the chore that runs, or how the last one of these kinds ended; refreshed every second while it runs.

    Returns
    -------
    bool
        Whether a chore of any kind is running.
    """
    cleared_jobs()
    job = jobs.last_chore()
    if job is None or job.chore is None:
        return False
    if job.is_active:
        looks = [job]
        fragment(lambda: _panel(looks.pop() if looks else _refreshed(job)), run_every=POLL_S)()
    elif job.chore.kind in kinds:
        _panel(job)
    return job.is_active


def _refreshed(job: Job) -> Job:
    cleared_jobs()
    now = read_job(job.folder)
    if not now.is_active:
        st.rerun()
    return now


def _panel(job: Job) -> None:
    chore = job.chore
    if chore is None:
        return
    with st.container(border=True):
        with st.container(horizontal=True):
            st.markdown(f"**{DOING.get(chore.kind, 'Working on')}**", width="content")
            st.text(chore.name, width="content")
        if job.is_active:
            _running(job)
        else:
            _ended(job, chore)


def _running(job: Job) -> None:
    now = step(job)
    share = now.done / now.total if now.total else 0.0
    st.progress(min(share, 1.0), _step_text(now))
    st.caption("It goes on when you leave this page.")
    if st.button("Stop", key="stop_chore", icon=":material/stop_circle:"):
        jobs.cancel(job)
        st.rerun()


def _step_text(now: Step) -> str:
    if not now.total:
        return "Starting …"
    if now.stage.startswith("download"):
        return f"{size_text(now.done)} of {size_text(now.total)} fetched"
    if now.stage.startswith("unpack"):
        return f"{now.done:,} of {now.total:,} clips unpacked"
    return f"{now.done:,} of {now.total:,} {now.stage}"


def _ended(job: Job, chore: Chore) -> None:
    if job.state == "done":
        st.success(
            "Done." if chore.kind == "sweep" else "Done: it is among the data sets now.", icon=":material/check:"
        )
    elif job.state == "cancelled":
        st.info("Stopped. Start it again to resume; a download keeps what it has fetched.", icon=":material/info:")
    else:
        st.error("It did not succeed:", icon=":material/error:")
        st.text(shown_text(without_options(job.status.error or "")))
        if chore.kind == "download":
            st.caption(
                "Without a connection to zenodo.org the data cannot be fetched from here. Copy the files by hand as "
                "the message says, or use own recordings or the simulated bench."
            )
    for line in job.status.warnings:
        st.text(shown_text(warning_text(line)))
    if st.button("Close", key="dismiss_chore"):
        jobs.delete(job)
        st.rerun()
