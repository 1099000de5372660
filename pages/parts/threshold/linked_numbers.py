"""The numbers of the threshold page: kept by the session, named by the URL, and read from it on the first visit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from asd_core.evaluation.operating import shortest_threshold
from asd_core.system.files import parse_json
from asd_core.types import FloatArray
from pages.shared.choices import ON
from pages.shared.components.cockpit import ID_WAYS, PANELS, Look, Numbers

LOWEST, HIGHEST_SHARE, HIGHEST_NUMBER = 0.01, 0.99, 1000.0
"""Limits of a rule's number: a share, or for `mean_std` and `cost` any larger number."""
PRIOR_LIMITS = (0.001, 99.0)
"""Share of anomalous clips to expect, in percent."""
EVERY_LIMITS = (0.1, 86_400.0)
"""Seconds from one clip to the next."""
DEFAULT_PRIOR, DEFAULT_COST, DEFAULT_EVERY_S = 0.1, 30.0, 10.0
"""One faulty clip in 1,000, a miss as dear as 30 false alarms, a clip every 10 s."""
VALUE, PER_ID, SECOND_VALUE, RULE_VALUE, PRIOR, EVERY = (
    "value",
    "per_id",
    "second_value",
    "rule_value",
    "prior",
    "every",
)
COST = f"{RULE_VALUE}:cost"
IDS, COSTS, PANEL = "ids", "costs", "panel"
_READ = "threshold_link_read"


def rule_limits(rule: str) -> tuple[float, float]:
    """Return the least and the largest number that a rule takes."""
    return LOWEST, HIGHEST_NUMBER if rule in ("mean_std", "cost") else HIGHEST_SHARE


def by_hand_key(folder: object) -> str:
    """Where a session keeps the threshold that was set by hand for a version's folder."""
    return f"manual:{folder}"


def by_hand_ids_key(folder: object) -> str:
    """Where a session keeps the thresholds that were set by hand for single ids of a version's folder."""
    return f"manual_ids:{folder}"


def read_link(*, detector: str, folder: object, second: object | None) -> None:
    """On a session's first visit, take the numbers that the URL names; one that is out of range is passed over.

    Parameters
    ----------
    folder, second
        Of the detector's version, and of the second one's, if there is one.
    """
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    asked, rule = st.query_params, st.query_params.get("rule", "")
    found: dict[str, object] = {
        f"{RULE_VALUE}:{rule}": number_in(asked, RULE_VALUE, *rule_limits(rule)),
        PRIOR: number_in(asked, PRIOR, *PRIOR_LIMITS),
        EVERY: number_in(asked, EVERY, *EVERY_LIMITS),
        IDS: asked.get(IDS) if asked.get(IDS) in ID_WAYS else None,
        COSTS: asked.get(COSTS) == ON or None,
        PANEL: asked.get(PANEL) if asked.get(PANEL) in PANELS else None,
    }
    if "cost" in asked:
        found[COST] = number_in(asked, "cost", *rule_limits("cost"))
    if asked.get("detector", detector) == detector:
        found[by_hand_key(folder)] = number_in(asked, VALUE, -math.inf, math.inf)
        found[by_hand_ids_key(folder)] = numbers_by_id(asked.get(PER_ID, ""))
    if second is not None:
        found[by_hand_key(second)] = number_in(asked, SECOND_VALUE, -math.inf, math.inf)
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


def numbers_by_id(text: str) -> dict[str, float] | None:
    """Read finite numbers by machine id, as `{"00": 0.5}`; None where the text is anything else."""
    try:
        found = parse_json(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(map(_is_number, found.values())):
        return None
    return {str(name): float(value) for name, value in found.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def shown_look() -> Look:
    """Return what the cockpit shows, as the reader chose it."""
    state = st.session_state
    costs = bool(state.get(COSTS)) or state.get("rule") == "cost"
    return Look(state.get(IDS, ID_WAYS[0]), costs, state.get(PANEL, PANELS[0]))


def assumed_numbers() -> Numbers:
    """Return what the reader assumes of the machine in use."""
    state = st.session_state
    return Numbers(
        prior=state.get(PRIOR, DEFAULT_PRIOR) / 100,
        ratio=state.get(COST, DEFAULT_COST),
        every_s=state.get(EVERY, DEFAULT_EVERY_S),
    )


def take_look(look: Look) -> None:
    """Keep what the reader wants to see."""
    st.session_state.update({IDS: look.ids, COSTS: look.costs, PANEL: look.panel})


def take_numbers(numbers: Numbers) -> None:
    """Keep what the reader assumes of the machine, within limits."""
    low, high = PRIOR_LIMITS
    st.session_state[PRIOR] = min(max(100 * numbers.prior, low), high)
    st.session_state[COST] = min(max(numbers.ratio, LOWEST), HIGHEST_NUMBER)
    st.session_state[EVERY] = min(max(numbers.every_s, EVERY_LIMITS[0]), EVERY_LIMITS[1])


def write_link(
    rule: str,
    threshold: float,
    anomaly_scores: FloatArray,
    *,
    per_id: Mapping[str, float] | None,
    second: tuple[float, FloatArray] | None,
) -> None:
    """Write the numbers in force to the URL, and remove those of others and those that are as at first.

    Parameters
    ----------
    anomaly_scores
        Shape (n_clips,): a threshold set by hand is written as short as decides all of these alike.
    per_id
        Thresholds of single ids, where they were set by hand.
    second
        The second detector's threshold that was set by hand, and its scores.
    """
    state, look = st.session_state, shown_look()
    by_hand = shortest_threshold(anomaly_scores, threshold) if rule == "manual" else None
    _write_number(VALUE, by_hand)
    _write_number(SECOND_VALUE, None if second is None else shortest_threshold(second[1], second[0]))
    _write_number(RULE_VALUE, None if rule == "cost" else state.get(f"{RULE_VALUE}:{rule}"))
    for name, default in ((PRIOR, DEFAULT_PRIOR), (EVERY, DEFAULT_EVERY_S)):
        _write_number(name, state.get(name), default=default)
    _write_number("cost", state.get(COST), default=DEFAULT_COST)
    _write(PER_ID, None if per_id is None else json.dumps(dict(per_id), separators=(",", ":")))
    _write(IDS, None if look.ids == ID_WAYS[0] else look.ids)
    _write(PANEL, None if look.panel == PANELS[0] else look.panel)
    _write(COSTS, ON if state.get(COSTS) else None)


def _write_number(name: str, value: float | None, *, default: float | None = None) -> None:
    _write(name, None if value is None or value == default else repr(float(value)))


def _write(name: str, text: str | None) -> None:
    if text is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != text:
        st.query_params[name] = text


def shortest_per_id(
    machine_ids: Sequence[str], anomaly_scores: FloatArray, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Return each id's threshold with the fewest digits that decide its clips alike."""
    names = np.asarray(machine_ids, dtype=str)
    return {name: shortest_threshold(anomaly_scores[names == name], at) for name, at in thresholds.items()}
