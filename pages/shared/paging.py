"""Long tables page by page: a table's rows are sent to the browser whether or not they are looked at."""

from __future__ import annotations

import streamlit as st

PAGE_ROWS = 500
"""Rows of a table that are sent at once."""


def page_start(n_rows: int, *, key: str, page_rows: int = PAGE_ROWS) -> int:
    """Let the reader choose a page where there are several; return its first row.

    Parameters
    ----------
    key
        Key of the number's widget; a page beyond the end is replaced by the last one.
    page_rows
        Rows of a page.
    """
    n_pages = max(1, -(-n_rows // page_rows))
    if n_pages == 1:
        return 0
    st.session_state[key] = min(max(int(st.session_state.get(key, 1)), 1), n_pages)
    page = st.number_input(
        f"Page, 1 to {n_pages:,} ({page_rows} rows each)",
        1,
        n_pages,
        step=1,
        key=key,
        persist_state="session",
        width=320,
    )
    return (int(page) - 1) * page_rows
