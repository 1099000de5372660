"""The contract of an encoder: a waveform becomes one vector per patch of 0.96 s."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from asd_core.errors import UsageError
from asd_core.features.graphs import EncodedInGraph
from asd_core.features.log_mel import VGGISH_MIN_SAMPLES, checked_samples
from asd_core.system.onnx_graphs import Graph
from asd_core.types import Float32Array, FloatArray, Waveform


@dataclass(frozen=True)
class WeightFile:
    """A file of a model folder: name relative to the folder, SHA-256 in hexadecimal digits, size."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class EncoderIdentity:
    """What ran: kept with every trained detector, which refuses to score with another.

    Parameters
    ----------
    id
        Registry key, as in `--set encoder=...`.
    title
        Name for people; VGGish only after the numeric check.
    dimension
        Numbers per patch.
    digest
        SHA-256 of the weights, or of the recipe where there are none.
    files
        The weights' files, from which the digest is made; none where there are no weights.
    """

    id: str
    title: str
    dimension: int
    digest: str
    files: tuple[WeightFile, ...] = ()


class Encoder(ABC):
    """One vector for each 0.96 s of sound."""

    id: ClassVar[str]
    dimension: ClassVar[int] = 128
    has_graph: ClassVar[bool] = False
    """Whether `add_to_graph` is there, so that detectors on this encoder can be exported."""

    @property
    @abstractmethod
    def identity(self) -> EncoderIdentity:
        """Id, honest title, dimension and digest."""

    @property
    def digest(self) -> str:
        """The identity's digest, available without the identity's checks."""
        return self.identity.digest

    def least_std(self, mean: FloatArray) -> FloatArray:
        """Least standard deviation that the numbers of vectors with this mean count as having, same shape.

        Recordings of the same sound differ by that much, however little the training clips vary. An encoder whose
        numbers have no unit says nothing: 0.

        Parameters
        ----------
        mean
            Shape (n * dimension,): of one vector, or of n in a row.
        """
        return np.zeros_like(mean)

    @final
    def encode(self, clip: Waveform) -> FloatArray:
        """Vectors of a clip, shape (n_patches, dimension), n_patches >= 1, finite.

        A clip shorter than one patch (15,600 samples) is zero-padded to it.

        Raises
        ------
        InputError
            Wrong rate, not mono, empty, or not finite.
        EncoderUnavailableError
            Weights or packages out of reach.
        """
        return clip.derived(f"encoder {self.id} {self.digest}", lambda: self._encode_clip(clip))

    def add_to_graph(self, graph: Graph, samples: str) -> EncodedInGraph:  # noqa: ARG002 - for those that have one
        """Add the same as `encode`, for samples (n_samples,), float32.

        Raises
        ------
        UsageError
            This encoder has no graph.
        """
        raise UsageError(f"detectors on the encoder {self.id} cannot be exported: it has no graph")

    def _encode_clip(self, clip: Waveform) -> FloatArray:
        samples = checked_samples(clip, min_samples=1)
        missing = VGGISH_MIN_SAMPLES - len(samples)
        return self._encode(np.pad(samples, (0, missing)) if missing > 0 else samples)

    @abstractmethod
    def _encode(self, samples: Float32Array) -> FloatArray: ...
