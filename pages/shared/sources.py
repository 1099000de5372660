"""Clips of a data set: reading them, naming them, and picking a test clip."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.clips import LABELS, Clip
from asd_core.data.folder_rules import ANOMALOUS_WORDS, NORMAL_WORDS, SPLITS
from asd_core.data.recordings import natural_key
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.cache import read_clip
from asd_core.formats import display_name
from asd_core.types import DerivedArray, Waveform
from pages.shared.choices import choose
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root, has_clips
from pages.shared.keys import ClipFile, held, kept
from pages.shared.plain_text import plain

_SIMULATED_NAME = re.compile(r"test/(normal|anomaly)_id_(\d\d)_(\d{8})\.wav")
_SAID_FOLDERS = frozenset((*LABELS, *NORMAL_WORDS, *ANOMALOUS_WORDS, *SPLITS))
"""Folders that say no more of a clip than its label and split."""


@dataclass(frozen=True, eq=False)
class SharedClip(Waveform):
    """A clip whose features are computed once for all detectors, pages and sessions; they are read-only.

    Parameters
    ----------
    channel
        The channel that the samples are of; None for the mean.
    """

    channel: int | None = None

    @classmethod
    def of(cls, waveform: Waveform, channel: int | None) -> SharedClip:
        """The same sound, shared."""
        return cls(waveform.samples, waveform.sr, waveform.digest, waveform.warnings, channel)

    def _derived(self, name: str, compute: Callable[[], DerivedArray]) -> DerivedArray:
        def locked() -> DerivedArray:
            array = compute()
            array.flags.writeable = False
            return array

        return held().get(("derived", self.digest, self.channel, name), locked, sounds=lambda _: [self.digest])


@kept()
def clip(file: ClipFile) -> Waveform:
    """Read a clip of a data set."""
    if file.span is None:
        return SharedClip.of(read_waveform(file.path, channel=file.channel), file.channel)
    return SharedClip.of(read_clip(file.path, channel=file.channel, span=file.span), file.channel)


def label_and_kind(clip: ScoredClip | Clip) -> str:
    """Say a clip's label, and its kind where one is known: `anomalous (rail)`."""
    return f"{clip.label} ({display_name(clip.kind)})" if clip.kind else clip.label


def shown_name(clip: ScoredClip | Clip) -> str:
    """Return what tables, lists and reports call a clip: its folder and its owner's name for it, printable."""
    return display_name(clip.shown)


def name_order(clip: ScoredClip | Clip) -> tuple[object, ...]:
    """Sort clips as people count, by the names that they are shown under."""
    return natural_key(clip.shown), clip.path


def short_name(clip: ScoredClip | Clip) -> str:
    """Return a clip's name with those of its folders that say more than its label, kind, split and id."""
    *folders, name = PurePosixPath(clip.shown).parts or ("",)
    said = {clip.label, clip.kind, clip.split, clip.machine_id, f"id_{clip.machine_id}", *_SAID_FOLDERS}
    further = [folder for folder in folders if folder.lower() not in said and folder not in said]
    return display_name("/".join([*further, name]))


def clip_title(clip: ScoredClip | Clip) -> str:
    """Say what a clip of the data set is: label, kind, id, name.

    Two clips have two titles, since one is chosen from a list by them: only the usual suffix is left out.
    """
    return f"{label_and_kind(clip)} · id {display_name(clip.machine_id)} · {short_name(clip).removesuffix('.wav')}"


def example_clip(chosen: Chosen, artifacts: Mapping[str, Artifact]) -> tuple[Waveform | None, str]:
    """Let the user pick one of the data set's test clips; return its sound and title."""
    if not artifacts:
        return None, ""
    scored = {each.path: each for each in next(iter(artifacts.values())).scores.of("test").clips}
    root = clips_root(chosen)
    if root is None or not scored:
        st.info("The clips of this data set are not known here: upload one.", icon=":material/info:")
        return None, ""
    paths = sorted(scored, key=lambda path: (scored[path].label, scored[path].machine_id, name_order(scored[path])))
    path = choose(
        "Test clip",
        paths,
        key="clip",
        format_func=lambda path: clip_title(scored[path]),
        help="Clips that no detector was trained on, with their true label.",
    )
    channel = next(iter(artifacts.values())).channel
    return load_scored(chosen, scored[path], channel), clip_title(scored[path])


def load_scored(chosen: Chosen, scored: ScoredClip, channel: int | None) -> Waveform | None:
    """Read a clip of the data set by a detector's channel; None where its sound is not available.

    While the clips that come with the project are not on the disk yet, only the one that is asked for is rendered.
    """
    simulated = _SIMULATED_NAME.fullmatch(scored.path)
    if chosen.embedded and simulated and not has_clips(chosen):
        return _rendered(simulated.groups(), scored.digest)
    root = clips_root(chosen)
    return None if root is None else clip(ClipFile.named(root, scored.path, scored.digest, channel))


@kept()
def _rendered(key: tuple[str, ...], digest: str) -> Waveform:
    from asd_core.data.simulated.bench import ClipKey, render_clip
    from asd_core.data.simulated.writing import to_pcm16

    label, machine_id, index = key
    samples = render_clip(ClipKey(machine_id, "test", label, int(index))).samples
    return SharedClip.of(Waveform((to_pcm16(samples) / 32768.0).astype(np.float32), digest=digest), None)


def of_one_channel(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Keep the detectors that use the same channel as the first, so that one sound serves all; name the others."""
    channels = {name: artifact.channel for name, artifact in artifacts.items()}
    first = next(iter(channels.values()), None)
    if others := [plain(artifacts[name].title) for name, channel in channels.items() if channel != first]:
        st.info(f"Left out, trained on another channel: {', '.join(others)}.", icon=":material/info:")
    return {name: artifact for name, artifact in artifacts.items() if artifact.channel == first}
