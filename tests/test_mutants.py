"""The lists of mutants fit the code: `make mutants` breaks it and runs the tests; here only the lists are checked."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest
from mutants.run import KILLED, NOT_BY_ITSELF, Mutant, fault, read_mutants, verdict
from sounds import PROJECT

LEAST = 717
MUTANTS = read_mutants()


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= LEAST


@pytest.mark.parametrize("source", sorted({mutant.source for mutant in MUTANTS}))
def test_every_entry_can_be_made(source):
    found = {mutant.what: fault(mutant) for mutant in MUTANTS if mutant.source == source}
    assert {what: why for what, why in found.items() if why} == {}


def test_every_test_that_is_named_is_there():
    named = {test for mutant in MUTANTS for test in mutant.tests}
    assert [test for test in sorted(named) if not _is_there(test)] == []


def test_no_two_entries_are_alike():
    broken = Counter((mutant.file, mutant.find, mutant.replace) for mutant in MUTANTS)
    said = Counter(mutant.what for mutant in MUTANTS)
    assert [entry for entry, n in (broken + said).items() if n > 1] == []


def test_an_entry_that_finds_nothing_twice_or_breaks_the_grammar_is_named(tmp_path):
    (tmp_path / "code.py").write_text("a = 1\nb = 1\n")

    def why(find, replace):
        return fault(Mutant("list", "what", "code.py", find, replace, ("tests/test_x.py::test_y",)), tmp_path)

    assert "occurs 0 times" in why("c = 1", "c = 2")
    assert "occurs 2 times" in why("= 1", "= 2")
    assert "changes nothing" in why("a = 1", "a = 1")
    assert "no Python" in why("a = 1", "a = (")
    assert why("a = 1", "a = 2") is None


def test_only_a_test_that_fails_in_its_own_body_kills():
    assert verdict(1, ["failure: assert 1 == 2"]) == KILLED
    assert verdict(1, ["failure: assert 1 == 2", "error: failed on teardown with 5 errors of threads"]) == KILLED
    for code, troubles in (
        (1, ["error: failed on setup"]),
        (2, ["error: collection failure"]),
        (4, []),
        (1, ["failure: ImportError: cannot import name"]),
        (1, ["error: failed on teardown"]),
        (1, ["failure: assert 1 == 2", "error: failed on setup"]),
    ):
        assert verdict(code, troubles).startswith(NOT_BY_ITSELF)


@cache
def _tests_of(file: str) -> frozenset[str]:
    path = PROJECT / file
    if not path.is_file():
        return frozenset()
    found = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    if not name:
        return bool(_tests_of(file))
    return name.split("[")[0] in _tests_of(file)
