"""Where files are kept, whatever folder a process was started in."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_core.places import artifacts_dir, data_dir, vggish_dir

PLACES = {
    "ASD_DATA_DIR": data_dir,
    "ASD_ARTIFACTS_DIR": lambda: artifacts_dir(Path("/project")),
    "ASD_VGGISH_DIR": vggish_dir,
}


@pytest.mark.parametrize("variable", PLACES)
def test_a_relative_place_is_absolute_below_the_working_folder(variable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here/below")
    assert PLACES[variable]() == tmp_path / "here" / "below"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the variable is of desktops on Linux")
def test_a_relative_data_home_of_the_desktop_is_absolute_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASD_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "home")
    assert data_dir() == tmp_path / "home" / "asd_core"
