"""A clip's error spectrum: its distance from those of normal clips, and what a network keeps for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sounds import hum

from asd_core.detectors import detector_class
from asd_core.detectors.contract import POOLINGS, TIME_POOLINGS
from asd_core.detectors.covariance import whitening_of
from asd_core.detectors.error_spectrum import NormalErrors
from asd_core.detectors.networks import training
from asd_core.errors import InputError, TrainingStopped, UsageError
from asd_core.features.log_mel import N_MELS
from asd_core.types import AnomalyMap

NETWORKS = ["lstm_predictor", "gru_autoencoder", "dcase_autoencoder"]
SMALL = {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64, "batch_size": 16}
KEPT = {"error_mean", "error_frame_spread", "error_clip_spread", "error_whitening"}


def untrained(name, **changes):
    kind = detector_class(name)
    known = {field.name for field in dataclasses.fields(kind)}
    return kind.from_preset("quick", **{key: value for key, value in SMALL.items() if key in known} | changes)


@pytest.fixture(scope="module", params=NETWORKS)
def trained(request):
    return untrained(request.param, pooling="mahalanobis").fit([hum(seed) for seed in range(12)])


@pytest.fixture
def maps():
    """Squared errors of 40 normal clips whose bands differ in size and hang together."""
    rng = np.random.default_rng(5)
    loud = np.linspace(1, 20, N_MELS)
    shared = rng.standard_normal((40, 1, 1)) * 0.3
    return list(np.square(rng.standard_normal((40, 30, N_MELS)) + shared) * loud)


def test_the_distance_is_that_of_mahalanobis_with_the_covariance_of_ledoit_and_wolf(maps):
    found, spectra = NormalErrors.of(maps), np.stack([each.mean(axis=0) for each in maps])
    spectrum = spectra[3] * np.linspace(0.5, 2, N_MELS)
    std = spectra.std(axis=0)
    covariance = LedoitWolf().fit((spectra - spectra.mean(axis=0)) / std).covariance_
    z = (spectrum - spectra.mean(axis=0)) / std
    assert found.distance(spectrum) == pytest.approx(np.sqrt(z @ np.linalg.solve(covariance, z) / N_MELS), rel=1e-9)


def test_a_normal_clips_distance_is_about_one(maps):
    found = NormalErrors.of(maps)
    assert np.mean([found.distance(each.mean(axis=0)) for each in maps]) == pytest.approx(1, abs=0.35)


def test_the_unit_of_the_errors_does_not_matter(maps):
    spectrum, factor = maps[0].mean(axis=0) * 1.7, np.geomspace(1e-3, 1e3, N_MELS) ** 0.1 * 250
    scaled = NormalErrors.of([each * factor for each in maps])
    assert scaled.distance(spectrum * factor) == pytest.approx(NormalErrors.of(maps).distance(spectrum), rel=1e-6)


def test_spreads_are_those_of_time_steps_and_of_clips(maps):
    found, steps = NormalErrors.of(maps), np.concatenate(maps)
    np.testing.assert_allclose(found.frame_spread, steps.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.clip_spread, np.stack([each.mean(axis=0) for each in maps]).std(axis=0))
    np.testing.assert_allclose(found.in_spreads(maps[0]) * found.frame_spread + found.mean, maps[0])
    for unit, values in (("spreads", found.in_spreads(maps[0])), ("times_normal", found.relative(maps[0]))):
        np.testing.assert_allclose(found.errors_of(AnomalyMap(values, np.zeros(1), np.zeros(1), unit)), maps[0])


def test_a_band_that_never_erred_is_not_divided_by_almost_nothing(maps):
    for each in maps:
        each[:, 7] = 1e-9
    found, quiet = NormalErrors.of(maps), maps[0].mean(axis=0)
    louder = quiet.copy()
    louder[7] = found.clip_spread.mean() * 0.01
    assert found.clip_spread[7] == pytest.approx(found.clip_spread.mean() * 0.01, rel=0.02)
    assert found.strangeness(louder)[7] == pytest.approx(1, rel=0.02)
    assert found.distance(louder) == pytest.approx(found.distance(quiet), abs=0.05)


def test_relative_errors_are_multiples_of_what_is_normal_in_the_band(maps):
    found = NormalErrors.of(maps)
    np.testing.assert_allclose(np.mean([found.relative(each).mean(axis=0) for each in maps], axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(found.relative(maps[0]), maps[0] / np.mean(maps, axis=(0, 1)), rtol=1e-9)


def test_a_band_that_was_silent_in_training_counts_by_a_tenth_of_the_average_error(maps):
    for each in maps:
        each[:, 7] = 1e-9
    found, errors = NormalErrors.of(maps), np.zeros((1, N_MELS))
    errors[0, 7] = found.mean.mean()
    assert found.relative(errors)[0, 7] == pytest.approx(10)


def test_two_clips_are_enough_for_a_distance(maps):
    found = NormalErrors.of(maps[:2])
    assert np.isfinite(found.distance(maps[5].mean(axis=0)))


def test_the_whitening_makes_features_uncorrelated_as_far_as_it_is_not_shrunk():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((4000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 1]])
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(np.cov((rows @ whitening_of(rows).T).T, ddof=0), np.eye(3), atol=0.02)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_scores_from_one_pass(trained, pooling):
    clip = hum(90, knocks=3)
    alone = dataclasses.replace(trained, pooling=pooling).restore(trained.state).anomaly_score(clip)
    assert trained.scores_by_pooling(clip)[pooling] == alone


def test_the_map_in_normal_spreads_gives_the_score(trained):
    score, found = trained.anomaly_score_and_map(hum(91, knocks=1))
    state = trained.state
    strangeness = found.values.mean(axis=0) * state["error_frame_spread"] / state["error_clip_spread"]
    assert found.in_spreads
    assert score == pytest.approx(np.sqrt(np.square(state["error_whitening"] @ strangeness).mean()), rel=1e-9)
    np.testing.assert_allclose(trained.band_strangeness(found), strangeness, rtol=1e-6, atol=1e-9)


def test_the_map_of_relative_errors_pools_to_the_score(trained):
    relative = dataclasses.replace(trained, pooling="relative").restore(trained.state)
    score, found = relative.anomaly_score_and_map(hum(91, knocks=1))
    assert found.unit == "times_normal"
    assert score == pytest.approx(found.values.mean(), rel=1e-12)


def test_the_combined_score_is_the_geometric_mean_of_relative_errors_and_distance(trained):
    combined = dataclasses.replace(trained, pooling="combined").restore(trained.state)
    clip = hum(95, knocks=2)
    every = trained.scores_by_pooling(clip)
    assert combined.anomaly_score(clip) == pytest.approx(np.sqrt(every["relative"] * every["mahalanobis"]), rel=1e-12)
    assert combined.anomaly_map(clip).unit == "times_normal"


@pytest.mark.parametrize("pooling", ["mean", "relative", "combined"])
def test_the_strange_bands_are_the_same_from_every_map(trained, pooling):
    clip = hum(92, knocks=2)
    other = dataclasses.replace(trained, pooling=pooling).restore(trained.state)
    found = other.anomaly_map(clip)
    assert not found.in_spreads
    np.testing.assert_allclose(
        other.band_strangeness(found), trained.band_strangeness(trained.anomaly_map(clip)), rtol=1e-6, atol=1e-9
    )


def test_the_autoencoder_scales_its_frames_where_asked():
    clips = [hum(seed) for seed in range(6)]
    scaled, raw = (untrained("dcase_autoencoder", scaling=kind).fit(clips) for kind in ("min_max", "none"))
    assert (scaled.scales_frames, raw.scales_frames) == (True, False)
    assert ("scale" in scaled.state, "scale" in raw.state) == (True, False)
    assert 0 <= scaled.scaled_frames(clips[0]).min() < scaled.scaled_frames(clips[0]).max() <= 1
    with pytest.raises(UsageError, match="scaling must be one of none, min_max"):
        untrained("dcase_autoencoder", scaling="bands")


def test_scores_by_distance_of_two_fits_compare_as_they_are(trained):
    assert trained.score_unit == 1.0
    plain = dataclasses.replace(trained, pooling="mean").restore(trained.state)
    assert (plain.score_unit < 0.01) == plain.scales_frames


def test_a_version_saved_without_errors_of_normal_clips_keeps_its_poolings_over_time(trained):
    old = {name: array for name, array in trained.state.items() if name not in KEPT}
    opened = dataclasses.replace(trained, pooling="mean").restore(old)
    assert set(opened.scores_by_pooling(hum(93))) == set(TIME_POOLINGS)
    assert not KEPT & set(opened.state)
    with pytest.raises(UsageError, match="saved without; train it again"):
        dataclasses.replace(trained).restore(old)
    opened.pooling = "mahalanobis"
    with pytest.raises(UsageError, match="saved without; train it again"):
        opened.anomaly_score(hum(93))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("error_mean"), "all of error_mean"),
        (lambda state: state["error_clip_spread"].fill(0), "must be positive"),
    ],
)
def test_a_damaged_state_is_refused(trained, change, message):
    state = trained.state
    change(state)
    with pytest.raises(InputError, match=message):
        dataclasses.replace(trained).restore(state)


def test_a_training_stops_while_it_measures_the_errors():
    detector, answers = untrained("lstm_predictor", epochs=1, windows_per_epoch=16), iter([False, True])
    with pytest.raises(TrainingStopped, match="errors of the training clips"):
        detector.fit([hum(1), hum(2)], should_stop=lambda: next(answers, True))
    assert not detector.fitted


def test_timing_a_training_leaves_its_running_statistics_alone(monkeypatch):
    clips = [hum(seed) for seed in range(4)]
    timed = untrained("dcase_autoencoder").fit(clips).state
    monkeypatch.setattr(training, "_expected_s", lambda *_: 0.0)
    untimed = untrained("dcase_autoencoder").fit(clips).state
    assert all(np.array_equal(timed[name], untimed[name]) for name in timed)
