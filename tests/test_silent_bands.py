"""A recording made at 8 kHz has nothing above 4 kHz; saved again at another rate, it must not sound like a fault."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from sounds import hum
from test_artifacts import manifest_of
from test_detector_contract import NETWORKS, TWO_EPOCHS, built

from asd_core.artifacts.arrays import parse_safetensors
from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import read_waveform
from asd_core.detectors import DETECTOR_NAMES
from asd_core.detectors.mahalanobis import Mahalanobis
from asd_core.detectors.silent_bands import LOWEST_DB, SILENT_DB, SilentBands, loudest_db, loudest_frames_db
from asd_core.errors import ArtifactError, InputError
from asd_core.features.encoders import load_encoder
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.tasks.score import score_waveform
from asd_core.types import SR, Waveform

N_CLIPS = 16


def saved(folder, samples, sr, name):
    """Read a clip back from a 16-bit WAV file of that rate."""
    path = folder / f"{name}.wav"
    soundfile.write(path, samples, sr, subtype="PCM_16")
    return read_waveform(path)


def telephone(seed):
    """A hum recorded at 8 kHz, rounded to 16 bits."""
    return np.round(soxr.resample(hum(seed, seconds=3.0).samples, SR, 8_000) * 32768) / 32768


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("telephone")


@pytest.fixture(scope="module")
def training_clips(folder):
    return [saved(folder, telephone(seed), 8_000, f"train_{seed}") for seed in range(N_CLIPS)]


@pytest.fixture(scope="module")
def other_clips(folder):
    """Clips as they were recorded, and saved again at each rate."""
    recorded = [telephone(seed) for seed in range(100, 106)]
    return {
        rate: [
            saved(folder, samples if rate == 8_000 else soxr.resample(samples, 8_000, rate), rate, f"{rate}_{row}")
            for row, samples in enumerate(recorded)
        ]
        for rate in (8_000, 16_000, 44_100, 48_000)
    }


@pytest.fixture(scope="module", params=DETECTOR_NAMES)
def fitted(request, training_clips):
    return built(request.param, TWO_EPOCHS).fit(training_clips)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_clip_saved_again_at_another_rate_scores_about_the_same(fitted, other_clips, rate):
    before = fitted.anomaly_scores(other_clips[8_000])
    again = fitted.anomaly_scores(other_clips[rate])
    allowed = 0.1 * abs(before).mean() + 3 * before.std()
    assert abs(again - before).max() < allowed, (before, again)
    assert [fitted.input_warnings(clip) for clip in other_clips[rate]] == 6 * [
        fitted.input_warnings(other_clips[8_000][0])
    ]


def test_sound_where_training_had_none_is_named(fitted):
    clip = hum(100, seconds=10.0)
    above = log_mel(clip.samples)[1:-1, mel_band_centres_hz() > 4050].max()
    (line,) = fitted.input_warnings(clip)
    assert line == (
        f"empty_bands: sound of up to {above:.0f} dB at 4.1 to 7.8 kHz, where the training clips had none: "
        "the score may be about the recording"
    )


def test_a_clip_like_the_training_clips_has_no_warning(fitted, training_clips):
    assert [line for line in fitted.input_warnings(training_clips[0]) if line.startswith("empty_bands")] == []


def test_it_is_kept_with_the_detector(fitted):
    again = dataclasses.replace(fitted).restore(fitted.state)
    clip = hum(100, seconds=10.0)
    assert again.input_warnings(clip) == fitted.input_warnings(clip) != ()
    assert again.anomaly_score(clip) == fitted.anomaly_score(clip)


def test_states_of_earlier_versions_have_no_floor(fitted):
    state = fitted.state
    assert state.pop("band_floor_db").shape == (128,)
    again = dataclasses.replace(fitted).restore(state)
    assert again.input_warnings(hum(100, seconds=10.0)) == ()
    assert ("band_floor_db" in again.state) == (fitted.name in NETWORKS)
    state.pop("scale" if "scale" in state else "mean" if "mean" in state else "dense0.weight")
    with pytest.raises(InputError, match="must hold exactly"):
        again.restore(state)


def test_floors_out_of_range_are_refused(fitted):
    state = fitted.state
    state["band_floor_db"][5] = 1.0
    with pytest.raises(InputError, match="band_floor_db must be -100 to 0 dB"):
        dataclasses.replace(fitted).restore(state)


def test_a_file_may_lack_optional_arrays_and_no_others():
    from safetensors.numpy import save

    content = save({"mean": np.zeros(2)})
    assert set(parse_safetensors(content, spec_names={"mean", "floor"}, optional={"floor"})) == {"mean"}
    for names in ({"mean", "floor"}, {"floor"}):
        with pytest.raises(ArtifactError, match="must hold exactly"):
            parse_safetensors(content, spec_names=names)


def test_a_band_is_silent_where_no_training_clip_has_sound():
    quiet, loud = np.full(128, SILENT_DB - 1), np.full(128, SILENT_DB - 1)
    loud[:100] = -40.0
    bands = SilentBands.of([quiet, loud])
    assert bands.silent.tolist() == 100 * [False] + 28 * [True]
    assert (bands.floor_db[:100] == LOWEST_DB).all()
    assert (bands.floor_db[100:] == SILENT_DB).all()


def test_frames_are_floored_in_silent_bands_only():
    bands = SilentBands(np.array([-100.0, -75.0, -75.0]))
    frames = np.array([[-99.0, -99.0, -20.0]], np.float32)
    assert bands.floored(frames).tolist() == [[-99.0, -75.0, -20.0]]
    assert SilentBands.none().floored(frames) is frames


def test_a_clips_edges_do_not_count_as_sound():
    frames = np.full((4, 128), -90.0, np.float32)
    frames[[0, -1]] = -10.0
    assert loudest_frames_db(frames).tolist() == 128 * [-90.0]
    clip = hum(3)
    np.testing.assert_array_equal(loudest_db(clip), log_mel(clip.samples)[1:-1].max(axis=0).astype(float))
    assert (loudest_db(Waveform(clip.samples[:300])) == LOWEST_DB).all()


def test_where_every_band_has_sound_nothing_changes(fitted):
    wide = dataclasses.replace(fitted).fit([hum(seed) for seed in range(12)])
    assert (wide.state["band_floor_db"] == LOWEST_DB).all()
    assert [line for line in wide.input_warnings(hum(100, knocks=3)) if line.startswith("empty_bands")] == []


def test_least_deviations_of_log_mel_statistics():
    """A band without sound, ln 0.01, and one at -2: 0.002 by the magnitude there, for its mean and its deviation."""
    mean = np.tile(np.concatenate([np.full(32, np.log(0.01)), np.full(32, -2.0), np.full(64, 0.3)]), 10)
    least = load_encoder("logmel_stats").least_std(mean).reshape(10, 2, 2, 32)
    np.testing.assert_allclose(least[:, :, 0], 0.2)
    np.testing.assert_allclose(least[:, :, 1], 0.002 * np.exp(2.0))


def test_mahalanobis_counts_a_floored_column_by_its_floor():
    """Without the missing variance, the inverse covariance divides by the column's own deviation again."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0.0, 1.0, (2000, 128)) + rng.normal(0.0, 3.0, (2000, 4)) @ rng.normal(0.0, 1.0, (4, 128))
    rows += 10.0  # loud bands, in which rounding is nothing
    rows[:, 7] = 10.0 + rng.normal(0.0, 1e-4, 2000)
    state = Mahalanobis()._fit_rows(rows)
    step = np.zeros(128)
    step[7] = 0.1 * rows.std(axis=0).mean()  # the floor: one deviation
    assert np.square(state["whitening"] @ step).sum() == pytest.approx(1.0, rel=0.05)


def test_a_row_of_scores_says_so(training_clips):
    detector = built("vggish_ocsvm", TWO_EPOCHS).fit(training_clips)
    artifact = Artifact(Path("v1"), manifest_of(detector), "")
    rows = {
        name: score_waveform(clip, artifact, detector, path=name, model="m")
        for name, clip in {"wide": hum(100, seconds=10.0), "like": training_clips[0]}.items()
    }
    assert rows["wide"].status == "warning"
    assert "empty_bands: sound of up to" in rows["wide"].reason
    assert "empty_bands" not in rows["like"].reason
