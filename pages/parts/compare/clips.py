"""The compare page's clips: score against score, and clips on which verdicts differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.evaluation.comparison import disagreements, quadrants
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import class_word, rate_text, score_text
from asd_core.reports.plots import seen_marks
from asd_core.types import FloatArray
from pages.parts.compare.kept_pictures import compare_picture
from pages.parts.compare.lassos import drawn_lasso, keep_lasso, lasso_line
from pages.parts.compare.listing import CLIP, clip_list
from pages.parts.compare.methods import Judged
from pages.shared.cache import heard
from pages.shared.choices import choose, keep, link, turn_on
from pages.shared.components.plane import Marks, PlaneAxis, clip_plane, inside
from pages.shared.context import Chosen
from pages.shared.listening import listening_panels
from pages.shared.paging import PAGE_ROWS, page_start
from pages.shared.sources import clip_title, label_and_kind, load_scored, name_order, of_one_channel, short_name

ANY = "any of them"
LABELS = ("all clips", "normal", "anomalous")
LOG_RATIO = 8.0


def scatter_view(chosen: Chosen, judged: Judged) -> None:
    """Plot two detectors' scores per clip with both thresholds; a press plays a clip, a lasso lists several."""
    if len(judged.titles) < 2:
        two_needed()
        return
    left, right = st.columns(2)
    first = _method_choice(left, "Horizontal axis", "scatter_x", judged, default=0)
    second = _method_choice(right, "Vertical axis", "scatter_y", judged, default=1)
    points = judged.comparison.anomaly_scores[[first, second]].T
    plane = Plane(
        judged,
        f"scatter-{first}-{second}",
        points,
        [clip.label for clip in judged.comparison.clips],
        f"Anomaly score, {judged.titles[first]}",
        f"Anomaly score, {judged.titles[second]}",
        lines=(judged.thresholds[first].value, judged.thresholds[second].value),
    )
    alt = f"Scores of {judged.titles[first]} against {judged.titles[second]}, one mark per clip"
    listen_on(chosen, plane, alt=alt, between=lambda: _quadrant_table(judged, first, second))


def two_needed() -> None:
    """Say what to do where there is nothing to compare."""
    st.info(
        "This view needs two detectors with scores of the same clips: train another detector on this data set, or add "
        "the scores of another detector below.",
        icon=":material/info:",
    )


def _method_choice(place: Any, label: str, key: str, judged: Judged, *, default: int) -> int:
    """Let the reader choose one of the detectors by its number in the list, at first the default one."""
    titles = {str(row): title for row, title in enumerate(judged.titles)}
    st.session_state.setdefault(key, st.query_params.get(key, str(default)))
    return int(choose(label, titles, key=key, place=place))


@dataclass(frozen=True, eq=False)
class Plane:
    """The judged clips on two axes.

    Parameters
    ----------
    name
        Names the plane; with the clips and the rule it fixes all that is drawn.
    points
        Shape (n_clips, 2), finite.
    groups
        Of each clip: `normal`, or a word for its anomaly.
    """

    judged: Judged
    name: str
    points: FloatArray
    groups: list[str]
    x_title: str
    y_title: str
    lines: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class _Drawn:
    """A plane's axes and marks as plain values, the clips that the marks are of, and their positions by digest."""

    axes: tuple[PlaneAxis, PlaneAxis]
    marks: dict[str, Any]
    rows: tuple[int, ...]
    by_label: dict[str, int]


def listen_on(chosen: Chosen, plane: Plane, *, alt: str, between: Callable[[], None] = lambda: None) -> None:
    """Draw one mark per clip, or of many clips as many as a screen can show, and let the reader listen to some.

    A press or the list below chooses one clip; a lasso lists all clips inside of it, drawn or not. What `between` draws
    comes after the plane.
    """
    judged, clips = plane.judged, plane.judged.comparison.clips
    drawn = _drawn(plane)
    listed = _found_by_name(clips, drawn)
    keep(CLIP, listed)
    corners = drawn_lasso(plane.name)

    def picked(mark: int) -> None:
        st.session_state[CLIP] = clips[drawn.rows[mark]].digest
        st.session_state[NAME_KEY] = ""
        keep_lasso(plane.name, ())

    row = listed[st.session_state[CLIP]]
    clip_plane(
        drawn.axes,
        drawn.marks,
        plane=f"{plane.name} {judged.comparison.fingerprint}",
        alt=alt,
        key=f"plane:{plane.name}",
        lines=plane.lines,
        ring=(float(plane.points[row, 0]), float(plane.points[row, 1])),
        lasso=corners,
        on_pick=picked,
        on_lasso=lambda told: keep_lasso(plane.name, told),
    )
    compare_picture(chosen, judged, key=f"plane:{plane.name}", figure=plane.name, shows=alt)
    between()
    if corners:
        shares = np.column_stack([axis.shares(plane.points[:, n]) for n, axis in enumerate(drawn.axes)])
        rows = np.flatnonzero(inside(shares, corners)).tolist()
        lasso_line(judged, rows)
        clip_list(chosen, judged, rows, key="lassoed", label="Clips in the lasso", play=play)
        return
    digest = st.selectbox(
        "Clip (press a mark, or choose)",
        list(listed),
        key=CLIP,
        format_func=lambda digest: clip_title(clips[listed[digest]]),
        persist_state="session",
    )
    link(CLIP)
    play(chosen, judged, clips[listed[digest]])


NAME_KEY = "compared_name"


def _found_by_name(clips: Sequence[ScoredClip], drawn: _Drawn) -> dict[str, int]:
    """Return the clips to choose from, digest to row: those that are drawn, or those whose name contains a text."""
    if len(drawn.rows) == len(clips):
        return drawn.by_label
    st.caption(
        f"{len(drawn.rows):,} marks stand for {len(clips):,} clips: of those that would hide one another, only one is "
        "drawn. All figures are of all clips."
    )
    keep(NAME_KEY)
    text = st.text_input("Find a clip by a part of its name", key=NAME_KEY, persist_state="session", max_chars=100)
    if not text:
        return drawn.by_label
    found = {clip.digest: row for row, clip in enumerate(clips) if text.lower() in clip.shown.lower()}
    if not found:
        st.caption("No clip has a name like this: all that are drawn are listed.")
    return dict(list(found.items())[:PAGE_ROWS]) or drawn.by_label


@st.cache_resource(
    max_entries=32,
    show_spinner=False,
    hash_funcs={Plane: lambda plane: (plane.judged.keys, plane.judged.rule, plane.name)},
)
def _drawn(plane: Plane) -> _Drawn:
    """Make axes and marks; kept, since that costs more than everything else on the page."""
    points, groups, clips = plane.points, plane.groups, plane.judged.comparison.clips
    axes = tuple(
        PlaneAxis.over(points[:, n], title, is_log=_wants_log(points[:, n]), also=plane.lines[n])
        for n, title in enumerate((plane.x_title, plane.y_title))
    )
    seen = np.column_stack([axis.shares(points[:, n]) for n, axis in enumerate(axes)])
    rows = seen_marks(seen, groups).tolist()
    marks = Marks(points[rows], [groups[row] for row in rows], [clip_title(clips[row]) for row in rows])
    by_label = sorted(rows, key=lambda row: (clips[row].label, clips[row].machine_id, name_order(clips[row])))
    return _Drawn((axes[0], axes[1]), marks.message(), tuple(rows), {clips[row].digest: row for row in by_label})


def _wants_log(values: FloatArray) -> bool:
    """Errors, which are positive and spread over decades, are read on a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > LOG_RATIO)


def _quadrant_table(judged: Judged, first: int, second: int) -> None:
    if first not in judged.judging or second not in judged.judging:
        st.caption("One of the two has no threshold by this rule, so that no quadrants can be counted.")
        return
    counts = quadrants(judged.alarms[first], judged.alarms[second], judged.comparison.labels)
    table = {
        "both: anomalous": counts.both,
        f"only {judged.titles[first]}": counts.only_first,
        f"only {judged.titles[second]}": counts.only_second,
        "neither: both normal": counts.neither,
    }
    frame = pd.DataFrame(
        [
            {"Verdicts": words, "Normal clips": normal, "Anomalous clips": anomalous}
            for words, (normal, anomalous) in table.items()
        ]
    )
    st.dataframe(frame, hide_index=True, width="stretch", alt="Clips by the two verdicts")


def disagreement_view(chosen: Chosen, judged: Judged) -> None:
    """List the clips that some detectors call anomalous and others do not."""
    judging = judged.judging
    if len(judging) < 2:
        two_needed()
        return
    left, right = st.columns(2)
    options = {ANY: ANY} | {str(row): judged.titles[row] for row in judging}
    raised_by = choose("Called anomalous by", options, key="raised_by", place=left)
    label = choose("True label", LABELS, key="differ_label", place=right)
    at = None if raised_by == ANY else judging.index(int(raised_by))
    rows = disagreements(judged.alarms[judging], raised_by=at).tolist()
    clips = judged.comparison.clips
    shown = [row for row in rows if label in (LABELS[0], clips[row].label)]
    st.caption(
        f"Verdicts differ on {rate_text(len(rows), len(clips))} of the common clips"
        + ("" if raised_by == ANY else ", called anomalous by this detector")
        + f"; {len(shown)} listed."
    )
    if not shown:
        return
    clip_list(chosen, judged, shown, key="differ", label="Clips on which the verdicts differ", play=play)
    if turn_on("All verdicts as a table", key="differ_table"):
        _verdicts_of_clips(judged, shown)


def _verdicts_of_clips(judged: Judged, rows: list[int]) -> None:
    """Show a page of clips with every verdict."""
    start = page_start(len(rows), key="differ_table_page")
    rows = rows[start : start + PAGE_ROWS]
    clips = judged.comparison.clips
    table = {"Truth": [label_and_kind(clips[row]) for row in rows], "Id": [clips[row].machine_id for row in rows]}
    for method in judged.judging:
        table[judged.titles[method]] = ["⚠ anomalous" if judged.alarms[method, row] else "normal" for row in rows]
    table["File"] = [short_name(clips[row]) for row in rows]
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(rows), 320),
        alt="Clips on which the verdicts differ, with every verdict",
    )


def play(chosen: Chosen, judged: Judged, scored: ScoredClip) -> None:
    """Show a clip's verdicts and play it, with each detector's map on demand."""
    st.markdown("##### Listen")
    st.text(clip_title(scored))
    row = [clip.digest for clip in judged.comparison.clips].index(scored.digest)
    st.dataframe(_verdict_table(judged, row), hide_index=True, width="stretch", alt="Verdicts on this clip")
    trained = {each.artifact.detector_name: each.artifact for each in judged.comparison.methods if each.artifact}
    waveform = load_scored(chosen, scored, next((artifact.channel for artifact in trained.values()), None))
    if waveform is None:
        st.caption("The sound of this data set is not here.")
        return
    shown = turn_on("Show where each detector hears something strange", key="compare_maps")
    artifacts = of_one_channel(trained) if shown else {}
    results = {name: heard(artifact, waveform) for name, artifact in artifacts.items()}
    listening_panels(waveform, artifacts, results, title=clip_title(scored), key="compare_player")


def _verdict_table(judged: Judged, row: int) -> pd.DataFrame:
    label = class_word(judged.comparison.labels[row])
    lines = []
    for method, title in enumerate(judged.titles):
        value = judged.thresholds[method].value
        verdict = class_word(judged.alarms[method, row])
        lines.append(
            {
                "Detector": title,
                "Verdict": "none" if value is None else f"{verdict}, {'right' if verdict == label else 'wrong'}",
                "Anomaly score": score_text(float(judged.comparison.anomaly_scores[method, row])),
                "Threshold": score_text(value),
            }
        )
    return pd.DataFrame(lines)
