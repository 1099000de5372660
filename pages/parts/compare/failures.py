"""The compare page's failures: where each detector misses faults and raises false alarms, and these clips to hear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from asd_core.evaluation.comparison import Failures, false_alarms, misses
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import display_name
from pages.parts.compare.clips import play
from pages.parts.compare.kept_pictures import compare_picture
from pages.parts.compare.listing import clip_list
from pages.parts.compare.methods import JUDGED_HASHES, Judged, short_title
from pages.shared.cards import mark_in
from pages.shared.choices import keep, link
from pages.shared.components.failures import FailureCell, FailureColumn, FailureGroup, FailureSection, failure_table
from pages.shared.context import Chosen
from pages.shared.plain_text import plain

CELL = "failure"
"""Key and name in the URL of the cell whose clips are listed."""


def _id_of(clip: ScoredClip) -> str:
    return f"id {clip.machine_id}"


def _kind_of(clip: ScoredClip) -> str:
    return clip.kind or "not named"


@dataclass(frozen=True)
class _Counting:
    """What a section counts: wrong verdicts of clips of one label, by a word for each clip."""

    name: str
    title: str
    label: str
    count: Callable[..., list[Failures]]
    by: Callable[[ScoredClip], str]


SECTIONS = (
    _Counting("missed_kind", "Missed faults, by kind", "anomalous", misses, _kind_of),
    _Counting("missed_id", "Missed faults, by machine id", "anomalous", misses, _id_of),
    _Counting("false_id", "False alarms, by machine id", "normal", false_alarms, _id_of),
)


@dataclass(frozen=True)
class _Cell:
    """A cell and what it stands for: the section, the group and the detector's position."""

    counting: _Counting
    group: str
    method: int
    failures: Failures


def failures_view(chosen: Chosen, judged: Judged) -> None:
    """Show where each detector is wrong; a pressed cell lists its clips."""
    if not judged.judging:
        st.info("No detector has a threshold by this rule: choose another rule.", icon=":material/info:")
        return
    cells = _cells(judged)
    keep(CELL, sorted(cells, key=lambda name: -_share(cells[name].failures)))
    link(CELL)
    failure_table(
        [_column(judged, method) for method in judged.judging],
        _sections(judged, cells),
        pressed=st.session_state[CELL],
        key="failures",
        on_press=_pressed,
    )
    compare_picture(chosen, judged, key="failures", figure="failures", shows="Wrong verdicts by kind and machine id")
    st.caption("Each cell: wrong verdicts / clips, and the bar their share. Press one to hear the clips.")
    _clips_of(chosen, judged, cells[st.session_state[CELL]])


def _pressed(name: str) -> None:
    st.session_state[CELL] = name


def _share(failures: Failures) -> float:
    return failures.k / failures.n if failures.n else 0.0


def _column(judged: Judged, method: int) -> FailureColumn:
    look = judged.looks[method]
    return FailureColumn(short_title(judged, method), judged.titles[method], mark_in(look.symbol, look.colour))


def _name(judged: Judged, method: int) -> str:
    """What the URL calls a detector: its name in the registry, or the title of whatever else is compared."""
    artifact = judged.comparison.methods[method].artifact
    return judged.titles[method] if artifact is None else artifact.detector_name


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _cells(judged: Judged) -> dict[str, _Cell]:
    """Return all cells by their names, section by section and group by group."""
    clips = judged.comparison.clips
    has_kinds = any(clip.kind for clip in clips)
    found: dict[str, _Cell] = {}
    for counting in SECTIONS[0 if has_kinds else 1 :]:
        for method in judged.judging:
            for failures in counting.count(clips, judged.alarms[method], counting.by):
                name = f"{counting.name}:{failures.group}:{_name(judged, method)}"
                found[name] = _Cell(counting, failures.group, method, failures)
    return found


def _sections(judged: Judged, cells: dict[str, _Cell]) -> list[FailureSection]:
    sections = []
    for counting in SECTIONS:
        own = {(cell.group, cell.method): name for name, cell in cells.items() if cell.counting is counting}
        groups = [
            FailureGroup(display_name(group), [_drawn(cells, own.get((group, method))) for method in judged.judging])
            for group in dict.fromkeys(group for group, _ in own)
        ]
        if groups:
            sections.append(FailureSection(counting.title, groups))
    return sections


def _drawn(cells: dict[str, _Cell], name: str | None) -> FailureCell | None:
    return None if name is None else FailureCell(name, cells[name].failures.k, cells[name].failures.n)


def wrong_clips(judged: Judged, cell: _Cell) -> list[int]:
    """Return the positions of a cell's clips with a wrong verdict, those furthest from the threshold first."""
    threshold = judged.thresholds[cell.method].value or 0.0
    scores, is_alarm = judged.comparison.anomaly_scores[cell.method], judged.alarms[cell.method]
    wrong_alarm = cell.counting.label == "normal"
    rows = [
        row
        for row, clip in enumerate(judged.comparison.clips)
        if clip.label == cell.counting.label
        and bool(is_alarm[row]) == wrong_alarm
        and cell.counting.by(clip) == cell.group
    ]
    return sorted(rows, key=lambda row: -float(np.abs(scores[row] - threshold)))


def _clips_of(chosen: Chosen, judged: Judged, cell: _Cell) -> None:
    k, n = cell.failures.k, cell.failures.n
    name, group = plain(short_title(judged, cell.method)), plain(display_name(cell.group))
    if cell.counting.label == "normal":
        st.markdown(f"**{name}** calls {k} of {n} normal clips of {group} anomalous.")
    else:
        st.markdown(f"**{name}** misses {k} of {n} anomalous clips: {group}.")
    if k:
        st.caption("Those furthest from the threshold come first.")
        clip_list(
            chosen, judged, wrong_clips(judged, cell), key="failed", label="Clips with a wrong verdict", play=play
        )
