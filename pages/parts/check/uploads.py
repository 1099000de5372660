"""Files that a user brings: the session's limits before anything is decoded, then clips or reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.audio.sandbox import decode_upload
from asd_core.errors import AudioError, UsageError
from asd_core.formats import display_name
from asd_core.types import Waveform
from pages.shared.held import Held
from pages.shared.keys import held
from pages.shared.quota import USED, used_quota

_ADMITTED = "upload_admitted"


@dataclass(frozen=True, eq=False)
class Upload:
    """One file of a session, decoded when its sound is asked for: many at once would not fit into memory.

    Parameters
    ----------
    name
        For people.
    refusal
        Why it is not even read, or None.
    channel
        To be heard of a recording with several; None is their mean.
    """

    name: str
    file: UploadedFile
    refusal: AudioError | None
    channel: int | None

    @property
    def sound(self) -> Waveform | AudioError:
        """Its sound, or why there is none; kept for a while, and not beyond the session."""
        if self.refusal is not None:
            return self.refusal
        key = ("upload", self.file.file_id, self.channel)
        sound = held().get(key, self._decoded, sounds=lambda found: [getattr(found, "digest", "")])
        if isinstance(sound, Waveform):
            _own_sounds().digests.add(sound.digest)
        return sound

    @property
    def key(self) -> tuple[str, str, int | None, str]:
        """What tells it from every other one, of any session."""
        return self.file.file_id, self.name, self.channel, str(self.refusal)

    def _decoded(self) -> Waveform | AudioError:
        try:
            return decode_upload(self.file.getvalue(), name=self.name, channel=self.channel)
        except AudioError as error:
            return error


@dataclass(frozen=True)
class _OwnSounds:
    """The clips that a session has uploaded: what was made of them goes with the session."""

    held: Held
    digests: set[str] = field(default_factory=set)

    def release(self) -> None:
        self.held.drop(self.digests)


@st.cache_resource(max_entries=1, show_spinner=False, scope="session", on_release=_OwnSounds.release)
def _own_sounds() -> _OwnSounds:
    return _OwnSounds(held())


def admitted(files: Sequence[UploadedFile], *, channel: int | None) -> list[Upload]:
    """Take the files of one uploader, to be heard by channel or mean; those beyond the session's limits are refused."""
    return [Upload(display_name(file.name), file, _beyond_limit(file), channel) for file in files]


def _beyond_limit(file: UploadedFile) -> AudioError | None:
    """Count each file once, however often the page runs."""
    admitted: set[str] = st.session_state.setdefault(_ADMITTED, set())
    if file.file_id in admitted:
        return None
    try:
        st.session_state[USED] = used_quota().with_files([file.size])
    except UsageError as error:
        return AudioError("too_big", str(error))
    admitted.add(file.file_id)
    return None
