"""The running training and those that wait: refreshed every second while there are any."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from asd_core.data.simulated.record import MARKER_NAME
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Detector, Progress
from asd_core.errors import UsageError
from asd_core.formats import TRAINED_ON_SIMULATED, display_name, seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs import table as job_table
from asd_core.jobs.table import Job
from asd_core.reports.plots import learning_curves
from asd_core.tasks.train import TrainingRequest
from pages.parts.train.fields import detector_titles
from pages.parts.train.result import made_by, result_card, switch_to_trained
from pages.shared.background import cleared_jobs
from pages.shared.frame import first_screen, fragment

POLL_S = 1.0
HELD_OUT = "held-out"
ENDINGS = {
    "done": (":green[:material/check_circle:]", "Training finished"),
    "failed": (":red[:material/error:]", "Training failed"),
    "lost": (":red[:material/error:]", "Training was lost"),
    "cancelled": (":gray[:material/stop_circle:]", "Training stopped"),
}
FEW_EPOCHS, LONG_EPOCHS = 20, 200
"""Up to the first number each epoch has a tick; up to the second the axis shows the epochs to come as well."""


def live_panel() -> bool:
    """Show active trainings with their latest state, and those that have ended since this session saw them run.

    Returns
    -------
    bool
        Whether one that has ended is shown, so that the page's form is not the first thing on it.
    """
    first = _trainings()
    before = {job.name: job.state for job in first}
    seen = st.session_state.setdefault("seen_jobs", set())
    seen |= set(before)
    ended = []
    for name in sorted(seen - set(before), reverse=True):
        with contextlib.suppress(UsageError):  # its record has been deleted
            ended.append(job_table.read_job(job_table.runs_dir() / name))
    for place, job in enumerate(ended):
        _follow(job)
        with nullcontext() if place else first_screen():
            _ended(job)
    if before:
        looks = [first]
        fragment(lambda: _panel(before, looks.pop() if looks else _trainings()), run_every=POLL_S)()
    return bool(ended)


def _trainings() -> list[Job]:
    """Return the trainings that wait or run, newest first."""
    return [job for job in cleared_jobs() if job.chore is None]


def job_title(job: Job) -> str:
    """Name a training by its detector and data set."""
    if job.request is None:
        return f"{job.name} (damaged)"
    name = job.request.name or job.request.data.name
    machine = f" · {job.request.machine}" if job.request.machine else ""
    return display_name(f"{detector_titles().get(job.request.detector, job.request.detector)} on {name}{machine}")


def epochs_per_fit(request: TrainingRequest) -> int:
    """Return the epochs of one fit: progress counts those of all fits, the detector's own and those without a fold."""
    return int(getattr(_detector_of(request), "epochs", 1))


def _detector_of(request: TrainingRequest) -> Detector:
    return detector_class(request.detector).from_preset(request.preset, **(request.settings or {}))


def losses_of(events: Sequence[Progress]) -> dict[str, list[float]]:
    """Return the losses of each epoch by name, as far as the detector has them."""
    losses = {"training": [event.loss for event in events], HELD_OUT: [event.heldout_loss for event in events]}
    return {
        name: [float("nan") if value is None else value for value in values]
        for name, values in losses.items()
        if any(value is not None for value in values)
    }


def loss_figure(job: Job, events: Sequence[Progress]) -> None:
    """Draw training and held-out loss over the epochs of the detector's own fit; nothing for one without a loss."""
    if job.request is not None:
        own = epochs_per_fit(job.request)
        events = [replace(event, epochs=min(own, event.epochs)) for event in events if event.epoch <= own]
    known = losses_of(events)
    if not known or job.request is None:
        return
    scaled = getattr(_detector_of(job.request), "scales_frames", True)
    last = events[-1]
    figure = learning_curves(
        known,
        levels={} if last.mean_spectrum_loss is None else {"mean spectrum": last.mean_spectrum_loss},
        log_axis=True,
        unit="mean squared error" if scaled else "mean squared error, dB²",
        n_epochs=last.epochs if last.epochs <= LONG_EPOCHS else len(events),
    )
    if len(events) > FEW_EPOCHS:
        figure.update_traces(mode="lines")
    if last.epochs <= LONG_EPOCHS:
        figure.update_xaxes(**({"dtick": 1} if last.epochs <= FEW_EPOCHS else {"nticks": 12}))
    alt = f"Loss over {len(events)} of {last.epochs} epochs; the last training loss is {last.loss or 0:.4g}"
    st.plotly_chart(figure, key=f"loss:{job.name}", width="stretch", alt=alt)
    mark = f" :material/science: {TRAINED_ON_SIMULATED.capitalize()}." if is_simulated(job.request.data) else ""
    held = " Held-out: normal clips that it does not learn from." if HELD_OUT in known else ""
    st.caption(f"Training: clips it learns from.{held} Lower is better.{mark}")
    if text := against_mean_spectrum(last):
        st.caption(text)


def is_simulated(data: Path) -> bool:
    """Whether a training's data, a root of machine folders or one of them, is marked as simulated."""
    return any((place / MARKER_NAME).is_file() for place in (data, data.parent))


def against_mean_spectrum(last: Progress) -> str:
    """Compare the last held-out loss with that of always predicting the mean spectrum; empty where there is none."""
    loss, of_mean = last.heldout_loss, last.mean_spectrum_loss
    if loss is None or of_mean is None:
        return ""
    level = f"Always predicting the mean spectrum of the clips it learns from (dotted) would cost {of_mean:.4g}"
    if loss < of_mean:
        return f"{level}: the network is at {loss / of_mean:.0%} of that."
    return f":orange[:material/warning:] {level}: **the network is no better**, at {loss:.4g}."


def _panel(before: dict[str, str], trainings: Sequence[Job]) -> None:
    active = trainings[::-1]
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
        if right.button("Remove from queue", key=f"unqueue:{job.name}", width="stretch"):
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
        per_fit = None if job.request is None else epochs_per_fit(job.request)
        expected_s = None if events else job_table.expected_s(job)
        st.progress(*_how_far(events, age_s=_age_s(job), per_fit=per_fit, expected_s=expected_s))
        if job.request is not None and not _has_epochs(job.request.detector):
            st.caption(
                "This detector has no epochs, hence no curve to watch: it describes each normal clip by numbers, fits, "
                "fits again without each fold of recordings to score those, then sets its threshold and scores the "
                "test clips. A small data set takes seconds."
            )
        loss_figure(job, events)
        if stopped:
            jobs.cancel(job)
            st.rerun()


def _has_epochs(detector: str) -> bool:
    return "epochs" in {field.name for field in fields(detector_class(detector))}


def _how_far(
    events: Sequence[Progress], *, age_s: float, per_fit: int | None = None, expected_s: float | None = None
) -> tuple[float, str]:
    """Return the share that is done, and what is being done.

    Parameters
    ----------
    per_fit
        Epochs of each fit, where `Progress` counts those of several; None: there is one fit.
    expected_s
        How long the training will take, where that has been said before the first epoch.
    """
    if not events and expected_s is not None:
        return 0.0, f"Training: about {seconds_text(round(expected_s))} in all"
    if not events:
        return 0.0, f"Reading the normal clips … {seconds_text(round(age_s))}"
    last = events[-1]
    if last.epoch < last.epochs:
        left = f"about {seconds_text(round(last.eta_s))} left"
        return last.epoch / last.epochs, f"{_place(last, per_fit or last.epochs)} · {left}"
    done = "Fitted" if last.epochs == 1 or per_fit == 1 else f"All {last.epochs} epochs done"
    return 1.0, f"{done}. Scoring clips, setting the threshold … {seconds_text(round(age_s))} in all"


def _place(last: Progress, per_fit: int) -> str:
    """Say which epoch of which fit is done."""
    n_fits = last.epochs // per_fit
    if n_fits <= 1:
        return f"Epoch {last.epoch} of {last.epochs}"
    fit = min(n_fits, last.epoch // per_fit + 1)
    epoch = f", epoch {last.epoch % per_fit} of {per_fit} done" if per_fit > 1 else ""
    what = "the detector itself" if fit == 1 else "without one fold of recordings"
    return f"Fit {fit} of {n_fits} ({what}){epoch}"


def _follow(job: Job) -> None:
    """Once a training has ended well, go over to its data set with its detector active, one time per session."""
    followed = st.session_state.setdefault("followed_jobs", set())
    if job.name in followed or (artifact := made_by(job)) is None:
        return
    followed.add(job.name)
    switch_to_trained(artifact)
    st.rerun()


def _ended(job: Job) -> None:
    """Say how a training ended and show what it made, until the message is closed."""
    artifact = made_by(job)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            icon, words = ENDINGS.get(job.state, (":material/info:", "Training ended"))
            st.markdown(f"{icon} **{words}**", width="content")
            st.text("" if artifact else job_title(job), width="stretch")
            look = {"train_view": "runs", "run": job.name}
            st.button("Details", key=f"see:{job.name}", on_click=_put_away, args=(job.name, look))
            st.button(
                "Close", key=f"close:{job.name}", icon=":material/close:", on_click=_put_away, args=(job.name, {})
            )
        if artifact is not None:
            result_card(artifact, key=f"ended:{job.name}")


def _put_away(name: str, state: dict[str, str]) -> None:
    st.session_state["seen_jobs"].discard(name)
    st.session_state.update(state)


def _age_s(job: Job) -> float:
    began = job.status.began_at
    return 0.0 if began is None else max(0.0, (datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds())
