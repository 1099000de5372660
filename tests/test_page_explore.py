"""The explore page as Streamlit runs it, without a browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hostile import SIGNS
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.features.cache import read_clip
from asd_core.system.places import data_dir
from asd_core.types import SR
from pages.parts.explore.thumbnails import PAGE_CLIPS

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
HOSTILE = "[l](javascript:alert(1)) <img src=x onerror=alert(1)> \u202e *b*"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("artifacts")
    shutil.copytree(EMBEDDED, out / "simulated-small")
    return out


@pytest.fixture
def explore(monkeypatch, trained):
    """Return a function that opens the page over some artifacts, with a query."""

    def open_(artifacts: Path = trained, **query: object) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts))
        monkeypatch.syspath_prepend(str(PROJECT))
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
        if "set" in query:  # the context is chosen at a session's first run
            page.query_params["set"] = query["set"]
        page = page.run().switch_page("pages/explore.py")
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return open_


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title", "metric")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def lanes_of(app: AppTest) -> list[dict[str, object]]:
    """What the player was sent: its lanes."""
    (player,) = [each.proto for each in app.get("bidi_component") if "explore_player" in each.proto.id]
    return json.loads(player.json)["lanes"]


def test_a_normal_and_an_anomalous_clip_stand_side_by_side_at_first(explore):
    page = explore()
    assert not page.exception
    assert "Simulated data" in text_of(page)
    labels = [Path(name).name.split("_")[0] for name in page.query_params["clips"]]
    assert sorted(labels) == ["anomaly", "normal"]
    assert "-75 to -5 dB, the same for every clip" in text_of(page)
    assert page.get("vega_lite_chart")


def test_the_url_names_clips_filters_and_settings(explore):
    clips = ["test/normal_id_02_00000004.wav", "test/anomaly_id_02_00000001.wav"]
    page = explore(clips=clips, only_id="02", scale="linear", window="4096", palette="magma", top="0", span="50")
    assert not page.exception
    assert sorted(page.query_params["clips"]) == sorted(clips)
    assert "160 of 480 clips" in text_of(page)
    assert "linear frequency axis, window 4096 samples (256 ms)" in text_of(page)
    assert "-50 to 0 dB" in text_of(page)


def test_nonsense_in_the_url_falls_back_to_what_is_known(explore):
    page = explore(clips=["../../etc/passwd", HOSTILE], only_id=HOSTILE, window="-1", hop="1e9", view="x", span="nan")
    assert not page.exception
    assert "480 of 480 clips" in text_of(page)
    assert "window 1024 samples" in text_of(page)


def test_a_filter_that_leaves_nothing_says_so(explore):
    page = explore(only_split="train", only_label="anomalous")
    assert not page.exception
    assert "No clip is like this" in text_of(page)


def test_the_step_is_never_longer_than_half_the_window(explore):
    page = explore(window="256", hop="1024")
    assert not page.exception
    assert "step 128" in text_of(page)


@pytest.mark.parametrize(
    ("query", "bands"),
    [({}, ["normal, 40 clips", "anomalous, 40 clips"]), ({"only_kind": "rail"}, ["anomalous, 40 clips"])],
)
def test_mean_spectra_state_labels_and_sample(explore, query, bands):
    page = explore(view="spectra", **query)
    assert not page.exception
    spec = page.get("vega_lite_chart")[0].proto.spec
    assert all(text in spec for text in bands)
    assert spec.count('clips"') >= len(bands)


def test_the_contents_count_clips_and_state_durations(explore):
    page = explore(view="contents")
    assert not page.exception
    values = {metric.label: metric.value for metric in page.metric}
    assert values == {"Clips": "480", "Machine ids": "3", "Sound in all": "80 min 0 s", "Duplicates": "0"}
    assert "Every clip lasts **10.00 s**" in text_of(page)
    table = page.dataframe[0].value
    assert table["Normal"].sum() + table["Anomalous"].sum() == 480


def test_clips_that_are_not_at_hand_get_a_message_with_what_is_known(explore, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "elsewhere")
    page = explore(artifacts=tmp_path)
    assert not page.exception
    assert "The clips of this data set are not at hand" in text_of(page)
    assert set(page.dataframe[0].value["Test, normal"]) == {150}


@pytest.mark.parametrize(
    ("clips", "normal", "machine"),
    [
        (("healthy/0.wav", "bearing/0.wav"), None, "pump"),
        (("gut/0.wav", "bearing/0.wav"), "gut", "pump"),
        (
            ("fan/train/normal_id_00_0.wav", "fan/test/anomaly_id_00_0.wav", "mill/train/normal_id_00_0.wav"),
            None,
            "fan",
        ),
    ],
    ids=["its own folder is the machine's", "with a name of its own for normal", "one of several machines"],
)
def test_an_own_data_set_is_opened_whatever_folder_its_machine_has(
    explore, monkeypatch, tmp_path, clips, normal, machine
):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "recordings"))
    for number, clip in enumerate(clips):
        path = tmp_path / "recordings" / "pump" / clip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(hum(number, seconds=1.0).samples))
    library.add_folder(
        "winter", tmp_path / "recordings" / "pump", rules=FolderRules(normal=(normal,) if normal else ())
    )
    model = Path(machine, "lstm_predictor")
    shutil.copytree(EMBEDDED / "slider" / model.name, tmp_path / "artifacts" / "winter" / model)
    page = explore(artifacts=tmp_path / "artifacts")
    assert not page.exception
    assert not page.error
    assert "2 of 2 clips" in text_of(page)
    assert sorted(page.dataframe[0].value["Label"]) == ["anomalous", "normal"]


def test_clips_are_seen_and_heard_before_any_detector_is_trained(explore, tmp_path):
    page = explore(artifacts=tmp_path)
    assert not page.exception
    assert "480 of 480 clips" in text_of(page)
    assert lanes_of(page)


def drawn(root, view):
    """One view of a data set of one's own."""
    from pathlib import Path

    from asd_core.data.data_set import open_data_set
    from pages.parts.explore import views as explore_views

    getattr(explore_views, view)(open_data_set(Path(root)), f"{root} {view}")


VIEWS = ("listen_view", "spectra_view", "contents_view")


def test_of_raw_mimii_the_first_channel_is_seen_and_heard_everywhere(monkeypatch, tmp_path):
    for label in ("normal", "abnormal"):
        path = tmp_path / "fan" / "id_00" / label / "00000000.wav"
        path.parent.mkdir(parents=True)
        sf.write(path, np.column_stack([hum(1, seconds=2.0).samples] + 7 * [np.zeros(32_000)]), SR)
    monkeypatch.syspath_prepend(str(PROJECT))
    heard = []

    def noted(path, *, channel=None, span=None):
        assert span is None
        heard.append(channel)
        return read_clip(path, channel=channel, span=span)

    monkeypatch.setattr("pages.shared.sources.read_waveform", noted)
    monkeypatch.setattr("pages.parts.explore.clips.read_clip", noted)
    for view in VIEWS:
        before = len(heard)
        app = AppTest.from_function(drawn, args=(str(tmp_path / "fan"), view), default_timeout=60).run()
        assert not app.exception
        assert view == "spectra_view" or len(heard) > before  # the spectra were heard for the first view
    assert set(heard) == {0}


def test_duplicates_refused_files_and_hostile_names_are_shown_as_text(monkeypatch, tmp_path):
    """A data set of one's own, drawn by the views alone: names come from folders and files."""
    machine = tmp_path / "own" / "mill"
    for number in range(3):
        (machine / "normal").mkdir(parents=True, exist_ok=True)
        (machine / "normal" / f"{number}.wav").write_bytes(encode_wav(hum(number, seconds=2.0 + number).samples))
    strange = machine / HOSTILE.replace("/", "")
    strange.mkdir()
    (strange / "a.wav").write_bytes(encode_wav(hum(1, seconds=3.0).samples))
    (strange / "b.wav").write_bytes((strange / "a.wav").read_bytes())
    (strange / "c.wav").write_bytes(b"RIFF")
    assert len(index_clips(machine).clips) == 6

    monkeypatch.syspath_prepend(str(PROJECT))
    for view in VIEWS:
        app = AppTest.from_function(drawn, args=(str(machine), view), default_timeout=60)
        app.session_state["only_label"] = "anomalous"
        app.run()
        assert not app.exception
        assert not any(SIGNS.search(str(element.value)) for element in [*app.markdown, *app.caption, *app.info])
    text = "\n".join(element.value for element in [*app.text, *app.markdown])
    assert " = " in text
    assert any("c.wav" in element.value for element in app.markdown)


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=1.0).samples)


def uploaded(name: str, *, kinds: tuple[str | None, ...]) -> None:
    for number, kind in enumerate(kinds):
        store_uploads(name, [Upload(f"phone {number}.wav", wav(number))], used=Quota(), kind=kind)


def folder_of(root: Path, *clips: str) -> None:
    for number, clip in enumerate(clips):
        (root / clip).parent.mkdir(parents=True, exist_ok=True)
        (root / clip).write_bytes(wav(number))
    library.add_folder(root.name, root)


SETS = {
    "uploads of both labels": (lambda _: uploaded("pump", kinds=(None, None, "bearing")), 3, 2),
    "uploads of one label": (lambda _: uploaded("pump", kinds=(None, None)), 2, 1),
    "a folder without labels": (lambda root: folder_of(root, "a.wav", "b.wav"), 2, 1),
    "a folder without a test split": (lambda root: folder_of(root, "normal/a.wav", "normal/b.wav"), 2, 1),
    "a folder of both labels": (lambda root: folder_of(root, "normal/a.wav", "squeal/b.wav"), 2, 2),
    "a published layout": (
        lambda root: folder_of(root, "train/normal_id_00_0.wav", "test/normal_id_00_1.wav", "test/anomaly_id_00_0.wav"),
        3,
        2,
    ),
}


@pytest.mark.parametrize(("make", "n_clips", "n_lanes"), SETS.values(), ids=SETS)
def test_every_data_set_is_seen_and_heard_in_all_views(explore, monkeypatch, tmp_path, make, n_clips, n_lanes):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "recordings"))
    make(tmp_path / "recordings" / "pump")
    for view in ("clips", "spectra", "contents"):
        page = explore(set="pump/pump", view=view)
        assert not page.exception
        assert not page.error
        if view == "clips":
            assert f"{n_clips} of {n_clips} clips" in text_of(page)
            assert len(lanes_of(page)) == n_lanes
            assert all(picture.startswith("data:image/png;base64,") for picture in page.dataframe[0].value["Sound"])


def test_a_damaged_clip_is_named_and_the_others_are_heard(explore, monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "recordings"))
    folder_of(tmp_path / "recordings" / "pump", "normal/a.wav", "normal/b.wav")
    (tmp_path / "recordings" / "pump" / "normal" / "b.wav").write_bytes(b"RIFF")
    page = explore(set="pump/pump", clips=["normal/a.wav", "normal/b.wav"])
    assert not page.exception
    assert [lane["title"] for lane in lanes_of(page)] == ["normal · id 00 · a"]
    assert any("b.wav" in each.value for each in page.markdown)
    assert page.dataframe[0].value["Sound"].isna().tolist() == [False, True]


def test_one_clip_is_heard_whole_and_in_its_parts(explore):
    clips = ["test/normal_id_00_00000000.wav", "test/anomaly_id_00_00000000.wav"]
    page = explore(clips=clips, picture="parts", part_of=clips[1])
    assert not page.exception
    lanes = lanes_of(page)
    assert [lane["short"] for lane in lanes] == ["the whole", "the hum", "the knocks"]
    assert "anomaly_id_00_00000000" in lanes[0]["title"]
    assert len({lane["sound"] for lane in lanes}) == 3
    assert page.query_params["picture"] == "parts"
    assert page.query_params["part_of"] == clips[1]


@pytest.mark.parametrize(
    ("picture", "ticks", "note"),
    [
        ("rhythm", ["30 · 0.5", "60 · 1", "120 · 2", "240 · 4", "480 · 8", "960 · 16"], "beats per minute · Hz"),
        ("pitch", ["55 Hz", "110 Hz", "220 Hz", "440 Hz", "880 Hz", "1.76 kHz", "3.52 kHz"], "loudest near"),
    ],
)
def test_the_pictures_by_librosa_have_numbered_axes(explore, picture, ticks, note):
    page = explore(picture=picture)
    assert not page.exception
    for lane in lanes_of(page):
        assert [text for _, text in lane["ticks"]] == ticks
        assert note in lane["note"]


def test_only_the_pictures_of_the_visible_page_are_drawn(explore, monkeypatch):
    read = []

    def noted(path, *, channel=None, span=None):
        read.append(path.name)
        return read_clip(path, channel=channel, span=span)

    monkeypatch.setattr("pages.parts.explore.thumbnails.read_clip", noted)
    query = {"only_id": "04", "only_split": "train"}
    page = explore(**query)
    assert len(read) == len(page.dataframe[0].value) == PAGE_CLIPS
    explore(**query)
    assert len(read) == PAGE_CLIPS


def test_generated_clips_stand_below_the_data_folder(explore):
    explore()
    assert (data_dir() / "simulated-small" / "slider").is_dir()
