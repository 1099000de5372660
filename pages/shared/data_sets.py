"""Data sets as several pages need them: the table, the index of one machine's clips, and their folder."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from asd_core.data.data_set import DataSet
from asd_core.data.library import clips_folder, is_outdated, make_embedded, open_known
from asd_core.data.simulated.record import MARKER_NAME
from asd_core.data.table import KnownSet, read_library
from pages.shared.context import Chosen
from pages.shared.keys import Tree

_BENCH_LOCK = threading.Lock()


def known_sets() -> dict[str, KnownSet]:
    """Return all data sets by name, the embedded ones first."""
    return {known.name: known for known in read_library().sets}


@dataclass(frozen=True)
class _Machine:
    """One machine of a data set, and its folder as it is now."""

    known: KnownSet
    name: str
    tree: Tree


@st.cache_resource(
    max_entries=16,
    show_spinner="Listing the clips …",
    hash_funcs={_Machine: lambda machine: ascii((machine.known, machine.name, machine.tree))},
)
def _indexed(machine: _Machine) -> DataSet:
    return open_known(machine.known, machine.name)


def indexed(known: KnownSet, machine: str) -> DataSet:
    """Index a machine's clips, again where a folder has changed; those of an embedded set are generated first."""
    if known.embedded:
        _generated(known)
    return _indexed(_Machine(known, machine, tree(known.folder / known.machines[machine])))


def clips_root(chosen: Chosen) -> Path | None:
    """Return the folder of the machine's clips, generated first if they come with the project; None if unknown."""
    known = read_library().find(chosen.data_set)
    if known is None or not known.embedded:
        return clips_folder(chosen.data_set, chosen.machine)
    return _generated(known) / chosen.machine


def has_clips(chosen: Chosen) -> bool:
    """Whether the clips of a set that comes with the project are generated and up to date; others have theirs."""
    known = read_library().find(chosen.data_set)
    return known is None or not known.embedded or not _must_be_generated(known)


def tree_stamp(root: Path) -> str:
    """Return a cheap digest of folders' names, times and numbers of files; it changes when a file comes or goes."""
    folders = [(folder, os.stat(folder).st_mtime_ns, len(names)) for folder, _, names in os.walk(root)]  # noqa: PTH116
    return hashlib.sha256(repr(sorted(folders)).encode()).hexdigest()[:16]


def _generated(known: KnownSet) -> Path:
    """Return the folder of clips that come with the project, generated first where it is missing or outdated."""
    if _must_be_generated(known):
        bar = st.progress(0.0, "Generating the simulated clips, once …")
        with _BENCH_LOCK:  # another session may be generating them
            make_embedded(known, on_progress=lambda done, total: bar.progress(done / total, f"{done} of {total} clips"))
        bar.empty()
    return known.folder


def _must_be_generated(known: KnownSet) -> bool:
    marker = known.folder / MARKER_NAME
    changed_ns = marker.stat().st_mtime_ns if marker.is_file() else 0
    return not known.folder.is_dir() or _is_outdated(known, changed_ns)


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs={KnownSet: lambda known: os.fsencode(known.folder)})
def _is_outdated(known: KnownSet, changed_ns: int) -> bool:  # noqa: ARG001 - read again where the record has changed
    return is_outdated(known)


def tree(root: Path) -> Tree:
    """Return a folder of clips with its present stamp."""
    return Tree(root, tree_stamp(root))
