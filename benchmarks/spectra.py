"""How simulated clips differ from real ones: `python -m benchmarks.spectra --out DIR [--simulated-only]`.

Draws one picture of two rows, id 00 and the ids 02, 04 and 06 together, each with the mean mel spectrum, the
modulation spectrum of what lies above 1 kHz, and the distributions of level, kurtosis of the second difference and
crest factor; normal and faulty clips, simulated (dashed) and real (solid). Prints the medians. The real clips are
those of `../shared/data`; a picture with them stays out of the repository, `--simulated-only` draws the one that is in
`docs/images`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import scipy

from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import ClipKey, Label, Split, render_clip, to_pcm16
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.reports.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR
from asd_core.types import SR, Float32Array, FloatArray
from benchmarks.trivial import numbers

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NAME = "simulated_spectra.svg"
ROWS = {"id 00": ("00",), "ids 02, 04, 06": ("02", "04", "06")}
N_SIMULATED = 24
"""Simulated clips per label and row."""

ENVELOPE_HOP = 64
"""Samples between the envelope's values: 4 ms."""
LOW_HZ = 1000.0
MODULATION_HZ = np.geomspace(0.5, 50.0, 41)
"""Edges of the modulation spectrum's bands."""

_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 250, 180, 58, 60, 66


@dataclass(frozen=True, eq=False)
class Measured:
    """What the picture shows of one clip.

    Parameters
    ----------
    mel_db
        Mean over time, shape (n_mels,), dB.
    modulation_db
        Of the envelope's power about its mean, shape (40,), dB.
    numbers
        See `benchmarks.trivial`.
    """

    mel_db: FloatArray
    modulation_db: FloatArray
    numbers: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Group:
    """Clips that share a line of the picture."""

    name: str
    colour: str
    dash: str
    clips: Sequence[Measured]

    def values(self, number: str) -> FloatArray:
        """A trivial number of each clip, shape (n_clips,)."""
        return np.array([clip.numbers[number] for clip in self.clips])


def modulation_spectrum(samples: Float32Array) -> FloatArray:
    """Power of the envelope's fluctuation in each band of `MODULATION_HZ`, in dB per hertz.

    The envelope is the power above 1 kHz in windows of 16 ms, each 4 ms, over its mean; white noise without modulation
    gives a flat spectrum.
    """
    hz, _, spectra = scipy.signal.stft(
        samples.astype(np.float64), SR, nperseg=4 * ENVELOPE_HOP, noverlap=3 * ENVELOPE_HOP, boundary=None, padded=False
    )
    envelope = (np.abs(spectra[hz >= LOW_HZ]) ** 2).sum(axis=0)
    rate_hz = SR / ENVELOPE_HOP
    rates_hz, density = scipy.signal.periodogram(envelope / envelope.mean() - 1, rate_hz, window="hann")
    bands = np.digitize(rates_hz, MODULATION_HZ)
    means = [
        density[bands == band].mean() if (bands == band).any() else np.nan for band in range(1, MODULATION_HZ.size)
    ]
    return 10 * np.log10(np.array(means))


def measure(samples: Float32Array) -> Measured:
    """Measure one clip of 16 kHz."""
    return Measured(
        np.asarray(log_mel(samples).mean(axis=0), np.float64), modulation_spectrum(samples), numbers(samples)
    )


def simulated(ids: Sequence[str], split: Split, label: Label) -> list[Measured]:
    """Measure simulated clips, equally many of each id."""
    keys = [ClipKey(machine_id, split, label, index) for machine_id in ids for index in range(N_SIMULATED // len(ids))]
    return [measure(to_pcm16(render_clip(key).samples).astype(np.float32) / 32768) for key in keys]


def real(ids: Sequence[str], label: Label) -> list[Measured]:
    """Measure the real clips that are at hand."""
    roots = (SHARED / "dcase_layout" / "dev_data" / "slider", SHARED / "real" / "slider_more")
    paths = sorted(path for root in roots for path in root.rglob(f"{label}_id_*") if path.stem.split("_")[2] in ids)
    return [measure(read_waveform(path).samples) for path in paths]


def groups_of(ids: Sequence[str], *, simulated_only: bool) -> list[Group]:
    """Measure the lines of one row of the picture."""
    sources: list[tuple[str, str, Callable[[Label], list[Measured]]]] = [
        ("simulated", "5 3", lambda label: simulated(ids, "test", label))
    ]
    if not simulated_only:
        sources.append(("real", "", lambda label: real(ids, label)))
    kinds: tuple[tuple[str, Label, str], ...] = (
        ("normal", "normal", NORMAL_COLOUR),
        ("faulty", "anomaly", ANOMALOUS_COLOUR),
    )
    return [
        Group(f"{name}, {source}", colour, dash, make(label))
        for source, dash, make in sources
        for name, label, colour in kinds
    ]


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of a panel, with the band that it runs in; y and band in the panel's units."""

    x: FloatArray
    y: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None


def shares_below(values: FloatArray) -> Curve:
    """The empirical distribution of values: which share of them is at most x."""
    return Curve(np.sort(values), np.arange(1, values.size + 1) / values.size)


def _with_spread(x: FloatArray, rows: FloatArray) -> Curve:
    low, middle, high = np.quantile(rows, [0.1, 0.5, 0.9], axis=0)
    return Curve(x, middle, low, high)


def spectrum_curve(group: Group) -> Curve:
    """Median over clips of the mean mel spectrum, and its 10th to 90th percentile."""
    return _with_spread(mel_band_centres_hz(), np.stack([clip.mel_db for clip in group.clips]))


def modulation_curve(group: Group) -> Curve:
    """Median over clips of the modulation spectrum, and its 10th to 90th percentile."""
    rows = np.stack([clip.modulation_db for clip in group.clips])
    there = ~np.isnan(rows[0])
    return _with_spread(np.sqrt(MODULATION_HZ[:-1] * MODULATION_HZ[1:])[there], rows[:, there])


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel of the picture: its axes and the curve of each group."""

    title: str
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]
    is_log: bool
    curve: Callable[[Group], Curve]

    def place(self, x: FloatArray, y: FloatArray) -> str:
        """Points of an SVG path within the panel's frame."""
        across, edges = (np.log(x), np.log(self.x_ticks)) if self.is_log else (x, np.array(self.x_ticks))
        columns = np.clip((across - edges[0]) / (edges[-1] - edges[0]), 0, 1) * _WIDTH
        rows = (1 - np.clip((y - self.y_ticks[0]) / (self.y_ticks[-1] - self.y_ticks[0]), 0, 1)) * _HEIGHT
        return " ".join(f"{column:.0f},{row:.0f}" for column, row in zip(columns, rows, strict=True))


SHARES = (0.0, 0.5, 1.0)
PANELS = (
    Panel("mel spectrum, dB over Hz", (100, 250, 1000, 4000, 8000), (-60, -40, -20, 0), True, spectrum_curve),
    Panel("modulation above 1 kHz, dB/Hz over Hz", (0.5, 2, 10, 50), (-50, -30, -10), True, modulation_curve),
    Panel("level, dB: share of clips", (-45, -40, -35, -30), SHARES, False, lambda g: shares_below(g.values("level"))),
    Panel(
        "kurtosis of the second difference",
        (2, 5, 20, 100),
        SHARES,
        True,
        lambda g: shares_below(g.values("kurtosis of the second difference")),
    ),
    Panel("crest factor", (3, 6, 9, 12), SHARES, False, lambda g: shares_below(g.values("crest factor"))),
)


def draw(rows: Mapping[str, Sequence[Group]]) -> str:
    """Draw the picture as the text of an SVG file."""
    wide, high = _LEFT + len(PANELS) * (_WIDTH + _GAP), _TOP + len(rows) * (_HEIGHT + 60)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">',
        '<rect width="100%" height="100%" fill="#ffffff"/><g font-family="sans-serif" font-size="12" fill="#222222">',
    ]
    for column, group in enumerate(next(iter(rows.values()))):
        x = _LEFT + 190 * column
        parts.append(f'<path d="M{x} 16h26" stroke="{group.colour}" stroke-width="2" stroke-dasharray="{group.dash}"/>')
        parts.append(_text(x + 32, 20, group.name))
    for row, (name, groups) in enumerate(rows.items()):
        top = _TOP + row * (_HEIGHT + 60)
        parts.append(_text(4, top - 24, f"{name}; bands: 10th to 90th percentile of clips"))
        for column, panel in enumerate(PANELS):
            inside = f'<g transform="translate({_LEFT + column * (_WIDTH + _GAP)} {top})">'
            parts += [inside, *_axes(panel), *(_line(panel, group) for group in groups), "</g>"]
    return "\n".join([*parts, "</g></svg>\n"])


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def _axes(panel: Panel) -> list[str]:
    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999999"/>', _text(0, -6, panel.title)]
    for tick in panel.x_ticks:
        x = panel.place(np.array([tick]), np.array([panel.y_ticks[0]])).split(",")[0]
        parts.append(_text(float(x), _HEIGHT + 15, f"{tick:g}", "middle"))
    for tick in panel.y_ticks:
        y = panel.place(np.array([panel.x_ticks[0]]), np.array([tick])).split(",")[1]
        parts.append(_text(-4, float(y) + 4, f"{tick:g}", "end"))
    return parts


def _line(panel: Panel, group: Group) -> str:
    curve, band = panel.curve(group), ""
    if curve.low is not None and curve.high is not None and len(group.clips) > 2:
        x, y = np.concatenate([curve.x, curve.x[::-1]]), np.concatenate([curve.low, curve.high[::-1]])
        band = f'<polygon points="{panel.place(x, y)}" fill="{group.colour}" fill-opacity=".1"/>'
    points = panel.place(curve.x, curve.y)
    style = f'fill="none" stroke="{group.colour}" stroke-width="1.6" stroke-dasharray="{group.dash}"'
    return f'{band}<polyline points="{points}" {style}/>'


def medians(groups: Sequence[Group]) -> list[str]:
    """Write a row per group: medians over clips of levels, modulation and trivial numbers."""
    at = [int(np.argmin(np.abs(mel_band_centres_hz() - hz))) for hz in (250, 1000, 2500, 7000)]
    lines = []
    for group in groups:
        mel = np.median(np.stack([clip.mel_db for clip in group.clips]), axis=0)[at]
        spread = np.stack([clip.mel_db for clip in group.clips]).std(axis=0).mean()
        slow = np.median(modulation_curve(group).y[modulation_curve(group).x < 4])
        kept = [
            np.median(group.values(name)) for name in ("level", "kurtosis of the second difference", "crest factor")
        ]
        cells = [
            *(f"{value:.0f}" for value in mel),
            f"{spread:.1f}",
            f"{slow:.0f}",
            *(f"{value:.1f}" for value in kept),
        ]
        lines.append(f"| {group.name} | {len(group.clips)} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build") / "spectra")
    parser.add_argument("--simulated-only", action="store_true", help="no real clips: the picture in docs/images")
    arguments = parser.parse_args()
    alone = arguments.simulated_only or not SHARED.is_dir()
    rows = {name: groups_of(ids, simulated_only=alone) for name, ids in ROWS.items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / (NAME if alone else "real_and_simulated_spectra.svg")
    path.write_text(draw(rows), encoding="utf-8")
    print(
        "| clips | number | mel dB at 250 Hz | 1 kHz | 2.5 kHz | 7 kHz | spread, dB | modulation 0.5-4 Hz, dB/Hz "
        "| level, dB | kurtosis, second difference | crest factor |\n|" + "---|" * 11
    )
    for name, groups in rows.items():
        print("\n".join(line.replace("| ", f"| {name}: ", 1) for line in medians(groups)))
    print(path)


if __name__ == "__main__":
    main()
