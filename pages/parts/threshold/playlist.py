"""Lists of clips to listen to: those that flip between two thresholds, or those in one cell of the confusion matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import streamlit as st

from asd_core.audio.reading import encode_wav
from asd_core.evaluation.operating import CELLS, cells, flips
from asd_core.formats import score_text, times_text
from pages.parts.threshold.operating_point import OperatingPoint
from pages.shared.choices import pick_row, switch
from pages.shared.context import Chosen
from pages.shared.paging import PAGE_ROWS, page_start
from pages.shared.plain_text import plain
from pages.shared.sources import clip_title, load_scored

FLIPPED = "flipped"


def clip_lists(chosen: Chosen, point: OperatingPoint) -> None:
    """Let the user choose a list, pick a clip in it and hear it."""
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
        _playlist(chosen, rows[which], point)


def _playlist(chosen: Chosen, rows: npt.NDArray[np.int64], point: OperatingPoint) -> None:
    if not len(rows):
        st.caption("No clip here at this threshold.")
        return
    start = page_start(len(rows), key="clips_page")
    clips = [point.scores.clips[row] for row in rows[start : start + PAGE_ROWS]]
    table = {
        "Clip": [clip_title(clip) for clip in clips],
        "Anomaly score": [score_text(clip.anomaly_score) for clip in clips],
    }
    if point.artifact.encoder_id is None:  # a ratio makes sense for a mean error, but not for a decision value around 0
        table["Multiple of the threshold"] = [times_text(clip.anomaly_score / point.threshold) for clip in clips]
    picked = pick_row(
        pa.table(table),  # a DataFrame takes ten times as long to send, at each move of the threshold
        n_rows=len(clips),
        height=min(38 + 35 * len(clips), 280),
        key=f"clips:{point.artifact.folder.name}:{point.threshold}:{len(rows)}:{start}",
    )
    waveform = load_scored(chosen, clips[picked], point.artifact.channel)
    if waveform is None:
        st.caption("The sound of this data set is not here.")
        return
    st.caption(f"Playing: {plain(clip_title(clips[picked]))}")
    st.audio(encode_wav(waveform.samples), format="audio/wav")
