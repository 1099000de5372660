"""Data sets of long recordings: cut into clips, indexed, trained on and judged."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile as sf
from compressed import CODINGS, encoded, noisy_hum
from sounds import hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.data.data_set import FileClips, describe_index, open_data_set
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import PARTIAL_ENDS, index_clips
from asd_core.errors import AudioError, DataSetError, UsageError
from asd_core.features import cache as feature_cache
from asd_core.features.cache import read_clip, read_named, split_name
from asd_core.tasks.assess import assess
from asd_core.tasks.recalibrate import recalibrate
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR


def write(path, *, seconds, seed=0, knocks=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_wav(hum(seed, seconds=seconds, knocks=knocks).samples))
    return path


def cut(root, segment_s, hop_s=None, **options):
    return index_clips(root, rules=FolderRules(segment_s=segment_s, hop_s=hop_s, **options))


def names(index):
    return [clip.relative for clip in index.clips]


def ends(index):
    return index.skipped.kinds.get(PARTIAL_ENDS, ())


# cutting


def test_clips_of_a_recording_are_ordered_by_time_and_recordings_by_name(tmp_path):
    for name in ("b.wav", "a.wav"):
        write(tmp_path / "normal" / name, seconds=12.0)
    found = names(cut(tmp_path, 1.0))
    assert found == [f"normal/{name}.wav#t={at},{at + 1}" for name in "ab" for at in range(12)]


@pytest.mark.parametrize(
    ("seconds", "segment_s", "hop_s", "starts", "end"),
    [
        (6.0, 2.0, None, [0, 2, 4], None),
        (6.4, 2.0, None, [0, 2, 4], None),  # too little to be a clip
        (6.5, 2.0, None, [0, 2, 4], "6"),
        (5.0, 2.0, 1.0, [0, 1, 2, 3], None),
        (5.7, 2.0, 1.0, [0, 1, 2, 3], "5"),
        (9.0, 1.0, 4.0, [0, 4, 8], None),
        (8.7, 1.0, 4.0, [0, 4], "8"),
        (7.9, 1.0, 4.0, [0, 4], None),  # within a gap that was asked for
    ],
)
def test_segments_are_whole_and_an_end_that_is_left_over_is_counted(tmp_path, seconds, segment_s, hop_s, starts, end):
    write(tmp_path / "normal" / "a.wav", seconds=seconds)
    index = cut(tmp_path, segment_s, hop_s)
    assert [clip.span for clip in index.clips] == [(at, at + segment_s) for at in starts]
    assert ends(index) == (() if end is None else (f"normal/a.wav from {end} s",))


def test_a_recording_shorter_than_a_segment_is_counted(tmp_path):
    write(tmp_path / "normal" / "a.wav", seconds=2.0)
    write(tmp_path / "normal" / "b.wav", seconds=1.9)
    index = cut(tmp_path, 2.0)
    assert (names(index), ends(index)) == (["normal/a.wav#t=0,2"], ("normal/b.wav from 0 s",))


def test_recordings_that_are_all_shorter_than_a_segment_are_refused_with_what_to_change(tmp_path):
    for name in ("normal/a.wav", "normal/b.wav", "leak/c.wav"):
        write(tmp_path / name, seconds=1.0)
    with pytest.raises(
        DataSetError, match=r"the 3 recordings .* shorter than the segments of 5 s .* \(--segment\)"
    ) as refusal:
        cut(tmp_path, 5.0)
    assert "Enter a shorter length" in refusal.value.advice
    assert "--" not in refusal.value.advice


def test_hops_that_no_binary_number_has_lose_no_clip(tmp_path):
    write(tmp_path / "normal" / "a.wav", seconds=3.0)
    index = cut(tmp_path, 0.6, 0.1)
    assert len(index.clips) == 25
    assert names(index)[3] == "normal/a.wav#t=0.3,0.9"
    assert {clip.path for clip in index.clips} == {tmp_path / "normal" / "a.wav"}
    assert len({read_clip(clip.path, span=clip.span).n_samples for clip in index.clips}) == 1


def test_a_stretch_read_by_its_name_is_the_clip(tmp_path):
    write(tmp_path / "normal" / "a.wav", seconds=4.0)
    for clip in cut(tmp_path, 1.0, 1 / 3).clips:
        digest = read_clip(clip.path, span=clip.span).digest
        assert read_named(tmp_path, clip.relative).digest == digest, clip.relative


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/run.wav", ("a/run.wav", None)),
        ("a/run.wav#t=10,20", ("a/run.wav", (10.0, 20.0))),
        ("run#t=1,2.wav#t=0.5,1.25", ("run#t=1,2.wav", (0.5, 1.25))),
        ("run#t=1,2.wav", ("run#t=1,2.wav", None)),
        ("run.wav#t=1", ("run.wav#t=1", None)),
        ("run.wav#t=-1,2", ("run.wav#t=-1,2", None)),
        ("run.wav#t=a,b", ("run.wav#t=a,b", None)),
    ],
)
def test_a_name_says_file_and_stretch(name, parts):
    assert split_name(name) == parts


def test_a_file_whose_name_looks_like_a_stretch_is_read_whole(tmp_path):
    write(tmp_path / "run.wav", seconds=3.0, seed=1)
    other = write(tmp_path / "run.wav#t=0,1.wav", seconds=2.0, seed=2)
    assert read_named(tmp_path, other.name).n_samples == 2 * SR
    assert read_named(tmp_path, "run.wav#t=0,1").n_samples == SR


def test_each_file_is_one_recording_also_one_that_is_refused(tmp_path):
    for day in ("monday", "tuesday"):
        for name in ("a.wav", "b.wav"):
            write(tmp_path / "normal" / day / name, seconds=3.0)
    (tmp_path / "normal" / "tuesday" / "c.wav").write_bytes(b"RIFF")
    index = cut(tmp_path, 1.0)
    assert len(index.clips) == 13
    assert all(clip.recording == clip.relative.partition("#")[0] for clip in index.clips)
    assert describe_index(open_data_set(tmp_path, rules=FolderRules(segment_s=1.0))).recordings.n == 4


def test_a_refused_file_stays_in_the_list_with_its_refusal(tmp_path):
    write(tmp_path / "normal" / "a.wav", seconds=3.0)
    (tmp_path / "normal" / "b.wav").write_bytes(b"RIFF")
    report = describe_index(open_data_set(tmp_path, rules=FolderRules(segment_s=1.0)))
    assert (report.n_clips, [entry["path"] for entry in report.refused]) == (4, ["normal/b.wav"])


def test_channels_of_a_recording_that_is_cut_are_counted_once(tmp_path):
    write(tmp_path / "normal" / "a.wav", seconds=3.0)
    sf.write(tmp_path / "normal" / "b.wav", noisy_hum(SR, seconds=3.0, n_channels=2).T, SR, subtype="PCM_16")
    warnings = describe_index(open_data_set(tmp_path, rules=FolderRules(segment_s=1.0))).warnings
    assert [text for text in warnings if text.startswith("channels: 1 of 2 files have 2 channels")]


def test_a_compressed_recording_is_cut_like_any_other(tmp_path):
    (tmp_path / "normal").mkdir()
    content = encoded(noisy_hum(44_100, seconds=5.0), CODINGS["M4A"])
    (tmp_path / "normal" / "memo.m4a").write_bytes(content)
    index = cut(tmp_path, 2.0)
    assert names(index) == ["normal/memo.m4a#t=0,2", "normal/memo.m4a#t=2,4"]
    assert ends(index) == ("normal/memo.m4a from 4 s",)
    assert [waveform.n_samples for waveform in FileClips(index.clips)] == [2 * SR, 2 * SR]


def test_stretches_of_a_table_are_cut_and_those_beyond_the_end_are_counted(tmp_path):
    write(tmp_path / "run.wav", seconds=10.0)
    lines = ["path,label,start_s,end_s", "run.wav,normal,0.5,4.6", "run.wav,leak,6,30", "run.wav,normal,40,50"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    index = cut(tmp_path, 2.0)
    assert [(clip.relative, clip.label) for clip in index.clips] == [
        ("run.wav#t=0.5,2.5", "normal"),
        ("run.wav#t=2.5,4.5", "normal"),
        ("run.wav#t=6,8", "anomalous"),
        ("run.wav#t=8,10", "anomalous"),
    ]
    assert ends(index) == ("run.wav from 40 s",)


def test_recordings_that_a_table_names_stay_those_of_its_segments(tmp_path):
    for name in ("a.wav", "b.wav", "c.wav"):
        write(tmp_path / name, seconds=2.0)
    lines = ["path,label,recording", "a.wav,ok,monday", "b.wav,ok,monday", "c.wav,ok,tuesday"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found = {clip.relative: clip.recording for clip in cut(tmp_path, 1.0).clips}
    assert found == {
        f"{name}.wav#t={at},{at + 1}": day for name, day in zip("abc", ("monday", "monday", "tuesday"), strict=True)
        for at in (0, 1)
    }  # fmt: skip


def test_published_layouts_are_cut_too(tmp_path):
    write(tmp_path / "slider" / "train" / "normal_id_00_00000000.wav", seconds=4.0)
    index = cut(tmp_path, 2.0)
    assert [(clip.relative, clip.split, clip.machine_id) for clip in index.clips] == [
        ("train/normal_id_00_00000000.wav#t=0,2", "train", "00"),
        ("train/normal_id_00_00000000.wav#t=2,4", "train", "00"),
    ]


@pytest.mark.parametrize(("segment_s", "hop_s"), [(0.1, None), (700.0, None), (float("nan"), None), (2.0, 0.0)])
def test_segments_out_of_range_are_refused(tmp_path, segment_s, hop_s):
    write(tmp_path / "normal" / "a.wav", seconds=1.0)
    with pytest.raises(UsageError, match="segments must"):
        cut(tmp_path, segment_s, hop_s)


def test_a_hop_without_segments_is_refused(tmp_path, capsys):
    write(tmp_path / "normal" / "a.wav", seconds=1.0)
    assert main(["index", str(tmp_path), "--hop", "1"]) == 2
    assert "--hop needs --segment" in capsys.readouterr().err


# the feature cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, which trusts the status of files that were just written."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("ASD_CACHE_MB", "64")
    monkeypatch.setattr(feature_cache, "_SETTLED_S", -1.0)
    return feature_cache.opened()


def test_two_stretches_of_a_file_and_the_file_share_no_entry(tmp_path, cache):
    path = write(tmp_path / "a.wav", seconds=3.0)
    spans = [(0.0, 1.0), (1.0, 2.0), (0.0, 2.0), None]
    first = [read_clip(path, span=span) for span in spans]
    means = [each.derived("mean", lambda each=each: np.array([each.samples.mean()])) for each in first]
    again = [read_clip(path, span=span) for span in spans]
    assert [each.digest for each in again] == [each.digest for each in first]
    assert len({each.digest for each in again}) == 4
    assert [each.n_samples for each in again] == [SR, SR, 2 * SR, 3 * SR]
    for each, mean in zip(again, means, strict=True):
        assert each.derived("mean", lambda: np.array([9.0])) == mean  # kept, not computed
    assert all(np.array_equal(each.samples, before.samples) for each, before in zip(again, first, strict=True))


def test_a_known_stretch_is_not_read_again_until_its_file_changes(tmp_path, cache, monkeypatch):
    path = write(tmp_path / "a.wav", seconds=3.0)
    n_read = []
    real = feature_cache.read_stretch
    monkeypatch.setattr(feature_cache, "read_stretch", lambda *args, **kw: n_read.append(args[1]) or real(*args, **kw))
    before = read_clip(path, span=(1.0, 2.0)).digest
    assert read_clip(path, span=(1.0, 2.0)).digest == before
    assert n_read == [(1.0, 2.0)]
    write(path, seconds=3.0, seed=1)
    assert read_clip(path, span=(1.0, 2.0)).digest != before
    assert n_read == [(1.0, 2.0)] * 2


def test_a_stretch_that_changes_between_digest_and_samples_keeps_its_sound_or_is_refused(tmp_path, cache):
    path = write(tmp_path / "a.wav", seconds=3.0)
    before = read_clip(path, span=(1.0, 2.0)).samples.copy()
    known, other = (read_clip(path, span=(1.0, 2.0)) for _ in range(2))
    write(path, seconds=3.0, seed=1)
    assert np.array_equal(known.samples, before)
    feature_cache.opened().forget(feature_cache._samples_key(other.digest))
    with pytest.raises(AudioError, match="changed while it was in use"):
        _ = other.samples


def test_a_stretch_far_into_a_recording_is_not_read_twice(tmp_path, cache, monkeypatch):
    path = write(tmp_path / "a.wav", seconds=3.0)
    first = read_clip(path, span=(1.0, 2.0)).samples
    monkeypatch.setattr(feature_cache, "read_stretch", lambda *_, **__: pytest.fail("read again"))
    again = read_clip(path, span=(1.0, 2.0)).samples
    assert np.array_equal(again, first)
    assert again.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 1.0


def test_kept_samples_that_are_not_those_of_the_digest_are_read_anew(tmp_path, cache):
    path = write(tmp_path / "a.wav", seconds=3.0)
    first = read_clip(path, span=(1.0, 2.0))
    store = feature_cache.opened()
    store.write(feature_cache._samples_key(first.digest), np.zeros(SR, np.float32).tobytes())
    assert np.array_equal(read_clip(path, span=(1.0, 2.0)).samples, first.samples)


# training and judging


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """Eight long normal recordings and two anomalous ones, each of more clips than one, and an end too short."""
    root = tmp_path_factory.mktemp("plant") / "fan"
    for number in range(8):
        write(root / "normal" / f"day {number}.wav", seconds=6.5, seed=number)
    for number in range(2):
        write(root / "leak" / f"{number}.wav", seconds=4.0, seed=50 + number, knocks=6)
    return root


@pytest.fixture(scope="module")
def trained(plant, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    rules = FolderRules(segment_s=2.0, hop_s=1.5)
    return train(TrainingRequest("vggish_knn", plant, settings={"k": 2}, rules=rules, out=out))


def test_a_training_holds_whole_recordings_out_and_keeps_how_they_were_cut(trained, plant):
    data = trained.artifact.manifest.data
    assert (data.segment_s, data.hop_s) == (2.0, 1.5)
    assert trained.artifact.manifest.calibration.recordings_from == "given"
    heldout, test = (trained.artifact.scores.of(split).clips for split in ("heldout", "test"))
    files = [{clip.path.partition("#")[0] for clip in clips} for clips in (heldout, test)]
    assert not files[0] & files[1]
    assert len(heldout) == 4 * len(files[0]) == len(data.fitted_digests)
    assert {name for name in files[1] if name.startswith("leak")} == {"leak/0.wav", "leak/1.wav"}


def test_exported_scores_name_stretches_that_can_be_heard(trained, plant):
    for clip in trained.artifact.scores.clips:
        assert read_named(plant, clip.path).digest == clip.digest, clip.path


def test_evaluating_cuts_as_the_training_did_and_excludes_what_was_trained_on(trained, plant):
    found = assess(trained.model, plant)
    assert {round(clip.span[1] - clip.span[0], 3) for clip in found.clips} == {2.0}
    stored = {clip.path: clip.anomaly_score for clip in trained.artifact.scores.of("test").clips}
    assert {clip.path: clip.anomaly_score for clip in found.scores.clips} == stored
    assert not [text for text in found.warnings if text.startswith("other_segments")]


def test_evaluating_with_other_segments_takes_their_own_hop_and_is_warned_of(trained, plant):
    found = assess(trained.model, plant, rules=FolderRules(segment_s=3.0))
    assert {clip.span for clip in found.clips} <= {(0.0, 3.0), (3.0, 6.0)}
    (warning,) = [text for text in found.warnings if text.startswith("other_segments")]
    assert "clips of 2 s, tested on 3 s" in warning
    same = assess(trained.model, plant, rules=FolderRules(segment_s=2.0, hop_s=1.5))
    assert not [text for text in same.warnings if text.startswith("other_segments")]


def test_recalibrating_cuts_as_the_training_did(trained, plant):
    before = open_artifact(trained.model).manifest
    after = recalibrate(trained.model, plant).artifact.manifest
    assert (after.data, after.threshold) == (before.data, before.threshold)


def test_commands_say_what_the_long_recordings_gave(plant, tmp_path, capsys):
    report = tmp_path / "index.json"
    assert main(["index", str(plant), "--segment", "2", "--json", str(report)]) == 0
    assert "8 skipped: 8 ends shorter than a segment (normal/day 0.wav from 6 s, " in "".join(capsys.readouterr())
    content = json.loads(report.read_text())
    assert (content["n_clips"], content["recordings"]) == (28, {"n": 10, "how": "given"})
    assert content["skipped"] == {PARTIAL_ENDS: 8}


def test_json_scores_and_html_of_a_detector_of_long_recordings(trained, plant, tmp_path, capsys):
    report, page = tmp_path / "evaluation.json", tmp_path / "report.html"
    model = str(trained.model)
    assert main(["evaluate", model, "--data", str(plant), "--json", str(report)]) == 0
    content = json.loads(report.read_text())
    assert (content["n_anomalous"], content["n_excluded"]) == (4, 0)
    assert content["auc_pooled"] == 1.0
    assert main(["report", model, "--data", str(plant), "--out", str(page)]) == 0
    assert trained.artifact.title in page.read_text(encoding="utf-8")
    scores = tmp_path / "scores.csv"
    command = ["score", str(plant / "leak"), "--model", model, "--segment", "2", "--hop", "1.5", "--csv", str(scores)]
    assert main(command) == 0
    rows = list(csv.DictReader(io.StringIO(scores.read_text(encoding="utf-8"))))
    stored = {clip.path: clip.anomaly_score for clip in trained.artifact.scores.of("test").clips}
    whole = {
        f"leak/{row['path'].rpartition('/')[2]}#t={float(row['start_s']):g},{float(row['end_s']):g}": row
        for row in rows
    }
    for name in ("leak/0.wav#t=0,2", "leak/1.wav#t=1.5,3.5"):
        assert float(whole[name]["anomaly_score"]) == pytest.approx(stored[name], rel=1e-5)
