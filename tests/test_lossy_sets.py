"""Sets with lossily coded clips, what a detector remembers of them, and validation clips that calibrate."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import soundfile as sf
from compressed import CODINGS, encoded
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.data.data_set import coding_remark, most_common_coding, open_data_set, readable, without_lossy
from asd_core.data.folder_rules import FolderRules
from asd_core.detectors import detector_class
from asd_core.errors import InputError
from asd_core.tasks.calibrate import plan_calibration
from asd_core.tasks.recalibrate import recalibrate
from asd_core.tasks.score import score_clips
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

TINY = {"epochs": 1, "hidden": 4, "layers": 1, "windows_per_epoch": 32}
AAC = CODINGS["AAC"]


def write(path, *, seed=0, seconds=1.0, knocks=0):
    """A hum, coded as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = hum(seed, seconds=seconds, knocks=knocks).samples
    if path.suffix == ".wav":
        path.write_bytes(encode_wav(samples))
    elif path.suffix == ".flac":
        sf.write(path, samples, SR, subtype="PCM_16")
    else:
        coding = {".mp3": CODINGS["MP3"], ".aac": AAC}[path.suffix]
        path.write_bytes(encoded(samples[None], type(coding)(coding.muxer, coding.encoder, SR, 1, coding.bit_rate)))
    return path


def a_set(root, suffixes):
    """Normal clips with these suffixes, and two faults."""
    for number, suffix in enumerate(suffixes):
        write(root / "normal" / f"{number}{suffix}", seed=number)
    for number in range(2):
        write(root / "test" / "leak" / f"{number}{suffixes[0]}", seed=90 + number, knocks=3)
    return root


def trained_on(root, out, **options):
    return train(TrainingRequest("vggish_knn", root, settings={"k": 2}, rules=FolderRules(**options), out=out))


def heads(warnings):
    return Counter(text.partition(":")[0] for text in warnings)


@pytest.fixture(scope="module")
def lossless(tmp_path_factory):
    root = a_set(tmp_path_factory.mktemp("lossless") / "pump", [".wav"] * 9 + [".flac"] * 3)
    return trained_on(root, root.parent / "out")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory):
    root = a_set(tmp_path_factory.mktemp("lossy") / "pump", [".aac"] * 12)
    return trained_on(root, root.parent / "out")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return a_set(tmp_path_factory.mktemp("mixed") / "pump", [".wav"] * 10 + [".aac", ".aac", ".mp3"])


# training


def test_a_set_that_is_lossy_throughout_is_trained_on_with_one_word(lossy):
    data = lossy.artifact.manifest.data
    assert (data.n_lossy, len(data.fitted_digests)) == (6, 6)  # of twelve, six are left to test on
    assert data.lossy.startswith("AAC, ")
    words = [text for text in lossy.artifact.manifest.warnings if text.startswith("lossy: ")]
    assert len(words) == 1
    assert words[0].startswith(f"lossy: 6 of 6 clips were coded lossily: {data.lossy}")
    assert not lossy.skipped


def test_a_lossless_set_says_nothing_of_coding(lossless):
    data = lossless.artifact.manifest.data
    assert (data.n_lossy, data.lossy) == (None, None)
    assert not [text for text in lossless.warnings if text.startswith("lossy")]


def test_lossy_clips_beside_lossless_ones_are_left_out_and_counted_as_skipped(mixed, tmp_path):
    result = trained_on(mixed, tmp_path)
    n_left_out = result.skipped.to_json()["lossy beside lossless"]
    assert result.to_json()["skipped"] == {"lossy beside lossless": n_left_out}
    assert n_left_out >= 1
    data = result.artifact.manifest.data
    assert (data.n_lossy, data.lossy) == (None, None)
    used = {clip.path.rpartition(".")[2] for clip in result.artifact.scores.of("heldout").clips}
    assert used == {"wav"}


def test_lossy_clips_beside_lossless_ones_are_taken_where_that_is_asked_and_again_when_recalibrating(mixed, tmp_path):
    result = trained_on(mixed, tmp_path, lossy=True)
    data = result.artifact.manifest.data
    used = Counter(clip.path.rpartition(".")[2] for clip in result.artifact.scores.of("heldout").clips)
    assert not result.skipped
    assert data.n_lossy == used["aac"] + used["mp3"] > 0
    assert used["wav"] > 0
    again = recalibrate(result.model, mixed)
    assert not again.skipped
    assert again.artifact.manifest.data.fingerprint == data.fingerprint


def test_leaving_lossy_clips_out_keeps_the_others_in_step(mixed):
    found = readable(open_data_set(mixed).index.select(label="normal"), channel=None)
    kept, skipped = without_lossy(found, FolderRules())
    assert skipped.kinds == {"lossy beside lossless": ("normal/10.aac", "normal/11.aac", "normal/12.mp3")}
    assert [clip.path.suffix for clip in kept.clips] == [".wav"] * 10
    assert kept.codings == ("",) * 10
    assert found.warnings[0].startswith("lossy: 3 of 13 clips were coded lossily: ")
    assert kept.warnings == (
        f"{found.warnings[0]}; these were left out (--lossy trains on them too)",
        *found.warnings[1:],
    )
    whole = dict(zip((clip.relative for clip in found.clips), found.digests, strict=True))
    assert [whole[clip.relative] for clip in kept.clips] == list(kept.digests)
    assert without_lossy(found, FolderRules(lossy=True)) == (found, type(skipped)())


def test_coding_is_summed_up_by_what_most_clips_have():
    codings = ("", "AAC, 64 kbit/s", "MP3, 128 kbit/s", "AAC, 64 kbit/s")
    assert most_common_coding(codings) == "AAC, 64 kbit/s"
    assert coding_remark(codings) == "3 of 4 clips were coded lossily: AAC, 64 kbit/s and other codings"
    assert coding_remark(codings[:2]) == "1 of 2 clips were coded lossily: AAC, 64 kbit/s"
    assert most_common_coding(("", "")) is coding_remark(("", "")) is coding_remark(()) is None


def test_the_command_counts_what_was_left_out(mixed, tmp_path, capsys):
    report = tmp_path / "train.json"
    command = ["train", "vggish_knn", "--data", str(mixed), "--out", str(tmp_path / "out"), "--json", str(report)]
    assert main(command) == 0
    n_left_out = json.loads(report.read_text())["skipped"]["lossy beside lossless"]
    assert f"{n_left_out} skipped: {n_left_out} lossy beside lossless (normal/1" in capsys.readouterr().err
    assert main([*command, "--lossy"]) == 0
    assert json.loads(report.read_text())["skipped"] == {}


# scoring


@pytest.mark.parametrize(
    ("detector", "suffix", "heard"),
    [
        ("lossless", ".wav", []),
        ("lossless", ".flac", []),
        ("lossless", ".aac", ["lossy"]),
        ("lossless", ".mp3", ["lossy"]),
        ("lossy", ".aac", []),
        ("lossy", ".mp3", []),
        ("lossy", ".wav", ["coding"]),
    ],
)
def test_coding_unlike_the_trainings_is_said_when_scoring_and_the_same_is_no_news(
    detector, suffix, heard, tmp_path, request
):
    model = request.getfixturevalue(detector).model
    (row,) = score_clips([write(tmp_path / f"new{suffix}", seed=5)], [model])
    said = [text for text in row.reason.split("; ") if text.startswith(("lossy: ", "coding: "))]
    assert [text.partition(":")[0] for text in said] == heard
    if heard == ["coding"]:
        assert "this recording is lossless, the detector was trained on lossy ones (AAC, " in said[0]


def test_a_detector_of_both_kinds_takes_neither_for_news(mixed, tmp_path):
    model = trained_on(mixed, tmp_path / "out", lossy=True).model
    rows = score_clips([write(tmp_path / f"new{suffix}", seed=5) for suffix in (".wav", ".aac")], [model])
    assert not [row.reason for row in rows if "lossy: " in row.reason or "coding: " in row.reason]


# validation clips


def with_validation(root, n_val, *, n_train=12, n_test=2):
    """Normal clips in folders for training, validation and testing."""
    for split, first, n_clips in (("train", 0, n_train), ("val", 100, n_val), ("test", 200, n_test)):
        for number in range(n_clips):
            write(root / split / "normal" / f"{first + number}.wav", seed=first + number)
    return root


def split_of(clips):
    return Counter(clip.path.partition("/")[0] for clip in clips)


@pytest.mark.parametrize(("name", "settings"), [("vggish_knn", {"k": 2}), ("lstm_predictor", TINY)])
def test_nine_validation_clips_calibrate_and_are_never_fitted(name, settings, tmp_path):
    root = with_validation(tmp_path / "pump", 9)
    result = train(TrainingRequest(name, root, settings=settings, out=tmp_path / "out"))
    manifest = result.artifact.manifest
    assert split_of(result.artifact.scores.of("heldout").clips) == {"val": 9}
    assert (len(manifest.data.fitted_digests), len(manifest.data.heldout_digests)) == (12, 9)
    assert (manifest.calibration.how, manifest.calibration.n, manifest.calibration.folds) == ("held_out", 9, 1)
    assert not manifest.threshold.provisional
    highest = max(result.artifact.scores.of("heldout").anomaly_scores)
    assert manifest.threshold.value == pytest.approx(highest, rel=1e-12)  # of nine, at 10 %
    assert not {"few_validation", "shared_recordings"} & set(heads(result.warnings))
    assert split_of(result.artifact.scores.of("test").clips) == {"test": 2}


@pytest.mark.parametrize(
    ("name", "settings", "n_val"),
    [("vggish_knn", {"k": 2}, 8), ("lstm_predictor", TINY, 8), ("lstm_predictor", TINY, 4)],
)
def test_fewer_validation_clips_join_the_training_with_a_warning(name, settings, n_val, tmp_path):
    root = with_validation(tmp_path / "pump", n_val, n_train=20 - n_val)
    result = train(TrainingRequest(name, root, settings=settings, out=tmp_path / "out"))
    (warning,) = [text for text in result.warnings if text.startswith("few_validation")]
    assert f"{n_val} validation clips are too few for a threshold, 9 are needed; they were trained on" in warning
    assert warning in result.artifact.manifest.warnings
    data = result.artifact.manifest.data
    assert len(data.fitted_digests) + len(data.heldout_digests) == 20
    assert len(data.heldout_digests) == (0 if name == "vggish_knn" else 4)


def test_validation_clips_beside_which_nothing_is_left_to_fit_are_trained_on(tmp_path):
    root = with_validation(tmp_path / "pump", 12, n_train=1)
    result = train(TrainingRequest("vggish_knn", root, settings={"k": 2}, out=tmp_path / "out"))
    (warning,) = [text for text in result.warnings if text.startswith("few_validation")]
    assert "beside 12 validation clips there are too few to train on" in warning
    assert result.artifact.manifest.calibration.how == "cross_fit"
    assert result.artifact.manifest.calibration.n == 13


def test_anomalous_validation_clips_are_neither_fitted_nor_a_threshold(tmp_path):
    root = with_validation(tmp_path / "pump", 9)
    for number in range(3):
        write(root / "val" / "leak" / f"{number}.wav", seed=300 + number, knocks=4)
    result = train(TrainingRequest("vggish_knn", root, settings={"k": 2}, out=tmp_path / "out"))
    assert split_of(result.artifact.scores.clips) == {"val": 9, "test": 2}
    assert result.artifact.manifest.calibration.n == 9


def test_validation_clips_of_recordings_that_were_trained_on_are_warned_of(tmp_path):
    root = tmp_path / "pump"
    for split, days in (("train", (0, 1, 2)), ("val", (2, 3, 4))):
        for day in days:
            for number in range(4):
                seed = 100 * day + 10 * (split == "val") + number
                write(root / split / "normal" / f"day{day}_{seed}.wav", seed=seed)
    rules = FolderRules(recording_by=r"day\d")
    shared = train(TrainingRequest("vggish_knn", root, settings={"k": 2}, rules=rules, out=tmp_path / "out"))
    (warning,) = [text for text in shared.warnings if text.startswith("shared_recordings")]
    assert "4 of 12 validation clips are of recordings that were trained on" in warning
    for path in (root / "val" / "normal").glob("day2_*"):
        path.unlink()
    for number in range(3):
        write(root / "val" / "normal" / f"day5_{number}.wav", seed=700 + number)
    apart = train(TrainingRequest("vggish_knn", root, settings={"k": 2}, rules=rules, out=tmp_path / "out"))
    assert "shared_recordings" not in heads(apart.warnings)
    assert apart.artifact.manifest.calibration.n == 11


def test_one_clip_copied_nine_times_is_no_training(tmp_path):
    for number in range(9):
        write(tmp_path / "pump" / "val" / "normal" / f"{number}.wav", seed=1)
    with pytest.raises(InputError, match="3 distinct normal clips, got 1"):
        train(TrainingRequest("vggish_knn", tmp_path / "pump", out=tmp_path / "out"))


@pytest.mark.parametrize("name", ["vggish_knn", "lstm_predictor"])
def test_the_plan_holds_out_exactly_the_validation_clips(name, tmp_path):
    root = with_validation(tmp_path / "pump", 10)
    index = open_data_set(root).index
    normal = readable([clip for clip in index.select(label="normal") if clip.split != "test"], channel=None)
    plan = plan_calibration(normal, detector=detector_class(name).from_preset("quick"), channel=None)
    assert {normal.clips[row].split for row in plan.heldout} == {"val"}
    assert {normal.clips[row].split for row in plan.fitted} == {"train"}
    assert plan.never_fitted == plan.heldout


def test_a_file_whose_coding_cannot_be_read_is_refused_and_neither_lossy_nor_lossless(tmp_path):
    write(tmp_path / "pump" / "normal" / "0.wav")
    (tmp_path / "pump" / "normal" / "1.mp3").write_bytes(b"ID3" + bytes(200))
    found = readable(open_data_set(tmp_path / "pump").index.clips, channel=None)
    assert ([entry["path"] for entry in found.refused], found.codings) == (["normal/1.mp3"], ("",))
