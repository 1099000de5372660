"""What a session has uploaded so far: one quota over the files of all pages."""

from __future__ import annotations

import streamlit as st

from asd_core.data.uploads import Quota

USED = "upload_used"
"""Key of the session's quota."""


def used_quota() -> Quota:
    """Return what the session has used of its quota."""
    used: Quota = st.session_state.get(USED, Quota())
    return used
