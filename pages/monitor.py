"""Monitor: how watched machines are, scores as clips come in, alarms as they are raised; a replay to try it."""

from __future__ import annotations

import streamlit as st

from asd_core.monitoring.table import list_tables
from pages.parts.monitor.live import live_tab
from pages.parts.monitor.now import wall
from pages.parts.monitor.replay import replay_tab
from pages.shared.cache import artifacts
from pages.shared.cards import list_broken
from pages.shared.choices import switch
from pages.shared.frame import no_detectors, open_page
from pages.shared.presenting import left_off_wall, presented

VIEWS = {"live": "Watched folders", "replay": "Demo"}

with open_page("pages/monitor.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good, broken = artifacts(chosen)
    list_broken(broken)
    # Whoever has no watch yet sees the demo first.
    views = VIEWS if list_tables() else dict(reversed(VIEWS.items()))
    with left_off_wall("what-to-follow"):
        left, right = st.columns(2)
        view = switch("What to follow", views, key="monitor", place=left)
    if view == "live" and presented():
        wall(list_tables())
    elif view == "live":
        live_tab(chosen, right)
    elif good:
        replay_tab(chosen, good)
