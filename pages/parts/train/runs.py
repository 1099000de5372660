"""Earlier trainings: settings, times, results, why one ended, and repeating it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.uncertainty import estimate_of, interval_text
from asd_core.formats import MISSING, TRAINED_ON_SIMULATED, area_text, display_name, score_text, seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs import table as job_table
from asd_core.jobs.listing import Jobs, list_jobs
from asd_core.jobs.table import Job
from asd_core.system.devices import CPU
from asd_core.tasks.train import TrainingRequest
from pages.parts.train.live import job_title, loss_figure
from pages.shared.cache import summary
from pages.shared.cards import calibration_marks, promise_text, threshold_origin
from pages.shared.choices import choose, go
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
LOOK_BACK = 100
"""Runs that are searched for one like the training that is about to be asked for."""
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
        "Look at",
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
    seconds = _took_s(job)
    return MISSING if seconds is None else seconds_text(round(seconds, 1))


def _took_s(job: Job) -> float | None:
    began, ended = job.status.began_at, job.status.ended_at
    if began is None or ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def last_took_s(detector: str, preset: str) -> float | None:
    """Seconds of the last finished training of a detector by a preset, started here with nothing changed; or None."""

    def is_alike(request: TrainingRequest | None) -> bool:
        if request is None or request.settings or request.folds is not None or request.resume:
            return False
        return (request.detector, request.preset) == (detector, preset)

    return next(
        (_took_s(job) for job in list_jobs()[:LOOK_BACK] if job.state == "done" and is_alike(job.request)), None
    )


def _details(job: Job) -> None:
    if job.state == "done":
        _result(job)
    elif job.status.error is not None and not job.is_active:
        words = {"failed": "It failed:", "lost": "It was lost:", "cancelled": "It was stopped:"}
        st.warning(words.get(job.state, "It ended:"), icon=":material/warning:")
        st.text(shown_text(without_options(job.status.error)))
    for line in job.status.warnings:
        st.text(shown_text(warning_text(line)))
    _settings(job)
    if not job.is_active:
        loss_figure(job, job_table.progress(job))
        _again(job)
    with st.expander("Log", icon=":material/terminal:"):
        st.code(job_table.log_text(job, at_most=16_384) or "Nothing was printed.", language=None)


def _result(job: Job) -> None:
    folder = Path(job.status.model or "") / (job.status.version or "")
    if not folder.is_dir():
        st.info("The version that this run made has been deleted.", icon=":material/info:")
        return
    artifact = open_artifact(folder)
    ranking = summary(artifact).ranking
    if artifact.simulated:
        st.caption(
            f":material/science: Simulated data: this detector was {TRAINED_ON_SIMULATED}, and these figures come from "
            "generated sound."
        )
    for column, label, value, text in zip(
        st.columns(3),
        ("AUC, mean over ids", "Partial AUC (FPR ≤ 0.1)", "Threshold"),
        (
            area_text(estimate_of(ranking.auc_mean)),
            area_text(estimate_of(ranking.pauc_mean)),
            score_text(artifact.threshold.value),
        ),
        (
            "Chance that an anomalous clip scores higher than a normal one.",
            "The same where false alarms are rare.",
            "From scores of normal clips by a fit that has not heard them; a score that reaches it is anomalous.",
        ),
        strict=True,
    ):
        column.metric(label, value, help=text, border=True)
    st.caption(
        f"95 % intervals: AUC {interval_text(ranking.auc_mean)}, partial AUC "
        f"{interval_text(ranking.pauc_mean)}. {ranking.n_normal} normal and "
        f"{ranking.n_anomalous} anomalous test clips; version {artifact.version}"
    )
    threshold, calibration = artifact.threshold, artifact.manifest.calibration
    calibration_marks(threshold, calibration)
    origin = threshold_origin(threshold, calibration)
    st.caption(f"The threshold is {origin}. {promise_text(threshold, calibration)}")
    place = f"{folder.parents[2].name}/{folder.parents[1].name}"
    with st.container(horizontal=True):
        go("pages/overview.py", "Overview", icon=":material/home:", set=place)
        go("pages/threshold.py", "Threshold", icon=":material/tune:", set=place, detector=artifact.detector_name)


def _trained_on(job: Job) -> str:
    """Name the device that the run's version was trained on; a dash where there is none yet, or none any more."""
    folder = Path(job.status.model or "") / (job.status.version or "")
    if job.state != "done" or not folder.is_dir():
        return MISSING
    device = open_artifact(folder).manifest.training.device
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
        "Went on from a checkpoint": "yes" if request.resume else "no",
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
            "Go on from the last epoch" if resumable else "Train again",
            key="again",
            icon=":material/replay:",
            help="Finished epochs are kept, where there are any." if resumable else "The same settings, a new version.",
        ):
            again = jobs.resubmit(job) if resumable else jobs.submit(replace(job.request, resume=False))
            st.session_state["next_run"] = again.name
            st.rerun()
        with st.popover("Delete …", icon=":material/delete:"):
            st.caption("The record of this run goes; the detector that it made stays.")
            if st.button("Delete for good", key="delete_run"):
                jobs.delete(job)
                st.rerun()
