"""Lists of clips to listen to: those that the last move made flip, or those in one cell of the confusion matrix."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
import streamlit as st

from asd_core.evaluation.operating import CELLS, cells, flips
from asd_core.formats import display_name, score_text
from pages.parts.threshold.operating_point import OperatingPoint
from pages.shared.choices import switch
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.context import Chosen
from pages.shared.paging import page_start
from pages.shared.presenting import presented
from pages.shared.sources import label_and_kind, load_scored, short_name

FLIPPED = "flipped"
SHOWN = 25
"""Clips of a list at a time: it is sent again at each move."""


def clip_lists(chosen: Chosen, point: OperatingPoint) -> None:
    """Let the user choose a list and hear its clips, one after another if wanted."""
    names = cells(point.scores.is_anomalous, point.scores.anomaly_scores, point.in_force)
    flipped = flips(point.scores.anomaly_scores, point.previous, point.in_force)
    rows = {FLIPPED: flipped, **{cell: (names == cell).nonzero()[0] for cell in CELLS}}
    titles = {FLIPPED: "Changed class by the last move", **{cell: f"{cell.capitalize()}s" for cell in CELLS}}
    titles["miss"] = "Misses"
    st.subheader("Listen")
    which = switch("Clips", list(rows), key="list", format_func=lambda name: f"{titles[name]} ({len(rows[name])})")
    if which == FLIPPED and not len(flipped):
        st.caption(
            "Move the point on the curve: the clips that change class between the old and the new threshold "
            "appear here."
        )
    else:
        _listed(chosen, rows[which], point)


def _listed(chosen: Chosen, rows: npt.NDArray[np.int64], point: OperatingPoint) -> None:
    if not len(rows):
        st.caption("No clip here at this threshold.")
        return
    start = page_start(len(rows), key="clips_page", page_rows=SHOWN)
    play_list(
        [_sound(chosen, point, int(row)) for row in rows[start : start + SHOWN]],
        key=f"clips:{point.artifact.detector_name}",
        label="Clips of this list",
        hides_truth=presented(),
    )


def _sound(chosen: Chosen, point: OperatingPoint, row: int) -> ListedSound:
    clip = point.scores.clips[row]
    return ListedSound(
        id=str(row),
        title=f"id {display_name(clip.machine_id)} · {short_name(clip)}",
        sound=partial(load_scored, chosen, clip, point.artifact.channel),
        note=f"score {score_text(clip.anomaly_score)}",
        truth=label_and_kind(clip),
        tone="anomalous" if clip.label == "anomalous" else "normal",
    )
