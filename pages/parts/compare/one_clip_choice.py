"""Which clip the compare page looks at: one of those that a filter leaves, in an order that tells no label."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from asd_core.evaluation.comparison import disagreements
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import counted, display_name
from asd_core.tasks.compare import Comparison
from asd_core.types import BoolArray
from pages.parts.compare.methods import Judged, short_title
from pages.shared.choices import choose, keep, link
from pages.shared.keys import HASHES
from pages.shared.paging import PAGE_ROWS
from pages.shared.sources import clip_title

CLIP, AMONG, TRUTH, NAME = "compared_clip", "among", "truth", "clip_name"
"""Keys of the choices, and what the URL calls them."""
REVEALED = "clip_revealed"
"""Key of the digest of the clip whose truth is told although it is hidden; no link tells it."""
LINKED = "clip"
"""What a link may name a clip by instead: its path, or the beginning of its digest."""
ANY = "any"
SHORTEST_BEGINNING, LONGEST = 6, 100
"""Letters of a digest's beginning, and of a part of a name."""
_KIND = "kind:"
RowArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Order:
    """The common clips in the order of their digests, which has nothing to do with their labels.

    Parameters
    ----------
    rows
        Shape (n_clips,): their places in the comparison.
    numbers
        Shape (n_clips,): from a place in the comparison to the clip's number, from 1.
    row_of
        From a digest to a place in the comparison.
    kinds
        Those of anomalous clips, sorted.
    """

    rows: RowArray
    numbers: RowArray
    row_of: Mapping[str, int]
    kinds: tuple[str, ...]


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def order_of(comparison: Comparison) -> Order:
    """Return the order of the common clips, found once for all sessions."""
    clips = comparison.clips
    row_of = {clip.digest: row for row, clip in enumerate(clips)}
    rows = np.array([row_of[digest] for digest in sorted(row_of)], dtype=np.intp)
    numbers = np.empty_like(rows)
    numbers[rows] = np.arange(1, len(rows) + 1)
    return Order(rows, numbers, row_of, tuple(sorted({clip.kind for clip in clips if clip.kind})))


@dataclass(frozen=True)
class Filter:
    """Which clips are left.

    Parameters
    ----------
    among
        Of `among_titles`: by the verdicts.
    truth
        Of `truth_titles`: by label or kind.
    name
        A part of the clips' names; empty for any.
    """

    among: str = ANY
    truth: str = ANY
    name: str = ""

    def rows(self, judged: Judged) -> RowArray:
        """Return the clips that are left, by their places in the comparison, in order; shape (n_left,)."""
        order = order_of(judged.comparison)
        left = by_verdicts(judged, self.among) & by_truth(judged.comparison, self.truth)
        if self.name:
            clips, part = judged.comparison.clips, self.name.lower()
            left &= np.array([part in clip.shown.lower() for clip in clips], dtype=np.bool_)
        return order.rows[left[order.rows]]


def among_titles(judged: Judged) -> dict[str, str]:
    """Return the filters by verdicts: what the URL calls each, and its title."""
    titles = {ANY: "All clips"}
    if len(judged.judging) > 1:
        titles |= {"differ": "The detectors disagree", "right": "All are right", "wrong": "All are wrong"}
    names = {row: short_title(judged, row) for row in judged.judging}
    titles |= {f"missed:{row}": f"Missed by {name}" for row, name in names.items()}
    return titles | {f"false:{row}": f"False alarms of {name}" for row, name in names.items()}


def by_verdicts(judged: Judged, among: str) -> BoolArray:
    """Return which of the common clips a filter by verdicts leaves; shape (n_clips,)."""
    labels, alarms = judged.comparison.labels, judged.alarms[judged.judging]
    left: BoolArray = np.zeros(len(labels), dtype=np.bool_)
    what, _, row = among.partition(":")
    if row:
        left = (labels if what == "missed" else ~labels) & (judged.alarms[int(row)] != labels)
    elif what == "differ":
        left[disagreements(alarms)] = True
    elif what == "right":
        left = (alarms == labels).all(axis=0)
    elif what == "wrong":
        left = (alarms != labels).all(axis=0)
    else:
        left[:] = True
    return left


def truth_titles(comparison: Comparison) -> dict[str, str]:
    """Return the filters by label and kind: what the URL calls each, and its title."""
    kinds = order_of(comparison).kinds
    titles = {ANY: "Normal and anomalous", "normal": "Normal", "anomalous": "Anomalous"}
    return titles | {f"{_KIND}{kind}": f"Anomalous: {display_name(kind)}" for kind in kinds}


def by_truth(comparison: Comparison, truth: str) -> BoolArray:
    """Return which of the common clips have a label, or are anomalous in this way; shape (n_clips,)."""
    labels = comparison.labels
    if truth.startswith(_KIND):
        kind = truth.removeprefix(_KIND)
        return np.array([clip.kind == kind for clip in comparison.clips], dtype=np.bool_)
    return {"normal": ~labels, "anomalous": labels}.get(truth, np.ones(len(labels), dtype=np.bool_))


@dataclass(frozen=True)
class ChosenClip:
    """The clip that is looked at.

    Parameters
    ----------
    row
        Its place in the comparison.
    clip
        What is known of it; the score is the first detector's.
    number
        Its number, from 1.
    after
        The digest of the next one.
    """

    row: int
    clip: ScoredClip
    number: int
    after: str

    @property
    def hidden_title(self) -> str:
        """What it is called while nothing may tell its label."""
        return hidden_title(self.number, self.clip)


def choose_clip(judged: Judged, *, hides: bool, revealed: str | None) -> ChosenClip | None:
    """Let the reader filter the clips and choose one, step on, or take any; None where the filter leaves none.

    Parameters
    ----------
    hides
        Whether nothing may tell the label of a clip.
    revealed
        The digest of the clip whose label is told all the same, after the reader pressed for it.
    """
    clips = judged.comparison.clips
    with st.container(horizontal=True, vertical_alignment="center", key="clip-choice"):
        back, listed = st.container(width="content"), st.container(width="stretch")
        on, chance, told = (st.container(width="content") for _ in range(3))
        with st.container(width="content", key="off-wall-clip-filter"):
            rows = _filtered(judged, hides=hides)
        if not len(rows):
            st.info("No clip is like this: choose other clips.", icon=":material/info:")
            return None
        with listed:
            at = _chosen_of(judged, rows, hides=hides, revealed=revealed)
        clip = clips[rows[at]]
        before, after = (clips[rows[(at + step) % len(rows)]].digest for step in (-1, 1))
        _button(back, "Previous", "skip_previous", take, before, key="clip_previous")
        _button(on, "Next", "skip_next", take, after, key="clip_next")
        _button(chance, "Random", "casino", _take_any, clips, rows, at, key="clip_any")
        if hides:
            is_told = clip.digest == revealed
            _button(told, "Reveal", "visibility", reveal, clip.digest, key="clip_reveal", disabled=is_told)
    return ChosenClip(int(rows[at]), clip, int(order_of(judged.comparison).numbers[rows[at]]), after)


def _chosen_of(judged: Judged, rows: RowArray, *, hides: bool, revealed: str | None) -> int:
    """Let the reader choose one of the clips that are left, of many one near the last; return its place among them."""
    clips, order = judged.comparison.clips, order_of(judged.comparison)
    first = max(0, min(_place_of_asked(judged, rows) - PAGE_ROWS // 2, len(rows) - PAGE_ROWS))
    offered = {clips[row].digest: at for at, row in enumerate(rows[first : first + PAGE_ROWS], start=first)}

    def title(digest: str) -> str:
        row = rows[offered[digest]]
        if hides and digest != revealed:
            return hidden_title(order.numbers[row], clips[row])
        return f"{order.numbers[row]} · {clip_title(clips[row])}"

    return offered[choose("Clip", offered, key=CLIP, format_func=title, label_visibility="collapsed")]


def _button(place: Any, label: str, icon: str, act: Callable[..., None], *args: Any, **look: Any) -> None:
    place.button(label, icon=f":material/{icon}:", on_click=act, args=args, **look)


def hidden_title(number: int, clip: ScoredClip) -> str:
    """Call a clip by its number: its name and folder would tell its label."""
    return f"Clip {number} · id {display_name(clip.machine_id)}"


def take(digest: str) -> None:
    """Look at this clip from the next run on."""
    st.session_state[CLIP] = digest


def reveal(digest: str) -> None:
    """Tell the truth about this clip from the next run on."""
    st.session_state[REVEALED] = digest


def _take_any(clips: Sequence[ScoredClip], rows: RowArray, at: int) -> None:
    """Look at any of these clips but the one at this place."""
    further = 1 + secrets.randbelow(max(1, len(rows) - 1))
    take(clips[rows[(at + further) % len(rows)]].digest)


def _filtered(judged: Judged, *, hides: bool) -> RowArray:
    """Draw the filters in a box that tells only how many clips they leave; return these clips."""
    comparison = judged.comparison
    n_all = len(comparison.clips)
    known = Filter(
        _kept(AMONG, among_titles(judged)), _kept(TRUTH, truth_titles(comparison)), str(_asked(NAME) or "")[:LONGEST]
    )
    rows = known.rows(judged)
    count = counted(n_all, "clip") if len(rows) == n_all else f"{len(rows):,} of {counted(n_all, 'clip')}"
    with st.popover(count, icon=":material/filter_list:", help="Which clips to go through"):
        counts = {name: by_verdicts(judged, name).sum() for name in among_titles(judged)}
        titles = {name: f"{title} ({counts[name]:,})" for name, title in among_titles(judged).items()}
        choose("Clips", titles, key=AMONG)
        choose("Truth", truth_titles(comparison), key=TRUTH)
        st.session_state[NAME] = known.name
        st.text_input("Name contains", key=NAME, persist_state="session", max_chars=LONGEST)
        if known.name:
            link(NAME)
        else:
            st.query_params.pop(NAME, None)
        if hides:
            st.caption("These choices may give the truth away: outside this box, only the number of clips is shown.")
    return rows


def _asked(key: str) -> Any:
    return st.session_state.get(key, st.query_params.get(key))


def _kept(key: str, known: dict[str, str]) -> str:
    """Return a choice before its widget is drawn."""
    keep(key, known)
    return str(st.session_state[key])


def _place_of_asked(judged: Judged, rows: RowArray) -> int:
    """Return where the clip is, among those that are left, that the session or the link asks for.

    Without one, it is the first on which verdicts differ, so that the page has something to show.
    """
    asked = _asked(CLIP) or _linked(judged.comparison)
    found = np.flatnonzero(rows == order_of(judged.comparison).row_of.get(asked, -1))
    at = int(found[0]) if len(found) else int(by_verdicts(judged, "differ")[rows].argmax())
    take(judged.comparison.clips[rows[at]].digest)
    return at


def _linked(comparison: Comparison) -> str:
    """Return the digest of the clip that a link names by its path or by the beginning of its digest, once."""
    named = st.query_params.pop(LINKED, "")
    beginning = named if len(named) >= SHORTEST_BEGINNING else None
    for clip in comparison.clips if named else ():
        if clip.path == named or (beginning and clip.digest.startswith(beginning)):
            return clip.digest
    return ""
