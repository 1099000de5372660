"""The acceptance anchors: nothing is claimed without the full real data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.data.dcase2020 import published
from asd_core.evaluation import dcase
from asd_core.tasks.train import train
from benchmarks import anchors
from benchmarks.anchors import MET, NOT_MET, NOT_RUN, PART_OF_GOLDEN, Place, outcome

NEED_DATA = (1, 2, 3, 4, 6)
COUNTS = dict.fromkeys(("00", "02", "04"), (10, 3, 3))
TINY = {"hidden": 8, "layers": 1, "epochs": 1, "windows_per_epoch": 64}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "data", tmp_path / "out", PART_OF_GOLDEN)


def write_slider(root, *, ids=("00", "02", "04")):
    for number, machine_id in enumerate(ids):
        for split, label, n_clips, knocks in (
            ("train", "normal", 10, 0),
            ("test", "normal", 3, 0),
            ("test", "anomaly", 3, 4),
        ):
            folder = root / "slider" / split
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(n_clips):
                clip = hum(100 * number + i + 50 * (split == "test"), seconds=0.6, knocks=knocks)
                (folder / f"{label}_id_{machine_id}_{i:08d}.wav").write_bytes(encode_wav(clip.samples))


@pytest.mark.parametrize("number", NEED_DATA)
def test_without_data_an_anchor_is_not_run(number, place):
    found = outcome(number, place)
    assert (found.status, found.command.split()[-1]) == (NOT_RUN, str(place.data))
    assert found.detail == f"needs the full development set at {place.data} (no clips found)"


@pytest.mark.parametrize("number", NEED_DATA)
def test_a_part_of_the_data_is_not_enough(number, place):
    write_slider(place.data, ids=("00",))
    found = outcome(number, place)
    assert found.status == NOT_RUN
    assert found.detail == f"needs the full development set at {place.data} (16 of 4094 clips found)"


def test_the_simulated_bench_is_refused(place):
    write_slider(place.data)
    (place.data / "SIMULATED.json").write_text('{"schema": 1, "simulated": true, "anomalous": {}}')
    for number in NEED_DATA:
        found = outcome(number, place)
        assert found.status == NOT_RUN
        assert "is simulated" in found.detail
    assert not place.out.exists()


def test_more_clips_than_published_are_not_the_development_set(place, monkeypatch):
    monkeypatch.setitem(published.DEV_COUNTS, "slider", COUNTS)
    write_slider(place.data, ids=(*COUNTS, "99"))
    assert "more clips than the development set" in outcome(2, place).detail


@pytest.mark.parametrize("reach", [0.0, 2.0])
def test_a_figure_is_held_against_what_is_asked(reach, place, monkeypatch):
    """On a made-up set of six clips an id, with networks of one epoch: only the way to the verdict is tested."""
    monkeypatch.setitem(published.DEV_COUNTS, "slider", COUNTS)
    monkeypatch.setattr(anchors, "REPORT_LSTM_AUC", reach)
    monkeypatch.setattr(anchors, "train", lambda request, **rest: train(replace(request, settings=TINY), **rest))
    write_slider(place.data)
    found = outcome(2, place)
    assert found.status == (MET if reach == 0.0 else NOT_MET)
    assert found.detail.startswith("pooled AUC ")
    assert "per id 00 " in found.detail
    monkeypatch.setattr(anchors, "train", None)
    assert outcome(2, place) == found, "the trained detector is taken again"
    assert abs(anchors.pooling_gain(place, place.trained("lstm_predictor", ids=anchors.REPORT_IDS))) <= 1.0


def test_parity_needs_no_recordings(place):
    found = outcome(5, place)
    assert found.status == MET
    assert found.detail.endswith("over 27 score files")


def test_parity_that_is_off_is_not_met(place, monkeypatch):
    real = dcase.evaluate_folder

    def shifted(folder, truth):
        result = real(folder, truth)
        result["machines"]["slider"]["auc_mean"] += 1e-9
        return result

    monkeypatch.setattr(dcase, "evaluate_folder", shifted)
    assert outcome(5, place).status == NOT_MET


def test_parity_without_the_golden_numbers_is_not_run(tmp_path, place):
    assert outcome(5, Place(place.data, place.out, tmp_path / "none")).status == NOT_RUN


def test_the_command_reports_and_exits_by_what_was_run(tmp_path, capsys):
    target = tmp_path / "r.json"
    arguments = ["--data", str(tmp_path / "none"), "--evaluator", str(PART_OF_GOLDEN), "--json", str(target)]
    assert anchors.main([*arguments, "--only", "2,5"]) == 0
    assert "2 not run: LSTM predictor" in capsys.readouterr().out
    assert [each["status"] for each in json.loads(target.read_text())["anchors"]] == [NOT_RUN, MET]
    with pytest.raises(SystemExit):
        anchors.main(["--only", "7"])
