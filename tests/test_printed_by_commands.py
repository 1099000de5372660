"""Figures that commands print stand behind the right words: each test has a value of its own for every figure."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_up import CALIBRATION, CONFUSION, RANKING, SUMMARY, THRESHOLD
from printed import after, before, figures, line_with

from asd_core.artifacts.manifest import CalibrationSummary
from asd_core.cli import bench_files, checking, dcase_files, doctor, judging, main, outcome, scoring, training
from asd_core.data.data_set import IndexReport, LabelRow, RecordingCount
from asd_core.data.dcase2020.published import CountRow
from asd_core.data.folders import Skipped
from asd_core.detectors.contract import Progress
from asd_core.evaluation.comparison import Difference
from asd_core.evaluation.summary import Decisions, Summary
from asd_core.evaluation.uncertainty import Interval, no_spread
from asd_core.formats import PLAIN
from asd_core.monitoring.alarms import AlarmRule
from asd_core.monitoring.watch import WatchReport
from asd_core.reports.course_report import Method, Reproduction
from asd_core.reports.course_tables import as_text, training_time_text
from asd_core.reports.published import Published
from asd_core.tasks.evaluate import Compared, Evaluation, MadeFrom

EVALUATION = Evaluation(
    model=Path("m"),
    version="v1",
    detector="a",
    title="Detector A",
    encoder=None,
    simulated=True,
    data_simulated=False,
    threshold_per_id=False,
    normalised_per_id=False,
    repooled=None,
    n_excluded=3,
    refused=(),
    warnings=(),
    summary=SUMMARY,
    calibration=CALIBRATION,
    made_from=MadeFrom("v1", "", "", "test", ("00", "02"), None, None, 0, 2000, {}),
)


@pytest.fixture
def evaluation(capsys):
    """What `evaluate` prints of made-up figures."""
    judging._print_evaluation(EVALUATION)
    return capsys.readouterr().out


def test_evaluate_prints_how_many_clips_of_which_label_and_how_many_left_out(evaluation):
    line = line_with(evaluation, "test clips")
    assert (before(line, "normal"), before(line, "anomalous"), before(line, "left out")) == ("40", "10", "3")
    assert line_with(evaluation, "Detector A") == "Detector A (trained on simulated sound)"


def test_evaluate_prints_each_area_with_its_own_interval(evaluation):
    assert figures(line_with(evaluation, "AUC", "pooled")) == ["0.911", "0.811", "0.971"]
    assert figures(line_with(evaluation, " AUC", "mean over ids")) == ["0.872", "0.772", "0.932"]
    assert figures(line_with(evaluation, "pAUC", "mean over ids")) == ["0.653", "0.553", "0.753"]


def test_evaluate_prints_each_ids_areas_and_counts(evaluation):
    line = line_with(evaluation, "id 02")
    assert (after(line, " AUC"), after(line, "pAUC")) == ("0.795", "0.585")
    assert (before(line, "normal"), before(line, "anomalous")) == ("15", "4")


def test_evaluate_prints_the_observed_rate_beside_the_promised_one(evaluation):
    line = line_with(evaluation, "promised")
    assert (after(line, "threshold"), after(line, "promised"), after(line, "observed")) == ("0.01235", "0.100", "0.200")
    assert figures(line)[-2:] == ["0.105", "0.348"]
    assert "test labels" not in line


def test_evaluate_prints_what_is_promised_on_which_condition_and_what_that_rests_on(evaluation):
    line = line_with(evaluation, "promise:")
    assert figures(line) == ["10", "13"]
    assert "for new recordings of the same machine, microphone and place" in line


def test_an_evaluation_keeps_what_its_promise_rests_on():
    kept = {"how": "cross_fit", "folds": 5, "n_recordings": 13, "recordings_from": "found"}
    assert EVALUATION.to_json()["calibration"] == kept
    old = replace(EVALUATION, calibration=CalibrationSummary(n=36))
    assert old.to_json()["calibration"] == dict.fromkeys(kept)


def test_evaluate_prints_the_four_counts_and_each_classs_figures(evaluation):
    line = line_with(evaluation, "tn ")
    assert {name: after(line, f"{name} ") for name in ("tn", "fp", "fn", "tp")} == {
        "tn": "32",
        "fp": "8",
        "fn": "3",
        "tp": "7",
    }
    for label, expected in (("normal", ["0.91", "0.80", "0.85"]), ("anomalous", ["0.47", "0.70", "0.56"])):
        line = line_with(evaluation, f"{label}: precision")
        assert [after(line, key) for key in ("precision", "recall", "f1")] == expected
        assert before(line, "clips") == ("40" if label == "normal" else "10")


def test_evaluate_prints_f1_on_the_clips_of_the_choice_and_on_others(evaluation):
    line = line_with(evaluation, "F1")
    assert (after(line, "F1"), before(line, "on others")) == ("0.816", "0.617")


def test_evaluate_prints_a_difference_with_its_sign_interval_and_chance(capsys):
    gap = Difference(Interval(-0.081, 0.003, -0.042), 0.071, Interval(0.011, 0.025, 0.018), 0.023)
    judging._print_evaluation(replace(EVALUATION, imported=Compared("theirs", SUMMARY, gap)))
    out = capsys.readouterr().out
    assert figures(line_with(out, "minus", "mean over ids")) == ["-0.042", "-0.081", "+0.003", "0.071"]
    assert figures(line_with(out, "minus", "pooled")) == ["+0.018", "+0.011", "+0.025", "0.023"]


def test_evaluate_prints_why_a_figure_has_no_interval(capsys):
    certain = Interval.undefined(1.0, no_spread(3, 4))
    summary = replace(SUMMARY, ranking=replace(SUMMARY.ranking, auc_mean=certain))
    gap = Difference(Interval.undefined(0.0, no_spread(3, 4)), 1.0, Interval(0.011, 0.025, 0.018), 0.023)
    judging._print_evaluation(replace(EVALUATION, summary=summary, imported=Compared("theirs", SUMMARY, gap)))
    lines = [line for line in capsys.readouterr().out.splitlines() if "no spread" in line]
    assert lines[0].endswith("1.000, interval not defined (no spread among 3 + 4 clips)")
    assert "+0.000, interval not defined (no spread among 3 + 4 clips), DeLong p 1" in lines[1]


def test_the_watch_ends_with_what_it_scored_refused_raised_and_cleared(tmp_path, monkeypatch, capsys):
    report = WatchReport(tmp_path, tmp_path / "t.csv", tmp_path, "A", True, AlarmRule())
    report.n_judged, report.n_raised, report.n_cleared = 25, 4, 3
    report.refused = [{"path": "x.wav", "reason": "damaged"}] * 6
    monkeypatch.setattr("asd_core.monitoring.watch.watch", lambda *_, **__: report)
    assert main(["watch", str(tmp_path), "--model", str(tmp_path)]) == 0
    line = line_with(capsys.readouterr().err, "scored")
    counts = [before(line, word) for word in ("scored", "refused", "raised", "cleared")]
    assert counts == ["25", "6", "4", "3"]
    assert line.endswith("(trained on simulated sound)")


def test_an_epoch_prints_its_number_losses_and_times(capsys):
    progress = Progress(epoch=3, epochs=50, loss=0.0021, heldout_loss=0.0034, elapsed_s=12.3, eta_s=190.0)
    training._print_epoch(progress)
    line = capsys.readouterr().err
    assert figures(line)[:2] == ["3", "50"]
    assert (after(line, "loss"), after(line, "held-out")) == ("0.002100", "0.003400")
    assert (before(line, " s,"), before(line, " s left")) == ("12.3", "190")


def test_how_long_all_epochs_take_is_printed_before_the_first(capsys):
    training._print_epoch(Progress(epoch=0, epochs=50, loss=None, heldout_loss=None, elapsed_s=0.0, eta_s=133.4))
    assert capsys.readouterr().err == "50 epochs, about 2 min 13 s\n"


def test_training_ends_with_counts_of_fitted_and_held_out_clips_time_and_threshold(tmp_path, monkeypatch, capsys):
    report = {"title": "A", "n_train": 96, "n_heldout": 24, "seconds": 7.26, "threshold": {"value": 0.004321}}
    report |= {"refused": [], "simulated": True, "data_simulated": True, "model": "m", "device": "cpu"}
    manifest = SimpleNamespace(calibration=CALIBRATION, threshold=THRESHOLD, promise="")
    understood = {"labels": (LabelRow("folder ok", "normal", "train", 120, 13),), "skipped": Skipped()}
    artifact = SimpleNamespace(manifest=manifest)
    result = SimpleNamespace(to_json=lambda: report, warnings=(), artifact=artifact, **understood)
    monkeypatch.setattr("asd_core.tasks.train.train", lambda *_, **__: result)
    assert main(["train", "lstm_predictor", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().err
    assert line_with(printed, "folder ok").split() == ["folder", "ok", "normal", "train", "120", "13"]
    assert "skipped" not in printed
    line = line_with(printed, "fitted")
    assert (before(line, "clips fitted"), before(line, "scored by fits without them")) == ("96", "24")
    assert ", 7.3 s" in line
    assert line.endswith("(trained on simulated sound; simulated data)")
    assert after(line_with(printed, "threshold"), "threshold") == "0.01235"


def test_a_sweep_prints_its_shares_in_the_order_of_its_heading(capsys):
    cell = {"nu": 0.05, "gamma": "scale", "support_share": 0.21, "heldout_outside": 0.32, "heldout_fpr": 0.13}
    cell["test"] = {"auc_mean": 0.94, "observed_fpr": 0.15}
    counts = {"n_train": 96, "n_heldout": 24, "n_test": 20}
    marks = {"simulated": True, "data_simulated": True}
    training._print_sweep({"title": "A", **marks, **counts, "cells": [cell], "warnings": []})
    printed = capsys.readouterr().out
    line = line_with(printed, "fitted")
    assert [before(line, word) for word in ("clips fitted", "held out", "test")] == ["96", "24", "20"]
    heading = line_with(printed, "shares")
    words = ("support vectors", "held-out outside", "held-out alarms", "AUC", "alarms")
    places = [heading.index(word) for word in words[:4]] + [heading.rindex(words[4])]
    assert places == sorted(places)
    assert figures(line_with(printed, "nu 0.05")) == ["0.05", "0.210", "0.320", "0.130", "0.940", "0.150"]


def test_the_dcase_evaluation_prints_auc_and_pauc_of_each_id_and_their_means(monkeypatch, capsys):
    machine = {"per_id": {"00": {"auc": 0.91234, "pauc": 0.71234}}, "auc_mean": 0.81, "pauc_mean": 0.61}
    found = {"machines": {"slider": {**machine, "partial": True}}, "warnings": []}
    monkeypatch.setattr("asd_core.evaluation.dcase.evaluate_folder", lambda *_: found)
    dcase_files._evaluate(Namespace(dir=Path(), truth=Path()))
    printed = capsys.readouterr().out
    line = line_with(printed, "id 00")
    assert (after(line, " AUC"), after(line, "pAUC")) == ("0.9123", "0.7123")
    line = line_with(printed, "mean")
    assert (after(line, " AUC"), after(line, "pAUC")) == ("0.8100", "0.6100")


def test_an_index_prints_expected_before_found_and_marks_what_differs(capsys):
    rows = [CountRow("00", "train", "normal", 968, 968), CountRow("02", "test", "anomaly", 267, 12)]
    bench_files._print_expected("slider", rows)
    printed = capsys.readouterr().out
    head = line_with(printed, "publishes")
    assert head.index("expected") < head.index("found")
    assert figures(head)[-2:] == ["1235", "980"]
    assert figures(line_with(printed, "differs")) == ["02", "267", "12"]


def test_a_download_prints_found_clips_of_those_expected_and_sizes_in_megabytes(capsys):
    row = SimpleNamespace(machine_id="00", split="train", label="normal", expected=968, found=9)
    report = SimpleNamespace(files=[], counts={"slider": [row]}, warnings=(), folder=Path("x"))
    bench_files._print_download(report)
    assert figures(line_with(capsys.readouterr().out, "id 00")) == ["00", "9", "968"]
    step = SimpleNamespace(stage="download", name="dev_data_slider.zip", done=0, total=1_234_500_000)
    bench_files._Announcer()(step)
    assert "1234.5 MB" in capsys.readouterr().err


def test_an_index_prints_counts_by_id_split_and_label(monkeypatch, capsys):
    report = IndexReport(
        machine="pump",
        data_set="pump",
        simulated=False,
        layout="dcase2020",
        channel=None,
        n_clips=35,
        counts={"04": {"test": {"normal": 7, "anomalous": 5}}},
        labels=(
            LabelRow("folder good", "normal", "train", 23, 13),
            LabelRow("folder test/squeal", "anomalous", "test", 12, None),
        ),
        kinds=(),
        skipped=Skipped.of([(".txt", "b.txt"), ("hidden", ".x"), (".txt", "a.txt")]),
        domains={"source": 11},
        expected=(),
        recordings=RecordingCount(13, "found"),
        duplicates=(("a.wav", "b.wav"),),
        refused=(),
        warnings=(),
    )
    monkeypatch.setattr("asd_core.data.data_set.describe_index", lambda _: report)
    monkeypatch.setattr("asd_core.data.data_set.open_data_set", lambda *_, **__: None)
    bench_files._index(
        Namespace(
            data=Path(),
            machine=None,
            ids=None,
            normal=[],
            labels=None,
            ids_from=None,
            recording_by=None,
            segment=None,
            hop=None,
            lossy=False,
        )
    )
    printed, said = capsys.readouterr()
    assert line_with(printed, "folder good").split() == ["folder", "good", "normal", "train", "23", "13"]
    assert line_with(printed, "squeal").split() == ["folder", "test/squeal", "anomalous", "test", "12", "not", "known"]
    assert "3 skipped: 2 .txt (a.txt, b.txt), 1 hidden (.x)" in said
    assert "  recordings: 13, found in the sound" in printed
    assert "(nearly) the same sound: a.wav, b.wav" in printed
    line = line_with(printed, "id 04")
    assert (before(line, "normal"), before(line, "anomalous")) == ("7", "5")
    assert before(line_with(printed, "layout"), "clips") == "35"
    assert before(line_with(printed, "domains"), "source") == "11"
    assert figures(line_with(printed, "recordings:")) == ["13"]
    assert line_with(printed, "same sound").split(": ")[1] == "a.wav, b.wav"


def test_warnings_beyond_twenty_are_counted_and_refused_clips_all_listed(capsys):
    outcome.show_warnings([f"w{number}" for number in range(23)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert before(lines[-1], "more") == "3"
    assert outcome.refusals([{"path": "a.wav", "reason": "no sound"}]) == 3
    assert line_with(capsys.readouterr().err, "a.wav", "no sound")
    assert outcome.refusals([]) == 0


def test_verify_vggish_prints_mean_and_deviation(monkeypatch, capsys):
    check = SimpleNamespace(genuine=False, shape=(1, 128), mean=0.107123, std=0.56789)
    found = SimpleNamespace(check=check, identity=SimpleNamespace(title="t", digest="d"))
    monkeypatch.setattr("asd_core.features.encoders.vggish.Vggish", lambda _: found)
    assert checking._verify_vggish(Namespace(folder=None)).code == 2
    line = capsys.readouterr().out
    assert "not" in line
    assert (after(line, "mean"), after(line, "std")) == ("0.107123", "0.5679")


def test_doctor_marks_what_is_required_and_missing_and_what_is_only_missing(monkeypatch, capsys):
    found = [
        doctor.Check("aaa", True, True, ""),
        doctor.Check("bbb", False, True, ""),
        doctor.Check("ccc", False, False, ""),
    ]
    monkeypatch.setattr("asd_core.cli.doctor.checks", lambda: found)
    assert checking._doctor(Namespace()).code == 1
    printed = capsys.readouterr().out
    marks = [line_with(printed, name).split()[0] for name in ("aaa", "bbb", "ccc")]
    assert marks == ["ok", "FAIL", "no"]
    monkeypatch.setattr("asd_core.cli.doctor.checks", lambda: found[::2])
    assert checking._doctor(Namespace()).code == 0


def test_doctor_says_how_much_room_is_free_and_wants_two_gibibytes(monkeypatch):
    def check(free):
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free, total=9**20))
        return doctor._data_dir()

    assert before(check(5 * 2**30).detail, "GiB free") == "5.0"
    assert check(2 * 2**30 + 1).ok
    assert not check(2 * 2**30 - 1).ok


def test_doctor_says_how_much_of_the_feature_cache_is_used(monkeypatch):
    cache = SimpleNamespace(n_bytes=lambda: 3 * 2**20, max_bytes=512 * 2**20, folder="/cache")
    monkeypatch.setattr("asd_core.cli.doctor.feature_cache.opened", lambda: cache)
    assert figures(doctor._feature_cache().detail)[:2] == ["3.0", "512"]


def test_doctor_takes_a_package_at_its_oldest_version_and_none_older(monkeypatch):
    for found, ok in (("2.10.0", True), ("2.11.1+cpu", True), ("2.9.1", False), ("10.0", True)):
        monkeypatch.setattr("asd_core.cli.doctor.version", lambda _, found=found: found)
        assert doctor._version("torch", doctor._FLOORS["torch"]).ok is ok


@pytest.mark.parametrize(("n_refused", "code"), [(0, 0), (2, 3)])
def test_scores_of_parts_end_with_3_when_a_clip_was_refused(monkeypatch, n_refused, code):
    report = {"n_refused": n_refused, "warnings": [], "parts": []}
    monkeypatch.setattr("asd_core.tasks.score_many.score_to", lambda *_, **__: report)
    unset = dict.fromkeys(("cluster", "vggish", "part_size", "csv", "channel"))
    asked = Namespace(paths=[], model=[], to=Path("x"), workers=1, excel=PLAIN, **unset)
    assert scoring._score_to(asked).code == code


# The reproduction


PUBLISHED = Published("Table 7", 0.9406, 0.001688, (0.111, 0.888), (0.76, 0.90, 0.82), (0.96, 0.89, 0.92))
METHOD = Method(
    title="LSTM",
    detector="lstm_predictor",
    version="v1",
    simulated=True,
    n_fitted=379,
    n_heldout=95,
    training_seconds=75.0,
    full_seconds_extrapolated=375.0,
    heldout_loss=None,
    report=PUBLISHED,
    with_test_labels=Summary(RANKING, Decisions(replace(THRESHOLD, value=0.002222, uses_test_labels=True), CONFUSION)),
    without_test_labels=Summary(RANKING, Decisions(replace(THRESHOLD, value=0.003333), None)),
)


def test_a_reproduction_prints_the_reports_figures_before_ours():
    text = as_text(Reproduction("paper", ("00",), True, 474, (METHOD,), (), 80.0, Path("report.html"), {}))
    line = line_with(text, "AUC pooled")
    assert "LSTM (trained on simulated sound): trained in" in text
    assert "simulated data" in text.splitlines()[0]
    assert (after(line, "report"), after(line, "here")) == ("0.9406", "0.911")
    assert figures(line_with(text, "AUC mean     here"))[:3] == ["0.872", "0.772", "0.932"]
    line = line_with(text, "uses test labels")
    assert (after(line, "report"), after(line, "here")) == ("0.001688", "0.002222")
    assert "0.003333" in line_with(text, "threshold, conformal")
    assert figures(line_with(text, "false alarms", "found"))[:8] == [
        "11.1",
        "20.0",
        "8",
        "40",
        "88.8",
        "70.0",
        "7",
        "10",
    ]
    line = line_with(text, "anomalous P/R/F1")
    theirs, ours, at_mix = line.split("report")[1], line.split("here")[1].split(";")[0], line.split("mix")[1]
    assert figures(theirs)[:3] == ["0.96", "0.89", "0.92"]
    assert figures(ours) == ["46.7", "70.0", "56.0"]
    assert figures(at_mix) == ["90.3", "70.0", "78.9"]


def test_a_reproduction_says_how_long_it_trained_on_how_many_clips_and_what_all_would_take():
    assert figures(training_time_text(METHOD)) == ["1", "15", "379", "1895", "6", "15"]
    assert figures(training_time_text(replace(METHOD, full_seconds_extrapolated=None))) == ["1", "15", "379"]
