"""What this machine has and lacks for the dashboard and the commands."""

from __future__ import annotations

import os
import re
import struct
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from asd_core.audio.kinds import only_lossless
from asd_core.audio.reading import encode_wav
from asd_core.audio.sandbox import Decoder
from asd_core.errors import AudioError, UsageError
from asd_core.features import cache as feature_cache
from asd_core.features.encoders.vggish import cached_hub_folder
from asd_core.system.disk import existing_folder, free_bytes
from asd_core.system.extras import EXTRAS, PURPOSES, install_command, missing_modules
from asd_core.system.places import data_dir, vggish_dir
from asd_core.types import SR

_FLOORS = {"streamlit": (1, 54), "torch": (2, 10)}
"""Oldest versions without the known holes (CVE-2026-33682; CVE-2025-32434 and CVE-2026-24747)."""
_REQUIRED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "threadpoolctl",
    "soundfile",
    "soxr",
    "safetensors",
    "onnx",
    "onnxruntime",
    "shtab",
)
"""The core's packages; `extras` lists the others."""
_IMA_FMT = struct.pack("<HHIIHHHH", 0x11, 1, 8000, 4000, 256, 4, 2, 505)
_IMA_SILENCE = struct.pack("<4sI4s4sI20s4sI", b"RIFF", 4132, b"WAVE", b"fmt ", 20, _IMA_FMT, b"data", 4096) + bytes(
    4096
)
_NEEDED_BYTES = 2 * 2**30
_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?P<early>[._-]?(?:a|b|c|rc|alpha|beta|pre|preview)[._-]?\d*)?"
    r"(?P<post>-\d+|[._-]?(?:post|rev|r)[._-]?\d*)?(?P<dev>[._-]?dev[._-]?\d*)?(?:\+[a-z0-9]+(?:[._-][a-z0-9]+)*)?"
)
"""PEP 440, appendix B."""


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
    found = [python, *[_package(name) for name in _REQUIRED], *_extras(), _data_dir(), _feature_cache(), _vggish()]
    return [*found, *_protections(), _decoder(), _formats()]


def _package(name: str) -> Check:
    try:
        return Check(name, True, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, True, "not installed: pip install asd_core")


def _extras() -> list[Check]:
    """Which extras are there; where one of their packages has known holes in older versions, its version as well."""
    return [
        *map(_extra, EXTRAS),
        *[_version(name, floor) for name, floor in _FLOORS.items() if not missing_modules([name])],
    ]


def _extra(extra: str) -> Check:
    name, purpose = f"extra {extra}", PURPOSES[extra]
    if missing := missing_modules(EXTRAS[extra]):
        absent = ", ".join(EXTRAS[extra][module] for module in missing)
        return Check(name, False, False, f"{purpose}; missing {absent}: {install_command(extra)}")
    return Check(name, True, False, purpose)


def _version(name: str, floor: tuple[int, int]) -> Check:
    found = version(name)
    return Check(name, reaches(found, floor), True, f"{found}, wanted {'.'.join(map(str, floor))} or newer")


def reaches(found: str, floor: tuple[int, int]) -> bool:
    """Whether a version is the floor or newer, as PEP 440 orders them; any other version is too old.

    Release candidates, alphas, betas and development versions come before the release that they lead to, post-releases
    and local versions (`2.10.0+cpu`) after it.
    """
    match = _VERSION.fullmatch(str(found).strip().lower())  # a package without a version has None
    if match is None:
        return False
    release = tuple(int(part) for part in match["release"].split("."))
    order = (int(match["epoch"] or 0), *(*release, 0, 0)[:2])
    leads_to_release = match["early"] or (match["dev"] and not match["post"])
    is_before = bool(leads_to_release) and not any(release[2:])
    return order > (0, *floor) or (order == (0, *floor) and not is_before)


def _data_dir() -> Check:
    try:
        folder = data_dir()
    except UsageError as error:
        return Check("data folder", False, True, str(error))
    free = free_bytes(folder)
    writable = os.access(existing_folder(folder), os.W_OK)
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
    if missing := missing_modules(EXTRAS["vggish"]):
        return Check("VGGish", False, False, f"missing packages: {', '.join(missing)}")
    try:
        folder = vggish_dir() or cached_hub_folder()
    except UsageError as error:
        return Check("VGGish", False, False, str(error))
    there = (folder / "saved_model.pb").is_file()
    detail = f"weights in {folder}; check them with verify-vggish" if there else f"no weights in {folder}"
    return Check("VGGish", there, False, detail)


def _protections() -> list[Check]:
    posix = os.name == "posix"
    missing = "this system lacks it"
    return [
        Check("file locks", find_spec("fcntl") is not None, False, "one training per detector" if posix else missing),
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


def _formats() -> Check:
    """Whether other formats than WAV and FLAC are decoded: tried on a second of silence in IMA ADPCM."""
    name, decoder = "other formats", Decoder()
    try:
        if only_lossless():
            return Check(name, True, False, "WAV and FLAC alone: ASD_FORMATS=strict")
        decoder.decode(_IMA_SILENCE)
    except (AudioError, OSError, UsageError) as error:
        return Check(name, False, False, str(error))
    finally:
        decoder.close()
    return Check(name, True, False, "MP3, M4A, Ogg and others, in a child process")
