"""What may be uploaded: a quota for storing, another for checking, and the formats that are read."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.audio.kinds import only_lossless, readable_suffixes
from asd_core.audio.reading import MAX_UPLOAD_BYTES
from asd_core.data.quotas import CHECKING, STORING, Limits, Quota, Upload
from asd_core.data.uploads import check_quota, stored_digests

STORED, CHECKED = "upload_used", "check_used"
"""Keys of the session's quotas."""


def used_to_store() -> Quota:
    """Return what the session has stored of its quota."""
    used: Quota = st.session_state.get(STORED, Quota(limits=STORING))
    return used


def used_to_check() -> Quota:
    """Return what the session has checked of its quota."""
    used: Quota = st.session_state.get(CHECKED, Quota(limits=CHECKING))
    return used


def count_stored(name: str, uploads: Sequence[Upload]) -> Quota:
    """Count files that are to be stored in a data set, before any is decoded: a click elsewhere may end this run.

    Returns
    -------
    Quota
        What was used before, for `store_uploads`, which counts them itself.

    Raises
    ------
    UsageError
        See `asd_core.data.uploads.check_quota`.
    """
    used = used_to_store()
    st.session_state[STORED] = check_quota(uploads, used, stored=stored_digests(name))
    return used


def count_checked(upload: Upload) -> None:
    """Count a file that is to be checked; one that came before in this session, here or to be stored, costs nothing.

    Raises
    ------
    UsageError
        It is too large, or the quota is used up.
    """
    st.session_state[CHECKED] = used_to_check().with_uploads([upload], stored=used_to_store().seen)


def upload_types(*, archives: bool = False) -> list[str]:
    """Suffixes of the files that an uploader takes; their content decides, whatever they are called."""
    return [suffix.removeprefix(".") for suffix in readable_suffixes()] + ["zip"] * archives


def formats_text() -> str:
    """Name the formats that are read here."""
    return "WAV or FLAC" if only_lossless() else "WAV, FLAC, MP3, M4A, Ogg, Opus, WebM and other common formats"


def limits_text(limits: Limits) -> str:
    """Say what one session may upload: `at most 32 MB each, 50 files and 200 MB a session`."""
    total = f"{limits.bytes >> 30} GB" if limits.bytes >= 2**30 else f"{limits.bytes >> 20} MB"
    return f"at most {MAX_UPLOAD_BYTES >> 20} MB each, {limits.files} files and {total} per session"
