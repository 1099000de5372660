"""Sounds and paths that several test files use."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pytest
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


def pytest_collection_finish():
    """Let Streamlit look for components in all installed packages once, not for every AppTest: it takes most of one."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


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
