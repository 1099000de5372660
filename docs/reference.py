"""Write the API reference, HTML made from the docstrings, into a folder: `make docs`. Each warning is an error."""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

import asd_core


def main(folder: Path) -> None:
    """Document every module but those of the command line, which `asd --help` explains."""
    for name in asd_core.__all__:  # pdoc looks names up where it finds them, and these come when first used
        setattr(asd_core, name, getattr(asd_core, name))
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text=f"asd_core {asd_core.__version__}")
    rooms = [f"asd_core.{room.name}" for room in pkgutil.iter_modules(asd_core.__path__)]
    pdoc.pdoc("asd_core", *rooms, r"!asd_core\.(.*\.)?__main__", "!asd_core.cli", output_directory=folder)


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
