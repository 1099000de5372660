"""Mistakes that need the sound: a threshold from fitted clips, faulty clips that are learned, and neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.table import KnownSet
from asd_core.detectors import detector_class
from asd_core.evaluation.mistakes import Judged, conformal_value
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.evaluation.uncertainty import difference_text, interval_text, wilson
from asd_core.formats import counted, display_name, score_text, share_text
from asd_core.tasks.fitted_clips import MOST_SCORED, FittedScores, score_fitted
from asd_core.tasks.neighbours import Trial, mean_and_spread
from asd_core.tasks.pollution import MOST_CLIPS, REFITTED, Outcome, Pollution, Vectors, pollute, vectors_of
from pages.parts.threshold.mistake_tables import (
    INTERVALS,
    clips_here,
    computed,
    done_wrong,
    price,
    rate_cell,
    table,
)
from pages.shared.cache import KeptScores, artifacts, detector
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.choices import choose, choose_number, go
from pages.shared.components.cockpit import Mark
from pages.shared.context import Chosen
from pages.shared.data_sets import indexed
from pages.shared.keys import once
from pages.shared.neighbour_trials import N_SPLITS, WAYS, is_tried, long_recordings, neighbour_trials
from pages.shared.plain_text import plain
from pages.shared.progress import counting_bar

PROMISED = 0.10
MOST_POLLUTING = 5
CLIP_S, NETWORK_CLIP_S = 0.025, 0.1
"""About how long reading and scoring a clip of 10 s takes."""
TRIALS_S = 30.0


def from_training_clips(chosen: Chosen, artifact: Artifact, scores: KeptScores) -> tuple[Mark, ...]:
    """Take the threshold from scores of the clips that the detector was fitted on, beside held-out ones."""
    done_wrong(
        "The rule is the usual one, split-conformal at 10 %, but it is applied to the scores of the clips that the "
        "detector was fitted on. It knows these, so they score lower than new clips of the same machine do."
    )
    heldout = artifact.scores.of("heldout")
    if len(heldout.clips) < n_needed(DEFAULT_RULE):
        st.info(f"Here are too few held-out clips to compare with: {len(heldout.clips)}.", icon=":material/info:")
        return ()
    if (here := clips_here(chosen)) is None or (fitted := _fitted(artifact, *here)) is None:
        return ()
    if len(fitted.anomaly_scores) < n_needed(DEFAULT_RULE):
        st.info("Here are too few training clips for a threshold.", icon=":material/info:")
        return ()
    wrong = Judged.at(conformal_value(fitted.anomaly_scores), scores)
    right = Judged.at(conformal_value(heldout.anomaly_scores), scores)
    calibration = artifact.manifest.calibration
    table(
        ("Figure", "Wrong: from training clips", "Right: from held-out clips"),
        [
            ("Threshold", score_text(wrong.threshold), score_text(right.threshold)),
            ("Rests on", _taken(fitted), calibration.clips_text(len(heldout.clips))),
            ("False-alarm rate promised", "10 %", "10 %" if heldout.keeps_promises else "10 % aimed at, no promise"),
            (
                "False-alarm rate seen",
                *(rate_cell(each.confusion.fp, each.confusion.n_normal) for each in (wrong, right)),
            ),
            (
                "Detection rate seen",
                *(rate_cell(each.confusion.tp, each.confusion.n_anomalous) for each in (wrong, right)),
            ),
        ],
    )
    st.caption(f"{INTERVALS} Rates are those of the labelled test clips; neither threshold uses their labels.")
    _price_of_training_clips(wrong, right, fitted, calibration.basis)
    return (
        Mark(wrong.threshold, "from training clips"),
        Mark(right.threshold, "from held-out clips"),
    )


def _fitted(artifact: Artifact, known: KnownSet, machine: str) -> FittedScores | None:
    n_clips = min(MOST_SCORED, len(artifact.manifest.data.fitted_digests))

    def score() -> FittedScores:
        data_set = indexed(known, machine)
        with counting_bar("Scoring training clips \u2026") as report:
            return score_fitted(artifact, detector(artifact), data_set, on_progress=report)

    return computed(
        ("fitted_scores", artifact.digest),
        score,
        label=f"Score {counted(n_clips, 'training clip')}",
        seconds=n_clips * (CLIP_S if detector_class(artifact.detector_name).fits_in_seconds else NETWORK_CLIP_S),
        known=known,
    )


def _taken(fitted: FittedScores) -> str:
    n = len(fitted.anomaly_scores)
    return f"{n} training clips" if n == fitted.n_fitted else f"{n} training clips, spread over all {fitted.n_fitted}"


def _price_of_training_clips(wrong: Judged, right: Judged, fitted: FittedScores, basis: str) -> None:
    n_normal, extra = wrong.confusion.n_normal, wrong.confusion.fp - right.confusion.fp
    if not n_normal:
        st.markdown("There are no labelled normal test clips to see the price on.")
        return
    seen = share_text(wrong.confusion.fpr)
    by_heart = ""
    if fitted.anomaly_scores.min() == fitted.anomaly_scores.max():
        by_heart = (
            f" All {len(fitted.anomaly_scores)} training clips score {score_text(fitted.anomaly_scores[0])}: the "
            "detector knows each by heart, and every new clip is stranger than that."
        )
    if extra > 0:
        alarms = counted(extra, "more false alarm")
        price(f"{seen} false alarms instead of the promised 10 %: {alarms} among {n_normal} normal clips.{by_heart}")
    else:
        price(
            f"The threshold from training clips gives {counted(wrong.confusion.fp, 'false alarm')} among {n_normal} "
            f"normal clips, the one from held-out clips {right.confusion.fp}: these training clips happen to score no "
            "lower than the held-out ones. One cannot know that without held-out clips.",
            costs=False,
        )
    if (wilson(right.confusion.fp, n_normal).low or 0.0) > PROMISED:
        st.markdown(
            f":material/info: The right way misses its promise here, too, at {share_text(right.confusion.fpr)}: it "
            f"rests on {basis}, and its promise is one on average over many such thresholds."
        )


def polluted(chosen: Chosen, artifact: Artifact) -> None:
    """Put faulty clips among the training clips of nearest neighbours, or of Mahalanobis, and fit it again."""
    done_wrong(
        "Nobody noticed that the machine was already faulty in part of the 'normal' recordings: the detector learns "
        "a fault as normal, and sets its threshold with that clip among the others."
    )
    refitted = _to_refit(chosen, artifact)
    if refitted is None:
        st.info(
            "It needs nearest neighbours or the Mahalanobis distance, which are fitted again in a second: train one "
            "of them first.",
            icon=":material/info:",
        )
        return
    if refitted is not artifact:
        st.markdown(
            f"Shown with {DETECTOR_MARKS[refitted.detector_name]} {plain(refitted.title)}, fitted again in a second."
        )
    if (here := clips_here(chosen)) is None or (vectors := _vectors(refitted, *here)) is None:
        return
    if not vectors.kinds or vectors.labels.all():
        st.info("It needs normal test clips, and two of one kind of fault.", icon=":material/info:")
        return
    left, right = st.columns(2)
    kind = choose(
        "Kind of fault that is learned",
        {kind: _kind_name(kind) for kind in vectors.kinds},
        key="mistake_kind",
        place=left,
        help="The kind that the clean detector finds least often comes first.",
    )
    most = min(MOST_POLLUTING, int(vectors.of_kind(kind).sum()) - 1)
    n = 1
    if most > 1:
        n = choose_number(right.slider, "Faulty clips among them", 1, most, key="mistake_clips", default=1)
    found = once(("polluted", refitted.digest, kind, n), lambda: pollute(vectors, kind, n))
    _outcomes(found, vectors, kind)


def _to_refit(chosen: Chosen, artifact: Artifact) -> Artifact | None:
    if artifact.detector_name in REFITTED:
        return artifact
    good, _ = artifacts(chosen)
    return next((good[name] for name in REFITTED if name in good), None)


def _vectors(artifact: Artifact, known: KnownSet, machine: str) -> Vectors | None:
    n_training = len(artifact.training_digests)
    n_clips = min(MOST_CLIPS, n_training) + min(MOST_CLIPS, len(artifact.scores.of("test").labelled().clips))

    def compute() -> Vectors:
        data_set = indexed(known, machine)
        with counting_bar("Computing what the detector learns from \u2026") as report:
            return vectors_of(artifact, detector(artifact), data_set, on_progress=report)

    return computed(
        ("vectors", artifact.digest),
        compute,
        label=f"Read {counted(n_clips, 'clip')}",
        seconds=n_clips * CLIP_S,
        known=known,
        sounds=lambda vectors: vectors.digests,
    )


def _kind_name(kind: str) -> str:
    return display_name(kind) if kind else "faults (kind unknown)"


def _outcomes(found: Pollution, vectors: Vectors, kind: str) -> None:
    n, n_normal, name = len(found.polluting), len(vectors.normal), plain(_kind_name(kind))
    wrong, right = found.polluted, found.clean
    table(
        ("Figure", f"Wrong: {counted(n, 'faulty clip')} among {n_normal + n}", f"Right: {n_normal} normal clips"),
        [
            ("AUC", interval_text(wrong.auc), interval_text(right.auc)),
            ("Threshold", score_text(wrong.threshold), score_text(right.threshold)),
            ("False-alarm rate", rate_cell(*wrong.false_alarms), rate_cell(*right.false_alarms)),
            (f"Found: {name}", rate_cell(*wrong.found), rate_cell(*right.found)),
            ("Found: other faults", rate_cell(*wrong.others_found), rate_cell(*right.others_found)),
        ],
    )
    few = ""
    if n_normal < vectors.n_normal_all or len(vectors.clips) < vectors.n_test_all:
        few = (
            f" {n_normal} of {vectors.n_normal_all} training clips and {len(vectors.clips)} of {vectors.n_test_all} "
            "test clips are used, evenly spread, in both columns."
        )
    st.caption(
        f"**Uses test labels**, to know which clips are faulty. The faulty {'clips are' if n > 1 else 'clip is'} drawn "
        "by chance (seed 0) from the test clips of this kind, and left out of the test in both columns. The threshold "
        f"is conformal at 10 %, each clip scored by a fit without it. Brackets: 95 % intervals.{few}"
    )
    _price_of_pollution(found, name)


def _price_of_pollution(found: Pollution, name: str) -> None:
    wrong, right = found.polluted, found.clean
    lost = right.found[0] - wrong.found[0]
    change = f"The AUC changes by {difference_text(found.auc_change)}."
    others = _others(wrong, right)
    if lost > 0:
        price(
            f"Of {right.found[1]} other clips of {name}, {wrong.found[0]} are found instead of {right.found[0]}. "
            f"{others}{change}"
        )
    else:
        price(
            f"Of {right.found[1]} other clips of {name}, {wrong.found[0]} are found, {right.found[0]} by the clean "
            f"detector. {others}{change} A single clip moves the scale of the features, too, and with it the scores of "
            "all others.",
            costs=False,
        )


def _others(wrong: Outcome, right: Outcome) -> str:
    gained, alarms = wrong.others_found[0] - right.others_found[0], wrong.false_alarms[0] - right.false_alarms[0]
    parts = [
        f"{abs(change)} {'more' if change > 0 else 'fewer'} {what}"
        for change, what in ((gained, "of the other faults"), (alarms, "false alarms"))
        if change
    ]
    return f"Besides: {' and '.join(parts)}. " if parts else ""


def neighbours_on_both_sides(_chosen: Chosen, _artifact: Artifact) -> None:
    """Hold clips out at random, beside whole recordings, on the long simulated recordings."""
    done_wrong(
        "Clips are cut from long recordings, and those to calibrate on are drawn at random: each has neighbours, "
        "nearly the same sound, among the clips that are fitted. It scores too low, and so does the threshold."
    )
    st.caption(
        ":material/science: Simulated data, whichever detector is chosen above: nearest neighbours on a slide rail "
        "that is recorded for two minutes on each of 13 days. Seven days are learned, six are new."
    )
    known = long_recordings()
    if known is None:
        st.info("Your own data set of this name hides these recordings.", icon=":material/info:")
        return
    if not is_tried(known):
        place = st.empty()
        if not place.button("Calibrate ten times (about half a minute)", icon=":material/play_arrow:"):
            return
        place.empty()
    trials = neighbour_trials(known)
    wrong, right = trials["at_random"], trials["by_recording"]
    table(
        ("Figure", "Wrong: clips at random", "Right: whole recordings"),
        [
            ("Calibrated on", WAYS["at_random"], "Days left out whole, in turn"),
            ("False-alarm rate promised", share_text(wrong[0].promised), share_text(right[0].promised)),
            ("False-alarm rate seen, mean", *(_mean_rate(each) for each in (wrong, right))),
            ("False alarms, draw by draw", *(", ".join(_counts(one) for one in each) for each in (wrong, right))),
        ],
    )
    st.caption(
        f"Simulated. {N_SPLITS} draws of the days that are learned; rates of the normal clips of new days, in brackets "
        "where the middle 80 % of the draws lie. Clips of a day depend on each other, so intervals that count clips "
        "would be too narrow."
    )
    _price_of_neighbours(wrong, right)
    go("pages/learn.py", "See the days in the lesson", icon=":material/school:", lesson="neighbours")


def _rates(trials: Sequence[Trial]) -> list[float]:
    return [trial.false_alarms for trial in trials]


def _mean_rate(trials: Sequence[Trial]) -> str:
    seen, low, high = mean_and_spread(_rates(trials))
    return f"{share_text(seen)} [{100 * low:.1f}, {100 * high:.1f}]"


def _counts(trial: Trial) -> str:
    n_normal = int((~trial.test.is_anomalous).sum())
    return f"{round(trial.false_alarms * n_normal)}/{n_normal}"


def _price_of_neighbours(wrong: Sequence[Trial], right: Sequence[Trial]) -> None:
    seen, honest = (float(mean_and_spread(_rates(trials))[0]) for trials in (wrong, right))
    text = f"{share_text(seen)} false alarms on new days instead of the promised {share_text(wrong[0].promised)}; "
    price(f"{text}by whole recordings {share_text(honest)}.", costs=seen > max(honest, wrong[0].promised))
