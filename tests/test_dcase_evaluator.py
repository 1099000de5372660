"""Parity with the official DCASE 2020 Task 2 evaluator, and its twenty traps."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from asd_core.errors import DataSetError
from asd_core.evaluation import dcase, metrics

GOLDEN = Path(__file__).parent / "golden" / "evaluator"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "evaluator"
TOLERANCE = 1e-12


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def expected_figures(root, wanted):
    """Return team -> id -> (AUC, pAUC) of one set."""
    figures = {}
    for row in rows_of(root / "golden.csv"):
        if row["set"] == wanted:
            figures.setdefault(row["team"], {})[row["id"]] = (float(row["AUC"]), float(row["pAUC"]))
    return figures


def largest_gap(result, expected):
    ours = {name: (each["auc"], each["pauc"]) for name, each in result["per_id"].items()}
    ours["Average"] = (result["auc_mean"], result["pauc_mean"])
    assert ours.keys() == expected.keys()
    return max(abs(a - b) for name in expected for a, b in zip(ours[name], expected[name], strict=True))


def assert_parity(root, wanted):
    """Return the number of score files compared."""
    n_files = 0
    for team, expected in expected_figures(root, wanted).items():
        if not (root / wanted / "teams" / team).is_dir():
            continue
        result = dcase.evaluate_folder(root / wanted / "teams" / team, root / wanted / "eval_data_list.csv")
        assert result["warnings"] == []
        assert largest_gap(result["machines"]["slider"], expected) <= TOLERANCE, team
        n_files += len(expected) - 1
    return n_files


def test_parity_on_the_golden_patterns():
    assert assert_parity(GOLDEN, "synthetic") == 27


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full golden set is not here; tests/golden has a part of it")
def test_parity_on_all_147_golden_files():
    n_files = sum(assert_parity(SHARED, wanted) for wanted in ("slider_2020", "synthetic"))
    assert n_files == 147


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full golden set is not here")
def test_pooled_figures_equal_the_golden_ones():
    for row in rows_of(SHARED / "golden_pooled.csv"):
        root = SHARED / row["set"]
        truth = dcase.read_truth(root / "eval_data_list.csv")["slider"]
        labels, scores = [], []
        for machine_id, clips in truth.items():
            found = dcase.read_anomaly_scores(
                root / "teams" / row["team"] / f"anomaly_score_slider_id_{machine_id}.csv"
            )
            labels += clips.values()
            scores += [found[name] for name in clips]
        assert (labels.count(False), labels.count(True)) == (int(row["n_normal"]), int(row["n_anomaly"]))
        ours = metrics.auc(labels, scores), metrics.pauc(labels, scores)
        theirs = float(row["pooled_AUC"]), float(row["pooled_pAUC"])
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)


def trap(case):
    root = GOLDEN / "traps" / case
    (team,) = (root / "teams").iterdir()
    return dcase.evaluate_folder(team, root / "eval_data_list.csv")


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("01_wrong_names", "slider id 00: .*z000.wav"),
        ("03_missing_row", "slider id 00: .*normal_id_00_00000004.wav"),
        ("04_duplicate_row", "anomaly_id_00_00000000.wav"),
        ("05_header", "slider_id_00.csv line 1: file_name"),
        ("09_nan", r"normal_id_00_\d+.wav: .*nan|anomaly_id_00_\d+.wav: .*nan"),
        ("10_inf", r"_id_00_\d+.wav: .*inf"),
        ("12_unknown_id_file", "machine id 04"),
        ("14_id_in_team_name", "run_id_02"),
        ("18_extra_column", "anomaly_id_00_00000000.wav: .*two columns"),
    ],
)
def test_harmed_input_is_refused_by_clip_or_id(case, named):
    with pytest.raises(DataSetError, match=named):
        trap(case)


@pytest.mark.parametrize(
    ("case", "like"),
    [(name, "00_reference") for name in ("00_reference", "06_blank_last_line", "07_bom", "08_crlf", "13_backup_file")]
    + [("15_unsorted_truth", "00_reference"), ("02_swapped_names", "02_swapped_names")],
)
def test_input_that_can_be_read_gives_the_right_numbers(case, like):
    result = trap(case)
    assert largest_gap(result["machines"]["slider"], expected_figures(GOLDEN, f"traps/{like}")["team"]) <= TOLERANCE
    assert result["machines"]["slider"]["partial"] is False
    assert result["warnings"] == []


def test_unpadded_numbers_are_joined_by_name():
    slider = trap("19_unpadded_numbers")["machines"]["slider"]
    assert (slider["per_id"]["00"]["auc"], slider["pauc_mean"]) == (1.0, 1.0)


def test_a_missing_id_file_makes_the_average_partial():
    result = trap("11_missing_id_file")
    assert result["machines"]["slider"]["auc_mean"] == pytest.approx(0.85, abs=TOLERANCE)
    assert result["machines"]["slider"]["partial"] is True
    assert any("no score file for id 02" in warning for warning in result["warnings"])


def test_a_machine_without_score_files_is_left_out_with_a_warning():
    result = trap("16_second_machine")
    assert list(result["machines"]) == ["slider"]
    assert result["machines"]["slider"]["auc_mean"] == pytest.approx(0.8, abs=TOLERANCE)
    assert result["machines"]["slider"]["partial"] is False
    assert [warning.split(":")[0] for warning in result["warnings"]] == ["fan"]


def test_an_id_with_one_class_has_no_figure_and_is_named():
    result = trap("17_one_class")
    slider = result["machines"]["slider"]
    assert slider["per_id"]["00"] == {"auc": None, "pauc": None, "n_normal": 9, "n_anomalous": 0}
    assert (slider["auc_mean"], slider["partial"]) == (pytest.approx(0.75, abs=TOLERANCE), True)
    assert any("id 00" in warning and "not defined" in warning for warning in result["warnings"])
    json.dumps(result, allow_nan=False)


def test_all_traps_are_judged_here():
    cases = {row["case"][:2] for row in rows_of(GOLDEN / "traps" / "outcomes.csv")}
    assert cases == {f"{number:02d}" for number in range(20)}


def folder_with(tmp_path, truth="slider\nid_00_a.wav,x,0\nid_00_b.wav,x,1\n", scores="id_00_a.wav,1\nid_00_b.wav,2\n"):
    (tmp_path / "truth.csv").write_bytes(truth if isinstance(truth, bytes) else truth.encode())
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "anomaly_score_slider_id_00.csv").write_bytes(scores if isinstance(scores, bytes) else scores.encode())
    return folder, tmp_path / "truth.csv"


@pytest.mark.parametrize(
    ("truth", "text"),
    [
        ("", "empty truth list"),
        ("id_00_a.wav,x,0\n", "machine's name"),
        ("slider\nid_00_a.wav,x,2\n", "line 2"),
        ("slider\nid_00_a.wav,0\n", "line 2"),
        ("slider\na.wav,x,0\n", "a.wav does not tell"),
        ("slider\nid_00_a.wav,x,0\nid_00_a.wav,x,1\n", "id_00_a.wav is listed twice"),
        ("fan\nid_00_a.wav,x,0\n", "machine slider"),
        (b"slider\nid_00_\xff.wav,x,0\n", "UTF-8"),
    ],
)
def test_a_damaged_truth_list_is_refused(tmp_path, truth, text):
    with pytest.raises(DataSetError, match=text):
        dcase.evaluate_folder(*folder_with(tmp_path, truth=truth))


@pytest.mark.parametrize("scores", ["", "\n", b"\xff\xfe", 'id_00_a.wav,"1\nid_00_b.wav,2\n'])
def test_a_damaged_score_file_is_refused(tmp_path, scores):
    with pytest.raises(DataSetError, match=r"id_00|id 00"):
        dcase.evaluate_folder(*folder_with(tmp_path, scores=scores))


def test_absent_files_and_folders_are_refused(tmp_path):
    folder, truth = folder_with(tmp_path)
    with pytest.raises(DataSetError, match="not a folder"):
        dcase.evaluate_folder(tmp_path / "absent", truth)
    with pytest.raises(DataSetError, match="cannot be read"):
        dcase.evaluate_folder(folder, tmp_path / "absent.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataSetError, match="no file anomaly_score"):
        dcase.evaluate_folder(empty, truth)


def test_a_file_name_that_is_almost_right_is_mentioned(tmp_path):
    folder, truth = folder_with(tmp_path)
    (folder / "anomaly_score_slider_section_00.csv").write_text("")
    assert "section_00.csv is not read" in dcase.evaluate_folder(folder, truth)["warnings"][0]


def test_what_is_written_is_official_and_reads_back(tmp_path):
    rows = [("02", "normal_id_02_00000001.wav", 1e-7), ("00", "b.wav", np.float64(0.1)), ("00", "a.wav", 1e16)]
    paths = dcase.write_anomaly_scores(tmp_path / "run", "slider", rows)
    assert [path.name for path in paths] == ["anomaly_score_slider_id_00.csv", "anomaly_score_slider_id_02.csv"]
    assert paths[0].read_bytes() == b"a.wav,1e+16\nb.wav,0.1\n"
    assert dcase.read_anomaly_scores(paths[1]) == {"normal_id_02_00000001.wav": 1e-7}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (("00", "a.wav", float("nan")), "a.wav: .*finite"),
        (("0", "a.wav", 1.0), "two digits"),
        (("00", "a,b.wav", 1.0), "commas"),
        (("00", "x/a.wav", 1.0), "slashes"),
        (("00", "ok.wav", 1.0), "two clips are called ok.wav"),
    ],
)
def test_rows_that_would_be_misread_are_refused_before_anything_is_written(tmp_path, row, text):
    with pytest.raises(DataSetError, match=text):
        dcase.write_anomaly_scores(tmp_path / "run", "slider", [("00", "ok.wav", 0.0), row])
    assert not (tmp_path / "run").exists()


def test_the_folder_must_be_empty_and_well_named(tmp_path):
    rows = [("00", "a.wav", 1.0)]
    with pytest.raises(DataSetError, match="run_id_02"):
        dcase.write_anomaly_scores(tmp_path / "run_id_02", "slider", rows)
    with pytest.raises(DataSetError, match="machine's name"):
        dcase.write_anomaly_scores(tmp_path / "run", "../fan", rows)
    with pytest.raises(DataSetError, match="no scores"):
        dcase.write_anomaly_scores(tmp_path / "run", "slider", [])
    dcase.write_anomaly_scores(tmp_path / "run", "slider", rows)
    with pytest.raises(DataSetError, match="must be an empty folder"):
        dcase.write_anomaly_scores(tmp_path / "run", "slider", rows)
