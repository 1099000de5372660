"""Calibrating a detector anew: it is trained again with the settings it has, and its threshold by whole recordings.

A detector that was calibrated on clips held out at random has heard neighbours of all of them, so no clip is left that
could tell how it scores new recordings: nothing short of another fit can mend its threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from asd_core.artifacts.manifest import build_detector
from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.detectors.contract import Progress, ignore_progress, never_stop
from asd_core.errors import UsageError
from asd_core.system.devices import CPU
from asd_core.tasks.train import TrainingRequest, TrainingResult, train


def recalibrate(
    model: Path,
    data: Path,
    *,
    machine: str | None = None,
    rules: FolderRules = NO_RULES,
    folds: int | None = None,
    on_progress: Callable[[Progress], None] = ignore_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> TrainingResult:
    """Train a detector again on the same ids with the same settings; publish it beside the old version, as current.

    Parameters
    ----------
    model
        In a folder `<out>/<data set>/<machine>/<detector>`; versions that came with the project stay, and the new one
        goes to the folder beside them.
    rules
        As for training; what they leave open is as in the training.

    Raises
    ------
    UsageError
        The data is of another machine than the detector.
    DataSetError, InputError, BusyError, TrainingStopped
        As `asd_core.tasks.train.train`.
    """
    artifact = open_artifact(model)
    request = replace(training_request(artifact, data, machine=machine, rules=rules), folds=folds)
    return train(request, on_progress=on_progress, should_stop=should_stop)


def training_request(
    artifact: Artifact, data: Path, *, machine: str | None = None, rules: FolderRules = NO_RULES
) -> TrainingRequest:
    """Ask for the training that a detector had, with today's calibration.

    Raises
    ------
    UsageError
        Another machine than the detector's is named.
    """
    trained_on = artifact.manifest.data
    if machine not in (None, trained_on.machine):
        raise UsageError(f"the detector was trained on {trained_on.machine}, not on {machine}: train one instead")
    if machine is None and (data / trained_on.machine).is_dir():
        machine = trained_on.machine
    detector = build_detector(artifact.manifest)
    settings = {name: getattr(detector, name) for name in artifact.manifest.settings}
    if "device" in settings:  # a GPU that was named then need not be here: only the processor is everywhere
        settings["device"] = CPU if artifact.manifest.training.device == CPU else "auto"
    out = artifact.folder.parents[3]
    return TrainingRequest(
        artifact.detector_name,
        data,
        machine=machine,
        ids=trained_on.ids,
        name=artifact.folder.parents[2].name,
        preset=artifact.manifest.preset,
        settings=settings,
        seed=detector.seed,
        threads=detector.threads,
        channel="mean" if artifact.channel is None else artifact.channel,
        rules=rules.completed_by(trained_on.rules),
        out=out,
    )
