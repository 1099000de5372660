"""G.711, the sound of telephones and network cameras: a byte is one of 256 levels, loud ones further apart.

ITU-T G.711 (11/1988), tables 1a and 2a; levels are 16-bit, as in ITU-T G.191's reference decoder.
"""

from __future__ import annotations

import numpy as np

from asd_core.types import Float32Array

FULL_SCALE = 32_768.0


def mu_law_levels() -> Float32Array:
    """Level of each mu-law code, shape (256,), within [-1, 1): North America and Japan."""
    codes = ~np.arange(256) & 0xFF
    exponent, mantissa = codes >> 4 & 7, codes & 15
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    return _signed(magnitude, is_negative=codes >= 128)


def a_law_levels() -> Float32Array:
    """Level of each A-law code, shape (256,), within [-1, 1): the rest of the world."""
    codes = np.arange(256) ^ 0x55
    exponent, mantissa = codes >> 4 & 7, codes & 15
    magnitude = (mantissa << 4) + 8 + 256 * (exponent > 0) << np.maximum(exponent - 1, 0)
    return _signed(magnitude, is_negative=codes < 128)


def _signed(magnitude: np.ndarray, *, is_negative: np.ndarray) -> Float32Array:
    return (np.where(is_negative, -magnitude, magnitude) / FULL_SCALE).astype(np.float32)
