"""The detectors: the contract, one file per detector, and the registry: a new one is one file and one line there.

A detector knows nothing of thresholds, files, labels or pages.
"""

from __future__ import annotations

from importlib import import_module

from asd_core.detectors.contract import Detector
from asd_core.errors import UsageError

_CLASSES = {
    "vggish_ocsvm": ("one_class_svm", "VggishOcsvm"),
    "lstm_predictor": ("lstm_predictor", "LstmPredictor"),
    "gru_autoencoder": ("gru_autoencoder", "GruAutoencoder"),
    "dcase_autoencoder": ("dcase_autoencoder", "DcaseAutoencoder"),
    "vggish_mahalanobis": ("mahalanobis", "VggishMahalanobis"),
    "vggish_knn": ("nearest_neighbours", "VggishKnn"),
}

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
