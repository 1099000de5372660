"""A detector that is replaced while clips are scored: each score belongs to the version it was asked of."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sounds import hum

from asd_core.artifacts.store import Artifact, open_artifact, publish
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR
from pages.shared import cache

N_READERS = 4
SECONDS = 2.0
TINY = {"hidden": 8, "layers": 1, "epochs": 1, "batch_size": 16, "windows_per_epoch": 64}


@pytest.fixture(scope="module")
def two_trainings(tmp_path_factory) -> list[Artifact]:
    """The same detector, trained from two seeds."""
    import soundfile as sf

    place = tmp_path_factory.mktemp("swap")
    for number in range(20):
        path = place / "fan" / "normal" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, hum(number).samples, SR, subtype="PCM_16")
    asked = [
        TrainingRequest("lstm_predictor", place / "fan", settings=TINY, seed=seed, out=place / f"out{seed}")
        for seed in (0, 1)
    ]
    return [train(request).artifact for request in asked]


def put(folder: Path, artifact: Artifact) -> Artifact:
    return publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=artifact.scores.clips)


def test_a_swap_during_scoring_gives_old_or_new_scores_never_a_mixture(two_trainings, tmp_path):
    clip, folder = hum(99, knocks=3), tmp_path / "set" / "fan" / "lstm_predictor"
    scores = [artifact.detector().anomaly_score(clip) for artifact in two_trainings]
    assert scores[0] != scores[1]
    folder.mkdir(parents=True)
    expected = {put(folder, two_trainings[0]).version: scores[0]}
    seen: list[tuple[str, float]] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            artifact = open_artifact(folder)
            seen.append((artifact.version, cache.detector(artifact).anomaly_score(clip)))  # as the pages do

    readers = [threading.Thread(target=read) for _ in range(N_READERS)]
    for reader in readers:
        reader.start()
    deadline, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline or number < 10:
        number += 1
        expected[put(folder, two_trainings[number % 2]).version] = scores[number % 2]
        time.sleep(0.02)
    ended.set()
    for reader in readers:
        reader.join()
    assert len({version for version, _ in seen}) > 3
    assert [pair for pair in seen if expected[pair[0]] != pair[1]] == []
