"""Files that a user brings: limits before anything is decoded, then clips or reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.audio import MAX_UPLOAD_BYTES
from asd_core.decoding import decode_upload
from asd_core.errors import AudioError
from asd_core.types import Waveform
from pages.shared.sources import shown_name

MAX_FILES = 50
MAX_TOTAL_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Upload:
    """One file: its name for people, and its sound or why there is none."""

    name: str
    sound: Waveform | AudioError


def read_uploads(files: Sequence[UploadedFile]) -> list[Upload]:
    """Decode the files of one uploader; those beyond the limits are refused unread."""
    if len(files) <= 1:
        return [_read(file) for file in files]
    bar = st.progress(0.0, "Reading the recordings …")
    uploads, total = [], 0
    for number, file in enumerate(files, start=1):
        total += file.size
        uploads.append(_beyond_limit(file, number, total) or _read(file))
        bar.progress(number / len(files), f"{number} of {len(files)} recordings read")
    bar.empty()
    return uploads


def _beyond_limit(file: UploadedFile, number: int, total: int) -> Upload | None:
    if number > MAX_FILES:
        reason = f"at most {MAX_FILES} files at a time, this is number {number}"
    elif total > MAX_TOTAL_BYTES:
        reason = f"at most {MAX_TOTAL_BYTES // 2**20} MB at a time"
    else:
        return None
    return Upload(shown_name(file.name), AudioError("too_big", reason))


def _read(file: UploadedFile) -> Upload:
    name = shown_name(file.name)
    if file.size > MAX_UPLOAD_BYTES:
        reason = f"at most {MAX_UPLOAD_BYTES // 2**20} MB a file, got {file.size} bytes"
        return Upload(name, AudioError("too_big", reason))
    return Upload(name, _decoded(file.file_id, file))


@st.cache_resource(max_entries=64, show_spinner=False)
def _decoded(file_id: str, _file: UploadedFile) -> Waveform | AudioError:  # noqa: ARG001 - the id is the key
    try:
        return decode_upload(_file.getvalue(), name=shown_name(_file.name))
    except AudioError as error:
        return error
