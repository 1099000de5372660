"""Another threshold for a trained detector: from the shell, and by calibrating an old one anew."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import soundfile as sf
from sounds import hum

from asd_core.artifacts.manifest import CalibrationSummary
from asd_core.artifacts.store import locked, open_artifact, republish
from asd_core.artifacts.versions import READ_ONLY_MARK
from asd_core.cli import main
from asd_core.data.folder_rules import FolderRules
from asd_core.errors import ThresholdError, UsageError
from asd_core.tasks.recalibrate import recalibrate
from asd_core.tasks.set_threshold import set_threshold
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """Own recordings: 24 normal clips of six days, six anomalous ones."""
    root = tmp_path_factory.mktemp("own") / "pump"
    for i in range(24):
        write(root / "normal" / f"day{i // 4}_{i}.wav", hum(i, seconds=1.0))
    for i in range(6):
        write(root / "squeal" / f"{i}.wav", hum(100 + i, seconds=1.0, knocks=3))
    return root


def write(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, waveform.samples, SR, subtype="PCM_16")


@pytest.fixture
def model(pump, tmp_path):
    request = TrainingRequest(
        "vggish_knn",
        pump,
        settings={"k": 2},
        seed=3,
        channel=0,
        rules=FolderRules(recording_by=r"day\d"),
        out=tmp_path / "out",
    )
    return train(request).model


def made_old(model):
    """The same version, as a release without calibration by recording would have written it."""
    artifact = open_artifact(model)
    calibration = CalibrationSummary(n=artifact.manifest.calibration.n)
    with locked(model):
        return republish(model, artifact, manifest=replace(artifact.manifest, calibration=calibration))


def test_an_old_detector_says_so_and_is_recalibrated_with_the_settings_it_has(model, pump):
    old = made_old(model)
    assert old.manifest.calibration.is_old
    assert "calibrated the old way" in old.manifest.promise
    new = recalibrate(model, pump).artifact
    assert new.folder.parent == old.folder.parent
    assert not new.manifest.calibration.is_old
    assert new.manifest.settings == old.manifest.settings
    assert new.manifest.settings["k"] == 2
    assert (new.channel, new.manifest.data.ids) == (0, ("00",))
    assert new.manifest.data.recording_by == r"day\d"
    assert new.manifest.data.fingerprint == old.manifest.data.fingerprint
    expected = {"how": "cross_fit", "n_recordings": 4, "recordings_from": "given"}
    assert expected.items() <= new.manifest.calibration.to_json().items()
    assert "rests on 4 recordings" in new.manifest.promise


def test_one_command_recalibrates(model, pump, tmp_path, capsys):
    made_old(model)
    assert main(["recalibrate", str(model), "--data", str(pump), "--json", str(tmp_path / "r.json")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == str(model)
    assert "new recordings of the same machine, microphone and place" in printed.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["command"], report["calibration"]["how"]) == ("recalibrate", "cross_fit")


def test_another_machine_is_not_recalibrated(model, pump):
    with pytest.raises(UsageError, match="was trained on pump, not on fan"):
        recalibrate(model, pump, machine="fan")


def test_what_came_with_the_project_is_recalibrated_beside_it(model, pump):
    (model.parents[1] / READ_ONLY_MARK).touch()
    new = recalibrate(model, pump).model
    assert new.parents[1].name == "pump-own"
    assert open_artifact(model).version != open_artifact(new).version


def test_a_rule_is_saved_from_the_shell_with_its_reason(model, tmp_path, capsys):
    before = open_artifact(model)
    words = ["--rule", "conformal", "--value", "0.2", "--reason", "fewer misses", "--json", str(tmp_path / "t.json")]
    assert main(["threshold", str(model), *words]) == 0
    after = open_artifact(model)
    assert (after.threshold.rule, after.threshold.promised_fpr) == ("conformal", 0.2)
    assert after.threshold.value < before.threshold.value
    assert (after.manifest.parent, after.manifest.threshold_reason) == (before.version, "fewer misses")
    assert after.manifest.calibration == before.manifest.calibration
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(model)
    assert "at most 20 % of normal clips" in printed[0]
    report = json.loads((tmp_path / "t.json").read_text())
    assert (report["command"], report["version"], report["parent"]) == ("threshold", after.version, before.version)
    assert report["threshold"]["value"] == after.threshold.value


def test_a_rule_on_test_labels_says_so_and_promises_nothing(model, capsys):
    assert main(["threshold", str(model), "--rule", "youden"]) == 0
    captured = capsys.readouterr()
    assert "test_labels: " in captured.err
    assert "chosen on test labels: no promise" in captured.out
    assert open_artifact(model).threshold.uses_test_labels


def test_a_rule_that_cannot_work_or_is_unknown_changes_nothing(model):
    before = open_artifact(model).version
    with pytest.raises(ThresholdError, match="needs at least 99 held-out"):
        set_threshold(model, "conformal", rule_value=0.01)
    assert main(["threshold", str(model), "--rule", "loudest"]) == 2
    assert main(["threshold", str(model), "--rule", "conformal", "--value", "2"]) == 2
    assert open_artifact(model).version == before
