"""Gauges of several detectors on one scale: where a clip's score lies between their normal clips and beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_core.types import FloatArray
from pages.shared.components import register


@dataclass(frozen=True, eq=False)
class Gauge:
    """One detector's row.

    Parameters
    ----------
    name, title
        Its short name, and the long one for those who point at it.
    mark, colour
        Its mark as the address of a picture, and its colour.
    word
        The verdict in words.
    kind
        `normal`, `anomalous` or `none`, which gives the word its colour.
    place
        The score on the common scale, 0 to 1 with the threshold at 0.5; None where there is no verdict.
    normal
        Shape (n_clips,): held-out normal clips on the same scale.
    chips
        (text, what it means) of the badges beside the verdict.
    """

    name: str
    title: str
    mark: str
    colour: str
    word: str
    kind: str
    place: float | None
    normal: FloatArray
    chips: Sequence[tuple[str, str]] = ()

    @property
    def alt(self) -> str:
        """The gauge in words."""
        if self.place is None:
            return f"{self.name}: {self.word}"
        known = f"; {len(self.normal)} held-out normal clips beside it" if len(self.normal) else ""
        return f"{self.name}: {self.word}, at {self.place:.2f} where the threshold is at 0.5{known}"


_mount = register("asd_gauges", "gauges")


def gauges(rows: Sequence[Gauge], *, key: str) -> None:
    """Draw one gauge below the other over one axis."""
    _mount(key=key, data={"rows": [_row(each) for each in rows]})


def _row(gauge: Gauge) -> dict[str, object]:
    places = np.unique(np.round(gauge.normal, 3))  # as many as the eye can tell apart, however large the set
    return {
        "name": gauge.name,
        "title": gauge.title,
        "mark": gauge.mark,
        "colour": gauge.colour,
        "word": gauge.word,
        "kind": gauge.kind,
        "place": None if gauge.place is None else round(gauge.place, 4),
        "normal": places.tolist(),
        "chips": [{"text": text, "meaning": meaning} for text, meaning in gauge.chips],
        "alt": gauge.alt,
    }
