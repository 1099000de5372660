"""The compare page's clips: score against score, clips on which verdicts differ, and where each detector fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.evaluation.comparison import Failures, disagreements, false_alarms, misses, quadrants
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import class_word, rate_text, score_text
from asd_core.reports.plots import clip_scatter, line_row, rate_grid, seen_marks
from asd_core.types import FloatArray
from pages.parts.compare.methods import JUDGED_HASHES, Judged
from pages.shared.cache import heard
from pages.shared.choices import choose, keep, link, pick_row, turn_on
from pages.shared.context import Chosen
from pages.shared.listening import listening_panels
from pages.shared.paging import PAGE_ROWS, page_start
from pages.shared.sources import clip_title, label_and_kind, load_scored, name_order, of_one_channel, short_name

ANY = "any of them"
LABELS = ("all clips", "normal", "anomalous")
LOG_RATIO = 8.0


def scatter_view(chosen: Chosen, judged: Judged) -> None:
    """Plot two detectors' scores per clip with both thresholds, and play the clip that is clicked."""
    if len(judged.titles) < 2:
        two_needed()
        return
    left, right = st.columns(2)
    first = _method_choice(left, "Horizontal axis", "scatter_x", judged, default=0)
    second = _method_choice(right, "Vertical axis", "scatter_y", judged, default=1)
    points = judged.comparison.anomaly_scores[[first, second]].T
    picked = pickable(
        judged,
        points,
        [clip.label for clip in judged.comparison.clips],
        key=f"scatter:{first}:{second}",
        x_title=f"Anomaly score, {judged.titles[first]}",
        y_title=f"Anomaly score, {judged.titles[second]}",
        lines=(judged.thresholds[first].value, judged.thresholds[second].value),
        alt=f"Scores of {judged.titles[first]} against {judged.titles[second]}, one mark per clip",
    )
    _quadrant_table(judged, first, second)
    play(chosen, judged, picked)


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


def pickable(
    judged: Judged,
    points: FloatArray,
    groups: list[str],
    *,
    key: str,
    alt: str,
    lines: tuple[float | None, float | None] = (None, None),
    **options: Any,
) -> ScoredClip:
    """Draw one mark per clip, or of many clips as many as a screen can show; a click or the list below chooses one."""
    clips = judged.comparison.clips
    chart_key, list_key = f"chart:{key}", "compared_clip"
    drawn = _scatter(_Marks(judged, key, points, groups, options))
    listed = _found_by_name(clips, drawn)
    keep(list_key, listed)

    def clicked() -> None:
        at = picked_row(st.session_state[chart_key])
        if at is not None and at < len(drawn.rows):
            st.session_state[list_key] = clips[drawn.rows[at]].digest
            st.session_state[NAME_KEY] = ""

    row = listed[st.session_state[list_key]]
    st.vega_lite_chart(
        spec=_marked(drawn.spec, points[row].tolist(), lines),
        width="stretch",
        key=chart_key,
        on_select=clicked,
        selection_mode="clip",
        alt=alt,
    )
    digest = st.selectbox(
        "Clip (click a mark, or choose)",
        list(listed),
        key=list_key,
        format_func=lambda digest: clip_title(clips[listed[digest]]),
        persist_state="session",
    )
    link(list_key)
    return clips[listed[digest]]


NAME_KEY = "compared_name"


@dataclass(frozen=True)
class _Drawn:
    """A chart as plain values, and the clips whose marks it holds, by label."""

    spec: dict[str, Any]
    rows: tuple[int, ...]
    by_label: dict[str, int]


@dataclass(frozen=True, eq=False)
class _Marks:
    """What a chart of the judged clips shows; `key` names its place on the page, which fixes the rest."""

    judged: Judged
    key: str
    points: FloatArray
    groups: list[str]
    options: dict[str, Any]


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
    max_entries=32, show_spinner=False, hash_funcs={_Marks: lambda marks: (marks.judged.keys, marks.key)}
)
def _scatter(marks: _Marks) -> _Drawn:
    """Build the chart as plain values; kept, since building it costs more than everything else on the page."""
    points, groups, clips = marks.points, marks.groups, marks.judged.comparison.clips
    log_axes = (_wants_log(points[:, 0]), _wants_log(points[:, 1]))
    seen = np.column_stack(
        [np.log10(axis) if is_log else axis for axis, is_log in zip(points.T, log_axes, strict=True)]
    )
    rows = seen_marks(seen, groups).tolist()
    titles = [clip_title(clips[row]) for row in rows]
    chart = clip_scatter(points[rows], [groups[row] for row in rows], titles, log_axes=log_axes, **marks.options)
    by_label = sorted(rows, key=lambda row: (clips[row].label, clips[row].machine_id, name_order(clips[row])))
    return _Drawn(chart.to_dict(validate=False), tuple(rows), {clips[row].digest: row for row in by_label})


def _marked(spec: dict[str, Any], point: list[float], lines: tuple[float | None, float | None]) -> dict[str, Any]:
    """Set the lines (the first two layers) and the ring (the last one); the cached chart is not changed."""
    rows = [[] if at is None else [line_row(axis, at)] for axis, at in zip("xy", lines, strict=True)]
    crosshair = [{**layer, "data": {"values": row}} for layer, row in zip(spec["layer"][:2], rows, strict=True)]
    ring = {**spec["layer"][-1], "data": {"values": [{"x": point[0], "y": point[1]}]}}
    return {**spec, "datasets": dict(spec["datasets"]), "layer": [*crosshair, *spec["layer"][2:-1], ring]}


def _wants_log(values: FloatArray) -> bool:
    """Errors, which are positive and spread over decades, are read on a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > LOG_RATIO)


def picked_row(state: Mapping[str, Any]) -> int | None:
    """Return the row that a chart's selection names, or None."""
    rows = state.get("selection", {}).get("clip", [])
    return int(rows[0]["row"]) if rows and "row" in rows[0] else None


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
    start = page_start(len(shown), key="differ_page")
    play(chosen, judged, clips[_listed(judged, shown[start : start + PAGE_ROWS])])


def _listed(judged: Judged, rows: list[int]) -> int:
    """Show clips with every verdict; return the row of the one that is chosen."""
    clips = judged.comparison.clips
    table = {"Truth": [label_and_kind(clips[row]) for row in rows], "Id": [clips[row].machine_id for row in rows]}
    for method in judged.judging:
        table[judged.titles[method]] = ["⚠ anomalous" if judged.alarms[method, row] else "normal" for row in rows]
    table["File"] = [short_name(clips[row]) for row in rows]
    at = pick_row(
        pd.DataFrame(table),
        n_rows=len(rows),
        height=min(38 + 35 * len(rows), 320),
        key=f"differ:{judged.rule}:{len(judged.titles)}:{rows[0]}:{rows[-1]}:{len(rows)}",
        alt="Clips on which the verdicts differ",
    )
    return rows[at]


def failures_view(judged: Judged) -> None:
    """Show where each detector misses faults and raises false alarms."""
    judging, clips = judged.judging, judged.comparison.clips
    if not judging:
        st.info("No detector has a threshold by this rule: choose another rule.", icon=":material/info:")
        return
    views: list[tuple[str, Callable[..., Any], Callable[[ScoredClip], str]]] = [
        ("Missed faults, by machine id", misses, _by_id),
        ("False alarms, by machine id", false_alarms, _by_id),
    ]
    if any(clip.kind for clip in clips):
        views.insert(0, ("Missed faults, by kind", misses, lambda clip: clip.kind or "not named"))
    places = [st.container(), *st.columns(2)][-len(views) :] if len(judging) <= 3 else [st.container() for _ in views]
    for place, (title, count, by) in zip(places, views, strict=True):
        spec, words = _grid(judged, title, count, by)
        if spec is None:
            place.caption(f"{title}: no such clips.")
        else:
            place.vega_lite_chart(
                spec={**spec, "datasets": dict(spec["datasets"])}, width="stretch", key=f"grid:{title}", alt=words
            )
    st.caption("Each cell: wrong verdicts / clips. The darker, the more of them are wrong.")


def _by_id(clip: ScoredClip) -> str:
    return f"id {clip.machine_id}"


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _grid(
    judged: Judged, title: str, _count: Callable[..., list[Failures]], _by: Callable[[ScoredClip], str]
) -> tuple[dict[str, Any] | None, str]:
    """Return the table as plain values and in words; the title tells what is counted, and by what."""
    titles = [judged.titles[row] for row in judged.judging]
    cells = [
        (at, found.group, found.k, found.n)
        for at, row in enumerate(judged.judging)
        for found in _count(judged.comparison.clips, judged.alarms[row], _by)
    ]
    words = "; ".join(f"{titles[at]}, {group}: {k} of {n}" for at, group, k, n in cells)
    spec = rate_grid(titles, cells, title=title).to_dict(validate=False) if cells else None
    return spec, f"{title}. {words}"


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
