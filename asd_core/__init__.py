"""Anomalous sound detection from normal sound only.

::

    from asd_core import read_waveform, open_artifact

    artifact = open_artifact(Path("artifacts/simulated-small/slider/lstm_predictor"))
    score = artifact.detector().anomaly_score(read_waveform("clip.wav"))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "AnomalyMap": "asd_core.types",
    "Artifact": "asd_core.artifacts",
    "AsdError": "asd_core.errors",
    "DETECTOR_NAMES": "asd_core.detectors",
    "Detector": "asd_core.detector",
    "Threshold": "asd_core.evaluation.thresholds",
    "TrainingRequest": "asd_core.pipeline",
    "Waveform": "asd_core.types",
    "decode_waveform": "asd_core.audio",
    "detector_class": "asd_core.detectors",
    "evaluate": "asd_core.assess",
    "index_clips": "asd_core.clips",
    "log_mel": "asd_core.features",
    "open_artifact": "asd_core.artifacts",
    "read_waveform": "asd_core.audio",
    "score_clips": "asd_core.scoring",
    "train": "asd_core.pipeline",
    "write_bench": "asd_core.datasets.bench",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import asd_core` costs nothing."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'asd_core' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
