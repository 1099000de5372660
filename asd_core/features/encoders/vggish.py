"""VGGish from TF-Hub, its cache, or the operator's own SavedModel folder; TensorFlow is imported only here.

The files are recorded at first use and compared at each later one. The name VGGish is given only after the numeric
check (`VggishCheck.genuine`): upstream's known answer for a 1 kHz sine.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from asd_core.errors import EncoderUnavailableError
from asd_core.features.encoders.contract import Encoder, EncoderIdentity, WeightFile
from asd_core.features.encoders.weights import check_record, record_first_use, weight_files, weights_digest
from asd_core.system.extras import install_command
from asd_core.system.places import TFHUB_CACHE_NAME, data_dir
from asd_core.types import SR, Float32Array, FloatArray

HANDLE = "https://tfhub.dev/google/vggish/1"
GENUINE_TITLE = "VGGish (TF-Hub google/vggish/1)"
UNVERIFIED_TITLE = "Unverified SavedModel (128-d)"
SINE_MEAN, SINE_STD = 0.000657, 0.343
"""Upstream's known answer for 3 s of a 1 kHz sine made at 16 kHz."""


@dataclass(frozen=True)
class VggishCheck:
    """Outcome of the numeric check: the two numbers and whether they are VGGish's."""

    shape: tuple[int, ...]
    mean: float
    std: float

    @property
    def genuine(self) -> bool:
        """Shape (3, 128), std within 10 % of 0.343, mean within 0.001 of 0.000657."""
        near_std = abs(self.std - SINE_STD) <= 0.1 * SINE_STD
        return self.shape == (3, 128) and near_std and abs(self.mean - SINE_MEAN) < 1e-3


class Vggish(Encoder):
    """TF-Hub VGGish: 128 raw values per patch, before PCA, possibly negative.

    Parameters
    ----------
    folder
        A local SavedModel folder; None looks in TF-Hub's cache, then on the network.
    """

    id: ClassVar[str] = "vggish"

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder

    @property
    def identity(self) -> EncoderIdentity:
        """Id, title earned by the numeric check, dimension, the weights' digest and files."""
        title = GENUINE_TITLE if self.check.genuine else UNVERIFIED_TITLE
        return EncoderIdentity(self.id, title, self.dimension, weights_digest(self._files), self._files)

    @cached_property
    def check(self) -> VggishCheck:
        """Run the 1 kHz sine through the loaded model."""
        sine = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / SR)).astype(np.float32)
        embedding = self._encode(sine)
        return VggishCheck(embedding.shape, float(embedding.mean()), float(embedding.std()))

    @cached_property
    def _model(self) -> Callable[[Any], Any]:
        folder = self._place
        if not self._folder and not (folder.is_dir() and any(folder.iterdir())):
            _fetch_from_hub()
        _check_graph(folder)
        files = _listed(folder)
        check_record(folder, files)
        model = _load_saved_model(folder)
        record_first_use(folder, files)
        self._files = files
        return model

    @property
    def _place(self) -> Path:
        return Path(self._folder) if self._folder else cached_hub_folder()

    @property
    def digest(self) -> str:
        """SHA-256 of the SavedModel's files, fetched first where need be."""
        _ = self._model
        return weights_digest(self._files)

    @cached_property
    def _files(self) -> tuple[WeightFile, ...]:
        return _listed(self._place)

    def _encode(self, samples: Float32Array) -> FloatArray:
        model = self._model
        try:
            embedding = np.asarray(model(samples), dtype=np.float64)
        except (ValueError, TypeError, RuntimeError, _tensorflow_error()) as error:
            raise EncoderUnavailableError(
                f"the model does not take float32[n_samples] at 16 kHz as VGGish does: {_first_line(error)}"
            ) from error
        if embedding.ndim != 2 or embedding.shape[1] != self.dimension or not np.isfinite(embedding).all():
            raise EncoderUnavailableError(
                f"the model must return finite float32[n_patches, {self.dimension}], got shape {embedding.shape}"
            )
        return embedding


def tfhub_cache_dir() -> Path:
    """Permanent cache of TF-Hub: `TFHUB_CACHE_DIR`, else a folder in the data folder."""
    named = os.environ.get("TFHUB_CACHE_DIR")
    return Path(named) if named else data_dir() / TFHUB_CACHE_NAME


def cached_hub_folder() -> Path:
    """Where TF-Hub keeps this handle's SavedModel: the sha1 of the handle, in the cache."""
    return tfhub_cache_dir() / hashlib.sha1(HANDLE.encode(), usedforsecurity=False).hexdigest()


def _fetch_from_hub() -> None:
    """Fetch the SavedModel into TF-Hub's cache; it is compared with its record before it is loaded."""
    try:
        os.environ.setdefault("TFHUB_CACHE_DIR", str(tfhub_cache_dir()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports pkg_resources, which warns that it is deprecated
            _quiet_tensorflow()
            import tensorflow_hub

        tensorflow_hub.resolve(HANDLE)
    except ImportError as error:
        raise _missing_package(error) from error
    except (OSError, ValueError, RuntimeError, _tensorflow_error()) as error:  # URLError is an OSError
        raise EncoderUnavailableError(
            f"VGGish could not be fetched from {HANDLE} ({_first_line(error)}). Connect to the network once, or name a "
            "folder with its SavedModel by ASD_VGGISH_DIR (or --vggish), or use the encoder logmel_stats."
        ) from error


def _check_graph(folder: Path) -> None:
    if not (folder / "saved_model.pb").is_file():
        raise EncoderUnavailableError(
            f"{folder} holds no saved_model.pb: name the folder of an unpacked SavedModel, "
            "or delete the folder if it is TF-Hub's cache"
        )


def _listed(folder: Path) -> tuple[WeightFile, ...]:
    try:
        return weight_files(folder)
    except OSError as error:
        raise EncoderUnavailableError(f"the files in {folder} cannot be read: {_first_line(error)}") from error


def _load_saved_model(folder: Path) -> Callable[[Any], Any]:
    try:
        _quiet_tensorflow()
        import tensorflow as tf

        model: Callable[[Any], Any] = tf.saved_model.load(str(folder))
    except ImportError as error:
        raise _missing_package(error) from error
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, LookupError, _tensorflow_error()) as error:
        raise EncoderUnavailableError(
            f"the SavedModel in {folder} cannot be loaded ({_first_line(error)}); delete the folder and fetch it again"
        ) from error
    if not callable(model):
        raise EncoderUnavailableError(f"the SavedModel in {folder} is not callable as VGGish is")
    return model


def _quiet_tensorflow() -> None:
    """Ask TensorFlow for errors only, unless the user chose otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _tensorflow_error() -> type[Exception]:
    """Base of TensorFlow's own errors, which are not RuntimeErrors; OSError where TensorFlow is not imported."""
    tensorflow = sys.modules.get("tensorflow")
    found: type[Exception] = OSError if tensorflow is None else tensorflow.errors.OpError
    return found


def _missing_package(error: ImportError) -> EncoderUnavailableError:
    return EncoderUnavailableError(
        f"VGGish needs tensorflow, tensorflow-hub, tf-keras and setuptools < 81 ({_first_line(error)}): "
        f"{install_command('vggish')}, or use the encoder logmel_stats"
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no details'}"[:300]
