"""Files that a page offers to download."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def csv_download(make: Callable[[], str], *, file_name: str) -> None:
    """Offer a table as CSV, which is made when the reader asks for it."""
    st.download_button(
        "Download the table (CSV)",
        make,
        file_name=file_name,
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
    )
