"""The report on a clip, made when the reader asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.reports.clip import Judged, clip_report
from asd_core.types import Waveform
from pages.parts.check.answer import answer_text, chips
from pages.parts.check.verdicts import odd_about
from pages.shared.cache import Heard
from pages.shared.plain_text import warning_text

SAID_BY_NAME = TRAINED_ON_SIMULATED
"""The report says so beside each detector's name."""


def report_download(
    artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], waveform: Waveform, *, title: str
) -> None:
    """Offer the report on a clip: one HTML file with its sound, pictures, scores, thresholds and versions."""

    def report() -> str:
        judged = [
            Judged(
                artifacts[name],
                each.anomaly_score,
                each.anomaly_map,
                [f"{text}: {meaning}" for text, meaning in chips(artifacts[name], waveform) if text != SAID_BY_NAME],
            )
            for name, each in heard.items()
        ]
        summary = f"{answer_text(artifacts, heard)}."
        notes = [warning_text(warning) for warning in odd_about(artifacts, waveform)]
        return clip_report(waveform, judged, title=title, summary=summary, notes=notes)

    st.download_button(
        "Report",
        report,
        file_name=f"report-{PurePath(title).stem or 'clip'}.html",
        mime="text/html",
        on_click="ignore",
        icon=":material/description:",
        help="One HTML file with the clip's sound, pictures, scores, thresholds and versions.",
    )
