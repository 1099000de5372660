"""Which files are recordings: the suffixes under which each kind is kept, and whether only WAV and FLAC are read."""

from __future__ import annotations

import os

from asd_core.errors import UsageError

FORMATS_VARIABLE = "ASD_FORMATS"
LOSSLESS_SUFFIXES = (".wav", ".wave", ".bwf", ".rf64", ".flac")
"""Read by the bounded reader, in this process."""
OTHER_SUFFIXES = (
    ".mp3",
    ".ogg",
    ".oga",
    ".opus",
    ".m4a",
    ".m4b",
    ".aac",
    ".mp4",
    ".mov",
    ".3gp",
    ".webm",
    ".weba",
    ".aif",
    ".aiff",
    ".aifc",
    ".amr",
    ".wma",
)
"""Read through PyAV, in the limited child process alone."""


def only_lossless() -> bool:
    """Whether `ASD_FORMATS=strict` switches all formats but WAV and FLAC off.

    Raises
    ------
    UsageError
        Another value than `strict` or `all`.
    """
    value = os.environ.get(FORMATS_VARIABLE, "").strip().lower() or "all"
    if value not in ("all", "strict"):
        raise UsageError(f"{FORMATS_VARIABLE} must be all or strict (WAV and FLAC alone), got {value!r}")
    return value == "strict"


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes, in lower case, of the files that are listed as recordings."""
    return LOSSLESS_SUFFIXES if only_lossless() else LOSSLESS_SUFFIXES + OTHER_SUFFIXES
