"""The numbers of an axis: never fewer than three, and never a letter in place of a power of ten."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from asd_core.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

LEAST_TICKS, MOST_TICKS = 3, 9
_MANTISSAS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 7))
_STEPS = (5, 2, 1)
_POWERS = {"exponentformat": "power", "minexponent": 4}
"""Plotly would write 1.5e-10 as `150p`."""


def nice_ticks(low: float, high: float, *, at_least: int = LEAST_TICKS) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from `low` to `high`, as few as make `at_least`.

    Raises
    ------
    InputError
        `high` does not lie above `low`.
    """
    if not high > low:
        raise InputError(f"an axis must end above its beginning, got {low:g} to {high:g}")
    power = math.floor(math.log10(high - low)) + 1
    while True:
        for mantissa in _STEPS:
            step = mantissa * 10.0**power
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first + 1 >= at_least:
                return [_clean(number * step) for number in range(first, last + 1)]
        power -= 1


def log_ticks(low: float, high: float, *, at_least: int = LEAST_TICKS) -> list[float]:
    """Return round numbers from `low` to `high` for a logarithmic axis, powers of ten where these suffice.

    Raises
    ------
    InputError
        `low` is not positive, or `high` does not lie above it.
    """
    if not 0.0 < low < high:
        raise InputError(f"a logarithmic axis must be positive and end above its beginning, got {low:g} to {high:g}")
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in _MANTISSAS:
        every = [_clean(mantissa * 10.0**power) for power in powers for mantissa in mantissas]
        inside = [tick for tick in every if low <= tick <= high]
        if len(inside) >= at_least:
            return inside[:: math.ceil(len(inside) / MOST_TICKS)]
    return nice_ticks(low, high, at_least=at_least)


def tick_text(value: float) -> str:
    """Write a tick without a letter or a power where that takes no more than eight characters: `0.0002`, `20,000`."""
    if value == 0.0:
        return "0"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    plain = f"{value:,.{decimals}f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return plain if len(plain.lstrip("-")) <= 8 else f"{value:.3g}"


def numbered(figure: go.Figure) -> go.Figure:
    """Have a Plotly figure write its numbers in full, or as powers of ten where they would be long."""
    return figure.update_xaxes(**_POWERS).update_yaxes(**_POWERS)


def _clean(value: float) -> float:
    return float(f"{value:.12g}")
