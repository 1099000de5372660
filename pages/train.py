"""Train: start a training, watch it, look back at earlier ones, and choose the current version."""

from __future__ import annotations

from pages.parts.train.form import new_training
from pages.parts.train.live import live_panel
from pages.parts.train.runs import run_history
from pages.parts.train.sweep import sweep_view
from pages.parts.train.versions import versions
from pages.shared.choices import switch
from pages.shared.frame import open_page

VIEWS = {"new": "New training", "runs": "Earlier trainings", "versions": "Versions", "sweep": "Tune the SVM"}

with open_page("pages/train.py") as chosen:
    shows_result = live_panel()
    view = switch("What to do", VIEWS, key="train_view")
    if view == "new":
        new_training(chosen, is_first=not shows_result)
    elif view == "runs":
        run_history()
    elif view == "versions":
        versions(chosen)
    else:
        sweep_view(chosen)
