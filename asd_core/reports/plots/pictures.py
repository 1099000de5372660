"""Sound as pictures: envelopes, heatmaps as PNG, frequency ticks, small grids of cells."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from asd_core.errors import InputError
from asd_core.types import Float32Array, FloatArray, MapUnit

if TYPE_CHECKING:
    import altair as alt
    import plotly.graph_objects as go
from asd_core.reports.plots.look import MAP_NORMALS, MAP_TIMES_THRESHOLD, MARGIN, NORMAL_COLOUR

PALETTES = ("viridis", "cividis", "magma")
"""Palettes for heatmaps: even in lightness, safe for colour-blind readers."""


def waveform_envelope(samples: npt.ArrayLike, *, n_points: int = 2000) -> tuple[Float32Array, Float32Array]:
    """Smallest and largest sample of each of `n_points` equal stretches of a signal.

    Parameters
    ----------
    samples
        Shape (n_samples,), full scale is 1.
    n_points
        Number of stretches; a shorter signal has one for each sample.

    Returns
    -------
    lowest, highest
        Each of shape (min(n_points, n_samples),), float32.
    """
    signal = np.asarray(samples, dtype=np.float32)
    if signal.ndim != 1 or signal.size == 0:
        raise InputError(f"a waveform must have shape (n_samples,) with at least 1 sample, got {signal.shape}")
    if n_points < 1:
        raise InputError(f"an envelope needs at least 1 point, got {n_points}")
    n = min(n_points, signal.size)
    starts = np.arange(n) * signal.size // n
    return np.minimum.reduceat(signal, starts), np.maximum.reduceat(signal, starts)


def waveform_figure(
    samples: npt.ArrayLike, sr: int, *, colour: str = NORMAL_COLOUR, n_points: int = 2000, height_px: int = 160
) -> go.Figure:
    """Draw a waveform's envelope over time with Plotly; about 30 kB at 2000 points. Full scale is 1.

    Parameters
    ----------
    samples
        Shape (n_samples,), full scale is 1.
    sr
        Sampling rate in Hz.
    """
    import plotly.graph_objects as go

    lowest, highest = waveform_envelope(samples, n_points=n_points)
    step_s = np.size(samples) / sr / lowest.size
    shared: dict[str, Any] = {
        "x0": step_s / 2,
        "dx": step_s,
        "mode": "lines",
        "line": {"width": 1, "color": colour},
        "showlegend": False,
    }
    figure = go.Figure()
    figure.add_scatter(y=lowest, hoverinfo="skip", **shared)
    figure.add_scatter(
        y=highest, fill="tonexty", fillcolor=colour, hovertemplate="%{x:.2f} s: %{y:.3f}<extra></extra>", **shared
    )
    figure.update_xaxes(title_text="Time (s)", range=[0, np.size(samples) / sr], showgrid=False)
    figure.update_yaxes(title_text="Amplitude (1 = full scale)", zeroline=True, nticks=5)
    figure.update_layout(height=height_px, margin={**MARGIN, "t": 8})
    return figure


def palette_stops(palette: str = "viridis") -> tuple[str, ...]:
    """Evenly spaced colours of a palette from low to high, as CSS hex colours."""
    from plotly.colors import sequential

    if palette not in PALETTES:
        raise InputError(f"palette must be one of {', '.join(PALETTES)}, got {palette!r}")
    return tuple(_hex_colour(stop) for stop in getattr(sequential, palette.capitalize()))


def map_limit(values: npt.ArrayLike, threshold: float | None, *, unit: MapUnit = "error") -> float:
    """Value of a network's map that gets the brightest colour; the darkest is 0.

    A map that is measured against what is normal has one scale for all clips and detectors. A map of squared errors is
    bright from a multiple of the threshold on its mean; where there is no threshold above 0, from the 99th percentile
    of the values.

    Parameters
    ----------
    values
        Shape (n_steps, n_bands).
    unit
        Of the values, see `asd_core.types.AnomalyMap`.
    """
    if unit != "error":
        return MAP_NORMALS
    if threshold is not None and threshold > 0:
        return MAP_TIMES_THRESHOLD * threshold
    return float(np.quantile(np.asarray(values, dtype=np.float64), 0.99))


def heatmap_png(
    values: npt.ArrayLike,
    *,
    low: float,
    high: float,
    palette: str = "viridis",
    height_px: int | None = None,
) -> bytes:
    """PNG of a map over time and frequency: time to the right, low bands at the bottom.

    One pixel per step and, unless `height_px` is larger, one pixel per band: browsers scale it without loss of
    position. Values that are not finite are drawn like `low` (NaN, -inf) or `high` (+inf).

    Parameters
    ----------
    values
        Shape (n_steps, n_bands), any unit; one band gives a strip.
    low, high
        Values drawn in the first and last colour; everything beyond is clipped.
    palette
        One of `PALETTES`.
    height_px
        Height of the picture; a band is repeated over whole rows.
    """
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.size == 0:
        raise InputError(f"a heatmap needs shape (n_steps, n_bands), none of them 0, got {cells.shape}")
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise InputError(f"a heatmap needs finite limits with low <= high, got {low} and {high}")
    span = high - low or 1.0
    levels = np.nan_to_num((cells - low) / span, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
    rows = np.round(levels).astype(np.uint8).T[::-1]  # (n_bands, n_steps), top row = highest band
    if height_px is not None:
        rows = rows[np.arange(height_px) * len(rows) // height_px]
    picture = Image.fromarray(np.ascontiguousarray(rows))
    picture.putpalette(_lookup_table(palette).tobytes())
    png = io.BytesIO()
    picture.save(png, format="PNG", optimize=False)
    return png.getvalue()


def small_heatmap_png(values: npt.ArrayLike, *, low: float, high: float, width_px: int, height_px: int) -> bytes:
    """PNG of a map over time and frequency, as small as a table's cell: cells are averaged, or repeated if too few.

    Parameters
    ----------
    values
        Shape (n_steps, n_bands), finite.
    low, high
        Values drawn in the first and last colour.
    width_px, height_px
        Size of the picture; the time axis always fills it.
    """
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.size == 0:
        raise InputError(f"a heatmap needs shape (n_steps, n_bands), none of them 0, got {cells.shape}")
    narrow = _resized(_resized(cells, width_px).T, height_px).T
    return heatmap_png(narrow, low=low, high=high)


def _resized(rows: FloatArray, n: int) -> FloatArray:
    """Shape (n, n_columns): the mean of the rows in each of `n` equal stretches, or the row that covers it."""
    starts = np.arange(n) * len(rows) // n
    if len(rows) < n:
        return rows[starts]
    means: FloatArray = np.add.reduceat(rows, starts, axis=0) / np.diff([*starts, len(rows)])[:, None]
    return means


def frequency_ticks(
    bands_hz: npt.ArrayLike, *, ticks_hz: Sequence[float] = (250, 500, 1000, 2000, 4000)
) -> tuple[tuple[float, str], ...]:
    """Where round frequencies lie on a picture of bands.

    Parameters
    ----------
    bands_hz
        Shape (n_bands,): rising centre frequencies in Hz.
    ticks_hz
        Frequencies to mark; those outside the bands are left out.

    Returns
    -------
    tuple of (relative position, text)
        Position from 0 (bottom edge) to 1 (top edge); text such as `500 Hz` or `2 kHz`.
    """
    centres = np.asarray(bands_hz, dtype=np.float64)
    positions = (np.arange(centres.size) + 0.5) / centres.size
    inside = [hz for hz in ticks_hz if centres[0] <= hz <= centres[-1]]
    return tuple((float(np.interp(hz, centres, positions)), _frequency_text(hz)) for hz in inside)


def cells_picture(
    columns: Sequence[tuple[str, FloatArray | None]],
    *,
    low: float,
    high: float,
    x_title: str,
    y_title: str,
    value_title: str,
    palette: str = "viridis",
    y_ticks: Sequence[tuple[float, str]] = (),
    height_px: int = 260,
) -> alt.Chart:
    """Draw a few columns of numbers as coloured cells with Altair, the first number at the bottom.

    Parameters
    ----------
    columns
        Distinct name -> shape (n_rows,), in order; None leaves a gap.
    low, high
        Values drawn in the first and last colour; everything beyond is clipped.
    y_ticks
        (relative position from 0 = bottom to 1 = top, text); without any, rows are counted from 1.
    """
    import altair as alt

    stops = list(palette_stops(palette))
    names = [name for name, _ in columns]
    filled = [(name, np.asarray(values, dtype=np.float64)) for name, values in columns if values is not None]
    n_rows = len(filled[0][1]) if filled else 0
    if n_rows == 0 or len(set(names)) != len(names) or any(values.shape != (n_rows,) for _, values in filled):
        raise InputError("columns must have distinct names and equally many numbers, at least 1")
    rows = [
        {"c": name, "r": row, "v": float(f"{value:.4g}")} for name, values in filled for row, value in enumerate(values)
    ]
    ticks = [(share * n_rows, text) for share, text in y_ticks] or [
        (row - 0.5, f"{row}") for row in sorted({1, *range(32, n_rows + 1, 32), n_rows})
    ]
    colours = alt.Scale(range=stops, domain=np.linspace(low, high, len(stops)).tolist(), clamp=True, interpolate="rgb")
    picture: alt.Chart = (
        alt.Chart({"values": rows}, height=height_px)
        .transform_calculate(top=f"min(datum.r + 2, {n_rows})")  # the next row covers the excess: no seams
        .mark_rect()
        .encode(
            x=alt.X(
                "c:N",
                title=x_title,
                sort=None,
                scale=alt.Scale(domain=names, paddingInner=0, paddingOuter=0),
                axis=alt.Axis(labelAngle=0, labelOverlap="greedy", ticks=False, labelExpr="trim(datum.label)"),
            ),
            y=alt.Y(
                "r:Q",
                title=y_title,
                scale=alt.Scale(domain=[0, n_rows], nice=False),
                axis=alt.Axis(values=[at for at, _ in ticks], labelExpr=_label_expression(ticks), grid=False),
            ),
            y2="top:Q",
            color=alt.Color(
                "v:Q",
                title=value_title,
                scale=colours,
                legend=alt.Legend(
                    type="gradient", orient="bottom", gradientLength=110, titleLimit=300, format="~r", tickCount=3
                ),
            ),
            tooltip=[alt.Tooltip("c:N", title=x_title), alt.Tooltip("v:Q", title=value_title)],
        )
    )
    return picture


def _label_expression(ticks: Sequence[tuple[float, str]]) -> str:
    """Vega expression that gives each tick its own text; the texts are our own."""
    pairs = " : ".join(f"abs(datum.value - {at:.6f}) < 1e-3 ? '{text}'" for at, text in ticks)
    return f"{pairs} : ''"


def _hex_colour(text: str) -> str:
    """`rgb(1, 2, 3)` or `#010203` as `#010203`."""
    if text.startswith("#"):
        return text.lower()
    red, green, blue = (int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _lookup_table(palette: str) -> npt.NDArray[np.uint8]:
    """Shape (256, 3): red, green and blue of a palette from low to high."""
    stops = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in palette_stops(palette)])
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, i]) for i in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def _frequency_text(hz: float) -> str:
    return f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"
