"""Training a watch's detector again, with clips marked normal: asked for, followed, and then compared."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots, find_machine
from asd_core.formats import counted, seconds_text
from asd_core.jobs import queue as jobs
from asd_core.jobs.table import Job, expected_s, progress
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.change import Change, View, rescore_week, retraining, score_marked
from asd_core.monitoring.rebaselining.quarantine import MarkedClip, faults, marked_clips, row_sound
from asd_core.monitoring.rebaselining.recent import MAX_RESCORED, Week, rule_of
from asd_core.monitoring.rebaselining.versions import (
    retrained,
    retraining_job,
    retraining_request,
    stage_retraining,
    staged_sounds,
)
from pages.parts.monitor.rebaseline_change import activation, show_change
from pages.parts.monitor.rebaseline_clips import Heard
from pages.shared.background import cleared_jobs
from pages.shared.choices import go
from pages.shared.data_sets import indexed
from pages.shared.frame import fragment
from pages.shared.keys import once
from pages.shared.plain_text import shown_text

POLL_S = 2.0


def retraining_step(
    beside: Beside, artifact: Artifact, week: Week, heard: Heard, taken: Sequence[MarkedClip], now: View
) -> None:
    """Offer the training, follow it, or show what it would change once it has ended."""
    cleared_jobs()
    job = retraining_job(beside)
    if job is not None and job.is_active:
        fragment(lambda: _follow(beside, job.name), run_every=POLL_S)()
        return
    candidate = retrained(beside) if job is None or job.state == "done" else None
    is_same = staged_sounds(beside) == {clip.sound[:32] for clip in taken}
    if candidate is not None and is_same:
        _compare(beside, artifact, candidate, week, heard, taken, now)
        return
    if job is not None and job.state in ("failed", "lost", "cancelled"):
        st.error("The training did not end:", icon=":material/error:")
        st.text(shown_text(job.status.error or ""))
    elif candidate is not None:
        st.info("You have ticked other clips since the last training.", icon=":material/info:")
    _offer(beside, artifact, taken)


def _offer(beside: Beside, artifact: Artifact, taken: Sequence[MarkedClip]) -> None:
    machine, data_set = (artifact.folder.parents[number].name for number in (1, 2))
    found = find_machine(data_set, machine)
    if found is None or not (found[0].embedded or found[0].folder.is_dir()):
        st.caption("Training again needs the clips that the detector was trained on, and they are not here.")
        return
    known, name = found
    before = artifact.manifest.training.seconds
    st.caption(
        f"It learns its {counted(len(artifact.manifest.data.fitted_digests), 'clip')} again, and these "
        f"{len(taken)} beside them; its first training took {seconds_text(before)}. It is not used before you have "
        "seen what it changes and made it active."
    )
    if st.button(
        f"Train again with {counted(len(taken), 'clip')}", key="rebaseline_train", icon=":material/model_training:"
    ):
        indexed(known, name)  # the clips that come with the project are generated first
        added = stage_retraining(beside, taken, channel=artifact.channel)
        several = name if len(known.machines) > 1 or known.machines[name] else None
        jobs.submit(retraining_request(beside, artifact, known.folder, added, machine=several, rules=known.rules))
        st.rerun()


def _follow(beside: Beside, name: str) -> None:
    cleared_jobs()
    job = retraining_job(beside)
    if job is None or job.name != name or not job.is_active:
        st.rerun()
    share, text = _how_far(job)
    st.progress(share, text)
    st.caption("It goes on when you leave this page.")
    with st.container(horizontal=True):
        go("pages/train.py", "See it on the Train page", icon=":material/arrow_forward:", train_view="runs", run=name)
        if st.button("Stop", key="rebaseline_stop", icon=":material/stop_circle:"):
            jobs.cancel(job)
            st.rerun()


def _how_far(job: Job) -> tuple[float, str]:
    if job.state == "queued":
        return 0.0, "It waits for another training to end."
    events = progress(job)
    if not events:
        expected = expected_s(job)
        return 0.0, "Reading the clips ..." if expected is None else f"About {seconds_text(round(expected))} in all"
    last = events[-1]
    return min(last.epoch / last.epochs, 1.0), f"Training: about {seconds_text(round(last.eta_s))} left"


def _compare(
    beside: Beside,
    artifact: Artifact,
    candidate: Artifact,
    week: Week,
    heard: Heard,
    taken: Sequence[MarkedClip],
    now: View,
) -> None:
    clips = tuple(marked_clips(beside))
    key = ("rebaseline retrained", str(candidate.folder), candidate.digest, artifact.digest, str(beside.table))
    newest = week.rows[-1].key if week.rows else ""
    marked = tuple((clip.sound, clip.said) for clip in clips)

    def make() -> Change:
        with st.spinner("Judging this week's clips again ..."):
            detector = candidate.detector()
            scores = rescore_week(
                detector,
                week,
                lambda row: row_sound(beside, row, channel=candidate.channel, roots=allowed_roots()),
            )
            after = View.of(candidate, score_marked(detector, beside, faults(clips)), scores)
            return retraining(artifact, now, after, taken, faults(clips), week, rule=rule_of(beside))

    change = once((*key, newest, marked), make)
    show_change(beside, artifact, change, week)
    st.caption(
        f"The retrained detector has judged up to {MAX_RESCORED} of this week's clips again, those whose sound is "
        "still here; the others keep their verdict."
    )
    activation(beside, artifact, change, n_doubtful=heard.n_doubtful(taken), candidate=candidate)
