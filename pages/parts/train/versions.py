"""Versions of a trained detector: which one is active, taking it elsewhere, and going back to an earlier one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from asd_core.artifacts.store import Artifact, list_versions, open_artifact
from asd_core.artifacts.versions import current_version, is_read_only, make_current
from asd_core.errors import ArtifactError
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.formats import MISSING, score_text
from asd_core.tasks.export_onnx import exported_zip, why_not
from pages.parts.train.fields import detector_titles
from pages.shared.cards import promise_text
from pages.shared.choices import choose
from pages.shared.context import Chosen
from pages.shared.frame import no_detectors
from pages.shared.plain_text import plain
from pages.shared.rules import LABEL_MARK


def versions(chosen: Chosen) -> None:
    """List the versions of one of the chosen data set's detectors."""
    if not chosen.detectors:
        no_detectors()
    st.caption(
        "Every training and every saved threshold makes a version; none is ever changed. All pages use the active one."
    )
    name = choose(
        "Detector",
        chosen.detectors,
        key="version_detector",
        format_func=detector_titles().get,
        help="Those of the data set that the sidebar names.",
    )
    folder = chosen.detectors[name]
    current = current_version(folder)
    _table(folder, current)
    if current is not None:
        _export(folder / current)
    if is_read_only(folder):
        st.caption(":material/lock: These came with the project and stay as they are.")
    else:
        _choose(folder, current)


def _table(folder: Path, current: str | None) -> None:
    rows = []
    for version in reversed(list_versions(folder)):
        artifact, fault = _opened(version)
        manifest = None if artifact is None else artifact.manifest
        rows.append(
            {
                "Version": version.name,
                "State": "active" if version.name == current else "",
                "Made (UTC)": MISSING if manifest is None else manifest.created_at[:16].replace("T", " "),
                "Preset": MISSING if manifest is None else manifest.preset,
                "Threshold": MISSING if artifact is None else score_text(artifact.threshold.value),
                "Trained on": MISSING if artifact is None else _trained_on(artifact),
                "Chosen by": fault if artifact is None else _rule(artifact.threshold),
                "Promise": MISSING
                if artifact is None
                else promise_text(artifact.threshold, artifact.manifest.calibration, short=True),
                "From": (manifest and manifest.parent) or "a training",
            }
        )
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch", key="versions", alt=f"Table of {len(rows)} versions"
    )


def _trained_on(artifact: Artifact) -> str:
    return "simulated sound" if artifact.simulated else "recordings"


def _rule(threshold: Threshold) -> str:
    """Name a threshold's rule, and mark one that looks at test labels."""
    title = RULES[threshold.rule].title.split(":")[0]
    return f"{LABEL_MARK}{title}" if threshold.uses_test_labels else title


def _opened(version: Path) -> tuple[Artifact | None, str]:
    """Open a version, or say why it cannot be opened."""
    try:
        return open_artifact(version), ""
    except ArtifactError as error:
        return None, f"damaged: {error}"


def _export(version: Path) -> None:
    """Offer the current version as a folder that runs without this program; made when the reader asks for it."""
    artifact, _ = _opened(version)
    if artifact is None:
        return
    if (reason := why_not(artifact)) is not None:
        st.caption(f"{plain(reason)}.")
        return
    st.download_button(
        "Export to ONNX (ZIP)",
        partial(exported_zip, artifact),
        file_name=f"{artifact.detector_name}-{artifact.version}.zip",
        mime="application/zip",
        on_click="ignore",
        key="export_onnx",
        icon=":material/download:",
        help="A folder that scores WAV files on another machine with ONNX Runtime and NumPy alone: model, threshold, a "
        "short scorer, and a generated clip to check it by.",
    )


def _choose(folder: Path, current: str | None) -> None:
    others = [version.name for version in reversed(list_versions(folder)) if version.name != current]
    if not others:
        st.caption("There is only one version. Another training, or another saved threshold, makes the next.")
        return
    version = st.selectbox("Another version", others, key=f"earlier:{folder}", help="All pages then use this one.")
    if st.button("Make active", key="make_current", icon=":material/history:"):
        make_current(folder, version)
        st.toast(f"{version} is active now.")
        st.rerun()
