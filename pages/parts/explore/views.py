"""The views of the explore page: clips to see and hear, mean spectra of the labels, the whole data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.clips import LABELS, Clip
from asd_core.data.data_set import DataSet
from asd_core.features.spectra import mean_spectrum_hz
from asd_core.formats import display_name, seconds_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
    Line,
    histogram,
    lines_chart,
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
    opened_clips,
    pick,
)
from pages.parts.explore.pictures import (
    PARTS,
    PICTURES,
    PITCH,
    RHYTHM,
    SPECTROGRAM,
    Picture,
    PictureSettings,
    drawn,
    part_pictures,
    picture_settings,
    spectrogram_picture,
)
from pages.shared.choices import choose, switch
from pages.shared.components.lanes import LETTERS, Lane, lanes_player
from pages.shared.components.player import ColourScale
from pages.shared.frame import first_screen
from pages.shared.plain_text import plain, shown_text
from pages.shared.refusals import refused_files
from pages.shared.sources import clip_title

LABEL_COLOURS = {"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR, "unlabelled": NEUTRAL_COLOUR}
CLIP_DASHES = (None, (6, 3), (2, 2), (8, 3))
LEVEL_TITLE = "Level (dB)"
LANE_PX = {1: 260, 2: 136, 3: 96, 4: 84}
"""Height of each picture: together they fit on a screen."""
PART_TITLES = {"hum": "The hum: what lasts", "knocks": "The knocks: what strikes"}
_KEYS = "Waveforms: full scale is 1. The keys A, B, … choose which one is heard; ? lists all keys."
MEANINGS = {
    SPECTROGRAM: "Spectrograms: {settings}, the same for every clip.",
    PARTS: "What lasts and what strikes, by median filters; together they are the whole. Spectrograms: {settings}.",
    RHYTHM: "How strongly onsets repeat at each tempo within 6 s: half and a third of a tempo light up as well.",
    PITCH: "Constant-Q: 24 bins per octave from 55 Hz, levels in dB re a full-scale sine.",
}


def listen_view(data_set: DataSet, stamp: str) -> None:
    """Pick clips; see all of them on one playhead, hear one at a time, and compare their mean spectra."""
    with first_screen():
        stage = st.container()
    st.subheader("Clips of this data set")
    clips, channel = filtered(data_set, stamp), data_set.index.channel
    if not clips:
        st.info(
            "No clip is like this: set a filter back to 'all', or search for less.", icon=":material/filter_alt_off:"
        )
        return
    st.caption(f"{len(clips)} of {len(data_set.index.clips)} clips. Tick up to four to see and hear them side by side.")
    picked = pick(data_set, clips, stamp)
    if not picked:
        stage.info("Tick a clip in the table to see and hear it.", icon=":material/touch_app:")
        return
    settings = picture_settings()
    opened, refused = opened_clips(picked, channel)
    with stage:
        if opened:
            _player(opened, settings)
            st.caption(plain(" · ".join(facts_text(data_set, stamp, clip) for clip in opened)))
        refused_files(refused)
    if opened:
        _mean_spectra(list(opened), channel)


def _player(opened: Mapping[Clip, Waveform], settings: PictureSettings) -> None:
    """Draw the clips, or the parts of one of them, as lanes under one playhead."""
    kind = switch("Picture", PICTURES, key="picture", label_visibility="collapsed")
    lanes, scale = _parts_of_one(opened, settings) if kind == PARTS else _one_lane_each(opened, kind, settings)
    peak = max(float(np.abs(waveform.samples).max(initial=0.0)) for waveform in opened.values())
    height = LANE_PX.get(len(lanes), min(LANE_PX.values()))
    lanes_player(lanes, scale=scale, peak=peak, height_px=height, key="explore_player")
    st.caption(f"{MEANINGS[kind].format(settings=settings.text)} {_KEYS}")


def _one_lane_each(
    opened: Mapping[Clip, Waveform], kind: str, settings: PictureSettings
) -> tuple[list[Lane], ColourScale]:
    lanes = []
    for letter, (clip, waveform) in zip(LETTERS, opened.items(), strict=False):
        picture, scale = drawn(kind, waveform, settings)
        title = clip_title(clip)
        lanes.append(_lane(title, f"{letter} {clip.label}", waveform.samples, picture, clip.label))
    return lanes, scale


def _parts_of_one(opened: Mapping[Clip, Waveform], settings: PictureSettings) -> tuple[list[Lane], ColourScale]:
    """The whole clip, its hum and its knocks."""
    titles = {shown_text(clip.relative): clip_title(clip) for clip in opened}
    by_name = {shown_text(clip.relative): clip for clip in opened}
    name = (
        choose("Clip", titles, key="part_of", label_visibility="collapsed") if len(titles) > 1 else next(iter(titles))
    )
    clip = by_name[name]
    waveform = opened[clip]
    title = clip_title(clip)
    lanes = [_lane(title, "the whole", waveform.samples, spectrogram_picture(waveform, settings), clip.label)]
    for part, heard in part_pictures(waveform, settings).items():
        lanes.append(_lane(PART_TITLES[part], f"the {part}", heard.samples, heard.picture, clip.label))
    return lanes, settings.colours


def _lane(title: str, short: str, samples: np.ndarray, picture: Picture, label: str) -> Lane:
    return Lane(
        title=title,
        short=short,
        wav=encode_wav(samples),
        duration_s=len(samples) / SR,
        png=picture.png,
        alt=f"{picture.what} of {title}, {picture.axis}; time to the right, brighter is more",
        y_ticks=picture.ticks,
        span_s=picture.span_s,
        colour=LABEL_COLOURS[label],
        note=picture.note,
    )


def _mean_spectra(clips: Sequence[Clip], channel: int | None) -> None:
    st.subheader("Mean spectrum of these clips")
    lines = [
        Line(f"{letter}  {clip_title(clip)}", clip_spectrum(clip, channel), LABEL_COLOURS[clip.label], dash)
        for letter, dash, clip in zip(LETTERS, CLIP_DASHES, clips, strict=False)
    ]
    _spectra_chart(lines, alt=f"Mean spectra of {len(clips)} clips")


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
