"""Presentation mode: large type, no chrome, and the truth hidden until it is revealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.shared.choices import ON
from pages.shared.components import register

PRESENT = "present"
_BAR = "page_bar"
_mount = register("asd_page_bar", "page_bar")


def presented() -> bool:
    """Whether the page is being shown to an audience."""
    return bool(st.session_state.get(PRESENT, st.query_params.get(PRESENT) == ON))


def page_bar() -> None:
    """Draw the buttons that copy a link to what is shown and that start the presentation; the URL then says so."""
    is_on = st.session_state[PRESENT] = presented()
    if is_on:
        st.query_params[PRESENT] = ON
    else:
        st.query_params.pop(PRESENT, None)
    _mount(key=_BAR, data={"on": is_on}, on_present_change=_changed)
    if is_on:
        st.html('<i class="asd-on-wall"></i>')


def not_presented() -> None:
    """End the presentation: on a page that has none."""
    st.session_state[PRESENT] = False
    st.query_params.pop(PRESENT, None)


def _changed() -> None:
    asked = st.session_state[_BAR].get("present")
    if isinstance(asked, bool):
        st.session_state[PRESENT] = asked


@contextmanager
def kept_on_wall(name: str) -> Iterator[None]:
    """Keep captions visible in a presentation, where all others are left out; the name is unique on its page."""
    with st.container(key=f"on-wall-{name}"):
        yield


@contextmanager
def left_off_wall(name: str) -> Iterator[None]:
    """Leave something out of a presentation, such as what saves or imports; the name is unique on its page."""
    with st.container(key=f"off-wall-{name}"):
        yield


@contextmanager
def truth_on_wall(name: str) -> Iterator[None]:
    """Hide what tells the truth in a presentation until it is revealed; the name is unique on its page."""
    with st.container(key=f"truth-on-wall-{name}"):
        yield
