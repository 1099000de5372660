from __future__ import annotations

import csv
import io
import shutil

import numpy as np
import pytest
import soundfile as sf
import soxr
from sounds import SHARED, hum

from asd_core.audio.reading import decode_waveform, read_waveform
from asd_core.data.data_set import describe_index, open_data_set
from asd_core.data.label_differences import Measures, differences, level_dbfs, measure
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.data.survey import survey
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import Waveform

SR = 16_000
REAL = SHARED / "data" / "real"
PLAIN = Measures(length_s=10.0, level_dbfs=-40.0, edge_hz=8000.0, rate_hz=16_000.0)


def rows(label, n=21, **changes):
    """Measures of clips of a label that vary as recordings of one place do, but for what is given."""
    rng = np.random.default_rng(len(label))
    for index in range(n):
        values = {"level_dbfs": -40 + 0.5 * (index % 3 - 1)} | {
            name: value(rng) if callable(value) else value for name, value in changes.items()
        }
        yield label, Measures(**(vars(PLAIN) | values))


def found(normal, anomalous):
    return differences([*rows("normal", **normal), *rows("anomalous", **anomalous)])


# the rule


def test_labels_of_the_same_recordings_do_not_differ():
    assert found({}, {}) == ()


@pytest.mark.parametrize(
    ("trait", "value", "text"),
    [
        ("level_dbfs", -34.0, "are 6.0 dB louder (medians)"),
        ("level_dbfs", -46.0, "are 6.0 dB quieter (medians)"),
        ("length_s", 1.0, "last 1 s, normal ones 10 s (medians)"),
        ("edge_hz", 4000.0, "reach up to 4000 Hz, normal ones to 8000 Hz (medians)"),
        ("rate_hz", 8000.0, "were saved at 8000 Hz, normal ones at 16000 Hz (medians)"),
        ("rate_hz", 44_100.0, "were saved at 44100 Hz, normal ones at 16000 Hz (medians)"),
    ],
)
def test_each_difference_is_named_with_its_size(trait, value, text):
    (warning,) = found({}, {trait: value})
    assert warning == (
        f"labels_differ: anomalous clips {text}; this alone tells them apart (AUC 1.000), so a detector's AUC may be "
        "about the recording and not about the machine"
    )


def test_all_that_differs_is_named():
    assert len(found({}, {"length_s": 1.0, "level_dbfs": -20.0, "rate_hz": 8000.0})) == 3


def test_labels_that_overlap_are_not_named():
    assert found({}, {"level_dbfs": lambda rng: rng.normal(-36, 3)}) == ()
    assert found({"length_s": lambda rng: rng.choice([1.0, 10.0])}, {"length_s": 1.0}) == ()


def test_one_clip_in_fifty_may_lie_on_the_other_side():
    anomalous = [*rows("anomalous", 49, level_dbfs=-30.0), *rows("anomalous", 1, level_dbfs=-60.0)]
    (warning,) = differences([*rows("normal", 50), *anomalous])
    assert "(AUC 0.980)" in warning


def test_differences_that_recordings_of_one_place_have_are_not_named():
    assert found({"level_dbfs": -40.0}, {"level_dbfs": -37.1}) == ()
    assert found({}, {"length_s": 11.0}) == ()


@pytest.mark.parametrize("n", [7, 8])
def test_few_clips_prove_nothing(n):
    warnings = differences([*rows("normal", 40), *rows("anomalous", n, length_s=1.0)])
    assert len(warnings) == (n == 8)


def test_clips_without_a_label_are_left_out():
    assert differences([*rows("normal"), *rows("unlabelled", length_s=1.0)]) == ()


# what is measured


def written(path, samples, sr=SR):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, sr, subtype="PCM_16")
    return path


@pytest.mark.parametrize("sr", [8000, SR, 48_000])
def test_a_clip_is_measured(tmp_path, sr):
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * sr)
    path = written(tmp_path / "a.wav", noise, sr)
    measures = measure(read_waveform(path), path)
    assert measures.length_s == 2.0
    assert measures.rate_hz == sr
    assert measures.edge_hz == pytest.approx(min(sr / 2, 8000), rel=0.05)
    kept = min(1, SR / sr)  # of white noise's power
    assert measures.level_dbfs == pytest.approx(-20 + 10 * np.log10(kept), abs=0.6)


def test_a_narrow_recording_saved_again_at_a_higher_rate_is_still_narrow(tmp_path):
    narrow = 0.05 * np.random.default_rng(0).standard_normal(2 * 8000)
    path = written(tmp_path / "a.wav", soxr.resample(narrow, 8000, SR))
    assert measure(read_waveform(path), path).edge_hz == pytest.approx(4000, rel=0.1)


def test_silence_has_a_level_and_no_edge(tmp_path):
    path = written(tmp_path / "a.wav", np.zeros(SR))
    assert measure(read_waveform(path), path) == Measures(1.0, -120.0, 0.0, 16_000.0)
    assert level_dbfs(read_waveform(path)) == -120.0


# where it is said


@pytest.fixture(scope="module")
def other_rate(tmp_path_factory):
    """A data set whose anomalous clips come from a recorder at 8 kHz."""
    root = tmp_path_factory.mktemp("own") / "press"
    for index in range(12):
        written(root / "normal" / f"{index:02d}.wav", hum(index, seconds=1).samples)
        content = io.BytesIO()
        sf.write(content, hum(100 + index, seconds=1).samples[::2], 8000, format="WAV", subtype="PCM_16")
        assert decode_waveform(content.getvalue()).warnings == ()
        path = root / "squeal" / f"{index:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.getvalue())
    return root


def test_survey_and_index_say_that_the_labels_differ_as_recordings(other_rate):
    data_set = open_data_set(other_rate)
    warnings = survey(data_set).labels_differ
    assert [text.split(" (")[0] for text in warnings] == [
        "labels_differ: anomalous clips reach up to 3953 Hz, normal ones to 8000 Hz",
        "labels_differ: anomalous clips were saved at 8000 Hz, normal ones at 16000 Hz",
    ]
    assert set(warnings) <= set(describe_index(data_set).warnings)
    assert survey(data_set).labels_differ == warnings  # kept on disk


def test_the_simulated_bench_is_not_accused(tmp_path):
    measured = []
    for label, word in (("normal", "normal"), ("anomaly", "anomalous")):
        for index in range(20):
            samples = render_clip(ClipKey("00", "test", label, index)).samples
            path = written(tmp_path / f"{label}{index}.wav", samples)
            measured.append((word, measure(Waveform(samples), path)))
    assert differences(measured) == ()


@pytest.mark.real_data
def test_real_recordings_are_accused_only_where_it_is_true(real_clips):
    if not REAL.is_dir():
        pytest.skip("the real recordings are not here (../shared/data)")
    with (REAL / "lathe" / "recordings.csv").open(newline="") as file:
        lathe = [(row["label"], REAL / "lathe" / row["path"]) for row in csv.DictReader(file)][::3]
    dcase = [("normal" if path.name.startswith("normal") else "anomalous", path) for path in real_clips.rglob("*.wav")]
    drone = [
        ("normal" if path.parent.name == "normal" else "anomalous", path) for path in (REAL / "drone").rglob("*.flac")
    ]
    warned = [
        differences((label, measure(read_waveform(path), path)) for label, path in clips)
        for clips in (lathe, dcase, drone)
    ]
    assert warned[:2] == [(), ()]
    assert warned[2][0].startswith("labels_differ: anomalous clips are 15.5 dB louder")


def test_an_evaluation_says_that_its_clips_differ_as_recordings(other_rate, tmp_path):
    more = tmp_path / "press"
    shutil.copytree(other_rate, more)
    for index in range(12, 40):
        written(more / "normal" / f"{index:02d}.wav", hum(index, seconds=1).samples)
    trained = train(TrainingRequest("vggish_knn", more, out=tmp_path / "out"))
    warnings = evaluate(trained.model, more).warnings
    assert [text.split(" (")[0] for text in warnings if text.startswith("labels_differ")] == [
        "labels_differ: anomalous clips reach up to 3953 Hz, normal ones to 8000 Hz",
        "labels_differ: anomalous clips were saved at 8000 Hz, normal ones at 16000 Hz",
    ]
