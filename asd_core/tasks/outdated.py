"""What has changed in a data set since a detector learned from it: clips removed, relabelled or added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asd_core.artifacts.store import DIGEST_PREFIX, Artifact
from asd_core.formats import counted


@dataclass(frozen=True)
class Changes:
    """Numbers of clips.

    Parameters
    ----------
    n_learned
        Clips that the detector was fitted or calibrated on.
    n_gone
        Of these, those that are no longer there.
    n_relabelled
        Of these, those that are no longer called normal.
    n_new
        Clips that it has neither learned from nor been tested on.
    n_retest
        Test clips that are no longer there, or have another label now.
    """

    n_learned: int
    n_gone: int = 0
    n_relabelled: int = 0
    n_new: int = 0
    n_retest: int = 0

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.n_gone or self.n_relabelled or self.n_new or self.n_retest)

    @property
    def text(self) -> str:
        """What has changed, in words; empty where nothing has."""
        parts = [
            f"{n} of the {counted(self.n_learned, 'clip')} that it learned from {_have(n)} since been {what}"
            for n, what in ((self.n_gone, "removed"), (self.n_relabelled, "called anomalous"))
            if n
        ]
        if self.n_retest:
            parts.append(f"{counted(self.n_retest, 'test clip')} {_have(self.n_retest)} been removed or relabelled")
        if self.n_new:
            parts.append(f"{counted(self.n_new, 'clip')} {_have(self.n_new)} been added since")
        return "; ".join(parts)


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def changes_since(artifact: Artifact, labels: Mapping[str, str]) -> Changes:
    """Compare a detector with the clips as they are now; those that a re-baseline added were never in the data set.

    Parameters
    ----------
    labels
        Label of each clip by its digest, or by the digest's first `DIGEST_PREFIX` hex digits.
    """
    now = {digest[:DIGEST_PREFIX]: label for digest, label in labels.items()}
    learned = artifact.training_digests - frozenset(artifact.manifest.data.added_digests or ())
    tested = {clip.digest[:DIGEST_PREFIX]: clip.label for clip in artifact.scores.of("test").clips}
    there = learned & now.keys()
    return Changes(
        n_learned=len(learned),
        n_gone=len(learned) - len(there),
        n_relabelled=sum(now[digest] != "normal" for digest in there),
        n_new=len(now.keys() - learned - tested.keys()),
        n_retest=sum(now.get(digest) != label for digest, label in tested.items()),
    )
