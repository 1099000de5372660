"""Sounds by address: what is fetched, how long it is there, and that a session's share of the memory is bounded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import hum
from streamlit.runtime import media_file_manager
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from asd_core.audio.reading import encode_wav
from pages.shared import sound_address as module
from pages.shared.sound_address import MOST_ADDRESSES, sound_address


class Server:
    """The part of Streamlit's server that keeps files, and the session that talks to it."""

    def __init__(self) -> None:
        self.storage = MemoryMediaFileStorage("/media")
        self.media_file_mgr = MediaFileManager(self.storage)
        self.session = "ours"

    def fetched(self, address: str) -> bytes:
        return self.storage.get_file(address.removeprefix("/media/")).content

    def end_run(self) -> None:
        self.media_file_mgr.remove_orphaned_files()


@pytest.fixture
def server(monkeypatch):
    server = Server()
    states: dict[str, dict] = {}
    monkeypatch.setattr(module, "runtime", SimpleNamespace(exists=lambda: True, get_instance=lambda: server))
    monkeypatch.setattr(media_file_manager, "_get_session_id", lambda: server.session)

    class State:
        def setdefault(self, key, default):
            return states.setdefault(server.session, {}).setdefault(key, default)

    monkeypatch.setattr(module, "st", SimpleNamespace(session_state=State()))
    return server


def short(seed: int):
    return hum(seed, seconds=0.5)


def test_without_a_server_there_is_no_address():
    assert sound_address(short(1)) == ""


def test_the_browser_fetches_the_clip_as_it_is(server):
    clip = short(1)
    address = sound_address(clip)
    assert address.endswith(".wav")
    assert server.fetched(address) == encode_wav(clip.samples)
    assert sound_address(clip) == address


def test_an_address_holds_over_runs_of_fragments_and_the_end_of_another_session(server):
    address = sound_address(short(1))
    server.end_run()
    server.session = "theirs"
    assert sound_address(short(1)) == address
    server.media_file_mgr.clear_session_refs("theirs")
    server.end_run()
    assert server.fetched(address)


def test_what_a_page_no_longer_shows_is_given_back(server):
    gone, shown = sound_address(short(1)), sound_address(short(2))
    server.media_file_mgr.clear_session_refs("ours")  # a run of the whole page begins
    assert sound_address(short(2)) == shown
    server.end_run()
    assert server.fetched(shown)
    with pytest.raises(MediaFileStorageError):
        server.fetched(gone)


def test_two_channels_of_one_recording_are_two_sounds(server):
    left = short(1)
    right = replace(left, samples=(0.5 * left.samples).astype(np.float32))
    addresses = [sound_address(left), sound_address(right)]
    server.end_run()
    assert [server.fetched(address) for address in addresses] == [
        encode_wav(left.samples),
        encode_wav(right.samples),
    ]


def test_a_session_keeps_the_sounds_that_it_asked_for_last(server):
    addresses = [sound_address(short(seed)) for seed in range(MOST_ADDRESSES)]
    assert sound_address(short(0)) == addresses[0]
    addresses += [sound_address(short(seed)) for seed in range(MOST_ADDRESSES, MOST_ADDRESSES + 3)]
    server.end_run()
    kept = [address for address in addresses if address.split("/")[-1].split(".")[0] in server.storage._files_by_id]
    assert kept == [addresses[0], *addresses[4:]]
    assert len(kept) == MOST_ADDRESSES
