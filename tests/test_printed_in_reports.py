"""Figures of the HTML reports and of exported files stand in their columns: every figure has a value of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import CONFUSION, OPTIMISM, RANKING, SUMMARY, THRESHOLD
from markupsafe import Markup
from printed import after, before, figures

from asd_core.evaluation.comparison import difference
from asd_core.evaluation.localisation import LocalisationSummary
from asd_core.evaluation.metrics import Confusion
from asd_core.evaluation.operating import telling_clips
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.summary import Decisions, Summary
from asd_core.evaluation.uncertainty import Interval
from asd_core.formats import MISSING
from asd_core.reports import course_report, course_tables
from asd_core.reports import html as report
from asd_core.reports.published import PUBLISHED, Published


def tables(page: str) -> dict[str, dict[str, list[str]]]:
    """Tables of a page by their first heading: first cell of a row to its other cells, headings included."""
    found = {}
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        rows = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr>.*?</tr>", table, re.S)
        ]
        found[rows[0][0]] = {row[0]: row[1:] for row in rows}
    return found


def clips(*entries: tuple[str, float]) -> Scores:
    """Scored clips of these labels, named by their row, in two ids."""
    return Scores(
        tuple(
            ScoredClip(f"{row}.wav", f"{row % 2:02d}", "test", label, "", f"digest {row}", score)
            for row, (label, score) in enumerate(entries)
        )
    )


def test_the_clips_to_hear_are_the_worst_and_the_best_of_each_kind():
    scores = clips(
        ("normal", 0.1),
        ("normal", 0.2),
        ("normal", 0.6),
        ("normal", 0.9),  # the loudest false alarm
        ("anomalous", 0.3),  # the strongest miss: the fault that sounds most normal
        ("anomalous", 0.4),
        ("anomalous", 0.7),
        ("anomalous", 0.8),
    )
    picked = telling_clips(scores.is_anomalous, scores.anomaly_scores, 0.5)
    kinds = {"false alarm": 3, "miss": 4, "true alarm": 7, "normal clip": 0}
    assert {kind: row for kind in kinds for why, row in picked.items() if kind in why.lower()} == kinds
    assert list(telling_clips(scores.is_anomalous, scores.anomaly_scores, None).values()) == [3]


def test_the_observed_rate_is_of_normal_clips_with_its_interval():
    assert figures(report._observed(SUMMARY.decisions)) == ["20.0", "8", "40", "95", "10.5", "34.8"]


def test_each_class_has_its_counts_and_figures_in_the_order_of_the_headings():
    assert report._confusion(SUMMARY.decisions) == [
        ("normal", ["32", "8"], ["91.4 %", "80.0 %", "0.853"]),
        ("anomalous", ["3", "7"], ["46.7 %", "70.0 %", "0.560"]),
    ]


def test_optimism_is_told_as_honest_instead_of_naive():
    text = report._optimism(OPTIMISM)
    f1, alarms = text.split("F1")[1].split("false-alarm rate")
    assert figures(f1)[:2] == ["0.617", "0.816"]
    assert figures(alarms) == ["13.4", "5.2"]
    assert "200" in figures(text)


def test_a_pair_is_the_first_minus_the_second():
    labels = ["normal"] * 6 + ["anomalous"] * 6
    better = clips(*zip(labels, np.arange(12.0), strict=True))
    worse = clips(*zip(labels, [0.0, 8, 2, 3, 4, 5, 1, 7, 6, 9, 10, 11], strict=True))
    one, other = (SimpleNamespace(title=title, scores=scores) for title, scores in (("good", better), ("bad", worse)))
    (row,) = report._pairs([one, other], seed=0)
    assert re.search("good.*bad", row["names"])
    area = 1 - (3 + 4) / 36  # the normal clip at 8 lies above the faults at 1, 6 and 7; those at 2 to 5 above that at 1
    assert row["pooled"].startswith("+")
    difference, low, _ = map(float, figures(row["pooled"]))
    assert difference == pytest.approx(1 - area, abs=5e-4)
    assert low <= difference
    assert figures(row["mean"])[0] == f"+{1 - (7 + 8) / 18:.3f}"  # of the 9 pairs of each id 7 and 8 are in order
    (turned,) = report._pairs([other, one], seed=0)
    assert figures(turned["pooled"])[0] == figures(row["pooled"])[0].replace("+", "-")


def test_p_values_of_several_pairs_are_adjusted_by_holm():
    labels = ["normal"] * 6 + ["anomalous"] * 6
    tables = {"a": np.arange(12.0), "b": [0.0, 8, 2, 3, 4, 5, 1, 7, 6, 9, 10, 11], "c": -np.arange(12.0)}
    methods = [
        SimpleNamespace(title=title, scores=clips(*zip(labels, values, strict=True)))
        for title, values in tables.items()
    ]
    rows = report._pairs(methods, seed=0)
    by_pair = {row["names"]: row for row in rows}
    plain = difference(methods[0].scores, methods[1].scores).p_value
    assert by_pair["a minus b"]["p"] == f"{plain:.2g}"
    assert by_pair["a minus b"]["p_holm"] == f"{plain:.2g}"  # the larger of two known p-values
    smallest = difference(methods[1].scores, methods[2].scores).p_value
    assert by_pair["b minus c"]["p_holm"] == f"{2 * smallest:.2g}"
    assert by_pair["a minus c"]["p"] == by_pair["a minus c"]["p_holm"] == MISSING  # without variance


def test_a_kind_of_fault_has_its_areas_and_hits_beside_chance():
    def interval(value):
        return Interval(value - 0.01, value + 0.01, value)

    found = LocalisationSummary(
        17, 2, interval(0.61), interval(0.72), 16, interval(0.53), interval(0.84), 15, 0.094, 0.215
    )
    cells = report._localisation_row("knock", found)
    assert [figures(cell)[0] for cell in cells[1:]] == ["17", "0.610", "0.720", "0.530", "9.4"]


def test_the_page_puts_every_figure_under_its_heading():
    entry = dict.fromkeys(("histogram", "by_id", "trained", "optimism", "uses_labels", "localisation"), "")
    entry |= {"title": "A", "name": "Detector A", "auc_mean": "0.872", "auc_pooled": "0.911", "pauc_mean": "0.653"}
    entry |= {"per_id": {"00": "0.954", "02": "0.795"}, "threshold": "0.0123", "rule": "conformal"}
    entry |= {"promised": "10.1 %", "observed": "20.2 %", "calibrated": "Rests on 13 recordings."}
    entry["confusion"] = report._confusion(SUMMARY.decisions)
    pair = {"names": "A minus B", "mean": "+0.042", "p": "0.031", "p_holm": "0.062"}
    pair |= {"pooled": "-0.013", "p_pooled": "0.24"}
    page = report.render(
        report.TEMPLATE,
        preface=Markup(""),
        title="t",
        colours={"normal": "blue", "anomalous": "orange"},
        data_simulated=False,
        simulated=[],
        machine="slider",
        data_set="s",
        n_normal=40,
        n_anomalous=10,
        n_excluded=3,
        seed=6,
        warnings=[],
        ids=["00", "02"],
        roc="",
        entries=[entry],
        pairs=[pair, pair | {"names": "A minus C"}],
        clips=[],
        settings=[],
    )
    found = tables(page)
    heading, row = (found["detector"][name] for name in ("detector", "Detector A"))
    assert {
        word: row[place]
        for place, text in enumerate(heading)
        for word in ("mean over ids", "pooled", "pAUC")
        if word in text
    } == {
        "mean over ids": "0.872",
        "pooled": "0.911",
        "pAUC": "0.653",
    }
    by_id = found["AUC (pAUC) per id"]
    assert dict(zip(by_id["AUC (pAUC) per id"], by_id["Detector A"], strict=True)) == {
        "id 00": "0.954",
        "id 02": "0.795",
    }
    by_truth = {
        label: dict(zip(found["truth"]["truth"], found["truth"][label], strict=True))
        for label in ("normal", "anomalous")
    }
    assert by_truth["normal"]["judged normal"] == "32 right"
    assert by_truth["normal"]["judged anomalous"] == "8 false alarms"
    assert re.findall('<td class="(right|wrong)">([0-9]+)', page) == [
        ("right", "32"),
        ("wrong", "8"),
        ("wrong", "3"),
        ("right", "7"),
    ]
    assert by_truth["anomalous"] == {
        "judged normal": "3 missed",
        "judged anomalous": "7 right",
        "precision": "46.7 %",
        "recall": "70.0 %",
        "F1": "0.560",
    }
    differences = found["difference of AUC"]
    assert dict(zip(differences["difference of AUC"], differences["A minus B"], strict=True)) == {
        "mean over ids": "+0.042",
        "p, DeLong": "0.031",
        "p, Holm": "0.062",
        "all ids pooled": "-0.013",
        "p, DeLong, pooled": "0.24",
    }
    sentences = re.sub(r"<[^>]+>", "", page)
    assert (after(sentences, "promised"), after(sentences, "observed")) == ("10.1", "20.2")
    assert (before(sentences, "normal and"), before(sentences, "anomalous test")) == ("40", "10")
    assert before(sentences, "left out") == "3"
    assert "Rests on 13 recordings." in sentences


def reproduced(confusion: Confusion | None = CONFUSION, **changed) -> course_report.Method:
    """An LSTM trained again, judged with test labels at 0.002222, by the mean at 0.004444, without them at 0.003333."""
    decided = Decisions(replace(THRESHOLD, value=0.004444, rule="mean_std"), Confusion(tn=20, fp=20, fn=1, tp=9))
    method = course_report.Method(
        title="LSTM",
        detector="lstm_predictor",
        version="v1",
        simulated=False,
        n_fitted=379,
        n_heldout=95,
        training_seconds=75.0,
        full_seconds_extrapolated=None,
        heldout_loss=None,
        report=Published("Table 7", 0.9406, 0.001688, None, (0.76, 0.90, 0.82), (0.96, 0.89, 0.92)),
        with_test_labels=Summary(RANKING, Decisions(replace(THRESHOLD, value=0.002222), confusion)),
        without_test_labels=Summary(RANKING, Decisions(replace(THRESHOLD, value=0.003333, reason="too few"), None)),
        other_rules={"mean": Summary(RANKING, decided)},
    )
    return replace(method, **changed)


def test_a_reproduction_sets_the_reports_row_above_ours_figure_by_figure():
    found = course_tables._method(reproduced())
    theirs, with_labels, at_mix, mean, mean_at_mix, without = found["rows"]
    assert theirs[1:] == ["0.001688", "", "", "0.76", "0.90", "0.82", "0.96", "0.89", "0.92"]
    alarms, hits = "20.0 % (8/40)", "70.0 % (7/10)"
    assert with_labels[1:] == ["0.002222", alarms, hits, "0.91", "0.80", "0.85", "0.47", "0.70", "0.56"]
    # 240 of 300 normal clips without an alarm, 560.7 of 801 anomalous ones found: 240 / (240 + 240.3), 560.7 / 620.7.
    assert at_mix[1:] == ["0.002222", "", "", "0.50", "0.80", "0.62", "0.90", "0.70", "0.79"]
    assert (mean[:4], mean_at_mix[1]) == (["mean", "0.004444", "50.0 % (20/40)", "90.0 % (9/10)"], "0.004444")
    assert without[:2] == ["conformal on held-out normal clips, not in the report: too few", "0.003333"]
    assert (found["auc_report"], figures(found["auc_pooled"])) == ("0.9406", ["0.911", "0.811", "0.971"])
    assert figures(found["auc_mean"]) == ["0.872", "0.772", "0.932"]
    assert figures(found["per_id"]) == ["00", "0.954", "02", "0.795"]


def test_the_report_s_point_stands_under_the_rates():
    theirs = course_tables._method(reproduced(report=PUBLISHED["gru_autoencoder"]))["rows"][0]
    assert theirs[1:4] == ["0.000511", "12.3 %", "80.0 %"]


def test_figures_at_the_report_s_class_mix_are_shown_where_ours_is_another():
    same = replace(RANKING, n_normal=75, n_anomalous=200)
    method = reproduced(without_test_labels=Summary(same, Decisions(THRESHOLD, None)))
    assert [row[0] for row in course_tables._method(method)["rows"]][1:3] == [
        "nearest to (0, 1), as in the report",
        "mean",
    ]
    assert course_tables.class_mix_text(same).endswith("the same class mix.")
    text = course_tables.class_mix_text(RANKING)
    assert figures(text)[:4] == ["40", "10", "300", "801"]
    assert "the class mix differs, and precision and F1 depend on it" in text


@pytest.mark.parametrize(
    ("loss", "mean_spectrum", "worth"),
    [(0.0045, 0.0038, "no better"), (0.0038, 0.0038, "no better"), (0.0015, 0.0038, "better")],
)
def test_a_held_out_loss_is_held_against_always_predicting_the_mean_spectrum(loss, mean_spectrum, worth):
    notes = course_tables.method_notes(reproduced(heldout_loss=loss, mean_spectrum_loss=mean_spectrum))
    always = f"always predicting the mean spectrum would give {mean_spectrum}"
    assert notes[1:] == [f"Held-out loss {loss}; {always}: the network does {worth}."]
    assert len(course_tables.method_notes(reproduced(heldout_loss=loss))) == 1


def test_a_method_says_in_which_settings_it_is_not_the_report_s():
    notes = course_tables.method_notes(reproduced(unlike_report={"epochs": (8, 10), "windows_per_epoch": (8192, 0)}))
    assert notes == ["Unlike the report: epochs 8 instead of 10, windows per epoch 8,192 instead of all."]
    assert course_tables.method_notes(reproduced()) == ["Settings as in the report, where it gives them."]


def test_the_reports_own_figures_are_those_that_it_prints():
    lstm, gru = (PUBLISHED[name] for name in ("lstm_predictor", "gru_autoencoder"))
    assert (lstm.table, lstm.auc_pooled, lstm.threshold) == ("Table 1", 0.9406, 0.001688)
    assert (lstm.normal, lstm.anomalous) == ((0.76, 0.90, 0.82), (0.96, 0.89, 0.92))
    assert (gru.table, gru.auc_pooled, gru.threshold, gru.point) == ("Table 2", 0.892, 0.000511, (0.123, 0.80))
    assert (gru.normal, gru.anomalous) == ((0.62, 0.87, 0.72), (0.94, 0.80, 0.87))


def test_table_2_follows_from_the_report_s_rates_and_class_mix_and_not_from_another():
    report = PUBLISHED["gru_autoencoder"]
    at_its_rates = Confusion(tn=877, fp=123, fn=200, tp=800)  # as many clips of each class
    found = at_its_rates.per_class_at_mix(n_normal=300, n_anomalous=801)
    for label, printed in (("normal", report.normal), ("anomalous", report.anomalous)):
        assert course_tables.precision_recall_f1(found[label]) == pytest.approx(printed, abs=0.01)
    unweighted = at_its_rates.per_class()
    assert unweighted["normal"].precision == pytest.approx(0.81, abs=0.005)  # the report: .62
