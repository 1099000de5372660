"""The form that brings in a folder on the server: where it is, and what its names mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from asd_core.audio.reading import MAX_DURATION_S, MIN_DURATION_S
from asd_core.audio.segments import MIN_HOP_S
from asd_core.data.folder_rules import HERE, NORMAL_WORDS, FolderRules, IdsFrom
from asd_core.data.library import ROOTS_VARIABLE, add_folder, allowed_roots
from asd_core.data.table import KnownSet
from asd_core.errors import UsageError
from asd_core.formats import display_name
from pages.parts.data.understood import taken_text
from pages.shared.choices import go
from pages.shared.context import switch_to
from pages.shared.data_sets import indexed, known_sets
from pages.shared.plain_text import plain, shown_text, warning_text
from pages.shared.refusals import all_passed_over, skipped_files

_ADDED = "folder_added"
RECORDING_NAMES = {
    "unknown": "nothing: they are looked for in the sound",
    "folder": "the folder: its clips are of one recording",
    "none": "the clip: each is a recording of its own",
    "expression": "a regular expression on the path",
}
USUAL_NORMAL = f"{', '.join(NORMAL_WORDS[:-1])} or {NORMAL_WORDS[-1]}"


def add_folder_form() -> None:
    """Add a folder on this computer that lies below an allowed root, and say what was made of it."""
    _said()
    st.caption("Recordings stay where they are and are only read. A folder may lie below one of these:")
    st.code("\n".join(shown_text(str(root)) for root in allowed_roots()), language=None)
    st.caption(
        f"Whoever runs this program allows other places with the environment variable `{ROOTS_VARIABLE}` "
        "(several are separated as in `PATH`), for instance:"
    )
    st.code(f"{ROOTS_VARIABLE}=/srv/recordings make app", language="shell")
    with st.form("folder_form"):
        folder, name = _place()
        rules = _rules()
        sent = st.form_submit_button("Add this folder", icon=":material/create_new_folder:")
    if sent:
        with st.spinner("Listing the clips …"):
            folder = folder.strip()
            made = name or folder.rstrip("/").rpartition("/")[2]
            known = add_folder(made, folder, rules=rules(folder))
            for machine in known.machines:
                indexed(known, machine)
        st.session_state[_ADDED] = known.name
        switch_to(known.name, next(iter(known.machines)))
        st.rerun()


def _said() -> None:
    """Say what was found in the folder that was added just now, and offer what is usually done next."""
    known = known_sets().get(st.session_state.pop(_ADDED, ""))
    if known is None:
        return
    _outcome(known)
    with st.container(horizontal=True):
        go("pages/train.py", "Train", icon=":material/model_training:", train_view="new")
        go("pages/data.py", "Review data set", icon=":material/search:", data_view="sets")


def _place() -> tuple[str, str]:
    folder = st.text_input(
        "Folder, in full",
        key="folder_path",
        placeholder=f"{shown_text(str(allowed_roots()[-1]))}/my-pump",
        help=f"One folder for normal clips ({USUAL_NORMAL}) and one for each kind of fault, at any depth and in any "
        "case, inside folders train and test if you like; or a table labels.csv; or a data set of DCASE or MIMII.",
    )
    name = st.text_input(
        "Name (optional)", key="folder_name", help="Empty: the folder's own name. Detectors are filed under it."
    )
    return folder, name


def _rules() -> Callable[[str], FolderRules]:
    """Ask what the names mean; return what reads the answers for a folder, once the form is sent."""
    normal, rest = _normal_label()
    with st.expander("Label table, long recordings, machine ids, formats", icon=":material/tune:"):
        labels = st.text_input(
            "Label table (optional)",
            key="folder_labels",
            placeholder="tables/my-labels.csv",
            help="Its path below the folder. A table called labels.csv is found without this. It has a column path (or "
            "file, filename) and a column label, and may have id, recording, split, kind, start_s and end_s.",
        )
        segment_s, hop_s = _segments()
        ids_from = _ids_from()
        recording_by = _recording_by()
        is_lossy = st.checkbox(
            "Also train on MP3 and other lossy recordings",
            key="folder_lossy",
            help="Where some recordings are lossless, the lossy ones are left out of the training: coding removes what "
            "a detector may listen for. Where all are lossy, they are trained on without this.",
        )

    def answer(folder: str) -> FolderRules:
        return FolderRules(
            normal=_normal_names(normal, everything_else=rest),
            labels=Path(folder) / labels.strip() if labels.strip() else None,
            ids_from=ids_from,
            recording_by=recording_by(),
            segment_s=segment_s,
            hop_s=_hop(segment_s, hop_s),
            lossy=is_lossy,
        )

    return answer


def _normal_label() -> tuple[str, bool]:
    normal = st.text_input(
        "Names of the normal label (optional)",
        key="folder_normal",
        placeholder="normal_day, normal_night",
        help=f"How the normal clips are called, in folders, file names or a label table; several are separated by "
        f"commas. Needed only if that is not {USUAL_NORMAL}.",
    )
    rest = st.checkbox(
        "Everything else is normal",
        key="folder_rest",
        help="Recordings that lie in no label's folder are normal. Tick it where all recordings are.",
    )
    return normal, rest


def _normal_names(text: str, *, everything_else: bool) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    return (*(names or NORMAL_WORDS), HERE) if everything_else else names


def _segments() -> tuple[float | None, float | None]:
    left, right = st.columns(2, vertical_alignment="bottom")
    segment_s = left.number_input(
        "Each file is a long recording: cut it into clips of (s)",
        min_value=MIN_DURATION_S,
        max_value=float(MAX_DURATION_S),
        value=None,
        placeholder="10",
        key="folder_segment",
        help="Nothing is written: the clips are stretches of the files. Each file is one recording, on one side of "
        "every split. Empty: each file is a clip.",
    )
    hop_s = right.number_input(
        "A clip begins every (s)",
        min_value=MIN_HOP_S,
        max_value=float(MAX_DURATION_S),
        value=None,
        placeholder="as long as a clip",
        key="folder_hop",
        help="Less than the length makes clips that overlap. Empty: one begins where the last ended.",
    )
    return segment_s, hop_s


def _hop(segment_s: float | None, hop_s: float | None) -> float | None:
    if segment_s is None and hop_s is not None:
        raise UsageError("say how long the clips are that long recordings are cut into, or leave both fields empty")
    return hop_s


def _ids_from() -> IdsFrom | None:
    is_folder = st.checkbox(
        "Sub-folders are machines of one type",
        key="folder_ids",
        help="They become machine ids. Otherwise only folders such as id_01 are, and other sub-folders are recordings.",
    )
    return "folder" if is_folder else None


def _recording_by() -> Callable[[], str | None]:
    """Ask how the recordings are named; return what reads the answer, once the form is sent."""
    left, right = st.columns(2)
    how = left.selectbox(
        "Recordings named by",
        list(RECORDING_NAMES),
        key="folder_recordings",
        format_func=RECORDING_NAMES.__getitem__,
        help="Clips are often cut from few long recordings. Clips of one recording sound alike and stay on one side of "
        "each split, so that a threshold is promised for new recordings and not for more of the same.",
    )
    expression = right.text_input(
        "Regular expression (only for that choice)",
        key="folder_expression",
        placeholder=r"rec(\d+)_",
        max_chars=200,
        help="What its first group finds in a clip's path, or all that it finds, is the recording's name.",
    )

    def answer() -> str | None:
        if how == "expression" and not expression.strip():
            raise UsageError("choose how recordings are named: the regular expression is empty")
        return {"unknown": None, "expression": expression.strip()}.get(how, how)

    return answer


def _outcome(known: KnownSet) -> None:
    """Say how many clips were found and what was passed over; a tick only where nothing was."""
    sets = [indexed(known, machine) for machine in known.machines]
    indexes = [data_set.index for data_set in sets]
    skipped = all_passed_over(indexes)
    text = f"Added: {taken_text(sum(len(index.clips) for index in indexes), skipped)}{_machines_text(known.machines)}."
    odd = list(dict.fromkeys(remark for index in indexes for remark in index.remarks))
    if skipped or odd:
        st.info(plain(text), icon=":material/info:")
    else:
        st.success(plain(text), icon=":material/check:")
    skipped_files(skipped)
    for remark in odd:
        st.warning(plain(warning_text(remark)), icon=":material/warning:")


def _machines_text(machines: Sequence[str]) -> str:
    if len(machines) < 2:
        return ""
    return f" ({len(machines)} machines: {', '.join(map(display_name, machines))})"
