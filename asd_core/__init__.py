"""Anomalous sound detection from normal sound only.

::

    from asd_core import read_waveform, open_artifact

    artifact = open_artifact(Path("artifacts/simulated-small/slider/lstm_predictor"))
    score = artifact.detector().anomaly_score(read_waveform("clip.wav"))

The public names below are imported when they are first used, so that `import asd_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {  # type checkers read the same names in __init__.pyi
    "AnomalyMap": "asd_core.types",
    "ArrayDetector": "asd_core.tasks.array_detector",
    "Artifact": "asd_core.artifacts.store",
    "AsdError": "asd_core.errors",
    "DETECTOR_NAMES": "asd_core.detectors",
    "Detector": "asd_core.detectors.contract",
    "Threshold": "asd_core.evaluation.thresholds",
    "TrainingRequest": "asd_core.tasks.train",
    "Waveform": "asd_core.types",
    "decode_waveform": "asd_core.audio.reading",
    "detector_class": "asd_core.detectors",
    "evaluate": "asd_core.tasks.evaluate",
    "index_clips": "asd_core.data.indexing",
    "log_mel": "asd_core.features.log_mel",
    "open_artifact": "asd_core.artifacts.store",
    "read_waveform": "asd_core.audio.reading",
    "recalibrate": "asd_core.tasks.recalibrate",
    "score_clips": "asd_core.tasks.score",
    "set_threshold": "asd_core.tasks.set_threshold",
    "train": "asd_core.tasks.train",
    "write_bench": "asd_core.data.simulated.bench",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'asd_core' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not, and what every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
