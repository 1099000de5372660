"""Step 4: the false-alarm rate in daily words, what the clips can promise, and saving it for all active detectors."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from asd_core.artifacts.manifest import PROMISE_CONDITION
from asd_core.artifacts.store import Artifact
from asd_core.artifacts.versions import save_threshold, writable_folder
from asd_core.evaluation.daily import can_promise, false_alarms_per_day, false_alarms_text, lowest_promise
from asd_core.evaluation.metrics import confusion_at
from asd_core.evaluation.thresholds import DEFAULT_RULE, Threshold, n_needed
from asd_core.formats import counted
from asd_core.monitoring.alarms import AlarmRule
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.tasks.assess import choose_threshold
from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.ways import next_button, open_step, step_button
from pages.shared.cache import tested
from pages.shared.cards import DETECTOR_MARKS, PROVISIONAL_BADGE
from pages.shared.choices import go, keep, link, switch
from pages.shared.plain_text import plain

RATES = {"1": 0.01, "2": 0.02, "5": 0.05, "10": 0.10, "20": 0.20}
EVERY_S = {"1min": 60, "10s": 10, "10min": 600, "1h": 3600}
EVERY = {"1min": "each minute", "10s": "every 10 s", "10min": "every 10 minutes", "1h": "each hour"}


def alarm_step(subject: Subject) -> None:
    """Ask how many false alarms can be borne, say what that means in a day, and save it."""
    if not subject.active:
        st.info("This needs a trained detector.", icon=":material/info:")
        step_button("train", "Train one")
        return
    rate = RATES[_asked_rate(subject)]
    every = switch("A clip is judged", EVERY, key="judged")
    able = {name: each for name, each in subject.active.items() if can_promise(rate, each.manifest.calibration.n)}
    text = false_alarms_text(false_alarms_per_day(rate, every_s=EVERY_S[every]))
    if able:
        st.markdown(f"### At most {text}")
        _condition(able, every)
    else:
        st.markdown(f"### {100 * rate:g} % would be {text}")
    _cannot(subject, able, rate)
    is_offered = False
    if able:
        thresholds = {name: _threshold(each, rate) for name, each in able.items()}
        _found(subject, thresholds)
        is_offered = _save(able, thresholds, rate)
    next_button("listen", is_due=not is_offered)


def _asked_rate(subject: Subject) -> str:
    if "alarm_rate" not in st.session_state and st.query_params.get("alarm_rate") not in RATES:
        st.session_state["alarm_rate"] = _saved_rate(subject.active)
    keep("alarm_rate", RATES)
    asked = st.select_slider(
        "Of 100 normal clips, how many may give a false alarm?",
        list(RATES),
        key="alarm_rate",
        format_func=lambda rate: f"{rate} %",
        persist_state="session",
        help="The false-alarm rate (FPR). Fewer false alarms means that slighter faults are missed.",
    )
    link("alarm_rate")
    return asked


def _saved_rate(active: Mapping[str, Artifact]) -> str:
    """Return the slider's place for what the detectors promise now."""
    promised = {artifact.threshold.promised_fpr for artifact in active.values()}
    return next((text for text, rate in RATES.items() if promised == {rate}), "10")


def _condition(artifacts: Mapping[str, Artifact], every: str) -> None:
    """Say on which condition the promise rests, and on how much."""
    calibration = next(iter(artifacts.values())).manifest.calibration
    rule = AlarmRule()
    st.markdown(
        f"per detector, on average, if a clip is judged {EVERY[every]} and normal sound stays like the recordings: "
        f"{PROMISE_CONDITION}. This rests on {counted(calibration.n, 'held-out clip')} from {plain(calibration.basis)}."
    )
    st.caption(
        f"A false alarm here is one clip. Monitor rings only when {rule.k} of the last {rule.n} clips are anomalous, "
        "which is rarer where false alarms come one at a time."
    )


def _cannot(subject: Subject, able: Mapping[str, Artifact], rate: float) -> None:
    """Say which detectors cannot promise this rate, and how many more clips that takes."""
    unable = {name: each.manifest.calibration.n for name, each in subject.active.items() if name not in able}
    if not unable:
        return
    names = ", ".join(DETECTOR_SHORT_NAMES[name] for name in unable)
    n, needed = min(unable.values()), n_needed(DEFAULT_RULE, rate)
    st.warning(
        f"{PROVISIONAL_BADGE} {names}: {counted(n, 'held-out clip')} can promise no less than "
        f"{100 * lowest_promise(n):.2g} % (1 in {n + 1}); {100 * rate:g} % takes {needed}, {needed - n} more. Until "
        "then the threshold stays as it is.",
        icon=":material/hourglass_empty:",
    )
    step_button("sound", "Add more sound")


def _threshold(artifact: Artifact, rate: float) -> Threshold:
    return choose_threshold(artifact, tested(artifact), rule=DEFAULT_RULE, rule_value=rate)


def _found(subject: Subject, thresholds: Mapping[str, Threshold]) -> None:
    """Say how many of the faulty clips are found at this rate, where there are any."""
    if not subject.n_faulty:
        return
    for name, threshold in thresholds.items():
        scores = tested(subject.active[name])
        if not scores.is_anomalous.any() or threshold.value is None:
            continue
        confusion = confusion_at(scores.is_anomalous, scores.anomaly_scores, threshold.value)
        st.markdown(
            f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]} at this rate finds **{confusion.tp} of "
            f"{counted(confusion.tp + confusion.fn, 'faulty clip')}**, and gives {confusion.fp} false alarms on the "
            f"{confusion.fp + confusion.tn} normal ones that were put aside."
        )
    go("pages/threshold.py", "See it on the ROC", icon=":material/tune:")


def _save(able: Mapping[str, Artifact], thresholds: Mapping[str, Threshold], rate: float) -> bool:
    """Offer to save the threshold of each detector that can promise the rate; return whether any is another one."""
    new = {name: each for name, each in thresholds.items() if each.value is not None and _is_new(able[name], each)}
    if not new:
        st.caption(f":material/check: {100 * rate:g} % is what these detectors judge by on all pages.")
        return False
    versions = " ".join(able[name].version for name in new)
    label = f"Use {100 * rate:g} % for {counted(len(new), 'detector')}"
    if st.button(label, key=f"use_rate:{versions}", icon=":material/check:", type="primary"):
        for name, threshold in new.items():
            save_threshold(able[name], threshold, folder=writable_folder(able[name].folder.parent))
        open_step("listen")
        st.rerun()
    return True


def _is_new(artifact: Artifact, threshold: Threshold) -> bool:
    """Whether a threshold is another one than the saved one, or was never confirmed since the training."""
    return artifact.threshold != threshold or artifact.manifest.parent is None
