"""The compare page's views of all common clips."""

from __future__ import annotations

from pages.parts.compare.clips import disagreement_view, scatter_view
from pages.parts.compare.failures import failures_view
from pages.parts.compare.maps import localisation_view, map_view
from pages.parts.compare.methods import Judged
from pages.parts.compare.ranking import ranking_view
from pages.shared.choices import switch
from pages.shared.context import Chosen

VIEWS = {
    "figures": "Ranking",
    "differ": "Disagreements",
    "scatter": "Score against score",
    "failures": "Failures",
    "map": "Map of the clips",
    "localisation": "Localisation",
}


def all_clips_view(chosen: Chosen, judged: Judged) -> None:
    """Let the reader choose one view of all common clips; only that one is computed."""
    view = switch("View", VIEWS, key="view")
    if view == "figures":
        ranking_view(chosen, judged)
    elif view == "differ":
        disagreement_view(chosen, judged)
    elif view == "scatter":
        scatter_view(chosen, judged)
    elif view == "failures":
        failures_view(chosen, judged)
    elif view == "map":
        map_view(chosen, judged)
    else:
        localisation_view(chosen, judged)
