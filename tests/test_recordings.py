"""Recordings: how they are known, what is split as a whole, and what a threshold from one of them may promise."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile as sf
from sounds import SHARED, hum

from asd_core.data.clips import prints_of
from asd_core.data.data_set import describe_index, open_data_set
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.recordings import assign_folds, find_doubles, find_recordings, natural_key, training_rows
from asd_core.errors import DataSetError, UsageError
from asd_core.features.prints import SoundPrint, border_ratio, sound_print
from asd_core.types import SR

LATHE = SHARED / "data" / "real" / "lathe"


@dataclass(frozen=True)
class Named:
    relative: str
    machine_id: str = "00"
    recording: str | None = None
    name: str | None = None

    @property
    def shown(self) -> str:
        return self.name or self.relative


def named(n, machine_id="00", recording=lambda _: None):
    return [Named(f"{machine_id}/clip_{i}.wav", machine_id, recording(i)) for i in range(n)]


def unheard(clips):
    return [None] * len(clips)


def noise(seed, seconds=1.0, sr=SR):
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * sr))


def low_noise(seed, seconds, sr=SR):
    """Noise whose next sample can be told from the last ones, as that of machines."""
    from scipy.signal import lfilter

    return 0.02 * lfilter([1.0], [1.0, -1.6, 0.8], np.random.default_rng(seed).standard_normal(int(seconds * sr)))


def write(path, samples, sr=SR, subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, sr, subtype=subtype)
    return path


def units_by_fold(recordings, folds):
    held = defaultdict(set)
    for unit, fold in zip(recordings.units, folds, strict=True):
        held[fold].add(unit)
    return held


# How they are known


def test_names_sort_as_people_count():
    names = ["clip_10.wav", "clip_9.wav", "b/1.wav", "clip_9b.wav", "clip_010.wav"]
    assert sorted(names, key=natural_key)[:3] == ["b/1.wav", "clip_9.wav", "clip_9b.wav"]


@pytest.mark.parametrize(("n", "sizes"), [(9, [2, 2, 2, 2, 1]), (75, [15] * 5), (434, [20] * 21 + [14]), (3, [1] * 3)])
def test_where_nothing_is_known_runs_in_name_order_stand_for_recordings(n, sizes):
    clips = named(n)
    recordings = find_recordings(clips, unheard(clips))
    assert (recordings.how, recordings.n, recordings.keeps_promises) == ("order", len(sizes), True)
    assert list(Counter(recordings.units).values()) == sizes  # in the order of their numbers, as clip_2 before clip_10


def test_runs_stay_within_a_machine_id():
    clips = named(100, "00") + named(5, "02")
    recordings = find_recordings(clips, unheard(clips))
    folds = assign_folds(clips, recordings, seed=0)
    assert [Counter(folds[100:].tolist())[fold] for fold in range(5)] == [1] * 5


def test_given_recordings_are_split_as_a_whole_in_five_folds_or_one_at_a_time():
    for n_recordings, n_folds in ((13, 5), (5, 5), (4, 4), (2, 2)):
        clips = named(60, recording=lambda i, n=n_recordings: f"day {i % n}")
        recordings = find_recordings(clips, unheard(clips))
        assert (recordings.how, recordings.n) == ("given", n_recordings)
        folds = assign_folds(clips, recordings, seed=0)
        held = units_by_fold(recordings, folds)
        assert sorted(held) == list(range(n_folds))
        assert sum(map(len, held.values())) == n_recordings
        assert recordings.keeps_promises


def test_one_recording_is_cut_into_runs_and_promises_nothing_for_new_ones():
    clips = named(50, recording=lambda _: "Monday")
    recordings = find_recordings(clips, unheard(clips))
    assert (recordings.n, recordings.keeps_promises, len(set(recordings.units))) == (1, False, 5)
    both = named(50, "00", lambda i: f"day {i % 3}") + named(50, "02", lambda _: "Monday")
    assert not find_recordings(both, unheard(both)).keeps_promises  # the second id has only one


def test_the_fold_that_is_held_out_has_the_most_recordings():
    sizes = [30, 30, 30, 30, *[5] * 6]  # four folds of one long recording, one of six short ones
    clips = [Named(f"r{row}/{i}.wav", "00", f"r{row}") for row, size in enumerate(sizes) for i in range(size)]
    recordings = find_recordings(clips, unheard(clips))
    for seed in range(5):
        held = units_by_fold(recordings, assign_folds(clips, recordings, seed=seed))
        assert len(held[0]) == max(map(len, held.values())) > 1


def test_the_folds_are_a_function_of_the_seed_and_the_names_alone():
    clips = named(60)
    recordings = find_recordings(clips, unheard(clips))
    folds = dict(zip((clip.relative for clip in clips), assign_folds(clips, recordings, seed=3), strict=True))
    backwards = clips[::-1]
    again = assign_folds(backwards, find_recordings(backwards, unheard(clips)), seed=3)
    assert dict(zip((clip.relative for clip in backwards), again, strict=True)) == folds
    others = [assign_folds(named(400), find_recordings(named(400), [None] * 400), seed=seed) for seed in (3, 4)]
    assert (others[0] != others[1]).any()


def test_sixty_percent_of_each_ids_clips_train_in_whole_recordings():
    clips = named(100, "00", lambda i: f"a {i // 10}") + named(20, "02", lambda i: f"b {i // 10}")
    recordings = find_recordings(clips, unheard(clips))
    for seed in range(5):
        drawn = training_rows(clips, recordings, seed=seed)
        assert Counter(clips[row].machine_id for row in drawn) == {"00": 60, "02": 10}
        left = {clips[row].recording for row in range(len(clips)) if row not in drawn}
        assert not left & {clips[row].recording for row in drawn}


# What the sound tells


def test_clips_cut_from_one_recording_are_found_and_cut_into_fifths(tmp_path):
    sound = low_noise(0, 40 * 0.6)
    cut = round(0.6 * SR)
    paths = [write(tmp_path / f"clip_{i}.wav", sound[i * cut : (i + 1) * cut]) for i in range(40)]
    clips = [Named(path.name) for path in paths]
    prints = [sound_print(path) for path in paths]
    recordings = find_recordings(clips, prints)
    assert (recordings.how, recordings.n, recordings.keeps_promises) == ("found", 1, False)
    assert list(Counter(recordings.units).values()) == [8] * 5
    ratios = [border_ratio(one, other) for one, other in itertools.pairwise(prints)]
    apart = [border_ratio(one, other) for one, other in zip(prints, prints[7:], strict=False)]
    assert np.median(ratios) < 1.5 < 3 < np.median(apart)
    shuffled = np.random.default_rng(0).permutation(40).tolist()
    assert find_recordings(clips, [prints[row] for row in shuffled]).how == "order"


def test_two_recordings_cut_into_clips_are_two(tmp_path):
    cut = round(0.6 * SR)
    for day in range(2):
        sound = low_noise(day, 20 * 0.6)
        for i in range(20):
            write(tmp_path / f"day_{day}_{i}.wav", sound[i * cut : (i + 1) * cut])
    paths = sorted(tmp_path.iterdir(), key=lambda path: natural_key(path.name))
    recordings = find_recordings([Named(path.name) for path in paths], [sound_print(path) for path in paths])
    # One border in ten is no chain's end: the two run into one, and no promise is made that two would carry.
    assert recordings.how == "found"
    assert recordings.n in (1, 2)


def test_independent_clips_are_no_chain(tmp_path):
    paths = [write(tmp_path / f"{i}.wav", low_noise(i, 0.6)) for i in range(30)]
    assert find_recordings([Named(path.name) for path in paths], [sound_print(path) for path in paths]).how == "order"


def test_a_copy_in_another_format_or_rate_is_found_and_stays_on_one_side(tmp_path):
    import soxr

    paths = [write(tmp_path / f"{i}.wav", noise(i)) for i in range(10)]
    paths.append(write(tmp_path / "copy.flac", sf.read(paths[3])[0]))
    paths.append(write(tmp_path / "resaved.wav", soxr.resample(sf.read(paths[5])[0], SR, 44_100), sr=44_100))
    prints = [sound_print(path) for path in paths]
    assert find_doubles(prints) == ((3, 10), (5, 11))
    assert prints[3].digest == prints[10].digest
    recordings = find_recordings([Named(path.name) for path in paths], prints)
    assert recordings.units[10] == recordings.units[3]
    assert recordings.units[11] == recordings.units[5]


def test_silence_and_a_common_hum_are_no_doubles(tmp_path):
    t = np.arange(SR) / SR
    paths = [write(tmp_path / f"{i}.wav", 0.3 * np.sin(2 * np.pi * 50 * t) + 0.01 * noise(i)) for i in range(3)]
    paths += [write(tmp_path / f"noise_{i}.wav", noise(100 + i)) for i in range(5)]
    assert find_doubles([sound_print(path) for path in paths]) == ()
    silent = [write(tmp_path / f"silent_{i}.wav", np.zeros(SR + i)) for i in range(3)]
    assert find_doubles([sound_print(path) for path in silent]) == ()


def test_where_most_clips_are_nearly_equal_only_equal_ones_count(tmp_path):
    beep = 0.3 * np.sin(2 * np.pi * 3000 * np.arange(SR) / SR)
    paths = [write(tmp_path / f"{i}.wav", beep + 0.001 * noise(i)) for i in range(8)]
    paths.append(shutil.copy(paths[0], tmp_path / "copy.wav"))
    assert find_doubles([sound_print(path) for path in paths]) == ((0, 8),)


# The index


def own_set(root, n_days=5, n_clips=4, faults=True):
    for day in range(n_days):
        for i in range(n_clips):
            write(root / "normal" / f"day{day}_{i}.wav", noise(100 * day + i, 0.6))
    for i in range(3 if faults else 0):
        write(root / "squeal" / f"{i}.wav", noise(9000 + i, 0.6))
    return root


def test_recordings_named_by_a_regular_expression_are_split_as_a_whole(tmp_path):
    index = index_clips(own_set(tmp_path), rules=FolderRules(recording_by=r"(day\d+)_"))
    train = {clip.recording for clip in index.select(split="train")}
    test = {clip.recording for clip in index.select(split="test", label="normal")}
    assert (len(train), len(test)) == (3, 2)
    assert not train & test
    report = describe_index(open_data_set(tmp_path, rules=FolderRules(recording_by=r"day\d+"))).to_json()
    assert report["recordings"] == {"n": 5, "how": "order"}  # faults have none, so not every clip has one


def test_the_first_group_names_the_recording_and_a_folder_or_each_clip_can(tmp_path):
    own_set(tmp_path)
    by_pattern = index_clips(tmp_path, rules=FolderRules(recording_by=r"day(\d)_")).select(label="normal")
    assert by_pattern[0].recording == "0"
    assert {clip.recording for clip in index_clips(tmp_path, rules=FolderRules(recording_by="folder")).clips} == {
        "normal",
        "squeal",
    }
    assert len({clip.recording for clip in index_clips(tmp_path, rules=FolderRules(recording_by="none")).clips}) == 23


def test_a_sub_folder_that_is_a_recording_is_no_machine(tmp_path):
    for day in range(4):
        for i in range(3):
            write(tmp_path / "normal" / f"day{day}" / f"{i}.wav", noise(10 * day + i, 0.6))
    by_id = index_clips(tmp_path, rules=FolderRules(ids_from="folder"))
    assert by_id.machine_ids == ("day0", "day1", "day2", "day3")
    index = index_clips(tmp_path, rules=FolderRules(recording_by="folder"))
    assert index.machine_ids == ("00",)
    recordings = find_recordings(index.clips, unheard(index.clips))
    assert (recordings.how, recordings.n, recordings.keeps_promises) == ("given", 4, True)


def test_a_pattern_that_is_none_or_that_a_normal_clip_lacks_is_refused(tmp_path):
    own_set(tmp_path)
    with pytest.raises(UsageError, match="is none"):
        index_clips(tmp_path, rules=FolderRules(recording_by="(day"))
    with pytest.raises(DataSetError, match=r"names no recording for 4 normal clips, among them normal/day0_0\.wav"):
        index_clips(tmp_path, rules=FolderRules(recording_by="day[1-9]"))


def test_without_anomalous_clips_all_normal_ones_train(tmp_path):
    index = index_clips(own_set(tmp_path, faults=False))
    assert len(index.select(split="train")) == len(index.clips) == 20


def test_the_index_tells_recordings_and_doubles(tmp_path):
    own_set(tmp_path, faults=False)
    write(tmp_path / "normal" / "twin.flac", sf.read(tmp_path / "normal" / "day1_2.wav")[0])
    report = describe_index(open_data_set(tmp_path)).to_json()
    assert report["recordings"] == {"n": 5, "how": "order"}
    assert report["duplicates"] == [["normal/day1_2.wav", "normal/twin.flac"]]


def sounds(letters):
    """Prints of clips without neighbours; those of one letter are equal."""
    nothing = np.full((2, 18), np.nan)
    return [SoundPrint(letter, np.zeros(512), SR, nothing, nothing) for letter in letters]


def grouped(letters, units):
    """Letters of each unit."""
    held = defaultdict(list)
    for letter, unit in zip(letters, units, strict=True):
        held[unit].append(letter)
    return sorted("".join(sorted(own)) for own in held.values())


@pytest.mark.parametrize(
    ("letters", "days", "units", "promises"),
    [
        ("abcab", "00012", ["aa", "bb", "c"], False),  # no recording is left apart from the first
        ("abcdab", "000011", ["aabb", "cd"], False),  # runs of two
        ("abcad", "00011", ["aabc", "d"], True),  # a recording remains of its own
        ("abcde", "00112", ["ab", "cd", "e"], True),
        ("aaaa", "0123", ["a", "a", "a", "a"], False),  # one sound: nothing can be split
    ],
)
def test_where_all_recordings_share_their_sounds_equal_ones_stay_together_and_promise_nothing(
    letters, days, units, promises
):
    clips = [Named(f"day{day}/{row}.wav", recording=f"day{day}") for row, day in enumerate(days)]
    found = find_recordings(clips, sounds(letters))
    assert (grouped(letters, found.units), found.how, found.keeps_promises) == (units, "given", promises)


# Real recordings


@pytest.fixture(scope="module")
def lathe():
    if not LATHE.is_dir():
        pytest.skip("../shared/data/real/lathe is not there")
    return LATHE


@pytest.mark.real_data
def test_the_real_pair_of_nearly_equal_clips_is_found_and_no_other(real_clips):
    clips = index_clips(real_clips, machine="slider").select(split="train")
    recordings = find_recordings(clips, prints_of(clips, channel=None))
    found = [[clips[row].path.stem[-8:] for row in rows] for rows in recordings.doubles]
    assert found == [["00000003", "00000064"]]
    assert recordings.how == "order"


@pytest.mark.real_data
def test_cuts_of_the_real_lathe_are_found_to_continue_each_other(lathe):
    with (lathe / "recordings.csv").open() as table:
        names = [row["path"] for row in csv.DictReader(table) if row["label"] == "normal"][:60]
    clips = [Named(name) for name in names]
    prints = [sound_print(lathe / name) for name in names]
    recordings = find_recordings(clips, prints)
    assert (recordings.how, recordings.keeps_promises, recordings.doubles) == ("found", False, ())
    shuffled = [prints[row] for row in np.random.default_rng(0).permutation(len(prints))]
    assert find_recordings(clips, shuffled).how == "order"


def test_hums_of_the_tests_are_no_doubles(tmp_path):
    paths = [write(tmp_path / f"{seed}.wav", hum(seed).samples) for seed in range(12)]
    assert find_doubles([sound_print(path) for path in paths]) == ()
