"""Folders of published data sets and of other programs: understood, or refused with the next step."""

from __future__ import annotations

import pytest
from layouts import paths_of, write_sound

from asd_core.data.folder_rules import FolderRules, is_no_label, reads_like_fault, reads_like_normal, split_of
from asd_core.data.indexing import index_clips
from asd_core.errors import DataSetError


def lay(root, *patterns):
    for name in paths_of(dict.fromkeys(patterns, 3)):
        write_sound(root / name)
    return root


def by_folder(index):
    """Label and split of each folder's clips."""
    found = {}
    for clip in index.clips:
        found.setdefault(clip.relative.rpartition("/")[0], set()).add((clip.label, clip.split))
    return {folder: next(iter(said)) if len(said) == 1 else said for folder, said in found.items()}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train_cut", "train"), ("TRAIN-SET", "train"), ("Training data", "train"), ("trainset", "train")),
        *(("val_split", "val"), ("validation clips", "val"), ("valset", "val")),
        *(("test_cut", "test"), ("Test Set", "test"), ("testing.wav", "test"), ("evaluation_dataset", "test")),
        *((name, None) for name in ("test bench", "test 1", "test_rig", "trainer", "train 2", "training room")),
        *((name, None) for name in ("evaluated", "validated", "set", "pre-train", "train__set", "valve", "value")),
    ],
)
def test_a_split_may_say_what_it_is_a_split_of(name, split):
    assert split_of(name) == split


def test_a_folder_may_be_called_by_its_split_and_its_label(tmp_path):
    lay(tmp_path, "train_normal/{}.wav", "test normal/{}.wav", "ABNORMAL-TEST/{}.wav", "test_leak/{}.wav")
    assert by_folder(index_clips(tmp_path)) == {
        "train_normal": ("normal", "train"),
        "test normal": ("normal", "test"),
        "ABNORMAL-TEST": ("anomalous", "test"),
        "test_leak": ("anomalous", "test"),
    }
    own = FolderRules(normal=("train_normal", "test normal"))  # as it is said: they are labels
    assert {clip.split for clip in index_clips(tmp_path, rules=own).select(label="normal")} == {"train", "test"}


def test_cut_splits_of_a_published_set_are_splits(tmp_path):
    labels = ("engine1_good/{}.wav", "engine2_broken/{}.wav", "engine3_heavyload/{}.wav")
    lay(tmp_path, *(f"{split}/{label}" for split in ("train", "train_cut", "test_cut") for label in labels))
    with pytest.raises(DataSetError, match=r"it has engine1_good, engine2_broken, engine3_heavyload; .*engine1_good,"):
        index_clips(tmp_path)
    found = by_folder(index_clips(tmp_path, rules=FolderRules(normal=("engine1_good",))))
    assert found["train_cut/engine1_good"] == found["train/engine1_good"] == ("normal", "train")
    assert found["test_cut/engine1_good"] == ("normal", "test")
    assert found["test_cut/engine3_heavyload"] == ("anomalous", "test")


@pytest.mark.parametrize("name", ["no fault", "No_Fault", "defect-free", "not broken", "nonDefective", "ohne defect"])
def test_a_name_that_denies_a_fault_reads_like_normal(name):
    assert reads_like_normal(name)
    assert not reads_like_fault(name)


@pytest.mark.parametrize(
    "name", ["no good", "not bad", "not ok", "free", "no oil", "no oil, fault", "faulty, not ok", "x"]
)
def test_a_name_that_denies_another_thing_does_not_read_like_normal(name):
    assert not reads_like_normal(name)


def test_a_folder_that_denies_a_fault_is_never_a_kind_in_silence(tmp_path):
    lay(tmp_path, "good/{}.wav", "no fault/{}.wav", "leak/{}.wav")
    with pytest.raises(DataSetError, match=r'no fault in .* add --normal good --normal "no fault"'):
        index_clips(tmp_path)
    rules = FolderRules(normal=("good", "no fault"))
    assert len(index_clips(tmp_path, rules=rules).select(label="normal")) == 6


@pytest.mark.parametrize(
    ("name", "is_fault"),
    [
        *((name, True) for name in ("AnomalousSound_IND", "bearing fault", "broken_2", "Abnormal")),
        *((name, False) for name in ("bad weather", "ng", "no fault", "NormalSound_IND", "default", "leak")),
    ],
)
def test_names_read_like_faults_by_words_that_mean_nothing_else(name, is_fault):
    assert reads_like_fault(name) == is_fault


def test_faults_deep_in_a_folder_that_was_called_normal_are_no_training_clips(tmp_path):
    case = "ToyCar/case1"
    lay(tmp_path, f"{case}/NormalSound_IND/{{}}.wav", f"{case}/AnomalousSound_IND/{{}}.wav")
    with pytest.raises(DataSetError, match="folders whose names say normal: --normal NormalSound_IND"):
        index_clips(tmp_path)
    with pytest.raises(DataSetError, match="folder ToyCar and the folder AnomalousSound_IND say different things"):
        index_clips(tmp_path, rules=FolderRules(normal=("ToyCar",)))
    index = index_clips(tmp_path, rules=FolderRules(normal=("NormalSound_IND",)))
    assert {clip.relative.partition("/")[0]: clip.label for clip in index.clips} == {
        "NormalSound_IND": "normal",
        "AnomalousSound_IND": "anomalous",
    }


def test_weather_in_a_normal_folder_is_no_fault(tmp_path):
    lay(tmp_path, "normal/bad weather/{}.wav", "normal/sun/{}.wav", "leak/{}.wav")
    assert len(index_clips(tmp_path).select(label="normal")) == 6


def test_folders_that_are_numbers_may_be_labels_and_the_remark_says_how(tmp_path):
    lay(tmp_path, "0/{}.wav", "1/{}.wav", "10/{}.wav", "2/{}.wav")
    (remark,) = index_clips(tmp_path).remarks
    assert "if the folders 0, 1, 2 and 10 are labels, name the normal one, for example --normal 0; if all are" in remark
    lay(tmp_path, *(f"{number}/{{}}.wav" for number in range(20, 30)))
    (remark,) = index_clips(tmp_path).remarks
    assert "--normal 2" not in remark
    assert "--normal 0" not in remark


@pytest.mark.parametrize(
    "name", ["to check", "to_check", "Unclassified", "N/A", "todo", "-", "unsorted", "Background Noise"]
)
def test_names_that_say_nobody_has_judged_are_no_labels(name):
    assert is_no_label(name)
    assert not is_no_label(f"{name}-leak")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("Background Noise/{}.wav", "ok-samples/{}.wav", "Class 2/{}.wav"), "--normal ok-samples"),
        (("Normal Baseline Data/{}.wav", "12k Drive End Bearing Fault Data/{}.wav"), '--normal "Normal Baseline Data"'),
        (("in Ordnung/{}.wav", "nicht in Ordnung/{}.wav"), "it has in Ordnung, nicht in Ordnung; name the normal one"),
        (("normal_1500rpm/{}.wav", "normal_3000rpm/{}.wav"), "--normal normal_1500rpm --normal normal_3000rpm"),
        (("Call/{}.wav", "Voice Recorder/{}.wav"), "it has Call, Voice Recorder; name the normal one"),
        (("Ger\u00e4t 1/normal/{}.wav", "Ger\u00e4t 2/normal/{}.wav"), '--machine "Ger\u00e4t 1"'),
        (("mic1/normal/{}.wav", "mic1/leak/{}.wav", "mic2/normal/{}.wav"), "--machine mic1"),
    ],
)
def test_folders_of_other_programs_are_refused_with_the_option_that_helps(tmp_path, names, says):
    with pytest.raises(DataSetError) as refusal:
        index_clips(lay(tmp_path, *names))
    assert says in str(refusal.value)


def test_mimii_due_is_read_by_its_file_names(tmp_path):
    fan = tmp_path / "fan"
    lay(
        fan,
        "train/section_00_source_train_normal_000{}_m-n_W.wav",
        "source_test/section_00_source_test_anomaly_000{}.wav",
        "target_test/section_00_target_test_normal_000{}.wav",
    )
    assert by_folder(index_clips(tmp_path)) == {
        "train": ("normal", "train"),
        "source_test": ("anomalous", "test"),
        "target_test": ("normal", "test"),
    }


def test_a_table_of_a_control_system_is_read_in_its_language(tmp_path):
    lay(tmp_path, "aufnahmen/P101_{}.wav")
    lines = ["sep=;", "Zeit;file;label", "06:00;P101_0.wav;i.O.", "07:00;P101_1.wav;i.O.", "08:00;P101_2.wav;Störung"]
    (tmp_path / "labels.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    found = {clip.relative: (clip.label, clip.kind) for clip in index_clips(tmp_path).clips}
    assert found["aufnahmen/P101_0.wav"] == ("normal", None)
    assert found["aufnahmen/P101_2.wav"] == ("anomalous", "Störung")


def test_a_table_without_our_columns_names_those_it_has(tmp_path):
    lay(tmp_path, "aufnahmen/P101_{}.wav")
    (tmp_path / "labels.csv").write_bytes("sep=;\r\nDatei;Zustand\r\nP101_0.wav;gut\r\n".encode("cp1252"))
    with pytest.raises(DataSetError, match=r"column path \(or file, filename\) .* got 'datei', 'zustand'"):
        index_clips(tmp_path)
