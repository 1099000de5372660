"""Whoever names a detector that was trained on simulated sound says so, whatever clips it is asked about."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from printed import drawn, text_of
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors.contract import Progress
from asd_core.monitoring.rows import WatchRow
from asd_core.tasks.compare import Method, join, with_ensemble
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import AnomalyMap
from pages.parts.check import verdicts
from pages.parts.compare import figures as compare_figures
from pages.parts.monitor import now
from pages.parts.train import live as train_live
from pages.shared import cards
from pages.shared.cache import Heard

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
RAIL = EMBEDDED / "vggish_ocsvm"
MARK = "trained on simulated sound"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """A data set in the layout of DCASE 2020 that no generator marked as its own."""
    root = tmp_path_factory.mktemp("recordings") / "real"
    for split, label, n_clips in (("train", "normal", 40), ("test", "normal", 3), ("test", "anomaly", 3)):
        for number in range(n_clips):
            path = root / "slider" / split / f"{label}_id_00_{number:08d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = hum(number + 100 * (split == "test"), seconds=1.0, knocks=4 * (label == "anomaly"))
            path.write_bytes(encode_wav(sound.samples))
    return root


@pytest.fixture(scope="module")
def pump(recordings, tmp_path_factory) -> Path:
    """A detector that was trained on these recordings."""
    return train(TrainingRequest("vggish_ocsvm", recordings, out=tmp_path_factory.mktemp("out"))).model


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    return write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=BenchSize("tiny", {"00": IdCounts(2, 3, 3)}))


def report_of(path: Path, *arguments: object, code: int = 0) -> dict:
    assert main([*map(str, arguments), "--json", str(path)]) == code
    return json.loads(path.read_text())


def both(report: dict) -> tuple[bool, bool]:
    return report["simulated"], report["data_simulated"]


def test_an_evaluation_tells_the_detectors_training_from_the_clips(recordings, bench, pump, tmp_path, capsys):
    assert both(report_of(tmp_path / "r.json", "evaluate", RAIL, "--data", recordings)) == (True, False)
    assert capsys.readouterr().out.splitlines()[0].endswith(f"one-class SVM ({MARK})")
    assert both(report_of(tmp_path / "r.json", "evaluate", pump, "--data", bench)) == (False, True)
    assert capsys.readouterr().out.splitlines()[0].endswith("one-class SVM (simulated data)")


def test_an_ensemble_is_simulated_where_any_member_is(recordings, pump, tmp_path, capsys):
    report = report_of(tmp_path / "r.json", "evaluate", pump, "--data", recordings, "--with", RAIL)
    assert both(report) == (False, False)
    assert report["ensemble"]["simulated"] is True
    assert [member["simulated"] for member in report["ensemble"]["members"]] == [False, True]
    (member,) = [line for line in capsys.readouterr().out.splitlines() if MARK in line and line.startswith("  of ")]
    assert open_artifact(RAIL).version in member


def test_a_training_says_what_it_trained_on(recordings, bench, tmp_path):
    out = ("--out", tmp_path / "out")
    assert both(report_of(tmp_path / "r.json", "train", "vggish_knn", "--data", recordings, *out)) == (False, False)


def test_scores_of_recordings_say_it_of_each_detector_and_of_refused_clips(recordings, pump, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound" * 20)
    clips = (recordings / "slider" / "test" / "normal_id_00_00000000.wav", tmp_path / "bad.wav")
    models = ("--model", RAIL, "--model", pump, "--csv", tmp_path / "r.csv")
    rows = report_of(tmp_path / "r.json", "score", *clips, *models, code=3)["rows"]
    assert {(row["status"] == "refused", row["model"] == str(RAIL), row["simulated"]) for row in rows} == {
        (refused, rail, rail) for refused in (False, True) for rail in (False, True)
    }
    header, *lines = (tmp_path / "r.csv").read_text().splitlines()
    assert header == "path,model,encoder,status,reason,anomaly_score,threshold,verdict,simulated"
    assert sorted(line.rsplit(",", 1)[1] for line in lines) == ["false", "false", "true", "true"]


def test_a_report_marks_the_detectors_and_not_the_recordings(recordings, pump, tmp_path, capsys):
    models = (RAIL, pump)
    report = report_of(tmp_path / "r.json", "report", *models, "--data", recordings, "--out", tmp_path / "r.html")
    assert both(report) == (True, False)
    assert [each["simulated"] for each in report["detectors"]] == [True, False]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Simulated data." not in page
    assert "<strong>Trained on simulated sound:</strong>" in page
    headings = [heading for heading in re.findall(r"<h2>(.*?)</h2>", page) if "SVM" in heading]
    assert [MARK in heading for heading in headings] == [True, False]
    verdicts_ = re.findall(r'<div class="small">([^<]*): score', page)
    assert {MARK in name for name in verdicts_[::2]} == {True}
    assert {MARK in name for name in verdicts_[1::2]} == {False}
    assert MARK in capsys.readouterr().err


def test_a_report_of_a_detector_of_recordings_on_the_bench_marks_the_clips_alone(bench, pump, tmp_path):
    report = report_of(tmp_path / "r.json", "report", pump, "--data", bench, "--out", tmp_path / "r.html")
    assert both(report) == (False, True)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Simulated data." in page
    assert MARK not in page.lower()


def test_an_export_names_its_detector_and_says_it(recordings, bench, pump, tmp_path, capsys):
    report = report_of(tmp_path / "r.json", "export-dcase", RAIL, "--data", recordings, "--out", tmp_path / "rail")
    assert (*both(report), report["version"]) == (True, False, open_artifact(RAIL).version)
    assert MARK in capsys.readouterr().err
    report = report_of(tmp_path / "r.json", "export-dcase", pump, "--data", bench, "--out", tmp_path / "pump")
    assert both(report) == (False, True)


# Pages


def heard() -> Heard:
    return Heard(0.7, AnomalyMap(np.zeros((1, 1)), np.zeros(1), None), ())


def test_a_verdict_carries_the_mark(pump):
    for model, marked in ((RAIL, True), (pump, False)):
        artifact = open_artifact(model)
        text = text_of(drawn(lambda artifact=artifact: verdicts._verdict_card(artifact, heard())))
        assert (f"badge[:material/science: {MARK}]" in text) is marked


def test_recordings_are_answered_with_a_warning_that_names_the_detectors(pump):
    rail, other = open_artifact(RAIL), open_artifact(pump)
    app = drawn(lambda: cards.simulated_warning([rail]))
    (warning,) = app.warning
    assert MARK in warning.value.lower()
    assert "one-class SVM" in warning.value
    assert len(drawn(lambda: cards.simulated_warning([other])).warning) == 0


def test_a_watched_folder_says_it_even_where_the_table_is_of_an_earlier_release(pump):
    row = WatchRow("2026-01-31T12:00:00+00:00", "/a.wav", str(RAIL), "ok", "", 0.5, 0.6, "normal")
    assert now.by_simulated(row)
    assert not now.by_simulated(replace(row, simulated=False))
    assert not now.by_simulated(replace(row, model=str(pump)))
    assert now.by_simulated(replace(row, model="gone", simulated=True))
    assert not now.by_simulated(replace(row, model="gone"))


def test_losses_of_a_training_on_simulated_clips_are_marked(bench, recordings):
    events = [Progress(epoch=1, epochs=2, loss=0.5, heldout_loss=0.4, elapsed_s=1.0, eta_s=1.0)]
    for data, marked in ((bench, True), (bench / "slider", True), (recordings, False)):
        request = TrainingRequest("lstm_predictor", data)
        job = SimpleNamespace(name="j", request=request)
        text = text_of(drawn(lambda job=job: train_live.loss_figure(job, events)))
        assert "Held-out" in text
        assert (MARK in text.lower()) is marked


def test_the_table_of_the_comparison_says_it_of_each_method():
    rail, knn = (Method.of(open_artifact(EMBEDDED / name)) for name in ("vggish_ocsvm", "vggish_knn"))
    real = replace(knn, artifact=SimpleNamespace(simulated=False))
    imported = replace(knn, artifact=None)
    judged = SimpleNamespace(comparison=with_ensemble(join([rail, knn])))
    of = compare_figures._trained_on_simulated
    ensemble = judged.comparison.methods[-1]
    assert [of(judged, each) for each in (rail, real, imported, ensemble)] == [True, False, None, True]


def test_a_watch_says_it_in_its_first_and_last_line_and_in_its_table(recordings, pump, tmp_path, capsys):
    clips = recordings / "slider" / "test"
    for number, (model, marked) in enumerate(((RAIL, True), (pump, False))):
        table = tmp_path / f"{number}.csv"
        options = ("--once", "--poll", "0.05", "--csv", table)
        report = report_of(tmp_path / "r.json", "watch", clips, "--model", model, *options)
        printed = capsys.readouterr()
        assert report["simulated"] is marked
        assert (MARK in printed.out.splitlines()[0], MARK in printed.err.splitlines()[-1]) == (marked, marked)
        rows = list(csv.DictReader(table.read_text().splitlines()))
        assert {row["simulated"] for row in rows} == {str(marked).lower()}
        assert len(rows) == 6
