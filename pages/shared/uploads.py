"""Files that a user brings: the session's limits before anything is decoded, then clips or reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.decoding import decode_upload
from asd_core.errors import AudioError, UsageError
from asd_core.types import Waveform
from asd_core.uploads import Quota
from pages.shared.sources import shown_name

USED = "upload_used"
"""Key of the session's quota, which counts the files of all pages."""
_ADMITTED = "upload_admitted"


@dataclass(frozen=True)
class Upload:
    """One file: its name for people, and its sound or why there is none."""

    name: str
    sound: Waveform | AudioError


def read_uploads(files: Sequence[UploadedFile], *, channel: int | None) -> list[Upload]:
    """Decode the files of one uploader, by channel or mean; those beyond the session's limits are refused unread."""
    if len(files) <= 1:
        return [_read(file, channel) for file in files]
    bar = st.progress(0.0, "Reading the recordings …")
    uploads = []
    for number, file in enumerate(files, start=1):
        uploads.append(_read(file, channel))
        bar.progress(number / len(files), f"{number} of {len(files)} recordings read")
    bar.empty()
    return uploads


def _read(file: UploadedFile, channel: int | None) -> Upload:
    name = shown_name(file.name)
    return Upload(name, _beyond_limit(file) or _decoded(file.file_id, channel, file))


def _beyond_limit(file: UploadedFile) -> AudioError | None:
    """Count each file once, however often the page runs."""
    admitted: set[str] = st.session_state.setdefault(_ADMITTED, set())
    if file.file_id in admitted:
        return None
    try:
        st.session_state[USED] = st.session_state.get(USED, Quota()).with_files([file.size])
    except UsageError as error:
        return AudioError("too_big", str(error))
    admitted.add(file.file_id)
    return None


@st.cache_resource(max_entries=64, show_spinner=False)
def _decoded(file_id: str, channel: int | None, _file: UploadedFile) -> Waveform | AudioError:  # noqa: ARG001 - the key
    try:
        return decode_upload(_file.getvalue(), name=shown_name(_file.name), channel=channel)
    except AudioError as error:
        return error
