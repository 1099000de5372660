"""Detectors that are older than the recordings they learned from."""

from __future__ import annotations

import streamlit as st

from asd_core.data.table import KnownSet
from asd_core.data.uploads import NORMAL, stored_clips
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.tasks.outdated import changes_since
from pages.shared.cache import artifacts
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.choices import go
from pages.shared.context import Chosen
from pages.shared.plain_text import plain


def outdated_note(chosen: Chosen, known: KnownSet) -> None:
    """Say which detectors are older than the recordings, and how; nothing where all are up to date."""
    labels = {clip.digest: NORMAL if clip.label == NORMAL else "anomalous" for clip in stored_clips(known)}
    lines = {
        f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}": changes.text
        for name, artifact in artifacts(chosen)[0].items()
        if (changes := changes_since(artifact, labels))
    }
    if not lines:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        for text in dict.fromkeys(lines.values()):
            names = ", ".join(name for name, each in lines.items() if each == text)
            st.markdown(f":material/update: Older than the recordings: {names}. {plain(text)}.")
        go("pages/train.py", "Train again", icon=":material/model_training:", train_view="new")
