"""Gauges of several detectors on one scale: where a clip's score lies between their normal clips and beyond them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import streamlit as st

from asd_core.types import FloatArray
from pages.shared.components import register

Outcome = Literal["right", "wrong"]


@dataclass(frozen=True, eq=False)
class Gauge:
    """One detector's row.

    Parameters
    ----------
    name, title
        Its short name, and the long one for those who point at it.
    mark, colour
        Its mark as the address of a picture, and its colour.
    word
        The verdict in words.
    kind
        `normal`, `anomalous` or `none`, which gives the word its colour.
    place
        The score on the common scale, 0 to 1 with the threshold at 0.5; None where there is no verdict.
    normal
        Shape (n_clips,): held-out normal clips on the same scale.
    chips
        (text, what it means) of the badges beside the verdict.
    outcome
        Whether the verdict agrees with the clip's label; None where nobody says so.
    """

    name: str
    title: str
    mark: str
    colour: str
    word: str
    kind: str
    place: float | None
    normal: FloatArray
    chips: Sequence[tuple[str, str]] = ()
    outcome: Outcome | None = None

    @property
    def alt(self) -> str:
        """The gauge in words."""
        if self.place is None:
            return f"{self.name}: {self.word}"
        known = f"; {len(self.normal)} held-out normal clips beside it" if len(self.normal) else ""
        judged = "" if self.outcome is None else f", {self.outcome}"
        return f"{self.name}: {self.word}{judged}, at {self.place:.2f} where the threshold is at 0.5{known}"


@dataclass(frozen=True)
class Headline:
    """What is said above the gauges.

    Parameters
    ----------
    truth
        The clip's label as people read it, such as `anomalous (belt)`; empty while it is hidden.
    kind
        `normal`, `anomalous` or `none`, which gives it its colour.
    text
        One sentence on the verdicts.
    """

    truth: str
    kind: str
    text: str


_mount = register("asd_gauges", "gauges")


def _nothing() -> None:
    """Streamlit wants a callback for everything that a component tells."""


def gauges(
    rows: Sequence[Gauge],
    *,
    key: str,
    headline: Headline | None = None,
    acts: Sequence[str] = (),
    on_act: Callable[[], None] = _nothing,
) -> None:
    """Draw one gauge below the other over one axis.

    Parameters
    ----------
    headline
        With one, the rows are lower, so that pictures find room below them.
    acts
        Those of a presentation's keys that the page follows, such as `next`; see `presenting.js`.
    on_act
        Called when one of them is pressed; `pressed_act` says which.
    """
    said = None if headline is None else {"truth": headline.truth, "kind": headline.kind, "text": headline.text}
    message = {"rows": [_row(each) for each in rows], "headline": said, "acts": list(acts)}
    _mount(key=key, data=message, on_act_change=on_act)


def pressed_act(key: str) -> str:
    """Return the act whose key was pressed last, inside of `on_act`; empty for none."""
    state = st.session_state.get(key)
    return str((None if state is None else state.get("act")) or "")


def _row(gauge: Gauge) -> dict[str, object]:
    places = np.unique(np.round(gauge.normal, 3))  # as many as the eye can tell apart, however large the set
    return {
        "name": gauge.name,
        "title": gauge.title,
        "mark": gauge.mark,
        "colour": gauge.colour,
        "word": gauge.word,
        "kind": gauge.kind,
        "place": None if gauge.place is None else round(gauge.place, 4),
        "normal": places.tolist(),
        "outcome": gauge.outcome,
        "chips": [{"text": text, "meaning": meaning} for text, meaning in gauge.chips],
        "alt": gauge.alt,
    }
