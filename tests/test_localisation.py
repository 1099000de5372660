from __future__ import annotations

import numpy as np
import pytest
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.data.simulated.writing import anomaly_mask
from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation.localisation import (
    localise,
    localise_all,
    pixel_auc,
    pointing_hit,
    time_auc,
    upsample,
)
from asd_core.evaluation.uncertainty import wilson
from asd_core.features.log_mel import N_MELS, frame_times_s, mel_band_centres_hz
from asd_core.types import AnomalyMap, Waveform

ALL = np.ones(20, dtype=np.bool_)


def grid_map(values):
    return AnomalyMap(values, frame_times_s(len(values)), mel_band_centres_hz())


@pytest.fixture
def square():
    """A mask of 4 x 8 cells in 20 x 128."""
    mask = np.zeros((20, N_MELS), dtype=np.bool_)
    mask[5:9, 40:48] = True
    return mask


def noise(seed=0, shape=(20, N_MELS)):
    return np.random.default_rng(seed).random(shape)


# upsample


def test_a_map_on_the_grid_stays_as_it_is():
    values = noise()
    upsampled, has_value = upsample(grid_map(values), n_frames=20)
    assert np.array_equal(upsampled, values)
    assert has_value.all()


def test_frames_out_of_every_step_s_reach_are_left_out():
    lstm_like = AnomalyMap(noise(shape=(10, N_MELS)), frame_times_s(20)[10:], mel_band_centres_hz())
    upsampled, has_value = upsample(lstm_like, n_frames=25)
    assert np.flatnonzero(has_value).tolist() == list(range(10, 20))
    assert np.array_equal(upsampled[has_value], lstm_like.values)
    assert np.isfinite(upsampled).all()


def test_a_frame_half_way_takes_the_earlier_step_throughout():
    gru_like = AnomalyMap(
        np.arange(304.0)[:, None] + np.zeros(N_MELS), frame_times_s(304) + 0.144, mel_band_centres_hz()
    )
    upsampled, has_value = upsample(gru_like)
    assert np.flatnonzero(has_value).tolist() == list(range(4, 309))
    assert upsampled[5:309, 0].tolist() == list(range(304))


def test_a_coarse_map_spreads_to_the_nearest_time_and_band():
    coarse = AnomalyMap(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.16, 0.48]), np.array([1000.0, 5000.0]))
    upsampled, has_value = upsample(coarse, n_frames=20)
    low = mel_band_centres_hz() < 3000
    assert (upsampled[:10, low] == 1).all()
    assert (upsampled[:10, ~low] == 2).all()
    assert (upsampled[11:, low] == 3).all()
    assert (upsampled[11:, ~low] == 4).all()
    assert has_value.all()


def test_a_map_over_time_only_is_repeated_over_the_bands():
    one_band = AnomalyMap(np.arange(20.0)[:, None], frame_times_s(20), np.array([np.nan]))
    upsampled, _ = upsample(one_band, n_frames=20)
    assert (upsampled == np.arange(20.0)[:, None]).all()


def test_a_lone_step_reaches_everywhere():
    lone = AnomalyMap(np.array([[3.0]]), np.array([0.48]), np.array([np.nan]))
    upsampled, has_value = upsample(lone, n_frames=40)
    assert has_value.all()
    assert (upsampled == 3.0).all()


@pytest.mark.parametrize(
    ("values", "times_s", "match"),
    [
        (np.zeros((3, 1)), [0.0, 1.0], "shape"),
        (np.zeros((2, 1)), [1.0, 1.0], "times_s must rise"),
        (np.full((2, 1), np.nan), [0.0, 1.0], "finite"),
        (np.zeros((0, 1)), [], "shape"),
    ],
)
def test_a_map_that_is_none_is_refused(values, times_s, match):
    with pytest.raises(InputError, match=match):
        upsample(AnomalyMap(values, np.array(times_s), np.array([np.nan])))


# figures of one clip


def test_the_mask_itself_is_a_perfect_map(square):
    values = square + 0.0
    assert pixel_auc(values, square, ALL) == 1
    assert time_auc(values, square, ALL) == 1
    assert pointing_hit(values, square, ALL)
    assert pixel_auc(-values, square, ALL) == 0


def test_a_random_map_is_at_chance(square):
    aucs = [pixel_auc(noise(seed), square, ALL) for seed in range(100)]
    hits = [pointing_hit(noise(seed), square, ALL) for seed in range(2000)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.02)
    assert (
        wilson(sum(hits), 2000, confidence=0.999).low < square.mean() < wilson(sum(hits), 2000, confidence=0.999).high
    )


def test_frames_without_a_value_do_not_count(square):
    values, has_value = square + 0.0, ALL.copy()
    values[0] = 9.0
    assert not pointing_hit(values, square, ALL)
    has_value[0] = False
    assert pointing_hit(values, square, has_value)
    assert pixel_auc(values, square, has_value) == 1


def test_the_time_auc_is_that_of_the_mean_over_bands(square):
    """One loud cell in a frame without a fault, and frames of the fault that are a little louder throughout."""
    values = np.zeros(square.shape)
    values[5:9] = 0.1
    values[0, 3] = 1.0  # mean over 128 bands: 0.008
    assert time_auc(values, square, ALL) == 1


def test_time_auc_asks_for_the_frame_not_the_band(square):
    wrong_bands = np.zeros(square.shape)
    wrong_bands[5:9, 100:] = 1
    assert time_auc(wrong_bands, square, ALL) == 1
    assert pixel_auc(wrong_bands, square, ALL) < 0.5


@pytest.mark.parametrize(
    ("frame", "exact", "near"),
    [(5, True, True), (3, False, True), (2, False, False), (10, False, True), (11, False, False)],
)
def test_a_near_hit_is_within_two_frames(square, frame, exact, near):
    values = np.zeros(square.shape)
    values[frame, 44] = 1
    assert pointing_hit(values, square, ALL) is exact
    assert pointing_hit(values, square, ALL, tolerance_frames=2) is near


def test_a_near_hit_is_in_the_same_band(square):
    values = np.zeros(square.shape)
    values[4, 50] = 1
    assert not pointing_hit(values, square, ALL, tolerance_frames=2)


def test_tied_cells_point_at_their_middle(square):
    values = np.zeros(square.shape)
    values[2:12, 44] = 1  # frames 2 .. 11, the middle is in the mask, the first is not
    assert pointing_hit(values, square, ALL)
    values[:, 44] = 0
    values[8:18, 44] = 1  # the first is in the mask, the middle is not
    assert not pointing_hit(values, square, ALL)


@pytest.mark.parametrize("figure", [pixel_auc, time_auc, pointing_hit])
@pytest.mark.parametrize(("filled", "match"), [(False, "marks no cell"), (True, "marks every cell")])
def test_a_mask_without_two_classes_has_no_figure(figure, filled, match):
    with pytest.raises(UndefinedMetricError, match=match):
        figure(noise(), np.full((20, N_MELS), filled), ALL)


def test_a_mask_only_where_there_are_no_values_has_no_figure(square):
    with pytest.raises(UndefinedMetricError, match="marks no cell that has a value"):
        pixel_auc(noise(), square, np.arange(20) > 10)


def test_a_flat_map_points_nowhere(square):
    with pytest.raises(UndefinedMetricError, match="points nowhere"):
        pointing_hit(np.ones(square.shape), square, ALL)
    assert pixel_auc(np.ones(square.shape), square, ALL) == 0.5


@pytest.mark.parametrize("figure", [pixel_auc, time_auc, pointing_hit])
def test_values_that_do_not_fit_are_refused(figure, square):
    with pytest.raises(InputError, match="one shape"):
        figure(noise()[:-1], square, ALL)
    with pytest.raises(InputError, match="finite"):
        figure(np.full(square.shape, np.nan), square, ALL)


def test_a_negative_tolerance_is_refused(square):
    with pytest.raises(InputError, match="negative"):
        pointing_hit(noise(), square, ALL, tolerance_frames=-1)


# clips and kinds


def test_a_map_over_time_only_is_judged_by_frames_and_says_so(square):
    values = np.zeros((20, 1))
    values[6] = 1
    rated = localise(AnomalyMap(values, frame_times_s(20), np.array([np.nan])), square)
    assert rated.over_time_only
    assert rated.hits
    assert rated.chance_of_hit == pytest.approx(4 / 20)
    assert rated.chance_of_near_hit == pytest.approx(8 / 20)
    assert not localise(grid_map(noise()), square).over_time_only
    assert localise(grid_map(noise()), square).chance_of_hit == pytest.approx(square.mean())


def test_a_fault_in_every_frame_has_no_time_auc_but_a_pixel_auc():
    lasting = np.zeros((20, N_MELS), dtype=np.bool_)
    lasting[:, 40:44] = True
    rated = localise(grid_map(lasting + 0.0), lasting)
    assert rated.time_auc is None
    assert rated.pixel_auc == 1


def test_kinds_are_summarised_with_their_counts(square):
    good, bad = grid_map(square + 0.0), grid_map(~square + noise() / 10)
    clips = [("rail", good, square)] * 3 + [("rail", bad, square), ("belt", good, np.zeros_like(square))]
    summaries = localise_all(clips)
    assert list(summaries) == ["belt", "rail"]
    rail, belt = summaries["rail"], summaries["belt"]
    assert (rail.n_clips, rail.n_empty, rail.n_time, rail.n_pointing) == (4, 0, 4, 4)
    assert rail.hit_rate == wilson(3, 4)
    assert rail.pixel_auc is not None
    assert rail.pixel_auc.estimate == pytest.approx(0.75)
    assert rail.pixel_auc.low < 0.75 < rail.pixel_auc.high
    assert rail.chance_of_hit == pytest.approx(square.mean())
    assert (belt.n_clips, belt.n_empty, belt.pixel_auc, belt.hit_rate, belt.chance_of_hit) == (0, 1, None, None, None)


def test_one_clip_s_interval_is_not_relied_on(square):
    summary = localise_all([("rail", grid_map(noise()), square)])["rail"]
    assert summary.pixel_auc is not None
    assert not summary.pixel_auc.reliable


def test_a_mask_of_other_bands_is_refused():
    with pytest.raises(InputError, match="a mask must have shape"):
        localise(grid_map(noise()), np.ones((20, 64), dtype=np.bool_))


def test_the_trained_predictor_hears_when_a_simulated_rail_is_rough():
    folder = PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor"
    if not folder.is_dir():
        pytest.skip("the trained detectors are not here (make artifacts)")
    detector = open_artifact(folder).detector()
    rendered = [render_clip(ClipKey("00", "test", "anomaly", index)) for index in (0, 3, 6, 9)]
    assert {clip.kind for clip in rendered} == {"rail"}
    rated = [
        localise(detector.anomaly_map(Waveform(clip.samples)), anomaly_mask(clip.samples, clip.twin))
        for clip in rendered
    ]
    assert min(clip.time_auc for clip in rated) > 0.7
    assert min(clip.pixel_auc for clip in rated) > 0.55
    assert sum(bool(clip.hits) for clip in rated) >= 3
