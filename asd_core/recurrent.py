"""LSTM and GRU layers written out, faster than torch's own on a processor; `torch.nn` modules hold the weights.

Training: what a layer makes of its input is one product over all steps, and so are the gradients of its weights; only
the hidden state goes step by step. Scoring: all windows of a clip step together, the first layer's input product is
done once a frame instead of once a window, and no product with a state of zeros is done at all.

Gates are ordered as torch orders them: input, forget, cell, output (LSTM); reset, update, new (GRU). This module needs
torch at import, so it is imported where it is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear


class LstmScorer:
    """An LSTM's last state after each window of a clip, without gradients.

    Sigmoids do all the work, because torch's tanh takes three times as long: tanh(x) = 2 sigmoid(2x) - 1. The factors
    inside are put into the weights once: the cell gate's are doubled, the cells are kept doubled and the states halved.
    """

    def __init__(self, lstm: torch.nn.Module) -> None:
        doubled = torch.ones(4, 1, 1)
        doubled[2] = 2

        def scaled(weight: Tensor) -> Tensor:
            rows = weight.detach().reshape(4, len(weight) // 4, -1)
            return (rows * doubled).reshape(weight.shape)

        layers = [[scaled(part) for part in layer] for layer in _layers(lstm)]
        weight_ih, weight_hh, bias_ih, bias_hh = layers[0]
        self._project, self._recur = _Product(weight_ih, bias_ih + bias_hh), _Product(2 * weight_hh)
        self._deeper = [
            (_Product(2 * ih, b_ih + b_hh), _Product(2 * torch.cat([ih, hh], 1), b_ih + b_hh))
            for ih, hh, b_ih, b_hh in layers[1:]
        ]

    def last_states(self, frames: Tensor, *, n_steps: int, stride: int = 1) -> Tensor:
        """Hidden state of the last layer after frames t to t + n_steps - 1, for every `stride`-th t.

        Parameters
        ----------
        frames
            Shape (n_frames, n_inputs); the result has shape (n_windows, hidden).
        """
        projected = self._project(frames)
        rows = [projected[t : t + len(frames) - n_steps + 1 : stride] for t in range(n_steps)]
        n, size = len(rows[0]), rows[0].shape[1] // 4
        gates = torch.empty(n, 4 * size)
        states = torch.empty(n, (1 + len(self._deeper)) * size)  # the layers' side by side: the next reads its own too
        by_layer = states.chunk(1 + len(self._deeper), dim=1)
        cells = [torch.empty(n, size) for _ in by_layer]
        for t in range(n_steps):
            own = self._recur(by_layer[0], plus=rows[t], out=gates).sigmoid_() if t else rows[t].sigmoid()
            _lstm_step(own, cells[0], by_layer[0], first=t == 0)
            for layer, (first, later) in enumerate(self._deeper, start=1):
                below = by_layer[layer - 1] if t == 0 else states[:, (layer - 1) * size : (layer + 1) * size]
                own = (later if t else first)(below, out=gates).sigmoid_()
                _lstm_step(own, cells[layer], by_layer[layer], first=t == 0)
        return by_layer[-1].mul(2)


def _lstm_step(gates: Tensor, doubled_cell: Tensor, halved_state: Tensor, *, first: bool) -> None:
    """Step cell and state (n, hidden) in place, from the sigmoids of all gates, (n, 4 hidden)."""
    i, f, g, o = gates.chunk(4, dim=1)
    if first:
        torch.mul(i, g, out=doubled_cell).mul_(4)
    else:
        doubled_cell.mul_(f).addcmul_(i, g, value=4)
    doubled_cell.sub_(i, alpha=2)
    torch.sigmoid(doubled_cell, out=halved_state).sub_(0.5).mul_(o)


class GruScorer:
    """A GRU's states step by step, without gradients; all windows of a clip step together."""

    def __init__(self, gru: torch.nn.Module) -> None:
        self._layers = [_GruLayer(*(part.detach() for part in layer)) for layer in _layers(gru)]

    def over_windows(self, frames: Tensor, *, n_steps: int, stride: int = 1) -> Iterator[Tensor]:
        """States (n_windows, hidden) of the last layer at each step, a window at every `stride`-th frame.

        Parameters
        ----------
        frames
            Shape (n_frames, n_inputs); projected once each, however many windows they are in.
        """
        gates, new = self._layers[0].projected(frames)
        n = len(frames) - n_steps + 1
        return self._deeper((gates[t : t + n : stride], new[t : t + n : stride]) for t in range(n_steps))

    def over_constant(self, inputs: Tensor, *, n_steps: int) -> Iterator[Tensor]:
        """States (n, hidden) of the last layer at each step, where each step's input is the same (n, n_inputs)."""
        return self._deeper(itertools.repeat(self._layers[0].projected(inputs), n_steps))

    def _deeper(self, projected: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        states = self._layers[0].states(projected)
        for layer in self._layers[1:]:
            states = layer.states(map(layer.projected, states))
        return states


class _GruLayer:
    """One layer: the reset and update gates in one product, the new gate in another, so that each lies in one piece.

    The new gate's weights are doubled once: tanh(x) = 2 sigmoid(2x) - 1, and torch's tanh takes three times as long.
    """

    def __init__(self, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> None:
        size = 2 * weight_hh.shape[1]  # rows of the reset and update gates
        self._gates_in = _Product(weight_ih[:size], bias_ih[:size] + bias_hh[:size])
        self._gates = _Product(weight_hh[:size])
        self._new_in = _Product(2 * weight_ih[size:], 2 * bias_ih[size:])
        self._bias_new = 2 * bias_hh[size:]
        self._new = _Product(2 * weight_hh[size:], self._bias_new)

    def projected(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the inputs (n, n_inputs) add to both gates, (n, 2 hidden), and to the new one, (n, hidden)."""
        return self._gates_in(inputs), self._new_in(inputs)

    def states(self, projected: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """States (n, hidden) from projected inputs, which stay as they are."""
        hidden: Tensor | None = None
        gates_out: Tensor | None = None
        new_out: Tensor | None = None
        for gates_in, new_in in projected:
            if hidden is None:
                gates, from_state = gates_in.sigmoid(), self._bias_new
                gates_out, new_out = gates, torch.empty_like(new_in)
            else:
                gates = self._gates(hidden, plus=gates_in, out=gates_out).sigmoid_()
                from_state = self._new(hidden, out=new_out)
            r, z = gates.chunk(2, dim=1)
            new = torch.addcmul(new_in, r, from_state, out=new_out).sigmoid_().mul_(2).sub_(1)
            hidden = torch.addcmul(new, new, z, value=-1) if hidden is None else torch.lerp(new, hidden, z)
            yield hidden


_PAD = 16
"""Values between rows of weights: rows a power of two apart fall on the same places of the cache (10 % slower)."""


class _Product:
    """`rows @ weight.T`, and more added, for a weight that stays: laid out once as this processor multiplies fastest.

    With AVX-512 that is oneDNN's packed form (where this torch has it), else rows of the transposed weight for the
    ordinary product.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._bias = bias
        wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
        self._packed = wide and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        with torch.inference_mode():
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self._packed else _transposed(weight)

    def __call__(self, rows: Tensor, *, plus: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Products (n, n_outputs) of rows (n, n_inputs), plus the bias or, where there is none, `plus` (n, n_outputs).

        They may be written to `out`, which spares an allocation.
        """
        if self._packed:
            one_dnn = torch.ops.mkldnn._linear_pointwise
            product: Tensor = one_dnn(rows, self._weight, self._bias, "none", [], "")
            return product if plus is None else product.add_(plus)
        added = self._bias if plus is None else plus
        if added is None:
            return torch.mm(rows, self._weight, out=out)
        return torch.addmm(added, rows, self._weight, out=out)


def _transposed(weight: Tensor) -> Tensor:
    n_outputs, n_inputs = weight.shape
    rows = torch.empty(n_inputs, n_outputs + _PAD)[:, :n_outputs]
    return rows.copy_(weight.t())


def lstm_states(lstm: torch.nn.Module, inputs: Tensor) -> Tensor:
    """Hidden states of the last layer, with gradients, as `lstm(inputs)` gives them but steps first.

    Parameters
    ----------
    inputs
        Shape (n_steps, n, n_inputs); the result has shape (n_steps, n, hidden).
    """
    for weight_ih, weight_hh, bias_ih, bias_hh in _layers(lstm):
        inputs = _LstmRecurrence.apply(linear(inputs, weight_ih, bias_ih + bias_hh), weight_hh)  # type: ignore[no-untyped-call]
    return inputs


def gru_states(gru: torch.nn.Module, inputs: Tensor, *, n_steps: int) -> Tensor:
    """Hidden states of the last layer, with gradients, as `gru(inputs)` gives them but steps first.

    Parameters
    ----------
    inputs
        Shape (n_steps, n, n_inputs), or (1, n, n_inputs) for the same input at each step, which is projected once; the
        result has shape (n_steps, n, hidden).
    """
    for weight_ih, weight_hh, bias_ih, bias_hh in _layers(gru):
        bias, bias_new = _gru_biases(bias_ih, bias_hh)
        projected = linear(inputs, weight_ih, bias).expand(n_steps, -1, -1)
        inputs = _GruRecurrence.apply(projected, weight_hh, bias_new)  # type: ignore[no-untyped-call]
    return inputs


class _LstmRecurrence(torch.autograd.Function):
    """Projected inputs (n_steps, n, 4 hidden) and recurrent weights to hidden states (n_steps, n, hidden)."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight_hh: Tensor) -> Tensor:
        gates = torch.empty(projected.shape)
        cells, tanh_cells, hidden = (torch.empty(_by_hidden(projected, weight_hh)) for _ in range(3))
        for t, gate in enumerate(gates):
            if t:
                torch.addmm(projected[t], hidden[t - 1], weight_hh.t(), out=gate)
            else:
                gate.copy_(projected[0])
            i, f, g, o = gate.chunk(4, dim=1)
            i.sigmoid_(), f.sigmoid_(), o.sigmoid_()
            _tanh(g, out=g)
            torch.mul(i, g, out=cells[t])
            if t:
                cells[t].addcmul_(f, cells[t - 1])
            _tanh(cells[t], out=tanh_cells[t])
            torch.mul(o, tanh_cells[t], out=hidden[t])
        ctx.save_for_backward(gates, cells, tanh_cells, hidden, weight_hh)
        return hidden

    @staticmethod
    def backward(ctx: Any, grad_hidden: Tensor) -> tuple[Tensor, Tensor]:
        gates, cells, tanh_cells, hidden, weight_hh = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=2)
        grads = torch.empty_like(gates)  # first each gate's slope, then in place its gradient
        slope_i, slope_f, slope_g, slope_o = grads.chunk(4, dim=2)
        torch.mul(i, g, out=slope_i).mul_(1 - i)
        slope_f[0] = 0
        torch.mul(f[1:], cells[:-1], out=slope_f[1:]).mul_(1 - f[1:])
        torch.addcmul(i, slope_g.copy_(g).square_(), i, value=-1, out=slope_g)
        torch.addcmul(hidden, hidden, o, value=-1, out=slope_o)
        to_cell = torch.addcmul(o, hidden, tanh_cells, value=-1)
        grad, grad_cell = grad_hidden[-1], torch.zeros_like(cells[0])
        by_gate = grads.view(*grads.shape[:2], 4, -1)
        for t in reversed(range(len(grads))):
            grad_cell.addcmul_(grad, to_cell[t])
            by_gate[t, :, :3] *= grad_cell[:, None]
            slope_o[t] *= grad
            grad_cell *= f[t]
            if t:
                grad = torch.addmm(grad_hidden[t - 1], grads[t], weight_hh)
        return grads, _over_all_steps(grads, hidden)


class _GruRecurrence(torch.autograd.Function):
    """Projected inputs (n_steps, n, 3 hidden), recurrent weights and the new gate's bias to (n_steps, n, hidden)."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight_hh: Tensor, bias_new: Tensor) -> Tensor:
        gates = torch.empty(projected.shape)
        from_state, hidden = (torch.empty(_by_hidden(projected, weight_hh)) for _ in range(2))
        size = weight_hh.shape[1]
        for t, gate in enumerate(gates):
            r, z, new = gate.chunk(3, dim=1)
            if t:
                torch.mm(hidden[t - 1], weight_hh.t(), out=gate)
                torch.add(new, bias_new, out=from_state[t])
                gate[:, : 2 * size] += projected[t, :, : 2 * size]
            else:
                from_state[0] = bias_new
                gate.copy_(projected[0])
            gate[:, : 2 * size].sigmoid_()
            torch.addcmul(projected[t, :, 2 * size :], r, from_state[t], out=new)
            _tanh(new, out=new)
            torch.addcmul(new, z, new, value=-1, out=hidden[t])
            if t:
                hidden[t].addcmul_(z, hidden[t - 1])
        ctx.save_for_backward(gates, from_state, hidden, weight_hh)
        return hidden

    @staticmethod
    def backward(ctx: Any, grad_hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, from_state, hidden, weight_hh = ctx.saved_tensors
        r, z, new = gates.chunk(3, dim=2)
        slopes = torch.empty_like(gates)
        slope_r, slope_z, slope_new = slopes.chunk(3, dim=2)
        torch.mul(from_state, r, out=slope_r).mul_(1 - r)  # of the new gate's gradient
        torch.neg(new, out=slope_z)
        slope_z[1:] += hidden[:-1]
        slope_z.mul_(z).mul_(1 - z)
        torch.mul(1 - z, 1 - new.square(), out=slope_new)
        grads = slopes  # in place, step by step
        to_state = torch.empty_like(grads)  # the same but for the new gate: what flows through the recurrent weights
        grad = grad_hidden[-1]
        for t in reversed(range(len(grads))):
            slope_new[t] *= grad
            slope_z[t] *= grad
            slope_r[t] *= slope_new[t]
            to_state[t] = grads[t]
            to_state[t].chunk(3, dim=1)[2].mul_(r[t])
            if t:
                grad = torch.addcmul(grad_hidden[t - 1], grad, z[t]).addmm_(to_state[t], weight_hh)
        grad_bias_new = to_state.chunk(3, dim=2)[2].sum(dim=(0, 1))
        return grads, _over_all_steps(to_state, hidden), grad_bias_new


def _by_hidden(projected: Tensor, weight_hh: Tensor) -> tuple[int, int, int]:
    return projected.shape[0], projected.shape[1], weight_hh.shape[1]


def _over_all_steps(grads: Tensor, hidden: Tensor) -> Tensor:
    """Gradient of the recurrent weights: one product over all steps but the first, whose state is zero."""
    return grads[1:].flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)


def _tanh(values: Tensor, *, out: Tensor) -> None:
    """NumPy's, because torch's takes several times as long."""
    np.tanh(values.numpy(), out=out.numpy())


def _layers(network: torch.nn.Module) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Weights from the input, from the state, and their biases, layer by layer."""
    for layer in range(len([name for name, _ in network.named_parameters() if name.startswith("weight_ih")])):
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(network, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        yield weight_ih, weight_hh, bias_ih, bias_hh


def _gru_biases(bias_ih: Tensor, bias_hh: Tensor) -> tuple[Tensor, Tensor]:
    """What can be added before the steps, and the new gate's bias from the state, which the reset gate weighs."""
    reset, update, new = bias_hh.chunk(3)
    return bias_ih + torch.cat([reset, update, torch.zeros_like(new)]), new
