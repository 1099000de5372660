"""What the tests share to save time, and the order in which they begin."""

from __future__ import annotations

import threading

import made_once
import numpy as np
import pytest
from long_files import LONG_FILES, place_of, slowest
from sounds import PROJECT

from asd_core.data.simulated.writing import Recipe, write_simulated


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(made_once, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(made_once, "LARGE_BYTES", 1)
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "kept"


def test_what_two_need_at_once_is_made_by_one(kept):
    made, found = [], []

    def make(folder):
        made.append(folder)
        folder.mkdir()

    def need():
        found.append(made_once.made_once("thing", make, depends_on="1"))

    threads = [threading.Thread(target=need) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len({*found}) == 1
    assert [path.name for path in kept.iterdir() if path.is_dir()] == [found[0].name]


def test_what_depends_on_something_else_is_made_anew_and_the_earlier_one_goes(kept):
    first, second = (made_once.made_once("thing", lambda folder: folder.mkdir(), depends_on=text) for text in "12")
    assert first != second
    assert not first.exists()
    assert second.is_dir()


def test_a_making_that_fails_leaves_nothing_that_is_taken_for_it(kept):
    def fail(folder):
        folder.mkdir()
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        made_once.made_once("thing", fail, depends_on="1")
    assert made_once.made_once("thing", lambda folder: (folder / "x").mkdir(parents=True), depends_on="1").is_dir()
    assert len(list(kept.glob("thing-*/x"))) == 1


def test_a_set_in_the_data_folder_is_simulated_once_and_then_copied(kept, tmp_path):
    rendered, told = [], []
    recipe = Recipe({"schema": 1, "simulated": True, "size": "tiny"}, ("fan/train/a.wav",), 100)

    def render(writer):
        rendered.append(1)
        writer.write("fan/train/a.wav", np.arange(100, dtype=np.int16))

    def written(place, **how):
        return made_once.copied(write_simulated, place, recipe, render, **how)

    first = written(tmp_path / "data" / "tiny")
    content = (first / "fan/train/a.wav").read_bytes()
    (first / "fan/train/a.wav").write_bytes(b"changed")
    first.rename(tmp_path / "data" / "moved")
    second = written(tmp_path / "data" / "tiny", on_progress=lambda *done: told.append(done))
    assert (rendered, told) == ([1], [(1, 1)])
    assert (second / "fan/train/a.wav").read_bytes() == content
    written(tmp_path / "elsewhere" / "tiny")
    assert rendered == [1, 1]


def test_the_long_files_are_there_and_begin_first():
    assert [name for name in LONG_FILES if not (PROJECT / "tests" / name).is_file()] == []
    assert sorted(["test_audio.py", *LONG_FILES[::-1]], key=place_of) == [*LONG_FILES, "test_audio.py"]


def test_the_slowest_files_come_first_with_the_time_of_all():
    durations = [("tests/a.py::x", 1.0), ("tests/b.py::x[::]", 2.0), ("tests/a.py::y", 1.5)]
    assert slowest(durations) == [
        "the slowest of 2 files; 4 s in all processes together",
        "    2.5 s  tests/a.py",
        "    2.0 s  tests/b.py",
    ]
