"""Ideas without networks, judged on real sound: `python -m benchmarks.ideas [--half 0] [--seeds 11 12] [--only TEXT]`.

Each idea turns a clip into rows of numbers, learns from the rows of normal clips, and scores a clip by the mean over
its rows. Ideas were chosen on half 0 of the lathe's recordings (detectors learn from the normal clips of half 1) and on
the simulated slide rail of three bench seeds that nothing else uses; half 1 was looked at once, for the finalists.
The drone is a check that must be near 1. Alarms are those seen on normal clips at a threshold for 10 %, cross-fitted by
recording as ours are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from asd_core.data.clips import Clip
from asd_core.data.data_set import readable
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.on_embeddings import seeded_rows, squared_distances, standard_scale
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.features.cache import read_clip
from asd_core.features.encoders import load_encoder
from asd_core.features.log_mel import VGGISH_MIN_SAMPLES, log_mel_frames, vggish_patches
from asd_core.tasks.calibrate import plan_calibration
from asd_core.types import BoolArray, FloatArray, IntArray, Waveform
from benchmarks.real_sets import REAL, SETS

PATCH_FRAMES = 30
"""0.96 s of log-mel frames, as long as a patch of the encoders."""
CONTEXT, MAX_ROWS = 5, 20_000


@dataclass(frozen=True, eq=False)
class Sound:
    """What ideas are made from.

    Parameters
    ----------
    mel
        The networks' frames in dB, shape (n_frames, 128).
    front
        Frames of the encoders' front end, natural logarithm, shape (n_patches * 96, 64).
    patches
        Log-mel statistics as they are, shape (n_patches, 128).
    """

    mel: FloatArray
    front: FloatArray
    patches: FloatArray

    @classmethod
    def of(cls, clip: Waveform) -> Sound:
        """Compute all three."""
        padded = np.pad(clip.samples, (0, max(0, VGGISH_MIN_SAMPLES - clip.n_samples)))
        front = vggish_patches(padded)
        return cls(
            log_mel_frames(clip, min_samples=1).astype(np.float64),
            front.reshape(-1, front.shape[2]),
            load_encoder("logmel_stats").encode(clip),
        )


Rows = Callable[[Sound], FloatArray]
BackEnd = Callable[[FloatArray], Callable[[FloatArray], FloatArray]]
"""Training rows to a function that scores rows."""
Fit = Callable[[Sequence[Sound]], Callable[[Sound], float]]
"""Normal sounds to a function that scores a sound."""


def in_patches(summary: Callable[[FloatArray], FloatArray]) -> Rows:
    """Summarise each patch of 30 frames of `mel`; what is left over at the end is dropped."""

    def rows(sound: Sound) -> FloatArray:
        n_patches = max(1, len(sound.mel) // PATCH_FRAMES)
        return np.stack([summary(sound.mel[n * PATCH_FRAMES : (n + 1) * PATCH_FRAMES]) for n in range(n_patches)])

    return rows


def mean_and_std(frames: FloatArray) -> FloatArray:
    """Mean and deviation of each band, shape (2 * n_bands,)."""
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])


def level_and_std(frames: FloatArray) -> FloatArray:
    """Mean power of each band in dB, and the deviation of its dB values, shape (2 * n_bands,)."""
    return np.concatenate([10 * np.log10(np.mean(10 ** (frames / 10), axis=0)), frames.std(axis=0)])


def cepstra(n: int) -> Callable[[FloatArray], FloatArray]:
    """Mean and deviation of the first n cepstral coefficients."""
    return lambda frames: mean_and_std(scipy.fft.dct(frames, norm="ortho", axis=1)[:, :n])


def windows(sound: Sound) -> FloatArray:
    """Windows of 5 frames, shape (n_frames - 4, 640)."""
    view = np.lib.stride_tricks.sliding_window_view(sound.mel, CONTEXT, axis=0)  # (n_windows, n_bands, 5)
    return view.transpose(0, 2, 1).reshape(len(view), -1)


def nearest(k: int) -> BackEnd:
    """Mean Euclidean distance to the k nearest training rows, standardised."""

    def fit(rows: FloatArray) -> Callable[[FloatArray], FloatArray]:
        mean, scale = standard_scale(rows)
        references = (rows - mean) / scale

        def score(others: FloatArray) -> FloatArray:
            distances = np.sqrt(squared_distances((others - mean) / scale, references))
            return np.sort(distances, axis=1)[:, :k].mean(axis=1)

        return score

    return fit


def mahalanobis(rows: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Squared distance by the covariance of Ledoit and Wolf, standardised."""
    from sklearn.covariance import LedoitWolf

    mean, scale = standard_scale(rows)
    covariance = LedoitWolf(assume_centered=True).fit((rows - mean) / scale).covariance_
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / scale
    return lambda others: np.square((others - mean) @ whitening.T).sum(axis=1)


def mixture(n_components: int, *, n_axes: int) -> BackEnd:
    """Negative log-likelihood under Gaussians with full covariances, on the first principal axes, whitened."""

    def fit(rows: FloatArray) -> Callable[[FloatArray], FloatArray]:
        from sklearn.decomposition import PCA
        from sklearn.mixture import GaussianMixture

        mean, scale = standard_scale(rows)
        drawn = (seeded_rows(rows, at_most=MAX_ROWS, seed=0) - mean) / scale
        axes = PCA(n_axes, whiten=True, random_state=0).fit(drawn)
        gaussians = GaussianMixture(n_components, reg_covar=1e-3, random_state=0).fit(axes.transform(drawn))
        return lambda others: -gaussians.score_samples(axes.transform((others - mean) / scale))

    return fit


def squared_residuals(n_axes: int) -> Callable[[FloatArray], Callable[[FloatArray], FloatArray]]:
    """What the first principal axes of training rows leave of others, squared; standardised, shape (n_rows, width)."""

    def fit(rows: FloatArray) -> Callable[[FloatArray], FloatArray]:
        mean, scale = standard_scale(rows)
        drawn = (seeded_rows(rows, at_most=MAX_ROWS, seed=0) - mean) / scale
        axes = np.linalg.eigh(drawn.T @ drawn)[1][:, -n_axes:]

        def residuals(others: FloatArray) -> FloatArray:
            scaled = (others - mean) / scale
            return np.square(scaled - scaled @ axes @ axes.T)

        return residuals

    return fit


def residual(n_axes: int) -> BackEnd:
    """Mean squared residual of each row: a linear autoencoder, solved at once."""

    def fit(rows: FloatArray) -> Callable[[FloatArray], FloatArray]:
        residuals = squared_residuals(n_axes)(rows)
        return lambda others: residuals(others).mean(axis=1)

    return fit


def by_rows(rows: Rows, back_end: BackEnd) -> Fit:
    """Learn from the rows of all sounds; a sound's score is the mean over its rows."""

    def fit(sounds: Sequence[Sound]) -> Callable[[Sound], float]:
        score = back_end(np.concatenate([rows(sound) for sound in sounds]))
        return lambda sound: float(score(rows(sound)).mean())

    return fit


def by_residual_spectrum(n_axes: int, back_end: BackEnd) -> Fit:
    """Learn from the bands' mean squared residuals of each sound."""

    def fit(sounds: Sequence[Sound]) -> Callable[[Sound], float]:
        residuals = squared_residuals(n_axes)(np.concatenate([windows(sound) for sound in sounds]))

        def spectrum(sound: Sound) -> FloatArray:
            return residuals(windows(sound)).mean(axis=0).reshape(CONTEXT, -1).mean(axis=0, keepdims=True)

        score = back_end(np.concatenate([spectrum(sound) for sound in sounds]))
        return lambda sound: float(score(spectrum(sound))[0])

    return fit


def whole(summary: Callable[[FloatArray], FloatArray]) -> Rows:
    """Summarise the whole clip, one row."""
    return lambda sound: summary(sound.mel)[None]


def _mean(frames: FloatArray) -> FloatArray:
    return frames.mean(axis=0)


STATISTICS, LEVELS = "log-mel statistics, 64 bands", "level and std, 128 bands"
IDEAS: dict[str, Fit] = {
    f"{STATISTICS}: nearest neighbour (ours)": by_rows(lambda sound: sound.patches, nearest(1)),
    f"{STATISTICS}: 3 nearest": by_rows(lambda sound: sound.patches, nearest(3)),
    f"{STATISTICS}: 5 nearest": by_rows(lambda sound: sound.patches, nearest(5)),
    f"{STATISTICS}: Mahalanobis (ours)": by_rows(lambda sound: sound.patches, mahalanobis),
    f"{LEVELS}: nearest neighbour": by_rows(in_patches(level_and_std), nearest(1)),
    f"{LEVELS}: 3 nearest": by_rows(in_patches(level_and_std), nearest(3)),
    f"{LEVELS}: Mahalanobis": by_rows(in_patches(level_and_std), mahalanobis),
    "mean and std, 128 bands: nearest neighbour": by_rows(in_patches(mean_and_std), nearest(1)),
    "mean and std, 128 bands: Mahalanobis": by_rows(in_patches(mean_and_std), mahalanobis),
    "mean and std, 128 bands, whole clip: nearest neighbour": by_rows(whole(mean_and_std), nearest(1)),
    "mean and std, 128 bands, whole clip: Mahalanobis": by_rows(whole(mean_and_std), mahalanobis),
    "mean alone, 128 bands: nearest neighbour": by_rows(in_patches(_mean), nearest(1)),
    "20 cepstra: nearest neighbour": by_rows(in_patches(cepstra(20)), nearest(1)),
    "20 cepstra: Mahalanobis": by_rows(in_patches(cepstra(20)), mahalanobis),
    "frames, 64 bands, 20 axes: mixture of 4 Gaussians": by_rows(lambda sound: sound.front, mixture(4, n_axes=20)),
    "frames, 64 bands, 20 axes: mixture of 8 Gaussians": by_rows(lambda sound: sound.front, mixture(8, n_axes=20)),
    "windows of 5 frames: residual of 8 axes": by_rows(windows, residual(8)),
    "windows of 5 frames: residual of 32 axes": by_rows(windows, residual(32)),
    "residual of 32 axes, its spectrum: Mahalanobis": by_residual_spectrum(32, mahalanobis),
}
ENSEMBLES = {
    "nearest neighbour + Mahalanobis, both ours": (
        f"{STATISTICS}: nearest neighbour (ours)",
        f"{STATISTICS}: Mahalanobis (ours)",
    ),
    "patches (ours) + whole clips, nearest neighbour": (
        f"{STATISTICS}: nearest neighbour (ours)",
        "mean and std, 128 bands, whole clip: nearest neighbour",
    ),
    f"{LEVELS}: nearest neighbour + Mahalanobis": (f"{LEVELS}: nearest neighbour", f"{LEVELS}: Mahalanobis"),
    f"{LEVELS}: nearest neighbour + 20 cepstra: Mahalanobis": (
        f"{LEVELS}: nearest neighbour",
        "20 cepstra: Mahalanobis",
    ),
    f"{LEVELS}: nearest neighbour + residual of 32 axes": (
        f"{LEVELS}: nearest neighbour",
        "windows of 5 frames: residual of 32 axes",
    ),
}
"""Means of z-scores over the cross-fitted scores of normal clips."""


@dataclass(frozen=True, eq=False)
class Task:
    """Sounds to learn from and to judge, with the folds that calibrate, by recording."""

    train: Sequence[Sound]
    test: Sequence[Sound]
    folds: IntArray
    is_fault: BoolArray
    machine_ids: Sequence[str]

    @classmethod
    def of(cls, train: Sequence[Clip], test: Sequence[Clip]) -> Task:
        """Read all clips; folds are those that our detectors are calibrated by."""
        normal = readable(train, channel=None)
        plan = plan_calibration(normal, detector=detector_class("vggish_knn")(), channel=None)
        sounds = [[Sound.of(read_clip(clip.path)) for clip in clips] for clips in (normal.clips, test)]
        is_fault = np.array([clip.label == "anomalous" for clip in test])
        return cls(sounds[0], sounds[1], plan.folds, is_fault, [clip.machine_id for clip in test])

    def z_scores(self, fit: Fit) -> tuple[FloatArray, FloatArray]:
        """Cross-fitted scores of the training sounds and scores of the test, in deviations of the former."""
        heldout = np.empty(len(self.train))
        for fold in np.unique(self.folds):
            score = fit([sound for sound, own in zip(self.train, self.folds, strict=True) if own != fold])
            heldout[self.folds == fold] = [
                score(sound) for sound, own in zip(self.train, self.folds, strict=True) if own == fold
            ]
        score = fit(self.train)
        test = np.array([score(sound) for sound in self.test])
        return (heldout - heldout.mean()) / heldout.std(), (test - heldout.mean()) / heldout.std()

    def figures(self, heldout: FloatArray, test: FloatArray) -> tuple[float, float, float]:
        """AUC and pAUC, means over ids, and the share of false alarms at a threshold for 10 %."""
        found = metrics.mean_over_ids(metrics.per_id(self.is_fault, test, self.machine_ids))
        threshold = default_threshold(heldout).value
        alarms = is_anomalous(test[~self.is_fault], np.inf if threshold is None else threshold)
        return float(found.auc_mean or 0), float(found.pauc_mean or 0), float(alarms.mean())


def judged(task: Task, names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Figures of ideas and ensembles by their names."""
    members = {member for name in names for member in ENSEMBLES.get(name, (name,))}
    kept = {name: task.z_scores(fit) for name, fit in IDEAS.items() if name in members}
    found = {}
    for name in names:
        heldout, test = (
            np.mean(each, axis=0) for each in zip(*(kept[m] for m in ENSEMBLES.get(name, (name,))), strict=True)
        )
        found[name] = task.figures(heldout, test)
    return found


def real_tasks(half: int, build: Path) -> dict[str, Task]:
    """Lathe and drone, judged on a half of their recordings."""
    parts = {name: SETS[name](build).part(half) for name in ("lathe, 1 s", "lathe, 5 s", "drone, 10 s")}
    return {name: Task.of(part.train, part.test) for name, part in parts.items()}


def rail_task(seed: int, build: Path) -> Task:
    """Return the small simulated bench of a seed."""
    index = index_clips(write_bench(build / f"bench-{seed}", size="small", seed=seed))
    return Task.of(index.select(split="train"), index.select(split="test"))


def table(columns: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> str:
    """Write a row per idea: AUC / pAUC, false alarms seen."""
    lines = [f"| idea | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        cells = [
            f"{figures[name][0]:.3f} / {figures[name][1]:.3f}, {figures[name][2]:.0%}" for figures in columns.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=int, default=0, choices=[0, 1])
    parser.add_argument("--seeds", type=int, nargs="*", default=[11, 12, 13], help="of simulated benches")
    parser.add_argument("--only", nargs="*", default=[], metavar="TEXT", help="ideas whose name contains one of these")
    parser.add_argument("--build", type=Path, default=Path("build") / "ideas")
    arguments = parser.parse_args()
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
        return 0
    names = [name for name in (*IDEAS, *ENSEMBLES) if not arguments.only or any(t in name for t in arguments.only)]
    columns = {
        f"{data}, half {arguments.half}": judged(task, names)
        for data, task in real_tasks(arguments.half, arguments.build).items()
    }
    for seed in arguments.seeds:
        columns[f"simulated, seed {seed}"] = judged(rail_task(seed, arguments.build), names)
    print(table(columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
