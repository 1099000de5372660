"""The operating point of the threshold page: where it comes from, the ROC it lies on, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.manifest import promise_of
from asd_core.artifacts.store import Artifact
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.metrics import Confusion, IdFigures, RocCurve, clips_by_id, confusion_at, per_id
from asd_core.evaluation.operating import point_of, threshold_at
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.evaluation.uncertainty import wilson
from asd_core.formats import area_text, rate_text, score_text, share_text
from asd_core.reports.plots import DETECTOR_COLOURS, along_curve
from asd_core.tasks.assess import choose_threshold
from pages.parts.threshold.linked_numbers import (
    PRIOR,
    PRIOR_LIMITS,
    by_hand_key,
    read_link,
    rule_limits,
    write_link,
)
from pages.shared.cache import KeptScores, tested
from pages.shared.cards import PROVISIONAL_BADGE, threshold_origin
from pages.shared.choices import choose, keep
from pages.shared.components.roc import DimmedCurve, RocMarker, roc_control
from pages.shared.keys import HASHES
from pages.shared.plain_text import plain
from pages.shared.rules import rule_title

SAVED, MANUAL, HIGHEST = "saved", "manual", "highest"
HIGHEST_NOTE = (
    "It lies just above the highest of these normal scores: none of them would have been a false alarm, but one odd "
    "clip among them decides where it lies, and nothing is promised for new clips."
)
MARKED_RULES = {
    "conformal": "from held-out normal clips (conformal)",
    "closest_topleft": "nearest to the top left corner",
}
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
        None where the test clips are all of one class.
    """

    artifact: Artifact
    scores: KeptScores
    origin: Threshold
    previous: float
    curve: RocCurve | None

    @property
    def threshold(self) -> float:
        """The threshold in force."""
        return self.origin.value or 0.0

    @cached_property
    def confusion(self) -> Confusion:
        """What the threshold decides on the test clips."""
        return confusion_at(self.scores.is_anomalous, self.scores.anomaly_scores, self.threshold)


def operating_point(artifact: Artifact, scores: KeptScores) -> OperatingPoint:
    """Work out the point from the session's choice of rule, name it in the URL, and remember the one before it."""
    origin = _chosen_threshold(artifact, scores)
    write_link(st.session_state.get("rule", SAVED), origin.value or 0.0, scores.anomaly_scores)
    key = f"thresholds:{artifact.folder}"
    previous, current = st.session_state.get(key, (origin.value, origin.value))
    if origin.value != current:
        previous, current = current, origin.value
    st.session_state[key] = (previous, current)
    return OperatingPoint(artifact, scores, origin, previous, scores.curve)


def _chosen_threshold(artifact: Artifact, scores: KeptScores) -> Threshold:
    rule = st.session_state.get("rule", SAVED)
    if rule == SAVED and artifact.threshold.value is not None:
        return artifact.threshold
    if rule in (SAVED, MANUAL):
        by_hand = st.session_state.get(by_hand_key(artifact.folder), float(scores.anomaly_scores.max()))
        return replace(
            artifact.threshold,
            value=by_hand,
            rule=MANUAL,
            promised_fpr=None,
            n_calibration=0,
            rule_value=None,
            prior=None,
            per_id=None,
            reason=None,
            provisional=False,
        )
    value = st.session_state.get(f"rule_value:{rule}", DEFAULT_COST if rule == "cost" else None)
    if rule == "cost":
        prior = st.session_state.get("prior", DEFAULT_PRIOR)
        return from_labelled_scores(
            rule, scores.is_anomalous, scores.anomaly_scores, rule_value=value, prior=prior / 100
        )
    return choose_threshold(artifact, scores, rule=rule, rule_value=value)


def rule_controls(artifact: Artifact, scores: KeptScores, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Let the user choose a rule and, to its right, the rule's number or the threshold itself."""
    read_link(detector=artifact.detector_name, folder=artifact.folder)
    rule = choose(
        "Where the threshold comes from",
        _known_rules(artifact, scores),
        key="rule",
        place=left,
        format_func=lambda rule: "The detector's current threshold" if rule == SAVED else rule_title(rule),
        help="Rules from held-out normal clips can be used before any fault was ever heard. The highest of the normal "
        "scores is for where there are too few of them for a promise. Rules that look at the labels of the test clips "
        "are judged by the very clips they were chosen on: their figures are optimistic.",
    )
    if rule == MANUAL:
        _manual_slider(right, artifact, scores)
    elif rule != SAVED and RULES[rule].rule_value is not None:
        _number_of_rule(right, rule)
    if rule == "cost":
        _prior(right)


def _known_rules(artifact: Artifact, scores: KeptScores) -> list[str]:
    """Return what the threshold can come from, at first the version's own, or by hand where it has none."""
    encoder_rules = {"zero"} if artifact.encoder_id is None else set()
    both = scores.curve is not None
    rules = [name for name in RULES if name not in encoder_rules and (both or not RULES[name].uses_test_labels)]
    return list(dict.fromkeys([MANUAL if artifact.threshold.value is None else SAVED, *rules]))


def _number_of_rule(place: DeltaGenerator, rule: str) -> None:
    spec, key = RULES[rule], f"rule_value:{rule}"
    keep(key)
    start = {} if key in st.session_state else {"value": DEFAULT_COST if rule == "cost" else spec.default}
    least, most = rule_limits(rule)
    meaning = spec.rule_value or ""
    place.number_input(
        meaning[:1].upper() + meaning[1:],
        min_value=least,
        max_value=most,
        step=RULE_STEP,
        key=key,
        persist_state="session",
        **start,
    )


def _prior(place: DeltaGenerator) -> None:
    keep(PRIOR)
    start = {} if PRIOR in st.session_state else {"value": DEFAULT_PRIOR}
    least, most = PRIOR_LIMITS
    place.number_input(
        "Share of anomalous clips to expect, in %",
        min_value=least,
        max_value=most,
        step=0.1,
        key=PRIOR,
        persist_state="session",
        help="How rare faults are on your machine, not in the test set.",
        **start,
    )


def _manual_slider(place: DeltaGenerator, artifact: Artifact, scores: KeptScores) -> None:
    low, high = float(scores.anomaly_scores.min()), float(scores.anomaly_scores.max())
    key, stored = f"slider:{artifact.folder}", by_hand_key(artifact.folder)
    at = st.session_state.setdefault(stored, artifact.threshold.value if artifact.threshold.value is not None else high)
    st.session_state[key] = min(max(at, low), high)

    def moved() -> None:
        st.session_state[stored] = st.session_state[key]

    place.slider("Threshold", low, high, step=(high - low) / 1000, format="%.4g", key=key, on_change=moved)


def roc(point: OperatingPoint, second: Artifact | None = None) -> None:
    """Draw the ROC with a point to drag, in front of a second detector's; a move sets the threshold by hand."""
    curve = point.curve
    if curve is None:
        st.info("A ROC needs normal and anomalous test clips; here is one class only.", icon=":material/info:")
        return

    index = point_of(curve.thresholds, point.threshold)
    markers = _markers(point.artifact)
    shown = _shown(point, [index, *(marker.index for marker in markers)])

    def released(at: int) -> None:
        st.session_state["rule"] = MANUAL
        st.session_state[by_hand_key(point.artifact.folder)] = threshold_at(curve.thresholds, int(shown[at]))

    roc_control(
        false_positives=curve.false_positives[shown].tolist(),
        true_positives=curve.true_positives[shown].tolist(),
        thresholds=curve.thresholds[shown].tolist(),
        n_normal=curve.n_normal,
        n_anomalous=curve.n_anomalous,
        index=int(np.searchsorted(shown, index)),
        title=point.artifact.title,
        colour=DETECTOR_COLOURS[point.artifact.detector_name],
        markers=[replace(marker, index=int(np.searchsorted(shown, marker.index))) for marker in markers],
        comparison=None if second is None else _dimmed(second),
        exact_threshold=point.threshold,
        on_release=released,
        key=f"roc:{point.artifact.detector_name}",
    )
    if len(shown) < len(curve.thresholds):
        st.caption(
            f"{len(shown):,} of the {len(curve.thresholds):,} points of this curve are drawn and can be chosen: more "
            "than a screen can tell apart. Every figure is exact; a rule may choose any other point."
        )


def _shown(point: OperatingPoint, asked: list[int]) -> npt.NDArray[np.int64]:
    """Return the points that the control offers: some evenly along the curve, and those used so far.

    The latter stay, since another set of points makes the browser abandon a drag in progress.
    """
    extra: set[int] = st.session_state.setdefault(f"roc_points:{point.artifact.folder}", set())
    extra.update(asked)
    return np.union1d(_drawn(point.artifact), sorted(extra))


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _drawn(artifact: Artifact) -> npt.NDArray[np.int64]:
    """Return the points of the version's test curve that a screen can resolve; empty where there is no curve."""
    curve = tested(artifact).curve
    return np.zeros(0, np.int64) if curve is None else along_curve(curve.fpr, curve.tpr)


def _dimmed(artifact: Artifact) -> DimmedCurve | None:
    curve = tested(artifact).curve
    if curve is None:
        return None
    drawn = _drawn(artifact)
    colour = DETECTOR_COLOURS[artifact.detector_name]
    return DimmedCurve(artifact.title, curve.fpr[drawn].tolist(), curve.tpr[drawn].tolist(), colour)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _markers(artifact: Artifact) -> list[RocMarker]:
    scores, markers = tested(artifact), []
    for rule in MARKED_RULES:
        threshold = choose_threshold(artifact, scores, rule=rule)
        if threshold.value is not None and scores.curve is not None:
            index = point_of(scores.curve.thresholds, threshold.value)
            markers.append(RocMarker(index, MARKED_RULES[rule], threshold.uses_test_labels))
    return markers


def promise_line(point: OperatingPoint) -> None:
    """Say where the threshold comes from, and the promised beside the observed false-alarm rate."""
    confusion, origin, calibration = point.confusion, point.origin, point.artifact.manifest.calibration
    n_normal = confusion.fp + confusion.tn
    badge = f"{PROVISIONAL_BADGE} " if origin.provisional else ""
    text = f"{badge}Threshold **{score_text(point.threshold)}**, {threshold_origin(origin, calibration)}."
    promise = promise_of(origin, calibration)
    text += " **No promise.**" if promise == "no promise" else f" **Promise:** {promise}."
    if n_normal:
        limits = wilson(confusion.fp, n_normal)
        text += (
            f" Observed false-alarm rate: **{rate_text(confusion.fp, n_normal)}**, "
            f"95 % interval {share_text(limits.low)} to {share_text(limits.high)}."
        )
    if origin.uses_test_labels:
        st.warning(
            text + " This point was chosen on the labels of the clips it is judged by.", icon=":material/visibility:"
        )
    else:
        st.markdown(text)
    if origin.rule == HIGHEST:
        st.caption(HIGHEST_NOTE)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _by_id(artifact: Artifact) -> dict[str, IdFigures]:
    scores = tested(artifact)
    return per_id(scores.is_anomalous, scores.anomaly_scores, scores.machine_ids)


def per_id_table(point: OperatingPoint) -> None:
    """Show what one threshold does to each machine id: their scores differ in level."""
    scores = point.scores
    figures = _by_id(point.artifact)
    places = clips_by_id(scores.machine_ids, n_clips=len(scores.clips))
    rows = {}
    for machine_id, each in figures.items():
        own = places[machine_id]
        confusion = confusion_at(scores.is_anomalous[own], scores.anomaly_scores[own], point.threshold)
        rows[plain(f"id {machine_id}")] = {
            "AUC": area_text(each.auc),
            "False-alarm rate": rate_text(confusion.fp, confusion.fp + confusion.tn),
            "Detection rate": rate_text(confusion.tp, confusion.tp + confusion.fn),
        }
    st.markdown("**Per machine id**, all under this one threshold")
    st.table(pd.DataFrame.from_dict(rows, orient="index"))
