"""Long recordings in segments: where they start and end, resampling in pieces, limits, memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
import soxr
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio import segments as recording
from asd_core.audio.reading import read_waveform
from asd_core.audio.segments import segments
from asd_core.cli import main
from asd_core.errors import AudioError, UsageError
from asd_core.tasks.score import score_clips, score_segments
from asd_core.types import SR

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
LSTM = MODEL.with_name("lstm_predictor")


def write(path, seconds, *, sr=SR, channels=1, seed=0, subtype="FLOAT"):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * sr), channels)).astype(np.float32)
    sf.write(path, samples, sr, subtype=subtype)
    return samples


def spans(path, **options):
    return [(s.start_s, s.end_s, s.is_whole) for s in segments(path, **options)]


@pytest.mark.parametrize(
    ("seconds", "segment_s", "hop_s", "expected"),
    [
        (3.0, 1.0, 1.0, [(0, 1, True), (1, 2, True), (2, 3, True)]),
        (3.3, 1.0, 1.0, [(0, 1, True), (1, 2, True), (2, 3, True), (3, 3.3, False)]),
        (3.0, 2.0, 1.0, [(0, 2, True), (1, 3, True)]),
        (3.3, 2.0, 0.5, [(0, 2, True), (0.5, 2.5, True), (1, 3, True), (1.5, 3.3, False)]),
        (0.7, 2.0, 1.0, [(0, 0.7, False)]),
        (6.0, 1.0, 2.5, [(0, 1, True), (2.5, 3.5, True), (5, 6, True)]),
        (5.5, 1.0, 2.5, [(0, 1, True), (2.5, 3.5, True), (5, 5.5, False)]),
    ],
)
def test_segments_start_at_each_hop_and_the_last_one_ends_with_the_recording(
    tmp_path, seconds, segment_s, hop_s, expected
):
    write(tmp_path / "a.wav", seconds)
    found = spans(tmp_path / "a.wav", segment_s=segment_s, hop_s=hop_s)
    assert [end for _, end, _ in found] == pytest.approx([end for _, end, _ in expected])
    assert [(start, whole) for start, _, whole in found] == [(start, whole) for start, _, whole in expected]


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_segments_samples_are_those_of_the_file(tmp_path, name):
    write(tmp_path / name, 20.0, subtype="PCM_16")
    whole = read_waveform(tmp_path / name).samples
    for segment in segments(tmp_path / name, segment_s=2.0, hop_s=1.5):
        start = round(segment.start_s * SR)
        assert np.array_equal(segment.waveform.samples, whole[start : start + len(segment.waveform.samples)])


@pytest.mark.parametrize("sr", [8000, 22_050, 44_100, 48_000])
def test_resampling_in_pieces_equals_resampling_the_whole(tmp_path, sr):
    samples = write(tmp_path / "a.wav", 9.7, sr=sr, channels=2)
    whole = soxr.resample(samples.mean(axis=1), sr, SR)
    pieces = [s.waveform.samples for s in segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0)]
    joined = np.concatenate(pieces)
    assert len(joined) == len(whole)
    assert np.abs(joined - whole).max() < 1e-5


def test_a_channel_can_be_chosen(tmp_path):
    samples = write(tmp_path / "a.wav", 1.0, channels=2)
    segment = next(segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0, channel=1))
    assert np.array_equal(segment.waveform.samples, samples[:, 1])
    with pytest.raises(AudioError, match="channel must be 0"):
        next(segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0, channel=2))


def test_recordings_beyond_the_clip_reader_are_taken_and_those_beyond_a_day_are_not(tmp_path, monkeypatch):
    path = tmp_path / "long.flac"
    with sf.SoundFile(path, "w", 8000, 1, subtype="PCM_16") as sound:
        for _ in range(11):
            sound.write(np.zeros(60 * 8000, dtype=np.int16))
    with pytest.raises(AudioError, match="at most 600 s"):
        read_waveform(path)
    assert sum(1 for _ in segments(path, segment_s=60.0, hop_s=60.0)) == 11
    monkeypatch.setattr(recording, "MAX_RECORDING_S", 659)
    with pytest.raises(AudioError, match="at most 659 s"):
        next(segments(path, segment_s=60.0, hop_s=60.0))
    monkeypatch.setattr(recording, "MAX_RECORDING_BYTES", 100)
    with pytest.raises(AudioError, match="at most 100 bytes"):
        next(segments(path, segment_s=60.0, hop_s=60.0))


def test_the_readers_other_rules_hold(tmp_path):
    write(tmp_path / "good.wav", 1.0)
    (tmp_path / "link.wav").symlink_to(tmp_path / "good.wav")
    (tmp_path / "text.wav").write_text("no sound at all, but more than 44 bytes of it, or so it is hoped")
    write(tmp_path / "many.wav", 1.0, channels=9)
    sf.write(tmp_path / "loud.wav", np.full(SR, 17.0, dtype=np.float32), SR, subtype="FLOAT")
    codes = {}
    for name in ("link", "text", "many", "loud"):
        with pytest.raises(AudioError) as refused:
            list(segments(tmp_path / f"{name}.wav", segment_s=1.0, hop_s=1.0))
        codes[name] = refused.value.code
    assert codes == {"link": "not_file", "text": "magic", "many": "channels", "loud": "range"}


def test_a_truncated_file_says_so_once(tmp_path):
    write(tmp_path / "a.wav", 3.0)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[: len(content) - 8000])
    found = [s.waveform.warnings for s in segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0)]
    assert [any("truncated" in line for line in lines) for lines in found] == [True, False, False]


def test_a_silent_stretch_is_marked_where_it_lies(tmp_path):
    samples = hum(1, seconds=3.0).samples.copy()
    samples[SR : 2 * SR] = 0
    sf.write(tmp_path / "a.wav", samples, SR)
    found = [s.waveform.warnings for s in segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0)]
    assert [any("silent" in line for line in lines) for lines in found] == [False, True, False]


@pytest.mark.parametrize(
    "options", [{"segment_s": 0.1, "hop_s": 1}, {"segment_s": 1, "hop_s": 0}, {"segment_s": float("nan"), "hop_s": 1}]
)
def test_lengths_out_of_range_are_refused(tmp_path, options):
    write(tmp_path / "a.wav", 1.0)
    with pytest.raises(UsageError, match="segments must"):
        list(segments(tmp_path / "a.wav", **options))


def test_a_segment_of_a_clips_length_scores_as_the_clip(tmp_path):
    sf.write(tmp_path / "a.wav", hum(1, seconds=10.0).samples, SR)
    clip = score_clips([tmp_path / "a.wav"], [MODEL])[0]
    (segment,) = score_segments([tmp_path / "a.wav"], [MODEL], segment_s=10.0, hop_s=5.0)
    assert segment.anomaly_score == pytest.approx(clip.anomaly_score, rel=1e-9)
    assert (segment.start_s, segment.end_s, segment.status) == (0.0, 10.0, clip.status)


def test_an_end_too_short_for_the_detector_is_left_out_and_a_longer_one_warned_of(tmp_path):
    n_least = open_artifact(LSTM).detector().min_samples
    samples = hum(1, seconds=5.0).samples
    sf.write(tmp_path / "short.wav", samples[: 4 * SR + n_least - 1], SR)
    sf.write(tmp_path / "enough.wav", samples[: 4 * SR + n_least], SR)
    rows = score_segments([tmp_path], [LSTM], segment_s=2.0, hop_s=2.0)
    assert [row.start_s for row in rows if row.path.endswith("short.wav")] == [0.0, 2.0]
    (last,) = [row for row in rows if row.start_s == 4.0]
    assert last.status == "warning"
    assert "partial: " in last.reason
    assert last.anomaly_score is not None


def test_damage_in_the_middle_keeps_the_rows_before_it(tmp_path):
    samples = hum(1, seconds=30.0).samples.copy()
    samples[20 * SR + 100] = np.nan
    sf.write(tmp_path / "a.wav", samples, SR, subtype="FLOAT")
    rows = score_segments([tmp_path / "a.wav"], [MODEL], segment_s=5.0, hop_s=5.0)
    assert rows[-1].status == "refused"
    assert rows[-1].reason.startswith("nonfinite: ")
    assert (rows[-1].start_s, rows[-1].end_s) == (rows[-2].end_s, None)
    assert len(rows) >= 3
    assert all(row.anomaly_score is not None for row in rows[:-1])


def test_the_command_appends_start_and_end_to_its_columns(tmp_path, capsys):
    sf.write(tmp_path / "a.wav", hum(1, seconds=7.0).samples, SR)
    (tmp_path / "b.wav").write_bytes(b"no sound" * 20)
    out, report = tmp_path / "rows.csv", tmp_path / "rows.json"
    arguments = ["score", tmp_path, "--model", MODEL, "--segment", "4", "--hop", "2", "--csv", out, "--json", report]
    assert main(list(map(str, arguments))) == 3
    lines = out.read_text().splitlines()
    assert lines[0] == "path,model,encoder,status,reason,anomaly_score,threshold,verdict,start_s,end_s,simulated"
    assert [line.rpartition("normal,")[2].rpartition("anomalous,")[2] for line in lines[1:4]] == [
        "0.0,4.0,true",
        "2.0,6.0,true",
        "4.0,7.0,true",
    ]
    assert lines[-1].endswith(",,,,0.0,,true")
    assert '"hop_s": 2.0' in report.read_text()
    assert "b.wav: name another file" in capsys.readouterr().err


def test_a_hop_without_a_segment_is_wrong_usage(tmp_path, capsys):
    write(tmp_path / "a.wav", 1.0)
    assert main(["score", str(tmp_path / "a.wav"), "--model", str(MODEL), "--hop", "2"]) == 2
    assert "--hop goes with --segment" in capsys.readouterr().err


MEMORY = """
import resource, sys
from pathlib import Path
from asd_core.tasks.score import score_segments
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
short, long, model = map(Path, sys.argv[1:])
score_segments([short], [model], segment_s=10.0, hop_s=10.0)
before = peak()
rows = score_segments([long], [model], segment_s=10.0, hop_s=10.0)
print(len(rows), round(peak() - before))
"""


def test_half_an_hour_takes_no_more_memory_than_half_a_minute(tmp_path):
    rng = np.random.default_rng(0)
    for name, minutes in (("short.wav", 0.5), ("long.wav", 30)):
        with sf.SoundFile(tmp_path / name, "w", 32_000, 1, subtype="PCM_16") as sound:
            for _ in range(round(2 * minutes)):
                sound.write(0.1 * rng.standard_normal(30 * 32_000).astype(np.float32))
    assert (tmp_path / "long.wav").stat().st_size > 100e6
    paths = [str(tmp_path / "short.wav"), str(tmp_path / "long.wav"), str(MODEL)]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *paths], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    n_rows, grown_mb = map(int, done.stdout.split())
    assert n_rows == 180
    assert grown_mb < 40
