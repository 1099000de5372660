"""What all pages listen with: a data set's machine and the active detectors, as `context_box` lets the user choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from asd_core.formats import display_name

PROJECT = Path(__file__).resolve().parents[2]
EMBEDDED_NAME = "simulated-small"
NEXT = "next_context"
"""Key of the context that the next run takes over."""


@dataclass(frozen=True)
class Chosen:
    """The choice in the sidebar: a data set's machine, and its detectors.

    Parameters
    ----------
    data_set, machine
        Names of the folders below `artifacts`; empty where there is neither a data set nor a detector.
    detectors
        Registry name to detector folder, in the registry's order; empty where nothing is trained yet.
    active
        Names of those that listen; at least one where there are any.
    name
        The machine as its data set calls it; empty where only detectors are here.
    """

    data_set: str
    machine: str
    detectors: dict[str, Path]
    active: tuple[str, ...] = ()
    name: str = ""

    @property
    def embedded(self) -> bool:
        """Whether these are the detectors that come with the project."""
        return self.data_set == EMBEDDED_NAME

    @property
    def label(self) -> str:
        """What the URL calls it."""
        return f"{self.data_set}/{self.name or self.machine}"

    @property
    def title(self) -> str:
        """What people call it: the data set, and its machine where that has a name of its own."""
        names = (self.data_set,) if self.machine == self.data_set else (self.data_set, self.name or self.machine)
        return " · ".join(map(display_name, names))


def switch_to(data_set: str, machine: str, detectors: Iterable[str] = ()) -> None:
    """Make this the context from the next run of a page on; call `st.rerun` or `st.switch_page` afterwards.

    Parameters
    ----------
    data_set, machine
        Of the data set and of its machine, or of the folders of their detectors.
    detectors
        Become active beside those that are.
    """
    st.session_state[NEXT] = (f"{data_set}/{machine}", tuple(detectors))
