"""The table of known data sets, and what is said where it is damaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from asd_core.data.library import unlisted_folders
from asd_core.data.table import EMBEDDED_NAME, KnownSet, read_library, restart_library
from asd_core.formats import display_name
from asd_core.system.disk import folder_bytes
from pages.shared.cache import HASHES, Tree, tree

KIND_TITLES = {"simulated": "simulated", "recordings": "own recordings", "downloaded": "DCASE 2020 recordings"}

MAX_NAMED = 5
"""Unlisted folders that are named; Disk space lists all."""


def set_title(known: KnownSet) -> str:
    """Name for a list: data set and kind."""
    return f"{known.name} ({KIND_TITLES[known.kind]})"


def known_sets() -> dict[str, KnownSet]:
    """All data sets by name, the embedded bench first."""
    return {known.name: known for known in read_library().sets}


def damaged_table() -> None:
    """Say that the table is damaged, and offer to begin a new one."""
    fault = read_library().fault
    if fault is None:
        return
    st.warning("The table of data sets is damaged; only the embedded bench can be used.", icon=":material/warning:")
    st.text(fault)
    if st.button("Put the damaged table aside and begin a new one", key="restart_table"):
        st.session_state["table_aside"] = restart_library().name
        st.rerun()


def set_table() -> None:
    """List what is known: kind, machines, size, date, folder."""
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
            "Folder": [shown_path(known.folder) for known in sets],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", alt=f"Table of {len(sets)} known data sets", key="sets_table")
    if unlisted := unlisted_folders():
        names = ", ".join(display_name(folder.name) for folder in unlisted[:MAX_NAMED])
        st.text(f"Clips that belong to none of them lie in {names}; they can be deleted under Disk space.")


def go(page: str, label: str, *, icon: str | None = None, key: str | None = None, **state: str) -> None:
    """Button that opens another page with some of its choices made."""
    if st.button(label, key=key or f"go:{page}:{label}", icon=icon, on_click=st.session_state.update, args=(state,)):
        st.switch_page(page)


def tree_bytes(folder: Path) -> int:
    """Size of a data set's files; counted again when one comes or goes."""
    return _tree_bytes(tree(folder))


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=HASHES)
def _tree_bytes(of: Tree) -> int:
    return folder_bytes(of.root)


def shown_path(path: Path) -> str:
    """Make a path fit to show."""
    return str(path).encode("utf-8", "replace").decode()


def size_text(n_bytes: int) -> str:
    """Write a size on disk: `1.2 GB`, `340 MB`, `12 kB`."""
    for unit, power in (("GB", 9), ("MB", 6)):
        if n_bytes >= 10**power:
            return f"{n_bytes / 10**power:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def _absent(known: KnownSet) -> str:
    return "made when needed" if known.name == EMBEDDED_NAME else "folder is gone"
