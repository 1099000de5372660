"""Label tables, Audacity's label tracks and segments: what they make of clips, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import write_sound

from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.errors import DataSetError, UsageError

NAMES = ("a.wav", "b.wav", "Lüfter/c.wav", "d.wav")
ROWS = (
    ("filename", "label", "id", "recording", "split", "kind"),
    ("a.wav", "normal", "left", "monday", "train", ""),
    ("b.wav", "OK", "left", "tuesday", "Testing", ""),
    ("Lüfter/c.wav", "Faulty", "right", "tuesday", "test", "bearing"),
)
MEANING = {
    "a.wav": ("normal", "train", "left", "monday", None),
    "b.wav": ("normal", "test", "left", "tuesday", None),
    "Lüfter/c.wav": ("anomalous", "test", "right", "tuesday", "bearing"),
    "d.wav": ("unlabelled", "test", "00", None, None),
}


@pytest.fixture
def folder(tmp_path):
    """Four sounds, one in a folder that is no label."""
    for name in NAMES:
        write_sound(tmp_path / "set" / name)
    return tmp_path / "set"


def table(*rows, separator=","):
    """A table's text."""
    return "".join(separator.join(row) + "\r\n" for row in rows)


def labelled(folder, *rows, **options):
    """The index of a folder with a `labels.csv` of these rows."""
    (folder / "labels.csv").write_text(table(*rows), encoding="utf-8")
    return index_clips(folder, rules=FolderRules(**options))


def meaning(index):
    """What is understood of each clip."""
    return {clip.relative: (clip.label, clip.split, clip.machine_id, clip.recording, clip.kind) for clip in index.clips}


def labels(index):
    """The label of each clip."""
    return {clip.relative: clip.label for clip in index.clips}


# how a table is written


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_table_is_read_with_each_separator_and_encoding(folder, separator, encoding):
    text = table(*ROWS, separator=separator)
    if encoding == "utf-16-le":
        text = "\ufeff" + text
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    index = index_clips(folder)
    assert meaning(index) == MEANING
    assert not index.skipped


@pytest.mark.parametrize("column", ["path", "file", "filename", "Path", "FileName", " file "])
def test_the_column_of_names_has_several_names_in_any_case(folder, column):
    index = labelled(folder, (column, "Label"), ("a.wav", "normal"), ("b.wav", "leak"))
    assert (labels(index)["a.wav"], labels(index)["b.wav"]) == ("normal", "anomalous")


def test_other_columns_empty_lines_and_quotes_do_no_harm(folder):
    write_sound(folder / "one, two.wav")
    text = 'note,label,path\n"said ""loud""",normal,"one, two.wav"\n\n,leak,b.wav\n'
    (folder / "labels.csv").write_text(text)
    index = index_clips(folder)
    assert labels(index)["one, two.wav"] == "normal"
    assert labels(index)["b.wav"] == "anomalous"


def test_a_table_elsewhere_is_used_where_it_is_named_and_its_paths_are_those_below_the_folder(folder, tmp_path):
    place = tmp_path / "what we heard.tsv"
    place.write_text(table(("path", "label"), ("Lüfter/c.wav", "normal"), ("a.wav", "leak"), separator="\t"))
    index = index_clips(folder, rules=FolderRules(labels=place))
    assert (labels(index)["Lüfter/c.wav"], labels(index)["a.wav"]) == ("normal", "anomalous")


def test_a_table_that_is_named_counts_instead_of_the_one_in_the_folder(folder, tmp_path):
    (folder / "labels.csv").write_text(table(("path", "label"), ("a.wav", "normal"), ("b.wav", "leak")))
    place = tmp_path / "others.csv"
    place.write_text(table(("path", "label"), ("b.wav", "normal"), ("a.wav", "leak")))
    index = index_clips(folder, rules=FolderRules(labels=place))
    assert (labels(index)["a.wav"], labels(index)["b.wav"]) == ("anomalous", "normal")
    assert index.skipped.to_json() == {".csv": 1}


def test_paths_of_windows_are_paths(folder):
    index = labelled(folder, ("path", "label"), ("Lüfter\\c.wav", "leak"), (".\\a.wav", "normal"))
    assert (labels(index)["Lüfter/c.wav"], labels(index)["a.wav"]) == ("anomalous", "normal")


def test_names_that_a_mac_wrote_in_pieces_are_the_same_names(folder):
    write_sound(folder / "c.wav")
    index = labelled(folder, ("path", "label"), ("Lu\u0308fter/c.wav", "leak"), ("a.wav", "normal"))
    assert (labels(index)["Lüfter/c.wav"], labels(index)["c.wav"]) == ("anomalous", "unlabelled")


def test_a_name_alone_finds_the_one_file_of_that_name_in_a_folder(folder):
    index = labelled(folder, ("filename", "label"), ("c.wav", "leak"), ("a.wav", "normal"))
    assert labels(index)["Lüfter/c.wav"] == "anomalous"
    write_sound(folder / "other" / "c.wav")
    index = labelled(folder, ("filename", "label"), ("c.wav", "leak"), ("a.wav", "normal"))
    assert (labels(index)["Lüfter/c.wav"], labels(index)["other/c.wav"]) == ("unlabelled", "unlabelled")
    assert any("c.wav" in text for text in index.remarks)


# what its labels mean


def test_a_clip_without_a_label_is_unlabelled_never_normal(folder):
    index = labelled(folder, ("path", "label"), ("a.wav", "normal"), ("b.wav", ""), ("Lüfter/c.wav", " "))
    assert labels(index) == {
        "a.wav": "normal",
        "b.wav": "unlabelled",
        "Lüfter/c.wav": "unlabelled",
        "d.wav": "unlabelled",
    }


def test_labels_that_no_list_knows_are_kinds_of_anomaly(folder):
    index = labelled(folder, ("path", "label"), ("a.wav", "Healthy"), ("b.wav", "worn belt"), ("d.wav", "NG"))
    assert {clip.relative: clip.kind for clip in index.clips if clip.label == "anomalous"} == {
        "b.wav": "worn belt",
        "d.wav": "NG",
    }


def test_normal_labels_of_a_table_can_be_named(folder):
    rows = (("path", "label"), ("a.wav", "Gut"), ("b.wav", "gut"), ("d.wav", "kaputt"))
    index = labelled(folder, *rows, normal=("gut",))
    assert [labels(index)[name] for name in ("a.wav", "b.wav", "d.wav")] == ["normal", "normal", "anomalous"]
    with pytest.raises(DataSetError) as refusal:
        labelled(folder, *rows)
    assert all(piece in str(refusal.value) for piece in ("Gut", "kaputt", "--normal"))


def test_a_split_of_the_table_may_be_the_one_that_calibrates(folder):
    index = labelled(
        folder,
        ("path", "label", "split"),
        ("a.wav", "normal", "training"),
        ("b.wav", "normal", "VALID"),
        ("d.wav", "leak", "eval"),
    )
    assert {clip.relative: clip.split for clip in index.clips if clip.label != "unlabelled"} == {
        "a.wav": "train",
        "b.wav": "val",
        "d.wav": "test",
    }


def test_labels_of_folders_hold_where_the_table_says_nothing_else(folder):
    write_sound(folder / "normal" / "e.wav")
    index = labelled(folder, ("path", "label"), ("normal/e.wav", "normal"), ("a.wav", "leak"))
    assert (labels(index)["normal/e.wav"], labels(index)["a.wav"]) == ("normal", "anomalous")


# what a table cannot say


def refusal(folder, *rows, **options):
    """The text with which a table is refused."""
    with pytest.raises((DataSetError, UsageError)) as refused:
        labelled(folder, *rows, **options)
    return str(refused.value)


def test_a_table_against_a_folder_is_refused_and_names_both(folder):
    write_sound(folder / "normal" / "e.wav")
    text = refusal(folder, ("path", "label"), ("normal/e.wav", "leak"), ("a.wav", "normal"))
    assert all(piece in text for piece in ("normal/e.wav", "leak", "labels.csv"))


def test_two_labels_for_one_clip_are_refused(folder):
    text = refusal(folder, ("path", "label"), ("a.wav", "normal"), ("a.wav", "leak"))
    assert all(piece in text for piece in ("a.wav", "normal", "leak"))


def test_the_same_line_twice_is_one(folder):
    index = labelled(folder, ("path", "label"), ("a.wav", "normal"), ("a.wav", "normal"), ("b.wav", "leak"))
    assert [clip.relative for clip in index.clips] == sorted(NAMES)


def test_a_table_without_the_columns_it_needs_lists_those_it_has(folder):
    text = refusal(folder, ("sound", "verdict"), ("a.wav", "normal"))
    assert all(piece in text for piece in ("labels.csv", "path", "label", "sound", "verdict"))


def test_a_split_that_is_none_is_refused_with_its_line(folder):
    text = refusal(folder, ("path", "label", "split"), ("a.wav", "normal", "train"), ("b.wav", "normal", "later"))
    assert all(piece in text for piece in ("labels.csv", "later", "3", "train"))


def test_a_table_that_is_not_there_is_refused(folder, tmp_path):
    with pytest.raises((DataSetError, UsageError), match=r"no\.csv"):
        index_clips(folder, rules=FolderRules(labels=tmp_path / "no.csv"))


def test_a_file_that_is_no_table_is_refused_in_words(folder):
    (folder / "labels.csv").write_bytes(bytes(range(256)) * 40)
    with pytest.raises((DataSetError, UsageError), match=r"labels\.csv"):
        index_clips(folder)


def test_files_that_a_table_names_and_that_are_not_there_are_counted(folder):
    index = labelled(folder, ("path", "label"), ("a.wav", "normal"), ("gone.wav", "normal"), ("lost.wav", "leak"))
    assert [clip.relative for clip in index.clips] == sorted(NAMES)
    assert any("2" in text and "gone.wav" in text and "labels.csv" in text for text in index.remarks)
    assert sum(index.skipped.to_json().values()) == 2


def test_a_path_that_leads_out_of_the_folder_is_refused_with_its_line(folder):
    text = refusal(folder, ("path", "label"), ("a.wav", "normal"), ("../elsewhere.wav", "leak"))
    assert all(piece in text for piece in ("labels.csv", "line 3", "../elsewhere.wav"))


def test_a_table_of_which_no_file_is_there_is_refused(folder):
    text = refusal(folder, ("path", "label"), ("gone.wav", "normal"), ("lost.wav", "leak"))
    assert all(piece in text for piece in ("labels.csv", "gone.wav", "Lüfter/c.wav"))


def test_excels_line_that_names_the_separator_is_passed_over(folder):
    (folder / "labels.csv").write_text("sep=;\r\nfile;label\r\na.wav;normal\r\nb.wav;leak\r\n")
    assert (labels(index_clips(folder))["a.wav"], labels(index_clips(folder))["b.wav"]) == ("normal", "anomalous")


# stretches of long files


def spans(index):
    """Label, recording and stretch of each clip."""
    return {clip.relative: (clip.label, clip.recording, clip.span) for clip in index.clips}


def test_a_table_cuts_a_long_file_into_clips_of_one_recording(tmp_path):
    write_sound(tmp_path / "run.wav", seconds=4)
    index = labelled(
        tmp_path,
        ("path", "label", "start_s", "end_s"),
        ("run.wav", "normal", "0", "1.5"),
        ("run.wav", "normal", "1.5", "2.5"),
        ("run.wav", "leak", "3", "4"),
    )
    found = spans(index)
    assert {name: (label, span) for name, (label, _, span) in found.items()} == {
        "run.wav#t=0,1.5": ("normal", (0.0, 1.5)),
        "run.wav#t=1.5,2.5": ("normal", (1.5, 2.5)),
        "run.wav#t=3,4": ("anomalous", (3.0, 4.0)),
    }
    assert len({recording for _, recording, _ in found.values()} - {None}) == 1


def test_decimal_commas_are_numbers_where_semicolons_separate(tmp_path):
    write_sound(tmp_path / "run.wav", seconds=3)
    (tmp_path / "labels.csv").write_text("path;label;start_s;end_s\nrun.wav;normal;0,5;1,5\nrun.wav;leak;1,5;3,0\n")
    assert [clip.span for clip in index_clips(tmp_path).clips] == [(0.5, 1.5), (1.5, 3.0)]


def test_stretches_that_overlap_and_say_different_things_are_refused(tmp_path):
    write_sound(tmp_path / "run.wav", seconds=4)
    header = ("path", "label", "start_s", "end_s")
    text = refusal(tmp_path, header, ("run.wav", "normal", "0", "3"), ("run.wav", "leak", "2", "4"))
    assert all(piece in text for piece in ("run.wav", "0 s to 3 s", "2 s to 4 s", "labels.csv"))
    text = refusal(tmp_path, header, ("run.wav", "normal", "", ""), ("run.wav", "leak", "2", "4"))
    assert all(piece in text for piece in ("run.wav", "whole file", "2 s to 4 s"))


@pytest.mark.parametrize(("start", "end"), [("2", "1"), ("1", "1"), ("-1", "2"), ("one", "2"), ("nan", "2"), ("0", "")])
def test_a_stretch_that_is_none_is_refused_with_its_line(tmp_path, start, end):
    write_sound(tmp_path / "run.wav", seconds=3)
    text = refusal(tmp_path, ("path", "label", "start_s", "end_s"), ("run.wav", "normal", start, end))
    assert all(piece in text for piece in ("labels.csv", "2", "start_s"))


def test_label_tracks_of_audacity_lie_beside_their_recording(tmp_path):
    for name in ("run", "other"):
        write_sound(tmp_path / f"{name}.wav", seconds=4)
    (tmp_path / "run.txt").write_text("0.000000\t1.500000\tnormal\n2.000000\t3.250000\tleak\n3.3\t3.3\tnote\n")
    (tmp_path / "readme.txt").write_text("recorded in May\n")
    index = index_clips(tmp_path)
    assert {name: (label, span) for name, (label, _, span) in spans(index).items()} == {
        "run.wav#t=0,1.5": ("normal", (0.0, 1.5)),
        "run.wav#t=2,3.25": ("anomalous", (2.0, 3.25)),
        "other.wav": ("unlabelled", None),
    }
    assert index.skipped.to_json() == {".txt": 1, "stretches shorter than half a second": 1}
    assert index.remarks == ()


def test_label_tracks_keep_the_split_machine_and_recording_of_their_folders(tmp_path):
    for name in ("train/id_04/run.wav", "test/id_04/run.wav"):
        write_sound(tmp_path / name, seconds=4)
    (tmp_path / "train/id_04/run.txt").write_text("0.0\t1.5\tok\n2.0\t4.0\tok\n")
    (tmp_path / "test/id_04/run.txt").write_text("0,5\t1,5\tok\n2,0\t4,0\tleak\n")
    found = {
        clip.relative: (clip.split, clip.machine_id, clip.label, clip.kind) for clip in index_clips(tmp_path).clips
    }
    assert found == {
        "train/id_04/run.wav#t=0,1.5": ("train", "id_04", "normal", None),
        "train/id_04/run.wav#t=2,4": ("train", "id_04", "normal", None),
        "test/id_04/run.wav#t=0.5,1.5": ("test", "id_04", "normal", None),
        "test/id_04/run.wav#t=2,4": ("test", "id_04", "anomalous", "leak"),
    }


def test_a_label_track_says_what_is_wrong_in_a_recording_of_a_normal_folder(tmp_path):
    write_sound(tmp_path / "normal" / "run.wav", seconds=4)
    write_sound(tmp_path / "normal" / "other.wav", seconds=4)
    (tmp_path / "normal" / "run.txt").write_text("1.0\t2.0\tleak\n")
    assert labels(index_clips(tmp_path)) == {"normal/other.wav": "normal", "normal/run.wav#t=1,2": "anomalous"}


def test_segments_are_cut_of_each_file_and_each_file_is_a_recording(tmp_path):
    for name in ("normal/a.wav", "normal/b.wav", "leak/c.wav"):
        write_sound(tmp_path / name, seconds=3)
    index = index_clips(tmp_path, rules=FolderRules(segment_s=1.0))
    found = spans(index)
    assert {name: span for name, (_, _, span) in found.items() if name.startswith("normal/a")} == {
        "normal/a.wav#t=0,1": (0.0, 1.0),
        "normal/a.wav#t=1,2": (1.0, 2.0),
        "normal/a.wav#t=2,3": (2.0, 3.0),
    }
    by_file = {}
    for name, (_, recording, _) in found.items():
        by_file.setdefault(name.partition("#")[0], set()).add(recording)
    assert all(len(recordings) == 1 for recordings in by_file.values())
    assert len(set.union(*by_file.values())) == 3


def test_segments_overlap_where_the_hop_is_shorter(tmp_path):
    write_sound(tmp_path / "normal" / "a.wav", seconds=2)
    index = index_clips(tmp_path, rules=FolderRules(segment_s=1.0, hop_s=0.5))
    assert [clip.span for clip in index.clips] == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)]


def test_a_table_says_what_segments_of_its_stretches_are(tmp_path):
    write_sound(tmp_path / "run.wav", seconds=4)
    (tmp_path / "labels.csv").write_text("path,label\nrun.wav,normal\n")
    index = index_clips(tmp_path, rules=FolderRules(segment_s=2.0))
    assert labels(index) == {"run.wav#t=0,2": "normal", "run.wav#t=2,4": "normal"}
    assert {clip.path for clip in index.clips} == {Path(tmp_path / "run.wav")}
