"""Overview: what this is, which detectors are trained, and how good each one is."""

from __future__ import annotations

import streamlit as st

from pages.shared.cache import artifacts, summary
from pages.shared.cards import detector_cards
from pages.shared.frame import no_detectors, open_page, shown_text

NEXT = (
    ("pages/check.py", "Check a clip: upload or pick one, and see and hear what is strange"),
    ("pages/threshold.py", "Move the threshold: drag the point on the ROC, hear which clips flip"),
    ("pages/monitor.py", "Monitor: listen all day, and see an alarm come and go"),
    ("pages/compare.py", "Compare the methods: intervals, paired tests, clips they disagree on"),
    ("pages/learn.py", "Learn how each method listens, step by step, on a clip you pick"),
    ("pages/data.py", "Bring your own recordings, or make and download some"),
    ("pages/train.py", "Train a detector on the normal sound of your machine"),
)

with open_page("app.py") as chosen:
    st.markdown(
        "A failing machine sounds different before it stops. These detectors learned from **normal** sound only, show "
        "where in a recording they hear something strange, and let you decide how strange is worth an alarm."
    )
    if not chosen.detectors:
        no_detectors()
    good, bad = artifacts(chosen)
    if any(artifact.simulated for artifact in good.values()):
        st.caption(
            ":material/science: Simulated data: every clip and every figure on this page comes from generated sound, "
            "not from recordings."
        )
    detector_cards([(artifact, summary(str(artifact.folder), artifact)) for artifact in good.values()])
    for name, error in bad.items():
        st.error(f"{name} cannot be used:", icon=":material/error:")
        st.text(shown_text(str(error)))
    st.subheader("Next")
    columns = st.columns(2)
    for position, (path, text) in enumerate(NEXT):
        columns[position % 2].page_link(path, label=text)
