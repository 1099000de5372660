"""Wrong verdicts as a table: a row per group of clips, a column per detector, each cell to be pressed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from asd_core.reports.plots import ANOMALOUS_COLOUR
from pages.shared.components import register
from pages.shared.plain_text import shown_text


@dataclass(frozen=True)
class FailureCell:
    """`k` wrong verdicts of `n` clips of one label; `id` names the cell."""

    id: str
    k: int
    n: int


@dataclass(frozen=True)
class FailureGroup:
    """A row: one cell per detector, None where it has no such clips."""

    name: str
    cells: Sequence[FailureCell | None]


@dataclass(frozen=True)
class FailureSection:
    """Rows that count the same thing, such as missed faults by kind."""

    title: str
    groups: Sequence[FailureGroup]


@dataclass(frozen=True)
class FailureColumn:
    """A detector: its short name, the long one, and its mark as the address of a picture."""

    name: str
    title: str
    mark: str


_mount = register("asd_failures", "failures")


def failure_table(
    detectors: Sequence[FailureColumn],
    sections: Sequence[FailureSection],
    *,
    pressed: str,
    key: str,
    on_press: Callable[[str], None],
) -> None:
    """Draw the table; `pressed` is the cell that is marked, and `on_press` is called with the id of another one."""

    def told() -> None:
        on_press(str(st.session_state[key].get("cell")))

    _mount(key=key, data=failure_message(detectors, sections, pressed=pressed), on_cell_change=told)


def failure_message(
    detectors: Sequence[FailureColumn], sections: Sequence[FailureSection], *, pressed: str
) -> dict[str, Any]:
    """Return what the browser gets."""
    return {
        "detectors": [
            {"name": shown_text(each.name), "title": shown_text(each.title), "mark": each.mark} for each in detectors
        ],
        "sections": [
            {"title": section.title, "groups": [_group(group) for group in section.groups]} for section in sections
        ],
        "pressed": shown_text(pressed),
        "colour": ANOMALOUS_COLOUR,
        "alt": "Wrong verdicts of the clips of each group, by detector",
    }


def _group(group: FailureGroup) -> dict[str, Any]:
    cells = [None if each is None else {"id": shown_text(each.id), "k": each.k, "n": each.n} for each in group.cells]
    return {"name": shown_text(group.name), "cells": cells}
