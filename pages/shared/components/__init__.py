"""Our own Streamlit components: Python in modules, and the .html, .css and .js files that the browser gets."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_FOLDER = Path(__file__).parent
_PX = re.compile(r"(?<![\w.#-])(-?\d*\.?\d+)px\b")
_SCALED = "--asd-scale"
PX_IN_REM = 16.0
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)


def register(name: str, files: str, *, styles: tuple[str, ...] = ()) -> ComponentRenderer:
    """Register `<files>.html`, `.css` and `.js` as the component `name`; call it once, at a module's import.

    The files are read then, and never again while the server runs. Their pixels become shares of the page's own type
    size, so that a component grows with the page in a presentation.

    Parameters
    ----------
    styles
        Style sheets of this folder that come before its own.
    """
    html = _read(f"{files}.html")
    css = "".join(growing(_read(file)) for file in (*styles, f"{files}.css"))
    return st.components.v2.component(name, html=html, css=css, js=browser_script(f"{files}.js"))


def growing(css: str) -> str:
    """Write a style sheet's pixels in `rem`; one that uses `--asd-scale` grows by itself and stays as it is."""

    def in_rem(found: re.Match[str]) -> str:
        return f"{float(found[1]) / PX_IN_REM:.6g}rem"

    return css if _SCALED in css else _PX.sub(in_rem, css)


def browser_script(file: str) -> str:
    """Return a script of this folder with all that it imports before it, as one module.

    Streamlit gives the browser the script of a component alone, without an address that an import could start from.
    """
    return "".join(_parts(file).values())


def _parts(file: str) -> dict[str, str]:
    """Return a script and those it imports, each once and after its own imports, without the import lines."""
    text = _read(file)
    parts: dict[str, str] = {}
    for imported in _IMPORT.findall(text):
        parts |= _parts(imported)
    return parts | {file: _IMPORT.sub("", text)}


def _read(file: str) -> str:
    return (_FOLDER / file).read_text(encoding="utf-8")
