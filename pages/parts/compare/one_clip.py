"""The compare page's view of one clip: every detector's verdict on one scale, who is right, and all maps together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.common_scale import on_common_scale
from asd_core.formats import class_word, score_text
from asd_core.types import FloatArray, Waveform
from pages.parts.compare.kept_pictures import compare_picture
from pages.parts.compare.methods import JUDGED_HASHES, Judged, short_title
from pages.parts.compare.one_clip_choice import REVEALED, ChosenClip, choose_clip, reveal, take
from pages.parts.compare.who_is_right import who_calls_it, who_is_right
from pages.shared.cache import Heard, heard
from pages.shared.cards import mark_in
from pages.shared.choices import go, turn_on
from pages.shared.components.gauges import Gauge, Headline, gauges, pressed_act
from pages.shared.context import Chosen
from pages.shared.frame import first_screen
from pages.shared.listening import Size, listening_panels
from pages.shared.presenting import left_off_wall, presented
from pages.shared.sources import clip_title, label_and_kind, load_scored, of_one_channel

GAUGES = "clip_gauges"
HIDDEN, SCORES = "hidden", "clip_scores"
NO_THRESHOLD, USES_LABELS = "no threshold", "uses test labels"
ROOM_PX, WALL_PX = 138, 250
"""What all maps together may take: on a page, and on the wall, which is without menu and heading."""
EXAMPLE_LETTERS = 12
"""Of a digest: what the page that checks a clip calls it by."""


def one_clip_view(chosen: Chosen, judged: Judged, switches: DeltaGenerator) -> None:
    """Show one clip under all detectors: the truth, each one's gauge, and one player with each one's map.

    Parameters
    ----------
    switches
        The row that holds the page's switches.
    """
    with switches:
        hides = turn_on("Guess first", key=HIDDEN, help="The truth is hidden until you reveal it.") or presented()
        shows_scores = turn_on("Scores", key=SCORES)
    with first_screen():
        found = choose_clip(judged, hides=hides, revealed=st.session_state.get(REVEALED))
        if found is None:
            return
        is_told = not hides or st.session_state.get(REVEALED) == found.clip.digest
        gauges(
            gauges_of(judged, found.row, tells=is_told, shows_scores=shows_scores),
            key=GAUGES,
            headline=headline_of(judged, found, tells=is_told),
            acts=("next", "reveal"),
            on_act=lambda: _act(found),
        )
        title = clip_title(found.clip) if is_told else found.hidden_title
        results = _listen(chosen, judged, found, title=title)
    compare_picture(chosen, judged, key=GAUGES, figure="one-clip", shows=f"Verdicts on one clip, {title}")
    if any(each.anomaly_map.values.shape[1] == 1 for each in results.values()):
        st.caption("Where a line is highest says hardly more than chance of when a fault is heard.")
    with left_off_wall("check"):
        go(
            "pages/check.py",
            "Check this clip in detail",
            icon=":material/hearing:",
            source="Example",
            example=found.clip.digest[:EXAMPLE_LETTERS],
        )


def _act(found: ChosenClip) -> None:
    """Do what a key of the presentation asks for."""
    if (act := pressed_act(GAUGES)) == "next":
        take(found.after)
    elif act == "reveal":
        reveal(found.clip.digest)


def headline_of(judged: Judged, found: ChosenClip, *, tells: bool) -> Headline:
    """Say what the clip is and who is right about it, or, as long as that is hidden, only what the verdicts are."""
    alarms = [(short_title(judged, row), bool(judged.alarms[row, found.row])) for row in judged.judging]
    n_silent = len(judged.titles) - len(alarms)
    if not tells:
        return Headline("", "none", who_calls_it(alarms, n_silent=n_silent))
    is_anomalous = bool(judged.comparison.labels[found.row])
    text = who_is_right(alarms, is_anomalous=is_anomalous, n_silent=n_silent)
    return Headline(label_and_kind(found.clip), class_word(is_anomalous), text)


def gauges_of(judged: Judged, clip_row: int, *, tells: bool, shows_scores: bool) -> list[Gauge]:
    """Return each detector's gauge for one clip.

    Parameters
    ----------
    clip_row
        The clip's place in the comparison.
    tells
        Whether it is said which verdicts are right.
    """
    return [_gauge(judged, row, clip_row, tells=tells, shows_scores=shows_scores) for row in range(len(judged.titles))]


def _gauge(judged: Judged, row: int, clip_row: int, *, tells: bool, shows_scores: bool) -> Gauge:
    threshold, look = judged.thresholds[row], judged.looks[row]
    score = float(judged.comparison.anomaly_scores[row, clip_row])
    alarm = bool(judged.alarms[row, clip_row])
    has_verdict = threshold.value is not None
    word = class_word(alarm) if has_verdict else NO_THRESHOLD
    is_right = alarm == bool(judged.comparison.labels[clip_row])
    chips = [(USES_LABELS, "Chosen on the labels of these clips: its verdicts are optimistic")]
    chips = chips if threshold.uses_test_labels else []
    if shows_scores:
        chips.append((f"score {score_text(score)}", "Anomaly score: the higher, the stranger"))
        chips.append((f"threshold {score_text(threshold.value)}", threshold.reason or "Anomalous from here on"))
    return Gauge(
        name=short_title(judged, row),
        title=judged.titles[row],
        mark=mark_in(look.symbol, look.colour),
        colour=look.colour,
        word=word,
        kind=word if has_verdict else "none",
        place=_place(judged, row, score),
        normal=_normal_places(judged)[row],
        chips=chips,
        outcome=("right" if is_right else "wrong") if tells and has_verdict else None,
    )


def _place(judged: Judged, row: int, score: float) -> float | None:
    value = judged.thresholds[row].value
    if value is None:
        return None
    normal = judged.comparison.methods[row].heldout.anomaly_scores
    return float(on_common_scale(score, threshold=value, normal_scores=normal))


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _normal_places(judged: Judged) -> tuple[FloatArray, ...]:
    """Each detector's held-out normal clips on the common scale, shape (n_heldout,); empty without a threshold."""
    places = []
    for method, threshold in zip(judged.comparison.methods, judged.thresholds, strict=True):
        normal = method.heldout.anomaly_scores
        has_places = threshold.value is not None and normal.size
        places.append(
            on_common_scale(normal, threshold=threshold.value, normal_scores=normal) if has_places else np.empty(0)
        )
    return tuple(places)


def _listen(chosen: Chosen, judged: Judged, found: ChosenClip, *, title: str) -> Mapping[str, Heard]:
    """Play the clip, with each detector's map on the same playhead; return what each heard, once per clip."""
    player, waiting = st.container(), st.container()
    trained = {each.artifact.detector_name: each.artifact for each in judged.comparison.methods if each.artifact}
    with waiting:
        waveform = load_scored(chosen, found.clip, next((artifact.channel for artifact in trained.values()), None))
        if waveform is None:
            st.caption("The sound of this data set is not here.")
            return {}
        artifacts = of_one_channel(trained)
        results = {name: heard(artifact, waveform) for name, artifact in artifacts.items()}
    with player:
        _player(waveform, artifacts, results, title=title)
    return results


def _player(waveform: Waveform, artifacts: Mapping[str, Artifact], results: Mapping[str, Heard], *, title: str) -> None:
    room = WALL_PX if presented() else ROOM_PX
    each = max(44, min(120, room // max(1, len(results))))
    size = Size(spectrogram=max(72, each), map=each, trace=max(30, each // 2), is_low=True)
    listening_panels(waveform, artifacts, results, title=title, key="clip_player", size=size)
