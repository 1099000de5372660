"""Threshold: drag the operating point along the ROC; see the confusion matrix follow and hear the clips that flip."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from pages.parts.threshold.operating_point import operating_point, promise_line, roc, rule_controls
from pages.parts.threshold.playlist import clip_lists
from pages.parts.threshold.recalibration import recalibration
from pages.parts.threshold.views import optimism_line, save_controls, views
from pages.shared.cache import tested
from pages.shared.cards import DETECTOR_MARKS, simulated_note, usable_detectors
from pages.shared.choices import choose, switch
from pages.shared.frame import first_screen, fragment, no_detectors, open_page
from pages.shared.plain_text import plain

NONE = "none"


def _other(place: DeltaGenerator, good: dict[str, Artifact], name: str) -> Artifact | None:
    """Let the user lay a second detector's curve behind the first."""
    others = [NONE, *(other for other in good if other != name)]
    second = choose(
        "Also show",
        others,
        key="second",
        place=place,
        format_func=lambda other: "no second detector" if other == NONE else good[other].title,
    )
    return good.get(second)


with open_page("pages/threshold.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good = usable_detectors(chosen)
    simulated_note(good.values())
    name = switch(
        "Detector",
        good,
        key="detector",
        format_func=lambda name: f"{DETECTOR_MARKS[name]} {plain(good[name].title)}",
        wrap=True,
    )

    @fragment
    def workbench() -> None:
        """Everything that follows the threshold: only this part runs again when it moves."""
        artifact = good[name]
        scores = tested(artifact)
        rule_place, number_place, second_place = st.columns([5, 2, 3])
        rule_controls(artifact, scores, rule_place, number_place)
        second = _other(second_place, good, name)
        point = operating_point(artifact, scores)
        with first_screen():
            roc(point, second)
        promise_line(point)
        optimism_line(point)
        recalibration(chosen, artifact)
        save_controls(artifact, point)
        views(point)
        clip_lists(chosen, point)

    workbench()
