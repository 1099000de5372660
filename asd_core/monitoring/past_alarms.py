"""The alarms of a watch with their clips, from the log of events and the newest rows of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asd_core.monitoring.rows import WatchRow, alarm_event
from asd_core.monitoring.telling.events import CLEARED, RAISED, WatchEvent, event_id

CLIPS_BEFORE = 3
"""Clips before the one that raised an alarm that are listed with it, as they are kept with it."""


@dataclass(frozen=True)
class PastAlarm:
    """An alarm from its raising to its clearing.

    Parameters
    ----------
    cleared
        None while it is on.
    rows
        Its clips, in the order in which they were judged, with the `CLIPS_BEFORE` before it; none where it lies before
        the rows that are known.
    """

    raised: WatchEvent
    cleared: WatchEvent | None
    rows: tuple[WatchRow, ...] = ()

    @property
    def key(self) -> str:
        """What notes on the whole alarm are filed under."""
        return self.raised.id

    @property
    def anomalous(self) -> tuple[WatchRow, ...]:
        """The clips that it rests on: those called anomalous."""
        return tuple(row for row in self.rows if row.verdict == "anomalous")


def past_alarms(events: Iterable[WatchEvent], rows: Sequence[WatchRow]) -> list[PastAlarm]:
    """List the alarms, the newest first.

    Parameters
    ----------
    events
        The whole log, in its order; a table of an earlier release has none: its rows tell of the alarms then.
    rows
        The newest rows, in the order in which they were judged.
    """
    places = {row.key: place for place, row in enumerate(rows)}
    found: list[PastAlarm] = []
    for event in _told(events, rows):
        if event.kind == RAISED:
            found.append(PastAlarm(event, None))
        elif found and found[-1].cleared is None:
            found[-1] = PastAlarm(found[-1].raised, event)
    return [PastAlarm(each.raised, each.cleared, _clips(each, rows, places)) for each in reversed(found)]


def _told(events: Iterable[WatchEvent], rows: Sequence[WatchRow]) -> list[WatchEvent]:
    """Alarms raised and cleared by the log, then those that only rows tell of, by their times."""
    told = [event for event in events if event.kind in (RAISED, CLEARED)]
    known = {event.id for event in told}
    others = [alarm_event(row) for row in rows if row.event and event_id(row.event, row.key) not in known]
    return sorted([*told, *others], key=lambda event: event.time) if others else told


def _clips(alarm: PastAlarm, rows: Sequence[WatchRow], places: dict[str, int]) -> tuple[WatchRow, ...]:
    first = places.get(alarm.raised.key)
    last = len(rows) - 1 if alarm.cleared is None else places.get(alarm.cleared.key)
    if last is None or (first is None and not rows):
        return ()
    # An alarm that was raised before the rows that are known: its later clips are those from the first row on.
    start = 0 if first is None else max(0, first - CLIPS_BEFORE)
    return tuple(rows[start : last + 1])
