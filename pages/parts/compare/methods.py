"""What the compare page compares: trained detectors and imported scores on the same clips, judged by one rule."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.errors import AsdError, DataSetError, ThresholdError, UndefinedMetricError
from asd_core.evaluation.comparison import alarms, distinct_titles
from asd_core.evaluation.imported import read_scores
from asd_core.evaluation.summary import Ranking, ranking
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import display_name
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    DETECTOR_SHORT_NAMES,
    DETECTOR_SYMBOLS,
    ENSEMBLE_COLOUR,
    ENSEMBLE_DASH,
    IMPORTED_COLOURS,
    IMPORTED_DASHES,
    NEUTRAL_COLOUR,
)
from asd_core.tasks.assess import threshold_by_rule
from asd_core.tasks.compare import Comparison, Method, imported_method, join, with_ensemble
from asd_core.types import BoolArray
from pages.shared import rules
from pages.shared.choices import choose, turn_on
from pages.shared.context import Chosen
from pages.shared.keys import HASHES

SAVED = "saved"
COMPARED_RULES = (SAVED, *(rule for rule in RULES if rule not in ("zero", "manual")))
REPOOLED_DASH = "2px,6px"
"""A network's own colour, dotted: the same weights, another pooling."""
MAX_IMPORTED = len(IMPORTED_COLOURS)
_IMPORTED, _REFUSED, _ROUND = "compare_imported", "compare_refused", "compare_round"


@dataclass(frozen=True)
class Look:
    """Colour, dash pattern and mark of a detector or of imported scores."""

    colour: str
    dash: str
    symbol: str = "diamond"


@dataclass(frozen=True, eq=False)
class Judged:
    """Detectors on common clips with one threshold each; titles are distinct."""

    comparison: Comparison
    rule: str
    titles: tuple[str, ...]
    looks: tuple[Look, ...]
    thresholds: tuple[Threshold, ...]
    alarms: BoolArray

    @property
    def judging(self) -> list[int]:
        """Positions of the detectors that have a threshold."""
        return [row for row, threshold in enumerate(self.thresholds) if threshold.value is not None]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of this page's caches: versions, digests of imported files, and the common clips."""
        return (*(method.key for method in self.comparison.methods), self.comparison.fingerprint)


@dataclass(frozen=True, eq=False)
class OnCommonClips:
    """A detector on the clips that all detectors scored; the fingerprint of those clips identifies the join."""

    method: Method
    fingerprint: str


JUDGED_HASHES = {
    **HASHES,
    Judged: lambda judged: (judged.keys, judged.rule),
    OnCommonClips: lambda on: (on.method.key, on.fingerprint),
}
"""`HASHES`, and the keys of this page's own objects."""


@st.cache_resource(max_entries=128, show_spinner="Computing intervals …", hash_funcs=JUDGED_HASHES)
def ranked(on_clips: OnCommonClips) -> Ranking:
    """How well a detector ranks the common clips, with intervals."""
    return ranking(on_clips.method.scores)


def compared(chosen: Chosen, detectors: tuple[Method, ...]) -> Comparison:
    """Join the detectors and the session's imported scores of this data set."""
    return _joined((*detectors, *_imported(chosen)))


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def _joined(methods: tuple[Method, ...]) -> Comparison:
    return join(methods)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def judged(comparison: Comparison, rule: str) -> Judged:
    """Give every detector its threshold by one rule."""
    thresholds = tuple(_threshold(method, rule) for method in comparison.methods)
    titles = distinct_titles([method.title for method in comparison.methods])
    return Judged(
        comparison, rule, titles, _looks(comparison), thresholds, alarms(comparison.anomaly_scores, thresholds)
    )


def _threshold(method: Method, rule: str) -> Threshold:
    """Return a rule's threshold; where the rule cannot work on these scores, one with a reason in place of a value."""
    if rule == SAVED and method.artifact is not None:
        return method.artifact.threshold
    name = "conformal" if rule == SAVED else rule
    try:
        return threshold_by_rule(name, method.scores, method.heldout)
    except (ThresholdError, UndefinedMetricError) as error:
        return Threshold(None, name, RULES[name].uses_test_labels, None, len(method.heldout.clips), reason=str(error))


def _looks(comparison: Comparison) -> tuple[Look, ...]:
    imported = iter(zip(IMPORTED_COLOURS, IMPORTED_DASHES, strict=True))

    def look(method: Method) -> Look:
        if method.is_ensemble:
            return Look(ENSEMBLE_COLOUR, ENSEMBLE_DASH)
        if method.trained is None:
            return Look(*next(imported))
        name = method.trained.detector_name
        dash = DETECTOR_DASHES.get(name, "solid") if method.artifact is not None else REPOOLED_DASH
        return Look(DETECTOR_COLOURS.get(name, NEUTRAL_COLOUR), dash, DETECTOR_SYMBOLS.get(name, "diamond"))

    return tuple(look(method) for method in comparison.methods)


def short_title(judged: Judged, row: int) -> str:
    """Return what a row is called where there is little room: a detector's short name, and how it pools if asked."""
    method, title = judged.comparison.methods[row], judged.titles[row]
    if method.is_ensemble:
        return "Ensemble"
    if method.trained is None:
        return title
    name = DETECTOR_SHORT_NAMES.get(method.trained.detector_name, method.trained.title)
    return name + title.removeprefix(method.trained.title) if title.startswith(method.trained.title) else title


def ensemble_choice(comparison: Comparison) -> Comparison:
    """Let the user add the detectors' ensemble as one more row."""
    n_detectors = sum(method.artifact is not None for method in comparison.methods)
    wanted = turn_on(
        "Add their ensemble",
        key="ensemble",
        disabled=n_detectors < 2,
        help="One more row: each detector's scores are brought to one scale by its held-out normal clips (z-scores, "
        "each machine id by itself where it has enough clips), then averaged with equal weights. No label of a test "
        "clip is looked at. Imported scores take no part.",
    )
    return with_ensemble(comparison) if wanted and n_detectors > 1 else comparison


def common_line(comparison: Comparison) -> None:
    """Say how many clips everything below is based on."""
    n_anomalous = int(comparison.labels.sum())
    text = (
        f"**{len(comparison.clips)} test clips** that every detector scored: {len(comparison.clips) - n_anomalous} "
        f"normal, {n_anomalous} anomalous."
    )
    if any(own != len(comparison.clips) for own in comparison.n_own):
        text += f" The detectors have {', '.join(str(own) for own in comparison.n_own)} test clips of their own."
    if comparison.n_contradicting:
        text += f" {comparison.n_contradicting} clips are left out: the detectors' data sets label them differently."
    st.caption(text)


def rule_choice(comparison: Comparison, place: DeltaGenerator) -> str:
    """Let the user choose the rule that every verdict on this page follows."""
    return choose(
        "Verdicts by",
        [rule for rule in COMPARED_RULES if _can_be_used(rule, comparison)],
        key="verdicts",
        place=place,
        format_func=rule_title,
        help="One rule for every detector. Rules that look at the labels of the test clips are judged by the very "
        "clips they were chosen on: their figures are optimistic. Imported scores have no saved threshold; they get "
        "the split-conformal one where the file scores the held-out normal clips too.",
    )


def _can_be_used(rule: str, comparison: Comparison) -> bool:
    return rule == SAVED or comparison.has_both_classes or not RULES[rule].uses_test_labels


def rule_title(rule: str) -> str:
    """Say what a rule does, with its number and whether it looks at test labels."""
    if rule == SAVED:
        return "Each detector's current threshold"
    return rules.rule_title(rule, with_number=True)


def import_box(chosen: Chosen, good: Mapping[str, Artifact]) -> None:
    """Let the user add another detector's scores to the comparison, for this session."""
    with st.expander("Compare with another detector's scores", icon=":material/upload_file:"):
        number = st.session_state.setdefault(_ROUND, 0)
        st.file_uploader(
            "CSV with the columns path and anomaly_score (higher = more anomalous), one row for each test clip",
            type=["csv"],
            key=f"imported_file:{number}",
            on_change=_take_upload,
            args=(chosen, tuple(good.values())),
            disabled=len(_imported(chosen)) >= MAX_IMPORTED,
            help="Paths are relative to the machine's folder, such as test/normal_id_00_00000000.wav. Rows of held-out "
            "normal clips give a threshold without labels. At most three files; they stay in this session only.",
        )
        if refused := st.session_state.get(_REFUSED):
            st.error("These scores cannot be used:", icon=":material/error:")
            st.text(refused)
        for row, method in enumerate(_imported(chosen)):
            left, right = st.columns([4, 1], vertical_alignment="center")
            left.text(f"{method.title}: {len(method.scores.clips)} test clips, {len(method.heldout.clips)} held-out")
            right.button("Remove", key=f"remove:{row}", on_click=_imported(chosen).pop, args=(row,))


def _imported(chosen: Chosen) -> list[Method]:
    everything: dict[str, list[Method]] = st.session_state.setdefault(_IMPORTED, {})
    return everything.setdefault(f"{chosen.data_set}/{chosen.machine}", [])


def _take_upload(chosen: Chosen, artifacts: tuple[Artifact, ...]) -> None:
    """Read the uploaded file, keep its scores or the reason for its refusal, and empty the uploader."""
    upload = st.session_state[f"imported_file:{st.session_state[_ROUND]}"]
    if upload is None:
        return
    st.session_state[_ROUND] += 1
    st.session_state[_REFUSED] = None
    name = display_name(upload.name)
    try:
        comparison = join([Method.of(artifact) for artifact in artifacts])
        method = _read_method(upload.getvalue(), name, comparison, chosen.machine)
        if method.key not in [known.key for known in _imported(chosen)]:
            _imported(chosen).append(method)
    except AsdError as error:
        st.session_state[_REFUSED] = str(error)


def _read_method(content: bytes, name: str, comparison: Comparison, machine: str) -> Method:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        path.write_bytes(content)
        try:
            found = read_scores(path)
        except DataSetError as error:
            raise DataSetError(str(error).replace(str(path), name)) from error
    title = PurePath(name).stem.strip() or "imported"
    key = hashlib.sha256(content).hexdigest()
    return imported_method(comparison, found, machine=machine, title=title, key=key)
