"""Networks as ONNX graphs that score, without torch: all windows of a clip step together.

The product of a layer with its inputs is computed once per frame, not once per window; no product with a state of
zeros is computed at all, and a decoder's constant input is multiplied once. Each gate has a product of its own, so that
no gate has to be cut out of a wider one. Weights have torch's names and shapes, and gates are ordered as torch orders
them: input, forget, cell, output (LSTM); reset, update, new (GRU). Values in a graph are known by their names, and all
are float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from asd_core.detectors.contract import State
from asd_core.features.cache import graph_key, opened
from asd_core.system.onnx_graphs import Graph
from asd_core.types import Float32Array

VERSION = 1
"""Raised with any change of the graphs that are built here, so that those kept on disk are built anew."""
Added: TypeAlias = Callable[[int, int], str]
"""From a step and a gate to what the inputs add to that gate before its non-linearity, shape (n_windows, hidden)."""


def kept_graph(build: Callable[[], bytes], *, of: str, weights: State) -> bytes:
    """The bytes of a graph from the cache in the data folder, or built and kept there: `onnx` need not be imported.

    Parameters
    ----------
    of
        All that the graph depends on besides the weights.
    """
    store = opened()
    if store is None:
        return build()
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    key = graph_key(f"{VERSION}\n{of}\n{digest.hexdigest()}")
    kept = store.read(key)
    if kept is None:
        kept = build()
        store.write(key, kept)
    return kept


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


class Affine:
    """`rows @ weight.T + bias`; the arrays are stored in the graph once, however many rows come.

    Parameters
    ----------
    weight, bias
        Shape (n_outputs, n_inputs) and (n_outputs,).
    """

    def __init__(self, graph: Graph, weight: Float32Array, bias: Float32Array) -> None:
        self._graph = graph
        self._weight, self._bias = graph.constant(weight.T), graph.constant(bias)

    def __call__(self, rows: str) -> str:
        """Name of rows (n, n_inputs) to the name of a value of shape (n, n_outputs)."""
        return self._graph.add("Gemm", rows, self._weight, self._bias)


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
    first, *deeper = _layers(graph, weights, n_gates=3)
    projected = first.of_inputs(inputs)
    return _through(lambda _, gate: projected(gate), first, deeper, n_steps=n_steps, layer_states=_gru_layer)


class _Layer:
    """Weights of one recurrent layer in a graph, gate by gate."""

    def __init__(
        self,
        graph: Graph,
        ih: Float32Array,
        hh: Float32Array,
        b_ih: Float32Array,
        b_hh: Float32Array,
        *,
        n_gates: int,
    ) -> None:
        self.graph = graph
        self.from_state = [graph.constant(rows.T) for rows in np.split(hh, n_gates)]
        of_state = np.split(b_hh, n_gates)
        # A GRU's reset gate weighs the new gate's bias from the state: it can't be added to that from the input.
        self.bias_new = graph.constant(of_state[-1]) if n_gates == 3 else ""
        if n_gates == 3:
            of_state[-1] = np.zeros_like(of_state[-1])
        of_input = zip(np.split(ih, n_gates), np.split(b_ih, n_gates), of_state, strict=True)
        self._from_input = [Affine(graph, rows, b_input + b_state) for rows, b_input, b_state in of_input]

    def of_inputs(self, inputs: str) -> Callable[[int], str]:
        """From a gate to what inputs (n, n_inputs) add to it, computed once, and only when it is asked for."""
        made: dict[int, str] = {}

        def projected(gate: int) -> str:
            if gate not in made:
                made[gate] = self._from_input[gate](inputs)
            return made[gate]

        return projected


LayerStates: TypeAlias = Callable[[Added, _Layer, int], list[str]]


def _states(windows: Windows, weights: State, *, n_steps: int, n_gates: int, layer_states: LayerStates) -> list[str]:
    first, *deeper = _layers(windows.graph, weights, n_gates=n_gates)
    projected = first.of_inputs(windows.frames)

    def added(step: int, gate: int) -> str:
        return windows.step(projected(gate), step)

    return _through(added, first, deeper, n_steps=n_steps, layer_states=layer_states)


def _through(
    added: Added, first: _Layer, deeper: Sequence[_Layer], *, n_steps: int, layer_states: LayerStates
) -> list[str]:
    """States of the last layer at each step."""
    states = layer_states(added, first, n_steps)
    for layer in deeper:
        states = layer_states(_added_by(states, layer), layer, n_steps)
    return states


def _added_by(states: Sequence[str], layer: _Layer) -> Added:
    """What the states of the layer below add."""
    projected = [layer.of_inputs(state) for state in states]
    return lambda step, gate: projected[step](gate)


def _lstm_layer(added: Added, layer: _Layer, n_steps: int) -> list[str]:
    graph = layer.graph
    states: list[str] = []
    cell = ""
    for step in range(n_steps):
        gate = _gates(added, layer, states, step)
        new = graph.add("Mul", gate(0, "Sigmoid"), gate(2, "Tanh"))
        cell = graph.add("Add", new, graph.add("Mul", gate(1, "Sigmoid"), cell)) if states else new
        states.append(graph.add("Mul", gate(3, "Sigmoid"), graph.add("Tanh", cell)))
    return states


def _gru_layer(added: Added, layer: _Layer, n_steps: int) -> list[str]:
    graph = layer.graph
    states: list[str] = []
    for step in range(n_steps):
        gate = _gates(added, layer, states, step)
        reset, update = gate(0, "Sigmoid"), gate(1, "Sigmoid")
        of_state = graph.add("Gemm", states[-1], layer.from_state[2], layer.bias_new) if states else layer.bias_new
        new = graph.add("Tanh", graph.add("Add", added(step, 2), graph.add("Mul", reset, of_state)))
        difference = graph.add("Sub", states[-1], new) if states else graph.add("Neg", new)
        states.append(graph.add("Add", new, graph.add("Mul", update, difference)))
    return states


def _gates(added: Added, layer: _Layer, states: Sequence[str], step: int) -> Callable[[int, str], str]:
    """From a gate and its function to its value at a step, after the states so far."""

    def gate(which: int, function: str) -> str:
        total = added(step, which)
        if states:
            total = layer.graph.add("Gemm", states[-1], layer.from_state[which], total)
        return layer.graph.add(function, total)

    return gate


def _layers(graph: Graph, weights: State, *, n_gates: int) -> Iterator[_Layer]:
    for layer in range(sum(name.startswith("weight_ih") for name in weights)):
        arrays = (weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        yield _Layer(graph, *arrays, n_gates=n_gates)
