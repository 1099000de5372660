"""The words for a verdict, and the badge that shows one."""

from __future__ import annotations

from asd_core.evaluation.operating import verdict

NO_VERDICT = "cannot judge"
_BADGES = {
    "normal": ":blue-badge[:material/check: normal]",
    "anomalous": ":orange-badge[:material/warning: anomalous]",
}


def verdict_word(anomaly_score: float, threshold: float | None, *, missing: str = NO_VERDICT) -> str:
    """Name the verdict on a score; `missing` where there is no threshold."""
    return verdict(anomaly_score, threshold) or missing


def verdict_badge(word: str) -> str:
    """Return the Markdown of a verdict's badge; any other word than the two means that there is none."""
    return _BADGES.get(word, f":gray-badge[:material/help: {NO_VERDICT}]")
