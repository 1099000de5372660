"""Which of many points a picture can show: curves are thinned below a pixel, and marks that others would hide left out.

Numbers are never taken from a thinned curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from asd_core.types import FloatArray

MAX_CURVE_POINTS = 2000
"""Along a ROC that is 500 pixels wide these lie half a pixel apart."""
MAX_MARKS = 2500
"""Marks that a browser still draws and finds under the pointer without a pause."""
_FIRST_CELLS = 256

IntArray: TypeAlias = npt.NDArray[np.int64]


def along_curve(x: npt.ArrayLike, y: npt.ArrayLike, *, at_most: int = MAX_CURVE_POINTS) -> IntArray:
    """Return the points to draw of a curve, evenly along its path; all of them where there are no more than `at_most`.

    The path is measured as |dx| + |dy|, each axis relative to its range, so that no point left out lies farther from
    its neighbours that are drawn than the `at_most`-th part of the whole path. Both ends are kept.

    Parameters
    ----------
    x, y
        Shape (n_points,), finite, as they are joined; where an axis is logarithmic, their logarithms.

    Returns
    -------
    Ascending positions, shape (n_drawn,).
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if across.size <= at_most:
        return np.arange(across.size)
    steps = sum(np.abs(np.diff(axis)) / (np.ptp(axis) or 1.0) for axis in (across, up))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    cells = np.floor(way / (way[-1] or 1.0) * (at_most - 2)).astype(np.int64)
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    return np.union1d(first, [across.size - 1])


def seen_marks(points: FloatArray, groups: Sequence[str], *, at_most: int = MAX_MARKS) -> IntArray:
    """Return the marks to draw of a cloud: of the marks of one group in one cell of a grid, only the first.

    The grid is the finest of those that leave at most `at_most`; a small cloud stays whole.

    Parameters
    ----------
    points
        Shape (n_points, 2), finite; where an axis is logarithmic, its logarithms.
    groups
        One for each point: marks that look different do not replace one another.

    Returns
    -------
    Ascending positions, shape (n_drawn,).
    """
    if len(points) <= at_most:
        return np.arange(len(points))
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    relative = (points - low) / np.where(span > 0, span, 1.0)
    n_cells = _FIRST_CELLS
    while True:
        cells = np.minimum((relative * n_cells).astype(np.int64), n_cells - 1)
        _, first = np.unique((group * n_cells + cells[:, 0]) * n_cells + cells[:, 1], return_index=True)
        if len(first) <= at_most or n_cells == 1:
            return np.sort(first)[:at_most]
        n_cells = n_cells * 4 // 5
