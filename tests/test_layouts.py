"""Folders as people name them: what each clip is understood as, and which folders are refused with a way out."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase

import pytest
from layouts import LINKS, MEANT, UNCLEAR, Read, lay

from asd_core.data.clips import index_clips
from asd_core.data.folder_rules import FolderRules
from asd_core.errors import DataSetError, UsageError

DRAWN = ("train", "test")


def understood(layout, folder):
    """The index of a layout that was laid as `folder`."""
    return index_clips(folder, machine=layout.machine, rules=FolderRules(**layout.options))


def read_of(path, reads):
    """The one pattern that a path fits, and what it stands for."""
    fitting = [(pattern, read) for pattern, read in reads.items() if fnmatchcase(path, pattern)]
    assert len(fitting) == 1, f"{path} fits {len(fitting)} patterns"
    return fitting[0]


def check(layout, index, folder):
    """Compare an index with what the layout must be understood as."""
    met, recordings = set(), defaultdict(set)
    for clip in index.clips:
        path = clip.path.relative_to(folder).as_posix()
        pattern, expected = read_of(path, layout.reads)
        met.add(pattern)
        split = None if expected.split is None and clip.split in DRAWN else clip.split
        got = Read(clip.label, split, clip.machine_id, expected.recording, clip.kind)
        assert got == expected, path
        recordings[expected.label, expected.recording].add(clip.recording)
    assert met == set(layout.reads)
    assert index.machine == (layout.called or folder.name)
    _check_recordings(recordings)


def _check_recordings(found):
    """Clips with one name of ours share a recording of their own; those without have none, or are in several."""
    named = {key: names for key, names in found.items() if key[1] is not None}
    for key, names in named.items():
        assert len(names) == 1, f"{key} is in {names}"
        assert None not in names, f"{key} has no recording"
    for label in {label for label, _ in named}:
        of_label = [names for (other, _), names in named.items() if other == label]
        assert len(set.union(*of_label)) == len(of_label), f"two recordings of {label} are one"


@pytest.mark.parametrize("layout", MEANT, ids=lambda layout: layout.name)
def test_each_layout_is_understood(layout, tmp_path):
    folder = lay(layout, tmp_path / "machine 7")
    index = understood(layout, folder)
    check(layout, index, folder)
    assert index.skipped.to_json() == layout.skipped
    assert index.left_out == ()


@pytest.mark.parametrize("layout", UNCLEAR, ids=lambda layout: layout.name)
def test_each_unclear_layout_is_refused_and_says_what_is_wrong_and_the_way_out(layout, tmp_path):
    folder = lay(layout, tmp_path)
    with pytest.raises((DataSetError, UsageError)) as refusal:
        understood(layout, folder)
    text = str(refusal.value)
    assert [piece for piece in layout.says if piece not in text] == [], text


@pytest.mark.parametrize("layout", LINKS, ids=lambda layout: layout.name)
def test_links_are_followed_below_the_folder_that_was_named_and_a_circle_ends(layout, tmp_path):
    lay(layout, tmp_path)
    index = understood(layout, tmp_path / "set")
    check(layout, index, tmp_path / "set")
    assert index.skipped.to_json() == layout.skipped
