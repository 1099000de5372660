"""Rows of scores: warnings on recordings that do not belong, and verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact, publish
from asd_core.audio.reading import encode_wav
from asd_core.errors import ArtifactError, UsageError
from asd_core.features.log_mel import checked_samples
from asd_core.tasks.score import score_clips, score_segments
from asd_core.tasks.train import TrainingRequest, train


def write_clips(folder: Path, seeds, *, gain: float = 1.0, knocks: int = 0) -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        clip = hum(seed, seconds=2.0, knocks=knocks)
        (folder / f"{seed:03d}.wav").write_bytes(encode_wav(np.float32(gain) * clip.samples))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    write_clips(data / "pump" / "normal", range(90))
    return train(TrainingRequest("lstm_predictor", data / "pump", out=data / "out", settings=SETTINGS)).model


SETTINGS = {"hidden": 16, "epochs": 3, "windows_per_epoch": 1024, "learning_rate": 5e-3}


def test_a_clip_like_those_of_training_is_ok_and_a_knocking_one_anomalous(model, tmp_path):
    normal = score_clips([write_clips(tmp_path / "normal", [900])], [model])[0]
    knocking = score_clips([write_clips(tmp_path / "knocking", [900], knocks=4)], [model])[0]
    assert (normal.status, normal.verdict) == ("ok", "normal")
    assert knocking.verdict == "anomalous"


def test_a_much_louder_recording_warns_that_the_verdict_may_be_about_the_microphone(model, tmp_path):
    row = score_clips([write_clips(tmp_path / "loud", [901], gain=6.0)], [model])[0]
    assert row.status == "warning"
    assert "unfamiliar: level" in row.reason
    assert "microphone" in row.reason


def republished(model, tmp_path, **changes):
    artifact = open_artifact(model)
    folder = tmp_path / "set" / "pump" / "lstm_predictor"
    folder.mkdir(parents=True)
    manifest = replace(artifact.manifest, **changes)
    return publish(folder, manifest=manifest, state=artifact.detector().state, scores=artifact.scores.clips)


def test_a_version_from_before_familiarity_still_scores_without_the_warning(model, tmp_path):
    old = republished(model, tmp_path, familiarity=None)
    row = score_clips([write_clips(tmp_path / "loud", [902], gain=6.0)], [old.folder])[0]
    assert row.status == "ok"


@pytest.mark.parametrize("broken", [[], {"n_clips": 1}, {"n_clips": 60, "limits": {}}, "much"])
def test_damaged_familiarity_is_refused(model, tmp_path, broken):
    with pytest.raises(ArtifactError, match="familiarity"):
        republished(model, tmp_path, familiarity=broken)


def test_rows_are_sorted_by_path_then_model(model, tmp_path):
    folder = write_clips(tmp_path / "clips", [5, 3, 4])
    version = open_artifact(model).folder
    rows = score_clips([folder], [version, model])
    assert rows == sorted(rows, key=lambda row: (row.path, row.model))
    assert len(rows) == 6
    assert replace(rows[0], model="") == replace(rows[1], model="")


def test_a_version_trained_on_other_features_is_refused(model, tmp_path):
    with pytest.raises(ArtifactError, match="trained on features"):
        republished(model, tmp_path, features={"sr": 16000, "n_fft": 2048})


def test_without_a_cache_what_several_detectors_ask_of_a_clip_is_computed_once_and_alone_gives_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    clips, computed = write_clips(tmp_path / "clips", [904]), []
    models = sorted(path.parent for path in (PROJECT / "artifacts" / "simulated-small" / "slider").glob("*/current"))

    def counted(waveform, *, min_samples):
        computed.append(waveform.digest)
        return checked_samples(waveform, min_samples=min_samples)

    alone = [row for model in models for row in score_clips([clips], [model])]
    monkeypatch.setattr("asd_core.features.familiarity.checked_samples", counted)
    assert score_clips([clips], models) == alone
    assert len(models) > 3
    assert len(computed) == 1


@pytest.mark.parametrize(("n_more", "named"), [(0, r"fetch 's3://bin/late.wav' first"), (4, "and 2 more first")])
def test_all_recordings_are_looked_at_before_the_first_is_cut_into_segments(
    model, tmp_path, n_more, named, monkeypatch
):
    good = write_clips(tmp_path / "long", [905]) / "905.wav"
    rows = [str(good), "s3://bin/late.wav", *(f"s3://bin/x{number}.wav" for number in range(n_more))]
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(rows) + "\n")
    begun = []
    monkeypatch.setattr("asd_core.tasks.score.segments", lambda *_, **__: begun.append("segments") or iter(()))
    monkeypatch.setattr("asd_core.tasks.score.open_artifact", lambda _: begun.append("model") or open_artifact(model))
    with pytest.raises(UsageError, match=f"a local file, not a URL: .*{named}"):
        score_segments([tmp_path / "list.csv"], [model], segment_s=1.0, hop_s=1.0)
    assert begun == []
