"""LSTM and GRU score as torch's own layers, and learn as in a plain loop over a DataLoader."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sounds import hum

from asd_core.detectors import detector_class
from asd_core.detectors.networks.training import (
    BandScale,
    MinMaxScale,
    WindowSet,
    initialise,
    network_state,
    train_network,
)
from asd_core.errors import UsageError
from asd_core.features.log_mel import SR
from asd_core.types import Waveform
from benchmarks import reference

NETWORKS = ("lstm_predictor", "gru_autoencoder")


def ready(name, **settings):
    """A detector with first weights, and scaled frames of a clip."""
    detector = detector_class(name).from_preset("paper", **settings)
    network = detector._build()
    initialise(network, seed=0)
    detector._fitted = MinMaxScale(0.0, 1.0), network_state(network)
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
    detector, network, frames = ready(name, **settings)
    fast = detector._step_errors(frames)
    np.testing.assert_allclose(fast, reference_map(detector, network, frames), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_score_equals_the_window_by_window_loop(name):
    detector, network, frames = ready(name)
    fast = float(detector._step_errors(frames).mean())
    assert fast == pytest.approx(reference.score_by_loop(detector, network, frames), rel=1e-5)
    assert fast == pytest.approx(reference.score_by_batch(detector, network, frames), rel=1e-5)


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


def noise(seed=2, seconds=1.5):
    return Waveform(np.random.default_rng(seed).normal(0, 0.1, int(seconds * SR)).astype(np.float32))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stride", [1, 2, 3, 10])
def test_a_stride_keeps_every_so_manieth_step_of_the_map(name, stride):
    detector, _, _ = ready(name, hidden=24, stride=stride)
    full = replace(detector, stride=1)
    full._fitted = detector._fitted
    clip = noise()
    strided, whole = detector.anomaly_map(clip), full.anomaly_map(clip)
    np.testing.assert_allclose(strided.values, whole.values[::stride], rtol=0, atol=1e-6 * whole.values.max())
    np.testing.assert_array_equal(strided.times_s, whole.times_s[::stride])
    assert detector.anomaly_score(clip) == pytest.approx(whole.values[::stride].mean(), rel=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_what_a_network_makes_of_a_clip_has_the_steps_of_its_map(stride):
    clip = noise()
    lstm, _, _ = ready("lstm_predictor", hidden=24, stride=stride)
    predicted, came = lstm.predict_frames(clip)
    lstm_errors = np.square(predicted - came)
    gru, _, _ = ready("gru_autoencoder", hidden=24, stride=stride)
    rebuilt, went_in = gru.rebuild_windows(clip)
    gru_errors = np.square(rebuilt - went_in).mean(axis=1)
    np.testing.assert_allclose(lstm_errors, lstm.anomaly_map(clip).values, rtol=1e-4)
    np.testing.assert_allclose(gru_errors, gru.anomaly_map(clip).values, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shortest_clip_is_scored_at_any_stride(name):
    detector, _, _ = ready(name, hidden=24, stride=10)
    clip = noise()
    shortest = Waveform(clip.samples[: detector.min_samples])
    assert detector.anomaly_map(shortest).values.shape == (1, 128)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stride", [0, -1, 5])
def test_a_stride_that_would_skip_frames_is_refused(name, stride):
    with pytest.raises(UsageError, match=r"stride must be 1\.\.4"):
        detector_class(name).from_preset("paper", window=4, stride=stride)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stride_leaves_training_as_it_is(name):
    clips = [noise(seed, seconds=0.5) for seed in range(8)]
    weights = []
    for stride in (1, 4):
        detector = detector_class(name).from_preset("paper", hidden=8, layers=1, epochs=1, stride=stride)
        detector.fit(clips)
        weights.append(detector.state)
    learned = [key for key in weights[0] if not key.startswith("error_")]  # those are of the windows that are scored
    assert len(learned) > 5
    for key in learned:
        array = weights[0][key]
        np.testing.assert_array_equal(array, weights[1][key])


def fitted_with(name, conditioning, *, seconds=2.0):
    """A small detector fitted on hums, and its progress."""
    settings = {"hidden": 24, "epochs": 2, "windows_per_epoch": 256, "schedule": "cosine", "learning_rate": 2e-3}
    detector = detector_class(name).from_preset("paper", conditioning=conditioning, **settings)
    heldout, seen = [hum(seed, seconds=seconds) for seed in range(20, 23)], []
    detector.fit([hum(seed, seconds=seconds) for seed in range(8)], heldout=heldout, on_progress=seen.append)
    return detector, heldout, seen


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("conditioning", ["none", "centre", "bands"])
def test_the_heldout_loss_of_training_is_the_error_of_the_finished_network(name, conditioning):
    detector, heldout, seen = fitted_with(name, conditioning)
    errors = np.mean([detector.anomaly_map(clip).values.mean() for clip in heldout])
    assert seen[-1].heldout_loss == pytest.approx(errors, rel=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_conditioned_bands_learn_more_from_as_many_updates(name):
    losses = {kind: fitted_with(name, kind)[2][-1].heldout_loss for kind in ("none", "bands")}
    assert losses["bands"] < 0.8 * losses["none"]


def swelling(seed):
    """A hum that swells and fades by 30 dB, so that windows differ from one another."""
    clip = hum(seed)
    t = np.arange(clip.n_samples) / SR
    gain = 10 ** (0.75 * np.sin(2 * np.pi * 1.5 * t + np.random.default_rng(seed).uniform(0, 6)))
    return Waveform((clip.samples * gain).astype(np.float32), digest=f"swelling-{seed}")


def test_centred_frames_keep_a_high_rate_from_driving_the_gru_where_it_learns_nothing():
    """What befell preset `paper` in its later epochs, at a higher rate and in a hundredth of the time."""
    settings = {"hidden": 128, "epochs": 2, "windows_per_epoch": 0, "batch_size": 16, "learning_rate": 2e-2}
    clips, heldout = [swelling(seed) for seed in range(10)], [swelling(seed) for seed in range(20, 23)]
    shares = {}
    for conditioning in ("none", "centre"):
        seen = []
        detector = detector_class("gru_autoencoder").from_preset("paper", conditioning=conditioning, **settings)
        detector.fit(clips, heldout=heldout, on_progress=seen.append)
        shares[conditioning] = seen[-1].heldout_loss / seen[-1].mean_spectrum_loss
    assert shares["none"] > 1
    assert shares["centre"] < 0.4


def test_centring_leaves_deviations_as_they_are():
    import torch

    frames = 3 + 2 * torch.rand(50, 128, generator=torch.Generator().manual_seed(0))
    scaled = BandScale.centring(frames)(WindowSet(frames, torch.arange(10), 5)).frames
    np.testing.assert_allclose(scaled.mean(dim=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(dim=0), frames.std(dim=0), rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_centre_and_bands_are_different_trainings(name):
    losses = {fitted_with(name, kind)[2][-1].heldout_loss for kind in ("none", "centre", "bands")}
    assert len(losses) == 3


def test_a_band_that_never_changes_is_no_reason_to_fail():
    import torch

    frames = torch.rand(50, 128, generator=torch.Generator().manual_seed(0))
    frames[:, 3] = 0.25
    scale = BandScale.of(frames)
    scaled = scale(WindowSet(frames, torch.arange(10), 5)).frames
    assert torch.isfinite(scaled).all()
    assert float(scaled[:, 3].abs().max()) == pytest.approx(0.0, abs=1e-6)
    assert float(scale.std.min()) == pytest.approx(float(scale.std.mean()) / 10, rel=0.02)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_unknown_conditioning_is_refused(name):
    with pytest.raises(UsageError, match="conditioning must be one of none, centre, bands, equal_bands; got 'frames'"):
        detector_class(name).from_preset("quick", conditioning="frames")
