"""Stretches of long recordings, one at a time: the samples of the segments there, in any order, with bounded means."""

from __future__ import annotations

import os
import re
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile as sf
from compressed import CODINGS, encoded, noisy_hum

from asd_core.audio import stretches
from asd_core.audio.opening import FileContent
from asd_core.audio.segments import segments
from asd_core.audio.stretches import KEPT_OPEN, extent, read_stretch
from asd_core.errors import AudioError
from asd_core.types import SR

SECONDS = 6.0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Recordings of six seconds by kind: at another rate, with channels, and compressed."""
    folder = tmp_path_factory.mktemp("recordings")
    found = {"WAV": folder / "stereo.wav", "FLAC": folder / "mono.flac", "M4A": folder / "memo.m4a"}
    sf.write(found["WAV"], noisy_hum(44_100, seconds=SECONDS, n_channels=2).T, 44_100, subtype="PCM_16")
    sf.write(found["FLAC"], noisy_hum(SR, seconds=SECONDS, seed=1).T, SR, subtype="PCM_16")
    found["M4A"].write_bytes(encoded(noisy_hum(44_100, seconds=SECONDS, seed=2), CODINGS["M4A"]))
    return found


def cut(path, *, segment_s, hop_s, channel=None):
    """The whole segments of a recording by their spans."""
    found = segments(path, segment_s=segment_s, hop_s=hop_s, channel=channel)
    return {(each.start_s, each.end_s): each.waveform for each in found if each.is_whole}


def write_hum(path, *, seconds=4.0, seed=0):
    sf.write(path, noisy_hum(SR, seconds=seconds, seed=seed).T, SR, subtype="PCM_16")
    return path


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "M4A"])
@pytest.mark.parametrize(("segment_s", "hop_s"), [(2.0, 2.0), (1.5, 0.7)])
def test_a_stretch_is_the_segment_at_that_place_in_any_order(recordings, kind, segment_s, hop_s):
    expected = cut(recordings[kind], segment_s=segment_s, hop_s=hop_s)
    spans = list(expected)
    assert len(spans) == (3 if hop_s == 2.0 else 7)
    shuffled = [spans[row] for row in np.random.default_rng(0).permutation(len(spans))]
    for span in (*spans, *reversed(spans), *shuffled, spans[0], spans[0]):
        heard = read_stretch(recordings[kind], span)
        assert np.array_equal(heard.samples, expected[span].samples), span
        assert heard.digest == expected[span].digest


def test_each_channel_has_stretches_of_its_own(recordings):
    left, right = (cut(recordings["WAV"], segment_s=2.0, hop_s=2.0, channel=channel) for channel in (0, 1))
    for span in left:
        heard = [read_stretch(recordings["WAV"], span, channel=channel).digest for channel in (0, 1, None)]
        assert heard[:2] == [left[span].digest, right[span].digest]
        assert len(set(heard)) == 3


def test_two_threads_read_stretches_of_the_same_recordings(recordings):
    expected = {kind: cut(path, segment_s=1.0, hop_s=0.5) for kind, path in recordings.items()}
    wanted = [(kind, span) for kind, found in expected.items() for span in found]
    start = threading.Barrier(2)

    def read(seed):
        start.wait()
        mixed = [wanted[row] for row in np.random.default_rng(seed).permutation(len(wanted))]
        return [read_stretch(recordings[kind], span).digest == expected[kind][span].digest for kind, span in mixed]

    with ThreadPoolExecutor(2) as pool:
        assert all(same for found in pool.map(read, (0, 1)) for same in found)


def test_samples_cannot_be_changed_by_one_of_their_readers(tmp_path):
    path = write_hum(tmp_path / "a.wav")
    first = read_stretch(path, (0.0, 1.0))
    with pytest.raises(ValueError, match="read-only"):
        first.samples[0] = 1.0
    assert read_stretch(path, (0.5, 1.5)).samples[0] == first.samples[SR // 2]


def test_an_end_beyond_the_recordings_is_its_end(tmp_path):
    path = write_hum(tmp_path / "a.wav", seconds=3.0)
    assert read_stretch(path, (1.0, 60.0)).n_samples == 2 * SR


@pytest.mark.parametrize(("span", "what"), [((2.6, 5.0), "0.40 s of the stretch from 2.6 to 5 s"), ((9, 12), "0.00 s")])
def test_a_stretch_of_which_less_than_half_a_second_is_there_is_too_short(tmp_path, span, what):
    path = write_hum(tmp_path / "a.wav", seconds=3.0)
    with pytest.raises(AudioError, match=what) as refusal:
        read_stretch(path, span)
    assert (refusal.value.code, refusal.value.cure) == ("too_short", "name a stretch of the recording")
    assert read_stretch(path, (0.0, 1.0)).n_samples == SR  # the recording is still good


def test_the_files_own_warnings_are_in_the_stretch_that_begins_it(tmp_path):
    path = write_hum(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:-SR])  # half a second less than the header says
    found = {start: read_stretch(path, (start, start + 1.0)).warnings for start in (0.0, 1.0, 2.0)}
    assert [text.partition(":")[0] for text in found[0.0]] == ["truncated"]
    assert found[1.0] == found[2.0] == ()


def test_that_a_compressed_recording_breaks_off_is_in_the_stretch_that_ends_it(tmp_path):
    path = tmp_path / "memo.wma"
    coding = CODINGS["WMA"]
    content = encoded(noisy_hum(coding.sr, seconds=12.0), coding)
    path.write_bytes(content[: len(content) // 2])
    first, last = (read_stretch(path, span).warnings for span in ((1.0, 2.0), (4.0, 8.0)))
    assert [text.partition(":")[0] for text in first] == ["lossy"]
    assert [text.partition(":")[0] for text in last] == ["lossy", "truncated"]
    assert re.search(r"breaks off, [56]\.\d s are there", last[1])
    with pytest.raises(AudioError, match=r"0\.00 s of the stretch"):
        read_stretch(path, (8.0, 10.0))


def test_that_coding_left_something_out_is_in_every_stretch(recordings):
    for start in (4.0, 0.0, 2.0):
        assert [text[:10] for text in read_stretch(recordings["M4A"], (start, start + 2)).warnings] == ["lossy: AAC"]


def test_faults_of_the_sound_are_those_of_the_stretch(tmp_path):
    samples = noisy_hum(SR, seconds=4.0)[0]
    samples[: 2 * SR] = 0
    sf.write(tmp_path / "a.wav", samples, SR, subtype="PCM_16")
    assert [text[:7] for text in read_stretch(tmp_path / "a.wav", (0.0, 2.0)).warnings] == ["silent:"]
    assert read_stretch(tmp_path / "a.wav", (2.0, 4.0)).warnings == ()


def test_a_recording_that_was_replaced_is_read_anew(tmp_path):
    path = write_hum(tmp_path / "a.wav", seed=0)
    before = read_stretch(path, (0.0, 1.0)).digest
    other = write_hum(tmp_path / "b.wav", seed=1)
    wanted = read_stretch(other, (1.0, 2.0)).digest
    other.replace(path)
    assert read_stretch(path, (1.0, 2.0)).digest == wanted
    assert read_stretch(path, (0.0, 1.0)).digest != before


def test_a_recording_that_was_written_over_is_read_anew(tmp_path):
    path = write_hum(tmp_path / "a.wav", seed=0)
    read_stretch(path, (0.0, 1.0))
    other = write_hum(tmp_path / "b.wav", seed=1)
    path.write_bytes(other.read_bytes())  # the same file to the system, of the same size
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1))
    assert read_stretch(path, (1.0, 2.0)).digest == read_stretch(other, (1.0, 2.0)).digest


def test_few_recordings_stay_open_and_one_that_ends_is_closed(tmp_path):
    stretches._OPEN.clear()
    for number in range(5):
        read_stretch(write_hum(tmp_path / f"{number}.wav", seed=number), (0.0, 1.0))
        assert len(stretches._OPEN) == min(number + 1, KEPT_OPEN)
    assert {os.path.basename(str(key[0])) for key in stretches._OPEN} == {"3.wav", "4.wav"}  # noqa: PTH119
    read_stretch(tmp_path / "4.wav", (1.0, 9.0))
    assert {os.path.basename(str(key[0])) for key in stretches._OPEN} == {"3.wav"}  # noqa: PTH119


def test_a_recording_that_breaks_while_it_is_read_is_closed_and_refused_each_time(tmp_path):
    path = tmp_path / "a.flac"
    sf.write(path, noisy_hum(SR, seconds=20.0).T, SR, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = 3 * len(content) // 4
    content[at : at + 4000] = bytes(4000)
    path.write_bytes(bytes(content))
    stretches._OPEN.clear()
    good = read_stretch(path, (0.0, 1.0))
    for _ in range(2):
        with pytest.raises(AudioError):
            read_stretch(path, (18.0, 19.0))
        assert not stretches._OPEN
    assert read_stretch(path, (0.0, 1.0)).digest == good.digest


def test_stretches_in_order_cost_one_pass_and_going_back_another(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    sf.write(path, noisy_hum(SR, seconds=60.0).T, SR, subtype="PCM_16")
    n_opened = []
    found = stretches.stream_sound
    monkeypatch.setattr(stretches, "stream_sound", lambda *args, **kw: n_opened.append(1) or found(*args, **kw))
    stretches._OPEN.clear()
    for start in range(0, 50, 5):
        read_stretch(path, (start, start + 7))
    assert len(n_opened) == 1
    read_stretch(path, (2.0, 3.0))
    assert len(n_opened) == 2


def test_what_lies_before_a_stretch_is_not_held(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, noisy_hum(SR, seconds=120.0).T, SR, subtype="PCM_16")
    stretches._OPEN.clear()
    read_stretch(path, (0.0, 1.0))
    tracemalloc.start()
    try:
        read_stretch(path, (110.0, 111.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * SR * 4  # forty seconds of it, for all that is done
    (recording,) = stretches._OPEN.values()
    assert len(recording._kept) < 8 * SR


def test_the_extent_is_read_without_the_sound(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros((48_000 * 30, 2)), 48_000, subtype="PCM_16")
    n_read = []
    read = FileContent.__getitem__
    monkeypatch.setattr(FileContent, "__getitem__", lambda *asked: n_read.append(read(*asked)) or n_read[-1])
    found = extent(path)
    assert (found.sr, found.n_frames, found.n_channels) == (48_000, 1_440_000, 2)
    assert sum(len(part) for part in n_read) < 10_000
