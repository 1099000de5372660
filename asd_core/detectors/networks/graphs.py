"""Networks as ONNX graphs that score, without torch: all windows of a clip step together.

The product of a layer with its inputs is computed once per frame, not once per window; no product with a state of
zeros is computed at all, and a decoder's constant input is multiplied once. Each gate has a product of its own, so that
no gate has to be cut out of a wider one. Weights have torch's names and shapes, and gates are ordered as torch orders
them: input, forget, cell, output (LSTM); reset, update, new (GRU). Values in a graph are known by their names, and all
are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from asd_core.detectors.contract import State
from asd_core.system.onnx_graphs import Graph
from asd_core.types import Float32Array

Added: TypeAlias = Callable[[int, int], str]
"""From a step and a gate to what the inputs add to that gate before its non-linearity, shape (n_windows, hidden)."""


class Windows:
    """Where the windows of a clip's frames lie.

    Parameters
    ----------
    frames
        Name of a value of shape (n_frames, n_bands).
    length, stride
        Frames per window, and from one window's start to the next one's.
    """

    def __init__(self, graph: Graph, frames: str, *, length: int, stride: int = 1) -> None:
        self.graph, self.frames, self.length, self._stride = graph, frames, length, stride
        n_frames = graph.n_rows(frames)
        self._ends = [graph.add("Sub", n_frames, graph.constant([length - 1 - step])) for step in range(length)]

    def step(self, rows: str, step: int) -> str:
        """Row `step` of every window, shape (n_windows, n); rows (n_frames, n) may be anything computed per frame."""
        return self.graph.rows(rows, step, self._ends[step], step=self._stride)


def affine(graph: Graph, rows: str, weight: Float32Array, bias: Float32Array | str) -> str:
    """`rows @ weight.T + bias`, shape (n, n_outputs), of weights (n_outputs, n_inputs); a bias may be a value, too."""
    added = bias if isinstance(bias, str) else graph.constant(bias)
    return graph.add("Gemm", rows, graph.constant(weight.T), added)


def lstm_states(windows: Windows, weights: State, *, n_steps: int) -> list[str]:
    """Hidden states of an LSTM's last layer after each of the windows' first steps, shape (n_windows, hidden) each.

    Parameters
    ----------
    weights
        Of a `torch.nn.LSTM`, under its names.
    """
    return _states(windows, weights, n_steps=n_steps, n_gates=4, layer_states=_lstm_layer)


def gru_states(windows: Windows, weights: State, *, n_steps: int) -> list[str]:
    """Hidden states of a GRU's last layer, as `lstm_states`."""
    return _states(windows, weights, n_steps=n_steps, n_gates=3, layer_states=_gru_layer)


def gru_states_of_constant(graph: Graph, inputs: str, weights: State, *, n_steps: int) -> list[str]:
    """Hidden states of a GRU's last layer at each step, where each step's input is the same (n_windows, n_inputs)."""
    first, *deeper = _layers(weights, n_gates=3)
    projected = first.of_inputs(graph, inputs)
    return _through(graph, lambda _, gate: projected(gate), first, deeper, n_steps=n_steps, layer_states=_gru_layer)


class _Layer:
    """Weights of one recurrent layer, gate by gate."""

    def __init__(
        self, ih: Float32Array, hh: Float32Array, b_ih: Float32Array, b_hh: Float32Array, *, n_gates: int
    ) -> None:
        self._from_input, self.from_state = np.split(ih, n_gates), np.split(hh, n_gates)
        self.bias_state = np.split(b_hh, n_gates)
        # A GRU's reset gate weighs the new gate's bias from the state: it can't be added to that from the input.
        apart = [n_gates == 3 and gate == 2 for gate in range(n_gates)]
        biases = zip(np.split(b_ih, n_gates), self.bias_state, apart, strict=True)
        self._bias = [of_input if is_apart else of_input + of_state for of_input, of_state, is_apart in biases]

    def of_inputs(self, graph: Graph, inputs: str) -> Callable[[int], str]:
        """From a gate to what inputs (n, n_inputs) add to it, computed once, and only when it is asked for."""
        made: dict[int, str] = {}

        def projected(gate: int) -> str:
            if gate not in made:
                made[gate] = affine(graph, inputs, self._from_input[gate], self._bias[gate])
            return made[gate]

        return projected


LayerStates: TypeAlias = Callable[[Graph, Added, _Layer, int], list[str]]


def _states(windows: Windows, weights: State, *, n_steps: int, n_gates: int, layer_states: LayerStates) -> list[str]:
    first, *deeper = _layers(weights, n_gates=n_gates)
    projected = first.of_inputs(windows.graph, windows.frames)

    def added(step: int, gate: int) -> str:
        return windows.step(projected(gate), step)

    return _through(windows.graph, added, first, deeper, n_steps=n_steps, layer_states=layer_states)


def _through(
    graph: Graph, added: Added, first: _Layer, deeper: Sequence[_Layer], *, n_steps: int, layer_states: LayerStates
) -> list[str]:
    """States of the last layer at each step."""
    states = layer_states(graph, added, first, n_steps)
    for layer in deeper:
        states = layer_states(graph, _added_by(graph, states, layer), layer, n_steps)
    return states


def _added_by(graph: Graph, states: Sequence[str], layer: _Layer) -> Added:
    """What the states of the layer below add."""
    projected = [layer.of_inputs(graph, state) for state in states]
    return lambda step, gate: projected[step](gate)


def _lstm_layer(graph: Graph, added: Added, layer: _Layer, n_steps: int) -> list[str]:
    recur = [graph.constant(rows.T) for rows in layer.from_state]
    states: list[str] = []
    cell = ""
    for step in range(n_steps):

        def gate(which: int, function: str, step: int = step) -> str:
            total = added(step, which)
            return graph.add(function, graph.add("Gemm", states[-1], recur[which], total) if states else total)

        new = graph.add("Mul", gate(0, "Sigmoid"), gate(2, "Tanh"))
        cell = graph.add("Add", new, graph.add("Mul", gate(1, "Sigmoid"), cell)) if states else new
        states.append(graph.add("Mul", gate(3, "Sigmoid"), graph.add("Tanh", cell)))
    return states


def _gru_layer(graph: Graph, added: Added, layer: _Layer, n_steps: int) -> list[str]:
    recur = [graph.constant(rows.T) for rows in layer.from_state]
    bias_new = graph.constant(layer.bias_state[2])
    states: list[str] = []
    for step in range(n_steps):

        def gate(which: int, step: int = step) -> str:
            total = added(step, which)
            return graph.add("Sigmoid", graph.add("Gemm", states[-1], recur[which], total) if states else total)

        from_state = graph.add("Gemm", states[-1], recur[2], bias_new) if states else bias_new
        new = graph.add("Tanh", graph.add("Add", added(step, 2), graph.add("Mul", gate(0), from_state)))
        difference = graph.add("Sub", states[-1], new) if states else graph.add("Neg", new)
        states.append(graph.add("Add", new, graph.add("Mul", gate(1), difference)))
    return states


def _layers(weights: State, *, n_gates: int) -> Iterator[_Layer]:
    for layer in range(sum(name.startswith("weight_ih") for name in weights)):
        arrays = (weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        yield _Layer(*arrays, n_gates=n_gates)
