"""What is said of a preset is read from its settings."""

from __future__ import annotations

import pytest
from sounds import PROJECT

from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.lstm_predictor import LstmPredictor
from asd_core.detectors.presets import differences, unlike_paper, unlike_paper_text


def test_each_setting_that_differs_is_named_with_both_values_and_no_other():
    detector = LstmPredictor(epochs=3, windows_per_epoch=0, learning_rate=0.003, seed=7, threads=2)
    other = LstmPredictor(windows_per_epoch=8192)
    assert differences(detector, other) == {
        "epochs": (3, 10),
        "learning_rate": (0.003, 0.001),
        "windows_per_epoch": (0, 8192),
    }


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_the_words_about_quick_name_every_entry_in_which_it_is_not_paper(name):
    kind = detector_class(name)
    quick, paper = kind.presets["quick"], kind.presets["paper"]
    assert set(unlike_paper(kind.from_preset("quick"))) == {
        key for key in (*quick, *paper) if quick.get(key, getattr(kind, key)) != paper.get(key, getattr(kind, key))
    }
    assert unlike_paper_text(kind, preset="paper") == ""


def test_differences_are_written_out_with_all_for_no_limit(monkeypatch):
    quick = {"windows_per_epoch": 8192, "schedule": "cosine"}
    monkeypatch.setattr(LstmPredictor, "presets", {"paper": {}, "quick": quick})
    words = "schedule cosine instead of constant, windows per epoch 8,192 instead of all"
    assert unlike_paper_text(LstmPredictor) == words


@pytest.mark.parametrize("name", ["lstm_predictor", "gru_autoencoder"])
def test_the_readme_s_words_about_quick_are_those_of_the_settings(name):
    readme = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert unlike_paper_text(detector_class(name)) in readme
