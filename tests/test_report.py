"""The HTML report: complete, escaped, and alone in the world."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from asd_core.artifacts.store import open_artifact, publish
from asd_core.cli import main
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors.lstm_predictor import LstmPredictor
from asd_core.errors import UsageError
from asd_core.reports.html import report_on, write_report
from asd_core.reports.svg import Curve, histogram_svg, roc_svg
from asd_core.tasks.evaluate import assess
from asd_core.tasks.train import TrainingRequest, train

SMALL_LSTM = {"hidden": 8, "epochs": 1, "windows_per_epoch": 256}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    size = BenchSize("tiny", {"00": IdCounts(30, 6, 6), "02": IdCounts(30, 6, 6)})
    return write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=size, seed=2)


@pytest.fixture(scope="module")
def models(bench, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    svm = train(TrainingRequest("vggish_ocsvm", bench, out=out))
    lstm = train(TrainingRequest("lstm_predictor", bench, out=out, settings=SMALL_LSTM))
    return [svm.model, lstm.model]


@pytest.fixture(scope="module")
def page(models, bench, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(models, bench, out)
    return out.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Collects tags and the addresses they name."""

    def __init__(self):
        super().__init__()
        self.names, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action") and value]


def test_it_asks_nothing_of_the_outside_and_runs_no_script(page):
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.addresses
    assert all(address.startswith("data:") for address in tags.addresses)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)


def test_it_says_simulated_and_names_every_detector_rule_and_digest(page, models):
    assert "Simulated data." in page
    for model in models:
        artifact = open_artifact(model)
        assert artifact.title in page
        assert artifact.version in page
        assert artifact.manifest.data.fingerprint in page
    assert "rule conformal" in page
    assert "VGGish" not in page


def test_it_holds_playable_clips_roc_confusion_and_localisation(page):
    assert page.count("<audio") >= 2
    assert page.count("<polyline") == 2
    assert "judged anomalous" in page
    assert "pixel AUC" in page
    assert "paired bootstrap" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower().split()


def test_each_clip_to_hear_takes_one_pass_of_each_network(models, bench, tmp_path, monkeypatch):
    passes, real = [], LstmPredictor._step_errors
    monkeypatch.setattr(LstmPredictor, "_step_errors", lambda self, frames: passes.append(1) or real(self, frames))
    monkeypatch.setattr("asd_core.reports.html.localise_all", lambda _: {})
    assessment = assess(models[1], bench)
    before = len(passes)
    report_on([assessment], tmp_path / "report.html")
    n_clips = (tmp_path / "report.html").read_text(encoding="utf-8").count("<audio")
    assert n_clips > 0
    assert len(passes) - before == n_clips


def test_a_rule_with_labels_is_marked_with_its_optimism(models, bench, tmp_path):
    write_report(models[:1], bench, tmp_path / "r.html", rule="best_f1")
    page = (tmp_path / "r.html").read_text()
    assert "Chosen on the labels of these test clips" in page
    assert "judged on the other" in page


def test_hostile_text_is_escaped(models, bench, tmp_path):
    folder = tmp_path / "set" / "slider" / "vggish_ocsvm"
    shutil.copytree(models[0], folder)
    artifact = open_artifact(folder)
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    publish(
        folder,
        manifest=replace(artifact.manifest, title=hostile, preset=hostile),
        state=artifact.detector().state,
        scores=artifact.scores.clips,
    )
    write_report([folder], bench, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_detectors_with_other_test_clips_are_refused(models, bench, tmp_path):
    clip = next((bench / "slider" / "test").glob("normal_id_00_*"))
    data = tmp_path / "mixed"
    shutil.copytree(bench, data)
    shutil.copy(clip, data / "slider" / "train" / "normal_id_00_00000999.wav")
    other = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out")).model
    with pytest.raises(UsageError, match="on the same clips"):
        write_report([models[0], other], data, tmp_path / "r.html")


def test_the_command_writes_the_file_and_prints_its_place(models, bench, tmp_path, capsys):
    out = tmp_path / "new" / "report.html"
    assert main(["report", str(models[0]), "--data", str(bench), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.stat().st_size > 10_000


def test_labels_of_pictures_are_escaped():
    picture = roc_svg([Curve("<b>&", np.array([0.0, 1.0]), np.array([0.0, 1.0]), "#000")])
    assert "<b>" not in picture
    assert "&lt;b&gt;&amp;" in picture


def test_a_histogram_of_equal_scores_or_one_class_can_be_drawn():
    assert "<rect" in histogram_svg(np.array([1.0, 1.0]), np.array([]), thresholds={"": 1.0})
