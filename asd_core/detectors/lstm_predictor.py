"""LSTM next-frame predictor: what it cannot predict is strange (the report's second method)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State
from asd_core.detectors.on_networks import Affine, part
from asd_core.detectors.on_recurrent_networks import RecurrentDetector, recurrent_shapes
from asd_core.features.log_mel import N_MELS, frame_times_s
from asd_core.system.threads import one_blas_thread
from asd_core.types import Float32Array, FloatArray, Waveform

if TYPE_CHECKING:
    import torch

    from asd_core.detectors.networks.recurrent_scoring import LstmScorer


@dataclass
class LstmPredictor(RecurrentDetector["tuple[LstmScorer, Affine]"]):
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
        frames = self.scaled_frames(clip)
        with one_blas_thread():
            return self._predictions(frames), frames[self.window :: self.stride]

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
        from asd_core.detectors.networks.recurrent_training import lstm_states

        states = lstm_states(network.get_submodule("lstm"), windows[:, : self.window].transpose(0, 1))
        errors: torch.Tensor = (network.get_submodule("output")(states[-1]) - windows[:, self.window]).square()
        return errors

    def _prepared(self, weights: State) -> tuple[LstmScorer, Affine]:
        from asd_core.detectors.networks.recurrent_scoring import LstmScorer

        return LstmScorer(part(weights, "lstm")), Affine(**part(weights, "output"))

    def _predictions(self, frames: Float32Array) -> Float32Array:
        """Predicted frame after each window of scaled frames (n_frames, n_mels), one row per scored window."""
        lstm, output = self._scorer
        return output(lstm.last_states(frames[:-1], n_steps=self.window, stride=self.stride))

    def _step_errors(self, frames: Float32Array) -> Float32Array:
        errors: Float32Array = self._predictions(frames) - frames[self.window :: self.stride]
        np.square(errors, out=errors)
        return errors

    def _step_times_s(self, n_steps: int) -> FloatArray:
        return frame_times_s(n_steps * self.stride + self.window)[self.window :: self.stride]
