"""The compare page as Streamlit runs it, without a browser."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact, publish
from asd_core.system.files import csv_text
from asd_core.types import Waveform
from pages.parts.compare import maps as compare_maps
from pages.parts.compare.methods import COMPARED_RULES

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
DETECTORS = ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")
VIEWS = ("figures", "differ", "scatter", "failures")
FULL = {"view": "figures", "statistics": "on"}
HOSTILE = "=<b>[x](javascript:alert(1))\u202e.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Copies of three detectors that come with the project."""
    return copied(tmp_path_factory.mktemp("artifacts"), DETECTORS)


def copied(out: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        shutil.copytree(EMBEDDED / "slider" / name, out / "simulated-small" / "slider" / name)
    return out


@pytest.fixture
def compare(monkeypatch, trained):
    """Return a function that opens the page over some artifacts, with all clips unless the URL says otherwise."""

    def open_(artifacts: Path = trained, **query: str) -> AppTest:
        query = {"show": "all"} | query
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts))
        monkeypatch.syspath_prepend(str(PROJECT))
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        test.switch_page("pages/compare.py")
        for name, value in query.items():
            test.query_params[name] = value
        return test.run()

    return open_


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def side_by_side(app: AppTest) -> pd.DataFrame:
    """All figures of the methods: one row per figure, one column per detector."""
    tables = [table.value for table in app.table if not {"Pair", "System"} & set(table.value)]
    return pd.concat([table.drop(filter(is_trivial, table.index)) for table in tables], axis=1).T


def is_trivial(title: str) -> bool:
    return title.startswith("Best trivial number")


def differences(app: AppTest) -> pd.DataFrame:
    return next(table.value for table in app.table if "Pair" in table.value)


def upload(app: AppTest, content: str | bytes, name: str = "theirs.csv") -> AppTest:
    raw = content.encode() if isinstance(content, str) else content
    return app.file_uploader[0].upload(name, raw, "text/csv").run()


def stored_scores(artifacts: Path, *splits: str) -> str:
    """Another method's file: the LSTM's scores, halved."""
    clips = open_artifact(artifacts / "simulated-small" / "slider" / "lstm_predictor").scores.clips
    rows = [(clip.path, repr(clip.anomaly_score / 2)) for clip in clips if clip.split in splits]
    return csv_text([("path", "anomaly_score"), *rows])


def test_every_detector_stands_in_every_table_on_the_common_clips(compare):
    page = compare(**FULL)
    assert not page.exception
    assert "**300 test clips** that every detector scored: 150 normal, 150 anomalous" in text_of(page)
    assert "Simulated data" in text_of(page)
    table = side_by_side(page)
    assert list(table.columns) == ["Log-mel statistics + one-class SVM", "LSTM next-frame predictor", "GRU autoencoder"]
    assert all("[" in cell for cell in table.loc["AUC, mean over ids"])
    assert table.loc["Encoder"].iloc[0] == "Log-mel statistics"
    assert all("/150)" in cell for cell in table.loc["False-alarm rate"])
    assert set(table.loc["10 s clip, on this machine"]) == {"not measured yet"}
    assert len(differences(page)) == 3
    assert page.get("plotly_chart")


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_by_its_link(compare, view):
    page = compare(view=view)
    assert not page.exception
    assert not page.error
    assert page.segmented_control(key="view").value == view


@pytest.mark.parametrize("rule", COMPARED_RULES)
def test_every_rule_judges_and_those_with_labels_are_marked(compare, rule):
    page = compare(verdicts=rule, **FULL)
    assert not page.exception
    marked = "Uses test labels" in side_by_side(page).loc["Threshold chosen by"].iloc[0]
    assert marked == (rule in ("closest_topleft", "youden", "best_f1", "target_tpr", "target_fpr", "cost"))
    assert ("are optimistic" in text_of(page)) == marked


def test_the_best_trivial_number_and_published_figures_stand_beside_the_detectors(compare):
    page = compare(**FULL)
    trivial = page.table[0].value.iloc[-1]
    assert is_trivial(trivial.name)
    assert trivial.name.endswith("(uses test labels)")
    assert 0.5 < float(trivial["AUC, mean over ids"]) < 1
    assert "**labels of the test clips**" in text_of(page)
    published = page.table[-1].value
    assert list(published["Sound"].iloc[:3]) == ["simulated, 3 ids"] * 3
    assert {"real, 3 ids", "real, 4 ids"} <= set(published["Sound"])
    assert "no match for them" in text_of(page)


def test_both_poolings_are_offered_where_a_network_has_another_one(compare, trained):
    page = compare()
    page.toggle(key="poolings").set_value(True).run()
    assert not page.exception
    networks = [open_artifact(trained / "simulated-small" / "slider" / name).detector() for name in DETECTORS[1:]]
    if any(network.normal_errors is not None for network in networks):
        assert "have to be heard again" in text_of(page)
        assert any("Hear them again" in button.label for button in page.button)
    else:
        assert "train them again" in text_of(page)


def test_the_time_per_clip_is_measured_on_demand_and_kept(compare):
    page = compare(**FULL)
    next(button for button in page.button if "Measure the time" in button.label).click().run()
    assert not page.exception
    assert all(cell.endswith(" ms") for cell in side_by_side(page).loc["10 s clip, on this machine"])
    again = compare(**FULL)
    assert not any("Measure" in button.label for button in again.button)


def test_bands_are_drawn_when_asked_for(compare):
    page = compare()
    page.toggle(key="bands").set_value(True).run()
    assert not page.exception
    assert "band" in page.get("plotly_chart")[0].proto.spec


def message(app: AppTest, key: str) -> dict:
    """What the one component of this key gets."""
    (found,) = [each.proto for each in app.get("bidi_component") if each.proto.id.endswith(key)]
    return json.loads(found.json)


def rows_of(app: AppTest, key: str) -> list[dict]:
    return message(app, f"{key}_list")["rows"]


def test_disagreements_are_listed_by_who_raises_the_alarm_and_play(compare):
    page = compare(view="differ", differ_table="on")
    everything, listed = page.dataframe[0].value, rows_of(page, "differ")
    assert len(everything) == len(listed)
    page.selectbox(key="raised_by").set_value("2").run()
    fewer = page.dataframe[0].value
    assert not page.exception
    assert 0 < len(fewer) < len(everything)
    assert all(cell == "⚠ anomalous" for cell in fewer["GRU autoencoder"])
    assert all("GRU" in row["note"] for row in rows_of(page, "differ"))
    page.selectbox(key="differ_label").set_value("normal").run()
    assert all(cell == "normal" for cell in page.dataframe[0].value["Truth"])
    assert {row["tone"] for row in rows_of(page, "differ")} == {"normal"}
    page.toggle(key="clip_details").set_value(True).run()
    assert not page.exception
    assert "Listen" in text_of(page)


def test_the_scatter_counts_quadrants_and_plays_the_clip_of_the_list(compare):
    page = compare(view="scatter")
    counts = page.dataframe[0].value
    assert counts[["Normal clips", "Anomalous clips"]].to_numpy().sum() == 300
    last = page.selectbox(key="compared_clip").options[-1]
    page.selectbox(key="compared_clip").select_index(299).run()
    assert not page.exception
    assert last in text_of(page)


def test_the_map_grows_until_it_shows_all_clips(compare, monkeypatch):
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    monkeypatch.setattr(compare_maps, "TURN_S", 0.2)
    monkeypatch.setattr(
        compare_maps, "loader", lambda _: lambda clip, _: Waveform(np.roll(noise, len(clip.shown)), digest=clip.digest)
    )
    page, seen = compare(view="map"), []
    while not page.exception and page.get("progress"):
        assert "% of the variance" in text_of(page)
        growing = message(page, "plane:growing")
        assert growing["still"]
        seen.append(len(growing["xs"]))
        page.run()
    assert not page.exception
    assert seen == sorted(seen)
    assert all(24 <= n <= 300 for n in seen)
    marks = message(page, "plane:map")
    assert len(marks["xs"]) == 300
    assert [group["name"] for group in marks["groups"]] == ["normal", "belt", "grease", "rail"]


def test_localisation_waits_for_its_button(compare):
    page = compare(view="localisation")
    assert not page.exception
    assert [button.label for button in page.button] == ["Rate the maps"]


def test_the_maps_are_rated_by_kind_and_kept(compare, tmp_path):
    page = compare(copied(tmp_path, ("vggish_ocsvm",)), view="localisation")
    page.button[0].click().run()
    assert not page.exception
    assert not page.button
    assert list(page.dataframe[0].value["Fault"]) == ["belt", "grease", "rail"]
    assert "Simulated data: each fault's cells" in text_of(page)


def test_imported_scores_become_another_row(compare, trained):
    page = upload(compare(**FULL), stored_scores(trained, "test", "heldout"))
    assert not page.exception
    assert not page.error
    table = side_by_side(page)
    assert list(table.columns)[-1] == "theirs"
    assert table.loc["AUC, all ids pooled", "theirs"] == table.loc["AUC, all ids pooled", "LSTM next-frame predictor"]
    assert table.loc["Encoder", "theirs"] == "imported scores"
    assert len(differences(page)) == 6
    next(button for button in page.button if button.label == "Remove").click().run()
    assert "theirs" not in side_by_side(page).columns


def test_imported_scores_without_heldout_clips_have_no_label_free_threshold(compare, trained):
    page = upload(compare(**FULL), stored_scores(trained, "test"))
    assert not page.exception
    assert "no normal scores" in side_by_side(page).loc["Threshold", "theirs"]
    page.selectbox(key="verdicts").set_value("gamma").run()
    assert not page.exception
    assert "no normal scores" in side_by_side(page).loc["Threshold", "theirs"]
    page.selectbox(key="verdicts").set_value("youden").run()
    assert "no normal scores" not in side_by_side(page).loc["Threshold", "theirs"]


def test_a_hostile_file_name_stays_text(compare, trained):
    page = upload(compare(**FULL), stored_scores(trained, "test"), name=HOSTILE)
    assert not page.exception
    assert not any("javascript" in element.value for element in [*page.markdown, *page.caption])
    assert "<b>" not in page.get("plotly_chart")[0].proto.spec


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n1,2\n", "must have the columns path"),
        ("path,score\ntest/x.wav,nan\n", "needs a path and a finite score"),
        ("path,score\ntest/x.wav,1\n", "have no imported score"),
        (b"\xff\xfe\x00", "is not a CSV file in UTF-8"),
        ("", "must have the columns path"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason_and_the_page_stays(compare, content, reason):
    page = upload(compare(**FULL), content)
    assert not page.exception
    assert "These scores cannot be used" in page.error[0].value
    assert reason in text_of(page)
    assert "/tmp" not in text_of(page)
    assert len(side_by_side(page).columns) == 3


@pytest.mark.parametrize("view", VIEWS)
def test_one_detector_alone_says_what_is_missing(compare, tmp_path, view):
    page = compare(copied(tmp_path, ("lstm_predictor",)), view=view)
    assert not page.exception
    assert not page.error
    if view in ("differ", "scatter"):
        assert "needs two detectors" in text_of(page)


@pytest.mark.parametrize("view", VIEWS)
def test_one_class_only_still_compares_verdicts(compare, tmp_path, view):
    copied(tmp_path, ("lstm_predictor", "vggish_ocsvm"))
    for folder in (tmp_path / "simulated-small" / "slider").iterdir():
        keep_only(folder, label="normal")
    page = compare(tmp_path, view=view)
    assert not page.exception
    assert not page.error
    assert "150 normal, 0 anomalous" in text_of(page)
    if view == "figures":
        assert "of one class nothing can be ranked" in "".join(message(page, "ranking")["lead"])
        page.toggle(key="statistics").set_value(True).run()
        assert "here is one class only" in text_of(page)
        assert "/150)" in side_by_side(page).loc["False-alarm rate"].iloc[0]
        assert side_by_side(page).loc["AUC, mean over ids"].iloc[0] == "not defined"


def test_detectors_without_common_clips_cannot_be_compared(compare, tmp_path):
    copied(tmp_path, ("lstm_predictor", "vggish_ocsvm"))
    keep_only(tmp_path / "simulated-small" / "slider" / "lstm_predictor", label="normal")
    keep_only(tmp_path / "simulated-small" / "slider" / "vggish_ocsvm", label="anomalous")
    page = compare(tmp_path)
    assert not page.exception
    assert "no labelled test clips that all of these detectors scored" in text_of(page)


def keep_only(folder: Path, *, label: str) -> None:
    artifact = open_artifact(folder)
    clips = [clip for clip in artifact.scores.clips if clip.split == "heldout" or clip.label == label]
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=clips)


def test_without_detectors_the_page_says_what_to_do(compare, tmp_path):
    page = compare(tmp_path)
    assert not page.exception
    assert "No trained detector is here yet" in text_of(page)


def test_a_damaged_detector_is_named_and_the_others_are_compared(compare, tmp_path):
    copied(tmp_path, DETECTORS)
    (tmp_path / "simulated-small" / "slider" / "lstm_predictor" / "current").write_text("nonsense")
    page = compare(tmp_path, **FULL)
    assert not page.exception
    assert "lstm_predictor cannot be used" in text_of(page)
    assert len(side_by_side(page).columns) == 2


def test_the_table_downloads_with_formula_cells_quoted():
    from asd_core.system.files import csv_text as written
    from pages.parts.compare.figures import table_csv

    text = table_csv([{"plain": {"method": "=1+1", "auc": 0.5}}, {"plain": {"method": "b", "auc": None}}])
    assert list(csv.reader(io.StringIO(text))) == [["method", "auc"], ["'=1+1", "0.5"], ["b", ""]]
    assert text == written([["method", "auc"], ["=1+1", 0.5], ["b", None]])


def test_the_ensemble_of_the_detectors_is_added_on_demand(compare):
    page = compare(**FULL)
    assert "Ensemble" not in " ".join(side_by_side(page).columns)
    page.toggle(key="ensemble").set_value(True).run()
    assert not page.exception
    table = side_by_side(page)
    name = "Ensemble of 3 (z-scores, no test labels)"
    assert list(table.columns)[-1] == name
    assert table.loc["Encoder", name] == "mean of the detectors' z-scores"
    assert table.loc["Threshold chosen by", name].startswith("Split-conformal")
    assert name in page.get("plotly_chart")[0].proto.spec
    assert len(differences(page)) == 6


@pytest.mark.parametrize("view", [*VIEWS, "map", "localisation"])
def test_every_view_opens_with_the_ensemble(compare, view):
    page = compare(view=view)
    page.toggle(key="ensemble").set_value(True).run()
    assert not page.exception
    assert not page.error


def test_one_detector_has_no_ensemble(compare, tmp_path):
    page = compare(copied(tmp_path, ("vggish_ocsvm",)))
    assert page.toggle(key="ensemble").disabled
