"""The Data page without a browser: reports, uploads, folders, simulating, downloading, deleting."""

from __future__ import annotations

import io
import re
import shutil
import signal
import time
import zipfile
from pathlib import Path

import pytest
import streamlit
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.data.quotas import Quota, Upload
from asd_core.data.simulated.writing import write_simulated
from asd_core.data.table import KnownSet, read_library
from asd_core.data.uploads import StoredClip, store_uploads
from asd_core.jobs import queue as jobs
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.chores import Download, Simulate
from asd_core.jobs.table import Status
from asd_core.system import places
from asd_core.system.disk import MIN_FREE_BYTES
from asd_core.tasks.train import TrainingRequest, train
from pages.parts.data.table import open_row
from pages.parts.data.tidy import selected

SLIDER = Download("dcase2020-dev", machines=("slider",), part="dev")
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1))\n=cmd|' /C calc'!A0\u202e.wav"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own with a small data set of uploads."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.delenv(library.ROOTS_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(PROJECT))
    store_uploads("pump", [Upload(f"n{i}.wav", wav(i)) for i in range(5)], used=Quota())
    store_uploads("pump", [Upload("a.wav", wav(90))], used=Quota(), kind="bearing")
    return tmp_path / "data"


@pytest.fixture
def page(home):
    """Return a function that opens a view of the page."""

    def open_(view: str, *, of: str = "pump/pump", **choices: object) -> AppTest:
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        for key, value in {"data_view": view, "set": of, **choices}.items():
            test.session_state[key] = value
        return test.switch_page("pages/data.py").run()

    return open_


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=0.6).samples)


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "success", "title", "metric")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def record(asked, **status):
    """Run folder of a chore in a state of one's choice."""
    job_table.runs_dir().mkdir(parents=True, exist_ok=True)
    folder = job_table.make_run(asked)
    job_table.write_status(folder, Status(**status, command=asked.kind))
    return folder


def button(app: AppTest, label: str):
    return next(each for each in app.button if each.label == label)


def upload(app: AppTest, *, name: str = "", label: str = "normal", files=()) -> AppTest:
    """Send files: to the machine of the context, or to a new one of this name."""
    if name:
        app.segmented_control(key="upload_to").set_value("new").run()
        app.text_input(key="upload_name").set_value(name)
    app.segmented_control(key="upload_label").set_value(label)
    for file in files:
        app.file_uploader(key="upload_files").upload(*file, "audio/wav")
    return button(app, "Store").click().run()


def test_a_data_set_is_shown_with_counts_lengths_and_levels(page):
    app = page("sets")
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["3", "2", "1"]
    groups = app.dataframe[2].value
    assert list(groups["Clips"]) == [1, 2, 3]
    assert set(groups["Length (s)"]) == {"0.60"}
    assert "No duplicates, no refused clips, nothing passed over" in text_of(app)
    assert button(app, "Train")


def test_a_part_of_a_published_machine_is_informed_about_and_not_refused(page, home, tmp_path, monkeypatch):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path))
    train = tmp_path / "dcase" / "slider" / "train"
    train.mkdir(parents=True)
    for i in range(2):
        (train / f"normal_id_00_{i:08d}.wav").write_bytes(wav(i))
    library.add_folder("part", tmp_path / "dcase")
    app = page("sets", of="part/slider")
    assert not app.exception
    assert "Expected 4,094 clips as DCASE 2020 Task 2 publishes, found 2." in text_of(app)
    table = app.dataframe[2].value
    assert table.iloc[0].tolist() == ["00", "train", "normal", 968, 2]
    assert "Expected" not in text_of(page("sets"))


def test_refused_and_doubled_clips_are_named_with_a_reason(page, home):
    folder = home / "uploads" / "pump" / "normal"
    (folder / "other.wav").write_bytes(b"x" * 100)
    (folder / "twice.wav").write_bytes(next(folder.glob("*.wav")).read_bytes())
    app = page("sets")
    assert not app.exception
    assert "1 group of clips with the same sound." in text_of(app)
    assert list(app.dataframe[3].value["What"]) == ["same sound"]
    assert "1 file was refused" in text_of(app)
    assert "WAV or FLAC" in next(text for text in text_of(app).splitlines() if "normal/other.wav" in text)
    assert "magic" not in text_of(app)
    assert ":material/check:" not in text_of(app)


@pytest.mark.parametrize(("gain", "is_said"), [(0.1, True), (1.0, False)])
def test_labels_that_differ_as_recordings_are_said(page, gain, is_said):
    store_uploads("drill", [Upload(f"n{i}.wav", wav(i)) for i in range(8)], used=Quota())
    worn = [Upload(f"w{i}.wav", encode_wav(gain * hum(100 + i, seconds=0.6).samples)) for i in range(8)]
    store_uploads("drill", worn, used=Quota(), kind="worn")
    app = page("sets", of="drill/drill")
    assert not app.exception
    assert ("Anomalous clips are 20.0 dB quieter" in text_of(app)) == is_said


def test_a_fault_of_a_recording_is_named_beside_its_clip(page):
    store_uploads("pump", [Upload("offset.wav", encode_wav(0.5 + hum(200, seconds=0.6).samples))], used=Quota())
    app = page("sets")
    assert not app.exception
    faults = app.dataframe[3].value
    assert list(faults["What"]) == ["warning"]
    assert faults["Why"][0].startswith("The mean of the samples is 0.500 of full scale")


def test_many_clips_are_read_only_when_asked_for(page, monkeypatch):
    monkeypatch.setattr("pages.parts.data.report.READ_AT_ONCE", 2)
    app = page("sets")
    assert len(app.dataframe) == 2
    button(app, "Read the clips").click().run()
    assert not app.exception
    assert len(app.dataframe) == 3


def test_uploaded_clips_begin_a_data_set_under_a_fit_name(page):
    app = upload(page("upload"), name="My fan!", files=[("one.wav", wav(1)), ("two.wav", wav(2))])
    assert not app.exception
    assert "2 clips stored: 2 normal." in text_of(app)
    assert app.session_state["set"] == "my-fan/my-fan"
    assert app.segmented_control(key="upload_to").value == "this"
    assert "holds 2 normal clips and 0 anomalous clips" in text_of(app)
    assert button(app, "Train")
    known = read_library().find("my-fan")
    assert known is not None
    assert app.session_state["upload_used"].files == 2


def test_an_upload_that_is_cut_counts_towards_the_session_and_leaves_nothing(page, home, monkeypatch):
    monkeypatch.setattr("asd_core.data.uploads.decode_upload", lambda *_, **__: streamlit.stop())
    app = upload(page("upload"), name="cut", files=[("one.wav", wav(1)), ("two.wav", wav(2))])
    assert not app.exception
    assert "upload_used" in app.session_state
    assert app.session_state["upload_used"].files == 2
    assert read_library().find("cut") is None
    assert not (home / "uploads" / "cut").exists()


def test_an_unfit_name_costs_nothing_of_the_session(page):
    app = upload(page("upload"), name="simulated-small", files=[("one.wav", wav(1))])
    assert "is reserved" in text_of(app)
    assert "upload_used" not in app.session_state


def test_a_damaged_file_of_names_is_said(page, home):
    (home / "uploads" / "pump" / "names.jsonl").write_bytes(b"{\n")
    app = page("sets")
    assert not app.exception
    assert "damaged (1 lines, the first is line 1)" in text_of(app).replace("\u2060", "")


def test_a_full_disk_says_so_before_the_embedded_clips_are_made(page, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: real(place)._replace(free=MIN_FREE_BYTES))
    monkeypatch.setattr("asd_core.data.simulated.bench.write_simulated", write_simulated)  # not a copy kept for tests
    monkeypatch.setattr("asd_core.data.simulated.bench.render_clip", lambda *_, **__: pytest.fail("it was rendered"))
    app = page("sets", of="simulated-small/slider")
    assert not app.exception
    assert "154 MB do not fit" in text_of(app)
    assert "the Data page lists what can be deleted under Disk space" in text_of(app)


def test_a_bad_upload_is_refused_with_a_reason_and_a_good_one_beside_it_stays(page):
    app = upload(page("upload"), files=[("evil.wav", b"MZ" * 100), ("good.wav", wav(7))])
    assert not app.exception
    assert "1 clip stored: 1 normal." in text_of(app)
    assert "1 file was refused." in text_of(app)
    assert "WAV or FLAC" in next(text for text in text_of(app).splitlines() if "evil.wav" in text)


def test_a_hostile_name_stays_text_and_never_becomes_a_path(page, home):
    app = upload(page("upload"), files=[(HOSTILE, wav(8)), (HOSTILE, b"no sound" * 20)])
    assert not app.exception
    assert "1 clip stored" in text_of(app)
    assert not any(re.search(r"(?<!\\)<img", element.value) for element in [*app.markdown, *app.caption])
    stored = [path.name for path in (home / "uploads" / "pump").rglob("*.wav")]
    assert all(len(name) == 36 for name in stored)


@pytest.mark.parametrize("name", ["", "../../etc", "simulated-small"])
def test_a_name_that_is_not_fit_is_refused_or_made_fit(page, home, name):
    app = upload(page("upload"), name=name, files=[("one.wav", wav(1))])
    assert not app.exception
    made = {path.name for path in (home / "uploads").iterdir()}
    assert made <= {"pump", "etc"}


def test_an_upload_without_files_says_what_to_do(page):
    assert "choose at least one recording" in text_of(upload(page("upload")))


def test_too_many_uploads_in_a_session_are_refused_before_they_are_read(page):
    app = page("upload", upload_used=Quota(500, 0))
    assert "a session may store 500 files" in text_of(upload(app, files=[("one.wav", wav(300))]))


def test_what_is_stored_already_costs_nothing_even_where_nothing_is_left(page):
    app = upload(page("upload", upload_used=Quota(500, 0)), files=[("one.wav", wav(1))])
    assert "1 clip already stored" in text_of(app)
    assert app.session_state["upload_used"].files == 500


def test_uploads_go_to_the_machine_of_the_context_without_its_name_being_typed(page):
    app = upload(page("upload"), files=[("more.wav", wav(30))])
    assert not app.exception
    assert "**pump** now holds 6 normal clips and 1 anomalous clip." in text_of(app)
    assert button(app, "Train")
    assert "now holds" not in text_of(app.run())


def test_an_archive_is_sorted_by_its_folders_and_what_was_passed_over_is_said(page, home):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in (
            ("Fan/normal/a.wav", wav(40)),
            ("Fan/leak/b.wav", wav(41)),
            ("Fan/c.wav", wav(42)),
            ("Fan/notes.txt", b"x"),
            ("../up.wav", wav(43)),
        ):
            file.writestr(name, content)
    app = upload(page("upload"), name="fan", files=[("Fan.zip", archive.getvalue())])
    assert not app.exception
    assert "3 clips stored: 2 normal, 1 anomalous (leak)." in text_of(app).replace("\u2060", "")
    assert "1 passed over in the archive: 1 .txt." in text_of(app).replace("\u2060", "")
    assert "1 file was refused." in text_of(app)
    assert "Make the ZIP again" in text_of(app)
    assert {path.parent.name for path in (home / "uploads" / "fan").rglob("*.wav")} == {"normal", "leak"}


def test_an_archive_of_nothing_but_refused_files_costs_nothing_and_begins_nothing(page):
    app = upload(page("upload"), name="fan", files=[("Fan.zip", b"PK\x03\x04" + bytes(50))])
    assert not app.exception
    assert "1 file was refused." in text_of(app)
    assert "upload_used" not in app.session_state
    assert read_library().find("fan") is None


def test_anomalous_clips_take_a_kind_that_is_there_or_a_new_one(page, home):
    app = page("upload")
    app.segmented_control(key="upload_label").set_value("anomalous").run()
    kind = next(box for box in app.selectbox if box.label.startswith("Kind of fault"))
    assert kind.options == ["bearing"]
    kind.set_value("bearing")
    upload(app, label="anomalous", files=[("b.wav", wav(50))])
    assert not app.exception
    assert len(list((home / "uploads" / "pump" / "bearing").iterdir())) == 2


def test_faults_alone_can_be_uploaded_and_the_review_says_what_is_missing(page):
    store_uploads("mill", [Upload("a.wav", wav(60))], used=Quota(), kind="worn")
    app = upload(page("upload", of="mill/mill"), label="anomalous", files=[("b.wav", wav(61))])
    assert not app.exception
    assert "holds 0 normal clips and 2 anomalous clips" in text_of(app)
    app = page("sets", of="mill/mill")
    assert not app.exception
    assert "This could not be done" in text_of(app)


def test_a_selected_row_makes_its_data_set_the_context(monkeypatch):
    found = []
    monkeypatch.setattr("pages.parts.data.table.switch_to", lambda *names: found.append(names))
    sets = [
        KnownSet("pump", Path("/p"), "recordings", machines={"Pump 1": "", "b": "b"}),
        KnownSet("x", Path("/x"), ""),
    ]
    for rows in ([0], [1], [], [7]):
        open_row(sets, rows)
    assert found == [("pump", "Pump 1"), ("x", "x")]


def test_selected_rows_beyond_a_table_that_became_shorter_are_left_out():
    clips = [StoredClip(f"normal/{i}.wav", f"{i}", "normal", "", "") for i in range(2)]
    assert selected(clips, [1, 5]) == clips[1:]


def test_selected_clips_are_relabelled_and_removed_and_older_detectors_are_said(page, home, monkeypatch):
    train(TrainingRequest("vggish_mahalanobis", home / "uploads" / "pump", out=places.artifacts_dir(PROJECT)))
    monkeypatch.setattr("pages.parts.data.tidy.selected", lambda rows, _places: list(rows[:2]))
    app = page("tidy")
    assert not app.exception
    assert list(app.dataframe[0].value["Label"]) == [*["normal"] * 5, "anomalous (bearing)"]
    app.selectbox(key="tidy_to:1").set_value("bearing")
    button(app, "Change label of 2").click().run()
    assert not app.exception
    assert "2 recordings now called bearing." in text_of(app)
    assert len(list((home / "uploads" / "pump" / "bearing").iterdir())) == 3
    assert "Older than the recordings" in text_of(app)
    assert "been removed or relabelled" in text_of(app)
    button(app, "Remove 2").click().run()
    assert not app.exception
    assert "2 recordings removed" in text_of(app)
    assert len(list((home / "uploads" / "pump").rglob("*.wav"))) == 4
    assert button(app, "Train again")


def test_only_uploads_are_tidied_here(page):
    assert "Only recordings that were uploaded here" in text_of(page("tidy", of="simulated-small/slider"))


def test_a_folder_outside_the_allowed_roots_is_refused_with_the_cure(page, tmp_path):
    app = page("folder")
    app.text_input(key="folder_path").set_value(str(tmp_path))
    button(app, "Add this folder").click().run()
    assert not app.exception
    assert library.ROOTS_VARIABLE in app.text[-1].value


def test_a_folder_below_an_allowed_root_is_added(page, tmp_path, monkeypatch):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "rec"))
    for label in ("Gut", "bad"):
        (tmp_path / "rec" / "fan" / label).mkdir(parents=True)
        (tmp_path / "rec" / "fan" / label / "1.wav").write_bytes(wav(len(label)))
    app = page("folder")
    app.text_input(key="folder_path").set_value(str(tmp_path / "rec" / "fan"))
    button(app, "Add this folder").click().run()
    assert "Enter the name of the normal label, or call it normal" in text_of(app)
    app.text_input(key="folder_normal").set_value("gut")
    button(app, "Add this folder").click().run()
    assert not app.exception
    assert "Added:\u2060 2 clips." in [each.value for each in app.success]
    assert read_library().find("fan").rules.normal == ("gut",)


def test_a_bench_is_simulated_in_the_background_with_progress_and_can_be_stopped(page, home):
    app = page("simulate")
    app.number_input(key="bench_seed").set_value(5)
    button(app, "Simulate").click().run()
    assert not app.exception
    deadline = time.monotonic() + 60
    while job_table.step(jobs.last_chore()).total == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert job_table.step(jobs.last_chore()).total == 480
    app.run()
    assert "It goes on when you leave this page" in text_of(app)
    button(app, "Simulate").click().run()
    assert "another data set is being made" in text_of(app)
    button(app, "Stop").click().run()
    assert not app.exception
    assert not jobs.chore_is_active()
    assert "Stopped" in text_of(app)
    assert read_library().find("simulated-small-seed5") is None
    assert not list((home / "benches").glob("*"))
    button(app, "Close").click().run()
    assert jobs.last_chore() is None


def test_a_finished_bench_is_among_the_data_sets(page, home, monkeypatch):
    from asd_core.data.simulated.bench import SIZES, BenchSize, IdCounts

    monkeypatch.setitem(SIZES, "small", BenchSize("small", {"00": IdCounts(2, 1, 1)}))
    asked = Simulate("tiny", size="small", seed=3)
    folder = record(asked, state="queued")
    handlers = [signal.getsignal(number) for number in (2, 15)]
    status, code = job_run._do(folder, asked, job_table.running(2, command=asked.kind), [])
    for number, handler in zip((2, 15), handlers, strict=True):
        signal.signal(number, handler)
    job_table.write_status(folder, status)
    assert (status.state, code) == ("done", 0)
    app = page("sets", of="tiny/slider")
    assert not app.exception
    assert "it is among the data sets now" in text_of(app)
    assert "Simulated data: generated sound" in text_of(app)
    assert read_library().find("tiny").kind == "simulated"


def test_a_download_that_cannot_reach_the_server_says_so_plainly(page, home):
    reason = "zenodo.org is out of reach: name not known"
    record(SLIDER, state="failed", error=reason)
    app = page("download")
    assert not app.exception
    assert reason in text_of(app)
    assert "Without a connection to zenodo.org" in text_of(app)


def test_a_process_that_died_is_called_lost(page, home):
    record(SLIDER, state="running", pid=2**22 - 3, started="another boot 12")
    assert "ended without a word" in text_of(page("download"))


def test_a_download_shows_its_size_first(page):
    app = page("download")
    assert not app.exception
    assert list(app.dataframe[0].value["Archive"]) == ["1 GB"]
    assert "GB of disk are needed for a while" in text_of(app)
    app.multiselect(key="dcase_machines").set_value([]).run()
    assert "Choose at least one machine" in text_of(app)


def test_a_data_set_is_deleted_after_a_second_question(page, home):
    app = page("sets", **{"delete:pump": True})
    assert list(app.dataframe[1].value["What"])[:2] == ["recordings", "their names"]
    assert app.button(key="delete_machine:pump").disabled
    app.checkbox(key="delete_machine:sure:pump").check().run()
    app.button(key="delete_machine:pump").click().run()
    assert not app.exception
    assert read_library().find("pump") is None
    assert not (home / "uploads" / "pump").exists()


def test_disk_space_lists_what_can_go_and_deletes_one_thing(page, home):
    app = page("storage")
    assert not app.exception
    names = list(app.dataframe[0].value["Name"])
    assert "pump" in names
    chooser = next(box for box in app.selectbox if box.label == "Delete")
    chooser.set_value(names.index("pump")).run()
    app.button(key="delete_item").click().run()
    assert not app.exception
    assert not (home / "uploads" / "pump").exists()


def test_a_folder_that_no_data_set_names_is_said_and_can_be_deleted(page, home, monkeypatch):
    (home / "uploads" / "cut" / "normal").mkdir(parents=True)
    (home / "uploads" / "cut" / "normal" / "1.wav").write_bytes(wav(1))
    assert "belong to none of them lie in cut" in text_of(page("sets"))
    app = page("storage")
    names = list(app.dataframe[0].value["Name"])
    assert app.dataframe[0].value["What"][names.index("uploads/cut")] == "unlisted folder"
    next(box for box in app.selectbox if box.label == "Delete").set_value(names.index("uploads/cut")).run()
    monkeypatch.setattr("pages.parts.data.storage.chore_is_active", lambda: True)
    app.button(key="delete_item").click().run()
    assert "a data set is being made" in text_of(app)
    monkeypatch.undo()
    monkeypatch.setenv("ASD_DATA_DIR", str(home))
    app.button(key="delete_item").click().run()
    assert not app.exception
    assert not (home / "uploads" / "cut").exists()
    assert (home / "uploads" / "pump").exists()


def test_a_damaged_table_is_said_and_can_be_begun_anew(page, home):
    (home / "library.json").write_bytes(b"{")
    app = page("upload", of="simulated-small/slider")
    assert not app.exception
    assert "table of data sets is damaged" in text_of(app)
    app.button(key="restart_table").click().run()
    assert not app.exception
    assert not app.warning
    assert list(home.glob("library.json.damaged-*"))


def test_a_folder_that_is_gone_can_still_be_taken_out(page, home, monkeypatch, tmp_path):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path))
    (tmp_path / "rec" / "normal").mkdir(parents=True)
    (tmp_path / "rec" / "normal" / "1.wav").write_bytes(wav(1))
    library.add_folder("rec", tmp_path / "rec")
    (tmp_path / "rec").rename(tmp_path / "elsewhere")
    app = page("sets", of="rec/rec")
    assert "is gone" in text_of(app)
    app = page("sets", of="rec/rec", **{"delete:rec": True})
    app.checkbox(key="delete_machine:sure:rec").check().run()
    app.button(key="delete_machine:rec").click().run()
    assert not app.exception
    assert read_library().find("rec") is None
