"""When an alarm is raised and cleared, and whether recent clips have drifted away from those of training."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from asd_core.errors import UsageError
from asd_core.features.familiarity import ClipTraits, Familiarity
from asd_core.monitoring.events import CLEARED, RAISED
from asd_core.monitoring.rows import WatchRow, escaped, one_line
from asd_core.tasks.score import ScoreRow

MAX_WINDOW = 1000
DRIFT_CLIPS = 20


@dataclass(frozen=True)
class AlarmRule:
    """`k` of the last `n` clips anomalous raise an alarm; fewer than half of `k` (rounded up) clear it.

    Refused clips, and those without a verdict, are not among the `n`.
    """

    k: int = 3
    n: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= MAX_WINDOW:
            raise UsageError(f"an alarm takes k of n clips, 1 <= k <= n <= {MAX_WINDOW}; got {self.k}/{self.n}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `3/5`.

        Raises
        ------
        UsageError
            Something else, or numbers out of range.
        """
        if (found := re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())) is None:
            raise UsageError(f"an alarm is written as k/n, such as 3/5; got {text[:40]!a}")
        return cls(int(found[1]), int(found[2]))

    @property
    def most_when_clear(self) -> int:
        """Largest number of anomalous clips among the last `n` that clears an alarm."""
        return math.ceil(self.k / 2) - 1

    @property
    def text(self) -> str:
        """What raises and clears the alarm: `raised by 3 anomalous of the last 5 clips and cleared by 1 or fewer`."""
        return f"raised by {self.k} anomalous of the last {self.n} clips and cleared by {self.most_when_clear} or fewer"

    def stands(self, n_anomalous: int, *, stood: bool) -> bool:
        """Whether the alarm is on after a clip, given whether it was on before."""
        return n_anomalous > self.most_when_clear if stood else n_anomalous >= self.k


@dataclass
class Judge:
    """Alarm and drift, clip by clip; everything it knows is in the rows it has seen."""

    rule: AlarmRule = field(default_factory=AlarmRule)
    familiarity: Familiarity | None = None
    n_drift: int = DRIFT_CLIPS
    alarm: bool = field(default=False, init=False)
    drift: str = field(default="", init=False)
    _verdicts: deque[str] = field(default_factory=deque, init=False)
    _traits: deque[ClipTraits] = field(default_factory=deque, init=False)

    @property
    def n_anomalous(self) -> int:
        """Anomalous clips in the window."""
        return self._verdicts.count("anomalous")

    @property
    def evidence(self) -> str:
        """What the alarm rests on now: `4 of the last 5 clips anomalous`."""
        return f"{self.n_anomalous} of the last {self.rule.n} clips anomalous"

    def recall(self, row: WatchRow) -> None:
        """Take over a row that was judged earlier."""
        self._note("" if row.paused else row.verdict, row.traits)
        self.alarm, self.drift = row.alarm, row.drift

    def judge(
        self, scored: ScoreRow, traits: ClipTraits | None, *, now: str, replaces: str = "", paused: bool = False
    ) -> WatchRow:
        """Judge the next clip.

        Parameters
        ----------
        now
            ISO 8601 in UTC.
        replaces
            Key of the row of the same clip that was judged before the file was whole; it no longer counts.
        paused
            Whether the watch is paused: the clip then counts for no alarm.
        """
        self._note("" if paused else scored.verdict, traits)
        event = self._alarm_event() if scored.verdict and not paused else ""
        if traits is not None:
            self.drift = self._drifted()
        return WatchRow(
            now,
            escaped(scored.path),
            escaped(scored.model),
            scored.status,
            one_line(scored.reason),
            scored.anomaly_score,
            scored.threshold,
            scored.verdict,
            self.alarm,
            event,
            traits,
            self.drift,
            scored.simulated,
            replaces=replaces,
            paused=paused,
        )

    def _note(self, verdict: str, traits: ClipTraits | None) -> None:
        if verdict:
            self._verdicts.append(verdict)
        if traits is not None:
            self._traits.append(traits)
        while len(self._verdicts) > self.rule.n:
            self._verdicts.popleft()
        while len(self._traits) > self.n_drift:
            self._traits.popleft()

    def _alarm_event(self) -> str:
        stood, self.alarm = self.alarm, self.rule.stands(self.n_anomalous, stood=self.alarm)
        if stood == self.alarm:
            return ""
        return RAISED if self.alarm else CLEARED

    def _drifted(self) -> str:
        if self.familiarity is None or len(self._traits) < self.n_drift:
            return ""
        return "; ".join(self.familiarity.drift(self._traits))
