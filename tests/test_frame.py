"""The frame around all pages: its menu, the one context, and the sentence that says it."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import replace

import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.artifacts.versions import save_threshold, trained_at
from asd_core.audio.reading import encode_wav
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.detectors import DETECTOR_NAMES
from asd_core.formats import ago_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    DETECTOR_SHORT_NAMES,
    DETECTOR_SYMBOLS,
)
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.context import NEXT
from pages.shared.frame import BUILD, OVERVIEW, PAGES, UNDERSTAND, USE

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
SET = "simulated-small/slider"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A fresh installation with the detectors that come with the project."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")
    return tmp_path


def opened(path: str = OVERVIEW, query: dict[str, object] | None = None, **state: object) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for name, value in (query or {}).items():
        app.query_params[name] = value
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    return app if path == OVERVIEW else app.switch_page(path).run()


def said(app: AppTest) -> str:
    """The context's sentence."""
    return next(each.value for each in app.caption if each.value.startswith(("Listening with", "Data set", "No data")))


def active(app: AppTest) -> list[str]:
    return app.session_state[f"active:{app.session_state['set']}"]


def add_pump(n_clips: int = 1) -> None:
    clips = [Upload(f"{n}.wav", encode_wav(hum(n, seconds=1.0).samples)) for n in range(n_clips)]
    store_uploads("pump-hall", clips, used=Quota())


def test_the_menu_lists_every_script_under_the_sections_that_people_need():
    assert {link.path for link in PAGES} == {f"pages/{path.name}" for path in (PROJECT / "pages").glob("*.py")}
    assert [(link.section, link.address) for link in PAGES] == [
        ("", ""),
        *((USE, name) for name in ("check", "my_machine", "monitor")),
        *((UNDERSTAND, name) for name in ("explore", "threshold", "compare", "learn")),
        *((BUILD, name) for name in ("data", "train")),
    ]


@pytest.mark.parametrize("link", PAGES, ids=[link.address or "overview" for link in PAGES])
def test_every_page_says_what_it_is_for_and_what_it_listens_with(home, link):
    app = opened(link.path)
    assert not app.exception
    assert [title.value for title in app.title] == [link.title]
    assert app.markdown[0].value == link.about
    assert said(app).startswith("Listening with **simulated-small · slider**: 3 of 6 detectors, trained ")
    assert said(app).endswith(" ago on 144 simulated clips.")


@pytest.mark.parametrize("link", PAGES, ids=[link.address or "overview" for link in PAGES])
def test_no_page_has_a_choice_of_data_set_or_of_active_detectors_of_its_own(home, link):
    app = opened(link.path)
    boxes = [box for kind in ("selectbox", "multiselect") for box in app.main.get(kind)]
    assert [box.label for box in boxes if "data set" in box.label.lower() or "detectors" in box.label.lower()] == []


def test_a_data_set_without_detectors_is_offered_and_says_so(home):
    add_pump()
    app = opened(set="pump-hall/pump-hall")
    assert said(app) == "Data set **pump-hall**: no detector has been trained on it yet."
    assert app.selectbox(key="set").options == [
        "simulated-small · slider",
        "pump-hall",
        "simulated-recordings · slider",
    ]


def test_three_detectors_are_active_at_first_and_the_one_that_a_link_is_about(home):
    assert active(opened()) == list(DETECTOR_NAMES[:3])
    assert active(opened(query={"detector": "vggish_knn"})) == [*DETECTOR_NAMES[:3], "vggish_knn"]


def test_the_active_detectors_are_those_of_the_link_and_stay_on_every_page(home):
    app = opened("pages/threshold.py", query={"detectors": ["vggish_knn", "lstm_predictor", "nonsense"]})
    assert active(app) == ["lstm_predictor", "vggish_knn"]
    assert app.query_params["detectors"] == ["lstm_predictor", "vggish_knn"]
    assert "2 of 6 detectors" in said(app)
    assert len(app.segmented_control(key="detector").options) == 2


def test_with_all_switched_off_the_first_three_listen(home):
    app = opened()
    app.button_group(key=f"active:{SET}").set_value([]).run()
    assert active(app) == list(DETECTOR_NAMES[:3])
    assert "detectors" not in app.query_params


def test_what_a_page_switches_to_becomes_the_context_with_its_detectors_active(home):
    shutil.copytree(EMBEDDED, home / "artifacts" / "pump-hall")
    app = opened()
    app.session_state[NEXT] = ("pump-hall/slider", ("vggish_knn",))
    app.run()
    assert "**pump-hall · slider**" in said(app)
    assert active(app) == ["vggish_ocsvm", "lstm_predictor", "vggish_knn"]
    app.session_state[NEXT] = ("pump-hall/slider", ("vggish_mahalanobis",))
    app.run()
    assert active(app) == ["vggish_ocsvm", "lstm_predictor", "vggish_mahalanobis", "vggish_knn"]
    app.session_state[NEXT] = ("gone/gone", ())
    app.run()
    assert "**pump-hall · slider**" in said(app)


def test_a_machine_is_called_by_its_own_name_and_found_by_its_folder_too(home, monkeypatch, tmp_path):
    from asd_core.data.library import ROOTS_VARIABLE, add_folder

    monkeypatch.setenv(ROOTS_VARIABLE, str(tmp_path))
    for name in ("Pump 1", "Pump 2"):
        folder = tmp_path / "hall" / name / "train"
        folder.mkdir(parents=True)
        for n in range(2):
            (folder / f"normal_id_00_{n:08d}.wav").write_bytes(encode_wav(hum(n, seconds=1.0).samples))
    add_folder("hall", tmp_path / "hall")
    app = opened(query={"set": "hall/pump-2"})
    assert said(app) == "Data set **hall · Pump 2**: no detector has been trained on it yet."
    assert app.query_params["set"] == "hall/Pump 2"


def test_a_version_with_another_threshold_was_trained_when_its_parent_was(home):
    folder = home / "artifacts" / "simulated-small" / "slider" / "vggish_knn"
    before = open_artifact(folder)
    own = home / "artifacts" / "pump-hall" / "slider" / "vggish_knn"
    shutil.copytree(folder, own)
    saved = save_threshold(open_artifact(own), replace(before.threshold, rule="manual", value=1.0), folder=own)
    assert saved.manifest.created_at != before.manifest.created_at
    assert trained_at(saved) == before.manifest.created_at
    shutil.rmtree(own / before.version)
    assert trained_at(saved) == saved.manifest.created_at


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "just now"), (59.9, "just now"), (60, "1 minute ago"), (7199, "1 hour ago"), (86_400 * 45, "45 days ago")],
)
def test_how_long_ago_is_said_in_the_largest_unit(seconds, text):
    assert ago_text(seconds) == text


def test_each_detector_has_a_colour_dash_shape_and_short_name_that_no_other_has():
    for table in (DETECTOR_COLOURS, DETECTOR_DASHES, DETECTOR_SYMBOLS, DETECTOR_SHORT_NAMES, DETECTOR_MARKS):
        assert tuple(sorted(table)) == tuple(sorted(DETECTOR_NAMES))
        assert len(set(table.values())) == len(DETECTOR_NAMES)


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_mark_is_drawn_in_the_colour_of_the_curves(name):
    data = re.fullmatch(r"!\[\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", DETECTOR_MARKS[name])
    assert data is not None
    assert f'fill="{DETECTOR_COLOURS[name]}"' in base64.b64decode(data[1]).decode()
