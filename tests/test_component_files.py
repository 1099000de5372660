"""The files that the dashboard's own components are made of: HTML, CSS and JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import import_module

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from pages.shared import components
from pages.shared.components import browser_script

COMPONENTS = PROJECT / "pages" / "shared" / "components"
SCRIPTS = tuple(sorted(path.with_suffix(".js").name for path in COMPONENTS.glob("*.html")))
TESTS = sorted((PROJECT / "tests" / "javascript").glob("*.test.js"))
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed: JavaScript was not run")


def node(*arguments, text=None):
    return subprocess.run([NODE, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


@needs_node
def test_the_arithmetic_of_the_browser_is_right():
    done = node("--test", "--test-reporter=tap", *map(str, TESTS))
    counts = {name: int(count) for name, count in re.findall(r"^# (pass|fail) (\d+)$", done.stdout, re.MULTILINE)}
    written = sum(len(re.findall(r"^test\(", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in TESTS)
    assert counts == {"pass": written, "fail": 0}, done.stdout + done.stderr
    assert written > 0
    assert done.returncode == 0


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_browser_gets_one_module_that_imports_nothing(script):
    text = browser_script(script)
    assert not re.search(r"^\s*import\b|\bfrom \"\./", text, re.MULTILINE)
    assert text.count("export default ") == 1


@pytest.mark.parametrize(
    ("script", "parts"),
    [
        (
            "player.js",
            [
                "band.js",
                "elements.js",
                "loop.js",
                "one_sound.js",
                "timeline.js",
                "regions.js",
                "panels.js",
                "player.js",
            ],
        ),
        (
            "hero.js",
            ["elements.js", "moments.js", "numbers.js", "one_sound.js", "timeline.js", "hero.js"],
        ),
        ("play_list.js", ["elements.js", "keys.js", "listed.js", "one_sound.js", "timeline.js", "play_list.js"]),
        ("lanes.js", ["elements.js", "hearing.js", "numbers.js", "one_sound.js", "timeline.js", "lanes.js"]),
        (
            "cockpit.js",
            ["decisions.js", "numbers.js", "elements.js", "cockpit_flips.js", "cockpit_view.js", "cockpit.js"],
        ),
    ],
)
def test_what_a_script_needs_comes_once_and_before_it(script, parts):
    text = browser_script(script)
    headings = [
        (PROJECT / "pages/shared/components" / part).read_text(encoding="utf-8").split("\n")[0] for part in parts
    ]
    assert [text.count(heading) for heading in headings] == [1] * len(parts)
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)


@needs_node
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_module_has_no_name_twice_and_loads_outside_a_page(script, tmp_path):
    module = tmp_path / "module.mjs"
    module.write_text(browser_script(script), encoding="utf-8")
    done = node("--check", str(module))
    assert done.returncode == 0, done.stderr
    loaded = node("--input-type=module", text=f"console.log(typeof (await import('{module.as_uri()}')).default)")
    assert loaded.stdout.strip() == "function", loaded.stderr


def both_components():
    from pages.shared.components.play_list import ListedSound, play_list
    from pages.shared.components.player import synced_player

    synced_player(clip="a", title="a.wav", wav=b"", duration_s=1.0, panels=[], key="player")
    play_list([ListedSound(id="a", title="A", sound=lambda: None)], key="list")


def test_no_page_reads_the_files_again(monkeypatch):
    for name in ("player", "play_list"):
        import_module(f"pages.shared.components.{name}")
    read = []
    monkeypatch.setattr(components, "_read", lambda file: read.append(file) or "\n")
    app = AppTest.from_function(both_components, default_timeout=30)
    for _ in range(2):
        assert not app.run().exception
    assert len(app.get("bidi_component")) == 2
    assert read == []


def test_the_tools_of_the_check_are_pinned_and_the_lock_names_no_host_to_fetch_them_from():
    wanted = json.loads((PROJECT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    packages = [package for path, package in locked.items() if path]
    assert all("integrity" in package and "resolved" not in package for package in packages)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("npm", "said"), [("npm", "biome check"), ("", "skipped: the check of JavaScript")])
def test_make_check_reads_the_javascript_or_says_that_it_was_skipped(npm, said):
    steps = subprocess.run(
        ["make", "--dry-run", "check", f"NPM={npm}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert [part for part in ("biome check", "skipped: the check of JavaScript") if part in steps.stdout] == [said]
