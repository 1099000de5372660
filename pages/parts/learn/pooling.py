"""The lessons' last step: how a network's errors over time and frequency become one score, and a verdict."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.detectors.error_spectrum import share_of_largest
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.formats import score_text, share_text
from asd_core.reports.plots import DETECTOR_COLOURS, NEUTRAL_COLOUR, Line, lines_chart
from asd_core.types import FloatArray, Waveform
from pages.shared.cache import detector, heard
from pages.shared.cards import promise_text, threshold_origin
from pages.shared.listening import frequency_text
from pages.shared.verdicts import verdict_word

POOLED = {
    "mean": "mean",
    "std": "standard deviation",
    "max": "largest",
    "gwrp": "rank-weighted mean",
    "mahalanobis": "distance of the error spectrum",
}
LOUDEST_BANDS = 13
"""A tenth of the 128 bands."""
USUAL_SPREADS = 2.0


def network(artifact: Artifact) -> NetworkDetector[Any]:
    """Load the network of a version."""
    return cast(NetworkDetector[Any], detector(artifact))


def usual_error(artifact: Artifact) -> float:
    """Error that is usual for normal clips, for the scale of pictures: their mean, or the threshold on a mean."""
    normal = network(artifact).normal_errors
    return (artifact.threshold.value or 0.0) if normal is None else float(normal.mean.mean())


def from_errors_to_score(
    artifact: Artifact, waveform: Waveform, errors: FloatArray, times_s: FloatArray, *, at: int, what: str
) -> None:
    """Show both ways from a map of errors to one number, and the verdict by the detector's own.

    Parameters
    ----------
    errors, times_s
        Shape (n_steps,): mean squared error of each step over the bands, and its time.
    at
        The step that the reader chose.
    """
    trained, score = network(artifact), heard(artifact, waveform).anomaly_score
    st.subheader(f"3 · {len(errors)} x 128 errors, one number")
    own = "mean" if trained.pooling != "mahalanobis" else trained.pooling
    st.markdown(
        f"Each of the {len(errors)} {what} leaves one error per band. Two ways lead from them to a single score; this "
        f"detector takes the **{'second' if own == 'mahalanobis' else 'first'}**."
    )
    over_time, over_bands = st.columns(2)
    with over_time:
        _over_time(artifact, errors, times_s, score, at=at, what=what)
    with over_bands:
        _over_bands(artifact, waveform)
    _why_not_the_mean(artifact, waveform)
    pooled = POOLED[trained.pooling]
    label = f"{pooled.capitalize()} of {len(errors)} errors = score" if own == "mean" else "Distance = score"
    verdict(artifact, score, label)


def _over_time(
    artifact: Artifact, errors: FloatArray, times_s: FloatArray, score: float, *, at: int, what: str
) -> None:
    """Show the errors over time and what their pooling over time gives."""
    pooling, threshold = network(artifact).pooling, artifact.threshold.value
    is_own = pooling != "mahalanobis"
    pooled = POOLED[pooling] if is_own else POOLED["mean"]
    value = score if is_own else float(errors.mean())
    st.markdown("**First way: the mean (the report).** First over the bands, then over time.")
    rules = {f"{pooled} = score" if is_own else "mean": value}
    rules |= {} if threshold is None or not is_own else {"threshold": threshold}
    chart = lines_chart(
        times_s,
        [Line(f"error of each of the {len(errors)} {what}", errors, DETECTOR_COLOURS[artifact.detector_name])],
        x_title="Time in the clip (s)",
        y_title="Mean squared error",
        zero=True,
        rules=rules,
        marked_x=float(times_s[at]),
    )
    said = f"the score {score_text(value)}, the threshold is {score_text(threshold)}" if is_own else score_text(value)
    st.altair_chart(chart, width="stretch", alt=f"Errors of {len(errors)} {what} over time; their {pooled} is {said}")
    st.caption(f"The {pooled} of these {len(errors)} errors is **{score_text(value)}**.")


def _over_bands(artifact: Artifact, waveform: Waveform) -> None:
    """Show the error spectrum in normal spreads, and its distance from those of normal clips."""
    trained = network(artifact)
    normal = trained.normal_errors
    st.markdown("**Second way: the error spectrum.** First over time, then its distance from those of normal clips.")
    if normal is None:
        st.info(
            "This version was trained before error spectra were kept with a network: train it again to see this.",
            icon=":material/history:",
        )
        return
    spectrum = trained.error_spectrum(heard(artifact, waveform).anomaly_map)
    spreads, hz = normal.strangeness(spectrum), mel_band_centres_hz()
    usual = np.full(len(hz), USUAL_SPREADS)
    chart = lines_chart(
        hz,
        [
            Line("normal clips, most of the time", np.zeros(len(hz)), NEUTRAL_COLOUR, (2, 4), -usual, usual),
            Line("this clip", spreads, DETECTOR_COLOURS[artifact.detector_name]),
        ],
        x_title="Centre of the mel band (Hz)",
        y_title="Normal spreads",
        log_x=True,
        symlog_y=True,
    )
    distance = normal.distance(spectrum)
    strangest = int(spreads.argmax())
    st.altair_chart(
        chart,
        width="stretch",
        alt=f"Error of each band in normal spreads; the strangest is {spreads[strangest]:.1f} at "
        f"{frequency_text(float(hz[strangest]))}; the distance is {score_text(distance)}",
    )
    st.caption(f"The Mahalanobis distance of this spectrum is **{score_text(distance)}**; about 1 for a normal clip.")


def _why_not_the_mean(artifact: Artifact, waveform: Waveform) -> None:
    """Say, in this clip's numbers, what rules the mean and what the distance, where errors of normal clips are kept."""
    trained = network(artifact)
    normal = trained.normal_errors
    if normal is None:
        return
    spectrum = trained.error_spectrum(heard(artifact, waveform).anomaly_map)
    spreads = normal.strangeness(spectrum)
    strangest = int(spreads.argmax())
    of_normal = share_text(share_of_largest(normal.mean, LOUDEST_BANDS))
    of_clip = share_text(float(spectrum[strangest] / spectrum.sum()))
    st.markdown(
        "**Why two?** In the mean a band counts by the size of its error, and errors are large where a machine is loud "
        f"and noisy, whether it is well or not: in normal clips the {LOUDEST_BANDS} bands with the largest errors, a "
        f"tenth of all, have {of_normal} of the sum. The strangest band of this clip, near "
        f"{frequency_text(float(mel_band_centres_hz()[strangest]))}, is {spreads[strangest]:.1f} normal spreads above "
        f"what is normal there, and has {of_clip} of the sum. The distance counts each band, and each combination of "
        "bands, by how much it varies from one normal clip to the next."
    )


def verdict(artifact: Artifact, score: float, label: str) -> None:
    """Show score, threshold and verdict."""
    threshold = artifact.threshold.value
    left, middle, right = st.columns(3)
    left.metric(label, score_text(score))
    middle.metric("Threshold", score_text(threshold))
    right.metric("Verdict", verdict_word(score, threshold, missing="none"))
    origin = threshold_origin(artifact.threshold, artifact.manifest.calibration)
    st.caption(
        f"At or above the threshold a clip is called anomalous. The threshold: {origin}"
        + (". " if artifact.threshold.uses_test_labels else "; this clip and its label had no part in it. ")
        + promise_text(artifact.threshold, artifact.manifest.calibration)
    )
