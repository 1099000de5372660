"""Many clips at once: one table of verdicts to download, with the reasons for refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.errors import AudioError
from asd_core.tasks.score import ScoreRow, format_score_csv, score_waveform
from asd_core.types import Waveform
from pages.parts.check.uploads import Upload
from pages.shared.cache import detector
from pages.shared.choices import pick_row
from pages.shared.downloads import csv_download
from pages.shared.keys import HASHES
from pages.shared.refusals import refused_files
from pages.shared.verdicts import NO_VERDICT

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
    picked = pick_row(_table(good, rows, artifacts), n_rows=len(good), key=f"batch:{len(good)}")
    sound = good[picked].sound
    return (sound, good[picked].name) if isinstance(sound, Waveform) else (None, "")


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


def _table(good: Sequence[Upload], rows: Sequence[ScoreRow], artifacts: Mapping[str, Artifact]) -> pd.DataFrame:
    scored = [row for row in rows if row.status != "refused"]
    table = {"File": [upload.name for upload in good]}
    for name, artifact in artifacts.items():
        own = [row for row in scored if row.model == name]
        table[artifact.title] = [f"{row.verdict or NO_VERDICT} ({row.anomaly_score:.4g})" for row in own]
    return pd.DataFrame(table)
