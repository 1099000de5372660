"""Which versions of Python and of packages a result was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from asd_core import __version__

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "onnx",
    "onnxruntime",
    "soundfile",
    "soxr",
    "safetensors",
)


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of packages; those not installed are left out."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of this package, of Python and of other packages; those not installed are left out."""
    return {"asd_core": __version__, "python": platform.python_version(), **installed(packages)}
