"""What a listing costs in a table of 10,000 finished runs: in a process that has just been started, and once more.

Beside it, in the same process, the former way: each look asks for the state of both files of every run, and the first
one opens them all. Processor time, so that another process on the machine is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asd_core.jobs.queue import clear_dead_jobs
from asd_core.jobs.table import JOB, STATUS, Status, job_json, runs_dir
from asd_core.tasks.train import TrainingRequest
from benchmarks.embedded import PROJECT
from benchmarks.rows import Row, median_row

N_RUNS, SHOWN = 10_000, 25
ASKED_MS = 50.0
LOOKS = f"""
import json, time
from asd_core.jobs.listing import list_jobs
from asd_core.jobs.table import JOB, RUN_NAME, STATUS, read_job, runs_dir

def now():
    assert [job.state for job in list_jobs()[:{SHOWN}]] == ["done"] * {SHOWN}

kept = {{}}

def before():
    folders = sorted((path for path in runs_dir().iterdir() if RUN_NAME.fullmatch(path.name)), reverse=True)
    for folder in folders:
        looks = [(folder / name).lstat() for name in (JOB, STATUS)]
        signature = [(each.st_ino, each.st_mtime_ns, each.st_size) for each in looks]
        if kept.get(folder, (None, None))[0] != signature:
            kept[folder] = signature, read_job(folder)

def took(look):
    began = time.process_time()
    look()
    return time.process_time() - began

print(json.dumps([took(now), took(before), took(now), took(before)]))
"""


def make_runs() -> None:
    """Write the runs of the last 80 days, one every 12 minutes, as trainings leave them, and note their ends."""
    request = TrainingRequest("lstm_predictor", Path("/recordings/fan"), machine="fan", settings={"epochs": 30})
    runs_dir().mkdir(parents=True)
    for number in range(N_RUNS):
        began = datetime.now(UTC) - timedelta(days=80) + timedelta(minutes=11.5 * number)
        folder = runs_dir() / f"{began:%Y%m%dT%H%M%S%fZ}-{number:08x}"
        folder.mkdir()
        ended = (began + timedelta(minutes=10)).isoformat()
        status = Status(
            "done", 4711, "boot 1", began.isoformat(), ended, ended, model="/detectors/fan", version="v0001"
        )
        (folder / JOB).write_text(json.dumps(job_json(request)), encoding="utf-8")
        (folder / STATUS).write_text(json.dumps(status.to_json()), encoding="utf-8")
    clear_dead_jobs()


def rows(*, repeats: int = 5) -> list[Row]:
    """The first look of a process and the second, each against the former way."""
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
        environment = {**os.environ, "ASD_DATA_DIR": folder}
        before, os.environ["ASD_DATA_DIR"] = os.environ.get("ASD_DATA_DIR"), folder
        try:
            make_runs()
        finally:
            del os.environ["ASD_DATA_DIR"]
            os.environ |= {} if before is None else {"ASD_DATA_DIR": before}
        looks = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", LOOKS],
                    env=environment,
                    cwd=PROJECT,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(repeats)
        ]
    found = []
    for name, first in (("first look of a process", 0), ("second look", 2)):
        ours, theirs = zip(*(look[first : first + 2] for look in looks), strict=True)
        what = f"runs, {N_RUNS:,} of them finished: {name}"
        ratios = [old / new for new, old in zip(ours, theirs, strict=True)]
        found += [
            median_row(f"{what}, {SHOWN} shown", [1000 * each for each in ours], unit="ms", asked=ASKED_MS),
            median_row(f"{what}, former way / now", ratios, unit="ratio", asked=None, better="higher"),
        ]
    return found
