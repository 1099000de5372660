"""Every measurement can be started: its module imports what there is."""

from __future__ import annotations

import importlib

import pytest
from sounds import PROJECT

MODULES = sorted(path.stem for path in (PROJECT / "benchmarks").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_the_module_of_a_measurement_can_be_imported(name, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    assert importlib.import_module(f"benchmarks.{name}").__doc__
