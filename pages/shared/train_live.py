"""The training that runs and those that wait: looked at again every second while there are any."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from asd_core import job_table, jobs
from asd_core.detector import Progress
from asd_core.detectors import detector_class
from asd_core.errors import BusyError
from asd_core.formats import display_name, seconds_text
from asd_core.job_table import Job
from asd_core.plots import learning_curves
from pages.shared.frame import fragment
from pages.shared.train_fields import detector_titles

POLL_S = 1.0
FEW_EPOCHS, LONG_EPOCHS = 20, 200
"""Up to these, each epoch has a tick; the axis shows those to come as well."""


def live_panel() -> None:
    """Show active trainings, newest state of each."""
    swept()
    before = _active()
    if before:
        fragment(lambda: _panel(before), run_every=POLL_S)()


def swept() -> None:
    """Close trainings whose process died and start the next one; another process may be at it."""
    with contextlib.suppress(BusyError):
        jobs.sweep()


def job_title(job: Job) -> str:
    """Detector and data set of a training."""
    if job.request is None:
        return f"{job.name} (damaged)"
    name = job.request.name or job.request.data.name
    machine = f" · {job.request.machine}" if job.request.machine else ""
    return display_name(f"{detector_titles().get(job.request.detector, job.request.detector)} on {name}{machine}")


def loss_figure(job: Job, events: Sequence[Progress]) -> None:
    """Draw training and held-out loss over epochs; nothing for a detector without a loss."""
    losses = {"training": [event.loss for event in events], "validation": [event.heldout_loss for event in events]}
    known = {
        name: [float("nan") if value is None else value for value in values]
        for name, values in losses.items()
        if any(value is not None for value in values)
    }
    if not known or job.request is None:
        return
    scaled = getattr(detector_class(job.request.detector), "scales_frames", True)
    figure = learning_curves(known, log_axis=True, unit="mean squared error" if scaled else "mean squared error, dB²")
    last = events[-1]
    figure.update_yaxes(dtick="D2", tickformat=".2~g")
    if len(events) > FEW_EPOCHS:
        figure.update_traces(mode="lines")
    if last.epochs <= LONG_EPOCHS:
        ticks = {"dtick": 1} if last.epochs <= FEW_EPOCHS else {"nticks": 12}
        figure.update_xaxes(range=[0.5, last.epochs + 0.5], **ticks)
    alt = f"Loss over {len(events)} of {last.epochs} epochs; the last training loss is {last.loss or 0:.4g}"
    st.plotly_chart(figure, key=f"loss:{job.name}", width="stretch", alt=alt)
    st.caption("Training: clips it learns from. Validation: held-out normal clips. Lower is better.")


def _active() -> dict[str, str]:
    return {job.name: job.state for job in job_table.list_jobs() if job.is_active}


def _panel(before: dict[str, str]) -> None:
    swept()
    active = [job for job in reversed(job_table.list_jobs()) if job.is_active]
    if {job.name: job.state for job in active} != before:
        st.rerun()
    waiting = [job for job in active if job.state == "queued"]
    for job in active:
        if job.state == "running":
            _running(job)
    if waiting:
        st.markdown(f"**{len(waiting)} waiting**, in this order:")
    for job in waiting:
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.text(job_title(job))
        if right.button("Take out", key=f"unqueue:{job.name}", width="stretch"):
            jobs.cancel(job)
            st.rerun()


def _running(job: Job) -> None:
    events = job_table.progress(job)
    with st.container(border=True):
        left, right = st.columns([4, 1], vertical_alignment="center")
        with left.container(horizontal=True):
            st.markdown("**Training now**", width="content")
            st.text(job_title(job), width="content")
        stopped = right.button("Stop", key=f"stop:{job.name}", icon=":material/stop_circle:", width="stretch")
        if events:
            last = events[-1]
            st.progress(
                last.epoch / max(last.epochs, 1),
                f"Epoch {last.epoch} of {last.epochs} · about {seconds_text(round(last.eta_s))} left",
            )
        else:
            st.progress(0.0, f"Reading and preparing the clips … {seconds_text(round(_age_s(job)))}")
        loss_figure(job, events)
        if stopped:
            jobs.cancel(job)
            st.rerun()


def _age_s(job: Job) -> float:
    began = job.status.began_at
    return 0.0 if began is None else max(0.0, (datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds())
