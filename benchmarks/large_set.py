"""A data set of any number of clips, with detectors that scored them: `python -m benchmarks.large_set DIR`.

The clips are hard links to those of the simulated bench, so that they take no room; labels, names and scores are drawn
anew. The detectors are those that come with the project; only their table of scores is another. For looking at how the
pages carry a large data set, and for nothing else: the scores do not belong to the clips.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np

from asd_core.artifacts.store import locked, open_artifact, publish
from asd_core.data.simulated.bench import write_bench
from asd_core.evaluation.scores import ScoredClip
from asd_core.types import FloatArray
from benchmarks.embedded import NAME, PROJECT

DATA_SET, MACHINE = "large", "slider"
DETECTORS = ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")
WHOLE_DEVELOPMENT_SET, ONE_MACHINE = 30_987, 1_101
SHARE_ANOMALOUS, N_IDS, N_TRAINING = 0.5, 4, 300
KINDS = ("rail", "belt", "no grease", "loose screw")


def large_set(folder: Path, n_clips: int, *, with_clips: bool = True, clip: Path | None = None) -> Mapping[str, str]:
    """Make data set and detectors below an empty folder; returns the environment that shows them to the dashboard.

    Parameters
    ----------
    with_clips
        Whether there are sound files; without, the data set is one whose sound is not at hand.
    clip
        A sound file that every clip is a link to; default the clips of the bench in turn.
    """
    out, data = folder / "artifacts", folder / "data"
    clips = named_clips(n_clips)
    for at, name in enumerate(DETECTORS):
        (version,) = (PROJECT / "artifacts" / NAME / MACHINE / name).glob("v*")
        original = open_artifact(version)
        heldout = original.scores.of("heldout").clips
        level = np.array([each.anomaly_score for each in heldout])
        drawn = scores(clips, level, seed=at)
        target = out / DATA_SET / MACHINE / name
        target.mkdir(parents=True)
        tested = tuple(
            ScoredClip(*parts, anomaly_score=float(score)) for parts, score in zip(clips, drawn, strict=True)
        )
        with locked(target):
            publish(
                target,
                manifest=replace(original.manifest, parent=None),
                state=original.detector().state,
                scores=(*heldout, *tested),
            )
    data.mkdir(parents=True, exist_ok=True)
    if with_clips:
        link_clips(data / DATA_SET / MACHINE, [path for path, *_ in clips], clip=clip)
        write_table(data)
    return {"ASD_ARTIFACTS_DIR": str(out), "ASD_DATA_DIR": str(data)}


def named_clips(n_clips: int) -> list[tuple[str, str, str, str, str, str]]:
    """Path, id, split, label, kind and digest of labelled test clips."""
    found = []
    for number in range(n_clips):
        is_anomalous = number < SHARE_ANOMALOUS * n_clips
        machine_id, word = f"{2 * (number % N_IDS):02d}", "anomaly" if is_anomalous else "normal"
        path = f"test/{word}_id_{machine_id}_{number:08d}.wav"
        kind = KINDS[number // N_IDS % len(KINDS)] if is_anomalous else ""
        label = "anomalous" if is_anomalous else "normal"
        found.append((path, machine_id, "test", label, kind, hashlib.sha256(path.encode()).hexdigest()))
    return found


def scores(clips: Sequence[tuple[str, ...]], level: FloatArray, *, seed: int) -> FloatArray:
    """Distinct scores of two overlapping classes around a detector's held-out ones, shape (n_clips,)."""
    rng = np.random.default_rng(seed)
    is_anomalous = np.array([label == "anomalous" for _, _, _, label, *_ in clips])
    spread = level.std()
    return np.asarray(level.mean() + spread * (rng.standard_gamma(4.0, len(clips)) - 2 + 2.5 * is_anomalous))


def link_clips(machine: Path, paths: Sequence[str], *, clip: Path | None) -> None:
    """Give every path a sound, and the machine some normal training clips."""
    training = [f"train/normal_id_{2 * (n % N_IDS):02d}_{n:08d}.wav" for n in range(N_TRAINING)]
    for split in ("train", "test"):
        (machine / split).mkdir(parents=True)
    if clip is None:
        bench = write_bench(PROJECT / "build" / NAME, size="small", seed=0)
        sources = cycle(sorted(bench.glob(f"{MACHINE}/*/*.wav")))
    else:
        sources = cycle([clip])
    for path, source in zip([*training, *paths], sources, strict=False):
        os.link(source, machine / path)


def write_table(data: Path) -> None:
    """Add it to the dashboard's table of data sets."""
    entry = {
        "kind": "recordings",
        "added": "2026-01-01T00:00:00+00:00",
        "normal": None,
        "folder": str((data / DATA_SET).resolve()),
        "machines": {MACHINE: MACHINE},
        "aliases": [],
    }
    table = {"schema": 1, "command": "library", "warnings": [], "sets": {DATA_SET: entry}}
    (data / "library.json").write_text(json.dumps(table), encoding="utf-8")


def main() -> None:
    """Make one and print how to look at it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="new or empty, on the project's disk")
    parser.add_argument("--clips", type=int, default=WHOLE_DEVELOPMENT_SET)
    arguments = parser.parse_args()
    environment = large_set(arguments.folder, arguments.clips)
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    sys.stdout.write(f"{settings} {sys.executable} -m streamlit run app.py\n")


if __name__ == "__main__":
    main()
