"""Training, evaluation and scoring as a whole: which clips serve for what, and what is reported."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum

from asd_core.artifacts.store import DIGEST_PREFIX, locked, open_artifact
from asd_core.artifacts.versions import save_threshold
from asd_core.data.clips import file_digest
from asd_core.data.data_set import FileClips, open_data_set, readable, slug
from asd_core.data.folder_rules import FolderRules
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.networks import training
from asd_core.detectors.one_class_svm import OneClassSvm
from asd_core.errors import BusyError, DataSetError, InputError, TrainingStopped, UsageError
from asd_core.evaluation.metrics import Confusion
from asd_core.features.log_mel import FEATURE_CONFIG
from asd_core.tasks import train as train_task
from asd_core.tasks.calibrate import plan_calibration
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.score import score_clips
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

TINY_NETWORK = {"hidden": 8, "layers": 1, "epochs": 5, "windows_per_epoch": 128, "batch_size": 32}


def write(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, waveform.samples, SR, subtype="PCM_16")


def write_machine(root, *, n_train=25, n_test=4, n_anomalous=4, ids=("00", "02"), seconds=1.0):
    """A machine in the DCASE 2020 layout below root, made of hums and knocks."""
    for number, machine_id in enumerate(ids):
        for split, label, n, knocks in (
            ("train", "normal", n_train, 0),
            ("test", "normal", n_test, 0),
            ("test", "anomaly", n_anomalous, 3),
        ):
            for i in range(n):
                seed = 10_000 * number + 1000 * (split == "test") + 100 * knocks + i
                name = f"{label}_id_{machine_id}_{i:08d}.wav"
                write(root / "slider" / split / name, hum(seed, seconds=seconds, knocks=knocks))
    return root


@pytest.fixture(scope="session")
def hums(tmp_path_factory):
    return write_machine(tmp_path_factory.mktemp("data") / "Hums 1")


@pytest.fixture(scope="session")
def trained(hums, tmp_path_factory):
    """A detector on the hums; only read."""
    return train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path_factory.mktemp("out")))


def digests(root, pattern):
    return {file_digest(path) for path in root.rglob(pattern)}


def prefixes(found):
    return {digest[:DIGEST_PREFIX] for digest in found}


# Channels


@pytest.fixture(scope="module")
def raw_mimii(tmp_path_factory):
    """Raw MIMII: eight channels, of which all but the first carry nothing but loud noise."""
    root = tmp_path_factory.mktemp("mimii") / "fan"
    for label, n, knocks in (("normal", 30, 0), ("abnormal", 3, 3)):
        for i in range(n):
            first = hum(100 * knocks + i, seconds=1.0, knocks=knocks).samples
            noise = np.random.default_rng([knocks, i]).uniform(-0.9, 0.9, (len(first), 7))
            path = root / "id_00" / label / f"{i:08d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sf.write(path, np.column_stack([first, noise]), SR, subtype="PCM_16")
    return root


def test_raw_mimii_is_heard_by_its_first_channel_as_in_dcase_unless_told(raw_mimii, tmp_path):
    result = train(TrainingRequest("vggish_knn", raw_mimii, out=tmp_path / "first"))
    assert result.artifact.manifest.channel == 0
    assert evaluate(result.model, raw_mimii).summary.ranking.auc_pooled.estimate == 1.0
    rows = score_clips([raw_mimii / "id_00" / "abnormal"], [result.model])
    stored = {clip.path: clip.anomaly_score for clip in result.artifact.scores.of("test").clips}
    assert [row.anomaly_score for row in rows] == [stored[f"id_00/abnormal/{i:08d}.wav"] for i in range(3)]
    mixed = train(TrainingRequest("vggish_knn", raw_mimii, channel="mean", out=tmp_path / "mean"))
    assert mixed.artifact.manifest.channel is None
    third = train(TrainingRequest("vggish_knn", raw_mimii, channel=2, out=tmp_path / "third"))
    assert third.artifact.manifest.channel == 2


def test_a_sweep_of_raw_mimii_hears_the_first_channel(raw_mimii):
    from asd_core.tasks.nu_gamma import sweep

    report = sweep(raw_mimii, nus=(0.1,), gammas=("scale",), workers=1)
    assert report["cells"][0]["test"]["auc_mean"] == 1.0


# Which clips serve for what


@pytest.fixture
def fits(monkeypatch):
    """Digests of the fitted and of the held-out clips of each fit of a one-class SVM."""
    seen, real_fit = [], OneClassSvm._fit

    def fit(self, clips, heldout, *rest):
        seen.append(({clip.digest for clip in clips}, {clip.digest for clip in heldout}))
        real_fit(self, clips, heldout, *rest)

    monkeypatch.setattr(OneClassSvm, "_fit", fit)
    return seen


def test_a_detector_that_fits_in_seconds_is_fitted_on_all_clips_and_scored_by_fits_without_their_fold(
    hums, tmp_path, fits
):
    result = train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path))
    report, manifest = result.to_json(), result.artifact.manifest
    everything = digests(hums, "train/*.wav")
    (fitted, _), *folds = fits
    assert fitted == everything
    assert [len(rest) for rest, _ in folds] == [40] * 5
    assert all(rest | own == everything and not rest & own for rest, own in folds)
    assert set.union(*(own for _, own in folds)) == everything
    assert (report["n_train"], report["n_heldout"]) == (50, 50)
    assert prefixes(fitted) == set(manifest.data.fitted_digests)
    assert manifest.data.heldout_digests == ()
    assert {clip.digest for clip in result.artifact.scores.of("heldout").clips} == everything
    expected = {"how": "cross_fit", "folds": 5, "n": 50, "n_recordings": 10, "recordings_from": "order"}
    assert expected.items() <= report["calibration"].items()


def test_a_score_for_calibration_is_that_of_a_fit_without_the_clips_fold_on_the_scale_of_the_final_fit(hums, tmp_path):
    artifact = train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path)).artifact
    normal = readable(open_data_set(hums).index.select(split="train"), channel=None)
    plan = plan_calibration(normal, detector=OneClassSvm(), channel=None)
    rest, own = (
        FileClips(tuple(clip for clip, fold in zip(normal.clips, plan.folds, strict=True) if (fold == 2) == is_own))
        for is_own in (False, True)
    )
    other = OneClassSvm().fit(rest)
    expected = other.anomaly_scores(own) * artifact.detector().score_unit / other.score_unit
    kept = {clip.path: clip.anomaly_score for clip in artifact.scores.of("heldout").clips}
    np.testing.assert_allclose([kept[clip.relative] for clip in own.clips], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["vggish_ocsvm", "vggish_mahalanobis", "vggish_knn"])
def test_a_fit_on_four_fifths_scores_new_clips_on_the_scale_of_a_fit_on_all(name):
    clips = [hum(seed, seconds=1.0) for seed in range(100)]
    new = [hum(seed, seconds=1.0) for seed in range(1000, 1040)]
    medians = []
    for training_clips in (clips[:80], clips):
        detector = detector_class(name).from_preset("quick").fit(training_clips)
        medians.append(np.median(detector.anomaly_scores(new)) / detector.score_unit)
    spread = np.ptp(detector.anomaly_scores(new)) / detector.score_unit
    assert abs(medians[0] - medians[1]) < 0.15 * spread


def test_a_network_holds_one_fold_of_recordings_out_and_more_folds_calibrate_it_on_all_clips(hums, tmp_path):
    settings = {**TINY_NETWORK, "epochs": 1}
    one = train(TrainingRequest("lstm_predictor", hums, settings=settings, out=tmp_path))
    data, report = one.artifact.manifest.data, one.to_json()
    assert (report["n_train"], report["n_heldout"]) == (40, 10)
    assert set(data.fitted_digests) | set(data.heldout_digests) == prefixes(digests(hums, "train/*.wav"))
    assert not set(data.fitted_digests) & set(data.heldout_digests)
    assert {"how": "held_out", "folds": 1}.items() <= report["calibration"].items()
    seen = []
    more = train(
        TrainingRequest("lstm_predictor", hums, settings=settings, folds=3, out=tmp_path), on_progress=seen.append
    )
    assert (more.to_json()["n_train"], more.to_json()["n_heldout"]) == (50, 50)
    assert {"how": "cross_fit", "folds": 3}.items() <= more.to_json()["calibration"].items()
    assert [(each.epoch, each.epochs) for each in seen] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[-1].eta_s == 0
    assert len(more.artifact.manifest.training.loss) == 1
    assert list(tmp_path.rglob(".checkpoint*")) == []


def test_folds_below_one_are_refused(hums, tmp_path):
    with pytest.raises(UsageError, match="folds must be 1 or more"):
        train(TrainingRequest("vggish_ocsvm", hums, folds=0, out=tmp_path))


def test_only_the_ids_asked_for_are_trained_on(hums, tmp_path):
    result = train(TrainingRequest("vggish_ocsvm", hums, ids=("02",), out=tmp_path))
    assert result.artifact.manifest.data.ids == ("02",)
    assert (result.to_json()["n_train"], result.to_json()["n_heldout"]) == (25, 25)


def test_the_seed_chooses_the_heldout_clips(hums, tmp_path):
    requests = [TrainingRequest("vggish_ocsvm", hums, seed=seed, folds=1, out=tmp_path) for seed in (0, 0, 1)]
    heldout = [train(request).artifact.manifest.data.heldout_digests for request in requests]
    assert heldout[0] == heldout[1] != heldout[2]


def test_the_scores_kept_are_those_of_training_and_test_clips(trained, hums):
    scores = trained.artifact.scores
    assert {clip.digest for clip in scores.of("test").clips} == digests(hums, "test/*.wav")
    assert {clip.digest for clip in scores.of("heldout").clips} == digests(hums, "train/*.wav")
    assert {clip.label for clip in scores.of("heldout").clips} == {"normal"}


def test_clips_trained_on_are_left_out_of_the_test_and_counted(hums, tmp_path):
    data = Path(shutil.copytree(hums, tmp_path / "data"))
    model = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out")).model
    fitted = sorted((data / "slider" / "train").glob("*_00_*.wav"))
    for i, path in enumerate(fitted[:3]):
        shutil.copy(path, data / "slider" / "test" / f"normal_id_00_{900 + i:08d}.wav")
    report = evaluate(model, data)
    ranking = report.summary.ranking
    assert (report.n_excluded, ranking.n_normal, ranking.n_anomalous) == (3, 8, 8)


def test_own_recordings_are_evaluated_on_the_split_of_their_training(tmp_path):
    data = tmp_path / "My Pump"
    for i in range(40):
        write(data / "normal" / f"{i}.wav", hum(i, seconds=1.0))
    for i in range(5):
        write(data / "leak" / f"{i}.wav", hum(i, seconds=1.0, knocks=3))
    model = train(TrainingRequest("vggish_ocsvm", data, seed=5, out=tmp_path / "out")).model
    assert model.relative_to(tmp_path / "out") == Path("my-pump", "my-pump", "vggish_ocsvm")
    for seed in (0, 1):
        report = evaluate(model, data, seed=seed)
        ranking = report.summary.ranking
        assert (ranking.n_normal, ranking.n_anomalous, report.n_excluded) == (16, 5, 0)


# Thresholds


def test_the_threshold_is_conformal_on_heldout_clips_by_default(trained):
    threshold = trained.artifact.threshold
    heldout = np.sort(trained.artifact.scores.of("heldout").anomaly_scores)
    assert (threshold.rule, threshold.promised_fpr, threshold.n_calibration) == ("conformal", 0.1, 50)
    assert heldout[45] < threshold.value <= np.nextafter(heldout[45], math.inf)  # ceil(51 * 0.9) = 46 of 50
    assert threshold.uses_test_labels is False


@pytest.mark.parametrize("name", ["vggish_ocsvm", "vggish_mahalanobis", "vggish_knn"])
@pytest.mark.parametrize(
    ("n_train", "rule", "promised"), [(5, "highest", None), (8, "highest", None), (9, "conformal", 0.1)]
)
def test_nine_clips_give_a_threshold_that_promises_and_fewer_a_provisional_one(tmp_path, name, n_train, rule, promised):
    data = write_machine(tmp_path / "few", n_train=n_train, n_test=2, n_anomalous=2, ids=("00",))
    result = train(TrainingRequest(name, data, out=tmp_path / "out"))
    report = result.to_json()
    threshold, heldout = report["threshold"], result.artifact.scores.of("heldout").anomaly_scores
    assert (report["n_train"], report["n_heldout"]) == (n_train, n_train)
    assert (threshold["rule"], threshold["promised_fpr"]) == (rule, promised)
    assert threshold["provisional"] is (n_train < 9)
    assert threshold["value"] == np.nextafter(heldout.max(), np.inf)
    assert any(line.startswith("provisional: ") for line in result.warnings) is (n_train < 9)
    rows = score_clips([data / "slider" / "test"], [result.model])
    assert {row.verdict for row in rows if "anomaly" in row.path} == {"anomalous"}
    assert {row.threshold for row in rows} == {threshold["value"]}
    assert evaluate(result.model, data).to_json()["confusion"]["tp"] == 2


def test_a_network_with_few_clips_ends_with_a_provisional_threshold_and_a_way_out(tmp_path):
    data = write_machine(tmp_path / "few", n_train=12, n_test=1, n_anomalous=1, ids=("00",))
    settings = {**TINY_NETWORK, "epochs": 1}
    held_out = train(TrainingRequest("lstm_predictor", data, settings=settings, out=tmp_path / "out"))
    assert held_out.artifact.threshold.provisional
    assert any("--folds 5" in line for line in held_out.warnings)
    crossed = train(TrainingRequest("lstm_predictor", data, settings=settings, folds=5, out=tmp_path / "out"))
    assert (crossed.artifact.threshold.rule, crossed.artifact.threshold.n_calibration) == ("conformal", 12)


def test_from_one_recording_there_is_a_threshold_and_no_promise(hums, tmp_path):
    result = train(
        TrainingRequest("vggish_knn", hums, ids=("00",), rules=FolderRules(recording_by="(t)rain"), out=tmp_path)
    )
    assert result.artifact.threshold.value is not None
    assert result.artifact.threshold.promised_fpr is None
    assert "no_promise: from 1 recording: no promise for new ones" in result.warnings
    assert result.artifact.manifest.promise == "from 1 recording: no promise for new ones"
    assert evaluate(result.model, hums, rule="conformal", rule_value=0.2).summary.threshold.promised_fpr is None


def test_a_recording_that_holds_nearly_all_clips_is_cut_into_runs(tmp_path):
    data = write_machine(tmp_path / "few", n_train=12, n_test=1, n_anomalous=1, ids=("00",))
    result = train(
        TrainingRequest(
            "vggish_knn", data, rules=FolderRules(recording_by=r"id_00_(00000000|\d)"), out=tmp_path / "out"
        )
    )
    calibration = result.artifact.manifest.calibration
    assert (calibration.n, calibration.folds, calibration.keeps_promises) == (12, 4, False)


def test_few_training_clips_leave_a_warning_in_the_manifest(tmp_path):
    data = write_machine(tmp_path / "few", n_train=12, n_test=1, n_anomalous=1, ids=("00",))
    artifact = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out")).artifact
    again = save_threshold(artifact, artifact.threshold, folder=artifact.folder.parent)
    for version in (artifact, again):
        assert any(line.startswith("few_clips: only 12 ") for line in version.manifest.warnings)


def test_a_subsample_is_recorded_in_the_manifest(hums, trained, tmp_path, monkeypatch):
    assert not any(line.startswith("subsample: ") for line in trained.artifact.manifest.warnings)
    monkeypatch.setattr("asd_core.detectors.one_class_svm.MAX_TRAINING_BLOCKS", 15)
    kept = train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path)).artifact.manifest.warnings
    assert "subsample: 15 of 50 training rows kept, drawn by the seed" in kept


def test_a_manifest_tells_how_the_detector_was_made(hums, tmp_path):
    settings = {**TINY_NETWORK, "epochs": 1, "seed": 3, "learning_rate": 0.1 + 0.2}
    manifest = train(TrainingRequest("lstm_predictor", hums, settings=settings, out=tmp_path)).artifact.manifest
    assert manifest.detector == "lstm_predictor"
    assert datetime.fromisoformat(manifest.created_at).tzinfo is not None
    assert manifest.features == FEATURE_CONFIG
    assert {"sr", "n_fft", "hop_length", "n_mels"} <= set(FEATURE_CONFIG)
    recorded = manifest.settings
    assert (recorded["hidden"], recorded["layers"], recorded["seed"], recorded["threads"]) == (8, 1, 3, 1)
    assert recorded["learning_rate"] == "0.30000000000000004"  # floats as repr, so that they come back exact
    assert {"value", "rule", "uses_test_labels", "promised_fpr", "n_calibration"} <= set(manifest.threshold.to_json())
    assert (manifest.calibration.n, manifest.threshold.n_calibration) == (10, 10)
    assert {"mean", "std", "min", "median", "max"} <= set(manifest.calibration.to_json())
    assert len(manifest.data.fingerprint) == 64
    installed = {"python": platform.python_version(), "torch": metadata.version("torch")}
    assert installed.items() <= manifest.versions.items()
    assert {"asd_core", "scipy", "scikit-learn", "soundfile", "soxr", "safetensors"} <= set(manifest.versions)
    assert {name: set(entry) for name, entry in manifest.to_json()["files"].items()} == {
        "state.safetensors": {"sha256", "bytes"},
        "scores.csv": {"sha256", "bytes"},
    }


def test_many_warnings_fit_into_the_manifest_and_keep_those_of_the_training(tmp_path, monkeypatch):
    data = write_machine(tmp_path / "few", n_train=12, n_test=1, n_anomalous=1, ids=("00",))
    lines = tuple(f"train/{'x' * 200}.wav: silent: {i}" for i in range(3000))
    real_readable = train_task.readable
    monkeypatch.setattr(
        train_task,
        "readable",
        lambda *args, **named: dataclasses.replace(real_readable(*args, **named), warnings=lines),
    )
    kept = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out")).artifact.manifest.warnings
    assert len(kept) < 100
    assert any(line.startswith("few_clips: ") for line in kept)
    assert kept[-1] == "more: 5950 clips with warnings"


# Refusals before and after the fit


def test_fewer_than_three_distinct_clips_are_refused(tmp_path):
    for i in range(20):
        write(tmp_path / "data" / "slider" / "train" / f"normal_id_00_{i:08d}.wav", hum(i % 2, seconds=1.0))
    with pytest.raises(InputError, match="at least 3 distinct normal clips"):
        train(TrainingRequest("vggish_ocsvm", tmp_path / "data", out=tmp_path / "out"))
    assert list((tmp_path / "out").rglob("current")) == []


def test_a_detector_that_scores_all_clips_alike_is_refused(hums, tmp_path, monkeypatch):
    monkeypatch.setattr(OneClassSvm, "_anomaly_score", lambda *_: 0.0)
    with pytest.raises(InputError, match="all 50 held-out clips have the same score"):
        train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path))
    assert list(tmp_path.rglob("current")) == []


def test_a_data_set_without_normal_training_clips_is_refused(tmp_path):
    write(tmp_path / "data" / "a.wav", hum(1))
    with pytest.raises(DataSetError, match=r"no normal training clips.*--normal \."):
        train(TrainingRequest("vggish_ocsvm", tmp_path / "data", out=tmp_path / "out"))


def test_unreadable_clips_are_listed_and_the_rest_is_used(tmp_path):
    data = write_machine(tmp_path / "data", n_train=15, n_test=1, n_anomalous=1, ids=("00",))
    (data / "slider" / "train" / "normal_id_00_00000003.wav").write_bytes(b"RIFF")
    (data / "slider" / "test" / "normal_id_00_00000000.wav").write_bytes(b"x" * 100)
    result = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out"))
    report = result.to_json()
    assert report["n_train"] == report["n_heldout"] == 14
    assert [entry["path"] for entry in report["refused"]] == [
        "train/normal_id_00_00000003.wav",
        "test/normal_id_00_00000000.wav",
    ]
    assert all(entry["reason"].partition(": ")[0] in ("empty", "magic", "fmt") for entry in report["refused"])


def test_clips_shorter_than_a_window_are_refused_one_by_one(tmp_path):
    data = write_machine(tmp_path / "data", n_train=12, n_test=2, n_anomalous=2, ids=("00",))
    for split in ("train", "test"):
        write(data / "slider" / split / "normal_id_00_00000077.wav", hum(7, seconds=0.6))
    settings = {**TINY_NETWORK, "epochs": 1, "window": 24}
    result = train(TrainingRequest("lstm_predictor", data, settings=settings, out=tmp_path / "out"))
    refused = result.to_json()["refused"]
    assert [entry["path"][:5] for entry in refused] == ["train", "test/"]
    assert all("at least 0.768 s, this one has 0.6 s" in entry["reason"] for entry in refused)
    report = evaluate(result.model, data)
    assert (report.summary.ranking.n_normal, len(report.refused)) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"settings": {"seed": -3}}, "seed"),
        ({"preset": "slow"}, "preset"),
        ({"settings": {"colour": 1}}, "colour"),
        ({"detector": "transformer"}, "detector must be one of"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_before_anything_is_written(hums, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        train(TrainingRequest(**{"detector": "vggish_ocsvm", "data": hums, "out": tmp_path, **changes}))
    assert list(tmp_path.iterdir()) == []


# Evaluation

EVALUATE_KEYS = {
    *("schema", "command", "warnings", "model", "detector", "encoder", "simulated", "n_normal", "n_anomalous"),
    *("n_excluded", "auc_pooled", "auc_mean", "pauc_mean", "ids_excluded", "per_id", "threshold", "confusion"),
    *("accuracy", "per_class"),
}
ADDED_KEYS = {"version", "title", "refused", "data_simulated", "auc_pooled_ci", "auc_mean_ci", "pauc_mean_ci"}


def test_evaluate_has_the_keys_that_programs_rely_on(trained, hums):
    report = json.loads(json.dumps(evaluate(trained.model, hums).to_json(), allow_nan=False))
    assert set(report) >= EVALUATE_KEYS | ADDED_KEYS
    assert (report["schema"], report["command"], report["detector"]) == (1, "evaluate", "vggish_ocsvm")
    assert (report["encoder"], report["simulated"], report["n_excluded"]) == ("logmel_stats", False, 0)
    assert set(report["per_id"]) == {"00", "02"}
    assert set(report["per_id"]["00"]) == {"auc", "pauc", "n_normal", "n_anomalous"}
    assert {"value", "rule", "uses_test_labels", "promised_fpr", "observed_fpr"} <= set(report["threshold"])
    assert set(report["confusion"]) == {"tn", "fp", "fn", "tp"}
    assert set(report["per_class"]) == {"normal", "anomalous"}
    assert set(report["per_class"]["normal"]) == {"precision", "recall", "f1", "support"}
    assert report["per_class"]["anomalous"]["support"] == report["n_anomalous"] == 8
    for name in ("auc_pooled", "auc_mean", "pauc_mean"):
        assert (report[name], report[f"{name}_ci"]) == (1.0, None)
        assert f"{name}: interval not defined (no spread among 8 + 8 clips)" in report["warnings"]
    assert 0 <= report["threshold"]["observed_fpr_ci"][0] < report["threshold"]["observed_fpr_ci"][1] <= 1


def test_train_has_the_keys_that_programs_rely_on(trained):
    report = json.loads(json.dumps(trained.to_json(), allow_nan=False))
    assert {"schema", "command", "warnings", "model", "detector", "encoder", "n_train", "n_heldout"} <= set(report)
    assert report["heldout_loss"] is None
    assert report["seconds"] > 0
    assert report["threshold"]["rule"] == "conformal"
    assert Path(report["model"]) == trained.model
    assert (report["simulated"], report["data_simulated"]) == (False, False)


def test_a_data_set_of_normal_clips_gives_threshold_and_false_alarms_but_no_auc(tmp_path):
    data = write_machine(tmp_path / "normal", n_train=50, n_test=6, n_anomalous=0, ids=("00",))
    result = train(TrainingRequest("vggish_ocsvm", data, out=tmp_path / "out"))
    report = json.loads(json.dumps(evaluate(result.model, data).to_json(), allow_nan=False))
    assert report["auc_pooled"] is report["auc_mean"] is report["pauc_mean"] is None
    assert report["auc_pooled_ci"] is report["auc_mean_ci"] is report["pauc_mean_ci"] is None
    assert report["threshold"]["value"] is not None
    assert 0 <= report["threshold"]["observed_fpr"] <= 1
    assert (report["n_normal"], report["n_anomalous"]) == (6, 0)
    assert report["ids_excluded"] == ["00"]
    assert any(line.startswith("auc_pooled: ") for line in report["warnings"])


def test_an_evaluation_without_labelled_clips_is_refused(trained, tmp_path):
    write(tmp_path / "loose" / "a.wav", hum(1))
    with pytest.raises(DataSetError, match=r"no labelled test clips.*; put recordings .* into test/normal"):
        evaluate(trained.model, tmp_path / "loose")


def test_a_rule_replaces_the_threshold_for_this_report_only(trained, hums):
    decisions = evaluate(trained.model, hums, rule="manual", rule_value=1e9).summary.decisions
    assert decisions.threshold.rule == "manual"
    assert decisions.confusion == Confusion(tn=8, fp=0, fn=8, tp=0)
    assert evaluate(trained.model, hums, rule="best_f1").summary.threshold.uses_test_labels is True
    assert open_artifact(trained.model).threshold == trained.artifact.threshold
    with pytest.raises(UsageError, match="rule must be one of"):
        evaluate(trained.model, hums, rule="guess")


def test_the_detectors_own_machine_is_taken_where_the_root_holds_several(trained, hums, tmp_path):
    data = Path(shutil.copytree(hums, tmp_path / "two"))
    shutil.copytree(data / "slider", data / "fan")
    assert not any("other_machine" in line for line in evaluate(trained.model, data).warnings)
    report = evaluate(trained.model, data, machine="fan")
    assert report.warnings[0] == "other_machine: trained on slider"


def test_a_simulated_bench_is_called_simulated_and_names_its_kinds(tmp_path):
    size = BenchSize("tiny", {"00": IdCounts(12, 2, 3)})
    root = write_bench(tmp_path / "simulated-tiny", size=size)
    result = train(TrainingRequest("vggish_ocsvm", root, out=tmp_path / "out"))
    assert result.to_json()["simulated"] is True
    assert result.model.parts[-3:] == ("simulated-tiny", "slider", "vggish_ocsvm")
    assert evaluate(result.model, root).simulated is True
    kinds = {clip.kind for clip in result.artifact.scores.clips if clip.label == "anomalous"}
    assert len(kinds) == 3
    assert "" not in kinds
    rows = score_clips([root / "slider" / "test"], [result.model])
    assert {row.status for row in rows} == {"ok"}  # a 10-s clip is exactly one block


def test_scoring_agrees_with_the_scores_kept_at_training(trained, hums):
    rows = score_clips([hums / "slider" / "test"], [trained.model])
    kept = {clip.path: clip.anomaly_score for clip in trained.artifact.scores.of("test").clips}
    assert {Path(row.path).name: row.anomaly_score for row in rows} == {
        Path(path).name: score for path, score in kept.items()
    }
    anomalous = {Path(row.path).name for row in rows if row.verdict == "anomalous"}
    assert anomalous >= {name for name in (Path(row.path).name for row in rows) if name.startswith("anomaly")}


def test_slugs_are_folder_names_and_never_empty():
    assert [slug(text) for text in ("My Pump 3", "../..", "Ä", "a/b", "")] == [
        "my-pump-3",
        "data",
        "data",
        "a-b",
        "data",
    ]


# Where a detector goes, and who may write there


def test_a_read_only_data_set_gets_a_folder_beside_it(hums, tmp_path):
    (tmp_path / "hums-1").mkdir()
    (tmp_path / "hums-1" / "READ_ONLY").write_text("")
    result = train(TrainingRequest("vggish_ocsvm", hums, out=tmp_path))
    assert result.model == tmp_path / "hums-1-own" / "slider" / "vggish_ocsvm"
    assert [path.name for path in (tmp_path / "hums-1").iterdir()] == ["READ_ONLY"]


def test_a_second_trainer_of_the_same_detector_is_told_busy(hums, tmp_path):
    request = TrainingRequest("vggish_ocsvm", hums, out=tmp_path)
    model = train(request).model
    with locked(model), pytest.raises(BusyError, match="busy"):
        train(request)
    assert len(list(model.glob("v*"))) == 1
    train(request)
    assert open_artifact(model).version.startswith("v0002-")


def test_the_same_request_gives_the_same_state_and_scores(hums, tmp_path):
    results = [
        train(TrainingRequest("lstm_predictor", hums, settings={**TINY_NETWORK, "epochs": 1}, out=tmp_path / str(i)))
        for i in range(2)
    ]
    first, second = (result.artifact.detector().state for result in results)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert results[0].artifact.scores == results[1].artifact.scores
    assert results[0].artifact.threshold == results[1].artifact.threshold


# Going on after a kill


def test_a_killed_training_goes_on_and_ends_as_if_never_stopped(hums, tmp_path, monkeypatch):
    settings = {**TINY_NETWORK, "epochs": 40}
    options = [f"--set={name}={value}" for name, value in settings.items()]
    command = ["train", "lstm_predictor", "--data", hums, "--out", tmp_path / "killed", *options]
    trainer = subprocess.Popen(
        [sys.executable, "-m", "asd_core", *map(str, command)], stderr=subprocess.PIPE, text=True, cwd=PROJECT
    )
    with trainer:
        shown = next(line for line in trainer.stderr if line.startswith("epoch 2/40"))
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
    assert shown
    epochs, real_epoch = [], training._train_epoch

    def train_epoch(loss_of, optimiser, windows, plan, epoch, should_stop):
        epochs.append(epoch)
        return real_epoch(loss_of, optimiser, windows, plan, epoch, should_stop)

    monkeypatch.setattr(training, "_train_epoch", train_epoch)
    request = TrainingRequest("lstm_predictor", hums, settings=settings, out=tmp_path / "killed", resume=True)
    seen = []
    resumed = train(request, on_progress=seen.append)
    assert epochs[0] >= 2  # what was shown as finished is not done again
    assert [progress.epoch for progress in seen] == list(range(1, 41))
    straight = train(TrainingRequest("lstm_predictor", hums, settings=settings, out=tmp_path / "straight"))
    before, after = straight.artifact.detector().state, resumed.artifact.detector().state
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert list(resumed.model.glob(".checkpoint-*")) == []


KILL_TRAININGS = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from asd_core.artifacts.store import open_artifact
from asd_core.tasks.train import TrainingRequest, train
data, out, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
request = TrainingRequest("lstm_predictor", data, settings=json.loads(sys.argv[4]), out=out, resume=True)
model = out / "hums-1" / "slider" / "lstm_predictor"

def start():
    child = os.fork()
    if child == 0:
        try:
            train(request)
            os._exit(0)
        finally:
            os._exit(1)
    return child

began = time.monotonic()
assert os.waitpid(start(), 0)[1] == 0
whole_s = time.monotonic() - began
rng, newest, wrong, killed = random.Random(8), 1, [], 0
for _ in range(rounds):
    child = start()
    time.sleep(rng.uniform(0, 1.1 * whole_s))
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        artifact = open_artifact(model)
        artifact.detector(), artifact.scores
        number = int(artifact.version[1:5])
        if number < newest:
            wrong.append(f"went back from {newest} to {number}")
        newest = number
    except Exception as error:
        wrong.append(repr(error))
last = os.waitpid(start(), 0)[1]
now = open_artifact(model).version
print(json.dumps({"wrong": wrong, "killed": killed, "last": last, "newest": newest, "now": now}))
"""


@pytest.mark.soak
@pytest.mark.slow
def test_thirty_kills_in_mid_training_leave_a_readable_version_never_an_older_one(hums, tmp_path):
    settings = json.dumps({**TINY_NETWORK, "epochs": 3})
    done = subprocess.run(
        [sys.executable, "-c", KILL_TRAININGS, hums, tmp_path, "30", settings],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["wrong"] == []
    assert outcome["killed"] >= 20
    assert outcome["last"] == 0
    assert int(outcome["now"][1:5]) == outcome["newest"] + 1


def stopped_training(hums, out, **changes):
    polls = iter(range(10_000))
    request = TrainingRequest("lstm_predictor", hums, settings=TINY_NETWORK, out=out, **changes)
    with pytest.raises(TrainingStopped):
        train(request, should_stop=lambda: next(polls) >= 10)
    return request


def checkpoints_read(monkeypatch):
    """What trainings from now on find in their checkpoint."""
    found, real_resume = [], training._resume

    def resume(network, optimiser, checkpoint):
        found.append(checkpoint.read())
        return real_resume(network, optimiser, checkpoint)

    monkeypatch.setattr(training, "_resume", resume)
    return found


def test_resume_finds_the_finished_epochs(hums, tmp_path, monkeypatch):
    request = stopped_training(hums, tmp_path)
    found = checkpoints_read(monkeypatch)
    train(dataclasses.replace(request, resume=True))
    assert len(found[0]["history"]) == 2


def test_without_resume_a_training_starts_anew(hums, tmp_path, monkeypatch):
    request = stopped_training(hums, tmp_path)
    assert len(list(tmp_path.rglob(".checkpoint-*"))) == 1
    found = checkpoints_read(monkeypatch)
    train(request)
    assert found == [None]


def test_a_training_never_goes_on_from_another_split(hums, tmp_path, monkeypatch):
    request = stopped_training(hums, tmp_path / "out")
    data = Path(shutil.copytree(hums, tmp_path / "renamed"))
    for number, path in enumerate(sorted((data / "slider" / "train").glob("*_00_*"), reverse=True)):
        path.rename(path.with_name(f"normal_id_00_{500 + number:08d}.wav"))
    found = checkpoints_read(monkeypatch)
    train(dataclasses.replace(request, data=data, name="hums-1", resume=True))
    assert found == [None]
