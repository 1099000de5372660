"""What comes with an extra is asked for where it is used, and named where it is missing."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from sounds import hum

from asd_core.cli import doctor, main
from asd_core.data.clip_lists import expand, read_remote
from asd_core.detectors import detector_class
from asd_core.errors import MissingExtraError
from asd_core.system.extras import EXTRAS, missing_modules, require
from asd_core.tasks.cluster import dask_client
from asd_core.tasks.score_many import score_to
from asd_core.tasks.score_parts import read_rows

NETWORKS = ("lstm_predictor", "gru_autoencoder", "dcase_autoencoder")


@pytest.fixture
def without(monkeypatch):
    """Let modules be missing, as where an extra is not installed."""

    def forget(*modules):
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    return forget


def test_what_is_missing_is_named_with_the_command_that_installs_it(without):
    require("cluster", task="scoring in parts")
    without("dask", "pyarrow")
    require("cluster", "fsspec", task="reading object stores")
    with pytest.raises(MissingExtraError) as refused:
        require("cluster", task="scoring in parts")
    assert str(refused.value) == "scoring in parts needs Dask and PyArrow: pip install 'asd_core[cluster]'"
    without("fsspec")
    with pytest.raises(MissingExtraError, match="needs Dask, fsspec and PyArrow: "):
        require("cluster", task="scoring in parts")


def test_modules_that_were_never_installed_are_missing_and_none_is_imported():
    assert missing_modules(["json", "no_such_module", "antigravity"]) == ["no_such_module"]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", NETWORKS)
def test_training_a_network_without_torch_names_the_extra(name, without):
    without("torch")
    with pytest.raises(MissingExtraError, match=r"^training needs PyTorch: pip install 'asd_core\[train\]'$"):
        detector_class(name).from_preset("quick").fit([hum(0), hum(1)])


def test_a_refused_training_keeps_what_was_learned_before(without):
    detector = detector_class("dcase_autoencoder").from_preset("quick", epochs=1, windows_per_epoch=64)
    score = detector.fit([hum(0), hum(1)]).anomaly_score(hum(2))
    without("torch")
    with pytest.raises(MissingExtraError):
        detector.fit([hum(3), hum(4)])
    assert detector.anomaly_score(hum(2)) == score


def test_the_command_says_so_in_one_line_before_it_reads_clips(without, tmp_path, capsys):
    without("torch")
    assert main(["train", "lstm_predictor", "--data", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == "asd_core: training needs PyTorch: pip install 'asd_core[train]'\n"


def test_a_report_without_its_packages_names_the_extra(without, monkeypatch, tmp_path, capsys):
    for module in [name for name in sys.modules if name.startswith("asd_core.reports")]:
        monkeypatch.delitem(sys.modules, module)
    without("jinja2")
    with pytest.raises(MissingExtraError, match="a report or figure needs Jinja2: "):
        importlib.import_module("asd_core.reports.plots")
    arguments = ["report", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "report.html")]
    assert main(arguments) == 2
    assert "pip install 'asd_core[dashboard]'" in capsys.readouterr().err


def test_scoring_in_parts_names_the_extra_and_leaves_no_folder(without, tmp_path):
    without("distributed")
    with pytest.raises(MissingExtraError, match="scoring in parts needs Dask's distributed: "):
        score_to([tmp_path], [tmp_path], tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    with pytest.raises(MissingExtraError, match="cluster"), dask_client(None, 1):
        pass


def test_parquet_and_object_stores_name_the_extra(without, tmp_path, monkeypatch):
    (tmp_path / "clips.parquet").write_bytes(b"PAR1")
    without("pyarrow", "fsspec")
    with pytest.raises(MissingExtraError, match=r"reading Parquet needs PyArrow: .*\[cluster\]"):
        expand([tmp_path / "clips.parquet"])
    with pytest.raises(MissingExtraError, match="reading Parquet needs PyArrow: "):
        list(read_rows(tmp_path, ["part.parquet"]))
    monkeypatch.setenv("ASD_REMOTE_STORES", "memory://clips")
    with pytest.raises(MissingExtraError, match="reading object stores needs fsspec: "):
        read_remote("memory://clips/a.wav")


def test_the_dashboards_packages_are_needed_for_nothing_else(without, tmp_path):
    without(*EXTRAS["dashboard"])
    detector = detector_class("vggish_knn").from_preset("quick").fit([hum(seed) for seed in range(4)])
    assert np.isfinite(detector.anomaly_map(hum(9)).values).all()


def test_doctor_tells_which_extras_are_there_and_none_is_required(without):
    without("torch")
    found = {check.name: check for check in doctor.checks()}
    assert all(f"extra {extra}" in found for extra in EXTRAS)
    train, formats = found["extra train"], found["extra formats"]
    assert (train.ok, train.required) == (False, False)
    assert train.detail == "training of networks; missing PyTorch: pip install 'asd_core[train]'"
    assert (formats.ok, formats.detail) == (True, "recordings other than WAV and FLAC")
    assert "torch" not in found
    assert "streamlit" in found
