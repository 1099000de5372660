"""The views of the explore page: clips to see and hear, mean spectra of the labels, the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.clips import LABELS, Clip
from asd_core.data.data_set import DataSet
from asd_core.features.spectra import HOPS, SCALES, WINDOWS, mean_spectrum_hz, spectrogram
from asd_core.formats import display_name, seconds_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
    PALETTES,
    Line,
    frequency_ticks,
    heatmap_png,
    histogram,
    lines_chart,
    palette_stops,
    spec_of,
)
from asd_core.types import SR, Waveform
from pages.parts.explore.clips import (
    SAMPLE_PER_LABEL,
    clip_spectrum,
    facts_text,
    filtered,
    holdings,
    label_spectra,
    load,
    pick,
)
from pages.shared.cards import in_columns
from pages.shared.choices import keep, link, switch
from pages.shared.components.player import ColourScale, Panel, synced_player
from pages.shared.keys import kept
from pages.shared.plain_text import plain
from pages.shared.refusals import refused_files
from pages.shared.sources import clip_title

LABEL_COLOURS = {"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR, "unlabelled": NEUTRAL_COLOUR}
CLIP_DASHES = (None, (6, 3), (2, 2), (8, 3))
LEVEL_TITLE = "Level (dB)"
MOST_SWITCHED = 3
"""With more options than these, a slider takes their place."""
TOPS_DB, SPANS_DB = (-45, -30, -15, -5, 0, 15, 30), (30, 40, 50, 60, 70, 80, 100)


@dataclass(frozen=True)
class PictureSettings:
    """How spectrograms are drawn: axis, window and hop in samples, palette, and the levels of both end colours."""

    scale: str
    window: int
    hop_length: int
    palette: str
    low_db: float
    high_db: float

    @property
    def text(self) -> str:
        """The settings in words."""
        return (
            f"{self.scale} frequency axis, window {self.window} samples ({1000 * self.window / SR:g} ms), "
            f"step {self.hop_length} ({1000 * self.hop_length / SR:g} ms), {self.low_db:g} to {self.high_db:g} dB"
        )


def listen_view(data_set: DataSet, stamp: str) -> None:
    """Pick clips; see waveform, spectrogram and mean spectrum of each and hear it."""
    clips, channel = filtered(data_set, stamp), data_set.index.channel
    if not clips:
        st.info(
            "No clip is like this: set a filter back to 'all', or search for less.", icon=":material/filter_alt_off:"
        )
        return
    st.caption(f"{len(clips)} of {len(data_set.index.clips)} clips. Tick up to four: they are drawn alike.")
    picked = pick(data_set, clips, stamp)
    if not picked:
        st.info("Tick a clip in the table to see and hear it.", icon=":material/touch_app:")
        return
    settings = picture_settings()
    peak = max(float(np.abs(load(clip, channel).samples).max(initial=0.0)) for clip in picked)
    for column, (number, clip) in in_columns(list(enumerate(picked)), per_row=2):  # one time scale for all
        with column:
            _player(clip, channel, settings, peak, key=f"explore_player_{number}")
            st.caption(plain(facts_text(data_set, stamp, clip)))
    st.caption(
        f"Waveforms on one scale. Spectrograms: {settings.text}, the same for every clip. Click to seek; space plays, "
        "the arrow keys move by half a second."
    )
    st.subheader("Mean spectrum of these clips")
    lines = [
        Line(
            f"{'ABCD'[i]}  {clip_title(clip)}", clip_spectrum(clip, channel), LABEL_COLOURS[clip.label], CLIP_DASHES[i]
        )
        for i, clip in enumerate(picked)
    ]
    _spectra_chart(lines, alt=f"Mean spectra of {len(picked)} clips")


def picture_settings() -> PictureSettings:
    """Let the user choose how spectrograms are drawn; the URL names every choice."""
    with st.expander("Picture settings", icon=":material/tune:"):
        left, right = st.columns(2)
        scale = _choice(left, "scale", "Frequency axis", SCALES, "mel")
        palette = _choice(right, "palette", "Colours", PALETTES, "viridis")
        window = int(_choice(left, "window", "Window (samples at 16 kHz)", WINDOWS, "1024"))
        hops = [hop for hop in HOPS if hop <= window // 2]  # a longer step would skip sound
        hop = int(_choice(right, "hop", "Step between windows (samples)", hops, str(min(512, window // 2))))
        high = float(_choice(left, "top", "Brightest colour at (dB)", TOPS_DB, "-5"))
        span = float(_choice(right, "span", "Range of the colours (dB)", SPANS_DB, "70"))
        st.caption(
            "A long window tells close tones apart, a short one close moments. Window 1024, step 512 on the mel axis "
            "is what the LSTM and the GRU see."
        )
    return PictureSettings(scale, window, hop, palette, high - span, high)


def _choice(
    place: st.delta_generator.DeltaGenerator, key: str, label: str, options: Sequence[object], default: str
) -> str:
    texts = [str(option) for option in options]
    keep(key, [default, *texts])
    if len(texts) <= MOST_SWITCHED:
        return switch(label, texts, key=key, place=place)
    chosen = place.select_slider(label, texts, key=key, persist_state="session")
    link(key)
    return chosen


def _player(clip: Clip, channel: int | None, settings: PictureSettings, peak: float, *, key: str) -> None:
    waveform = load(clip, channel)
    png, span_s, bands = _picture(waveform, settings)
    title = clip_title(clip)
    panel = Panel(
        label="Spectrogram",
        png=png,
        alt=f"Spectrogram of {title}, {settings.text}: time rightwards, frequency upwards, brighter is louder",
        y_ticks=frequency_ticks(bands, ticks_hz=(250, 500, 1000, 2000, 4000, 6000)),
        height_px=220,
        colour=LABEL_COLOURS[clip.label],
        note=clip.label,
        span_s=span_s,
        scale=ColourScale(palette_stops(settings.palette), f"{settings.low_db:g} dB", f"{settings.high_db:g} dB"),
    )
    synced_player(
        clip=f"{waveform.digest}{settings}",
        title=title,
        wav=encode_wav(waveform.samples),
        duration_s=waveform.duration_s,
        panels=[panel],
        key=key,
        peak=peak,
    )


@kept()
def _picture(waveform: Waveform, settings: PictureSettings) -> tuple[bytes, tuple[float, float], np.ndarray]:
    drawn = spectrogram(waveform.samples, window=settings.window, hop_length=settings.hop_length, scale=settings.scale)
    png = heatmap_png(drawn.levels_db, low=settings.low_db, high=settings.high_db, palette=settings.palette)
    return png, drawn.span_s, drawn.bands_hz


def _spectra_chart(lines: Sequence[Line], *, alt: str) -> None:
    chart = lines_chart(
        mean_spectrum_hz(), lines, x_title="Frequency (Hz)", y_title=LEVEL_TITLE, log_x=True, height_px=320
    )
    st.vega_lite_chart(spec=spec_of(chart), width="stretch", alt=alt)


def spectra_view(data_set: DataSet, stamp: str) -> None:
    """Mean spectrum of each label with its spread, over a sample of the filtered clips."""
    clips = filtered(data_set, stamp)
    spectra = label_spectra(clips, data_set.index.channel, stamp) if clips else {}
    if not spectra:
        st.info(
            "No clip is like this: set a filter back to 'all', or search for less.", icon=":material/filter_alt_off:"
        )
        return
    dashes = {"anomalous": (6, 3), "unlabelled": (2, 2)}
    lines = [
        Line(
            f"{label}, {spread.n_clips} clips",
            spread.mean_db,
            LABEL_COLOURS[label],
            dashes.get(label),
            spread.low_db,
            spread.high_db,
        )
        for label, spread in spectra.items()
    ]
    _spectra_chart(lines, alt=f"Mean spectra of {', '.join(spectra)} clips with bands from the 10th to 90th percentile")
    st.caption(
        f"Lines: mean power over time and clips. Bands: from the 10th to the 90th percentile of single clips. A random "
        f"sample of at most {SAMPLE_PER_LABEL} clips of each label, the same at each visit. Where bands overlap, the "
        "mean spectrum alone cannot tell the labels apart."
    )


def contents_view(data_set: DataSet, stamp: str) -> None:
    """Counts, durations, levels, duplicates and refused files of the whole data set."""
    index = data_set.index
    found = holdings(data_set, stamp)
    total_s = sum(each.duration_s for each in found.traits)
    figures = {"Clips": f"{len(index.clips):,}", "Machine ids": f"{len(index.machine_ids)}"}
    figures |= {"Sound in all": seconds_text(total_s), "Duplicates": f"{len(found.duplicates)}"}
    for column, (name, text) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(name, text)
    rows = [
        {"Id": display_name(machine_id), "Split": split, **{label.capitalize(): counts[label] for label in LABELS}}
        for machine_id, splits in index.counts().items()
        for split, counts in splits.items()
    ]
    st.subheader("Clips by id, split and label")
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", alt="Counts of clips by id, split and label")
    if found.traits:
        _distributions(found.clips, [each.level_dbfs for each in found.traits], [t.duration_s for t in found.traits])
    _list("Clips with the same bytes", [" = ".join(map(display_name, paths)) for paths in found.duplicates])
    refused_files(found.refused)


def _distributions(clips: Sequence[Clip], levels_dbfs: Sequence[float], durations_s: Sequence[float]) -> None:
    labels = [label for label in LABELS if any(clip.label == label for clip in clips)]
    colours = [LABEL_COLOURS[label] for label in labels]

    def by_label(values: Sequence[float]) -> dict[str, list[float]]:
        return {
            label: [value for clip, value in zip(clips, values, strict=True) if clip.label == label] for label in labels
        }

    left, right = st.columns(2)
    left.subheader("Level")
    left.altair_chart(
        histogram(by_label(levels_dbfs), colours, x_title="RMS level (dBFS)"),
        width="stretch",
        alt=f"Levels of {len(clips)} clips, {min(levels_dbfs):.1f} to {max(levels_dbfs):.1f} dBFS",
    )
    right.subheader("Duration")
    if max(durations_s) - min(durations_s) < 0.001:
        right.markdown(f"Every clip lasts **{durations_s[0]:.2f} s**.")
    else:
        right.altair_chart(
            histogram(by_label(durations_s), colours, x_title="Duration (s)"),
            width="stretch",
            alt=f"Durations of {len(clips)} clips, {min(durations_s):.2f} to {max(durations_s):.2f} s",
        )


def _list(title: str, lines: Sequence[str], *, most: int = 50) -> None:
    st.subheader(title)
    if not lines:
        st.caption("None.")
        return
    st.text("\n".join(lines[:most]))
    if len(lines) > most:
        st.caption(f"and {len(lines) - most} more")


def clips_not_at_hand(artifacts: dict[str, Artifact]) -> None:
    """Say that the sound is not available, and what is known of it from the detectors."""
    with st.container(border=True):
        st.markdown("#### :material/folder_off: The clips of this data set are not at hand")
        st.markdown(
            "The detectors are here, the recordings are not: only their digests, scores and labels were kept. "
            "The other pages work; here is what is known of the clips."
        )
        rows = [
            {
                "Detector": artifact.title,
                "Ids": ", ".join(map(display_name, artifact.manifest.data.ids)),
                "Learned from": len(artifact.manifest.data.fitted_digests),
                "Calibrated on": artifact.manifest.calibration.n,
                "Test, normal": sum(clip.label == "normal" for clip in artifact.scores.of("test").clips),
                "Test, anomalous": sum(clip.label == "anomalous" for clip in artifact.scores.of("test").clips),
            }
            for artifact in artifacts.values()
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", alt="Numbers of clips each detector knows")
        st.page_link("pages/check.py", label="Check a clip of your own instead", icon=":material/hearing:")
