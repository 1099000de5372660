"""The files below a folder: litter, links, what is counted as skipped; the owner's rules, kept and read again."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import pytest
from layouts import write_sound
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.data.data_set import describe_index, open_data_set
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.folders import HIDDEN, LINKS, LITTER, Skipped, list_files, litter_kind, skipped_tables
from asd_core.data.indexing import index_clips
from asd_core.data.library import add_folder, read_library
from asd_core.data.table import KnownSet
from asd_core.errors import AudioError, DataSetError
from asd_core.features.cache import read_named
from asd_core.jobs.table import job_json, parse_request
from asd_core.tasks.train import TrainingRequest
from asd_core.types import SR

LEFT_BY_SYSTEMS = (
    *("._a.wav", "__MACOSX", ".DS_Store", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd"),
    *(".TemporaryItems", "@eaDir", "@tmp", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", ".snapshot"),
    *(".@__thumb", "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Thumbs.db", "desktop.ini"),
    *("lost+found", ".Trash-1000", ".nfs000000000001"),
)
OF_PEOPLE = ("a.wav", "eaDir", "_a.wav", "recycled pump", "Trash", "snapshot", "tmp", "found", "@home", "#1", "MACOSX")


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def audio(listing, root):
    return [path.relative_to(root).as_posix() for path in listing.audio]


# litter


@pytest.mark.parametrize("name", LEFT_BY_SYSTEMS)
def test_what_systems_leave_behind_is_litter_in_any_case(name):
    assert [litter_kind(spelling) for spelling in (name, name.upper(), name.lower())] == [LITTER] * 3


def test_other_names_with_a_dot_in_front_are_hidden_and_names_of_people_are_kept():
    assert {litter_kind(name) for name in (".git", ".a.wav", ".", ".hidden folder")} == {HIDDEN}
    assert {name: litter_kind(name) for name in OF_PEOPLE} == dict.fromkeys(OF_PEOPLE)


def test_litter_is_left_out_at_any_depth_and_a_folder_of_it_counts_as_one(tmp_path):
    kept = ("normal/a.wav", "normal/deep/b.WAV")
    litter = ("normal/@eaDir/a.wav", "normal/@eaDir/b.wav", "normal/deep/._b.WAV", "$RECYCLE.BIN/S-1/c.wav")
    listing = list_files(touch(tmp_path, *kept, *litter, ".git/d.wav", "normal/.e.wav"))
    assert audio(listing, tmp_path) == list(kept)
    assert listing.skipped.kinds == {
        LITTER: ("$RECYCLE.BIN", "normal/@eaDir", "normal/deep/._b.WAV"),
        HIDDEN: (".git", "normal/.e.wav"),
    }


def test_files_of_this_program_are_passed_over_without_a_word_but_only_where_it_writes_them(tmp_path):
    listing = list_files(touch(tmp_path, "names.jsonl", "SIMULATED.json", "normal/names.jsonl", "normal/a.wav"))
    assert listing.skipped.kinds == {".jsonl": ("normal/names.jsonl",)}


# links


def test_a_link_to_a_file_is_a_recording_by_its_own_name(tmp_path):
    touch(tmp_path, "elsewhere/b.wav", "set/a.wav")
    (tmp_path / "set" / "link.wav").symlink_to("../elsewhere/b.wav")
    listing = list_files(tmp_path / "set")
    assert audio(listing, tmp_path / "set") == ["a.wav", "link.wav"]
    assert listing.places == (tmp_path / "set" / "a.wav", tmp_path / "elsewhere" / "b.wav")
    assert not listing.skipped


def test_files_below_a_linked_folder_are_named_through_it_and_placed_where_they_are(tmp_path):
    touch(tmp_path, "disk/day/b.wav")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "more").symlink_to(tmp_path / "disk")
    listing = list_files(tmp_path / "set")
    assert audio(listing, tmp_path / "set") == ["more/day/b.wav"]
    assert listing.places == (tmp_path / "disk" / "day" / "b.wav",)


@pytest.mark.parametrize("link", ["healthy/of the pump", "a", "healthy/deep/er/link"])
def test_a_folder_is_entered_by_its_own_name_whatever_links_to_it(tmp_path, link):
    touch(tmp_path, "healthy/a.wav", "leak/b.wav", "leak/c.wav")
    place = tmp_path / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path / "leak")
    assert audio(list_files(tmp_path), tmp_path) == ["healthy/a.wav", "leak/b.wav", "leak/c.wav"]
    assert {clip.relative: clip.label for clip in index_clips(tmp_path).clips} == {
        "healthy/a.wav": "normal",
        "leak/b.wav": "anomalous",
        "leak/c.wav": "anomalous",
    }


def test_a_chain_of_links_is_followed_and_a_circle_ends(tmp_path):
    touch(tmp_path, "set/a.wav", "disk/b.wav")
    (tmp_path / "set" / "one").symlink_to("../two")
    (tmp_path / "two").symlink_to("disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "self").symlink_to(".")
    listing = list_files(tmp_path / "set")
    assert audio(listing, tmp_path / "set") == ["a.wav", "one/b.wav"]
    assert not listing.skipped


def test_links_that_lead_nowhere_or_in_a_circle_of_links_are_counted(tmp_path):
    touch(tmp_path, "a.wav")
    (tmp_path / "gone.wav").symlink_to("no such file")
    (tmp_path / "one.wav").symlink_to("two.wav")
    (tmp_path / "two.wav").symlink_to("one.wav")
    listing = list_files(tmp_path)
    assert audio(listing, tmp_path) == ["a.wav"]
    assert listing.skipped.kinds == {LINKS: ("gone.wav", "one.wav", "two.wav")}


def test_links_out_of_the_allowed_folders_are_counted_and_not_followed(tmp_path):
    touch(tmp_path, "secret/b.wav", "allowed/more/c.wav", "allowed/set/a.wav", "allowed/set-2/d.wav")
    root = tmp_path / "allowed" / "set"
    for name, target in (
        ("file.wav", "../../secret/b.wav"),
        ("folder", "../../secret"),
        ("chain", "../out"),
        ("more", "../more"),
    ):
        (root / name).symlink_to(target)
    (tmp_path / "allowed" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "allowed" / "more" / "deep.wav").symlink_to(tmp_path / "secret" / "b.wav")
    listing = list_files(root, within=[tmp_path / "allowed"])
    assert audio(listing, root) == ["a.wav", "more/c.wav"]
    assert listing.skipped.kinds == {LINKS: ("chain", "file.wav", "folder", "more/deep.wav")}
    (root / "beside").symlink_to("../set-2")  # whose name only begins like the allowed folder's
    assert "beside" in list_files(root, within=[root]).skipped.kinds[LINKS]


def test_litter_is_not_entered_by_a_link_either(tmp_path):
    touch(tmp_path, "set/a.wav", "disk/b.wav")
    (tmp_path / "set" / "@eaDir").symlink_to("../disk")
    (tmp_path / "set" / ".hidden").symlink_to("../disk")
    assert list_files(tmp_path / "set").skipped.kinds == {HIDDEN: (".hidden",), LITTER: ("@eaDir",)}


# what cannot be opened


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every folder")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_may_not_be_opened_is_counted(tmp_path, mode):
    touch(tmp_path, "normal/a.wav", "leak/b.wav")
    (tmp_path / "leak").chmod(mode)
    try:
        listing = list_files(tmp_path)
        assert "normal/a.wav" in audio(listing, tmp_path)
        if mode != 0o400:  # names can be listed, and each file is refused when it is read
            assert listing.skipped.kinds == {"cannot be opened": ("leak",)}
    finally:
        (tmp_path / "leak").chmod(0o700)


def test_a_folder_that_may_not_be_opened_does_not_end_the_listing(tmp_path, monkeypatch):
    touch(tmp_path, "normal/a.wav", "leak/b.wav", "leak/c.wav", "new/d.wav")
    scan = os.scandir

    def refusing(place):
        if Path(place).name == "leak":
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = list_files(tmp_path)
    assert audio(listing, tmp_path) == ["new/d.wav", "normal/a.wav"]
    assert listing.skipped.kinds == {"cannot be opened": ("leak",)}


def test_a_pipe_called_wav_is_refused_and_nothing_waits_for_it(tmp_path):
    write_sound(tmp_path / "normal" / "a.wav")
    os.mkfifo(tmp_path / "normal" / "b.wav")
    report = describe_index(open_data_set(tmp_path))
    assert [(each["path"], each["code"]) for each in report.refused] == [("normal/b.wav", "not_file")]
    assert "pipe" in report.refused[0]["reason"]


def test_a_folder_called_wav_is_a_folder(tmp_path):
    touch(tmp_path, "normal.wav/a.wav")
    assert audio(list_files(tmp_path), tmp_path) == ["normal.wav/a.wav"]


# the count


def test_what_is_skipped_is_counted_by_kind_the_largest_first_with_its_first_names():
    found = Skipped.of(
        [(".txt", name) for name in ("d", "b", "c", "a")] + [(HIDDEN, ".x"), (".jpg", "p"), (".jpg", "o")]
    )
    assert found.text == "7 skipped: 4 .txt (a, b, c, ...), 2 .jpg (o, p), 1 hidden (.x)"
    assert (found.n, bool(found), found.to_json()) == (7, True, {".txt": 4, ".jpg": 2, "hidden": 1})
    both = found + Skipped.of([(HIDDEN, name) for name in ("1", "2", "3", "4")])
    assert list(both.to_json().items()) == [("hidden", 5), (".txt", 4), (".jpg", 2)]


def test_nothing_skipped_says_so_and_counts_as_false():
    assert (Skipped().text, Skipped().n, bool(Skipped()), Skipped().to_json()) == ("none skipped", 0, False, {})


def test_names_that_a_terminal_would_obey_are_escaped():
    assert Skipped.of([(".txt", "a\x1b[31m\nb.txt")]).text == "1 skipped: 1 .txt (a\\x1b[31m\\nb.txt)"


def test_suffixes_are_counted_in_any_case_and_files_without_one_too(tmp_path):
    listing = list_files(touch(tmp_path, "a.JPG", "b.jpg", "README", "c.wav", "d.tar.gz"))
    assert listing.skipped.to_json() == {".jpg": 2, ".gz": 1, "without suffix": 1}


def test_tables_are_kept_apart_and_counted_where_they_are_not_used(tmp_path):
    listing = list_files(touch(tmp_path, "a.wav", "labels.csv", "notes.TXT", "deep/more.tsv"))
    assert [path.name for path in listing.tables] == ["more.tsv", "labels.csv", "notes.TXT"]
    assert not listing.skipped
    assert skipped_tables(listing, tmp_path, [tmp_path / "labels.csv"]).kinds == {
        ".tsv": ("deep/more.tsv",),
        ".txt": ("notes.TXT",),
    }


def test_a_folder_without_recordings_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(DataSetError, match="holds no recording: it is empty"):
        index_clips(tmp_path)
    with pytest.raises(DataSetError, match=r"3 skipped: 2 \.csv \(a\.csv, b\.csv\), 1 \.npy \(c\.npy\)"):
        index_clips(touch(tmp_path, "a.csv", "b.csv", "c.npy"))


def test_a_folder_with_an_archive_alone_says_to_unpack_it(tmp_path):
    with pytest.raises(DataSetError, match=r"an archive: unpack it first \(1 skipped: 1 \.zip \(ok-samples\.zip\)\)"):
        index_clips(touch(tmp_path, "ok-samples.zip"))


# rules


ALL_RULES = FolderRules(
    normal=("Gut", "."),
    labels=Path("/data/our labels.csv"),
    ids_from="folder",
    recording_by=r"day\d",
    segment_s=10.0,
    hop_s=2.5,
    lossy=True,
)


def test_rules_come_back_from_json_as_they_were():
    assert [
        each.name for each in fields(FolderRules) if getattr(ALL_RULES, each.name) == getattr(NO_RULES, each.name)
    ] == []
    for rules in (ALL_RULES, NO_RULES, FolderRules(segment_s=10)):
        assert FolderRules.from_json(json.loads(json.dumps(rules.to_json()))) == rules
    assert NO_RULES.to_json() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "it must hold exactly normal, labels"),
        ({"colour": 1}, "it must hold exactly"),
        ({"normal": "Gut"}, "normal must be list"),
        ({"normal": ["Gut", 1]}, "each of normal must be str"),
        ({"labels": 1}, "labels must be str"),
        ({"ids_from": "name"}, "ids_from must be 'folder' or null"),
        ({"segment_s": True}, "segment_s must be float or null"),
        ({"hop_s": "1"}, "hop_s must be float or null"),
        ({"lossy": 1}, "lossy must be bool"),
        ({"recording_by": 1}, "recording_by must be str"),
    ],
)
def test_other_rules_in_json_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        FolderRules.from_json(content)


def test_rules_leave_open_what_others_say():
    assert NO_RULES.completed_by(ALL_RULES) == ALL_RULES
    assert ALL_RULES.completed_by(FolderRules(normal=("ok",), segment_s=3.0)) == ALL_RULES
    own = FolderRules(normal=("ok",), segment_s=4.0)
    assert own.completed_by(ALL_RULES) == FolderRules(
        normal=("ok",),
        labels=ALL_RULES.labels,
        ids_from="folder",
        recording_by=r"day\d",
        segment_s=4.0,  # whose hop is not that of other segments
        lossy=True,
    )


def test_a_table_of_data_sets_of_earlier_versions_is_read():
    older = {"kind": "recordings", "added": "", "folder": "/data/pump", "machines": {"pump": ""}, "aliases": []}
    for given, rules in (
        ({"normal": None}, NO_RULES),
        ({"normal": "Gut"}, FolderRules(normal=("Gut",))),
        ({"normal": None, "recording_by": "folder"}, FolderRules(recording_by="folder")),
        ({"normal": "Gut", "recording_by": r"day\d"}, FolderRules(normal=("Gut",), recording_by=r"day\d")),
    ):
        known = KnownSet.from_json("pump", {**older, **given})
        assert known.rules == rules
        assert KnownSet.from_json("pump", json.loads(json.dumps(known.to_json()))) == known


def test_a_data_set_with_one_normal_name_is_written_as_earlier_versions_read_it():
    known = KnownSet("pump", Path("/data/pump"), "recordings", rules=FolderRules(normal=("Gut",), recording_by="none"))
    content = known.to_json()
    assert (content["normal"], content["recording_by"], "rules" in content) == ("Gut", "none", False)


def test_a_data_set_keeps_all_its_rules_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("ASD_DATA_ROOTS", str(tmp_path))
    for name in ("Gut/0.wav", "ruhig/0.wav", "Leck/0.wav"):
        write_sound(tmp_path / "set" / name, seconds=1.0)
    rules = FolderRules(normal=("Gut", "ruhig"), segment_s=0.5, hop_s=0.25, lossy=True)
    add_folder("pump", tmp_path / "set", rules=rules)
    assert read_library().find("pump").rules == rules


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({"normal": None, "recording_by": None}, NO_RULES),
        ({"normal": "Gut", "recording_by": None}, FolderRules(normal=("Gut",))),
        ({"normal": None, "recording_by": "folder"}, FolderRules(recording_by="folder")),
    ],
)
def test_a_training_asked_for_by_an_earlier_version_is_read(given, rules):
    content = json.loads(json.dumps(job_json(TrainingRequest("vggish_knn", Path("/data/pump"), seed=3))))
    older = {name: value for name, value in content["request"].items() if name != "rules"} | given
    assert parse_request({**content, "request": older}) == TrainingRequest(
        "vggish_knn", Path("/data/pump"), seed=3, rules=rules
    )


def test_a_training_with_all_rules_is_asked_for_and_read():
    request = TrainingRequest("vggish_knn", Path("/data/pump"), rules=ALL_RULES)
    assert parse_request(json.loads(json.dumps(job_json(request)))) == request


def test_a_data_set_error_has_advice_for_a_page_which_is_its_text_where_none_is_given():
    assert DataSetError("use --normal Gut").advice == "use --normal Gut"
    error = DataSetError("use --normal Gut", advice="Enter Gut as the normal label")
    assert (str(error), error.advice) == ("use --normal Gut", "Enter Gut as the normal label")


@pytest.mark.parametrize(
    "names", [("Gut/0.wav", "Leck/0.wav"), ("ok/0.wav", "normal_2/0.wav"), ("a/ok/0.wav", "b/ok/0.wav")]
)
def test_advice_on_a_folder_names_no_option(tmp_path, names):
    with pytest.raises(DataSetError) as refusal:
        index_clips(touch(tmp_path, *names))
    assert "--" in str(refusal.value)
    assert "--" not in refusal.value.advice


def test_a_clip_that_is_named_is_read_through_a_link_only_inside_the_allowed_folders(tmp_path):
    for place in ("inside", "outside"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "far.wav").write_bytes(encode_wav(hum(1, seconds=1.0).samples))
    (tmp_path / "inside" / "set").mkdir()
    for place in ("inside", "outside"):
        (tmp_path / "inside" / "set" / f"{place}.wav").symlink_to(tmp_path / place / "far.wav")
    allowed = [(tmp_path / "inside").resolve()]
    assert read_named(tmp_path / "inside" / "set", "inside.wav", within=allowed).n_samples == SR
    assert read_named(tmp_path / "inside" / "set", "outside.wav").n_samples == SR
    with pytest.raises(AudioError, match="copy the recording into its folder") as refusal:
        read_named(tmp_path / "inside" / "set", "outside.wav#t=0,1", within=allowed)
    assert refusal.value.code == "not_file"
