"""Sounds and paths that several test files use."""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from pathlib import Path

import pytest
from long_files import place_of, slowest
from made_once import copied
from sounds import SHARED

MAIN_MODULE = sys.modules["__main__"]


@pytest.fixture(autouse=True, scope="session")
def own_data_dir(tmp_path_factory):
    """Keep generated files of the tests away from the user's."""
    before = os.environ.get("ASD_DATA_DIR")
    os.environ["ASD_DATA_DIR"] = str(tmp_path_factory.mktemp("asd_data"))
    yield Path(os.environ["ASD_DATA_DIR"])
    os.environ.pop("ASD_DATA_DIR")
    if before is not None:
        os.environ["ASD_DATA_DIR"] = before


@pytest.fixture(autouse=True, scope="session")
def no_feature_cache():
    """Tests that replace readers or features must not meet what others have kept."""
    before = os.environ.get("ASD_CACHE_MB")
    os.environ["ASD_CACHE_MB"] = "0"
    yield
    os.environ.pop("ASD_CACHE_MB")
    if before is not None:
        os.environ["ASD_CACHE_MB"] = before


@pytest.fixture(autouse=True, scope="session")
def embedded_clips_made_once(own_data_dir):
    """Let every test process and data folder copy the clips of the embedded data sets, which are simulated once."""
    from asd_core.data.simulated import bench, long_recordings

    with pytest.MonkeyPatch.context() as patch:
        for module in (bench, long_recordings):
            patch.setattr(module, "write_simulated", partial(copied, module.write_simulated))
        yield


@pytest.fixture(autouse=True)
def own_main_module():
    """Streamlit puts the script that it runs in place of `__main__`, and spawned processes would run it, too."""
    sys.modules["__main__"] = MAIN_MODULE


@pytest.fixture(scope="session")
def real_clips():
    """Folder of the real DCASE clips."""
    folder = SHARED / "data" / "dcase_layout" / "dev_data"
    if not folder.is_dir():
        pytest.skip("the real DCASE clips are not here (../shared/data)")
    return folder


def pytest_addoption(parser):
    parser.addoption("--slowest-files", type=int, default=0, metavar="N", help="list the N files that took longest")


def pytest_collection_modifyitems(items):
    """Put the long files first; `--no-loadscope-reorder` keeps them there."""
    items.sort(key=lambda item: place_of(item.path.name))


def pytest_terminal_summary(terminalreporter, config):
    """List where the time goes: what has become slow is seen before the whole has."""
    n_files = config.getoption("--slowest-files")
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "duration")]
    if n_files and reports:
        title, *lines = slowest((report.nodeid, report.duration) for report in reports)[: n_files + 1]
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)


def pytest_collection_finish():
    """Let Streamlit look for components in all installed packages once, not for every AppTest: it takes most of one."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
        keep_buttons()


def keep_buttons():
    """Let AppTest treat pages as `st.navigation` has them: else the first click of each run is lost."""
    from streamlit.runtime.pages_manager import PagesManager

    made = PagesManager.__init__

    def without_folder(self, *args, **kwargs):
        made(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    PagesManager.__init__ = without_folder


def pytest_deselected(items):
    """`make package` must not pass without one of its tests."""
    left_out = [item.nodeid for item in items if item.get_closest_marker("package")]
    if left_out and items[0].config.option.markexpr == "package":
        raise pytest.UsageError(f"-m package runs all of its tests, deselected: {', '.join(left_out)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Names that are not UTF-8 may be logged, but a report with them cannot travel between processes."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
