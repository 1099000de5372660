"""GRU autoencoder: what it cannot rebuild is strange (the report's third method)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asd_core.features import N_MELS
from asd_core.network import RecurrentDetector, recurrent_shapes, window_centres_s
from asd_core.types import Float32Array, FloatArray, Waveform

if TYPE_CHECKING:
    import torch


@dataclass
class GruAutoencoder(RecurrentDetector):
    """Windows of ten log-mel frames go through one vector and back; the score is the pooled squared error.

    The encoder's last hidden state is the decoder's input at each of its steps. A 10-s clip has 304 windows; the map is
    (304, 128): each window's error, averaged over its ten frames, at the window's centre.
    """

    batch_size: int = 64

    name: ClassVar[str] = "gru_autoencoder"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "epochs": 8,
            "batch_size": 32,
            "windows_per_epoch": 5120,
            "learning_rate": 2e-3,
            "schedule": "cosine",
        },
    }

    @property
    def title(self) -> str:
        """Name for people."""
        return "GRU autoencoder"

    def rebuild_windows(self, clip: Waveform) -> tuple[Float32Array, Float32Array]:
        """Rebuilt and true scaled windows, each (n_windows, window, 128). Raises as `anomaly_map`."""
        import torch

        frames = self.scaled_frames(clip)
        windows = torch.from_numpy(frames).unfold(0, self.window, 1).transpose(1, 2)
        _, network = self._learned
        with torch.inference_mode():
            rebuilt = self._rebuild(network, windows)
        return rebuilt.numpy(), windows.numpy()

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

    def _rebuild(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        _, hidden = network.get_submodule("encoder")(windows)  # (layers, n, hidden)
        repeated = hidden[-1].unsqueeze(1).expand(-1, windows.shape[1], -1)  # (n, window, hidden)
        decoded, _ = network.get_submodule("decoder")(repeated)
        rebuilt: torch.Tensor = network.get_submodule("output")(decoded)  # (n, window, n_mels)
        return rebuilt

    def _errors(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        return (self._rebuild(network, windows) - windows).square()

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return window_centres_s(n_steps, window=self.window)
