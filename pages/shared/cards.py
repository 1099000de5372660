"""Cards and badges that several pages show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from asd_core.artifacts import Artifact
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import area_text, score_text, seconds_text, share_text
from pages.shared.frame import plain

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


def detector_cards(cards: Sequence[tuple[Artifact, dict[str, Any]]]) -> None:
    """One card a detector, three in a row."""
    for start in range(0, len(cards), CARDS_IN_A_ROW):
        row = cards[start : start + CARDS_IN_A_ROW]
        for column, (artifact, figures) in zip(st.columns(min(len(cards), CARDS_IN_A_ROW)), row, strict=False):
            with column:
                _detector_card(artifact, figures)


def _detector_card(artifact: Artifact, figures: dict[str, Any]) -> None:
    """Title, AUCs with intervals, threshold with its origin, and what it was trained on."""
    training, data = artifact.manifest["training"], artifact.manifest["data"]
    with st.container(border=True, height="stretch"):
        st.markdown(f"#### {DETECTOR_MARKS[artifact.detector_name]} {plain(artifact.title)}")
        st.metric(
            "AUC, mean over machine ids",
            area_text(figures["auc_mean"]),
            help="Area under the ROC: the chance that an anomalous clip scores higher than a normal one. Computed for "
            "each machine id, then averaged: the official DCASE figure.",
        )
        st.caption(f"95 % interval {_interval(figures.get('auc_mean_ci'))}")
        st.markdown(f"All ids pooled: **{area_text(figures['auc_pooled'], figures.get('auc_pooled_ci'))}**")
        st.markdown(
            f"Partial AUC (FPR ≤ 0.1), mean: **{area_text(figures['pauc_mean'], figures.get('pauc_mean_ci'))}**"
        )
        st.caption(f"{figures['n_normal']} normal and {figures['n_anomalous']} anomalous test clips, never trained on")
        st.markdown(f"Threshold **{score_text(artifact.threshold.value)}**, {threshold_origin(artifact.threshold)}")
        st.caption(
            f"Trained {plain(artifact.manifest['created_at'][:10])} in {seconds_text(training['seconds'])} on "
            f"{len(data['fitted_digests'])} normal clips, ids {plain(', '.join(data['ids']))} "
            f"(preset {plain(artifact.manifest['preset'])}, {artifact.version})"
        )


def threshold_origin(threshold: Threshold) -> str:
    """Say which rule and which clips chose a threshold."""
    rule = RULES[threshold.rule].title.split(":")[0]
    if threshold.uses_test_labels:
        return f"chosen on labelled test clips (optimistic): {rule}"
    promised = "" if threshold.promised_fpr is None else f"; promises {share_text(threshold.promised_fpr)} false alarms"
    return f"from {threshold.n_calibration} held-out normal clips ({rule}{promised})"


def _interval(limits: list[float] | None) -> str:
    return "not defined" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"
