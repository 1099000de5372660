"""The frame around every page: links, the choice of data set, and what is shown when something is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import streamlit as st

from asd_core.errors import AsdError, AudioError
from asd_core.formats import display_name
from asd_core.system.files import CANNOT_BE_KEPT, is_writable
from asd_core.system.logs import configure, event, fault
from asd_core.system.places import artifacts_dir, data_dir
from pages.shared.choices import choose
from pages.shared.plain_text import error_text, shown_text

PROJECT = Path(__file__).resolve().parents[2]
EMBEDDED_NAME = "simulated-small"


@dataclass(frozen=True)
class Link:
    """A page and how its link looks."""

    path: str
    title: str
    icon: str


PAGES = (
    Link("app.py", "Overview", ":material/home:"),
    Link("pages/data.py", "Data", ":material/folder_open:"),
    Link("pages/explore.py", "Explore", ":material/library_music:"),
    Link("pages/train.py", "Train", ":material/model_training:"),
    Link("pages/threshold.py", "Threshold", ":material/tune:"),
    Link("pages/check.py", "Check a clip", ":material/hearing:"),
    Link("pages/monitor.py", "Monitor", ":material/monitor_heart:"),
    Link("pages/compare.py", "Compare", ":material/compare_arrows:"),
    Link("pages/learn.py", "Learn", ":material/school:"),
)


@dataclass(frozen=True)
class Chosen:
    """The choice in the sidebar: a data set's machine, and its detectors.

    Parameters
    ----------
    data_set, machine
        Names of the folders below `artifacts`; empty where nothing is trained.
    detectors
        Registry name to detector folder, in the registry's order.
    """

    data_set: str
    machine: str
    detectors: dict[str, Path]

    @property
    def embedded(self) -> bool:
        """Whether these are the detectors that come with the project."""
        return self.data_set == EMBEDDED_NAME


ICON = Path(__file__).with_name("icon.svg")


@contextmanager
def open_page(path: str) -> Iterator[Chosen]:
    """Set up the page, draw the links and the choice of data set, and turn refusals into plain messages.

    Parameters
    ----------
    path
        The page's own path, as in `PAGES`.
    """
    if not _started(path):
        st.stop()
    link = next(page for page in PAGES if page.path == path)
    # A file of ours as the icon: for an emoji, Streamlit would load the table of all of them.
    st.set_page_config(page_title=f"{link.title} · machine sounds", page_icon=ICON, layout="wide")
    st.title(link.title)  # before anything that imports NumPy: a fresh server shows it half a second earlier
    chosen = _sidebar()
    with _boundary(path):
        yield chosen


def fragment(draw: Callable[[], None], *, run_every: float | None = None) -> Callable[[], None]:
    """Make a part of a page that reruns on its own, every `run_every` seconds if given, inside the same boundary."""

    @wraps(draw)
    def guarded() -> None:
        with _boundary(draw.__name__):
            draw()

    return st.fragment(guarded, run_every=run_every)


def _started(path: str) -> bool:
    """Return whether there are folders to work in; the page says so where there are none."""
    folders = []
    with _boundary(path):
        folders = [data_dir(), artifacts_dir(PROJECT)]
        configure("dashboard")
    return bool(folders)


@contextmanager
def _boundary(place: str) -> Iterator[None]:
    """Turn a refusal into a plain message; anything else is logged as a fault under a number that the page shows."""
    try:
        yield
    except AsdError as error:
        reason = error.code if isinstance(error, AudioError) else str(error)
        event("refused", page=place, kind=type(error).__name__, reason=reason)
        _refusal(error_text(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in CANNOT_BE_KEPT:
            event("refused", page=place, kind=type(error).__name__, reason=str(error))
            _refusal(_cannot_be_kept(error))
            return
        number = fault(error, page=place)
        st.error(f"Error {number}: this should not have happened. The log tells more.", icon=":material/error:")
        raise


def _refusal(text: str) -> None:
    st.error("This could not be done:", icon=":material/error:")
    st.text(shown_text(text))


def _cannot_be_kept(error: OSError) -> str:
    """Say what to do about a place that is read-only, full or owned by somebody else."""
    place = "" if error.filename is None else f"{Path(os.fsdecode(error.filename))}: "
    return (
        f"{place}{error.strerror}. Whoever runs this program makes room there, makes the folder writable for it, or "
        "names another one with ASD_DATA_DIR or ASD_ARTIFACTS_DIR."
    )


def _read_only_note() -> None:
    """Say on every page what cannot be kept while one of our folders is not writable."""
    if not is_writable(data_dir()):
        st.warning(
            "The data folder cannot be written to: uploads, folders, simulated clips, downloads, marks, trainings and "
            "reports on clips cannot be kept. Looking and listening work.",
            icon=":material/lock:",
        )
    if not is_writable(artifacts_dir(PROJECT)):
        st.warning(
            "The folder of the detectors cannot be written to: no detector, threshold or version can be saved, chosen "
            "or deleted.",
            icon=":material/lock:",
        )


def no_detectors() -> None:
    """Say what to do where nothing is trained yet, and stop the page."""
    st.info("No trained detector is here yet. Begin with recordings, then train on them:", icon=":material/info:")
    for page in PAGES:
        if page.path in ("pages/data.py", "pages/train.py"):
            st.page_link(page.path, label=page.title, icon=page.icon)
    st.markdown("Or from the shell; reload this page afterwards:")
    st.code("python -m asd_core train lstm_predictor --data FOLDER_OF_RECORDINGS", language="shell")
    st.stop()


def _sidebar() -> Chosen:
    groups = _groups()
    with st.sidebar:
        for page in PAGES:
            st.page_link(page.path, label=page.title, icon=page.icon)
        _read_only_note()
        if not groups:
            return Chosen("", "", {})
        name = choose(
            "Data set and machine",
            groups,
            key="set",
            format_func=lambda name: " · ".join(map(display_name, name.split("/"))),
            help="Every page shows the detectors trained on this data set. 'Simulated' means generated sound, "
            "not recordings.",
        )
    return groups[name]


def _groups() -> dict[str, Chosen]:
    from asd_core.artifacts.store import find_artifacts

    found: dict[str, Chosen] = {}
    for folder in find_artifacts(artifacts_dir(PROJECT)):
        machine, data_set = folder.parent.name, folder.parents[1].name
        if shown_text(data_set + machine) != data_set + machine:
            continue  # copied by hand: the browser cannot be sent such a name, so it could not be chosen
        group = found.setdefault(f"{data_set}/{machine}", Chosen(data_set, machine, {}))
        group.detectors[folder.name] = folder
    return {label: _in_order(group) for label, group in sorted(found.items(), key=_embedded_first)}


def _in_order(group: Chosen) -> Chosen:
    from asd_core.detectors import DETECTOR_NAMES

    ordered = {name: group.detectors[name] for name in DETECTOR_NAMES if name in group.detectors}
    return Chosen(group.data_set, group.machine, ordered)


def _embedded_first(item: tuple[str, Chosen]) -> tuple[bool, str]:
    return not item[1].embedded, item[0]
