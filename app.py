"""The dashboard's entry: the frame around all pages; each page is a script in `pages/`, the overview among them."""

from __future__ import annotations

from pages.shared.frame import run_page

run_page()
