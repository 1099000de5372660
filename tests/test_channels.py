"""Which channel of a recording is heard: the same one wherever a clip is measured, played or drawn."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact, publish
from asd_core.audio.reading import probe, read_waveform
from asd_core.data import library
from asd_core.data.clips import channel_warnings
from asd_core.data.data_set import describe_index, open_data_set
from asd_core.data.indexing import index_clips
from asd_core.data.survey import survey, survey_key
from asd_core.errors import AudioError
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.encoders import load_encoder
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.types import SR
from pages.parts.compare import maps as compare_maps
from pages.shared.components.play_list import ListedSound, answers

SVM = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ASD_DATA_DIR", str(folder))
    monkeypatch.delenv(library.ROOTS_VARIABLE, raising=False)
    return folder


def recording(seed: int, *gains: float, container: str = "WAV") -> bytes:
    """A hum of 2 s with a channel per gain."""
    stream = io.BytesIO()
    sf.write(stream, hum(seed).samples[:, None] * np.array(gains), SR, format=container, subtype="PCM_16")
    return stream.getvalue()


def section(folder: Path, *contents: bytes) -> Path:
    """A machine folder in the layout of DCASE 2021 and later."""
    (folder / "train").mkdir(parents=True)
    for number, content in enumerate(contents):
        name = f"section_00_source_train_normal_{number:04d}_pow_1.wav"
        (folder / "train" / name).write_bytes(content)
    return folder


def own(folder: Path, *contents: bytes) -> Path:
    """A folder of own recordings."""
    (folder / "normal").mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / "normal" / f"{number}.wav").write_bytes(content)
    return folder


NEAR_AND_FAR = (recording(1, 1.0, 0.1), recording(2, 1.0, 0.1))


# --- which channel ---


def test_dcase_2026_is_heard_by_its_near_microphone_and_earlier_years_by_their_only_one(tmp_path):
    assert index_clips(section(tmp_path / "2026", *NEAR_AND_FAR)).channel == 0
    assert index_clips(section(tmp_path / "2025", recording(1, 1.0))).channel is None


def test_damaged_clips_do_not_hide_that_a_set_has_two_microphones(tmp_path):
    index = index_clips(section(tmp_path / "fan", b"damaged", b"", *NEAR_AND_FAR))
    assert index.channel == 0
    assert index_clips(section(tmp_path / "none", b"damaged")).channel is None


def test_a_choice_of_ids_keeps_the_channel(tmp_path):
    assert index_clips(section(tmp_path / "fan", *NEAR_AND_FAR), ids=["00"]).channel == 0


@pytest.mark.parametrize("gains", [(1.0, 0.5, 0.2), (1.0,) * 8])
def test_other_numbers_of_channels_under_these_names_are_not_taken_for_dcase_2026(tmp_path, gains):
    index = index_clips(section(tmp_path / "fan", recording(1, *gains)))
    assert index.channel is None
    assert f"1 of 1 files have {len(gains)} channels" in channel_warnings(index)[0]


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_channels_are_counted_from_the_header(tmp_path, container):
    (tmp_path / "a.wav").write_bytes(recording(1, 1.0, 0.5, 0.2, container=container))
    assert probe(tmp_path / "a.wav").n_channels == 3
    (tmp_path / "a.wav").write_bytes(b"no sound" * 20)
    with pytest.raises(AudioError, match="must be WAV or FLAC"):
        probe(tmp_path / "a.wav")


# --- what is said ---


def test_a_set_of_several_channels_that_nothing_explains_is_warned_of_with_a_way_out(tmp_path):
    root = own(tmp_path / "pump", recording(1, 1.0), *NEAR_AND_FAR, b"damaged")
    report = describe_index(open_data_set(root))
    assert report.channel is None
    said = [text for text in report.warnings if text.startswith("channels: ")]
    assert len(said) == 1
    assert "2 of 4 files have 2 channels, and their mean is heard" in said[0]
    assert "(--channel; 0 is the first), or keep only that channel in the files" in said[0]


def test_sets_of_one_channel_and_those_that_a_layout_explains_are_not_warned_of(tmp_path):
    for root in (own(tmp_path / "mono", recording(1, 1.0)), section(tmp_path / "2026", *NEAR_AND_FAR)):
        report = describe_index(open_data_set(root))
        assert [text for text in report.warnings if text.startswith("channels: ")] == []
    assert report.channel == 0


def test_the_data_page_says_which_channel_is_heard_or_that_none_is_chosen(home, monkeypatch):
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(home / "none"))
    monkeypatch.syspath_prepend(str(PROJECT))
    stereo = library.add_folder("stereo", own(home / "stereo", *NEAR_AND_FAR))
    near = library.add_folder("near", section(home / "near", *NEAR_AND_FAR))
    said = {}
    for name, machine in (("stereo", *stereo.machines), ("near", *near.machines)):
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        page.session_state["set"] = f"{name}/{machine}"
        page.switch_page("pages/data.py").run()
        assert not page.exception
        said[name] = [str(element.value) for kind in ("caption", "warning") for element in page.get(kind)]
    assert any("their mean is heard" in text for text in said["stereo"])
    assert not any("number 0" in text for text in said["stereo"])
    assert any("number 0 (from 0) is heard" in text for text in said["near"])
    assert not any("mean is heard" in text for text in said["near"])


# --- what is heard ---


def test_a_survey_measures_the_channel_that_is_heard(tmp_path):
    levels = {}
    for name, gains in (("near", (1.0, 0.1)), ("alone", (1.0,))):
        root = section(tmp_path / name, recording(1, *gains))
        levels[name] = survey(open_data_set(root)).groups[0].level_dbfs[1]
    assert levels["near"] == pytest.approx(levels["alone"], abs=1e-6)


def test_a_survey_of_another_channel_is_another_survey(tmp_path, monkeypatch):
    data_set = open_data_set(section(tmp_path / "near", *NEAR_AND_FAR))
    before = survey_key(data_set)
    monkeypatch.setattr(type(data_set.index), "channel", None)
    assert survey_key(data_set) != before


def test_a_watched_clip_is_played_by_the_channel_that_its_verdict_was_made_from(home, monkeypatch):
    original = open_artifact(SVM)
    model = home / "models" / "pump" / "slider" / "vggish_ocsvm"
    model.mkdir(parents=True)
    manifest = replace(original.manifest, channel=0)
    publish(model, manifest=manifest, state=original.detector().state, scores=original.scores.clips)
    incoming = home / "incoming"
    incoming.mkdir()
    (incoming / "a.wav").write_bytes(NEAR_AND_FAR[0])
    watch(WatchRequest(incoming, model, once=True, poll_s=0.05, kept_bytes=0, arrivals=ArrivalSettings(settle_s=0.0)))
    lists: list[list[ListedSound]] = []
    monkeypatch.setattr("pages.parts.monitor.view.play_list", lambda sounds, **_: lists.append(sounds))
    page = monitor_page(home, monkeypatch)
    assert not page.exception
    (listed,) = lists[-1]
    heard = listed.sound()
    np.testing.assert_array_equal(heard.samples, read_waveform(incoming / "a.wav", channel=0).samples)
    shutil.rmtree(model)
    (incoming / "a.wav").touch()
    page.run()
    assert not page.exception
    addresses, problems = answers(lists[-1], [lists[-1][0].id])
    assert addresses == {}
    assert str(model) in problems[lists[-1][0].id]


def monitor_page(home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    (home / "simulated-small" / "slider").mkdir(parents=True)
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(SVM.parents[2]))
    monkeypatch.syspath_prepend(str(PROJECT))
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    page.query_params["monitor"] = "live"
    return page.switch_page("pages/monitor.py").run()


def test_the_map_of_clips_is_made_of_the_channel_that_the_detectors_hear(tmp_path):
    (tmp_path / "a.wav").write_bytes(NEAR_AND_FAR[0])
    digest = read_waveform(tmp_path / "a.wav").digest
    clip = ScoredClip("a.wav", "00", "test", "normal", "", digest, 0.0)
    encoder = load_encoder(compare_maps.ENCODER)
    for channel in (0, 1, None):
        found = compare_maps.Mapping((clip,), channel, partial(compare_maps._read, tmp_path)).vector(0)
        wanted = encoder.encode(read_waveform(tmp_path / "a.wav", channel=channel)).mean(axis=0)
        np.testing.assert_array_equal(found, wanted)
