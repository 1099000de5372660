"""Numbers for people."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from sounds import PROJECT

from asd_core.formats import (
    area_text,
    cell_text,
    counted,
    rate_text,
    score_text,
    seconds_text,
    share_text,
    spreadsheet_cell,
)
from asd_core.system.files import csv_text


def test_numbers_are_written_with_their_counts_and_limits():
    assert rate_text(180, 195) == "92.3 % (180/195)"
    assert rate_text(0, 0) == "– (0 clips)"
    assert area_text(0.9406, [0.92, 0.9583]) == "0.941 [0.920, 0.958]"
    assert area_text(None) == "not defined"
    assert score_text(0.00168812) == "0.001688"
    assert score_text(None) == share_text(None) == "–"
    assert share_text(0.1) == "10.0 %"
    assert seconds_text(4.254) == "4.25 s"
    assert seconds_text(200.4) == "3 min 20 s"


def test_an_area_that_only_rounds_to_an_end_is_not_written_as_the_end():
    assert [area_text(value) for value in (1.0, 0.99996, 0.9995, 0.9994)] == ["1.000", "> 0.999", "> 0.999", "0.999"]
    assert [area_text(value) for value in (0.0, 0.0004, 0.0005)] == ["0.000", "< 0.001", "0.001"]
    assert area_text(0.9999, [0.9996, 1.0]) == "> 0.999 [> 0.999, 1.000]"


def test_rounding_noise_around_a_boundary_at_0_is_written_as_0():
    assert [score_text(value) for value in (0.0, 3.6e-14, -8e-16, 2e-9, -0.25)] == ["0", "0", "0", "2e-09", "-0.25"]


HOSTILE_TEXT = st.text(st.sampled_from("=+-@\t\r\n,;|'\" ab"), max_size=12)
FORMULA_IN_A_CELL = re.compile(r"(?:^|[,;|\t\r\n])[ \"]*[=+\-@]")


@given(st.lists(st.lists(HOSTILE_TEXT, min_size=2, max_size=3), min_size=1, max_size=3))
@example([["x;=cmd|' /C calc'!A0;.wav", "a"], ["a", 'x;"=cmd"']])
def test_no_text_of_a_csv_file_begins_a_cell_as_a_formula_whatever_separates_cells(rows):
    text = csv_text(rows)
    assert not FORMULA_IN_A_CELL.search(text)
    read = [[cell_text(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    assert read == rows


def test_numbers_of_a_csv_file_stay_numbers():
    assert csv_text([[-1.5, np.float64(-2.5), 3, None, "-1"]]) == "-1.5,-2.5,3,,'-1\n"


def test_only_what_a_spreadsheet_would_run_gets_a_sign():
    for text in ("clips/a-b.wav", "a; b: +-16", "o'clock", "a=b, c", "'quoted'"):
        assert spreadsheet_cell(text) == text
        assert cell_text(text) == text


def test_csv_is_written_by_one_function():
    sources = [*(PROJECT / "asd_core").rglob("*.py"), *(PROJECT / "pages").rglob("*.py"), PROJECT / "app.py"]
    writing = {path.relative_to(PROJECT).as_posix() for path in sources if "csv.writer(" in path.read_text("utf-8")}
    assert writing == {"asd_core/system/files.py"}
    assert not [path for path in sources if re.search(r"DictWriter|\.to_csv\(", path.read_text("utf-8"))]


def test_one_thing_is_one_and_several_have_their_ending():
    assert [counted(n, "clip") for n in (0, 1, 2, 2300)] == ["0 clips", "1 clip", "2 clips", "2,300 clips"]
