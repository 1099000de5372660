"""Threshold: drag the operating point along the ROC; see the confusion matrix follow and hear the clips that flip."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from pages.parts.threshold.cockpit_view import Second, second_in_force, threshold_cockpit
from pages.parts.threshold.kept_pictures import cockpit_pictures, view_pictures
from pages.parts.threshold.mistakes import mistake_band, mistake_choice, show_mistake
from pages.parts.threshold.operating_point import by_hand_or_own, operating_point, promise_line, rule_controls
from pages.parts.threshold.playlist import clip_lists
from pages.parts.threshold.recalibration import recalibration
from pages.parts.threshold.views import optimism_line, save_controls, views
from pages.shared.cache import tested
from pages.shared.cards import DETECTOR_MARKS, simulated_note, usable_detectors
from pages.shared.choices import choose, switch
from pages.shared.frame import first_screen, fragment, no_detectors, open_page
from pages.shared.presenting import kept_on_wall, left_off_wall, presented

NONE = "none"


def _other(place: DeltaGenerator, good: dict[str, Artifact], name: str) -> Artifact | None:
    """Let the user lay a second detector's curve beside the first."""
    others = [NONE, *(other for other in good if other != name)]
    second = choose(
        "Second detector",
        others,
        key="second",
        place=place,
        label_visibility="collapsed",
        format_func=lambda other: "no second detector" if other == NONE else f"with {DETECTOR_SHORT_NAMES[other]}",
    )
    return good.get(second)


with open_page("pages/threshold.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good = usable_detectors(chosen)

    @fragment
    def workbench() -> None:
        """All that follows the choices: only this part runs again when one of them or the threshold changes."""
        with left_off_wall("threshold-choices"):
            detector_place, second_place, rule_place = st.columns([9, 6, 9])
        name = switch(
            "Detector",
            good,
            key="detector",
            place=detector_place,
            label_visibility="collapsed",
            format_func=lambda name: f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}",
            wrap=True,
        )
        artifact = good[name]
        scores = tested(artifact)
        other = _other(second_place, good, name)
        rule_controls(artifact, scores, rule_place, second=other)
        second = None if other is None else Second(other, tested(other), by_hand_or_own(other, tested(other)))
        point = operating_point(artifact, scores, second=second_in_force(second))
        band, lesson, stage = st.container(), st.container(), st.container()
        with kept_on_wall("threshold-promise"):
            promise_line(point)
        with left_off_wall("threshold-mistake"):
            mistake = mistake_choice()
        with band:
            mistake_band(mistake)
        with lesson if presented() else st.container():  # on the wall the mistake itself comes first
            marks = show_mistake(mistake, chosen, artifact, scores)
        with stage, first_screen():
            threshold_cockpit(chosen, point, second, further_marks=marks)
        cockpit_pictures(chosen, point)
        simulated_note(good.values())
        with left_off_wall("threshold-further"):
            optimism_line(point)
            recalibration(chosen, artifact)
            save_controls(artifact, point)
            view_pictures(chosen, point, views(point))
            clip_lists(chosen, point)

    workbench()
