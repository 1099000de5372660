"""Break the code on purpose, one small mistake at a time, and see whether the tests named for it notice.

::

    python tests/mutants/run.py [--only PATTERN] [--jobs 2]

Each `[[mutant]]` of the TOML files beside this one says in `what` the mistake in plain words, in `file`, `find` and
`replace` how it is made, and in `test` which tests must then fail (one node, or a list). Copies of the working tree are
broken, never the tree itself. A mutant counts as killed only where a test fails in its own body: not by an error of
collection, import or set-up, and not by running out of time.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
KEYS = {"what", "file", "find", "replace", "test"}
LIMIT_S = 180.0
"""Of one mutant; meant are some 10 s, on a quiet machine."""
KILLED, SURVIVED, NOT_BY_ITSELF = "killed", "SURVIVED", "test does not fail by itself"
SECONDS = itertools.count(1_000_000_000)
FORKS = multiprocessing.get_context("forkserver")
IMPORTED_ONCE = ["pytest", "scipy", "sklearn.svm", "pandas", "plotly.graph_objects", "altair"]
IMPORTED_ONCE += ["streamlit.testing.v1", "soundfile"]
"""Packages take most of a short test's time: they are imported once and forked. Never our own code."""
NOT_IMPORTABLE = ("SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError")


@dataclass(frozen=True)
class Mutant:
    """One mistake: the text `find`, which occurs once in `file`, becomes `replace`; `tests` must then fail."""

    source: str
    what: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def read_mutants(folder: Path = FOLDER) -> list[Mutant]:
    """Read all lists, in the order of their names."""
    return [
        _mutant(path.stem, entry)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    ]


def _mutant(source: str, entry: dict[str, str | list[str]]) -> Mutant:
    if set(entry) != KEYS:
        raise SystemExit(f"{source}.toml: an entry must have exactly {sorted(KEYS)}, got {sorted(entry)}")
    tests = entry.pop("test")
    return Mutant(source, **entry, tests=(tests,) if isinstance(tests, str) else tuple(tests))  # type: ignore[arg-type]


def fault(mutant: Mutant, project: Path = PROJECT) -> str | None:
    """Say why an entry cannot be used; None where it can."""
    path = project / mutant.file
    count = path.read_text(encoding="utf-8").count(mutant.find) if path.is_file() and mutant.find else 0
    if count != 1:
        return f"its `find` occurs {count} times in {mutant.file}"
    if mutant.find == mutant.replace:
        return "its `replace` changes nothing"
    if path.suffix == ".py":
        try:
            compile(broken(mutant, project), mutant.file, "exec")
        except SyntaxError as error:
            return f"the broken file is no Python: {error}"
    return None if mutant.tests else "it names no test"


def broken(mutant: Mutant, project: Path) -> str:
    """Return the text of the file with the mistake in it."""
    return (project / mutant.file).read_text(encoding="utf-8").replace(mutant.find, mutant.replace)


def copy_tree(target: Path) -> Path:
    """Copy what git tracks or would track; links become files, so that nothing outside the copy can be written."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    return target


def run_tests(tree: Path, tests: Sequence[str], *options: str, limit_s: float | None = None) -> tuple[int, list[str]]:
    """Run tests in a copy; return pytest's exit code and what went wrong: `failure: message`, `error: message`.

    Raises
    ------
    TimeoutError
        They ran longer than allowed.
    """
    report = tree / "junit.xml"
    report.unlink(missing_ok=True)
    quiet = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")  # of IMPORTED_ONCE
    arguments = [*quiet, f"--junitxml={report}", *options, *tests]
    process = FORKS.Process(target=_pytest, args=(tree, arguments))
    process.start()
    process.join(limit_s)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError
    cases = ElementTree.parse(report).iter("testcase") if report.is_file() else ()  # noqa: S314 - our own
    troubles = [part for case in cases for part in case if part.tag in ("failure", "error")]
    return process.exitcode, [f"{part.tag}: {part.get('message', '')}" for part in troubles]


def _pytest(tree: Path, arguments: Sequence[str]) -> None:
    """Be pytest in a copy of the tree; runs in a process of its own."""
    with (tree / "output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[0] = str(tree)
    import pytest

    sys.exit(pytest.main(list(arguments)))


def try_mutant(mutant: Mutant, tree: Path) -> str:
    """Break the copy, run the tests named, mend the copy, and say how it went."""
    path = tree / mutant.file
    whole = path.read_bytes()
    _write(path, broken(mutant, tree).encode())
    try:
        code, troubles = run_tests(tree, mutant.tests, "-x", limit_s=LIMIT_S)
    except TimeoutError:
        return f"{NOT_BY_ITSELF}: more than {LIMIT_S:g} s"
    finally:
        _write(path, whole)
    if code == 0:
        return SURVIVED
    return verdict(code, troubles)


def _write(path: Path, content: bytes) -> None:
    """Write a file with a second of its own: compiled files tell versions apart by size and second only."""
    path.write_bytes(content)
    second = next(SECONDS)
    os.utime(path, (second, second))


def verdict(code: int, troubles: Sequence[str]) -> str:
    """Tell a test that failed in its body from one that could not run.

    What is found on teardown beside a failure, such as errors of threads, does not count against it.
    """
    failed = [text.removeprefix("failure: ") for text in troubles if text.startswith("failure: ")]
    others = [text for text in troubles if not text.startswith(("failure: ", "error: failed on teardown"))]
    if code == 1 and failed and not failed[0].startswith(NOT_IMPORTABLE) and not others:
        return KILLED
    return f"{NOT_BY_ITSELF}: exit code {code}, {'; '.join(troubles) or 'no test failed'}"[:300]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", metavar="PATTERN", default="", help="regular expression on list, sentence and file")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="copies at work beside each other")
    arguments = parser.parse_args()
    mutants = [m for m in read_mutants() if re.search(arguments.only, f"{m.source}: {m.what} {m.file}")]
    if found := [f"{m.source}: {m.what}: {why}" for m in mutants if (why := fault(m))]:
        print("\n".join(found))
        return 1
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    FORKS.set_forkserver_preload(IMPORTED_ONCE)
    with tempfile.TemporaryDirectory(prefix="asd-mutants-") as place:
        return _run_all(mutants, [copy_tree(Path(place, str(number))) for number in range(arguments.jobs)])


def _run_all(mutants: Sequence[Mutant], trees: Sequence[Path]) -> int:
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    print(f"{len(mutants)} mutants; first their {len(tests)} tests on the code as it is", flush=True)
    code, troubles = run_tests(trees[0], tests)
    if code != 0:
        print("\n".join(["the tests must pass before anything is broken:", *troubles]))
        print((trees[0] / "output.txt").read_text()[-3000:])
        return 1
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def one(mutant: Mutant) -> str:
        tree, start = free.get(), time.monotonic()
        try:
            result = try_mutant(mutant, tree)
        finally:
            free.put(tree)
        print(f"{result:8}  {time.monotonic() - start:5.1f} s  {mutant.source}: {mutant.what}", flush=True)
        return result.split(":")[0]

    with ThreadPoolExecutor(len(trees)) as pool:
        counts = Counter(pool.map(one, mutants))
    print(", ".join(f"{n} {result}" for result, n in counts.items()))
    return 0 if counts[KILLED] == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
