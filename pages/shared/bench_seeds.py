"""How much figures of the simulated rail depend on the bench, beside detectors that were trained as those measured."""

from __future__ import annotations

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import fingerprint
from asd_core.reports.bench_seeds import kept_bench_seeds, spread_text
from pages.shared.cache import tested
from pages.shared.keys import HASHES

BENCHES_MEANING = (
    "Mean (lowest to highest) over simulated benches of other seeds: other machines, faults and noise each, the same "
    "settings. A difference between detectors that is no larger than this says nothing of which one is better."
)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=HASHES)
def over_bench_seeds(artifact: Artifact) -> str | None:
    """Write a detector's AUC, mean over ids, on the benches of several seeds: the mean, the lowest and the highest.

    None for other settings or test clips than were measured.
    """
    kept, manifest = kept_bench_seeds(), artifact.manifest
    row = kept.by_detector.get(artifact.detector_name)
    trained = (manifest.preset, manifest.settings.get("seed"))
    if row is None or not artifact.simulated or trained != (kept.preset, kept.training_seed):
        return None
    clips = fingerprint([clip.digest for clip in tested(artifact).clips])
    return spread_text(row.auc_mean) if clips in kept.test_fingerprints else None
