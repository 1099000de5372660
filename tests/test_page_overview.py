"""The overview's demonstration, without a browser: what is shown, with whose clips, and what it says."""

from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_flac, encode_wav
from asd_core.data import library
from asd_core.errors import InputError
from asd_core.reports.plots import SPECTROGRAM_DB, heatmap_png, small_heatmap_png
from asd_core.types import SR
from pages.shared.components.hero import HeroRow, hero
from pages.shared.components.lanes import Lane, lanes_player
from pages.shared.components.player import ColourScale

EMBEDDED = PROJECT / "artifacts" / "simulated-small"


@pytest.fixture
def overview(monkeypatch, tmp_path):
    """Return a function that opens the overview of an installation of its own."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "recordings"))
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(**query: str) -> AppTest:
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return open_


def shown(app: AppTest) -> dict:
    (found,) = [each.proto for each in app.get("bidi_component") if "hero" in each.proto.id]
    return json.loads(found.json)


def captions(app: AppTest) -> str:
    return "\n".join(each.value for each in app.caption)


def test_a_normal_and_an_anomalous_clip_are_shown_and_the_score_ends_at_the_clips_own(overview, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")
    page = overview()
    assert not page.exception
    message = shown(page)
    artifact = open_artifact(EMBEDDED / "slider" / "lstm_predictor")
    kept = {round(clip.anomaly_score, 3) for clip in artifact.scores.of("test").clips}
    normal, anomalous = message["clips"]
    assert (normal["title"], anomalous["title"]) == ("Normal clip", "Anomalous clip (rail)")
    assert normal["values"][-1] < message["threshold"] <= anomalous["values"][-1]
    assert {round(clip["values"][-1], 3) for clip in message["clips"]} <= kept
    assert normal["verdict"].startswith("LSTM: normal, score ")
    assert normal["verdict"].endswith("(below the threshold)")
    assert anomalous["verdict"].startswith("LSTM: anomalous, score ")
    sound, rate = sf.read(io.BytesIO(base64.b64decode(message["flac"])))
    assert (len(sound), rate) == (SR * message["duration"], SR)
    assert message["ends"] == [10.0, 20.0]
    assert "Simulated sound, not a recording. Chosen by rule" in captions(page)


def test_no_clip_has_to_be_generated_for_it(overview, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")
    shown(overview())
    assert not (tmp_path / "data" / "simulated-small").exists()


def test_another_detector_that_is_active_alone_is_shown(overview, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")
    message = shown(overview(detectors="vggish_ocsvm"))
    assert message["score_label"].startswith("SVM")
    assert message["map_panel"]["ticks"] == []


def test_a_data_set_without_detectors_borrows_the_example(overview, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")
    clip = tmp_path / "recordings" / "pump" / "normal" / "a.wav"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(encode_wav(hum(1).samples))
    library.add_folder("pump", tmp_path / "recordings" / "pump")
    page = overview(set="pump/pump")
    assert not page.exception
    assert len(shown(page)["clips"]) == 2
    assert "the example that comes with the program" in captions(page)
    assert not [each for each in page.markdown if "of 100 faults" in each.value]


def test_without_any_detector_the_doors_are_there_and_what_to_do(overview):
    page = overview()
    assert not page.exception
    assert [each.proto.component_name for each in page.get("bidi_component")] == ["asd_native_sound"]
    labels = [link.proto.label for link in page.get("page_link")]
    assert [label for label in labels if label in ("**Try it**", "**Understand it**", "**Use it on my machine**")] == [
        "**Try it**",
        "**Understand it**",
        "**Use it on my machine**",
    ]
    assert "No trained detector is here yet" in "\n".join(each.value for each in page.info)


def test_what_cannot_be_played_is_refused():
    scale = ColourScale(("#000000",), "low", "high")
    row = HeroRow("", (), None)
    with pytest.raises(InputError, match="needs clips whose times"):
        hero([], flac=b"", spectrogram=row, anomaly_map=row, detector="", colour="", threshold=1.0, key="hero")
    lane = Lane("a", "a", b"", 0.0, b"", "", (), (0.0, 1.0), "red")
    for lanes in ([], [lane]):
        with pytest.raises(InputError, match="1 to 12 sounds"):
            lanes_player(lanes, scale=scale, peak=1.0, height_px=100, key="lanes")


def test_flac_holds_the_samples_of_the_wav():
    samples = np.array([0.5, -1.0, 1.5, 3 / 32768])
    wav, flac = (sf.read(io.BytesIO(encode(samples)), dtype="int16") for encode in (encode_wav, encode_flac))
    np.testing.assert_array_equal(wav[0], flac[0])
    with pytest.raises(InputError, match="finite"):
        encode_flac([np.nan])


@pytest.mark.parametrize("shape", [(96, 32), (313, 128), (1, 1), (10, 200), (1000, 3)])
def test_a_small_picture_has_its_size_and_the_mean_of_what_it_covers(shape):
    from PIL import Image

    low, high = SPECTROGRAM_DB
    cells = np.full(shape, -40.0)
    small = small_heatmap_png(cells, low=low, high=high, width_px=96, height_px=32)
    assert Image.open(io.BytesIO(small)).size == (96, 32)
    colour = Image.open(io.BytesIO(heatmap_png([[-40.0]], low=low, high=high))).convert("RGB").getpixel((0, 0))
    assert np.unique(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).reshape(-1, 3), axis=0).tolist() == [
        list(colour)
    ]
    with pytest.raises(InputError, match="heatmap needs shape"):
        small_heatmap_png(np.zeros((0, 2)), low=low, high=high, width_px=2, height_px=2)


def test_a_small_picture_averages_neighbours_in_time_and_keeps_low_bands_at_the_bottom():
    cells = np.zeros((4, 2))
    cells[:2, 0] = [10.0, 20.0]
    small = small_heatmap_png(cells, low=0.0, high=15.0, width_px=2, height_px=2)
    assert small == heatmap_png([[15.0, 0.0], [0.0, 0.0]], low=0.0, high=15.0)


def test_the_detector_is_shown_whose_map_tells_most():
    from pages.parts.overview.hero import rank_of_picture

    names = ["vggish_ocsvm", "vggish_knn", "lstm_predictor"]
    assert sorted(names, key=rank_of_picture) == ["lstm_predictor", "vggish_knn", "vggish_ocsvm"]
