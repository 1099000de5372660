"""The lessons on the two networks: what goes in, what comes out, and how the difference becomes one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.detectors.gru_autoencoder import GruAutoencoder
from asd_core.detectors.lstm_predictor import LstmPredictor
from asd_core.detectors.on_recurrent_networks import RecurrentDetector
from asd_core.features.log_mel import HOP_LENGTH, mel_band_centres_hz
from asd_core.formats import score_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    MAP_TIMES_THRESHOLD,
    NEUTRAL_COLOUR,
    Line,
    cells_picture,
    frequency_ticks,
    heatmap_png,
    lines_chart,
    palette_stops,
    spec_of,
)
from asd_core.types import SR, Float32Array, FloatArray, Waveform
from pages.parts.learn.pooling import from_errors_to_score, usual_error
from pages.shared.cache import detector, heard
from pages.shared.choices import choose_number
from pages.shared.components.player import ColourScale, Panel, synced_player
from pages.shared.frame import first_screen, fragment
from pages.shared.keys import kept

FRAME_MS = 1000 * HOP_LENGTH / SR
ONE_SCALE = "Both pictures on one scale, from 0 (the quietest level in training) to 1 (the loudest)."


@dataclass(frozen=True, eq=False)
class Steps:
    """What a network makes of a clip, step by step.

    Parameters
    ----------
    frames
        Shape (n_frames, 128): the clip as the network sees it.
    output, target
        Equal shapes (n_steps, ..., 128): what it gives and what it should give.
    errors
        Shape (n_steps,): mean squared difference of each step.
    times_s
        Shape (n_steps,).
    """

    frames: Float32Array
    output: Float32Array
    target: Float32Array
    errors: FloatArray
    times_s: FloatArray
    window: int
    stride: int


def _network(artifact: Artifact) -> RecurrentDetector:
    return cast(RecurrentDetector, detector(artifact))


@kept("Running the network …")
def _steps(artifact: Artifact, waveform: Waveform) -> Steps:
    trained = _network(artifact)
    if isinstance(trained, LstmPredictor):
        output, target = trained.predict_frames(waveform)
    elif isinstance(trained, GruAutoencoder):
        output, target = trained.rebuild_windows(waveform)
    squared = np.square(output - target, dtype=np.float64)
    errors = squared.reshape(len(squared), -1).mean(axis=1)
    times_s = heard(artifact, waveform).anomaly_map.times_s
    return Steps(trained.scaled_frames(waveform), output, target, errors, times_s, trained.window, trained.stride)


def lstm_lesson(artifact: Artifact, waveform: Waveform, title: str) -> None:
    """Show how ten frames predict the next, and how the errors are pooled to the score."""
    with st.container():  # keeps later elements in place, with or without a spinner
        steps = _steps(artifact, waveform)
    window = steps.window
    st.markdown(
        f"**The idea.** A healthy machine repeats itself. This network (an LSTM) has listened to normal sound only and "
        f"learned to predict, from {window} frames, one every {FRAME_MS:g} ms, what the next frame will sound like. "
        "What it cannot predict is strange."
    )
    st.markdown("##### 1 · The whole clip: actual and predicted")
    with first_screen():
        _clip_player(artifact, waveform, steps, title=title, made="Predicted", made_frames=steps.output)
    st.caption(ONE_SCALE)

    @fragment
    def one_prediction() -> None:
        _prediction(artifact, waveform, steps)

    one_prediction()


def _prediction(artifact: Artifact, waveform: Waveform, steps: Steps) -> None:
    """Show one prediction frame by frame, and its error among those of all predictions."""
    window = steps.window
    st.subheader(f"2 · One of the {len(steps.errors)} predictions")
    at = _which(artifact, steps, "Prediction")
    seen = [(f"{frame - window}", steps.frames[at * steps.stride + frame]) for frame in range(window)]
    columns = [*seen, (" ", None), ("predicted", steps.output[at]), ("  ", None), ("actual", steps.target[at])]
    left, right = st.columns(2)
    with left:
        st.caption(f"{window} frames go in; the network predicts the next one, beside the actual one.")
        _frames(columns, "Frame (counted back from the predicted one)", f"Frames of prediction {at + 1}")
    with right:
        st.caption("The two last columns as lines over frequency: predicted and actual.")
        _bands(artifact, {"actual": steps.target[at], "predicted": steps.output[at]})
    st.markdown(
        f"Prediction {at + 1} is for {steps.times_s[at]:.2f} s. In each of the 128 bands, take the difference of "
        f"the two lines and square it; the mean of these 128 squares is **{score_text(float(steps.errors[at]))}**."
    )
    from_errors_to_score(artifact, waveform, steps.errors, steps.times_s, at=at, what="predictions")


def gru_lesson(artifact: Artifact, waveform: Waveform, title: str) -> None:
    """Show how a window is squeezed and rebuilt, and how the errors are pooled to the score."""
    with st.container():  # keeps later elements in place, with or without a spinner
        steps = _steps(artifact, waveform)
    window = steps.window
    size = f"{_network(artifact).hidden:,}"
    st.markdown(
        f"**The idea.** This network (a GRU autoencoder) squeezes {window} frames, {window * 128:,} numbers, into a "
        f"vector of {size} and rebuilds them from it. It learned to do so for normal sound only; what it has never "
        "heard it rebuilds badly."
    )
    st.markdown("##### 1 · The whole clip: actual and rebuilt")
    middle = window // 2
    with first_screen():
        _clip_player(
            artifact,
            waveform,
            steps,
            title=title,
            made="Rebuilt (middle of each window)",
            made_frames=steps.output[:, middle],
        )
    st.caption(ONE_SCALE)

    @fragment
    def one_window() -> None:
        _window(artifact, waveform, steps)

    one_window()


def _window(artifact: Artifact, waveform: Waveform, steps: Steps) -> None:
    """Show one window before and after the network, and its error among those of all windows."""
    st.subheader(f"2 · One of the {len(steps.errors)} windows")
    at = _which(artifact, steps, "Window")
    squared = np.square(steps.output[at] - steps.target[at], dtype=np.float64)
    columns = st.columns(3)
    for column, words, values in zip(columns, ("goes in", "comes out"), (steps.target, steps.output), strict=False):
        with column:
            st.caption(f"What {words}")
            _frames(_numbered(values[at]), "Frame of the window", f"What {words}")
    with columns[2]:
        st.caption("Squared error: difference of the two, squared")
        _frames(
            _numbered(squared),
            "Frame of the window",
            "Squared error",
            high=max(MAP_TIMES_THRESHOLD * usual_error(artifact), float(np.quantile(squared, 0.9))),
            value_title="Squared error",
            palette="magma",
        )
    st.markdown(
        f"Window {at + 1} is centred at {steps.times_s[at]:.2f} s. The mean of its {squared.size:,} squared errors "
        f"is **{score_text(float(steps.errors[at]))}**."
    )
    from_errors_to_score(artifact, waveform, steps.errors, steps.times_s, at=at, what="windows")


def _numbered(frames: FloatArray | Float32Array) -> list[tuple[str, FloatArray | Float32Array | None]]:
    return [(f"{number}", frame) for number, frame in enumerate(frames, start=1)]


def _clip_player(
    artifact: Artifact, waveform: Waveform, steps: Steps, *, title: str, made: str, made_frames: Float32Array
) -> None:
    half = HOP_LENGTH / SR / 2
    made_span = (float(steps.times_s[0]) - half * steps.stride, float(steps.times_s[-1]) + half * steps.stride)
    whole_span = (-half, (len(steps.frames) - 0.5) * 2 * half)
    ticks = frequency_ticks(mel_band_centres_hz())
    panels = [
        Panel(
            label=label,
            png=heatmap_png(values, low=0.0, high=1.0),
            alt=f"{label}: scaled log-mel levels over time, frequency upwards, brighter is louder",
            y_ticks=ticks,
            height_px=82,
            span_s=span,
            scale=ColourScale(palette_stops("viridis"), "0", "1"),
        )
        for label, values, span in (("Actual", steps.frames, whole_span), (made, made_frames, made_span))
    ]
    synced_player(
        clip=f"{waveform.digest}{artifact.version}",
        title=title,
        wav=encode_wav(waveform.samples),
        duration_s=waveform.duration_s,
        panels=panels,
        key=f"learn_{artifact.detector_name}",
    )


def _which(artifact: Artifact, steps: Steps, label: str) -> int:
    """Let the user choose a step; a new clip starts at its strangest one. Returns its index from 0."""
    key = f"step_{artifact.detector_name}"
    shown = (str(artifact.folder), steps.errors.tobytes())
    if st.session_state.get(f"{key}_of", shown) != shown:
        st.session_state.pop(key, None)
        st.query_params.pop("step", None)
    st.session_state[f"{key}_of"] = shown
    strangest = int(steps.errors.argmax()) + 1
    words = "Starts at the strangest. The arrow keys move it."
    n_steps = len(steps.errors)
    return choose_number(st.slider, label, 1, n_steps, key=key, default=strangest, parameter="step", help=words) - 1


def _frames(
    columns: list[tuple[str, FloatArray | Float32Array | None]],
    x_title: str,
    alt: str,
    *,
    high: float = 1.0,
    value_title: str = "Scaled level",
    palette: str = "viridis",
) -> None:
    picture = cells_picture(
        columns,
        low=0.0,
        high=high,
        x_title=x_title,
        y_title="Mel band (centre)",
        value_title=value_title,
        palette=palette,
        y_ticks=frequency_ticks(mel_band_centres_hz()),
        height_px=440,
    )
    st.altair_chart(picture, width="stretch", alt=f"{alt}: columns are frames, rows are mel bands")


def _bands(artifact: Artifact, spectra: Mapping[str, Float32Array]) -> None:
    colours = {"actual": NEUTRAL_COLOUR, "predicted": DETECTOR_COLOURS[artifact.detector_name]}
    lines = [
        Line(name, values, colours[name], (5, 3) if name == "actual" else None) for name, values in spectra.items()
    ]
    hz = mel_band_centres_hz()
    chart = lines_chart(
        hz, lines, x_title="Centre of the mel band (Hz)", y_title="Scaled level", log_x=True, height_px=250
    )
    st.vega_lite_chart(spec=spec_of(chart), width="stretch", alt="Scaled level over mel bands: predicted and actual")
    squared = np.square(spectra["predicted"] - spectra["actual"], dtype=np.float64)
    line = Line("squared difference", squared, DETECTOR_COLOURS[artifact.detector_name])
    chart = lines_chart(
        hz,
        [line],
        x_title="Centre of the mel band (Hz)",
        y_title="Squared difference",
        log_x=True,
        zero=True,
        height_px=230,
    )
    st.vega_lite_chart(spec=spec_of(chart), width="stretch", alt="Squared difference of the two over mel bands")
