"""A bar that follows a computation inside the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def counting_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while something is computed; call what it gives with how much is done, and of how much."""
    bar = st.progress(0.0, text)

    def report(n_done: int, n_all: int) -> None:
        bar.progress(n_done / n_all, f"{text} {n_done} of {n_all}")

    try:
        yield report
    finally:
        bar.empty()
