"""Files that a page offers to download."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from asd_core.formats import EXCEL_COMMA, EXCEL_SEMICOLON, CsvStyle


def csv_download(make: Callable[[CsvStyle], str], *, file_name: str) -> None:
    """Offer a table as CSV that Excel opens as it is, in each of its two ways; made when the reader asks for it.

    Parameters
    ----------
    make
        Writes the whole table in a style, byte-order mark included.
    """
    with st.container(horizontal=True):
        for label, style in (
            ("Download the table (CSV)", EXCEL_COMMA),
            ("CSV with semicolons and decimal commas", EXCEL_SEMICOLON),
        ):
            st.download_button(
                label,
                partial(make, style),
                file_name=file_name,
                mime="text/csv",
                on_click="ignore",
                icon=":material/download:",
            )
