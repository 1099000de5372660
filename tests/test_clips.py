"""What the index makes of each layout; recordings are in `test_recordings`."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest
import soundfile as sf

from asd_core.data.folder_rules import FolderRules
from asd_core.data.folders import list_files
from asd_core.data.indexing import index_clips
from asd_core.errors import DataSetError


def touch(root, *relatives, content=None):
    """Write small files, each of its own content unless one is given."""
    for relative in relatives:
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if content is not None else str(relative).encode())
    return root


def dcase2020(root, machine="slider"):
    return touch(
        root,
        f"{machine}/train/normal_id_00_00000000.wav",
        f"{machine}/train/normal_id_02_00000000.wav",
        f"{machine}/test/normal_id_00_00000000.wav",
        f"{machine}/test/anomaly_id_00_00000000.wav",
        f"{machine}/test/id_02_00000007.wav",
    )


def rows(index):
    return {clip.relative: (clip.machine_id, clip.split, clip.label, clip.kind) for clip in index.clips}


@pytest.mark.parametrize("inner", ["", "slider"])
def test_dcase2020_is_read_as_a_root_and_as_a_machine_folder(tmp_path, inner):
    index = index_clips(dcase2020(tmp_path) / inner)
    assert (index.machine, index.layout, index.machine_ids) == ("slider", "dcase2020", ("00", "02"))
    assert rows(index) == {
        "train/normal_id_00_00000000.wav": ("00", "train", "normal", None),
        "train/normal_id_02_00000000.wav": ("02", "train", "normal", None),
        "test/normal_id_00_00000000.wav": ("00", "test", "normal", None),
        "test/anomaly_id_00_00000000.wav": ("00", "test", "anomalous", None),
        "test/id_02_00000007.wav": ("02", "test", "unlabelled", None),
    }


def test_a_machine_folder_can_be_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(dcase2020(tmp_path) / "slider")
    index = index_clips(type(tmp_path)("."))
    assert (index.machine, len(index.clips)) == ("slider", 5)


def test_dcase2021_takes_split_and_section_from_the_name(tmp_path):
    touch(
        tmp_path,
        "valve/train/section_00_source_train_normal_0000_strength_1.wav",
        "valve/target_test/section_01_target_test_anomaly_0003.wav",
        "valve/source_test/section_01_source_test_normal_0003.WAV",
    )
    index = index_clips(tmp_path)
    assert (index.machine, index.layout) == ("valve", "dcase2021")
    assert [value[:3] for value in rows(index).values()] == [
        ("01", "test", "normal"),
        ("01", "test", "anomalous"),
        ("00", "train", "normal"),
    ]


def test_dcase2021_names_tell_domain_and_attributes(tmp_path):
    touch(
        tmp_path,
        "ToyCar/train/section_00_source_train_normal_0000_car_A1_spd_28V_mic_1.wav",
        "ToyCar/train/section_00_target_train_normal_0001_noAttribute.wav",
        "ToyCar/test/section_00_target_test_anomaly_0000.wav",
        "ToyCar/test/section_00_0002.wav",
    )
    index = index_clips(tmp_path)
    assert {clip.path.stem[-10:]: (clip.domain, clip.attributes) for clip in index.clips} == {
        "_28V_mic_1": ("source", "car_A1_spd_28V_mic_1"),
        "oAttribute": ("target", "noAttribute"),
        "omaly_0000": ("target", None),
        "on_00_0002": (None, None),
    }
    assert index.domains() == {"source": 1, "target": 2}


def test_recordings_that_do_not_fit_the_layout_are_left_out_and_named(tmp_path):
    touch(
        tmp_path,
        "fan/train/normal_id_00_00000000.wav",
        "fan/train/normal_id_0_00000001.wav",
        "fan/more/normal_id_00_00000002.flac",
        "pump/test/id_00_00000000.wav",
    )
    index = index_clips(tmp_path, machine="fan")
    assert [clip.relative for clip in index.clips] == ["train/normal_id_00_00000000.wav"]
    assert index.left_out == ("more/normal_id_00_00000002.flac", "train/normal_id_0_00000001.wav")
    assert index_clips(tmp_path, machine="pump").left_out == ()


def test_dcase2021_evaluation_clips_without_a_label_are_unlabelled_test_clips(tmp_path):
    touch(
        tmp_path,
        "bearing/test/section_03_source_test_0000.wav",
        "bearing/test/section_04_0001.wav",
        "bearing/test/section_05_test_0002.wav",
        "bearing/train/section_03_target_train_normal_0000_vel_8.wav",
    )
    index = index_clips(tmp_path)
    assert index.layout == "dcase2021"
    assert [value[:3] for value in rows(index).values()] == [
        ("03", "test", "unlabelled"),
        ("04", "test", "unlabelled"),
        ("05", "test", "unlabelled"),
        ("03", "train", "normal"),
    ]


def test_raw_mimii_gets_a_training_split_of_its_normal_clips(tmp_path):
    touch(tmp_path, *(f"fan/id_0{i % 2}/normal/{i // 2:08d}.wav" for i in range(20)))
    touch(tmp_path, *(f"fan/id_00/abnormal/{i:08d}.wav" for i in range(3)))
    index = index_clips(tmp_path)
    assert (index.machine, index.layout) == ("fan", "mimii")
    assert index.counts()["00"] == {
        "train": {"normal": 6, "anomalous": 0, "unlabelled": 0},
        "test": {"normal": 4, "anomalous": 3, "unlabelled": 0},
    }


def test_equal_names_across_splits_and_ids_never_collide(tmp_path):
    touch(tmp_path / "a", *(f"fan/id_0{i}/{label}/00000000.wav" for i in range(3) for label in ("normal", "abnormal")))
    assert len({clip.relative for clip in index_clips(tmp_path / "a").clips}) == 6
    index = index_clips(dcase2020(tmp_path / "b"))
    assert len({clip.relative for clip in index.clips}) == len(index.clips) == 5


def test_own_recordings_without_ids(tmp_path):
    touch(tmp_path / "Pump 3", *(f"Normal/{i}.WAV" for i in range(10)), "Worn bearing/a.FLAC", "leak/b.Wav")
    index = index_clips(tmp_path / "Pump 3")
    assert (index.machine, index.layout, index.machine_ids) == ("Pump 3", "folders", ("00",))
    assert index.kinds() == ("Worn bearing", "leak")
    assert index.counts()["00"]["train"] == {"normal": 6, "anomalous": 0, "unlabelled": 0}
    assert index.counts()["00"]["test"] == {"normal": 4, "anomalous": 2, "unlabelled": 0}


def test_sub_folders_of_own_recordings_are_ids_where_that_is_said(tmp_path):
    touch(tmp_path, *(f"ok/north/{i}.wav" for i in range(5)), *(f"ok/south/{i}.wav" for i in range(10)))
    touch(tmp_path, "broken/south/1.wav", "loose.wav", "ok/north/deep/er/1.wav")
    index = index_clips(tmp_path, rules=FolderRules(ids_from="folder"))
    assert index.machine_ids == ("00", "north", "south")
    assert index.counts()["north"]["train"]["normal"] == 6  # nothing there to test
    assert index.counts()["south"]["train"]["normal"] == 6
    assert rows(index)["broken/south/1.wav"] == ("south", "test", "anomalous", "broken")
    assert rows(index)["loose.wav"][2] == "unlabelled"
    index = index_clips(tmp_path)
    assert index.machine_ids == ("00",)
    assert {clip.recording for clip in index.select(label="normal")} == {"ok/north", "ok/north/deep/er", "ok/south"}


def test_the_normal_label_can_be_named(tmp_path):
    touch(tmp_path, "Gut/1.wav", "quietscht/1.wav")
    labels = {clip.relative: clip.label for clip in index_clips(tmp_path, rules=FolderRules(normal=("gut",))).clips}
    assert labels == {"Gut/1.wav": "normal", "quietscht/1.wav": "anomalous"}
    touch(tmp_path, "normal/1.wav")
    with pytest.raises(DataSetError, match=r"normal in .* would count as anomalous.*--normal gut --normal normal"):
        index_clips(tmp_path, rules=FolderRules(normal=("gut",)))


def test_no_normal_label_lists_the_folders(tmp_path):
    touch(tmp_path, "broken/1.wav", "Gut/1.wav")
    with pytest.raises(DataSetError, match="it has Gut, broken; name the normal one with --normal"):
        index_clips(tmp_path)
    with pytest.raises(DataSetError, match="it has Gut, broken"):
        index_clips(tmp_path, rules=FolderRules(normal=("healthy",)))


def test_loose_files_are_unlabelled_test_clips(tmp_path):
    index = index_clips(touch(tmp_path, "normal_1.wav", "b.FLAC", "notes.txt"))
    assert index.layout == "loose"
    assert {value[1:3] for value in rows(index).values()} == {("test", "unlabelled")}
    assert len(index.clips) == 2


def test_several_machines_are_named_and_one_can_be_chosen(tmp_path):
    dcase2020(dcase2020(tmp_path, "fan"), "slider")
    with pytest.raises(DataSetError, match=r"several machines \(fan, slider\).*--machine"):
        index_clips(tmp_path)
    assert index_clips(tmp_path, machine="fan").root == tmp_path / "fan"


def test_an_unknown_machine_or_id_is_refused_by_name(tmp_path):
    dcase2020(tmp_path)
    with pytest.raises(DataSetError, match="no machine 'gearbox'; it has slider"):
        index_clips(tmp_path, machine="gearbox")
    with pytest.raises(DataSetError, match="slider has no id 06; it has 00, 02"):
        index_clips(tmp_path, ids=("00", "06"))
    assert index_clips(tmp_path, ids=("02",)).machine_ids == ("02",)


def test_no_folder_and_no_audio_are_refused(tmp_path):
    with pytest.raises(DataSetError, match="is not a folder"):
        index_clips(tmp_path / "missing")
    with pytest.raises(DataSetError, match=r"holds no recording: 1 skipped: 1 \.txt \(readme\.txt\)"):
        index_clips(touch(tmp_path, "readme.txt"))


def test_hidden_folders_are_left_out_and_links_are_followed(tmp_path):
    touch(tmp_path / "elsewhere", "far.wav")
    touch(tmp_path / "here", "a.wav", ".hidden/b.wav", "sub/.git/c.wav")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "link.wav").symlink_to(tmp_path / "elsewhere" / "far.wav")
    assert [path.name for path in list_files(tmp_path / "here").audio] == ["a.wav", "link.wav", "far.wav"]
    inside = list_files(tmp_path / "here", within=[(tmp_path / "here").resolve()])
    assert [path.name for path in inside.audio] == ["a.wav"]
    assert inside.skipped.to_json() == {"links that lead nowhere or elsewhere": 2, "hidden": 2}


def test_a_loop_of_links_ends(tmp_path):
    touch(tmp_path, "a.wav")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(list_files(tmp_path).audio) == 1


def test_a_linked_recording_is_never_a_training_clip_of_unread_bytes(tmp_path):
    touch(tmp_path / "data", *(f"normal/{i}.wav" for i in range(5)))
    (tmp_path / "data" / "normal" / "missing.wav").symlink_to(tmp_path / "nowhere")
    index = index_clips(tmp_path / "data")
    assert len(index.clips) == 5
    assert index.skipped.kinds == {"links that lead nowhere or elsewhere": ("normal/missing.wav",)}


def test_the_training_split_of_own_recordings_does_not_depend_on_the_order_of_writing(tmp_path):
    names = [f"normal/{i}.wav" for i in range(30)] + ["leak/0.wav"]
    first = index_clips(touch(tmp_path / "a" / "m", *names), seed=3)
    random.Random(1).shuffle(names)
    second = index_clips(touch(tmp_path / "b" / "m", *names), seed=3)
    assert rows(first) == rows(second)
    assert rows(first) != rows(index_clips(tmp_path / "a" / "m", seed=4))
    assert len(first.select(split="train")) == 18


def test_copies_among_own_recordings_stand_on_one_side(tmp_path):
    for copy in range(2):
        for i in range(20):
            for label, seed in (("normal", i), ("leak", 100 + i)):
                path = touch(tmp_path, f"{label}/0{copy}/{i}.wav") / f"{label}/0{copy}/{i}.wav"
                sf.write(path, 0.1 * np.random.default_rng(seed).standard_normal(9600), 16_000)
    for seed in range(3):
        split_of = collections.defaultdict(set)
        for clip in index_clips(tmp_path, seed=seed).select(label="normal"):
            split_of[clip.path.read_bytes()].add(clip.split)
        assert all(len(splits) == 1 for splits in split_of.values())


@pytest.mark.real_data
def test_the_real_slider_has_75_training_and_6_test_clips(real_clips):
    index = index_clips(real_clips, machine="slider")
    assert index.layout == "dcase2020"
    assert len(index.select(split="train", label="normal")) == 75
    assert len(index.select(split="test", label="normal")) == 3
    assert len(index.select(split="test", label="anomalous")) == 3


@pytest.mark.real_data
def test_the_real_root_names_its_machines(real_clips):
    with pytest.raises(DataSetError, match=r"ToyCar.*slider"):
        index_clips(real_clips)
