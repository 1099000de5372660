"""The simulated bench: the same everywhere, complete or absent, and faults that fade into health."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import soundfile as sf
from sklearn.metrics import roc_auc_score

from asd_core.data.simulated import bench
from asd_core.data.simulated.bench import SIZES, BenchSize, ClipKey, IdCounts, _poisson_quantile, render_clip
from asd_core.data.simulated.faults import fault_sound
from asd_core.data.simulated.motion import HALF_BENT_DB, HEALTHY, belt_deformation, move
from asd_core.data.simulated.record import Fault, load_mask, read_simulated
from asd_core.data.simulated.scenes import KINDS, MACHINES, rng_of
from asd_core.data.simulated.slide_rail import render
from asd_core.data.simulated.synthesis import add_tone, to_time, white_half_spectrum
from asd_core.data.simulated.writing import anomaly_mask, to_pcm16
from asd_core.errors import DataSetError, UsageError
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.features.trivial import kurtosis, numbers
from asd_core.system.disk import MIN_FREE_BYTES

TINY = BenchSize("tiny", {"00": IdCounts(2, 2, 3), "06": IdCounts(1, 1, 3)})
STEP = 1 / 32768


def anomaly(index: int, machine_id: str = "00") -> ClipKey:
    return ClipKey(machine_id, "test", "anomaly", index)


def digests(root):
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return bench.write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=TINY, seed=3)


def test_the_layout_is_dcase_2020_with_the_asked_counts(tiny):
    names = sorted(p.relative_to(tiny).as_posix() for p in tiny.rglob("*.wav"))
    assert len(names) == TINY.n_clips == 12
    assert "slider/train/normal_id_00_00000001.wav" in names
    assert "slider/test/normal_id_06_00000000.wav" in names
    assert "slider/test/anomaly_id_06_00000002.wav" in names
    assert {p.name for p in tiny.iterdir()} == {"slider", "SIMULATED.json", "masks.npz"}


def test_clips_are_ten_seconds_of_mono_pcm16_at_16_khz(tiny):
    for path in tiny.rglob("*.wav"):
        header = sf.info(path)
        assert (header.samplerate, header.channels, header.subtype, header.frames) == (16_000, 1, "PCM_16", 160_000)


def test_the_marker_says_that_the_bench_is_simulated(tiny):
    marker = read_simulated(tiny)
    recipe = marker.recipe
    assert recipe["schema"] == 1
    assert recipe["simulated"] is True
    assert (recipe["size"], recipe["seed"], recipe["machine"]) == ("tiny", 3, "slider")
    assert recipe["ids"]["06"] == {"train_normal": 1, "test_normal": 1, "test_anomalous": 3}
    path = "slider/test/anomaly_id_00_00000001.wav"
    severity_db = round(render_clip(anomaly(1), seed=3).severity_db, 3)
    assert marker.faults[path] == Fault("grease", severity_db, f"masks.npz#{path}")
    assert json.loads((tiny / "SIMULATED.json").read_text())["anomalous"][path] == {
        "kind": "grease",
        "severity_db": severity_db,
        "mask": f"masks.npz#{path}",
    }


def test_named_sizes_have_the_documented_counts():
    assert SIZES["small"].n_clips == 480
    assert SIZES["calibration"].n_clips == 1200
    assert [c.train_normal for c in SIZES["report"].ids.values()] == [968, 968, 434]
    assert [c.test_anomalous for c in SIZES["report"].ids.values()] == [356, 267, 178]


def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path):
    again = bench.write_bench(tmp_path / "again", size=TINY, seed=3)
    assert digests(again) == digests(tiny)


def test_another_seed_gives_other_clips():
    key = ClipKey("00", "train", "normal", 0)
    assert not np.array_equal(render_clip(key, seed=3).samples, render_clip(key, seed=4).samples)


def test_a_clip_does_not_depend_on_the_clips_before_it(tiny):
    last_first = render_clip(anomaly(2, "06"), seed=3)
    written, _ = sf.read(tiny / anomaly(2, "06").relative_path, dtype="int16")
    assert np.array_equal(to_pcm16(last_first.samples), written)


def test_all_clips_differ(tiny):
    wavs = [digest for name, digest in digests(tiny).items() if name.endswith(".wav")]
    assert len(set(wavs)) == len(wavs)


def test_rendered_statistics_stay_the_same():
    samples = render_clip(anomaly(0, "02"), seed=0).samples
    levels = log_mel(samples).mean(axis=0)
    assert float(np.sqrt(np.mean(samples**2))) == pytest.approx(GOLDEN_RMS, rel=1e-3)
    assert levels[[8, 16, 40, 80, 120]] == pytest.approx(GOLDEN_LEVELS_DB, abs=0.01)


GOLDEN_RMS = 0.0115402
GOLDEN_LEVELS_DB = [-19.221, -14.287, -27.856, -31.130, -40.294]


class InterruptedRunError(Exception):
    pass


def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(tmp_path):
    def stop(n_done, n_clips):
        if n_done == 3:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        bench.write_bench(tmp_path / "b", size=TINY, on_progress=stop)
    assert list(tmp_path.iterdir()) == []
    calls = []
    root = bench.write_bench(tmp_path / "b", size=TINY, on_progress=lambda *done: calls.append(done))
    assert read_simulated(root) is not None
    assert calls == [(i, 12) for i in range(1, 13)]


def test_a_complete_bench_is_not_written_again(tiny):
    def fail(n_done, n_clips):
        raise AssertionError

    assert bench.write_bench(tiny, size=TINY, seed=3, on_progress=fail) == tiny


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "b").mkdir()
    assert read_simulated(bench.write_bench(tmp_path / "b", size=TINY)) is not None


def test_folders_that_hold_something_else_are_refused(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataSetError, match="something else"):
        bench.write_bench(tmp_path, size=TINY)
    with pytest.raises(DataSetError, match="something else"):
        bench.write_bench(tmp_path / "notes.txt", size=TINY)
    with pytest.raises(DataSetError, match="differs in seed"):
        bench.write_bench(tiny, size=TINY, seed=4)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_bench_with_a_clip_missing_is_refused(tmp_path):
    root = bench.write_bench(tmp_path / "b", size=TINY)
    (root / "slider/train/normal_id_00_00000000.wav").unlink()
    with pytest.raises(DataSetError, match="files missing"):
        bench.write_bench(root, size=TINY)


def test_a_place_that_cannot_be_written_is_a_plain_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataSetError, match="cannot write"):
        bench.write_bench(tmp_path / "file" / "bench", size=TINY)


def test_a_full_disk_is_named_before_anything_is_rendered(tiny, tmp_path, monkeypatch):
    free, real, asked = [MIN_FREE_BYTES + TINY.n_bytes - 1], shutil.disk_usage, []
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or real(place)._replace(free=free[0]))
    monkeypatch.setattr(bench, "render_clip", lambda *_, **__: pytest.fail("rendered all the same"))
    with pytest.raises(UsageError, match=r"do not fit on the disk of .* Disk space.*ASD_DATA_DIR"):
        bench.write_bench(tmp_path / "new" / "bench", size=TINY)
    assert list(tmp_path.iterdir()) == []
    assert asked == [tmp_path]
    assert bench.write_bench(tiny, size=TINY, seed=3) == tiny  # is there already
    assert len(asked) == 1


def test_a_clip_takes_the_room_that_is_forecast(tiny):
    sizes = {path.stat().st_size for path in tiny.rglob("*.wav")}
    assert sizes == {bench.CLIP_BYTES}


def test_unknown_sizes_ids_and_seeds_are_refused(tmp_path):
    with pytest.raises(DataSetError, match="size must be one of small"):
        bench.write_bench(tmp_path / "b", size="huge")
    with pytest.raises(DataSetError, match="simulated ids"):
        render_clip(ClipKey("07", "train", "normal", 0))
    with pytest.raises(DataSetError, match="negative"):
        render_clip(anomaly(0), seed=-1)


def test_a_folder_without_marker_is_not_simulated(tmp_path):
    assert read_simulated(tmp_path) is None
    for text in ("{", "[]", '{"schema": 2, "simulated": true}', '{"schema": 1, "simulated": false}'):
        (tmp_path / "SIMULATED.json").write_text(text)
        with pytest.raises(DataSetError):
            read_simulated(tmp_path)


@pytest.mark.parametrize("anomalous", [None, [], {"a.wav": {"kind": "rail"}}, {"a.wav": "rail"}])
def test_a_marker_whose_faults_cannot_be_read_is_named_and_not_opened(anomalous, tmp_path):
    (tmp_path / "SIMULATED.json").write_text(json.dumps({"schema": 1, "simulated": True, "anomalous": anomalous}))
    with pytest.raises(DataSetError, match=r"SIMULATED\.json: anomalous"):
        read_simulated(tmp_path)


def test_masks_mark_what_the_fault_changes(tiny):
    for path in json.loads((tiny / "SIMULATED.json").read_text())["anomalous"]:
        mask = load_mask(tiny, path)
        assert mask.shape == (313, 128)
        assert mask.dtype == np.bool_
        assert 0 < mask.mean() < 0.6


@pytest.mark.parametrize("index", range(3))
def test_strong_faults_have_their_energy_inside_the_mask(index):
    clip = render_clip(anomaly(index), severity_offset_db=6.0)
    mask = anomaly_mask(clip.samples, clip.twin)
    change = np.abs(10 ** (log_mel(clip.samples) / 10) - 10 ** (log_mel(clip.twin) / 10))
    assert mask.mean() > 0.003
    assert change[mask].mean() > 5 * change[~mask].mean()


def test_masks_that_are_absent_or_damaged_are_plain_errors(tiny, tmp_path):
    with pytest.raises(DataSetError, match="no mask of"):
        load_mask(tiny, "slider/test/normal_id_00_00000000.wav")
    with pytest.raises(DataSetError, match="cannot be read"):
        load_mask(tmp_path, "x")
    (tmp_path / "masks.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataSetError, match="cannot be read"):
        load_mask(tmp_path, "x")
    np.savez(tmp_path / "masks.npz", x=np.zeros(3, np.uint8), y=np.asarray([{}], object))
    with pytest.raises(DataSetError, match="damaged"):
        load_mask(tmp_path, "x")
    with pytest.raises(DataSetError, match="cannot be read"):
        load_mask(tmp_path, "y")  # a pickle is never opened


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("machine_id", MACHINES)
def test_every_fault_fades_into_the_healthy_machine(kind, machine_id):
    scene = bench._scene(anomaly(KINDS.index(kind), machine_id), 0, 0.0)
    differences = []
    for severity_db in (10.0, -40.0, -60.0):
        samples, twin = render(replace(scene, severity_db=severity_db))
        differences.append(np.sqrt(np.mean((samples - twin) ** 2)))
        if severity_db == -60.0:
            assert np.abs(samples - twin).max() < STEP
            assert differences[-1] < 0.1 * STEP
    assert differences[0] > 5 * differences[1] > 25 * differences[2]


def test_the_carriage_goes_out_and_back():
    scene = bench._scene(anomaly(0, "00"), 0, 0.0)
    motion = move(scene, HEALTHY)
    at = np.interp(np.concatenate([motion.starts_s[2:6], motion.ends_s[2:6]]), motion.times_s, motion.place)
    assert at == pytest.approx([0, 1, 0, 1, 1, 0, 1, 0], abs=0.01)
    assert motion.speed.max() == pytest.approx(1)
    resting = (motion.times_s > motion.ends_s[3]) & (motion.times_s < motion.starts_s[4])
    assert motion.speed[resting].max() == 0


def test_a_slipping_belt_lengthens_strokes_and_stalls_within_them():
    scene = replace(bench._scene(anomaly(2, "00"), 0, 0.0), severity_db=40.0)
    healthy, slipping = move(scene, HEALTHY), move(scene, belt_deformation(scene))
    lengths = (slipping.ends_s - slipping.starts_s).sum() / (healthy.ends_s - healthy.starts_s).sum()
    assert 1.05 < lengths < 1.6
    middle = (slipping.starts_s[:, None] + 0.15 < slipping.times_s) & (
        slipping.times_s < slipping.ends_s[:, None] - 0.15
    )
    assert slipping.speed[middle.any(axis=0)].min() < 0.75
    assert belt_deformation(replace(scene, severity_db=HALF_BENT_DB)).amount == pytest.approx(0.5)


@pytest.mark.parametrize(("kind", "at_rest"), [("rail", 0.0), ("grease", 0.0), ("belt", 0.7)])
def test_rough_and_dry_rails_are_silent_at_rest_and_a_slipping_belt_turns_on(kind, at_rest):
    scene = replace(bench._scene(anomaly(KINDS.index(kind), "04"), 0, 0.0), severity_db=20.0)
    motion = move(scene, HEALTHY)
    envelope = np.abs(fault_sound(white_half_spectrum(scene.n_samples, rng_of(scene, 0)), scene, motion)) ** 2
    sound = np.convolve(envelope, np.ones(64) / 64)[::64][: motion.speed.size]
    moving, resting = motion.speed == 1, np.convolve(motion.speed, np.ones(101), mode="same") == 0
    assert resting.sum() > 100
    ratio = np.sqrt(np.median(sound[resting]) / np.median(sound[moving]))
    assert ratio == pytest.approx(at_rest, abs=0.15)


def test_a_rough_rail_is_rough_at_the_same_places_on_the_way_back():
    scene = replace(bench._scene(anomaly(0, "00"), 0, 0.0), severity_db=40.0, length_s=60.0)
    motion = move(scene, HEALTHY)
    sound = fault_sound(white_half_spectrum(scene.n_samples, rng_of(scene, 0)), scene, motion)
    power = np.square(sound).reshape(-1, 64).mean(axis=1)
    place, going = motion.place[:-1], motion.speed[:-1] == 1
    outward = np.diff(motion.place) > 0
    bins = np.digitize(place, np.linspace(0, 1, 21))
    profiles = [
        np.array([np.log(np.median(power[going & way & (bins == k)])) for k in range(3, 19)])
        for way in (outward, ~outward)
    ]
    assert np.corrcoef(profiles)[0, 1] > 0.7


def test_a_tone_has_the_asked_power_and_flutters_within_a_few_hertz():
    spectrum = np.zeros(80_001, np.complex64)
    add_tone(spectrum, 900.0, 0.01, np.random.default_rng(0))
    power = np.abs(spectrum) ** 2
    hz = np.arange(power.size) / 10
    assert np.std(to_time(spectrum)) == pytest.approx(0.01, rel=0.01)
    assert (hz * power).sum() / power.sum() == pytest.approx(900, abs=0.5)
    assert np.sqrt(((hz - 900) ** 2 * power).sum() / power.sum()) == pytest.approx(2 / np.sqrt(2), rel=0.2)


def test_healthy_machines_click_too():
    kurtoses = [
        kurtosis(np.diff(render_clip(ClipKey(i, "test", "normal", k)).samples.astype(np.float64), 2))
        for i in MACHINES
        for k in range(12)
    ]
    assert np.mean(np.asarray(kurtoses) > 4) > 0.2
    assert np.median(kurtoses) < 6


def aucs_of_trivial_numbers(n_clips, seeds):
    """AUC of each number, mean over the ids of the small bench and over seeds, in its better direction."""
    found = {}
    for seed in seeds:
        for machine_id in SIZES["small"].ids:
            rows = [
                numbers(render_clip(ClipKey(machine_id, "test", label, i), seed=seed).samples)
                for label in ("normal", "anomaly")
                for i in range(n_clips)
            ]
            for name in rows[0]:
                auc = roc_auc_score(np.repeat([0, 1], n_clips), [row[name] for row in rows])
                found.setdefault(name, []).append(auc)
    return {name: max(np.mean(aucs), 1 - np.mean(aucs)) for name, aucs in found.items()}


def test_no_trivial_number_gives_the_faults_away():
    aucs = aucs_of_trivial_numbers(15, seeds=(0, 1))
    assert max(aucs.values()) < 0.8  # of 90 + 90 clips: three standard errors above the limit would be 0.86


@pytest.mark.slow
def test_no_trivial_number_exceeds_the_limit_over_four_seeds():
    assert max(aucs_of_trivial_numbers(50, seeds=range(4)).values()) <= 0.75


def test_the_twin_of_a_faulty_clip_is_a_healthy_scene():
    scene = bench._scene(anomaly(2), 0, 0.0)
    assert np.array_equal(render(scene)[1], render(replace(scene, kind=None))[0])


def test_a_long_scene_is_one_rendering_at_the_level_of_a_clip_from_beginning_to_end():
    scene = replace(bench._scene(ClipKey("00", "train", "normal", 1), 0, 0.0), busy_db=None, n_events=0)
    short, long = render(scene)[0], render(replace(scene, length_s=60.0))[0]
    assert (short.size, long.size) == (160_000, 960_000)
    rms = np.sqrt(np.mean(long.reshape(6, -1) ** 2, axis=1))
    assert rms == pytest.approx(np.sqrt(np.mean(short**2)), rel=0.25)
    assert np.abs(np.diff(long)).max() < 1.5 * np.abs(np.diff(short)).max()  # no seam


def test_friction_changes_by_what_warming_says_from_beginning_to_end():
    scene = replace(bench._scene(ClipKey("06", "train", "normal", 2), 0, 0.0), busy_db=None, n_events=0, length_s=60.0)
    quiet_room = replace(scene, machine=replace(scene.machine, friction_db=12.0, motor_rms=0.0, joint_peak=0.0))
    steady, warmed = render(quiet_room)[0], render(replace(quiet_room, warming_db=-6.0))[0]
    change_db = [
        20 * np.log10(np.std(warmed[part]) / np.std(steady[part])) for part in (slice(48_000), slice(-48_000, None))
    ]
    assert change_db == pytest.approx([-0.15, -5.85], abs=0.35)


def clip_statistics(keys, **options):
    frames = (log_mel(render_clip(key, **options).samples) for key in keys)
    bands = [f.reshape(len(f), 16, 8).mean(axis=2) for f in frames]
    return np.stack([np.concatenate([b.mean(axis=0), b.std(axis=0)]) for b in bands])


def neighbour_auc(n_clips, severity_offset_db):
    """AUC of the distance to the nearest training clip, over mean and std of the bands."""
    auc = []
    for machine_id in ("00", "04"):
        train = clip_statistics([ClipKey(machine_id, "train", "normal", i) for i in range(n_clips)])
        normal = clip_statistics([ClipKey(machine_id, "test", "normal", i) for i in range(n_clips)])
        keys = [anomaly(i, machine_id) for i in range(n_clips)]
        anomalous = clip_statistics(keys, severity_offset_db=severity_offset_db)
        test = (np.concatenate([normal, anomalous])[:, None] - train) / train.std(axis=0)
        labels = np.repeat([0, 1], n_clips)
        auc.append(roc_auc_score(labels, np.sqrt((test**2).sum(axis=2)).min(axis=1)))
    return float(np.mean(auc))


@pytest.mark.slow
def test_no_label_leaks_when_the_faults_are_inaudible():
    n_clips = 60
    standard_error = np.sqrt((2 * n_clips + 1) / (12 * n_clips**2)) / np.sqrt(2)  # of the mean of two ids
    assert abs(neighbour_auc(n_clips, -60.0) - 0.5) < 3 * standard_error


def test_the_faults_are_neither_blatant_nor_hopeless():
    assert 0.75 < neighbour_auc(45, 0.0) < 0.999


def test_levels_are_near_those_of_real_slide_rails():
    clips = [render_clip(ClipKey("00", "train", "normal", i)).samples for i in range(42)]
    levels = np.mean([log_mel(samples).mean(axis=0) for samples in clips], axis=0)
    at = [int(np.argmin(np.abs(mel_band_centres_hz() - hz))) for hz in (250, 490, 1000, 2500, 4300, 8000)]
    assert levels[at] == pytest.approx([-15, -23, -28, -33, -38, -46], abs=3.5)
    assert np.mean([np.sqrt(np.mean(samples**2)) for samples in clips]) == pytest.approx(0.0102, rel=0.15)
    assert max(np.abs(samples).max() for samples in clips) < 0.5


@pytest.mark.parametrize("machine_id", MACHINES)
@pytest.mark.parametrize("label", ["normal", "anomaly"])
def test_trouble_is_shared_out_evenly_in_normal_and_anomalous_clips(machine_id, label):
    machine = MACHINES[machine_id]
    for seed in range(5):
        scenes = [bench._scene(ClipKey(machine_id, "test", label, i), seed, 0.0) for i in range(100)]
        sessions = [s.session for s in scenes if s.session is not None]
        assert abs(100 - len(sessions) - 100 * machine.novel_share) <= 3
        assert abs(sum(s.busy_db is not None for s in scenes) - 100 * machine.busy_share) <= 3
        assert abs(np.mean([s.n_events for s in scenes]) - machine.event_rate) < 0.2
        assert np.bincount(sessions, minlength=7).min() >= 8


def test_kinds_come_in_equal_thirds_and_grades_follow_their_normal_quantiles():
    scenes = [bench._scene(anomaly(i), 0, 0.0) for i in range(99)]
    machine = MACHINES["00"]
    for kind in KINDS:
        grades = np.asarray([s.severity_db for s in scenes if s.kind == kind])
        assert len(grades) == 33
        assert grades.mean() == pytest.approx(machine.severity_db, abs=0.5)
        assert grades.std() == pytest.approx(machine.severity_sd_db, rel=0.15)


def test_a_smaller_bench_is_the_beginning_of_a_larger_one():
    small = [k for k in bench.clip_keys(SIZES["small"]) if k.machine_id == "02"]
    assert set(small) < set(bench.clip_keys(SIZES["calibration"]))


@pytest.mark.parametrize("mean", [0.05, 0.7, 1.2, 7.0])
def test_counts_of_events_are_poissons_quantiles(mean):
    quantiles = [1e-9, *np.random.default_rng(0).random(500), *scipy.stats.poisson.cdf(range(8), mean), 1 - 1e-9]
    expected = scipy.stats.poisson.ppf(quantiles, mean)
    assert [_poisson_quantile(float(quantile), mean) for quantile in quantiles] == expected.tolist()
