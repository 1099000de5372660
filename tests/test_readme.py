"""What the README promises."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from sounds import PROJECT

import asd_core

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env={"PYTHONPATH": str(PROJECT), "PATH": ""},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Log-mel statistics + one-class SVM" in done.stdout
    assert "(10, 1)" in done.stdout


def test_every_public_name_exists():
    assert asd_core.__all__
    for name in asd_core.__all__:
        assert getattr(asd_core, name) is not None


def test_the_commands_it_names_exist():
    from asd_core.cli import main

    named = set(re.findall(r"python -m asd_core ([a-z-]+)", README))
    assert {"simulate", "train", "evaluate", "score"} <= named
    for command in named:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
