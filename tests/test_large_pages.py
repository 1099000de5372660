"""Pages over many thousand clips: what they send stays small, and every number stays that of all clips."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.reports.plots import MAX_MARKS
from benchmarks.large_set import DETECTORS, KINDS, large_set
from pages.parts.data import table as data_table
from pages.parts.explore.thumbnails import PAGE_CLIPS
from pages.parts.threshold.playlist import SHOWN
from pages.shared.paging import PAGE_ROWS

N_CLIPS = 6000
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A large data set, its detectors, and the environment that shows them."""
    folder = tmp_path_factory.mktemp("large")
    clip = folder / "clip.wav"
    sf.write(clip, 0.1 * np.random.default_rng(0).standard_normal(16000), 16000, subtype="PCM_16")
    return folder, large_set(folder, N_CLIPS, clip=clip)


@pytest.fixture
def opened(monkeypatch, large):
    def open_(path: str, **query: object) -> AppTest:
        for name, value in large[1].items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(PROJECT))
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=TIMEOUT_S)
        page = page.run().switch_page(path)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    return open_


def cockpit_messages(page: AppTest) -> tuple[dict, dict]:
    """What the cockpit gets once, and what is said at each run."""
    found = [json.loads(each.proto.json) for each in page.get("bidi_component") if "cockpit:" in each.proto.id]
    return next(each for each in found if "detectors" in each), next(each for each in found if "thresholds" in each)


def rows_of(page: AppTest) -> list[dict]:
    (found,) = [json.loads(each.proto.json) for each in page.get("bidi_component") if "clips:" in each.proto.id]
    return found["rows"]


def longest_table(page: AppTest) -> int:
    return max(len(table.value) for table in page.dataframe)


def marks(page: AppTest) -> int:
    charts = [each.proto for each in page.get("vega_lite_chart")]
    return max(len(json.loads(chart.spec).get("data", {}).get("values", [])) for chart in charts)


@pytest.mark.parametrize("rule", ["best_f1", "target_tpr"])
def test_the_cockpit_gets_every_score_once_and_the_exact_threshold_of_a_rule(opened, large, rule):
    page = opened("pages/threshold.py", detector="lstm_predictor", rule=rule)
    once, now = cockpit_messages(page)
    folder = large[0] / "artifacts" / "large" / "slider" / "lstm_predictor"
    scores = open_artifact(folder).scores.of("test").labelled()
    (told,) = once["detectors"]
    sent = np.frombuffer(base64.b64decode(told["scores"]), "<f8")
    np.testing.assert_array_equal(sent, np.sort(scores.anomaly_scores)[::-1])
    assert now["thresholds"] == [from_labelled_scores(rule, scores.is_anomalous, scores.anomaly_scores).value]
    assert len(json.dumps(once)) < 16 * N_CLIPS
    assert len(json.dumps(now)) < 2000


def test_the_clips_of_a_cell_come_page_by_page(opened):
    page = opened("pages/threshold.py", detector="lstm_predictor", list="true alarm")
    first = [row["title"] for row in rows_of(page)]
    assert len(first) == SHOWN
    page.number_input(key="clips_page").set_value(2).run()
    assert not set(first) & {row["title"] for row in rows_of(page)}


def test_every_clip_of_the_scatter_can_be_found_though_only_some_are_drawn(opened):
    page = opened("pages/compare.py", view="scatter")
    box = page.selectbox(key="compared_clip")
    assert MAX_MARKS // 2 < len(box.options) <= MAX_MARKS
    name = next(f"{row:08d}" for row in range(N_CLIPS) if not any(f"{row:08d}" in each for each in box.options))
    page.text_input(key="compared_name").set_value(name).run()
    assert not page.exception
    assert [name in option for option in page.selectbox(key="compared_clip").options] == [True]
    assert any(name in text.value for text in page.text)


def test_disagreements_come_page_by_page_and_are_all_counted(opened):
    page = opened("pages/compare.py", view="differ", differ_table="on")
    assert longest_table(page) == PAGE_ROWS
    n_listed = next(int(each.value.split("; ")[1].split()[0]) for each in page.caption if "listed" in each.value)
    assert PAGE_ROWS < n_listed <= N_CLIPS
    assert page.number_input(key="differ_page").max == -(-n_listed // PAGE_ROWS)


def test_explore_sends_a_page_and_opens_the_one_that_the_link_names(opened):
    page = opened("pages/explore.py")
    assert longest_table(page) == PAGE_CLIPS
    far = f"test/anomaly_id_04_{2 * (N_CLIPS // 8) - 2:08d}.wav"
    page = opened("pages/explore.py", clips=[far])
    assert far in page.dataframe[0].value["Clip"].tolist()
    assert page.query_params["clips"] == far


def test_the_sizes_of_a_data_set_are_counted_once_until_a_file_comes(opened, large, monkeypatch):
    counted = []
    monkeypatch.setattr(data_table, "folder_bytes", lambda folder: counted.append(folder) or 1)
    data_table._tree_bytes.clear()
    page = opened("pages/data.py", set="large/large")
    page.run()
    folder = large[0] / "data" / "large"
    assert counted.count(folder) == 1
    new = folder / "slider" / "train" / "normal_id_00_90000000.wav"
    new.write_bytes((large[0] / "clip.wav").read_bytes())
    try:
        page.run()
    finally:
        new.unlink()
    assert counted.count(folder) == 2


def test_the_data_set_says_that_its_scores_are_drawn(large):
    artifact = open_artifact(large[0] / "artifacts" / "large" / "slider" / DETECTORS[0])
    clips = artifact.scores.of("test").clips
    assert len(clips) == N_CLIPS == len({clip.digest for clip in clips})
    assert {clip.kind for clip in clips} == {*KINDS, ""}
