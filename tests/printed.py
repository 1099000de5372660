"""Reading figures out of text for people, whatever the words around them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from streamlit.testing.v1 import AppTest

FIGURE = r"[-+]?\d+(?:\.\d+)?"


def figures(text: str) -> list[str]:
    """All numbers of a text, as they are written."""
    return re.findall(FIGURE, text)


def line_with(text: str, *words: str) -> str:
    """The one line that holds all words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, f"{words} in {text}"
    return found[0]


def after(text: str, word: str) -> str | None:
    """The first number that follows a word, with no other number in between."""
    found = re.search(rf"{re.escape(word)}\D*?({FIGURE})", text)
    return None if found is None else found[1]


def before(text: str, word: str) -> str | None:
    """The last number in front of a word, with no other number in between."""
    found = re.search(rf"({FIGURE})[^\d\n]*?{re.escape(word)}", text)
    return None if found is None else found[1]


def drawn(draw: Callable[[], Any], **state: Any) -> AppTest:
    """What a function of a page draws, in a session with this state."""

    def script(draw):
        draw()

    app = AppTest.from_function(script, kwargs={"draw": draw}, default_timeout=60)
    for name, value in state.items():
        app.session_state[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def text_of(app: AppTest) -> str:
    """All sentences of a page, one a line."""
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def gauges_of(app: AppTest) -> list[dict[str, Any]]:
    """The rows of the gauges that answer on a clip: name, word, place, chips."""
    drawn_ = [each.proto for each in app.get("bidi_component") if each.proto.component_name == "asd_gauges"]
    return [row for proto in drawn_ for row in json.loads(proto.json)["rows"]]


def metrics_of(app: AppTest) -> dict[str, str]:
    """Label to value of the page's metrics."""
    return {metric.label: metric.value for metric in app.metric}
