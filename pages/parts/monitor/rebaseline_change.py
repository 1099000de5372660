"""The second and third steps of a re-baseline: figures before and after, clips judged otherwise, making it active."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.library import allowed_roots
from asd_core.formats import MISSING, counted, score_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rebaselining.change import RECALIBRATE, Change, Figures, Flip, Share
from asd_core.monitoring.rebaselining.quarantine import row_sound
from asd_core.monitoring.rebaselining.recent import Week, rule_of
from asd_core.monitoring.rebaselining.versions import activate_recalibration, activate_retraining
from asd_core.monitoring.rows import unescaped
from asd_core.types import Waveform
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.plain_text import plain, warning_text

MOST_LISTED = 200


def show_change(beside: Beside, artifact: Artifact, change: Change, week: Week) -> None:
    """Draw the figures before and after, the warnings, and the clips of the week that are judged otherwise."""
    for text in change.warnings:
        look = st.error if text.startswith("faults_lost") else st.warning
        look(plain(warning_text(text)), icon=":material/warning:")
    st.markdown(_table(change))
    shown = week.rows[0].time[:10] if week.rows else MISSING
    st.caption(
        f"Shares with their 95 % intervals. This week: {counted(len(week.rows), 'clip')} from {shown} on"
        f"{', the newest of more' if week.is_cut else ''}; an alarm is {rule_of(beside).text}. Clips marked normal, "
        "after: each judged by a threshold that does without its own sitting, as a clip of another day would be."
        + (" The detector's own normal clips and test clips are simulated." if artifact.simulated else "")
    )
    _flips(beside, artifact, change)


def _table(change: Change) -> str:
    before, after = change.before, change.after
    rows = [
        ("Threshold", score_text(before.threshold), score_text(after.threshold)),
        _shares("False alarms, held-out normal clips", before.heldout, after.heldout),
        _shares("False alarms, normal test clips", before.test_normal, after.test_normal),
        _shares("False alarms, clips marked normal", before.marked_normal, after.marked_normal),
        _shares("**Faults found**, labelled test clips", before.test_faults, after.test_faults),
        _shares("**Faults found**, clips marked faults", before.marked_faults, after.marked_faults),
        _shares("Anomalous clips this week", before.week, after.week),
        ("Alarms this week", _alarms(before), _alarms(after)),
    ]
    lines = ["| | before | after |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _shares(title: str, before: Share, after: Share) -> tuple[str, str, str]:
    return title, before.text, after.text


def _alarms(figures: Figures) -> str:
    n_clips = sum(episode.n_clips for episode in figures.alarms)
    return f"{len(figures.alarms)}" + (f" (on for {counted(n_clips, 'clip')})" if figures.alarms else "")


def _flips(beside: Beside, artifact: Artifact, change: Change) -> None:
    for word, title in (
        ("normal", "anomalous now, normal afterwards"),
        ("anomalous", "normal now, anomalous afterwards"),
    ):
        own = [flip for flip in change.flips if flip.after == word]
        if not own:
            continue
        with st.expander(f"{counted(len(own), 'clip')} of this week: {title}", icon=":material/swap_vert:"):
            play_list(
                [_listed(beside, artifact, flip) for flip in reversed(own[-MOST_LISTED:])],
                key=f"rebaseline_flips_{word}",
                label=f"Clips that are {title}",
            )
            if len(own) > MOST_LISTED:
                st.caption(f"The newest {MOST_LISTED} of them.")


def _listed(beside: Beside, artifact: Artifact, flip: Flip) -> ListedSound:
    name = Path(unescaped(flip.row.path)).name
    return ListedSound(
        id=flip.row.key,
        title=f"{name} · {flip.row.time[:16].replace('T', ' ')}",
        sound=_reader(beside, artifact, flip),
        note=score_text(flip.row.anomaly_score),
    )


def _reader(beside: Beside, artifact: Artifact, flip: Flip) -> Callable[[], Waveform]:
    return lambda: row_sound(beside, flip.row, channel=artifact.channel, roots=allowed_roots())


def activation(
    beside: Beside, artifact: Artifact, change: Change, *, n_doubtful: int, candidate: Artifact | None = None
) -> None:
    """Draw the third step: a button, which asks twice where faults are lost or doubtful clips are taken."""
    st.markdown("##### 3 · Make it active?")
    is_sure = True
    if change.loses_faults or n_doubtful:
        reasons = [
            *(["fewer faults would be found"] if change.loses_faults else []),
            *([f"something speaks against {n_doubtful} of the clips"] if n_doubtful else []),
        ]
        is_sure = st.checkbox(
            f"I have heard all of these clips, and the machine was well: go on although {' and '.join(reasons)}",
            key=f"rebaseline_sure_of:{change.how}:{len(change.clips)}:{change.after.threshold!r}",
        )
    st.caption(
        f"It makes a new version of the detector; {artifact.version} is kept, and one press goes back to it. A watch "
        "that is running keeps the old version until it is started again."
    )
    kind = "secondary" if change.loses_faults else "primary"
    if st.button(
        f"Make it active with {counted(len(change.clips), 'clip')}",
        key="rebaseline_activate",
        icon=":material/published_with_changes:",
        type=kind,
        disabled=not is_sure,
    ):
        if change.how == RECALIBRATE or candidate is None:
            activate_recalibration(artifact, change, beside)
        else:
            activate_retraining(artifact, candidate, change, beside)
        st.rerun()
