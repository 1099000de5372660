"""Gate arithmetic of recurrent layers in one pass, compiled by Numba, for scores (NumPy).

NumPy passes over memory for each operation, and its exponentials are slow without AVX-512: that takes half as long
again as the matrix products. The code is compiled once for this processor and kept on disk (beside this file, or in
`NUMBA_CACHE_DIR`); the first use on a machine takes some seconds. Numba is imported with this module, so this one is
imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit

from asd_core.system.logs import event
from asd_core.types import Float32Array

Result = TypeVar("Result")

# tanh(x) = x p(x^2) / q(x^2) on [-9, 9], beyond which float32 knows only 1: our own fit, equal ripples of 1.9e-8,
# by Lawson's reweighted least squares in float64; 3.4e-7 with the rounding of float32.
_LIMIT = np.float32(9)
_P0, _P1, _P2, _P3, _P4 = (
    np.float32(value) for value in (0.99999988, 0.13373198, 0.0034865816, 2.0471827e-05, 1.3184219e-08)
)
_Q0, _Q1, _Q2, _Q3, _Q4 = (np.float32(value) for value in (1.0, 0.46706495, 0.025841977, 0.00032713849, 7.7026626e-07))
_HALF, _ONE = np.float32(0.5), np.float32(1)


def _compiled(function: Callable[..., Result], *, cache: bool = False) -> Callable[..., Result]:
    """Compile a function: products and sums may be fused, all else is done as written, and NaN stays NaN."""
    made = njit(function, cache=cache, nogil=True, error_model="numpy", fastmath={"contract"})
    return cast(Callable[..., Result], made)


class Kernel:
    """A function that is compiled at first use, and kept on disk where that works.

    Without a folder to write to, on a full disk, or where the kept code is damaged, it is compiled in this process
    only.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        try:
            self._call = _compiled(function, cache=True)
        except RuntimeError:  # Numba found no folder
            self._call = _compiled(function)

    def __call__(self, *arrays: Float32Array) -> None:
        """Run it on its arrays."""
        try:
            self._call(*arrays)
        except Exception as error:  # noqa: BLE001 - a damaged pickle can raise any; other errors come back below
            event("compiled_code_not_kept", kernel=self._function.__name__, reason=f"{type(error).__name__}: {error}")
            self._call = _compiled(self._function)
            self._call(*arrays)


@_compiled
def tanh(x: np.float32) -> np.float32:
    """To 4e-7; one value."""
    x = min(max(x, -_LIMIT), _LIMIT)
    y = x * x
    p = (((_P4 * y + _P3) * y + _P2) * y + _P1) * y + _P0
    return x * p / ((((_Q4 * y + _Q3) * y + _Q2) * y + _Q1) * y + _Q0)


@Kernel
def lstm_step(gates: Float32Array, added: Float32Array, cells: Float32Array, states: Float32Array) -> None:
    """Step cells and states (n, hidden) of an LSTM layer in place.

    Parameters
    ----------
    gates
        Product with the weights, shape (n, 4 hidden), gates as torch orders them (input, forget, cell,
        output), all but the cell's halved: sigmoid(x) = (1 + tanh(x / 2)) / 2. Overwritten.
    added
        What is added to that, shape (n, 4 hidden), or (1, 4 hidden) for all rows.
    """
    n, size = cells.shape
    for row in range(n):
        gate, more, cell, state = gates[row], added[min(row, len(added) - 1)], cells[row], states[row]
        for k in range(4 * size):
            gate[k] = tanh(gate[k] + more[k])
        i, f, g, o = gate[:size], gate[size : 2 * size], gate[2 * size : 3 * size], gate[3 * size :]
        for k in range(size):
            cell[k] = _HALF * ((f[k] + _ONE) * cell[k] + (i[k] + _ONE) * g[k])
        for k in range(size):
            g[k] = tanh(cell[k])
        for k in range(size):
            state[k] = _HALF * (o[k] + _ONE) * g[k]


@Kernel
def gru_step(gates: Float32Array, added: Float32Array, bias_new: Float32Array, states: Float32Array) -> None:
    """Step states (n, hidden) of a GRU layer in place.

    Parameters
    ----------
    gates
        Product of the states with the weights, shape (n, 3 hidden), gates as torch orders them (reset,
        update, new), all but the new one halved. Overwritten.
    added
        What the inputs add to that, shape (n, 3 hidden).
    bias_new
        What is added to the new gate before the reset gate weighs it, shape (hidden,).
    """
    n, size = states.shape
    for row in range(n):
        gate, more, state = gates[row], added[row], states[row]
        for k in range(2 * size):
            gate[k] = tanh(gate[k] + more[k])
        r, z, new = gate[:size], gate[size : 2 * size], gate[2 * size :]
        more_new = more[2 * size :]
        for k in range(size):
            new[k] = tanh(more_new[k] + _HALF * (r[k] + _ONE) * (new[k] + bias_new[k]))
        for k in range(size):
            state[k] = new[k] + _HALF * (z[k] + _ONE) * (state[k] - new[k])
