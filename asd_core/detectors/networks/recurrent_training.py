"""LSTM and GRU layers as they train, faster than torch's own on a processor; `torch.nn` modules hold the weights.

A layer's input product is one product over all steps, and so are the gradients of its weights; only the hidden state
goes step by step. Gates are ordered as torch orders them: input, forget, cell, output (LSTM); reset, update, new
(GRU). This module needs torch at import, so it is imported where it is used; scoring is `recurrent_scoring`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from asd_core.detectors.networks.kernels import lstm_learning_step


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
        before = np.zeros(cells.shape[1:], np.float32)
        steps = zip(*(each.numpy() for each in (gates, cells, tanh_cells, hidden)), strict=True)
        for t, (gate, cell, tanh_cell, state) in enumerate(steps):
            if t:
                torch.addmm(projected[t], hidden[t - 1], weight_hh.t(), out=gates[t])
            else:
                gates[0].copy_(projected[0])
            lstm_learning_step(gate, before, cell, tanh_cell, state)
            before = cell
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
