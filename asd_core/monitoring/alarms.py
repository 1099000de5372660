"""When an alarm is raised and cleared, and whether recent clips have drifted away from those of training."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from asd_core.artifacts.store import Artifact
from asd_core.errors import FileError, UsageError
from asd_core.features.familiarity import ClipTraits, Familiarity
from asd_core.monitoring.budget import Budget, Rhythm, budget_rule
from asd_core.monitoring.cusum import DEFAULT_K, CusumRule
from asd_core.monitoring.rows import WatchRow, escaped, one_line
from asd_core.monitoring.tallies import MAX_WINDOW, Counted, Rule, Tally, conformal_p_value
from asd_core.monitoring.telling.events import CLEARED, RAISED
from asd_core.system.files import json_bytes, no_constant, parse_json, read_if_present, replace_file
from asd_core.tasks.score import ScoreRow
from asd_core.types import FloatArray

DRIFT_CLIPS = 20
MAX_RULE_BYTES = 64 * 1024
_NUMBER = r"(\d{1,4}(?:\.\d{1,6})?)"


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

    def to_json(self) -> dict[str, Any]:
        """Return its kind and its numbers."""
        return {"kind": "k_of_n", "k": self.k, "n": self.n}

    def tally(self) -> Tally:
        """Begin to count."""
        return VerdictTally(self)

    def stands(self, n_anomalous: int, *, stood: bool) -> bool:
        """Whether the alarm is on after a clip, given whether it was on before."""
        return n_anomalous > self.most_when_clear if stood else n_anomalous >= self.k


@dataclass
class VerdictTally:
    """The verdicts of the last `n` clips."""

    rule: AlarmRule
    _verdicts: deque[tuple[str, str]] = field(default_factory=deque)
    """Key and verdict."""

    def __post_init__(self) -> None:
        self._verdicts = deque(maxlen=self.rule.n)

    def count(self, clip: Counted) -> bool:
        """Take in a verdict."""
        if not clip.verdict:
            return False
        self._verdicts.append((clip.key, clip.verdict))
        return True

    def take_back(self, key: str) -> None:
        """Forget the verdict of a clip."""
        self._verdicts = deque((each for each in self._verdicts if each[0] != key), maxlen=self.rule.n)

    def stands(self, *, stood: bool) -> bool:
        """Whether so many clips are anomalous."""
        return self.rule.stands(self._n_anomalous, stood=stood)

    @property
    def evidence(self) -> str:
        """How many of the last clips are anomalous: `4 of the last 5 clips anomalous`."""
        return f"{self._n_anomalous} of the last {self.rule.n} clips anomalous"

    @property
    def _n_anomalous(self) -> int:
        return sum(verdict == "anomalous" for _, verdict in self._verdicts)


AskedRule: TypeAlias = AlarmRule | CusumRule | Budget
"""What is written after `--alarm`."""


def parse_rule(text: str) -> AskedRule:
    """Read what is asked for as an alarm.

    `3/5`: 3 anomalous of the last 5 clips. `cusum:10` or `cusum:10,1.5`: a CUSUM of p-values with its `h` and `k`
    (`monitoring.cusum`). `budget:1/week`: the rule whose false alarms stay within this budget (`monitoring.budget`).

    Raises
    ------
    UsageError
        Something else, or numbers out of range.
    """
    kind, colon, rest = text.strip().partition(":")
    if not colon:
        return AlarmRule.parse(text)
    if kind == "budget":
        return Budget.parse(rest)
    found = re.fullmatch(f"{_NUMBER}(?:,{_NUMBER})?", rest)
    if kind != "cusum" or found is None:
        raise UsageError(f"an alarm is written as k/n, cusum:h, cusum:h,k or budget:1/week; got {text[:40]!a}")
    return CusumRule(float(found[1]), DEFAULT_K if found[2] is None else float(found[2]))


def check_can_judge(artifact: Artifact, *, record: bool, rule: AskedRule | None = None) -> None:
    """Refuse a watch whose rule can never raise an alarm, unless it is asked to record scores only.

    Parameters
    ----------
    record
        Whether the watch only records scores.
    rule
        None: k of n.

    Raises
    ------
    UsageError
        The detector lacks what the rule needs; the text says what to do.
    """
    if record:
        return
    n_scores = len(artifact.scores.of("heldout").clips)
    if isinstance(rule, CusumRule):
        rule.check_reference(n_scores)
    elif not isinstance(rule, Budget) and artifact.threshold.value is None:
        reason = f" ({artifact.threshold.reason})" if artifact.threshold.reason else ""
        other = ", take a CUSUM, which needs held-out scores and no threshold (--alarm cusum:20)," if n_scores else ""
        raise UsageError(
            f"the detector has no threshold{reason}: it gives no verdicts, and no alarm could ever be raised. Give it "
            f"one, on the Threshold page or by training on more normal clips{other} or record scores only (--record)"
        )


def settle_rule(rule: AskedRule, artifact: Artifact, *, rhythm: Rhythm | None = None) -> Rule:
    """Return the rule that a watch judges by: that of a budget is chosen for the detector and its clips.

    Parameters
    ----------
    rhythm
        How often a clip comes; needed for a budget.

    Raises
    ------
    UsageError
        The budget cannot be kept; the text says what can.
    """
    return budget_rule(rule, artifact, rhythm=rhythm) if isinstance(rule, Budget) else rule


def write_rule(path: Path, rule: Rule) -> None:
    """Keep the rule by which a watch judges, for those who replay its alarms; raises OSError where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json_bytes({"schema": 1, **rule.to_json()}))


def read_rule(path: Path) -> AlarmRule | CusumRule | None:
    """Read what `write_rule` kept; None for a budget's, which holds for one detector alone, and where there is none."""
    try:
        content = read_if_present(path, at_most=MAX_RULE_BYTES)
        table = {} if content is None else parse_json(content, parse_constant=no_constant)
        if table.get("kind") == "k_of_n":
            return AlarmRule(int(table["k"]), int(table["n"]))
        return CusumRule(float(table["h"]), float(table["k"])) if table.get("kind") == "cusum" else None
    except (FileError, UsageError, AttributeError, KeyError, TypeError, ValueError):
        return None


@dataclass
class Judge:
    """Alarm and drift, clip by clip; everything it knows is in the rows it has seen.

    Parameters
    ----------
    reference
        Scores of held-out normal clips, for p-values, in any order; None: no p-values.
    """

    rule: Rule = field(default_factory=AlarmRule)
    familiarity: Familiarity | None = None
    n_drift: int = DRIFT_CLIPS
    reference: FloatArray | None = None
    alarm: bool = field(default=False, init=False)
    drift: str = field(default="", init=False)
    _tally: Tally = field(init=False)
    _traits: deque[tuple[str, ClipTraits]] = field(default_factory=deque, init=False)
    _raised_by: str = field(default="", init=False)
    """Key of the row that raised the alarm."""

    def __post_init__(self) -> None:
        self._tally, self._traits = self.rule.tally(), deque(maxlen=self.n_drift)
        if self.reference is not None:
            self.reference = np.sort(self.reference)

    @property
    def evidence(self) -> str:
        """What the alarm rests on now: `4 of the last 5 clips anomalous`."""
        return self._tally.evidence

    def recall(self, row: WatchRow) -> None:
        """Take over a row that was judged earlier."""
        self._take_back(row.replaces)
        p_value = self._p_value(row.anomaly_score) if row.p_value is None else row.p_value
        if not row.paused:
            self._tally.count(Counted(row.key, row.model, row.verdict, row.anomaly_score, p_value))
        self._note_traits(row.key, row.traits)
        self.alarm, self.drift = row.alarm, row.drift
        self._note_event(row)

    def judge(
        self, scored: ScoreRow, traits: ClipTraits | None, *, now: str, replaces: str = "", paused: bool = False
    ) -> WatchRow:
        """Judge the next clip.

        Parameters
        ----------
        now
            ISO 8601 in UTC.
        replaces
            Key of the row of the same clip that was judged before the file was whole; it no longer counts. An alarm
            that it raised must be raised anew.
        paused
            Whether the watch is paused: the clip then counts for no alarm.
        """
        row = WatchRow(
            now,
            escaped(scored.path),
            escaped(scored.model),
            scored.status,
            one_line(scored.reason),
            scored.anomaly_score,
            scored.threshold,
            scored.verdict,
            traits=traits,
            simulated=scored.simulated,
            replaces=replaces,
            p_value=self._p_value(scored.anomaly_score),
            paused=paused,
        )
        stood = self.alarm and not (replaces and replaces == self._raised_by)
        self._take_back(replaces)
        counted = Counted(row.key, row.model, row.verdict, row.anomaly_score, row.p_value)
        event = self._alarm_event(stood=stood) if not paused and self._tally.count(counted) else ""
        self._note_traits(row.key, traits)
        if traits is not None:
            self.drift = self._drifted()
        row = replace(row, alarm=self.alarm, event=event, drift=self.drift)
        self._note_event(row)
        return row

    def _take_back(self, key: str) -> None:
        if key:
            self._tally.take_back(key)
            self._traits = deque((each for each in self._traits if each[0] != key), maxlen=self.n_drift)

    def _p_value(self, anomaly_score: float | None) -> float | None:
        if anomaly_score is None or self.reference is None or not len(self.reference):
            return None
        return conformal_p_value(anomaly_score, self.reference)

    def _note_traits(self, key: str, traits: ClipTraits | None) -> None:
        if traits is not None:
            self._traits.append((key, traits))

    def _note_event(self, row: WatchRow) -> None:
        if row.event:
            self._raised_by = row.key if row.event == RAISED else ""

    def _alarm_event(self, *, stood: bool) -> str:
        before, self.alarm = self.alarm, self._tally.stands(stood=stood)
        if before == self.alarm:
            return ""
        return RAISED if self.alarm else CLEARED

    def _drifted(self) -> str:
        if self.familiarity is None or len(self._traits) < self.n_drift:
            return ""
        return "; ".join(self.familiarity.drift([traits for _, traits in self._traits]))
