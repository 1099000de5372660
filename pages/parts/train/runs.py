"""Earlier trainings: results, settings and times, why one ended, and repeating it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from asd_core.formats import MISSING, display_name, seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs import table as job_table
from asd_core.jobs.estimates import took_s
from asd_core.jobs.listing import Jobs, list_jobs
from asd_core.jobs.table import Job
from asd_core.system.devices import CPU
from pages.parts.train.live import job_title, loss_figure
from pages.parts.train.overlay import overlaid
from pages.parts.train.result import made_by, result_card
from pages.shared.choices import choose
from pages.shared.paging import page_start
from pages.shared.plain_text import shown_text, warning_text, without_options

STATE_TEXTS = {
    "done": "done",
    "failed": "failed",
    "cancelled": "stopped",
    "lost": "lost",
    "running": "running",
    "queued": "waiting",
}
RUNS_PER_PAGE = 25
"""The files of each are opened for its line."""
PAGE = "runs_page"


def run_history() -> None:
    """List all trainings that were started here, and show one of them."""
    every = list_jobs()
    if not every:
        st.info("Nothing has been trained from here yet.", icon=":material/info:")
        return
    found = list(_visible(every))
    table = pd.DataFrame(
        {
            "Started (UTC)": [f"{job.submitted_at:%Y-%m-%d %H:%M}" for job in found],
            "Training": [job_title(job) for job in found],
            "Preset": [MISSING if job.request is None else job.request.preset for job in found],
            "State": [STATE_TEXTS[job.state] for job in found],
            "Took": [_took(job) for job in found],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", key="runs", alt=f"Table of {len(found)} trainings")
    by_name = {job.name: job for job in found}
    if not by_name:
        return
    name = choose(
        "Show",
        by_name,
        key="run",
        format_func=lambda name: _choice(by_name[name]),
        help="The newest comes first.",
    )
    _details(by_name[name])


def _visible(every: Jobs) -> Jobs:
    """Return the runs of one page: the one that shows the run which is asked for, or that the reader turned to."""
    again = st.session_state.pop("next_run", None)
    if again:
        st.session_state["run"] = again
    asked = st.session_state.get("run") or st.query_params.get("run")
    if asked in every.names and (again or PAGE not in st.session_state):
        st.session_state[PAGE] = every.names.index(asked) // RUNS_PER_PAGE + 1
    start = page_start(len(every), key=PAGE, page_rows=RUNS_PER_PAGE)
    return every[start : start + RUNS_PER_PAGE]


def _choice(job: Job) -> str:
    return f"{job.submitted_at:%Y-%m-%d %H:%M:%S} · {job_title(job)} · {STATE_TEXTS[job.state]}"


def _took(job: Job) -> str:
    seconds = took_s(job)
    return MISSING if seconds is None else seconds_text(round(seconds, 1))


def _details(job: Job) -> None:
    if (artifact := made_by(job)) is not None:
        result_card(artifact, key=job.name)
    elif job.state == "done":
        st.info("The version that this training made has been deleted.", icon=":material/info:")
    elif job.status.error is not None and not job.is_active:
        words = {"failed": "It failed:", "lost": "It was lost:", "cancelled": "It was stopped:"}
        st.warning(words.get(job.state, "It ended:"), icon=":material/warning:")
        st.text(shown_text(without_options(job.status.error)))
    for line in job.status.warnings:
        st.text(shown_text(warning_text(line)))
    _settings(job)
    if not job.is_active:
        loss_figure(job, job_table.progress(job))
        overlaid(job)
        _again(job)
    with st.expander("Log", icon=":material/terminal:"):
        st.code(job_table.log_text(job, at_most=16_384) or "Nothing was printed.", language=None)


def _trained_on(job: Job) -> str:
    """Name the device that the run's version was trained on; a dash where there is none yet, or none any more."""
    artifact = made_by(job)
    if artifact is None:
        return MISSING
    device = artifact.manifest.training.device
    return "the processor" if device in (None, CPU) else f"a GPU ({device})"


def _settings(job: Job) -> None:
    request = job.request
    if request is None:
        return
    rows = {
        "Detector": request.detector,
        "Preset": request.preset,
        "Changed": ", ".join(f"{k} = {v}" for k, v in (request.settings or {}).items()) or "nothing",
        "Seed": str(request.seed),
        "Ids": "all" if request.ids is None else ", ".join(request.ids),
        "Trained on": _trained_on(job),
        "Folds": "preset" if request.folds is None else str(request.folds),
        "Clips": str(request.data),
        "Resumed from a checkpoint": "yes" if request.resume else "no",
        "Began (UTC)": (job.status.began_at or MISSING)[:19],
        "Ended (UTC)": (job.status.ended_at or MISSING)[:19],
    }
    with st.expander("Settings", icon=":material/tune:"):
        st.dataframe(
            pd.DataFrame({"Setting": list(rows), "Value": [display_name(value) for value in rows.values()]}),
            hide_index=True,
            width="stretch",
            key="run_settings",
            alt="Settings of this training",
        )


def _again(job: Job) -> None:
    resumable = job.state in ("cancelled", "lost", "failed")
    with st.container(horizontal=True):
        if job.request is not None and st.button(
            "Resume from the last epoch" if resumable else "Train again",
            key="again",
            icon=":material/replay:",
            help="Finished epochs are kept, where there are any." if resumable else "The same settings; a new version.",
        ):
            again = jobs.resubmit(job) if resumable else jobs.submit(replace(job.request, resume=False))
            st.session_state["next_run"] = again.name
            st.rerun()
        with st.popover("Delete …", icon=":material/delete:"):
            st.caption("The record of this training is deleted; the detector that it made stays.")
            if st.button("Delete for good", key="delete_run"):
                jobs.delete(job)
                st.rerun()
