"""Clips as marks on a plane of two axes: a press chooses one, a lasso several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from asd_core.errors import InputError
from asd_core.formats import score_text
from asd_core.reports.plots import ANOMALOUS_COLOUR, KIND_SHAPES, NORMAL_COLOUR
from asd_core.reports.plots.look import short_number
from asd_core.reports.plots.ticks import log_ticks, nice_ticks, tick_text
from asd_core.types import BoolArray, FloatArray
from pages.shared.components import register
from pages.shared.plain_text import shown_text

MOST_CORNERS = 64
PADDING = 0.04
"""Share of an axis beyond its outermost values."""
HINT = "Press a mark to choose its clip, or draw around several."

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PlaneAxis:
    """An axis of the plane from `low` to `high`, logarithmic if asked for."""

    title: str
    low: float
    high: float
    is_log: bool = False

    @classmethod
    def over(cls, values: FloatArray, title: str, *, is_log: bool = False, also: float | None = None) -> PlaneAxis:
        """Span an axis over values, shape (n,), and one more value such as a threshold, with some room beyond."""
        low, high = float(values.min()), float(values.max())
        if also is not None and (also > 0 or not is_log):
            low, high = min(low, also), max(high, also)
        if is_log:
            room = PADDING * math.log10(high / low) or 0.1
            return cls(title, low / 10**room, high * 10**room, is_log=True)
        room = PADDING * (high - low) or 0.5
        return cls(title, low - room, high + room)

    def shares(self, values: FloatArray) -> FloatArray:
        """Return where values lie on the axis, shape (n,), 0 at its beginning and 1 at its end."""
        low, high = self.low, self.high
        if self.is_log:
            values, low, high = np.log10(values), math.log10(low), math.log10(high)
        return (values - low) / (high - low)

    @property
    def message(self) -> dict[str, Any]:
        """What the browser gets."""
        ticks = log_ticks(self.low, self.high) if self.is_log else nice_ticks(self.low, self.high, at_least=4)
        return {
            "title": shown_text(self.title),
            "low": self.low,
            "high": self.high,
            "log": self.is_log,
            "ticks": [{"at": at, "text": tick_text(at)} for at in ticks],
        }


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of a plane.

    Parameters
    ----------
    points
        Shape (n_marks, 2), in the units of the axes.
    groups
        `normal`, or any other word for anomalous clips: colour tells normal from anomalous, shape tells the words.
    titles
        Shown under the pointer.
    """

    points: FloatArray
    groups: Sequence[str]
    titles: Sequence[str]

    def message(self) -> dict[str, Any]:
        """Return what the browser gets of the marks."""
        kinds = sorted(set(self.groups), key=lambda name: (name != "normal", name))
        place = {name: at for at, name in enumerate(kinds)}
        return {
            "xs": [short_number(x) for x in self.points[:, 0].tolist()],
            "ys": [short_number(y) for y in self.points[:, 1].tolist()],
            "kinds": [place[name] for name in self.groups],
            "titles": [shown_text(title) for title in self.titles],
            "groups": [_group(name, at - ("normal" in place)) for name, at in place.items()],
        }


def _group(name: str, at: int) -> dict[str, str]:
    if name == "normal":
        return {"name": name, "form": "circle", "colour": NORMAL_COLOUR}
    return {"name": shown_text(name), "form": KIND_SHAPES[at % len(KIND_SHAPES)], "colour": ANOMALOUS_COLOUR}


_mount = register("asd_plane", "plane")


def clip_plane(
    axes: tuple[PlaneAxis, PlaneAxis],
    marks: Mapping[str, Any],
    *,
    plane: str,
    alt: str,
    key: str,
    lines: tuple[float | None, float | None] = (None, None),
    ring: tuple[float, float] | None = None,
    lasso: Corners = (),
    on_pick: Callable[[int], None] | None = None,
    on_lasso: Callable[[Corners], None] | None = None,
) -> None:
    """Draw the marks; tell which one is pressed, and the corners of a lasso, as shares of the axes.

    Parameters
    ----------
    marks
        `Marks.message`, which may be kept: it is never changed.
    plane
        Names what is drawn: what the browser tells of another plane is passed over.
    lines
        Where a vertical and a horizontal line are drawn, such as two thresholds.
    ring
        A point to ring.
    on_pick, on_lasso
        Without them, the plane is only to be looked at. A lasso that is cleared has no corners.
    """
    is_still = on_pick is None or on_lasso is None

    def picked() -> None:
        mark = _told(key, "pick", plane).get("mark")
        if on_pick is not None and isinstance(mark, int) and 0 <= mark < len(marks["xs"]):
            on_pick(mark)

    def drawn() -> None:
        corners = checked_corners(_told(key, "lasso", plane).get("corners"))
        if on_lasso is not None and corners is not None:
            on_lasso(corners)

    _mount(
        key=key,
        data={
            **marks,
            "plane": plane,
            "axes": [axis.message for axis in axes],
            "lines": [None if at is None else {"at": at, "text": f"threshold {score_text(at)}"} for at in lines],
            "ring": ring,
            "lasso": [list(corner) for corner in lasso],
            "alt": shown_text(alt),
            "hint": "" if is_still else HINT,
            "still": is_still,
        },
        on_pick_change=picked,
        on_lasso_change=drawn,
    )


def _told(key: str, name: str, plane: str) -> Mapping[str, Any]:
    """What the browser tells of this plane; empty where it is about another one."""
    told = st.session_state[key].get(name)
    return told if isinstance(told, Mapping) and told.get("plane") == plane else {}


def checked_corners(told: object) -> Corners | None:
    """Return a lasso's corners; none at all clear it, and None is something else than corners."""
    if not isinstance(told, list | tuple) or 0 < len(told) < 3 or len(told) > MOST_CORNERS:
        return None
    corners = [tuple(corner) if isinstance(corner, list | tuple) else () for corner in told]
    if not all(len(corner) == 2 and all(map(_is_share, corner)) for corner in corners):
        return None
    return tuple((float(x), float(y)) for x, y in corners)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def inside(shares: FloatArray, corners: Corners) -> BoolArray:
    """Return which points lie inside of a lasso, shape (n_points,), by the even-odd rule.

    Parameters
    ----------
    shares
        Shape (n_points, 2), as the corners are.
    """
    if len(corners) < 3:
        raise InputError(f"a lasso needs at least 3 corners, got {len(corners)}")
    x, y = shares[:, 0], shares[:, 1]
    found = np.zeros(len(shares), dtype=np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        found ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return found
