"""One colour for each detector, wherever one is drawn: chips, cards, curves, maps and reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.detectors import DETECTOR_NAMES
from asd_core.reports import svg
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    DETECTOR_COLOURS,
    DETECTOR_SHORT_NAMES,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
)

MACHINE = PROJECT / "artifacts" / "simulated-small" / "slider"
TITLES = {name: open_artifact(MACHINE / name).title for name in DETECTOR_NAMES}
COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
NAMING = ("name", "label", "title", "text", "legendgroup")
NOT_OF_DETECTORS = {NEUTRAL_COLOUR, NORMAL_COLOUR, ANOMALOUS_COLOUR}
"""Of thresholds and of clips."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return a function that opens a page with all six detectors active, the URL asking for a view."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_ARTIFACTS_DIR", str(PROJECT / "artifacts"))
        patch.syspath_prepend(str(PROJECT))

        def open_(path: str, **query: str) -> AppTest:
            app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=180)
            app.query_params["detectors"] = list(DETECTOR_NAMES)
            for name, value in query.items():
                app.query_params[name] = value
            page = app.run().switch_page(path).run()
            assert not page.exception
            return page

        yield open_


def detector_in(text: str) -> str | None:
    """The one detector that a text names, by its title or by its short name alone; None for none or several."""
    found = [
        name
        for name, title in TITLES.items()
        if title in text or re.fullmatch(rf"\W*{DETECTOR_SHORT_NAMES[name]}(\W.*)?", text)
    ]
    return found[0] if len(found) == 1 else None


def drawn(value: Any) -> Iterator[tuple[str, str]]:
    """(detector, colour) of everything in a message to the browser that has both a name and a colour."""
    if isinstance(value, list):
        for each in value:
            yield from drawn(each)
    if not isinstance(value, dict):
        return
    name = next((found for key in NAMING if (found := detector_in(str(value.get(key, ""))))), None)
    own = {key: part for key, part in value.items() if key in ("colour", "color", "line", "marker", "colours")}
    for colour in COLOUR.findall(json.dumps(own)) if name else ():
        yield str(name), colour.upper()
    for part in value.values():
        yield from drawn(part)


def messages(app: AppTest) -> Iterator[Any]:
    for kind, text in (("bidi_component", "json"), ("plotly_chart", "spec"), ("vega_lite_chart", "spec")):
        for element in app.get(kind):
            yield json.loads(getattr(element.proto, text) or "{}")


def colours_on(app: AppTest) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for message in messages(app):
        for name, colour in drawn(message):
            if colour not in NOT_OF_DETECTORS:
                found.setdefault(name, set()).add(colour)
    return found


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_the_roc_of_a_detector_is_in_its_colour(opened, name):
    app = opened("pages/threshold.py", detector=name)
    assert colours_on(app) == {name: {DETECTOR_COLOURS[name]}}


@pytest.mark.parametrize(("path", "view"), [("pages/compare.py", "figures"), ("pages/check.py", "where")])
def test_curves_and_maps_of_all_detectors_are_in_their_colours(opened, path, view):
    app = opened(path, view=view)
    assert colours_on(app) == {name: {colour} for name, colour in DETECTOR_COLOURS.items()}


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_report_draws_a_detectors_curve_in_its_colour(name):
    curve = svg.Curve.of_detector(name, TITLES[name], np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert curve.colour == DETECTOR_COLOURS[name]
