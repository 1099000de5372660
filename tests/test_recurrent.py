"""The written-out LSTM and GRU equal torch's own, in scores, losses and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from asd_core.detectors import detector_class
from asd_core.training import MinMaxScale, WindowSet, initialise, train_network
from benchmarks import reference

NETWORKS = ("lstm_predictor", "gru_autoencoder")


def ready(name, **settings):
    """A detector with first weights, and scaled frames of a clip."""
    detector = detector_class(name).from_preset("paper", **settings)
    network = detector._build()
    initialise(network, seed=0)
    detector._fitted = MinMaxScale(0.0, 1.0), network.eval()
    frames = np.random.default_rng(0).random((40, 128), dtype=np.float32)
    return detector, network, frames


def reference_map(detector, network, frames):
    import torch

    windows = torch.from_numpy(frames).unfold(0, detector._window_frames, 1).transpose(1, 2)
    with torch.inference_mode():
        errors = reference.errors(detector, network, windows)
        return errors.reshape(len(errors), -1, 128).mean(dim=1).numpy()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("settings", [{}, {"hidden": 24, "layers": 3, "window": 4}, {"layers": 1, "window": 1}])
def test_the_scored_errors_of_all_windows_equal_those_of_torch(name, settings):
    import torch

    detector, network, frames = ready(name, **settings)
    with torch.inference_mode():
        fast = detector._step_errors(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(fast, reference_map(detector, network, frames), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_score_equals_the_window_by_window_loop(name):
    import torch

    detector, _, frames = ready(name)
    with torch.inference_mode():
        fast = float(detector._step_errors(torch.from_numpy(frames)).mean())
    assert fast == pytest.approx(reference.score_by_loop(detector, frames), rel=1e-5)
    assert fast == pytest.approx(reference.score_by_batch(detector, frames), rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_stay_equal_where_torch_lacks_packed_products(name, monkeypatch):
    import torch

    detector, network, frames = ready(name, hidden=24)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    with torch.inference_mode():
        fast = detector._step_errors(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(fast, reference_map(detector, network, frames), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("settings", [{}, {"hidden": 24, "layers": 3, "window": 4}, {"layers": 1, "window": 1}])
def test_losses_and_gradients_equal_those_of_torch(name, settings):
    import torch

    detector, network, frames = ready(name, **settings)
    windows = torch.from_numpy(frames).unfold(0, detector._window_frames, 1).transpose(1, 2)
    losses, gradients = [], []
    for errors in (detector._errors, lambda *both: reference.errors(detector, *both)):
        network.zero_grad()
        loss = errors(network, windows).mean()
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_epoch_has_the_losses_of_a_dataloader_loop(name):
    rng = np.random.default_rng(1)
    clips = [rng.random((30, 128), dtype=np.float32) for _ in range(4)]
    detector, network, _ = ready(name, epochs=1)
    windows = WindowSet.of(clips, length=detector._window_frames)
    order = np.random.default_rng([0, 1]).permutation(len(windows.starts))
    seen = []
    train_network(
        network,
        lambda batch: detector._errors(network, batch).mean(),
        windows,
        WindowSet.of([], length=detector._window_frames),
        detector._plan(),
        on_progress=seen.append,
        should_stop=lambda: False,
        checkpoint=None,
    )
    plain = detector._build()
    initialise(plain, seed=0)
    losses = list(reference.training_losses(detector, plain, clips, order))
    weights = [min(detector.batch_size, len(order) - at) for at in range(0, len(order), detector.batch_size)]
    assert seen[-1].loss == pytest.approx(np.average(losses, weights=weights), abs=1e-4)
    for fast, slow in zip(network.parameters(), plain.parameters(), strict=True):
        assert float((fast - slow).detach().abs().max()) < 1e-3
