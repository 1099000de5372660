"""The form for uploads: to which machine, under which label, and what became of the files."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from asd_core.data.data_set import slug
from asd_core.data.library import find_machine
from asd_core.data.table import KnownSet
from asd_core.data.uploads import NORMAL, StoredClip, stored_clips
from asd_core.formats import counted
from pages.shared.choices import go, switch
from pages.shared.context import Chosen, switch_to
from pages.shared.frame import first_screen
from pages.shared.intake import intake_text, keep_outcome, kept_outcome, say, store
from pages.shared.plain_text import plain
from pages.shared.quota import upload_types

THIS, NEW = "this", "new"


@dataclass(frozen=True)
class _Target:
    """Where files go; `kind` is None for normal clips."""

    name: str
    kind: str | None
    machine_id: str


def upload_form(chosen: Chosen) -> None:
    """Take labelled recordings for the machine of the context or for a new one; say what became of the last ones."""
    known = _own_set(chosen)
    if (outcome := kept_outcome()) is not None:
        say(outcome)
        if known is not None:
            _next_steps(known, chosen)
    with first_screen():
        where, is_normal = _switches(known)
        # Whatever is typed is sent by the form's button alone: a field outside would begin a run of its own when it is
        # left for the button, and that run would end the one that stores.
        with st.form("upload_form", clear_on_submit=True):
            target = _target(known if where == THIS else None, is_normal=is_normal)
            files = st.file_uploader(
                "Recordings, or a ZIP of them",
                type=upload_types(archives=True),
                accept_multiple_files=True,
                key="upload_files",
            )
            sent = st.form_submit_button("Store", icon=":material/upload:")
    st.caption(intake_text())
    st.caption(
        "3 normal clips train a detector, from 9 on its threshold can promise a false-alarm rate, and 30 make it "
        "steady. Folders in a ZIP that are called normal, or by a kind of fault, label the recordings in them."
    )
    if sent:
        outcome = store(target.name, files, kind=target.kind, machine_id=target.machine_id)
        if outcome.stored is None or outcome.stored.known is None:
            say(outcome)
            return
        keep_outcome(outcome)
        st.session_state.pop("upload_to", None)  # more of the same goes to the machine that is new no longer
        switch_to(outcome.stored.known.name, slug(outcome.stored.known.name))
        st.rerun()


def _own_set(chosen: Chosen) -> KnownSet | None:
    """The data set of the context, where recordings can be uploaded to it."""
    found = find_machine(chosen.data_set, chosen.machine)
    return found[0] if found is not None and found[0].uploaded else None


def _switches(known: KnownSet | None) -> tuple[str, bool]:
    """Ask whether the files go to the machine of the context or to a new one, and whether they are normal."""
    left, right = st.columns(2)
    where = NEW
    if known is not None:
        places = {THIS: f"Add to {known.name}", NEW: "A new machine"}
        where = switch("To which machine", places, key="upload_to", place=left, in_url=False)
    label = switch(
        "These recordings are",
        ("normal", "anomalous"),
        key="upload_label",
        place=right,
        in_url=False,
        help="Normal: the machine as it should be; detectors learn from these. Anomalous: only for testing.",
    )
    return where, label == "normal"


def _target(known: KnownSet | None, *, is_normal: bool) -> _Target:
    """Ask for a name only where the machine is new, and for a kind only where there is a fault."""
    name = "" if known is None else known.name
    if known is None:
        name = st.text_input(
            "Name of the machine", key="upload_name", placeholder="my-pump", help="Its detectors are filed under it."
        )
    kind = None if is_normal else _kind(known)
    return _Target(name, kind, _machine_id(known))


def _kind(known: KnownSet | None) -> str:
    return _one_of_or_new(
        "Kind of fault (optional)",
        sorted({clip.label for clip in _clips(known)} - {NORMAL}),
        key="upload_kind",
        help="One word, such as bearing; kinds can be told apart on other pages.",
    )


def _machine_id(known: KnownSet | None) -> str:
    ids = sorted({clip.machine_id for clip in _clips(known)} - {""})
    with st.expander("Several machines of one type", icon=":material/tune:", expanded=bool(ids)):
        return _one_of_or_new(
            "Machine id (optional)",
            ids,
            key="upload_id",
            help="Tells several machines of one type apart, such as 01 and 02. Empty: there is one machine.",
        )


def _clips(known: KnownSet | None) -> list[StoredClip]:
    return [] if known is None else stored_clips(known)


def _one_of_or_new(label: str, names: list[str], *, key: str, help: str) -> str:
    """Let the user take a name that is there already, or write a new one."""
    found = st.selectbox(
        label,
        names,
        index=None,
        key=f"{key}:{len(names)}",
        accept_new_options=True,
        placeholder="choose or write",
        help=help,
    )
    return found or ""


def _next_steps(known: KnownSet, chosen: Chosen) -> None:
    """Say what the data set holds now, and offer what is usually done next."""
    clips = stored_clips(known)
    n_normal = sum(clip.label == NORMAL for clip in clips)
    st.markdown(
        f"**{plain(known.name)}** now holds {counted(n_normal, 'normal clip')} and "
        f"{counted(len(clips) - n_normal, 'anomalous clip')}."
    )
    with st.container(horizontal=True):
        if n_normal:
            title = "Train again" if chosen.detectors else "Train"
            go("pages/train.py", title, icon=":material/model_training:", train_view="new")
        go("pages/data.py", "Review data set", icon=":material/search:", data_view="sets")
