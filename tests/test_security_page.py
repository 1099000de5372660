"""What SECURITY.md shows is what the program knows."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import streamlit
from sounds import PROJECT

from asd_core.audio import compressed, decoding_child, kinds, reading, riff, sandbox, segments

PAGE = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
SERVER = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["server"]
NGINX, CADDY, UNIT = (
    re.search(rf"```{name}\n(.*?)```", PAGE, re.DOTALL)[1] for name in ("nginx", "caddyfile", "ini")
)  # fmt: skip


@pytest.mark.parametrize("example", [NGINX, CADDY], ids=["nginx", "caddy"])
def test_a_proxy_example_sets_all_headers_asks_for_a_login_and_lets_uploads_pass(example):
    for header in ("X-Frame-Options DENY", "X-Content-Type-Options nosniff", "Strict-Transport-Security"):
        assert header in example
    assert re.search(r"auth_?_?basic|basic_auth", example)
    assert int(re.search(r"(?:client_max_body_size|max_size) (\d+)", example)[1]) > SERVER["maxUploadSize"]
    assert f"127.0.0.1:{SERVER.get('port', 8501)}" in example


def test_both_examples_have_one_policy_that_allows_no_inline_script_but_streamlits_own():
    (policy,) = {*re.findall(r'Content-Security-Policy "([^"]*)"', PAGE)}
    assert len(re.findall(r"Content-Security-Policy \"", PAGE)) == 2
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    (inline,) = re.findall(r"<script(?![^>]*src)[^>]*>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert rules["script-src"] == f"'self' 'sha256-{digest}' blob:"
    assert (rules["default-src"], rules["frame-ancestors"], rules["object-src"]) == ("'self'", "'none'", "'none'")


def test_the_websocket_passes_nginx():
    for line in ("proxy_http_version 1.1", "Upgrade $http_upgrade", 'Connection "upgrade"', "Host $host"):
        assert line in NGINX


def test_the_variables_it_names_are_those_that_the_program_reads():
    sources = [PROJECT / "app.py", *(PROJECT / "asd_core").rglob("*.py"), *(PROJECT / "pages").rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"\"(ASD_[A-Z_]+)\"", path.read_text(encoding="utf-8"))}
    assert set(re.findall(r"`(ASD_[A-Z_]+)`", PAGE)) == read


def test_the_unit_starts_what_make_app_starts_and_lets_it_write_its_data_alone():
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    recipe = re.search(r"^app:.*\n\t\$\(BIN\)(.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[
        1
    ]
    assert unit["ExecStart"] == f"{unit['WorkingDirectory']}/.venv/bin{recipe} --server.headless true"
    named = dict(part.split("=", 1) for part in unit["Environment"].split())
    assert {Path(named[name]) for name in ("ASD_DATA_DIR", "ASD_ARTIFACTS_DIR")} == {
        Path(unit["ReadWritePaths"]),
        Path(unit["ReadWritePaths"]) / "artifacts",
    }
    assert (unit["ProtectSystem"], unit["NoNewPrivileges"]) == ("strict", "true")
    assert unit["User"] != "root"


def test_the_limits_of_the_decoding_child_are_those_that_it_has():
    text = " ".join(PAGE.split())
    assert f"{sandbox.MEMORY_BYTES >> 20} MiB of memory beyond its start" in text
    assert f"{sandbox.SECONDS:g} s of wall-clock and processor time" in text
    assert f"{decoding_child.MAX_OPEN_FILES} open files" in text
    assert f"{reading.MAX_UPLOAD_BYTES >> 20} MB per upload, {reading.MAX_FILE_BYTES >> 20} MiB per file" in text
    assert f"{reading.MAX_DURATION_S} s (" in text
    assert f"{segments.MAX_RECORDING_S // 3600} h and {segments.MAX_RECORDING_BYTES >> 30} GiB" in text
    assert f"{riff.MAX_CHANNELS} channels, or {riff.MAX_CHANNELS_OF_WHICH_ONE} where one" in text


def test_the_formats_it_names_are_those_that_are_decoded():
    (row,) = re.findall(r"^\| \| (WAV.*)$", PAGE, re.MULTILINE)
    for name in ("MP3", "M4A", "MP4", "AAC", "Ogg", "WebM", "AIFF", "AMR", "WMA", "ADPCM", "GSM 6.10", "G.726"):
        assert name in row
    demuxers = {kind.demuxer for kind in kinds.KINDS}
    assert f"allows {len(demuxers)} demuxers" in PAGE
    assert demuxers <= set(compressed.DEMUXERS.split(","))
