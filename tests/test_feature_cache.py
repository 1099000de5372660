"""The feature cache: no audio is read twice, nothing stale is ever taken, and its room is bounded."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import time

import numpy as np
import pytest
from sounds import hum

from asd_core.audio import reading as audio
from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.cli import doctor
from asd_core.errors import AudioError, InputError, UsageError
from asd_core.features import cache as feature_cache
from asd_core.features.cache import FeatureCache, read_clip
from asd_core.features.encoders import load_encoder
from asd_core.features.encoders.contract import Encoder, EncoderIdentity
from asd_core.features.familiarity import traits
from asd_core.features.log_mel import log_mel, log_mel_frames
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.train import TrainingRequest, train

DETECTORS = {
    "vggish_ocsvm": {},
    "lstm_predictor": {"epochs": 1, "hidden": 8, "layers": 1, "windows_per_epoch": 64},
}


def write_hums(root):
    for split, label, n_clips, knocks in (
        ("train", "normal", 12, 0),
        ("test", "normal", 4, 0),
        ("test", "anomaly", 4, 5),
    ):
        folder = root / "hummer" / split
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(n_clips):
            seed = number + 100 * (split == "test") + 1000 * knocks
            clip = hum(seed, knocks=knocks)
            (folder / f"{label}_id_00_{number:08d}.wav").write_bytes(encode_wav(clip.samples))
    return root


@pytest.fixture(scope="module")
def hums(tmp_path_factory):
    return write_hums(tmp_path_factory.mktemp("data") / "hums")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, which trusts the status of files that were just written."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("ASD_CACHE_MB", "64")
    monkeypatch.setattr(feature_cache, "_SETTLED_S", -1.0)
    return feature_cache.opened()


@pytest.fixture
def opened_files(monkeypatch):
    """Paths of the audio files that are opened from here on."""
    paths = []
    real = audio._read_bytes

    def noted(path):
        paths.append(os.fspath(path))
        return real(path)

    monkeypatch.setattr(audio, "_read_bytes", noted)
    return paths


@pytest.fixture
def clip_path(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(encode_wav(hum(1).samples))
    return path


def frames_of(path):
    return log_mel_frames(read_clip(path), min_samples=1)


def rewrite_entries(cache, change):
    for path in cache.folder.glob("*/*"):
        path.write_bytes(change(path.read_bytes()))


# What it is for


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_second_training_and_evaluation_open_no_audio_and_give_the_same_bits(
    detector, hums, tmp_path, cache, opened_files, monkeypatch
):
    def run(name):
        del opened_files[:]
        out = tmp_path / name
        result = train(TrainingRequest(detector, hums, settings=DETECTORS[detector], out=out))
        report = evaluate(result.model, hums).to_json()
        figures = {key: report[key] for key in ("auc_pooled", "auc_mean", "confusion", "threshold")}
        return result.artifact, figures, list(opened_files)

    first, first_figures, first_opened = run("first")
    second, second_figures, second_opened = run("second")
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    without, without_figures, without_opened = run("without")
    assert first_opened
    assert without_opened
    assert second_opened == []
    assert first.scores.clips == second.scores.clips == without.scores.clips
    assert first_figures == second_figures == without_figures
    for name, array in without.detector().state.items():
        np.testing.assert_array_equal(first.detector().state[name], array)
        np.testing.assert_array_equal(second.detector().state[name], array)
    assert second.manifest.familiarity == without.manifest.familiarity


def test_another_channel_is_another_entry(tmp_path, cache):
    import soundfile as sf

    path = tmp_path / "stereo.wav"
    sf.write(path, np.stack([hum(1).samples, hum(2).samples], axis=1), 16000, subtype="PCM_16")
    for _ in range(2):
        for channel in (None, 0, 1):
            known = log_mel_frames(read_clip(path, channel=channel), min_samples=1)
            np.testing.assert_array_equal(known, log_mel(read_waveform(path, channel=channel).samples))


def test_warnings_and_length_are_kept_with_the_file(tmp_path, cache, opened_files):
    path = tmp_path / "silent.wav"
    path.write_bytes(encode_wav(np.zeros(16000)))
    first, second = read_clip(path), read_clip(path)
    assert len(opened_files) == 1
    assert second.warnings == first.warnings
    assert second.warnings[0].startswith("silent: ")
    assert (second.n_samples, second.duration_s, second.digest) == (16000, 1.0, first.digest)


def test_features_that_are_not_kept_are_made_from_the_file_once_known(clip_path, cache, opened_files):
    read_clip(clip_path)
    known = read_clip(clip_path)
    assert len(opened_files) == 1
    np.testing.assert_array_equal(known.samples, read_waveform(clip_path).samples)
    assert traits(known) == traits(read_waveform(clip_path))


def test_a_known_clip_is_held_to_the_shortest_length(clip_path, cache):
    frames_of(clip_path)
    with pytest.raises(InputError, match="a clip needs at least 32001 samples"):
        log_mel_frames(read_clip(clip_path), min_samples=32001)


# Nothing stale


def test_a_changed_file_is_read_again(clip_path, cache, opened_files):
    before = frames_of(clip_path)
    clip_path.write_bytes(encode_wav(hum(2).samples))
    after = frames_of(clip_path)
    assert len(opened_files) == 2
    np.testing.assert_array_equal(after, log_mel(read_waveform(clip_path).samples))
    assert not np.array_equal(before, after)


def test_a_changed_file_is_read_again_though_size_and_time_are_the_same(clip_path, cache):
    status = clip_path.stat()
    frames_of(clip_path)
    clip_path.write_bytes(encode_wav(hum(2).samples))
    os.utime(clip_path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_clip(clip_path).digest == hashlib.sha256(clip_path.read_bytes()).hexdigest()


def test_a_file_that_changes_between_digest_and_samples_is_refused_and_then_read_anew(clip_path, cache):
    read_clip(clip_path)
    known = read_clip(clip_path)
    clip_path.write_bytes(encode_wav(hum(2).samples))
    with pytest.raises(AudioError, match="changed while it was in use") as caught:
        log_mel_frames(known, min_samples=1)
    assert caught.value.code == "open"
    np.testing.assert_array_equal(frames_of(clip_path), log_mel(read_waveform(clip_path).samples))


def test_the_status_of_a_file_just_written_is_not_trusted(clip_path, cache, opened_files, monkeypatch):
    monkeypatch.setattr(feature_cache, "_SETTLED_S", 60.0)
    read_clip(clip_path), read_clip(clip_path)
    assert len(opened_files) == 2


def test_refusals_are_never_kept(tmp_path, cache):
    path = tmp_path / "bad.wav"
    path.write_bytes(b"RIFF" * 20)
    for _ in range(2):
        with pytest.raises(AudioError) as caught:
            read_clip(path)
        assert caught.value.code == "magic"
    assert cache.n_bytes() == 0


def test_links_and_missing_files_are_refused_as_without_a_cache(clip_path, cache):
    read_clip(clip_path)
    link = clip_path.with_name("link.wav")
    link.symlink_to(clip_path)
    for path, code in ((link, "not_file"), (clip_path.with_name("none.wav"), "open")):
        with pytest.raises(AudioError) as caught:
            read_clip(path)
        assert caught.value.code == code


class OtherEncoder(Encoder):
    """Stands in under the same id with other weights."""

    id = "logmel_stats"

    @property
    def identity(self):
        return EncoderIdentity(self.id, "stand-in", self.dimension, "0" * 64)

    def _encode(self, samples):
        return np.full((1, self.dimension), samples.max(), dtype=np.float64)


def test_encoders_of_the_same_id_and_other_weights_share_no_entry(clip_path, cache):
    genuine, stand_in = load_encoder("logmel_stats"), OtherEncoder()
    plain = read_waveform(clip_path)
    for _ in range(2):
        np.testing.assert_array_equal(stand_in.encode(read_clip(clip_path)), stand_in.encode(plain))
        np.testing.assert_array_equal(genuine.encode(read_clip(clip_path)), genuine.encode(plain))


def test_another_reader_shares_no_entry(clip_path, cache, opened_files, monkeypatch):
    frames_of(clip_path)
    monkeypatch.setattr(feature_cache, "READER_VERSION", audio.READER_VERSION + 1)
    feature_cache._runtime.cache_clear()
    frames_of(clip_path)
    assert len(opened_files) == 2
    monkeypatch.undo()
    feature_cache._runtime.cache_clear()


def test_a_strict_program_shares_no_entry_with_one_that_reads_all_formats(clip_path, cache, opened_files, monkeypatch):
    frames_of(clip_path)
    monkeypatch.setenv("ASD_FORMATS", "strict")
    feature_cache._runtime.cache_clear()
    frames_of(clip_path)
    assert len(opened_files) == 2
    monkeypatch.undo()
    feature_cache._runtime.cache_clear()


# Damage


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content + b"more",
    ],
    ids=["cut", "empty", "a bit", "longer"],
)
def test_a_damaged_entry_is_a_miss_and_is_replaced(change, clip_path, cache, opened_files):
    want = frames_of(clip_path)
    rewrite_entries(cache, change)
    np.testing.assert_array_equal(frames_of(clip_path), want)
    assert len(opened_files) == 2
    np.testing.assert_array_equal(frames_of(clip_path), want)
    assert len(opened_files) == 2


def test_two_entries_that_were_exchanged_are_misses_for_both_clips(tmp_path, cache):
    paths = [tmp_path / f"{seed}.wav" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        path.write_bytes(encode_wav(hum(seed).samples))
    want = [frames_of(path) for path in paths]
    by_size: dict[int, list] = {}
    for path in cache.folder.glob("*/*"):
        by_size.setdefault(path.stat().st_size, []).append(path)
    (pair,) = [found for size, found in by_size.items() if size > 10_000]
    contents = [path.read_bytes() for path in pair]
    for path, content in zip(pair, reversed(contents), strict=True):
        path.write_bytes(content)
    for path, frames in zip(paths, want, strict=True):
        np.testing.assert_array_equal(frames_of(path), frames)


def header_of(shape, descr="<f4"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[" * 100_000,
        b"PK\x03\x04" + bytes(100),
        b"{}",
        b'{"digest": 1, "n_samples": 16000, "warnings": []}',
        b'{"digest": "0", "n_samples": -1, "warnings": []}',
        b'{"digest": "0", "n_samples": 1, "warnings": [1]}',
        b"\x93NUMPY\x01\x00\xff\xff",
        header_of((10**12,)) + bytes(8),
        header_of((-1,)) + bytes(8),
        header_of((2,), "|O") + bytes(16),
        header_of((2,), "<i4") + bytes(8),
        header_of((3,)) + bytes(8),
    ],
    ids=range(14),
)
def test_a_sealed_body_that_makes_no_sense_is_a_miss_and_is_replaced(body, clip_path, cache, opened_files, monkeypatch):
    want = frames_of(clip_path)
    keys = []
    real = FeatureCache.read
    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "read", lambda self, key: keys.append(key) or real(self, key))
        frames_of(clip_path)
    assert len(keys) == 2  # what is known of the file, and its frames
    for key in keys:
        cache.write(key, body)
    np.testing.assert_array_equal(frames_of(clip_path), want)
    assert len(opened_files) == 2
    np.testing.assert_array_equal(frames_of(clip_path), want)
    assert len(opened_files) == 2


def test_an_entry_sealed_without_its_key_as_before_is_a_miss(tmp_path):
    cache = FeatureCache(tmp_path / "features", 2**20)
    cache.write("key", b"body")
    assert cache.read("key") == b"body"
    cache._place("key").write_bytes(b"body" + hashlib.sha256(b"body").digest())
    assert cache.read("key") is None


def test_a_pipe_in_an_entrys_place_is_a_miss_and_nothing_waits_for_it(tmp_path):
    cache = FeatureCache(tmp_path / "features", 2**20)
    place = cache._place("key")
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    assert cache.read("key") is None


def test_a_folder_that_cannot_be_written_is_no_error(clip_path, cache):
    cache.folder.parent.mkdir(parents=True)
    cache.folder.write_text("not a folder")
    np.testing.assert_array_equal(frames_of(clip_path), log_mel(read_waveform(clip_path).samples))


# Room


def test_the_least_recently_used_go_first_and_the_cap_holds(tmp_path):
    cache = FeatureCache(tmp_path / "features", 10 * 8192)
    for number in range(10):
        cache.write(str(number), bytes(8000))
        os.utime(cache._place(str(number)), (1000 + number, 1000 + number))
    assert cache.n_bytes() == cache.max_bytes
    assert cache.read("0") is not None
    for number in range(10, 13):
        cache.write(str(number), bytes(8000))
        assert cache.n_bytes() <= cache.max_bytes
    assert cache.read("0") is not None
    assert cache.read("1") is None
    assert cache.read("12") is not None


def test_an_entry_larger_than_the_cap_is_not_kept(tmp_path):
    cache = FeatureCache(tmp_path / "features", 8192)
    cache.write("small", bytes(100))
    cache.write("large", bytes(9000))
    assert cache.read("small") is not None
    assert cache.read("large") is None


def test_pieces_of_a_killed_process_are_removed_after_an_hour(tmp_path):
    cache = FeatureCache(tmp_path / "features", 8192)
    cache.write("kept", b"x")
    old, new = (cache._place("kept").with_name(f".partial-{name}") for name in ("old", "new"))
    old.touch(), new.touch()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    assert cache.n_bytes() == 4096
    assert (old.exists(), new.exists()) == (False, True)


def test_zero_megabytes_switch_it_off(clip_path, cache, opened_files, monkeypatch):
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    assert feature_cache.opened() is None
    frames_of(clip_path), frames_of(clip_path)
    assert len(opened_files) == 2
    assert not cache.folder.exists()


def test_the_doctor_says_how_large_it_is(clip_path, cache, monkeypatch):
    frames_of(clip_path)

    def line():
        return next(check for check in doctor.checks() if check.name == "feature cache")

    assert line().detail == f"0.0 of at most 64 MiB used in {cache.folder}"
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    assert line().detail == "switched off by ASD_CACHE_MB=0"
    monkeypatch.setenv("ASD_CACHE_MB", "x")
    assert not line().ok


@pytest.mark.parametrize("megabytes", ["-1", "many", "1.5"])
def test_a_size_that_is_no_whole_number_is_refused(megabytes, monkeypatch):
    monkeypatch.setenv("ASD_CACHE_MB", megabytes)
    with pytest.raises(UsageError, match="ASD_CACHE_MB must be a whole number"):
        feature_cache.opened()


# Several processes


def write_and_check(folder, max_bytes, seed):
    """Write and read the same keys as another process; count bodies that are not their key's."""
    cache = FeatureCache(folder, max_bytes)
    rng = np.random.default_rng(seed)
    wrong = 0
    for number in rng.integers(0, 40, 400):
        want = str(number).encode() * 5000
        found = cache.read(str(number))
        wrong += found not in (None, want)
        cache.write(str(number), want)
    return wrong


def test_two_processes_write_and_evict_at_once(tmp_path):
    folder, max_bytes = tmp_path / "features", 200_000
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        wrong = pool.starmap(write_and_check, [(folder, max_bytes, seed) for seed in (1, 2)])
    assert wrong == [0, 0]
    assert 0 < FeatureCache(folder, max_bytes).n_bytes() <= max_bytes * 1.1
    assert not list(folder.glob("*/.partial-*"))


def test_clearing_it_while_clips_are_open_only_costs_time(clip_path, cache):
    want, known = frames_of(clip_path), read_clip(clip_path)
    shutil.rmtree(cache.folder)
    np.testing.assert_array_equal(log_mel_frames(known, min_samples=1), want)
