"""The lesson on the one-class SVM: patches, numbers, standardising, and a boundary in a great many dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots
from asd_core.detectors.one_class_svm import BLOCK_PATCHES, OneClassSvm, one_class_scores
from asd_core.features.cache import read_named
from asd_core.features.spectra import PrincipalPlane, principal_plane
from asd_core.formats import score_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
    Cloud,
    cells_picture,
    score_plane,
    score_scatter,
)
from asd_core.types import FloatArray, Waveform
from pages.parts.learn.pooling import verdict
from pages.shared.cache import detector, heard
from pages.shared.choices import switch
from pages.shared.frame import first_screen
from pages.shared.keys import HASHES
from pages.shared.listening import listening_panels

GRID = 61
CROSS_FITTED = (
    " The detector was fitted on the normal clips shown, too; each has the score of another fit that has not heard it, "
    "as the threshold was set on such scores: by the detector itself it would lie lower."
)
SLICES = {"centre": "the middle of the normal clips", "clip": "this clip"}


@dataclass(frozen=True, eq=False)
class Learned:
    """A fitted SVM, the normal clips it was calibrated on in its feature space, and the plane that shows most of both.

    Parameters
    ----------
    state
        The detector's arrays.
    normal
        Shape (n_blocks, n_features), standardised; empty where the clips are not available.
    judged
        Shape (n_clips, 2): each clip's RMS distance from the mean, over its blocks, and its score by a fit that has not
        heard it.
    plane
        Of the support vectors and `normal`.
    """

    state: Mapping[str, Any]
    normal: FloatArray
    judged: FloatArray
    plane: PrincipalPlane


def _svm(artifact: Artifact) -> OneClassSvm:
    return cast(OneClassSvm, detector(artifact))


@st.cache_resource(max_entries=8, show_spinner="Listening to normal clips …", hash_funcs=HASHES)
def _learned(artifact: Artifact, root: Path | None) -> Learned:
    trained = _svm(artifact)
    state = trained.state
    clips = [] if root is None else artifact.scores.of("heldout").clips
    blocks = [
        trained.embed(read_named(root or "", clip.path, channel=artifact.channel, within=allowed_roots()))
        for clip in clips
    ]
    width = state["support_vectors"].shape[1]
    rows = [(own - state["mean"]) / state["scale"] for own in blocks]
    normal = np.concatenate([np.zeros((0, width)), *rows])
    judged = [(_distance(own).mean(), clip.anomaly_score) for own, clip in zip(rows, clips, strict=True)]
    plane = principal_plane(np.concatenate([state["support_vectors"], normal]))
    return Learned(state, normal, np.array(judged).reshape(-1, 2), plane)


def _distance(rows: FloatArray) -> FloatArray:
    """RMS distance of each row from the mean, in standard deviations."""
    distance: FloatArray = np.sqrt(np.square(rows).mean(axis=1))
    return distance


def svm_lesson(artifact: Artifact, waveform: Waveform, title: str, *, root: Path | None) -> None:
    """Show how patches become one point, and how that point lies inside or outside a boundary."""
    with st.container():  # keeps later elements in place, with or without a spinner
        learned = _learned(artifact, root)
        own = heard(artifact, waveform)
    raw = _svm(artifact).embed(waveform)
    rows = (raw - learned.state["mean"]) / learned.state["scale"]
    block = int(one_class_scores(rows, learned.state).argmax())
    width = rows.shape[1] // BLOCK_PATCHES
    st.markdown(
        f"**The idea.** Turn a clip into one point among {rows.shape[1]:,} numbers and draw a boundary around the "
        "points of normal clips. A clip outside the boundary is strange."
    )
    st.subheader("1 · The whole clip")
    name = artifact.detector_name
    with first_screen():
        listening_panels(waveform, {name: artifact}, {name: own}, title=title, key="learn_svm")
    if len(rows) > 1:
        st.caption(f"Longer than {BLOCK_PATCHES} patches: block {block + 1} of {len(rows)}, the strangest, is shown.")
    _numbers(artifact, raw[block].reshape(BLOCK_PATCHES, width), rows[block].reshape(BLOCK_PATCHES, width))
    _boundary(artifact, learned, rows[block])
    _distances(artifact, learned, rows[block])
    score = own.anomaly_score
    st.markdown(
        f"The SVM's decision value is **{score_text(-score)}**: above 0 inside, below 0 outside. Every detector here "
        "says *higher is more anomalous*, so the score is the decision value with its sign turned"
        + (f", averaged over {len(rows)} blocks." if len(rows) > 1 else ".")
    )
    verdict(artifact, score, "Score = minus the decision value")


def _numbers(artifact: Artifact, raw: FloatArray, rows: FloatArray) -> None:
    n, width = raw.shape
    st.subheader(f"2 · {n} patches, {width} numbers each")
    st.markdown(_encoder_words(artifact, n, width))
    left, right = st.columns(2)
    with left:
        st.caption(f"As they come: {n} × {width} = {raw.size:,} numbers")
        low, high = np.quantile(raw, [0.02, 0.98])
        _cells(raw, low=float(low), high=float(high), value_title="Value", alt="The patches' numbers")
    with right:
        st.caption("Standardised: how far each lies from its mean over the training clips")
        _cells(
            np.abs(rows),
            low=0.0,
            high=5.0,
            value_title="Distance (training standard deviations)",
            palette="magma",
            alt="Distance of each number from its training mean",
        )
    patch, number = np.unravel_index(np.abs(rows).argmax(), rows.shape)
    st.markdown(
        f"Standardising makes all numbers count alike. The strangest here is number {number + 1} of patch {patch + 1}: "
        f"**{abs(rows[patch, number]):.1f}** standard deviations from what training clips have in that place."
    )


def _encoder_words(artifact: Artifact, n: int, width: int) -> str:
    words = f"The clip is cut into {n} patches of 0.96 s, and {artifact.encoder_title} turns each into {width} numbers"
    if artifact.encoder_id == "logmel_stats":
        return f"{words}: the mean level of {width // 2} frequency bands, then how much each band varies."
    return f"{words}. They were learned on other sound; none of them has a name."


def _cells(
    values: FloatArray, *, low: float, high: float, value_title: str, alt: str, palette: str = "viridis"
) -> None:
    picture = cells_picture(
        [(f"{i + 1}", row) for i, row in enumerate(values)],
        low=low,
        high=high,
        x_title="Patch (0.96 s each)",
        y_title="Number",
        value_title=value_title,
        palette=palette,
        height_px=400,
    )
    st.altair_chart(picture, width="stretch", alt=f"{alt}: {values.shape[0]} patches of {values.shape[1]}")


def _boundary(artifact: Artifact, learned: Learned, row: FloatArray) -> None:
    st.subheader("3 · The boundary, as a shadow")
    through = switch("Cut through", SLICES, key="slice")
    plane = learned.plane
    normal = Cloud(f"{_normal_word(artifact)} ({len(learned.normal)})", plane.project(learned.normal), NORMAL_COLOUR)
    clouds = _clouds(learned, row, plane.project, normal, vectors_colour="#E8E8E8")
    every = np.concatenate([cloud.points for cloud in clouds])
    reach = 1.15 * np.abs(every).max(axis=0)
    x, y = (np.linspace(-each, each, GRID) for each in reach)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    cut = plane.lift(grid, through=row if through == "clip" else None)
    scores = one_class_scores(cut, learned.state).reshape(GRID, GRID)
    titles = [
        f"{name} principal component ({100 * s:.0f} % of the variance)"
        for name, s in zip(("First", "Second"), plane.shares, strict=True)
    ]
    figure = score_plane(x, y, scores, clouds, x_title=titles[0], y_title=titles[1])
    st.plotly_chart(figure, width="stretch", alt=f"Plane of two principal components, cut through {SLICES[through]}")
    crossed = scores.min() < 0 < scores.max()
    line = (
        "The white line is the boundary in this plane: score 0."
        if crossed
        else ("The whole cut is on one side of the boundary: no step within this plane leads across it.")
    )
    if _is_cross_fitted(artifact):
        st.caption("The normal clips shown are those it was fitted on; the support vectors are among them.")
    st.caption(
        f"{line} **A shadow only:** the plane shows {100 * sum(plane.shares):.0f} % of the variance of normal clips, "
        f"the boundary lives in {len(row):,} dimensions. The shades are true for points *in* this cut through "
        f"{SLICES[through]}; the dots lie in front of or behind it, so a dot's own score can differ from the shade "
        + ("under it, except for this clip's." if through == "clip" else "under it.")
    )


def _distances(artifact: Artifact, learned: Learned, row: FloatArray) -> None:
    st.subheader("4 · Distance and decision")

    def place(rows: FloatArray) -> FloatArray:
        return np.stack([_distance(rows), one_class_scores(rows, learned.state)], axis=1)

    rules = {"boundary of the SVM (0)": 0.0}
    if artifact.threshold.value is not None:
        rules["threshold"] = artifact.threshold.value
    normal = Cloud(f"{_normal_word(artifact)} ({len(learned.judged)})", learned.judged, NORMAL_COLOUR)
    figure = score_scatter(_clouds(learned, row, place, normal), x_title="RMS distance from the mean (SD)", rules=rules)
    st.plotly_chart(figure, width="stretch", alt="Anomaly score over distance from the training mean")
    st.caption(
        "Here nothing is a shadow: distance and score are those of all numbers together. Support vectors are the "
        "training clips that hold the boundary: they lie on it or outside. The SVM weighs closeness to each of them, "
        "so the score follows the distance from the mean only roughly."
        + (CROSS_FITTED if _is_cross_fitted(artifact) else "")
    )


def _is_cross_fitted(artifact: Artifact) -> bool:
    return artifact.manifest.calibration.how == "cross_fit"


def _normal_word(artifact: Artifact) -> str:
    return "normal training clips" if _is_cross_fitted(artifact) else "held-out normal"


def _clouds(
    learned: Learned, row: FloatArray, place: Any, normal: Cloud, *, vectors_colour: str = NEUTRAL_COLOUR
) -> list[Cloud]:
    vectors = learned.state["support_vectors"]
    clouds = [Cloud(f"support vectors ({len(vectors)})", place(vectors), vectors_colour, "diamond-open", 9)]
    if len(normal.points):
        clouds.append(normal)
    return [*clouds, Cloud("this clip", place(row[None]), ANOMALOUS_COLOUR, "star", 18)]
