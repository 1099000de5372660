"""Presentation mode: large type, no chrome, and the truth hidden until it is revealed."""

from __future__ import annotations

import streamlit as st

from pages.shared.choices import ON

PRESENT = "present"


def presented() -> bool:
    """Whether the page is being shown to an audience."""
    return bool(st.session_state.get(PRESENT, st.query_params.get(PRESENT) == ON))
