"""Compare: one clip under every detector, or all test clips: curves, figures, and where the detectors differ."""

from __future__ import annotations

import streamlit as st

from pages.parts.compare.all_clips import VIEWS, all_clips_view
from pages.parts.compare.methods import (
    SAVED,
    common_line,
    compared,
    ensemble_choice,
    import_box,
    judged,
    rule_choice,
    rule_title,
)
from pages.parts.compare.one_clip import one_clip_view
from pages.parts.compare.poolings import poolings_choice
from pages.shared.cards import simulated_note, usable_detectors
from pages.shared.choices import switch
from pages.shared.frame import fragment, no_detectors, open_page
from pages.shared.plain_text import plain
from pages.shared.presenting import left_off_wall

SHOWN = {"clip": "One clip", "all": "All clips"}


def follow_old_link() -> None:
    """Open all clips where only one of their views is asked for, as by links from before there were two parts."""
    if "show" not in st.session_state and "show" not in st.query_params:
        asked = st.session_state.get("view", st.query_params.get("view"))
        if asked in VIEWS:
            st.session_state["show"] = "all"


with open_page("pages/compare.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good = usable_detectors(chosen)

    @fragment
    def views() -> None:
        """All that follows the choices: only this part runs again when one of them changes."""
        follow_old_link()
        row = st.container(horizontal=True, vertical_alignment="center", key="off-wall-compare-switches")
        show = switch("Show", SHOWN, key="show", place=row, width="content", label_visibility="collapsed")
        with row.popover("Verdicts by", icon=":material/tune:"):
            rule_place = st.container()
            comparison = ensemble_choice(compared(chosen, poolings_choice(chosen, good)))
            rule = rule_choice(comparison, rule_place) if comparison.clips else SAVED
        if not comparison.clips:
            st.info(
                "There are no labelled test clips that all of these detectors scored, so that nothing can be compared.",
                icon=":material/info:",
            )
            return
        if rule != SAVED:
            st.caption(f"Verdicts by: {plain(rule_title(rule))}")
        judgement = judged(comparison, rule)
        if show == "clip":
            one_clip_view(chosen, judgement, row)
        else:
            all_clips_view(chosen, judgement)
        common_line(comparison)

    views()
    simulated_note(good.values())
    with left_off_wall("import"):
        import_box(chosen, good)
