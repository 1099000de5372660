"""Overview: what this is, where to begin, which detectors are trained, and how good each one is."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame import no_detectors, open_page

BEGIN = {
    "pages/check.py": "Pick, upload or record a clip. See and hear what is strange in it.",
    "pages/threshold.py": "Drag the point on the ROC. Hear the very clips that flip.",
    "pages/learn.py": "How each method listens, step by step, and a blind test of your own ears.",
}
GO_ON = {
    "pages/explore.py": "What normal and faulty clips look and sound like, side by side.",
    "pages/compare.py": "Every method on the same clips, side by side: what differs, and whether that may be chance.",
    "pages/monitor.py": "Listen all day, and watch an alarm come and go.",
    "pages/data.py": "Bring your own recordings, or make and download some.",
    "pages/train.py": "Train a detector on the normal sound of your machine.",
}

with open_page("pages/overview.py") as chosen:
    # Only now, once the title has been sent: a fresh server still has NumPy and the package to load.
    from pages.parts.overview.cards import detector_cards, page_cards
    from pages.shared.cache import artifacts
    from pages.shared.cards import list_broken, old_note, simulated_note

    st.markdown(
        "A failing machine sounds different before it stops. These detectors learned from **normal** sound only, show "
        "where in a recording they hear something strange, and let you decide how strange is worth an alarm."
    )
    if not chosen.detectors:
        no_detectors()
    good, bad = artifacts(chosen)
    st.subheader("Begin here")
    page_cards(BEGIN)
    st.subheader("Trained detectors")
    simulated_note(good.values())
    old_note(good)
    detector_cards(list(good.values()))
    list_broken(bad)
    st.subheader("Go on")
    page_cards(GO_ON)
