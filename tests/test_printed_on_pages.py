"""Sentences, tables and metrics of the pages hold the right figures: every figure has a value of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import CALIBRATION, SUMMARY
from printed import after, before, drawn, figures, line_with, metrics_of, text_of
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.data.dcase2020.published import CountRow
from asd_core.data.folder_rules import NO_RULES
from asd_core.data.survey import Group, Survey
from asd_core.detectors.contract import Progress
from asd_core.detectors.what_if import Judgements
from asd_core.errors import AudioError
from asd_core.evaluation.comparison import Difference, alarms
from asd_core.evaluation.label_rules import DecisionFigures, Optimism
from asd_core.evaluation.localisation import LocalisationSummary
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import Threshold
from asd_core.evaluation.uncertainty import Interval, difference_text, no_spread
from asd_core.formats import size_text
from asd_core.jobs.table import Job, Status
from asd_core.monitoring.rows import WatchRow
from asd_core.tasks.compare import Method, join
from asd_core.tasks.score import ScoreRow
from asd_core.types import AnomalyMap
from pages.parts.check import batch, verdicts, what_if
from pages.parts.compare import clips as compare_clips
from pages.parts.compare import failures as compare_failures
from pages.parts.compare import figures as compare_figures
from pages.parts.compare import maps as compare_maps
from pages.parts.compare import methods as compare_methods
from pages.parts.data import report as data_report
from pages.parts.explore import pictures as explore_pictures
from pages.parts.learn import pooling as learn_pooling
from pages.parts.learn import quiz as learn_quiz
from pages.parts.learn import svm as learn_svm
from pages.parts.monitor import replay as monitor_replay
from pages.parts.monitor import view as monitor_view
from pages.parts.overview import cards as overview_cards
from pages.parts.threshold import linked_numbers, operating_point
from pages.parts.threshold import views as threshold_views
from pages.parts.train import live as train_live
from pages.parts.train import result as train_result
from pages.parts.train import runs as train_runs
from pages.parts.train import sweep as train_sweep
from pages.shared import cards, listening
from pages.shared.cache import Heard, KeptScores
from pages.shared.context import Chosen
from pages.shared.refusals import refused_files

SVM = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
CONFORMAL = Threshold(0.5, "conformal", False, 0.1, 31)


def clips(scores: dict[str, list[float]], *, split: str = "test") -> tuple[ScoredClip, ...]:
    """Clips of each label with these scores; the first half of a label's is of id 00, the other of id 02."""
    return tuple(
        ScoredClip(f"{label}{row}.wav", ("00", "02")[2 * row // len(own)], split, label, "", f"{label} {row}", score)
        for label, own in scores.items()
        for row, score in enumerate(own)
    )


def interval(value: float) -> Interval:
    return Interval(value - 0.02, value + 0.01, value)


# Cards and the operating point


def test_a_detectors_card_shows_each_area_with_its_interval_and_the_clips_behind_it(monkeypatch):
    artifact = open_artifact(SVM)
    monkeypatch.setattr(overview_cards, "summary", lambda _: SUMMARY)
    app = drawn(lambda: overview_cards.detector_cards([artifact]))
    assert list(metrics_of(app).values()) == ["0.872"]
    text = text_of(app)
    assert figures(line_with(text, "interval"))[1:] == ["0.772", "0.932"]
    assert figures(line_with(text, "all ids pooled")) == ["0.911", "0.811", "0.971"]
    assert figures(line_with(text, "Partial AUC"))[1:] == ["0.653", "0.553", "0.753"]
    line = line_with(text, "Judged on")
    assert (before(line, "normal and"), before(line, "anomalous")) == ("40", "10")
    assert before(line, "normal clips, ids") == str(len(artifact.manifest.data.fitted_digests))
    assert line_with(text, "Threshold **").count(f"{artifact.threshold.value:.4g}") == 1


def test_a_thresholds_origin_tells_its_clips_and_its_promise():
    assert before(cards.threshold_origin(CONFORMAL, CALIBRATION), "normal clips, each scored by a fit") == "31"
    text = cards.promise_text(CONFORMAL, CALIBRATION)
    assert (after(text, "At most"), before(text, "recordings.")) == ("10", "13")
    labelled = replace(CONFORMAL, rule="youden", uses_test_labels=True)
    assert "optimistic" in cards.threshold_origin(labelled, CALIBRATION)


@pytest.fixture
def point():
    """A threshold of 0.5 on 5 normal clips, 1 of them an alarm, and 4 anomalous ones, 3 of them found."""
    scores = KeptScores(clips({"normal": [0.1, 0.6, 0.2, 0.3, 0.4], "anomalous": [0.9, 0.8, 0.3, 0.7]}))
    artifact = SimpleNamespace(folder=Path("a"), digest="a", title="A", detector_name="vggish_ocsvm", scores=scores)
    artifact.manifest = SimpleNamespace(calibration=CALIBRATION)
    return operating_point.OperatingPoint(artifact, scores, CONFORMAL, np.full(len(scores.clips), 0.5))


def test_the_promise_stands_beside_what_is_observed_among_normal_clips(point):
    text = text_of(drawn(lambda: operating_point.promise_line(point)))
    assert (after(text, "Promise"), after(text, "rests on"), after(text, "Observed")) == ("10", "13", "20.0")
    assert figures(text.split("Observed")[1]) == ["20.0", "1", "5", "95", "3.6", "62.4"]  # Wilson of 1 in 5


def test_each_id_has_its_own_area_false_alarms_and_faults_found(point):
    table = drawn(lambda: threshold_views._per_id_table(point)).table[0].value
    assert [figures(cell) for cell in table["False-alarm rate"]] == [["33.3", "1", "3"], ["0.0", "0", "2"]]
    assert [figures(cell) for cell in table["Detection rate"]] == [["100.0", "2", "2"], ["50.0", "1", "2"]]
    assert table["Threshold"].tolist() == ["0.5", "0.5"]
    assert table["AUC"].tolist() == ["1.000", "0.625"]  # id 02: 0.7 above both, 0.3 a tie with one and below the other


@pytest.mark.parametrize("prior", [0.1, 50.0])
def test_the_share_of_faults_to_expect_is_asked_for_in_percent(monkeypatch, point, prior):
    session = SimpleNamespace(session_state={"rule": "cost", "prior": prior})
    for module in (operating_point, linked_numbers):
        monkeypatch.setattr(module, "st", session)
    found = operating_point._chosen_threshold(SimpleNamespace(threshold=CONFORMAL), point.scores)
    assert found.rule == "cost"
    assert found.prior == pytest.approx(prior / 100, rel=1e-12)


def test_optimism_is_told_as_honest_instead_of_naive(monkeypatch, point):
    naive, honest = DecisionFigures(0.052, 0.93, 0.816, 0.9), DecisionFigures(0.134, 0.84, 0.617, 0.8)
    monkeypatch.setattr(threshold_views, "optimism", lambda *_, **__: Optimism(naive, honest, 200))
    labelled = replace(point, origin=replace(CONFORMAL, uses_test_labels=True, rule="youden"))
    text = text_of(drawn(lambda: threshold_views.optimism_line(labelled)))
    assert figures(text.split("times")[1].split("F1")[0]) == ["13.4", "5.2", "84.0", "93.0"]
    assert figures(text.split("F1")[1]) == ["0.617", "0.816"]


# One clip


@pytest.fixture
def heard():
    """A score of 0.9 and a map that is highest at 0.64 s in the band of 2,100 Hz."""
    values = np.zeros((3, 2))
    values[2, 1] = 1.0
    return Heard(0.9, AnomalyMap(values, np.array([0.0, 0.32, 0.64]), np.array([150.0, 2100.0])), ())


def with_scores(*normal: float, threshold: float = 0.5, encoder_id: str | None = None) -> SimpleNamespace:
    """A detector with these scores of held-out normal clips."""
    scores = Scores(clips({"normal": list(normal)}, split="heldout"))
    return SimpleNamespace(
        scores=scores,
        threshold=replace(CONFORMAL, value=threshold),
        encoder_id=encoder_id,
        detector_name="vggish_ocsvm",
        title="A",
        simulated=False,
        folder=Path("a"),
        manifest=SimpleNamespace(calibration=CALIBRATION),
    )


def test_a_score_is_placed_among_the_held_out_normal_clips(heard):
    assert figures(verdicts._among_normal(with_scores(0.1, 0.2, 0.3, 0.95), heard)) == ["3", "4"]
    assert not figures(verdicts._among_normal(with_scores(), heard))


def test_an_error_is_so_many_times_its_threshold_and_a_decision_value_is_not(heard):
    assert figures(verdicts._times(with_scores(threshold=0.5), heard)) == ["1.80"]
    assert verdicts._times(with_scores(threshold=0.5, encoder_id="logmel_stats"), heard) == ""


def test_the_highest_place_of_a_map_is_told_in_seconds_and_kilohertz(heard):
    assert figures(listening.loudest_text(heard)) == ["0.64", "2.1"]
    assert "kHz" in listening.loudest_text(heard)
    heard.anomaly_map.values[2, 0] = 2.0
    assert figures(listening.loudest_text(heard)) == ["0.64", "150"]
    assert "kHz" not in listening.loudest_text(heard)


def test_a_verdict_follows_the_threshold_and_shows_both_numbers(heard):
    for threshold, word in ((0.5, "anomalous"), (0.9, "anomalous"), (0.95, "normal")):
        artifact = with_scores(0.1, 0.2, threshold=threshold)
        text = text_of(drawn(lambda artifact=artifact: verdicts.verdict_cards({"a": artifact}, {"a": heard})))
        assert f"{word}]" in line_with(text, "badge")
        line = line_with(text, "Score")
        assert (after(line, "Score"), after(line, ", threshold")) == ("0.9", f"{threshold:g}")
        shown = metrics_of(drawn(lambda artifact=artifact: learn_pooling.verdict(artifact, 0.9, "Score")))
        assert shown == {"Score": "0.9", "Threshold": f"{threshold:g}", "Verdict": word}


def test_the_strangest_number_of_a_clip_is_named_by_its_place_and_distance():
    raw, rows = np.arange(12.0).reshape(3, 4), np.zeros((3, 4))
    rows[1, 2] = -4.25
    artifact = SimpleNamespace(encoder_title="E", encoder_id="logmel_stats")
    text = text_of(drawn(lambda: learn_svm._numbers(artifact, raw, rows)))
    line = line_with(text, "standard deviations")
    assert (after(line, "number"), after(line, "patch")) == ("3", "2")
    assert before(line, "standard deviations") in ("4.2", "4.3")
    assert before(line_with(text, "frequency bands"), "frequency bands") == "2"


def test_what_if_shows_scores_before_and_after_and_whether_the_verdict_stays():
    table = what_if._verdicts({"a": with_scores()}, {"a": 0.4}, {"a": 0.6})
    assert figures(table["Score"][0]) == ["0.4", "0.6"]
    assert table["Verdict"][0].index("normal") < table["Verdict"][0].index("anomalous")
    assert "unchanged" in what_if._verdicts({"a": with_scores()}, {"a": 0.4}, {"a": 0.3})["Verdict"][0]


def test_what_if_counts_false_alarms_among_normal_and_finds_among_anomalous_clips():
    labels = np.array([False] * 5 + [True] * 4)
    before_, changed = np.array([0.1] * 4 + [0.9] * 2 + [0.2] * 3), np.array([0.9] * 3 + [0.1] * 2 + [0.9] * 3 + [0.1])
    found = Judgements(labels, before_, changed)
    table = drawn(lambda: what_if._before_and_after(with_scores(), found)).table[0].value
    assert [figures(cell)[1:] for cell in table["False alarms"]] == [["1", "5"], ["3", "5"]]
    assert [figures(cell)[1:] for cell in table["Faults found"]] == [["1", "4"], ["3", "4"]]


def test_a_batch_shows_each_clip_the_verdict_and_score_of_its_own_row():
    def row(path, status, score, verdict):
        return ScoreRow(path, "svm", "", status, "", score, 0.5, verdict, True)

    rows = [row("x", "refused", None, ""), row("y", "ok", 0.25, "normal"), row("z", "warning", 0.75, "anomalous")]
    uploads = [SimpleNamespace(name="y"), SimpleNamespace(name="z")]
    rows = [replace(row, model="vggish_ocsvm") for row in rows]
    table, order = batch.batch_table(uploads, rows, {"vggish_ocsvm": with_scores(0.1, 0.2, 0.3, threshold=0.5)})
    assert order == [1, 0]
    assert table["File"].tolist() == ["z", "y"]
    assert table["Anomalous"].tolist() == ["1 of 1", "0 of 1"]
    assert table["SVM says"].tolist() == ["anomalous", "normal"]
    assert table["SVM"].tolist() == table["Mean"].tolist() == pytest.approx([0.5 + 0.5 * 25 / 55, 0.5 - 0.5 * 25 / 55])


# Comparing


@pytest.fixture
def judged():
    """Two methods with their thresholds.

    By their alarms: both, only the first, only the second, neither on 1, 2, 3, 4 normal and on 5, 4, 1, 2 anomalous
    clips.
    """
    first = {"normal": [0.9] * 1 + [0.8] * 2 + [0.1] * 7, "anomalous": [0.9] * 5 + [0.8] * 4 + [0.2] * 3}
    second = {
        "normal": [7.0] * 1 + [2.0] * 2 + [6.0] * 3 + [1.0] * 4,
        "anomalous": [8.0] * 5 + [3.0] * 4 + [9.0] + [1.0] * 2,
    }
    methods = [Method(name, name, Scores(clips(own)), Scores(())) for name, own in (("A", first), ("B", second))]
    comparison = join(methods)
    thresholds = (CONFORMAL, replace(CONFORMAL, value=5.0))
    looks = (compare_methods.Look("red", "solid"), compare_methods.Look("blue", "dash"))
    given = alarms(comparison.anomaly_scores, thresholds)
    return compare_methods.Judged(comparison, "conformal", ("A", "B"), looks, thresholds, given)


def test_the_table_of_two_verdicts_counts_normal_and_anomalous_clips(judged):
    table = drawn(lambda: compare_clips._quadrant_table(judged, 0, 1)).dataframe[0].value
    assert table["Normal clips"].tolist() == [1, 2, 3, 4]
    assert table["Anomalous clips"].tolist() == [5, 4, 1, 2]
    assert [words[-1] for words in table["Verdicts"][1:3]] == ["A", "B"]


def test_disagreements_are_a_share_of_the_common_clips(judged, monkeypatch):
    monkeypatch.setattr(compare_clips, "clip_list", lambda *_, **__: None)
    app = drawn(lambda: compare_clips.disagreement_view(None, judged), differ_table=True)
    assert figures(line_with(text_of(app), "differ")) == ["45.5", "10", "22", "10"]
    first = app.dataframe[0].value.iloc[0]
    assert ("anomalous" in first["A"], "anomalous" in first["B"]) == (True, False)


def test_a_clips_verdicts_are_right_or_wrong_by_its_label(judged):
    table = compare_clips._verdict_table(judged, 1)  # a normal clip with an alarm by the first method alone
    assert table["Anomaly score"].tolist() == ["0.8", "2"]
    assert table["Threshold"].tolist() == ["0.5", "5"]
    assert [("anomalous" in words, "right" in words) for words in table["Verdict"]] == [(True, False), (False, True)]


def test_failures_are_misses_of_anomalous_and_alarms_of_normal_clips(judged, monkeypatch):
    monkeypatch.setattr(compare_failures, "clip_list", lambda *_, **__: None)
    app = drawn(lambda: compare_failures.failures_view(Chosen("mine", "pump", {}), judged))
    (table,) = [
        json.loads(each.proto.json) for each in app.get("bidi_component") if each.proto.id.endswith("-failures")
    ]
    assert [section["title"].split(",")[0] for section in table["sections"]] == ["Missed faults", "False alarms"]
    missed, alarmed = (
        [(group["name"], *((cell["k"], cell["n"]) for cell in group["cells"])) for group in section["groups"]]
        for section in table["sections"]
    )
    assert missed == [("id 00", (0, 6), (1, 6)), ("id 02", (3, 6), (5, 6))]
    assert alarmed == [("id 00", (3, 5), (3, 5)), ("id 02", (0, 5), (1, 5))]
    assert table["pressed"] == "missed_id:id 02:B"
    assert figures(line_with(text_of(app), "misses")) == ["5", "6", "02"]


def test_a_methods_row_holds_what_it_decides_with_intervals(judged):
    shown, plain = {}, {}
    compare_figures._add_decisions(judged, 0, shown, plain)
    assert figures(shown["False-alarm rate"]) == ["30.0", "3", "10", "10.8", "60.3"]  # Wilson of 3 in 10
    assert figures(shown["Detection rate"])[:3] == ["75.0", "9", "12"]
    assert shown["Threshold"] == "0.5"
    assert figures(shown["F1 of the anomalous class"])[0] == "0.750"  # 2 * 9 / (2 * 9 + 3 + 3)
    assert {key: plain[key] for key in ("false_alarms", "false_alarms_of", "found", "found_of", "threshold")} == {
        "false_alarms": 3,
        "false_alarms_of": 10,
        "found": 9,
        "found_of": 12,
        "threshold": 0.5,
    }


def test_a_methods_costs_have_their_units(monkeypatch):
    monkeypatch.setattr(compare_figures, "_bytes_on_disk", lambda *_: 1_234_567)
    artifact = SimpleNamespace(manifest=SimpleNamespace(training=SimpleNamespace(seconds=75.0)), encoder_title=None)
    shown, plain = {}, {}
    compare_figures._add_costs(SimpleNamespace(artifact=artifact, repooled=None, key="k"), 0.0123, shown, plain)
    assert shown["Trained in"] == "1 min 15 s"
    assert shown["Size on disk"] == "1.2 MB"
    assert shown[compare_figures.TIMED] == "12 ms"
    assert (plain["trained_s"], plain["bytes_on_disk"], plain["seconds_per_clip_on_this_machine"]) == (
        75.0,
        1_234_567,
        0.0123,
    )


def test_a_difference_keeps_its_sign_and_a_small_chance_is_not_rounded_to_none():
    assert figures(difference_text(Interval(-0.081, 0.003, -0.042))) == ["-0.042", "-0.081", "+0.003"]
    assert figures(compare_figures.p_text(0.0314)) == ["0.031"]
    assert compare_figures.p_text(0.0004).startswith("<")
    assert not compare_figures.p_text(0.0014).startswith("<")


def test_a_pair_is_put_in_words_by_the_mean_over_ids_and_shows_the_pooled_difference_too(judged):
    gap = Difference(Interval(0.003, 0.081, 0.042), 0.012, Interval(-0.051, -0.013, -0.032), 0.0021)
    row = compare_figures._pair(judged, (0, 1), gap, 0.036)
    assert row["In words"].startswith(judged.titles[0])
    assert figures(row["AUC difference, mean over ids"]) == ["+0.042", "+0.003", "+0.081"]
    assert (row["p (DeLong)"], row["p, Holm"]) == ("0.012", "0.036")
    assert figures(row["AUC difference, pooled"]) == ["-0.032", "-0.051", "-0.013"]
    assert row["p, pooled"] == "0.002"
    assert "chance" in compare_figures._pair(judged, (0, 1), gap, 0.06)["In words"]


def test_a_card_says_why_its_figure_has_no_interval():
    assert overview_cards._interval(Interval(0.838, 0.947, 0.9)) == "0.838 to 0.947"
    assert overview_cards._interval(Interval.undefined(1.0, no_spread(3, 3))) == (
        "not defined (no spread among 3 + 3 clips)"
    )


def test_the_common_clips_are_counted_by_label_and_those_left_out(judged):
    comparison = replace(judged.comparison, n_own=(25, 31), n_contradicting=4)
    text = text_of(drawn(lambda: compare_methods.common_line(comparison)))
    assert (before(text, "test clips"), before(text, "normal"), before(text, "anomalous")) == ("22", "10", "12")
    assert figures(text)[3:] == ["25", "31", "4"]


def test_maps_are_rated_in_their_columns():
    summary = LocalisationSummary(
        17, 2, interval(0.61), interval(0.72), 16, interval(0.53), interval(0.84), 15, 0.094, 0.215
    )
    table = drawn(lambda: compare_maps._localisation_table({"A": {"knock": summary}})).dataframe[0].value.iloc[0]
    columns = ("Pixel AUC", "Time AUC", "Hits", "Hits by chance", "Hits within 64 ms")
    assert [figures(table[column])[0] for column in columns] == ["0.610", "0.720", "0.530", "0.094", "0.840"]
    assert figures(table["Clips (left out)"]) == ["17", "2"]


# Training


def test_a_run_took_the_time_from_its_beginning_to_its_end():
    status = Status("done", began_at="2026-01-31T12:00:00+00:00", ended_at="2026-01-31T12:03:20.400000+00:00")
    assert train_runs._took(Job(Path("20260131T115500000000Z-1a2b3c4d"), None, status)) == "3 min 20 s"
    assert not figures(train_runs._took(Job(Path("x"), None, replace(status, ended_at=None))))


def test_the_result_of_a_run_shows_its_areas_threshold_and_clips(monkeypatch):
    artifact = open_artifact(SVM)
    monkeypatch.setattr(train_result, "summary", lambda *_: SUMMARY)
    app = drawn(lambda: train_result.result_card(artifact, key="x"))
    rates = ["70.0 %", "20.0 %"]
    assert list(metrics_of(app).values()) == ["0.872", *rates, f"{artifact.threshold.value:.4g}"]
    assert [label.split()[0] for label in metrics_of(app)] == ["AUC,", "Detection", "False-alarm", "Threshold"]
    promise = cards.promise_text(artifact.threshold, artifact.manifest.calibration)
    assert line_with(text_of(app), "The threshold is").endswith(promise)
    line = line_with(text_of(app), "intervals")
    assert figures(line)[1:7] == ["0.872", "0.772", "0.932", "0.653", "0.553", "0.753"]
    assert (before(line, "normal and"), before(line, "anomalous")) == ("40", "10")


def test_a_running_training_tells_epochs_done_and_seconds_left():
    share, text = train_live._how_far([Progress(3, 12, 0.1, 0.2, 60.0, 190.0)], age_s=61.0)
    assert share == pytest.approx(0.25)
    assert figures(text) == ["3", "12", "3", "10"]  # 3 min 10 s are left
    share, text = train_live._how_far([Progress(12, 12, 0.1, 0.2, 240.0, 0.0)], age_s=250.0)
    assert (share, figures(text)) == (1.0, ["12", "4", "10"])


@pytest.mark.parametrize(
    ("figure", "value", "style"),
    [("heldout_fpr", 0.13, "%"), ("heldout_outside", 0.32, "%"), ("support_share", 0.21, "%"), ("auc_mean", 0.94, "f")],
)
def test_the_grid_of_nu_and_gamma_shows_the_figure_that_is_chosen(figure, value, style):
    cell = {"nu": 0.05, "gamma": 1e-4, "gamma_value": 1e-4}
    cell |= {"support_share": 0.21, "heldout_outside": 0.32, "heldout_fpr": 0.13, "test": {"auc_mean": 0.94}}
    chart = train_sweep._heat_map({"cells": [cell]}, figure).to_dict()
    ((row,),) = chart["datasets"].values()
    assert (row["nu"], float(row["gamma"]), row["value"]) == ("0.05", 1e-4, value)
    assert chart["layer"][1]["encoding"]["text"]["format"][-1] == style


def test_the_sweeps_caption_counts_fitted_held_out_and_test_clips():
    cell = {"nu": 0.05, "gamma": 1e-4, "gamma_value": 1e-4}
    cell |= {"support_share": 0.2, "heldout_outside": 0.3, "heldout_fpr": 0.1, "test": {"auc_mean": 0.9}}
    report = {"cells": [cell], "simulated": True, "n_train": 96, "n_heldout": 24, "n_test": 20}
    line = line_with(text_of(drawn(lambda: train_sweep._show(report))), "fitted")
    assert [before(line, word) for word in ("clips fitted", "held out", "test")] == ["96", "24", "20"]
    assert "Simulated" in line


# Data


def test_a_data_set_is_counted_by_what_its_clips_are_for(monkeypatch):
    n_clips = {("train", "normal"): 48, ("test", "normal"): 17, (None, "anomalous"): 13}

    def select(*, split=None, label=None):
        return [SimpleNamespace(rule=split)] * n_clips[split, label]

    index = SimpleNamespace(select=select, clips=[None] * 78, layout="dcase2020", channel=None)
    monkeypatch.setattr(data_report, "indexed", lambda *_: SimpleNamespace(index=index, simulated=None))
    for name in ("_published", "_names_and_times", "_clip_report", "label_table", "left_out", "_what_next"):
        monkeypatch.setattr(data_report, name, lambda *_, **__: None)
    known = SimpleNamespace(name="x", folder=PROJECT, uploaded=False, embedded=False, rules=NO_RULES)
    app = drawn(lambda: data_report.set_report(known, "slider", Chosen("x", "slider", {})))
    assert metrics_of(app) == {"Normal training clips": "48", "Normal test clips": "17", "Anomalous test clips": "13"}
    assert before(line_with(text_of(app), "layout"), "clips") == "78"


def test_published_counts_are_expected_before_found(monkeypatch):
    rows = [CountRow("00", "train", "normal", 968, 48), CountRow("02", "test", "normal", 100, 100)]
    monkeypatch.setattr(data_report, "expected_counts", lambda _: rows)
    app = drawn(lambda: data_report._published(None))
    text = line_with(text_of(app).replace(",", ""), "Expected")
    assert (after(text, "Expected"), after(text, "found")) == ("1068", "148")
    assert app.dataframe[0].value[["Expected", "Found"]].to_numpy().tolist() == [[968, 48], [100, 100]]


def test_lengths_and_levels_are_a_median_with_its_extremes():
    group = Group("00", "test", "normal", 7, length_s=(1.5, 2.25, 10.0), level_dbfs=(-31.25, -30.0, -12.5))
    table = drawn(lambda: data_report._groups([group])).dataframe[0].value.iloc[0]
    assert table["Clips"] == 7
    assert figures(table["Length (s)"]) == ["2.25", "1.50", "10.00"]
    assert figures(table["Level (dBFS)"]) == ["-30.0", "-31.2", "-12.5"]


def test_refused_and_equal_clips_and_warnings_are_counted():
    found = Survey(
        n_clips=20,
        groups=(),
        n_duplicates=4,
        duplicates=(("b.wav", "c.wav"),),
        n_refused=6,
        refused=(AudioError("empty", "the file is empty", cure="record again", name="x").entry("a.wav"),),
        warnings=("d.wav: silent: no sound",) * 3,
        channels=(),
    )
    app = drawn(lambda: (refused_files(found.refused, n=found.n_refused), data_report._faults(found, {})))
    assert before(line_with(text_of(app), "refused"), "files") == "6"
    assert "**a.wav** · Record again:\u2060 the file is empty" in text_of(app)
    line = line_with(text_of(app), "groups")
    assert (before(line, "groups"), before(line, "warnings")) == ("4", "3")
    rows = app.dataframe[0].value.to_numpy().tolist()
    assert rows[0] == ["same sound", "b.wav", "also c.wav"]
    assert rows[1] == ["warning", "d.wav", "No sound"]


def test_sizes_are_written_in_decimal_units():
    assert [size_text(n) for n in (12_000, 340_000_000, 1_240_000_000, 999_000)] == [
        "12 kB",
        "340 MB",
        "1.24 GB",
        "999 kB",
    ]


def test_a_spectrograms_window_and_step_are_told_in_samples_and_milliseconds():
    settings = explore_pictures.PictureSettings("mel", 1024, 256, "viridis", -80.0, 0.0)
    text = settings.text
    assert figures(text.split("window")[1])[:4] == ["1024", "64", "256", "16"]


# Watching


def row(number: int, verdict: str, *, alarm: bool = False, event: str = "", status: str = "ok") -> WatchRow:
    score = None if status == "refused" else number / 100
    time = f"2026-01-31T12:00:{number:02d}.000+00:00"
    return WatchRow(time, f"/{number}.wav", "m", status, "", score, 0.5, verdict, alarm, event)


def shown_rows(rows: list[WatchRow]) -> list[monitor_view.HeardClip]:
    return [monitor_view.HeardClip(each, f"clip {n}", n, str(n)) for n, each in enumerate(rows, start=1)]


def test_a_monitor_counts_clips_refusals_recent_anomalies_and_alarms():
    rows = [row(1, "anomalous"), row(2, "anomalous"), row(3, "anomalous", alarm=True, event="raised")]
    rows += [row(4, "", status="refused"), row(5, "", status="refused")]
    rows += [row(6, "normal", event="cleared"), *[row(number, "normal") for number in range(7, 13)]]
    rows += [row(13, "anomalous"), row(14, "anomalous", alarm=True, event="raised")]
    shown = shown_rows(rows)
    text = text_of(drawn(lambda: monitor_view.counts(rows, last="", is_cut=False)))
    assert (before(text, "clips heard"), before(text, "refused")) == ("14", "2")
    assert figures(line_with(text, "of the last")) == ["30.0", "3", "10", "10"]  # of the last ten that were judged
    assert before(text, "alarms raised") == "2"
    state = text_of(drawn(lambda: monitor_view._state(shown, is_cut=False)))
    assert "ALARM" in state
    assert after(line_with(state, "since"), "clip") == "14"
    state = text_of(drawn(lambda: monitor_view._state(shown[:8], is_cut=False)))
    assert "ALARM" not in state
    assert after(line_with(state, "cleared"), "clip") == "6"


def test_a_replay_says_how_many_clips_it_has_and_when_an_alarm_is_raised_and_cleared():
    given = clips({"normal": [0.1] * 9, "anomalous": [0.9] * 4})
    text = text_of(drawn(lambda: monitor_replay._say_what_it_is(with_scores(), given)))
    assert (before(text, "test clips"), before(text, "of a faulty")) == ("13", "4")
    assert (before(text, "anomalous of the last"), after(text, "of the last"), before(text, "or fewer")) == (
        "3",
        "5",
        "1",
    )


# The quiz


def test_the_quiz_tells_faults_found_and_false_alarms_apart():
    given = clips({"normal": [0.1] * 4, "anomalous": [0.9] * 2})
    guesses = [True, True, True, False, True, False]
    app = drawn(lambda: learn_quiz._result(given, guesses, {}))
    shown = {("detection" in label): figures(value) for label, value in metrics_of(app).items()}
    assert shown == {True: ["50.0", "1", "2"], False: ["75.0", "3", "4"]}
    assert app.dataframe[0].value["You"].tolist() == ["anomalous"] * 3 + ["normal", "anomalous", "normal"]
