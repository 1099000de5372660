"""The values that are passed between modules, and names for their arrays.

`Waveform.derived` runs other people's code as well (an encoder or a detector of one's own), so the limit to one BLAS
thread is set there, once for all, and not by each of its callers. That is why this module imports `system.threads`
and lies above `system`, which knows nothing of waveforms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, final

import numpy as np
import numpy.typing as npt

from asd_core.system.threads import one_blas_thread

SR = 16_000
"""The one sampling rate inside the package, in Hz."""

FloatArray: TypeAlias = npt.NDArray[np.float64]
Float32Array: TypeAlias = npt.NDArray[np.float32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
MapUnit: TypeAlias = Literal["error", "times_normal", "spreads"]
DerivedArray = TypeVar("DerivedArray", bound=npt.NDArray[np.floating])


@dataclass(frozen=True, eq=False)
class Waveform:
    """A mono recording at `SR`.

    Parameters
    ----------
    samples
        Shape (n_samples,), float32, finite, full scale is 1; read-only.
    sr
        Sampling rate in Hz.
    digest
        SHA-256 (hex) of the file's bytes, or of the samples where there was no file.
    warnings
        `code: text` lines of the reader ("truncated", "silent", "clipping", ...).
    """

    samples: Float32Array
    sr: int = SR
    digest: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        """Length in samples; reads no file."""
        return len(self.samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sr

    @final
    def derived(self, name: str, compute: Callable[[], DerivedArray]) -> DerivedArray:
        """Features that `compute` derives from this clip alone, on one BLAS thread.

        Parameters
        ----------
        name
            Identifies the features by everything they depend on except the clip: two results need two names. A clip
            from `asd_core.features.cache` looks this name up before it computes.
        """
        return self._derived(name, one_blas_thread()(compute))

    def _derived(self, name: str, compute: Callable[[], DerivedArray]) -> DerivedArray:  # noqa: ARG002 - for clips with a cache
        return compute()


@dataclass(frozen=True, eq=False)
class AnomalyMap:
    """Where in time and frequency a detector hears something strange.

    Parameters
    ----------
    values
        Shape (n_steps, n_bands) or (n_steps, 1); higher is stranger. Comparable within one detector only.
    times_s
        Shape (n_steps,): the centre of each step in seconds.
    bands_hz
        Shape (n_bands,): centre frequencies in Hz; shape (1,) with NaN for a map over time only.
    unit
        `error`: squared errors, or a detector's own unit; `times_normal`: errors as multiples of what is normal in the
        band (1 is normal); `spreads`: normal spreads above what is normal in the band (0 is normal, less is possible).
    """

    values: FloatArray
    times_s: FloatArray
    bands_hz: FloatArray
    unit: MapUnit = "error"

    @property
    def in_spreads(self) -> bool:
        """Whether 0 is normal and less than that is possible."""
        return self.unit == "spreads"
