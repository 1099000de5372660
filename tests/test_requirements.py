"""Pinned packages, and the oldest versions without known holes."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from sounds import PROJECT

from asd_core.cli import doctor, main
from asd_core.system.extras import EXTRAS, PURPOSES

FLOORS = {
    "streamlit": ((1, 54), "CVE-2026-10804 (fixed in 1.53.1), CVE-2026-33682 (1.54.0), CVE-2024-42474, CVE-2022-35918"),
    "torch": ((2, 10), "CVE-2025-32434 (fixed in 2.6.0), CVE-2026-24747 (2.10.0)"),
}
"""Advisories as published; the same floors stand in `doctor`."""
PYTHON_FLOOR = (3, 11)
"""zipfile: CVE-2024-0450 and CVE-2025-8291 are fixed in 3.11.8 and 3.11.14; our own checks of archives stand in."""
PIN = re.compile(r"([A-Za-z0-9._-]+)==(\d+(?:\.\d+)+)")
FILES = ("requirements.txt", "requirements-dev.txt")


def pins(name):
    lines = [line.split("#")[0].strip() for line in (PROJECT / name).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_to_one_version(name):
    loose = [line for line in pins(name) if PIN.fullmatch(line) is None]
    assert loose == (["-r requirements.txt"] if name == "requirements-dev.txt" else [])
    names = [PIN.fullmatch(line)[1].lower() for line in pins(name) if line not in loose]
    assert len(names) == len(set(names)) > 5


def ranges():
    """Each package that pyproject.toml names, with all the versions that it allows there."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    found = {}
    for requirement in map(Requirement, named):
        allowed = found.setdefault(canonicalize_name(requirement.name), SpecifierSet())
        found[canonicalize_name(requirement.name)] = allowed & requirement.specifier
    return found


def test_every_pin_lies_in_the_range_that_the_package_allows():
    allowed = ranges()
    pinned = [PIN.fullmatch(line).groups() for name in FILES for line in pins(name) if PIN.fullmatch(line)]
    outside = [(name, pin) for name, pin in pinned if pin not in allowed.get(canonicalize_name(name), ())]
    assert outside == []


def test_what_the_package_needs_is_pinned_and_bounded_on_both_sides():
    pinned = {canonicalize_name(PIN.fullmatch(line)[1]) for name in FILES for line in pins(name) if PIN.fullmatch(line)}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bench = {canonicalize_name(Requirement(line).name) for line in project["optional-dependencies"]["bench"]}
    assert set(ranges()) - bench == pinned
    for name, allowed in ranges().items():
        operators = {specifier.operator for specifier in allowed}
        assert operators in ({">=", "<"}, {"=="}), name


def test_extras_name_the_modules_of_the_packages_that_pyproject_lists():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in project["optional-dependencies"].items()
    }
    assert set(EXTRAS) == set(PURPOSES) == set(listed) - {"dev", "bench"}
    packages = metadata.packages_distributions()
    for extra, modules in EXTRAS.items():
        owners = {canonicalize_name(package) for module in modules for package in packages[module]}
        assert owners == listed[extra], extra
    assert {canonicalize_name(Requirement(line).name) for line in project["dependencies"]} == set(doctor._REQUIRED)


@pytest.mark.parametrize("package", FLOORS)
def test_pins_lie_above_the_known_holes(package):
    versions = dict(PIN.fullmatch(line).groups() for line in pins("requirements.txt"))
    pinned = tuple(int(part) for part in versions[package].split("."))
    assert pinned >= FLOORS[package][0], FLOORS[package][1]


def test_what_is_installed_is_what_is_pinned():
    for line in pins("requirements.txt"):
        name, pinned = PIN.fullmatch(line).groups()
        assert metadata.version(name).split("+")[0] == pinned


def test_pip_refuses_other_pythons_than_those_that_are_known():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    low, high = re.fullmatch(r">=(\d+\.\d+),<(\d+\.\d+)", project["requires-python"]).groups()
    assert tuple(map(int, low.split("."))) == PYTHON_FLOOR
    assert tuple(map(int, high.split("."))) <= (3, 14)


def test_doctor_knows_the_floors_and_fails_below_them(monkeypatch, capsys, tmp_path):
    assert {name: floor for name, (floor, _) in FLOORS.items()} == doctor._FLOORS
    assert main(["doctor", "--json", str(tmp_path / "good.json")]) == 0
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "1.53.1" if name == "streamlit" else real(name))
    assert main(["doctor", "--json", str(tmp_path / "old.json")]) == 1
    capsys.readouterr()
    good, old = (
        {check["name"]: check for check in json.loads((tmp_path / name).read_text())["checks"]}
        for name in ("good.json", "old.json")
    )
    assert good["torch"]["detail"].startswith(metadata.version("torch"))
    assert good["python"]["ok"]
    assert (old["streamlit"]["ok"], old["streamlit"]["required"]) == (False, True)
    assert old["streamlit"]["detail"] == "1.53.1, wanted 1.54 or newer"


AFFECTED_CALLS = {"extract", "extractall", "unpack_archive"}
UNBOUNDED = {"librosa.load", "sf.read", "soundfile.read", "sf.info", "soundfile.info"}


@pytest.mark.parametrize("path", sorted((PROJECT / "asd_core").rglob("*.py")), ids=lambda path: path.stem)
def test_holes_that_no_version_mends_are_not_reached(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {name for name in attributes if name.split(".")[-1] in AFFECTED_CALLS}
    assert not attributes & UNBOUNDED
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "audioread" not in imported


@pytest.mark.parametrize(
    ("found", "is_enough"),
    [
        ("2.10.0", True),
        ("2.10", True),
        ("3", True),
        ("v2.10.0", True),
        ("2.9.1", False),
        ("2", False),
        ("2.10.0+cpu", True),
        ("2.9.1+cu126", False),
        ("2.11.0a0+git1234abc", True),
        ("2.10.0rc1", False),
        ("2.10.0-rc.1", False),
        ("2.10rc2", False),
        ("2.10.1rc1", True),
        ("2.11rc1", True),
        ("2.10.0.dev20260101", False),
        ("2.12.0.dev20260101+cpu", True),
        ("2.10.0.post1", True),
        ("2.10.0.post1.dev2", True),
        ("1!1.0", True),
        ("2.10.0-custom build", False),
        ("unknown", False),
        ("", False),
        (None, False),
    ],
)
def test_doctor_reads_every_kind_of_version(found, is_enough, monkeypatch):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: found if name == "torch" else real(name))
    for started in ("_decoder", "_formats"):  # each starts a process to try what it names
        monkeypatch.setattr(doctor, started, lambda: doctor.Check("not tried", True, False, ""))
    check = next(check for check in doctor.checks() if check.name == "torch")
    assert check.ok is is_enough
    assert check.detail == f"{found}, wanted 2.10 or newer"
