"""What scoring every k-th window only costs and saves: `python -m benchmarks.stride` prints a Markdown table.

The LSTM and GRU detectors that come with the project score the test clips of the simulated bench (size small, seed 0)
with several strides; nothing is trained. Processor time is from samples in memory to the score, log-mel frames
included, the median over the clips, the strides in turn for each clip.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.clips import Clip
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors.on_recurrent_networks import RecurrentDetector
from asd_core.evaluation.metrics import auc
from asd_core.types import FloatArray
from benchmarks.embedded import NAME, PROJECT

STRIDES = (1, 2, 5, 10)
HEADER = """Simulated data (bench small, seed 0), not recordings.

| detector | stride | AUC mean over ids | ms per clip (processor) | times faster |
|---|---|---|---|---|"""


def main() -> None:
    """Write the bench where it is missing, score each clip with each stride, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build") / NAME)
    arguments = parser.parse_args()
    root = write_bench(arguments.data, size="small", seed=0)
    clips = index_clips(root, machine="slider").select(split="test")
    print(HEADER)
    for name in ("lstm_predictor", "gru_autoencoder"):
        scores, milliseconds = score(embedded(name), clips)
        for column, stride in enumerate(STRIDES):
            faster = milliseconds[0] / milliseconds[column]
            area = mean_auc(clips, scores[:, column])
            print(f"| {name} | {stride} | {area:.3f} | {milliseconds[column]:.1f} | {faster:.1f} |", flush=True)


def embedded(name: str) -> list[RecurrentDetector]:
    """The trained detector with each of the strides."""
    trained = open_artifact(PROJECT / "artifacts" / NAME / "slider" / name).detector()
    assert isinstance(trained, RecurrentDetector)
    strided = [replace(trained, stride=stride) for stride in STRIDES]
    for each in strided:
        each.restore(trained.state)
    return strided


def score(detectors: list[RecurrentDetector], clips: tuple[Clip, ...]) -> tuple[FloatArray, list[float]]:
    """Scores (n_clips, n_strides), and each stride's median processor time per clip in milliseconds."""
    scores, spent = np.empty((2, len(clips), len(detectors)))
    for row, clip in enumerate(clips):
        waveform = read_waveform(clip.path)
        for column, detector in enumerate(detectors):
            began = time.process_time()
            scores[row, column] = detector.anomaly_score(waveform)
            spent[row, column] = time.process_time() - began
    return scores, [1000 * statistics.median(column) for column in spent.T]


def mean_auc(clips: tuple[Clip, ...], scores: FloatArray) -> float:
    """AUC of each id's clips, averaged over the ids."""
    ids, labels = np.array([clip.machine_id for clip in clips]), np.array([clip.label == "anomalous" for clip in clips])
    return float(np.mean([auc(labels[ids == each], scores[ids == each]) for each in sorted(set(ids))]))


if __name__ == "__main__":
    main()
