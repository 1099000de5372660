"""Each example runs from the checkout, on simulated clips and on a folder of one's own."""

from __future__ import annotations

import re
import runpy
import sys

import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sounds import PROJECT, hum

from asd_core.errors import InputError
from asd_core.types import SR, Waveform

EXAMPLES = PROJECT / "examples"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Where examples run; the first one makes the simulated clips for all."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Hum in a folder `normal`, knocks in a folder `knocking`."""
    root = tmp_path_factory.mktemp("mixer")
    for label, n_clips, knocks in (("normal", 40, 0), ("knocking", 8, 4)):
        (root / label).mkdir()
        for number in range(n_clips):
            clip = hum(100 * knocks + number, knocks=knocks)
            soundfile.write(root / label / f"{number:02}.wav", clip.samples, SR, subtype="PCM_16")
    return root


@pytest.fixture
def run(workplace, monkeypatch, capsys):
    def run(name, *arguments):
        monkeypatch.chdir(workplace)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        names = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out, names

    return run


SIMULATED = {
    "score_my_folder.py": ("anomalous", r"\d+ of 20 clips are anomalous", "trained on simulated sound"),
    "train_and_set_a_threshold.py": (r"as trained \(v0001", r"at most 5 % of normal clips", "simulated clips"),
    "a_detector_of_my_own.py": (r"fitted on 10 clips.*rule conformal", r"AUC 0\.\d{3} on simulated clips"),
    "embeddings_of_my_own.py": ("promised false-alarm rate: 0.1", "All clips are simulated"),
}


def test_all_examples_are_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SIMULATED)


@pytest.mark.parametrize("name", SIMULATED)
def test_without_a_folder_it_makes_simulated_clips_and_says_so(name, run):
    printed, _ = run(name)
    for expected in SIMULATED[name]:
        assert re.search(expected, printed), printed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("score_my_folder.py", "of 48 clips are anomalous"),
        ("train_and_set_a_threshold.py", r"faults found 8 of 8 \(test clips\)"),
        ("a_detector_of_my_own.py", r"AUC 1\.000 on the folder given"),
        ("embeddings_of_my_own.py", "anomalous test clips called anomalous: 8 of 8"),
    ],
)
def test_it_takes_a_folder_of_ones_own_and_calls_that_simulated_no_more(name, expected, run, recordings):
    out = ["--out", "own"] if name.startswith("train") else []
    printed, _ = run(name, recordings, *out)
    assert re.search(expected, printed), printed
    assert "simulated clips" not in printed
    assert "All clips are simulated" not in printed


def test_a_damaged_recording_is_named_and_the_others_are_scored(run, recordings):
    damaged = recordings / "normal" / "damaged.wav"
    damaged.write_bytes(b"RIFF")
    try:
        printed, _ = run("score_my_folder.py", recordings)
    finally:
        damaged.unlink()
    assert re.search("refused: .*damaged.wav", printed), printed
    assert "of 48 clips are anomalous" in printed


def test_the_detector_of_ones_own_keeps_the_contract(run, recordings):
    kind = run("a_detector_of_my_own.py", recordings)[1]["SpectrumDistance"]
    detector = kind.from_preset("quick", least_db=2.0).fit([hum(seed) for seed in range(12)])
    spec, state, clip = detector.state_spec(), detector.state, hum(50, knocks=2)
    assert set(spec) == set(state)
    again = clone(detector).restore(state)
    assert again.anomaly_score(clip) == detector.anomaly_score(clip) == detector.anomaly_map(clip).values.mean()
    for array in state.values():
        array[...] = 0
    assert again.anomaly_score(clip) == detector.anomaly_score(clip)
    with pytest.raises(InputError, match="never change"):
        detector.fit([Waveform(np.zeros(2 * SR, np.float32), digest=name) for name in "abc"])
    assert not detector.fitted
