"""Which frequency bands a detector's score comes from: occlusion band by band, in the same way for every detector."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.detectors.occlusion import BandOcclusion, band_occlusion
from asd_core.reports.plots import DETECTOR_COLOURS, band_figure
from asd_core.types import Waveform
from pages.shared.cache import detector
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.keys import kept
from pages.shared.plain_text import plain


def band_controls(waveform: Waveform, artifacts: Mapping[str, Artifact]) -> None:
    """Show, on demand, how much each detector's score falls when one band is brought down to its usual level."""
    st.subheader("Which frequencies matter")
    if not st.toggle("Listen again with one band after another held down (a few seconds)", key="bands"):
        return
    for column, (name, artifact) in zip(st.columns(len(artifacts)), artifacts.items(), strict=True):
        found = _bands(artifact, waveform)
        column.markdown(f"{DETECTOR_MARKS[name]} {plain(artifact.title)}")
        column.plotly_chart(
            band_figure(found.edges_hz, found.falls, colour=DETECTOR_COLOURS[name]),
            key=f"bands:{name}",
            width="stretch",
        )
    st.caption(
        "A long bar: without what is unusual in that band the clip would score so much lower. A sound that is missing "
        "cannot be explained this way."
    )


@kept("Listening band by band …")
def _bands(artifact: Artifact, waveform: Waveform) -> BandOcclusion:
    return band_occlusion(detector(artifact), waveform)
