"""The page's first line: which machine it is about, a new one, and the end of one."""

from __future__ import annotations

import streamlit as st

from pages.parts.my_machine.deletion import delete_button, deleted_note
from pages.parts.my_machine.subject import Subject, begin_new
from pages.shared.plain_text import plain


def header(subject: Subject) -> None:
    """Name the machine, and offer a new one or to delete this one; nothing for one that has no recording yet."""
    deleted_note()
    if subject.known is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(subject.chosen.title)}**", width="stretch")
        st.button("New machine", icon=":material/add:", key="new_machine", on_click=begin_new)
        delete_button(subject)
