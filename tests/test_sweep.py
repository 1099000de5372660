"""The sweep: each cell is the detector with these settings, and says which figures need test labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import hum

from asd_core.cli import main
from asd_core.data.clips import Clip
from asd_core.detectors.one_class_svm import OneClassSvm
from asd_core.errors import DataSetError, UsageError
from asd_core.evaluation.thresholds import from_normal_scores
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.nu_gamma import _figures, clip_means, crossed_fpr, fit_grid, sweep
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

NUS, GAMMAS = (0.1, 0.4), ("scale", 1e-4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two ids with 60 training clips each and few, partly hard, test clips; one is also a training clip."""
    root = tmp_path_factory.mktemp("sweep") / "hums"
    for machine_id in ("00", "02"):
        write(root, f"train/normal_id_{machine_id}", range(60), seed=1000 * int(machine_id))
        write(root, f"test/normal_id_{machine_id}", range(5), seed=500 + 1000 * int(machine_id))
        write(root, f"test/anomaly_id_{machine_id}", range(5), seed=700 + 1000 * int(machine_id), knocks=1)
    copied = root / "slider" / "train" / "normal_id_00_00000003.wav"
    (root / "slider" / "test" / "normal_id_00_00000099.wav").write_bytes(copied.read_bytes())
    return root


def write(root, prefix, numbers, *, seed, knocks=0):
    (root / "slider" / prefix).parent.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        clip = hum(seed + number, seconds=1.0, knocks=knocks)
        sf.write(root / "slider" / f"{prefix}_{number:08d}.wav", clip.samples, SR, subtype="PCM_16")


@pytest.fixture(scope="module")
def report(data):
    return sweep(data, nus=NUS, gammas=GAMMAS, workers=1)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("nu", NUS)
def test_a_cell_scores_as_the_detector_with_its_settings(nu, gamma):
    clips = [hum(seed, seconds=2.0) for seed in range(60)]
    others = [hum(seed, seconds=2.0, knocks=seed % 2) for seed in range(100, 112)]
    detector = OneClassSvm(nu=nu, gamma=gamma).fit(clips)
    fitted, apart = (np.concatenate([detector.embed(clip) for clip in group]) for group in (clips, others))
    widths, cells = fit_grid(fitted, apart, nus=[nu], gammas=[gamma], workers=1)
    assert widths[gamma] == pytest.approx(detector.state["gamma"][0], rel=1e-12)
    assert cells[nu, gamma].n_support == len(detector.state["support_vectors"])
    np.testing.assert_allclose(cells[nu, gamma].anomaly_scores, detector.anomaly_scores(others), rtol=0, atol=1e-9)


def test_a_cells_shares_are_of_the_clips_they_are_named_for():
    heldout = np.concatenate([np.linspace(-1.0, -0.1, 26), [0.0, 0.2, 0.3, 0.9]])  # 4 of 30 at or outside the boundary
    labels = ["normal"] * 5 + ["anomalous"] * 4
    test = [Clip(Path("x"), "x", "00", "test", label) for label in labels]
    scores = np.array([-0.5, -0.4, -0.3, 0.5, 0.1, 0.6, 0.7, 0.8, -0.6])
    found = _figures(heldout, scores, test)
    assert found["heldout_outside"] == pytest.approx(4 / 30)
    assert found["threshold"] == pytest.approx(0.2)  # the 28th smallest of 30: ceil(31 * 0.9)
    assert found["test"]["observed_fpr"] == pytest.approx(1 / 5)
    assert found["test"]["auc_mean"] == found["test"]["auc_pooled"] == pytest.approx(3 * 5 / 20)


def test_two_processes_give_the_same_cells():
    rng = np.random.default_rng(0)
    fitted, others = rng.normal(size=(50, 8)), rng.normal(size=(9, 8))
    (_, alone), (_, together) = (fit_grid(fitted, others, nus=NUS, gammas=GAMMAS, workers=n) for n in (1, 2))
    assert alone.keys() == together.keys() == {(nu, gamma) for nu in NUS for gamma in GAMMAS}
    for key in alone:
        np.testing.assert_array_equal(alone[key].anomaly_scores, together[key].anomaly_scores)


def test_its_figures_are_those_of_train_and_evaluate(data, report, tmp_path):
    model = train(
        TrainingRequest("vggish_ocsvm", data, settings={"nu": 0.4, "gamma": 1e-4}, folds=1, out=tmp_path)
    ).model
    expected = evaluate(model, data)
    ranking, decisions = expected.summary.ranking, expected.summary.decisions
    cell = next(cell for cell in report["cells"] if (cell["nu"], cell["gamma"]) == (0.4, 1e-4))
    assert cell["threshold"] == pytest.approx(decisions.threshold.value, abs=1e-3)  # libsvm stops there
    assert cell["test"]["auc_mean"] == ranking.auc_mean.estimate
    assert cell["test"]["auc_pooled"] == ranking.auc_pooled.estimate
    assert cell["test"]["observed_fpr"] == decisions.observed_fpr.estimate
    assert (report["n_test"], report["n_excluded"]) == (20, expected.n_excluded) == (20, 1)


def test_it_says_what_used_test_labels(report):
    assert (report["command"], report["schema"], report["n_train"], report["n_heldout"]) == ("sweep", 1, 96, 24)
    assert len(report["cells"]) == 4
    assert all(cell["test"]["uses_test_labels"] is True for cell in report["cells"])
    assert all(cell["n_support"] == pytest.approx(96 * cell["support_share"]) for cell in report["cells"])


def test_nu_bounds_the_share_of_support_vectors_from_below(report):
    assert all(cell["support_share"] >= cell["nu"] - 1e-9 for cell in report["cells"])


def test_without_labelled_test_clips_those_figures_are_null(tmp_path):
    write(tmp_path / "bare", "train/normal_id_00", range(30), seed=0)
    (cell,) = sweep(tmp_path / "bare", nus=[0.2], gammas=["scale"], workers=1)["cells"]
    assert cell["test"] == {"uses_test_labels": True, "auc_mean": None, "auc_pooled": None, "observed_fpr": None}


def test_each_half_is_judged_by_the_other_halfs_threshold():
    scores = np.concatenate([np.arange(20.0), [30.0, 31.0]])  # falls into evens (with 30) and odds (with 31)
    even, odd = scores[0::2], scores[1::2]
    limits = [from_normal_scores("conformal", half).value for half in (odd, even)]
    expected = (np.sum(even >= limits[0]) + np.sum(odd >= limits[1])) / 22
    assert crossed_fpr(scores) == pytest.approx(expected)
    assert 0 < expected < 0.2


def test_too_few_held_out_scores_for_two_halves_give_null():
    assert crossed_fpr(np.arange(17.0)) is None
    assert crossed_fpr(np.arange(18.0)) is not None


def test_clip_means_follow_the_number_of_blocks():
    assert clip_means(np.array([1.0, 2.0, 4.0, 10.0]), [1, 2, 1]).tolist() == [1.0, 3.0, 10.0]


def test_a_subsample_is_named(data, monkeypatch):
    monkeypatch.setattr("asd_core.tasks.nu_gamma.MAX_BLOCKS", 40)
    found = sweep(data, nus=[0.2], gammas=["scale"], workers=1)
    assert found["warnings"] == ["subsample: 40 of 96 blocks fitted"]
    assert found["cells"][0]["n_support"] <= 40


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"nus": [0.0], "gammas": ["scale"]}, "nu must be in"),
        ({"nus": [0.1], "gammas": [-1.0]}, "gamma must be"),
        ({"nus": [], "gammas": ["scale"]}, "at least one nu"),
    ],
)
def test_a_grid_out_of_range_is_refused_before_any_clip_is_read(tmp_path, grid, message):
    with pytest.raises(UsageError, match=message):
        sweep(tmp_path / "nowhere", **grid)


def test_a_folder_without_normal_training_clips_is_refused(tmp_path):
    write(tmp_path / "tests_only", "test/anomaly_id_00", range(3), seed=0)
    with pytest.raises(DataSetError, match="no readable normal training clips"):
        sweep(tmp_path / "tests_only", nus=[0.1], gammas=["scale"])


def test_the_command_writes_its_table_and_json(data, tmp_path, capsys):
    file = tmp_path / "sweep.json"
    arguments = ["--data", str(data), "--ids", "02", "--nu", "0.1,0.4", "--gamma", "scale", "--json", str(file)]
    assert main(["sweep", *arguments]) == 0
    cells = json.loads(file.read_text())["cells"]
    assert [(cell["nu"], cell["gamma"]) for cell in cells] == [(0.1, "scale"), (0.4, "scale")]
    assert "nu 0.4, gamma scale" in capsys.readouterr().out


def test_the_command_refuses_a_word_for_nu(data, capsys):
    assert main(["sweep", "--data", str(data), "--nu", "0.1,many"]) == 2
    assert "nu must be a number" in capsys.readouterr().err
