"""JSON that nobody vouches for: however deep it is nested, its reader refuses it in its own way."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path

import pytest
from sounds import PROJECT

from asd_core.artifacts.arrays import parse_safetensors
from asd_core.artifacts.manifest import parse_manifest
from asd_core.audio import messages
from asd_core.data import survey, table
from asd_core.data.simulated.record import MARKER_NAME, read_simulated
from asd_core.data.uploads import upload_names
from asd_core.errors import ArtifactError, DataSetError, EncoderUnavailableError
from asd_core.features import cache as feature_cache
from asd_core.features.encoders import weights
from asd_core.jobs import table as job_table
from asd_core.system.files import MAX_JSON_DEPTH, parse_json
from pages.parts.train import sweep as train_sweep

PYTHONS_LIMIT = 20_000
"""Lists inside one another that Python's own reader cannot read."""


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


DEPTHS = pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 1, 500, PYTHONS_LIMIT])


@DEPTHS
@pytest.mark.parametrize("form", ["[%s]", '{"a": %s, "b": 1}', '[1, {"a": [%s]}]'])
def test_deep_lists_and_objects_are_no_json(depth, form):
    with pytest.raises(ValueError, match=f"at most {MAX_JSON_DEPTH} deep"):
        parse_json(form % nested(depth).decode())


def test_what_is_just_not_too_deep_is_read():
    text = nested(MAX_JSON_DEPTH).decode()
    assert parse_json(text) == json.loads(text)


def test_the_width_of_a_document_is_no_depth():
    wide = {str(number): [number] for number in range(10_000)}
    assert parse_json(json.dumps(wide).encode()) == wide


@pytest.mark.parametrize("content", [b"hunter2", b'["hunter2', b'["hunter2 \xff"]', b'{"a": hunter2}'])
def test_no_content_is_shown_where_json_is_refused(content):
    with pytest.raises(ValueError, match=r"UTF-8|line 1") as refusal:
        parse_json(content)
    assert "hunter2" not in str(refusal.value)
    assert "0xff" not in str(refusal.value)


def header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


@DEPTHS
def test_a_deep_manifest_or_header_is_a_damaged_detector(depth):
    with pytest.raises(ArtifactError, match="not valid JSON"):
        parse_manifest(nested(depth), Path("folder"))
    with pytest.raises(ArtifactError, match="damaged"):
        parse_safetensors(header(b'{"a": %s}' % nested(depth)), spec_names=None)


@DEPTHS
def test_a_deep_marker_or_record_is_refused_by_name(depth, tmp_path):
    (tmp_path / MARKER_NAME).write_bytes(nested(depth))
    with pytest.raises(DataSetError, match="cannot be read"):
        read_simulated(tmp_path)
    with pytest.raises(EncoderUnavailableError, match="is damaged"):
        weights._parsed(nested(depth), tmp_path)


@DEPTHS
def test_a_deep_answer_of_the_decoder_ends_it(depth):
    answer = struct.pack("<I", 2 * depth) + nested(depth)
    with pytest.raises(ValueError, match="deep"):
        messages.read_answer(io.BytesIO(answer))


@DEPTHS
def test_deep_files_of_the_data_folder_count_as_damaged(depth, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    content = nested(depth)
    (tmp_path / "library.json").write_bytes(content)
    assert "deep" in str(table.read_library().fault)
    (tmp_path / "names.json").write_bytes(content)
    found = upload_names(table.KnownSet("a", tmp_path, "recordings", "", {}))
    assert (dict(found.names), len(found.faults)) == ({}, 1)
    assert survey._read_survey(tmp_path / "names.json") is None
    assert train_sweep._read(tmp_path / "names.json") is None
    assert feature_cache._parse_outcome(content) is None


@DEPTHS
def test_a_deep_job_has_failed_and_a_deep_line_of_its_progress_is_passed_over(depth, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    run = job_table.runs_dir() / "20260131T120000000000Z-0a1b2c3d"
    run.mkdir(parents=True)
    (run / job_table.JOB).write_bytes(nested(depth))
    (run / job_table.PROGRESS).write_bytes(nested(depth) + b"\n")
    job = job_table.read_job(run)
    assert (job.status.state, "damaged" in str(job.status.error)) == ("failed", True)
    assert job_table.progress(job) == []


def test_json_is_read_by_one_function():
    sources = [*(PROJECT / "asd_core").rglob("*.py"), *(PROJECT / "pages").rglob("*.py"), PROJECT / "app.py"]
    reading = {
        path.relative_to(PROJECT).as_posix() for path in sources if re.search(r"json\.loads?\(", path.read_text())
    }
    runs_elsewhere = "asd_core/tasks/exported/score.py"
    assert reading == {"asd_core/system/files.py", runs_elsewhere}
