"""What thresholds promise, on which condition and what that rests on, wherever the pages show it; recalibrating."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import CALIBRATION, SUMMARY
from printed import drawn, line_with, text_of
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.manifest import PROMISE_CONDITION, CalibrationSummary, promise_of
from asd_core.artifacts.store import Artifact, open_artifact, publish
from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.data.data_set import RecordingCount
from asd_core.data.folder_rules import FolderRules
from asd_core.detectors import DETECTOR_NAMES
from asd_core.detectors.contract import Progress
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import Threshold
from asd_core.jobs import queue as jobs
from asd_core.jobs.chores import Sweep
from asd_core.jobs.listing import list_jobs
from asd_core.jobs.table import Job, Status
from asd_core.reports import html as report
from asd_core.tasks import nu_gamma
from asd_core.tasks.compare import Method
from asd_core.tasks.train import TrainingRequest, train
from pages.parts.check import verdicts
from pages.parts.compare import figures as compare_figures
from pages.parts.explore import views as explore_views
from pages.parts.learn import svm
from pages.parts.monitor import replay
from pages.parts.overview import cards as overview_cards
from pages.parts.threshold import linked_numbers, operating_point, recalibration
from pages.parts.train import fields as train_fields
from pages.parts.train import live as train_live
from pages.parts.train import versions as train_versions
from pages.shared import cache, cards
from pages.shared.cache import Heard

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
OLD = CalibrationSummary(n=36)
ONE = replace(CALIBRATION, n_recordings=1, recordings_from="given", keeps_promises=False)
CONFORMAL = Threshold(0.5, "conformal", False, 0.1, 31)
UNPROMISED = replace(CONFORMAL, promised_fpr=None)
PROVISIONAL = Threshold(0.5, "highest", False, None, 5, provisional=True)
RECORDINGS = r"(rec\d+)_"


# What is promised


@pytest.mark.parametrize(
    ("threshold", "calibration", "text"),
    [
        (
            CONFORMAL,
            CALIBRATION,
            f"at most 10 % of normal clips give a false alarm on average, for {PROMISE_CONDITION}; "
            "rests on 13 recordings",
        ),
        (UNPROMISED, ONE, "from 1 recording: no promise for new ones"),
        (
            UNPROMISED,
            replace(ONE, n_recordings=9),
            "from 9 recordings, of a machine id only one: no promise for new ones",
        ),
        (PROVISIONAL, CALIBRATION, "provisional, the highest of 5 normal scores: no promise"),
        (replace(PROVISIONAL, n_calibration=1), CALIBRATION, "provisional, the highest of 1 normal score: no promise"),
        (replace(CONFORMAL, rule="youden", uses_test_labels=True), CALIBRATION, "chosen on test labels: no promise"),
        (replace(UNPROMISED, rule="manual"), CALIBRATION, "no promise"),
    ],
)
def test_a_promise_is_said_with_its_condition_and_what_it_rests_on(threshold, calibration, text):
    assert promise_of(threshold, calibration) == text
    assert cards.promise_text(threshold, calibration).lower() == f"{text.lower()}."


def test_the_short_form_leaves_out_the_condition_alone():
    assert promise_of(CONFORMAL, CALIBRATION, short=True) == (
        "at most 10 % of normal clips give a false alarm; rests on 13 recordings"
    )
    assert promise_of(PROVISIONAL, CALIBRATION, short=True) == promise_of(PROVISIONAL, CALIBRATION)


def test_the_clips_behind_a_threshold_are_held_out_or_each_scored_by_a_fit_without_it():
    assert OLD.clips_text(36) == "36 held-out normal clips"
    assert replace(CALIBRATION, how="held_out").clips_text(36) == "36 held-out normal clips"
    assert CALIBRATION.clips_text(60) == "60 normal clips, each scored by a fit that has not heard it"


def test_a_threshold_set_by_hand_has_no_clips_behind_it():
    assert cards.threshold_origin(replace(UNPROMISED, rule="manual"), CALIBRATION) == "set by hand"


# Where it is shown


@pytest.fixture
def artifact():
    """The SVM that comes with the project; `made` gives it another threshold and calibration."""
    return open_artifact(EMBEDDED / "slider" / "vggish_ocsvm")


def made(artifact: Artifact, threshold: Threshold, calibration: CalibrationSummary = CALIBRATION) -> Artifact:
    return replace(artifact, manifest=replace(artifact.manifest, threshold=threshold, calibration=calibration))


def test_a_card_of_the_overview_shows_the_promise_and_marks_what_is_provisional_or_old(artifact, monkeypatch):
    monkeypatch.setattr(overview_cards, "summary", lambda _: SUMMARY)

    def card(*state) -> AppTest:
        return drawn(lambda: overview_cards.detector_cards([made(artifact, *state)]))

    app = card(CONFORMAL)
    (caption,) = [each for each in app.caption if "At most 10 %" in each.value]
    assert "rests on 13 recordings" in caption.value
    assert PROMISE_CONDITION in caption.help
    assert cards.PROVISIONAL_BADGE not in text_of(app)
    assert cards.OLD_BADGE not in text_of(app)
    assert cards.PROVISIONAL_BADGE in text_of(card(PROVISIONAL))
    (mark,) = [each for each in card(CONFORMAL, OLD).markdown if each.value == cards.OLD_BADGE]
    assert mark.help == cards.OLD_MEANING


def test_a_verdict_by_a_provisional_threshold_is_marked_beside_the_word(artifact):
    heard = Heard(0.9, None, ())  # type: ignore[arg-type]
    text = text_of(drawn(lambda: verdicts.verdict_cards({"a": made(artifact, PROVISIONAL)}, {"a": heard})))
    assert cards.PROVISIONAL_BADGE in text
    assert "Provisional, the highest of 5 normal scores: no promise." in text
    assert cards.OLD_BADGE in text_of(
        drawn(lambda: verdicts.verdict_cards({"a": made(artifact, CONFORMAL, OLD)}, {"a": heard}))
    )


def test_a_score_is_placed_among_clips_that_its_fit_has_not_heard(artifact):
    heard = Heard(1e9, None, ())  # type: ignore[arg-type]
    text = verdicts._among_normal(made(artifact, CONFORMAL), heard)
    n = len(artifact.scores.of("heldout").clips)
    assert text == f"Higher than {n} of {n} normal clips, each scored by a fit that has not heard it."


def test_the_threshold_page_marks_what_is_provisional_and_explains_the_highest_score(artifact):
    def line(threshold: Threshold) -> str:
        changed, scores = made(artifact, threshold), cache.tested(artifact)
        point = operating_point.OperatingPoint(changed, scores, threshold, np.full(len(scores.clips), 0.5))
        return text_of(drawn(lambda: operating_point.promise_line(point)))

    assert line(PROVISIONAL).startswith(f"{cards.PROVISIONAL_BADGE} Threshold **0.5**")
    assert "one odd clip decides where it lies" in line(PROVISIONAL)
    assert "provisional" not in line(replace(PROVISIONAL, provisional=False)).lower()
    assert "one odd clip" not in line(CONFORMAL)


def test_what_was_observed_waits_in_a_presentation_until_it_is_revealed(monkeypatch, artifact):
    def drawn_line() -> AppTest:
        scores = cache.tested(artifact)
        point = operating_point.OperatingPoint(artifact, scores, CONFORMAL, np.full(len(scores.clips), 0.5))
        return drawn(lambda: operating_point.promise_line(point))

    (whole,) = drawn_line().markdown
    assert "Promise" in whole.value
    assert "Observed" in whole.value
    hidden = []
    monkeypatch.setattr(operating_point, "presented", lambda: True)
    monkeypatch.setattr(operating_point, "truth_on_wall", lambda name: (hidden.append(name), nullcontext())[1])
    told, observed = drawn_line().markdown
    assert hidden == ["observed"]
    assert "Observed" not in told.value
    assert observed.value.startswith("Observed false-alarm rate")
    assert f"{told.value} {observed.value}" == whole.value


def test_a_threshold_moved_by_hand_is_no_longer_provisional(monkeypatch, artifact):
    session = SimpleNamespace(session_state={"rule": "manual", f"manual:{artifact.folder}": 0.7})
    for module in (operating_point, linked_numbers):
        monkeypatch.setattr(module, "st", session)
    found = operating_point._chosen_threshold(made(artifact, PROVISIONAL), cache.tested(artifact))
    assert (found.value, found.rule, found.provisional) == (0.7, "manual", False)


def test_a_compared_method_shows_its_promise_and_one_without_a_detector_its_rate(artifact):
    method = Method.of(made(artifact, CONFORMAL))
    assert compare_figures._promise(method, CONFORMAL).endswith("rests on 13 recordings")
    other = Method("imported", "k", Scores(()), Scores(()))
    assert compare_figures._promise(other, CONFORMAL) == "at most 10.0 % of normal clips give a false alarm"
    assert compare_figures._promise(other, UNPROMISED) == "no promise"


def test_a_replay_tells_what_its_threshold_promises(artifact):
    text = text_of(drawn(lambda: replay._say_what_it_is(made(artifact, CONFORMAL), ())))
    assert "31 normal clips, each scored by a fit that has not heard it" in text
    assert PROMISE_CONDITION in text


def test_versions_are_listed_with_what_each_promises(artifact):
    folder = EMBEDDED / "slider" / "vggish_ocsvm"
    table = drawn(lambda: train_versions._table(folder, artifact.version)).dataframe[0].value
    promise = cards.promise_text(artifact.threshold, artifact.manifest.calibration, short=True)
    assert (table["Chosen by"].tolist(), table["Promise"].tolist()) == (["Split-conformal"], [promise])


def test_a_report_tells_how_a_threshold_was_calibrated_and_what_it_promises(artifact):
    changed = made(artifact, CONFORMAL)
    assert report._calibrated(changed, CONFORMAL) == (
        "Calibrated on 31 normal clips, each scored by a fit that has not heard it. "
        f"Promise: {promise_of(CONFORMAL, CALIBRATION)}."
    )
    labelled = replace(CONFORMAL, rule="youden", uses_test_labels=True)
    assert report._calibrated(changed, labelled) == "Promise: chosen on test labels: no promise."


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (RecordingCount(13, "given"), "13, given by the paths of the clips"),
        (RecordingCount(13, "found"), "13, found in the sound"),
        (RecordingCount(5, "order"), "not known; 5 runs of clips in name order stand for them"),
    ],
)
def test_recordings_are_counted_with_how_they_are_known(count, text):
    assert count.text == text


# Before and during a training


@pytest.mark.parametrize("detector", DETECTOR_NAMES)
def test_detectors_that_fit_in_seconds_take_five_folds_and_networks_one(detector):
    assert train_fields.default_folds(detector) == (5 if detector.startswith("vggish") else 1)


@pytest.mark.parametrize(
    ("detector", "n_clips", "promises", "words"),
    [
        ("vggish_ocsvm", 2, False, "at least 3 are needed"),
        ("vggish_ocsvm", 8, False, "provisional"),
        ("vggish_ocsvm", 9, True, "10 % false alarms"),
        ("lstm_predictor", 8, False, "9 clips are needed"),
        ("lstm_predictor", 44, False, "up to 45, or choose 5 folds"),
        ("lstm_predictor", 45, True, "10 % false alarms"),
    ],
)
def test_the_form_says_before_training_which_threshold_will_come_out(detector, n_clips, promises, words):
    text = train_fields.outlook(detector, n_clips)
    assert ":material/check:" in text if promises else ":material/check:" not in text
    assert words in text
    assert f"{n_clips} normal training clips" in text


def progress(epoch: int, epochs: int) -> Progress:
    return Progress(epoch, epochs, 0.1, None, 1.0, 9.0)


@pytest.mark.parametrize(
    ("epoch", "epochs", "per_fit", "text"),
    [
        (3, 12, 2, "Fit 2 of 6 (without one fold of recordings), epoch 1 of 2 done"),
        (1, 12, 2, "Fit 1 of 6 (the detector itself), epoch 1 of 2 done"),
        (2, 12, 2, "Fit 2 of 6 (without one fold of recordings), epoch 0 of 2 done"),
        (1, 6, 1, "Fit 2 of 6 (without one fold of recordings)"),
        (3, 12, 12, "Epoch 3 of 12"),
    ],
)
def test_progress_that_counts_several_fits_names_the_fit(epoch, epochs, per_fit, text):
    share, shown = train_live._how_far([progress(epoch, epochs)], age_s=1.0, per_fit=per_fit)
    assert share == pytest.approx(epoch / epochs)
    assert shown == f"{text} · about 9 s left"


def test_how_long_a_training_takes_is_said_before_its_first_epoch():
    assert train_live._how_far([], age_s=1.0, expected_s=83.2) == (0.0, "Training: about 1 min 23 s in all")
    assert train_live._how_far([progress(1, 8)], age_s=1.0, expected_s=83.2)[1] == "Epoch 1 of 8 · about 9 s left"


def test_losses_are_drawn_over_the_epochs_of_the_detectors_own_fit(monkeypatch):
    asked = []
    curves = train_live.learning_curves
    monkeypatch.setattr(train_live, "learning_curves", lambda known, **_: asked.append(known) or curves(known, **_))
    request = TrainingRequest("lstm_predictor", Path("x"), settings={"epochs": 2}, folds=5)
    events = [replace(progress(epoch, 12), loss=epoch / 10) for epoch in range(1, 6)]
    app = drawn(lambda: train_live.loss_figure(Job(Path("x"), request, Status("running")), events))
    assert asked == [{"training": [0.1, 0.2]}]
    assert "Held-out" not in text_of(app)


# Own recordings: their names, and recalibrating


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An installation of its own with 20 normal clips of 5 recordings and 2 faults."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))
    folder = tmp_path / "data" / "mine" / "pump"
    for label, count in (("normal", 20), ("knock", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            sound = hum(number, seconds=1.0, knocks=3 if label == "knock" else 0)
            (folder / label / f"rec{number // 4}_{number}.wav").write_bytes(encode_wav(sound.samples))
    yield tmp_path / "data"
    for job in list_jobs():
        if job.is_active:
            jobs.cancel(job)


def opened(page: str, **state: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for key, value in state.items():
        app.session_state[key] = value
    return app.switch_page(page).run()


def button(app: AppTest, label: str):
    return next(each for each in app.button if each.label == label)


def test_a_folder_is_added_with_what_names_its_recordings_and_opened_by_it(home):
    app = opened("pages/data.py", data_view="folder")
    app.text_input(key="folder_path").set_value(str(home / "mine" / "pump"))
    app.selectbox(key="folder_recordings").set_value("expression")
    button(app, "Add this folder").click().run()
    assert "the regular expression is empty" in text_of(app)
    app.text_input(key="folder_expression").set_value(RECORDINGS)
    button(app, "Add this folder").click().run()
    assert not app.exception
    (known,) = [each for each in library.read_library().sets if each.name == "pump"]
    assert known.rules.recording_by == RECORDINGS
    labels = {clip.recording for clip in library.open_known(known, "pump").index.select(label="normal")}
    assert labels == {f"rec{number}" for number in range(5)}
    app = opened("pages/data.py", data_view="sets", set="pump/pump")
    assert "Recordings: **5, given by the paths of the clips**" in text_of(app)


def test_an_expression_that_names_no_recording_is_refused_before_anything_is_kept(home):
    app = opened("pages/data.py", data_view="folder")
    app.text_input(key="folder_path").set_value(str(home / "mine" / "pump"))
    app.selectbox(key="folder_recordings").set_value("expression")
    app.text_input(key="folder_expression").set_value("tape")
    button(app, "Add this folder").click().run()
    assert "names no recording for 20 normal clips" in text_of(app)
    assert [each.name for each in library.read_library().sets if not each.embedded] == []


def test_nearly_equal_clips_are_named_and_runs_stand_for_unknown_recordings(home):
    folder = home / "mine" / "pump" / "normal"
    sound = hum(3, seconds=1.0)
    (folder / "quieter.wav").write_bytes(encode_wav(0.8 * sound.samples))
    library.add_folder("pump", folder.parent)
    app = opened("pages/data.py", data_view="sets", set="pump/pump")
    assert not app.exception
    line = line_with(text_of(app), "2 clips are (nearly) the same sound")
    assert "normal/quieter.wav" in line
    assert "normal/rec0_3.wav" in line
    assert "No duplicates" not in text_of(app)
    assert "Recordings: **not known; " in text_of(app)


def test_a_table_without_names_of_recordings_is_as_earlier_versions_wrote_it(home):
    library.add_folder("pump", home / "mine" / "pump")
    written = json.loads((home / "library.json").read_text())["sets"]["pump"]
    assert set(written) == {"kind", "added", "normal", "folder", "machines", "aliases"}
    assert library.read_library().find("pump").rules.recording_by is None
    library.add_folder("pump", home / "mine" / "pump", rules=FolderRules(recording_by="none"))
    assert library.read_library().find("pump").rules.recording_by == "none"


def test_a_training_takes_the_folds_of_the_form_and_the_recordings_of_its_data_set(home, monkeypatch):
    library.add_folder("pump", home / "mine" / "pump", rules=FolderRules(recording_by=RECORDINGS))
    monkeypatch.setattr(jobs, "clear_dead_jobs", list)  # it waits: nothing is trained
    app = opened("pages/train.py", train_view="new", set="pump/pump", train_detector="lstm_predictor")
    assert "normal training clips, of which a fifth is held out: the threshold will be provisional" in text_of(app)
    app.number_input(key="folds:lstm_predictor").set_value(3)
    button(app, "Start training").click().run()
    assert not app.exception
    (job,) = list_jobs()
    assert (job.request.folds, job.request.rules.recording_by) == (3, RECORDINGS)


def test_a_sweep_takes_the_recordings_of_its_data_set(home, monkeypatch):
    library.add_folder("pump", home / "mine" / "pump", rules=FolderRules(recording_by=RECORDINGS))
    asked = {}
    monkeypatch.setattr(nu_gamma, "sweep", lambda *_, **options: asked.update(options) or {})
    Sweep("pump", "pump").perform(lambda *_: None)
    assert asked["rules"] == FolderRules(recording_by=RECORDINGS)


def trained(home: Path) -> Artifact:
    """An SVM of the data set, its recordings not named."""
    out = home.parent / "artifacts"
    settings = {"nu": 0.2}
    request = TrainingRequest("vggish_ocsvm", home / "mine" / "pump", name="pump", settings=settings, seed=3, out=out)
    return train(request).artifact


def test_the_svm_lesson_shows_fitted_clips_with_their_scores_by_fits_without_them(home):
    found = trained(home)
    learned = svm._learned(found, home / "mine" / "pump")
    kept = found.scores.of("heldout").anomaly_scores
    assert learned.judged[:, 1].tolist() == kept.tolist()
    rows = learned.normal
    assert rows.shape == (len(kept), learned.state["support_vectors"].shape[1])  # a block per clip of 1 s
    assert learned.judged[:, 0] == pytest.approx(np.sqrt((rows**2).mean(axis=1)))
    by_itself = svm.one_class_scores(rows, learned.state)
    assert (kept - by_itself).min() > 0  # the detector has heard them
    app = drawn(lambda: svm._distances(found, learned, rows[0]))
    assert svm.CROSS_FITTED in text_of(app)
    old = made(found, found.threshold, OLD)
    assert svm.CROSS_FITTED not in text_of(drawn(lambda: svm._distances(old, learned, rows[0])))
    assert (svm._normal_word(found), svm._normal_word(old)) == ("normal training clips", "held-out normal")


def test_where_clips_are_not_at_hand_all_that_calibrated_the_threshold_are_counted(artifact, monkeypatch):
    monkeypatch.setattr(explore_views.st, "page_link", lambda *_, **__: None)  # one script alone has no other page
    changed = made(artifact, CONFORMAL)
    table = drawn(lambda: explore_views.clips_not_at_hand({"a": changed})).dataframe[0].value
    assert table["Calibrated on"].tolist() == [CALIBRATION.n]


def old_detector(home: Path) -> Artifact:
    """A detector of the data set as an earlier version made it: without a word on how it was calibrated."""
    made_ = trained(home)
    old = CalibrationSummary(n=made_.manifest.calibration.n)
    manifest = replace(made_.manifest, calibration=old, files={})
    return publish(made_.folder.parent, manifest=manifest, state=made_.detector().state, scores=made_.scores.clips)


def finished(wait: Callable[[], list[Job]] = list_jobs) -> Job:
    import time

    deadline = time.monotonic() + 120
    while any(job.is_active for job in wait()) and time.monotonic() < deadline:
        jobs.clear_dead_jobs()
        time.sleep(0.2)
    return wait()[0]


def test_a_detector_calibrated_the_old_way_is_marked_and_recalibrated_by_one_button(home):
    library.add_folder("pump", home / "mine" / "pump", rules=FolderRules(recording_by=RECORDINGS))
    before = old_detector(home)
    assert before.manifest.calibration.is_old
    app = opened("pages/overview.py", figures=True)
    assert cards.OLD_BADGE in text_of(app)
    app = button(app, "Recalibrate").click().run()
    assert [each.value for each in app.title] == ["Threshold"]
    app = opened("pages/threshold.py")
    assert cards.OLD_MEANING in text_of(app)
    button(app, "Recalibrate").click().run()
    assert not app.exception
    assert button(app, "See it on the Train page")
    assert not [each for each in app.button if each.label == "Recalibrate"]
    job = finished()
    assert job.state == "done", job.status.error
    assert (job.request.settings, job.request.seed, job.request.rules.recording_by) == ({"nu": 0.2}, 3, RECORDINGS)
    after = open_artifact(before.folder.parent)
    assert after.version != before.version
    assert after.manifest.settings == before.manifest.settings
    assert (after.manifest.calibration.how, after.manifest.calibration.recordings_from) == ("cross_fit", "given")
    app = opened("pages/threshold.py")
    assert cards.OLD_MEANING not in text_of(app)
    assert cards.OLD_BADGE not in text_of(opened("pages/overview.py", figures=True))


def test_detectors_of_the_project_are_recalibrated_beside_themselves(home, monkeypatch, artifact):
    folder = home.parent / "artifacts" / "simulated-small"
    shutil.copytree(EMBEDDED, folder)
    monkeypatch.setattr(recalibration, "indexed", lambda *_: None)
    asked = []
    monkeypatch.setattr(jobs, "submit", lambda request: asked.append(request))
    old = made(open_artifact(folder / "slider" / "vggish_ocsvm"), artifact.threshold, OLD)
    chosen = SimpleNamespace(data_set="simulated-small", machine="slider")
    app = drawn(lambda: recalibration.recalibration(chosen, old))
    assert "to data set simulated-small-own." in text_of(app)
    app.button[0].click().run()
    (request,) = asked
    assert (request.detector, request.machine, request.name) == ("vggish_ocsvm", "slider", "simulated-small")
    assert request.data == home.resolve() / "simulated-small"
    assert (request.out, request.threads, request.settings) == (home.parent / "artifacts", 1, None)


def test_without_its_clips_a_detector_cannot_be_recalibrated_and_the_page_says_so(home, artifact):
    old = made(artifact, artifact.threshold, OLD)
    gone = SimpleNamespace(data_set="gone", machine="slider")
    app = drawn(lambda: recalibration.recalibration(gone, old))
    assert "they are not here" in text_of(app)
    assert not app.button
    assert not text_of(drawn(lambda: recalibration.recalibration(gone, made(artifact, CONFORMAL))))
