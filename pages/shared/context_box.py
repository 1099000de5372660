"""The choice of the context in the sidebar, and the sentence that says it on every page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import find_artifacts
from asd_core.artifacts.versions import trained_at
from asd_core.data.data_set import slug
from asd_core.data.table import read_library
from asd_core.detectors import DETECTOR_NAMES
from asd_core.formats import ago_text, counted
from asd_core.reports.plots.look import DETECTOR_SHORT_NAMES
from asd_core.system.clock import age_s
from asd_core.system.places import artifacts_dir
from pages.shared.cache import artifacts
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.choices import choose, choose_many
from pages.shared.context import NEXT, PROJECT, Chosen
from pages.shared.plain_text import plain, shown_text

FIRST_ACTIVE = 3
"""Detectors that are active until the user says otherwise: the first of the registry, the report's three."""


def context_box() -> Chosen:
    """Draw the choice of data set, machine and active detectors; return what is chosen."""
    groups = _groups()
    if not groups:
        return Chosen("", "", {})
    _follow(groups)
    label = choose(
        "Data set and machine",
        groups,
        key="set",
        format_func=lambda label: groups[label].title,
        help="All pages show this data set and listen with the detectors that were trained on it.",
    )
    return replace(groups[label], active=_active(groups[label]))


def context_line(chosen: Chosen) -> str:
    """Say in one sentence, as Markdown, what the pages listen with."""
    if not chosen.data_set:
        return "No data set and no detector is here yet."
    name = f"**{plain(chosen.title)}**"
    if not chosen.detectors:
        return f"Data set {name}: no detector has been trained on it yet."
    return f"Listening with {name}: {_detectors_text(chosen)}"


def _detectors_text(chosen: Chosen) -> str:
    n_active, n_trained = len(chosen.active), len(chosen.detectors)
    count = counted(n_active, "detector") if n_active == n_trained else f"{n_active} of {n_trained} detectors"
    opened = [artifact for name, artifact in artifacts(chosen)[0].items() if name in chosen.active]
    if not opened:
        return f"{count}."
    by_time = {trained_at(artifact): artifact.manifest for artifact in opened}
    newest = by_time[max(by_time)]
    n_recordings = newest.calibration.n_recordings
    known = n_recordings is not None and newest.calibration.recordings_from != "order"
    source = f" from {counted(n_recordings or 0, 'recording')}" if known else ""
    kind = "simulated clip" if any(artifact.simulated for artifact in opened) else "clip"
    when = ago_text(age_s(max(by_time)))
    return f"{count}, trained {plain(when)} on {counted(len(newest.data.fitted_digests), kind)}{source}."


def _follow(groups: dict[str, Chosen]) -> None:
    """Take over the context that `switch_to`, a link or the choice names; its detectors' folder is a name as well."""
    label, detectors = st.session_state.pop(NEXT, (st.session_state.get("set") or st.query_params.get("set"), ()))
    by_folder = {f"{group.data_set}/{group.machine}": group for group in reversed(groups.values())}
    group = groups.get(label) or by_folder.get(label)
    if group is None:
        return
    st.session_state["set"] = group.label
    key = _active_key(group)
    if detectors and st.session_state.get(key):
        wanted = {*st.session_state[key], *detectors}
        st.session_state[key] = [name for name in group.detectors if name in wanted]
    elif known := [name for name in group.detectors if name in detectors]:
        rest = [name for name in group.detectors if name not in known][: max(0, FIRST_ACTIVE - len(known))]
        st.session_state[key] = [name for name in group.detectors if name in {*known, *rest}]


def _active_key(group: Chosen) -> str:
    return f"active:{group.label}"


def _active(group: Chosen) -> tuple[str, ...]:
    """Let the user choose which detectors listen: the first three by default, always at least one."""
    names = tuple(group.detectors)
    if len(names) < 2:
        return names
    return choose_many(
        "Active detectors",
        names,
        key=_active_key(group),
        parameter="detectors",
        default=_by_default(names),
        format_func=lambda name: f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}",
        help="Those that listen on all pages. One that you leave out stays trained.",
    )


def _by_default(names: tuple[str, ...]) -> tuple[str, ...]:
    """The first detectors, and the one that a link to a page is about."""
    asked = st.query_params.get("detector")
    return tuple(name for name in names if name in names[:FIRST_ACTIVE] or name == asked)


def _groups() -> dict[str, Chosen]:
    """Every machine of every known data set, and every folder of detectors: trained ones first."""
    trained: dict[tuple[str, str], dict[str, Path]] = {}
    for folder in find_artifacts(artifacts_dir(PROJECT)):
        trained.setdefault((folder.parents[1].name, folder.parent.name), {})[folder.name] = folder
    known = _known_machines()
    listed = {(group.data_set, group.machine) for group in known}
    alone = [Chosen(*names, {}) for names in trained if names not in listed]
    groups = [_with_detectors(group, trained) for group in (*known, *alone)]
    # Of names that came about by hand the browser cannot be sent all, so that not all could be chosen.
    sent = [group for group in groups if shown_text(group.label) == group.label]
    return {group.label: group for group in sorted(sent, key=_trained_first)}


def _known_machines() -> list[Chosen]:
    sets = read_library().sets
    return [Chosen(known.name, slug(name), {}, name=name) for known in sets for name in known.machines]


def _with_detectors(group: Chosen, trained: Mapping[tuple[str, str], Mapping[str, Path]]) -> Chosen:
    own = trained.get((group.data_set, group.machine), {})
    return replace(group, detectors={name: own[name] for name in DETECTOR_NAMES if name in own})


def _trained_first(group: Chosen) -> tuple[bool, bool, str]:
    return not group.detectors, not group.embedded, group.label
