"""What `.ci/run` runs, and that its test of the installed package cannot be left out unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from sounds import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
KEY_TEST = "tests/test_package.py::test_each_embedded_detector_scores_as_here"


def test_it_stops_at_the_first_step_that_fails_and_leaves_none_out():
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^set -euo pipefail$", script, re.MULTILINE)
    steps = re.findall(r"^make (.*)$", script, re.MULTILINE)
    assert steps == [".venv/.dev", "test", "check", "package", "docs"]
    assert all(re.search(rf"^{step}: .venv/.dev", MAKEFILE, re.MULTILINE) for step in steps[1:])


@pytest.mark.parametrize("options", [f"--deselect {KEY_TEST}", "-k nothing"])
def test_it_fails_where_the_test_of_the_package_is_left_out(options):
    recipe = re.search(r"^package: .*\n\t\$\(BIN\)/python (.*)$", MAKEFILE, re.MULTILINE)[1]
    environment = {**os.environ, "PYTEST_ADDOPTS": f"{options} --collect-only"}
    done = subprocess.run(
        [sys.executable, *recipe.split()], cwd=PROJECT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (4, 5), done.stdout + done.stderr
