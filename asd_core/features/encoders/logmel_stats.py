"""Log-mel statistics: means and standard deviations of the bands; the encoder that needs no weights."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import numpy as np

from asd_core.features.encoders.contract import Encoder, EncoderIdentity
from asd_core.features.log_mel import vggish_patches
from asd_core.types import Float32Array, FloatArray

_RECIPE = "logmel_stats 1: VGGish front end, 96-frame patches, 64 band means then 64 band standard deviations, ddof 0"


class LogmelStats(Encoder):
    """64 band means, then 64 band standard deviations, of each patch of VGGish's front end.

    A feature recipe, not a network, and not VGGish: the equal width of 128 is for convenience.
    """

    id: ClassVar[str] = "logmel_stats"

    @property
    def identity(self) -> EncoderIdentity:
        """Id, title, dimension and the recipe's digest."""
        digest = hashlib.sha256(_RECIPE.encode()).hexdigest()
        return EncoderIdentity(self.id, "Log-mel statistics", self.dimension, digest)

    def _encode(self, samples: Float32Array) -> FloatArray:
        patches = vggish_patches(samples)  # (n_patches, 96, 64)
        return np.concatenate([patches.mean(axis=1), patches.std(axis=1)], axis=1)
