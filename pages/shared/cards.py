"""What several pages show of detectors: marks, notes, columns for their cards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.errors import AsdError
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import TRAINED_ON_SIMULATED, share_text
from pages.shared.cache import artifacts
from pages.shared.frame import Chosen
from pages.shared.plain_text import plain, shown_text

DETECTOR_MARKS = {
    "vggish_ocsvm": ":green[■]",
    "lstm_predictor": ":violet[■]",
    "gru_autoencoder": ":blue[■]",
    "dcase_autoencoder": ":orange[■]",
    "vggish_mahalanobis": ":yellow[▲]",
    "vggish_knn": ":violet[▲]",
}
"""The detectors' colours as Markdown signs, for places that take text only."""


CARDS_IN_A_ROW = 3

Item = TypeVar("Item")


def in_columns(items: Sequence[Item], *, per_row: int = CARDS_IN_A_ROW) -> Iterator[tuple[DeltaGenerator, Item]]:
    """Give each item a column, row by row; fewer items than fit in a row share all of its width."""
    for start in range(0, len(items), per_row):
        yield from zip(st.columns(min(len(items), per_row)), items[start : start + per_row], strict=False)


def simulated_note(shown: Iterable[Artifact]) -> None:
    """Say that figures and clips are simulated where any of these detectors learned from simulated clips."""
    if any(artifact.simulated for artifact in shown):
        st.caption(
            f":material/science: Simulated data: these detectors were {TRAINED_ON_SIMULATED}, and every clip and every "
            "figure on this page comes from generated sound, not from recordings."
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
    """Open the chosen detectors; broken ones are listed, and the page stops where none is left."""
    good, broken = artifacts(chosen)
    list_broken(broken)
    if not good:
        st.info("None of these detectors can be used: choose another data set, or train again.", icon=":material/info:")
        st.stop()
    return good


def threshold_origin(threshold: Threshold) -> str:
    """Say which rule and which clips chose a threshold."""
    rule = RULES[threshold.rule].title.split(":")[0]
    if threshold.uses_test_labels:
        return f"chosen on labelled test clips (optimistic): {rule}"
    promised = "" if threshold.promised_fpr is None else f"; promises {share_text(threshold.promised_fpr)} false alarms"
    return f"from {threshold.n_calibration} held-out normal clips ({rule}{promised})"
