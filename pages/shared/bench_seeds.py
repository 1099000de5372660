"""How much figures of the simulated rail depend on the bench, beside detectors that were trained as those measured."""

from __future__ import annotations

from asd_core.artifacts.store import Artifact
from asd_core.data.table import EMBEDDED_NAME
from asd_core.reports.bench_seeds import kept_bench_seeds, spread_text

BENCHES_MEANING = (
    "Mean (lowest to highest) over simulated benches of other seeds: other machines, faults and noise each, the same "
    "settings. A difference between detectors that is no larger than this says nothing of which one is better."
)


def over_bench_seeds(artifact: Artifact) -> str | None:
    """Write a detector's AUC, mean over ids, on the benches of several seeds: the mean, the lowest and the highest.

    None for other settings or another data set than were measured.
    """
    kept, manifest = kept_bench_seeds(), artifact.manifest
    row = kept.by_detector.get(artifact.detector_name)
    trained = (manifest.data.data_set, manifest.preset, manifest.settings.get("seed"))
    same = trained == (EMBEDDED_NAME, kept.preset, kept.training_seed) and artifact.simulated
    return spread_text(row.auc_mean) if row is not None and same else None
