"""Clips that somebody marked: copied, known by their sound, released when it is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import watched
from watched import said

from asd_core.audio.reading import encode_flac
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import ACKNOWLEDGED, FAULT, NORMAL, UNDONE, Note
from asd_core.monitoring.rebaselining import quarantine
from asd_core.monitoring.rebaselining.quarantine import (
    faults,
    follow_notes,
    marked_clips,
    quarantine_folder,
    set_learned,
    sittings,
    sound_path,
    waiting,
)
from asd_core.monitoring.rows import WatchRow


@pytest.fixture
def beside(tmp_path):
    return Beside(tmp_path / "watch.csv")


@pytest.fixture
def rows(tmp_path):
    """Rows of six clips that lie in a folder, as a watch would have written them."""
    found = []
    for number in range(6):
        kind = "fault" if number == 5 else "new"
        path = watched.write(tmp_path / "in" / f"{number}-{kind}.wav", number, kind)
        status = path.stat()
        found.append(
            WatchRow(
                f"2026-01-31T12:{number:02d}:00.000+00:00",
                str(path),
                "model",
                "ok",
                "",
                5.0 + number,
                4.0,
                "anomalous",
                alarm=number > 3,
                n_bytes=status.st_size,
                changed_ns=status.st_mtime_ns,
            )
        )
    return found


def follow(beside, rows, notes, **options):
    return follow_notes(beside, rows, notes, channel=None, **options)


def test_marked_clips_survive_the_ring_buffer(beside, rows, tmp_path):
    notes = said(rows, NORMAL, "0-new", "4-new") | said(rows, FAULT, "5-fault")
    before = read_clip(rows[0].path).samples
    assert follow(beside, rows, notes).n_taken == 3
    for path in (tmp_path / "in").iterdir():
        path.unlink()
    clips = marked_clips(beside)
    assert [(clip.name, clip.said, clip.alarm) for clip in clips] == [
        ("0-new.wav", NORMAL, False),
        ("4-new.wav", NORMAL, True),
        ("5-fault.wav", FAULT, True),
    ]
    assert [clip.name for clip in waiting(clips)] == ["0-new.wav", "4-new.wav"]
    assert [clip.name for clip in faults(clips)] == ["5-fault.wav"]
    assert read_clip(sound_path(beside, clips[0])).samples.tolist() == before.tolist()
    assert follow(beside, rows, notes) == quarantine.Followed()


def test_what_is_taken_back_leaves_and_what_was_acknowledged_stays(beside, rows):
    follow(beside, rows, said(rows, NORMAL, "0-new", "1-new", "2-new"))
    now = said(rows, UNDONE, "0-new") | said(rows, ACKNOWLEDGED, "1-new") | said(rows, FAULT, "2-new")
    followed = follow(beside, rows, now)
    assert (followed.n_taken, followed.n_released) == (1, 2)
    assert [(clip.name, clip.said) for clip in marked_clips(beside)] == [("1-new.wav", NORMAL), ("2-new.wav", FAULT)]
    assert len(list(quarantine_folder(beside).glob("*.flac"))) == 2


def test_a_sound_that_is_marked_twice_counts_once(beside, rows, tmp_path):
    twin = tmp_path / "in" / "again.wav"
    twin.write_bytes((tmp_path / "in" / "0-new.wav").read_bytes())
    status = twin.stat()
    again = replace(rows[0], path=str(twin), time="2026-01-31T13:00:00.000+00:00", changed_ns=status.st_mtime_ns)
    notes = said([*rows, again], NORMAL, "0-new", "again")
    assert follow(beside, [*rows, again], notes).n_taken == 2
    (clip,) = marked_clips(beside)
    assert clip.keys == tuple(sorted((rows[0].key, again.key)))
    notes[rows[0].key] = Note(rows[0].key, UNDONE, "", "")
    assert follow(beside, [*rows, again], notes).n_released == 0
    assert marked_clips(beside)[0].keys == (again.key,)


def test_the_same_sound_cannot_be_normal_and_a_fault(beside, rows, tmp_path):
    twin = tmp_path / "in" / "again.wav"
    twin.write_bytes((tmp_path / "in" / "0-new.wav").read_bytes())
    again = replace(rows[0], path=str(twin), changed_ns=twin.stat().st_mtime_ns)
    notes = said(rows, NORMAL, "0-new") | said([again], FAULT, "again")
    ((path, reason),) = follow(beside, [*rows, again], notes).missing
    assert path == str(twin)
    assert "marked normal in another row" in reason


def test_an_overwritten_file_is_never_taken_for_the_clip_that_was_judged(beside, rows, tmp_path, monkeypatch):
    kept = tmp_path / "kept.flac"
    kept.write_bytes(encode_flac(read_clip(rows[0].path).samples))
    before = read_clip(rows[0].path).samples
    for row in rows[:2]:
        watched.write(tmp_path / "in" / row.path.rpartition("/")[2], 77, "fault")
    copies = {rows[0].key: kept}
    monkeypatch.setattr(quarantine, "kept_path", lambda _, key: copies.get(key))
    followed = follow(beside, rows, said(rows, NORMAL, "0-new", "1-new"))
    assert followed.n_taken == 1
    assert "overwritten or removed" in followed.missing[0][1]
    (clip,) = marked_clips(beside)
    assert read_clip(sound_path(beside, clip)).samples.tolist() == before.tolist()


def test_a_row_of_an_earlier_release_is_believed_only_before_its_file_changed(rows):
    plain = replace(rows[0], n_bytes=None, changed_ns=None)
    assert not quarantine.is_unchanged(plain)  # the file is younger than the row
    assert quarantine.is_unchanged(replace(plain, time="2100-01-01T00:00:00.000+00:00"))


def test_a_page_reads_no_original_outside_its_folders(beside, rows, tmp_path):
    elsewhere = follow(beside, rows, said(rows, NORMAL, "0-new"), roots=[tmp_path / "other"])
    assert elsewhere.n_taken == 0
    assert follow(beside, rows, said(rows, NORMAL, "0-new"), roots=[tmp_path.resolve()]).n_taken == 1


def test_what_a_detector_has_learned_stays_until_that_is_undone(beside, rows):
    follow(beside, rows, said(rows, NORMAL, "0-new"))
    (clip,) = marked_clips(beside)
    set_learned(beside, [clip.sound], "r001")
    assert waiting(marked_clips(beside)) == []
    assert follow(beside, rows, {}).n_released == 0
    set_learned(beside, [clip.sound], "")
    assert follow(beside, rows, {}).n_released == 1
    assert marked_clips(beside) == []


def test_no_more_clips_wait_than_a_rebaseline_takes(beside, rows, monkeypatch):
    monkeypatch.setattr(quarantine, "MAX_CLIPS", 2)
    followed = follow(beside, rows, said(rows, NORMAL, "new"))
    assert (followed.n_taken, followed.n_too_many) == (2, 3)


def test_damaged_notes_and_lost_copies_are_left_out(beside, rows):
    follow(beside, rows, said(rows, NORMAL, "0-new", "1-new", "2-new"))
    entries = sorted(quarantine_folder(beside).glob("*.json"))
    entries[0].write_text("{")
    entries[1].with_suffix(".flac").unlink()
    assert len(marked_clips(beside)) == 1


def test_clips_ten_minutes_apart_are_of_different_sittings(beside, rows):
    follow(beside, rows, said(rows, NORMAL, "new"))
    clips = marked_clips(beside)
    assert sittings(clips) == [0] * 5
    later = [replace(clip, time="2026-01-31T12:30:00.000+00:00") for clip in clips[:2]]
    assert sittings([*later, *clips[2:]]) == [1, 1, 0, 0, 0]


def test_a_clip_without_sound_says_why(beside, rows, tmp_path):
    (tmp_path / "in" / "0-new.wav").unlink()
    with pytest.raises(AudioError, match="no copy of it was kept"):
        quarantine.row_sound(beside, rows[0], channel=None, roots=None)
