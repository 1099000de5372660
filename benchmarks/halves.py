"""Two halves of the real recordings: on the first, settings are chosen; the second is reported.

Recordings are dealt to the halves by the seed below, normal and faulty ones apart, so that both halves have about
as many clips; a recording is never in both. A half is judged by detectors that were trained on the other half's normal
clips: what is learned from and what is judged on share no recording, and the second half's faults are never looked
at while choosing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from asd_core.data.clips import Clip

HALVES_SEED = 2020
"""Fixed before any figure of either half was seen."""


def half_of_recordings(clips: Sequence[Clip]) -> dict[str, int]:
    """Deal recordings to half 0 (choosing) or 1 (reporting): larger ones first, each to the half with fewer clips."""
    halves: dict[str, int] = {}
    for label in ("normal", "anomalous"):
        counts = Counter(str(clip.recording) for clip in clips if clip.label == label)
        drawn = np.random.default_rng(HALVES_SEED).permutation(sorted(counts)).tolist()
        sizes = [0, 0]
        for recording in sorted(drawn, key=lambda name: -counts[name]):
            half = int(np.argmin(sizes))
            halves[recording], sizes[half] = half, sizes[half] + counts[recording]
    return halves


def rows_for(clips: Sequence[Clip], halves: dict[str, int], *, judged: int) -> tuple[list[int], list[int]]:
    """Rows to train on, the normal clips of the other half, and rows to judge on, all clips of the half."""
    half = [halves[str(clip.recording)] for clip in clips]
    train = [row for row, clip in enumerate(clips) if half[row] != judged and clip.label == "normal"]
    return train, [row for row in range(len(clips)) if half[row] == judged]
