"""Step 3: the quick detectors at once, the networks in the background, with the time said beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.formats import counted, seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs import table as job_table
from asd_core.jobs.estimates import Estimate, estimate
from asd_core.jobs.table import Job
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.system.places import artifacts_dir
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS
from asd_core.tasks.train import TrainingRequest
from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.ways import next_button, open_step, step_button
from pages.shared.background import POLL_S, cleared_jobs
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.context import PROJECT, switch_to
from pages.shared.expected_time import span_text
from pages.shared.frame import fragment
from pages.shared.plain_text import shown_text, without_options

PRESET = "quick"
QUICK = tuple(name for name in DETECTOR_NAMES if detector_class(name).fits_in_seconds)
NETWORKS = tuple(name for name in DETECTOR_NAMES if name not in QUICK)
_SEEN, _FAILED = "my_machine_trainings", "my_machine_failed"
START_S = 5.0
"""A training is a program of its own, which takes this long to start on a slow computer."""


def train_step(subject: Subject) -> None:
    """Offer to train, and show how far it is."""
    for name, reason in st.session_state.get(_FAILED, {}).items():
        st.error(f"{DETECTOR_SHORT_NAMES[name]} could not be trained:", icon=":material/error:")
        st.text(shown_text(reason))
    if subject.n_training < MIN_TRAINING_CLIPS:
        st.info(f"At least {MIN_TRAINING_CLIPS} normal clips are needed.", icon=":material/info:")
        step_button("sound", "Add sound")
        return
    _quick(subject)
    if subject.trainings:
        before = [(job.name, job.state) for job in subject.trainings]
        looks = [subject.trainings]
        fragment(lambda: _progress(before, looks.pop() if looks else _again(subject)), run_every=POLL_S)()
    if subject.detectors:
        _networks(subject)
        next_button("alarm", is_due=not is_due_again(subject))


def _quick(subject: Subject) -> None:
    missing = [name for name in QUICK if _is_wanted(subject, name)]
    names = ", ".join(f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}" for name in QUICK)
    if not missing:
        if not subject.trainings:
            st.caption(
                f":material/check: The quick detectors are trained on these {subject.n_training} clips: {names}."
            )
        return
    is_again = all(name in subject.detectors for name in missing)
    st.markdown(f"{len(QUICK)} quick detectors learn what is normal: {names}.")
    if is_again:
        st.caption("There are other clips now than those that they were trained on.")
    label = "Train them again" if is_again else f"Train the {len(missing)} quick detectors"
    if st.button(label, key="train_quick", icon=":material/play_arrow:", type="primary"):
        _start(subject, missing)
    st.caption(f"{_together(missing, subject.n_training)} It goes on when you leave the page.")


def _is_wanted(subject: Subject, name: str) -> bool:
    """Whether a detector is missing or was trained on other clips, and is not in training now."""
    if any(job.request is not None and job.request.detector == name for job in subject.trainings):
        return False
    return name not in subject.detectors or is_outdated(subject, name)


def is_outdated(subject: Subject, name: str) -> bool:
    """Whether there are more or fewer clips to learn from now than when this detector was trained."""
    data = subject.detectors[name].manifest.data
    return len(data.fitted_digests) + len(data.heldout_digests) != subject.n_training


def is_due_again(subject: Subject) -> bool:
    """Whether a quick detector was trained on other clips; networks take minutes, and are not asked for again."""
    return any(is_outdated(subject, name) for name in QUICK if name in subject.detectors)


def _networks(subject: Subject) -> None:
    wanted = [name for name in NETWORKS if _is_wanted(subject, name)]
    if not wanted:
        return
    with st.expander("Train networks as well: minutes, in the background", icon=":material/hub:"):
        st.caption("They hear order in time, which the quick ones do not. The computer works on one after the other.")
        chosen = [
            name for name in wanted if st.checkbox(_offer(name, subject.n_training), value=True, key=f"network:{name}")
        ]
        if st.button(f"Train {counted(len(chosen), 'network')}", key="train_networks", disabled=not chosen):
            _start(subject, chosen)


def _together(names: Sequence[str], n_clips: int) -> str:
    """Say how long several trainings take, one after another; empty where one of them cannot be estimated."""
    found = [estimate(name, PRESET, n_clips=n_clips) for name in names]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return ""
    low_s, high_s = (sum(times) for times in zip(*((each.low_s, each.high_s) for each in known), strict=True))
    return f"About {span_text(Estimate(low_s + START_S, high_s + START_S * len(names), 0))} in all."


def _offer(name: str, n_clips: int) -> str:
    """Name a network, and say how long its training takes."""
    expected = estimate(name, PRESET, n_clips=n_clips)
    time = "some minutes" if expected is None else f"about {span_text(expected)}"
    network = detector_class(name).from_preset(PRESET)
    steps = ""
    if isinstance(network, NetworkDetector) and network.windows_per_epoch:
        n_updates = network.n_updates(network.windows_per_epoch)
        steps = f" for {n_updates:,} updates of its weights, however many clips there are"
    return f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}: {time}{steps}"


def _start(subject: Subject, names: Sequence[str]) -> None:
    known = subject.known
    if known is None:
        return
    st.session_state.pop(_FAILED, None)
    seen = st.session_state.setdefault(_SEEN, {})
    for name in names:
        job = jobs.submit(
            TrainingRequest(
                detector=name,
                data=known.folder,
                machine=subject.machine if len(known.machines) > 1 or known.machines[subject.machine] else None,
                name=known.name,
                preset=PRESET,
                out=artifacts_dir(PROJECT),
                rules=known.rules,
            )
        )
        seen[job.name] = name  # at once: it may end before anybody looks
    st.rerun()


def follow_trainings(subject: Subject) -> None:
    """Make detectors active whose training this session saw begin and that have now ended, and open the next step."""
    seen: dict[str, str] = st.session_state.setdefault(_SEEN, {})
    active = {job.name for job in subject.trainings}
    seen.update({job.name: job.request.detector for job in subject.trainings if job.request is not None})
    ended = {name: detector for name, detector in seen.items() if name not in active}
    if active or not ended:
        return
    done = []
    for name, detector in ended.items():
        seen.pop(name)
        job = _read(name)
        if job is None or not subject.is_about(job):
            continue
        if job.state == "done":
            done.append(detector)
        elif job.state != "cancelled":
            st.session_state.setdefault(_FAILED, {})[detector] = without_options(job.status.error or "")
    if done:
        switch_to(subject.chosen.data_set, subject.chosen.machine, done)
        if set(done) & set(QUICK):
            open_step("alarm")
        st.rerun()


def _read(name: str) -> Job | None:
    folder = job_table.runs_dir() / name
    return job_table.read_job(folder) if folder.is_dir() else None


def _again(subject: Subject) -> list[Job]:
    return [job for job in cleared_jobs()[::-1] if subject.is_about(job)]


def _progress(before: list[tuple[str, str]], trainings: Sequence[Job]) -> None:
    """Show one line per training; the whole page runs again when one begins or ends."""
    if [(job.name, job.state) for job in trainings] != before:
        st.rerun()
    for job in trainings:
        if job.request is not None:
            _line(job, job.request.detector)


def _line(job: Job, detector: str) -> None:
    left, right = st.columns([5, 1], vertical_alignment="center")
    events = job_table.progress(job)
    share = events[-1].epoch / events[-1].epochs if events else 0.0
    left.progress(min(1.0, share), f"{DETECTOR_MARKS[detector]} {DETECTOR_SHORT_NAMES[detector]}: {_words(job)}")
    if right.button("Stop", key=f"stop:{job.name}", icon=":material/stop_circle:", width="stretch"):
        jobs.cancel(job)
        st.rerun()


def _words(job: Job) -> str:
    if job.state == "queued":
        return "waits for its turn"
    events = job_table.progress(job)
    if not events:
        return "reads the clips"
    left_s = round(events[-1].eta_s)
    return f"learning, about {seconds_text(left_s)} left" if left_s > 0 else "sets its threshold"
