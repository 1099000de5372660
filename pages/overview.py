"""Overview: a sound to hear first, three doors, and how good each active detector is."""

from __future__ import annotations

import streamlit as st

from pages.shared.choices import turn_on
from pages.shared.frame import first_screen, no_detectors, open_page

DOORS = {
    "pages/check.py": ("Try it", "Pick, upload or record a clip: see and hear what is strange in it."),
    "pages/threshold.py": ("Understand it", "Drag a point along a curve, and hear the very clips that change class."),
    "pages/my_machine.py": ("Use it on my machine", "Five steps from recordings to a detector of your own."),
}
MORE = {
    "pages/learn.py": "How each detector listens, step by step, and a blind test of your own ears.",
    "pages/explore.py": "What normal and faulty clips look and sound like, side by side.",
    "pages/compare.py": "The active detectors on the same clips: what differs, and whether that may be chance.",
    "pages/monitor.py": "Listen all day, and watch an alarm come and go.",
    "pages/data.py": "Bring your own recordings, or make and download some.",
    "pages/train.py": "Train a detector on the normal sound of your machine.",
}

with open_page("pages/overview.py") as chosen:
    # frame.css keeps room here, so that nothing moves as the demonstration comes.
    with first_screen(), st.container(key="hero-room" if chosen.detectors else "no-hero-room"):
        stage = st.empty()
    stage.caption(":material/hourglass_top: Two clips are being listened to …")
    # Only now, once the title has been sent: a fresh server still has NumPy and the package to load.
    from pages.parts.overview.cards import detector_cards, doors, how_good, page_cards
    from pages.shared.cache import artifacts
    from pages.shared.cards import list_broken, old_note, simulated_note

    doors(DOORS)
    note = st.container()
    good, bad = artifacts(chosen)
    active = {name: artifact for name, artifact in good.items() if name in chosen.active} or good
    if active:
        st.subheader("How good are they?")
        with st.container(key="how-good"):
            how_good(list(active.values()))
        if turn_on("Show the figures: AUC, intervals, thresholds", key="figures"):
            detector_cards(list(active.values()))
        simulated_note(active.values())
        old_note(active)
    list_broken(bad)
    st.subheader("More pages")
    page_cards(MORE)
    # Last, and above all else: a fresh server loads a detector for it, and nothing here waits for that.
    from pages.parts.overview.hero import draw_hero

    draw_hero(chosen, good, stage)
    if not chosen.detectors:
        with note:
            no_detectors()
