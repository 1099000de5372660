"""Shares as a coloured table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asd_core.reports.plots.look import ANOMALOUS_COLOUR, NEUTRAL_COLOUR

if TYPE_CHECKING:
    import altair as alt

_NONE_WRONG, _INK = "#FFF7F0", "#101010"
"""The shade of no errors, and the text's colour: at least 4.5:1 on it and on the shade of nothing but errors."""


def rate_grid(
    detectors: Sequence[str], cells: Sequence[tuple[int, str, int, int]], *, title: str, row_px: int = 44
) -> alt.LayerChart:
    """Draw shares of errors as an orange table with Altair: one row per detector, a column per group, `k/n` in a cell.

    Parameters
    ----------
    detectors
        Names of the rows; long ones are wrapped.
    cells
        (detector's position, group, k, n) each.
    title
        What is counted.
    """
    import altair as alt

    groups = sorted({group for _, group, _, _ in cells})
    rows = [
        {
            "row": row,
            "column": groups.index(group),
            "detector": detectors[row],
            "group": group,
            "share": k / n if n else None,
            "text": f"{k}/{n}",
            "words": f"{100 * k / n:.1f} % ({k}/{n})" if n else "no clips",
        }
        for row, group, k, n in cells
    ]
    bare: dict[str, Any] = {"title": None, "domain": False, "ticks": False, "grid": False, "labelOverlap": False}
    x_axis = alt.Axis(orient="top", labelAngle=0, labelExpr=_wrapped(groups, 12), labelLimit=100, **bare)
    y_axis = alt.Axis(
        labelExpr=_wrapped(detectors, 22), labelLimit=160, labelLineHeight=13, labelOffset=-6, labelPadding=6, **bare
    )
    tooltip = [
        alt.Tooltip("detector:N", title="Detector"),
        alt.Tooltip("group:N", title="Clips"),
        alt.Tooltip("words:N", title=title),
    ]
    base = alt.Chart({"values": rows}).encode(
        x=alt.X("column:O", axis=x_axis), y=alt.Y("row:O", axis=y_axis), tooltip=tooltip
    )
    shades = alt.Scale(range=[_NONE_WRONG, ANOMALOUS_COLOUR], domain=[0, 1])
    colour = alt.Color("share:Q", scale=shades, legend=None)
    boxes = base.mark_rect(stroke=NEUTRAL_COLOUR, strokeWidth=0.5).encode(color=colour)
    text = base.mark_text(fontSize=14, color=_INK).encode(text="text:N")
    height_px = len(detectors) * row_px + 80  # the title and the headings take part of it
    return alt.LayerChart(layer=[boxes, text], height=height_px, title=alt.Title(title, anchor="start"))


def _wrapped(names: Sequence[str], width: int) -> str:
    """Vega expression that writes an axis' position as up to two lines of its name."""
    lines = [textwrap.wrap(name, width, max_lines=2, placeholder=" …") or [""] for name in names]
    return f"{json.dumps(lines)}[datum.value]"
