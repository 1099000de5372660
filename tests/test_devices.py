"""Where networks train: what may be asked for, what is taken, and that a version tells; no test needs a GPU."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.cli import main
from asd_core.detectors import DETECTOR_NAMES, detector_class, on_networks
from asd_core.detectors.networks.training import WindowSet, initialise
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.detectors.presets import differences
from asd_core.errors import UsageError
from asd_core.jobs import run as job_run
from asd_core.reports.reproduce import reproduce
from asd_core.system import devices
from asd_core.tasks.recalibrate import training_request
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

NETWORKS = ("lstm_predictor", "gru_autoencoder", "dcase_autoencoder")
TINY = {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64}


@pytest.fixture
def machine(monkeypatch):
    """Return a function that gives torch the named devices beside the processor."""
    import torch

    def has(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    has()
    return has


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """Own recordings: 12 normal clips."""
    folder = tmp_path_factory.mktemp("own") / "pump" / "normal"
    folder.mkdir(parents=True)
    for i in range(12):
        sf.write(folder / f"{i}.wav", hum(i, seconds=1.0).samples, SR, subtype="PCM_16")
    return folder.parent


@pytest.mark.parametrize(
    ("there", "asked", "taken"),
    [
        ((), "auto", "cpu"),
        (("cuda",), "auto", "cuda"),
        (("mps",), "auto", "cpu"),  # by name only
        (("cuda", "mps"), "mps", "mps"),
        (("cuda",), "cpu", "cpu"),
        (("cuda",), "cuda", "cuda"),
    ],
)
def test_the_device_that_is_taken_follows_what_is_asked_for_and_what_is_there(machine, there, asked, taken):
    machine(*there)
    assert devices.chosen_device(asked) == taken


@pytest.mark.parametrize("asked", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_computed(machine, monkeypatch, asked):
    detector = detector_class("lstm_predictor").from_preset("quick", device=asked)
    monkeypatch.setattr(NetworkDetector, "_frames", lambda *_: pytest.fail("features were computed"))
    with pytest.raises(UsageError, match=f"PyTorch finds no {asked} device on this machine, it has cpu; take auto or"):
        detector.fit([hum(0), hum(1)])
    assert not detector.fitted


@pytest.mark.parametrize("name", NETWORKS)
def test_an_unknown_device_is_refused_by_name(name):
    with pytest.raises(UsageError, match="device must be one of auto, cpu, cuda, mps; got 'tpu'"):
        detector_class(name).from_preset("quick", device="tpu")


@pytest.mark.parametrize(
    ("platform", "driver", "may"), [("linux", False, False), ("linux", True, True), ("darwin", False, True)]
)
def test_a_gpu_is_looked_for_only_where_it_may_be(monkeypatch, tmp_path, platform, driver, may):
    place = tmp_path / "driver"
    if driver:
        place.touch()
    monkeypatch.setattr(devices, "_DRIVERS", (str(place),))
    monkeypatch.setattr(devices.sys, "platform", platform)
    assert devices.has_gpu_driver() is may


def test_products_on_cuda_keep_their_precision_and_the_setting_is_put_back():
    import torch

    before = torch.backends.cudnn.allow_tf32
    assert before  # torch's default, which the block must change
    inside = []

    def fail():
        inside.append(torch.backends.cudnn.allow_tf32)
        raise RuntimeError("it went wrong")

    with pytest.raises(RuntimeError, match="it went wrong"), devices.full_precision("cuda"):
        fail()
    assert inside == [False]
    assert torch.backends.cudnn.allow_tf32 is before
    with devices.full_precision("cpu"):
        assert torch.backends.cudnn.allow_tf32 is before


@pytest.mark.parametrize("name", NETWORKS)
def test_the_training_gets_the_device_and_the_detector_tells_which(name, monkeypatch):
    plans = []
    monkeypatch.setattr(on_networks, "chosen_device", {"auto": "meta"}.__getitem__)  # torch's own stand-in for a device
    monkeypatch.setattr(on_networks, "train_network", lambda *given, **_: plans.append(given[-1]))
    detector = detector_class(name).from_preset("quick", epochs=1, windows_per_epoch=64)
    assert detector.trained_on == "cpu"
    detector.fit([hum(0, seconds=1.0), hum(1, seconds=1.0)])
    assert [plan.device for plan in plans] == ["meta"]
    assert detector.trained_on == "meta"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("conditioning", ["none", "bands", "equal_bands"])
def test_all_that_an_update_multiplies_lies_on_the_device(name, conditioning):
    """Torch's `meta` device computes shapes alone, and refuses to mix with the processor as a GPU would."""
    settings = {} if name == "dcase_autoencoder" else {"conditioning": conditioning, "hidden": 8}
    detector = detector_class(name).from_preset("quick", **settings)
    detector._trained_on = "meta"
    network = detector._build()
    initialise(network, seed=0)
    frames = np.random.default_rng(0).random((40, 128), dtype=np.float32)
    windows = WindowSet.of([frames], length=detector._window_frames)
    losses = []

    def one_update(network, loss_of, windows, heldout, plan):
        there = windows.to(plan.device)
        losses.append(loss_of_batch(network.to(plan.device), loss_of, there))
        network.to_empty(device="cpu")

    detector._train(network, windows, windows, one_update)
    assert {loss.device.type for loss in losses} == {"meta"}


def loss_of_batch(network, loss_of, windows):
    loss = loss_of(windows.batch(windows.starts[:4]))
    loss.backward()
    assert all(each.grad.device.type == "meta" for each in network.parameters() if each.requires_grad)
    return loss


def test_where_a_network_trains_is_no_difference_between_presets():
    kind = detector_class("lstm_predictor")
    assert differences(kind.from_preset("quick", device="cpu"), kind.from_preset("quick")) == {}


def test_a_version_tells_where_it_was_trained(pump, tmp_path):
    report = train(TrainingRequest("lstm_predictor", pump, settings={**TINY, "device": "cpu"}, out=tmp_path))
    assert report.to_json()["device"] == "cpu"
    manifest = open_artifact(report.model).manifest
    assert (manifest.training.device, manifest.settings["device"]) == ("cpu", "cpu")
    assert train(TrainingRequest("vggish_knn", pump, out=tmp_path)).to_json()["device"] == "cpu"


@pytest.mark.parametrize("name", ["lstm_predictor", "vggish_knn"])
def test_a_version_of_an_earlier_release_is_read_without_a_device_and_written_back_as_it_was(name):
    manifest = open_artifact(PROJECT / "artifacts" / "simulated-small" / "slider" / name).manifest
    assert manifest.training.device is None
    assert "device" not in manifest.training.to_json()


@pytest.mark.parametrize(
    ("asked", "used", "again"), [("cpu", "cpu", "cpu"), ("auto", "cuda", "auto"), ("cuda", "cuda", "auto")]
)
def test_recalibrated_it_takes_the_processor_again_but_no_gpu_that_may_be_elsewhere(pump, tmp_path, asked, used, again):
    artifact = train(TrainingRequest("lstm_predictor", pump, settings=TINY, out=tmp_path)).artifact
    manifest = artifact.manifest
    settings, training = {**manifest.settings, "device": asked}, replace(manifest.training, device=used)
    made = replace(artifact, manifest=replace(manifest, settings=settings, training=training))
    assert training_request(made, pump).settings["device"] == again


def test_a_stopped_training_goes_on_from_its_checkpoint_on_another_device(pump, tmp_path):
    from asd_core.errors import TrainingStopped

    request = TrainingRequest("lstm_predictor", pump, settings={**TINY, "device": "cpu"}, out=tmp_path)
    epochs = []
    with pytest.raises(TrainingStopped):
        train(request, on_progress=lambda each: epochs.append(each.epoch), should_stop=lambda: 1 in epochs)
    seen = []
    train(
        replace(request, settings={**TINY, "device": "auto"}, resume=True),
        on_progress=lambda each: seen.append(each.epoch),
    )
    assert seen[0] == 1  # told from the checkpoint: without one, 0 comes first


def test_the_command_takes_a_device_and_writes_which_was_used(machine, pump, tmp_path, capsys):
    tiny = [f"--set={name}={value}" for name, value in TINY.items()]
    arguments = ["train", "lstm_predictor", "--data", str(pump), "--out", str(tmp_path), *tiny]
    assert main([*arguments, "--device", "cpu", "--json", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["device"] == "cpu"
    capsys.readouterr()
    for device, message in (("cuda", "PyTorch finds no cuda device"), ("tpu", "device must be one of auto, cpu")):
        assert main([*arguments, "--device", device]) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert shown.count("\n") == 1


def test_a_detector_without_a_network_takes_the_processor_and_refuses_a_gpu(pump, tmp_path, capsys):
    arguments = ["train", "vggish_knn", "--data", str(pump), "--out", str(tmp_path)]
    assert main([*arguments, "--device", "cpu"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--device", "cuda"]) == 2
    assert "vggish_knn is fitted on the processor; only networks train on cuda" in capsys.readouterr().err


def test_an_experiment_on_a_device_that_is_not_there_is_refused_before_the_first_detector(machine, tmp_path):
    with pytest.raises(UsageError, match="PyTorch finds no cuda device"):
        reproduce(tmp_path / "nowhere", tmp_path, device="cuda")


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_job_that_may_use_a_gpu_has_no_limit_on_addresses(monkeypatch, tmp_path, name):
    request = TrainingRequest(name, tmp_path)
    monkeypatch.setattr(job_run, "has_gpu_driver", lambda: True)
    assert job_run.may_use_gpu(request) is (name in NETWORKS)
    assert not job_run.may_use_gpu(replace(request, settings={"device": "cpu"}))
    monkeypatch.setattr(job_run, "has_gpu_driver", lambda: False)
    assert not job_run.may_use_gpu(request)
