"""Forms that make data: simulated benches, downloads."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from asd_core.data.dcase2020.published import ARCHIVES, MACHINES, expected_clips, unpacked_bytes
from asd_core.data.library import new_bench_folder
from asd_core.data.simulated.bench import SIZES
from asd_core.formats import size_text
from asd_core.jobs import queue as jobs
from asd_core.jobs.chores import Download, Simulate
from asd_core.system.disk import check_free_disk, free_bytes

CLIPS_PER_S = 25
"""Simulated clips per second on a slow core, for a rough forecast only."""
ABOUT_ARCHIVE_BYTES = 10**9
PARTS = {
    "dev": "Development: training and labelled test clips",
    "additional": "Additional training: normal clips of further ids",
    "eval": "Evaluation: test clips of the further ids, without labels",
}


def simulate_form() -> None:
    """Start making a simulated bench of a chosen size and seed."""
    st.caption(
        ":material/science: A simulated slide rail in a factory: normal clips and three kinds of faults, drawn from a "
        "seed. The same seed gives the same clips; figures on it are always called simulated."
    )
    size = st.selectbox(
        "Size",
        list(SIZES),
        key="bench_size",
        format_func=lambda size: f"{size}: {SIZES[size].n_clips:,} clips, {size_text(SIZES[size].n_bytes)}",
        persist_state="session",
        help="small: for trying out; calibration: four ids with more test clips; report: as many clips as the real "
        "DCASE slide rail.",
    )
    minutes = SIZES[size].n_clips / CLIPS_PER_S / 60
    line = f"About {max(1, round(minutes))} min and {size_text(SIZES[size].n_bytes)} of disk."
    if size == "report":
        st.warning(f"{line} Training on it takes long as well.", icon=":material/schedule:")
    else:
        st.caption(line)
    with st.form("bench_form"):
        left, right = st.columns(2)
        seed = left.number_input(
            "Seed", min_value=0, max_value=2**31 - 1, value=1, step=1, key="bench_seed", help="Which clips are drawn."
        )
        name = right.text_input("Name (optional)", key="bench_name", help="Empty: named after size and seed.")
        sent = st.form_submit_button("Simulate", icon=":material/science:")
    if sent:
        chosen = name or f"simulated-{size}-seed{seed}"
        check_free_disk(SIZES[size].n_bytes)
        made = new_bench_folder(chosen).name
        jobs.start(Simulate(made, size=size, seed=int(seed)))
        st.rerun()


def download_form() -> None:
    """Show how large a download is, then start it."""
    st.caption(
        "Real recordings of DCASE 2020 Task 2 (ToyADMOS and MIMII) from zenodo.org, licence CC BY-NC-SA 4.0: not for "
        "commercial use. A download that was cut goes on from what has been fetched."
    )
    machines = st.multiselect(
        "Machines", MACHINES, default=["slider"], key="dcase_machines", help="Types of machine; each is one archive."
    )
    part = st.selectbox(
        "Part", list(PARTS), key="dcase_part", format_func=PARTS.get, help="To begin with, take development."
    )
    if not machines:
        st.info("Choose at least one machine.", icon=":material/info:")
        return
    rows = [_download_row(machine, part) for machine in machines]
    table = pd.DataFrame(
        {
            "Machine": machines,
            "Archive": [size_text(size) if exact else f"about {size_text(size)}" for _, _, size, exact in rows],
            "Clips": [n_clips for n_clips, _, _, _ in rows],
            "On disk": [size_text(clip_bytes) for _, clip_bytes, _, _ in rows],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", key="archives", alt="Sizes of the archives and their clips")
    needed = sum(clip_bytes + size for _, clip_bytes, size, _ in rows)
    st.caption(f"{size_text(needed)} of disk are needed for a while; {size_text(free_bytes())} are free.")
    if st.button("Download", key="start_download", icon=":material/download:"):
        check_free_disk(needed)
        name = "dcase2020-dev" if part == "dev" else "dcase2020-eval"
        jobs.start(Download(name, machines=tuple(machines), part=part))
        st.rerun()


def _download_row(machine: str, part: str) -> tuple[int, int, int, bool]:
    """Return the number of clips, their bytes, the archive's bytes, and whether the last are known exactly."""
    size = ARCHIVES[machine, part].size
    n_clips = sum(expected_clips(machine, part).values())
    return n_clips, unpacked_bytes(machine, part), size or ABOUT_ARCHIVE_BYTES, size is not None
