"""Small spectrograms beside the rows of a table, made for the rows of one page and kept."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import streamlit as st

from asd_core.data.clips import Clip
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.features.log_mel import log_mel_frames
from asd_core.reports.plots import SPECTROGRAM_DB, small_heatmap_png
from pages.shared.keys import once

PAGE_CLIPS = 50
"""Rows of a page with pictures: each one's clip is read once."""
WIDTH_PX, HEIGHT_PX = 96, 32


def thumbnails(clips: Sequence[Clip], channel: int | None, *, key: str) -> list[str | None]:
    """Draw each clip small, as a data URI, on the one scale in dB of all spectrograms; None for one that is refused.

    Parameters
    ----------
    key
        Identifies the clips and their present state; the pictures are shared by all sessions under it.
    """
    with st.container():  # keeps later elements in place, with or without a progress bar
        return once(("thumbnails", key, channel), lambda: _drawn(clips, channel))


def _drawn(clips: Sequence[Clip], channel: int | None) -> list[str | None]:
    bar = st.progress(0.0, "Drawing small spectrograms, once …")
    found: list[str | None] = []
    for done, clip in enumerate(clips):
        if done % 8 == 0:
            bar.progress(done / len(clips), f"Drawing small spectrograms, once … {done} of {len(clips)}")
        found.append(_thumbnail(clip, channel))
    bar.empty()
    return found


def _thumbnail(clip: Clip, channel: int | None) -> str | None:
    try:
        waveform = read_clip(clip.path, channel=channel, span=clip.span)
    except AudioError:
        return None
    low, high = SPECTROGRAM_DB
    png = small_heatmap_png(
        log_mel_frames(waveform, min_samples=1), low=low, high=high, width_px=WIDTH_PX, height_px=HEIGHT_PX
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
