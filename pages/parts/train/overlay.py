"""Losses of several trainings of one detector in one figure, and a table of the settings in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import pandas as pd
import streamlit as st

from asd_core.formats import display_name
from asd_core.jobs import table as job_table
from asd_core.jobs.listing import list_jobs
from asd_core.jobs.table import Job
from asd_core.reports.plots import learning_curves
from asd_core.tasks.train import TrainingRequest
from pages.parts.train.live import HELD_OUT, epochs_per_fit, job_title, losses_of

LOOK_BACK, MOST_OTHERS = 100, 4
LETTERS = "ABCDE"


def overlaid(job: Job) -> None:
    """Let the reader lay the losses of up to four earlier trainings of the same detector over this one's."""
    others = _others(job) if _losses(job) else []
    if not others:
        return
    names = {other.name: other for other in others}
    chosen = st.multiselect(
        "Compare its loss with earlier trainings",
        list(names),
        key=f"overlay:{job.name}",
        max_selections=MOST_OTHERS,
        format_func=lambda name: f"{names[name].submitted_at:%Y-%m-%d %H:%M} · {job_title(names[name])}",
        help="Of the same detector, with at least one finished epoch; up to four.",
    )
    if chosen:
        _draw([job, *(names[name] for name in chosen)])


def _others(job: Job) -> list[Job]:
    """Other trainings of the same detector that have a loss, newest first."""
    if job.request is None:
        return []
    alike = (
        other
        for other in list_jobs()[:LOOK_BACK]
        if other.name != job.name and other.request is not None and other.request.detector == job.request.detector
    )
    return [other for other in islice(alike, LOOK_BACK) if _losses(other)]


def _losses(job: Job) -> list[float]:
    """The loss of each epoch of the detector's own fit: on held-out clips where it has one, else on training clips."""
    if job.request is None:
        return []
    own = epochs_per_fit(job.request)
    known = losses_of([event for event in job_table.progress(job) if event.epoch <= own])
    return known.get(HELD_OUT) or known.get("training") or []


def _draw(compared: Sequence[Job]) -> None:
    titles = {
        f"{letter} · {job.submitted_at:%Y-%m-%d %H:%M}": job for letter, job in zip(LETTERS, compared, strict=False)
    }
    figure = learning_curves(
        {title: _losses(job) for title, job in titles.items()}, log_axis=True, unit="mean squared error"
    )
    st.plotly_chart(
        figure, key=f"overlay_figure:{compared[0].name}", width="stretch", alt=f"Loss of {len(titles)} trainings"
    )
    st.caption("The loss on held-out normal clips, on training clips for a detector without it. Lower is better.")
    rows = differing({title: job.request for title, job in titles.items() if job.request is not None})
    if not rows:
        st.caption("They have the same settings and differ by chance alone.")
        return
    st.table(pd.DataFrame(rows).set_index("Setting"), alt="Settings in which the trainings differ")


def differing(requests: Mapping[str, TrainingRequest]) -> list[dict[str, str]]:
    """Return a row of each setting that is not the same for all trainings, with its value for each."""
    every = {title: _settings(request) for title, request in requests.items()}
    names = dict.fromkeys(name for settings in every.values() for name in settings)
    rows = [{"Setting": name} | {title: own.get(name, "preset") for title, own in every.items()} for name in names]
    return [row for row in rows if len(set(list(row.values())[1:])) > 1]


def _settings(request: TrainingRequest) -> dict[str, str]:
    settings = {name: str(value) for name, value in (request.settings or {}).items()}
    return {
        "data set": display_name(request.name or request.data.name),
        "ids": "all" if request.ids is None else display_name(", ".join(request.ids)),
        "preset": request.preset,
        "seed": str(request.seed),
        "folds": "preset" if request.folds is None else str(request.folds),
        **settings,
    }
