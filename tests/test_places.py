"""Where files are kept, whatever folder a process was started in and whoever started it."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.audio.reading import encode_wav
from asd_core.cli import doctor, main
from asd_core.errors import UsageError
from asd_core.system.places import artifacts_dir, data_dir, vggish_dir

NOBODY = "~no-such-user-anywhere/x"
VARIABLES = {"ASD_DATA_DIR": data_dir, "ASD_ARTIFACTS_DIR": lambda: artifacts_dir(Path()), "ASD_VGGISH_DIR": vggish_dir}


@pytest.fixture
def homeless(monkeypatch):
    """A user that the system does not know, as in a container started under a number."""
    for variable in ("HOME", "XDG_DATA_HOME", *VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ASD_CACHE_MB", "64")

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_user_without_a_home_is_told_to_name_a_folder(homeless, monkeypatch, tmp_path):
    with pytest.raises(UsageError, match=r"no home folder .*: name a folder by ASD_DATA_DIR"):
        data_dir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_dir() == tmp_path / "asd_core"
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "own"))
    assert data_dir() == tmp_path / "own"


def test_the_users_own_home_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("ASD_DATA_DIR")
    assert data_dir().is_relative_to(tmp_path)
    monkeypatch.setenv("ASD_DATA_DIR", "~/sounds")
    assert data_dir() == tmp_path / "sounds"


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_home_of_an_unknown_user_is_refused_with_the_variable_that_named_it(variable, monkeypatch):
    monkeypatch.setenv(variable, NOBODY)
    with pytest.raises(UsageError, match=f"{variable} names '{NOBODY}', but .* name the folder in full"):
        VARIABLES[variable]()


def test_doctor_lists_a_missing_home_and_goes_on(homeless, capsys):
    assert main(["doctor"]) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    checks = {check.name: check for check in doctor.checks()}
    for name in ("data folder", "feature cache"):
        assert not checks[name].ok
        assert "ASD_DATA_DIR" in checks[name].detail
    assert checks["upload decoder"].ok


@pytest.mark.parametrize("variable", ["ASD_DATA_DIR", "ASD_VGGISH_DIR"])
def test_doctor_names_the_variable_of_an_unknown_users_home(variable, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda _: True)  # as if VGGish's packages were here
    monkeypatch.setenv("ASD_CACHE_MB", "64")
    monkeypatch.setenv(variable, NOBODY)
    refused = {check.name for check in doctor.checks() if variable in check.detail}
    assert refused == ({"VGGish"} if variable == "ASD_VGGISH_DIR" else {"data folder", "feature cache", "VGGish"})


def test_a_command_without_a_home_ends_with_one_line(homeless, capsys, tmp_path):
    folder = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_knn"
    (tmp_path / "clip.wav").write_bytes(encode_wav(hum(1).samples))
    assert main(["score", str(tmp_path), "--model", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("asd_core: this user has no home folder")


@pytest.mark.parametrize("variable", ["ASD_DATA_DIR", "ASD_ARTIFACTS_DIR"])
def test_a_page_says_which_folder_cannot_be_had(variable, monkeypatch):
    monkeypatch.setenv(variable, NOBODY)
    monkeypatch.syspath_prepend(str(PROJECT))
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60).run()
    assert not page.exception
    assert variable in page.text[0].value


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_relative_place_is_absolute_below_the_working_folder(variable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here/below")
    assert VARIABLES[variable]() == tmp_path / "here" / "below"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the variable is of desktops on Linux")
def test_a_relative_data_home_of_the_desktop_is_absolute_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASD_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "home")
    assert data_dir() == tmp_path / "home" / "asd_core"
