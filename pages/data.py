"""Data: what data sets are known here, what they hold; add recordings, simulate, download, and free disk space."""

from __future__ import annotations

import streamlit as st

from pages.parts.data.add import download_form, simulate_form, upload_form
from pages.parts.data.report import choose_set, set_report
from pages.parts.data.server_folder import add_folder_form
from pages.parts.data.storage import storage
from pages.parts.data.table import damaged_table, set_table
from pages.shared.background import chore_panel
from pages.shared.choices import switch
from pages.shared.frame import open_page

VIEWS = {
    "sets": "Data sets",
    "upload": "Upload clips",
    "folder": "Use a server folder",
    "simulate": "Simulate",
    "download": "Download",
    "storage": "Disk space",
}

with open_page("pages/data.py"):
    st.markdown(
        "Detectors learn from **normal** sound of one machine. Bring your own recordings, make simulated ones, or "
        "download those of the DCASE 2020 challenge; then look at what they hold, and train."
    )
    damaged_table()
    chore_panel(("simulate", "download"))
    view = switch("What to do", VIEWS, key="data_view")
    if view == "sets":
        set_table()
        set_report(choose_set())
    elif view == "upload":
        upload_form()
    elif view == "folder":
        add_folder_form()
    elif view == "simulate":
        simulate_form()
    elif view == "download":
        download_form()
    else:
        storage()
