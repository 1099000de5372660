"""How often a clip is called unfamiliar or faulty: `python -m benchmarks.familiar` prints Markdown tables.

Nothing is trained but familiarity itself. Normal clips of recordings that were not heard should pass (at most 5 %
warned), another machine should be named; true faults may be. Splits are by recording, `SPLITS` of them with 60 % of the
recordings in training. The last table counts the reader's warnings on sound recordings, each of which is a false
accusation unless it is true, and says which data sets have labels that differ as recordings. The real recordings are
looked for in `../shared/data` and left out where absent.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_core.audio.reading import read_waveform
from asd_core.data.label_differences import differences, measure
from asd_core.data.simulated.bench import write_bench
from asd_core.features.familiarity import ClipTraits, Familiarity, traits
from asd_core.types import SR
from benchmarks.embedded import PROJECT
from benchmarks.motors import Recording

REAL = PROJECT.parent / "shared" / "data"
SPLITS = 10
TRAINED_SHARE = 0.6
OTHER_SEEDS = (1, 2)
N_RECORDINGS, N_CLIPS = 10, 12
HEADER = """
| {title} | clips | any warning | spectrum's shape |
|---|---|---|---|"""


@dataclass(frozen=True)
class Clips:
    """Traits of clips and the recording of each."""

    traits: tuple[ClipTraits, ...]
    recordings: tuple[str, ...]

    def where(self, chosen: Sequence[bool]) -> Clips:
        """Those that are chosen."""
        rows = np.flatnonzero(np.asarray(chosen))
        return Clips(tuple(self.traits[row] for row in rows), tuple(self.recordings[row] for row in rows))


def main() -> None:
    """Measure what is there and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path, default=Path("build"), help="folder for the simulated benches")
    arguments = parser.parse_args()
    print("Simulated motors:" + HEADER.format(title="trained on one motor by one microphone, heard"))
    print_shares(motor_shares())
    benches = {seed: simulated(arguments.bench, seed) for seed in (0, *OTHER_SEEDS)}
    trained = fit(benches[0]["train normal"])
    print("\nSimulated rail (bench small):" + HEADER.format(title="trained on seed 0 (180 clips), heard"))
    for seed, groups in benches.items():
        print_shares({f"seed {seed}, {name}": [shares(trained, clips)] for name, clips in groups.items()})
    if not (REAL / "real").is_dir():
        print(f"\nThe real recordings are not in {REAL}: left out.")
        return
    real = real_recordings()
    shown = ("DCASE test clips", "slider_more", "slider train", "lathe normal", "drone normal")
    print_shares({f"real: {name}": [shares(trained, real[name])] for name in shown})
    for machine in ("lathe", "drone"):
        print(f"\nReal {machine}, {SPLITS} splits by recording:" + HEADER.format(title="heard"))
        print_shares(split_shares(machine, real))
    print("\nReal slider id_00 (75 clips):" + HEADER.format(title="heard"))
    print_shares(slider_shares(real))
    print_accusations(arguments.bench)


def print_shares(table: Mapping[str, Sequence[tuple[int, float, float]]]) -> None:
    """Print a row of each: mean over the splits, and the worst where there are several."""
    for title, rows in table.items():
        n_clips, *columns = zip(*rows, strict=True)
        cells = [f"{np.mean(c):.1%}" + (f" (worst {max(c):.1%})" if len(c) > 1 else "") for c in columns]
        print(f"| {title} | {np.mean(n_clips):.0f} | {' | '.join(cells)} |", flush=True)


def shares(known: Familiarity, clips: Clips) -> tuple[int, float, float]:
    """Clips, share with any warning, and share with one on the spectrum's shape."""
    remarks = [known.check(clip) for clip in clips.traits]
    shape = [any("than in the training clips" in remark for remark in found) for found in remarks]
    return len(remarks), float(np.mean([bool(found) for found in remarks])), float(np.mean(shape))


def fit(clips: Clips) -> Familiarity:
    """Learn from clips in the order given, as training does where recordings are not known."""
    return Familiarity.fit(clips.traits)


def splits(clips: Clips) -> Iterator[tuple[Clips, Clips]]:
    """Training and unheard clips, by recording."""
    names = sorted(set(clips.recordings))
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(names))
        chosen = {names[index] for index in order[: round(TRAINED_SHARE * len(names))]}
        is_training = [recording in chosen for recording in clips.recordings]
        yield clips.where(is_training), clips.where([not each for each in is_training])


def motor_shares() -> dict[str, list[tuple[int, float, float]]]:
    """Each of three motors with its own microphone: unheard recordings, other microphones, other motors."""
    table: dict[str, list[tuple[int, float, float]]] = {}
    for motor in range(3):
        own = motor_clips(motor, motor)
        for training, unheard in splits(own):
            table.setdefault("the same motor and microphone, other recordings", []).append(
                shares(fit(training), unheard)
            )
        known = fit(own)
        others = (("another microphone", motor, motor + 5), ("another motor", motor + 3, motor))
        for title, other, microphone in others:
            table.setdefault(title, []).append(shares(known, motor_clips(other, microphone)))
    return table


def motor_clips(motor: int, microphone: int, n_recordings: int = N_RECORDINGS, n_clips: int = N_CLIPS) -> Clips:
    """Traits of simulated clips."""
    pairs = [(recording, index) for recording in range(n_recordings) for index in range(n_clips)]
    found = tuple(traits(Recording(motor, microphone, recording).clip(index)) for recording, index in pairs)
    return Clips(found, tuple(str(recording) for recording, _ in pairs))


def simulated(folder: Path, seed: int) -> dict[str, Clips]:
    """Traits of a bench, by split and label."""
    root = write_bench(folder / f"simulated-small-{seed}", size="small", seed=seed)
    groups = {
        "train normal": "*/train/normal*.wav",
        "test normal": "*/test/normal*.wav",
        "test faulty": "*/test/anomaly*.wav",
    }
    return {name: measured(sorted(root.glob(pattern))) for name, pattern in groups.items()}


def measured(paths: Sequence[Path], recordings: Sequence[str] = ()) -> Clips:
    """Traits of files."""
    return Clips(tuple(traits(read_waveform(path)) for path in paths), tuple(recordings or (p.stem for p in paths)))


def real_recordings() -> dict[str, Clips]:
    """Traits of the real recordings."""
    real, dcase = REAL / "real", REAL / "dcase_layout" / "dev_data"
    with (real / "lathe" / "recordings.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    found = {}
    for name, label in (("normal", "normal"), ("faulty", "anomalous")):
        chosen = [row for row in rows if row["label"] == label]
        blocks = [f"{row['series']} {row['block']}" for row in chosen]
        found[f"lathe {name}"] = measured([real / "lathe" / row["path"] for row in chosen], blocks)
    for name, folder in (("normal", "normal"), ("faulty", "broken")):
        found[f"drone {name}"] = measured(sorted((real / "drone" / folder).glob("*.flac")))
    found["slider train"] = measured(sorted((dcase / "slider" / "train").glob("*.wav")))
    found["slider test normal"] = measured(sorted((dcase / "slider" / "test").glob("normal*.wav")))
    found["DCASE test clips"] = measured(sorted(dcase.glob("*/test/*.wav")))
    found["slider_more"] = measured(sorted((real / "slider_more").rglob("*.wav")))
    found["slider_more normal"] = measured(sorted((real / "slider_more").rglob("normal*.wav")))
    for name, source in (("slider", dcase / "slider" / "train"), ("drone", real / "drone" / "normal")):
        found[f"{name}, cut to 1 s"] = cut_to_one_second(sorted(source.glob("*.*")))
    return found


def cut_to_one_second(paths: Sequence[Path]) -> Clips:
    """Traits of the third second of each file, so that the length says nothing."""
    whole = [read_waveform(path) for path in paths]
    cut = [replace(clip, samples=clip.samples[2 * SR : 3 * SR].copy()) for clip in whole]
    return Clips(tuple(map(traits, cut)), tuple(path.stem for path in paths))


def split_shares(machine: str, real: Mapping[str, Clips]) -> dict[str, list[tuple[int, float, float]]]:
    """Unheard recordings, faults and other machines, over the splits."""
    others = {
        "lathe": ("slider train", "drone normal", "slider, cut to 1 s", "drone, cut to 1 s"),
        "drone": ("slider train", "lathe normal"),
    }
    table: dict[str, list[tuple[int, float, float]]] = {}
    for training, unheard in splits(real[f"{machine} normal"]):
        known = fit(training)
        heard = {"normal, unheard recordings": unheard, "faulty": real[f"{machine} faulty"]}
        heard |= {name: real[name] for name in others[machine]}
        for title, clips in heard.items():
            table.setdefault(title, []).append(shares(known, clips))
    return table


def slider_shares(real: Mapping[str, Clips]) -> dict[str, list[tuple[int, float, float]]]:
    """Random splits of the training clips (they are independent), then all of them against the others."""
    table = {
        "normal, not trained on": [shares(fit(training), unheard) for training, unheard in splits(real["slider train"])]
    }
    known = fit(real["slider train"])
    names = ("slider test normal", "slider_more normal", "DCASE test clips", "lathe normal", "drone normal")
    return table | {name: [shares(known, real[name])] for name in names}


def print_accusations(bench: Path) -> None:
    """What the reader says of each set's clips, and whether their labels differ as recordings."""
    print("\n| recordings | clips | with a warning of the reader | labels differ |\n|---|---|---|---|")
    real, dcase = REAL / "real", REAL / "dcase_layout" / "dev_data"
    roots = {"real lathe": real / "lathe", "real drone": real / "drone", "real DCASE": dcase}
    roots |= {"real slider_more": real / "slider_more"}
    roots |= {f"simulated rail, seed {seed}": bench / f"simulated-small-{seed}" for seed in (0, *OTHER_SEEDS)}
    for title, root in roots.items():
        paths = sorted(path for path in root.rglob("*") if path.suffix in (".wav", ".flac"))
        clips = [(path, read_waveform(path)) for path in paths]
        warned = sum(bool(clip.warnings) for _, clip in clips)
        found = differences((_label(path), measure(clip, path)) for path, clip in clips)
        print(f"| {title} | {len(paths)} | {warned} | {' '.join(found) or 'no'} |", flush=True)


def _label(path: Path) -> str:
    return "normal" if path.parent.name == "normal" or path.name.startswith("normal") else "anomalous"


if __name__ == "__main__":
    main()
