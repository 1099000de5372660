"""Draw the rooms of `asd_core` and who imports whom, from the imports themselves: `make rooms`.

Rows are rooms in the order that `.importlinter` holds. A dot in a row says that this room imports the room above that
column; the order is kept where all dots lie left of the diagonal.
"""

from __future__ import annotations

import ast
import configparser
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "asd_core"
PICTURE = PROJECT / "docs" / "images" / "rooms.svg"

_LEFT, _TOP, _LINE, _CELL = 16, 110, 15, 30
_NAME, _TEXT, _CHARACTERS = 104, 640, 96
_INK, _FAINT, _DOT = "#1b1f24", "#6b7280", "#0072b2"


@dataclass(frozen=True)
class Room:
    """A sub-package or a ground module, its modules' names and the rooms that it imports."""

    name: str
    says: str
    modules: tuple[str, ...]
    imports: frozenset[str]


def room_order() -> list[str]:
    """Names of the rooms, the ground first, as the import contract has them."""
    contracts = configparser.ConfigParser()
    contracts.read(PROJECT / ".importlinter", encoding="utf-8")
    layers = contracts["importlinter:contract:rooms"]["layers"].split("\n")
    rows = [[name.strip() for name in row.split("|")] for row in layers if row.strip()]
    return [name for row in reversed(rows) for name in row if name != "__main__"]


def find_rooms() -> list[Room]:
    """Read every module of the package; rooms in their order, the ground first."""
    return [_room(name) for name in room_order()]


def _room(name: str) -> Room:
    folder = PACKAGE / name
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]
    first = folder / "__init__.py" if folder.is_dir() else files[0]
    says = (ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    inside = [path for path in files if path.is_relative_to(folder) and not path.name.startswith("__")]
    modules = tuple(path.relative_to(folder).with_suffix("").as_posix() for path in inside)
    imports = {room for path in files for room in _rooms_imported(path)} - {name}
    return Room(name, " ".join(says.replace("`", "").split()), modules, frozenset(imports))


def _rooms_imported(path: Path) -> set[str]:
    """Second parts of all `asd_core.<room>` that a module imports, wherever the import stands in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "asd_core":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asd_core."):
            found.add(str(node.module).split(".")[1])
    return found


def draw(rooms: list[Room]) -> str:
    """Draw rooms as rows with their modules, and the matrix of imports beside them, as SVG."""
    names = [room.name for room in rooms]
    parts, y = [_columns(names)], _TOP
    for row, room in enumerate(rooms):
        lines = [*wrap(room.says, _CHARACTERS), *wrap(", ".join(room.modules), _CHARACTERS)]
        n_said = len(wrap(room.says, _CHARACTERS))
        height = max(_CELL, _LINE * len(lines) + 12)
        parts.append(f'<path d="M{_LEFT} {y}H{_matrix_x(len(names))}" stroke="#d5d9de"/>')
        parts.append(_text(_LEFT, y + 18, room.name, weight="bold"))
        for number, line in enumerate(lines):
            parts.append(_text(_LEFT + _NAME, y + 18 + _LINE * number, line, faint=number >= n_said))
        parts += _cells(row, names, room, y, height)
        y += height
    width, height = _matrix_x(len(names)) + _LEFT, y + _LEFT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>The rooms of asd_core and what each imports</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _columns(names: list[str]) -> str:
    heads = [
        f'<text fill="{_INK}" transform="translate({_matrix_x(column) + 19} {_TOP - 8}) rotate(-60)">{name}</text>'
        for column, name in enumerate(names)
    ]
    return "\n".join([_text(_LEFT, _TOP - 8, "A room imports only what stands above it.", faint=True), *heads])


def _cells(row: int, names: list[str], room: Room, y: int, height: int) -> list[str]:
    middle = y + height // 2
    x = _matrix_x(row)
    cells = [f'<rect x="{x}" y="{y}" width="{_CELL}" height="{height}" fill="#eceff2"/>']
    for column, name in enumerate(names):
        if name in room.imports:
            colour = _DOT if column < row else "#d55e00"
            cells.append(f'<circle cx="{_matrix_x(column) + _CELL // 2}" cy="{middle}" r="5" fill="{colour}"/>')
    return cells


def _matrix_x(column: int) -> int:
    return _LEFT + _NAME + _TEXT + _CELL * column


def _text(x: int, y: int, text: str, *, weight: str = "normal", faint: bool = False) -> str:
    colour = _FAINT if faint else _INK
    return f'<text x="{x}" y="{y}" fill="{colour}" font-weight="{weight}">{escape(text)}</text>'


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(find_rooms()), encoding="utf-8")


if __name__ == "__main__":
    main()
