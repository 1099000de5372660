"""Dense autoencoder of the DCASE 2020 Task 2 baseline: what it cannot reconstruct is strange.

Source: Koizumi et al. 2020 (arXiv 2006.05822) and its baseline system: 640-128-128-128-128-8-128-128-128-128-640, each
dense layer but the last followed by batch normalisation and ReLU; Adam, batches of 512 vectors, 100 epochs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.networks.graphs import Affine, Windows
from asd_core.detectors.on_networks import NetworkDetector, part, window_centres_s
from asd_core.errors import UsageError
from asd_core.features.log_mel import N_MELS
from asd_core.types import Float32Array, FloatArray

if TYPE_CHECKING:
    import torch

WINDOW = 5
SIZES = (WINDOW * N_MELS, 128, 128, 128, 128, 8, 128, 128, 128, 128, WINDOW * N_MELS)
SCALINGS = ("none", "min_max")
BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON = 0.01, 1e-3
"""Keras' defaults, which the baseline uses: torch's momentum is 1 minus Keras' 0.99."""


@dataclass
class DcaseAutoencoder(NetworkDetector):
    """Five log-mel frames, concatenated, go through eight numbers and back; what is not given back is strange.

    A 10-s clip has 309 vectors; the map is (309, 128): each vector's error, averaged over its five frames, at the
    window's centre. Where the baseline takes 10 % of its training vectors for validation, ours are the vectors of
    held-out clips. `quick` is the same network with 96 updates in each of 16 epochs, and pools its errors otherwise.

    Parameters
    ----------
    scaling
        `none`: the frames stay raw decibels, as in the baseline, and the errors are in dB squared; or `min_max`:
        training frames span [0, 1]. No better on a real lathe (docs/evaluation.md).
    """

    epochs: int = 100
    batch_size: int = 512
    scaling: str = "none"

    name: ClassVar[str] = "dcase_autoencoder"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"epochs": 16, "windows_per_epoch": 49_152, "pooling": "combined"},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scaling not in SCALINGS:
            raise UsageError(f"scaling must be one of {', '.join(SCALINGS)}; got {self.scaling!r}")
        if self.batch_size < 2:
            raise UsageError(f"batch_size must be at least 2 for batch normalisation, got {self.batch_size}")

    @property
    def scales_frames(self) -> bool:
        """Whether the network sees decibels mapped to [0, 1]."""
        return self.scaling == "min_max"

    @property
    def title(self) -> str:
        """Name for people."""
        return "DCASE 2020 autoencoder"

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of weights and running statistics; the counts of batches are integers."""
        counts = {f"batch_norm{layer}.num_batches_tracked": TensorSpec("int64", ()) for layer in _HIDDEN_LAYERS}
        return super().state_spec() | counts

    @property
    def _window_frames(self) -> int:
        return WINDOW

    def _build(self) -> torch.nn.Module:
        import torch
        from torch.nn import BatchNorm1d, Linear, ReLU

        network = torch.nn.Sequential()
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(SIZES)):
            network.add_module(f"dense{layer}", Linear(inputs, outputs))
            if layer in _HIDDEN_LAYERS:
                # Normalisation cancels this bias: its gradient is rounding noise, which Adam turns into full steps.
                network[-1].bias.requires_grad_(False)
                norm = BatchNorm1d(outputs, momentum=BATCH_NORM_MOMENTUM, eps=BATCH_NORM_EPSILON)
                network.add_module(f"batch_norm{layer}", norm)
                network.add_module(f"relu{layer}", ReLU())
        return network

    def _initialise(self, network: torch.nn.Module) -> None:
        """Draw weights as Keras does by default: Glorot uniform, zero biases; batch normalisation as built."""
        import torch

        rng = np.random.default_rng([self.seed, 0])
        for module in network.modules():
            if isinstance(module, torch.nn.Linear):
                limit = math.sqrt(6 / (module.in_features + module.out_features))
                values = rng.uniform(-limit, limit, tuple(module.weight.shape)).astype(np.float32)
                module.weight.data.copy_(torch.from_numpy(values))
                module.bias.data.zero_()

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(SIZES)):
            shapes |= {f"dense{layer}.weight": (outputs, inputs), f"dense{layer}.bias": (outputs,)}
            if layer in _HIDDEN_LAYERS:
                parts = ("weight", "bias", "running_mean", "running_var")
                shapes |= {f"batch_norm{layer}.{part}": (outputs,) for part in parts}
        return shapes

    def _errors(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        if network.training and len(windows) == 1:  # torch wants two; a pair of equals has the statistics of one
            windows = windows.expand(2, -1, -1)
        vectors = windows.flatten(1)  # (n, 640)
        errors: torch.Tensor = (network(vectors) - vectors).square()
        return errors.reshape(windows.shape)

    def _add_predictions(self, windows: Windows, weights: State) -> Sequence[tuple[str, str]]:
        graph = windows.graph
        frames = [windows.step(windows.frames, step) for step in range(WINDOW)]
        rows = graph.add("Concat", *frames, axis=1)  # (n_windows, 640)
        *hidden, (weight, bias) = self._folded(weights)
        for layer in hidden:
            rows = graph.add("Relu", Affine(graph, *layer)(rows))
        outputs = zip(np.split(weight, WINDOW), np.split(bias, WINDOW), strict=True)
        return [(Affine(graph, *output)(rows), frame) for output, frame in zip(outputs, frames, strict=True)]

    def _folded(self, weights: State) -> list[tuple[Float32Array, Float32Array]]:
        """Weight and bias of the dense layers, each with its normalisation folded into them."""
        layers = []
        for layer in range(len(SIZES) - 1):
            weight, bias = weights[f"dense{layer}.weight"], weights[f"dense{layer}.bias"]
            if layer in _HIDDEN_LAYERS:
                norm = part(weights, f"batch_norm{layer}")
                factor = norm["weight"] / np.sqrt(norm["running_var"] + np.float32(BATCH_NORM_EPSILON))
                weight, bias = weight * factor[:, None], (bias - norm["running_mean"]) * factor + norm["bias"]
            layers.append((weight, bias))
        return layers

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return window_centres_s(n_steps, window=WINDOW)


_HIDDEN_LAYERS = range(len(SIZES) - 2)
