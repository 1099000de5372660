"""Virtual environments that hold a few packages and nothing else: what runs there needs nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, TypeAlias

from asd_core.system.packages import installed

FromWhere: TypeAlias = Literal["index", "linked"]
INSTALL_S = 300.0


def make_environment(place: Path, packages: Sequence[str], *, made: FromWhere) -> tuple[FromWhere, str]:
    """Make a virtual environment with these packages, in the versions installed here, and what they require.

    Parameters
    ----------
    made
        `index`: installed by pip from the package index, and `linked` where that is out of reach; `linked`: links to
        the packages installed here, and to no others.

    Returns
    -------
    tuple
        How it was made, and why not from the index where it should have been; else empty.
    """
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(place)
    why = ""
    if made == "index":
        why = _install(place, packages)
        if not why:
            return "index", ""
    _link_packages(place, packages)
    return "linked", why


def _install(place: Path, packages: Sequence[str]) -> str:
    """Install from the package index, the versions that are installed here; say why where that fails."""
    wanted = [f"{name}=={number}" for name, number in installed(packages).items()]
    command = [sys.executable, "-m", "pip", "--python", str(_python(place)), "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--retries", "1", *wanted]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except (subprocess.SubprocessError, OSError) as error:
        return f"not from the package index: {last_line(error)}"
    return ""


def _link_packages(place: Path, packages: Sequence[str]) -> None:
    """Link what is installed here of the needed packages, and of those that they require, into an environment."""
    target = next(place.glob("lib/python*/site-packages"), place / "Lib" / "site-packages")
    for name in _required(packages):
        found = distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not (target / top).exists():
                (target / top).symlink_to(Path(str(found.locate_file(top))).resolve())


def _required(names: Sequence[str]) -> list[str]:
    """Packages with all that they require and is installed, without their extras."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if name not in found:
            found.append(name)
            waiting += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requires if ";" not in text]
    return found


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_in(place: Path, script: Path, *arguments: Path, limit_s: float) -> None:
    """Run a script there: without the user's packages, and without what PYTHONPATH or the current folder bring.

    Raises
    ------
    subprocess.SubprocessError
        It fails, or takes longer than `limit_s`.
    """
    command = [str(_python(place)), "-I", "-B", str(script), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit_s, cwd=place)


def last_line(error: Exception) -> str:
    """What a failed process said last."""
    told = getattr(error, "stderr", None)
    lines = (told if isinstance(told, str) else str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
