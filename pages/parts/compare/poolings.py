"""The compare page's second rows of the networks: the same errors, pooled to a score in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.cache import read_named
from asd_core.formats import seconds_text
from asd_core.tasks.compare import Method, other_poolings, pooled_title, with_other_poolings
from asd_core.types import Waveform
from pages.shared.cache import detector
from pages.shared.choices import turn_on
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root
from pages.shared.keys import held, once
from pages.shared.plain_text import plain

SECONDS_PER_CLIP = 0.08
"""Reading a clip of 10 s and one pass of a network; for the words beside the button only."""


def poolings_choice(chosen: Chosen, good: Mapping[str, Artifact]) -> tuple[Method, ...]:
    """Return what the detectors scored; on request, each network under both poolings, clearly named."""
    own = {name: Method.of(artifact) for name, artifact in good.items()}
    networks = {name: artifact for name, artifact in good.items() if "pooling" in artifact.manifest.settings}
    wanted = turn_on(
        "Both poolings of networks",
        key="poolings",
        disabled=not networks,
        help="A network's errors over time and frequency become one score in two ways: their mean, as in the report, "
        "which loud, noisy bands dominate; or measured against the errors of normal clips, as multiples of what is "
        "normal in each band and as the distance of the error spectrum. The network is the same.",
    )
    if not wanted or not networks:
        return tuple(own.values())
    networks = {name: artifact for name, artifact in networks.items() if _other(artifact)}
    if not networks:
        st.caption(
            "These networks were trained before errors of normal clips were kept, and take the report's mean: "
            "train them again to see the other way."
        )
    known = {name: held().find(_key(artifact)) for name, artifact in networks.items()}
    if missing := {name: artifact for name, artifact in networks.items() if known[name] is None}:
        _offer(chosen, missing, own)
        return tuple(own.values())
    return tuple(chain.from_iterable(_both(method, known.get(name)) for name, method in own.items()))


def _both(method: Method, others: tuple[Method, ...] | None) -> tuple[Method, ...]:
    return (method,) if others is None else (_named_by_pooling(method), *others)


def _other(artifact: Artifact) -> tuple[str, ...]:
    trained = detector(artifact)
    return other_poolings(trained) if isinstance(trained, NetworkDetector) else ()


def _named_by_pooling(method: Method) -> Method:
    pooling = "" if method.artifact is None else str(method.artifact.manifest.settings["pooling"])
    return replace(method, title=pooled_title(method.title, pooling))


def _key(artifact: Artifact) -> tuple[str, ...]:
    return "poolings", str(artifact.folder), artifact.digest


def _offer(chosen: Chosen, missing: Mapping[str, Artifact], own: Mapping[str, Method]) -> None:
    """Offer to hear the clips again by the networks whose other poolings are not known yet."""
    n_clips = sum(len(own[name].scores.clips) + len(own[name].heldout.clips) for name in missing)
    about = seconds_text(max(1, round(SECONDS_PER_CLIP * n_clips)))
    titles = ", ".join(plain(artifact.title) for artifact in missing.values())
    st.caption(f"Only scores by each network's own pooling are kept. {titles}: the clips have to be heard again.")
    pressed = st.button(f"Hear them again ({n_clips:,} scores, about {about})", icon=":material/graphic_eq:")
    root = clips_root(chosen) if pressed else None
    if root is None:
        if pressed:
            st.caption("The sound of this data set is not here.")
        return
    for name, artifact in missing.items():
        once(_key(artifact), partial(_heard_again, artifact, own[name], root))
    st.rerun()


def _heard_again(artifact: Artifact, method: Method, root: Path) -> tuple[Method, ...]:
    trained = detector(artifact)
    if not isinstance(trained, NetworkDetector):
        return ()
    total = len(method.scores.clips) + len(method.heldout.clips)
    bar, done = st.progress(0.0, "Listening …"), iter(range(1, total + 1))

    def sound(clip: ScoredClip) -> Waveform:
        at = next(done)
        bar.progress(at / total, f"{plain(artifact.title)}: {at} of {total} clips")
        return read_named(root, clip.path, channel=artifact.channel, within=allowed_roots())

    found = with_other_poolings(method, trained, sound)
    bar.empty()
    return found
