"""Pictures and files for people: figures, the HTML report, the course report's experiment.

They show values that `tasks` and `evaluation` computed, and compute none of their own.
"""

from __future__ import annotations

from asd_core.system.extras import require

require("dashboard", "plotly", "altair", "PIL", "jinja2", "markupsafe", task="a report or figure")
