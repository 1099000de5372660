"""Tidying uploaded recordings: a wrong label changed, single clips removed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from asd_core.data.library import find_machine
from asd_core.data.table import KnownSet
from asd_core.data.tidying import move_clips, remove_clips
from asd_core.data.uploads import NORMAL, StoredClip, stored_clips
from asd_core.formats import counted
from pages.parts.data.outdated import outdated_note
from pages.shared.choices import go, switch
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.context import Chosen
from pages.shared.frame import first_screen
from pages.shared.keys import ClipFile, held
from pages.shared.paging import PAGE_ROWS, page_start
from pages.shared.plain_text import plain
from pages.shared.sources import clip as sound_of

_DONE = "tidied"
LABELS = {"all": "all", "normal": "normal", "anomalous": "anomalous"}


def tidy(chosen: Chosen) -> None:
    """List the clips of the context's data set, and let the user change the label of some, or remove them."""
    found = find_machine(chosen.data_set, chosen.machine)
    if found is None or not found[0].uploaded:
        st.info(
            "Only recordings that were uploaded here can be tidied here. Those of a server folder are tidied where "
            "they lie; choose another data set in the sidebar.",
            icon=":material/info:",
        )
        return
    known = found[0]
    _said()
    outdated_note(chosen, known)
    shown = switch("Show", LABELS, key="tidy_label")
    clips = [clip for clip in stored_clips(known) if shown in ("all", _class(clip))]
    if not clips:
        st.info("No recording of this kind is here.", icon=":material/info:")
        go("pages/data.py", "Upload recordings", icon=":material/upload:", data_view="upload")
        return
    with first_screen():
        chosen_clips = _picked(clips, known)
    _listen(known, chosen_clips)
    _actions(known, chosen_clips)


def _class(clip: StoredClip) -> str:
    return NORMAL if clip.label == NORMAL else "anomalous"


def _picked(clips: Sequence[StoredClip], known: KnownSet) -> list[StoredClip]:
    """Draw one page of the table of clips; return those that the user selected on it."""
    start = page_start(len(clips), key="tidy_page", page_rows=PAGE_ROWS)
    rows = clips[start : start + PAGE_ROWS]
    columns = {
        "Recording": [clip.name for clip in rows],
        "Label": [_label_text(clip) for clip in rows],
        "Recorded": [clip.recorded.removeprefix("recorded ").removeprefix("at an ") for clip in rows],
    }
    if any(clip.machine_id for clip in rows):
        columns["Id"] = [clip.machine_id for clip in rows]
    st.caption("Select the rows whose label is wrong, or which are to go. They can be heard below the table.")
    stamp = hash(tuple(clip.path for clip in rows))
    event = st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="multi-row",
        key=f"tidy:{known.name}:{stamp}",
        alt=f"Table of {len(rows)} recordings",
    )
    return selected(rows, event.selection.rows)


def _label_text(clip: StoredClip) -> str:
    return clip.label if clip.label in (NORMAL, "anomalous") else f"anomalous ({clip.label})"


def selected(rows: Sequence[StoredClip], places: Sequence[int]) -> list[StoredClip]:
    """The clips in the selected rows; a row that the table no longer has is left out."""
    return [rows[place] for place in places if place < len(rows)]


def _listen(known: KnownSet, clips: Sequence[StoredClip]) -> None:
    """Let the user hear the selected clips, one after another if wanted."""
    sounds = [
        ListedSound(
            id=clip.path,
            title=clip.name,
            sound=partial(sound_of, ClipFile(str(known.folder / clip.path), clip.digest, None)),
            truth=_label_text(clip),
            tone="normal" if clip.label == NORMAL else "anomalous",
        )
        for clip in clips
    ]
    play_list(sounds, key=f"tidy_sounds:{known.name}", label="Selected recordings", height_px=220)


def _actions(known: KnownSet, clips: Sequence[StoredClip]) -> None:
    """Offer to change the label of the selected clips, or to remove them."""
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    kinds = sorted({clip.label for clip in stored_clips(known)} - {NORMAL, "anomalous"})
    label = left.selectbox(
        "Right label",
        [NORMAL, "anomalous", *kinds],
        key=f"tidy_to:{len(kinds)}",
        accept_new_options=True,
        help="Normal, anomalous, or a kind of fault: choose one or write a new one.",
    )
    if middle.button(
        f"Change label of {len(clips)}", key="tidy_move", icon=":material/label:", disabled=not clips, width="stretch"
    ):
        kind = None if label == NORMAL else "" if label == "anomalous" else label
        n = move_clips(known, [clip.path for clip in clips], kind)
        _after(f"{counted(n, 'recording')} now called {label}.", clips)
    if right.button(
        f"Remove {len(clips)}", key="tidy_remove", icon=":material/delete:", disabled=not clips, width="stretch"
    ):
        n = remove_clips(known, [clip.path for clip in clips])
        _after(f"{counted(n, 'recording')} removed, with what was computed and marked of it.", clips)


def _after(text: str, clips: Sequence[StoredClip]) -> None:
    held().drop_starting(clip.digest[:16] for clip in clips)
    st.session_state[_DONE] = text
    st.rerun()


def _said() -> None:
    if text := st.session_state.pop(_DONE, None):
        st.success(plain(text), icon=":material/check:")
