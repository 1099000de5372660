"""Write the API reference, HTML made from the docstrings, into a folder: `make docs`. Each warning is an error."""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

import asd_core

NOT_SHOWN = {"__main__", "cli"}


def main(folder: Path) -> None:
    """Document every module but those of the command line, which `asd --help` explains."""
    # pdoc shows what `__all__` names and the module holds; public names come when first used, and rooms are not named.
    for name in asd_core.__all__:
        setattr(asd_core, name, getattr(asd_core, name))
    rooms = (room.name for room in pkgutil.iter_modules(asd_core.__path__))
    asd_core.__all__ = [*asd_core.__all__, *(name for name in rooms if name not in NOT_SHOWN)]
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text=f"asd_core {asd_core.__version__}")
    pdoc.pdoc("asd_core", "!asd_core.jobs.__main__", output_directory=folder)


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
