"""The compare page's figures as files: PNG and SVG, with what they show and of which data set."""

from __future__ import annotations

from asd_core.formats import counted
from pages.parts.compare.methods import Judged, rule_title
from pages.shared.context import Chosen
from pages.shared.saving import figure_buttons, picture_caption, picture_file


def compare_picture(chosen: Chosen, judged: Judged, *, key: str, figure: str, shows: str) -> None:
    """Draw the buttons that keep a figure of this page.

    Parameters
    ----------
    key
        Of the figure as it was drawn.
    figure
        What its file is called after.
    shows
        What it shows, in a few words.
    """
    comparison = judged.comparison
    is_simulated = any(method.trained is not None and method.trained.simulated for method in comparison.methods)
    caption = f"{shows}: {', '.join(judged.titles)}; {counted(len(comparison.clips), 'test clip')}. "
    caption += f"Thresholds: {rule_title(judged.rule)}."
    figure_buttons(
        key,
        file=picture_file("compare", figure, chosen),
        caption=picture_caption(caption, chosen, simulated=is_simulated),
    )
