"""Watches as tiles: how each is, since when, its last clip and last scores; to press at the desk, or for a wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from asd_core.reports.plots.look import short_number
from pages.shared.components import register
from pages.shared.plain_text import shown_text

MOST_SCORES = 60


@dataclass(frozen=True, kw_only=True)
class WatchTile:
    """One watch; its texts need not be ours.

    Parameters
    ----------
    kind
        Gives the tile its colour: `alarm`, `died`, `deaf`, `waiting`, `paused`, `quiet`, `empty` or `ended`.
    word
        What it is in a word: `ALARM`.
    lines
        What is said below it, the most important first.
    scores
        Its last scores, the oldest first; None for a clip without one.
    threshold
        That of the last clip.
    """

    id: str
    name: str
    kind: str
    word: str
    lines: Sequence[str]
    scores: Sequence[float | None] = ()
    threshold: float | None = None


_mount = register("asd_watches", "watches")


def watch_tiles(
    tiles: Sequence[WatchTile], *, key: str, chosen: str, is_wall: bool, on_pick: Callable[[str], None]
) -> None:
    """Draw the tiles.

    Parameters
    ----------
    chosen
        Id of the watch that is looked at more closely.
    is_wall
        Whether the tiles fill the window, to be read from afar.
    on_pick
        Called with the id of a tile that was pressed.
    """

    def picked() -> None:
        name = str(st.session_state[key].picked)
        if name in {tile.id for tile in tiles}:
            on_pick(name)

    _mount(
        key=key,
        data={"tiles": [_message(tile) for tile in tiles], "chosen": shown_text(chosen), "wall": is_wall},
        on_picked_change=picked,
    )


def _message(tile: WatchTile) -> dict[str, object]:
    scores = [None if score is None else short_number(score) for score in tile.scores[-MOST_SCORES:]]
    return {
        "id": shown_text(tile.id),
        "name": shown_text(tile.name),
        "kind": tile.kind,
        "word": tile.word,
        "lines": [shown_text(line) for line in tile.lines],
        "scores": scores,
        "threshold": None if tile.threshold is None else short_number(tile.threshold),
    }
