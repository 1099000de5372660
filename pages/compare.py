"""Compare: every detector on the same test clips, their curves and figures, and the clips on which they differ."""

from __future__ import annotations

import streamlit as st

from pages.parts.compare.all_clips import all_clips_view
from pages.parts.compare.methods import common_line, compared, ensemble_choice, import_box, judged, rule_choice
from pages.parts.compare.poolings import poolings_choice
from pages.shared.cards import simulated_note, usable_detectors
from pages.shared.frame import fragment, no_detectors, open_page

with open_page("pages/compare.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good = usable_detectors(chosen)

    @fragment
    def views() -> None:
        """All that follows the choices: only this part runs again when one of them changes."""
        rule_place, *places = st.columns([3, 2, 2], vertical_alignment="bottom")
        with places[0]:
            comparison = compared(chosen, poolings_choice(chosen, good))
        with places[1]:
            comparison = ensemble_choice(comparison)
        if not comparison.clips:
            st.info(
                "There are no labelled test clips that all of these detectors scored, so that nothing can be compared.",
                icon=":material/info:",
            )
            return
        judgement = judged(comparison, rule_choice(comparison, rule_place))
        all_clips_view(chosen, judgement)
        common_line(comparison)

    views()
    simulated_note(good.values())
    import_box(chosen, good)
