"""Detectors ranked in one picture: mean AUC with intervals, who ranks better than whom, rates, and references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asd_core.evaluation.comparison import Outcome
from asd_core.evaluation.uncertainty import Interval
from asd_core.formats import MISSING, area_text, rate_text, share_text
from asd_core.reports.plots.ticks import nice_ticks, tick_text
from pages.shared.components import register

LEAST_SPAN = 0.1
"""An axis of AUCs is at least this long, so that small differences are not drawn as large ones."""
STEP = 0.05


@dataclass(frozen=True)
class Rate:
    """A rate from 0 to 1 at a threshold, of `k` in `n` clips, with its interval."""

    k: int
    n: int
    interval: Interval


@dataclass(frozen=True)
class Against:
    """How a detector ranks beside another one, and that in words."""

    outcome: Outcome
    words: str


@dataclass(frozen=True)
class RankedRow:
    """One detector's row.

    Parameters
    ----------
    name, title
        Its short name and the long one.
    shape, colour
        Its mark, SVG elements in a box of 16 by 16, and its colour.
    auc
        Mean over machine ids; None where it is not defined.
    false_alarms, detections
        At its threshold; None without one, or without clips of the class.
    against
        One per detector in the order of the rows, None beside itself and where there is no test.
    """

    name: str
    title: str
    shape: str
    colour: str
    auc: Interval | None
    false_alarms: Rate | None
    detections: Rate | None
    against: Sequence[Against | None]

    @property
    def alt(self) -> str:
        """The row in words."""
        return (
            f"{self.title}: mean AUC {_joined(_area(self.auc))}; false-alarm rate "
            f"{_joined(_rate_text(self.false_alarms))}; detection rate {_joined(_rate_text(self.detections))}"
        )


@dataclass(frozen=True)
class Reference:
    """A mean AUC that the rows are held against, and what it is of."""

    name: str
    auc: float


@dataclass(frozen=True)
class ReferenceGroup:
    """References of one kind, under a title of at most 22 letters; `draws_line` has the first cross all rows."""

    title: str
    note: str
    references: Sequence[Reference]
    draws_line: bool = False


_mount = register("asd_ranking", "ranking")


def ranking_picture(
    rows: Sequence[RankedRow], groups: Sequence[ReferenceGroup], *, lead: Sequence[str], legend: str, key: str
) -> None:
    """Draw detectors in their order, best first, above what they are held against.

    Parameters
    ----------
    lead
        The sentence above, in pieces: every second one is set in bold.
    legend
        What marks and signs mean.
    """
    _mount(key=key, data=ranking_message(rows, groups, lead=lead, legend=legend))


def ranking_message(
    rows: Sequence[RankedRow], groups: Sequence[ReferenceGroup], *, lead: Sequence[str], legend: str
) -> dict[str, Any]:
    """Return what the browser gets."""
    line = next((group.references[0].auc for group in groups if group.draws_line), None)
    return {
        "rows": [_row(row, rank) for rank, row in enumerate(rows, start=1)],
        "groups": [_group(group) for group in groups],
        "axis": _axis(rows, groups),
        "trivial": line,
        "lead": list(lead),
        "key": legend,
        "alt": "Detectors by mean AUC over ids, best first. " + "; ".join(row.alt for row in rows),
    }


def _row(row: RankedRow, rank: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "name": row.name,
        "title": row.title,
        "shape": row.shape,
        "colour": row.colour,
        "auc": None if row.auc is None else [row.auc.estimate, row.auc.limits],
        "aucText": _area(row.auc),
        "rates": [_rate(row.false_alarms), _rate(row.detections)],
        "against": [None if each is None else {"outcome": each.outcome, "words": each.words} for each in row.against],
        "alt": row.alt,
    }


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    low, high = rate.interval.limits or (0.0, 1.0)
    return {
        "share": rate.k / rate.n,
        "limits": [low, high],
        "text": _rate_text(rate),
        "range": f"[{100 * low:.1f}, {100 * high:.1f}]",
    }


def _rate_text(rate: Rate | None) -> tuple[str, str]:
    """The rate, and its counts in brackets."""
    if rate is None:
        return MISSING, ""
    share = share_text(rate.k / rate.n)
    return share, rate_text(rate.k, rate.n).removeprefix(share).strip()


def _area(interval: Interval | None) -> tuple[str, str]:
    """The area, and its interval in brackets or that it has none."""
    if interval is None:
        return "not defined", ""
    value = area_text(interval.estimate)
    if interval.limits is None:
        return value, "no interval: no spread"
    return value, area_text(interval.estimate, interval.limits).removeprefix(value).strip()


def _joined(parts: tuple[str, str]) -> str:
    return " ".join(parts).strip()


def _group(group: ReferenceGroup) -> dict[str, Any]:
    references = [{"name": each.name, "auc": each.auc, "text": area_text(each.auc)} for each in group.references]
    return {"title": group.title, "note": group.note, "references": references}


def _axis(rows: Sequence[RankedRow], groups: Sequence[ReferenceGroup]) -> dict[str, Any] | None:
    """From the lowest end of an interval, downwards to a step, to the highest; None without any area."""
    known = [row.auc for row in rows if row.auc is not None]
    values = [value for each in known for value in (each.estimate, *(each.limits or ()))]
    if not values:
        return None
    values += [each.auc for group in groups for each in group.references]
    low = max(0.0, int((min(values) - 0.005) / STEP) * STEP)
    high = min(1.0, (int((max(values) + 0.005) / STEP) + 1) * STEP)
    low = round(min(low, high - LEAST_SPAN), 2)
    return {"low": low, "high": high, "ticks": [{"at": at, "text": tick_text(at)} for at in nice_ticks(low, high)]}
