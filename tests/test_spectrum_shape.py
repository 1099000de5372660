from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal
from sounds import SHARED

from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.errors import InputError
from asd_core.features.familiarity import ClipTraits, Familiarity, traits
from asd_core.features.spectrum_shape import (
    LEAST_GAP_DB,
    N_BANDS,
    SpectrumShape,
    band_levels_db,
    held_out_folds,
    limit_from_held_out,
)
from asd_core.types import SR, Waveform
from benchmarks.motors import Recording

LATHE = SHARED / "data" / "real" / "lathe"
PLAIN = ClipTraits(-40.0, -26.0, 6000.0, -41.0, 10.0, 600.0)
OTHER = "the verdict may be about another machine, microphone or place"


def noise(seed, gain=0.05, seconds=2):
    return Waveform((gain * np.random.default_rng(seed).standard_normal(seconds * SR)).astype(np.float32))


def filtered(clip, band_hz, gain_db):
    """The clip with one band made louder by `gain_db`."""
    passed = signal.sosfiltfilt(signal.butter(4, band_hz, "bandpass", fs=SR, output="sos"), clip.samples)
    return replace(clip, samples=(clip.samples + (10 ** (gain_db / 20) - 1) * passed).astype(np.float32))


def some_levels(n_clips=40, seed=0, spread_db=1.0):
    """Band levels of clips whose shape varies by one slope alone, shape (n_clips, 32)."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, spread_db, (n_clips, 1)) * np.linspace(-1, 1, N_BANDS)
    return -60 + slopes + rng.normal(0, 0.2, (n_clips, N_BANDS))


# the shape of a clip


def test_louder_clips_have_the_same_shape():
    shape = SpectrumShape.fit(np.array([band_levels_db(noise(seed)) for seed in range(12)]))
    quiet, loud = (band_levels_db(noise(99, gain)) for gain in (0.05, 0.2))
    assert loud - quiet == pytest.approx(12.04, abs=0.01)
    assert shape.distance(loud) == pytest.approx(shape.distance(quiet), abs=0.01)


def test_a_knock_hardly_moves_the_shape():
    clip = noise(0)
    knocked = clip.samples.copy()
    knocked[SR : SR + 400] += 0.9 * np.sin(2 * np.pi * 3000 * np.arange(400) / SR).astype(np.float32)
    assert np.abs(band_levels_db(replace(clip, samples=knocked)) - band_levels_db(clip)).max() < 1.5


def test_a_band_that_is_louder_is_named_with_its_decibels():
    known = Familiarity.fit([traits(noise(seed)) for seed in range(12)])
    (remark,) = known.check(traits(filtered(noise(50), (2000, 3000), 8)))
    assert remark.startswith("spectrum: ")
    assert remark.endswith(f" than in the training clips: {OTHER}")
    dB, low, high = (float(remark.split()[place]) for place in (1, 5, 7))
    assert remark.split()[2:5] == ["dB", "more", "at"]
    assert dB == pytest.approx(6.5, abs=1.5)  # 8 dB in the band, less what the clip's mean rises by
    assert 1.7 < low < 2.2
    assert 2.8 < high < 3.5


def test_less_and_more_are_told_apart():
    levels = some_levels()
    shape = SpectrumShape.fit(levels)
    bent = levels.mean(axis=0)
    bent[4:8] -= 6
    bent[24:28] += 6
    words = shape.differences(bent)
    assert sorted(words.split(" and ")) == ["6.0 dB less at 0.4 to 0.75 kHz", "6.0 dB more at 3.7 to 5.3 kHz"]


# the distance


def test_a_difference_that_training_clips_had_is_nearer_than_one_that_they_had_not():
    levels = some_levels()
    shape, mean = SpectrumShape.fit(levels), levels.mean(axis=0)
    sloped = mean + 3 * np.linspace(-1, 1, N_BANDS)
    bowed = mean + 6 * np.abs(np.linspace(-1, 1, N_BANDS))
    assert shape.distance(sloped) < shape.limit < shape.distance(bowed)
    assert not shape.is_unfamiliar(sloped)
    assert shape.is_unfamiliar(bowed)


def test_the_distance_is_mahalanobis_divided_by_the_root_of_the_number_of_bands():
    levels = some_levels()
    shape = SpectrumShape.fit(levels)
    shapes = levels - levels.mean(axis=1, keepdims=True)
    inverse = np.linalg.inv(np.cov(shapes.T) + 0.3**2 * np.eye(N_BANDS))
    gap = shapes[3] + 0.5 * np.sin(np.arange(N_BANDS)) - shapes.mean(axis=0)
    gap -= gap.mean()
    asked = np.sqrt(gap @ inverse @ gap / N_BANDS)
    assert shape.distance(shapes.mean(axis=0) + gap) == pytest.approx(asked, rel=0.01)


def test_differences_of_a_decibel_are_never_named():
    shape = SpectrumShape.fit(np.full((20, N_BANDS), -60.0))
    ripple = np.where(np.arange(N_BANDS) % 2, 1.0, -1.0)
    assert shape.distance(-60 + (LEAST_GAP_DB - 0.1) * ripple) > shape.limit
    assert not shape.is_unfamiliar(-60 + (LEAST_GAP_DB - 0.1) * ripple)
    assert shape.is_unfamiliar(-60 + (LEAST_GAP_DB + 0.1) * ripple)


def test_no_training_clip_is_unfamiliar():
    levels = some_levels(150)
    levels[70] += 5 * np.sin(np.arange(N_BANDS))
    shape = SpectrumShape.fit(levels)
    assert not any(shape.is_unfamiliar(row) for row in levels)


# the limit


def in_runs(n_runs=6, length=20, seed=0):
    """Clips of recordings: nearly the same within one, other shapes from one to the next."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(0, 2, (n_runs, N_BANDS)), length, axis=0)
    return -60 + centres + rng.normal(0, 0.05, (n_runs * length, N_BANDS)), np.repeat(np.arange(n_runs), length)


def test_the_limit_allows_for_recordings_that_were_not_heard():
    levels, recordings = in_runs()
    unheard, _ = in_runs(seed=1)
    by_recording = SpectrumShape.fit(levels, groups=recordings.tolist())
    by_clip = SpectrumShape.fit(levels, groups=list(range(len(levels))))
    assert by_recording.limit > 5 * by_clip.limit
    assert not any(by_recording.is_unfamiliar(row) for row in unheard)
    assert all(by_clip.is_unfamiliar(row) for row in unheard)


def test_without_recordings_runs_in_the_order_given_are_held_out():
    assert held_out_folds(12).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert held_out_folds(45).tolist() == [index // 4 % 10 for index in range(45)]
    assert held_out_folds(1000).tolist() == [index // 20 % 10 for index in range(1000)]


def test_clips_of_one_recording_share_a_fold_wherever_they_lie():
    groups = ["a", "b", "a", "c", "b", "a"]
    assert held_out_folds(6, groups).tolist() == [0, 1, 0, 2, 1, 0]
    assert held_out_folds(24, [f"{index % 12}" for index in range(24)]).tolist() == [
        index % 12 % 10 for index in range(24)
    ]


def test_one_recording_for_all_clips_tells_no_more_than_none():
    assert held_out_folds(45, ["only"] * 45).tolist() == held_out_folds(45).tolist()


def test_groups_must_be_as_many_as_clips():
    with pytest.raises(InputError, match="one group per clip, got 3 for 12 clips"):
        Familiarity.fit([PLAIN] * 12, groups=["a", "b", "c"])


def test_the_limit_is_wider_the_fewer_clips_there_are():
    assert limit_from_held_out(np.array([0.5] * 7 + [1.0])) == pytest.approx(2.2)
    assert limit_from_held_out(np.linspace(0, 1, 801)) == pytest.approx(1.1 * 1.01 * 0.99, abs=0.005)


def test_runs_that_lie_far_apart_widen_the_limits_of_single_traits():
    runs = [replace(PLAIN, level_dbfs=-28.0 if index >= 180 else -40.0) for index in range(200)]
    louder = replace(PLAIN, level_dbfs=-18.0)
    assert Familiarity.fit(runs).check(louder) == ()
    limits = Familiarity.fit(runs).limits["level_dbfs"]
    assert limits.high == pytest.approx(-28 + 12 * 1.1 * (1 + 8 / 200))
    mixed = [runs[index * 27 % 200] for index in range(200)]
    assert Familiarity.fit(mixed, groups=[clip.level_dbfs for clip in mixed]).limits["level_dbfs"] == limits
    assert Familiarity.fit(mixed, groups=range(200)).check(louder)  # each clip a recording: others are as loud


@pytest.mark.parametrize(("levels", "match"), [(np.zeros((7, 32)), "at least 8"), (np.zeros((9, 31)), "n_clips, 32")])
def test_too_few_clips_or_other_bands_are_refused(levels, match):
    with pytest.raises(InputError, match=match):
        SpectrumShape.fit(levels)


# simulated motors


def motor(number, microphone, recordings):
    return [
        traits(Recording(number, microphone, recording).clip(index)) for recording in recordings for index in range(6)
    ]


def test_unheard_recordings_of_a_simulated_motor_pass_and_other_motors_and_microphones_are_named():
    known = Familiarity.fit(motor(0, 0, range(8)), groups=np.repeat(np.arange(8), 6).tolist())
    unheard = motor(0, 0, range(8, 14))
    assert sum(bool(known.check(clip)) for clip in unheard) <= 0.05 * len(unheard)
    for clip in (*motor(1, 0, range(3)), *motor(0, 1, range(3))):
        assert OTHER in " ".join(known.check(clip))


# versions


def familiar():
    return Familiarity.fit([replace(PLAIN, bands_db=tuple(row)) for row in some_levels(20).tolist()])


def test_the_shape_survives_json_and_is_small():
    known = familiar()
    text = json.dumps(known.to_json(), allow_nan=False)
    assert len(text) < 8000
    assert Familiarity.from_json(json.loads(text)) == known


def test_a_version_from_before_the_shape_opens_and_compares_what_it_knows():
    table = familiar().to_json()
    del table["spectrum"]
    old = Familiarity.from_json(table)
    strange = replace(PLAIN, bands_db=tuple(np.linspace(-30, -90, N_BANDS)))
    assert old.to_json() == table
    assert old.check(strange) == ()
    assert old.check(replace(strange, level_dbfs=0.0))
    assert familiar().check(strange)


def test_clips_whose_bands_are_not_known_are_judged_by_the_rest():
    assert familiar().check(PLAIN) == ()
    assert Familiarity.fit([PLAIN] * 8).spectrum is None


def damaged(**changes):
    table = familiar().to_json()
    return {**table, "spectrum": {**table["spectrum"], **changes}}


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({**damaged(), "spectrum": None}, "exactly"),
        ({**damaged(), "shape": {}}, "n_clips"),
        (damaged(extra=1), "exactly"),
        (damaged(limit=0.0), "limit above 0"),
        (damaged(limit=float("nan")), "finite"),
        (damaged(limit=True), "finite"),
        (damaged(mean_db=[0.0] * 31), "32 means"),
        (damaged(mean_db="much"), "list of numbers"),
        (damaged(covariance_db2=[0.0] * 527), "528 covariances"),
        (damaged(covariance_db2=[float("inf")] * 528), "finite"),
        (damaged(covariance_db2=[-1.0] * 528), "positive definite"),
    ],
)
def test_a_damaged_shape_is_refused(table, match):
    with pytest.raises(InputError, match=match):
        Familiarity.from_json(table)


# real recordings


@pytest.mark.real_data
def test_a_detector_of_the_simulated_rail_calls_real_clips_unfamiliar(real_clips):
    keys = [ClipKey(machine_id, "train", "normal", index) for machine_id in ("00", "02", "04") for index in range(40)]
    known = Familiarity.fit([traits(Waveform(render_clip(key).samples)) for key in keys])
    real = sorted(real_clips.glob("*/test/*.wav"))
    assert len(real) == 36
    assert sum(bool(known.check(traits(read_waveform(path)))) for path in real) >= 0.75 * len(real)
    others = [
        Waveform(render_clip(replace(key, index=0, split="test"), seed=seed).samples)
        for key in keys[::40]
        for seed in range(1, 8)
    ]
    assert sum(bool(known.check(traits(clip))) for clip in others) <= 1


@pytest.mark.real_data
def test_unheard_recordings_of_a_real_lathe_pass():
    if not LATHE.is_dir():
        pytest.skip("the real lathe recordings are not here (../shared/data)")
    with (LATHE / "recordings.csv").open(newline="") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["label"] == "normal"), key=lambda row: row["path"])
    clips = [traits(read_waveform(LATHE / row["path"])) for row in rows]
    blocks = np.array([int(row["block"]) for row in rows])
    shares = []
    for seed in range(6):
        names = np.random.default_rng(seed).permutation(np.unique(blocks))
        is_training = np.isin(blocks, names[: round(0.6 * len(names))])
        known = Familiarity.fit([clips[row] for row in np.flatnonzero(is_training)])
        shares.append(np.mean([bool(known.check(clips[row])) for row in np.flatnonzero(~is_training)]))
    assert np.mean(shares) <= 0.05
