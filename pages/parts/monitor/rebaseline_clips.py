"""The first step of a re-baseline: the clips marked normal, what speaks against each, and which are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots, clips_folder
from asd_core.errors import AsdError, AudioError
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.cache import read_clip, read_named
from asd_core.formats import counted, score_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.change import score_marked
from asd_core.monitoring.rebaselining.doubts import Doubt, doubts_of, shape_db
from asd_core.monitoring.rebaselining.quarantine import MarkedClip, faults, sound_path, waiting
from asd_core.types import FloatArray, Waveform
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.keys import once
from pages.shared.plain_text import plain

MOST_COMPARED = 30
LIST_PX = 300


@dataclass(frozen=True, eq=False)
class Heard:
    """What the detector in use says of the marked clips.

    Parameters
    ----------
    scores
        By sound.
    doubts
        What speaks against each clip that waits, by sound.
    """

    scores: Mapping[str, float]
    doubts: Mapping[str, tuple[Doubt, ...]]

    def n_doubtful(self, clips: Sequence[MarkedClip]) -> int:
        """How many of these clips something speaks against."""
        return sum(bool(self.doubts.get(clip.sound)) for clip in clips)


def hear(beside: Beside, artifact: Artifact, clips: tuple[MarkedClip, ...]) -> Heard:
    """Score the marked clips and compare them with clips that are known; kept for all sessions."""
    named = tuple((clip.sound, clip.said, clip.learned_by) for clip in clips)

    def make() -> Heard:
        with st.spinner(f"Listening to {counted(len(clips), 'marked clip')} ..."):
            return _heard(beside, artifact, clips)

    return once(("rebaseline heard", str(artifact.folder), artifact.digest, str(beside.table), named), make)


def _heard(beside: Beside, artifact: Artifact, clips: tuple[MarkedClip, ...]) -> Heard:
    scores = score_marked(artifact.detector(), beside, clips)
    new = waiting(clips)
    normal_shapes, fault_shapes = _known_shapes(artifact)
    doubts = doubts_of(
        new,
        [scores[clip.sound] for clip in new],
        heldout_scores=artifact.scores.of("heldout").anomaly_scores,
        shapes=[shape_db(read_clip(sound_path(beside, clip))) for clip in new],
        normal_shapes=list(normal_shapes.values()),
        fault_shapes=fault_shapes,
        marked_fault_shapes={clip.name: shape_db(read_clip(sound_path(beside, clip))) for clip in faults(clips)},
    )
    return Heard(scores, {clip.sound: own for clip, own in zip(new, doubts, strict=True)})


def _known_shapes(artifact: Artifact) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Shapes of normal and anomalous clips of the data set, where it is here: up to `MOST_COMPARED` of each."""
    machine, data_set = artifact.folder.parents[1].name, artifact.folder.parents[2].name
    root = clips_folder(data_set, machine)
    scored = artifact.scores.labelled().clips
    normal = [clip for clip in scored if clip.label == "normal"]
    anomalous = [clip for clip in scored if clip.label == "anomalous"]
    if root is None:
        return {}, {}
    return _shapes(root, normal, artifact.channel), _shapes(root, anomalous, artifact.channel)


def _shapes(root: Path, clips: Sequence[ScoredClip], channel: int | None) -> dict[str, FloatArray]:
    step = max(1, -(-len(clips) // MOST_COMPARED))
    found = {}
    for clip in clips[::step]:
        try:
            found[clip.shown] = shape_db(read_named(root, clip.path, channel=channel, within=allowed_roots()))
        except AsdError:  # removed since the training
            continue
    return found


def choose_clips(beside: Beside, heard: Heard, clips: Sequence[MarkedClip]) -> list[MarkedClip]:
    """Let the reader hear the clips and tick those that are normal; doubtful ones are not ticked at first."""
    order = sorted(clips, key=lambda clip: (-len(heard.doubts[clip.sound]), clip.heard_at))
    n_doubtful = heard.n_doubtful(clips)
    st.caption(
        f"{counted(len(clips), 'clip')} {'waits' if len(clips) == 1 else 'wait'} here, copied from the watch; nothing "
        f"has been learned from them. Something speaks against {n_doubtful}: they are not ticked. Hear them first: a "
        "fault that is called normal makes the detector deaf to it."
    )
    play_list(
        [
            ListedSound(
                id=clip.sound[:16],
                title=f"{clip.name} · {clip.heard_at:%Y-%m-%d %H:%M}",
                sound=_reader(beside, clip),
                note=score_text(heard.scores[clip.sound]),
            )
            for clip in order
        ],
        key="rebaseline_sounds",
        label="Clips marked normal, with their scores",
        height_px=200,
    )
    with st.container(horizontal=True):
        st.button("Tick all", key="rebaseline_all", on_click=_tick, args=(clips, lambda _: True))
        st.button(
            "Tick those without doubt",
            key="rebaseline_sure",
            on_click=_tick,
            args=(clips, lambda clip: not heard.doubts[clip.sound]),
        )
        st.button("Tick none", key="rebaseline_none", on_click=_tick, args=(clips, lambda _: False))
    with st.container(height=LIST_PX if len(order) > 4 else "content"):
        return [clip for clip in order if _ticked(clip, heard.doubts[clip.sound])]


def _ticked(clip: MarkedClip, doubts: Sequence[Doubt]) -> bool:
    key = _key(clip)
    if key not in st.session_state:
        st.session_state[key] = not doubts
    is_on = st.checkbox(f"{plain(clip.name)} · {clip.heard_at:%Y-%m-%d %H:%M}", key=key, persist_state="session")
    if doubts:
        st.caption(f":material/warning: {'; '.join(plain(doubt.text) for doubt in doubts)}")
    return bool(is_on)


def _key(clip: MarkedClip) -> str:
    return f"rebaseline_tick:{clip.sound[:16]}"


def _tick(clips: Sequence[MarkedClip], is_on: Callable[[MarkedClip], bool]) -> None:
    for clip in clips:
        st.session_state[_key(clip)] = is_on(clip)


def _reader(beside: Beside, clip: MarkedClip) -> Callable[[], Waveform]:
    def read() -> Waveform:
        path = sound_path(beside, clip)
        if not path.is_file():
            raise AudioError("open", "its copy is gone", name=clip.name)
        return read_clip(path)

    return read
