"""Sounds by address: the browser fetches a clip when it is played, and nothing of it is sent before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import streamlit as st
from streamlit import runtime

from asd_core.audio.reading import encode_wav
from asd_core.types import Waveform

MOST_ADDRESSES = 64
"""Sounds that a session keeps at hand: 20 MB of clips of 10 s, which all sessions that hear the same ones share."""
_PLACES = "sound_places"


def sound_address(waveform: Waveform) -> str:
    """Return where the browser finds the clip as `PCM_16` WAV while this session shows it.

    The address holds as long as each run of the page asks for it; a run of a fragment alone takes none away. It holds
    for the `MOST_ADDRESSES` sounds that the session asked for last: a page that stays open for hours, with fragments
    that rerun, does not fill the memory. Empty outside of a running server, as under test.
    """
    if not runtime.exists():
        return ""
    wav = encode_wav(waveform.samples)
    files = runtime.get_instance().media_file_mgr
    return files.add(wav, "audio/wav", f"sound:{_place(hashlib.sha256(wav).hexdigest())}")


def _place(sound: str) -> int:
    """Where the session keeps a sound; that of the one asked for longest ago is given to a new one."""
    places: OrderedDict[str, int] = st.session_state.setdefault(_PLACES, OrderedDict())
    if sound not in places:
        is_full = len(places) >= MOST_ADDRESSES
        places[sound] = places.popitem(last=False)[1] if is_full else len(places)
    places.move_to_end(sound)
    return places[sound]
