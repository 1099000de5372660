"""Features of one's own under scikit-learn: `python examples/embeddings_of_my_own.py [FOLDER] [BACK_END]`.

`ArrayDetector` takes one row of numbers per clip, from any network or formula, and behaves as scikit-learn's own
outlier detectors do, but for its threshold: that comes from rows that the scoring fit has not seen.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from asd_core import ArrayDetector, Waveform, index_clips, write_bench
from asd_core.data.data_set import FileClips
from asd_core.data.simulated.bench import BenchSize, IdCounts
from asd_core.features.log_mel import log_mel_frames

SIMULATED = BenchSize("example", {"00": IdCounts(train_normal=20, test_normal=10, test_anomalous=10)})


def embed(clip: Waveform) -> np.ndarray:
    """Level and unsteadiness of 16 wide bands, shape (32,). Call your own encoder here."""
    bands = log_mel_frames(clip, min_samples=1024).reshape(-1, 16, 8).mean(axis=2)  # (n_frames, 16)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)])


def main() -> None:
    """Fit on normal training clips and predict the test clips."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else write_bench(Path("build/examples/simulated"), size=SIMULATED)
    index = index_clips(folder)
    normal, test = FileClips(index.select(split="train", label="normal")), FileClips(index.select(split="test"))
    recordings = [clip.recording for clip in normal.clips]

    detector = make_pipeline(StandardScaler(), ArrayDetector(sys.argv[2] if sys.argv[2:] else "knn"))
    detector.fit(
        np.stack([embed(clip) for clip in normal]),
        arraydetector__groups=None if None in recordings else recordings,
    )
    predicted = detector.predict(np.stack([embed(clip) for clip in test]))

    print(f"promised false-alarm rate: {detector[-1].threshold_.promised_fpr}")
    for label in sorted({clip.label for clip in test.clips}):
        own = predicted[[clip.label == label for clip in test.clips]]
        print(f"{label} test clips called anomalous: {(own == -1).sum()} of {len(own)}")
    if not sys.argv[1:]:
        print("All clips are simulated: these figures say nothing about a real machine.")


if __name__ == "__main__":
    main()
