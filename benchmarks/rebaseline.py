"""What a re-baseline does: `python -m benchmarks.rebaseline [--seeds 3] [--detectors vggish_knn vggish_ocsvm]`.

Long **simulated** recordings of a machine, and the real lathe where it is at hand. Recordings are dealt: a detector is
trained on some; then the machine changes (its spectrum is tilted: by +6 dB at 8 kHz, 0 at 100 Hz), clips of three
changed normal recordings are marked normal, three changed faults are marked faults, and one or three further faults
slip in among the normals. Judged on changed recordings that took no part. A warning came where faults found fall among
the labelled or marked ones, which is all that the page knows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.clips import Clip
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.long_recordings import RecordingCounts, write_recordings
from asd_core.data.simulated.record import RECORDING_BY
from asd_core.detectors.contract import Detector
from asd_core.features.cache import read_clip
from asd_core.monitoring.alarms import AlarmRule, Judge
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import FAULT, NORMAL, Note
from asd_core.monitoring.rebaselining.change import Change, View, recalibration, rescore_week, retraining, score_marked
from asd_core.monitoring.rebaselining.doubts import LIKE_FAULT, UNLIKE_OTHERS, doubts_of, shape_db
from asd_core.monitoring.rebaselining.quarantine import (
    faults,
    follow_notes,
    marked_clips,
    row_sound,
    sound_path,
    waiting,
)
from asd_core.monitoring.rebaselining.recent import same_model, week_of
from asd_core.monitoring.rebaselining.versions import kept_scores, retrained, retraining_request, stage_retraining
from asd_core.monitoring.rows import WatchRow
from asd_core.tasks.score import score_waveform
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR, FloatArray
from benchmarks.real_sets import REAL, lathe_clips

N_MARKED_RECORDINGS, N_UNSEEN = 3, 3
MOST_OF_A_RECORDING = 12
SLIPS = (0, 1, 3)
RULES = FolderRules(recording_by=r"^(.*)__")
BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Dealt:
    """Clips by what they are for: `train`, `test`, `watched` and `unseen` normals; faults likewise but for `train`."""

    normal: dict[str, list[Clip]]
    faulty: dict[str, list[Clip]]


@dataclass(frozen=True)
class Trial:
    """One re-baseline; shares in [0, 1] on changed recordings that took no part."""

    detector: str
    how: str
    n_slipped: int
    false_alarms: tuple[float, float]
    found: tuple[float, float]
    is_warned: bool
    n_slipped_doubted: int
    n_normal_doubted: int
    n_normal: int


def tilted(samples: FloatArray, tilt_db: float) -> FloatArray:
    """Raise the spectrum by 0 dB at 100 Hz to `tilt_db` at 8 kHz, linearly over the logarithm of frequency."""
    hz = np.fft.rfftfreq(len(samples), 1 / SR)
    octaves = np.log(np.maximum(hz, 1) / 100) / np.log(80)
    gain = 10 ** (tilt_db * np.clip(octaves, 0, 1) / 20)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)))


def deal(clips: Sequence[Clip], *, seed: int) -> Dealt:
    """Deal whole recordings."""
    rng = np.random.default_rng(seed)
    by_label: dict[str, dict[str, list[Clip]]] = {"normal": defaultdict(list), "anomalous": defaultdict(list)}
    for clip in clips:
        by_label[clip.label][str(clip.recording)].append(clip)
    normal, faulty = (
        [by_label[label][name] for name in rng.permutation(sorted(by_label[label])).tolist()]
        for label in ("normal", "anomalous")
    )
    n_third = max(1, len(faulty) // 3)

    def joined(recordings: Sequence[Sequence[Clip]], at_most: int = sys.maxsize) -> list[Clip]:
        return [clip for recording in recordings for clip in recording[:at_most]]

    watched = normal[:N_MARKED_RECORDINGS]
    unseen = normal[N_MARKED_RECORDINGS : N_MARKED_RECORDINGS + N_UNSEEN]
    rest = normal[N_MARKED_RECORDINGS + N_UNSEEN :]
    return Dealt(
        {
            "watched": joined(watched, MOST_OF_A_RECORDING),
            "unseen": joined(unseen),
            "test": joined(rest[:1]),
            "train": joined(rest[1:]),
        },
        {
            "watched": joined(faulty[:n_third], MOST_OF_A_RECORDING),
            "unseen": joined(faulty[n_third : 2 * n_third]),
            "test": joined(faulty[2 * n_third :]),
        },
    )


def write(root: Path, clips: Sequence[Clip], *, tilt_db: float = 0.0) -> list[Path]:
    """Write clips below a folder, by recording and number, as they are or tilted."""
    root.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, clip in enumerate(clips):
        samples = read_clip(clip.path).samples.astype(np.float64)
        path = root / f"{str(clip.recording).replace(' ', '-').replace('/', '-')}__{number:04d}.wav"
        path.write_bytes(encode_wav(tilted(samples, tilt_db)))
        paths.append(path)
    return paths


def watched_rows(model: Path, paths: Sequence[Path]) -> list[WatchRow]:
    """Judge clips as a watch does: one every 10 s, an hour between recordings."""
    artifact = open_artifact(model)
    detector, judge = artifact.detector(), Judge()
    rows, now, before = [], BEGAN, ""
    for path in paths:
        recording = path.name.partition("__")[0]
        now += timedelta(hours=1) if before and recording != before else timedelta(seconds=10)
        before = recording
        scored = score_waveform(read_clip(path), artifact, detector, path=str(path), model=str(artifact.folder))
        rows.append(judge.judge(scored, None, now=now.isoformat(timespec="milliseconds")))
    return rows


def try_out(root: Path, data: Path, model: Path, normal: list[Path], faulty: list[Path], unseen: Unseen) -> list[Trial]:
    """Make re-baselines with no, one and three faults among the normals."""
    found = []
    for n_slipped in SLIPS:
        beside = Beside(root / f"{model.name}-{n_slipped}.csv")
        artifact = open_artifact(model)
        rows = watched_rows(model, [*normal, *faulty])
        rows = [_believed(row) for row in rows]
        fault_rows = rows[len(normal) :]
        said = {row.key: NORMAL for row in [*rows[: len(normal)], *fault_rows[:n_slipped]]}
        said |= {row.key: FAULT for row in fault_rows[n_slipped : n_slipped + 3]}
        notes = {key: Note(key, word, "", "") for key, word in said.items()}
        follow_notes(beside, rows, notes, channel=None)
        for how in ("recalibrate", "retrain"):
            change, detector = _change(how, beside, artifact, rows, data)
            before, after = artifact.threshold.value or 0.0, change.threshold.value or 0.0
            old, new = unseen.scores(artifact.detector()), unseen.scores(detector)
            doubted = _doubted(beside, artifact, unseen)
            slipped = {Path(row.path).name for row in fault_rows[:n_slipped]}
            found.append(
                Trial(
                    model.name,
                    how,
                    n_slipped,
                    (float((old[0] >= before).mean()), float((new[0] >= after).mean())),
                    (float((old[1] >= before).mean()), float((new[1] >= after).mean())),
                    change.loses_faults,
                    len(doubted & slipped),
                    len(doubted - slipped),
                    len(normal),
                )
            )
    return found


def _believed(row: WatchRow) -> WatchRow:
    """The row with the size and time of its file, so that this is read as the clip that was judged."""
    from dataclasses import replace

    status = Path(row.path).stat()
    return replace(row, n_bytes=status.st_size, changed_ns=status.st_mtime_ns)


@dataclass(frozen=True)
class Unseen:
    """Changed clips that took no part, and labelled ones of before the change."""

    normal: list[Path]
    faulty: list[Path]
    known_normal: list[Path]
    known_faulty: list[Path]

    def scores(self, detector: Detector) -> tuple[FloatArray, FloatArray]:
        """Scores of the changed normal clips and of the changed faults."""
        normal, faulty = (
            np.array([detector.anomaly_score(read_clip(path)) for path in paths])
            for paths in (self.normal, self.faulty)
        )
        return normal, faulty


def _change(how: str, beside: Beside, artifact, rows: list[WatchRow], data: Path) -> tuple[Change, Detector]:
    clips = marked_clips(beside)
    taken, week, detector = waiting(clips), week_of(rows), artifact.detector()
    now = View.of(artifact, score_marked(detector, beside, clips), same_model(week.rows, artifact, base=Path()))
    if how == "recalibrate":
        added = kept_scores(beside, taken, [now.marked[clip.sound] for clip in taken], machine_id="00")
        change = recalibration(artifact, now, taken, faults(clips), week, added=added, rule=AlarmRule())
        return change, detector
    staged = stage_retraining(beside, taken, channel=None)
    train(retraining_request(beside, artifact, data, staged, machine=None, rules=RULES))
    candidate = retrained(beside)
    if candidate is None:
        raise RuntimeError("the training published nothing")
    new = candidate.detector()
    scores = rescore_week(new, week, lambda row: row_sound(beside, row, channel=None, roots=None))
    after = View.of(candidate, score_marked(new, beside, faults(clips)), scores)
    return retraining(artifact, now, after, taken, faults(clips), week, rule=AlarmRule()), new


def _doubted(beside: Beside, artifact, unseen: Unseen) -> set[str]:
    """Names of the clips marked normal whose spectrum speaks against them."""
    clips = marked_clips(beside)
    new = waiting(clips)
    shapes = [shape_db(read_clip(sound_path(beside, clip))) for clip in new]
    known = {
        path.name: shape_db(read_clip(path)) for path in unseen.known_faulty[:: len(unseen.known_faulty) // 30 + 1]
    }
    found = doubts_of(
        new,
        [0.0] * len(new),
        heldout_scores=artifact.scores.of("heldout").anomaly_scores,
        shapes=shapes,
        normal_shapes=[
            shape_db(read_clip(path)) for path in unseen.known_normal[:: len(unseen.known_normal) // 30 + 1]
        ],
        fault_shapes=known,
        marked_fault_shapes={clip.name: shape_db(read_clip(sound_path(beside, clip))) for clip in faults(clips)},
    )
    codes = (LIKE_FAULT, UNLIKE_OTHERS)
    return {clip.name for clip, own in zip(new, found, strict=True) if any(each.code in codes for each in own)}


def trials(clips: Sequence[Clip], detectors: Sequence[str], *, seed: int, tilt_db: float) -> list[Trial]:
    """Deal a set of clips once, and try each detector."""
    dealt = deal(clips, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = root / "machine"
        known_normal = write(data / "train" / "normal", dealt.normal["train"])
        known_normal += write(data / "test" / "normal", dealt.normal["test"])
        known_faulty = write(data / "test" / "faulty", dealt.faulty["test"])
        normal = write(root / "in", dealt.normal["watched"], tilt_db=tilt_db)
        faulty = write(root / "in", dealt.faulty["watched"], tilt_db=tilt_db)
        unseen = Unseen(
            write(root / "unseen" / "normal", dealt.normal["unseen"], tilt_db=tilt_db),
            write(root / "unseen" / "faulty", dealt.faulty["unseen"], tilt_db=tilt_db),
            known_normal,
            known_faulty,
        )
        found = []
        for detector in detectors:
            model = train(TrainingRequest(detector, data, rules=RULES, out=root / "out")).model
            found += try_out(root, data, model, normal, faulty, unseen)
        return found


def table(title: str, found: Sequence[Trial]) -> str:
    """Means over seeds."""
    groups: dict[tuple[str, str, int], list[Trial]] = defaultdict(list)
    for trial in found:
        groups[trial.detector, trial.how, trial.n_slipped].append(trial)
    lines = [
        f"| {title}: detector | way | faults slipped in | false alarms before, after | faults found before, after | "
        "warned | slipped ones doubted | normal ones doubted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (detector, how, n_slipped), own in groups.items():
        pairs = [np.mean([getattr(trial, name) for trial in own], axis=0) for name in ("false_alarms", "found")]
        doubted = sum(trial.n_slipped_doubted for trial in own)
        others = sum(trial.n_normal_doubted for trial in own)
        lines.append(
            f"| {detector} | {how} | {n_slipped} | {pairs[0][0]:.0%}, {pairs[0][1]:.0%} | {pairs[1][0]:.0%}, "
            f"{pairs[1][1]:.0%} | {sum(trial.is_warned for trial in own)} of {len(own)} | "
            f"{doubted} of {n_slipped * len(own)} | {others} of {sum(trial.n_normal for trial in own)} |"
        )
    return "\n".join(lines)


def simulated_clips(root: Path, *, seed: int) -> Sequence[Clip]:
    """Clips of long simulated recordings."""
    folder = write_recordings(root / f"recordings-{seed}", seed=seed, counts=RecordingCounts(n_normal=19, n_faulty=9))
    return index_clips(folder, rules=FolderRules(recording_by=RECORDING_BY)).clips


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--detectors", nargs="+", default=["vggish_knn", "vggish_ocsvm"])
    parser.add_argument("--tilt", type=float, default=6.0, metavar="DB")
    parser.add_argument("--only", choices=["simulated", "lathe"])
    options = parser.parse_args(argv)
    seeds = range(options.seeds)
    if options.only != "lathe":
        with tempfile.TemporaryDirectory() as folder:
            found = [
                trial
                for seed in seeds
                for trial in trials(
                    simulated_clips(Path(folder), seed=seed), options.detectors, seed=seed, tilt_db=options.tilt
                )
            ]
        print(table("simulated recordings", found), end="\n\n")
    if options.only == "simulated" or not REAL.is_dir():
        return 0
    clips = lathe_clips()
    found = [trial for seed in seeds for trial in trials(clips, options.detectors, seed=seed, tilt_db=options.tilt)]
    print(table("real lathe", found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
