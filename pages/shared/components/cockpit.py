"""The threshold's cockpit: curve, scores, matrix and the clips that change class, moved together in the browser.

The scores go to the browser once, in a message that no move changes; what does change with a move (thresholds, marks,
addresses of sounds) is said by a second, small part of the page. Python hears of a threshold once it is let go.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from asd_core.errors import InputError
from asd_core.reports.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR
from asd_core.types import BoolArray, FloatArray
from pages.shared.components import register

ID_WAYS = ("together", "curves", "thresholds")
PANELS = ("scores", "pr")
CELLS = {"tn": "true normal", "fp": "false alarm", "fn": "miss", "tp": "true alarm"}
"""The browser's names of the cells of the matrix, and those of `asd_core.evaluation.operating.CELLS`."""
MOST_WANTED = 4
"""Sounds at hand in the browser at a time."""
MOST_IDS = 8
"""Curves of single ids at most: more cannot be told apart."""

_mount = register("asd_cockpit", "cockpit", styles=("keys.css",))
_say = register("asd_cockpit_says", "cockpit_says")


@dataclass(frozen=True)
class Areas:
    """AUCs as text: of all ids pooled, the mean over ids, and of each id; empty where not defined."""

    pooled: str
    mean: str
    per_id: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class CockpitDetector:
    """A detector's test clips, as the browser gets them.

    Parameters
    ----------
    message
        Plain values for the browser.
    digest
        Of the message: it is long, and the same at each move.
    order
        Shape (n_clips,): the clips by falling score, as positions among the detector's test clips; the browser names a
        clip by its place in this order.
    """

    message: Mapping[str, Any]
    digest: str
    order: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def of(
        cls,
        *,
        title: str,
        short: str,
        colour: str,
        anomaly_scores: FloatArray,
        is_anomalous: BoolArray,
        machine_ids: Sequence[str],
        shown_ids: Mapping[str, str],
        areas: Areas,
        edges: FloatArray,
    ) -> CockpitDetector:
        """Prepare what the browser gets; it does not depend on any threshold.

        Parameters
        ----------
        anomaly_scores, is_anomalous, machine_ids
            One for each of at least one test clip.
        shown_ids
            Id -> what people read, for every id.
        edges
            Of the bins of the histogram, rising.

        Raises
        ------
        InputError
            No clips, or not one label and id for each.
        """
        n = len(anomaly_scores)
        if not n == len(is_anomalous) == len(machine_ids) or n < 1:
            lengths = f"{n}, {len(is_anomalous)} and {len(machine_ids)}"
            raise InputError(f"scores, labels and ids must be equally many and at least one, got {lengths}")
        names = sorted(set(machine_ids))
        number = {name: at for at, name in enumerate(names)}
        order = np.argsort(-np.asarray(anomaly_scores), kind="stable")
        ids = np.array([number[machine_ids[at]] for at in order], dtype="<u2")
        message = {
            "title": title,
            "short": short,
            "colour": colour,
            "scores": _encoded(np.asarray(anomaly_scores)[order].astype("<f8")),
            "anomalous": _encoded(np.asarray(is_anomalous)[order].astype(np.uint8)),
            "ids": _encoded(ids),
            "id_names": [shown_ids[name] for name in names],
            "areas": {
                "pooled": areas.pooled,
                "mean": areas.mean,
                "per_id": [areas.per_id.get(name, "") for name in names],
            },
            "edges": [float(edge) for edge in edges],
            "most_ids": MOST_IDS,
        }
        return cls(message, hashlib.sha256(json.dumps(message).encode()).hexdigest()[:16], order)


def _encoded(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


@dataclass(frozen=True)
class Mark:
    """A threshold to mark on the first detector's curve, such as a rule's."""

    threshold: float
    label: str
    uses_test_labels: bool = False


@dataclass(frozen=True)
class Look:
    """What the cockpit shows: how ids are treated, whether costs are drawn, and which picture is on the right."""

    ids: str = "together"
    costs: bool = False
    panel: str = "scores"


@dataclass(frozen=True)
class Numbers:
    """What the reader assumes of the machine in use.

    Parameters
    ----------
    prior
        Share of its clips that are anomalous, in (0, 1).
    ratio
        What a miss costs, in false alarms.
    every_s
        Seconds from one clip to the next.
    """

    prior: float
    ratio: float
    every_s: float


@dataclass(frozen=True)
class Sound:
    """A clip that is played: what it is called, and where the browser finds it; no address where it is not here."""

    title: str
    address: str


@dataclass(frozen=True)
class Now:
    """What is in force at this run.

    Parameters
    ----------
    thresholds
        One for each detector.
    per_id
        Of the first detector, one for each of its ids in sorted order; None where one threshold is for all.
    hand
        Which detector the reader last moved.
    marks
        On the first detector's curve.
    """

    thresholds: tuple[float, ...]
    per_id: Sequence[float] | None = None
    hand: int = 0
    marks: Sequence[Mark] = ()
    look: Look = Look()
    numbers: Numbers = Numbers(0.001, 1.0, 10.0)


@dataclass(frozen=True)
class Move:
    """What the reader has let go: one threshold, or one for each of the first detector's ids, in sorted order."""

    hand: int
    threshold: float
    per_id: tuple[float, ...] | None


@dataclass(frozen=True)
class Listeners:
    """What is called before the run that follows: of a move, of a look, of numbers, of a pressed cell of the matrix.

    `sound` reads a clip that was pressed, by its place in the falling order of the detector in hand.
    """

    move: Callable[[Move], None]
    look: Callable[[Look], None]
    numbers: Callable[[Numbers], None]
    cell: Callable[[str], None]
    sound: Callable[[int], Sound]


def cockpit(detectors: Sequence[CockpitDetector], now: Now, listeners: Listeners, *, key: str) -> None:
    """Draw the cockpit for one detector, or for two of which the second one is compared.

    Raises
    ------
    InputError
        Not one finite threshold for each detector.
    """
    if len(now.thresholds) != len(detectors) or not all(map(math.isfinite, now.thresholds)):
        raise InputError(f"there must be a finite threshold for each of {len(detectors)} detectors: {now.thresholds}")
    about = "-".join(detector.digest for detector in detectors)

    def heard(name: str, read: Callable[[Mapping[str, Any]], Any], tell: Callable[[Any], None]) -> Callable[[], None]:
        def changed() -> None:
            sent = st.session_state[key].get(name)
            if not sent or sent.get("about") != about:
                return
            if "token" in sent:
                st.session_state[f"{key}:heard"] = str(sent["token"])[:64]
            if (found := read(sent)) is not None:
                tell(found)

        return changed

    _mount(
        key=key,
        data={
            "about": about,
            "detectors": [detector.message for detector in detectors],
            "colours": {
                "normal": NORMAL_COLOUR,
                "anomalous": ANOMALOUS_COLOUR,
                "right": NORMAL_COLOUR,
                "wrong": ANOMALOUS_COLOUR,
            },
        },
        on_move_change=heard("move", lambda sent: read_move(sent, len(detectors)), listeners.move),
        on_look_change=heard("look", read_look, listeners.look),
        on_numbers_change=heard("numbers", read_numbers, listeners.numbers),
        on_cell_change=heard("cell", lambda sent: CELLS.get(str(sent.get("value"))), listeners.cell),
    )
    _speak(
        {**_said(now, about), "heard": st.session_state.get(f"{key}:heard")},
        listeners.sound,
        [len(detector.order) for detector in detectors][now.hand],
        f"{key}:says",
    )


@st.fragment
def _speak(said: Mapping[str, Any], sound: Callable[[int], Sound], n_clips: int, key: str) -> None:
    """Say what is in force, and the sounds that were pressed: these are read in a run of this part alone."""
    state = st.session_state.get(key)
    wanted = read_wanted(None if state is None else state.get("wanted"), n_clips)
    found = {str(rank): sound(rank) for rank in wanted}
    sounds = {rank: {"title": each.title, "address": each.address} for rank, each in found.items()}
    _say(key=key, data={**said, "sounds": sounds}, on_wanted_change=_nothing)


def _nothing() -> None:
    """Streamlit wants a callback for everything that a component tells."""


def _said(now: Now, about: str) -> dict[str, Any]:
    return {
        "about": about,
        "thresholds": list(now.thresholds),
        "per_id": None if now.per_id is None else list(now.per_id),
        "hand": now.hand,
        "marks": [
            {"threshold": mark.threshold, "label": mark.label, "uses_labels": mark.uses_test_labels}
            for mark in now.marks
        ],
        "look": {"ids": now.look.ids, "costs": now.look.costs, "panel": now.look.panel},
        "numbers": {"prior": now.numbers.prior, "ratio": now.numbers.ratio, "every_s": now.numbers.every_s},
    }


def _finite(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and isinstance(value, int | float) else None


def read_move(sent: Mapping[str, Any], n_detectors: int) -> Move | None:
    """Read what the browser says of a move; None where it makes no sense."""
    hand, threshold, per_id = sent.get("hand"), _finite(sent.get("threshold")), sent.get("per_id")
    if not isinstance(hand, int) or not 0 <= hand < n_detectors or threshold is None:
        return None
    if not isinstance(per_id, list):
        return Move(hand, threshold, None)
    found = tuple(number for value in per_id if (number := _finite(value)) is not None)
    return Move(hand, threshold, found) if len(found) == len(per_id) else None


def read_look(sent: Mapping[str, Any]) -> Look | None:
    """Read what the browser says of its look; None where it makes no sense."""
    ids, panel = sent.get("ids"), sent.get("panel")
    return Look(ids, bool(sent.get("costs")), panel) if ids in ID_WAYS and panel in PANELS else None


def read_numbers(sent: Mapping[str, Any]) -> Numbers | None:
    """Read the numbers that the reader typed; None where one is out of range."""
    prior, ratio, every_s = (_finite(sent.get(name)) for name in ("prior", "ratio", "every_s"))
    if prior is None or ratio is None or every_s is None or not 0 < prior < 1 or ratio <= 0 or every_s <= 0:
        return None
    return Numbers(prior, ratio, every_s)


def read_wanted(told: object, n_clips: int) -> list[int]:
    """Read which clips the browser asks to hear, by their places; at most `MOST_WANTED`, the latest ones."""
    places = [at for at in told if isinstance(at, int) and not isinstance(at, bool)] if isinstance(told, list) else []
    return [at for at in places if 0 <= at < n_clips][-MOST_WANTED:]
