"""Re-baseline of a watch: clips are chosen, what they would change is shown, then it is made active or undone."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.formats import counted
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.change import RECALIBRATE, RETRAIN, View, recalibration
from asd_core.monitoring.rebaselining.quarantine import MAX_CLIPS, Followed, MarkedClip, faults, marked_clips, waiting
from asd_core.monitoring.rebaselining.recent import Week, rule_of, same_model, week_of
from asd_core.monitoring.rebaselining.versions import kept_scores, last_active, rebaselines, undo
from asd_core.monitoring.rows import unescaped
from asd_core.monitoring.starting import is_alive, last_settings, start_again
from pages.parts.monitor.rebaseline_change import activation, show_change
from pages.parts.monitor.rebaseline_clips import Heard, choose_clips, hear
from pages.parts.monitor.rebaseline_taking import Taken, take_marked
from pages.parts.monitor.rebaseline_training import retraining_step
from pages.shared.cards import simulated_badge
from pages.shared.choices import switch
from pages.shared.context import PROJECT
from pages.shared.plain_text import plain, shown_text

WAYS = {RECALIBRATE: "Move the threshold", RETRAIN: "Train again"}
_WAY_HELP = (
    "Moving the threshold takes seconds: the detector stays as it is, and scores must be higher before it calls a clip "
    "anomalous. Training again lets it learn the new sound, so that it still finds faults in it; it takes longer."
)


@dataclass(frozen=True)
class Subject:
    """What a re-baseline is about.

    Parameters
    ----------
    artifact
        The version that it starts from.
    clips
        All marked clips.
    """

    table: Path
    beside: Beside
    artifact: Artifact
    week: Week
    clips: tuple[MarkedClip, ...]


def rebaseline_panel(table: Path) -> None:
    """Draw the three steps for the watch of a table, whatever the context of the page is."""
    taken = take_marked(table)
    if taken is None:
        st.info("This watch has judged no clip yet.", icon=":material/hourglass_empty:")
        return
    beside = Beside(table)
    clips = tuple(marked_clips(beside))
    _introduce(taken.artifact)
    _last(table, taken)
    _say_missing(taken.followed)
    subject = Subject(table, beside, taken.artifact, week_of(taken.rows, is_cut=taken.is_cut), clips)
    if not waiting(clips):
        st.info(
            "No clips wait. Mark clips of the changed machine as normal, under the alarms or in the list of clips; "
            "they are then copied here, and nothing is learned from them before you say so.",
            icon=":material/inbox:",
        )
        return
    _steps(subject)


def _introduce(artifact: Artifact) -> None:
    st.markdown(
        f"**Re-baseline**: when the machine has changed for good (a new tool, another season, a moved microphone), "
        f"clips that you marked normal become part of what counts as normal. {plain(artifact.title)}, version "
        f"{artifact.version}{simulated_badge(artifact.simulated)}"
    )


def _last(table: Path, taken: Taken) -> None:
    """Say which re-baseline holds, and offer to undo it; and which version the watch judges by."""
    beside = Beside(table)
    last = last_active(beside)
    if last is not None:
        with st.container(border=True):
            what = "the threshold was moved" if last.how == RECALIBRATE else "the detector was trained again"
            since = last.made_at[:16].replace("T", " ")
            st.markdown(
                f":material/check_circle: **Re-baseline {last.name} is active** since {since} UTC: "
                f"{what} with {counted(len(last.sounds), 'clip')}. Version {last.version} followed "
                f"{last.version_before}."
            )
            if st.button("Undo this re-baseline", key="rebaseline_undo", icon=":material/undo:"):
                undo(beside)
                st.rerun()
    if rebaselines(beside) and taken.judged_by.resolve() != taken.artifact.folder.resolve():
        _restart(table, taken)


def _restart(table: Path, taken: Taken) -> None:
    """Say that the watch judges by another version than the current one, and offer to start it again."""
    model, verb = taken.artifact.folder.parent, "goes on judging" if is_alive(table) else "last judged"
    st.warning(
        f"The watch {verb} by {plain(taken.judged_by.name)}; started again, it judges by {taken.artifact.version}.",
        icon=":material/restart_alt:",
    )
    if last_settings(table) is None:
        st.caption("It was not started from here: stop it, and start it where it was started, with")
        st.code(f"--model {shlex.quote(shown_text(str(model)))} --csv {shlex.quote(shown_text(str(table)))}", "shell")
        return
    if st.button("Start the watch again with it", key="rebaseline_restart", icon=":material/restart_alt:"):
        with st.spinner("It ends after the clip that it is at, then starts ..."):
            start_again(table, model=model)
        st.rerun()


def _say_missing(followed: Followed) -> None:
    for path, reason in followed.missing[:5]:
        st.warning(f"{plain(Path(unescaped(path)).name)} is left out: {plain(reason)}", icon=":material/volume_off:")
    if (more := len(followed.missing) - 5) > 0:
        st.caption(f"{counted(more, 'more clip')} could not be copied.")
    if followed.n_too_many:
        st.caption(
            f"{counted(followed.n_too_many, 'further clip')} do not fit: a re-baseline takes at most {MAX_CLIPS}."
        )


def _steps(subject: Subject) -> None:
    st.markdown("##### 1 · Which clips are normal?")
    heard = hear(subject.beside, subject.artifact, subject.clips)
    taken = choose_clips(subject.beside, heard, waiting(subject.clips))
    st.markdown("##### 2 · What would change?")
    if not taken:
        st.caption("Tick at least one clip above.")
        return
    how = switch("How", WAYS, key="rebaseline_how", help=_WAY_HELP)
    if how == RETRAIN:
        retraining_step(subject.beside, subject.artifact, subject.week, heard, taken, _view(subject, heard))
        return
    _recalibration(subject, heard, taken)


def _view(subject: Subject, heard: Heard) -> View:
    week = same_model(subject.week.rows, subject.artifact, base=PROJECT)
    return View.of(subject.artifact, heard.scores, week)


def _recalibration(subject: Subject, heard: Heard, taken: list[MarkedClip]) -> None:
    ids = subject.artifact.manifest.data.ids
    added = kept_scores(
        subject.beside, taken, [heard.scores[clip.sound] for clip in taken], machine_id=ids[0] if ids else "00"
    )
    change = recalibration(
        subject.artifact,
        _view(subject, heard),
        taken,
        faults(subject.clips),
        subject.week,
        added=added,
        rule=rule_of(subject.beside),
    )
    show_change(subject.beside, subject.artifact, change, subject.week)
    activation(subject.beside, subject.artifact, change, n_doubtful=heard.n_doubtful(taken))
