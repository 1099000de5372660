"""What neighbours do to a promise: clips held out at random break it, whole recordings keep it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_core.audio.reading import encode_wav
from asd_core.data.clips import Clip
from asd_core.data.data_set import readable
from asd_core.errors import DataSetError, InputError
from asd_core.evaluation.thresholds import default_threshold
from asd_core.tasks import neighbours
from asd_core.tasks.neighbours import fifth_at_random, mean_and_spread, split_recordings, try_promise
from asd_core.types import SR

N_DAYS, N_PIECES, SPLITS = 12, 7, 3


def day(number, *, faulty=False):
    """Seven seconds of noise in a room of that day's own: its level and colour hardly change within."""
    rng = np.random.default_rng([7, number])
    white = np.fft.rfft(rng.standard_normal(N_PIECES * SR))
    octaves = np.log2(np.maximum(np.arange(white.size), 20) / white.size)
    colour = 10 ** ((rng.normal(0, 4) * octaves + rng.normal(0, 3)) / 20)
    samples = 0.01 * np.fft.irfft(white * colour)
    if faulty:
        samples += 0.1 * np.sin(2 * np.pi * 3000 * np.arange(samples.size) / SR)
    return samples.astype(np.float32).reshape(N_PIECES, SR)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Twelve normal days and a faulty one, cut into clips of one second."""
    root, clips = tmp_path_factory.mktemp("days"), []
    for number in range(N_DAYS + 1):
        label = "normal" if number < N_DAYS else "anomalous"
        for piece, samples in enumerate(day(number, faulty=label == "anomalous")):
            relative = f"{label}/day_{number:02d}_{piece:02d}.wav"
            (root / label).mkdir(exist_ok=True)
            (root / relative).write_bytes(encode_wav(samples))
            clips.append(Clip(root / relative, relative, "00", "train", label, recording=f"day_{number:02d}"))
    return readable(clips, channel=None)


@pytest.fixture(scope="module")
def trials(known):
    return {
        held_out: [try_promise(known, held_out, split=split) for split in range(SPLITS)]
        for held_out in ("at_random", "by_recording")
    }


def test_clips_held_out_at_random_break_the_promise_and_recordings_keep_it(trials):
    seen = {held_out: np.mean([trial.false_alarms for trial in each]) for held_out, each in trials.items()}
    assert seen["at_random"] > 0.3
    assert seen["by_recording"] < 0.2
    assert {trial.promised for each in trials.values() for trial in each} == {0.10}


def test_alarms_are_shares_of_the_scores_that_reach_the_threshold(trials):
    trial = trials["at_random"][0]
    scores, is_fault = trial.test.anomaly_scores, trial.test.is_anomalous
    assert trial.threshold == default_threshold(trial.calibration.anomaly_scores).value
    assert trial.false_alarms == np.sum(scores[~is_fault] >= trial.threshold) / (5 * N_PIECES)
    assert trial.found == np.sum(scores[is_fault] >= trial.threshold) / N_PIECES


def test_the_threshold_rests_on_a_fifth_of_the_clips_or_on_all_of_them(trials):
    at_random, by_recording = trials["at_random"][0], trials["by_recording"][0]
    assert len(at_random.calibration.clips) == round(7 * N_PIECES / 5) == 10
    assert len(by_recording.calibration.clips) == 7 * N_PIECES
    assert len({*by_recording.calibration_recordings}) == 7


def test_clips_lie_at_the_number_of_their_day_and_at_their_score(trials):
    trial = trials["by_recording"][0]
    rests_on, new = trial.points()
    assert [f"day_{round(number) - 1:02d}" for number in rests_on[:, 0]] == list(trial.calibration_recordings)
    assert [clip.path.split("_")[1] for clip in trial.test.clips if clip.label == "normal"] == [
        f"{round(number) - 1:02d}" for number in new[:, 0]
    ]
    assert rests_on[:, 1].tolist() == trial.calibration.anomaly_scores.tolist()
    assert new[:, 1].tolist() == [clip.anomaly_score for clip in trial.test.clips if clip.label == "normal"]


def test_whole_normal_recordings_train_and_all_others_test(known):
    train, test = split_recordings(known.clips, seed=1)
    names = [{known.clips[row].recording for row in rows} for rows in (train, test)]
    assert (len(names[0]), len(names[1]), names[0] & names[1]) == (7, 6, set())
    assert len(train) + len(test) == len(known.clips)
    assert {known.clips[row].label for row in train} == {"normal"}
    assert split_recordings(known.clips, seed=2) != (train, test)


def test_a_fifth_at_random_is_held_out_for_good():
    plan = fifth_at_random(50, seed=0)
    assert (plan.how, len(plan.heldout), len(plan.fitted)) == ("held_out", 10, 40)
    assert plan.heldout != fifth_at_random(50, seed=1).heldout


def test_who_is_not_told_the_recordings_calibrates_without_them(known, monkeypatch):
    seen = []
    real = neighbours.plan_calibration
    monkeypatch.setattr(
        neighbours, "plan_calibration", lambda normal, **options: seen.append(normal) or real(normal, **options)
    )
    try_promise(known, "untold")
    try_promise(known, "by_recording")
    assert {clip.recording for clip in seen[0].clips} == {None}
    assert len({clip.recording for clip in seen[1].clips}) == 7


def test_clips_without_recording_and_too_few_recordings_are_refused(known):
    nameless = known.clips[3]
    clips = (*known.clips[:3], replace(nameless, recording=None))
    with pytest.raises(DataSetError, match=r"day_00_03\.wav does not"):
        split_recordings(clips, seed=0)
    with pytest.raises(DataSetError, match="three normal recordings are needed, got 2"):
        split_recordings(known.clips[: 2 * N_PIECES], seed=0)
    with pytest.raises(InputError, match="clips are too few for a threshold"):
        try_promise(known.only(range(5 * N_PIECES)[:: N_PIECES // 5]), "at_random")


def test_a_mean_has_its_spread():
    assert mean_and_spread([0.0, 0.1, 0.2, 0.3, 0.9]) == pytest.approx([0.3, 0.04, 0.66])
