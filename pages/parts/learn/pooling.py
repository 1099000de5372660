"""The lessons' last step: how a network's errors over time and frequency become one score, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.detectors.error_spectrum import share_of_largest
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.formats import score_text, share_text
from asd_core.reports.plots import DETECTOR_COLOURS, NEUTRAL_COLOUR, Line, lines_chart, spec_of
from asd_core.types import FloatArray, Waveform
from pages.shared.cache import detector, heard
from pages.shared.cards import promise_text, threshold_origin
from pages.shared.keys import kept
from pages.shared.listening import frequency_text
from pages.shared.verdicts import verdict_word

POOLED = {"mean": "mean", "std": "standard deviation", "max": "largest", "gwrp": "rank-weighted mean"}
SCORED = {"relative": "mean of the relative errors", "mahalanobis": "distance of the error spectrum"}
LOUDEST_BANDS = 13
"""A tenth of the 128 bands."""
USUAL_SPREADS = 2.0


def network(artifact: Artifact) -> NetworkDetector:
    """Load the network of a version."""
    return cast(NetworkDetector, detector(artifact))


def usual_error(artifact: Artifact) -> float:
    """Error that is usual for normal clips, for the scale of pictures: their mean, or the threshold on a mean."""
    normal = network(artifact).normal_errors
    return (artifact.threshold.value or 0.0) if normal is None else float(normal.mean.mean())


@kept("Pooling the errors in every way …")
def _scores(artifact: Artifact, waveform: Waveform) -> dict[str, float]:
    return network(artifact).scores_by_pooling(waveform)


def from_errors_to_score(
    artifact: Artifact, waveform: Waveform, errors: FloatArray, times_s: FloatArray, *, at: int, what: str
) -> None:
    """Show the ways from a map of errors to one number, and the verdict by the detector's own.

    Parameters
    ----------
    errors, times_s
        Shape (n_steps,): mean squared error of each step over the bands, and its time.
    at
        The step that the reader chose.
    """
    pooling, scores = network(artifact).pooling, _scores(artifact, waveform)
    st.subheader(f"3 · {len(errors)} x 128 errors, one number")
    st.markdown(
        f"Each of the {len(errors)} {what} leaves one error per band. They become one number as they are, or measured "
        "against the errors of normal clips."
    )
    over_time, over_bands = st.columns(2)
    with over_time:
        _over_time(artifact, errors, times_s, scores, at=at, what=what)
    with over_bands:
        _over_bands(artifact, waveform, scores)
    _why_not_the_mean(artifact, waveform, scores)
    st.markdown(own_way(pooling, scores))
    short = {"relative": "Mean of relative errors", "mahalanobis": "Distance", "combined": "Root of the two"}
    what_it_is = short.get(pooling) or f"{POOLED[pooling].capitalize()} of {len(errors)} errors"
    verdict(artifact, scores[pooling], f"{what_it_is} = score")


def own_way(pooling: str, scores: Mapping[str, float]) -> str:
    """Say which of the numbers is the detector's score; that of `combined` with its two parts."""
    if pooling in POOLED:
        return f"This detector takes the {POOLED[pooling]} of the errors over time, as they are."
    if pooling != "combined":
        return f"This detector takes the {SCORED[pooling]}."
    relative, distance, score = (score_text(scores[name]) for name in ("relative", "mahalanobis", "combined"))
    return f"This detector takes both: the root of {relative} times {distance} is **{score}**."


def _over_time(
    artifact: Artifact, errors: FloatArray, times_s: FloatArray, scores: Mapping[str, float], *, at: int, what: str
) -> None:
    """Show the errors over time and what their pooling over time gives: the detector's own, or the report's mean."""
    pooling, threshold = network(artifact).pooling, artifact.threshold.value
    is_own = pooling in POOLED
    way = pooling if is_own else "mean"
    value = scores[way]
    st.markdown(f"**As they are: the {POOLED[way]}{' (the report)' if way == 'mean' else ''}.** Over bands and time.")
    rules = {f"{POOLED[way]} = score" if is_own else POOLED[way]: value}
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
    st.vega_lite_chart(
        spec=spec_of(chart),
        width="stretch",
        alt=f"Errors of {len(errors)} {what} over time; their {POOLED[way]} is {said}",
    )
    st.caption(f"The {POOLED[way]} of these {len(errors)} errors is **{score_text(value)}**.")


def _over_bands(artifact: Artifact, waveform: Waveform, scores: Mapping[str, float]) -> None:
    """Show the error spectrum in normal spreads, and its distance from those of normal clips."""
    trained = network(artifact)
    st.markdown("**Against normal clips: the error spectrum.** The mean over time of each band, in its normal spreads.")
    if trained.normal_errors is None:
        st.info(
            "This version was trained before error spectra were kept with a network: train it again to see this.",
            icon=":material/history:",
        )
        return
    spreads, hz = trained.band_strangeness(heard(artifact, waveform).anomaly_map), mel_band_centres_hz()
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
    distance, strangest = score_text(scores["mahalanobis"]), int(spreads.argmax())
    st.vega_lite_chart(
        spec=spec_of(chart),
        width="stretch",
        alt=f"Error of each band in normal spreads; the strangest is {spreads[strangest]:.1f} at "
        f"{frequency_text(float(hz[strangest]))}; the distance is {distance}",
    )
    st.caption(f"The Mahalanobis distance of this spectrum is **{distance}**; about 1 for a normal clip.")


def _why_not_the_mean(artifact: Artifact, waveform: Waveform, scores: Mapping[str, float]) -> None:
    """Say, in this clip's numbers, what dominates the mean and what does not, where errors of normal clips are kept."""
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
        "**Why not the mean alone?** In it a band counts by the size of its error, and errors are large where a "
        f"machine is loud and noisy, whether it is well or not: in normal clips the {LOUDEST_BANDS} bands with the "
        f"largest errors, a tenth of all, have {of_normal} of the sum. The strangest band of this clip, near "
        f"{frequency_text(float(mel_band_centres_hz()[strangest]))}, is {spreads[strangest]:.1f} normal spreads above "
        f"what is normal there, and has {of_clip} of the sum. The distance counts each band, and each combination of "
        "bands, by how much it varies from one normal clip to the next. Relative errors are another way: each error as "
        f"a multiple of what is normal in its band. Their mean is **{score_text(scores['relative'])}** here, and 1 for "
        "normal sound."
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
