"""Log-mel statistics: means and standard deviations of the bands; the encoder that needs no weights."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import numpy as np

from asd_core.features.encoders.contract import Encoder, EncoderIdentity
from asd_core.features.graphs import EncodedInGraph, add_logmel_stats
from asd_core.features.log_mel import VGGISH_BANDS, vggish_patches
from asd_core.system.onnx_graphs import Graph
from asd_core.types import Float32Array, FloatArray

_RECIPE = "logmel_stats 1: VGGish front end, 96-frame patches, 64 band means then 64 band standard deviations, ddof 0"


LEAST_MAGNITUDE = 2e-3
"""No band counts as steadier than this magnitude. Rounding to 16 bits at 16 kHz leaves 5e-4 to 8e-4 in a band above
4 kHz (measured; half of it where the recording was saved at 44.1 or 48 kHz): at most 0.4 of a deviation."""


class LogmelStats(Encoder):
    """64 band means, then 64 band standard deviations, of each patch of VGGish's front end.

    A feature recipe, not a network, and not VGGish: the equal width of 128 is for convenience.
    """

    id: ClassVar[str] = "logmel_stats"
    has_graph: ClassVar[bool] = True

    @property
    def identity(self) -> EncoderIdentity:
        """Id, title, dimension and the recipe's digest."""
        digest = hashlib.sha256(_RECIPE.encode()).hexdigest()
        return EncoderIdentity(self.id, "Log-mel statistics", self.dimension, digest)

    def least_std(self, mean: FloatArray) -> FloatArray:
        """`LEAST_MAGNITUDE` in natural logarithms, by how much sound there is in the band.

        0.2 (1.7 dB) for a band without sound, where the logarithm's offset is all there is; 0.015 (0.13 dB) and less
        where the band's mean is -2 or more, as in recordings of machines. The same for a band's mean and deviation.
        """
        levels = np.exp(mean.reshape(-1, 2, VGGISH_BANDS)[:, :1])  # (n, 1, 64)
        return np.tile(LEAST_MAGNITUDE / levels, (1, 2, 1)).reshape(mean.shape)

    def _encode(self, samples: Float32Array) -> FloatArray:
        patches = vggish_patches(samples)  # (n_patches, 96, 64)
        return np.concatenate([patches.mean(axis=1), patches.std(axis=1)], axis=1)

    def add_to_graph(self, graph: Graph, samples: str) -> EncodedInGraph:
        """Add the same as `encode`, for samples (n_samples,), float32."""
        return add_logmel_stats(graph, samples)
