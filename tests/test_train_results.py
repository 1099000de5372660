"""What the Train page says before, and shows after a training: its time, its result, its loss beside others'."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from printed import drawn, metrics_of, text_of
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.formats import seconds_text
from asd_core.jobs import estimates
from asd_core.jobs.estimates import ELSEWHERE, Estimate, estimate
from asd_core.jobs.table import Job, Status
from asd_core.tasks.train import TrainingRequest
from pages.parts.train import overlay, result
from pages.parts.train.fields import time_sentence
from pages.shared.expected_time import rough_time

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"


def ended(seconds: float, detector: str = "vggish_knn", **changes) -> Job:
    """A finished training that took so long; its version is the project's own."""
    artifact = open_artifact(EMBEDDED / detector)
    status = Status(
        "done",
        began_at="2026-01-31T12:00:00+00:00",
        ended_at=f"2026-01-31T12:00:{seconds:09.6f}+00:00",
        model=str(artifact.folder.parent),
        version=artifact.version,
    )
    request = TrainingRequest(detector, Path("data"), name="pump", **changes)
    return Job(Path("20260131T120000000000Z-1a2b3c4d"), request, status)


@pytest.fixture
def jobs(monkeypatch):
    """Return a function that says which jobs there are."""
    monkeypatch.setattr(estimates, "list_jobs", list)
    return lambda *known: monkeypatch.setattr(estimates, "list_jobs", lambda: list(known))


def test_the_times_elsewhere_are_those_of_the_projects_own_detectors():
    for name, (seconds, n_clips) in ELSEWHERE.items():
        manifest = open_artifact(EMBEDDED / name).manifest
        assert (round(manifest.training.seconds, 1), len(manifest.data.fitted_digests)) == (seconds, n_clips)


def test_a_training_is_expected_to_take_what_the_last_ones_of_its_kind_took_per_clip(jobs):
    jobs(ended(20.0), ended(40.0), ended(1.0, detector="vggish_mahalanobis"), ended(3.0, settings={"k": 2}))
    found = estimate("vggish_knn", "quick", n_clips=90)  # half of the clips that those were fitted on
    assert (found.low_s, found.high_s) == (pytest.approx(0.85 * 10), pytest.approx(1.25 * 20))
    assert found.n_runs == 2


def test_a_training_of_seconds_on_few_clips_tells_nothing_about_one_on_many(jobs):
    jobs(ended(20.0))
    assert estimate("vggish_knn", "quick", n_clips=180 * 4).n_runs == 1
    assert estimate("vggish_knn", "quick", n_clips=180 * 4 + 1).n_runs == 0
    assert estimate("vggish_knn", "quick", n_clips=44).n_runs == 0


def test_a_network_takes_as_long_however_many_clips_there_are_unless_it_passes_over_all_of_them(jobs):
    jobs(ended(30.0, detector="lstm_predictor"))
    assert estimate("lstm_predictor", "quick", n_clips=1000) == estimate("lstm_predictor", "quick", n_clips=10)
    jobs(ended(30.0, detector="lstm_predictor", preset="paper"))
    few, many = (estimate("lstm_predictor", "paper", n_clips=n) for n in (10, 1000))
    assert many.low_s == pytest.approx(100 * few.low_s)


def test_without_trainings_here_the_time_is_that_of_one_elsewhere_or_not_known(jobs):
    found = estimate("vggish_ocsvm", "quick", n_clips=180)
    assert (found.low_s, found.high_s, found.n_runs) == (pytest.approx(6.45), pytest.approx(25.8), 0)
    assert estimate("vggish_ocsvm", "paper", n_clips=180) is None


def test_the_form_says_the_time_in_one_sentence_and_where_it_is_known_from():
    assert time_sentence(Estimate(12.2, 19.8, 3)) == (
        ":material/timer: About **12 s to 20 s** on this machine, from the last 3 trainings of this kind."
    )
    assert "from the last training of this kind" in time_sentence(Estimate(12.2, 19.8, 1))
    assert "from a training on another machine" in time_sentence(Estimate(80.0, 320.0, 0))
    assert "is known after its first updates" in time_sentence(None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (12.6, "13 s"), (89.0, "89 s"), (91.0, "2 min"), (3600.0, "60 min"), (7200.0, "2 h")],
)
def test_a_rough_time_has_one_unit(seconds, text):
    assert rough_time(seconds) == text


def test_a_result_says_what_was_learned_and_how_good_it_is():
    artifact = open_artifact(EMBEDDED / "vggish_knn")
    app = drawn(lambda: result.result_card(artifact, key="x"))
    text = text_of(app)
    assert (
        f"**{artifact.title}**, trained in {seconds_text(artifact.manifest.training.seconds)} on 180 normal clips"
        in text
    )
    assert list(metrics_of(app)) == [
        "AUC, mean over ids",
        "Detection rate (TPR)",
        "False-alarm rate (FPR)",
        "Threshold",
    ]
    assert [each.delta for each in app.metric][1:3] == ["111 of 150 anomalous", "6 of 150 normal"]
    assert [button.label for button in app.button] == ["Check a clip now", "See it on the ROC"]


def test_a_result_without_faulty_test_clips_says_that_its_detection_rate_is_not_known(tmp_path):
    from asd_core.artifacts.store import publish

    folder = tmp_path / "pump" / "slider" / "vggish_knn"
    shutil.copytree(EMBEDDED / "vggish_knn", folder)
    whole = open_artifact(folder)
    normal = [clip for clip in whole.scores.clips if clip.label == "normal"]
    publish(folder, manifest=whole.manifest, state=whole.detector().state, scores=normal)
    app = drawn(lambda: result.result_card(open_artifact(folder), key="x"))
    assert "how many faults it finds is not known yet" in text_of(app)
    assert list(metrics_of(app)) == ["Threshold"]


def test_a_version_that_is_gone_or_was_never_made_has_no_result():
    assert result.made_by(ended(1.0)).detector_name == "vggish_knn"
    gone = ended(1.0)
    assert result.made_by(replace(gone, status=replace(gone.status, version="v9999"))) is None
    assert result.made_by(replace(gone, status=replace(gone.status, state="failed"))) is None


def test_trainings_are_set_apart_by_the_settings_in_which_they_differ():
    base = TrainingRequest("lstm_predictor", Path("data"), name="pump", settings={"epochs": 2})
    other = replace(base, seed=7, settings={"epochs": 2, "hidden": 8})
    assert overlay.differing({"A": base, "B": other}) == [
        {"Setting": "seed", "A": "0", "B": "7"},
        {"Setting": "hidden", "A": "preset", "B": "8"},
    ]
    assert overlay.differing({"A": base, "B": base}) == []
