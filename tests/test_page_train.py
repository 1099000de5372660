"""The Train page without a browser: the form, a tiny run in its own process, history, versions."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from printed import figures
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import list_versions, open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.data.folder_rules import FolderRules
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.detectors import detector_class
from asd_core.detectors.presets import unlike_paper_text
from asd_core.jobs import queue as jobs
from asd_core.jobs import table as job_table
from asd_core.jobs.listing import list_jobs
from asd_core.tasks.train import TrainingRequest
from pages.parts.train import fields as form_fields
from pages.parts.train.fields import MEANINGS

HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1))"
WAIT_S = 180


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Small uploads that a detector can be trained on, made once."""
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home))
        clips = [Upload(f"n{i}.wav", encode_wav(hum(i, seconds=1.0).samples)) for i in range(34)]
        store_uploads("pump", clips, used=Quota())
        faults = [Upload(f"a{i}.wav", encode_wav(hum(i, seconds=1.0, knocks=3).samples)) for i in range(4)]
        store_uploads("pump", faults, used=Quota(), kind="knock")
    return home


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """An installation of its own with those uploads and no detectors; its trainings are ended afterwards."""
    shutil.copytree(made / "uploads", tmp_path / "data" / "uploads")
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))
    library.add_folder("pump", tmp_path / "data" / "uploads" / "pump")
    yield tmp_path / "data"
    for job in list_jobs():
        if job.is_active:
            jobs.cancel(job)


@pytest.fixture
def page(home):
    """Return a function that opens a view of the page."""

    def open_(view: str = "new", **choices: str) -> AppTest:
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        preset = {"train_view": view, "set": "pump/pump", "train_detector": "lstm_predictor", **choices}
        for key, value in preset.items():
            test.session_state[key] = value
        return test.switch_page("pages/train.py").run()

    return open_


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "success", "title", "metric")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def button(app: AppTest, label: str):
    return next(each for each in app.button if each.label == label)


def set_tiny(app: AppTest, detector: str = "lstm_predictor", **others: object) -> AppTest:
    values = {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64} | others
    for name, value in values.items():
        key = f"hp:{detector}:quick:{name}"
        numbers = [field for field in app.number_input if field.key == key]
        (numbers[0] if numbers else app.text_input(key=key)).set_value(value)
    return app


def finished(job: job_table.Job) -> job_table.Job:
    deadline = time.monotonic() + WAIT_S
    while job_table.read_job(job.folder).is_active and time.monotonic() < deadline:
        jobs.clear_dead_jobs()
        time.sleep(0.3)
    return job_table.read_job(job.folder)


def request(home: Path, **changes: object) -> TrainingRequest:
    tiny = {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64}
    base = TrainingRequest(
        "lstm_predictor",
        home / "uploads" / "pump",
        rules=FolderRules(normal=("normal",), ids_from="folder"),
        name="pump",
        settings=tiny,
        out=home.parent / "artifacts",
    )
    return replace(base, **changes)


@pytest.mark.parametrize("detector", ["gru_autoencoder", "vggish_knn"])
def test_the_form_says_in_which_settings_quick_differs_from_paper(page, detector):
    differs = f"Where quick differs from paper: {unlike_paper_text(detector_class(detector))}."
    assert differs in text_of(page(train_detector=detector))
    assert "Where quick differs" not in text_of(page(train_detector=detector, train_preset="paper"))


def test_the_words_about_a_stride_are_the_measured_figures():
    """Those of docs/performance_notes.md: per network and stride, the AUC and how many times as fast."""
    notes = (PROJECT / "docs" / "performance_notes.md").read_text(encoding="utf-8").split("## A stride of scoring")[1]
    rows = {(name, int(k)): rest for name, k, *rest in re.findall(
        r"^\| (LSTM|GRU) \| (\d+) \| (\.\d+) \| [\d.]+ \| ([\d.]+) \|$", notes, re.MULTILINE
    )}  # fmt: skip
    text = MEANINGS["stride"].text
    for stride, said in ((2, "1.7 times as fast at 2"), (5, "3.1 to 3.4 at 5"), (10, "4.2 to 4.7 at 10")):
        speeds = sorted({rows[name, stride][1] for name in ("LSTM", "GRU")})
        assert figures(said) == [*speeds, str(stride)]
        assert said in text
    lstm = rows["LSTM", 1][0], rows["LSTM", 10][0]
    assert f"fell from {lstm[0]} to {lstm[1]}" in text
    assert rows["GRU", 1][0] == rows["GRU", 10][0]
    assert "`python -m benchmarks.stride`" in text


def test_the_words_about_pooling_are_the_measured_figures():
    """Those of docs/evaluation.md, where pooling by the mean and by std stand side by side, on a real lathe."""
    table = (PROJECT / "docs" / "evaluation.md").read_text(encoding="utf-8").split("| real lathe |")[1]
    text = MEANINGS["pooling"].text
    lathe = re.findall(r"^\| [\w ]+ \| (\.\d+) / \.\d+ \| (\.\d+) / \.\d+ \|$", table, re.MULTILINE)
    costs = sorted(float(mean) - float(std) for mean, std in lathe)
    assert len(costs) == 3
    assert f"costs all three, {costs[0]:.2f} to {costs[-1]:.2f}".replace("0.", ".") in text


def test_a_tiny_run_is_submitted_trains_in_its_own_process_and_shows_its_result(page, home):
    app = set_tiny(page())
    app.text_input(key="train_name:pump").set_value("Winter")
    button(app, "Start training").click().run()
    assert not app.exception
    assert "Training now" in text_of(app)
    (job,) = list_jobs()
    assert job.request.settings == {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64}
    assert job.request.name == "winter"
    done = finished(job)
    assert done.state == "done", job_table.log_text(done)
    app = page("runs")
    assert not app.exception
    assert "Training now" not in text_of(app)
    assert [metric.label for metric in app.metric][:1] == ["AUC, mean over ids"]
    assert len(app.get("plotly_chart")) == 1
    settings = next(each.value for each in app.dataframe if "Setting" in each.value).set_index("Setting")["Value"]
    assert settings["Trained on"] == "the processor"
    assert library.clips_folder("winter", "pump") == home / "uploads" / "pump"
    assert open_artifact(Path(done.status.model)).manifest.data.data_set == "winter"
    button(app, "See it on the ROC").click().run()
    assert app.session_state["set"] == "winter/pump"
    assert app.session_state["detector"] == "lstm_predictor"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("hidden", 0, "hidden must be 1"),
        ("learning_rate", "fast", "learning_rate must be a number"),
        ("learning_rate", "nan", "learning_rate must be positive"),
        ("epochs", -1, "epochs must be positive"),
        ("learning_rate", HOSTILE[:40], "learning_rate must be a number"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_anything_is_started(page, name, value, reason):
    app = set_tiny(page(), **{name: value})
    button(app, "Start training").click().run()
    assert not app.exception
    assert reason in text_of(app)
    assert list_jobs() == []
    assert not any("<img" in element.value for element in [*app.markdown, *app.caption])


def test_every_field_has_a_help_text_and_every_setting_a_meaning(page):
    from asd_core.detectors import DETECTOR_NAMES
    from pages.parts.train.fields import MEANINGS, preset_values

    for detector in DETECTOR_NAMES:
        for preset in ("quick", "paper"):
            assert set(preset_values(detector, preset)) - {"threads"} <= set(MEANINGS), detector
        app = page(train_detector=detector)
        assert not app.exception
        fields = [*app.number_input, *app.text_input, *app.selectbox, *app.multiselect]
        assert all(field.help for field in fields), [field.label for field in fields if not field.help]


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that gives torch the named devices beside the processor."""

    def has(*names):
        monkeypatch.setattr(form_fields, "has_gpu_driver", lambda: bool(names))
        monkeypatch.setattr(form_fields, "torch_devices", lambda: ("cpu", *names))
        form_fields.devices.clear()

    yield has
    form_fields.devices.clear()


def test_without_a_gpu_the_form_says_that_it_trains_on_the_processor(page, gpus):
    gpus()
    app = page()
    assert "Trained on the processor: there is no GPU here that PyTorch can use." in text_of(app)
    assert not [field for field in app.selectbox if field.key.endswith(":device")]
    assert "Trained on the processor" not in text_of(page(train_detector="vggish_knn"))


def test_beside_a_gpu_the_form_asks_for_the_device_and_the_job_gets_it(page, gpus, monkeypatch):
    gpus("cuda")
    asked = []
    monkeypatch.setattr(jobs, "submit", lambda request: asked.append(request) or SimpleNamespace(name="run"))
    app = page()
    assert "Trained on the processor" not in text_of(app)
    (field,) = (field for field in app.selectbox if field.key == "hp:lstm_predictor:quick:device")
    assert (field.value, field.options) == ("auto", ["auto", "cpu", "cuda"])
    field.set_value("cpu")
    button(app, "Start training").click().run()
    assert [request.settings for request in asked] == [{"device": "cpu"}]


def test_leaving_out_every_id_is_refused(page):
    app = page()
    app.multiselect(key="train_ids:pump:'pump'").set_value([])
    button(app, "Start training").click().run()
    assert "choose at least one machine id" in text_of(app)


def test_a_name_of_another_data_set_is_refused(page, home):
    app = page()
    app.text_input(key="train_name:pump").set_value("simulated-small")
    button(app, "Start training").click().run()
    assert "reserved" in text_of(app)
    assert list_jobs() == []


def test_a_data_set_without_normal_training_clips_leads_to_the_data_page(page, home):
    loose = home / "loose"
    loose.mkdir()
    (loose / "1.wav").write_bytes(encode_wav(hum(1).samples))
    library.add_folder("loose", loose)
    app = page(set="loose/loose")
    assert not app.exception
    assert "no normal training clips" in text_of(app)
    assert button(app, "Add recordings")


def test_a_running_training_is_stopped_and_can_go_on(page, home):
    job = jobs.submit(request(home, settings={"hidden": 8, "layers": 1, "epochs": 100_000, "windows_per_epoch": 64}))
    waiting = jobs.submit(request(home, detector="gru_autoencoder"))
    deadline = time.monotonic() + WAIT_S
    while not job_table.progress(job) and time.monotonic() < deadline:
        time.sleep(0.3)
    app = page("runs")
    assert not app.exception
    assert "1 waiting" in text_of(app)
    assert len(app.get("plotly_chart")) >= 1
    app.button(key=f"unqueue:{waiting.name}").click().run()
    assert job_table.read_job(waiting.folder).state == "cancelled"
    app.button(key=f"stop:{job.name}").click().run()
    assert not app.exception
    assert job_table.read_job(job.folder).state == "cancelled"
    app.selectbox(key="run").set_value(job.name).run()
    assert "It was stopped:" in text_of(app)
    button(app, "Resume from the last epoch").click().run()
    assert not app.exception
    assert list_jobs()[0].request.resume
    assert app.selectbox(key="run").value == list_jobs()[0].name


def test_why_a_run_failed_or_was_lost_is_said_and_its_record_can_be_deleted(page, home):
    job_table.runs_dir().mkdir(parents=True)
    for state, error in (("failed", HOSTILE), ("lost", "its process ended without a word")):
        folder = job_table.make_run(request(home))
        job_table.write_status(folder, job_table.Status(state, error=error))
    app = page("runs")
    assert not app.exception
    assert "It was lost:" in text_of(app)
    app.button(key="delete_run").click().run()
    assert len(list_jobs()) == 1
    assert "It failed:" in text_of(app)
    assert HOSTILE in [each.value for each in app.text]
    assert not any("<img" in element.value for element in [*app.markdown, *app.caption])


def test_a_page_looks_at_the_jobs_once_and_reads_ended_runs_once(page, home, monkeypatch):
    job_table.runs_dir().mkdir(parents=True)
    for _ in range(12):
        folder = job_table.make_run(request(home))
        job_table.write_status(folder, job_table.Status("failed", error="as before"))
    ours = job_table.running(os.getpid())
    running = job_table.make_run(request(home))
    job_table.write_status(running, ours)
    looks, reads = [], []
    real_clear, real_read = jobs.clear_dead_jobs, job_table._read_json
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: looks.append(1) or real_clear())
    monkeypatch.setattr(job_table, "_read_json", lambda path: reads.append(path) or real_read(path))
    app = page("runs", run=running.name)
    assert not app.exception
    assert "Training now" in text_of(app)
    assert len(looks) == 1
    looks.clear()
    reads.clear()
    app.run()
    assert "Training now" in text_of(app)
    assert len(looks) == 1
    assert {path.parent for path in reads} <= {running}
    job_table.write_status(running, job_table.ended(ours, "cancelled", "it was never a process of its own"))


def test_a_damaged_run_is_listed(page, home):
    folder = job_table.runs_dir() / "20260131T120000000000Z-1a2b3c4d"
    folder.mkdir(parents=True)
    (folder / "job.json").write_bytes(b"{")
    app = page("runs")
    assert not app.exception
    assert "damaged" in text_of(app)


def test_an_earlier_version_becomes_active_again(page, home):
    from asd_core.artifacts.store import publish

    folder = home.parent / "artifacts" / "pump" / "slider" / "lstm_predictor"
    shutil.copytree(PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor", folder)
    artifact = open_artifact(folder)
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    first = list_versions(folder)[0]
    app = page("versions", set="pump/slider")
    assert not app.exception
    app.button(key="make_current").click().run()
    assert not app.exception
    assert open_artifact(folder).folder == first


def test_versions_of_the_project_are_marked_as_read_only(page, home):
    shutil.copytree(PROJECT / "artifacts" / "simulated-small", home.parent / "artifacts" / "simulated-small")
    app = page("versions", set="simulated-small/slider")
    assert not app.exception
    assert "came with the project" in text_of(app)
    assert not any(each.key == "make_current" for each in app.button)


def test_the_current_version_can_be_exported(page, home):
    shutil.copytree(PROJECT / "artifacts" / "simulated-small", home.parent / "artifacts" / "simulated-small")
    app = page("versions", set="simulated-small/slider")
    assert not app.exception
    (offered,) = app.get("download_button")
    assert offered.proto.label == "Export to ONNX (ZIP)"


def test_a_version_that_cannot_be_exported_says_why(page, home):
    from asd_core.artifacts.manifest import EncoderRecord
    from asd_core.artifacts.store import publish

    folder = home.parent / "artifacts" / "pump" / "slider" / "vggish_ocsvm"
    shutil.copytree(PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm", folder)
    artifact = open_artifact(folder)
    encoder = EncoderRecord(id="vggish", title="VGGish", dimension=128, digest="0" * 64)
    settings = {**artifact.manifest.settings, "encoder": "vggish"}
    manifest = replace(artifact.manifest, encoder=encoder, settings=settings, title="VGGish + one-class SVM")
    publish(folder, manifest=manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    app = page("versions", set="pump/slider")
    assert not app.exception
    assert not app.get("download_button")
    assert "VGGish + one-class SVM cannot be exported" in text_of(app)


def test_without_runs_or_detectors_each_view_says_so(page):
    assert "Nothing has been trained from here yet" in text_of(page("runs"))
    assert "No trained detector is here yet" in text_of(page("versions"))


def test_a_sweep_is_drawn_as_a_heat_map_and_started_only_when_asked_for(page, home):
    import json

    from asd_core.jobs.chores import sweep_path
    from asd_core.tasks.nu_gamma import sweep

    app = page("sweep")
    assert not app.exception
    assert button(app, "Try the grid")
    report = sweep(
        home / "uploads" / "pump",
        rules=FolderRules(normal=("normal",)),
        nus=(0.1, 0.5),
        gammas=("scale", 1e-3),
        workers=1,
    )
    path = sweep_path("pump", "pump")
    path.parent.mkdir()
    path.write_text(json.dumps(report))
    for figure in ("heldout_fpr", "heldout_outside", "support_share", "auc_mean"):
        app = page("sweep", sweep_figure=figure)
        assert not app.exception
        assert len(app.get("vega_lite_chart")) == 1
    assert "a choice on the clips it is judged by" in text_of(app)
