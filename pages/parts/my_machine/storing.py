"""Keeping recordings that came by an upload field or the microphone, and saying what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from asd_core.data.uploads import Stored, Upload, store_uploads
from asd_core.formats import counted
from pages.parts.my_machine.subject import Subject, machine_made
from pages.shared.quota import USED, used_quota
from pages.shared.refusals import refused_files

NOTE = "my_machine_note"
"""Key of what the session's last recordings came to."""


@dataclass(frozen=True)
class Note:
    """What became of some recordings.

    Parameters
    ----------
    kind
        None for normal ones.
    """

    stored: Stored
    kind: str | None


def keep_recordings(subject: Subject, uploads: Sequence[Upload], *, kind: str | None = None) -> Stored:
    """Store recordings with the machine, and make it the context of all pages; the next run says what became of them.

    Parameters
    ----------
    kind
        None for normal sound, else the kind of fault; empty where it has no name.
    """
    bar = st.empty()
    stored = store_uploads(
        subject.name,
        uploads,
        used=used_quota(),
        kind=kind,
        on_progress=lambda done, total: bar.progress(done / total, f"Read {done} of {total}") if total > 1 else None,
    )
    bar.empty()
    st.session_state[USED] = stored.used
    st.session_state[NOTE] = Note(stored, kind)
    if stored.known is not None:
        machine_made(stored.known)
    return stored


def what_became_of_them() -> None:
    """Say what the last recordings of this session came to."""
    note = st.session_state.get(NOTE)
    if note is None:
        return
    stored, what = note.stored, "normal" if note.kind is None else "faulty"
    if stored.stored:
        st.success(f"{counted(stored.stored, f'{what} clip')} understood and stored.", icon=":material/check:")
    if stored.repeated:
        st.info(f"{counted(stored.repeated, 'clip')} were here already, or came twice.", icon=":material/info:")
    refused_files(stored.refused)
