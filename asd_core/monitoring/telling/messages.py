"""The words of what people are told: one message per event, or one for several.

Each event has a last line, or the end of its line, that a program can read: `event: 0123456789abcdef kind: raised`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from asd_core.errors import FileError, UsageError
from asd_core.formats import TRAINED_ON_SIMULATED, counted, score_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.hearing import STATES
from asd_core.monitoring.kept import kept_path
from asd_core.monitoring.rows import one_line, unescaped
from asd_core.monitoring.telling import events
from asd_core.monitoring.telling.events import WatchEvent
from asd_core.system.files import read_regular

MAX_CLIP_BYTES = 5 * 10**6
CLOCK_TOLERANCE_S = 2.0
_HEADLINES = {
    events.RAISED: "ALARM",
    events.CLEARED: "alarm cleared",
    events.DEAF: "DEAF",
    events.BACK: "hears again",
    events.STARTED: "watch started",
    events.ENDED: "watch ended",
    events.PAUSED: "watch paused",
    events.RESUMED: "watch resumed",
}
AFTER_QUIET_HOURS: Final = "during the quiet hours"
AT_ONCE: Final = "told together"
_REPEATED = "Sent again after an interruption: it may have arrived before."


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a message."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Message:
    """What one sink is sent at once.

    Parameters
    ----------
    title, body
        For people; no text of others breaks a line or is longer than it.
    events
        What it tells, in their order; none for a test.
    is_repeated
        Whether some of it may have arrived before.
    """

    title: str
    body: str
    events: tuple[WatchEvent, ...] = ()
    is_repeated: bool = False

    @property
    def is_urgent(self) -> bool:
        """Whether it tells of an alarm or of deafness."""
        return any(event.kind in (events.RAISED, events.DEAF) for event in self.events)


def check_page(page: str) -> None:
    """Refuse an address of the dashboard that links cannot begin with.

    Raises
    ------
    UsageError
        It is no address with http or https.
    """
    if page and (urlsplit(page).scheme not in ("http", "https") or not urlsplit(page).netloc):
        raise UsageError(f"the dashboard's address is written as http://host:8501, got {page[:80]!a}")


def message_about(event: WatchEvent, *, table: Path, page: str = "", is_repeated: bool = False) -> Message:
    """Write the message of one event.

    Parameters
    ----------
    table
        Of the watch, for the link.
    page
        Address of the dashboard; empty: no link.
    """
    lines = [event.text, *_facts(event)]
    if page:
        lines.append(f"{'listen' if event.key else 'see'}: {link(page, table, event.key)}")
    if is_repeated:
        lines.append(_REPEATED)
    lines.append(_for_programs(event, is_repeated=is_repeated))
    return Message(f"{one_line(event.machine)}: {_headline(event)}", _joined(lines), (event,), is_repeated)


def summary_of(
    told: Sequence[WatchEvent],
    lasting: Sequence[WatchEvent],
    *,
    why: str,
    table: Path,
    page: str = "",
    repeated: Iterable[str] = (),
) -> Message:
    """Write one message about several events, and about what still lasts after them.

    Parameters
    ----------
    lasting
        What `still_on` gives.
    why
        `AFTER_QUIET_HOURS` or `AT_ONCE`.
    repeated
        Ids of events that may have arrived before.
    """
    again = set(repeated) & {event.id for event in told}
    lines = [f"still on: {event.text} (since {local(event.time)})" for event in lasting] or ["nothing is still on"]
    lines += [
        f"{local(event.time)}  {_headline(event)}: {event.text}  "
        f"[{_for_programs(event, is_repeated=event.id in again)}]"
        for event in told
    ]
    if any(event.simulated for event in told):
        lines.append(f"scores by a detector {TRAINED_ON_SIMULATED}")
    if page:
        lines.append(f"see: {link(page, table)}")
    if again:
        lines.append(_REPEATED)
    on = ", ".join(dict.fromkeys(map(_headline, lasting)))
    title = f"{told[-1].machine}: {f'{on} still on; ' if on else ''}{counted(len(told), 'event')} {why}"
    return Message(one_line(title), _joined(lines), tuple(told), bool(again))


def still_on(told: Iterable[WatchEvent]) -> list[WatchEvent]:
    """Alarm and states of deafness that last after some events, from the first of all on; the oldest first."""
    lasting: dict[str, WatchEvent] = {}
    ended_by = {events.CLEARED: events.RAISED, events.BACK: events.DEAF}
    for event in told:
        if event.kind in (events.RAISED, events.DEAF):
            lasting.setdefault(f"{event.kind} {event.state}", event)
        elif event.kind in ended_by:
            lasting.pop(f"{ended_by[event.kind]} {event.state}", None)
    return list(lasting.values())


def link(page: str, table: Path, key: str = "") -> str:
    """Address of the Monitor page with a watch, and one of its clips where `key` names it."""
    query = {"monitor": "live", "watch": table.name} | ({"clip": key} if key else {})
    return f"{page.rstrip('/')}/monitor?{urlencode(query, errors='backslashreplace')}"


def local(moment: str) -> str:
    """Write a moment in ISO 8601 as this machine's clock shows it, with its zone; what is none is left as it is."""
    try:
        return datetime.fromisoformat(moment).astimezone().isoformat(sep=" ", timespec="seconds")
    except ValueError:
        return one_line(moment)


def attachment_of(event: WatchEvent, beside: Beside) -> Attachment | None:
    """Read the clip of an event: its copy, else the file itself unless it has been written to since.

    None where there is neither, or it has more than `MAX_CLIP_BYTES`.
    """
    if not event.key:
        return None
    path = kept_path(beside, event.key)
    if path is None:
        path = Path(unescaped(event.clip))
        if not _is_unchanged(path, since=event.time):
            return None
    try:
        content = read_regular(path, at_most=MAX_CLIP_BYTES)
    except FileError:
        return None
    ending = re.sub(r"[^A-Za-z0-9]", "", path.suffix)[:8]
    return Attachment(f"clip-{event.key}.{ending}" if ending else f"clip-{event.key}", content)


def _is_unchanged(path: Path, *, since: str) -> bool:
    try:
        return path.stat().st_mtime <= datetime.fromisoformat(since).timestamp() + CLOCK_TOLERANCE_S
    except (OSError, ValueError):
        return False


def _headline(event: WatchEvent) -> str:
    """What has happened: `ALARM`, `DEAF (disk nearly full)`."""
    state = STATES.get(event.state, "") if event.kind == events.DEAF else ""
    return f"{_HEADLINES[event.kind]} ({state})" if state else _HEADLINES[event.kind]


def _facts(event: WatchEvent) -> list[str]:
    """What is known of the clip that an event is about."""
    lines = []
    if event.recorded:
        lines.append(f"recorded: {one_line(event.recorded).replace('T', ' ')}")
    word = "judged" if event.kind in (events.RAISED, events.CLEARED) else "noticed"
    lines.append(f"{word}: {local(event.time)}")
    if event.anomaly_score is not None:
        mark = f", {TRAINED_ON_SIMULATED}" if event.simulated else ""
        lines.append(f"score {score_text(event.anomaly_score)}, threshold {score_text(event.threshold)}{mark}")
    if event.clip:
        lines.append(f"clip: {event.clip}")
    return lines


def _for_programs(event: WatchEvent, *, is_repeated: bool) -> str:
    return f"event: {event.id} kind: {event.kind}{' repeated: yes' if is_repeated else ''}"


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(one_line(line) for line in lines)
