"""How far lossy coding moves scores and verdicts: `python -m benchmarks.lossy [--sets lathe slider] [--splits 3]`.

Real recordings are coded at their own rate and read back by the package's own reader. Each detector, preset quick, is
trained on 60 % of the recordings of normal sound; the others, and all faults, are the test. Twice: trained on the
lossless clips and judging coded ones, and trained on coded clips and judging those.

Needs real recordings in `../shared/data` (its README says what they are); without them nothing is run. Three faults of
the slide rail say nothing about an AUC: none is printed for it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, readable
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Detector
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.tasks.calibrate import fit_and_calibrate, forget, plan_calibration
from asd_core.tasks.neighbours import split_recordings
from asd_core.types import BoolArray, FloatArray
from benchmarks.real_sets import REAL, lathe_clips

SLIDER = REAL.parent / "dcase_layout" / "dev_data" / "slider"
SAME_SOUND = {"normal_id_00_00000064": "normal_id_00_00000003"}
"""Clips of the training set that are (nearly) another's sound."""
DETECTORS = ("vggish_knn", "vggish_mahalanobis", "vggish_ocsvm", "dcase_autoencoder")
LOSSLESS = "lossless"


@dataclass(frozen=True)
class Coding:
    """One way of coding: FFmpeg's encoder, the suffix of its files and the bits per second."""

    name: str
    encoder: str
    suffix: str
    bit_rate: int


CODINGS = (
    Coding("MP3 128", "libmp3lame", ".mp3", 128_000),
    Coding("MP3 64", "libmp3lame", ".mp3", 64_000),
    Coding("AAC 128", "aac", ".m4a", 128_000),
    Coding("AAC 64", "aac", ".m4a", 64_000),
    Coding("Opus 64", "libopus", ".opus", 64_000),
    Coding("Opus 32", "libopus", ".opus", 32_000),
)


@dataclass(frozen=True)
class Row:
    """One detector and coding on one split; shares in [0, 1].

    Parameters
    ----------
    shift
        Median over normal test clips of coded minus lossless score, in standard deviations of the lossless ones.
    changed_normal, changed_fault
        Share of the verdicts that coding changes, of a detector that was trained on lossless clips.
    auc_lossless, auc_coded
        Of that detector on lossless and on coded clips.
    auc_own
        Of a detector that was trained on coded clips, on coded clips.
    alarms_lossless, alarms_own, found_lossless, found_own
        False alarms and faults found where training and test are of one kind.
    """

    data: str
    detector: str
    coding: str
    split: int
    shift: float
    changed_normal: float
    changed_fault: float
    auc_lossless: float
    auc_coded: float
    auc_own: float
    alarms_lossless: float
    alarms_own: float
    found_lossless: float
    found_own: float


def slider_clips() -> list[Clip]:
    """Ten-second clips of slide rail id 00; each clip is a recording, but for those of one sound."""
    clips = []
    for path in sorted(SLIDER.glob("*/*_id_00_*.wav")):
        label = "normal" if path.stem.startswith("normal") else "anomalous"
        stem = SAME_SOUND.get(path.stem, path.stem) if path.parent.name == "train" else path.stem
        relative = f"{path.parent.name}/{path.name}"
        clips.append(Clip(path, relative, "00", "train", label, recording=f"{path.parent.name} {stem}"))
    return clips


def coded(clips: Sequence[Clip], coding: Coding, folder: Path) -> list[Clip]:
    """The same clips, coded; files that are there are reused."""
    found = []
    for clip in clips:
        path = (folder / coding.name.replace(" ", "-") / clip.relative).with_suffix(coding.suffix)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(clip.path, path, coding)
        found.append(replace(clip, path=path))
    return found


def encode(source: Path, path: Path, coding: Coding) -> None:
    """Code a mono recording at its own rate."""
    import av
    import soundfile as sf

    samples, sr = sf.read(source, dtype="float32", always_2d=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(coding.encoder, rate=sr, layout="mono")
        stream.bit_rate = coding.bit_rate
        frame = av.AudioFrame.from_ndarray(samples[:, :1].T.copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sr, 0, Fraction(1, sr)  # from 0: the delay is then stated
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


@dataclass(frozen=True)
class Judged:
    """What a trained detector gives for the test clips: scores and verdicts."""

    scores: FloatArray
    alarms: BoolArray


class Trained:
    """A detector that was trained on some clips, and its threshold."""

    def __init__(self, name: str, clips: Sequence[Clip], *, seed: int, folder: Path) -> None:
        self._detector: Detector = detector_class(name).from_preset("quick", seed=seed)
        known = readable(clips, channel=None)
        plan = plan_calibration(known, detector=self._detector, channel=None)
        checkpoint = CheckpointFile(folder / f"checkpoint-{name}")
        heldout = fit_and_calibrate(self._detector, known, plan, channel=None, checkpoint=checkpoint).heldout
        forget(checkpoint, plan)
        value = default_threshold(heldout.anomaly_scores).value
        self._threshold = np.inf if value is None else value

    def judge(self, clips: Sequence[Clip]) -> Judged:
        """Score clips and give verdicts."""
        scores = self._detector.anomaly_scores(FileClips(tuple(clips)))
        return Judged(scores, np.asarray(is_anomalous(scores, self._threshold), dtype=bool))


def measure(data: str, kinds: dict[str, list[Clip]], name: str, *, split: int, folder: Path) -> list[Row]:
    """Train on lossless and on each coded set, and compare."""
    train, test = split_recordings(kinds[LOSSLESS], seed=split)
    is_fault = np.array([kinds[LOSSLESS][row].label == "anomalous" for row in test])
    trained = {
        kind: Trained(name, [clips[row] for row in train], seed=split, folder=folder) for kind, clips in kinds.items()
    }
    heard = {kind: [clips[row] for row in test] for kind, clips in kinds.items()}
    plain = trained[LOSSLESS].judge(heard[LOSSLESS])
    names = [kind for kind in kinds if kind != LOSSLESS]
    own = {kind: trained[kind].judge(heard[kind]) for kind in names}
    return [
        compare(data, name, coding, split, is_fault, plain, trained[LOSSLESS].judge(heard[coding]), own[coding])
        for coding in names
    ]


def compare(
    data: str, detector: str, coding: str, split: int, is_fault: BoolArray, plain: Judged, moved: Judged, own: Judged
) -> Row:
    """Figures of one coding, from the same test clips judged three times."""
    changed = plain.alarms != moved.alarms
    shifts = moved.scores[~is_fault] - plain.scores[~is_fault]
    return Row(
        data=data,
        detector=detector,
        coding=coding,
        split=split,
        shift=float(np.median(shifts) / plain.scores[~is_fault].std()),
        changed_normal=float(changed[~is_fault].mean()),
        changed_fault=float(changed[is_fault].mean()),
        auc_lossless=_auc(is_fault, plain),
        auc_coded=_auc(is_fault, moved),
        auc_own=_auc(is_fault, own),
        alarms_lossless=float(plain.alarms[~is_fault].mean()),
        alarms_own=float(own.alarms[~is_fault].mean()),
        found_lossless=float(plain.alarms[is_fault].mean()),
        found_own=float(own.alarms[is_fault].mean()),
    )


def _auc(is_fault: BoolArray, judged: Judged) -> float:
    return float(metrics.per_id(is_fault, judged.scores, ["00"] * len(is_fault))["00"].auc or 0)


def tables(rows: Sequence[Row]) -> str:
    """Means over splits: how far scores and verdicts move, and what training on coded clips gives."""
    groups: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row.data, row.detector][row.coding].append(row)
    names = list(dict.fromkeys(row.coding for row in rows))
    head = f"| set | detector | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}"
    parts = [
        ("Shift of normal scores; verdicts changed, normal and anomalous", _moved),
        ("AUC lossless, coded, trained on coded", _ranked),
        ("False alarms and faults found, lossless and trained on coded", _calibrated),
    ]
    lines = []
    for title, cell in parts:
        lines += ["", title, "", head]
        for (data, detector), codings in groups.items():
            lines.append(f"| {data} | {detector} | {' | '.join(cell(codings[name]) for name in names)} |")
    return "\n".join(lines)


def _moved(rows: Sequence[Row]) -> str:
    return f"{_mean(rows, 'shift'):+.2f}; {_mean(rows, 'changed_normal'):.0%}, {_mean(rows, 'changed_fault'):.0%}"


def _ranked(rows: Sequence[Row]) -> str:
    if rows[0].data == "slider":
        return "–"
    return ", ".join(f"{_mean(rows, name):.3f}" for name in ("auc_lossless", "auc_coded", "auc_own"))


def _calibrated(rows: Sequence[Row]) -> str:
    alarms = f"{_mean(rows, 'alarms_lossless'):.0%} → {_mean(rows, 'alarms_own'):.0%}"
    return f"{alarms}; {_mean(rows, 'found_lossless'):.0%} → {_mean(rows, 'found_own'):.0%}"


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


def main() -> int:
    """Print the tables, and write every row as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    makers = {"lathe": lathe_clips, "slider": slider_clips}
    parser.add_argument("--sets", nargs="+", default=list(makers), choices=list(makers))
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS))
    codings = {coding.name: coding for coding in CODINGS}
    parser.add_argument("--codings", nargs="+", default=list(codings), choices=list(codings))
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--build", type=Path, default=Path("build/lossy"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (REAL.is_dir() and SLIDER.is_dir()):
        print(f"skipped: {REAL} or {SLIDER} is not there")
        return 0
    rows: list[Row] = []
    for data in arguments.sets:
        clips = makers[data]()
        folder = arguments.build / data
        kinds = {LOSSLESS: clips, **{name: coded(clips, codings[name], folder) for name in arguments.codings}}
        for name in arguments.detectors:
            for split in range(arguments.splits):
                began = monotonic()
                rows += measure(data, kinds, name, split=split, folder=folder)
                print(f"{data} {name} {split}: {monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(tables(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
