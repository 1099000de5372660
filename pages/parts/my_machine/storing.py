"""Keeping recordings that came by an upload field or the microphone, and saying what became of them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.data.quotas import Upload
from asd_core.data.uploads import store_uploads
from asd_core.system.clock import local_now
from pages.parts.my_machine.subject import Subject, machine_made
from pages.shared.components.recorder import Take
from pages.shared.intake import Outcome, say, store
from pages.shared.quota import count_stored

_OUTCOME = "my_machine_outcome"
"""Key of what became of the session's last recordings; it is said until the next ones come."""


def keep_files(subject: Subject, files: Sequence[UploadedFile], *, kind: str | None = None) -> None:
    """Store recordings, and those inside ZIP archives, with the machine, which becomes the context of all pages.

    Parameters
    ----------
    kind
        None for normal sound, else the kind of fault; empty where it has no name.
    """
    _keep(subject, store(subject.name, files, kind=kind))


def keep_take(subject: Subject, take: Take) -> None:
    """Store a clip from the microphone as normal sound, under the time at which it came."""
    clip = Upload(f"recording {local_now():%Y-%m-%d %H.%M.%S}.wav", take.wav)
    stored = store_uploads(subject.name, [clip], used=count_stored(subject.name, [clip]))
    _keep(subject, Outcome(stored, {}, stored.refused))


def _keep(subject: Subject, outcome: Outcome) -> None:
    st.session_state[_OUTCOME] = (subject.name, outcome)
    if outcome.stored is not None and outcome.stored.known is not None:
        machine_made(outcome.stored.known)


def what_became_of_them(subject: Subject) -> None:
    """Say what was understood of the last recordings of this session, and what was passed over or refused."""
    name, outcome = st.session_state.get(_OUTCOME, ("", None))
    if outcome is not None and name == subject.name:
        say(outcome)
