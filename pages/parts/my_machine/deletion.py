"""Deleting a machine with all that came of it."""

from __future__ import annotations

import streamlit as st

from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.ways import STEP_OF
from pages.shared.deletion import deletion

_DELETED = "my_machine_deleted"


def delete_button(subject: Subject) -> None:
    """Offer to delete the machine; what there is of it is looked up once the reader asks."""
    with st.popover("Delete", icon=":material/delete:", key="delete_my_machine", on_change="rerun") as popover:
        if popover.open and deletion(subject.name, key="delete_machine"):
            st.session_state[_DELETED] = subject.name
            st.session_state[STEP_OF] = ""
            st.rerun()


def deleted_note() -> None:
    """Say once that a machine has been deleted."""
    if name := st.session_state.pop(_DELETED, None):
        st.toast(f"{name} and all that came of it are deleted.", icon=":material/delete:")
