"""What one number of a clip tells of its label: `python -m benchmarks.trivial [--seeds 0 1 2 3]`.

A benchmark on which a trivial number does as well as a trained detector says little about detectors. Each number is
taken from the samples of a clip alone, without training; its direction, whether more or less of it means a fault, is
chosen on the labels once for all benches, which favours it. The table gives the AUC, mean over ids, on the test clips
of the simulated bench of every seed, and on real recordings of a lathe (one-second cuts) where `../shared/data` is
there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy

from asd_core.audio.reading import read_waveform
from asd_core.data.clips import Clip
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.bench import BenchSize, write_bench
from asd_core.evaluation.metrics import mean_over_ids, per_id
from asd_core.types import SR, Float32Array, FloatArray
from benchmarks.bench_seeds import spread_text
from benchmarks.real_sets import REAL, lathe_clips

FRAME = 1024
LOW_HZ, HIGH_HZ = 500.0, 4000.0
PEAK_STDS = 4.0
ROLL_OFF = 0.85
TINY = 1e-30


def kurtosis(values: FloatArray) -> float:
    """Fourth moment about the mean over the squared variance: 3 for Gaussian noise, 1.5 for a sine."""
    centred = values - values.mean()
    return float((centred**4).mean() / max(float((centred**2).mean()) ** 2, TINY))


def _spectra(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Power spectra of frames without overlap, shape (n_frames, 513), and the bins' frequencies in Hz."""
    n_frames = len(samples) // FRAME
    frames = samples[: n_frames * FRAME].reshape(n_frames, FRAME) * np.hanning(FRAME)
    power = np.abs(scipy.fft.rfft(frames, axis=1)) ** 2
    return power, np.arange(power.shape[1]) * SR / FRAME


def numbers(samples: Float32Array) -> dict[str, float]:
    """Trivial numbers of a clip of at least two frames of 1024 samples at 16 kHz, by their names."""
    sound = samples.astype(np.float64)
    power, hz = _spectra(sound)
    mean_power, total = power.mean(axis=0), max(float(power.mean(axis=0).sum()), TINY)
    centroid = float((hz * mean_power).sum() / total)
    loudness = power.sum(axis=1)
    shape = power / np.maximum(power.sum(axis=1, keepdims=True), TINY)
    rms = float(sound.std())
    return {
        "level": 10 * float(np.log10(max(rms**2, TINY))),
        "kurtosis": kurtosis(sound),
        "kurtosis of the first difference": kurtosis(np.diff(sound)),
        "kurtosis of the second difference": kurtosis(np.diff(sound, 2)),
        "crest factor": float(np.abs(sound).max() / max(rms, TINY)),
        "peaks beyond 4 standard deviations": float((np.abs(sound - sound.mean()) > PEAK_STDS * rms).mean()),
        "zero crossings": float((np.diff(np.signbit(sound)) != 0).mean()),
        "spectral centroid": centroid,
        "spectral spread": float(np.sqrt(((hz - centroid) ** 2 * mean_power).sum() / total)),
        "spectral roll-off": float(hz[np.searchsorted(mean_power.cumsum(), ROLL_OFF * total)]),
        "spectral flatness": float(np.exp(np.log(np.maximum(mean_power, TINY)).mean()) / max(mean_power.mean(), TINY)),
        "spectral flux": float(np.abs(np.diff(shape, axis=0)).sum(axis=1).mean()),
        "share below 500 Hz": float(mean_power[hz < LOW_HZ].sum() / total),
        "share above 4 kHz": float(mean_power[hz > HIGH_HZ].sum() / total),
        "spread of the loudness": float(loudness.std() / max(float(loudness.mean()), TINY)),
    }


def table_of(clips: Sequence[Clip]) -> dict[str, FloatArray]:
    """Each number of all clips, shape (n_clips,)."""
    rows = [numbers(read_waveform(clip.path).samples) for clip in clips]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mean_aucs(clips: Sequence[Clip], table: Mapping[str, FloatArray]) -> dict[str, float]:
    """AUC of each number, mean over ids, where more of it means a fault."""
    labels, ids = [clip.label == "anomalous" for clip in clips], [clip.machine_id for clip in clips]
    found = {name: mean_over_ids(per_id(labels, values, ids)).auc_mean for name, values in table.items()}
    return {name: 0.5 if value is None else value for name, value in found.items()}


def directed(aucs: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """AUCs of each number in the better direction for all sets together, the best number first."""
    found = {}
    for name in aucs[0]:
        values = [each[name] for each in aucs]
        found[name] = values if np.mean(values) >= 0.5 else [1 - value for value in values]
    return dict(sorted(found.items(), key=lambda entry: -float(np.mean(entry[1]))))


def bench_clips(seed: int, folder: Path, *, size: str | BenchSize = "small") -> Sequence[Clip]:
    """Test clips of the simulated bench of a seed."""
    return index_clips(write_bench(folder / f"bench-{seed}", size=size, seed=seed)).select(split="test")


def print_table(title: str, sets: Sequence[Callable[[], Sequence[Clip]]]) -> None:
    """Measure sets of clips and print a row per number."""
    aucs = [mean_aucs(clips, table_of(clips)) for clips in (make() for make in sets)]
    print(f"\n| number | AUC, {title} |\n|---|---|")
    for name, values in directed(aucs).items():
        print(f"| {name} | {spread_text(values) if len(values) > 1 else f'{values[0]:.3f}'} |")


def main() -> None:
    """Print a table for the simulated benches, and one for the lathe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--build", type=Path, default=Path("build") / "trivial")
    arguments = parser.parse_args()
    benches = [lambda seed=seed: bench_clips(seed, arguments.build) for seed in arguments.seeds]
    print_table("simulated slide rail, mean over ids, over bench seeds", benches)
    if REAL.is_dir():
        print_table("lathe, real", [lathe_clips])


if __name__ == "__main__":
    main()
