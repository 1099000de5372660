"""The threshold page's cockpit: what it is given at each run, and what a move of the reader changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.errors import UndefinedMetricError
from asd_core.evaluation.delong import delong
from asd_core.evaluation.metrics import clips_by_id
from asd_core.evaluation.uncertainty import Interval
from asd_core.formats import area_text, display_name
from asd_core.reports.plots import DETECTOR_COLOURS, DETECTOR_SHORT_NAMES, score_edges
from asd_core.tasks.assess import choose_threshold
from asd_core.types import FloatArray
from pages.parts.threshold.linked_numbers import (
    assumed_numbers,
    by_hand_ids_key,
    by_hand_key,
    shown_look,
    take_look,
    take_numbers,
)
from pages.parts.threshold.operating_point import MANUAL, OperatingPoint
from pages.shared.cache import KeptScores, summary, tested
from pages.shared.components.cockpit import (
    Areas,
    CockpitDetector,
    Listeners,
    Mark,
    Move,
    Now,
    Sound,
    cockpit,
)
from pages.shared.context import Chosen
from pages.shared.keys import HASHES
from pages.shared.sound_address import sound_address
from pages.shared.sources import clip_title, load_scored

MARKED_RULES = {"conformal": "held-out normal clips", "closest_topleft": "nearest to the top left"}
_HAND = "threshold_hand"


@dataclass(frozen=True)
class Second:
    """A second detector and its threshold."""

    artifact: Artifact
    scores: KeptScores
    threshold: float


def threshold_cockpit(
    chosen: Chosen, point: OperatingPoint, second: Second | None, *, further_marks: Sequence[Mark] = ()
) -> None:
    """Draw the cockpit of a detector and, behind it, of a second one; a move sets a threshold by hand."""
    artifacts = [point.artifact, *([] if second is None else [second.artifact])]
    hand = st.session_state.get(_HAND, 0) if second is not None else 0
    cockpit(
        [_told(artifact) for artifact in artifacts],
        Now(
            thresholds=(point.threshold, *(() if second is None else (second.threshold,))),
            per_id=_in_order(point),
            hand=hand,
            marks=[*_marks(point.artifact), *further_marks],
            look=shown_look(),
            numbers=assumed_numbers(),
        ),
        Listeners(
            move=lambda move: _take_move(artifacts[move.hand], move),
            look=take_look,
            numbers=take_numbers,
            cell=_take_cell,
            sound=lambda place: _sound(chosen, artifacts[hand], place),
        ),
        key=f"cockpit:{point.artifact.detector_name}",
    )


def _in_order(point: OperatingPoint) -> tuple[float, ...] | None:
    """Return the threshold of each id in sorted order; None where one is for all."""
    own = point.origin.per_id
    return (
        None if own is None else tuple(own.get(name, point.threshold) for name in sorted(set(point.scores.machine_ids)))
    )


def _take_move(artifact: Artifact, move: Move) -> None:
    state = st.session_state
    state[_HAND] = move.hand
    state[by_hand_key(artifact.folder)] = move.threshold
    if move.hand:
        return
    state["rule"] = MANUAL
    names = sorted(set(tested(artifact).machine_ids))
    is_whole = move.per_id is not None and len(move.per_id) == len(names)
    state[by_hand_ids_key(artifact.folder)] = dict(zip(names, move.per_id or (), strict=True)) if is_whole else None


def _take_cell(cell: str) -> None:
    st.session_state["list"] = cell


def _sound(chosen: Chosen, artifact: Artifact, place: int) -> Sound:
    """Read a test clip by its place in the falling order of a version's scores."""
    clip = tested(artifact).clips[int(_told(artifact).order[place])]
    waveform = load_scored(chosen, clip, artifact.channel)
    return Sound(clip_title(clip), "" if waveform is None else sound_address(waveform))


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _told(artifact: Artifact) -> CockpitDetector:
    """Return what the browser gets of a version: the same at each move."""
    scores, ranking = tested(artifact), summary(artifact).ranking
    return CockpitDetector.of(
        title=artifact.title,
        short=DETECTOR_SHORT_NAMES.get(artifact.detector_name, artifact.title),
        colour=DETECTOR_COLOURS[artifact.detector_name],
        anomaly_scores=scores.anomaly_scores,
        is_anomalous=scores.is_anomalous,
        machine_ids=scores.machine_ids,
        shown_ids={name: display_name(name) for name in scores.machine_ids},
        areas=Areas(_area(ranking.auc_pooled), _area(ranking.auc_mean), _areas_by_id(scores)),
        edges=score_edges(scores.anomaly_scores),
    )


def _area(interval: Interval | None) -> str:
    return "" if interval is None else area_text(interval.estimate, interval.limits)


def _areas_by_id(scores: KeptScores) -> dict[str, str]:
    """AUC of each id that has both classes, with DeLong's 95 % interval."""
    found = {}
    for name, clips in clips_by_id(scores.machine_ids, n_clips=len(scores.clips)).items():
        try:
            found[name] = _area(delong(scores.is_anomalous[clips], scores.anomaly_scores[clips]).auc)
        except UndefinedMetricError:
            continue  # the cockpit says that there is one class only
    return found


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _marks(artifact: Artifact) -> list[Mark]:
    scores, marks = tested(artifact), []
    for rule, label in MARKED_RULES.items():
        if rule == "closest_topleft" and scores.curve is None:
            continue
        threshold = choose_threshold(artifact, scores, rule=rule)
        if threshold.value is not None:
            marks.append(Mark(threshold.value, label, threshold.uses_test_labels))
    return marks


def second_in_force(second: Second | None) -> tuple[float, FloatArray] | None:
    """Return the second detector's threshold and scores where the threshold was set by hand; for the URL."""
    if second is None or by_hand_key(second.artifact.folder) not in st.session_state:
        return None
    return second.threshold, np.asarray(second.scores.anomaly_scores)
