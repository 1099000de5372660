"""The operating point of the threshold page: where it comes from, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.errors import ThresholdError, UndefinedMetricError
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.metrics import Confusion, RocCurve, clips_by_id, confusion_at
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.evaluation.uncertainty import wilson
from asd_core.formats import rate_text, score_text, share_text
from asd_core.tasks.assess import choose_threshold
from asd_core.types import FloatArray
from pages.parts.threshold.linked_numbers import (
    RULE_VALUE,
    assumed_numbers,
    by_hand_ids_key,
    by_hand_key,
    read_link,
    rule_limits,
    shortest_per_id,
    shown_look,
    write_link,
)
from pages.parts.threshold.rule_words import rule_line
from pages.shared.cache import KeptScores
from pages.shared.cards import PROVISIONAL_BADGE
from pages.shared.choices import choose, keep
from pages.shared.presenting import presented, truth_on_wall
from pages.shared.rules import rule_title

SAVED, MANUAL = "saved", "manual"
RULE_STEP = 0.01


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on a detector's test scores, and the one before it.

    Parameters
    ----------
    origin
        Rule, promise and value; `value` is never None here. With `per_id`, each id is judged by its own.
    previous
        The threshold of each clip before the last move, in this session; shape (n_clips,).
    """

    artifact: Artifact
    scores: KeptScores
    origin: Threshold
    previous: FloatArray

    @property
    def curve(self) -> RocCurve | None:
        """The ROC; None where the test clips are all of one class."""
        return self.scores.curve

    @property
    def threshold(self) -> float:
        """The threshold in force, of ids that have none of their own."""
        return self.origin.value or 0.0

    @cached_property
    def in_force(self) -> FloatArray:
        """The threshold of each clip, shape (n_clips,)."""
        return _of_each_clip(self.origin, self.scores)

    @cached_property
    def confusion(self) -> Confusion:
        """What the threshold decides on the test clips."""
        return confusion_at(self.scores.is_anomalous, self.scores.anomaly_scores, self.in_force)


def operating_point(
    artifact: Artifact, scores: KeptScores, *, second: tuple[float, FloatArray] | None
) -> OperatingPoint:
    """Work out the point from the session's choice of rule, name it in the URL, and remember the one before it.

    Parameters
    ----------
    second
        See `write_link`.
    """
    origin = _chosen_threshold(artifact, scores)
    rule = st.session_state.get("rule", SAVED)
    by_hand = st.session_state.get(by_hand_ids_key(artifact.folder)) if origin.rule == MANUAL else None
    own = shortest_per_id(scores.machine_ids, scores.anomaly_scores, by_hand) if by_hand and origin.per_id else None
    write_link(rule, origin.value or 0.0, scores.anomaly_scores, per_id=own, second=second)
    key = f"thresholds:{artifact.folder}"
    now = (origin.value or 0.0, None if origin.per_id is None else tuple(sorted(origin.per_id.items())))
    previous, current = st.session_state.get(key, (now, now))
    if now != current:
        previous, current = current, now
    st.session_state[key] = (previous, current)
    before = replace(origin, value=previous[0], per_id=None if previous[1] is None else dict(previous[1]))
    return OperatingPoint(artifact, scores, origin, _of_each_clip(before, scores))


def _of_each_clip(threshold: Threshold, scores: KeptScores) -> FloatArray:
    """Return each clip's threshold; of thousands of clips, looking up a common one takes longer than all else."""
    if threshold.per_id is None:
        return np.full(len(scores.clips), threshold.value)
    return threshold.for_ids(scores.machine_ids)


def by_hand_or_own(artifact: Artifact, scores: KeptScores) -> float:
    """Return the threshold of a second detector: set by hand, else its own, else its highest score."""
    own = artifact.threshold.value
    by_hand = st.session_state.get(by_hand_key(artifact.folder))
    if by_hand is not None:
        return float(by_hand)
    return float(scores.anomaly_scores.max()) if own is None else own


def _chosen_threshold(artifact: Artifact, scores: KeptScores) -> Threshold:
    rule = st.session_state.get("rule", SAVED)
    if rule == SAVED and artifact.threshold.value is not None:
        return _by_id(artifact, scores, artifact.threshold)
    if rule in (SAVED, MANUAL):
        return _by_hand(artifact, scores)
    return _by_id(artifact, scores, _by_rule(artifact, scores, rule))


def _by_rule(artifact: Artifact, scores: KeptScores, rule: str) -> Threshold:
    if rule == "cost":
        numbers = assumed_numbers()
        return from_labelled_scores(
            rule, scores.is_anomalous, scores.anomaly_scores, rule_value=numbers.ratio, prior=numbers.prior
        )
    return choose_threshold(artifact, scores, rule=rule, rule_value=st.session_state.get(f"{RULE_VALUE}:{rule}"))


def _by_hand(artifact: Artifact, scores: KeptScores) -> Threshold:
    by_hand = st.session_state.get(by_hand_key(artifact.folder))
    if by_hand is None:
        own = artifact.threshold.value
        by_hand = float(scores.anomaly_scores.max()) if own is None else own
    per_id = st.session_state.get(by_hand_ids_key(artifact.folder)) if shown_look().ids == "thresholds" else None
    return replace(
        artifact.threshold,
        value=by_hand,
        rule=MANUAL,
        promised_fpr=None,
        n_calibration=0,
        rule_value=None,
        prior=None,
        per_id=per_id or None,
        reason=None,
        provisional=False,
    )


def _by_id(artifact: Artifact, scores: KeptScores, threshold: Threshold) -> Threshold:
    """Give each id a threshold by the same rule where the reader asks for that; otherwise all have the same."""
    if shown_look().ids != "thresholds" or threshold.value is None:
        return replace(threshold, per_id=None)
    if not threshold.uses_test_labels:
        return threshold
    own = {}
    for name, clips in clips_by_id(scores.machine_ids, n_clips=len(scores.clips)).items():
        part = KeptScores(tuple(scores.clips[at] for at in clips))
        try:
            value = _by_rule(artifact, part, threshold.rule).value
        except (ThresholdError, UndefinedMetricError):
            continue  # an id of one class, or whose scores are all equal, is judged by the common threshold
        if value is not None:
            own[name] = value
    return replace(threshold, per_id=own or None)


def rule_controls(artifact: Artifact, scores: KeptScores, place: DeltaGenerator, *, second: Artifact | None) -> None:
    """Let the user choose a rule and, below it, the rule's number."""
    read_link(detector=artifact.detector_name, folder=artifact.folder, second=None if second is None else second.folder)
    rule = choose(
        "Where the threshold comes from",
        _known_rules(artifact, scores),
        key="rule",
        place=place,
        label_visibility="collapsed",
        format_func=lambda rule: "The detector's current threshold" if rule == SAVED else rule_title(rule),
    )
    if rule not in (MANUAL, SAVED, "cost") and RULES[rule].rule_value is not None:
        _number_of_rule(place, rule)


def _known_rules(artifact: Artifact, scores: KeptScores) -> list[str]:
    """Return what the threshold can come from, at first the version's own, or by hand where it has none."""
    encoder_rules = {"zero"} if artifact.encoder_id is None else set()
    both = scores.curve is not None
    rules = [name for name in RULES if name not in encoder_rules and (both or not RULES[name].uses_test_labels)]
    return list(dict.fromkeys([MANUAL if artifact.threshold.value is None else SAVED, *rules]))


def _number_of_rule(place: DeltaGenerator, rule: str) -> None:
    spec, key = RULES[rule], f"{RULE_VALUE}:{rule}"
    keep(key)
    start = {} if key in st.session_state else {"value": spec.default}
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


def promise_line(point: OperatingPoint) -> None:
    """Say where the threshold comes from, and the promised beside the observed false-alarm rate.

    In a presentation what was observed waits until it is revealed.
    """
    confusion, origin = point.confusion, point.origin
    n_normal = confusion.fp + confusion.tn
    badge = f"{PROVISIONAL_BADGE} " if origin.provisional else ""
    value = f"Threshold **{score_text(point.threshold)}**" if origin.per_id is None else "A threshold for each id"
    text = f"{badge}{value}. {rule_line(point.artifact, origin)}"
    observed = ""
    if n_normal:
        limits = wilson(confusion.fp, n_normal)
        observed = (
            f"Observed false-alarm rate: **{rate_text(confusion.fp, n_normal)}**, "
            f"95 % interval {share_text(limits.low)} to {share_text(limits.high)}."
        )
    hides = presented()
    if not hides:
        text = f"{text} {observed}".rstrip()
    if origin.uses_test_labels:
        st.warning(text, icon=":material/visibility:")
    else:
        st.markdown(text)
    if hides:
        with truth_on_wall("observed"):
            st.markdown(observed)
