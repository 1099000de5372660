"""The compare page's short names, for gauges, lists and sentences."""

from __future__ import annotations

from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.tasks.compare import Method
from pages.parts.compare.methods import Judged


def short_names(judged: Judged) -> tuple[str, ...]:
    """Return what is compared by short names: `LSTM`, `Ensemble`, or an imported file's own."""
    return tuple(
        _short_name(method, title) for method, title in zip(judged.comparison.methods, judged.titles, strict=True)
    )


def _short_name(method: Method, title: str) -> str:
    if method.is_ensemble:
        return "Ensemble"
    if method.trained is None:
        return title
    pooling = method.title.removeprefix(method.trained.title)
    return f"{DETECTOR_SHORT_NAMES.get(method.trained.detector_name, method.trained.title)}{pooling}"
