"""Write the detectors of this folder: what a version with schema 1 saved, and what it scored.

    python tests/golden/artifact_schema1/make.py

Only detectors that are not here yet are written: what lies here stays as it is, and later versions must load it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from asd_core.artifacts.store import open_artifact
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR, Waveform

HERE = Path(__file__).resolve().parent
TRAINED = {
    "lstm_predictor": {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 256},
    "gru_autoencoder": {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 256},
    "dcase_autoencoder": {"epochs": 2, "windows_per_epoch": 2048},
    "vggish_ocsvm": {"nu": 0.2},
    "vggish_mahalanobis": {},
    "vggish_knn": {},
}
N_TRAIN = {"lstm_predictor": 48, "vggish_ocsvm": 10}
MANY = 20


def tone(number: float, *, seconds: float = 1.0) -> np.ndarray:
    """A clip that needs no random generator, shape (n_samples,)."""
    t = np.arange(int(seconds * SR)) / SR
    hum = 0.1 * np.sin(2 * np.pi * (200 + number) * t) * (1 + 0.3 * np.sin(2 * np.pi * (1 + 0.1 * number) * t))
    hiss = 0.01 * np.sin(1000.0 * np.sin(12.9898 * np.arange(len(t)) + number))
    return (hum + hiss).astype(np.float32)


def clips() -> list[Waveform]:
    """A clip like those of the training, and one with a faint knock."""
    knocked = tone(4.5)
    knocked[8000:8100] += np.float32(0.02)
    return [Waveform(tone(4.5)), Waveform(knocked)]


def write_data(root: Path, n_train: int) -> None:
    """Write a machine in the DCASE 2020 layout."""
    for split, n in (("train", n_train), ("test", 2)):
        (root / "slider" / split).mkdir(parents=True)
        for number in range(n):
            path = root / "slider" / split / f"normal_id_00_{number:08d}.wav"
            sf.write(path, tone(number + (50 if split == "test" else 0)), SR, subtype="PCM_16")


def main() -> None:
    """Train what is missing, move the folders here, and note the scores."""
    noted = HERE / "expected.json"
    expected = json.loads(noted.read_text()) if noted.exists() else {}
    for name, settings in TRAINED.items():
        if name in expected:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            write_data(Path(scratch, "golden"), N_TRAIN.get(name, MANY))
            request = TrainingRequest(name, Path(scratch, "golden"), settings=settings, out=Path(scratch, "out"))
            model = train(request).model
            (model / ".lock").unlink()
            shutil.copytree(model, HERE / name)
        detector = open_artifact(HERE / name).detector()
        expected[name] = [float(score) for score in detector.anomaly_scores(clips())]
    noted.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
