"""How much nu and gamma of the one-class SVM matter: a grid of both as a heat map, computed on demand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from asd_core.errors import FileError
from asd_core.jobs import queue as jobs
from asd_core.jobs.chores import Sweep, sweep_path
from asd_core.system.files import parse_json, read_small_text
from pages.parts.train.form import training_data
from pages.shared.background import chore_panel
from pages.shared.choices import choose
from pages.shared.context import Chosen
from pages.shared.data_sets import indexed

MAX_REPORT_BYTES = 16 * 2**20
FIGURES = {
    "heldout_fpr": "False-alarm rate on held-out normal clips",
    "heldout_outside": "Held-out normal clips outside the boundary",
    "support_share": "Training blocks that became support vectors",
    "auc_mean": "AUC, mean over ids (looks at test labels)",
}
NOTES = {
    "heldout_fpr": "Each half of the held-out clips judged by the threshold of the other half; 10 % was promised.",
    "heldout_outside": "Nu is the share that may lie outside in training. Far more than nu: the boundary is too tight.",
    "support_share": "Near 100 %: the boundary memorises the training clips.",
    "auc_mean": "Taking the best cell would be a choice on the clips it is judged by: its AUC would promise too much.",
}


def sweep_view(chosen: Chosen) -> None:
    """Let the user start a sweep, and show the last one of the chosen data set."""
    st.caption(
        "Log-mel statistics + one-class SVM for each pair of nu (how many training clips may lie outside) and gamma "
        "(how closely the boundary follows them). For insight only: it changes no detector."
    )
    is_busy = chore_panel(("sweep",))
    known, machine = training_data(chosen)
    path = sweep_path(known.name, machine)
    report = _read(path)
    if is_busy:
        st.caption("A data set is being made or a grid tried: the next one can start when that has ended.")
    elif st.button("Try the grid again" if report else "Try the grid", key="start_sweep", icon=":material/grid_on:"):
        indexed(known, machine)
        jobs.start(Sweep(known.name, machine=machine))
        st.rerun()
    if report is not None:
        _show(report)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = parse_json(read_small_text(path, at_most=MAX_REPORT_BYTES))
    except (FileError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("command") == "sweep" else None


def _show(report: Mapping[str, Any]) -> None:
    figure = choose(
        "Show",
        FIGURES,
        key="sweep_figure",
        help="What the colour and the number in each cell are.",
    )
    st.altair_chart(_heat_map(report, figure), width="stretch", alt=f"{FIGURES[figure]} for each nu and gamma")
    st.caption(NOTES[figure])
    st.caption(
        (":material/science: Simulated data. " if report["simulated"] else "")
        + f"{report['n_train']} clips fitted, {report['n_heldout']} held out, {report['n_test']} test clips."
    )


def _heat_map(report: Mapping[str, Any], figure: str) -> alt.LayerChart:
    table = pd.DataFrame(
        {
            "nu": [f"{cell['nu']:g}" for cell in report["cells"]],
            "gamma": [_gamma_text(cell) for cell in report["cells"]],
            "order": [cell["gamma_value"] for cell in report["cells"]],
            "value": [cell["test"]["auc_mean"] if figure == "auc_mean" else cell[figure] for cell in report["cells"]],
        }
    )
    style = ".3f" if figure == "auc_mean" else ".0%"
    base = alt.Chart(table).encode(
        x=alt.X("gamma:N", sort=alt.EncodingSortField("order"), title="gamma", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("nu:N", sort="descending", title="nu"),
        tooltip=["nu", "gamma", alt.Tooltip("value:Q", title=FIGURES[figure], format=style)],
    )
    low, high = float(table["value"].min()), float(table["value"].max())
    dark = alt.datum.value > low + 0.55 * (high - low)
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=alt.Scale(scheme="blues", domain=[low, max(high, low + 1e-9)]), legend=None)
    )
    numbers = base.mark_text(fontSize=13).encode(
        text=alt.Text("value:Q", format=style), color=alt.condition(dark, alt.value("white"), alt.value("#222222"))
    )
    return (cells + numbers).properties(height=300)


def _gamma_text(cell: Mapping[str, Any]) -> str:
    return f"scale ({cell['gamma_value']:.1e})" if cell["gamma"] == "scale" else f"{cell['gamma']:.0e}"
