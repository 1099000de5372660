"""LSTM next-frame predictor: what it cannot predict is strange (the report's second method)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asd_core.detectors.contract import State
from asd_core.detectors.networks.graphs import Affine, Windows, lstm_states
from asd_core.detectors.on_networks import part
from asd_core.detectors.on_recurrent_networks import RecurrentDetector, recurrent_shapes
from asd_core.features.log_mel import N_MELS, frame_times_s
from asd_core.types import Float32Array, FloatArray, Waveform

if TYPE_CHECKING:
    import torch


@dataclass
class LstmPredictor(RecurrentDetector):
    """Ten log-mel frames predict the eleventh; the score is the pooled squared error over all predictions.

    A 10-s clip has 303 predictions; the map is (303, 128), at the times of the predicted frames
    (only every k-th of them with a stride of k).
    """

    name: ClassVar[str] = "lstm_predictor"
    recurrent_input: ClassVar[str] = "lstm"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "epochs": 8,
            "windows_per_epoch": 8192,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "conditioning": "equal_bands",
            "pooling": "combined",
        },
    }

    @property
    def title(self) -> str:
        """Name for people."""
        return "LSTM next-frame predictor"

    def predict_frames(self, clip: Waveform) -> tuple[Float32Array, Float32Array]:
        """Predicted and true scaled frames, each (n_steps, 128). Raises as `anomaly_map`."""
        (predicted,), (true,) = self._predicted_and_true(clip)
        return predicted, true

    @property
    def _window_frames(self) -> int:
        return self.window + 1

    def _build(self) -> torch.nn.Module:
        import torch

        recurrent = torch.nn.LSTM(N_MELS, self.hidden, self.layers, batch_first=True)
        return torch.nn.ModuleDict({"lstm": recurrent, "output": torch.nn.Linear(self.hidden, N_MELS)})

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = recurrent_shapes("lstm", gates=4, inputs=N_MELS, hidden=self.hidden, layers=self.layers)
        return shapes | {"output.weight": (N_MELS, self.hidden), "output.bias": (N_MELS,)}

    def _targets(self, windows: torch.Tensor) -> torch.Tensor:
        return windows[:, self.window]

    def _errors(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        states, _ = network.get_submodule("lstm")(windows[:, : self.window])
        errors: torch.Tensor = (network.get_submodule("output")(states[:, -1]) - self._targets(windows)).square()
        return errors

    def _add_predictions(self, windows: Windows, weights: State) -> Sequence[tuple[str, str]]:
        states = lstm_states(windows, part(weights, "lstm"), n_steps=self.window)
        output = Affine(windows.graph, **part(weights, "output"))
        return [(output(states[-1]), windows.step(windows.frames, self.window))]

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return frame_times_s(n_steps * self.stride + self.window)[self.window :: self.stride]
