"""The lesson on neighbours: why clips held out at random make a threshold break its promise, shown by trying it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from asd_core.data.table import EMBEDDED_RECORDINGS
from asd_core.formats import share_text
from asd_core.reports.plots import NEUTRAL_COLOUR, NORMAL_COLOUR, Cloud, score_scatter
from asd_core.tasks.neighbours import Trial, mean_and_spread
from pages.shared.neighbour_trials import N_SPLITS, WAYS, Trials, is_tried, long_recordings, neighbour_trials


def neighbours_lesson() -> None:
    """Let the reader try both ways of choosing the clips that a threshold rests on, on long simulated recordings."""
    st.markdown(
        "**The idea.** A threshold promises 10 % false alarms because so many of the normal clips that the detector "
        "has not heard reach it. But data sets are cut from long recordings, and the clip before and the clip after "
        "are nearly the same sound. Hold clips out at random, and each of them has a neighbour among those the "
        "detector knows: its score is too low, so is the threshold, and the next recording alarms far more often."
    )
    st.caption(
        ":material/science: Simulated data: one slide rail, recorded for two minutes on each of 13 days, cut into "
        "clips of 10 s. Seven days are learned, six are new. On a real lathe the same happens."
    )
    known = long_recordings()
    if known is None:
        st.info(f"Your own data set {EMBEDDED_RECORDINGS} hides these recordings.", icon=":material/info:")
        return
    if not is_tried(known):
        st.markdown("Making the recordings and calibrating ten times takes half a minute, only once.")
        if st.button("Try it", icon=":material/play_arrow:"):
            neighbour_trials(known)
            st.rerun()
        return
    _shown(neighbour_trials(known))


def _shown(trials: Trials) -> None:
    for column, (held_out, title) in zip(st.columns(len(WAYS)), WAYS.items(), strict=True):
        with column:
            st.subheader(title)
            _rate(trials[held_out])
            _picture(trials[held_out][0], title)
    promised = share_text(trials["at_random"][0].promised)
    st.caption(
        f"Nearest neighbours, promised {promised}; mean of {N_SPLITS} draws of the days that are learned, the pictures "
        "show the first. Each dot is a normal clip. Grey: the clips that the threshold rests on, each scored by a fit "
        "that has not heard it. Blue: new days. Detectors here are calibrated by whole recordings, wherever these are "
        "given or can be found."
    )


def _rate(trials: Sequence[Trial]) -> None:
    seen, low, high = mean_and_spread([trial.false_alarms for trial in trials])
    st.metric(
        "False-alarm rate on new days",
        share_text(seen),
        f"{share_text(low)} to {share_text(high)} over the draws",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )


def _picture(trial: Trial, title: str) -> None:
    rests_on, new = trial.points()
    clouds = [
        Cloud(f"held-out clips ({len(rests_on)})", rests_on, NEUTRAL_COLOUR, "circle-open", 7),
        Cloud(f"clips of new days ({len(new)})", new, NORMAL_COLOUR, "circle", 7),
    ]
    figure = score_scatter(clouds, x_title="Day", rules={"threshold": trial.threshold}, height_px=340)
    st.plotly_chart(figure, width="stretch", alt=f"{title}: anomaly scores of normal clips by day, and the threshold")
