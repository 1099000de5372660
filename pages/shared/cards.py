"""Cards and badges that several pages show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.errors import AsdError
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import area_text, score_text, seconds_text, share_text
from pages.shared.cache import artifacts
from pages.shared.frame import PAGES, Chosen, plain, shown_text

DETECTOR_MARKS = {
    "vggish_ocsvm": ":green[■]",
    "lstm_predictor": ":violet[■]",
    "gru_autoencoder": ":blue[■]",
    "dcase_autoencoder": ":orange[■]",
    "vggish_mahalanobis": ":yellow[▲]",
    "vggish_knn": ":violet[▲]",
}
"""The detectors' colours as Markdown signs, for places that take text only."""


CARDS_IN_A_ROW = 3


def simulated_note(shown: Iterable[Artifact]) -> None:
    """Say that figures and clips are simulated, where any of these detectors learned from simulated clips."""
    if any(artifact.simulated for artifact in shown):
        st.caption(
            ":material/science: Simulated data: every clip and every figure on this page comes from generated sound, "
            "not from recordings."
        )


def list_broken(broken: Mapping[str, AsdError]) -> None:
    """Say which detectors cannot be used, and why."""
    for name, error in broken.items():
        st.error(f"{name} cannot be used:", icon=":material/error:")
        st.text(shown_text(str(error)))


def usable_detectors(chosen: Chosen) -> dict[str, Artifact]:
    """Open the chosen detectors; broken ones are listed, and where no other is left the page ends."""
    good, broken = artifacts(chosen)
    list_broken(broken)
    if not good:
        st.info("None of these detectors can be used: choose another data set, or train again.", icon=":material/info:")
        st.stop()
    return good


def detector_cards(cards: Sequence[tuple[Artifact, dict[str, Any]]]) -> None:
    """One card a detector, three in a row."""
    for start in range(0, len(cards), CARDS_IN_A_ROW):
        row = cards[start : start + CARDS_IN_A_ROW]
        for column, (artifact, figures) in zip(st.columns(min(len(cards), CARDS_IN_A_ROW)), row, strict=False):
            with column:
                _detector_card(artifact, figures)


def _detector_card(artifact: Artifact, figures: dict[str, Any]) -> None:
    """Title, AUC with its interval and threshold; on demand further figures, and what it was trained on."""
    training, data = artifact.manifest.training, artifact.manifest.data
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{DETECTOR_MARKS[artifact.detector_name]} {plain(artifact.title)}**")
        st.metric(
            "AUC, mean over machine ids",
            area_text(figures["auc_mean"]),
            help="Area under the ROC: the chance that an anomalous clip scores higher than a normal one. 0.5 is "
            "guessing, 1 is perfect. Computed for each machine id, then averaged: the official DCASE figure.",
        )
        st.caption(f"95 % interval {_interval(figures.get('auc_mean_ci'))}")
        st.markdown(f"Threshold **{score_text(artifact.threshold.value)}**")
        with st.expander("More about it"):
            st.markdown(f"Threshold: {threshold_origin(artifact.threshold)}.")
            st.markdown(f"AUC, all ids pooled: **{area_text(figures['auc_pooled'], figures.get('auc_pooled_ci'))}**")
            st.markdown(
                f"Partial AUC (FPR ≤ 0.1), mean: **{area_text(figures['pauc_mean'], figures.get('pauc_mean_ci'))}**"
            )
            st.caption(
                f"Judged on {figures['n_normal']} normal and {figures['n_anomalous']} anomalous test clips, never "
                f"trained on. Trained {plain(artifact.manifest.created_at[:10])} in "
                f"{seconds_text(training.seconds)} on {len(data.fitted_digests)} normal clips, ids "
                f"{plain(', '.join(data.ids))} (preset {plain(artifact.manifest.preset)}, {artifact.version})"
            )


def page_cards(descriptions: Mapping[str, str]) -> None:
    """One card a page, three in a row: its link, and what it is for."""
    by_path = {page.path: page for page in PAGES}
    pages = [by_path[path] for path in descriptions]
    for start in range(0, len(pages), CARDS_IN_A_ROW):
        for column, page in zip(st.columns(CARDS_IN_A_ROW), pages[start : start + CARDS_IN_A_ROW], strict=False):
            with column.container(border=True, height="stretch", gap="xsmall"):
                st.page_link(page.path, label=f"**{page.title}**", icon=page.icon)
                st.caption(descriptions[page.path])


def threshold_origin(threshold: Threshold) -> str:
    """Say which rule and which clips chose a threshold."""
    rule = RULES[threshold.rule].title.split(":")[0]
    if threshold.uses_test_labels:
        return f"chosen on labelled test clips (optimistic): {rule}"
    promised = "" if threshold.promised_fpr is None else f"; promises {share_text(threshold.promised_fpr)} false alarms"
    return f"from {threshold.n_calibration} held-out normal clips ({rule}{promised})"


def _interval(limits: list[float] | None) -> str:
    return "not defined" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"
