"""Bands in which the training clips had no sound: kept still in every clip, and named where a clip has sound there.

A recording made at 8 kHz has nothing above 4 kHz. Saved again at another rate it has rounding noise there, some 10 dB
above nothing and far below any microphone, and a detector that never saw such a band vary finds it stranger than any
fault. So what lies below `SILENT_DB` in such a band is taken as `SILENT_DB`, in training and in scoring, and sound
there becomes a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.errors import InputError
from asd_core.features.log_mel import AMIN, N_MELS, checked_samples, log_mel, mel_band_centres_hz
from asd_core.system.onnx_graphs import Graph
from asd_core.types import BoolArray, Float32Array, FloatArray, Waveform

LOWEST_DB = float(10 * np.log10(AMIN))
"""Log-mel frames are no lower."""
SILENT_DB = -75.0
"""Rounding a recording to 16 bits leaves -87 dB in a band at 16 kHz, in its loudest frames -79 (measured)."""
SOUND_DB = -70.0
"""A clip whose loudest frame is above this has sound in the band."""
STATE_NAME = "band_floor_db"
STATE_SPEC = {STATE_NAME: TensorSpec("float64", (N_MELS,), optional=True)}
_LOUDEST = "loudest_db 1"
"""Its name in a cache; the number is raised when the same samples give other levels."""


def loudest_frames_db(frames: Float32Array) -> FloatArray:
    """Level of each band in its loudest frame in dB, shape (n_mels,), of log-mel frames (n_frames, n_mels).

    The first and the last frame do not count: they reach over the clip's edges, and a cut is heard in all bands.
    """
    return np.asarray(frames[1:-1].max(axis=0, initial=np.float32(LOWEST_DB)), dtype=np.float64)


def loudest_db(clip: Waveform) -> FloatArray:
    """Level of each band in the clip's loudest frame in dB, shape (n_mels,); computed once where it has a cache.

    Raises
    ------
    InputError
        As `checked_samples`.
    """
    return clip.derived(_LOUDEST, lambda: loudest_frames_db(log_mel(checked_samples(clip, min_samples=1))))


@dataclass(frozen=True, eq=False)
class SilentBands:
    """What is taken as silence in each band.

    Parameters
    ----------
    floor_db
        Shape (n_mels,): `SILENT_DB` for a band that was silent in training, `LOWEST_DB` for all others.
    """

    floor_db: FloatArray

    @classmethod
    def none(cls) -> Self:
        """No band is silent."""
        return cls(np.full(N_MELS, LOWEST_DB))

    @classmethod
    def of(cls, loudest: Iterable[FloatArray]) -> Self:
        """Find the bands that no training clip has sound in, from the clips' `loudest_db`."""
        silent = np.max(np.stack(list(loudest)), axis=0) <= SILENT_DB
        return cls(np.where(silent, SILENT_DB, LOWEST_DB))

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Read them from a detector's state; states of earlier versions say nothing, and have no floor.

        Raises
        ------
        InputError
            Floors out of range.
        """
        if STATE_NAME not in state:
            return cls.none()
        floor_db = np.array(state[STATE_NAME], dtype=np.float64)
        if floor_db.min() < LOWEST_DB or floor_db.max() > 0:
            raise InputError(f"{STATE_NAME} must be {LOWEST_DB:g} to 0 dB")
        return cls(floor_db)

    def to_state(self) -> State:
        """Return what `from_state` reads."""
        return {STATE_NAME: self.floor_db.copy()}

    @property
    def silent(self) -> BoolArray:
        """Which bands were silent, shape (n_mels,)."""
        found: BoolArray = self.floor_db > LOWEST_DB
        return found

    def floored(self, frames: Float32Array) -> Float32Array:
        """Log-mel frames (n_frames, n_mels), no lower than the floors; the same array where no band is silent."""
        if not self.silent.any():
            return frames
        return np.maximum(frames, self.floor_db.astype(np.float32))

    def add_floored(self, graph: Graph, frames: str) -> str:
        """Add `floored`."""
        return graph.add("Max", frames, graph.constant(self.floor_db, np.float32)) if self.silent.any() else frames

    def warnings(self, clip: Waveform) -> tuple[str, ...]:
        """An `empty_bands: text` line where the clip has sound in a band that was silent in training."""
        if not self.silent.any():
            return ()
        loudest = loudest_db(clip)
        sounding = self.silent & (loudest > SOUND_DB)
        if not sounding.any():
            return ()
        khz = mel_band_centres_hz()[sounding] / 1000
        return (
            f"empty_bands: sound of up to {loudest[sounding].max():.0f} dB at {khz[0]:.1f} to {khz[-1]:.1f} kHz, "
            "where the training clips had none: the score may be about the recording",
        )
