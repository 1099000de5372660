"""Many clips at once: one table of verdicts to download, with the reasons for refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.errors import AudioError
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.tasks.score import ScoreRow, format_score_csv, score_waveform
from asd_core.types import Waveform
from pages.parts.check.answer import place_of
from pages.parts.check.uploads import Upload
from pages.shared.cache import detector
from pages.shared.choices import pick_row
from pages.shared.downloads import csv_download
from pages.shared.keys import HASHES
from pages.shared.refusals import refused_files
from pages.shared.verdicts import NO_VERDICT

FILE, ALARMS, MEAN = "File", "Anomalous", "Mean"
MAX_ROWS = 1000
"""Rows kept per session: enough for its 50 files and all detectors."""


def chosen_upload(uploads: Sequence[Upload], artifacts: Mapping[str, Artifact]) -> tuple[Waveform | None, str]:
    """Return the one clip uploaded, or the one chosen among many; a single refused file raises its reason."""
    if len(uploads) > 1:
        return _choose_from_batch(uploads, artifacts)
    for upload in uploads:
        if isinstance(upload.sound, AudioError):
            raise upload.sound
        return upload.sound, upload.name
    return None, ""


def _choose_from_batch(uploads: Sequence[Upload], artifacts: Mapping[str, Artifact]) -> tuple[Waveform | None, str]:
    """Score every upload with every detector, show the table, and return the clip whose row is chosen."""
    rows = _rows(uploads, artifacts)
    first_rows = rows[:: len(artifacts)]
    good = [upload for upload, row in zip(uploads, first_rows, strict=True) if row.status != "refused"]
    refused = [_entry(upload, row) for upload, row in zip(uploads, first_rows, strict=True) if row.status == "refused"]
    st.markdown(f"**{len(good)} clips scored, {len(refused)} refused**")
    refused_files(refused)
    csv_download(lambda style: format_score_csv(rows, style=style), file_name="scores.csv")
    if not good:
        return None, ""
    table, order = batch_table(good, rows, artifacts)
    picked = pick_row(table, n_rows=len(good), key=f"batch:{len(good)}", column_config=_columns(artifacts))
    st.caption("Most anomalous first; click a row to open its clip, a heading to sort. Bars: 0.5 is the threshold.")
    upload = good[order[picked]]
    return (upload.sound, upload.name) if isinstance(upload.sound, Waveform) else (None, "")


def _entry(upload: Upload, row: ScoreRow) -> dict[str, str]:
    """Why a file was refused: by the reader, else by the detector."""
    sound = upload.sound
    return sound.entry(upload.name) if isinstance(sound, AudioError) else {"path": row.path, "reason": row.reason}


def _rows(uploads: Sequence[Upload], artifacts: Mapping[str, Artifact]) -> list[ScoreRow]:
    bar = st.progress(0.0, "Listening …")
    rows = []
    for number, upload in enumerate(uploads, start=1):
        rows += [_row(upload, artifact, name) for name, artifact in artifacts.items()]
        bar.progress(number / len(uploads), f"{number} of {len(uploads)} clips heard")
    bar.empty()
    return rows


@st.cache_data(
    max_entries=MAX_ROWS, show_spinner=False, scope="session", hash_funcs={**HASHES, Upload: lambda upload: upload.key}
)
def _row(upload: Upload, artifact: Artifact, model: str) -> ScoreRow:
    return score_waveform(upload.sound, artifact, detector(artifact), path=upload.name, model=model)


def batch_table(
    good: Sequence[Upload], rows: Sequence[ScoreRow], artifacts: Mapping[str, Artifact]
) -> tuple[pd.DataFrame, list[int]]:
    """Bring the verdicts on many clips into a table, the most anomalous first.

    Returns
    -------
    table
        A row per clip: name, how many detectors call it anomalous, mean place on the common scale, then place and
        verdict of each detector.
    order
        Which of `good` each row is about.
    """
    scored = [row for row in rows if row.status != "refused"]
    columns: dict[str, list[Any]] = {FILE: [upload.name for upload in good]}
    places, alarms = [], np.zeros(len(good), dtype=np.int64)
    for name, artifact in artifacts.items():
        own = [row for row in scored if row.model == name]
        place = [place_of(artifact, row.anomaly_score) for row in own]
        columns[_bar(name)] = place
        columns[_word(name)] = [row.verdict or NO_VERDICT for row in own]
        places.append([np.nan if each is None else each for each in place])
        alarms += np.array([row.verdict == "anomalous" for row in own], dtype=np.int64)
    known = np.ma.masked_invalid(np.array(places, dtype=np.float64))
    means = known.mean(axis=0).filled(np.nan)
    order = [int(at) for at in np.argsort(np.nan_to_num(-means, nan=np.inf), kind="stable")]
    table = pd.DataFrame(columns)
    table.insert(1, ALARMS, [f"{n} of {len(artifacts)}" for n in alarms])
    table.insert(2, MEAN, means)
    return table.iloc[order].reset_index(drop=True), order


def _bar(name: str) -> str:
    return DETECTOR_SHORT_NAMES[name]


def _word(name: str) -> str:
    return f"{DETECTOR_SHORT_NAMES[name]} says"


def _columns(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Draw places on the common scale as bars."""
    bars = {
        title: st.column_config.ProgressColumn(title, min_value=0.0, max_value=1.0, format="%.2f", width="small")
        for title in (MEAN, *map(_bar, artifacts))
    }
    return {FILE: st.column_config.TextColumn(FILE, pinned=True), **bars}
