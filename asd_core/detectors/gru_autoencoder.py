"""GRU autoencoder: what it cannot reconstruct is strange (the report's third method)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asd_core.detectors.contract import State
from asd_core.detectors.networks.graphs import Affine, Windows, gru_states, gru_states_of_constant
from asd_core.detectors.on_networks import part, window_centres_s
from asd_core.detectors.on_recurrent_networks import RecurrentDetector, recurrent_shapes
from asd_core.features.log_mel import N_MELS
from asd_core.types import Float32Array, FloatArray, Waveform

if TYPE_CHECKING:
    import torch


@dataclass
class GruAutoencoder(RecurrentDetector):
    """Windows of ten log-mel frames go through one vector and back; the score is the pooled squared error.

    The encoder's last hidden state is the decoder's input at each of its steps. A 10-s clip has 304 windows; the map is
    (304, 128): each window's error, averaged over its ten frames, at the window's centre (only every k-th
    window with a stride of k).
    """

    batch_size: int = 64

    name: ClassVar[str] = "gru_autoencoder"
    recurrent_input: ClassVar[str] = "encoder"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "epochs": 8,
            "batch_size": 32,
            "windows_per_epoch": 5120,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "conditioning": "equal_bands",
            "pooling": "combined",
        },
    }

    @property
    def title(self) -> str:
        """Name for people."""
        return "GRU autoencoder"

    def rebuild_windows(self, clip: Waveform) -> tuple[Float32Array, Float32Array]:
        """Reconstructed and true scaled windows, each (n_windows, window, 128). Raises as `anomaly_map`."""
        rebuilt, true = self._predicted_and_true(clip)  # (window, n_windows, 128) each
        return rebuilt.transpose(1, 0, 2), true.transpose(1, 0, 2)

    @property
    def _window_frames(self) -> int:
        return self.window

    def _build(self) -> torch.nn.Module:
        import torch

        return torch.nn.ModuleDict(
            {
                "encoder": torch.nn.GRU(N_MELS, self.hidden, self.layers, batch_first=True),
                "decoder": torch.nn.GRU(self.hidden, self.hidden, self.layers, batch_first=True),
                "output": torch.nn.Linear(self.hidden, N_MELS),
            }
        )

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        size = {"gates": 3, "hidden": self.hidden, "layers": self.layers}
        shapes = recurrent_shapes("encoder", inputs=N_MELS, **size)
        shapes |= recurrent_shapes("decoder", inputs=self.hidden, **size)
        return shapes | {"output.weight": (N_MELS, self.hidden), "output.bias": (N_MELS,)}

    def _errors(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        _, last_states = network.get_submodule("encoder")(windows)  # (layers, n, hidden)
        latent = last_states[-1].unsqueeze(1).expand(-1, self.window, -1)
        decoded, _ = network.get_submodule("decoder")(latent)
        errors: torch.Tensor = (network.get_submodule("output")(decoded) - windows).square()
        return errors

    def _add_predictions(self, windows: Windows, weights: State) -> Sequence[tuple[str, str]]:
        graph = windows.graph
        latent = gru_states(windows, part(weights, "encoder"), n_steps=self.window)[-1]
        decoded = gru_states_of_constant(graph, latent, part(weights, "decoder"), n_steps=self.window)
        output = Affine(graph, **part(weights, "output"))
        return [(output(state), windows.step(windows.frames, step)) for step, state in enumerate(decoded)]

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return window_centres_s(n_steps * self.stride, window=self.window)[:: self.stride]
