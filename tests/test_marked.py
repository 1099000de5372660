"""Clips whose verdict was marked wrong."""

from __future__ import annotations

import json
import shutil

import pytest
from sounds import hum

from asd_core.audio.reading import read_waveform
from asd_core.data.indexing import index_clips
from asd_core.data.marked import mark, marked_dir, marked_label
from asd_core.errors import UsageError
from asd_core.system.disk import MIN_FREE_BYTES


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))


def test_a_marked_clip_becomes_training_data_with_its_label():
    clip = hum(1)
    path = mark(clip, "normal", shown_name="pump\n1.wav")
    assert marked_label(clip.digest) == "normal"
    assert read_waveform(path).samples.shape == clip.samples.shape
    index = index_clips(marked_dir())
    assert [(c.label, c.split) for c in index.clips] == [("normal", "train")]
    entry = json.loads((marked_dir() / "marked.jsonl").read_text())
    assert (entry["digest"], entry["label"]) == (clip.digest, "normal")


def test_marking_again_replaces_the_label():
    clip = hum(2)
    mark(clip, "normal")
    mark(clip, "anomalous")
    assert marked_label(clip.digest) == "anomalous"
    assert not list((marked_dir() / "normal").iterdir())


def test_a_full_disk_refuses_marks(monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: real(place)._replace(free=MIN_FREE_BYTES))
    with pytest.raises(UsageError, match="do not fit"):
        mark(hum(4), "normal")
    assert not marked_dir().exists()


def test_another_label_or_a_clip_without_digest_is_refused():
    with pytest.raises(UsageError, match="normal or anomalous"):
        mark(hum(3), "strange")
    assert marked_label("") is None
