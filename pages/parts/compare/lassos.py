"""A lasso around marks of the compare page: kept with the session, named by the URL, and summed up in a line."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.formats import counted, rate_text
from pages.parts.compare.methods import Judged, short_title
from pages.shared.components.plane import Corners, checked_corners
from pages.shared.plain_text import plain

LASSO = "lasso"
"""Key and name in the URL: `map~525-798~...`, the plane and the corners in thousandths of its axes."""


def drawn_lasso(plane: str) -> Corners:
    """Return the corners of the lasso on this plane, without any where there is none; the URL then names it."""
    text = st.session_state.setdefault(LASSO, st.query_params.get(LASSO, ""))
    name, _, corners = text.partition("~")
    found = _read(corners) if name == plane else ()
    if found:
        st.query_params[LASSO] = text
    else:
        st.query_params.pop(LASSO, None)
    return found


def keep_lasso(plane: str, corners: Corners) -> None:
    """Keep a lasso for the next run; one without corners is forgotten."""
    st.session_state[LASSO] = f"{plane}~{_written(corners)}" if corners else ""


def _written(corners: Corners) -> str:
    return "~".join("-".join(f"{1000 * share:.0f}" for share in corner) for corner in corners)


def _read(text: str) -> Corners:
    """Read corners that a link names; none where they are not corners of a lasso."""
    corners = [corner.split("-") for corner in text.split("~")]
    if not all(number.isascii() and number.isdigit() for corner in corners for number in corner):
        return ()
    return checked_corners([[int(number[:5]) / 1000 for number in corner] for corner in corners]) or ()


def lasso_line(judged: Judged, rows: Sequence[int]) -> None:
    """Say how many clips a lasso holds, and how many of each label every detector calls anomalous."""
    labels = judged.comparison.labels[list(rows)]
    n_anomalous = int(labels.sum())
    text = f"**{counted(len(rows), 'clip')}** in the lasso: {len(rows) - n_anomalous} normal, {n_anomalous} anomalous."
    called = [
        f"{plain(short_title(judged, method))} {rate_text(int(judged.alarms[method, list(rows)].sum()), len(rows))}"
        for method in judged.judging
        if rows
    ]
    st.markdown(text + (f" Called anomalous: {', '.join(called)}." if called else ""))
