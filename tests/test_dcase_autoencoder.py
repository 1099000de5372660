"""The DCASE 2020 autoencoder: the published architecture, its score and map, batch normalisation in training."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import hum

from asd_core.detectors.dcase_autoencoder import SIZES, DcaseAutoencoder
from asd_core.errors import InputError, UsageError
from asd_core.features.log_mel import log_mel, windows
from asd_core.types import SR, Waveform

TINY = {"epochs": 2, "batch_size": 32, "windows_per_epoch": 256}


@pytest.fixture(scope="module")
def clips():
    return [hum(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def fitted(clips):
    return DcaseAutoencoder(**TINY).fit(clips)


def rebuild_by_hand(state, vectors):
    """The published network in float64: dense, batch normalisation (epsilon 1e-3), ReLU; the last layer linear."""
    x = vectors.astype(np.float64)
    for layer in range(10):
        x = x @ state[f"dense{layer}.weight"].T.astype(np.float64) + state[f"dense{layer}.bias"]
        if layer == 9:
            return x
        norm = {key: state[f"batch_norm{layer}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"].astype(np.float64) + 1e-3)
        x = np.maximum(x * norm["weight"] + norm["bias"], 0.0)
    raise AssertionError


def test_the_layers_are_the_published_ones():
    assert SIZES == (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)


def test_the_network_has_the_published_number_of_weights():
    dense = 640 * 128 + 128 + 2 * 3 * (128 * 128 + 128) + (128 * 8 + 8) + (8 * 128 + 128) + (128 * 640 + 640)
    features = 8 * 128 + 8  # behind each dense layer but the last
    network = DcaseAutoencoder()._build()
    trainable = sum(parameter.numel() for parameter in network.parameters())
    assert trainable == dense + 2 * features == 267_928
    means_and_variances = sum(buffer.numel() for buffer in network.buffers() if buffer.ndim)
    assert means_and_variances == 2 * features == 2_064


def test_batch_normalisation_and_first_weights_are_those_of_keras():
    detector = DcaseAutoencoder()
    network = detector._build()
    detector._initialise(network)
    modules = dict(network.named_children())
    assert [name for name in modules if not name.startswith("dense")][:2] == ["batch_norm0", "relu0"]
    assert (modules["batch_norm4"].eps, modules["batch_norm4"].momentum) == (1e-3, pytest.approx(1 - 0.99))
    assert modules["batch_norm4"].weight.tolist() == [1.0] * 8
    assert not modules["dense4"].bias.any()
    limit = (6 / (128 + 8)) ** 0.5
    assert 0.95 * limit < modules["dense4"].weight.abs().max() <= limit


def test_preset_paper_is_the_published_training():
    detector = DcaseAutoencoder.from_preset("paper")
    plan = (detector.epochs, detector.batch_size, detector.learning_rate, detector.schedule, detector.windows_per_epoch)
    assert plan == (100, 512, 1e-3, "constant", 0)
    assert detector.pooling == "mean"


def test_settings_of_recurrent_networks_are_unknown_to_it():
    for name in ("window", "hidden", "layers"):
        with pytest.raises(UsageError, match=f"no setting '{name}'"):
            DcaseAutoencoder.from_preset("paper", **{name: 2})


def test_the_score_is_the_mean_squared_error_of_raw_decibels(fitted):
    clip = hum(30, seconds=3.0, knocks=1)
    frames = log_mel(clip.samples)
    np.testing.assert_array_equal(fitted.scaled_frames(clip), frames)
    vectors = windows(frames, length=5).reshape(-1, 640)
    errors = np.square(rebuild_by_hand(fitted.state, vectors) - vectors)
    assert fitted.anomaly_score(clip) == pytest.approx(errors.mean(), rel=1e-4)
    expected_map = errors.reshape(-1, 5, 128).mean(axis=1)
    np.testing.assert_allclose(fitted.anomaly_map(clip).values, expected_map, rtol=1e-2, atol=1e-2)


def test_ten_seconds_give_309_vectors_at_their_centres(fitted):
    anomaly_map = fitted.anomaly_map(hum(31, seconds=10.0))
    assert anomaly_map.values.shape == (309, 128)
    assert anomaly_map.bands_hz.shape == (128,)
    np.testing.assert_allclose(anomaly_map.times_s[[0, 308]], [2 * 512 / SR, 310 * 512 / SR])


def test_scores_do_not_depend_on_what_was_scored_before(fitted):
    clip, other = hum(32), hum(33, knocks=5)
    before = fitted.state
    first = fitted.anomaly_score(clip)
    fitted.anomaly_scores([other] * 3)
    assert fitted.anomaly_score(clip) == first
    assert all(np.array_equal(before[key], array) for key, array in fitted.state.items())


def test_a_clips_map_does_not_depend_on_the_rest_of_the_clip(fitted):
    clip = hum(34, seconds=4.0)
    first_half = Waveform(clip.samples[: 2 * SR])
    whole, half = fitted.anomaly_map(clip).values, fitted.anomaly_map(first_half).values
    np.testing.assert_allclose(whole[:50], half[:50], rtol=1e-3)


def test_running_statistics_belong_to_the_state(fitted):
    state = fitted.state
    assert state["batch_norm0.num_batches_tracked"] == 2 * 256 // 32
    assert np.abs(state["batch_norm0.running_mean"]).max() > 0.1
    changed = state | {"batch_norm0.running_mean": state["batch_norm0.running_mean"] + np.float32(1.0)}
    clip = hum(35)
    assert DcaseAutoencoder(**TINY).restore(changed).anomaly_score(clip) != fitted.anomaly_score(clip)


def test_a_state_of_whole_numbers_in_place_of_floats_is_refused(fitted):
    state = fitted.state
    state["batch_norm3.num_batches_tracked"] = state["batch_norm3.num_batches_tracked"].astype(np.float32)
    with pytest.raises(InputError, match=r"num_batches_tracked must be int64\(\)"):
        DcaseAutoencoder(**TINY).restore(state)


def test_held_out_clips_do_not_change_what_is_learned(clips, fitted):
    losses = []
    watched = DcaseAutoencoder(**TINY).fit(clips, heldout=[hum(40), hum(41)], on_progress=losses.append)
    assert all(np.array_equal(fitted.state[key], array) for key, array in watched.state.items())
    rebuilt_error = np.mean([watched.anomaly_score(hum(seed)) for seed in (40, 41)])
    assert losses[-1].heldout_loss == pytest.approx(rebuilt_error, rel=1e-4)


def test_a_last_batch_of_one_vector_trains(clips):
    n_vectors = len(clips) * (len(log_mel(clips[0].samples)) - 4)
    detector = DcaseAutoencoder(epochs=1, batch_size=n_vectors - 1).fit(clips)
    assert detector.state["batch_norm0.num_batches_tracked"] == 2
    assert np.isfinite(detector.anomaly_score(hum(50)))


def test_a_batch_size_of_one_is_refused():
    with pytest.raises(UsageError, match="batch_size must be at least 2"):
        DcaseAutoencoder(batch_size=1)


def test_biases_that_normalisation_takes_away_are_not_learned_from_rounding_noise(fitted):
    state = fitted.state
    assert all(not state[f"dense{layer}.bias"].any() for layer in range(len(SIZES) - 2))
    assert state[f"dense{len(SIZES) - 2}.bias"].any()
