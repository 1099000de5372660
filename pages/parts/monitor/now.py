"""How all watches are at this moment, in words: read anew every two seconds, and cheap while nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import open_artifact
from asd_core.errors import AsdError
from asd_core.formats import TRAINED_ON_SIMULATED, display_name, score_text
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.starting import MAX_WATCHES
from pages.parts.monitor.followed import ALL_ROWS, FEW_ROWS, Followed
from pages.parts.monitor.standing import WORDS, Kind, Standing, standing, time_text
from pages.parts.monitor.view import counts
from pages.shared.cards import simulated_badge
from pages.shared.components.watches import WatchTile, watch_tiles
from pages.shared.context import PROJECT
from pages.shared.frame import first_screen, fragment
from pages.shared.plain_text import plain, shown_text

POLL_S = 2.0
NEXT = "watch_next"
"""Key of the name of the table that the page's next run looks at."""
_FOLLOWED, _OTHERS = "monitor_followed", "monitor_others"
_SEEN, _IS_FRESH = "monitor_seen", "monitor_is_fresh"


def follow(table: Path) -> Followed:
    """The watch that this session looks at closely; what was read of it is kept."""
    followed = st.session_state.get(_FOLLOWED)
    if not isinstance(followed, Followed) or followed.table != table:
        followed = st.session_state[_FOLLOWED] = Followed(table, ALL_ROWS)
    return followed


def now_panel(tables: Sequence[Path], followed: Followed) -> None:
    """Draw how the watches are, again and again; the page runs again once the one in question has something new."""
    st.session_state[_SEEN], st.session_state[_IS_FRESH] = followed.seen, True
    others = _others(tables, followed)
    fragment(lambda: _now(others, followed), run_every=POLL_S)()


def wall(tables: Sequence[Path]) -> None:
    """Fill the window with how all watches are, to be read from afar."""
    shown = _others(tables, None)
    if not shown:
        st.info("No folder is being watched.", icon=":material/sensors_off:")
        return
    fragment(lambda: _tiles(shown, chosen="", is_wall=True), run_every=POLL_S)()


def _others(tables: Sequence[Path], followed: Followed | None) -> list[Followed]:
    """The watches that have tiles: the most urgent ones, in the order of their names."""
    kept: dict[Path, Followed] = st.session_state.setdefault(_OTHERS, {})
    for gone in kept.keys() - set(tables):
        del kept[gone]
    for table in tables:
        kept.setdefault(table, Followed(table, FEW_ROWS))
    urgency = {kind: place for place, kind in enumerate(WORDS)}
    first = None if followed is None else followed.table
    found = sorted(kept.values(), key=lambda each: (each.table != first, urgency[_kind(each)]))
    return sorted(found[:MAX_WATCHES], key=lambda each: each.table.name)


def _kind(followed: Followed) -> Kind:
    """How a watch is by its heartbeat alone: the tables of dozens of watches are not read for it."""
    return standing("", status=followed.status, rows=(), events=(), is_alive=followed.is_alive).kind


def _standing(followed: Followed) -> Standing:
    return standing(
        display_name(followed.table.stem),
        status=followed.status,
        rows=followed.rows,
        events=followed.events,
        is_alive=followed.is_alive,
    )


def _now(others: Sequence[Followed], followed: Followed) -> None:
    is_fresh = st.session_state.pop(_IS_FRESH, False)
    if NEXT in st.session_state or (not is_fresh and followed.seen != st.session_state.get(_SEEN)):
        st.rerun()
    if len(others) > 1:
        _tiles(others, chosen=followed.table.name, is_wall=False)
    with first_screen():
        said, counted = st.columns([3, 2])
    with said.container(border=True, height="stretch"):
        _say(_standing(followed), is_simulated=_by_simulated(followed))
    with counted.container(border=True, height="stretch"):
        rows = followed.rows
        counts(rows, last=time_text(rows[-1].time) if rows else "", is_cut=followed.is_cut)


def _say(now: Standing, *, is_simulated: bool) -> None:
    _, colour, icon = WORDS[now.kind]
    st.markdown(f"## :{colour}[:material/{icon}: {plain(now.name)}: {plain(now.sentence)}]")
    if now.heard:
        st.markdown(plain(now.heard))
    for text in now.further:
        st.text(shown_text(text))
    if now.is_on:
        st.caption(":material/sensors: a watch is running")
    if is_simulated:
        st.markdown(
            f"{simulated_badge(is_simulated)} its verdicts tell how far a clip is from the simulation, not whether "
            "your machine is faulty"
        )


def _by_simulated(followed: Followed) -> bool:
    rows = followed.rows
    return bool(rows) and by_simulated(rows[-1])


def by_simulated(row: WatchRow) -> bool:
    """Whether a row's detector was trained on simulated sound; tables of earlier releases leave it to the detector."""
    return _detector_is_simulated(unescaped(row.model)) if row.simulated is None else row.simulated


@st.cache_data(max_entries=64, show_spinner=False)
def _detector_is_simulated(model: str) -> bool:
    if "\0" in model:
        return False
    try:
        return open_artifact(PROJECT / model).simulated
    except AsdError:  # gone, or damaged: the table is shown all the same
        return False


def _tiles(shown: Sequence[Followed], *, chosen: str, is_wall: bool) -> None:
    watch_tiles(
        [_tile(followed) for followed in shown],
        key="watch_wall" if is_wall else "watch_tiles",
        chosen=chosen,
        is_wall=is_wall,
        on_pick=_look_at,
    )


def _look_at(table: str) -> None:
    st.session_state[NEXT] = table


def _tile(followed: Followed) -> WatchTile:
    now, rows = _standing(followed), list(followed.rows)
    word, newest = WORDS[now.kind][0], rows[-1] if rows else None
    score = "" if newest is None else f"score {score_text(newest.anomaly_score)}"
    lines = [
        now.sentence.removeprefix(word).lstrip(" :").partition(";")[0],
        now.since,
        ", ".join(filter(None, [now.heard, score])),
        TRAINED_ON_SIMULATED if _by_simulated(followed) else "",
    ]
    return WatchTile(
        id=followed.table.name,
        name=now.name,
        kind=now.kind,
        word=word,
        lines=[line for line in lines if line],
        scores=[row.anomaly_score for row in rows],
        threshold=None if newest is None else newest.threshold,
    )
