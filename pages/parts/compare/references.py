"""What the compare page's figures are held against: the best trivial number, and what others published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.data.data_set import OWN_SUFFIX
from asd_core.data.library import allowed_roots
from asd_core.data.table import EMBEDDED_NAME
from asd_core.detectors.what_if import spread_evenly
from asd_core.evaluation.scores import ScoredClip
from asd_core.evaluation.trivial import BestNumber, best_number
from asd_core.evaluation.uncertainty import estimate_of
from asd_core.features.cache import read_named
from asd_core.features.trivial import names, numbers_of
from asd_core.formats import MISSING, area_text, counted, seconds_text
from asd_core.reports.bench_seeds import kept_bench_seeds, spread_text
from asd_core.reports.published import REAL_NOTE, REAL_SLIDE_RAIL, SLIDE_RAIL
from asd_core.tasks.compare import Comparison
from pages.parts.compare.methods import Judged, OnCommonClips, ranked
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root
from pages.shared.keys import held, once
from pages.shared.plain_text import plain

TRIVIAL = "Best trivial number (no training)"
MOST_CLIPS = 1000
SECONDS_PER_CLIP = 0.025
"""Reading a clip of 10 s and taking its numbers; for the words beside the button only."""
NOT_MEASURED = "not measured yet"
AREAS = {
    "auc_mean": "AUC, mean over ids",
    "auc_pooled": "AUC, all ids pooled",
    "pauc_mean": "pAUC (FPR ≤ 0.1), mean over ids",
}
BY_ID = "AUC, id "
OVER_SEEDS = "AUC, mean over ids, on several simulated benches"


def trivial_row(best: BestNumber | None) -> dict[str, Any]:
    """Return the best trivial number's row of the tables of areas, as shown and as plain values for the CSV."""
    title = TRIVIAL if best is None else f"{TRIVIAL}: {best.name} (uses test labels)"
    if best is None:
        return {"title": title, "shown": dict.fromkeys(AREAS.values(), NOT_MEASURED), "plain": {}}
    shown = {label: area_text(getattr(best, name)) for name, label in AREAS.items()}
    shown |= {f"{BY_ID}{machine_id}": area_text(area) for machine_id, area in best.auc_per_id.items()}
    kept = kept_bench_seeds()
    if best in kept.best_numbers:
        shown[OVER_SEEDS] = spread_text([each.auc_mean for each in kept.best_numbers])
    plain = {"method": title} | {name: getattr(best, name) for name in AREAS}
    plain |= {f"auc_id_{machine_id}": area for machine_id, area in best.auc_per_id.items()}
    return {"title": title, "shown": shown, "plain": {**plain, "uses_test_labels": True}}


def bench_seeds_note(labels: Sequence[str]) -> None:
    """Say what the column over bench seeds is, where a table has it."""
    if OVER_SEEDS in labels:
        seeds = kept_bench_seeds().bench_seeds
        st.caption(
            f":material/casino: Benches {seeds[0]} to {seeds[-1]}: other simulated machines, faults and noise each, "
            "the same settings; mean (lowest to highest). A dash: not measured. A difference between detectors "
            "that is no larger than this says nothing, and no order on simulated sound says which detector hears a "
            "real machine's faults."
        )


def known_best(chosen: Chosen, comparison: Comparison) -> BestNumber | None:
    """Return the best trivial number of the common clips: as kept with the package, or as measured on this server."""
    kept = kept_bench_seeds().embedded_best
    is_embedded = chosen.data_set in (EMBEDDED_NAME, EMBEDDED_NAME + OWN_SUFFIX)
    if is_embedded and len(comparison.clips) == kept.n_clips:
        return kept
    return held().find(_key(comparison))


def _key(comparison: Comparison) -> tuple[str, str]:
    return "trivial", comparison.fingerprint


def trivial_note(comparison: Comparison, best: BestNumber | None) -> None:
    """Say what the row of the best trivial number is."""
    if best is None:
        return
    direction = "more" if best.more_is_anomalous else "less"
    sampled = f" on {best.n_clips} clips" if best.n_clips < len(comparison.clips) else ""
    st.caption(
        f":material/visibility: {TRIVIAL}: the **{best.name}** of a clip's samples, {direction} of it taken as "
        f"stranger. Number and direction were chosen among {best.n_numbers} with the **labels of the test "
        f"clips**{sampled}, which favours it; no detector may look at them. What it reaches is no achievement of "
        "a detector: where it is as good as the detectors, these clips do not tell good detectors from bad ones."
    )


def trivial_offer(chosen: Chosen, comparison: Comparison, best: BestNumber | None) -> None:
    """Offer to measure the best trivial number where it is not known yet."""
    if best is not None or not comparison.has_both_classes:
        return
    sample = _sampled(comparison)
    time = seconds_text(max(1, round(SECONDS_PER_CLIP * len(sample))))
    st.caption(
        f"{TRIVIAL}: how far one number taken from the samples alone, such as level or kurtosis, tells these clips "
        "apart. Without it, nobody knows how much of a figure is trivial."
    )
    root = (
        clips_root(chosen)
        if st.button(f"Measure trivial numbers ({len(sample)} clips, about {time})", icon=":material/calculate:")
        else None
    )
    if root is not None:
        once(_key(comparison), partial(_measured, comparison, root, sample))
        st.rerun()


def _sampled(comparison: Comparison) -> list[int]:
    """Positions of the clips that are measured: all, or many, spread evenly over labels and ids."""
    ids = [clip.machine_id for clip in comparison.clips]
    return spread_evenly(comparison.labels.tolist(), ids, at_most=MOST_CLIPS)


def _measured(comparison: Comparison, root: Path, rows: list[int]) -> BestNumber | None:
    channel = next((each.artifact.channel for each in comparison.methods if each.artifact is not None), None)
    clips = [comparison.clips[row] for row in rows]
    bar = st.progress(0.0, "Taking trivial numbers …")

    def numbers(done: int, clip: ScoredClip) -> dict[str, float]:
        bar.progress(done / len(clips), f"{done} of {len(clips)} clips")
        return numbers_of(read_named(root, clip.path, channel=channel, within=allowed_roots()))

    found = [numbers(done, clip) for done, clip in enumerate(clips, start=1)]
    bar.empty()
    return best_number(clips, {name: np.array([each[name] for each in found]) for name in names()})


def published_view(chosen: Chosen, judged: Judged) -> None:
    """Show what others published for the real slide rail beside the figures here; for other machines, nothing."""
    if chosen.machine != SLIDE_RAIL or not judged.comparison.has_both_classes:
        return
    st.subheader("Published figures of the real slide rail")
    simulated = is_simulated(judged.comparison)
    st.caption(f":material/menu_book: {REAL_NOTE}" if simulated else REAL_NOTE.split(". ")[0] + ".")
    rows = _own_rows(judged, simulated) + _published_rows()
    st.table(pd.DataFrame(rows), hide_index=True, alt="Areas of the detectors here and of published systems")
    st.caption(
        "3 ids: 00, 02 and 04, as in the course report; 4 ids: 06 as well, which is harder. Published pooled figures "
        "are of 300 normal and 801 anomalous clips. pAUC: up to a false-alarm rate of 0.1. A dash where a source gives "
        "no such figure."
    )


def is_simulated(comparison: Comparison) -> bool:
    """Whether any of the detectors learned from simulated clips, as the common clips then are."""
    return any(each.artifact.simulated for each in comparison.methods if each.artifact is not None)


def _own_rows(judged: Judged, simulated: bool) -> list[dict[str, str]]:
    sound = "simulated" if simulated else "recorded"
    rows = []
    for title, method in zip(judged.titles, judged.comparison.methods, strict=True):
        found = ranked(OnCommonClips(method, judged.comparison.fingerprint))
        areas = [estimate_of(found.areas[name]) for name in AREAS]
        rows.append(_system(title, sound, len(found.per_id), areas, "this page"))
    return rows


def _published_rows() -> list[dict[str, str]]:
    return [
        _system(
            each.system,
            "real",
            len(each.ids),
            [each.auc_mean, each.auc_pooled, each.pauc_mean],
            f"{each.differs} ({each.source})",
        )
        for each in REAL_SLIDE_RAIL
    ]


def _system(title: str, sound: str, n_ids: int, areas: Sequence[float | None], differs: str) -> dict[str, str]:
    figures = [MISSING if area is None else area_text(area) for area in areas]
    return {
        "System": plain(title),
        "Sound": f"{sound}, {counted(n_ids, 'id')}",
        **dict(zip(("AUC, mean over ids", "AUC, pooled", "pAUC, mean"), figures, strict=True)),
        "What differs (source)": plain(differs),
    }
