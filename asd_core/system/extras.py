"""What the package needs beyond its core, by extra, and a plain refusal where that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec

from asd_core.errors import MissingExtraError

EXTRAS = {
    "train": {"torch": "PyTorch"},
    "formats": {"av": "PyAV"},
    "dashboard": {
        "streamlit": "Streamlit",
        "plotly": "Plotly",
        "altair": "Altair",
        "orjson": "orjson",
        "pandas": "pandas",
        "pyarrow": "PyArrow",
        "PIL": "Pillow",
        "jinja2": "Jinja2",
        "markupsafe": "MarkupSafe",
    },
    "watch": {
        "apprise": "Apprise",
        "paho": "paho-mqtt",
        "prometheus_client": "prometheus-client",
        "watchdog": "watchdog",
    },
    "cluster": {"dask": "Dask", "distributed": "Dask's distributed", "fsspec": "fsspec", "pyarrow": "PyArrow"},
    "vggish": {
        "tensorflow": "TensorFlow",
        "tensorflow_hub": "TensorFlow Hub",
        "tf_keras": "tf-keras",
        "pkg_resources": "setuptools < 81",
    },
    "views": {"librosa": "librosa", "numba": "Numba"},
}
"""Extra -> modules that it installs, each with its name for people."""
PURPOSES = {
    "train": "training of networks",
    "formats": "recordings other than WAV and FLAC",
    "dashboard": "pages, HTML reports and figures",
    "watch": "telling somebody what a watch hears, metrics, and the system's notices of changes",
    "cluster": "scoring in parts, Parquet and object stores",
    "vggish": "the encoder VGGish",
    "views": "hum and knocks, rhythm and constant-Q pictures",
}
"""Extra -> what it is for."""


def require(extra: str, *modules: str, task: str) -> None:
    """Refuse a task whose packages are not installed; nothing is imported.

    Parameters
    ----------
    extra
        One of `EXTRAS`.
    modules
        Those of the extra's modules that the task needs; default all.
    task
        What needs them, as the beginning of a sentence ("training networks").

    Raises
    ------
    MissingExtraError
        One of them is missing; the text names it and the command that installs the extra.
    """
    if missing := missing_modules(modules or EXTRAS[extra]):
        names = [EXTRAS[extra][module] for module in missing]
        packages = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        raise MissingExtraError(f"{task} needs {packages}: {install_command(extra)}")


def missing_modules(modules: Iterable[str]) -> list[str]:
    """Those of the modules that are not installed, in their order."""
    return [module for module in modules if not _is_installed(module)]


def install_command(extra: str) -> str:
    """Shell command that installs an extra."""
    return f"pip install 'asd_core[{extra}]'"


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None  # None: its import was blocked
    return find_spec(module) is not None
