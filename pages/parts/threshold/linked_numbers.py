"""The numbers of the threshold page in its URL: the threshold set by hand, a rule's number, the share of faults."""

from __future__ import annotations

import math
from collections.abc import Mapping

import streamlit as st

from asd_core.evaluation.operating import shortest_threshold
from asd_core.types import FloatArray

LOWEST, HIGHEST_SHARE, HIGHEST_NUMBER = 0.01, 0.99, 1000.0
"""Limits of a rule's number: a share, or for `mean_std` and `cost` any larger number."""
PRIOR_LIMITS = (0.01, 99.0)
"""Share of anomalous clips to expect, in percent."""
VALUE, RULE_VALUE, PRIOR = "value", "rule_value", "prior"
_READ = "threshold_link_read"


def rule_limits(rule: str) -> tuple[float, float]:
    """Return the least and the largest number that a rule takes."""
    return LOWEST, HIGHEST_NUMBER if rule in ("mean_std", "cost") else HIGHEST_SHARE


def by_hand_key(folder: object) -> str:
    """Where a session keeps the threshold that was set by hand for a version's folder."""
    return f"manual:{folder}"


def read_link(*, detector: str, folder: object) -> None:
    """On a session's first visit, take the numbers that the URL names; one that is out of range is passed over."""
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    asked, rule = st.query_params, st.query_params.get("rule", "")
    found = {
        f"rule_value:{rule}": number_in(asked, RULE_VALUE, *rule_limits(rule)),
        PRIOR: number_in(asked, PRIOR, *PRIOR_LIMITS),
    }
    if asked.get("detector", detector) == detector:
        found[by_hand_key(folder)] = number_in(asked, VALUE, -math.inf, math.inf)
    for key, value in found.items():
        if value is not None:
            st.session_state.setdefault(key, value)


def number_in(query: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    """Read a finite number from a query; None where there is none, or it lies outside the limits."""
    try:
        value = float(query.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def write_link(rule: str, threshold: float, anomaly_scores: FloatArray) -> None:
    """Write the numbers of the rule in force to the URL, and remove those of others.

    Parameters
    ----------
    anomaly_scores
        Shape (n_clips,): a threshold set by hand is written as short as decides all of these alike.
    """
    by_hand = shortest_threshold(anomaly_scores, threshold) if rule == "manual" else None
    state = st.session_state
    numbers = {
        VALUE: by_hand,
        RULE_VALUE: state.get(f"rule_value:{rule}"),
        PRIOR: state.get(PRIOR) if rule == "cost" else None,
    }
    for name, value in numbers.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != (text := repr(float(value))):
            st.query_params[name] = text
