"""The official files of DCASE 2020 Task 2 for a detector's test clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asd_core.artifacts.store import open_artifact
from asd_core.data.data_set import FileClips, readable
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.evaluation.dcase import check_export, write_anomaly_scores
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.system.files import replace_text
from asd_core.tasks.assess import open_for
from asd_core.tasks.calibrate import scored


def export_dcase(
    model: Path,
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    rules: FolderRules = NO_RULES,
) -> dict[str, Any]:
    """Score every test clip, labelled or not, and write `anomaly_score_<machine>_id_<NN>.csv` into an empty folder.

    Where the detector has a threshold, `decision_result_<machine>_id_<NN>.csv` (file name, 0 or 1) are written beside
    them: our extension by analogy with 2021, since 2020 asked for no decisions. Clips that the detector was fitted or
    calibrated on are left out and counted.

    Raises
    ------
    DataSetError
        No test clips, or a folder or names that the official evaluator would misread.
    ArtifactError
        A damaged detector.
    """
    artifact = open_artifact(model)
    detector = artifact.detector()
    options = {"seed": detector.seed, "rules": rules}
    data_set = open_for(artifact, data, machine=machine, **options)
    check_export(out, data_set.index.machine)
    found = readable(data_set.index.select(split="test"), channel=artifact.channel, min_samples=detector.min_samples)
    kept = [row for row, digest in enumerate(found.digests) if not artifact.was_trained_on(digest)]
    clips = FileClips(tuple(found.clips[row] for row in kept), artifact.channel)
    scores = scored(detector, clips, "test", [found.digests[row] for row in kept])
    rows = [(clip.machine_id, Path(clip.path).name, clip.anomaly_score) for clip in scores.clips]
    paths = write_anomaly_scores(out, data_set.index.machine, rows)
    threshold = artifact.threshold.value
    if threshold is not None:
        paths += [_write_decisions(path, threshold) for path in paths]
    return {
        "schema": 1,
        "command": "export-dcase",
        "warnings": list(found.warnings),
        "out": str(out),
        "model": str(model),
        "version": artifact.version,
        "title": artifact.title,
        "simulated": artifact.simulated,
        "data_simulated": data_set.simulated is not None,
        "files": [path.name for path in paths],
        "n_clips": len(rows),
        "n_excluded": len(found.clips) - len(kept),
        "decisions": "our extension: DCASE 2020 asked for none" if threshold is not None else None,
        "refused": list(found.refused),
    }


def _write_decisions(scores: Path, threshold: float) -> Path:
    path = scores.with_name(scores.name.replace("anomaly_score_", "decision_result_", 1))
    lines = []
    for line in scores.read_text(encoding="utf-8").splitlines():
        name, score = line.rsplit(",", 1)
        lines.append(f"{name},{int(bool(is_anomalous(float(score), threshold)))}\n")
    replace_text(path, "".join(lines))
    return path
