"""A re-baseline made active as a new version of the detector, and taken back; which there were, beside the table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from asd_core.artifacts.arrays import STATE
from asd_core.artifacts.manifest import CalibrationSummary, Manifest
from asd_core.artifacts.store import (
    CURRENT,
    DIGEST_PREFIX,
    Artifact,
    locked,
    open_artifact,
    publish,
    republish,
)
from asd_core.artifacts.versions import current_version, make_current, writable_folder
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.errors import ArtifactError, FileError, StaleVersionError, UsageError
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.cache import read_clip
from asd_core.formats import counted
from asd_core.jobs.listing import list_jobs
from asd_core.jobs.table import Job
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.change import RECALIBRATE, Change
from asd_core.monitoring.rebaselining.quarantine import (
    MarkedClip,
    learned,
    marked_clips,
    quarantine_folder,
    set_learned,
    sittings,
    sound_path,
)
from asd_core.system.clock import utc_now
from asd_core.system.disk import remove_tree, set_aside
from asd_core.system.files import json_bytes, no_constant, parse_json, read_if_present, replace_file
from asd_core.system.typed_json import from_json, to_json
from asd_core.tasks.added import ADDED
from asd_core.tasks.recalibrate import training_request
from asd_core.tasks.train import TrainingRequest
from asd_core.types import SR

RECORDS: Final = "rebaselines.json"
MAX_RECORDS_BYTES = 4 * 2**20
RETRAINING: Final = "retraining"


@dataclass(frozen=True)
class Rebaseline:
    """A re-baseline that was made active.

    Parameters
    ----------
    name
        `r001`, `r002`, ... of its watch.
    how
        `recalibrate` or `retrain`.
    folder
        Of the detector.
    version, version_before
        The one that it made, and the one that undoing makes current again; both in `folder`.
    sounds
        Of the clips that it made normal (`MarkedClip.sound`).
    made_at, undone_at
        ISO 8601, UTC; `undone_at` is empty while it holds.
    """

    name: str
    how: str
    folder: Path
    version: str
    version_before: str
    sounds: tuple[str, ...]
    made_at: str
    undone_at: str = ""


@dataclass(frozen=True)
class _Records:
    rebaselines: tuple[Rebaseline, ...] = ()


def rebaselines(beside: Beside) -> list[Rebaseline]:
    """Those of a watch, oldest first, undone ones among them; none where the file is damaged."""
    try:
        content = read_if_present(beside.folder / RECORDS, at_most=MAX_RECORDS_BYTES)
        if content is None:
            return []
        table: Any = parse_json(content, parse_constant=no_constant)
        if not isinstance(table, dict) or table.pop("schema", None) != 1:
            return []
        return list(from_json(_Records, table).rebaselines)
    except (FileError, ValueError):
        return []


def last_active(beside: Beside) -> Rebaseline | None:
    """The newest re-baseline that holds."""
    return next((each for each in reversed(rebaselines(beside)) if not each.undone_at), None)


def version_in_use(beside: Beside, model: Path) -> Artifact:
    """The version that a re-baseline starts from: the current one where the last re-baseline went, or of the model.

    Parameters
    ----------
    model
        The version that the watch judged its newest clip by.

    Raises
    ------
    ArtifactError
        It is gone or damaged.
    """
    last = last_active(beside)
    folders = [model.parent] if last is None else [last.folder, model.parent]
    for folder in folders[:-1]:
        if (folder / CURRENT).exists():
            return open_artifact(folder)
    return open_artifact(folders[-1])


def kept_scores(
    beside: Beside, clips: Sequence[MarkedClip], anomaly_scores: Sequence[float], *, machine_id: str
) -> list[ScoredClip]:
    """Write the scores of marked clips as they are kept with a detector."""
    name = _next_name(beside)
    found = []
    for number, (clip, sitting, score) in enumerate(zip(clips, sittings(clips), anomaly_scores, strict=True)):
        place = sound_path(beside, clip)
        digest = read_clip(place).digest
        path = f"{ADDED}/{name}/{sitting:03d}/{number:04d}-{place.name}"
        found.append(ScoredClip(path, machine_id, "heldout", "normal", "", digest, score))
    return found


def activate_recalibration(artifact: Artifact, change: Change, beside: Beside) -> Rebaseline:
    """Publish the version with the new threshold, whose scores contain those of the new clips; make it current.

    Raises
    ------
    BusyError
        Another process trains or saves this detector.
    StaleVersionError
        Another version became current in the meantime.
    """
    new = {each.digest for each in change.added}
    scores = [each for each in artifact.scores.clips if not (each.split == "heldout" and each.digest in new)]
    folder = writable_folder(artifact.folder.parent)
    with locked(folder):
        base = _own_version(folder, artifact)
        manifest = _recalibrated(base.manifest, change, [*scores, *change.added])
        made = republish(folder, base, manifest=manifest, scores=[*scores, *change.added])
    return _record(beside, change, folder, made.version, base.version)


def activate_retraining(artifact: Artifact, candidate: Artifact, change: Change, beside: Beside) -> Rebaseline:
    """Publish a retrained detector with the threshold that was shown; make it current.

    Raises
    ------
    ArtifactError
        It is damaged.
    BusyError, StaleVersionError
        As `activate_recalibration`.
    """
    detector = candidate.detector()
    folder = writable_folder(artifact.folder.parent)
    with locked(folder):
        base = _own_version(folder, artifact)
        calibration = candidate.manifest.calibration
        manifest = replace(
            candidate.manifest,
            created_at=utc_now(),
            threshold=change.threshold,
            threshold_reason=_reason(change, base.version),
            calibration=replace(calibration, keeps_promises=_keeps_promises(calibration, change)),
        )
        made = publish(folder, manifest=manifest, state=detector.state, scores=candidate.scores.clips)
    return _record(beside, change, folder, made.version, base.version)


def undo(beside: Beside) -> Rebaseline:
    """Make the version before the last re-baseline current again; its clips wait in the quarantine again.

    Raises
    ------
    UsageError
        There is none to undo.
    StaleVersionError
        Another version has become current since.
    ArtifactError, BusyError
        As `asd_core.artifacts.versions.make_current`.
    """
    last = last_active(beside)
    if last is None:
        raise UsageError("no re-baseline of this watch is active")
    if (current := current_version(last.folder)) not in (last.version, last.version_before):
        raise StaleVersionError(
            f"{current} has become the current version of {last.folder} since the re-baseline made {last.version}: "
            "undoing would take back more than the re-baseline. Make a version current on the Threshold page instead"
        )
    make_current(last.folder, last.version_before)
    set_learned(beside, last.sounds, "")
    undone = replace(last, undone_at=utc_now())
    _write(beside, [undone if each.name == last.name else each for each in rebaselines(beside)])
    return undone


def stage_retraining(beside: Beside, clips: Sequence[MarkedClip], *, channel: int | None) -> Path:
    """Copy the clips to train on besides the data set's own: the chosen ones, and those of earlier re-baselines.

    Parameters
    ----------
    channel
        That the detector hears, from 0: the copies, which have one, get as many equal ones as it takes.

    Returns
    -------
    Path
        The folder, see `asd_core.tasks.added`.
    """
    forget_retraining(beside)
    folder = beside.folder / RETRAINING / "clips"
    earlier = learned(marked_clips(beside))
    rounds = {name: [clip for clip in earlier if clip.learned_by == name] for name in {c.learned_by for c in earlier}}
    for name, own in {**rounds, _next_name(beside): list(clips)}.items():
        for number, (clip, sitting) in enumerate(zip(own, sittings(own), strict=True)):
            source = sound_path(beside, clip)
            place = folder / name / f"{sitting:03d}" / f"{number:04d}-{source.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.read_bytes() if not channel else _with_channels(source, channel + 1))
    return folder


def retraining_request(
    beside: Beside, artifact: Artifact, data: Path, added: Path, *, machine: str | None, rules: FolderRules = NO_RULES
) -> TrainingRequest:
    """Ask for the training that a detector had, with the staged clips beside its own; published apart, not yet in use.

    Raises
    ------
    UsageError
        The data is of another machine.
    """
    request = training_request(artifact, data, machine=machine, rules=rules)
    settings = {name: value for name, value in (request.settings or {}).items() if name != "threads"}
    out = (beside.folder / RETRAINING / "out").absolute()
    return replace(request, settings=settings, threads=1, added=added.absolute(), out=out)


def retraining_job(beside: Beside) -> Job | None:
    """The newest training that was asked for by a re-baseline of this watch."""
    out = (beside.folder / RETRAINING / "out").absolute()
    return next((job for job in list_jobs() if job.request is not None and job.request.out == out), None)


def retrained(beside: Beside) -> Artifact | None:
    """The version that a finished retraining has made; None before, and where it is damaged."""
    out = beside.folder / RETRAINING / "out"
    for folder in sorted(out.glob("*/*/*")):
        try:
            return open_artifact(folder)
        except ArtifactError:
            continue
    return None


def staged_sounds(beside: Beside) -> set[str]:
    """First 32 digits of the sounds of the clips that a retraining was asked for with, without those learned before."""
    name = _next_name(beside)
    folder = beside.folder / RETRAINING / "clips"
    return {path.name.partition("-")[2].partition(".")[0] for path in folder.glob(f"{name}/*/*")}


def forget_retraining(beside: Beside) -> None:
    """Remove what a retraining was asked for with, and what it made."""
    folder = beside.folder / RETRAINING
    if folder.is_dir():
        remove_tree(set_aside(folder, beside.folder))


def _with_channels(source: Path, n_channels: int) -> bytes:
    import soundfile

    samples = read_clip(source).samples
    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(samples[:, None], n_channels, axis=1), SR, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _own_version(folder: Path, artifact: Artifact) -> Artifact:
    """The artifact as the current version of the folder that is written to; a first one of its own where that is empty.

    Raises
    ------
    StaleVersionError
        Another version is current there.
    """
    if not (folder / CURRENT).exists():
        return republish(folder, artifact, manifest=artifact.manifest)
    current = open_artifact(folder)
    if folder.resolve() == artifact.folder.parent.resolve():
        is_same = current.version == artifact.version
    else:
        is_same = (
            current.manifest.files[STATE] == artifact.manifest.files[STATE] and current.threshold == artifact.threshold
        )
    if not is_same:
        raise StaleVersionError(
            f"{current.version} is the current version of {folder}, not {artifact.version}, which this re-baseline was "
            "worked out from: open the page again"
        )
    return current


def _recalibrated(manifest: Manifest, change: Change, scores: Sequence[ScoredClip]) -> Manifest:
    heldout = np.array([each.anomaly_score for each in scores if each.split == "heldout"], dtype=np.float64)
    before, data = manifest.calibration, manifest.data
    prefixes = tuple(each.digest[:DIGEST_PREFIX] for each in change.added)
    added = tuple(dict.fromkeys((*(data.added_digests or ()), *prefixes)))
    calibration = replace(
        before,
        n=len(heldout),
        mean=float(heldout.mean()),
        std=float(heldout.std()),
        min=float(heldout.min()),
        median=float(np.median(heldout)),
        max=float(heldout.max()),
        n_recordings=None if before.n_recordings is None else before.n_recordings + len(set(sittings(change.clips))),
        keeps_promises=_keeps_promises(before, change),
    )
    heldout_digests = tuple(dict.fromkeys((*data.heldout_digests, *prefixes, *_originals(change.clips))))
    return replace(
        manifest,
        created_at=utc_now(),
        threshold=change.threshold,
        threshold_reason=_reason(change, "the version before"),
        calibration=calibration,
        data=replace(
            data,
            heldout_digests=heldout_digests,
            added_digests=tuple(dict.fromkeys((*added, *_originals(change.clips)))),
        ),
    )


def _keeps_promises(calibration: CalibrationSummary, change: Change) -> bool | None:
    return calibration.keeps_promises if change.threshold.promised_fpr is not None else False


def _originals(clips: Sequence[MarkedClip]) -> list[str]:
    """Digest prefixes of the files that the clips were read from, should they turn up among test clips."""
    return [digest[:DIGEST_PREFIX] for clip in clips for digest in clip.digests]


def _reason(change: Change, before: str) -> str:
    what = "threshold moved" if change.how == RECALIBRATE else "trained again"
    return f"re-baseline: {what} with {counted(len(change.clips), 'clip')} marked normal; follows {before}"


def _next_name(beside: Beside) -> str:
    return f"r{len(rebaselines(beside)) + 1:03d}"


def _record(beside: Beside, change: Change, folder: Path, version: str, before: str) -> Rebaseline:
    sounds = tuple(clip.sound for clip in change.clips)
    made = Rebaseline(
        _next_name(beside), change.how, folder.absolute(), version, before, sounds, utc_now("milliseconds")
    )
    _write(beside, [*rebaselines(beside), made])
    set_learned(beside, sounds, made.name)
    return made


def _write(beside: Beside, records: Sequence[Rebaseline]) -> None:
    quarantine_folder(beside).mkdir(parents=True, exist_ok=True)
    replace_file(beside.folder / RECORDS, json_bytes({"schema": 1, **to_json(_Records(tuple(records)))}))
