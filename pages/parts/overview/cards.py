"""The overview's cards: three doors, one line and one card per detector, and one card per page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.in_words import faults_found
from asd_core.evaluation.summary import Summary
from asd_core.evaluation.uncertainty import Interval, estimate_of, interval_text
from asd_core.formats import area_text, score_text, seconds_text
from pages.shared.bench_seeds import BENCHES_MEANING, over_bench_seeds
from pages.shared.cache import summary, tested
from pages.shared.cards import (
    DETECTOR_MARKS,
    calibration_marks,
    in_columns,
    promise_text,
    simulated_badge,
    threshold_origin,
)
from pages.shared.frame import PAGES
from pages.shared.plain_text import plain


def doors(titles: Mapping[str, tuple[str, str]]) -> None:
    """Draw the ways on as large cards: each page's path with what it is called here, and what it is for."""
    by_path = {page.path: page for page in PAGES}
    for column, path in in_columns(list(titles)):
        title, text = titles[path]
        with column.container(border=True, height="stretch", gap="xsmall"):
            st.page_link(path, label=f"**{title}**", icon=by_path[path].icon)
            st.caption(text)


def how_good(artifacts: Sequence[Artifact]) -> None:
    """Say in one line per detector how many faults it finds; figures are the cards' matter."""
    for artifact in artifacts:
        found = faults_found(tested(artifact))
        name = f"{DETECTOR_MARKS[artifact.detector_name]} **{plain(artifact.title)}**"
        if found is None:
            st.markdown(
                f"{name} learned from normal clips alone; no labelled test clips tell how many faults it finds."
            )
            continue
        simulated = " (simulated)" if artifact.simulated else ""
        st.markdown(
            f"{name} {found.text}{simulated}",
            help=f"{found.counts}: read off its test clips, one threshold for all machine ids. A description of these "
            "clips, not a promise for new ones.",
        )


def detector_cards(artifacts: Sequence[Artifact]) -> None:
    """Draw one card per detector, three per row; each is shown before the figures of the next are computed."""
    for column, artifact in in_columns(artifacts):
        with column:
            _detector_card(artifact, summary(artifact))


def _detector_card(artifact: Artifact, figures: Summary) -> None:
    """Show title, AUC with its interval, and threshold; on demand further figures, and what it was trained on."""
    ranking = figures.ranking
    training, data, calibration = artifact.manifest.training, artifact.manifest.data, artifact.manifest.calibration
    threshold = artifact.threshold
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{DETECTOR_MARKS[artifact.detector_name]} {plain(artifact.title)}**")
        st.metric(
            "AUC, mean over machine ids",
            area_text(estimate_of(ranking.auc_mean)),
            help="Area under the ROC: the chance that an anomalous clip scores higher than a normal one. 0.5 is "
            "guessing, 1 is perfect. Computed for each machine id, then averaged: the official DCASE figure.",
        )
        st.caption(f"95 % interval {_interval(ranking.auc_mean)}")
        if (over_seeds := over_bench_seeds(artifact)) is not None:
            st.caption(f"On several simulated benches: {over_seeds}", help=BENCHES_MEANING)
        st.markdown(f"Threshold **{score_text(threshold.value)}**{simulated_badge(artifact.simulated)}")
        st.caption(promise_text(threshold, calibration, short=True), help=promise_text(threshold, calibration))
        calibration_marks(threshold, calibration)
        with st.expander("More about it"):
            st.markdown(f"Threshold: {threshold_origin(threshold, calibration)}.")
            st.markdown(f"AUC, all ids pooled: **{interval_text(ranking.auc_pooled)}**")
            st.markdown(f"Partial AUC (FPR ≤ 0.1), mean: **{interval_text(ranking.pauc_mean)}**")
            st.caption(
                f"Judged on {ranking.n_normal} normal and {ranking.n_anomalous} anomalous test clips, never "
                f"trained on. Trained {plain(artifact.manifest.created_at[:10])} in "
                f"{seconds_text(training.seconds)} on {len(data.fitted_digests)} normal clips, ids "
                f"{plain(', '.join(data.ids))} (preset {plain(artifact.manifest.preset)}, {artifact.version})"
            )


def page_cards(descriptions: Mapping[str, str]) -> None:
    """Draw one card per page, three per row: its link, and what it is for."""
    by_path = {page.path: page for page in PAGES}
    for column, page in in_columns([by_path[path] for path in descriptions]):
        with column.container(border=True, height="stretch", gap="xsmall"):
            st.page_link(page.path, label=f"**{page.title}**", icon=page.icon)
            st.caption(descriptions[page.path])


def _interval(found: Interval | None) -> str:
    if found is None or found.limits is None:
        return "not defined" if found is None else f"not defined ({found.reason})"
    return f"{found.limits[0]:.3f} to {found.limits[1]:.3f}"
