"""The image and the development container, read as text: Docker itself is not run here."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from sounds import PROJECT

from asd_core.artifacts.store import find_artifacts


def instructions(text):
    """Pairs of instruction and arguments, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines()]


IMAGE = instructions((PROJECT / "Dockerfile").read_text(encoding="utf-8"))
CONFIG = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
PORT = CONFIG["server"].get("port", 8501)  # Streamlit's own where none is named


def arguments(name):
    return [rest for instruction, rest in IMAGE if instruction == name]


def environment():
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(arguments("ENV"))))


def test_the_base_image_is_slim_with_a_full_version_and_the_python_that_is_asked_for():
    (base,) = arguments("FROM")
    major, minor, patch = map(int, re.fullmatch(r"python:(\d+)\.(\d+)\.(\d+)-slim-\w+", base).groups())
    assert (3, 11) <= (major, minor) < (3, 14)
    assert (major, minor, patch) >= (3, 11, 14)  # CVE-2025-8291 in zipfile


def test_the_program_runs_as_another_user_than_root_from_a_folder_it_cannot_write():
    (user,) = arguments("USER")
    assert user.split(":")[0] not in {"root", "0"}
    last_user = max(position for position, (name, _) in enumerate(IMAGE) if name == "USER")
    assert last_user < [name for name, _ in IMAGE].index("CMD")
    assert not any("chown" in copy for copy in arguments("COPY"))
    changed = [word for run in arguments("RUN") for word in re.findall(r"ch(?:own|mod) [^&]*", run)]
    assert all("/app" not in words and words.strip().endswith("/data") for words in changed)


def test_what_is_written_goes_to_the_volume():
    (volume,) = arguments("VOLUME")
    variables = environment()
    assert {variables["ASD_DATA_DIR"], variables["ASD_ARTIFACTS_DIR"]} == {volume, f"{volume}/artifacts"}


def test_it_asks_the_health_of_the_port_that_the_server_listens_on():
    (exposed,) = arguments("EXPOSE")
    (health,) = arguments("HEALTHCHECK")
    assert int(exposed) == PORT
    assert f"http://127.0.0.1:{PORT}/_stcore/health" in health


def test_the_command_is_that_of_make_app():
    (command,) = arguments("CMD")
    recipe = re.search(r"^app:.*\n\t(.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert " ".join(json.loads(command)) == recipe.removeprefix("$(BIN)/")


def test_only_the_container_listens_on_all_interfaces():
    assert environment()["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"  # noqa: S104 - what is asked for
    assert CONFIG["server"]["address"] == "127.0.0.1"


def test_torch_for_the_cpu_comes_first_and_the_rest_is_pinned():
    install, _ = [run for run in arguments("RUN") if "pip install" in run]
    first, second = (step for step in install.split("&&") if "pip install" in step)
    assert "$TORCH_INDEX" in first
    assert "torch==" in first
    assert arguments("ARG")[0].endswith("/cpu")
    assert "-r requirements.txt" in second


def test_the_package_itself_is_installed_after_its_files_are_there_and_fetches_nothing():
    (position,) = [at for at, (name, rest) in enumerate(IMAGE) if name == "RUN" and rest.endswith(" -e .")]
    install = IMAGE[position][1]
    assert "--no-deps" in install
    assert "--no-build-isolation" in install
    copied = " ".join(rest for name, rest in IMAGE[:position] if name == "COPY")
    for needed in ("pyproject.toml", "README.md", "LICENSE", "asd_core asd_core"):
        assert needed in copied
    assert position < [name for name, _ in IMAGE].index("USER")


def ignored(path):
    """Whether .dockerignore leaves a path of the project out of what an image can hold."""
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    named = [rule[1:] for rule in rules if rule.startswith("!")]
    return not any(path == name or path.startswith(f"{name}/") or name.startswith(f"{path}/") for name in named)


@pytest.mark.parametrize("copied", [source for copy in arguments("COPY") for source in copy.split()[:-1]])
def test_what_is_copied_exists_and_is_not_ignored(copied):
    assert (PROJECT / copied).exists()
    assert not ignored(copied)


@pytest.mark.parametrize("path", [".git", ".venv", "build", "tests", "benchmarks", "artifacts/own", "Makefile", ".env"])
def test_nothing_else_gets_into_the_image(path):
    assert ignored(path)


def test_the_image_holds_all_that_the_dashboard_needs():
    copied = {source for copy in arguments("COPY") for source in copy.split()[:-1]}
    package = {"pyproject.toml", "README.md", "LICENSE", "asd_core"}
    assert copied == {"requirements.txt", "app.py", ".streamlit", "pages", "artifacts"} | package
    assert find_artifacts(PROJECT / "artifacts")
    assert (PROJECT / "artifacts" / "simulated-small" / "READ_ONLY").exists()


def test_no_secret_is_baked_in():
    words = " ".join(f"{name} {rest}" for name, rest in IMAGE).lower()
    assert not re.search(r"(password|secret|token|api_key)\s*=", words)


def test_the_development_container_names_what_exists():
    described = json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert re.search(r"python:3\.11(-|$)", described["image"])
    program, target = described["postCreateCommand"].split()
    assert program == "make"
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
    assert described["forwardPorts"] == [PORT]
