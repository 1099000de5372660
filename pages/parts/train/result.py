"""What a training made: the detector, what its threshold promises, how good it is, and what to do with it now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.errors import AsdError
from asd_core.evaluation.uncertainty import estimate_of, interval_text
from asd_core.formats import area_text, counted, score_text, seconds_text, share_text
from asd_core.jobs.table import Job
from pages.shared.cache import summary
from pages.shared.cards import DETECTOR_MARKS, calibration_marks, promise_text, simulated_badge, threshold_origin
from pages.shared.context import switch_to
from pages.shared.plain_text import plain

RECORDINGS_KNOWN = ("given", "found")


def made_by(job: Job) -> Artifact | None:
    """Open the version that a finished training made; None where it has been deleted or is damaged."""
    folder = Path(job.status.model or "") / (job.status.version or "")
    try:
        return open_artifact(folder) if job.state == "done" and job.status.model else None
    except AsdError:
        return None


def switch_to_trained(artifact: Artifact) -> None:
    """Make the data set of a detector the context from the next run on, with this detector active and shown."""
    _, machine, data_set = (folder.name for folder in artifact.folder.parents[:3])
    switch_to(data_set, machine, (artifact.detector_name,))
    st.session_state["detector"] = artifact.detector_name


def result_card(artifact: Artifact, *, key: str) -> None:
    """Show a trained detector: on what, how well, what its threshold promises; then check a clip, or see the ROC."""
    manifest = artifact.manifest
    st.markdown(
        f"{DETECTOR_MARKS[artifact.detector_name]} **{plain(artifact.title)}**, trained in "
        f"{seconds_text(manifest.training.seconds)} on {_learned_from(artifact)}{simulated_badge(artifact.simulated)}"
    )
    _figures(artifact)
    threshold, calibration = artifact.threshold, manifest.calibration
    calibration_marks(threshold, calibration)
    if threshold.value is None:
        st.caption(f"It has no threshold yet: {plain(threshold.reason or 'its rule gave none')}.")
    else:
        st.caption(
            f"The threshold is {threshold_origin(threshold, calibration)}. {promise_text(threshold, calibration)}"
        )
    _doors(artifact, key=key)


def _learned_from(artifact: Artifact) -> str:
    calibration = artifact.manifest.calibration
    clips = counted(len(artifact.manifest.data.fitted_digests), "normal clip")
    if calibration.n_recordings is None or calibration.recordings_from not in RECORDINGS_KNOWN:
        return clips
    return f"{clips} from {counted(calibration.n_recordings, 'recording')}"


def _figures(artifact: Artifact) -> None:
    """Show the threshold, and what it does to test clips where there are any of both classes."""
    found = summary(artifact)
    ranking, confusion = found.ranking, found.decisions.confusion
    if not (ranking.n_normal and ranking.n_anomalous):
        st.metric("Threshold", score_text(artifact.threshold.value), border=True)
        st.caption("There are no test clips of both classes: how many faults it finds is not known yet.")
        return
    figures = {"AUC, mean over ids": (area_text(estimate_of(ranking.auc_mean)), "0.5 is chance, 1 is perfect")}
    if confusion is not None:
        found_of = f"{confusion.tp} of {confusion.n_anomalous} anomalous"
        figures["Detection rate (TPR)"] = (share_text(confusion.tpr), found_of)
        alarms_of = f"{confusion.fp} of {confusion.n_normal} normal"
        figures["False-alarm rate (FPR)"] = (share_text(confusion.fpr), alarms_of)
    figures["Threshold"] = (score_text(artifact.threshold.value), "anomalous from here on")
    for column, (label, (value, words)) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(label, value, words, border=True, delta_color="off", delta_arrow="off")
    st.caption(
        f"95 % intervals: AUC {interval_text(ranking.auc_mean)}, partial AUC {interval_text(ranking.pauc_mean)}. "
        f"{ranking.n_normal} normal and {ranking.n_anomalous} anomalous test clips; version {artifact.version}."
    )


def _doors(artifact: Artifact, *, key: str) -> None:
    with st.container(horizontal=True):
        if _door("Check a clip now", artifact, key=f"check:{key}", type="primary", icon=":material/hearing:"):
            st.switch_page("pages/check.py")
        if _door("See it on the ROC", artifact, key=f"roc:{key}", icon=":material/tune:"):
            st.switch_page("pages/threshold.py")


def _door(label: str, artifact: Artifact, **look: Any) -> bool:
    return st.button(label, on_click=switch_to_trained, args=(artifact,), **look)
