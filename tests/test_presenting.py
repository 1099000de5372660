"""Presentation mode and the pictures that can be kept: what Python decides of them."""

from __future__ import annotations

import shutil

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from pages.shared.components import growing
from pages.shared.context import Chosen
from pages.shared.frame import PAGES
from pages.shared.saving import picture_caption, picture_file

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
MARK = "asd-on-wall"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A fresh installation with the detectors that come with the project."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))
    shutil.copytree(EMBEDDED, tmp_path / "artifacts" / "simulated-small")


def opened(path: str, *, presented: bool = False) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    app.run()
    app.switch_page(path)
    if presented:
        app.session_state["present"] = True
    return app.run()


def marks(app: AppTest) -> int:
    return sum(MARK in each.proto.body and "<style" not in each.proto.body for each in app.get("html"))


def bars(app: AppTest) -> int:
    return sum("page_bar" in str(each.proto) for each in app.get("bidi_component"))


def test_the_pages_for_an_audience_are_monitor_threshold_and_compare():
    assert [link.address for link in PAGES if link.is_for_walls] == ["monitor", "threshold", "compare"]


def test_a_presented_page_is_named_so_by_its_link_and_says_so_before_its_scripts(home):
    app = opened("pages/threshold.py", presented=True)
    assert not app.exception
    assert app.session_state["present"] is True
    assert app.query_params["present"] in ("on", ["on"])
    assert marks(app) == 1


def test_a_page_is_not_presented_unless_asked(home):
    app = opened("pages/threshold.py")
    assert (bars(app), marks(app)) == (1, 0)
    assert "present" not in app.query_params


def test_what_ends_the_presentation_takes_it_out_of_the_link(home):
    app = opened("pages/threshold.py", presented=True)
    app.session_state["present"] = False
    app.run()
    assert "present" not in app.query_params
    assert marks(app) == 0


def test_a_page_that_is_not_for_an_audience_ends_the_presentation(home):
    app = opened("pages/data.py", presented=True)
    assert not app.exception
    assert (bars(app), marks(app)) == (0, 0)
    assert app.session_state["present"] is False
    assert "present" not in app.query_params


def test_pixels_of_a_style_sheet_grow_with_the_page():
    css = ".a { margin: 0 -8px 1.5px; width: calc(100% - 16px); } @container (max-width: 760px) { .b { top: 0px; } }"
    grown = ".a { margin: 0 -0.5rem 0.09375rem; width: calc(100% - 1rem); } "
    assert growing(css) == grown + "@container (max-width: 47.5rem) { .b { top: 0rem; } }"


def test_a_style_sheet_that_grows_by_itself_stays_as_it_is():
    css = ".a { font-size: calc(14px * var(--asd-scale, 1)); } text { font-size: 11px; }"
    assert growing(css) == css


def test_a_picture_names_its_page_its_figure_and_its_data_set():
    chosen = Chosen("simulated-small", "slider", {})
    assert picture_file("threshold", "roc", chosen) == "hark-threshold-roc-simulated-small · slider"


@pytest.mark.parametrize(("simulated", "words"), [(True, " (simulated sound)"), (False, "")])
def test_a_caption_ends_with_the_data_set_and_says_where_it_is_simulated(simulated, words):
    caption = picture_caption("Curves.", Chosen("pump hall", "pump", {}), simulated=simulated)
    assert caption == f"Curves.\nData set: pump hall · pump{words}. Hark."


def presented_app():
    import streamlit as st

    from pages.shared.presenting import presented

    st.text(presented())


@pytest.mark.parametrize(
    ("asked", "state", "said"), [("on", None, "True"), ("off", None, "False"), ("on", False, "False")]
)
def test_the_link_says_whether_a_page_is_presented_until_the_session_knows_better(asked, state, said):
    app = AppTest.from_function(presented_app, default_timeout=30)
    app.query_params["present"] = asked
    if state is not None:
        app.session_state["present"] = state
    assert app.run().text[0].value == said
