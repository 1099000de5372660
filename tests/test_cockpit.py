"""The threshold's cockpit: what the browser gets once, what is said at each run, and what it may tell."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from asd_core.errors import InputError
from pages.shared.components.cockpit import (
    Areas,
    CockpitDetector,
    Listeners,
    Look,
    Mark,
    Move,
    Now,
    Numbers,
    Sound,
    cockpit,
    read_look,
    read_move,
    read_numbers,
    read_wanted,
)

SCORES = np.array([0.2, 0.9, 0.5, 0.9])
LABELS = np.array([False, True, False, False])


def detector(**changes: object) -> CockpitDetector:
    given = {
        "title": "LSTM",
        "short": "L",
        "colour": "#000000",
        "anomaly_scores": SCORES,
        "is_anomalous": LABELS,
        "machine_ids": ["b", "a", "b", "a"],
        "shown_ids": {"a": "A", "b": "B"},
        "areas": Areas("0.9", "0.8", {"b": "0.7"}),
        "edges": np.array([0.0, 0.5, 1.0]),
    }
    return CockpitDetector.of(**{**given, **changes})  # type: ignore[arg-type]


def decoded(text: str, kind: str) -> list[float]:
    return np.frombuffer(base64.b64decode(text), kind).tolist()


def test_clips_go_to_the_browser_by_falling_score_with_label_and_id():
    told = detector()
    assert told.order.tolist() == [1, 3, 2, 0]
    assert decoded(told.message["scores"], "<f8") == [0.9, 0.9, 0.5, 0.2]
    assert decoded(told.message["anomalous"], "u1") == [1, 0, 0, 0]
    assert decoded(told.message["ids"], "<u2") == [0, 0, 1, 1]
    assert told.message["id_names"] == ["A", "B"]
    assert told.message["areas"]["per_id"] == ["", "0.7"]


def test_a_message_is_known_by_its_content():
    assert detector().digest == detector().digest
    assert detector().digest != detector(anomaly_scores=SCORES + 1e-12).digest


@pytest.mark.parametrize("change", [{"machine_ids": ["a"]}, {"anomaly_scores": SCORES[:2]}])
def test_unequal_columns_are_refused(change):
    with pytest.raises(InputError, match="equally many"):
        detector(**change)


def test_no_clip_is_refused():
    none = {"anomaly_scores": SCORES[:0], "is_anomalous": LABELS[:0], "machine_ids": []}
    with pytest.raises(InputError, match="at least one, got 0"):
        detector(**none)


def nothing(*_: object) -> None:
    """Hear of nothing."""


LISTENERS = Listeners(nothing, nothing, nothing, nothing, lambda place: Sound(f"clip {place}", ""))


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (float("inf"),), (float("nan"),)])
def test_a_finite_threshold_for_each_detector_is_needed(thresholds):
    with pytest.raises(InputError, match="a finite threshold for each"):
        cockpit([detector()], Now(thresholds), LISTENERS, key="c")


def drawn(now: Now) -> list[dict]:
    def page(told, now, listeners):
        from pages.shared.components.cockpit import cockpit

        cockpit(told, now, listeners, key="c")

    app = AppTest.from_function(page, args=([detector()], now, LISTENERS), default_timeout=30).run()
    assert not app.exception
    return [json.loads(each.proto.json) for each in app.get("bidi_component")]


def test_what_moves_is_not_in_the_message_that_holds_the_scores():
    now = Now((0.5,), marks=[Mark(0.9, "rule", True)], look=Look("curves", True, "pr"), numbers=Numbers(0.01, 2, 5))
    once, said = drawn(now)
    again, moved = drawn(replace(now, thresholds=(0.7,), per_id=(0.1, 0.2), marks=[], look=Look()))
    assert again == once
    assert (said["thresholds"], said["per_id"]) == ([0.5], None)
    assert said["marks"] == [{"threshold": 0.9, "label": "rule", "uses_labels": True}]
    assert said["look"] == {"ids": "curves", "costs": True, "panel": "pr"}
    assert said["numbers"] == {"prior": 0.01, "ratio": 2, "every_s": 5}
    assert (moved["thresholds"], moved["per_id"], moved["sounds"]) == ([0.7], [0.1, 0.2], {})
    assert said["about"] == once["about"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"hand": 0, "threshold": 0.5, "per_id": None}, Move(0, 0.5, None)),
        ({"hand": 1, "threshold": 2, "per_id": None}, Move(1, 2.0, None)),
        ({"hand": 0, "threshold": 0.5, "per_id": [0.1, 2]}, Move(0, 0.5, (0.1, 2.0))),
        ({"hand": 0, "threshold": 0.5, "per_id": [0.1, None]}, None),
        ({"hand": 2, "threshold": 0.5}, None),
        ({"hand": "0", "threshold": 0.5}, None),
        ({"hand": 0, "threshold": float("inf")}, None),
        ({"hand": 0, "threshold": True}, None),
        ({"hand": 0, "threshold": "0.5"}, None),
        ({}, None),
    ],
)
def test_a_move_that_makes_no_sense_is_passed_over(sent, read):
    assert read_move(sent, 2) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"ids": "curves", "costs": True, "panel": "pr"}, Look("curves", True, "pr")),
        ({"ids": "together", "panel": "scores"}, Look()),
        ({"ids": "<b>", "panel": "pr"}, None),
        ({"ids": "curves", "panel": 3}, None),
    ],
)
def test_a_look_that_is_unknown_is_passed_over(sent, read):
    assert read_look(sent) == read


@pytest.mark.parametrize("change", [{"prior": 0}, {"prior": 1}, {"ratio": 0}, {"every_s": -1}, {"every_s": None}])
def test_numbers_out_of_range_are_passed_over(change):
    sound = {"prior": 0.001, "ratio": 30, "every_s": 10}
    assert read_numbers(sound) == Numbers(0.001, 30.0, 10.0)
    assert read_numbers({**sound, **change}) is None


@pytest.mark.parametrize(
    ("told", "read"),
    [([3, 1], [3, 1]), ([0, 1, 2, 3, 4], [1, 2, 3, 4]), ([9, -1, "2", True, 2.0], []), (None, []), ("12", [])],
)
def test_the_browser_asks_for_a_few_clips_that_there_are(told, read):
    assert read_wanted(told, 5) == read
