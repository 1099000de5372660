"""Where the code of the pages lives: a part belongs to one page, and what is shared serves several."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from sounds import PROJECT

OVERVIEW = "overview"
SERVES_ONE = {
    "pages.shared.components.recorder": "as the other components, it is registered from their folder",
    "pages.shared.components.cockpit": "as the other components, it is registered from their folder",
    "pages.shared.components.failures": "as the other components, it is registered from their folder",
    "pages.shared.components.hero": "as the other components, it is registered from their folder",
    "pages.shared.components.lanes": "as the other components, it is registered from their folder",
    "pages.shared.components.plane": "as the other components, it is registered from their folder",
    "pages.shared.components.ranking": "as the other components, it is registered from their folder",
    "pages.shared.components.watches": "as the other components, it is registered from their folder",
}
"""Shared modules that one page alone uses, each with the reason why it is shared all the same."""


def modules() -> dict[str, str]:
    """Every module of the pages with its text, by dotted name."""
    paths = [PROJECT / "app.py", *sorted((PROJECT / "pages").rglob("*.py"))]
    named = {path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", "."): path for path in paths}
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for name, path in named.items()}


def page_of(module: str) -> str | None:
    """Name the page that a script or a part belongs to; None for what is shared."""
    parts = module.split(".")
    if parts[0] == "app":
        return OVERVIEW
    if parts[1] == "parts":
        return parts[2]
    return None if parts[1] == "shared" else parts[1]


def imported_modules(text: str, known: frozenset[str]) -> set[str]:
    """Modules of the pages that a text imports anywhere, inside functions too, in any way of writing it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "pages import by full names"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & known


def graph(texts: dict[str, str]) -> dict[str, set[str]]:
    return {name: imported_modules(text, frozenset(texts)) for name, text in texts.items()}


def strangers(imports: dict[str, set[str]]) -> list[str]:
    """Imports of a part by what does not belong to its page."""
    return sorted(
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in others
        if other.startswith("pages.parts.") and page_of(other) != page_of(name)
    )


def serving_few(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Shared modules that fewer than two pages reach, through whatever they import, with those pages."""

    @cache
    def reached(name: str) -> frozenset[str]:
        return frozenset({name}).union(*map(reached, imports[name]))

    pages: dict[str, set[str]] = {name: set() for name in imports if name.startswith("pages.shared.")}
    for name in imports:
        page = page_of(name)
        for other in reached(name) & pages.keys() if page else ():
            pages[other].add(str(page))
    return {name: users for name, users in pages.items() if len(users) < 2}


def test_no_part_is_used_by_another_page_or_by_what_is_shared():
    assert strangers(graph(modules())) == []


def test_every_shared_module_serves_two_pages_at_least():
    assert serving_few(graph(modules())).keys() == SERVES_ONE.keys()


@pytest.mark.parametrize(
    "line",
    [
        "from pages.parts.data.table import set_table",
        "from pages.parts.data import table",
        "import pages.parts.data.table",
        "def later():\n    from pages.parts.data import table as data_table",
    ],
)
def test_an_import_of_another_pages_part_is_found_however_it_is_written(line):
    texts = modules()
    for name in ("pages.parts.train.form", "pages.train", "pages.shared.frame", "app"):
        assert strangers(graph({**texts, name: line})) == [f"{name} imports pages.parts.data.table"]
    assert strangers(graph({**texts, "pages.parts.data.add": line, "pages.data": line})) == []


def test_a_shared_module_that_one_page_alone_reaches_is_found():
    texts = {"app": "", "pages.shared.a": "from pages.shared.b import c", "pages.shared.b": "", "pages.shared.d": ""}
    texts |= {"pages.parts.data.x": "import pages.shared.a", "pages.data": "from pages.parts.data import x"}
    assert serving_few(graph(texts)) == {
        "pages.shared.a": {"data"},
        "pages.shared.b": {"data"},
        "pages.shared.d": set(),
    }
    texts["app"] = "def draw():\n    from pages.shared import b, d"
    assert serving_few(graph(texts)).keys() == {"pages.shared.a", "pages.shared.d"}
