"""How long a training will take, said from earlier ones."""

from __future__ import annotations

import shutil

import pytest
from sounds import PROJECT

from asd_core.tasks.forecast import earlier_seconds, forecast_text, updates_of

EMBEDDED = PROJECT / "artifacts"


def test_what_the_embedded_detectors_took_is_known_without_any_training():
    assert len(earlier_seconds(EMBEDDED, detector="lstm_predictor", preset="quick")) == 1
    assert earlier_seconds(EMBEDDED, detector="lstm_predictor", preset="paper") == ()


def test_a_damaged_detector_says_nothing(tmp_path):
    shutil.copytree(EMBEDDED / "simulated-small", tmp_path / "simulated-small")
    folder = tmp_path / "simulated-small" / "slider" / "lstm_predictor"
    (folder / "current").write_text("gone\n")
    assert earlier_seconds(tmp_path, detector="lstm_predictor", preset="quick") == ()
    assert len(earlier_seconds(tmp_path, detector="gru_autoencoder", preset="quick")) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((), ""),
        ((1.7,), "about 2 s"),
        ((159.3,), "about 2 min 40 s"),
        ((38.9, 205.0), "39 s to 3 min 20 s"),
        ((0.1, 0.2), "about 1 s"),
    ],
)
def test_a_forecast_is_no_finer_than_it_deserves(seconds, text):
    assert forecast_text(seconds) == text


def test_a_quick_network_counts_updates_whatever_the_clips_and_a_detector_without_any_has_none():
    assert updates_of("lstm_predictor", "quick") == 2048
    assert updates_of("vggish_knn", "quick") is None
