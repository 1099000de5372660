"""Views of an operating point beside its ROC, and saving it with the detector."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.artifacts.versions import save_threshold, writable_folder
from asd_core.evaluation.label_rules import optimism
from asd_core.evaluation.metrics import IdFigures, clips_by_id, confusion_at, det_curve, per_id
from asd_core.formats import area_text, rate_text, score_text, share_text
from asd_core.reports.plots import DETECTOR_COLOURS, det_figure, scores_by_id
from pages.parts.threshold.operating_point import OperatingPoint
from pages.shared.cache import tested
from pages.shared.choices import switch
from pages.shared.keys import HASHES
from pages.shared.plain_text import plain

SAVED_NOTE = "saved_threshold_note"
VIEWS = {"table": "Per machine id", "ids": "Scores by machine id", "det": "Misses and false alarms"}


def views(point: OperatingPoint) -> str:
    """Let the reader choose one view and return its name; only that one is computed."""
    known = VIEWS if point.curve is not None else {name: VIEWS[name] for name in ("table", "ids")}
    view = switch("View", known, key="view")
    {"table": _per_id_table, "ids": _ids, "det": _det}[view](point)
    return view


def _ids(point: OperatingPoint) -> None:
    scores = point.scores
    figure = scores_by_id(scores.anomaly_scores, scores.is_anomalous, scores.machine_ids, threshold=point.threshold)
    st.plotly_chart(figure, key="by_id", width="stretch", alt="Scores of each machine id, with the threshold")
    st.caption(
        "Machines of one type differ in how high their normal scores lie. One threshold then treats them "
        "unequally, and pooling them moves the AUC although no machine's own ranking changed."
    )


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _by_id(artifact: Artifact) -> dict[str, IdFigures]:
    scores = tested(artifact)
    return per_id(scores.is_anomalous, scores.anomaly_scores, scores.machine_ids)


def _per_id_table(point: OperatingPoint) -> None:
    """Show what the threshold does to each machine id: their scores differ in level."""
    scores = point.scores
    figures = _by_id(point.artifact)
    places = clips_by_id(scores.machine_ids, n_clips=len(scores.clips))
    rows = {}
    for machine_id, each in figures.items():
        own = places[machine_id]
        confusion = confusion_at(scores.is_anomalous[own], scores.anomaly_scores[own], point.in_force[own])
        rows[plain(f"id {machine_id}")] = {
            "AUC": area_text(each.auc),
            "Threshold": score_text(float(point.in_force[own[0]])),
            "False-alarm rate": rate_text(confusion.fp, confusion.fp + confusion.tn),
            "Detection rate": rate_text(confusion.tp, confusion.tp + confusion.fn),
        }
    under = "all under this one threshold" if point.origin.per_id is None else "each under its own threshold"
    st.markdown(f"**Per machine id**, {under}")
    st.table(pd.DataFrame.from_dict(rows, orient="index"))


def _det(point: OperatingPoint) -> None:
    curve = det_curve(point.scores.is_anomalous, point.scores.anomaly_scores)
    confusion = point.confusion
    at = (confusion.fpr or 0.0, 1.0 - (confusion.tpr or 0.0))
    figure = det_figure(curve.fpr, curve.fnr, point=at, colour=DETECTOR_COLOURS[point.artifact.detector_name])
    st.plotly_chart(figure, key="det", width="stretch", alt="Misses over false alarms, with the operating point")


def optimism_line(point: OperatingPoint) -> None:
    """For a rule that used the labels, show its figures on clips that it was not chosen on."""
    origin = point.origin
    if not origin.uses_test_labels or point.curve is None:
        return
    scores = point.scores
    found = optimism(
        origin.rule, scores.is_anomalous, scores.anomaly_scores, rule_value=origin.rule_value, prior=origin.prior
    )
    naive, honest = found.naive, found.honest
    st.caption(
        f"Chosen on one half of the clips and judged on the other, {found.n_splits} times: false-alarm rate "
        f"{share_text(honest.fpr)} instead of {share_text(naive.fpr)}, detection rate {share_text(honest.tpr)} "
        f"instead of {share_text(naive.tpr)}, F1 {honest.f1:.3f} instead of {naive.f1:.3f}."
    )


def save_controls(artifact: Artifact, point: OperatingPoint) -> None:
    """Save the threshold with the detector as a new version, with a reason.

    The page is then rerun to show the new version: a version that is no longer current takes no threshold.
    """
    if note := st.session_state.pop(SAVED_NOTE, None):
        st.success(note, icon=":material/check:")
    if point.origin == artifact.threshold:
        return
    with st.popover("Save this threshold with the detector", icon=":material/save:"):
        reason = st.text_input("Reason, kept with the new version", key="save_reason", max_chars=300)
        # The version is part of the key: a click on the button of an outdated version saves nothing.
        if st.button(f"Save threshold {score_text(point.threshold)}", key=f"save_threshold:{artifact.version}"):
            folder = writable_folder(artifact.folder.parent)
            saved = save_threshold(artifact, point.origin, folder=folder, reason=reason)
            st.session_state[SAVED_NOTE] = f"Saved as version {saved.version} in {plain(folder.parents[1].name)}."
            st.session_state[f"manual:{saved.folder}"] = point.threshold
            st.rerun()
