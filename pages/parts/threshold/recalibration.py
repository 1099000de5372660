"""Recalibrating a detector whose clips were held out at random: the same training again, in the background."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.artifacts.versions import is_read_only
from asd_core.data.library import find_machine
from asd_core.data.recordings import FOLDS
from asd_core.data.table import KnownSet
from asd_core.detectors import detector_class
from asd_core.formats import seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs.table import Job
from asd_core.system.places import artifacts_dir
from asd_core.tasks.recalibrate import training_request
from asd_core.tasks.train import TrainingRequest
from pages.shared.background import cleared_jobs
from pages.shared.cards import OLD_MEANING
from pages.shared.choices import go
from pages.shared.context import PROJECT, Chosen
from pages.shared.data_sets import indexed


def recalibration(chosen: Chosen, artifact: Artifact) -> None:
    """Offer to train a detector again that was calibrated the old way; nothing for any other."""
    if not artifact.manifest.calibration.is_old:
        return
    with st.expander("Calibrated the old way: recalibrate it", icon=":material/history:"):
        st.markdown(OLD_MEANING)
        found = find_machine(chosen.data_set, chosen.machine)
        if found is None or not (found[0].embedded or found[0].folder.is_dir()):
            st.caption("It needs the clips that it was trained on, and they are not here.")
            return
        request = _request(artifact, *found)
        if (job := _active(request)) is None:
            _offer(artifact, *found, request)
        else:
            _follow(job)


def _request(artifact: Artifact, known: KnownSet, machine: str) -> TrainingRequest:
    """Ask for the training that the detector had, as a job of the dashboard: with one thread."""
    several = machine if len(known.machines) > 1 or known.machines[machine] else None
    request = training_request(artifact, known.folder, machine=several, rules=known.rules)
    preset = detector_class(request.detector).from_preset(request.preset)
    changed = {
        name: value
        for name, value in (request.settings or {}).items()
        if name not in ("seed", "threads") and value != getattr(preset, name)
    }
    return replace(
        request,
        threads=1,
        settings=changed or None,
        out=artifacts_dir(PROJECT),
    )


def _active(request: TrainingRequest) -> Job | None:
    """Return the training of this detector for this data set that waits or runs."""
    asked = (request.detector, request.name, request.machine)
    active = [job for job in cleared_jobs() if job.request is not None]
    of_these = [(job.request.detector, job.request.name, job.request.machine) for job in active if job.request]
    return next((job for job, subject in zip(active, of_these, strict=True) if subject == asked), None)


def _offer(artifact: Artifact, known: KnownSet, machine: str, request: TrainingRequest) -> None:
    n_fits = 1 + FOLDS if detector_class(request.detector).fits_in_seconds else 1
    times = "once" if n_fits == 1 else f"{n_fits} times"
    beside = " The detectors that come with the project stay; the new one goes beside them, to data set "
    st.caption(
        f"It is fitted {times}; its first training took {seconds_text(artifact.manifest.training.seconds)}."
        + (f"{beside}{request.name}-own." if is_read_only(artifact.folder.parent) else "")
    )
    if st.button("Recalibrate", key=f"recalibrate:{artifact.version}", icon=":material/model_training:"):
        indexed(known, machine)  # the clips that come with the project are generated first
        jobs.submit(request)
        st.rerun()


def _follow(job: Job) -> None:
    words = "It is being trained again now." if job.state == "running" else "It waits to be trained again."
    st.markdown(f":material/model_training: {words}")
    go("pages/train.py", "See it on the Train page", icon=":material/arrow_forward:", train_view="runs", run=job.name)
