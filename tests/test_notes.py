"""What people say of clips and alarms: the last word counts, and neither kills nor two writers lose one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sounds import PROJECT

from asd_core.errors import FileError, UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import ACKNOWLEDGED, FAULT, MAX_TEXT, NORMAL, UNDONE, Note, note, read_notes

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def beside(tmp_path):
    return Beside(tmp_path / "pump.csv")


def test_nothing_was_said_where_there_is_no_file(beside):
    assert read_notes(beside) == {}


def test_what_was_said_last_of_a_row_counts(beside):
    note(beside, Note.now(KEY, NORMAL, "the lid was open"), Note.now(OTHER, ACKNOWLEDGED))
    note(beside, Note.now(KEY, FAULT, 'bearing\n"3" <b>\ud83d'))
    notes = read_notes(beside)
    assert (notes[KEY].said, notes[KEY].text) == (FAULT, 'bearing\n"3" <b>\ud83d')
    assert notes[OTHER].said == ACKNOWLEDGED
    assert list(notes) == [OTHER, KEY]
    assert notes[KEY].time.endswith("+00:00")


def test_what_was_taken_back_is_said_no_longer_and_can_be_said_again(beside):
    note(beside, Note.now(KEY, NORMAL, "a"))
    note(beside, Note.now(KEY, UNDONE))
    assert read_notes(beside) == {}
    note(beside, Note.now(KEY, FAULT))
    assert read_notes(beside)[KEY].said == FAULT


def test_a_line_that_a_kill_left_incomplete_costs_no_other_note(beside):
    note(beside, Note.now(KEY, NORMAL))
    whole = beside.notes.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        beside.notes.write_bytes(whole + whole[:cut])
        assert list(read_notes(beside)) == [KEY]
        note(beside, Note.now(OTHER, FAULT))
        assert read_notes(beside)[OTHER].said == FAULT


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'{"key": "a", "said": "nothing", "text": "", "time": ""}',
        b'{"key": "a"}',
        b"\xff",
        b"{" * 99,
    ],
)
def test_damaged_lines_are_passed_over(beside, line):
    note(beside, Note.now(KEY, NORMAL))
    with beside.notes.open("ab") as file:
        file.write(line + b"\n")
    note(beside, Note.now(OTHER, NORMAL))
    assert list(read_notes(beside)) == [KEY, OTHER]


def test_a_note_that_is_too_long_or_says_nothing_known_is_refused_and_nothing_of_it_written(beside):
    with pytest.raises(UsageError, match=f"at most {MAX_TEXT} characters, got {MAX_TEXT + 1}"):
        note(beside, Note.now(KEY, NORMAL), Note.now(OTHER, NORMAL, "x" * (MAX_TEXT + 1)))
    for wrong in (Note.now(KEY, "perhaps"), Note.now("", NORMAL), Note.now("k" * 65, NORMAL)):
        with pytest.raises(UsageError, match="says one of"):
            note(beside, wrong)
    assert not beside.notes.exists()
    note(beside, Note.now(KEY, NORMAL, "x" * MAX_TEXT))
    assert len(read_notes(beside)[KEY].text) == MAX_TEXT


def test_a_link_in_the_place_of_the_file_is_not_written_through(beside, tmp_path):
    beside.folder.mkdir()
    (tmp_path / "other").write_text("mine")
    beside.notes.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic link"):
        note(beside, Note.now(KEY, NORMAL))
    with pytest.raises(FileError, match="link"):
        read_notes(beside)
    assert (tmp_path / "other").read_text() == "mine"


WRITER = """
import sys
from pathlib import Path
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import Note, note
for i in range(60):
    note(Beside(Path(sys.argv[1])), Note.now(f"{sys.argv[2]}{i}", "fault", "x" * 400))
"""


def test_two_pages_that_write_at_once_lose_no_note(beside):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(beside.table), name], cwd=PROJECT) for name in ("a", "b")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert sorted(read_notes(beside)) == sorted(f"{name}{i}" for name in ("a", "b") for i in range(60))
