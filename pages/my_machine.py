"""My machine: from recordings of one's own machine to a detector that listens to it."""

from __future__ import annotations

from pages.shared.frame import open_page

with open_page("pages/my_machine.py"):
    pass
