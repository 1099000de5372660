"""The wheel, installed without extras in a fresh environment: it scores as the checkout does, and is small.

`make package` runs this. Packages come from the index that pip is configured for; out of its reach all is skipped.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sounds import PROJECT, hum

import asd_core
from asd_core.audio.reading import encode_wav
from asd_core.tasks.score import score_clips

pytestmark = [pytest.mark.slow, pytest.mark.package]

MODELS = sorted((PROJECT / "artifacts" / "simulated-small" / "slider").glob("[a-z]*_*"))
LARGE = {
    "torch",
    "streamlit",
    "numba",
    "llvmlite",
    "librosa",
    "tensorflow",
    "plotly",
    "pandas",
    "pyarrow",
    "av",
    "dask",
}
MOST_MB = 400
SMALL = "shtab==1.13.0"
"""What is asked of the index first, to see whether it answers."""


def run(*command, **settings):
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "ASD_"))}
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, check=False, **{"env": environment, **settings},
    )  # fmt: skip


def done(*command, **settings):
    """Run a command that must succeed."""
    found = run(*command, **settings)
    assert found.returncode == 0, f"{' '.join(map(str, command))}: {found.stdout[-2000:]}{found.stderr[-3000:]}"
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing that an earlier build left gets in; without the network."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheels"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(PROJECT / name, source)
    shutil.copytree(PROJECT / "asd_core", source / "asd_core", ignore=shutil.ignore_patterns("__pycache__"))
    done(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, source)
    (built,) = out.glob("asd_core-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh environment with the core alone, in the versions that everything else is tested with."""
    folder = tmp_path_factory.mktemp("core")
    pip = folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"
    done(sys.executable, "-m", "venv", folder)
    asked = run(*pip, "download", "--no-deps", "--dest", folder / "asked", SMALL)
    if asked.returncode != 0:
        pytest.skip(f"the package index is out of reach: {asked.stderr.strip().splitlines()[-1]}")
    shutil.rmtree(folder / "asked")
    before_mb = megabytes(folder)
    done(*pip, "install", "--constraint", PROJECT / "requirements.txt", wheel)
    (folder / "mb").write_text(str(megabytes(folder) - before_mb))
    return folder


def megabytes(folder):
    return int(done("du", "-sm", folder).stdout.split()[0])


@pytest.fixture(scope="module")
def asd(environment, tmp_path_factory):
    """Call the installed command, somewhere else than in the checkout."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def call(*arguments):
        variables = {"PATH": os.defpath, "HOME": str(elsewhere), "ASD_DATA_DIR": str(elsewhere / "data")}
        return run(environment / "bin" / "asd", *arguments, cwd=elsewhere, env=variables)

    return call


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "hum.wav"
    path.write_bytes(encode_wav(hum(1, seconds=10.0, knocks=5).samples))
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"asd_core", f"asd_core-{asd_core.__version__}.dist-info"}
    tracked = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "asd_core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("asd_core/")} == tracked
    assert "asd_core/py.typed" in names


def test_each_embedded_detector_scores_as_here(asd, clip, tmp_path):
    assert len(MODELS) == 6
    options = [word for model in MODELS for word in ("--model", model)]
    scored = asd("score", clip, *options, "--csv", tmp_path / "scores.csv")
    assert scored.returncode == 0, scored.stderr
    with (tmp_path / "scores.csv").open() as file:
        found = {row["model"]: float(row["anomaly_score"]) for row in csv.DictReader(file)}
    here = {row.model: row.anomaly_score for row in score_clips([clip], MODELS)}
    assert set(found) == set(here)
    print("\n".join(f"{model}: {found[model]!r} there, {here[model]!r} here" for model in sorted(here)))
    np.testing.assert_allclose([found[model] for model in here], list(here.values()), rtol=1e-9)


def test_a_detector_that_needs_no_extra_is_trained_there(asd, tmp_path):
    folder = tmp_path / "machine" / "train" / "normal"
    folder.mkdir(parents=True)
    for seed in range(6):
        (folder / f"{seed}.wav").write_bytes(encode_wav(hum(seed).samples))
    trained = asd("train", "vggish_mahalanobis", "--data", tmp_path / "machine", "--out", tmp_path / "artifacts")
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("train", "lstm_predictor", "--data", "nowhere"),
            "training needs PyTorch: pip install 'asd_core[train]'",
        ),
        (
            ("score", "{clip}", "--model", MODELS[0], "--to", "scores"),
            "scoring in parts needs Dask, Dask's distributed, fsspec and PyArrow: pip install 'asd_core[cluster]'",
        ),
        (
            ("report", MODELS[0], "--data", "nowhere", "--out", "report.html"),
            "a report or figure needs Plotly, Altair, Pillow, Jinja2 and MarkupSafe: pip install 'asd_core[dashboard]'",
        ),
    ],
    ids=["train", "score in parts", "report"],
)
def test_what_needs_an_extra_names_it(asd, clip, arguments, says):
    refused = asd(*(str(clip) if word == "{clip}" else word for word in arguments))
    assert (refused.returncode, refused.stderr) == (2, f"asd_core: {says}\n")


def test_other_recordings_than_wav_and_flac_name_the_extra(asd, tmp_path):
    (tmp_path / "hum.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(4000))
    refused = asd("score", tmp_path / "hum.mp3", "--model", MODELS[0])
    assert refused.returncode in (2, 3)
    assert "pip install 'asd_core[formats]'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_command_tells_version_completion_and_what_is_there(asd):
    assert asd("--version").stdout == f"asd {asd_core.__version__}\n"
    assert "complete -o bashdefault -F _shtab_asd asd" in asd("--print-completion", "bash").stdout
    doctor = asd("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert re.search(r"^no   extra train: .* missing PyTorch", doctor.stdout, re.MULTILINE)


def test_it_is_small(environment):
    listed = done(environment / "bin" / "python", "-m", "pip", "list", "--format", "freeze").stdout.splitlines()
    assert not {line.split("==")[0].lower() for line in listed} & LARGE
    size_mb = int((environment / "mb").read_text())
    print(f"the core and its packages: {size_mb} MB in {len(listed)} packages, pip and setuptools among them")
    assert size_mb < MOST_MB


def test_type_checkers_see_the_public_names(tmp_path):
    (tmp_path / "use.py").write_text(
        "import asd_core\n"
        "reveal_type(asd_core.read_waveform)\n"
        "reveal_type(asd_core.open_artifact)\n"
        "asd_core.no_such_name\n"
    )
    checked = run(
        sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", "--follow-imports", "silent", "use.py",
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(PROJECT)},
    )  # fmt: skip
    revealed = re.findall(r'Revealed type is "(.*)"', checked.stdout)
    assert revealed[0].endswith("-> asd_core.types.Waveform"), checked.stdout
    assert revealed[1].endswith("-> asd_core.artifacts.store.Artifact"), checked.stdout
    assert 'Module has no attribute "no_such_name"' in checked.stdout
