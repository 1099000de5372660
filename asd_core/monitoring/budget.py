"""The alarm budget: a rule whose false alarms stay within 'at most one a week', from held-out normal scores alone.

Neighbouring clips are not independent, so clips are not counted one by one: the stream is cut into stretches as long as
the recordings that were held out, and a stretch counts as strange where its median score lies above that of *every*
held-out recording. Of `M` independent stretches of normal sound, all like the `r` held-out recordings, at least `m` are
strange with probability `C(r + M - m, r) / C(r + M, r)`: of `r + M` exchangeable medians, the `m` highest must all be
new ones (the argument of a conformal p-value, Vovk, Gammerman and Shafer 2005, for several new ones at once). That the
same few recordings judge all stretches is counted in.

What lasts as long as a stretch may reach over its border into the next one. Only every second stretch is therefore
taken as independent of the others: `k = 2 m - 1` strange ones of the last `n = 2 M - 1` are at least `m` of the `M` odd
ones, or of the `M - 1` even ones. Every stretch at whose end the alarm could be raised counts as a false alarm, whether
or not it is on already.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from asd_core.artifacts.manifest import PROMISE_CONDITION
from asd_core.artifacts.store import Artifact
from asd_core.audio.kinds import readable_suffixes
from asd_core.data.recordings import natural_key
from asd_core.errors import UsageError
from asd_core.evaluation.daily import DAY_S, false_alarms_text
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import counted
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.tallies import MAX_WINDOW, Counted, Tally
from asd_core.types import FloatArray

MIN_STRETCH = 5
"""Clips: a median of fewer is one loud clip's affair."""
STRANGE = 0.9
"""Share of the stretches of a fault that are strange, for which the quickest rule is chosen."""
MAX_COUNT = 1000
MIN_EVERY_S = 0.01
PERIODS_S = {"day": DAY_S, "week": 7 * DAY_S, "month": 365.25 / 12 * DAY_S, "year": 365.25 * DAY_S}


@dataclass(frozen=True)
class Budget:
    """How many false alarms are bearable: at most `n` in a period of `PERIODS_S`."""

    n: int
    period: str

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_COUNT or self.period not in PERIODS_S:
            raise UsageError(
                f"a budget takes 1 to {MAX_COUNT} false alarms a {', '.join(PERIODS_S)}; got {self.n}/{self.period}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1/week`.

        Raises
        ------
        UsageError
            Something else.
        """
        if (found := re.fullmatch(r"(\d{1,4})/([a-z]{1,8})", text.strip())) is None:
            raise UsageError(f"a budget is written as 1/week, 2/month or 1/day; got {text[:40]!a}")
        return cls(int(found[1]), found[2])

    @property
    def text(self) -> str:
        """In words: `at most 1 false alarm a week`."""
        return f"at most {counted(self.n, 'false alarm')} a {self.period}"

    @property
    def period_s(self) -> float:
        """Length of the period in seconds."""
        return PERIODS_S[self.period]


@dataclass(frozen=True)
class Rhythm:
    """Seconds from one clip to the next, and where that figure comes from, in words."""

    seconds: float
    origin: str

    def __post_init__(self) -> None:
        if not MIN_EVERY_S <= self.seconds <= DAY_S:
            raise UsageError(f"clips come every {MIN_EVERY_S} to {DAY_S} s, got {self.seconds:g}")


MIN_GAPS = 10
"""Gaps between clips that a rhythm is learned from, at least."""
MAX_FILES = 1000
"""Files of a folder that a rhythm is learned from, at most."""


def learn_rhythm(rows: Iterable[WatchRow], folder: Path) -> Rhythm | None:
    """Learn how often a clip comes, from when the clips of a watch's table were recorded, else from a folder's files.

    Parameters
    ----------
    rows
        Of the table.
    folder
        The watched one; the files in it count, not those of its sub-folders.

    Returns
    -------
    Rhythm or None
        None where both hold too few clips.
    """
    moments = [datetime.fromisoformat(row.recorded).replace(tzinfo=UTC) for row in rows if row.recorded]
    seconds = [moment.timestamp() for moment in moments]
    return _rhythm(seconds, "learned from the table") or _rhythm(_changed(folder), "learned from the folder")


def _rhythm(seconds: Sequence[float], origin: str) -> Rhythm | None:
    """The median gap between different times, which a pause at night does not change."""
    times = np.unique(np.asarray(seconds, dtype=np.float64))
    if len(times) <= MIN_GAPS:
        return None
    return Rhythm(float(np.clip(np.median(np.diff(times)), MIN_EVERY_S, DAY_S)), origin)


def _changed(folder: Path) -> list[float]:
    suffixes = readable_suffixes()
    with os.scandir(folder) as entries:
        files = (entry for entry in entries if Path(entry.name).suffix.lower() in suffixes)
        found = (entry.stat(follow_symlinks=False) for entry in islice(files, MAX_FILES))
        return [status.st_mtime for status in found if stat.S_ISREG(status.st_mode)]


@dataclass(frozen=True)
class Reference:
    """What was held out, recording by recording.

    Parameters
    ----------
    medians
        Of the scores of each held-out recording, shape (n_recordings,).
    n_least
        Recordings of the machine id that has the fewest: the promise rests on these.
    length
        Clips of a stretch.
    n_clips
        Held-out clips.
    """

    medians: FloatArray
    n_least: int
    length: int
    n_clips: int


@dataclass(frozen=True)
class BudgetRule:
    """`k` strange ones of the last `n` stretches raise an alarm; fewer than half of `k` (rounded up) clear it.

    Parameters
    ----------
    length
        Clips of a stretch.
    level
        A stretch is strange where the median score of its clips is above it.
    n_recordings
        Held-out recordings that the promise rests on.
    """

    budget: Budget
    rhythm: Rhythm
    k: int
    n: int
    length: int
    level: float
    n_recordings: int

    @property
    def most_when_clear(self) -> int:
        """Largest number of strange stretches among the last `n` that clears an alarm."""
        return math.ceil(self.k / 2) - 1

    @property
    def n_clips(self) -> int:
        """Clips of a fault that it takes to raise an alarm, at most, if all of them score high."""
        return (self.k + 1) * self.length - 1

    @property
    def text(self) -> str:
        """What raises and clears the alarm, what that promises, and on which condition."""
        return (
            f"raised by {self.k} of the last {self.n} stretches of {self.length} clips, each with a median score above "
            f"that of all held-out recordings, and cleared by {self.most_when_clear} or fewer: {self.promise}. A fault "
            "that raises all scores above that is told within "
            f"{duration_text(self.n_clips * self.rhythm.seconds)}"
        )

    @property
    def promise(self) -> str:
        """What is promised, and on which condition."""
        longest = f"{duration_text(self.length * self.rhythm.seconds)} ({self.length} clips)"
        return (
            f"{self.budget.text} on average, for {PROMISE_CONDITION}, if what makes normal clips score high lasts no "
            f"longer than {longest} and a clip comes every {self.rhythm.seconds:.3g} s "
            f"({self.rhythm.origin}); rests on {counted(self.n_recordings, 'recording')}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return its kind and its numbers."""
        return {
            "kind": "budget",
            "budget": f"{self.budget.n}/{self.budget.period}",
            "every_s": self.rhythm.seconds,
            "every_from": self.rhythm.origin,
            "k": self.k,
            "n": self.n,
            "length": self.length,
            "level": self.level,
            "n_recordings": self.n_recordings,
        }

    def tally(self) -> Tally:
        """Begin with no clip."""
        return StretchTally(self)


@dataclass
class StretchTally:
    """The scores of the last stretches; stretches are counted off from the first clip of a version."""

    rule: BudgetRule
    n: int = 0
    _model: str = ""
    _scores: deque[tuple[str, float]] = field(default_factory=deque)

    def count(self, clip: Counted) -> bool:
        """Take in a score; with another version, whose scores are on another scale, it begins anew."""
        if clip.anomaly_score is None:
            return False
        if clip.model != self._model:
            self.n, self._model = 0, clip.model
            self._scores.clear()
        self._scores.append((clip.key, clip.anomaly_score))
        self.n += 1
        while len(self._scores) > (self.rule.n + 1) * self.rule.length:  # one stretch to spare for takings back
            self._scores.popleft()
        return True

    def take_back(self, key: str) -> None:
        """Forget a clip's score."""
        before = len(self._scores)
        self._scores = deque(each for each in self._scores if each[0] != key)
        self.n -= before - len(self._scores)

    def stands(self, *, stood: bool) -> bool:
        """Whether so many stretches are strange; it changes only where a stretch ends."""
        if self.n % self.rule.length:
            return stood
        return self._n_strange > self.rule.most_when_clear if stood else self._n_strange >= self.rule.k

    @property
    def evidence(self) -> str:
        """How many of the last stretches are strange."""
        return f"{self._n_strange} of the last {self.rule.n} stretches above all held-out recordings"

    @property
    def _n_strange(self) -> int:
        n_whole = min(self.n // self.rule.length, self.rule.n)
        past = self.n % self.rule.length
        scores = [score for _, score in self._scores][: len(self._scores) - past][-n_whole * self.rule.length :]
        if not n_whole or len(scores) < n_whole * self.rule.length:
            return 0
        medians = np.median(np.reshape(scores, (n_whole, self.rule.length)), axis=1)
        return int((medians > self.rule.level).sum())


def reference_of(artifact: Artifact) -> Reference:
    """Group the held-out normal clips of a detector by recording.

    Recordings are told by the clips' folders, files or names where these are as many as the training counted; otherwise
    runs of clips in name order stand for them, each as long as the recordings are on average.

    Raises
    ------
    UsageError
        No held-out clips, or all of one recording.
    """
    calibration, clips = artifact.manifest.calibration, artifact.scores.of("heldout").clips
    if not clips or not artifact.scores.keeps_promises or not calibration.n_recordings:
        raise UsageError(
            "an alarm budget needs normal clips of several recordings that were held out of the training: record on "
            "other days or after a restart, and train anew"
        )
    data = artifact.manifest.data
    n_all = len(clips) if calibration.how == "cross_fit" else len(data.fitted_digests) + len(clips)
    length = max(1, round(n_all / calibration.n_recordings))
    names = _recordings(clips, calibration.n_recordings if calibration.how == "cross_fit" else None, length)
    scores = artifact.scores.of("heldout").anomaly_scores
    labels = np.array([f"{clip.machine_id}\0{name}" for clip, name in zip(clips, names, strict=True)])
    unique = np.unique(labels)
    per_id = Counter(label.partition("\0")[0] for label in unique.tolist())
    medians = np.array([np.median(scores[labels == label]) for label in unique])
    return Reference(medians, min(per_id.values()), max(MIN_STRETCH, length), len(clips))


def _recordings(clips: Sequence[ScoredClip], n_recordings: int | None, length: int) -> list[str]:
    """Name the recording of each clip."""
    ways: tuple[Callable[[str], str], ...] = (
        lambda path: path.rpartition("/")[0],
        lambda path: path.partition("#t=")[0],
        lambda path: re.sub(r"[\W_]*\d*$", "", path.rpartition(".")[0]),
    )
    for way in ways:
        names = [way(clip.path) for clip in clips]
        if len(set(names)) == n_recordings:
            return names
    order = sorted(range(len(clips)), key=lambda row: (clips[row].machine_id, natural_key(clips[row].shown)))
    seen: Counter[str] = Counter()
    names = [""] * len(clips)
    for row in order:
        machine_id = clips[row].machine_id
        names[row] = f"run {seen[machine_id] // length}"
        seen[machine_id] += 1
    return names


def budget_rule(budget: Budget, artifact: Artifact, *, rhythm: Rhythm | None) -> BudgetRule:
    """Choose the quickest rule that keeps a budget.

    Raises
    ------
    UsageError
        The rhythm is not known, or the held-out recordings are too few; the text says what they can promise.
    """
    reference = reference_of(artifact)
    if rhythm is None:
        raise UsageError("an alarm budget needs to know how often a clip comes, in seconds: say so (--every S)")
    return choose_rule(budget, reference, rhythm)


def choose_rule(budget: Budget, reference: Reference, rhythm: Rhythm) -> BudgetRule:
    """Choose the rule that keeps a budget and soonest tells a fault of which one stretch in ten is not strange.

    Raises
    ------
    UsageError
        No rule keeps it; the text says what can be promised.
    """
    n_recordings, length = reference.n_least, reference.length
    n_ends = budget.period_s / (length * rhythm.seconds)
    rules = []
    for most in range(1, _most_apart(length, budget, rhythm) + 1):
        kept = (m for m in range(1, most + 1) if n_ends * chance(n_recordings, m, most) <= budget.n)
        if (m := next(kept, None)) is not None:
            rules.append((_wait(2 * m - 1, 2 * most - 1), 2 * m - 1, 2 * most - 1))
    if not rules:
        raise UsageError(_too_few(budget, reference, rhythm))
    _, k, n = min(rules)
    return BudgetRule(budget, rhythm, k, n, length, float(reference.medians.max()), n_recordings)


def chance(n_recordings: int, m: int, most: int) -> float:
    """Return the most that `2 m - 1` of `2 most - 1` stretches of normal sound are strange by, as a probability.

    `P(most) + P(most - 1)`, where `P(M) = C(r + M - m, r) / C(r + M, r)` is that of at least `m` of `M` independent
    stretches.
    """
    both = (most, most - 1) if m < most else (most,)
    return sum(
        math.comb(n_recordings + each - m, n_recordings) / math.comb(n_recordings + each, n_recordings) for each in both
    )


def false_alarms(n_recordings: int, m: int, *, length: int, rhythm: Rhythm, period_s: float) -> float:
    """Return how many false alarms a period may have, on average, by `2 m - 1` strange stretches in a row."""
    return period_s / (length * rhythm.seconds) * chance(n_recordings, m, m)


def _wait(k: int, n: int) -> float:
    """About how many stretches a fault is heard before it is told: windows of `n`, and how often one holds `k`."""
    told = sum(math.comb(n, strange) * STRANGE**strange * (1 - STRANGE) ** (n - strange) for strange in range(k, n + 1))
    return n / told


def _most_apart(length: int, budget: Budget, rhythm: Rhythm) -> int:
    """Most independent stretches that a rule may look back on: within `MAX_WINDOW` clips, and within the period."""
    n_stretches = min(MAX_WINDOW, budget.period_s / rhythm.seconds) / length
    return max(1, math.floor((n_stretches + 1) / 2))


def _too_few(budget: Budget, reference: Reference, rhythm: Rhythm) -> str:
    most, length = _most_apart(reference.length, budget, rhythm), reference.length
    least = false_alarms(reference.n_least, most, length=length, rhythm=rhythm, period_s=DAY_S)
    needed = reference.n_least
    while false_alarms(needed, most, length=length, rhythm=rhythm, period_s=budget.period_s) > budget.n:
        needed += 1
    return (
        f"with {counted(reference.n_clips, 'held-out clip')} of {counted(reference.n_least, 'recording')} of each "
        f"machine id and a clip every {rhythm.seconds:.3g} s, the least that can be promised is "
        f"{false_alarms_text(least)}; {budget.text} "
        f"takes {counted(needed, 'held-out recording')} of {length} clips ({needed * length} clips): "
        "record more of the machine while it runs well, at other times, and train anew"
    )


def duration_text(seconds: float) -> str:
    """Write a time in words: `28 minutes`."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
