"""The words of pages, commands and documents: one for one thing, and those of a careful native engineer."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest
from sounds import PROJECT

SOURCES = ("pages", "asd_core")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
BANNED = {
    r"\"Go on\"|Go on from": "'Resume', 'Continue' or 'More pages'",
    r"Who listens": "'Detectors'",
    r"Hear a spot": "'Listen to a region'",
    r"The same to many clips": "'Apply to many test clips'",
    r"foretold|foretells?\b": "'predicted', 'predicts'",
    r"anomalous, stays": "'unchanged'",
    r"[Ll]et this version count|version (that )?counts": "'Make active', 'active'",
    r"Filed under": "'Save as'",
    r"Name a folder\b": "'Use a server folder'",
    r"\"Look at\"": "'Show'",
    r"See what it holds": "'Review data set'",
    r"Scores to the right|Scores upwards": "'Horizontal axis', 'Vertical axis'",
    r"\"Nu and gamma\"": "'Tune the SVM'",
    r"Nothing is chosen from it": "'For insight only: changes no detector'",
    r"Replay the bench": "'Play demo'",
    r"pAUC looks here": "'pAUC region'",
    r"Stranger than [0-9{]": "'Higher than 35 of 36 held-out normal clips'",
    r"[Tt]ake out\b|[Tt]akes? out\b": "'Remove'",
    r"\bused again\b": "'reused'",
    r"\bside bar\b": "'sidebar'",
    r"\bof many \w+ every k-th|\bk every k-th": "'only every k-th'",
    r"[Ff]alse-positive rate(?! \(FPR\))|[Tt]rue-positive rate(?! \(TPR\))": "'false-alarm rate', 'detection rate'",
    r"\b(numbers?|scores?|rows?|columns?|values?) a (clip|value|step|row|column|second|id|class)\b": "'per'",
    r"\bevery method\b|\bthe methods\b|\btwo methods\b|another method\b|\bNo method\b": "'detector'",
    r"\bstands? (there|here|beside|below|above)\b": "'is', 'lies'",
}
"""Pattern -> what to write instead."""
EXCEPTIONS = {
    ("asd_core/tasks/compare.py", "method"): "`Method` is the name of what is compared: detectors, ensembles, imports",
    ("asd_core/evaluation/delong.py", "method"): "DeLong's method",
    ("asd_core/reports/course_report.py", "method"): "the report's own word, and a key of the JSON that it writes",
}
"""(file, word in what was found) -> why it stays."""


def texts_of(path: Path) -> list[tuple[int, str]]:
    """Line and text of what people may read in a file: strings, docstrings and comments of code, all of a document."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(source.splitlines(), start=1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.start[0], token.string) for token in tokens if token.type in (tokenize.STRING, tokenize.COMMENT)]


def read(paths: list[Path]) -> list[tuple[str, int, str]]:
    """File, line and text of all that people may read in these files."""
    return [(path.relative_to(PROJECT).as_posix(), *each) for path in paths for each in texts_of(path)]


def found(pattern: str, texts: list[tuple[str, int, str]]) -> list[str]:
    """Return where a text holds a pattern and is no exception."""
    hits = [(name, line, re.search(pattern, text)) for name, line, text in texts]
    return [
        f"{name}:{line}: {hit[0]!r}"
        for name, line, hit in hits
        if hit and not any(name == file and word in hit[0] for file, word in EXCEPTIONS)
    ]


def read_by_people() -> list[Path]:
    code = [path for folder in SOURCES for path in sorted((PROJECT / folder).rglob("*.py"))]
    pages = sorted((PROJECT / "pages").rglob("*.html")) + sorted((PROJECT / "asd_core").rglob("*.j2"))
    documents = [PROJECT / name for name in DOCUMENTS] + sorted((PROJECT / "docs").glob("*.md"))
    return [*code, *pages, *documents]


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, int, str]]:
    return read(read_by_people())


@pytest.mark.parametrize("pattern", BANNED)
def test_a_word_that_has_a_better_one_is_not_written(pattern, texts):
    assert found(pattern, texts) == [], f"write {BANNED[pattern]}"


def test_every_exception_is_still_needed():
    for file, word in EXCEPTIONS:
        assert any(word in text for _, text in texts_of(PROJECT / file)), file


def test_a_banned_word_would_be_found_in_code_and_in_documents(tmp_path, monkeypatch):
    monkeypatch.setattr("test_words.PROJECT", tmp_path)
    (tmp_path / "page.py").write_text('st.button("Take out")\nlook = at  # go on\n')
    (tmp_path / "text.md").write_text("One score a clip.\n")
    code, document = read([tmp_path / "page.py"]), read([tmp_path / "text.md"])
    assert found(r"[Tt]ake out\b", code) == ["page.py:1: 'Take out'"]
    assert found(r"go on\b", code) == ["page.py:2: 'go on'"]
    assert found(r"\bscores? a clip\b", document) == ["text.md:1: 'score a clip'"]
