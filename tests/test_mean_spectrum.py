"""Each network's held-out loss stands beside that of always predicting the fitted frames' mean spectrum."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from printed import drawn, text_of
from sounds import hum
from test_artifacts import manifest_of
from test_detector_contract import NETWORKS, built, small, tiny

from asd_core.artifacts.manifest import TrainingRecord
from asd_core.artifacts.store import Artifact
from asd_core.detectors.contract import Progress
from asd_core.detectors.on_networks import no_better_than_mean
from asd_core.detectors.on_recurrent_networks import CONDITIONINGS
from asd_core.jobs.table import Job, Status
from asd_core.reports import html as report
from asd_core.reports.plots import learning_curves
from asd_core.tasks.train import TrainingRequest
from pages.parts.train import live as train_live

CLIPS = [hum(seed) for seed in range(12)]
HELDOUT = [hum(seed, seconds=seconds) for seed, seconds in ((20, 1.0), (21, 2.0), (22, 1.5))]
FIRST = {"lstm_predictor": 10, "gru_autoencoder": 0, "dcase_autoencoder": 0}
LENGTH = {"lstm_predictor": 1, "gru_autoencoder": 10, "dcase_autoencoder": 5}
HOPELESS = {"epochs": 1, "windows_per_epoch": 16, "learning_rate": 1e-6}


class Kept:
    """A checkpoint in memory."""

    state = None

    def read(self):
        return self.state

    def write(self, state):
        self.state = state


def by_hand(detector):
    """Squared distances of the held-out windows' targets to the mean of all fitted frames, in the network's frames."""
    fitted = np.concatenate([detector.scaled_frames(clip) for clip in CLIPS]).astype(np.float64)
    mean, std = fitted.mean(axis=0), fitted.std(axis=0, ddof=1)
    unit = np.maximum(std, std.mean() / 10) if getattr(detector, "conditioning", "") == "equal_bands" else 1
    first, length = FIRST[detector.name], LENGTH[detector.name]
    targets = []
    for clip in HELDOUT:
        frames = detector.scaled_frames(clip)[first:]
        targets += [frames[at : at + length] for at in range(len(frames) - length + 1)]
    return np.square((np.stack(targets) - mean) / unit).mean()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dcase_autoencoder", {}),
        *((name, {"conditioning": kind}) for name in ("lstm_predictor", "gru_autoencoder") for kind in CONDITIONINGS),
    ],
)
def test_it_is_the_loss_of_the_mean_of_the_fitted_frames(name, settings):
    seen = []
    detector = tiny(name, **settings).fit(CLIPS, heldout=HELDOUT, on_progress=seen.append)
    assert detector.mean_spectrum_loss == pytest.approx(by_hand(detector), rel=1e-4)
    assert [each.mean_spectrum_loss for each in seen] == 3 * [
        detector.mean_spectrum_loss
    ]  # once before the first epoch


@pytest.mark.parametrize("name", NETWORKS)
def test_without_heldout_clips_there_is_none(name):
    detector = tiny(name).fit(CLIPS, heldout=HELDOUT)
    assert detector.mean_spectrum_loss is not None
    detector.fit(CLIPS)
    assert (detector.mean_spectrum_loss, detector.training_warnings) == (None, ())


def test_a_detector_without_a_loss_has_none():
    assert small("vggish_knn").fit(CLIPS, heldout=HELDOUT).mean_spectrum_loss is None


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_has_learned_nothing_says_so(name):
    (line,) = built(name, HOPELESS).fit(CLIPS, heldout=HELDOUT).training_warnings
    assert line.startswith("no_better_than_mean: the held-out loss ")


def test_a_network_that_has_learned_says_nothing():
    detector = small("lstm_predictor").fit(CLIPS, heldout=HELDOUT)
    assert detector.training_warnings == ()
    assert dataclasses.replace(detector).restore(detector.state).mean_spectrum_loss is None


def test_a_resumed_training_knows_it_too():
    kept, seen = Kept(), []
    first = built("gru_autoencoder", HOPELESS).fit(CLIPS, heldout=HELDOUT, checkpoint=kept)
    again = built("gru_autoencoder", HOPELESS).fit(CLIPS, heldout=HELDOUT, checkpoint=kept, on_progress=seen.append)
    assert again.mean_spectrum_loss == first.mean_spectrum_loss == seen[-1].mean_spectrum_loss
    assert again.training_warnings == first.training_warnings != ()


@pytest.mark.parametrize(("loss", "n_lines"), [(0.0037, 0), (0.0038, 1), (0.0045, 1), (None, 0)])
def test_as_good_as_the_mean_is_not_better(loss, n_lines):
    lines = no_better_than_mean(Progress(1, 1, 0.1, loss, 1.0, 0.0, 0.0038))
    assert len(lines) == n_lines
    assert all(f"{loss:.4g} is not below 0.0038," in line for line in lines)
    better = TrainingRecord(seconds=1, heldout_loss=loss, loss=(), heldout_losses=(), mean_spectrum_loss=0.0038)
    assert better.beats_mean_spectrum == (None if loss is None else not n_lines)


def test_manifests_of_earlier_versions_do_not_say():
    old = TrainingRecord.from_json({"seconds": 1, "heldout_loss": 0.1, "loss": [], "heldout_losses": []})
    assert (old.mean_spectrum_loss, old.beats_mean_spectrum) == (None, None)
    assert "mean_spectrum_loss" not in old.to_json()
    new = dataclasses.replace(old, mean_spectrum_loss=0.2)
    assert TrainingRecord.from_json(new.to_json()) == new


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (0.0018, "Its held-out loss 0.0018; always predicting the mean spectrum would give 0.0038."),
        (0.0045, "would give 0.0038: the network is no better than that"),
    ],
)
def test_the_report_says_what_the_mean_spectrum_would_give(loss, words):
    training = TrainingRecord(seconds=1, heldout_loss=loss, loss=(), heldout_losses=(), mean_spectrum_loss=0.0038)
    manifest = manifest_of(small("vggish_knn"), training=training)
    assert words in report._trained(Artifact(Path("v1"), manifest, ""))
    silent = dataclasses.replace(manifest, training=dataclasses.replace(training, mean_spectrum_loss=None))
    assert "mean spectrum" not in report._trained(Artifact(Path("v1"), silent, ""))


def test_the_chart_has_a_dotted_level_over_all_epochs():
    figure = learning_curves({"training": [3.0, 2.0]}, levels={"mean spectrum": 2.5}, n_epochs=8)
    level = figure.data[1]
    assert (level.name, level.line.dash, level.mode) == ("mean spectrum", "dot", "lines")
    assert (list(level.x), list(level.y)) == ([0.5, 8.5], [2.5, 2.5])
    assert list(figure.layout.xaxis.range) == [0.5, 8.5]


@pytest.mark.parametrize(
    ("loss", "words"),
    [(0.0019, "(dotted) would cost 0.0038: the network is at 50% of that."), (0.0045, "**the network is no better**")],
)
def test_the_page_compares_with_it(loss, words):
    job = Job(Path("x"), TrainingRequest("gru_autoencoder", Path("pump")), Status("running", pid=1))
    events = [Progress(1, 8, 0.1, 0.2, 1.0, 7.0, 0.0038), Progress(2, 8, 0.1, loss, 2.0, 6.0, 0.0038)]
    assert words in text_of(drawn(lambda: train_live.loss_figure(job, events)))
    old = [dataclasses.replace(each, mean_spectrum_loss=None) for each in events]
    assert "mean spectrum" not in text_of(drawn(lambda: train_live.loss_figure(job, old)))
