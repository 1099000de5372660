"""The pages' caches: what is a key, what is bounded, what goes with a session, and what is computed once."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum
from streamlit.runtime import caching
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.data.simulated.record import GENERATOR_VERSION, MARKER_NAME
from asd_core.data.table import read_library
from asd_core.evaluation.scores import ScoredClip
from asd_core.types import Waveform
from pages.parts.check import uploads
from pages.parts.compare import maps as compare_maps
from pages.parts.explore import pictures as explore_pictures
from pages.shared import cache, data_sets, keys
from pages.shared.keys import HASHES, held
from pages.shared.sources import SharedClip

SESSION = "test session id"
LSTM = PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor"
MB = 2**20


@pytest.fixture(autouse=True)
def empty_caches():
    caching.cache_resource.clear()
    yield
    caching.cache_resource.clear()


def wav_bytes(samples) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, 16000, format="WAV", subtype="PCM_16")
    return stream.getvalue()


@pytest.fixture
def uploaded(monkeypatch, tmp_path):
    """Return a function that uploads clips of 10 s on the check page, as one visitor, with the LSTM alone."""
    shutil.copytree(LSTM, tmp_path / "artifacts" / "simulated-small" / "slider" / "lstm_predictor")
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))

    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=180).run().switch_page("pages/check.py").run()
    page.segmented_control(key="source").set_value("Upload").run()

    def upload(n_clips: int) -> AppTest:
        files = [(f"{n}.wav", wav_bytes(hum(n, seconds=10.0).samples), "audio/wav") for n in range(n_clips)]
        page.file_uploader(key="upload").set_value(files).run()
        assert not page.exception
        return page

    return upload


def test_uploads_and_their_maps_are_held_while_the_session_lasts_and_gone_after_it(uploaded):
    before = held().n_bytes
    uploaded(3)
    assert held().n_bytes > before + 3 * 160_000 * 4
    caching.clear_session_resource_cache(SESSION)
    assert held().n_bytes == before


def test_more_sound_than_fits_is_scored_in_full_and_held_within_the_bound(uploaded):
    held().max_bytes = 3 * MB
    page = uploaded(8)  # 640 kB of samples each
    assert len(page.dataframe[-1].value) == 8
    assert MB < held().n_bytes <= 3 * MB


def test_a_clip_is_decoded_once_however_often_the_page_runs(uploaded, monkeypatch):
    decoded, real = [], uploads.decode_upload
    monkeypatch.setattr(uploads, "decode_upload", lambda *args, **kw: decoded.append(1) or real(*args, **kw))
    page = uploaded(2)
    page.run()
    assert len(decoded) == 2


def test_scores_of_uploads_are_kept_for_their_session_only(uploaded, monkeypatch):
    from pages.parts.check import batch

    scored, real = [], batch.score_waveform
    monkeypatch.setattr(batch, "score_waveform", lambda *args, **kw: scored.append(1) or real(*args, **kw))
    page = uploaded(2)
    page.run()
    assert len(scored) == 2
    caching.clear_session_data_cache(SESSION)
    page.run()
    assert len(scored) == 4


def minute_with_a_click(at=None) -> Waveform:
    samples = np.zeros(60 * 16000, np.float32)
    if at is not None:
        samples[at : at + 5] = 0.9
    return Waveform(samples, digest=f"click at {at}")


def test_long_clips_that_differ_by_a_click_get_values_of_their_own():
    settings = explore_pictures.PictureSettings("linear", 1024, 512, "viridis", -75.0, -5.0)
    pictures = {
        explore_pictures.spectrogram_picture(minute_with_a_click(at), settings).png
        for at in (None, *range(1000, 900_000, 45_000))
    }
    assert len(pictures) == 21


@pytest.mark.parametrize("name", ["lstm_predictor", "gru_autoencoder"])
def test_a_clips_score_and_map_come_from_one_pass_of_the_network_however_often_they_are_shown(name, monkeypatch):
    artifact, clip = open_artifact(LSTM.with_name(name)), hum(1, seconds=1.0)
    network = type(cache.detector(artifact))
    passes, real = [], network._step_errors
    monkeypatch.setattr(network, "_step_errors", lambda self, frames: passes.append(1) or real(self, frames))
    found = [cache.heard(artifact, clip) for _ in range(2)]
    assert len(passes) == 1
    assert found[0] is found[1]
    assert found[0].anomaly_score == cache.detector(artifact).anomaly_score(clip)


@pytest.mark.parametrize("what", HASHES, ids=lambda kind: kind.__name__)
def test_no_key_reads_samples_or_scores(what, monkeypatch):
    artifact = open_artifact(LSTM)
    samples = property(lambda _: pytest.fail("the samples were read"))
    known = type("Known", (Waveform,), {"samples": samples})
    sound = object.__new__(known)
    vars(sound).update(digest="0" * 64)
    examples = {
        "Artifact": artifact,
        "Waveform": sound,
        "Method": SimpleNamespace(key="k"),
        "Comparison": SimpleNamespace(methods=[SimpleNamespace(key="k")], fingerprint="f"),
        "Tree": keys.Tree(LSTM, "stamp"),
        "StampedSet": SimpleNamespace(data_set=SimpleNamespace(index=SimpleNamespace(root=LSTM)), stamp="s"),
    }
    monkeypatch.setattr("pathlib.Path.open", lambda *_: pytest.fail("a file was opened"))
    monkeypatch.setattr("os.open", lambda *_: pytest.fail("a file was opened"))
    assert HASHES[what](examples.get(what.__name__, LSTM))


def test_a_version_in_the_place_of_another_is_another_key(tmp_path):
    first, second = (open_artifact(LSTM.with_name(name)) for name in ("lstm_predictor", "gru_autoencoder"))
    moved = type(first)(first.folder, second.manifest, second.digest)
    assert HASHES[type(first)](first) != HASHES[type(first)](moved)


def test_a_sound_without_a_digest_is_never_kept():
    with pytest.raises(ValueError, match="digest"):
        HASHES[Waveform](Waveform(np.zeros(16000, np.float32)))


def test_sessions_that_open_the_map_at_once_listen_to_each_clip_once(monkeypatch):
    heard = []

    class Encoder:
        def encode(self, number):
            time.sleep(0.02)
            heard.append(number)
            return np.full((2, 4), float(number) ** 2)

    monkeypatch.setattr(compare_maps, "load_encoder", lambda _: Encoder())
    clips = tuple(ScoredClip(f"{n}", "00", "test", "normal", "", f"{n:064x}", 0.0) for n in range(10))
    found = []

    def visit():
        own = compare_maps.Mapping(clips, None, lambda clip, _: int(clip.path))
        while len(own.known()) < len(clips):
            own.listen(for_s=0.01, at_least=2)
        found.append(own.finish(own.known())[0])

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(30)
    assert sorted(heard) == list(range(10))
    assert len(found) == 4
    assert all(points is found[0] for points in found)


@pytest.mark.parametrize("version", [GENERATOR_VERSION, GENERATOR_VERSION - 1])
def test_clips_of_an_earlier_generator_are_made_anew(version, monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    known = next(each for each in read_library().sets if each.embedded)
    known.folder.mkdir(parents=True)
    (known.folder / MARKER_NAME).write_text(
        json.dumps({"schema": 1, "simulated": True, "generator_version": version, "anomalous": {}})
    )
    made = []
    monkeypatch.setattr(data_sets, "make_embedded", lambda known, **_: made.append(known))
    assert data_sets._generated(known) == known.folder
    assert made == [known] * (version != GENERATOR_VERSION)


def test_features_of_a_clip_are_computed_once_per_channel_and_go_with_its_sound():
    from asd_core.features.log_mel import log_mel_frames

    calls = []

    def level():
        calls.append(1)
        return np.zeros(3)

    left, mean = (SharedClip.of(hum(1), channel) for channel in (0, None))
    for clip in (left, SharedClip.of(hum(1), 0), left):
        assert not clip.derived("level", level).flags.writeable
    assert len(calls) == 1
    mean.derived("level", level)
    left.derived("another", level)
    assert len(calls) == 3
    np.testing.assert_array_equal(log_mel_frames(left, min_samples=1), log_mel_frames(hum(1), min_samples=1))
    held().drop([left.digest])
    left.derived("level", level)
    assert len(calls) == 4
