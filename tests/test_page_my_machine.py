"""My machine without a browser: the five steps from the first file to a verdict, and back to nothing."""

from __future__ import annotations

import base64
import re
import shutil
import time
from types import SimpleNamespace

import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.library import find_machine
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.jobs import queue as jobs
from asd_core.jobs.listing import active_jobs, list_jobs
from asd_core.monitoring.table import watches_dir
from asd_core.tasks.train import TrainingRequest, train
from pages.parts.my_machine.enough import enough_line, goals
from pages.parts.my_machine.listen import verdict_sentence
from pages.parts.my_machine.training import QUICK

WAIT_S = 180
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1))"


def wav(seed: int, *, knocks: int = 0) -> bytes:
    return encode_wav(hum(seed, seconds=1.0, knocks=knocks).samples)


def clips(n: int, *, first: int = 0) -> list[Upload]:
    return [Upload(f"n{i}.wav", wav(i)) for i in range(first, first + n)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An installation with a machine of 12 normal clips and its quick detectors, made once."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "artifacts"))
        known = store_uploads("pump", clips(12), used=Quota()).known
        for name in QUICK:
            train(TrainingRequest(name, known.folder, name="pump", rules=known.rules, out=home / "artifacts"))
    return home


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own with nothing in it."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))
    yield tmp_path
    for job in list_jobs():
        if job.is_active:
            jobs.cancel(job)


@pytest.fixture
def with_detectors(trained, home):
    """The same machine with its detectors, at a place of its own."""
    shutil.copytree(trained / "artifacts", home / "artifacts")
    store_uploads("pump", clips(12), used=Quota())
    return home


def opened(label: str = "", **choices: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    if label:
        app.session_state["set"] = label
    for key, value in choices.items():
        app.session_state[key] = value
    return app.switch_page("pages/my_machine.py").run()


def pump(**choices: str) -> AppTest:
    return opened("pump/pump", **choices)


def text_of(app: AppTest) -> str:
    shown = (*app.title, *app.subheader, *app.markdown, *app.caption, *app.text, *app.success, *app.info, *app.warning)
    return "\n".join(str(each.value) for each in (*shown, *app.error))


def button(app: AppTest, label: str):
    return next(each for each in app.button if label in each.label)


def states(app: AppTest) -> list[str]:
    """State and line of each step."""
    return [str(each.value) for each in app.caption if str(each.value).split(" · ")[0] in ("done", "now", "later")]


def upload(app: AppTest, *files: tuple[str, bytes], field: int = 0) -> AppTest:
    for name, content in files:
        app.file_uploader[field].upload(name, content, "audio/wav")
    return app.run()


def test_a_fresh_visitor_is_asked_for_nothing_but_a_name_that_is_proposed(home):
    app = opened()
    assert not app.exception
    assert app.text_input(key="my_machine_name").value == "my machine 1"
    assert [text.split(" · ")[0] for text in states(app)] == ["now", "later", "later", "later", "later"]
    assert "1 · Sound" in text_of(app)


def test_files_are_stored_at_once_under_the_proposed_name_and_become_the_context(home):
    app = upload(opened(), *((f"n{i}.wav", wav(i)) for i in range(9)), ("notes.wav", b"no sound at all"))
    assert not app.exception
    known, machine = find_machine("my-machine-1", "my-machine-1")
    assert machine == "my-machine-1"
    assert len(list((known.folder / "normal").iterdir())) == 9
    assert app.session_state["set"] == "my-machine-1/my-machine-1"
    text = text_of(app)
    assert "9 clips stored: 9 normal" in text
    assert "1 file was refused" in text
    assert states(app)[:3] == [
        "done · 9 normal clips",
        "done · 9 of 30 clips for a steady threshold",
        "now · the quick detectors take seconds",
    ]
    assert "1 · Sound" in text_of(app)  # the step stays open until its reader goes on


def test_the_field_is_empty_after_files_were_stored_so_that_a_rerun_stores_nothing_twice(home):
    app = upload(opened(), *((f"n{i}.wav", wav(i)) for i in range(3)))
    again = app.run()
    assert again.file_uploader[0].value == []
    assert "already" not in text_of(again)


def test_a_name_that_is_taken_is_refused_before_anything_is_stored_in_anothers_machine(home):
    store_uploads("pump", clips(3), used=Quota())
    app = opened()
    app.text_input(key="my_machine_name").set_value("Pump").run()
    assert "the name of a machine that is here already" in text_of(app)
    assert not app.file_uploader


def test_a_machine_can_be_taken_up_again_in_another_session(home):
    store_uploads("pump", clips(4), used=Quota())
    app = opened()
    button(app, "pump").click().run()
    assert app.session_state["set"] == "pump/pump"
    assert states(app)[0] == "done · 4 normal clips"
    assert states(app)[1] == "now · 4 of 9 clips for a first threshold"
    assert "2 · Enough?" in text_of(app)


def test_a_new_machine_begins_at_the_first_step_and_one_can_go_back(with_detectors):
    app = pump()
    assert "4 · How loud is an alarm?" in [each.value for each in app.subheader]
    button(app, "New machine").click().run()
    assert app.text_input(key="my_machine_name").value == "my machine 1"
    assert [each.value for each in app.subheader] == ["1 · Sound"]
    button(app, "Back to pump").click().run()
    assert [each.value for each in app.subheader] == ["4 · How loud is an alarm?"]


def test_a_link_opens_the_step_that_it_names(with_detectors):
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    app.query_params["set"] = "pump/pump"
    app.query_params["step"] = "enough"
    app.run().switch_page("pages/my_machine.py").run()
    assert [each.value for each in app.subheader] == ["2 · Enough?"]


@pytest.mark.parametrize(
    ("n", "line"),
    [
        (0, "0 of 3 clips to train at all"),
        (8, "8 of 9 clips for a first threshold"),
        (9, "9 of 30 clips for a steady threshold"),
        (30, "30 clips: enough for a steady threshold"),
    ],
)
def test_the_count_names_the_next_goal(n, line):
    assert enough_line(n) == line
    assert [goal.n for goal in goals()] == [3, 9, 30]


def test_enough_says_what_the_clips_can_promise_and_what_is_not_known_of_their_recordings(home):
    store_uploads("pump", clips(12), used=Quota())
    text = text_of(pump(step="enough"))
    assert "The lowest false-alarm rate that 12 clips can promise is 7.7 %" in text
    assert "**5 recordings** make a promise that holds on other days" in text


def test_faulty_clips_are_kept_apart_and_the_count_is_of_those_that_are_learned_from(home):
    store_uploads("pump", clips(20), used=Quota())
    app = pump(step="sound")
    app.text_input(key="machine_fault").set_value("bearing")
    upload(app, *((f"a{i}.wav", wav(i, knocks=3)) for i in range(2)), field=1)
    button(app, "Store these as faulty").click().run()
    assert "2 clips stored: 2 anomalous (bearing)" in text_of(app)
    assert states(app)[0] == "done · 20 normal clips, 2 faulty ones"
    assert states(app)[1] == "done · 12 of 30 clips for a steady threshold"
    assert "8 normal clips more are put aside" in text_of(pump(step="enough"))


def test_the_three_quick_detectors_train_by_one_click_and_are_active_when_they_are_done(home):
    store_uploads("pump", clips(12), used=Quota())
    app = pump(step="train")
    button(app, "Train the 3 quick detectors").click().run()
    assert not app.exception
    assert {job.request.detector for job in list_jobs()} == set(QUICK)
    assert "in training" in states(app)[2]
    deadline = time.monotonic() + WAIT_S
    while active_jobs() and time.monotonic() < deadline:
        time.sleep(0.5)
    app.run()
    assert {job.state for job in list_jobs()} == {"done"}
    assert [each.value for each in app.subheader] == ["4 · How loud is an alarm?"]
    assert states(app)[2:4] == ["done · SVM, Mahalanobis, kNN", "now · false-alarm rate at most 10 %"]
    assert "Listening with **pump**: 3 detectors, trained just now on 12 clips" in text_of(app)


def test_a_training_that_fails_is_named_and_no_detector_is_promised(home, monkeypatch):
    store_uploads("pump", clips(12), used=Quota())
    app = pump(step="train")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr("asd_core.jobs.queue.sys", SimpleNamespace(executable="/bin/false"))
    button(app, "Train the 3 quick detectors").click().run()
    deadline = time.monotonic() + WAIT_S
    while jobs.clear_dead_jobs() and time.monotonic() < deadline:
        time.sleep(0.1)
    app.run()
    text = text_of(app)
    assert all(f"{name} could not be trained" in text for name in ("SVM", "Mahalanobis", "kNN"))
    assert states(app)[2].startswith("now")


def test_networks_are_offered_with_a_time_beforehand(with_detectors):
    labels = [each.label for each in pump(step="train").checkbox]
    assert len(labels) == 3
    assert any("LSTM: about 80 s to 5 min for 2,048 updates" in label for label in labels)


def test_the_quick_detectors_have_a_time_beforehand(home):
    store_uploads("pump", clips(12), used=Quota())
    assert re.search(r"About \d+ s to \d+ s in all", text_of(pump(step="train")))


def test_clips_that_came_after_the_training_lead_to_training_again(with_detectors):
    assert not [each for each in pump(step="train").button if "Train them again" in each.label]
    store_uploads("pump", clips(1, first=50), used=Quota())
    app = pump(step="train")
    assert button(app, "Train them again")
    assert "other clips now than those that they were trained on" in text_of(app)
    assert "now · again: there are other clips" in text_of(app)


def test_an_alarm_is_said_in_daily_words_with_its_condition(with_detectors):
    app = pump(step="alarm")
    text = text_of(app)
    assert "At most about 140 false alarms a day" in text
    assert "12 held-out clips" in text
    assert "new recordings of the same machine, microphone and place" in text
    app.segmented_control(key="judged").set_value("1h").run()
    assert "At most about 2 false alarms a day" in text_of(app)
    assert app.query_params["judged"] == "1h"


def test_a_rate_that_the_clips_cannot_promise_is_said_and_cannot_be_saved(with_detectors):
    app = pump(step="alarm")
    app.select_slider(key="alarm_rate").set_value("5").run()
    text = text_of(app)
    assert "12 held-out clips can promise no less than 7.7 % (1 in 13); 5 % takes 19, 7 more" in text
    assert "At most" not in text
    assert not [each for each in app.button if each.label.startswith("Use 5 %")]
    assert app.query_params["alarm_rate"] == "5"


def test_one_click_saves_the_rate_for_all_detectors_and_goes_on(with_detectors):
    app = pump(step="alarm")
    app.select_slider(key="alarm_rate").set_value("20").run()
    button(app, "Use 20 % for 3 detectors").click().run()
    folders = [with_detectors / "artifacts" / "pump" / "pump" / name for name in QUICK]
    saved = [open_artifact(folder).manifest for folder in folders]
    assert [each.threshold.promised_fpr for each in saved] == [0.2, 0.2, 0.2]
    assert all(each.parent is not None for each in saved)
    assert [each.value for each in app.subheader] == ["5 · Listen"]
    assert states(app)[3] == "done · false-alarm rate at most 20 %"
    app.session_state["step"] = "alarm"
    assert "20 % is what these detectors judge by" in text_of(app.run())


def test_a_new_clip_gets_one_sentence_and_a_word_for_each_detector(with_detectors):
    app = pump(step="listen")
    app.file_uploader[0].upload(HOSTILE + ".wav", wav(70), "audio/wav").run()
    text = text_of(app)
    assert "3 of 3 detectors: normal" in text
    assert text.count(":blue-badge") == 3
    assert HOSTILE in [each.value.removesuffix(".wav") for each in app.text]  # as plain text
    app.file_uploader[0].set_value(("knock.wav", wav(70, knocks=3), "audio/wav")).run()
    assert "of 3 detectors: anomalous" in text_of(app)


def test_a_new_clip_goes_along_to_be_checked_in_detail(with_detectors):
    app = upload(pump(step="listen"), ("Monday night.wav", wav(99)))
    button(app, "Check it in detail").click().run()
    app.switch_page("pages/check.py").run()
    assert not app.exception
    assert app.session_state["source"] == "Upload"
    assert re.search(r"3 detectors: (normal|anomalous)", text_of(app))
    assert button(app, "Back to My machine")


def test_verdicts_are_summed_up_in_one_sentence():
    assert verdict_sentence({"a": "normal", "b": "normal"}) == "2 of 2 detectors: normal"
    assert verdict_sentence({"a": "normal", "b": "anomalous", "c": None}) == "1 of 2 detectors: anomalous"
    assert verdict_sentence({"a": None}) == "Cannot judge: no detector has a threshold"


def test_the_command_that_watches_a_folder_names_an_active_detector(with_detectors):
    codes = [each.value for each in pump(step="listen").code]
    model = with_detectors / "artifacts" / "pump" / "pump" / QUICK[0]
    assert f"python -m asd_core watch FOLDER --model {model}" in codes


def test_a_watch_of_the_machine_is_started_from_the_last_step_and_looked_at(with_detectors, monkeypatch):
    asked = []

    def started(settings):
        asked.append(settings)
        table = watches_dir() / "incoming.csv"
        table.parent.mkdir(parents=True)
        table.touch()
        return table

    monkeypatch.setattr("pages.shared.watch_form.start_watch", started)
    app = pump(step="listen")
    app.text_input(key="machine_watch_folder").set_value("/srv/incoming")
    button(app, "Start watching").click().run()
    assert not app.exception
    (settings,) = asked
    assert (settings.folder, settings.machine, settings.alarm) == ("/srv/incoming", "pump", "3/5")
    assert settings.model == str(with_detectors / "artifacts" / "pump" / "pump" / QUICK[0])
    assert [each.value for each in app.title] == ["Monitor"]
    assert (app.session_state["monitor"], app.session_state["watch"]) == ("live", "incoming.csv")


def test_a_folder_of_the_server_is_taken_as_all_normal_and_only_read(home, monkeypatch):
    folder = home / "data" / "lathe"
    folder.mkdir(parents=True)
    for i in range(9):
        (folder / f"{i}.wav").write_bytes(wav(i))
    app = opened(sound_way="folder")
    app.text_input(key="machine_folder_path").set_value(str(folder))
    button(app, "Use this folder").click().run()
    assert not app.exception
    assert app.session_state["set"].startswith("my-machine-1/")
    assert states(app)[0] == "done · 9 normal clips"
    text = text_of(app)
    assert "lie in a folder of the server" in text
    assert not app.file_uploader


def test_a_clip_from_the_microphone_is_stored_once_and_taken(home, monkeypatch):
    from pages.parts.my_machine import sound
    from pages.shared.components.recorder import Take

    asked = []
    monkeypatch.setattr(sound, "recorder", lambda **options: asked.append(options["taken"]))
    monkeypatch.setattr(sound, "last_take", lambda _: Take("one", wav(1)))
    app = opened(sound_way="microphone")
    assert "1 clip stored: 1 normal" in text_of(app)
    assert asked[-1] == "one"
    app.run()
    assert states(app)[0] == "now · 1 normal clip"
    known, _ = find_machine("my-machine-1", "my-machine-1")
    assert "recording 2" in (known.folder / "names.jsonl").read_text()


def test_deleting_lists_what_there_is_and_leaves_nothing_of_it(with_detectors):
    app = pump(step="listen", delete_my_machine=True)
    assert app.dataframe[0].value["What"].tolist()[0] == "recordings"
    app.checkbox(key="delete_machine:sure:pump").check().run()
    button(app, "Delete my machine").click().run()
    assert not app.exception
    assert find_machine("pump", "pump") is None
    assert not (with_detectors / "artifacts" / "pump").exists()
    assert [each.value for each in app.subheader] == ["1 · Sound"]


def test_what_a_browser_sends_as_a_recording_is_checked_before_it_is_decoded():
    from pages.shared.components.recorder import parse_take

    good = {"id": "a-1", "wav": base64.b64encode(wav(1)).decode()}
    assert parse_take(good).wav == wav(1)
    for bad in (None, "text", {}, {**good, "id": ""}, {**good, "id": 7}, {**good, "id": "x" * 81}):
        assert parse_take(bad) is None
    for text in ("no base64!", "abc", good["wav"] + "\n", "AAAA" * (32 * 2**20)):
        assert parse_take({**good, "wav": text}) is None
