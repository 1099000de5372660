"""What if the recording were noisier, duller or louder: hear it, and watch scores, verdicts and the ROC move."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.detectors.what_if import (
    Change,
    Judgements,
    changed,
    clipped_share,
    in_normal_spreads,
    spread_evenly,
)
from asd_core.evaluation.metrics import auc, confusion_at, roc_curve
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import MISSING, area_text, rate_text, score_text, share_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    NEUTRAL_COLOUR,
    Line,
    RocCurve,
    lines_chart,
    roc_overlay,
    spec_of,
)
from asd_core.types import FloatArray, Waveform
from pages.parts.check.stepwise import Step, stepwise
from pages.parts.check.verdicts import unfamiliar
from pages.shared.cache import Heard, detector
from pages.shared.choices import keep, link, switch
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.context import Chosen
from pages.shared.keys import HASHES
from pages.shared.plain_text import plain
from pages.shared.sources import load_scored
from pages.shared.verdicts import verdict_word

NO_NOISE = "none"
SNRS_DB = (NO_NOISE, "40", "30", "20", "15", "10", "5", "0", "-5")
HIGHS_HZ = ("8000", "7000", "6000", "5000", "4000", "3000", "2000", "1000")
LOWS_HZ = ("0", "50", "100", "200", "300", "500", "800")
GAINS_DB = ("0", "-30", "-20", "-15", "-10", "-6", "-3", "3", "6", "10", "15", "20", "30")
KEYS = ("what_snr", "what_high", "what_low", "what_gain")
MOST_CLIPS = 60
CLIPPED_IS_HEARD = 0.001


@dataclass(frozen=True)
class Way:
    """A kind of change, step by step: its field of `Change`, the steps, and the axis title."""

    field: str
    title: str
    steps: tuple[float, ...]
    axis: str
    log_x: bool = False


WAYS = {
    "noise": Way("snr_db", "Noise", (-5, 0, 5, 10, 15, 20, 30, 40), "Clip over noise (dB); noisier to the left"),
    "band": Way("high_hz", "Highest frequency", tuple(map(float, HIGHS_HZ[::-1])), "Highest frequency kept (Hz)", True),
    "gain": Way("gain_db", "Gain", (-30, -20, -15, -10, -6, -3, 0, 3, 6, 10, 15, 20, 30), "Gain (dB)"),
}


def open_linked_change(view: str) -> None:
    """Open this view where a link names a change of the sound and no view."""
    is_named = "view" in st.session_state or "view" in st.query_params
    if not is_named and any(key in st.query_params for key in KEYS):
        st.session_state["view"] = view


def what_if(chosen: Chosen, waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> None:
    """Change the clip, hear it, and watch score, verdict and ROC move."""
    st.subheader("What if …")
    st.caption("Add noise, a duller microphone or gain, and watch score, verdict and ROC move.")
    change = _chosen_change()
    other = changed(waveform, change)
    play_list(
        [
            ListedSound(id="recorded", title="As recorded", sound=lambda: waveform),
            ListedSound(id="changed", title="Changed", sound=lambda: other, note="B goes back and forth"),
        ],
        key="what_if_sounds",
        label="The clip as recorded and changed",
    )
    if clipped_share(other) > CLIPPED_IS_HEARD:
        st.caption(f":material/volume_up: {share_text(clipped_share(other))} of the samples are cut off at full scale.")
    before = {name: each.anomaly_score for name, each in heard.items()}
    after = {name: _score(artifact, other) for name, artifact in artifacts.items()}
    st.table(_verdicts(artifacts, before, after), hide_index=True, alt="Scores and verdicts before and after")
    for remark in unfamiliar(artifacts, other) if not change.is_nothing else ():
        st.caption(f":material/info: {plain(remark)}")
    _moving(waveform, artifacts, change)
    _whole_set(chosen, artifacts, change)


def _chosen_change() -> Change:
    left, right = st.columns(2)
    snr = _slider(left, KEYS[0], "Noise: clip over white noise", SNRS_DB, "dB")
    gain = _slider(right, KEYS[3], "Gain of the recorder", GAINS_DB, "dB")
    low = _slider(left, KEYS[2], "Lowest frequency the microphone hears", LOWS_HZ, "Hz")
    high = _slider(right, KEYS[1], "Highest frequency the microphone hears", HIGHS_HZ, "Hz")
    return Change(None if snr == NO_NOISE else float(snr), float(low), float(high), float(gain))


def _slider(place: Any, key: str, label: str, options: Sequence[str], unit: str) -> str:
    """Let the user choose a step; the first option changes nothing, and the URL names the choice."""
    keep(key, options)
    in_order = options if NO_NOISE in options else sorted(options, key=float)
    chosen: str = place.select_slider(
        label,
        in_order,
        key=key,
        format_func=lambda text: text if text == NO_NOISE else f"{text} {unit}",
        persist_state="session",
    )
    link(key)
    return chosen


@st.cache_data(max_entries=512, show_spinner="Listening …", hash_funcs=HASHES)
def _score(artifact: Artifact, waveform: Waveform) -> float:
    return detector(artifact).anomaly_score(waveform)


def _verdicts(
    artifacts: Mapping[str, Artifact], before: Mapping[str, float], after: Mapping[str, float]
) -> pd.DataFrame:
    rows = []
    for name, artifact in artifacts.items():
        was, now = (verdict_word(scores[name], artifact.threshold.value) for scores in (before, after))
        rows.append(
            {
                "Detector": plain(artifact.title),
                "Score": f"{score_text(before[name])} → {score_text(after[name])}",
                "Threshold": score_text(artifact.threshold.value),
                "Verdict": f"{was}, unchanged" if was == now else f"**{was} → {now}**",
            }
        )
    return pd.DataFrame(rows)


def _moving(waveform: Waveform, artifacts: Mapping[str, Artifact], change: Change) -> None:
    """Plot every detector's score along one kind of change; the other changes stay as set."""
    name = switch("Watch the scores move along", WAYS, key="what_way", format_func=lambda way: WAYS[way].title)
    way = WAYS[name]
    fixed = replace(change, **{way.field: getattr(Change(), way.field)})
    judging = {key: artifact for key, artifact in artifacts.items() if artifact.threshold.value is not None}
    if not judging:
        return
    steps = {key: _steps(artifact, waveform, name, fixed) for key, artifact in judging.items()}
    work = ("what if", name, str(fixed), waveform.digest, *(artifact.version for artifact in judging.values()))
    computing = stepwise(work, [step for own in steps.values() for step in own])
    place, lines = st.empty(), []
    for key, artifact in judging.items():
        scores = computing.take(steps[key])
        if None not in scores:
            lines.append(_line(key, artifact, np.array(scores, dtype=np.float64)))
            place.vega_lite_chart(**_chart(lines, way, change), width="stretch")
    computing.end()
    st.caption(
        "Upwards: distance of the score from each detector's own threshold, in standard deviations of the scores of "
        "the normal clips that it was calibrated on. Above 0 the clip is called anomalous."
    )


def _line(name: str, artifact: Artifact, scores: FloatArray) -> Line:
    normal = artifact.scores.of("heldout").anomaly_scores
    at = in_normal_spreads(scores, threshold=float(artifact.threshold.value or 0.0), normal_scores=normal)
    return Line(artifact.title, at, DETECTOR_COLOURS[name], DASHES.get(DETECTOR_DASHES[name]))


def _chart(lines: Sequence[Line], way: Way, change: Change) -> dict[str, Any]:
    chart = lines_chart(
        way.steps,
        lines,
        x_title=way.axis,
        y_title="Spreads above threshold",
        log_x=way.log_x,
        symlog_y=True,
        rules={"threshold": 0.0},
        marked_x=getattr(change, way.field),
        height_px=340,
    )
    return {"spec": spec_of(chart), "alt": f"Scores of {len(lines)} detectors along: {way.axis}"}


DASHES: Mapping[str, tuple[int, int]] = {"dash": (6, 3), "dot": (2, 2), "dashdot": (8, 2), "longdash": (10, 3)}
"""Plotly's dash patterns as lengths; a pattern of two strokes becomes one long dash."""


def _steps(artifact: Artifact, waveform: Waveform, way: str, fixed: Change) -> list[Step]:
    """The clip's score at every step of a kind of change."""
    key, sounds = ("what if", os.fsencode(artifact.folder), artifact.digest, waveform.digest), (waveform.digest,)
    changes = [replace(fixed, **{WAYS[way].field: step}) for step in WAYS[way].steps]

    def scored(change: Change) -> Callable[[], float]:
        return lambda: detector(artifact).anomaly_score(changed(waveform, change))

    return [Step((*key, str(change)), scored(change), sounds) for change in changes]


def _whole_set(chosen: Chosen, artifacts: Mapping[str, Artifact], change: Change) -> None:
    """Apply the change to test clips, and show whether the detector still ranks them and its threshold still holds."""
    st.markdown("##### Apply to many test clips")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    keep("what_detector", artifacts)
    name = left.selectbox(
        "Detector", list(artifacts), key="what_detector", format_func=lambda key: artifacts[key].title
    )
    artifact = artifacts[name]
    clips = _some_clips(artifact)
    if change.is_nothing:
        st.caption("Change something above first.")
    elif not clips or load_scored(chosen, clips[0], artifact.channel) is None:
        st.caption("The sound of this data set's labelled test clips is not at hand.")
    elif right.button(f"Change {len(clips)} test clips and listen", key="what_again", icon=":material/graphic_eq:") or (
        st.session_state.get("what_done") == (str(artifact.folder), change)
    ):
        st.session_state["what_done"] = (str(artifact.folder), change)
        _again(chosen, artifact, clips, change)


def _some_clips(artifact: Artifact) -> list[ScoredClip]:
    scores = artifact.scores.of("test").labelled()
    ids = [clip.machine_id for clip in scores.clips]
    picked = spread_evenly(scores.is_anomalous.tolist(), ids, at_most=MOST_CLIPS)
    return [scores.clips[at] for at in picked]


def _again(chosen: Chosen, artifact: Artifact, clips: Sequence[ScoredClip], change: Change) -> None:
    """Score the changed test clips and show what becomes of the decisions; those that a stop left out are missing."""

    def scored(clip: ScoredClip) -> Callable[[], float]:
        return lambda: _changed_score(chosen, artifact, clip, change)

    key = ("again", os.fsencode(artifact.folder), artifact.digest, str(change))
    steps = [Step((*key, clip.digest), scored(clip), (clip.digest,)) for clip in clips]
    computing = stepwise((*key, len(steps)), steps)
    after = computing.take(steps)
    computing.end()
    done = [(clip, score) for clip, score in zip(clips, after, strict=True) if score is not None and score == score]
    if not done:
        st.caption("No clip has been heard yet.")
        return
    _before_and_after(
        artifact,
        Judgements(
            np.array([clip.label == "anomalous" for clip, _ in done], dtype=np.bool_),
            np.array([clip.anomaly_score for clip, _ in done], dtype=np.float64),
            np.array([score for _, score in done], dtype=np.float64),
        ),
    )


def _changed_score(chosen: Chosen, artifact: Artifact, clip: ScoredClip, change: Change) -> float:
    """Score a changed test clip; NaN where its sound is not at hand."""
    sound = load_scored(chosen, clip, artifact.channel)
    return float("nan") if sound is None else detector(artifact).anomaly_score(changed(sound, change))


def _before_and_after(artifact: Artifact, found: Judgements) -> None:
    both = {"as recorded": found.before, "changed": found.after}
    if found.is_anomalous.any() and not found.is_anomalous.all():
        colours = {
            "as recorded": (NEUTRAL_COLOUR, "dash"),
            "changed": (DETECTOR_COLOURS[artifact.detector_name], "solid"),
        }
        curves = [_curve(title, found.is_anomalous, scores, *colours[title]) for title, scores in both.items()]
        alt = "ROC of the same clips: " + "; ".join(curve.label for curve in curves)
        st.plotly_chart(roc_overlay(curves, height_px=400), key="what_roc", width="stretch", alt=alt)
    rows = {title: _decided(artifact, found.is_anomalous, scores) for title, scores in both.items()}
    st.table(pd.DataFrame.from_dict(rows, orient="index"), alt="False alarms and faults found before and after")
    simulated = "simulated " if artifact.simulated else ""
    st.caption(
        f"{len(found.before)} {simulated}test clips, spread evenly over labels and machine ids, at the threshold saved "
        "with the detector. Where the curve stays but false alarms jump, the detector still ranks and only its "
        "threshold must be set anew; where the curve sinks, train with sound from that place."
    )


def _curve(title: str, labels: np.ndarray, scores: FloatArray, colour: str, dash: str) -> RocCurve:
    curve = roc_curve(labels, scores)
    return RocCurve(f"{title}, AUC {area_text(auc(labels, scores))}", curve.fpr, curve.tpr, colour, dash)


def _decided(artifact: Artifact, labels: np.ndarray, scores: FloatArray) -> dict[str, str]:
    if artifact.threshold.value is None:
        return {"False alarms": MISSING, "Faults found": MISSING}
    confusion = confusion_at(labels, scores, artifact.threshold.value)
    return {
        "False alarms": rate_text(confusion.fp, confusion.fp + confusion.tn),
        "Faults found": rate_text(confusion.tp, confusion.tp + confusion.fn),
    }
