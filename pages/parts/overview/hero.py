"""The overview's demonstration: a normal clip, then an anomalous one, and how a detector hears the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact, find_artifacts
from asd_core.audio.reading import encode_flac
from asd_core.evaluation.demonstration import Demonstration, demonstration, score_build_up
from asd_core.evaluation.scores import ScoredClip
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.formats import class_word, display_name, score_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_SHORT_NAMES,
    SPECTROGRAM_DB,
    frequency_ticks,
    heatmap_png,
    map_limit,
    palette_stops,
)
from asd_core.system.places import artifacts_dir
from asd_core.types import AnomalyMap, Float32Array, Waveform
from pages.shared.cache import Heard, artifacts, heard, tested
from pages.shared.components.hero import HeroClip, HeroRow, hero
from pages.shared.components.player import ColourScale
from pages.shared.context import EMBEDDED_NAME, PROJECT, Chosen
from pages.shared.keys import kept
from pages.shared.plain_text import plain
from pages.shared.sources import load_scored

SHORTEST_S, LONGEST_S = 2.0, 30.0
"""Shorter clips are over before one has looked; of longer ones, one would wait for the second."""


def draw_hero(chosen: Chosen, own: Mapping[str, Artifact], stage: DeltaGenerator) -> None:
    """Draw the demonstration with the context's own clips, else with the embedded ones, else empty the stage.

    Parameters
    ----------
    own
        The context's detectors that can be used.
    stage
        An `st.empty` whose content is replaced once all is computed, so that nothing below it moves meanwhile.
    """
    active = [own[name] for name in chosen.active if name in own]
    if not _shown(chosen, active, stage) and (chosen.embedded or not _embedded_shown(stage)):
        stage.empty()


def _embedded_shown(stage: DeltaGenerator) -> bool:
    folders = [folder for folder in find_artifacts(artifacts_dir(PROJECT)) if folder.parents[1].name == EMBEDDED_NAME]
    if not folders:
        return False
    embedded = Chosen(EMBEDDED_NAME, folders[0].parent.name, {folder.name: folder for folder in folders})
    good = artifacts(embedded)[0]
    return _shown(embedded, good.values(), stage, is_stand_in=True)


def _shown(chosen: Chosen, listening: Iterable[Artifact], stage: DeltaGenerator, *, is_stand_in: bool = False) -> bool:
    """Draw the first detector that has a demonstration."""
    for artifact in sorted(listening, key=lambda each: rank_of_picture(each.detector_name)):
        threshold = artifact.threshold.value
        pair = None if threshold is None else demonstration(tested(artifact), threshold)
        if pair is None or threshold is None:
            continue
        sounds = [load_scored(chosen, clip, artifact.channel) for clip in pair.clips]
        normal, anomalous = sounds
        if normal is None or anomalous is None or not all(map(_lasts_right, (normal, anomalous))):
            continue
        found = [heard(artifact, sound) for sound in (normal, anomalous)]
        with stage.container():
            _draw(artifact, threshold, pair, (normal, anomalous), found, is_stand_in=is_stand_in)
        return True
    return False


def _lasts_right(sound: Waveform) -> bool:
    return SHORTEST_S <= sound.duration_s <= LONGEST_S


def rank_of_picture(name: str) -> int:
    """Rank detectors by what their maps show: over frequency, then over time, last how the score depends on a window.

    The one-class SVM's score levels off far from normal sound, so its map is dark where a clip is most anomalous.
    """
    return 2 if name == "vggish_ocsvm" else int(name.startswith("vggish"))


def _draw(
    artifact: Artifact,
    threshold: float,
    pair: Demonstration,
    sounds: tuple[Waveform, Waveform],
    found: Sequence[Heard],
    *,
    is_stand_in: bool,
) -> None:
    name = DETECTOR_SHORT_NAMES.get(artifact.detector_name, artifact.title)
    scale, limits = _map_scale(threshold, found)
    low, high = SPECTROGRAM_DB
    hero(
        [
            _hero_clip(name, threshold, limits, clip, sound, each)
            for clip, sound, each in zip(pair.clips, sounds, found, strict=True)
        ],
        flac=_flac(*sounds),
        spectrogram=HeroRow(
            "What one hears: spectrogram (Hz)",
            frequency_ticks(mel_band_centres_hz(), ticks_hz=(500, 1000, 2000, 4000)),
            ColourScale(palette_stops("viridis"), f"{low:g} dB", f"{high:g} dB"),
        ),
        anomaly_map=HeroRow(f"What the {name} finds strange", _map_ticks(found[0].anomaly_map), scale),
        detector=name,
        colour=DETECTOR_COLOURS[artifact.detector_name],
        threshold=threshold,
        key="hero",
    )
    source = "Simulated sound, not a recording" if artifact.simulated else "Test clips of this data set"
    if is_stand_in:
        source = f"Until this data set has test clips of both labels: the example that comes with the program. {source}"
    st.caption(
        f"{source}. Chosen by rule, not by ear: the anomalous test clip with the median score of those that the {name} "
        f"finds, and the normal one with the median score of machine id {plain(display_name(pair.normal.machine_id))}. "
        "The curve adds up the map and ends at the clip's score."
    )


def _hero_clip(
    name: str,
    threshold: float,
    limits: tuple[float, float],
    clip: ScoredClip,
    sound: Waveform,
    found: Heard,
) -> HeroClip:
    calls = bool(is_anomalous(found.anomaly_score, threshold))
    is_bad = clip.label == "anomalous"
    side = "above" if calls else "below"
    steps = found.anomaly_map.times_s
    half_step = float(steps[1] - steps[0]) / 2 if len(steps) > 1 else sound.duration_s / 2
    span_s = max(0.0, float(steps[0]) - half_step), min(sound.duration_s, float(steps[-1]) + half_step)
    kind = f" ({display_name(clip.kind)})" if clip.kind else ""
    return HeroClip(
        title=f"Anomalous clip{kind}" if is_bad else "Normal clip",
        verdict=f"{name}: {class_word(calls)}, score {score_text(found.anomaly_score)} ({side} the threshold)",
        is_anomalous=is_bad,
        called_anomalous=calls,
        duration_s=sound.duration_s,
        spectrogram=heatmap_png(log_mel(sound.samples), low=SPECTROGRAM_DB[0], high=SPECTROGRAM_DB[1]),
        map_picture=heatmap_png(found.anomaly_map.values, low=limits[0], high=limits[1], palette="magma"),
        map_alt=f"Anomaly map of the {name}: brighter is stranger; {class_word(calls)} at the clip's end",
        map_span_s=span_s,
        times_s=[0.0, *(steps + half_step).clip(max=sound.duration_s).tolist()],
        values=[0.0, *score_build_up(found.anomaly_map, found.anomaly_score).tolist()],
    )


def _map_scale(threshold: float, found: Iterable[Heard]) -> tuple[ColourScale, tuple[float, float]]:
    """Legend of the maps, and the values drawn in their first and last colour: the same for both clips."""
    maps = [each.anomaly_map for each in found]
    values = np.concatenate([each.values.ravel() for each in maps])
    if maps[0].values.shape[1] == 1:
        low, high = float(values.min()), float(values.max())
    else:
        low, high = 0.0, map_limit(values[:, None], threshold, unit=maps[0].unit)
    return ColourScale(palette_stops("magma"), "normal", "strange"), (low, high)


def _map_ticks(anomaly_map: AnomalyMap) -> tuple[tuple[float, str], ...]:
    if anomaly_map.values.shape[1] == 1:
        return ()
    return frequency_ticks(anomaly_map.bands_hz, ticks_hz=(500, 1000, 2000, 4000))


@kept()
def _flac(normal: Waveform, anomalous: Waveform) -> bytes:
    samples: Float32Array = np.concatenate([normal.samples, anomalous.samples])
    return encode_flac(samples)
