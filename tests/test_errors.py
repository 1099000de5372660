"""The tree of exceptions as the docstring of `asd_core.errors` draws it."""

from __future__ import annotations

import ast
import re

from sounds import PROJECT

from asd_core import errors


def drawn() -> dict[str, str | None]:
    """Each name of the drawing with the name it hangs below."""
    above: list[tuple[int, str]] = []
    found: dict[str, str | None] = {}
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"    (?P<branches>[| `-]*)(?P<name>[A-Z]\w+)", line)
        if match is None:
            continue
        depth = len(match["branches"])
        above = [(at, name) for at, name in above if at < depth]
        found[match["name"]] = above[-1][1] if above else None
        above.append((depth, match["name"]))
    return found


def test_the_drawn_tree_of_exceptions_is_complete_and_true():
    defined = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    parents = {name: each.__bases__[0].__name__ for name, each in defined.items()}
    assert drawn() == {**parents, "AsdError": None}


def test_every_error_for_people_is_defined_in_that_module():
    elsewhere = [
        f"{path.relative_to(PROJECT)}: {node.name}"
        for path in sorted((PROJECT / "asd_core").rglob("*.py"))
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base).split(".")[-1] for base in node.bases} & set(drawn())
    ]
    assert elsewhere == []
