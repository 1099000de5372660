"""Monitor: scores as clips come in, alarms as they are raised and cleared; a replay to try it, or a watched folder."""

from __future__ import annotations

from pages.parts.monitor.live import live_tab
from pages.parts.monitor.replay import replay_tab
from pages.shared.cache import artifacts
from pages.shared.cards import list_broken
from pages.shared.choices import switch
from pages.shared.frame import no_detectors, open_page

VIEWS = {"replay": "Replay", "live": "Watched folders"}

with open_page("pages/monitor.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good, broken = artifacts(chosen)
    list_broken(broken)
    view = switch("What to follow", VIEWS, key="monitor")
    if view == "live":
        live_tab(chosen)
    elif good:
        replay_tab(chosen, good)
