"""Data: what data sets are known here, what they hold; add recordings, tidy them, and free disk space."""

from __future__ import annotations

from pages.parts.data.add import download_form, simulate_form
from pages.parts.data.report import review
from pages.parts.data.server_folder import add_folder_form
from pages.parts.data.storage import storage
from pages.parts.data.table import damaged_table, set_table
from pages.parts.data.tidy import tidy
from pages.parts.data.upload import upload_form
from pages.shared.background import chore_panel
from pages.shared.choices import switch
from pages.shared.frame import open_page

VIEWS = {
    "sets": "Data sets",
    "upload": "Upload recordings",
    "folder": "Use a server folder",
    "tidy": "Tidy",
    "simulate": "Simulate",
    "download": "Download",
    "storage": "Disk space",
}

with open_page("pages/data.py") as chosen:
    damaged_table()
    chore_panel(("simulate", "download"))
    view = switch("What to do", VIEWS, key="data_view", label_visibility="collapsed")
    if view == "sets":
        set_table(chosen)
        review(chosen)
    elif view == "upload":
        upload_form(chosen)
    elif view == "folder":
        add_folder_form()
    elif view == "tidy":
        tidy(chosen)
    elif view == "simulate":
        simulate_form()
    elif view == "download":
        download_form()
    else:
        storage()
