"""What this machine has and lacks for the dashboard and the commands."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from asd_core import feature_cache
from asd_core.audio import encode_wav
from asd_core.decoding import Decoder
from asd_core.encoders.vggish import cached_hub_folder
from asd_core.errors import AudioError, UsageError
from asd_core.places import data_dir, vggish_dir
from asd_core.types import SR

_FLOORS = {"streamlit": (1, 54), "torch": (2, 10)}
"""Oldest versions without the known holes (CVE-2026-33682; CVE-2025-32434 and CVE-2026-24747)."""
_REQUIRED = (
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "soundfile",
    "soxr",
    "safetensors",
    "torch",
    "streamlit",
    "plotly",
    "altair",
)
_NEEDED_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    required: bool
    detail: str


def checks() -> list[Check]:
    """Run all checks; none of them imports a large package or uses the network."""
    python = Check(
        "python", (3, 11) <= sys.version_info[:2] < (3, 14), True, f"{sys.version.split()[0]}, wanted 3.11-3.13"
    )
    found = [python, *[_package(name) for name in _REQUIRED], _data_dir(), _feature_cache(), _vggish()]
    return [*found, *_protections(), _decoder()]


def _package(name: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, True, "not installed: pip install -r requirements.txt")
    floor = _FLOORS.get(name)
    if floor is None:
        return Check(name, True, True, found)
    major_minor = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
    return Check(name, major_minor >= floor, True, f"{found}, wanted {'.'.join(map(str, floor))} or newer")


def _data_dir() -> Check:
    folder = data_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    writable = os.access(existing, os.W_OK)
    detail = f"{folder}: {free / 2**30:.1f} GiB free, {'writable' if writable else 'not writable'}"
    return Check("data folder", writable and free > _NEEDED_BYTES, True, detail)


def _feature_cache() -> Check:
    try:
        cache = feature_cache.opened()
    except UsageError as error:
        return Check("feature cache", False, False, str(error))
    if cache is None:
        return Check("feature cache", True, False, "switched off by ASD_CACHE_MB=0")
    used, most = (n_bytes / 2**20 for n_bytes in (cache.n_bytes(), cache.max_bytes))
    return Check("feature cache", True, False, f"{used:.1f} of at most {most:.0f} MiB used in {cache.folder}")


def _vggish() -> Check:
    packages = [
        name for name in ("tensorflow", "tensorflow_hub", "tf_keras", "pkg_resources") if find_spec(name) is None
    ]
    if packages:
        return Check("VGGish", False, False, f"missing packages: {', '.join(packages)}")
    folder = vggish_dir() or cached_hub_folder()
    there = (folder / "saved_model.pb").is_file()
    detail = f"weights in {folder}; check them with verify-vggish" if there else f"no weights in {folder}"
    return Check("VGGish", there, False, detail)


def _protections() -> list[Check]:
    posix = os.name == "posix"
    missing = "this system lacks it"
    return [
        Check("file locks", find_spec("fcntl") is not None, False, "one training a detector" if posix else missing),
        Check("no-follow opening", hasattr(os, "O_NOFOLLOW"), False, "links are refused" if posix else missing),
        Check("resource limits", find_spec("resource") is not None, False, "memory and time" if posix else missing),
    ]


def _decoder() -> Check:
    decoder, limited = Decoder(), find_spec("resource") is not None
    try:
        decoder.decode(encode_wav([0.0] * SR))
    except (AudioError, OSError) as error:
        return Check("upload decoder", False, True, str(error))
    finally:
        decoder.close()
    return Check("upload decoder", True, True, f"a child process, {'memory and' if limited else 'only'} time limited")
