"""Marking a verdict as wrong: the clip is kept with its true label."""

from __future__ import annotations

import streamlit as st

from asd_core.data.library import add_folder
from asd_core.data.marked import LABELS, mark, marked_dir, marked_label
from asd_core.types import Waveform


def mark_controls(waveform: Waveform, title: str) -> None:
    """Let the listener say what the clip really is; it is kept as training data."""
    known = marked_label(waveform.digest)
    with st.popover("This verdict is wrong", icon=":material/flag:"):
        label = st.radio("The clip really is", LABELS, key=f"mark:{waveform.digest[:16]}", horizontal=True)
        if st.button("Keep the clip with this label", key="mark_save"):
            kept = mark(waveform, label, shown_name=title)
            known = label
            if kept.parent.name == LABELS[0]:  # a data set needs normal clips to train on
                add_folder("marked", marked_dir())
        st.caption("It is kept in the data folder; with normal clips in it, the data set 'marked' can be trained on.")
    if known:
        st.caption(f":material/flag: Marked as {known}.")
