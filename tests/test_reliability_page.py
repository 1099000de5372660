"""The table of docs/reliability.md names what exists."""

from __future__ import annotations

import re

from sounds import PROJECT

TABLE = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", TABLE, re.MULTILINE)


def test_all_86_requirements_have_a_row_with_figures():
    assert [int(number) for number, _ in ROWS] == list(range(1, 87))
    for number, cells in ROWS:
        requirement, asked, measured, test = (cell.strip() for cell in cells.split("|"))
        assert requirement, number
        assert asked, number
        assert measured, number
        assert test or measured.startswith("not yet"), number


def test_every_test_it_names_exists_and_soak_tests_are_called_that():
    named = re.findall(r"(\*soak\* )?(test_\w+)::(test_\w+)", TABLE)
    assert len(named) > 60
    for soak, module, name in named:
        (path,) = (PROJECT / "tests").rglob(f"{module}.py")
        source = path.read_text(encoding="utf-8")
        found = re.search(rf"((?:^[^\n]+\n)*)^def {name}\(", source, re.MULTILINE)
        assert found, name
        assert bool(soak) == ("soak" in found[1].rpartition("\n\n")[2]), name
