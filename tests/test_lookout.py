"""What is in a folder, by the system's notices and by looking through it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from asd_core.monitoring.arriving import lookout as lookout_module
from asd_core.monitoring.arriving.lookout import POLLING, SYSTEM, Lookout, seen_as

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="notices are used on Linux alone")
KINDS = [pytest.param(True, marks=linux_only, id="notices"), pytest.param(False, id="polling")]


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class Seen:
    """A lookout on its thread, and what it has reported by path below its folder."""

    def __init__(self, root: Path, *, trusts_system: bool) -> None:
        self.root = root
        self.lookout = Lookout(str(root), trusts_system=trusts_system)
        self.lookout.pace_s = 0.02
        self.sightings: dict[str, list] = {}

    def __enter__(self):
        self.lookout.__enter__()
        return self

    def __exit__(self, *error):
        self.lookout.__exit__(*error)

    def take(self) -> None:
        with contextlib.suppress(OSError):  # of a look that had begun before the folder was there
            self._take()

    def _take(self) -> None:
        for sighting in self.lookout.take():
            self.sightings.setdefault(os.path.relpath(sighting.path, self.root), []).append(sighting)

    def until(self, condition, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        self.take()
        while not condition():
            assert time.monotonic() < deadline, self.sightings
            time.sleep(0.02)
            self.take()

    def until_seen(self, *names: str) -> None:
        """Wait until each was last reported as it is now."""
        self.until(
            lambda: all(
                name in self.sightings and self.sightings[name][-1].signature == seen_as(str(self.root / name))
                for name in names
            )
        )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("trusts_system", KINDS)
def test_what_comes_and_changes_is_reported_also_in_new_folders(root, trusts_system):
    touch(root / "there.wav")
    with Seen(root, trusts_system=trusts_system) as seen:
        seen.until_seen("there.wav")
        assert seen.lookout.kind == (SYSTEM if trusts_system else POLLING)
        assert seen.sightings["there.wav"][0].was_there
        touch(root / "a.wav")
        touch(root / "new" / "deep" / "b.WAV")
        seen.until_seen("a.wav", "new/deep/b.WAV")
        assert not seen.sightings["a.wav"][0].was_there
        touch(root / "a.wav", b"more")
        touch(root / "new" / "deep" / "b.WAV", b"more")
        os.utime(root / "there.wav", (1, 1))
        seen.until_seen("a.wav", "new/deep/b.WAV", "there.wav")
        (root / "new").rename(root / "moved")
        seen.until_seen("moved/deep/b.WAV")


@pytest.mark.parametrize("trusts_system", KINDS)
def test_a_rename_from_a_name_that_is_passed_over_is_told_from_another(root, trusts_system):
    for name in (".a.wav", "b.wav.part", "c.wav"):
        touch(root / name)
    with Seen(root, trusts_system=trusts_system) as seen:
        seen.until_seen("c.wav")
        (root / ".a.wav").rename(root / "a.wav")
        (root / "b.wav.part").rename(root / "b.wav")
        (root / "c.wav").rename(root / "d.wav")
        touch(root / "e.wav")
        seen.until_seen("a.wav", "b.wav", "d.wav", "e.wav")
    assert [seen.sightings[name][-1].is_renamed for name in ("a.wav", "b.wav", "d.wav", "e.wav")] == [1, 1, 0, 0]


@pytest.mark.parametrize("trusts_system", KINDS)
def test_litter_hidden_files_links_to_folders_and_our_own_files_are_no_news(root, tmp_path, trusts_system):
    touch(tmp_path / "elsewhere" / "secret.wav")
    with Seen(root, trusts_system=trusts_system) as seen:
        seen.take()
        for name in (".hidden.wav", "@eaDir/a.wav", ".t.csv.watch/clips/a.wav", "a.txt", "._b.wav"):
            touch(root / name)
        (root / "linked.wav").symlink_to(tmp_path / "elsewhere")
        (root / "linked").symlink_to(tmp_path / "elsewhere")
        (root / "circle").symlink_to("circle")
        (root / "file.wav").symlink_to(tmp_path / "elsewhere" / "secret.wav")
        os.mkfifo(root / "pipe.wav")
        touch(root / "last.wav")
        seen.until_seen("last.wav")
    assert sorted(seen.sightings) == ["file.wav", "last.wav", "pipe.wav"]
    assert sorted(kind for kind, _ in seen.lookout.others()) == [
        *(".txt", "hidden", "hidden", "linked folders", "linked folders"),
        *("of the operating system", "of the operating system", "without suffix"),
    ]


@pytest.mark.parametrize("trusts_system", KINDS)
def test_a_folder_that_is_away_is_an_error_until_it_is_back(root, tmp_path, trusts_system):
    with Seen(root, trusts_system=trusts_system) as seen:
        touch(root / "a.wav")
        seen.until_seen("a.wav")
        for number in range(2):
            shutil.rmtree(root)
            for _ in range(2):
                with pytest.raises(FileNotFoundError):
                    seen.lookout.take()
            root.symlink_to(tmp_path)
            with pytest.raises(NotADirectoryError, match="has become a link"):
                seen.lookout.take()
            root.unlink()
            root.mkdir()
            touch(root / "sub" / f"{number}.wav")
            seen.until_seen(f"sub/{number}.wav")
            touch(root / "sub" / f"{number}.wav", b"more")
            seen.until_seen(f"sub/{number}.wav")


@linux_only
def test_notices_know_who_has_not_closed_a_file(root):
    with Seen(root, trusts_system=True) as seen:
        seen.take()
        path = root / "a.wav"
        with path.open("wb") as out:
            out.write(b"x")
            out.flush()
            seen.until(lambda: seen.lookout.is_written(str(path)))
        seen.until(lambda: not seen.lookout.is_written(str(path)))


@linux_only
def test_a_rename_is_urgent_until_it_is_taken(root):
    touch(root / ".a.wav")
    with Seen(root, trusts_system=True) as seen:
        seen.take()
        assert not seen.lookout.has_urgent
        (root / ".a.wav").rename(root / "a.wav")
        deadline = time.monotonic() + 5
        while not seen.lookout.has_urgent:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        seen.take()
        assert not seen.lookout.has_urgent
        assert seen.sightings["a.wav"][0].is_renamed


@linux_only
def test_with_notices_the_folder_is_listed_once_and_again_after_a_while(root, monkeypatch):
    """What the system's notices have lost is found then."""
    listed = []
    real = lookout_module._Listing.look
    monkeypatch.setattr(lookout_module._Listing, "look", lambda self: listed.append(1) or real(self))
    with Seen(root, trusts_system=True) as seen:
        seen.take()
        monkeypatch.setattr(seen.lookout._notices, "note", lambda _: None)
        touch(root / "lost.wav")
        time.sleep(0.3)
        seen.take()
        assert (listed, seen.sightings) == ([1], {})
        monkeypatch.setattr(lookout_module, "RELIST_S", 0.0)
        seen.until_seen("lost.wav")


@pytest.mark.parametrize("missing", [["watchdog"], []])
def test_without_watchdog_or_watches_of_the_kernel_the_folder_is_looked_through(root, monkeypatch, missing):
    def refuse(*_):
        raise OSError(28, "no more inotify watches")

    monkeypatch.setattr(lookout_module, "missing_modules", lambda _: missing)
    monkeypatch.setattr(lookout_module, "_Notices", refuse)
    with Seen(root, trusts_system=True) as seen:
        seen.take()
        assert seen.lookout.kind == POLLING
        touch(root / "a.wav")
        seen.until_seen("a.wav")


def test_on_a_network_share_nothing_is_believed_of_notices_and_open_files(root, monkeypatch):
    monkeypatch.setattr(lookout_module, "is_shared", lambda _: True)
    with Seen(root, trusts_system=True) as seen:
        seen.take()
        assert (seen.lookout.kind, seen.lookout.sees_writers) == (POLLING, False)


def test_a_look_reports_only_what_has_changed_and_what_was_forgotten(root):
    lookout = Lookout(str(root), trusts_system=False)
    for name in ("a.wav", "b.wav"):
        touch(root / name)
    assert len(lookout.take()) == 2
    assert lookout.take() == []
    touch(root / "a.wav", b"more")
    (only,) = lookout.take()
    assert only.path.endswith("a.wav")
    path = str(root / "b.wav")
    lookout.forget(path, seen_as(path))
    assert [sighting.path for sighting in lookout.take()] == [path]
    assert lookout.take() == []


def test_looking_through_is_left_to_the_thread(root, monkeypatch):
    threads = set()
    real = lookout_module._Listing.look
    monkeypatch.setattr(
        lookout_module._Listing, "look", lambda self: threads.add(threading.current_thread().name) or real(self)
    )
    with Seen(root, trusts_system=False) as seen:
        touch(root / "a.wav")
        seen.until_seen("a.wav")
    assert threads == {"lookout"}
    assert threading.current_thread().name != "lookout"


@pytest.mark.parametrize("trusts_system", KINDS)
def test_nothing_runs_on_when_it_has_ended(root, trusts_system):
    before = set(threading.enumerate())
    with Seen(root, trusts_system=trusts_system) as seen:
        seen.take()
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before
