"""The contract of a detector, one file for each detector, what they share, and here their registry.

A detector learns from normal clips alone; thresholds, labels, files and pages are none of its business. A new one is
one file in this folder and one line in `_CLASSES`.
"""

from __future__ import annotations

from importlib import import_module

from asd_core.detectors.contract import Detector
from asd_core.errors import UsageError

_CLASSES = {
    "vggish_ocsvm": ("one_class_svm", "OneClassSvm"),
    "lstm_predictor": ("lstm_predictor", "LstmPredictor"),
    "gru_autoencoder": ("gru_autoencoder", "GruAutoencoder"),
    "dcase_autoencoder": ("dcase_autoencoder", "DcaseAutoencoder"),
    "vggish_mahalanobis": ("mahalanobis", "Mahalanobis"),
    "vggish_knn": ("nearest_neighbours", "NearestNeighbours"),
}
"""Id -> (module, class). Ids are words of commands and names of folders on disk, so they never change; `vggish_` in
them tells which encoder the report used, not which one runs."""

DETECTOR_NAMES = tuple(_CLASSES)


def detector_class(name: str) -> type[Detector]:
    """Return the class of that name; its module is imported only now.

    Raises
    ------
    UsageError
        Unknown name.
    """
    if name not in _CLASSES:
        raise UsageError(f"detector must be one of {', '.join(_CLASSES)}; got {name!r}")
    module, class_name = _CLASSES[name]
    found: type[Detector] = getattr(import_module(f"asd_core.detectors.{module}"), class_name)
    return found
