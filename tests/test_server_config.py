"""The settings that the server really runs with, defaults and `.streamlit/config.toml` together."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from sounds import PROJECT

from asd_core.audio.reading import MAX_UPLOAD_BYTES

ASKED = {
    "server.address": "127.0.0.1",
    "server.maxUploadSize": 32,
    "server.maxMessageSize": 50,
    "server.fileWatcherType": "none",
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "client.showErrorDetails": "none",
    "runner.magicEnabled": False,
    "browser.gatherUsageStats": False,
}
SCRIPT = """
import json, sys
from streamlit import config
config.get_config_options(force_reparse=True)
print(json.dumps({name: config.get_option(name) for name in json.loads(sys.argv[1])}))
"""


@pytest.fixture(scope="module")
def effective(tmp_path_factory) -> dict[str, object]:
    """Options as Streamlit reads them in the project's folder, without the user's own settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    env["HOME"] = str(tmp_path_factory.mktemp("home"))
    command = [sys.executable, "-c", SCRIPT, json.dumps(list(ASKED))]
    ended = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ASKED)
def test_the_server_runs_with_the_safe_setting(effective, name):
    assert effective[name] == ASKED[name]


def test_the_server_takes_no_larger_file_than_the_pages(effective):
    assert effective["server.maxUploadSize"] * 2**20 == MAX_UPLOAD_BYTES
