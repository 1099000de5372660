"""The same work done in the plainest way: what the fast paths must equal and are timed against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import torch

from asd_core.detectors.networks.training import load_network_state
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.features.log_mel import N_MELS
from asd_core.types import Float32Array


def log_mel(path: Path) -> Float32Array:
    """librosa from file to log-mel frames, shape (n_frames, 128)."""
    samples, _ = librosa.load(path, sr=16000)
    mel = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=1024, hop_length=512, n_mels=128, power=2.0)
    return librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T


def errors(detector: NetworkDetector, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
    """Squared errors of windows (n, window_frames, n_mels) by torch's own layers."""
    if detector.name == "lstm_predictor":
        states, _ = network.get_submodule("lstm")(windows[:, :-1])
        return (network.get_submodule("output")(states[:, -1]) - windows[:, -1]).square()
    if detector.name == "dcase_autoencoder":
        vectors = windows.flatten(1)
        return (network(vectors) - vectors).square()
    _, states = network.get_submodule("encoder")(windows)
    decoded, _ = network.get_submodule("decoder")(states[-1].unsqueeze(1).expand(-1, windows.shape[1], -1))
    return (network.get_submodule("output")(decoded) - windows).square()


def network_of(detector: NetworkDetector) -> torch.nn.Module:
    """The learned network in torch."""
    network = detector._build()
    load_network_state(network, detector._learned[1])
    return network.eval()


def score_by_loop(detector: NetworkDetector, network: torch.nn.Module, frames: Float32Array) -> float:
    """One window at a time through the network; the mean of the squared errors."""
    length = detector._window_frames
    means = []
    with torch.inference_mode():
        for start in range(len(frames) - length + 1):
            window = torch.from_numpy(frames[start : start + length]).unsqueeze(0)
            means.append(float(errors(detector, network, window).mean()))
    return float(np.mean(means))


def score_by_batch(detector: NetworkDetector, network: torch.nn.Module, frames: Float32Array) -> float:
    """All windows of a clip in one batch, copied out one by one; pooled as the detector pools."""
    length = detector._window_frames
    windows = np.stack([frames[start : start + length] for start in range(len(frames) - length + 1)])
    with torch.inference_mode():
        found = errors(detector, network, torch.from_numpy(windows))
    steps = found.reshape(len(windows), -1, N_MELS).mean(dim=1)
    return detector._pooled(steps.numpy().astype(np.float64), detector.pooling)


class WindowDataset(torch.utils.data.Dataset[torch.Tensor]):
    """All windows of all clips, sliced on access."""

    def __init__(self, clips: list[Float32Array], length: int) -> None:
        self.clips, self.length = clips, length
        self.places = [(row, start) for row, clip in enumerate(clips) for start in range(len(clip) - length + 1)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> torch.Tensor:
        row, start = self.places[position]
        return torch.from_numpy(self.clips[row][start : start + self.length].copy())


def training_losses(
    detector: NetworkDetector, network: torch.nn.Module, clips: list[Float32Array], order: np.ndarray
) -> Iterator[float]:
    """One epoch of a plain DataLoader loop over a given order of windows; yields each batch's loss."""
    dataset = WindowDataset(clips, detector._window_frames)
    loader = torch.utils.data.DataLoader(dataset, batch_size=detector.batch_size, sampler=order.tolist())
    optimiser = torch.optim.Adam(network.parameters(), lr=detector.learning_rate)
    for windows in loader:
        optimiser.zero_grad()
        loss = errors(detector, network, windows).mean()
        loss.backward()
        optimiser.step()
        yield float(loss.item())
