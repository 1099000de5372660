"""Views of an operating point beside its ROC, and saving it with the detector."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.artifacts.versions import save_threshold, writable_folder
from asd_core.evaluation.label_rules import optimism
from asd_core.evaluation.metrics import det_curve, precision_recall_curve
from asd_core.formats import score_text, share_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    det_figure,
    precision_recall_figure,
    score_histogram_spec,
    scores_by_id,
)
from pages.parts.threshold.operating_point import OperatingPoint, per_id_table
from pages.shared.choices import switch
from pages.shared.plain_text import plain

SAVED_NOTE = "saved_threshold_note"
VIEWS = {
    "scores": "Scores",
    "ids": "By machine id",
    "pr": "Precision and recall",
    "det": "Misses and false alarms",
}


def views(point: OperatingPoint) -> None:
    """Let the reader choose one view; only that one is computed."""
    known = VIEWS if point.curve is not None else {name: VIEWS[name] for name in ("scores", "ids")}
    view = switch("View", known, key="view")
    {"scores": _scores, "ids": _ids, "pr": _precision_recall, "det": _det}[view](point)


def _scores(point: OperatingPoint) -> None:
    scores = point.scores
    normal, anomalous = (scores.anomaly_scores[scores.is_anomalous == label] for label in (False, True))
    counts = f"{len(normal)} normal clips (upwards) and {len(anomalous)} anomalous clips (downwards)"
    alt = f"Histogram of the anomaly scores of {counts}, with the threshold"
    spec = score_histogram_spec(normal, anomalous, threshold=point.threshold)
    spec["datasets"] = {name: pa.Table.from_pylist(rows) for name, rows in spec["datasets"].items()}
    st.vega_lite_chart(spec=spec, width="stretch", alt=alt)
    st.caption(
        "Upwards: normal clips; those right of the line are false alarms. Downwards: anomalous clips; those left of it "
        "are misses."
    )


def _ids(point: OperatingPoint) -> None:
    scores = point.scores
    figure = scores_by_id(scores.anomaly_scores, scores.is_anomalous, scores.machine_ids, threshold=point.threshold)
    left, right = st.columns([3, 2])
    with left:
        st.plotly_chart(figure, key="by_id", width="stretch", alt="Scores of each machine id, with the threshold")
        st.caption(
            "Machines of one type differ in how high their normal scores lie. One threshold then treats them "
            "unequally, and pooling them moves the AUC although no machine's own ranking changed."
        )
    with right:
        per_id_table(point)


def _precision_recall(point: OperatingPoint) -> None:
    curve = precision_recall_curve(point.scores.is_anomalous, point.scores.anomaly_scores)
    figures = point.confusion.per_class()["anomalous"]
    at = None if figures.precision is None or figures.recall is None else (figures.recall, figures.precision)
    figure = precision_recall_figure(
        curve.recall,
        curve.precision,
        point=at,
        base_rate=float(point.scores.is_anomalous.mean()),
        colour=DETECTOR_COLOURS[point.artifact.detector_name],
    )
    st.plotly_chart(figure, key="pr", width="stretch", alt="Precision over recall, with the operating point")
    st.caption(
        "Precision depends on how rare faults are. Among these test clips they are common (dotted line: their share); "
        "on a machine in use they are rare, and precision is then much lower at the same threshold."
    )


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
