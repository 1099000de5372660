"""Marked clips of a watch taken into its quarantine, as soon as they are marked: a ring buffer does not wait."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots
from asd_core.errors import ArtifactError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import read_notes
from asd_core.monitoring.rebaselining.quarantine import Followed, follow_notes
from asd_core.monitoring.rebaselining.recent import read_newest
from asd_core.monitoring.rebaselining.versions import version_in_use
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.starting import is_alive
from asd_core.monitoring.status import read_status
from pages.shared.context import PROJECT


@dataclass(frozen=True)
class Taken:
    """A watch's rows, what following its notes changed, and its detector.

    Parameters
    ----------
    is_cut
        Whether earlier rows were left out.
    judged_by
        The version that judges its clips, or judged the newest one.
    artifact
        The version that a re-baseline starts from.
    """

    rows: list[WatchRow]
    is_cut: bool
    judged_by: Path
    artifact: Artifact
    followed: Followed


def take_marked(table: Path) -> Taken | None:
    """Let the quarantine of a watch follow what was said of its clips; None where it has judged none.

    Raises
    ------
    ArtifactError
        Its detector is gone.
    BusyError, UsageError
        As `asd_core.monitoring.rebaselining.quarantine.follow_notes`.
    """
    beside = Beside(table)
    rows, is_cut = _rows(table, table.stat().st_mtime_ns if table.is_file() else 0)
    if not rows:
        return None
    status = read_status(beside.status)
    named = rows[-1].model if status is None or not is_alive(table) else status.model
    judged_by = PROJECT / unescaped(named)
    artifact = version_in_use(beside, judged_by)
    followed = follow_notes(beside, rows, read_notes(beside), channel=artifact.channel, roots=allowed_roots())
    return Taken(rows, is_cut, judged_by, artifact, followed)


def take_as_far_as_possible(table: Path) -> None:
    """As `take_marked`; without the detector, whose channel would be heard, nothing is taken, and the note stays."""
    with contextlib.suppress(ArtifactError):
        take_marked(table)


@st.cache_data(max_entries=8, show_spinner="Reading the watch's table ...")
def _rows(table: Path, changed_ns: int) -> tuple[list[WatchRow], bool]:
    del changed_ns
    return read_newest(table)
