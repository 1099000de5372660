"""Several detectors as one: the mean of their z-scores, from held-out normal clips alone; no label is used.

Each detector's scores are brought to mean 0 and standard deviation 1 over its own held-out normal clips, then averaged
(equal weights: nothing is left to choose). A detector's unit and level cancel out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from asd_core.errors import DataSetError, ThresholdError, UsageError
from asd_core.evaluation.normalisation import fit_id_scales, normalise_ids
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.types import FloatArray

ONE_SCALE = "all ids"


class Member(Protocol):
    """A detector's scores of test clips and of held-out normal clips."""

    @property
    def title(self) -> str:
        """Name for people."""

    @property
    def scores(self) -> Scores:
        """Of the test clips."""

    @property
    def heldout(self) -> Scores:
        """Of the held-out normal clips."""


@dataclass(frozen=True)
class Ensemble:
    """The joint scores of several detectors.

    Parameters
    ----------
    members
        Their titles.
    scores
        Of the test clips, in the first member's order.
    heldout
        Of the normal clips that every member held out: a label-free threshold comes from these.
    per_id
        Whether each machine id has a scale of its own.
    """

    members: tuple[str, ...]
    scores: Scores
    heldout: Scores
    per_id: bool

    @property
    def title(self) -> str:
        """Name for people, which says how it is made."""
        return f"Ensemble of {len(self.members)} (z-scores, no test labels)"


def combine(members: Sequence[Member]) -> Ensemble:
    """Average the members' z-scores.

    The scale is each id's own where every member has at least 12 differing held-out scores of every id; otherwise it is
    one for all ids.

    Raises
    ------
    UsageError
        Fewer than two members.
    DataSetError
        Test clips that not all members scored, by name and digest.
    ThresholdError
        A member without held-out clips, or with equal held-out scores, by name.
    """
    if len(members) < 2:
        raise UsageError(f"an ensemble needs at least two detectors, got {len(members)}")
    for member in members:
        _check_spread(member)
    tested = [{clip.digest: clip for clip in member.scores.clips} for member in members]
    heldout = [{clip.digest: clip for clip in member.heldout.clips} for member in members]
    _check_same_clips(members, tested)
    ids = {clip.machine_id for clip in members[0].scores.clips}
    scales = [_id_scales(member, ids) for member in members]
    per_id = all(scale is not None for scale in scales)
    in_force = [
        scale if per_id and scale else _one_scale(member) for scale, member in zip(scales, members, strict=True)
    ]
    shared = [clip for clip in members[0].heldout.clips if all(clip.digest in found for found in heldout)]
    return Ensemble(
        tuple(member.title for member in members),
        _averaged(members[0].scores.clips, tested, in_force, per_id=per_id),
        replace(
            _averaged(shared, heldout, in_force, per_id=per_id),
            keeps_promises=all(member.heldout.keeps_promises for member in members),
        ),
        per_id,
    )


def _check_spread(member: Member) -> None:
    scores = member.heldout.anomaly_scores
    if not len(scores) or not np.ptp(scores) > 0:
        raise ThresholdError(
            f"{member.title} cannot join an ensemble: it has {len(scores)} held-out normal scores"
            f"{' and they are all equal' if len(scores) else ''}, so that there is no z-score"
        )


def _check_same_clips(members: Sequence[Member], tested: Sequence[dict[str, ScoredClip]]) -> None:
    for clip in (clip for member in members for clip in member.scores.clips):
        for member, found in zip(members, tested, strict=True):
            if clip.digest not in found:
                raise DataSetError(
                    f"an ensemble needs the same test clips of every detector: {member.title} has no score of "
                    f"{clip.shown} (SHA-256 {clip.digest[:16]})"
                )


def _id_scales(member: Member, ids: set[str]) -> dict[str, tuple[float, float]] | None:
    """Mean and standard deviation of each id's held-out scores, or None where an id has too few or equal ones."""
    try:
        scales = fit_id_scales(member.heldout.anomaly_scores, member.heldout.machine_ids)
    except ThresholdError:
        return None
    return scales if ids <= set(scales) else None


def _one_scale(member: Member) -> dict[str, tuple[float, float]]:
    scores = member.heldout.anomaly_scores
    return {ONE_SCALE: (float(scores.mean()), float(scores.std()))}


def _averaged(
    clips: Sequence[ScoredClip],
    by_digest: Sequence[dict[str, ScoredClip]],
    scales: Sequence[dict[str, tuple[float, float]]],
    *,
    per_id: bool,
) -> Scores:
    ids = [clip.machine_id if per_id else ONE_SCALE for clip in clips]
    z_scores: list[FloatArray] = [
        normalise_ids([found[clip.digest].anomaly_score for clip in clips], ids, scale)
        for found, scale in zip(by_digest, scales, strict=True)
    ]
    means = np.mean(z_scores, axis=0)  # (n_clips,)
    return Scores(tuple(replace(clip, anomaly_score=float(mean)) for clip, mean in zip(clips, means, strict=True)))
