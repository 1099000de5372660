"""Folders as people name them: what each clip is understood as, and which folders are refused with a way out."""

from __future__ import annotations

import re
from collections import defaultdict
from fnmatch import fnmatchcase

import pytest
from layouts import LINKS, MEANT, UNCLEAR, Read, lay, paths_of, write_sound
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.cli import main
from asd_core.data.folder_rules import ANOMALOUS_WORDS, NORMAL_WORDS, SPLITS, FolderRules
from asd_core.data.indexing import index_clips
from asd_core.errors import DataSetError, UsageError
from asd_core.tasks.assess import assess
from asd_core.tasks.train import TrainingRequest, train

DRAWN = ("train", "test")


def understood(layout, folder):
    """The index of a layout that was laid as `folder`."""
    return index_clips(folder, machine=layout.machine, rules=FolderRules(**layout.options))


def read_of(path, reads):
    """The one pattern that a path fits, and what it stands for."""
    fitting = [(pattern, read) for pattern, read in reads.items() if fnmatchcase(path, pattern)]
    assert len(fitting) == 1, f"{path} fits {len(fitting)} patterns"
    return fitting[0]


def check(layout, index, folder):
    """Compare an index with what the layout must be understood as."""
    met, recordings = set(), defaultdict(set)
    for clip in index.clips:
        path = (index.root / clip.relative).relative_to(folder).as_posix()
        pattern, expected = read_of(path, layout.reads)
        met.add(pattern)
        split = None if expected.split is None and clip.split in DRAWN else clip.split
        got = Read(clip.label, split, clip.machine_id, expected.recording, clip.kind)
        assert got == expected, path
        recordings[expected.label, expected.recording].add(clip.recording)
    assert met == set(layout.reads)
    assert index.machine == (layout.called or folder.name)
    _check_recordings(recordings)


def _check_recordings(found):
    """Clips with one name of ours share a recording of their own; those without have none, or are in several."""
    named = {key: names for key, names in found.items() if key[1] is not None}
    for key, names in named.items():
        assert len(names) == 1, f"{key} is in {names}"
        assert None not in names, f"{key} has no recording"
    for label in {label for label, _ in named}:
        of_label = [names for (other, _), names in named.items() if other == label]
        assert len(set.union(*of_label)) == len(of_label), f"two recordings of {label} are one"


@pytest.mark.parametrize("layout", MEANT, ids=lambda layout: layout.name)
def test_each_layout_is_understood(layout, tmp_path):
    folder = lay(layout, tmp_path / "machine 7")
    index = understood(layout, folder)
    check(layout, index, folder)
    assert index.skipped.to_json() == layout.skipped
    assert index.left_out == ()


@pytest.mark.parametrize("layout", UNCLEAR, ids=lambda layout: layout.name)
def test_each_unclear_layout_is_refused_and_says_what_is_wrong_and_the_way_out(layout, tmp_path):
    folder = lay(layout, tmp_path)
    with pytest.raises((DataSetError, UsageError)) as refusal:
        understood(layout, folder)
    text = str(refusal.value)
    assert [piece for piece in layout.says if piece not in text] == [], text


@pytest.mark.parametrize("layout", LINKS, ids=lambda layout: layout.name)
def test_links_are_followed_below_the_folder_that_was_named_and_a_circle_ends(layout, tmp_path):
    lay(layout, tmp_path)
    index = understood(layout, tmp_path / "set")
    check(layout, index, tmp_path / "set")
    assert index.skipped.to_json() == layout.skipped


def test_a_normal_label_that_no_folder_has_is_warned_of(tmp_path):
    for name in ("Tag/0.wav", "Tag/1.wav", "Nacht/0.wav"):
        write_sound(tmp_path / name)
    index = index_clips(tmp_path, rules=FolderRules(normal=("Tag", "Nacth")))
    assert [text for text in index.remarks if "Nacth" in text and "Tag" not in text] == list(index.remarks) != []
    assert index_clips(tmp_path, rules=FolderRules(normal=("Tag", "Nacht"))).remarks == ()


def test_unlabelled_clips_for_training_are_warned_of_with_the_options_that_make_them_normal(tmp_path):
    for name in ("train/0.wav", "train/1.wav", "test/good/0.wav", "test/bad/0.wav"):
        write_sound(tmp_path / name)
    (remark,) = index_clips(tmp_path).remarks
    assert "2 clips for training" in remark
    assert "--normal . --normal good" in remark
    index = index_clips(tmp_path, rules=FolderRules(normal=(".", "good")))
    assert index.remarks == ()
    assert len(index.select(label="normal", split="train")) == 2


def test_loose_clips_are_warned_of_with_a_table_that_may_label_them(tmp_path):
    write_sound(tmp_path / "0.wav")
    (tmp_path / "notes.csv").write_text("a,b\n")
    (tmp_path / "what we heard.csv").write_text("file,label\n0.wav,normal\n")
    (remark,) = index_clips(tmp_path).remarks
    assert "--normal ." in remark
    assert f'--labels "{tmp_path}/what we heard.csv"' in remark


def test_names_of_the_normal_label_hold_for_evaluating_too_until_others_are_given(tmp_path):
    for name in paths_of({"Tag/{}.wav": 12, "good/{}.wav": 12, "kaputt/{}.wav": 3}):
        write_sound(tmp_path / "set" / name)
    rules = FolderRules(normal=("Tag", "good"))
    result = train(TrainingRequest("vggish_knn", tmp_path / "set", rules=rules, out=tmp_path / "out"))
    assert open_artifact(result.model).manifest.data.normal == ("Tag", "good")
    assert {clip.kind for clip in assess(result.model, tmp_path / "set").clips} == {None, "kaputt"}
    with pytest.raises(DataSetError, match="--normal Tag --normal good"):
        assess(result.model, tmp_path / "set", rules=FolderRules(normal=("Tag",)))


def test_index_prints_names_that_no_terminal_obeys(tmp_path, capsys):
    for name in ("normal/0.wav", "normal/1.wav", "le\x1b[31mak/0.wav", "x\ny/0.wav"):
        write_sound(tmp_path / name)
    (tmp_path / "normal" / "1.wav").write_bytes((tmp_path / "le\x1b[31mak" / "0.wav").read_bytes())
    assert main(["index", str(tmp_path)]) == 0
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed
    assert "x\ny" not in printed
    assert "le\N{REPLACEMENT CHARACTER}[31mak/0.wav" in printed


# every word in any case


def spellings(word):
    """A word as people write it."""
    return word, word.upper(), word.title()


def test_every_word_for_a_fault_is_one_in_any_case_and_the_kind_keeps_its_spelling(tmp_path):
    words = ["abnormal", "anomaly", "anomalous", "faulty", "fault", "defect"]
    words += ["defective", "bad", "ng", "nok", "broken", "damaged"]
    write_sound(tmp_path / "set" / "normal" / "0.wav")
    for name in {spelling for word in words for spelling in spellings(word)}:
        write_sound(tmp_path / "set" / "train" / name / "0.wav")
    faults = index_clips(tmp_path / "set").select(label="anomalous")
    assert sorted(clip.kind for clip in faults) == sorted(
        spelling for word in words for spelling in set(spellings(word))
    )


def test_every_word_for_normal_is_one_in_any_case(tmp_path):
    words = ["normal", "healthy", "good", "ok", "io", "i.O.", "intact"]
    for name in {spelling for word in words for spelling in spellings(word)}:
        write_sound(tmp_path / "set" / name / "0.wav")
    index = index_clips(tmp_path / "set")
    assert len(index.clips) == 20  # I.O. is its own upper case
    assert {clip.label for clip in index.clips} == {"normal"}


def test_every_word_for_a_split_is_one_in_any_case(tmp_path):
    splits = {
        "train": "train",
        "training": "train",
        "val": "val",
        "valid": "val",
        "validation": "val",
        "test": "test",
        "testing": "test",
        "eval": "test",
        "evaluation": "test",
    }
    for word in splits:
        for name in spellings(word):
            write_sound(tmp_path / "set" / name / "good" / "0.wav")
    found = {clip.relative.split("/")[0]: clip.split for clip in index_clips(tmp_path / "set").clips}
    assert len(found) == 27
    assert found == {name: splits[name.lower()] for name in found}


def test_the_page_on_ones_own_files_lists_every_word_and_column():
    page = (PROJECT / "docs" / "your_own_files.md").read_text(encoding="utf-8")
    rows = [set(re.findall(r"`([^`]+)`", line.split("|")[1])) for line in page.splitlines() if line.startswith("| `")]
    assert set(NORMAL_WORDS) in rows
    assert set(ANOMALOUS_WORDS) in rows
    for split in ("train", "val", "test"):
        assert {word for word, meant in SPLITS.items() if meant == split} in rows
    columns = set().union(*rows)
    assert {"path", "file", "filename", "label", "id", "recording", "split", "kind", "start_s", "end_s"} <= columns
