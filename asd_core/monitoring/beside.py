"""Where a watch keeps what belongs to its table: a hidden folder beside it, `.<table>.watch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beside:
    """The files beside a table; none need exist yet, and whoever writes one makes the folder.

    Parameters
    ----------
    table
        The CSV file of the rows.
    """

    table: Path

    @property
    def folder(self) -> Path:
        """Hidden, so that a search for recordings passes it over where the table lies in the watched folder."""
        return self.table.with_name(f".{self.table.name}.watch")

    @property
    def events(self) -> Path:
        """What somebody is told: one line of JSON per event, only ever appended to (`monitoring.telling.events`)."""
        return self.folder / "events.jsonl"

    @property
    def sent(self) -> Path:
        """How far each sink has been told (`monitoring.telling.outbox`)."""
        return self.folder / "sent.json"

    @property
    def status(self) -> Path:
        """The heartbeat (`monitoring.status`)."""
        return self.folder / "status.json"

    @property
    def rule(self) -> Path:
        """The rule by which the watch judged last, as its `to_json` gives it (`monitoring.alarms.read_rule`)."""
        return self.folder / "rule.json"

    @property
    def control(self) -> Path:
        """What pages and commands ask of a running watch, such as a pause (`monitoring.control`)."""
        return self.folder / "control.json"

    @property
    def notes(self) -> Path:
        """What people said of clips and alarms, appended to (`monitoring.notes`)."""
        return self.folder / "notes.jsonl"

    @property
    def clips(self) -> Path:
        """Copies of clips, so that they can be heard when a ring buffer has overwritten them (`monitoring.kept`)."""
        return self.folder / "clips"

    @property
    def log(self) -> Path:
        """Standard output and error of a watch that was started from the page."""
        return self.folder / "output.log"
