"""The threshold page's figures as files: PNG and SVG, with what they show and of which data set."""

from __future__ import annotations

import streamlit as st

from asd_core.formats import counted, score_text
from pages.parts.threshold.operating_point import OperatingPoint
from pages.shared.context import Chosen
from pages.shared.saving import figure_buttons, picture_caption, picture_file

COCKPIT = {
    ".cockpit": ("Keep all", "cockpit"),
    ".roc": ("curve", "roc"),
    ".panel": ("right picture", "panel"),
}
"""Selector of each part: what its buttons are called, and its file."""


def cockpit_pictures(chosen: Chosen, point: OperatingPoint) -> None:
    """Draw the buttons that keep the cockpit, its curve, or the picture on its right."""
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", key="cockpit-pictures"):
        for part, (label, figure) in COCKPIT.items():
            figure_buttons(
                f"cockpit:{point.artifact.detector_name}",
                part=part,
                label=label,
                file=picture_file("threshold", figure, chosen),
                caption=_caption(chosen, point),
            )


def view_pictures(chosen: Chosen, point: OperatingPoint, view: str) -> None:
    """Draw the buttons that keep the chart of the view, where it is one."""
    file, key = picture_file("threshold", view, chosen), {"ids": "by_id", "det": "det"}.get(view)
    if key:
        at = f"threshold {score_text(point.threshold)}, "
        figure_buttons(key, file=file, caption=_caption(chosen, point).replace("{now}", at))


def _caption(chosen: Chosen, point: OperatingPoint) -> str:
    """Say what is shown; the cockpit puts its threshold in, so that the buttons are not sent again at each move."""
    clips = counted(len(point.scores.clips), "test clip")
    text = f"{point.artifact.title}, {{now}}{clips}."
    return picture_caption(text, chosen, simulated=point.artifact.simulated)
