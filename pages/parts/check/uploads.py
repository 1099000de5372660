"""Files that a user uploads: the session's limits are checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from asd_core.audio.sandbox import decode_upload
from asd_core.data.quotas import CHECKING
from asd_core.data.quotas import Upload as Uploaded
from asd_core.errors import AudioError, UsageError
from asd_core.formats import display_name
from asd_core.types import Waveform
from pages.shared.choices import go
from pages.shared.handed import SentFile, handed_clips
from pages.shared.held import Held
from pages.shared.keys import held
from pages.shared.plain_text import plain
from pages.shared.quota import count_checked, formats_text, limits_text, upload_types
from pages.shared.sources import SharedClip

_ADMITTED = "upload_admitted"
MAX_NAMED = 3
MAX_CHOICE = 64
"""Channels of a recording at most."""


@dataclass(frozen=True, eq=False)
class Upload:
    """One file of a session, decoded when its sound is needed: many at once would not fit into memory.

    Parameters
    ----------
    name
        The name to display.
    refusal
        Why it is not read at all, or None.
    channel
        Which channel of several is used; None means their mean.
    """

    name: str
    file: SentFile
    refusal: AudioError | None
    channel: int | None

    @property
    def sound(self) -> Waveform | AudioError:
        """The sound, or the reason why there is none; kept for a while, and never beyond the session."""
        if self.refusal is not None:
            return self.refusal
        key = ("upload", self.file.file_id, self.channel)
        sound = held().get(key, self._decoded, sounds=lambda found: [getattr(found, "digest", "")])
        if isinstance(sound, Waveform):
            _own_sounds().digests.add(sound.digest)
        return sound

    @property
    def key(self) -> tuple[str, str, int | None, str]:
        """What distinguishes it from every other upload of any session."""
        return self.file.file_id, self.name, self.channel, str(self.refusal)

    def _decoded(self) -> Waveform | AudioError:
        try:
            sound = decode_upload(self.file.getvalue(), name=self.name, channel=self.channel)
        except AudioError as error:
            return error
        return SharedClip.of(sound, self.channel)


@dataclass(frozen=True)
class _OwnSounds:
    """The clips that a session has uploaded: everything derived from them is dropped when the session ends."""

    held: Held
    digests: set[str] = field(default_factory=set)

    def release(self) -> None:
        self.held.drop(self.digests)


@st.cache_resource(max_entries=1, show_spinner=False, scope="session", on_release=_OwnSounds.release)
def _own_sounds() -> _OwnSounds:
    return _OwnSounds(held())


def sent_files() -> Sequence[SentFile]:
    """Return what is uploaded here, else the clip that My machine has handed over, with the way back there."""
    files = st.file_uploader(
        f"Recordings: {formats_text()}; 0.5 s to 10 min, {limits_text(CHECKING)}; "
        "longer or larger recordings: add their folder on the page Data",
        type=upload_types(),
        accept_multiple_files=True,
        key="upload",
    )
    handed = handed_clips()
    if files or not handed:
        return files or []
    go("pages/my_machine.py", "Back to My machine", icon=":material/arrow_back:", step="listen")
    return handed


def admitted(files: Sequence[SentFile], *, channel: int | None) -> list[Upload]:
    """Admit the files of one uploader, to be read by one channel or the mean; those beyond the limits are refused.

    Where some lack that channel, or have too many for a mean, the reader chooses the one to hear.
    """
    uploads = [Upload(display_name(file.name), file, _beyond_limit(file), channel) for file in files]
    lacking = [upload for upload in uploads if _lacks_channel(upload)]
    if not lacking:
        return uploads
    chosen = _chosen_channel(lacking)
    return [replace(upload, channel=chosen) if upload in lacking else upload for upload in uploads]


@st.cache_data(
    max_entries=CHECKING.files,
    show_spinner="Reading …",
    scope="session",
    hash_funcs={Upload: lambda upload: upload.key},
)
def _lacks_channel(upload: Upload) -> bool:
    sound = upload.sound
    return isinstance(sound, AudioError) and sound.code == "channels"


def _chosen_channel(lacking: Sequence[Upload]) -> int:
    """Ask which channel is heard of recordings whose channels do not fit the detectors."""
    names = ", ".join(upload.name for upload in lacking[:MAX_NAMED])
    more = f" and {len(lacking) - MAX_NAMED} more" if len(lacking) > MAX_NAMED else ""
    chosen = st.number_input(
        "Channel to hear (0 is the first)", min_value=0, max_value=MAX_CHOICE - 1, value=0, step=1, key="upload_channel"
    )
    st.caption(plain(f"Needed for {names}{more}, whose channels are not those that the detectors were trained on."))
    return int(chosen)


def _beyond_limit(file: SentFile) -> AudioError | None:
    """Count each file once, however often the page runs."""
    admitted: set[str] = st.session_state.setdefault(_ADMITTED, set())
    if file.file_id in admitted:
        return None
    try:
        count_checked(Uploaded(file.name, file.getvalue()))
    except UsageError as error:
        return AudioError("too_big", str(error))
    admitted.add(file.file_id)
    return None
