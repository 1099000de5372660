"""Deleting a machine of one's own: what there is of it, how much, and the button that removes all of it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from asd_core.formats import size_text
from asd_core.monitoring.delete_machine import Holdings, delete_machine, what_is_kept
from asd_core.system.places import artifacts_dir
from pages.shared.context import PROJECT
from pages.shared.keys import held
from pages.shared.plain_text import plain

ELSEWHERE = (
    "What you downloaded, exported or wrote to other folders stays, and so do backups. Where a log named these "
    "recordings, the names are masked."
)


def deletion(name: str, *, key: str = "delete_machine") -> bool:
    """List what is kept of a machine and offer to delete it; returns whether it was deleted just now.

    Parameters
    ----------
    name
        Of its data set, one of one's own.

    Raises
    ------
    BusyError
        Something uses it.
    """
    out = artifacts_dir(PROJECT)
    kept = what_is_kept(name, out=out)
    _holdings_table(kept)
    st.caption(ELSEWHERE)
    is_sure = st.checkbox(f"Delete all of it for good: {size_text(kept.n_bytes)}", key=f"{key}:sure:{name}")
    if not st.button("Delete my machine", key=f"{key}:{name}", icon=":material/delete:", disabled=not is_sure):
        return False
    removed = delete_machine(name, out=out)
    held().drop_starting(removed.digests)
    return True


def _holdings_table(kept: Holdings) -> None:
    table = pd.DataFrame(
        {
            "What": [item.title for item in kept.items],
            "Number": [item.n for item in kept.items],
            "Size": [size_text(item.n_bytes) for item in kept.items],
            "Deleted": ["stays" if item.stays else "yes" for item in kept.items],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", height="content", alt=f"What is kept of {kept.name}")
    for item in kept.items:
        if item.stays:
            st.caption(plain(f"{item.title}: {item.stays}"))
