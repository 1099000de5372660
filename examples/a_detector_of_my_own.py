"""A detector of one's own: `python examples/a_detector_of_my_own.py [FOLDER]`.

It keeps the package's contract (`asd_core.detectors.contract`), so it can be saved, restored, cloned and calibrated as
the others are. To train it by its name, put it into `asd_core/detectors` and its registry, as CONTRIBUTING.md says.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asd_core import AnomalyMap, Detector, Waveform, index_clips, write_bench
from asd_core.data.data_set import FileClips
from asd_core.data.simulated.bench import BenchSize, IdCounts
from asd_core.detectors.contract import State, TensorSpec
from asd_core.errors import InputError
from asd_core.evaluation.metrics import auc
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.features.log_mel import N_MELS, frame_times_s, log_mel_frames, mel_band_centres_hz

SIMULATED = BenchSize("example", {"00": IdCounts(train_normal=20, test_normal=10, test_anomalous=10)})


@dataclass
class SpectrumDistance(Detector):
    """How far each log-mel frame is from the training clips' mean spectrum, in their standard deviations.

    Parameters
    ----------
    least_db
        No band counts as varying less than this.
    """

    least_db: float = 1.0

    name = "spectrum_distance"
    title = "Distance from the mean spectrum"
    presets = {"paper": {}, "quick": {}}  # noqa: RUF012 - read only
    fits_in_seconds = True
    min_samples = 1024
    _arrays: State | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def fitted(self) -> bool:
        """Whether there are arrays to score with."""
        return self._arrays is not None

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of what is learned."""
        return {name: TensorSpec("float64", (N_MELS,)) for name in ("mean_db", "spread_db")}

    def _forget(self) -> None:
        self._arrays = None

    def _fit(self, clips, heldout, on_progress, should_stop, checkpoint) -> None:  # noqa: ARG002 - done in a moment
        frames = np.concatenate([self._frames(clip) for clip in clips])
        if not np.ptp(frames, axis=0).any():
            raise InputError("the training clips never change: nothing can be learned from them")
        self._arrays = {"mean_db": frames.mean(axis=0), "spread_db": np.maximum(frames.std(axis=0), self.least_db)}

    def _frames(self, clip: Waveform) -> np.ndarray:
        return log_mel_frames(clip, min_samples=self.min_samples).astype(np.float64)  # (n_frames, 128)

    def _anomaly_map(self, clip: Waveform) -> AnomalyMap:
        distances = np.abs(self._frames(clip) - self._arrays["mean_db"]) / self._arrays["spread_db"]
        return AnomalyMap(distances, frame_times_s(len(distances)), mel_band_centres_hz())

    def _anomaly_score(self, clip: Waveform) -> float:
        return float(self._anomaly_map(clip).values.mean())

    def _state(self) -> State:
        return {name: array.copy() for name, array in self._arrays.items()}

    def _restore(self, state: State) -> None:
        self._arrays = {name: np.array(array) for name, array in state.items()}


def main() -> None:
    """Fit on half of the normal training clips, calibrate on the others, and judge the test clips."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else write_bench(Path("build/examples/simulated"), size=SIMULATED)
    index = index_clips(folder)
    normal, test = FileClips(index.select(split="train", label="normal")), FileClips(index.select(split="test"))
    n_fitted = len(normal) // 2  # 9 others are needed for a threshold with a promise

    detector = SpectrumDistance().fit(normal[:n_fitted])
    threshold = default_threshold(detector.anomaly_scores(normal[n_fitted:]))
    print(f"{detector.title}: fitted on {n_fitted} clips, threshold {threshold.value:.2f} (rule {threshold.rule})")

    again = SpectrumDistance().restore(detector.state)  # what a saved detector does
    scores = again.anomaly_scores(test)
    print(f"{is_anomalous(scores, threshold.value).sum()} of {len(scores)} test clips are anomalous")
    labels = np.array([clip.label == "anomalous" for clip in test.clips])
    if 0 < labels.sum() < len(labels):
        print(f"AUC {auc(labels, scores):.3f} on {'the folder given' if sys.argv[1:] else 'simulated clips'}")


if __name__ == "__main__":
    main()
