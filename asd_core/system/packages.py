"""Versions of the packages that figures depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from asd_core import __version__

_PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "torch", "soundfile", "soxr", "safetensors")


def package_versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of those packages that are installed."""
    found = {"asd_core": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
