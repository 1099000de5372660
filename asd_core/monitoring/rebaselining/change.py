"""Re-baseline: what changes when clips that somebody called normal become part of normal; shown before anything does.

Two ways. Recalibrating moves the threshold alone: to the scores that it rests on come those of the clips, by the same
detector, which has not heard them. Retraining fits the detector again, with the clips among its training clips.

A clip of a changed machine is no draw from the old normal sound: pooled, twelve new clips among a hundred old ones
would all stay false alarms at a rate of 10 %. So the old clips and those of each re-baseline are groups of their own,
the rule is applied to each that is large enough, and the highest of their thresholds counts (group-conditional
conformal prediction: Vovk 2012, "Conditional validity of inductive conformal predictors"). Smaller groups are pooled
with the old clips.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from asd_core.artifacts.store import DIGEST_PREFIX, Artifact
from asd_core.data.recordings import FOLDS, MAX_RUN
from asd_core.detectors.contract import Detector
from asd_core.errors import AudioError, UsageError
from asd_core.evaluation.operating import verdict
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import (
    MIN_SCORES_PER_ID,
    Threshold,
    default_threshold,
    from_normal_scores,
    is_anomalous,
    n_needed,
)
from asd_core.evaluation.uncertainty import Interval, wilson
from asd_core.features.cache import read_clip
from asd_core.formats import counted, rate_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.quarantine import MarkedClip, sittings, sound_path
from asd_core.monitoring.rebaselining.recent import Episode, Week, episodes, rows_to_rescore
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.tallies import Rule
from asd_core.tasks.added import round_of
from asd_core.types import FloatArray, IntArray, Waveform

RECALIBRATE: Final = "recalibrate"
RETRAIN: Final = "retrain"
SAME_RULE: Final = ("conformal", "quantile", "gamma", "mean_std")
"""Rules that are applied again with their own number; a threshold by any other rule gives way to the default one."""
LISTEN_FIRST = 3


@dataclass(frozen=True)
class Share:
    """How many of how many clips."""

    n: int
    of: int

    @property
    def interval(self) -> Interval | None:
        """With Wilson's interval; None of no clips."""
        return wilson(self.n, self.of) if self.of else None

    @property
    def text(self) -> str:
        """For people: `8.3 % (1/12), 0.4 to 35.4 %`; a dash of no clips."""
        if self.interval is None or self.interval.limits is None:
            return rate_text(self.n, self.of)
        low, high = self.interval.limits
        return f"{rate_text(self.n, self.of)}, {100 * low:.1f} to {100 * high:.1f} %"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a detector does at a threshold.

    Parameters
    ----------
    threshold
        Scores from here on are anomalous.
    heldout
        False alarms on the normal clips of the data set that the scoring model has not heard.
    test_normal, test_faults
        False alarms and faults found among labelled test clips.
    marked_normal
        False alarms on the clips that are to become normal: before, as they are; after, each by a threshold without
        its own sitting (a retrained detector has not heard it either).
    marked_faults
        Faults found among the clips that somebody called faults.
    week
        Anomalous clips of the week.
    alarms
        Alarms that the week would have had.
    """

    threshold: float
    heldout: Share
    test_normal: Share
    test_faults: Share
    marked_normal: Share
    marked_faults: Share
    week: Share
    alarms: tuple[Episode, ...]

    @property
    def n_faults_found(self) -> int:
        """Among labelled and marked ones."""
        return self.test_faults.n + self.marked_faults.n


@dataclass(frozen=True)
class Flip:
    """A clip of the week that is judged otherwise afterwards."""

    row: WatchRow
    after: str


@dataclass(frozen=True)
class Change:
    """What a re-baseline would do; nothing has changed yet.

    Parameters
    ----------
    how
        `recalibrate` or `retrain`.
    threshold
        The new one.
    added
        Scores of the clips that become normal, by a model that has not heard them, as they would be kept.
    flips
        Clips of the week whose verdict changes.
    warnings
        `code: text` lines; those that begin with `faults_lost` speak against it.
    """

    how: str
    clips: tuple[MarkedClip, ...]
    threshold: Threshold
    added: tuple[ScoredClip, ...]
    before: Figures
    after: Figures
    flips: tuple[Flip, ...]
    warnings: tuple[str, ...]

    @property
    def loses_faults(self) -> bool:
        """Whether fewer faults are found afterwards."""
        return self.after.n_faults_found < self.before.n_faults_found


@dataclass(frozen=True, eq=False)
class View:
    """What one model says of everything that the figures count.

    Parameters
    ----------
    heldout
        Scores of normal clips that it has not heard, and that its threshold rests on; added ones among them.
    test
        Scores of test clips.
    marked
        Scores of marked clips by their sound; of those that it was fitted on, by a fit without them, or none.
    week
        Its scores of the week's rows; None where it has none.
    added_digests
        Digest prefixes of the clips that earlier re-baselines added.
    """

    heldout: Scores
    test: Scores
    marked: Mapping[str, float]
    week: tuple[float | None, ...]
    added_digests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, artifact: Artifact, marked: Mapping[str, float], week: Sequence[float | None]) -> View:
        """What an artifact and its scores of further clips say."""
        added = frozenset(artifact.manifest.data.added_digests or ())
        heldout, test = artifact.scores.of("heldout"), artifact.scores.of("test").labelled()
        return cls(heldout, test, marked, tuple(week), added)

    def groups(self, *, leave_out: frozenset[str] = frozenset()) -> list[FloatArray]:
        """Scores of the data set's own clips, then those of each earlier re-baseline.

        Parameters
        ----------
        leave_out
            Digest prefixes of clips that do not count.
        """
        by_round: dict[str, list[float]] = {"": []}
        for clip in self.heldout.clips:
            prefix = clip.digest[:DIGEST_PREFIX]
            if prefix not in leave_out:
                name = round_of(clip.path) if prefix in self.added_digests else ""
                by_round.setdefault(name, []).append(clip.anomaly_score)
        return [np.array(scores) for scores in by_round.values()]


def score_marked(
    detector: Detector,
    beside: Beside,
    clips: Sequence[MarkedClip],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Score marked clips from their copies, by their sounds."""
    scores = {}
    for done, clip in enumerate(clips, start=1):
        scores[clip.sound] = float(detector.anomaly_score(read_clip(sound_path(beside, clip))))
        if on_progress is not None:
            on_progress(done, len(clips))
    return scores


def new_threshold(
    present: Threshold, groups: Sequence[FloatArray], *, keeps_promises: bool, alpha: float | None = None
) -> Threshold:
    """Apply a threshold's rule to each group of normal scores, and take the highest.

    Parameters
    ----------
    present
        Whose rule and number are kept; a rule that looks at labels, or a value set by hand, gives way to the default.
    groups
        The data set's own scores first, which may be few, then those of each re-baseline; small ones are pooled.
    keeps_promises
        False where a group is of one recording only.
    alpha
        Another false-alarm rate than the default rule's.

    Raises
    ------
    InputError, ThresholdError
        As `asd_core.evaluation.thresholds.from_normal_scores`.
    """
    is_same = present.rule in SAME_RULE
    value = present.rule_value if is_same else alpha
    needed = n_needed(present.rule, value) if is_same else n_needed("conformal", value)
    large = [scores for scores in groups[1:] if _is_own_group(scores, needed)]
    small = [scores for scores in groups[1:] if not _is_own_group(scores, needed)]

    def by_rule(scores: FloatArray) -> Threshold:
        if is_same and len(scores) >= needed:
            return from_normal_scores(present.rule, scores, rule_value=value, keeps_promises=keeps_promises)
        return default_threshold(scores, alpha=value if present.rule == "conformal" else alpha)

    found = [by_rule(np.concatenate([groups[0], *small])), *map(by_rule, large)]
    highest = max(found, key=lambda threshold: -math.inf if threshold.value is None else threshold.value)
    per_id = present.per_id
    if per_id is not None and len(per_id) == 1 and highest.value is not None:
        per_id = dict.fromkeys(per_id, highest.value)
    promised = found[0].promised_fpr if keeps_promises else None
    return replace(highest, n_calibration=sum(map(len, groups)), per_id=per_id, promised_fpr=promised)


def _is_own_group(scores: FloatArray, needed: int) -> bool:
    return len(scores) >= max(needed, MIN_SCORES_PER_ID) and float(np.ptp(scores)) > 0


def recalibration(
    artifact: Artifact,
    view: View,
    clips: Sequence[MarkedClip],
    faults: Sequence[MarkedClip],
    week: Week,
    *,
    added: Sequence[ScoredClip],
    rule: Rule,
) -> Change:
    """Say what moving the threshold would change.

    Parameters
    ----------
    view
        Of the version in use.
    clips
        Those that are to become normal; it must have scored them, and the faults.
    added
        The same clips as scores to be kept.
    rule
        Of the watch's alarm.

    Raises
    ------
    UsageError
        No clips, or a detector without a threshold.
    """
    return _Comparison(artifact, view, view, clips, faults, week, tuple(added), rule, RECALIBRATE).change()


def retraining(
    artifact: Artifact,
    view: View,
    after: View,
    clips: Sequence[MarkedClip],
    faults: Sequence[MarkedClip],
    week: Week,
    *,
    rule: Rule,
) -> Change:
    """Say what a detector that was trained again would change.

    Parameters
    ----------
    after
        Of the retrained version, whose held-out scores contain those of `clips` as far as it was not fitted on them.
    """
    sounds = {clip.sound for clip in clips}
    added = tuple(each for each in after.heldout.clips if sound_of(each, sounds))
    return _Comparison(artifact, view, after, clips, faults, week, added, rule, RETRAIN).change()


def sound_of(scored: ScoredClip, sounds: set[str]) -> str:
    """The marked clip that a score is of, by the file's name `<number>-<sound>.flac`; empty where it is of none."""
    stem = scored.path.rpartition("/")[2].partition(".")[0].partition("-")[2]
    return next((sound for sound in sounds if stem and sound.startswith(stem)), "") if len(stem) >= 32 else ""


def units_of(clips: Sequence[MarkedClip]) -> IntArray:
    """Number the part that each clip is left out with: its sitting, or where there is one only, a run of clips."""
    numbers = np.array(sittings(clips), dtype=np.int64)
    if len(set(numbers.tolist())) > 1:
        return numbers
    length = max(1, min(MAX_RUN, math.ceil(len(clips) / FOLDS)))
    return np.arange(len(clips), dtype=np.int64) // length


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The version in use and the one that would follow it, on the same clips."""

    artifact: Artifact
    now: View
    then: View
    clips: Sequence[MarkedClip]
    faults: Sequence[MarkedClip]
    week: Week
    added: tuple[ScoredClip, ...]
    rule: Rule
    how: str

    def change(self) -> Change:
        present = self.artifact.threshold
        if not self.clips:
            raise UsageError("choose at least one clip that was marked normal")
        if present.value is None:
            raise UsageError(f"the detector has no threshold to compare with: {present.reason or 'its rule gave none'}")
        ordered = sorted(self.clips, key=lambda clip: (clip.heard_at, clip.sound))
        threshold = self._threshold(frozenset())
        if threshold.value is None:
            raise UsageError(f"these clips give no threshold: {threshold.reason}")
        verdicts = self._verdicts(self.now, present.value, [row.verdict for row in self.week.rows])
        later = self._verdicts(self.then, threshold.value, verdicts)
        before = self._figures(self.now, present.value, self._marked_before(present.value), verdicts)
        after = self._figures(self.then, threshold.value, self._marked_after(ordered), later)
        changed = zip(self.week.rows, verdicts, later, strict=True)
        flips = tuple(Flip(row, new) for row, old, new in changed if old != new)
        return Change(
            self.how,
            tuple(ordered),
            threshold,
            self.added,
            before,
            after,
            flips,
            self._warnings(before, after, threshold),
        )

    def _threshold(self, without: frozenset[str]) -> Threshold:
        """The new threshold, without the clips of these sounds."""
        own = frozenset(each.digest[:DIGEST_PREFIX] for each in self.added)
        sounds = {clip.sound for clip in self.clips}
        new = [each.anomaly_score for each in self.added if sound_of(each, sounds) not in without]
        groups = [*self.then.groups(leave_out=own), np.array(new, dtype=np.float64)]
        promises = self.artifact.scores.keeps_promises and self._keeps_promises(len(new))
        return new_threshold(self.artifact.threshold, groups, keeps_promises=promises)

    def _keeps_promises(self, n_new: int) -> bool:
        """Whether the new clips are of more than one sitting, where they decide on a threshold of their own."""
        return n_new < MIN_SCORES_PER_ID or len(set(sittings(self.clips))) > 1

    def _marked_before(self, threshold: float) -> Share:
        return _share([self.now.marked[clip.sound] for clip in self.clips], threshold)

    def _marked_after(self, clips: Sequence[MarkedClip]) -> Share:
        """False alarms on the new clips, each by a threshold from all but its own sitting."""
        scores = {sound_of(each, {clip.sound for clip in clips}): each.anomaly_score for each in self.added}
        units = units_of(clips)
        n, of = 0, 0
        for unit in np.unique(units):
            own = [clip.sound for clip, number in zip(clips, units, strict=True) if number == unit]
            heard = [scores[sound] for sound in own if sound in scores]
            limit = self._threshold(frozenset(own)).value
            if limit is not None and heard:
                n, of = n + int(is_anomalous(heard, limit).sum()), of + len(heard)
        return Share(n, of)

    def _figures(self, view: View, threshold: float, marked_normal: Share, verdicts: Sequence[str]) -> Figures:
        both = {clip.digest for clip in self.now.test.clips} & {clip.digest for clip in self.then.test.clips}
        test = Scores(tuple(clip for clip in view.test.clips if clip.digest in both))
        is_fault = test.is_anomalous
        return Figures(
            threshold=threshold,
            heldout=_share(view.groups()[0], threshold),
            test_normal=_share(test.anomaly_scores[~is_fault], threshold),
            test_faults=_share(test.anomaly_scores[is_fault], threshold),
            marked_normal=marked_normal,
            marked_faults=_share([view.marked[clip.sound] for clip in self.faults], threshold),
            week=Share(list(verdicts).count("anomalous"), len(verdicts)),
            alarms=tuple(
                episodes(self.week.rows, verdicts, self._scores(view), rule=self.rule, reference=self._reference(view))
            ),
        )

    def _scores(self, view: View) -> Sequence[float | None]:
        """Scores of the week's rows: by this model, else as told."""
        return [row.anomaly_score if own is None else own for row, own in zip(self.week.rows, view.week, strict=True)]

    def _reference(self, view: View) -> FloatArray:
        """The held-out scores that p-values are taken from, before or after."""
        kept = {each.digest: each.anomaly_score for each in view.heldout.clips}
        if view is self.then and self.how == RECALIBRATE:
            kept |= {each.digest: each.anomaly_score for each in self.added}
        return np.array(list(kept.values()), dtype=np.float64)

    def _verdicts(self, view: View, threshold: float, otherwise: Sequence[str]) -> list[str]:
        """Verdict of each row of the week; one without a score by this model has the other one."""
        return [
            other if score is None else verdict(score, threshold)
            for score, other in zip(view.week, otherwise, strict=True)
        ]

    def _warnings(self, before: Figures, after: Figures, threshold: Threshold) -> tuple[str, ...]:
        found = []
        lost = before.n_faults_found - after.n_faults_found
        if lost > 0:
            names = ", ".join(clip.name for clip in self._highest())
            other = (
                ", or the new sound is too near to that of faults"
                if self.how == RETRAIN
                else ", or this detector cannot tell the new sound from faults and must be trained again"
            )
            found.append(
                f"faults_lost: {counted(lost, 'fault')} that {'is' if lost == 1 else 'are'} found now would be missed: "
                f"a fault may be among the clips marked normal{other}. Listen first to {names}"
            )
        if not before.test_faults.of + before.marked_faults.of:
            found.append(
                "no_faults: nothing here can show whether faults are still found: there are no labelled faults, and "
                "no clip has been marked a fault"
            )
        if len(set(sittings(self.clips))) == 1:
            found.append(
                "one_sitting: all chosen clips were heard in one go, so nothing is known of other days; mark clips of "
                "another day, too, before you rely on it"
            )
        needed = max(MIN_SCORES_PER_ID, n_needed("conformal", threshold.rule_value) if threshold.rule_value else 0)
        if len(self.added) < needed:
            found.append(
                f"few: the threshold rests on {counted(len(self.added), 'chosen clip')} that the model has not heard, "
                f"and the old clips outweigh them; from {needed} on they decide for themselves"
            )
        if self.artifact.threshold.rule not in SAME_RULE:
            found.append(f"rule: the threshold in use ({self.artifact.threshold.rule}) gives way to {threshold.rule}")
        return tuple(found)

    def _highest(self) -> list[MarkedClip]:
        """The chosen clips that score highest by the version in use: those that move the threshold most."""
        return sorted(self.clips, key=lambda clip: -self.now.marked[clip.sound])[:LISTEN_FIRST]


def _share(anomaly_scores: Sequence[float] | FloatArray, threshold: float) -> Share:
    scores = np.asarray(anomaly_scores, dtype=np.float64)
    return Share(int(is_anomalous(scores, threshold).sum()), len(scores))


def rescore_week(
    detector: Detector,
    week: Week,
    sound: Callable[[WatchRow], Waveform],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[float | None]:
    """Score the newest clips of the week by a retrained detector; None for those without sound, and for older ones.

    Parameters
    ----------
    sound
        Reads a row's clip; an AudioError says that it is not there.
    """
    scores: list[float | None] = [None] * len(week.rows)
    numbers = rows_to_rescore(week)
    for done, number in enumerate(numbers, start=1):
        with contextlib.suppress(AudioError):
            scores[number] = float(detector.anomaly_score(sound(week.rows[number])))
        if on_progress is not None:
            on_progress(done, len(numbers))
    return scores
