"""A watch of a simulated hum that several test files look at: normal clips, clips of a changed machine, faults."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sounds import hum

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.features.cache import read_clip
from asd_core.monitoring.alarms import Judge
from asd_core.monitoring.notes import Note
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.table import open_table
from asd_core.tasks.score import score_waveform
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

BEGAN = datetime.fromisoformat("2026-01-31T12:00:00.000+00:00")
SECONDS = 1.0


def sound(seed: int, kind: str) -> np.ndarray:
    """Samples of a clip: `normal`, `new` (the machine after a change: another tone besides) or `fault` (it knocks)."""
    samples = hum(seed, seconds=SECONDS, knocks=4 if kind == "fault" else 0).samples
    if kind == "new":
        t = np.arange(len(samples)) / SR
        samples = samples + np.float32(0.02) * np.sin(2 * np.pi * 900 * t + seed).astype(np.float32)
    return np.asarray(samples, dtype=np.float32)


def write(path: Path, seed: int, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_wav(sound(seed, kind)))
    return path


def made_data(root: Path, *, n_normal: int = 60) -> Path:
    """A data set of a pump: training clips, and labelled test clips."""
    for seed in range(n_normal):
        write(root / "train" / "normal" / f"{seed:03d}.wav", seed, "normal")
    for seed in range(20):
        write(root / "test" / "normal" / f"{seed:03d}.wav", 500 + seed, "normal")
        write(root / "test" / "knock" / f"{seed:03d}.wav", 600 + seed, "fault")
    return root


def trained(data: Path, out: Path, detector: str = "vggish_knn") -> Path:
    return train(TrainingRequest(detector, data, out=out)).model


def watched(
    folder: Path, table: Path, model: Path, kinds: list[str], *, gap_after: int | None = None
) -> list[WatchRow]:
    """Write clips of these kinds and the table of a watch that judged them, one every 10 s.

    Parameters
    ----------
    gap_after
        Number of a clip after which an hour passes.
    """
    artifact = open_artifact(model)
    detector, judge = artifact.detector(), Judge()
    table.parent.mkdir(parents=True, exist_ok=True)
    with open_table(table) as opened:
        rows = list(opened.rows())
        for number, kind in enumerate(kinds, start=len(rows)):
            path = write(folder / f"{number:03d}-{kind}.wav", 1000 + number, kind)
            rows.append(_judged(artifact, detector, judge, path, number, gap_after))
            opened.append(rows[-1])
    return rows


def _judged(artifact: Artifact, detector, judge: Judge, path: Path, number: int, gap_after: int | None) -> WatchRow:
    late = timedelta(hours=1) if gap_after is not None and number > gap_after else timedelta(0)
    now = (BEGAN + number * timedelta(seconds=10) + late).isoformat(timespec="milliseconds")
    scored = score_waveform(read_clip(path), artifact, detector, path=str(path), model=str(artifact.folder))
    row = judge.judge(scored, None, now=now)
    status = path.stat()
    return replace(row, n_bytes=status.st_size, changed_ns=status.st_mtime_ns)


def said(rows: list[WatchRow], what: str, *names: str) -> dict[str, Note]:
    """Notes that say this of all rows whose path contains one of the names."""
    return {
        row.key: Note(row.key, what, "", "2026-01-31T13:00:00+00:00")
        for row in rows
        if any(name in row.path for name in names)
    }
