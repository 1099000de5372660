"""Sounds by address: the browser fetches a clip when it is played, and nothing of it is sent before."""

from __future__ import annotations

from streamlit import runtime

from asd_core.audio.reading import encode_wav
from asd_core.types import Waveform


def sound_address(waveform: Waveform) -> str:
    """Return where the browser finds the clip as `PCM_16` WAV while this session shows it.

    Empty outside of a running server, as under test.
    """
    if not runtime.exists():
        return ""
    files = runtime.get_instance().media_file_mgr
    return files.add(encode_wav(waveform.samples), "audio/wav", f"sound:{waveform.digest}")
