"""Mahalanobis distance and nearest neighbours on patch vectors, against formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sounds import hum

from asd_core.detectors import detector_class
from asd_core.detectors.mahalanobis import Mahalanobis
from asd_core.detectors.nearest_neighbours import NearestNeighbours
from asd_core.detectors.on_embeddings import seeded_rows, squared_distances, standard_scale
from asd_core.errors import InputError, UsageError
from asd_core.features.encoders import load_encoder
from asd_core.types import Waveform

CLIPS = [hum(seed, seconds=3.0) for seed in range(10)]
STRANGE = hum(90, seconds=4.0, knocks=3)


@pytest.fixture(scope="module", params=["vggish_mahalanobis", "vggish_knn"])
def detector(request):
    return detector_class(request.param)().fit(CLIPS)


def training_patches():
    return np.concatenate([load_encoder("logmel_stats").encode(clip) for clip in CLIPS])


def floored_by_hand(rows):
    """Deviations no smaller than a tenth of their average, nor than a magnitude of 0.002 in the band."""
    std, levels = rows.std(axis=0), np.exp(rows[:, :64].mean(axis=0))
    return np.maximum(std, np.maximum(std.mean() / 10, np.concatenate([0.002 / levels, 0.002 / levels])))


def mahalanobis_by_hand(patches):
    """(x - mean)' C^-1 (x - mean), C the Ledoit-Wolf covariance of standardised rows, solved patch by patch.

    Where a deviation was floored, the covariance is that of the column with noise that fills it up to the floor.
    """
    rows = training_patches()
    mean, std = rows.mean(axis=0), floored_by_hand(rows)
    covariance = LedoitWolf().fit((rows - mean) / std).covariance_
    lacking = np.maximum(0, 1 - np.diag(covariance))
    covariance += np.diag(np.where(std > rows.std(axis=0), lacking, 0))
    standardised = [(patch - mean) / std for patch in patches]
    return np.array([each @ np.linalg.solve(covariance, each) for each in standardised])


def neighbours_by_hand(patches, *, k):
    rows = training_patches()
    std = floored_by_hand(rows)
    distances = [[np.linalg.norm((patch - row) / std) for row in rows] for patch in patches]
    return np.sort(distances, axis=1)[:, :k].mean(axis=1)


def test_mahalanobis_equals_the_formula():
    fitted = Mahalanobis().fit(CLIPS)
    expected = mahalanobis_by_hand(fitted.embed(STRANGE))
    np.testing.assert_allclose(fitted.anomaly_map(STRANGE).values[:, 0], expected, rtol=1e-10)
    assert fitted.anomaly_score(STRANGE) == pytest.approx(expected.mean(), rel=1e-10)


def test_more_training_patches_than_numbers_are_not_needed():
    assert len(training_patches()) < 128
    assert np.isfinite(Mahalanobis().fit(CLIPS).anomaly_score(STRANGE))


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_neighbours_equal_the_formula(k):
    fitted = NearestNeighbours(k=k).fit(CLIPS)
    expected = neighbours_by_hand(fitted.embed(STRANGE), k=k)
    np.testing.assert_allclose(fitted.anomaly_map(STRANGE).values[:, 0], expected, rtol=1e-10)


def test_a_training_clip_is_its_own_nearest_neighbour():
    assert NearestNeighbours().fit(CLIPS).anomaly_score(CLIPS[3]) == 0.0


def test_a_loud_patch_is_stranger_than_the_others(detector):
    samples = STRANGE.samples.copy()
    samples[16_000:30_000] *= 8
    anomaly_map = detector.anomaly_map(Waveform(samples))
    assert anomaly_map.values[:, 0].argmax() == 1
    np.testing.assert_allclose(anomaly_map.times_s, [0.48, 1.44, 2.40, 3.36])


def test_the_title_names_the_encoder_and_the_back_end(detector):
    assert detector.title.startswith("Log-mel statistics + ")
    assert "svm" not in detector.title.lower()
    assert detector.encoder_identity.id == "logmel_stats"


def test_titles_are_as_documented():
    assert Mahalanobis().title == "Log-mel statistics + Mahalanobis distance"
    assert NearestNeighbours().title == "Log-mel statistics + nearest neighbours"


def test_a_clip_below_one_patch_is_padded_and_says_so(detector):
    short = hum(5, seconds=0.5)
    assert detector.input_warnings(short) == ("short: 0.50 s zero-padded to one patch",)
    assert detector.input_warnings(hum(5)) == ()
    assert detector.anomaly_map(short).values.shape == (1, 1)


def test_above_the_limit_a_seeded_draw_of_patches_is_kept():
    states = [NearestNeighbours(max_references=12, seed=seed).fit(CLIPS).state for seed in (0, 0, 1)]
    assert [len(state["references"]) for state in states] == [12, 12, 12]
    np.testing.assert_array_equal(states[0]["references"], states[1]["references"])
    assert not np.array_equal(states[0]["references"], states[2]["references"])
    everything = NearestNeighbours().fit(CLIPS).state
    assert len(everything["references"]) == len(training_patches())
    np.testing.assert_array_equal(everything["mean"], states[0]["mean"])


@pytest.mark.parametrize(("settings", "message"), [({"k": 0}, "k must be"), ({"k": 5, "max_references": 4}, "k..")])
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        NearestNeighbours(**settings)


def test_more_neighbours_than_patches_are_refused_in_training_and_loading():
    with pytest.raises(InputError, match="k = 60"):
        NearestNeighbours(k=60).fit(CLIPS)
    with pytest.raises(InputError, match="k = 60"):
        NearestNeighbours(k=60).restore(NearestNeighbours().fit(CLIPS).state)


def test_a_scale_of_zero_is_refused():
    state = NearestNeighbours().fit(CLIPS).state
    state["scale"][4] = 0.0
    with pytest.raises(InputError, match="scale must be positive"):
        NearestNeighbours().restore(state)


def test_an_encoder_out_of_the_list_is_refused():
    with pytest.raises(UsageError, match="encoder must be one of logmel_stats, vggish"):
        Mahalanobis(encoder="pann")


def test_columns_that_hardly_change_count_as_a_tenth_of_the_average_deviation():
    rows = np.array([[0.0, 5.0], [2.0, 5.0]])
    mean, scale = standard_scale(rows)
    np.testing.assert_allclose((mean, scale), ([1.0, 5.0], [1.0, 0.05]))
    np.testing.assert_allclose(standard_scale(rows * [3.0, 1.0])[1], [3.0, 0.15])
    noisy = np.array([[0.0, 5.2], [2.0, 5.0]])
    np.testing.assert_allclose(standard_scale(noisy)[1], [1.0, 0.1])


def test_a_column_counts_as_varying_at_least_as_its_encoder_says():
    rows = np.array([[0.0, 5.0], [2.0, 5.1]])
    means = []
    _, scale = standard_scale(rows, least_std=lambda mean: (means.append(mean), np.array([0.5, 0.7]))[1])
    np.testing.assert_allclose(scale, [1.0, 0.7])
    np.testing.assert_allclose(means, [[1.0, 5.05]])


def test_columns_that_never_change_are_refused():
    with pytest.raises(InputError, match="never change"):
        standard_scale(np.ones((3, 2)))


def test_a_draw_keeps_the_order_of_rows():
    rows = np.arange(50.0)[:, None]
    drawn = seeded_rows(rows, at_most=20, seed=1)[:, 0]
    assert len(set(drawn)) == 20
    assert (np.diff(drawn) > 0).all()


def test_squared_distances_are_never_negative():
    rows = np.random.default_rng(0).normal(1e4, 1.0, (20, 6))
    distances = squared_distances(rows, rows)
    assert distances.min() >= 0
    np.testing.assert_allclose(distances[0, 1], np.square(rows[0] - rows[1]).sum(), rtol=1e-6)
