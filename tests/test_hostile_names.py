"""Twelve hostile names through every page, report and export: they stay text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import NAMES, SIGNS, SLASHED, hostile_home
from printed import gauges_of
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.data.data_set import slug
from asd_core.data.quotas import Quota, Upload
from asd_core.data.table import read_library
from asd_core.data.uploads import store_uploads
from asd_core.formats import display_name
from asd_core.reports.html import write_report
from asd_core.tasks.score import format_score_csv, score_waveform
from asd_core.tasks.train import TrainingRequest, train
from pages.parts.check.examples import NAME_LETTERS
from pages.shared.plain_text import plain

VIEWS = {
    "pages/overview.py": {"set": ("rail/rail",)},
    "pages/data.py": {"data_view": ("sets", "upload", "folder", "simulate", "download", "storage")},
    "pages/explore.py": {"view": ("clips", "spectra", "contents")},
    "pages/train.py": {"train_view": ("new", "runs", "sweep", "versions")},
    "pages/threshold.py": {"view": ("table", "ids", "det")},
    "pages/monitor.py": {"monitor": ("live", "replay")},
    "pages/compare.py": {"view": ("figures", "differ", "scatter", "failures", "map", "localisation")},
    "pages/learn.py": {"lesson": ("vggish_ocsvm", "quiz", "glossary")},
}
SENT = [name.encode("utf-8", "replace").decode().replace("\0", "") + ".wav" for name in SLASHED.values()]
"""As browsers send names: UTF-8, and Streamlit takes none with a NUL."""
FLEET = slug(NAMES["html"])
"""The data set whose folder and machines bear these names; the library makes plain names of folders."""
MACHINES = {kind: name for kind, name in NAMES.items() if not name.startswith(".")}
"""Hidden folders are no machines."""
FILED = dict(zip(NAMES.values(), reversed(NAMES.values()), strict=True))
"""Data set and machine of the copies of the detector."""
LINE_TYPES = ("markdown", "caption", "error", "warning", "info", "success", "title", "header", "subheader", "toast")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[None]:
    """An installation whose only data set and detector bear these names."""
    place = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(place / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(place / "artifacts"))
        patch.setenv(library.ROOTS_VARIABLE, str(place / "recordings"))
        patch.syspath_prepend(str(PROJECT))
        hostile_home(place)
        for number, (kind, name) in enumerate(SLASHED.items()):
            store_uploads("uploads", [Upload(name, wav(200 + number))], used=Quota(), kind=None if number else kind)
        yield place


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=2.0).samples)


def opened(path: str, **state: str | bool) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for key, value in state.items():
        app.session_state[key] = value
    return app.switch_page(path).run() if path != "pages/overview.py" else app.run()


def trained(home: Path) -> Path:
    (folder,) = (each for each in find_artifacts(home / "artifacts") if each.parts[-3:-1] == ("rail", "rail"))
    return folder


def read_as_markdown(app: AppTest) -> list[str]:
    """Everything on a page that the browser reads as Markdown."""
    found = [str(each.value) for kind in LINE_TYPES for each in app.get(kind)]
    for metric in app.metric:
        found += [metric.label, str(metric.value), metric.proto.help]
    for kind in ("button", "checkbox", "toggle", "selectbox", "multiselect", "text_input", "slider", "radio"):
        found += [each.label for each in app.get(kind)] + [each.proto.help for each in app.get(kind)]
    found += [option.content for group in app.get("button_group") for option in group.proto.options]
    found += [box.label for kind in ("expander", "popover") for box in app.get(kind) if hasattr(box, "label")]
    for table in app.table:
        found += [str(cell) for cell in [*table.value.columns, *table.value.index, *table.value.to_numpy().ravel()]]
    return found


def check(app: AppTest) -> None:
    assert not app.exception
    texts = read_as_markdown(app)
    assert [text for text in texts if SIGNS.search(text)] == []
    assert not any(control in text for text in texts for control in "\u202e\x00\r")


@pytest.mark.parametrize("path", VIEWS)
def test_no_view_reads_a_name_as_markdown(home, path):
    ((key, values),) = VIEWS[path].items()
    app = opened(path, **{"set": "rail/rail", "data_set": "rail", key: values[0]})
    check(app)
    for value in values[1:]:
        app.session_state[key] = value
        check(app.run())


def test_names_of_uploads_stay_text_in_the_report_of_their_data_set(home):
    app = opened("pages/data.py", data_view="sets", set="uploads/uploads")
    check(app)
    assert sum(int(metric.value) for metric in app.metric) == len(SLASHED)


def test_hostile_names_of_uploads_lead_nowhere_and_are_told_apart(home):
    index = library.open_known(read_library().find("uploads"), "uploads").index
    assert len({clip.shown for clip in index.clips}) == len(index.clips) == len(SLASHED)
    for clip in index.clips:
        assert clip.path.parent.parent == index.root.resolve()
        assert clip.shown.isprintable()
        assert not {"", ".."} & set(clip.shown.split("/"))


@pytest.mark.parametrize("path", ["pages/explore.py", "pages/check.py", "pages/threshold.py", "pages/compare.py"])
def test_hostile_names_of_uploads_stay_text_once_a_detector_knows_them(home, path, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path))
    train(TrainingRequest("vggish_knn", home / "data" / "uploads" / "uploads", preset="quick", out=tmp_path))
    app = opened(path, set="uploads/uploads", view="scatter", list="true normal")
    check(app)
    if path == "pages/explore.py":
        for text in ("<img", "..", "=cmd"):
            app.text_input(key="only_name").set_value(text).run()
            check(app)


def test_every_hostile_clip_can_be_checked(home):
    folder = trained(home)
    clips = open_artifact(folder).scores.of("test").clips
    app = opened("pages/check.py", set="rail/rail")
    for clip in [clip for clip in clips if clip.label == "anomalous"][::3]:
        app.selectbox(key="example").set_value(clip.digest[:NAME_LETTERS]).run()
        check(app)
        app.button(key="example_reveal").click().run()
        check(app)
        if app.error:
            assert "udcff" in clip.path  # whose name is not UTF-8 cannot be opened by what the detector keeps of it
            continue
        app.segmented_control(key="view").set_value("details").run()
        check(app)


def test_uploads_with_hostile_names_are_scored_shown_and_exported_as_text(home):
    app = opened("pages/check.py", set="rail/rail", source="Upload")
    names = SENT
    app.file_uploader(key="upload").set_value(
        [(name, wav(300 + number), "audio/wav") for number, name in enumerate(names)]
    ).run()
    check(app)
    shown = list(app.dataframe[-1].value["File"])
    assert len(shown) == len(names)
    assert not any(letter in name for name in shown for letter in "\n\r\x00\u202e")


def test_no_name_becomes_a_formula_or_another_row_of_an_export(home):
    folder = trained(home)
    artifact = open_artifact(folder)
    waveform, detector = hum(1), artifact.detector()
    rows = [score_waveform(waveform, artifact, detector, path=name, model="svm") for name in SLASHED.values()]
    cells = list(csv.reader(io.StringIO(format_score_csv(rows), newline="")))
    assert len(cells) == 1 + len(rows)
    assert not [cell for row in cells for cell in row if cell[:1] in ("=", "+", "@", "\t", "\r", "\0")]


def test_a_report_on_such_clips_holds_no_tag_of_theirs(home, tmp_path):
    folder = trained(home)
    write_report([folder], home / "recordings" / "rail", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "&lt;img src=" in page  # the names are there, as text
    assert "<script" not in page
    assert not re.search(r"<img (?!src=.data:|alt=)", page)
    assert not re.search(r"<[^>]*(?:href|src)\s*=\s*.?(?:https?:|javascript:)", page)


def test_a_single_upload_with_each_name_gets_its_verdict(home):
    app = opened("pages/check.py", set="rail/rail", source="Upload")
    for number, name in enumerate(SENT[::4]):
        app.file_uploader(key="upload").set_value((name, wav(400 + number), "audio/wav")).run()
        check(app)
        assert gauges_of(app)


@pytest.mark.parametrize("machine", [name for name in MACHINES.values() if "\udcff" not in name])
def test_a_data_set_and_its_machines_may_have_any_name_that_a_browser_can_be_sent(home, machine):
    app = opened("pages/data.py", set=f"{FLEET}/{machine}")
    check(app)
    assert app.selectbox(key="set").value == f"{FLEET}/{machine}"
    assert all(option.isprintable() for each in app.selectbox for option in each.options)


@pytest.mark.parametrize("name", [name for name in FILED if "\udcff" not in name + FILED[name]])
def test_detectors_filed_under_any_name_are_shown_as_text(home, name):
    app = opened("pages/overview.py", set=f"{name}/{FILED[name]}", figures=True)
    check(app)
    assert app.selectbox(key="set").value == f"{name}/{FILED[name]}"
    assert [each for each in app.metric if each.label.startswith("AUC")]


def test_the_choice_of_data_set_lists_every_name_but_those_that_are_not_utf_8(home):
    app = opened("pages/overview.py", set="rail/rail")
    check(app)
    options = app.selectbox(key="set").options
    titles = {f"{display_name(data_set)} · {display_name(machine)}" for data_set, machine in FILED.items()}
    assert len(titles & set(options)) == len(FILED) - 2  # one is the data set's name, one the machine's
    assert all(option.isprintable() for option in options)


@pytest.mark.parametrize("name", SLASHED.values(), ids=SLASHED)
def test_plain_text_keeps_what_is_read_and_loses_what_acts(name):
    made = plain(name)
    assert not SIGNS.search(made)
    assert made.isprintable() or "\N{WORD JOINER}" in made
    visible = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", made).replace("\N{WORD JOINER}", "")
    assert visible == "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
