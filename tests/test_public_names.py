"""`import asd_core`, its public names, and the command `asd`."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
from sounds import PROJECT

import asd_core
from asd_core.cli import _parser, main
from asd_core.cli.completion import SHELLS, completion

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def test_importing_the_package_imports_no_other():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import asd_core; dir(asd_core)"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in imported if name.startswith("asd_core")} == {"asd_core"}
    assert not {name.split(".")[0] for name in imported} & {"numpy", "scipy", "argparse", "soundfile"}


def test_dir_lists_the_public_names():
    listed = dir(asd_core)
    assert {*asd_core.__all__, "__version__", "__doc__"} <= set(listed)
    assert [name for name in listed if not name.startswith("__")] == asd_core.__all__


def test_type_checkers_are_told_the_same_names_from_the_same_modules():
    tree = ast.parse((PROJECT / "asd_core" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    told = {alias.asname: node.module for node in imports for alias in node.names if alias.asname == alias.name}
    assert told == asd_core._EXPORTS
    assert (PROJECT / "asd_core" / "py.typed").is_file()
    assert PYPROJECT["tool"]["setuptools"]["package-data"]["asd_core"] == ["py.typed", "*.pyi"]


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        asd_core.no_such_name  # noqa: B018


def test_the_command_is_the_same_as_the_module(monkeypatch, capsys):
    module, _, function = PYPROJECT["project"]["scripts"]["asd"].partition(":")
    assert getattr(import_module(module), function) is main
    monkeypatch.setattr(sys, "argv", ["/usr/bin/asd"])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith("usage: asd ")
    monkeypatch.setattr(sys, "argv", ["/project/asd_core/__main__.py"])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m asd_core ")


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"asd {asd_core.__version__}\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_prints_the_completion_of_each_shell(shell, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["-c"])
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert stopped.value.code == 0
    assert all(word in script for word in ("evaluate-dcase", "recording-by", "asd"))
    assert "python -m asd_core" not in script


def test_bash_completes_commands_options_values_and_files(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "asd.bash").write_text(completion(_parser(), "bash"))

    def completed(*words):
        name = "_shtab_asd"
        script = f'''source asd.bash
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            complete -p asd | grep -q {name}; {name}; printf "%s\\n" "${{COMPREPLY[@]}}"'''
        done = subprocess.run(
            ["bash", "-c", script, "bash", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert completed("asd", "eval") == ["evaluate", "evaluate-dcase"]
    assert "--machine" in completed("asd", "train", "--ma")
    assert "recordings" in "".join(completed("asd", "score", "--csv", "rec"))
