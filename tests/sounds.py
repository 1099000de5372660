"""Sounds and places that several test files import."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asd_core.types import SR, Waveform

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"


def hum(seed: int, *, seconds: float = 2.0, knocks: int = 0) -> Waveform:
    """A machine's hum in noise; with knocks it is anomalous."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SR)) / SR
    samples = 0.1 * np.sin(2 * np.pi * (200 + rng.normal(0, 0.5)) * t) + 0.01 * rng.standard_normal(len(t))
    for at in rng.uniform(0.1, seconds - 0.2, knocks):
        after = np.maximum(t - at, 0)
        samples += (t >= at) * 0.5 * np.exp(-40 * after) * np.sin(2 * np.pi * 2500 * after)
    return Waveform(samples.astype(np.float32), digest=f"{seed:08x}-{knocks}-{seconds}")
