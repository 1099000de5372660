"""How a data set's folders, names and tables were understood, and what was passed over."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.data.clips import ClipIndex
from asd_core.data.data_set import LabelRow, label_rows
from asd_core.data.folder_rules import HERE
from asd_core.data.folders import Skipped
from asd_core.formats import display_name
from pages.shared.plain_text import plain, warning_text
from pages.shared.refusals import passed_over, skipped_files, skipped_text

MAX_ROWS = 200
"""Rows of the table at most: a table of labels may name thousands of kinds."""
NOT_KNOWN = "not known"
_REST = f"--normal {HERE}"


def taken_text(n_clips: int, skipped: Skipped) -> str:
    """How many clips there are, and what was passed over: `40 clips; 12 passed over: 9 .txt, 3 hidden`."""
    clips = f"{n_clips:,} clip{'' if n_clips == 1 else 's'}"
    return f"{clips}; {skipped_text(skipped)}" if skipped else clips


def label_table(index: ClipIndex, recordings: Mapping[str, str], *, place: DeltaGenerator) -> None:
    """Show what each folder, name or table was understood to mean.

    Parameters
    ----------
    recordings
        Recording of each clip by its relative path, as far as known.
    """
    rows = label_rows(index.clips, recordings)
    shown = rows[:MAX_ROWS]
    table = pd.DataFrame(
        {
            "What says so": [display_name(rule_text(row)) for row in shown],
            "Label": [row.label for row in shown],
            "Split": [row.split for row in shown],
            "Clips": [row.n_clips for row in shown],
            "Recordings": [NOT_KNOWN if row.n_recordings is None else f"{row.n_recordings:,}" for row in shown],
        }
    )
    with place.container():
        st.markdown("**How labels were understood**")
        st.dataframe(table, hide_index=True, width="stretch", height="content", alt="What each folder or name means")
        if len(rows) > len(shown):
            st.caption(f"The first {len(shown)} of {len(rows):,}.")


def rule_text(row: LabelRow) -> str:
    """Say where a label comes from, in words."""
    return row.rule.replace(_REST, "everything else is normal") or "nothing"


def left_out(index: ClipIndex) -> None:
    """Say what was passed over below the folder, with the names folded in, and what was not understood."""
    skipped = passed_over(index)
    if skipped:
        st.info(plain(f"{skipped_text(skipped)}."), icon=":material/info:")
        skipped_files(skipped)
    for remark in index.remarks:
        st.warning(plain(warning_text(remark)), icon=":material/warning:")
