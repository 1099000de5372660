"""GRU autoencoder: what it cannot reconstruct is strange (the report's third method)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State
from asd_core.detectors.on_networks import Affine, part, window_centres_s
from asd_core.detectors.on_recurrent_networks import RecurrentDetector, recurrent_shapes
from asd_core.features.log_mel import N_MELS
from asd_core.system.threads import one_blas_thread
from asd_core.types import Float32Array, FloatArray, Waveform

if TYPE_CHECKING:
    import torch

    from asd_core.detectors.networks.recurrent_scoring import GruScorer


@dataclass
class GruAutoencoder(RecurrentDetector["tuple[GruScorer, GruScorer, Affine]"]):
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
        frames = self.scaled_frames(clip)
        with one_blas_thread():
            rebuilt = np.stack(list(self._rebuilt_steps(frames)), axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(frames, self.window, axis=0)[:: self.stride]
        return rebuilt, windows.transpose(0, 2, 1)

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
        from asd_core.detectors.networks.recurrent_training import gru_states

        steps = windows.transpose(0, 1)  # (window, n, n_mels)
        latent = gru_states(network.get_submodule("encoder"), steps, n_steps=self.window)[-1:]
        decoded = gru_states(network.get_submodule("decoder"), latent, n_steps=self.window)
        errors: torch.Tensor = (network.get_submodule("output")(decoded) - steps).square()
        return errors.transpose(0, 1)

    def _prepared(self, weights: State) -> tuple[GruScorer, GruScorer, Affine]:
        from asd_core.detectors.networks.recurrent_scoring import GruScorer

        encoder, decoder = (GruScorer(part(weights, name)) for name in ("encoder", "decoder"))
        return encoder, decoder, Affine(**part(weights, "output"))

    def _rebuilt_steps(self, frames: Float32Array) -> Iterator[Float32Array]:
        """Reconstructed frame (n_windows, n_mels) at each step of the scored windows of frames (n_frames, n_mels)."""
        encoder, decoder, output = self._scorer
        (latent,) = deque(encoder.over_windows(frames, n_steps=self.window, stride=self.stride), maxlen=1)
        return (output(state) for state in decoder.over_constant(latent, n_steps=self.window))

    def _step_errors(self, frames: Float32Array) -> Float32Array:
        n_starts = len(frames) - self.window + 1
        errors = (
            np.square(rebuilt - frames[step : step + n_starts : self.stride])
            for step, rebuilt in enumerate(self._rebuilt_steps(frames))
        )
        total: Float32Array = next(errors)
        for each in errors:
            total += each
        total /= np.float32(self.window)
        return total

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return window_centres_s(n_steps * self.stride, window=self.window)[:: self.stride]
