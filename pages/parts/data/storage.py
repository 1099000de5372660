"""What takes up disk space, and deleting it after a confirmation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from asd_core.artifacts.store import find_artifacts, list_versions
from asd_core.artifacts.versions import current_version, delete_version, is_read_only
from asd_core.data.library import delete_data_set, delete_unlisted, unlisted_folders
from asd_core.data.table import KnownSet
from asd_core.errors import BusyError
from asd_core.formats import display_name, size_text
from asd_core.jobs.listing import active_jobs, list_jobs
from asd_core.jobs.queue import chore_is_active, delete
from asd_core.jobs.table import Job
from asd_core.system.disk import folder_bytes, free_bytes
from asd_core.system.places import artifacts_dir
from asd_core.tasks.storage import caches, empty_cache
from pages.parts.data.table import tree_bytes
from pages.shared.context import PROJECT
from pages.shared.data_sets import known_sets
from pages.shared.deletion import deletion
from pages.shared.plain_text import plain

MAX_RUNS = 100
"""Of the newest that are listed: older ones are few kilobytes each, and are removed by themselves (`jobs.pruning`)."""


@dataclass(frozen=True)
class Item:
    """Something that may be deleted."""

    kind: str
    name: str
    n_bytes: int
    delete: Callable[[], None]


def delete_set(known: KnownSet) -> None:
    """Offer to delete a data set: with all that came of it, or the clips that come with the project."""
    if known.embedded and not known.folder.is_dir():
        return
    key = f"delete:{known.name}"
    box = st.popover("Delete …", icon=":material/delete:", width="stretch", key=key, on_change="rerun")
    if not box.open:
        return
    with box:
        st.markdown(f"**{plain(known.name)}**")
        if known.embedded:
            _delete_embedded(known)
        elif deletion(known.name):
            st.toast("Deleted.")
            st.rerun()


def _delete_embedded(known: KnownSet) -> None:
    st.markdown(f"Its clips are removed from the disk: **{size_text(tree_bytes(known.folder))}**.")
    st.caption("They are generated again, the same, when a page needs them. Detectors stay.")
    if st.button("Delete the clips", key=f"delete_set:{known.name}"):
        delete_unused(known)
        st.rerun()


def delete_unused(known: KnownSet) -> None:
    """Delete a data set that nothing uses right now.

    Raises
    ------
    BusyError
        A training is waiting for it or reading it, or clips are being made.
    """
    _check_unused(known.folder, known.name)
    if known.made_here:
        _check_nothing_is_made()
    delete_data_set(known.name)


def _delete_unlisted(folder: Path) -> None:
    _check_unused(folder, folder.name)
    _check_nothing_is_made()
    delete_unlisted(folder)


def _check_unused(folder: Path, name: str) -> None:
    for job in active_jobs():
        if job.request is not None and job.request.data.resolve().is_relative_to(folder):
            raise BusyError(f"{name} is used by the training {job.name}: stop that first")


def _check_nothing_is_made() -> None:
    if chore_is_active():
        raise BusyError("a data set is being made: wait until that has ended, or stop it")


def storage() -> None:
    """List what takes up disk space, with sizes; one thing at a time can be deleted."""
    items = _items()
    st.caption(
        f"{size_text(free_bytes())} are free on the disk of the data folder. A data set that is deleted here leaves "
        "its detectors; 'Delete …' under 'Data sets' removes all that came of it."
    )
    if not items:
        st.info("Nothing can be deleted.", icon=":material/info:")
        return
    if unlisted_folders():
        st.caption(
            "An unlisted folder holds clips that belong to no data set of the table: making or downloading it was cut "
            "short, or a new table was begun."
        )
    if len(list_jobs()) > MAX_RUNS:
        st.caption(f"Of the finished runs, those among the {MAX_RUNS} newest are listed; Train shows all of them.")
    table = pd.DataFrame(
        {
            "What": [item.kind for item in items],
            "Name": [item.name for item in items],
            "Size": [size_text(item.n_bytes) for item in items],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", key="storage", alt="What can be deleted, with sizes")
    chosen = st.selectbox(
        "Delete",
        range(len(items)),
        index=None,
        placeholder="Choose what to delete",
        format_func=lambda row: f"{items[row].kind}: {items[row].name} ({size_text(items[row].n_bytes)})",
        key=f"doomed:{len(items)}",
        help="Active versions, versions that came with the project, and active trainings are not listed.",
    )
    if chosen is not None and st.button("Delete for good", key="delete_item", icon=":material/delete:"):
        items[chosen].delete()
        st.rerun()


def _items() -> list[Item]:
    out = artifacts_dir(PROJECT)
    sets = [
        Item("data set", known.name, folder_bytes(known.folder), partial(delete_unused, known))
        for known in known_sets().values()
        if known.made_here and known.folder.is_dir()
    ]
    unlisted = [
        Item(
            "unlisted folder",
            display_name(f"{folder.parent.name}/{folder.name}"),
            folder_bytes(folder),
            partial(_delete_unlisted, folder),
        )
        for folder in unlisted_folders()
    ]
    runs = [
        Item("finished run", _run_name(job), folder_bytes(job.folder), partial(delete, job))
        for job in list_jobs()[:MAX_RUNS]
        if not job.is_active
    ]
    emptied = [
        Item("cache", cache.title, cache.n_bytes, partial(_empty, cache.name)) for cache in caches(out) if cache.n_bytes
    ]
    return [*sets, *unlisted, *_old_versions(out), *runs, *emptied]


def _old_versions(out: Path) -> list[Item]:
    found = []
    for folder in find_artifacts(out):
        if is_read_only(folder):
            continue
        current = current_version(folder)
        place = " · ".join(map(display_name, (folder.parents[1].name, folder.parent.name, folder.name)))
        found += [
            Item(
                "model version",
                f"{place} · {version.name}",
                folder_bytes(version),
                partial(delete_version, folder, version.name, out=out),
            )
            for version in list_versions(folder)
            if current is not None and version.name != current
        ]
    return found


def _run_name(job: Job) -> str:
    request = job.request
    detector = (
        "damaged" if request is None else f"{request.detector} on {display_name(request.name or request.data.name)}"
    )
    return f"{detector}, {job.submitted_at:%Y-%m-%d %H:%M:%S} UTC, {job.state}"


def _empty(name: str) -> None:
    if chore_is_active() or active_jobs():
        raise BusyError("something is being made or trained: wait until that has ended")
    empty_cache(name, out=artifacts_dir(PROJECT))
