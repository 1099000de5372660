"""Streamlit's own players give way to ours and to one another: one sound at a time, on every page."""

from __future__ import annotations

from pages.shared.components import register

_mount = register("asd_native_sound", "native_sound")


def one_sound_at_a_time() -> None:
    """Let Streamlit's players, too, pause whatever else sounds as they start; draw it once on each page, unseen."""
    _mount(key="one-sound")
