"""Which frequency bands are strange, and which ones a detector's score comes from: occlusion band by band."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.detectors.occlusion import band_edges_hz, score_without_band
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    NEUTRAL_COLOUR,
    Line,
    band_figure,
    lines_chart,
    spec_of,
)
from asd_core.types import FloatArray, Waveform
from pages.parts.check.stepwise import Step, stepwise
from pages.parts.check.what_if import DASHES
from pages.shared.cache import Heard, detector
from pages.shared.cards import DETECTOR_MARKS, in_columns
from pages.shared.listening import frequency_text, spreads_text
from pages.shared.plain_text import plain

USUAL_SPREADS = 2.0
"""Of 20 normal clips about one lies further out in a given band."""
N_BANDS = 16


def strange_bands(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> None:
    """Show each network's error spectrum of the clip, in normal spreads of each band; nothing for other detectors."""
    found = {name: spectrum for name in heard if (spectrum := _strangeness(artifacts[name], heard[name])) is not None}
    if not found:
        return
    st.subheader("Which bands are strange")
    hz = mel_band_centres_hz()
    usual = np.full(len(hz), USUAL_SPREADS)
    normal = Line("normal clips, most of the time", np.zeros(len(hz)), NEUTRAL_COLOUR, (2, 4), -usual, usual)
    lines = [
        Line(artifacts[name].title, spectrum, DETECTOR_COLOURS[name], DASHES.get(DETECTOR_DASHES[name]))
        for name, spectrum in found.items()
    ]
    texts = [f"{artifacts[name].title}: {strangest_band(spectrum)}" for name, spectrum in found.items()]
    chart = lines_chart(
        hz,
        [normal, *lines],
        x_title="Centre of the mel band (Hz)",
        y_title="Normal spreads",
        log_x=True,
        symlog_y=True,
        height_px=300,
    )
    st.vega_lite_chart(
        spec=spec_of(chart), width="stretch", alt="Error of the whole clip in each band. " + ". ".join(texts)
    )
    st.caption(
        f"{plain('. '.join(texts))}. Each network's error in a band, as the mean over the whole clip, beside those of "
        "normal clips: one normal spread is the standard deviation from one normal clip to the next in that band. "
        "Below 0 the network foresees this clip better than a usual normal one."
    )


def _strangeness(artifact: Artifact, heard: Heard) -> FloatArray | None:
    trained = detector(artifact)
    if not isinstance(trained, NetworkDetector) or trained.normal_errors is None:
        return None
    return trained.band_strangeness(heard.anomaly_map)


def strangest_band(spreads: FloatArray) -> str:
    """Say which band is the strangest: `9.3 normal spreads above what is normal there, near 2.1 kHz`."""
    band = int(spreads.argmax())
    return f"{spreads_text(float(spreads[band]))}, near {frequency_text(float(mel_band_centres_hz()[band]))}"


def bands_that_matter(waveform: Waveform, artifacts: Mapping[str, Artifact]) -> None:
    """Show how much each detector's score falls when one band after the other is brought down to its usual level."""
    st.subheader("Which frequencies matter")
    st.caption(
        "A long bar: without what is unusual in that band the clip would score so much lower. A sound that is missing "
        "cannot be explained this way."
    )
    steps = {name: _steps(artifact, waveform) for name, artifact in artifacts.items()}
    work = ("bands", waveform.digest, *(artifact.version for artifact in artifacts.values()))
    computing = stepwise(work, [step for own in steps.values() for step in own])
    for column, (name, artifact) in in_columns(list(artifacts.items())):
        with column:
            st.markdown(f"{DETECTOR_MARKS[name]} {plain(artifact.title)}")
            whole, *without = computing.take(steps[name])
            _falls(name, whole, without)
    computing.end()


def _falls(name: str, whole: float | None, without: Sequence[float | None]) -> None:
    if whole is None or all(score is None for score in without):
        st.caption("Not computed yet.")
        return
    falls = np.array([np.nan if score is None else whole - score for score in without], dtype=np.float64)
    edges_hz = band_edges_hz(len(without))
    figure = band_figure(edges_hz, falls, colour=DETECTOR_COLOURS[name])
    at = int(np.nanargmax(falls))
    alt = f"Fall of the score without each band, most for {edges_hz[at]:.0f} to {edges_hz[at + 1]:.0f} Hz"
    st.plotly_chart(figure, key=f"bands:{name}", width="stretch", alt=alt)


def _steps(artifact: Artifact, waveform: Waveform) -> list[Step]:
    """The clip's score, then its score without each band."""
    key, sounds = ("bands", os.fsencode(artifact.folder), artifact.digest, waveform.digest), (waveform.digest,)

    def without(band: int) -> Callable[[], float]:
        return lambda: score_without_band(detector(artifact), waveform, band, n_bands=N_BANDS)

    bands = [Step((*key, band), without(band), sounds) for band in range(N_BANDS)]
    return [Step(key, lambda: detector(artifact).anomaly_score(waveform), sounds), *bands]
