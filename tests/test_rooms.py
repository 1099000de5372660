"""The house: the picture in CONTRIBUTING is that of the imports, and what the page names is there."""

from __future__ import annotations

import ast
import re

import pytest
from sounds import PROJECT

from benchmarks.rooms import PICTURE, draw, find_rooms

PAGE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
GROUND = ("errors", "formats", "types")


def test_the_picture_of_the_rooms_is_drawn_from_the_imports_of_today():
    assert PICTURE.read_text(encoding="utf-8") == draw(find_rooms()), "run `make rooms`"


def test_no_room_imports_one_that_stands_after_it():
    rooms = find_rooms()
    names = [room.name for room in rooms]
    assert len(names) == 12 + len(GROUND)
    assert [(room.name, sorted(room.imports - set(names[:at]))) for at, room in enumerate(rooms)] == [
        (name, []) for name in names
    ]


def test_every_module_stands_in_a_room():
    loose = {path.stem for path in (PROJECT / "asd_core").glob("*.py")}
    assert loose == {"__init__", "__main__", *GROUND}


@pytest.mark.parametrize("room", [room.name for room in find_rooms() if room.modules])
def test_every_room_says_what_lives_there_and_what_does_not(room):
    says = ast.get_docstring(ast.parse((PROJECT / "asd_core" / room / "__init__.py").read_text(encoding="utf-8")))
    assert says is not None
    assert len(re.findall(r"\.(?=\s|$)", says)) >= 2


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"`((?:asd_core|pages|tests|docs|benchmarks)/[^`<>]*?)`", PAGE))
    assert len(named) > 30
    assert sorted(path for path in named if not (PROJECT / path).exists()) == []


def test_every_name_of_the_two_ways_is_there():
    ways = PAGE[PAGE.index("### Two ways") : PAGE.index("### Where is")]
    modules = re.findall(r"`((?:asd_core\.|pages\.)?[a-z_]+(?:\.[a-z_]+)+)`", ways)
    assert len(modules) > 10
    assert [name for name in modules if not _is_there(name)] == []


def _is_there(dotted: str) -> bool:
    place = (
        PROJECT / dotted.replace(".", "/")
        if dotted.startswith("pages.")
        else PROJECT / "asd_core" / dotted.replace(".", "/")
    )
    module, name = place.parent.with_suffix(".py"), place.name
    return place.with_suffix(".py").is_file() or (
        module.is_file() and f"def {name}(" in module.read_text(encoding="utf-8")
    )
