"""Sounds and paths that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from asd_core.types import SR, Waveform

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"


@pytest.fixture(autouse=True, scope="session")
def own_data_dir(tmp_path_factory):
    """Keep generated files of the tests away from the user's."""
    before = os.environ.get("ASD_DATA_DIR")
    os.environ["ASD_DATA_DIR"] = str(tmp_path_factory.mktemp("asd_data"))
    yield Path(os.environ["ASD_DATA_DIR"])
    os.environ.pop("ASD_DATA_DIR")
    if before is not None:
        os.environ["ASD_DATA_DIR"] = before


@pytest.fixture(scope="session")
def real_clips():
    """Folder of the real DCASE clips."""
    folder = SHARED / "data" / "dcase_layout" / "dev_data"
    if not folder.is_dir():
        pytest.skip("the real DCASE clips are not here (../shared/data)")
    return folder


def hum(seed: int, *, seconds: float = 2.0, knocks: int = 0) -> Waveform:
    """A machine's hum in noise; with knocks it is anomalous."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SR)) / SR
    samples = 0.1 * np.sin(2 * np.pi * (200 + rng.normal(0, 0.5)) * t) + 0.01 * rng.standard_normal(len(t))
    for at in rng.uniform(0.1, seconds - 0.2, knocks):
        after = np.maximum(t - at, 0)
        samples += (t >= at) * 0.5 * np.exp(-40 * after) * np.sin(2 * np.pi * 2500 * after)
    return Waveform(samples.astype(np.float32), digest=f"{seed:08x}-{knocks}-{seconds}")
