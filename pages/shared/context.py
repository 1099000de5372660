"""What all pages listen with: one data set, one machine and the active detectors, chosen in the sidebar alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from asd_core.formats import ago_text, counted, display_name
from asd_core.system.clock import age_s
from asd_core.system.places import artifacts_dir
from pages.shared.choices import choose, choose_many
from pages.shared.plain_text import plain, shown_text

PROJECT = Path(__file__).resolve().parents[2]
EMBEDDED_NAME = "simulated-small"
FIRST_ACTIVE = 3
"""Detectors that are active until the user says otherwise: the first of the registry, the report's three."""
_NEXT = "next_context"


@dataclass(frozen=True)
class Chosen:
    """The choice in the sidebar: a data set's machine, and its detectors.

    Parameters
    ----------
    data_set, machine
        Names of the folders below `artifacts`; empty where there is neither a data set nor a detector.
    detectors
        Registry name to detector folder, in the registry's order; empty where nothing is trained yet.
    active
        Names of those that listen; at least one where there are any.
    """

    data_set: str
    machine: str
    detectors: dict[str, Path]
    active: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether these are the detectors that come with the project."""
        return self.data_set == EMBEDDED_NAME

    @property
    def label(self) -> str:
        """What the URL and other pages' links call it."""
        return f"{self.data_set}/{self.machine}"

    @property
    def title(self) -> str:
        """What people call it: the data set, and its machine where that has a name of its own."""
        names = (self.data_set,) if self.machine == self.data_set else (self.data_set, self.machine)
        return " · ".join(map(display_name, names))


def switch_to(data_set: str, machine: str, detectors: Iterable[str] = ()) -> None:
    """Make this the context from the next run of a page on; call `st.rerun` or `st.switch_page` afterwards.

    Parameters
    ----------
    data_set, machine
        Names as in `Chosen`: a folder of the data set's machine is called by its `slug`.
    detectors
        Become active beside those that are.
    """
    st.session_state[_NEXT] = (f"{data_set}/{machine}", tuple(detectors))


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
    from asd_core.artifacts.versions import trained_at
    from pages.shared.cache import artifacts

    n_active, n_trained = len(chosen.active), len(chosen.detectors)
    count = counted(n_active, "detector") if n_active == n_trained else f"{n_active} of {n_trained} detectors"
    opened = [artifact for name, artifact in artifacts(chosen)[0].items() if name in chosen.active]
    if not opened:
        return f"{count}."
    newest = max(opened, key=trained_at).manifest
    n_recordings = newest.calibration.n_recordings
    known = n_recordings is not None and newest.calibration.recordings_from != "order"
    source = f" from {counted(n_recordings or 0, 'recording')}" if known else ""
    kind = "simulated clip" if any(artifact.simulated for artifact in opened) else "clip"
    when = ago_text(age_s(max(map(trained_at, opened))))
    return f"{count}, trained {plain(when)} on {counted(len(newest.data.fitted_digests), kind)}{source}."


def _follow(groups: dict[str, Chosen]) -> None:
    """Take over the context that `switch_to` asked for; one that is gone is left alone."""
    label, detectors = st.session_state.pop(_NEXT, ("", ()))
    if label not in groups:
        return
    st.session_state["set"] = label
    group, key = groups[label], _active_key(groups[label])
    if st.session_state.get(key):
        wanted = {*st.session_state[key], *detectors}
        st.session_state[key] = [name for name in group.detectors if name in wanted]
    elif known := [name for name in group.detectors if name in detectors]:
        rest = [name for name in group.detectors if name not in known][: max(0, FIRST_ACTIVE - len(known))]
        st.session_state[key] = [name for name in group.detectors if name in {*known, *rest}]


def _active_key(group: Chosen) -> str:
    return f"active:{group.label}"


def _active(group: Chosen) -> tuple[str, ...]:
    """Let the user choose which detectors listen: the first three by default, always at least one."""
    from asd_core.reports.plots.look import DETECTOR_SHORT_NAMES
    from pages.shared.cards import DETECTOR_MARKS

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
    """Every machine of every known data set, and every folder of detectors, the embedded data set first."""
    from asd_core.artifacts.store import find_artifacts

    found = {group.label: group for group in _known_machines()}
    for folder in find_artifacts(artifacts_dir(PROJECT)):
        machine, data_set = folder.parent.name, folder.parents[1].name
        if shown_text(data_set + machine) != data_set + machine:
            continue  # copied by hand: the browser cannot be sent such a name, so it could not be chosen
        group = found.setdefault(f"{data_set}/{machine}", Chosen(data_set, machine, {}))
        group.detectors[folder.name] = folder
    return {label: _in_order(group) for label, group in sorted(found.items(), key=_embedded_first)}


def _known_machines() -> list[Chosen]:
    from asd_core.data.data_set import slug
    from asd_core.data.table import read_library

    return [Chosen(known.name, slug(machine), {}) for known in read_library().sets for machine in known.machines]


def _in_order(group: Chosen) -> Chosen:
    from asd_core.detectors import DETECTOR_NAMES

    ordered = {name: group.detectors[name] for name in DETECTOR_NAMES if name in group.detectors}
    return Chosen(group.data_set, group.machine, ordered)


def _embedded_first(item: tuple[str, Chosen]) -> tuple[bool, str]:
    return not item[1].embedded, item[0]
