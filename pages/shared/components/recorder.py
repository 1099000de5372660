"""The microphone: clips of equal length, as the browser hears them without filters, one at a time."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from asd_core.audio.reading import MAX_UPLOAD_BYTES
from pages.shared.components import register

CLIP_S = 10
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MAX_ID = 80

_mount = register("asd_recorder", "recorder")


@dataclass(frozen=True)
class Take:
    """A clip that was recorded: what names it until it is taken, and the file (mono, 16-bit WAV, at the device's rate).

    The content is the browser's word: it is decoded and checked like any upload.
    """

    id: str
    wav: bytes


def recorder(*, wanted: int, start: str, ended: str, taken: str, key: str) -> None:
    """Draw the recorder; `last_take` returns a clip in the run that it causes.

    The browser sends the next clip once the last one is `taken`, and sends one again that was lost on the way.

    Parameters
    ----------
    wanted
        Clips to record until it stops by itself.
    start
        What the button says while nothing is recorded.
    ended
        What is said once it has stopped by itself.
    taken
        `Take.id` of the last clip that was taken; empty at first.
    """
    message = {"seconds": CLIP_S, "wanted": wanted, "start": start, "ended": ended, "taken": taken}
    _mount(key=key, data=message, on_clip_change=lambda: None)


def last_take(key: str) -> Take | None:
    """Return the clip that has just arrived from this recorder, or None; callable before the recorder is drawn."""
    state = st.session_state.get(key)
    return None if state is None else parse_take(state.get("clip"))


def parse_take(message: Any) -> Take | None:
    """Read a message from the browser; None for anything that `recorder.js` does not send."""
    if not isinstance(message, dict):
        return None
    name, text = message.get("id"), message.get("wav")
    if not isinstance(name, str) or not isinstance(text, str) or not 0 < len(name) <= _MAX_ID:
        return None
    if len(text) > MAX_UPLOAD_BYTES * 4 // 3 + 4 or len(text) % 4 or not _BASE64.fullmatch(text):
        return None
    return Take(name, base64.b64decode(text))
