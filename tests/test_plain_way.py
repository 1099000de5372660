"""The plain way that scoring is measured against gives the same scores, detector by detector."""

from __future__ import annotations

import pytest
import soundfile as sf
from sounds import hum

from benchmarks import scale


@pytest.mark.filterwarnings("ignore:.*is deprecated and slated for removal:DeprecationWarning")  # by librosa.load
def test_the_plain_way_scores_a_folder_with_every_detector_like_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    clips = tmp_path / "clips"
    clips.mkdir()
    sf.write(clips / "a.wav", hum(3).samples, 16000, subtype="PCM_16")
    scale.score(clips, scale.DETECTORS, "--csv", tmp_path / "ours.csv")
    scale.plain_way(clips, tmp_path / "theirs.csv")
    scale.check_equal(tmp_path / "ours.csv", tmp_path / "theirs.csv")
    assert (tmp_path / "theirs.csv").read_text().count("\n") == 1 + len(scale.DETECTORS) > 3
