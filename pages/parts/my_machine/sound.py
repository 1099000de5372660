"""Step 1: recordings come in, as files, by the microphone, or from a folder of the server."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.data.folder_rules import HERE, FolderRules
from asd_core.data.library import add_folder, allowed_roots
from asd_core.data.recordings import TRAINING_SHARE
from asd_core.detectors.contract import FEW_TRAINING_CLIPS
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS
from pages.parts.my_machine.storing import keep_files, keep_take, what_became_of_them
from pages.parts.my_machine.subject import Subject, machine_made
from pages.parts.my_machine.ways import next_button
from pages.shared.choices import switch
from pages.shared.components.recorder import CLIP_S, last_take, recorder
from pages.shared.intake import intake_text
from pages.shared.plain_text import plain, shown_text
from pages.shared.quota import upload_types

WAYS = {"files": "Files", "microphone": "Microphone", "folder": "Server folder"}
RECORDER = "machine_recorder"
_TAKEN = "machine_recorder_taken"
_SENT = "machine_uploads"
"""Key of the number of uploads so far: each one empties its field by a field of another key."""


def sound_step(subject: Subject) -> None:
    """Take recordings of the machine while it runs well, and of faults where there are any."""
    what_became_of_them(subject)
    if subject.known is not None and not subject.known.uploaded:
        _lies_elsewhere(subject)
    else:
        _bring_in(subject)
        with st.expander("I have sounds of a fault", icon=":material/warning:"):
            _faulty(subject)
    if subject.n_training >= n_needed(DEFAULT_RULE):
        next_button("train")
    elif subject.n_training >= MIN_TRAINING_CLIPS:
        next_button("enough")


def _bring_in(subject: Subject) -> None:
    st.markdown(
        f"Record your machine **while it runs as it should**: clips of about {CLIP_S} s, {n_needed(DEFAULT_RULE)} at "
        f"least and better {FEW_TRAINING_CLIPS}, at different times of day, always from the same place."
    )
    known = WAYS if subject.known is None else {name: WAYS[name] for name in ("files", "microphone")}
    way = switch("How does the sound get here?", known, key="sound_way")
    if way == "files":
        _files(subject)
    elif way == "microphone":
        _microphone(subject)
    else:
        _folder(subject)


def _files(subject: Subject) -> None:
    files = st.file_uploader(
        "Recordings of normal sound, or a ZIP of them; they are stored at once",
        type=upload_types(archives=True),
        help=intake_text(),
        accept_multiple_files=True,
        key=_field("normal"),
    )
    if files:
        _keep(subject, files, kind=None)


def _field(what: str) -> str:
    return f"machine_files:{what}:{st.session_state.get(_SENT, 0)}"


def _keep(subject: Subject, files: Sequence[UploadedFile], *, kind: str | None) -> None:
    """Store what was chosen, then empty the field."""
    keep_files(subject, files, kind=kind)
    st.session_state[_SENT] = st.session_state.get(_SENT, 0) + 1
    st.rerun()


def _microphone(subject: Subject) -> None:
    """Store each clip as it arrives: the recorder goes on meanwhile."""
    take = last_take(RECORDER)
    if take is not None and take.id != st.session_state.get(_TAKEN):
        keep_take(subject, take)
        st.session_state[_TAKEN] = take.id
        st.rerun()
    recorder(
        wanted=FEW_TRAINING_CLIPS,
        start=f"Record clips of {CLIP_S} s",
        ended=f"{FEW_TRAINING_CLIPS} clips: enough for now.",
        taken=st.session_state.get(_TAKEN, ""),
        key=RECORDER,
    )
    st.caption(
        "The sound is taken as the microphone gives it, without the filters for speech. Clips of one session are one "
        "recording: come back at other times of day, and leave the microphone where it is."
    )


def _folder(subject: Subject) -> None:
    st.caption("Recordings stay where they are and are only read. A folder may lie below one of these:")
    st.code("\n".join(shown_text(str(root)) for root in allowed_roots()), language=None)
    with st.form("machine_folder"):
        folder = st.text_input("Folder, in full", key="machine_folder_path", placeholder="/srv/recordings/my-pump")
        all_normal = st.checkbox(
            "Everything in it is normal sound",
            value=True,
            key="machine_folder_normal",
            help="Otherwise the normal recordings lie in a folder named normal, and those of each fault in one of its "
            "own. The page Data offers more: label tables, long recordings, several machines.",
        )
        sent = st.form_submit_button("Use this folder", icon=":material/folder_open:")
    if sent:
        with st.spinner("Listing the clips …"):
            rules = FolderRules(normal=(HERE,)) if all_normal else FolderRules()
            machine_made(add_folder(subject.name, folder.strip(), rules=rules))
        st.rerun()


def _lies_elsewhere(subject: Subject) -> None:
    """Say where recordings come from that cannot be added to here."""
    if subject.known is None:
        return
    st.markdown("These recordings lie in a folder of the server: put new ones there. They are found by themselves.")
    st.text(shown_text(str(subject.known.folder)))
    if subject.data_set is None:
        st.warning("That folder is gone: bring it back, or begin a new machine.", icon=":material/warning:")
    for remark in () if subject.index is None else subject.index.remarks:
        st.warning(plain(remark.partition(": ")[2]), icon=":material/warning:")


def _enough_for_both() -> int:
    """Normal clips of which enough are left to learn from once a part is put aside."""
    return math.ceil(n_needed(DEFAULT_RULE) / TRAINING_SHARE)


def _faulty(subject: Subject) -> None:
    st.caption(
        "Detectors never learn from them: they show how many faults are found and how many are missed. About "
        f"{100 * (1 - TRAINING_SHARE):.0f} % of the normal clips are then put aside for that test, so have "
        f"{_enough_for_both()} of them first."
    )
    kind = st.text_input(
        "What is wrong with the machine? (optional)", key="machine_fault", placeholder="bearing", max_chars=40
    )
    files = st.file_uploader(
        "Recordings of the fault, or a ZIP of them",
        type=upload_types(archives=True),
        accept_multiple_files=True,
        key=_field("faulty"),
    )
    if files and st.button("Store these as faulty", key="store_faulty", icon=":material/upload:"):
        _keep(subject, files, kind=kind.strip())
