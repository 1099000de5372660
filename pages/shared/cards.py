"""What several pages show of detectors: marks, notes, columns for their cards."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.manifest import CalibrationSummary, promise_of
from asd_core.artifacts.store import Artifact
from asd_core.errors import AsdError
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.reports.plots.look import DETECTOR_COLOURS, DETECTOR_SYMBOLS
from pages.shared.cache import artifacts
from pages.shared.choices import go
from pages.shared.context import Chosen
from pages.shared.plain_text import plain, shown_text
from pages.shared.presenting import kept_on_wall

SHAPES = {
    "square": '<path d="M3 3h10v10H3z"/>',
    "circle": '<circle cx="8" cy="8" r="5.6"/>',
    "diamond": '<path d="M8 1.4L14.6 8 8 14.6 1.4 8z"/>',
    "cross": '<path d="M5.8 2h4.4v3.8H14v4.4h-3.8V14H5.8v-3.8H2V5.8h3.8z"/>',
    "triangle-up": '<path d="M8 2l6.4 11.6H1.6z"/>',
    "star": '<path d="M8 1l2 4.9 5.3.4-4 3.4 1.2 5.2L8 12.1l-4.5 2.8 1.2-5.2-4-3.4L6 5.9z"/>',
}
"""Plotly's marker symbols as paths in a box of 16 by 16."""


def mark_in(symbol: str, colour: str) -> str:
    """Return a mark of one of Plotly's symbols, in a colour, as the address of a picture."""
    shape = SHAPES.get(symbol, SHAPES["diamond"])
    size = 'width="14" height="14" viewBox="0 0 16 16"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="{colour}">{shape}</svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _mark(name: str) -> str:
    return f"![]({mark_in(DETECTOR_SYMBOLS[name], DETECTOR_COLOURS[name])})"


DETECTOR_MARKS = {name: _mark(name) for name in DETECTOR_SYMBOLS}
"""The detectors' marks, in their colours and shapes, as Markdown images; a list to choose from takes no images."""


def mark_address(name: str) -> str:
    """Return a detector's mark as the address of a picture, for components."""
    return DETECTOR_MARKS[name].removeprefix("![](").removesuffix(")")


CARDS_IN_A_ROW = 3
PROVISIONAL_BADGE = ":orange-badge[:material/hourglass_empty: provisional]"
OLD_BADGE = ":gray-badge[:material/history: calibrated the old way]"
OLD_MEANING = (
    "Calibrated the old way: the normal clips behind the threshold were held out at random, one by one. Clips cut from "
    "one recording are nearly the same sound, and the detector has then heard the neighbours of those held out: on new "
    "recordings it may give more false alarms than it promises. Recalibrating trains it again with the same settings "
    "and calibrates the threshold by whole recordings."
)

Item = TypeVar("Item")


def in_columns(items: Sequence[Item], *, per_row: int = CARDS_IN_A_ROW) -> Iterator[tuple[DeltaGenerator, Item]]:
    """Give each item a column, row by row; fewer items than fit in a row share all of its width."""
    for start in range(0, len(items), per_row):
        yield from zip(st.columns(min(len(items), per_row)), items[start : start + per_row], strict=False)


def simulated_note(shown: Iterable[Artifact]) -> None:
    """Say that figures and clips are simulated where any of these detectors learned from simulated clips."""
    if not any(artifact.simulated for artifact in shown):
        return
    with kept_on_wall("simulated"):
        st.caption(
            ":material/science: Simulated data: generated sound throughout; neither figures nor the detectors' order "
            "carry over to a real machine."
        )


def simulated_badge(simulated: bool) -> str:
    """Markdown that follows a detector's verdict or figure where it was trained on simulated sound; else empty."""
    return f" :violet-badge[:material/science: {TRAINED_ON_SIMULATED}]" if simulated else ""


def simulated_warning(shown: Iterable[Artifact]) -> None:
    """Warn, before verdicts on recordings, of the detectors that were trained on simulated sound."""
    if titles := [plain(artifact.title) for artifact in shown if artifact.simulated]:
        st.warning(
            f"**{TRAINED_ON_SIMULATED.capitalize()}**: {', '.join(titles)}. On a recording they tell how far it is "
            "from the simulation, not whether your machine is faulty. Train them on your machine's normal sound first.",
            icon=":material/science:",
        )


def list_broken(broken: Mapping[str, AsdError]) -> None:
    """Say which detectors cannot be used, and why."""
    for name, error in broken.items():
        st.error(f"{name} cannot be used:", icon=":material/error:")
        st.text(shown_text(str(error)))


def usable_detectors(chosen: Chosen) -> dict[str, Artifact]:
    """Open the active detectors; broken ones are listed, and the page stops where none is left."""
    opened, broken = artifacts(chosen)
    good = {name: artifact for name, artifact in opened.items() if name in chosen.active} or opened
    list_broken(broken)
    if not good:
        st.info("None of these detectors can be used: choose another data set, or train again.", icon=":material/info:")
        st.stop()
    return good


def threshold_origin(threshold: Threshold, calibration: CalibrationSummary) -> str:
    """Say which rule and which clips chose a threshold; `promise_text` says what it promises."""
    if threshold.rule == "manual":
        return "set by hand"
    rule = RULES[threshold.rule].title.split(":")[0]
    if threshold.uses_test_labels:
        return f"chosen on labelled test clips (optimistic): {rule}"
    return f"from {calibration.clips_text(threshold.n_calibration)} ({rule})"


def promise_text(threshold: Threshold, calibration: CalibrationSummary, *, short: bool = False) -> str:
    """Write what a threshold promises as a sentence; see `promise_of`."""
    text = promise_of(threshold, calibration, short=short)
    return f"{text[0].upper()}{text[1:]}."


def calibration_marks(threshold: Threshold, calibration: CalibrationSummary) -> None:
    """Show a badge where the threshold is provisional, and one where it was calibrated the old way."""
    badges = [(PROVISIONAL_BADGE, promise_text(threshold, calibration))] if threshold.provisional else []
    badges += [(OLD_BADGE, OLD_MEANING)] if calibration.is_old else []
    for badge, meaning in badges:
        st.markdown(badge, help=meaning)


def old_note(shown: Mapping[str, Artifact]) -> None:
    """Say which detectors are calibrated the old way and what that means, and lead to where it is mended."""
    old = {name: artifact for name, artifact in shown.items() if artifact.manifest.calibration.is_old}
    if not old:
        return
    which = "All of these" if len(old) == len(shown) else f"{len(old)} of these {len(shown)}"
    with st.expander(f"{which} detectors are calibrated the old way", icon=":material/history:"):
        st.markdown(OLD_MEANING)
        go("pages/threshold.py", "Recalibrate", icon=":material/model_training:", detector=next(iter(old)))
