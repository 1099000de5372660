"""The ROC with a draggable operating point: the browser updates matrix and rates, Python is told on release."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from asd_core.errors import InputError
from asd_core.reports.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR
from pages.shared.components import register


@dataclass(frozen=True)
class RocMarker:
    """A reference point on the curve, such as a threshold rule.

    Parameters
    ----------
    index
        Which ROC point.
    label
        Short name of the rule, such as "nearest to (0, 1)".
    uses_test_labels
        Whether the rule looked at the labels it is judged by; marked as such.
    """

    index: int
    label: str
    uses_test_labels: bool = False


@dataclass(frozen=True)
class DimmedCurve:
    """A second ROC, drawn faintly for comparison; both rates from 0 to 1 and of equal length. Grey without a colour."""

    label: str
    false_positive_rate: Sequence[float]
    true_positive_rate: Sequence[float]
    colour: str = ""


_mount = register("asd_roc_control", "roc")


def roc_control(
    *,
    false_positives: Sequence[int],
    true_positives: Sequence[int],
    thresholds: Sequence[float],
    n_normal: int,
    n_anomalous: int,
    index: int,
    title: str,
    colour: str,
    markers: Sequence[RocMarker] = (),
    comparison: DimmedCurve | None = None,
    exact_threshold: float | None = None,
    on_release: Callable[[int], None] | None = None,
    key: str,
) -> int | None:
    """Draw the ROC; return the chosen point in the one run that follows a release, otherwise None.

    The shown point follows `index` whenever it changes. Moves stay in the browser until the pointer or the key is
    released.

    Parameters
    ----------
    false_positives, true_positives, thresholds
        Equally long, by falling threshold; clips at or above the threshold. The first threshold may be infinite.
    n_normal, n_anomalous
        Clips of each class, at least 1.
    index
        The operating point, 0 to `len(thresholds) - 1`.
    comparison
        Another curve to draw faintly.
    exact_threshold
        The threshold in force at `index`, where a rule put it between two scores; shown instead of the point's own.
    on_release
        Called with the chosen point before the run starts, where widgets may still be set.

    Raises
    ------
    InputError
        Lengths differ, a class is empty, or a point lies off the curve.
    """
    points = tuple(false_positives), tuple(true_positives), tuple(thresholds)
    curve, digest = _curve_message(title, *points, n_normal, n_anomalous)
    _check_points(len(thresholds), [index, *(marker.index for marker in markers)])

    def released() -> None:
        chosen = _chosen(st.session_state[key].get("point"), digest, len(thresholds))
        if on_release is not None and chosen is not None:
            on_release(chosen)

    message = {
        **curve,
        "curve": digest,
        "index": int(index),
        "exact": exact_threshold,
        "title": title,
        "colours": {
            "curve": colour,
            "normal": NORMAL_COLOUR,
            "anomalous": ANOMALOUS_COLOUR,
            "right": NORMAL_COLOUR,
            "wrong": ANOMALOUS_COLOUR,
        },
        "markers": [_marker_message(marker) for marker in markers],
        "other": None if comparison is None else _comparison_message(comparison),
    }
    return _chosen(_mount(key=key, data=message, on_point_change=released).point, digest, len(thresholds))


@lru_cache(maxsize=32)
def _curve_message(
    title: str,
    false_positives: tuple[int, ...],
    true_positives: tuple[int, ...],
    thresholds: tuple[float, ...],
    n_normal: int,
    n_anomalous: int,
) -> tuple[dict[str, Any], str]:
    """Return the message about a curve and its digest; cached, since it is the same at each move, and never changed."""
    if not len(false_positives) == len(true_positives) == len(thresholds) >= 1:
        lengths = f"{len(false_positives)}, {len(true_positives)} and {len(thresholds)}"
        raise InputError(f"counts and thresholds of a ROC must be equally long and not empty, got {lengths}")
    if n_normal < 1 or n_anomalous < 1:
        raise InputError(f"a ROC needs clips of both classes, got {n_normal} normal and {n_anomalous} anomalous")
    curve = {
        "fp": [int(count) for count in false_positives],
        "tp": [int(count) for count in true_positives],
        "thresholds": [float(f"{t:.6g}") if math.isfinite(t) else None for t in thresholds],
        "normal": int(n_normal),
        "anomalous": int(n_anomalous),
    }
    return curve, hashlib.sha256(json.dumps([title, curve]).encode()).hexdigest()[:16]


def _check_points(n_points: int, indices: Sequence[int]) -> None:
    for index in indices:
        if not 0 <= index < n_points:
            raise InputError(f"a point of this ROC must be 0 to {n_points - 1}, got {index}")


def _marker_message(marker: RocMarker) -> dict[str, Any]:
    return {"index": int(marker.index), "label": marker.label, "usesLabels": marker.uses_test_labels}


def _comparison_message(comparison: DimmedCurve) -> dict[str, Any]:
    if len(comparison.false_positive_rate) != len(comparison.true_positive_rate):
        raise InputError(f"{comparison.label}: the rates of a ROC must be equally long")
    return {
        "label": comparison.label,
        "colour": comparison.colour,
        "fpr": [round(float(rate), 5) for rate in comparison.false_positive_rate],
        "tpr": [round(float(rate), 5) for rate in comparison.true_positive_rate],
    }


def _chosen(sent: Mapping[str, Any] | None, digest: str, n_points: int) -> int | None:
    """Return the point of a message from the browser; None if it is about another curve."""
    if not sent or sent.get("curve") != digest:
        return None
    index = sent.get("index")
    return index if isinstance(index, int) and 0 <= index < n_points else None
