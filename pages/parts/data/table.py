"""The table of known data sets, and the message where it is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from asd_core.data.library import unlisted_folders
from asd_core.data.table import KnownSet, read_library, restart_library
from asd_core.formats import display_name, size_text
from asd_core.system.disk import folder_bytes
from pages.shared.context import Chosen, switch_to
from pages.shared.data_sets import known_sets, tree
from pages.shared.frame import first_screen
from pages.shared.keys import HASHES, Tree
from pages.shared.plain_text import shown_text

KIND_TITLES = {"simulated": "simulated", "recordings": "own recordings", "downloaded": "DCASE 2020 recordings"}
MAX_NAMED = 5
"""Unlisted folders named at most; the view 'Disk space' lists all."""


def damaged_table() -> None:
    """Say that the table is damaged, and offer to begin a new one."""
    fault = read_library().fault
    if fault is None:
        return
    st.warning("The table of data sets is damaged; only the embedded sets can be used.", icon=":material/warning:")
    st.text(fault)
    if st.button("Put the damaged table aside and begin a new one", key="restart_table"):
        st.session_state["table_aside"] = restart_library().name
        st.rerun()


def set_table(chosen: Chosen) -> None:
    """List the known data sets: kind, machines, size, date, folder; selecting a row opens that set on all pages."""
    if aside := st.session_state.pop("table_aside", None):
        st.success(f"A new table was begun; the old one is kept as {aside}. Add your folders again.")
    sets = list(known_sets().values())
    there = [known.folder.is_dir() for known in sets]
    table = pd.DataFrame(
        {
            "Data set": [known.name for known in sets],
            "Kind": [KIND_TITLES[known.kind] for known in sets],
            "Machines": [", ".join(map(display_name, known.machines)) for known in sets],
            "Size": [
                size_text(tree_bytes(known.folder)) if here else _absent(known)
                for known, here in zip(sets, there, strict=True)
            ],
            "Added": [known.added[:10] or "with the project" for known in sets],
            "Folder": [shown_text(str(known.folder)) for known in sets],
        }
    )
    key = f"sets_table:{chosen.label}"
    names = [known.name for known in sets]
    with first_screen():
        st.dataframe(
            table,
            hide_index=True,
            width="stretch",
            alt=f"Table of {len(sets)} known data sets",
            key=key,
            selection_mode="single-row",
            selection_default={
                "selection": {"rows": [names.index(chosen.data_set)] if chosen.data_set in names else []}
            },
            on_select=lambda: open_row(sets, st.session_state[key].selection.rows),
        )
    st.caption("Select a row to open a data set, here and on all pages.")
    if unlisted := unlisted_folders():
        names = ", ".join(display_name(folder.name) for folder in unlisted[:MAX_NAMED])
        st.text(f"Clips that belong to none of them lie in {names}; they can be deleted under Disk space.")


def open_row(sets: Sequence[KnownSet], rows: Sequence[int]) -> None:
    """Make the data set in the selected row the context; its first machine where it has several."""
    for known in (sets[row] for row in rows if row < len(sets)):
        switch_to(known.name, next(iter(known.machines), known.name))


def tree_bytes(folder: Path) -> int:
    """Return the size of a data set's files in bytes; summed anew when a file comes or goes."""
    return _tree_bytes(tree(folder))


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=HASHES)
def _tree_bytes(of: Tree) -> int:
    return folder_bytes(of.root)


def _absent(known: KnownSet) -> str:
    return "made when needed" if known.embedded else "folder is gone"
