"""Long simulated recordings: one rendering each, cut without a gap, named, marked as simulated."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from asd_core.cli import main
from asd_core.data.data_set import open_data_set
from asd_core.data.folder_rules import FolderRules
from asd_core.data.simulated import long_recordings
from asd_core.data.simulated.long_recordings import RecordingCounts, RecordingKey, render_recording, write_recordings
from asd_core.data.simulated.record import RECORDING_BY, load_mask, read_simulated
from asd_core.data.simulated.scenes import KINDS
from asd_core.data.simulated.slide_rail import render
from asd_core.data.simulated.writing import to_pcm16
from asd_core.errors import DataSetError
from asd_core.features.log_mel import log_mel
from asd_core.features.prints import border_ratio, sound_print

TINY = RecordingCounts(n_normal=3, n_faulty=2, normal_s=30.0, faulty_s=20.0)
DAY_2, DAY_4 = RecordingKey(2, None, 30.0), RecordingKey(4, KINDS[0], 20.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_recordings(tmp_path_factory.mktemp("recordings") / "tiny", counts=TINY, seed=3)


@pytest.fixture
def run(capsys):
    """Return a function that runs a command in this process: exit code, and what it printed."""

    def run_(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, capsys.readouterr().out

    return run_


def pieces(root, key):
    return [sf.read(root / path, dtype="int16")[0] for path in key.paths]


def test_the_pieces_of_a_recording_joined_are_the_recording(tiny):
    whole = to_pcm16(render_recording(DAY_2, seed=3)[0])
    found = pieces(tiny, DAY_2)
    assert [each.size for each in found] == [160_000] * 3
    assert np.array_equal(np.concatenate(found), whole)


def test_each_piece_continues_the_one_before_and_another_day_does_not(tiny):
    one, two, three = (sound_print(tiny / path) for path in DAY_2.paths)
    assert border_ratio(one, two) < 4
    assert border_ratio(two, three) < 4
    others = [sound_print(tiny / path) for path in RecordingKey(3, None, 30.0).paths]
    assert np.median([border_ratio(one, other) for other in others]) > 4


def test_the_same_seed_gives_the_same_samples_and_days_and_seeds_differ():
    key = RecordingKey(1, None, 20.0)
    sound = render_recording(key, seed=3)[0]
    assert np.array_equal(sound, render_recording(key, seed=3)[0])
    assert not np.array_equal(sound, render_recording(key, seed=4)[0])
    assert not np.array_equal(sound, render_recording(RecordingKey(2, None, 20.0), seed=3)[0])


def test_a_longer_recording_of_a_day_is_the_same_machine():
    scenes = [long_recordings._scene(RecordingKey(5, None, length_s), 0) for length_s in (10.0, 120.0)]
    assert scenes[0].machine == scenes[1].machine
    assert scenes[0].session_entropy == scenes[1].session_entropy


def test_days_differ_in_load_pitch_and_pace():
    machines = [long_recordings._scene(key, 0).machine for key in RecordingCounts().recordings()]
    assert np.std([each.friction_db for each in machines]) == pytest.approx(1.5, rel=0.5)
    assert np.std([each.motor_hz / machines[0].motor_hz for each in machines]) == pytest.approx(0.01, rel=0.5)
    assert np.std([each.program_s[0][0] / each.program_s[0][1] for each in machines]) < 1e-12


def shape_of(scene):
    """Mean log-mel spectrum without its level, which a recorder's gain moves from one rendering to the next."""
    spectrum = log_mel(render(scene)[0]).mean(axis=0)
    return spectrum - spectrum.mean()


def test_each_day_has_a_session_of_noise_of_its_own():
    keys = RecordingCounts().recordings()
    quiet = [replace(long_recordings._scene(key, 0), kind=None, n_events=0, length_s=10.0) for key in keys[:5]]
    still = [replace(each, machine=replace(each.machine, program_s=((0.2, 40.0),)), warming_db=0.0) for each in quiet]
    spectra = [shape_of(each) for each in still]
    again = shape_of(replace(still[0], entropy=(99,)))
    apart = [np.abs(spectra[0] - other).mean() for other in spectra[1:]]
    assert min(apart) > 2 * np.abs(spectra[0] - again).mean()


def test_the_set_has_thirteen_days_of_two_minutes_and_six_of_a_failing_machine():
    keys = RecordingCounts().recordings()
    assert [key.day for key in keys] == list(range(1, 20))
    assert [key.kind for key in keys[:13]] == [None] * 13
    assert [key.kind for key in keys[13:]] == [KINDS[place % len(KINDS)] for place in range(6)]
    assert sum(key.n_clips for key in keys) == 13 * 12 + 6 * 6


def test_recordings_are_named_in_the_paths_and_given_to_whoever_says_so(tiny):
    index = open_data_set(tiny, rules=FolderRules(recording_by=RECORDING_BY)).index
    assert {clip.recording for clip in index.clips} == {f"day_{day:02d}" for day in range(1, 6)}
    of_day_2 = [clip.relative for clip in index.clips if clip.recording == "day_02"]
    assert of_day_2 == ["normal/day_02_000.wav", "normal/day_02_001.wav", "normal/day_02_002.wav"]


def test_the_index_has_labels_kinds_and_whole_recordings_on_one_side(tiny):
    index = open_data_set(tiny, rules=FolderRules(recording_by=RECORDING_BY)).index
    assert (index.machine, index.machine_ids) == ("slider", ("00",))
    counts = {label: len(index.select(label=label)) for label in ("normal", "anomalous", "unlabelled")}
    assert counts == {"normal": 9, "anomalous": 4, "unlabelled": 0}
    assert {clip.kind for clip in index.select(label="anomalous")} == set(KINDS[:2])
    for day in (1, 2, 3):
        assert len({clip.split for clip in index.clips if clip.recording == f"day_{day:02d}"}) == 1


@pytest.mark.parametrize("below", ["", "slider"])
def test_it_is_called_simulated_from_its_root_and_from_the_machines_folder(tiny, below):
    data_set = open_data_set(tiny / below)
    assert data_set.simulated is not None
    assert data_set.simulated.recipe["size"] == "recordings"
    assert data_set.simulated.recipe["recording_by"] == RECORDING_BY
    assert data_set.name == "tiny"
    assert {clip.kind for clip in data_set.index.clips} == {None, *KINDS[:2]}


def test_recordings_beside_a_simulated_set_are_not_called_simulated(tiny, tmp_path):
    (tmp_path / "SIMULATED.json").write_text((tiny / "SIMULATED.json").read_text())
    for name in ("normal", "bad"):
        (tmp_path / "works" / "pump" / name).mkdir(parents=True)
        for piece in range(2):
            target = tmp_path / "works" / "pump" / name / f"{piece}.wav"
            target.write_bytes((tiny / DAY_2.paths[piece]).read_bytes())
    assert open_data_set(tmp_path / "works" / "pump").simulated is None


def test_a_faulty_piece_has_its_mask_and_its_fault_in_the_record(tiny):
    record = read_simulated(tiny)
    samples, twin = (each.reshape(2, -1) for each in render_recording(DAY_4, seed=3))
    assert set(record.faults) == {path for key in TINY.recordings()[3:] for path in key.paths}
    for path, clip, healthy in zip(DAY_4.paths, samples, twin, strict=True):
        assert record.faults[path].kind == KINDS[0]
        assert np.array_equal(load_mask(tiny, path), long_recordings.anomaly_mask(clip, healthy))
        assert load_mask(tiny, path).any()


def test_recordings_are_complete_or_absent_and_found_again(tiny, tmp_path):
    def fail(n_done, n_clips):
        raise AssertionError

    assert write_recordings(tiny, counts=TINY, seed=3, on_progress=fail) == tiny
    with pytest.raises(DataSetError, match="differs in seed"):
        write_recordings(tiny, counts=TINY, seed=4)
    with pytest.raises(DataSetError, match="differs in recordings"):
        write_recordings(tiny, counts=RecordingCounts(n_normal=4), seed=3)
    with pytest.raises(DataSetError, match="negative"):
        write_recordings(tmp_path / "new", counts=TINY, seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_recordings(run, tmp_path, monkeypatch):
    monkeypatch.setattr(long_recordings, "RecordingCounts", lambda: TINY)
    code, out = run("simulate", tmp_path / "set", "--size", "recordings", "--seed", "5", "--json", tmp_path / "r.json")
    assert code == 0
    assert out.strip() == str(tmp_path / "set")
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["simulated"], report["size"], report["seed"]) == (True, "recordings", 5)
    assert report["recordings"] == {"n_normal": 3, "n_faulty": 2, "normal_s": 30.0, "faulty_s": 20.0}
    code, out = run("index", tmp_path / "set", "--recording-by", RECORDING_BY)
    assert code == 0
    assert re.search(r"slider: 13 clips, layout folders \(simulated data\)", out)
    assert "recordings: 5, given by the paths of the clips" in out
