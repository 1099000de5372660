"""What every detector in the registry must do, whatever it is made of."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.base import clone
from sounds import hum

from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import pool
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import InputError, NotFittedError, TrainingStopped, UsageError
from asd_core.features.encoders import load_encoder
from asd_core.types import SR, Waveform

NETWORKS = [name for name in DETECTOR_NAMES if issubclass(detector_class(name), NetworkDetector)]
SMALL = {"hidden": 24, "layers": 2, "epochs": 3, "batch_size": 16, "windows_per_epoch": 512, "learning_rate": 5e-3}
SMALL_AUTOENCODER = SMALL | {"epochs": 12}
"""Its running statistics need some hundred updates."""


TINY, TWO_EPOCHS = SMALL | {"epochs": 2, "windows_per_epoch": 64}, SMALL | {"epochs": 2}
"""For what does not depend on how well it has learned."""


def built(name, training, **overrides):
    kind = detector_class(name)
    known = {field.name for field in dataclasses.fields(kind)}
    return kind.from_preset("quick", **{k: v for k, v in training.items() if k in known}, **overrides)


def small(name):
    """An unfitted detector that learns enough in a moment."""
    return built(name, SMALL_AUTOENCODER if name == "dcase_autoencoder" else SMALL)


def tiny(name, **overrides):
    """An unfitted detector that trains at once."""
    return built(name, TINY, **overrides)


@pytest.fixture(scope="module")
def training_clips():
    return [hum(seed) for seed in range(12)]


@pytest.fixture(scope="module", params=DETECTOR_NAMES)
def fitted(request, training_clips):
    return small(request.param).fit(training_clips)


@pytest.fixture(params=DETECTOR_NAMES)
def name(request):
    return request.param


def test_it_tells_knocks_from_hum(fitted):
    normal = fitted.anomaly_scores([hum(seed) for seed in range(100, 110)])
    anomalous = fitted.anomaly_scores([hum(seed, knocks=4) for seed in range(100, 110)])
    assert anomalous.min() > normal.max()


def test_same_seed_gives_the_same_state(name, training_clips):
    first, second = (tiny(name, seed=3).fit(training_clips).state for _ in range(2))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("network", NETWORKS)
def test_another_seed_gives_other_weights(network, training_clips):
    first, second = (tiny(network, seed=seed).fit(training_clips).state for seed in (1, 2))
    weights = [key for key in first if "weight" in key]
    assert weights
    assert all(not np.array_equal(first[key], second[key]) for key in weights)


def test_a_restored_state_scores_bit_for_bit(fitted):
    clips = [hum(seed, knocks=seed % 2) for seed in range(50, 54)]
    again = dataclasses.replace(fitted).restore(fitted.state)
    np.testing.assert_array_equal(again.anomaly_scores(clips), fitted.anomaly_scores(clips))


def test_the_state_is_as_its_spec_says(fitted):
    spec = fitted.state_spec()
    assert set(spec) == set(fitted.state)
    assert all(spec[key].fits(str(array.dtype), array.shape) for key, array in fitted.state.items())


def test_a_state_of_another_shape_is_refused(fitted):
    state = fitted.state
    key = next(iter(state))
    state[key] = state[key][:-1]
    with pytest.raises(InputError, match="must be"):
        dataclasses.replace(fitted).restore(state)


def test_a_state_with_nan_is_refused(fitted):
    state = fitted.state
    key = next(iter(state))
    state[key].flat[0] = np.nan
    with pytest.raises(InputError, match="finite"):
        dataclasses.replace(fitted).restore(state)


def test_changing_the_state_does_not_change_the_detector(fitted):
    clip = hum(60)
    before = fitted.anomaly_score(clip)
    for array in fitted.state.values():
        array[...] = 0
    assert fitted.anomaly_score(clip) == before


def test_batched_scores_equal_single_ones(fitted):
    clips = [hum(seed, seconds=1 + seed % 3) for seed in range(70, 76)]
    np.testing.assert_allclose(fitted.anomaly_scores(clips), [fitted.anomaly_score(c) for c in clips], rtol=1e-5)


def test_the_map_is_finite_with_a_time_for_each_step(fitted):
    clip = hum(80, seconds=10.0, knocks=2)
    anomaly_map = fitted.anomaly_map(clip)
    assert np.isfinite(anomaly_map.values).all()
    assert anomaly_map.values.shape == (len(anomaly_map.times_s), len(anomaly_map.bands_hz))
    assert (np.diff(anomaly_map.times_s) > 0).all()
    assert anomaly_map.times_s[0] >= 0
    assert anomaly_map.times_s[-1] <= clip.duration_s


def test_the_map_is_loudest_at_the_knock(fitted):
    t = np.arange(10 * SR) / SR
    quiet = hum(81, seconds=10.0).samples
    after = np.maximum(t - 6.2, 0)
    knock = (t >= 6.2) * np.exp(-8 * after) * np.sin(2 * np.pi * 2500 * after)
    anomaly_map = fitted.anomaly_map(Waveform((quiet + 0.5 * knock).astype(np.float32)))
    loudest_s = anomaly_map.times_s[anomaly_map.values.mean(axis=1).argmax()]
    assert 5.6 < loudest_s < 7.2


@pytest.mark.parametrize("name", [name for name in DETECTOR_NAMES if name != "vggish_ocsvm"])
def test_the_map_pools_to_the_score(name, training_clips):
    pooled = {"pooling": "mean"} if name in NETWORKS else {}
    detector = tiny(name, **pooled).fit(training_clips)
    clip = hum(82, seconds=5.0, knocks=2)
    over_time = detector.anomaly_map(clip).values.mean(axis=1)
    assert detector.anomaly_score(clip) == pytest.approx(over_time.mean(), rel=1e-12)


@pytest.mark.parametrize("seconds", [0.8, 3.0, 12.0])
def test_score_and_map_from_one_pass_equal_the_separate_ones_bit_for_bit(fitted, seconds):
    clip = hum(83, seconds=seconds, knocks=2)
    anomaly_score, anomaly_map = fitted.anomaly_score_and_map(clip)
    separate = fitted.anomaly_map(clip)
    assert anomaly_score == fitted.anomaly_score(clip)
    for part in ("values", "times_s", "bands_hz"):
        np.testing.assert_array_equal(getattr(anomaly_map, part), getattr(separate, part))


@pytest.mark.parametrize("way", ["anomaly_score", "anomaly_map", "anomaly_score_and_map"])
def test_a_clip_goes_through_the_network_or_the_encoder_once(fitted, way, monkeypatch):
    is_network = isinstance(fitted, NetworkDetector)
    owner, name = (type(fitted), "_step_errors") if is_network else (type(load_encoder(fitted.encoder)), "_encode")
    calls, real = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda self, array: calls.append(name) or real(self, array))
    getattr(fitted, way)(hum(84, seconds=12.0))
    assert len(calls) == 1


def test_silence_gives_a_finite_score(fitted):
    assert np.isfinite(fitted.anomaly_score(Waveform(np.zeros(2 * SR, np.float32))))


def test_a_clip_below_the_limit_is_refused_by_name(fitted):
    with pytest.raises(InputError, match=f"at least {fitted.min_samples} samples"):
        fitted.anomaly_score(Waveform(np.zeros(fitted.min_samples - 1, np.float32)))
    shortest = np.random.default_rng(0).normal(0, 0.1, fitted.min_samples).astype(np.float32)
    assert np.isfinite(fitted.anomaly_score(Waveform(shortest)))


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Waveform(np.zeros(2 * SR, np.float32), sr=8000), "16000 Hz"),
        (Waveform(np.full(2 * SR, np.inf, np.float32)), "finite"),
        (Waveform(np.zeros((2, SR), np.float32)), "mono"),
    ],
)
def test_a_broken_clip_is_refused_by_name(fitted, clip, message):
    with pytest.raises(InputError, match=message):
        fitted.anomaly_score(clip)


def test_scoring_before_fit_is_refused(name):
    with pytest.raises(NotFittedError, match=name):
        tiny(name).anomaly_score(hum(0))
    with pytest.raises(NotFittedError, match=name):
        tiny(name).anomaly_score_and_map(hum(0))
    with pytest.raises(NotFittedError, match=name):
        _ = tiny(name).state


def test_a_refit_forgets_the_first(name, training_clips):
    others = [hum(seed, knocks=3) for seed in range(20, 32)]
    refitted = tiny(name).fit(others).fit(training_clips)
    np.testing.assert_array_equal(
        refitted.anomaly_scores(training_clips[:2]), tiny(name).fit(training_clips).anomaly_scores(training_clips[:2])
    )


def test_a_failed_refit_leaves_nothing_to_score_with(name, training_clips):
    detector = tiny(name).fit(training_clips)
    with pytest.raises(InputError, match="at least 2 distinct"):
        detector.fit(training_clips[:1] * 9)
    assert not detector.fitted


def test_clips_that_never_change_are_refused(name):
    silent = [Waveform(np.zeros(2 * SR, np.float32), digest=str(i)) for i in range(10)]
    with pytest.raises(InputError, match="never change"):
        tiny(name).fit(silent)


def test_should_stop_ends_the_training(name, training_clips):
    with pytest.raises(TrainingStopped, match="stopped"):
        tiny(name).fit(training_clips, should_stop=lambda: True)


def test_progress_counts_the_epochs(name, training_clips):
    seen = []
    tiny(name).fit(training_clips, heldout=[hum(40)], on_progress=seen.append)
    before_the_first = [0] if name in NETWORKS else []
    assert [p.epoch for p in seen] == [*before_the_first, *range(1, seen[-1].epochs + 1)]
    assert seen[-1].eta_s == 0


class Memory:
    """A checkpoint that keeps the last state in memory."""

    def __init__(self):
        self.state = None

    def read(self):
        return self.state

    def write(self, state):
        self.state = state


def test_a_resumed_training_ends_with_the_same_state(name, training_clips):
    checkpoint, polls = Memory(), itertools.count()
    stop_at = 40 if name in NETWORKS else 5  # the second epoch of a network; the others have no epochs
    with pytest.raises(TrainingStopped):
        built(name, TWO_EPOCHS).fit(training_clips, should_stop=lambda: next(polls) == stop_at, checkpoint=checkpoint)
    resumed = built(name, TWO_EPOCHS).fit(training_clips, checkpoint=checkpoint).state
    straight = built(name, TWO_EPOCHS).fit(training_clips).state
    assert all(np.array_equal(resumed[key], straight[key]) for key in straight)


def test_presets_build_and_unknown_settings_are_refused(name):
    kind = detector_class(name)
    assert {"paper", "quick"} <= set(kind.presets)
    for preset in kind.presets:
        kind.from_preset(preset)
    with pytest.raises(UsageError, match="no setting 'colour'"):
        kind.from_preset("quick", colour=1)
    with pytest.raises(UsageError, match="preset must be one of"):
        kind.from_preset("slow")


def other_settings(name):
    """A detector with a seed and a setting of its own that are not the defaults."""
    own = {"vggish_ocsvm": {"nu": 0.3}, "vggish_mahalanobis": {}, "vggish_knn": {"k": 2}}.get(name, {"epochs": 1})
    return tiny(name, seed=5).set_params(**own)


def test_scikit_learn_clones_it_with_equal_settings_and_without_its_fit(name, training_clips):
    detector = other_settings(name).fit(training_clips)
    copy = clone(detector)
    assert type(copy) is type(detector)
    assert copy == detector
    assert copy.get_params() == detector.get_params(deep=False) != type(detector)().get_params()
    assert detector.fitted
    assert not copy.fitted


def test_params_are_the_fields_of_the_constructor(name):
    detector = other_settings(name)
    assert detector.get_params() == {f.name: getattr(detector, f.name) for f in dataclasses.fields(detector) if f.init}


def test_set_params_makes_the_detector_that_the_constructor_would_make(name, training_clips):
    changed, built_so = tiny(name).set_params(seed=7), tiny(name, seed=7)
    assert changed == built_so
    first, second = (detector.fit(training_clips).state for detector in (changed, built_so))
    assert all(np.array_equal(first[key], second[key]) for key in second)


def test_a_changed_setting_forgets_the_fit_and_an_equal_one_keeps_it(name, training_clips):
    detector = tiny(name).fit(training_clips)
    before = detector.anomaly_score(hum(60))
    assert detector.set_params(**detector.get_params()) is detector
    assert detector.anomaly_score(hum(60)) == before
    assert not detector.set_params(seed=detector.seed + 1).fitted


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"colour": 1}, "no setting 'colour'; it has"), ({"clone__seed": 1}, "no setting 'clone__")],
)
def test_set_params_refuses_an_unknown_name_as_scikit_learn_expects_and_changes_nothing(name, setting, message):
    detector = tiny(name)
    before = detector.get_params()
    for expected in (UsageError, ValueError):
        with pytest.raises(expected, match=message):
            detector.set_params(seed=9, **setting)
    assert detector.get_params() == before


@pytest.mark.parametrize("value", [0, -3])
def test_set_params_refuses_what_the_constructor_refuses_and_keeps_the_fit(name, value, training_clips):
    wrong = {"vggish_ocsvm": "nu", "vggish_mahalanobis": "encoder", "vggish_knn": "k"}.get(name, "epochs")
    detector = tiny(name).fit(training_clips)
    for expected in (UsageError, ValueError):
        with pytest.raises(expected, match=f"{wrong} must be"):
            detector.set_params(**{wrong: value})
    assert detector.fitted
    assert detector == tiny(name)


def test_an_unknown_detector_is_refused():
    with pytest.raises(UsageError, match="lstm_predictor"):
        detector_class("transformer")


@pytest.mark.parametrize(("pooling", "expected"), [("mean", 2.0), ("max", 4.0), ("std", np.sqrt(2.0))])
def test_pooling_of_known_values(pooling, expected):
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert pool(values, pooling=pooling) == pytest.approx(expected)


def test_gwrp_lies_between_mean_and_max_whatever_the_order():
    values = np.random.default_rng(0).exponential(size=303)
    pooled = pool(values, pooling="gwrp")
    assert values.mean() < pooled < values.max()
    assert pooled == pytest.approx(pool(values[::-1].copy(), pooling="gwrp"))
