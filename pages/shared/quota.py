"""What may be uploaded: one quota over the files of all pages, and the formats that are read."""

from __future__ import annotations

import streamlit as st

from asd_core.audio.kinds import only_lossless, readable_suffixes
from asd_core.data.uploads import Quota

USED = "upload_used"
"""Key of the session's quota."""


def used_quota() -> Quota:
    """Return what the session has used of its quota."""
    used: Quota = st.session_state.get(USED, Quota())
    return used


def upload_types() -> list[str]:
    """Suffixes of the files that an uploader takes; their content decides, whatever they are called."""
    return [suffix.removeprefix(".") for suffix in readable_suffixes()]


def formats_text() -> str:
    """Name the formats that are read here."""
    return "WAV or FLAC" if only_lossless() else "WAV, FLAC, MP3, M4A, Ogg, Opus, WebM and other common formats"
