"""A clip that one page hands to another, whose own field for uploads cannot be filled from here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import streamlit as st

HANDED = "handed_clip"
"""Key of the clip in a session."""


class SentFile(Protocol):
    """What a browser has sent: a name, which is text, an identity and its bytes."""

    @property
    def name(self) -> str:
        """What its owner calls it."""

    @property
    def file_id(self) -> str:
        """What tells it from every other one of any session."""

    def getvalue(self) -> bytes:
        """Return the whole file."""


@dataclass(frozen=True, eq=False)
class HandedClip:
    """A file that came to one page and is looked at on another."""

    name: str
    content: bytes

    @property
    def file_id(self) -> str:
        """Digest of its bytes."""
        return f"handed:{hashlib.sha256(self.content).hexdigest()}"

    def getvalue(self) -> bytes:
        """Return the whole file."""
        return self.content


def handed_clips() -> list[HandedClip]:
    """Return the clip that another page handed over in this session, if any."""
    handed = st.session_state.get(HANDED)
    return [] if handed is None else [handed]
