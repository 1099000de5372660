"""A blind test for the reader: six clips, six guesses, and the reader's own point beside the detectors' ROC curves."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.metrics import confusion_at, roc_curve
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import MISSING, class_word, rate_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    DETECTOR_SYMBOLS,
    NEUTRAL_COLOUR,
    RocCurve,
    roc_overlay,
)
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.context import Chosen
from pages.shared.sources import clip_title, load_scored
from pages.shared.verdicts import verdict_word

N_CLIPS, LEAST_OF_A_CLASS = 6, 2
GUESSES = ("normal", "anomalous")
MAX_DIGITS = 10


def quiz(chosen: Chosen, artifacts: Mapping[str, Artifact]) -> None:
    """Play six clips, take guesses, then show truth, the detectors' verdicts and the point on the ROC."""
    seed = _seed()
    first = next(iter(artifacts.values()))
    clips = quiz_clips(first.scores.of("test").clips, seed=seed)
    st.markdown(
        "Could you do it? Hear six clips and say which machine is failing. At least two are normal and at least two "
        "anomalous. Nothing you enter leaves this browser session."
    )
    if not clips:
        st.info("This needs at least two normal and two anomalous test clips, six in all.", icon=":material/info:")
        return
    sounds = [
        ListedSound(id=str(number), title=f"Clip {number + 1}", sound=partial(load_scored, chosen, clip, first.channel))
        for number, clip in enumerate(clips)
    ]
    play_list(sounds, key=f"quiz_sounds:{seed}", label="Clips of the blind test")
    with st.form("quiz", border=True):
        guesses = [_guess(column, number, seed) for number, column in enumerate(_places())]
        sent = st.form_submit_button("How did I do?", icon=":material/check:")
    if st.button("Six other clips", icon=":material/refresh:"):
        del st.session_state["quiz_seed"], st.query_params["quiz"]
        st.rerun()
    if not sent:
        return
    if None in guesses:
        st.warning(f"{guesses.count(None)} clips have no guess yet.", icon=":material/info:")
        return
    _result(clips, [guess == "anomalous" for guess in guesses], artifacts)


def _seed() -> int:
    """Return what draws the six clips: a link's number, so that a class gets the same ones, else a new one."""
    asked = st.query_params.get("quiz", "")
    drawn = int(asked) % 2**32 if asked.isdecimal() and len(asked) <= MAX_DIGITS else secrets.randbits(32)
    seed: int = st.session_state.setdefault("quiz_seed", drawn)
    st.query_params["quiz"] = str(seed)
    return seed


def quiz_clips(clips: Sequence[ScoredClip], *, seed: int) -> list[ScoredClip]:
    """Draw six test clips, two to four of each class, in random order; none where there are too few."""
    draw = random.Random(seed)  # noqa: S311 - a game
    normal = [clip for clip in clips if clip.label == "normal"]
    anomalous = [clip for clip in clips if clip.label == "anomalous"]
    most = min(N_CLIPS - LEAST_OF_A_CLASS, len(anomalous))
    least = max(LEAST_OF_A_CLASS, N_CLIPS - len(normal))
    if least > most or len(normal) < LEAST_OF_A_CLASS:
        return []
    n = draw.randint(least, most)
    drawn = [*draw.sample(anomalous, n), *draw.sample(normal, N_CLIPS - n)]
    draw.shuffle(drawn)
    return drawn


def _places() -> list[DeltaGenerator]:
    """Where the guesses are: two rows of three."""
    return [column for _ in range(2) for column in st.columns(N_CLIPS // 2)]


def _guess(place: DeltaGenerator, number: int, seed: int) -> str | None:
    return place.segmented_control(f"Clip {number + 1}", GUESSES, key=f"guess:{seed}:{number}")


def _result(clips: Sequence[ScoredClip], guesses: Sequence[bool], artifacts: Mapping[str, Artifact]) -> None:
    truth = [clip.label == "anomalous" for clip in clips]
    hits = sum(guess and true for guess, true in zip(guesses, truth, strict=True))
    alarms = sum(guess and not true for guess, true in zip(guesses, truth, strict=True))
    n_bad, n_good = sum(truth), len(truth) - sum(truth)
    left, right = st.columns([3, 2])
    with left:
        own = RocCurve(
            "you",
            [alarms / n_good],
            [hits / n_bad],
            ANOMALOUS_COLOUR,
            point=(alarms / n_good, hits / n_bad),
            symbol="x",
        )
        curves = [_curve(artifact) for artifact in artifacts.values()]
        st.plotly_chart(roc_overlay([*curves, own]), width="stretch", alt="ROC curves of the detectors and your point")
    with right:
        st.metric("Your detection rate", rate_text(hits, n_bad))
        st.metric("Your false-alarm rate", rate_text(alarms, n_good))
        st.caption(
            "The marks are operating points: yours, a cross, from six clips, the detectors' from all test clips at "
            "their thresholds. From six clips it is a coarse one: a single other guess moves it far."
        )
    table = pd.DataFrame(
        {
            "Clip": [f"{i + 1}: {clip_title(clip)}" for i, clip in enumerate(clips)],
            "You": [class_word(guess) for guess in guesses],
            **{artifact.title: [_verdict(artifact, clip) for clip in clips] for artifact in artifacts.values()},
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", alt="Truth, your guesses and the detectors' verdicts")


def _curve(artifact: Artifact) -> RocCurve:
    scores = artifact.scores.of("test").labelled()
    roc = roc_curve(scores.is_anomalous, scores.anomaly_scores)
    point = None
    if artifact.threshold.value is not None:
        found = confusion_at(scores.is_anomalous, scores.anomaly_scores, artifact.threshold.value)
        point = (found.fp / roc.n_normal, found.tp / roc.n_anomalous)
    name = artifact.detector_name
    colour, dash = DETECTOR_COLOURS.get(name, NEUTRAL_COLOUR), DETECTOR_DASHES.get(name, "solid")
    mark = DETECTOR_SYMBOLS.get(name, "diamond")
    return RocCurve(artifact.title, roc.fpr, roc.tpr, colour, dash, point, symbol=mark)


def _verdict(artifact: Artifact, clip: ScoredClip) -> str:
    own = next((each for each in artifact.scores.of("test").clips if each.path == clip.path), None)
    return MISSING if own is None else verdict_word(own.anomaly_score, artifact.threshold.value, missing=MISSING)
