"""Counts of an indexed folder against those that DCASE 2020 publishes."""

from __future__ import annotations

from asd_core.data.dcase2020.published import published_counts
from asd_core.data.indexing import index_clips


def touch_clips(root, names):
    for name in names:
        path = root / "slider" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_a_part_of_a_data_set_is_held_against_all_that_is_published(tmp_path):
    touch_clips(tmp_path, ["train/normal_id_00_00000000.wav", "test/anomaly_id_04_00000000.wav"])
    rows = published_counts(index_clips(tmp_path))
    assert len(rows) == 12
    assert (sum(row.expected for row in rows), sum(row.found for row in rows)) == (4094, 2)
    assert ("00", "train", "normal", 968, 1) in rows
    assert ("04", "test", "anomalous", 178, 1) in rows
    assert ("06", "test", "anomalous", 89, 0) in rows


def test_parts_in_one_folder_are_told_by_their_ids(tmp_path):
    touch_clips(tmp_path, ["train/normal_id_01_00000000.wav", "test/id_03_00000000.wav", "test/id_03_00000001.wav"])
    rows = published_counts(index_clips(tmp_path))
    assert rows == [
        ("01", "train", "normal", 968, 1),
        ("03", "train", "normal", 968, 0),
        ("05", "train", "normal", 434, 0),
        ("01", "test", "unlabelled", 278, 0),
        ("03", "test", "unlabelled", 278, 2),
        ("05", "test", "unlabelled", 278, 0),
    ]


def test_ids_that_no_part_has_are_listed_with_nothing_expected(tmp_path):
    touch_clips(tmp_path, ["train/normal_id_00_00000000.wav", "train/normal_id_99_00000000.wav"])
    assert ("99", "train", "normal", 0, 1) in published_counts(index_clips(tmp_path))


def test_nothing_is_compared_where_nothing_is_published(tmp_path):
    touch_clips(tmp_path / "ids", ["train/normal_id_99_00000000.wav"])
    other = tmp_path / "other" / "conveyor" / "train" / "normal_id_00_00000000.wav"
    other.parent.mkdir(parents=True)
    other.touch()
    own = tmp_path / "own" / "slider" / "normal" / "a.wav"
    own.parent.mkdir(parents=True)
    own.touch()
    for root in ("ids", "other", "own/slider"):
        assert published_counts(index_clips(tmp_path / root)) == []
