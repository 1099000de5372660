"""The clips of a data set on the explore page: its index, filters, the table to pick from, and surveys.

Surveys read many clips: the first session that needs one computes it behind a progress bar, and all share it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.data.clips import Clip, file_digest
from asd_core.data.data_set import DataSet
from asd_core.data.library import find_machine
from asd_core.data.names import ClipNames, known_time, read_names, recorded_time
from asd_core.data.recordings import name_order
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.features.familiarity import ClipTraits, traits
from asd_core.features.spectra import SpectrumSpread, mean_spectrum, spectrum_spread
from asd_core.formats import display_name
from asd_core.types import FloatArray, Waveform
from pages.parts.explore.thumbnails import PAGE_CLIPS, WIDTH_PX, thumbnails
from pages.shared.choices import choose, keep
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root, indexed, tree_stamp
from pages.shared.keys import HASHES, ClipFile, StampedSet, kept, once
from pages.shared.paging import page_start
from pages.shared.plain_text import shown_text
from pages.shared.sources import clip as cached_clip
from pages.shared.sources import shown_name

MOST_CLIPS = 4
SAMPLE_PER_LABEL = 40
ROW_PX = 38
THUMBNAIL = "Log-mel spectrogram, 0 to 8 kHz upwards, -75 to -5 dB: one scale for all clips."
ALL = "all"
SEED = 0


@dataclass(frozen=True)
class Holdings:
    """What was learned from reading every clip of a data set.

    Parameters
    ----------
    clips, traits, digests
        The readable clips; all of one length.
    refused
        `AudioError.entry` of each other clip.
    """

    clips: tuple[Clip, ...]
    traits: tuple[ClipTraits, ...]
    digests: tuple[str, ...]
    refused: tuple[Mapping[str, str], ...]

    @property
    def duplicates(self) -> list[list[str]]:
        """Groups of clips with the same bytes, by their names."""
        groups: dict[str, list[str]] = {}
        for clip, digest in zip(self.clips, self.digests, strict=True):
            groups.setdefault(digest, []).append(clip.shown)
        return [paths for paths in groups.values() if len(paths) > 1]


def data_set_of(chosen: Chosen) -> tuple[DataSet, str] | None:
    """Index the machine's clips, with a stamp that changes when files come or go; None where they are not available."""
    found = find_machine(chosen.data_set, chosen.machine)
    with st.container():  # keeps later elements in place, whether or not clips are generated first
        root = clips_root(chosen)
        if found is None or root is None:
            return None
        return indexed(*found), tree_stamp(root)


def load(clip: Clip, channel: int | None) -> Waveform:
    """Read a clip by its data set's channel; it is kept in memory under the digest of its bytes."""
    return cached_clip(_file(clip, channel))


def opened_clips(
    clips: Sequence[Clip], channel: int | None
) -> tuple[dict[Clip, Waveform], tuple[Mapping[str, str], ...]]:
    """Read clips; return the sounds, and `AudioError.entry` of each clip that cannot be read."""
    opened: dict[Clip, Waveform] = {}
    refused: list[Mapping[str, str]] = []
    for clip in clips:
        try:
            opened[clip] = load(clip, channel)
        except AudioError as error:
            refused.append(error.entry(clip.shown))
    return opened, tuple(refused)


def _file(clip: Clip, channel: int | None) -> ClipFile:
    """The clip's file by the digest of its bytes; a stretch, whose file may be large, by its time of change."""
    if clip.span is None:
        return ClipFile(str(clip.path), file_digest(clip.path), channel)
    status = clip.path.stat()
    return ClipFile(str(clip.path), f"{status.st_size} bytes, {status.st_mtime_ns} ns", channel, clip.span)


def filtered(data_set: DataSet, stamp: str) -> tuple[Clip, ...]:
    """Let the user narrow the clips down by id, split, label, kind, and a part of their names or times.

    Test clips come first, normal and anomalous ones alternating, so that clips to compare are next to each other.
    """
    clips = data_set.index.clips
    wanted: dict[str, str] = {}
    fields = {"id": "machine_id", "split": "split", "label": "label", "kind": "kind"}
    for column, (name, field) in zip(st.columns(len(fields)), fields.items(), strict=True):
        values = sorted({value for clip in clips if (value := getattr(clip, field))})
        key = f"only_{name}"
        wanted[field] = choose(name.capitalize(), [ALL, *values], key=key, place=column, format_func=display_name)
    keep("only_name")
    text = st.text_input(
        "Find clips by a part of their name, folder or time",
        key="only_name",
        persist_state="session",
        max_chars=100,
        placeholder="2024-05-01",
    )
    return _filtered(StampedSet(data_set, stamp), tuple(wanted.items()), text.lower())


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _filtered(stamped: StampedSet, wanted: tuple[tuple[str, str], ...], text: str) -> tuple[Clip, ...]:
    clips = [c for c in stamped.data_set.index.clips if all(v in (ALL, getattr(c, field)) for field, v in wanted)]
    if text:
        names = noted_names(stamped)
        clips = [c for c in clips if text in f"{c.shown} {_time_text(c, names)}".lower()]
    return tuple(_in_turn(sorted(clips, key=name_order)))


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=HASHES)
def noted_names(stamped: StampedSet) -> ClipNames:
    """Return what the owners of stored clips call them, and when those were recorded."""
    return read_names(stamped.data_set.index.root)


def _time_text(clip: Clip, names: ClipNames) -> str:
    """Write when a clip was recorded; empty where that is not known without opening it."""
    found = known_time(clip, names)
    if found is None:
        return ""
    return f"{found.written} (uploaded)" if found.source == "upload" else found.written


def facts_text(data_set: DataSet, stamp: str, clip: Clip) -> str:
    """Say which clip this is, when it was recorded and how that is known; opens the clip where it must."""
    recorded = recorded_time(clip, noted_names(StampedSet(data_set, stamp)))
    return shown_name(clip) if recorded is None else f"{shown_name(clip)} · {recorded.text}"


def _in_turn(clips: Sequence[Clip]) -> list[Clip]:
    seen: Counter[tuple[str, str, str]] = Counter()
    places = []
    for clip in clips:
        group = (clip.split, clip.machine_id, clip.label)
        places.append((clip.split != "test", clip.machine_id, seen[group], clip.label != "normal"))
        seen[group] += 1
    return [clips[row] for row in sorted(range(len(clips)), key=places.__getitem__)]


def pick(data_set: DataSet, clips: Sequence[Clip], stamp: str) -> list[Clip]:
    """Let the user tick up to four clips in a table; the URL names those that are ticked."""
    clips = _page_of(clips)
    rows = _ticked(data_set, clips, stamp)
    if len(rows) > MOST_CLIPS:
        st.caption(f"{len(rows)} clips are ticked: the first {MOST_CLIPS} are shown.")
    picked = [clips[row] for row in rows[:MOST_CLIPS] if row < len(clips)]
    names = [shown_text(clip.relative) for clip in picked]
    if st.query_params.get_all("clips") != names:
        st.query_params["clips"] = names
    st.session_state["explored"] = names
    return sorted(picked, key=lambda clip: clip.label != "normal")


def _page_of(clips: Sequence[Clip]) -> Sequence[Clip]:
    """Return the clips of the table's page: at first the one with the requested clips."""
    requested = _requested()
    if len(clips) > PAGE_CLIPS and "explore_page" not in st.session_state and requested:
        at = next((row for row, clip in enumerate(clips) if shown_text(clip.relative) in requested), 0)
        st.session_state["explore_page"] = at // PAGE_CLIPS + 1
    keep("explore_page")
    start = page_start(len(clips), key="explore_page", page_rows=PAGE_CLIPS)
    return clips[start : start + PAGE_CLIPS]


def _requested() -> list[str]:
    """Relative paths, as in the URL, of the clips that an earlier visit or else the URL names."""
    names: list[str] = st.session_state.get("explored") or st.query_params.get_all("clips")
    return names


def _ticked(data_set: DataSet, clips: Sequence[Clip], stamp: str) -> list[int]:
    """Draw the table; return the rows that are ticked, in order."""
    names = noted_names(StampedSet(data_set, stamp))
    page = _digest([stamp, *(clip.relative for clip in clips)])
    columns = {
        "Sound": thumbnails(clips, data_set.index.channel, key=page),
        "Clip": [shown_name(clip) for clip in clips],
        "Id": [display_name(clip.machine_id) for clip in clips],
        "Split": [clip.split for clip in clips],
        "Label": [clip.label for clip in clips],
        "Kind": [display_name(clip.kind or "") for clip in clips],
        "Recorded": [_time_text(clip, names) for clip in clips],
    }
    if not any(columns["Recorded"]):
        del columns["Recorded"]
    table = pd.DataFrame(columns)
    key = f"explore:{page}"
    start = st.session_state.setdefault(f"{key}:start", _start_rows(clips))
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=min(38 + ROW_PX * len(clips), 38 + 6 * ROW_PX),
        row_height=ROW_PX,
        column_config={"Sound": st.column_config.ImageColumn("Sound", width=WIDTH_PX + 24, help=THUMBNAIL)},
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": start}},
        key=key,
        alt=f"Table of {len(clips)} clips: tick up to {MOST_CLIPS}",
    )
    return sorted(event.selection.rows)


def _start_rows(clips: Sequence[Clip]) -> list[int]:
    """Rows ticked at first: those named by an earlier visit or the URL, else a normal and an anomalous clip."""
    names = _requested()
    rows = [row for row, clip in enumerate(clips) if shown_text(clip.relative) in names][:MOST_CLIPS]
    if rows or not clips:
        return rows
    test_first = sorted(range(len(clips)), key=lambda row: clips[row].split != "test")
    first = {clips[row].label: row for row in reversed(test_first)}
    pair = [first[label] for label in ("normal", "anomalous") if label in first]
    return sorted(pair) or [test_first[0]]


def holdings(data_set: DataSet, stamp: str) -> Holdings:
    """Read every clip once and measure it."""
    with st.container():  # keeps later elements in place, with or without a progress bar
        return once(("holdings", stamp), lambda: _read_all(data_set.index.clips, data_set.index.channel))


def _read_all(clips: Sequence[Clip], channel: int | None) -> Holdings:
    good: list[tuple[Clip, ClipTraits, str]] = []
    refused: list[Mapping[str, str]] = []
    for clip in _with_progress(clips, "Reading every clip, once"):
        try:
            waveform = read_clip(clip.path, channel=channel, span=clip.span)
        except AudioError as error:
            refused.append(error.entry(clip.shown))
            continue
        good.append((clip, traits(waveform), waveform.digest))
    columns = zip(*good, strict=True) if good else ((), (), ())
    kept, measured, digests = (tuple(column) for column in columns)
    return Holdings(kept, measured, digests, tuple(refused))


def label_spectra(clips: Sequence[Clip], channel: int | None, stamp: str) -> dict[str, SpectrumSpread]:
    """Mean spectrum of a seeded sample of each label's clips, with its 10th to 90th percentile."""
    key = _digest([stamp, *(clip.relative for clip in clips)])
    with st.container():
        return once(("spectra", key), lambda: _spectra_of_labels(clips, channel))


def _spectra_of_labels(clips: Sequence[Clip], channel: int | None) -> dict[str, SpectrumSpread]:
    sample = [
        clip
        for label in sorted({clip.label for clip in clips}, key=lambda label: label != "normal")
        for clip in _sampled([clip for clip in clips if clip.label == label])
    ]
    spectra: dict[str, list[FloatArray]] = {}
    for clip in _with_progress(sample, "Computing mean spectra, once"):
        try:
            spectra.setdefault(clip.label, []).append(clip_spectrum(clip, channel))
        except AudioError:
            continue
    return {label: spectrum_spread(np.stack(rows)) for label, rows in spectra.items()}


def _sampled(clips: Sequence[Clip]) -> list[Clip]:
    if len(clips) <= SAMPLE_PER_LABEL:
        return list(clips)
    return random.Random(SEED).sample(clips, SAMPLE_PER_LABEL)  # noqa: S311 - a sample to look at, no secret


@kept()
def _spectrum(file: ClipFile) -> FloatArray:
    return mean_spectrum(read_clip(file.path, channel=file.channel, span=file.span).samples)


def clip_spectrum(clip: Clip, channel: int | None) -> FloatArray:
    """Mean spectrum of one clip, shape (512,), in dB."""
    return _spectrum(_file(clip, channel))


def _with_progress(clips: Sequence[Clip], text: str) -> Iterable[Clip]:
    bar = st.progress(0.0, f"{text} …")
    for done, clip in enumerate(clips):
        if done % 8 == 0:
            bar.progress(done / len(clips), f"{text} … {done} of {len(clips)}")
        yield clip
    bar.empty()


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:16]
