"""LSTM and GRU layers as they score, without torch: all windows of a clip step together.

The first layer's input product is computed once per frame, not once per window, and no product with a state of zeros
is computed at all. Products are NumPy's, gates are those of `kernels`. torch trains (`recurrent_training`), but
importing it takes longer than scoring twenty clips. Weights have torch's names and shapes; gates are ordered as torch
orders them: input, forget, cell, output (LSTM); reset, update, new (GRU).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from asd_core.detectors.contract import State
from asd_core.detectors.networks.kernels import gru_step, lstm_step
from asd_core.detectors.on_networks import Affine
from asd_core.types import Float32Array


class LstmScorer:
    """An LSTM's last state after each window of a clip.

    Parameters
    ----------
    weights
        Of a `torch.nn.LSTM`, under its names.
    """

    def __init__(self, weights: State) -> None:
        self._layers = [
            Affine(_halved(np.concatenate([ih, hh], axis=1), gates=4), _halved(b_ih + b_hh, gates=4))
            for ih, hh, b_ih, b_hh in _layers(weights)
        ]

    def last_states(self, frames: Float32Array, *, n_steps: int, stride: int = 1) -> Float32Array:
        """Hidden state of the last layer after frames t to t + n_steps - 1, for every `stride`-th t.

        Parameters
        ----------
        frames
            Shape (n_frames, n_inputs); the result has shape (n_windows, hidden).
        """
        n_inputs, size = frames.shape[1], len(self._layers[0].bias) // 4
        first, *deeper = self._layers
        projected = frames @ first.weight[:n_inputs] + first.bias
        end = len(frames) - n_steps + 1
        n = len(range(0, end, stride))
        states = np.zeros((n, len(self._layers) * size), np.float32)  # side by side: a layer reads the one below, too
        cells = np.zeros((len(self._layers), n, size), np.float32)
        gates = np.zeros((n, 4 * size), np.float32)
        for t in range(n_steps):
            if t:
                np.matmul(states[:, :size], first.weight[n_inputs:], out=gates)
            lstm_step(gates, projected[t : t + end : stride], cells[0], states[:, :size])
            for at, layer in enumerate(deeper, start=1):
                below = states[:, (at - 1) * size : (at + 1) * size if t else at * size]
                np.matmul(below, layer.weight[: below.shape[1]], out=gates)
                lstm_step(gates, layer.bias[None], cells[at], states[:, at * size : (at + 1) * size])
        return states[:, -size:]


class GruScorer:
    """A GRU's states step by step; all windows of a clip step together.

    Parameters
    ----------
    weights
        Of a `torch.nn.GRU`, under its names.
    """

    def __init__(self, weights: State) -> None:
        self._layers = [_GruLayer(*layer) for layer in _layers(weights)]

    def over_windows(self, frames: Float32Array, *, n_steps: int, stride: int = 1) -> Iterator[Float32Array]:
        """States (n_windows, hidden) of the last layer at each step, a window at every `stride`-th frame.

        The same array each time, changed in place: copy what you keep.

        Parameters
        ----------
        frames
            Shape (n_frames, n_inputs); projected once each, however many windows they are in.
        """
        projected = self._layers[0].projected(frames)
        end = len(frames) - n_steps + 1
        return self._deeper(projected[t : t + end : stride] for t in range(n_steps))

    def over_constant(self, inputs: Float32Array, *, n_steps: int) -> Iterator[Float32Array]:
        """States of the last layer at each step, where each step's input is the same (n, n_inputs); as above."""
        return self._deeper(itertools.repeat(self._layers[0].projected(inputs), n_steps))

    def _deeper(self, projected: Iterable[Float32Array]) -> Iterator[Float32Array]:
        states = self._layers[0].states(projected)
        for layer in self._layers[1:]:
            states = layer.states(map(layer.projected, states))
        return states


class _GruLayer:
    def __init__(self, ih: Float32Array, hh: Float32Array, b_ih: Float32Array, b_hh: Float32Array) -> None:
        size = hh.shape[1]
        self._bias_new = b_hh[2 * size :].copy()
        bias = b_ih.copy()
        bias[: 2 * size] += b_hh[: 2 * size]
        self.projected = Affine(_halved(ih, gates=3), _halved(bias, gates=3))
        self._recur = np.ascontiguousarray(_halved(hh, gates=3).T)

    def states(self, projected: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """States (n, hidden) from projected inputs (n, 3 hidden), which stay as they are."""
        state = gates = None
        for added in projected:
            if state is None or gates is None:
                state = np.zeros((len(added), len(self._bias_new)), np.float32)
                gates = np.zeros((len(added), 3 * len(self._bias_new)), np.float32)
            else:
                np.matmul(state, self._recur, out=gates)
            gru_step(gates, added, self._bias_new, state)
            yield state


def _halved(rows: Float32Array, *, gates: int) -> Float32Array:
    """Halve the rows of the gates that are sigmoids, all but the third: sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    halved: Float32Array = rows * np.float32(0.5)
    size = len(rows) // gates
    halved[2 * size : 3 * size] = rows[2 * size : 3 * size]
    return halved


def _layers(weights: State) -> Iterator[tuple[Float32Array, Float32Array, Float32Array, Float32Array]]:
    """Weights from the input, from the state, and their biases, layer by layer."""
    for layer in range(sum(name.startswith("weight_ih") for name in weights)):
        ih, hh, b_ih, b_hh = (weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        yield ih, hh, b_ih, b_hh
