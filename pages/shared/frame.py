"""The frame around every page: menu, header, the context's place, and what is shown when something is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from asd_core.errors import AsdError, AudioError
from asd_core.system.files import CANNOT_BE_KEPT, is_writable
from asd_core.system.logs import configure, event, fault
from asd_core.system.places import artifacts_dir, data_dir
from pages.shared.context import PROJECT, Chosen
from pages.shared.plain_text import error_text, shown_text
from pages.shared.presenting import not_presented, page_bar


@dataclass(frozen=True)
class Link:
    """A page: its script, how its link looks, the section of the menu, and what it is for, in one sentence."""

    path: str
    title: str
    icon: str
    section: str
    about: str
    is_for_walls: bool = False
    """Whether it can be shown to an audience."""

    @property
    def address(self) -> str:
        """Its part of the URL; empty for the overview."""
        return "" if self.path == OVERVIEW else Path(self.path).stem


USE, UNDERSTAND, BUILD = "Use", "Understand", "Build"
OVERVIEW = "pages/overview.py"
PAGES = (
    Link(
        OVERVIEW,
        "Overview",
        ":material/home:",
        "",
        "Hark learns how a machine sounds while it is **healthy**, and shows where a recording sounds strange.",
    ),
    Link(
        "pages/check.py",
        "Check a clip",
        ":material/hearing:",
        USE,
        "Pick, upload or record a clip: what each detector says of it, and where it hears something strange.",
    ),
    Link(
        "pages/my_machine.py",
        "My machine",
        ":material/precision_manufacturing:",
        USE,
        "From recordings of your own machine to a detector that listens to it, in five steps.",
    ),
    Link(
        "pages/monitor.py",
        "Monitor",
        ":material/monitor_heart:",
        USE,
        "Listening all day: several anomalous clips together raise an alarm, so that a single odd one does not.",
        is_for_walls=True,
    ),
    Link(
        "pages/explore.py",
        "Explore",
        ":material/library_music:",
        UNDERSTAND,
        "What the machine sounds like when it is well, and what changes when it is not: see it and hear it.",
    ),
    Link(
        "pages/threshold.py",
        "Threshold",
        ":material/tune:",
        UNDERSTAND,
        "Drag the point along the curve: a lower threshold finds more faults and raises more false alarms.",
        is_for_walls=True,
    ),
    Link(
        "pages/compare.py",
        "Compare",
        ":material/compare_arrows:",
        UNDERSTAND,
        "The active detectors on the **same test clips**: how they differ, and whether that may be chance.",
        is_for_walls=True,
    ),
    Link(
        "pages/learn.py",
        "Learn",
        ":material/school:",
        UNDERSTAND,
        "How a machine listens: each detector step by step on a clip of your choice, with its real numbers.",
    ),
    Link(
        "pages/data.py",
        "Data",
        ":material/folder_open:",
        BUILD,
        "Add, review and tidy recordings. Detectors learn from **normal** sound of one machine.",
    ),
    Link(
        "pages/train.py",
        "Train",
        ":material/model_training:",
        BUILD,
        "A detector learns what **normal** sounds like; training goes on when you leave this page.",
    ),
)

_FOLDER = Path(__file__).parent
ICON, LOGO, STYLE = _FOLDER / "icon.svg", _FOLDER / "logo.svg", _FOLDER / "frame.css"
PRODUCT = "Hark"
_FRAMED = "framed"


def run_page() -> None:
    """Draw the menu and run the page that the URL names: the whole of `app.py`."""
    page = _menu()
    st.session_state[_FRAMED] = True
    page.run()


def _menu() -> StreamlitPage:
    # Before the menu, which would fetch a page's icon from the internet, as that of the browser's tab; a file of ours,
    # since for an emoji Streamlit would load the table of all of them.
    st.set_page_config(page_title=PRODUCT, page_icon=ICON, layout="wide")
    sections: dict[str, list[StreamlitPage]] = {}
    for link in PAGES:
        page = st.Page(
            PROJECT / link.path, title=link.title, icon=link.icon, url_path=link.address, default=not link.address
        )
        sections.setdefault(link.section, []).append(page)
    return st.navigation(sections, expanded=True)


@contextmanager
def open_page(path: str) -> Iterator[Chosen]:
    """Set up the page, draw the choice of the context, and turn refusals into plain messages.

    Parameters
    ----------
    path
        The page's own path, as in `PAGES`.
    """
    if not st.session_state.pop(_FRAMED, False):
        # A fresh server runs the script of a deep link by itself: from now on the menu runs it.
        _menu()
        st.rerun()
    if not _started(path):
        st.stop()
    link = next(page for page in PAGES if page.path == path)
    st.set_page_config(page_title=f"{link.title} · {PRODUCT}")
    st.logo(LOGO, icon_image=ICON, size="large")
    st.html(STYLE)
    _heading(link)  # before anything that imports NumPy: a fresh server shows it half a second earlier
    from pages.shared.components.native_sound import one_sound_at_a_time
    from pages.shared.context_box import context_box, context_line

    one_sound_at_a_time()
    lines = st.container(gap="xxsmall", key="page-lines")
    lines.markdown(link.about)
    with st.sidebar:
        chosen = context_box()
        _read_only_note()
    with _boundary(path):
        lines.caption(context_line(chosen))
    with _boundary(path):
        yield chosen


def _heading(link: Link) -> None:
    """Draw the page's title and, on a page that can be shown to an audience, its bar."""
    if not link.is_for_walls:
        st.title(link.title)
        not_presented()
        return
    with st.container(horizontal=True, vertical_alignment="center", key="page-heading"):
        st.title(link.title)
        page_bar()


@contextmanager
def first_screen() -> Iterator[None]:
    """Mark the one thing of a page that a person sees without scrolling, at 1280 x 900."""
    with st.container(key="first-screen"):
        yield


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
    """Say what to do where nothing is trained on the data set yet, and stop the page."""
    st.info("No trained detector is here yet. The shortest way to one is the page My machine:", icon=":material/info:")
    for page in PAGES:
        if page.path in ("pages/my_machine.py", "pages/train.py"):
            st.page_link(page.path, label=page.title, icon=page.icon)
    st.markdown("Or from the shell; reload this page afterwards:")
    st.code("python -m asd_core train lstm_predictor --data FOLDER_OF_RECORDINGS", language="shell")
    st.stop()
