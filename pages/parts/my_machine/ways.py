"""Buttons that lead from one step to another."""

from __future__ import annotations

import streamlit as st

NEXT = {
    "enough": "Next: is it enough?",
    "train": "Next: train",
    "alarm": "Next: how loud is an alarm?",
    "listen": "Next: listen",
}

STEP_OF = "my_machine_step_of"
"""Key of the machine whose step is open; empty after one was deleted."""


def open_step(name: str) -> None:
    """Open a step in the next run of the page."""
    st.session_state["step"] = name


def next_button(name: str, *, is_due: bool = True) -> None:
    """Draw the button that opens the step which comes next; less loud where something is due before."""
    st.button(
        NEXT[name],
        key=f"next:{name}",
        icon=":material/arrow_forward:",
        type="primary" if is_due else "secondary",
        on_click=open_step,
        args=(name,),
    )


def step_button(name: str, label: str) -> None:
    """Draw a button that opens another step."""
    st.button(label, key=f"to:{name}", on_click=open_step, args=(name,))
