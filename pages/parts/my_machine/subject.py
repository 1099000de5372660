"""Whose machine the page is about: the one of the context, or a new one that has no recording yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.clips import ClipIndex
from asd_core.data.data_set import DataSet, slug
from asd_core.data.library import checked_name, find_machine
from asd_core.data.table import KnownSet, read_library
from asd_core.errors import DataSetError
from asd_core.jobs.table import Job
from pages.shared.background import cleared_jobs
from pages.shared.cache import artifacts
from pages.shared.context import Chosen, switch_to
from pages.shared.data_sets import indexed, known_sets

NEW = "my_machine_new"
"""Key of the session's flag: a new machine was asked for, whatever the context is."""
NAME = "my_machine_name"


@dataclass(frozen=True)
class Subject:
    """A machine, and how far it has come; read from the disk, so that any session goes on where another ended.

    Parameters
    ----------
    name
        Of its data set, which need not exist yet.
    known, machine
        The data set and its machine's own name; None and empty before the first recording is stored.
    detectors
        The current versions of its trained detectors.
    """

    chosen: Chosen
    name: str
    known: KnownSet | None = None
    machine: str = ""
    detectors: dict[str, Artifact] = field(default_factory=dict)

    @cached_property
    def data_set(self) -> DataSet | None:
        """Its clips; None where there are none yet, or their folder is gone."""
        if self.known is None or not self.known.folder.is_dir():
            return None
        return indexed(self.known, self.machine)

    @property
    def index(self) -> ClipIndex | None:
        """The index of its clips."""
        return None if self.data_set is None else self.data_set.index

    @property
    def n_training(self) -> int:
        """Normal clips that detectors learn from and that calibrate their thresholds."""
        return 0 if self.index is None else len(self.index.select(split="train", label="normal"))

    @property
    def n_put_aside(self) -> int:
        """Normal clips that are kept for the test, because there are faulty ones to test with."""
        return 0 if self.index is None else len(self.index.select(split="test", label="normal"))

    @property
    def n_faulty(self) -> int:
        """Anomalous clips."""
        return 0 if self.index is None else len(self.index.select(label="anomalous"))

    @property
    def active(self) -> dict[str, Artifact]:
        """Its detectors that listen on all pages."""
        return {name: artifact for name, artifact in self.detectors.items() if name in self.chosen.active}

    @cached_property
    def trainings(self) -> list[Job]:
        """Its trainings that wait or run, the next one first."""
        if self.known is None:
            return []
        return [job for job in cleared_jobs()[::-1] if job.request is not None and self.is_about(job)]

    def is_about(self, job: Job) -> bool:
        """Whether a training is one of this machine's."""
        request = job.request
        if request is None or self.known is None or request.data != self.known.folder:
            return False
        return request.machine in (None, self.machine)


def choose_subject(chosen: Chosen) -> Subject:
    """Return the machine of the context; ask for a name where that is not one's own, or a new one is wanted."""
    found = find_machine(chosen.data_set, chosen.machine) if chosen.data_set else None
    if found is None or found[0].embedded:
        return _new_subject(chosen, can_go_back=False)
    if st.session_state.get(NEW):
        return _new_subject(chosen, can_go_back=True)
    return Subject(chosen, chosen.data_set, *found, artifacts(chosen)[0])


def begin_new() -> None:
    """Have the next run of the page begin a new machine."""
    st.session_state[NEW] = True
    st.session_state.pop(NAME, None)


def machine_made(known: KnownSet) -> None:
    """Make a machine whose first recordings have just been stored the context of all pages."""
    st.session_state.pop(NEW, None)
    switch_to(known.name, slug(next(iter(known.machines))))


def _new_subject(chosen: Chosen, *, can_go_back: bool) -> Subject:
    own = {name: known for name, known in known_sets().items() if not known.embedded}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "A name for your machine",
            key=NAME,
            value=proposed_name(),
            max_chars=60,
            persist_state="session",
            help="Letters and digits. It is what the dashboard calls your machine on every page.",
            width=320,
        )
        if can_go_back:
            st.button(f"Back to {chosen.title}", key="back", on_click=_go_back)
        elif own:
            _go_on(own)
    made = checked_name(name or proposed_name())
    if read_library().find(made) is not None:
        raise DataSetError(
            f"{made} is the name of a machine that is here already: choose another name, or go on with it"
        )
    return Subject(chosen, made)


def proposed_name() -> str:
    """Return the first free name of `my machine 1`, `my machine 2`, ..."""
    library = read_library()
    number = 1
    while library.find(slug(f"my machine {number}")) is not None:
        number += 1
    return f"my machine {number}"


def _go_on(own: dict[str, KnownSet]) -> None:
    """Offer the machines that are here already."""
    with st.popover("Continue with a machine", icon=":material/arrow_forward:"):
        for name, known in own.items():
            if st.button(name, key=f"go_on:{name}"):
                machine_made(known)
                st.rerun()


def _go_back() -> None:
    st.session_state.pop(NEW, None)
