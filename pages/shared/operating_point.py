"""The operating point of the threshold page: where it comes from, the ROC it lies on, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from asd_core.artifacts import Artifact
from asd_core.assess import choose_threshold
from asd_core.evaluation.metrics import Confusion, RocCurve, confusion_at, per_id, roc_curve
from asd_core.evaluation.operating import point_of, threshold_at
from asd_core.evaluation.thresholds import RULES, Threshold, from_labelled_scores
from asd_core.evaluation.uncertainty import wilson
from asd_core.formats import area_text, rate_text, score_text, share_text
from asd_core.plots import DETECTOR_COLOURS
from asd_core.scored_clips import Scores
from pages.shared.cards import threshold_origin
from pages.shared.frame import keep, link, plain
from pages.shared.roc import DimmedCurve, RocMarker, roc_control

SAVED, MANUAL = "saved", "manual"
MARKED_RULES = ("conformal", "closest_topleft")
RULE_STEP = 0.01
DEFAULT_PRIOR = 1.0
DEFAULT_COST = 30.0


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on a detector's test scores, and the one before it.

    Parameters
    ----------
    origin
        Rule, promise and value; `value` is never None here.
    previous
        The threshold before the last move, in this session.
    curve
        None where the test clips are of one class.
    """

    artifact: Artifact
    scores: Scores
    origin: Threshold
    previous: float
    curve: RocCurve | None

    @property
    def threshold(self) -> float:
        """The value that counts."""
        return self.origin.value or 0.0

    @property
    def confusion(self) -> Confusion:
        """What the threshold decides on the test clips."""
        return confusion_at(self.scores.is_anomalous, self.scores.anomaly_scores, self.threshold)


def operating_point(artifact: Artifact, scores: Scores) -> OperatingPoint:
    """Work out the point from the session's choice of rule, and remember the one before it."""
    origin = _chosen_threshold(artifact, scores)
    key = f"thresholds:{artifact.folder}"
    previous, current = st.session_state.get(key, (origin.value, origin.value))
    if origin.value != current:
        previous, current = current, origin.value
    st.session_state[key] = (previous, current)
    both = scores.is_anomalous.any() and not scores.is_anomalous.all()
    curve = roc_curve(scores.is_anomalous, scores.anomaly_scores) if both else None
    return OperatingPoint(artifact, scores, origin, previous, curve)


def _chosen_threshold(artifact: Artifact, scores: Scores) -> Threshold:
    rule = st.session_state.get("rule", SAVED)
    if rule == SAVED and artifact.threshold.value is not None:
        return artifact.threshold
    if rule in (SAVED, MANUAL):
        by_hand = st.session_state.get(f"manual:{artifact.folder}", float(scores.anomaly_scores.max()))
        return replace(artifact.threshold, value=by_hand, rule=MANUAL, promised_fpr=None, per_id=None, reason=None)
    value = st.session_state.get(f"rule_value:{rule}", DEFAULT_COST if rule == "cost" else None)
    if rule == "cost":
        prior = st.session_state.get("prior", DEFAULT_PRIOR)
        return from_labelled_scores(
            rule, scores.is_anomalous, scores.anomaly_scores, rule_value=value, prior=prior / 100
        )
    return choose_threshold(artifact, scores, rule=rule, rule_value=value)


def rule_controls(artifact: Artifact, scores: Scores) -> None:
    """Choice of a rule, its number where it has one, and the threshold by hand."""
    encoder_rules = {"zero"} if artifact.encoder_id is None else set()
    both = scores.is_anomalous.any() and not scores.is_anomalous.all()
    rules = [
        SAVED,
        *(name for name in RULES if name not in encoder_rules and (both or not RULES[name].uses_test_labels)),
    ]
    left, right = st.columns([3, 2])
    keep("rule", rules)
    rule = left.selectbox(
        "Where the threshold comes from",
        rules,
        key="rule",
        format_func=_rule_title,
        persist_state="session",
        help="Rules from held-out normal clips can be used before any fault was ever heard. Rules that look at the "
        "labels of the test clips are judged by the very clips they were chosen on: their figures are optimistic.",
    )
    link("rule")
    if rule == MANUAL:
        _manual_slider(right, artifact, scores)
    elif rule != SAVED and RULES[rule].rule_value is not None:
        spec = RULES[rule]
        key = f"rule_value:{rule}"
        keep(key)
        label = f"{spec.rule_value}".capitalize()
        start = {} if key in st.session_state else {"value": DEFAULT_COST if rule == "cost" else spec.default}
        most = 1.0 - RULE_STEP if rule not in ("mean_std", "cost") else 1000.0
        right.number_input(
            label, min_value=RULE_STEP, max_value=most, step=RULE_STEP, key=key, persist_state="session", **start
        )
    if rule == "cost":
        keep("prior")
        start = {} if "prior" in st.session_state else {"value": DEFAULT_PRIOR}
        right.number_input(
            "Share of anomalous clips to expect, in %",
            min_value=0.01,
            max_value=99.0,
            step=0.1,
            key="prior",
            persist_state="session",
            help="How rare faults are on your machine, not in the test set.",
            **start,
        )


def _manual_slider(place: st.delta_generator.DeltaGenerator, artifact: Artifact, scores: Scores) -> None:
    low, high = float(scores.anomaly_scores.min()), float(scores.anomaly_scores.max())
    key, stored = f"slider:{artifact.folder}", f"manual:{artifact.folder}"
    at = st.session_state.setdefault(stored, artifact.threshold.value if artifact.threshold.value is not None else high)
    st.session_state[key] = min(max(at, low), high)

    def moved() -> None:
        st.session_state[stored] = st.session_state[key]

    place.slider("Threshold", low, high, step=(high - low) / 1000, format="%.4g", key=key, on_change=moved)


def _rule_title(rule: str) -> str:
    if rule == SAVED:
        return "Saved with the detector"
    return RULES[rule].title + (" · uses test labels" if RULES[rule].uses_test_labels else "")


def roc(point: OperatingPoint, second: Artifact | None = None) -> None:
    """Draw the ROC with its point to drag, a second detector's behind it; a move sets the threshold by hand."""
    curve = point.curve
    if curve is None:
        st.info("A ROC needs normal and anomalous test clips; here is one class only.", icon=":material/info:")
        return

    def released(index: int) -> None:
        st.session_state["rule"] = MANUAL
        st.session_state[f"manual:{point.artifact.folder}"] = threshold_at(curve.thresholds, index)

    roc_control(
        false_positives=curve.false_positives.tolist(),
        true_positives=curve.true_positives.tolist(),
        thresholds=curve.thresholds.tolist(),
        n_normal=curve.n_normal,
        n_anomalous=curve.n_anomalous,
        index=point_of(curve.thresholds, point.threshold),
        title=point.artifact.title,
        colour=DETECTOR_COLOURS[point.artifact.detector_name],
        markers=_markers(point, curve),
        comparison=None if second is None else _dimmed(second),
        exact_threshold=point.threshold,
        on_release=released,
        key=f"roc:{point.artifact.detector_name}",
    )


def _dimmed(artifact: Artifact) -> DimmedCurve | None:
    scores = artifact.scores.of("test").labelled()
    if scores.is_anomalous.all() or not scores.is_anomalous.any():
        return None
    curve = roc_curve(scores.is_anomalous, scores.anomaly_scores)
    return DimmedCurve(artifact.title, curve.fpr.tolist(), curve.tpr.tolist())


def _markers(point: OperatingPoint, curve: RocCurve) -> list[RocMarker]:
    markers = []
    for rule in MARKED_RULES:
        threshold = choose_threshold(point.artifact, point.scores, rule=rule)
        if threshold.value is not None:
            label = {"conformal": "conformal", "closest_topleft": "nearest to (0, 1)"}[rule]
            markers.append(RocMarker(point_of(curve.thresholds, threshold.value), label, threshold.uses_test_labels))
    return markers


def promise_line(point: OperatingPoint) -> None:
    """Say where the threshold comes from, and what it promised beside what is observed."""
    confusion, origin = point.confusion, point.origin
    n_normal = confusion.fp + confusion.tn
    by_hand = "set by hand" if origin.rule == MANUAL else threshold_origin(origin)
    text = f"Threshold **{score_text(point.threshold)}**, {by_hand}."
    if n_normal:
        limits = wilson(confusion.fp, n_normal)
        text += (
            f" Observed false alarms: **{rate_text(confusion.fp, n_normal)}**, "
            f"95 % interval {share_text(limits.low)} to {share_text(limits.high)}."
        )
    if origin.uses_test_labels:
        st.warning(
            text + " This point was chosen on the labels of the clips it is judged by.", icon=":material/visibility:"
        )
    else:
        st.markdown(text)


def per_id_table(point: OperatingPoint) -> None:
    """What one threshold does to each machine id: the ids differ in how loud their scores are."""
    scores = point.scores
    figures = per_id(scores.is_anomalous, scores.anomaly_scores, scores.machine_ids)
    rows = {}
    for machine_id, each in figures.items():
        own = Scores(tuple(clip for clip in scores.clips if clip.machine_id == machine_id))
        confusion = confusion_at(own.is_anomalous, own.anomaly_scores, point.threshold)
        rows[plain(f"id {machine_id}")] = {
            "AUC": area_text(each.auc),
            "False alarms": rate_text(confusion.fp, confusion.fp + confusion.tn),
            "Found": rate_text(confusion.tp, confusion.tp + confusion.fn),
        }
    st.markdown("**Per machine id**, all under this one threshold")
    st.table(pd.DataFrame.from_dict(rows, orient="index"))
