"""Explore: look at and listen to the clips of a data set, side by side and in numbers."""

from __future__ import annotations

import streamlit as st

from pages.parts.explore.clips import data_set_of
from pages.parts.explore.views import clips_not_at_hand, contents_view, listen_view, spectra_view
from pages.shared.cache import artifacts
from pages.shared.choices import switch
from pages.shared.frame import no_detectors, open_page

VIEWS = {
    "clips": ("Clips side by side", listen_view),
    "spectra": ("Spectra of the labels", spectra_view),
    "contents": ("What the data set holds", contents_view),
}

with open_page("pages/explore.py") as chosen:
    if not chosen.data_set:
        no_detectors()
    opened = data_set_of(chosen)
    if opened is None:
        clips_not_at_hand(artifacts(chosen)[0])
        st.stop()
    data_set, stamp = opened
    titles = {name: title for name, (title, _) in VIEWS.items()}
    view = switch("View", titles, key="view", label_visibility="collapsed")
    VIEWS[view][1](data_set, stamp)
    if data_set.simulated is not None:
        st.caption(":material/science: Simulated data: every clip on this page is generated sound, not a recording.")
    if data_set.index.channel is not None:
        st.caption(f"Of several channels, number {data_set.index.channel} (from 0) is heard, as in DCASE.")
