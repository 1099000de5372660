"""Clips keep the names that their owners gave them: stored by digest, shown and found by name, folder and time."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data import library, marked
from asd_core.data.clips import Clip
from asd_core.data.data_set import readable
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.names import ClipNames, known_time, owner_name, read_names, recorded_time, told_apart
from asd_core.data.quotas import Quota, Upload
from asd_core.data.recordings import assign_folds, find_recordings, natural_key
from asd_core.data.uploads import store_uploads, upload_names
from asd_core.errors import ArtifactError
from asd_core.evaluation.imported import rescore
from asd_core.evaluation.scores import ScoredClip, Scores, format_scores, parse_scores
from asd_core.reports.html import write_report
from asd_core.tasks.train import TrainingRequest, train
from pages.parts.check.examples import NAME_LETTERS
from pages.shared.sources import clip_title

MONDAY = "2026-11-02_10-00-00"


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def wav(seed: int, *, knocks: int = 0, seconds: float = 1.0) -> bytes:
    return encode_wav(hum(seed, seconds=seconds, knocks=knocks).samples)


def sent(*names: str, first: int = 0) -> list[Upload]:
    return [Upload(name, wav(first + number)) for number, name in enumerate(names)]


def uploaded(name: str, uploads: list[Upload], **place: str) -> tuple[Clip, ...]:
    """The clips of a data set after an upload to it."""
    known = store_uploads(name, uploads, used=Quota(), **place).known
    return library.open_known(known, known.name).index.clips


def by_name(clips) -> dict[str, Clip]:
    return {clip.shown: clip for clip in clips}


# What a clip is called


def test_an_uploaded_clip_is_stored_by_its_digest_and_bears_its_owners_name(home):
    (clip,) = uploaded("pump", sent("Pump room 3.wav"))
    assert clip.shown == "normal/Pump room 3.wav"
    assert clip.path.stem in clip.relative
    assert len(clip.path.stem) == 32
    assert clip.path.is_file()


def test_the_folder_that_a_file_was_uploaded_with_stays_in_its_name(home):
    clips = uploaded("pump", [*sent("monday/a.wav"), *sent("tuesday/a.wav", first=1)])
    assert {clip.shown for clip in clips} == {"normal/monday/a.wav", "normal/tuesday/a.wav"}


def test_equal_names_of_two_uploads_are_told_apart_in_the_order_they_came(home):
    uploaded("pump", sent("a.wav"))
    clips = uploaded("pump", sent("a.wav", "b.wav", first=10))
    again = uploaded("pump", sent("a.wav", first=20), kind="worn")
    assert set(by_name(clips)) == {"normal/a.wav", "normal/a (2).wav", "normal/b.wav"}
    assert set(by_name(again)) == {"normal/a.wav", "normal/a (2).wav", "normal/b.wav", "worn/a.wav"}
    first = by_name(again)["normal/a.wav"].path.read_bytes()
    assert first == wav(0)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.wav", "a.wav", "a.wav"], ["a.wav", "a (2).wav", "a (3).wav"]),
        (["a (2).wav", "a.wav", "a.wav"], ["a (2).wav", "a.wav", "a (3).wav"]),
        (["take", "take"], ["take", "take (2)"]),
        ([".wav", ".wav"], [".wav", ".wav (2)"]),
        (["v1.2/take", "v1.2/take"], ["v1.2/take", "v1.2/take (2)"]),
    ],
)
def test_names_that_come_again_are_numbered(names, told):
    found = told_apart({f"normal/{number}.wav": name for number, name in enumerate(names)})
    assert list(found.values()) == told


def test_ten_thousand_equal_names_are_told_apart_quickly():
    found = told_apart({f"normal/{number}.wav": "recording.wav" for number in range(10_000)})
    assert found["normal/9999.wav"] == "recording (10000).wav"
    assert len(set(found.values())) == 10_000


@pytest.mark.parametrize(
    ("sent_as", "shown"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/tmp/a.wav", "tmp/a.wav"),
        ("./day 1//a.wav", "day 1/a.wav"),
        ("..", ".."),
        ("a\nb.wav", "a\N{REPLACEMENT CHARACTER}b.wav"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_name_is_text_whose_folders_lead_nowhere_above(sent_as, shown):
    assert owner_name(sent_as) == shown


def test_a_file_of_names_in_a_folder_of_ones_own_renames_no_file_there(tmp_path):
    for number in range(2):
        (tmp_path / "pump" / "normal").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pump" / "normal" / f"{number}.wav").write_bytes(wav(number))
    line = json.dumps({"path": "normal/0.wav", "name": "normal/1.wav"})
    (tmp_path / "pump" / "names.jsonl").write_text(line + "\n")
    assert [clip.shown for clip in index_clips(tmp_path / "pump").clips] == ["normal/0.wav", "normal/1.wav"]


def test_a_marked_clip_bears_the_name_it_was_marked_under(home):
    path = marked.mark(replace(hum(1, seconds=1.0), digest="ab" * 32), "normal", shown_name="from the hall.wav")
    (clip,) = index_clips(marked.marked_dir()).clips
    assert (clip.path, clip.shown) == (path, "normal/from the hall.wav")


# Order


def test_runs_in_name_order_follow_the_owners_names_and_not_the_digests(home):
    names = [f"take {number}.wav" for number in range(1, 16)]
    indexed = uploaded("pump", sent(*names))
    assert [clip.shown for clip in indexed] == [f"normal/{name}" for name in names]
    clips = sorted(indexed, key=lambda clip: clip.relative)
    assert clips != list(indexed)
    recordings = find_recordings(clips, [None] * len(clips))
    runs: dict[str, list[str]] = {}
    for clip, label in sorted(zip(clips, recordings.labels, strict=True), key=lambda each: natural_key(each[0].shown)):
        runs.setdefault(label, []).append(clip.shown)
    assert list(runs.values())[:2] == [[f"normal/take {n}.wav" for n in run] for run in ((1, 2, 3), (4, 5, 6))]
    folds = assign_folds(clips, recordings, seed=0)
    assert {len({folds[row] for row, label in enumerate(recordings.labels) if label == run}) for run in runs} == {1}


def test_an_endless_number_in_a_name_is_sorted_as_text():
    assert sorted(["9" * 5000, "10", "9"], key=natural_key)[-2:] == ["9", "10"]


# When it was recorded


def bext(content: bytes, date: str, time: str) -> bytes:
    """The same WAV with a bext chunk of a field recorder before its end."""
    body = bytearray(602)
    body[320:330], body[330:338] = date.encode(), time.encode()
    content += b"bext" + struct.pack("<I", len(body)) + bytes(body)
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


def test_an_uploads_time_is_that_of_its_name_then_its_metadata_then_the_upload(home):
    began = datetime.now().replace(microsecond=0)
    field = bext(wav(2), "2024-05-01", "13:45:10")
    uploads = [Upload(f"{MONDAY}.wav", bext(wav(1), "2024-05-01", "13:45:10")), Upload("b.wav", field), *sent("c.wav")]
    known = store_uploads("pump", uploads, used=Quota()).known
    noted = {Path(path).name: time for path, time in upload_names(known).recorded.items()}
    clips = by_name(library.open_known(known, "pump").index.clips)
    found = {name: noted[clip.path.name] for name, clip in clips.items()}
    assert found[f"normal/{MONDAY}.wav"].text == "recorded 2026-11-02 10:00:00, as its name says"
    assert found["normal/b.wav"].text == "recorded 2024-05-01 13:45:10, as its metadata say"
    assert found["normal/c.wav"].source == "upload"
    assert began <= found["normal/c.wav"].time <= datetime.now()


def test_lines_of_earlier_releases_and_damaged_times_still_name_their_clips(home):
    known = store_uploads("pump", sent("a.wav"), used=Quota()).known
    (line,) = (known.folder / "names.jsonl").read_text().splitlines()
    path = json.loads(line)["path"]
    others = [
        {"path": path, "name": "older.wav"},
        {"path": "normal/1.wav", "name": "one", "recorded": "yesterday", "recorded_from": "name"},
        {"path": "normal/2.wav", "name": "two", "recorded": "2024-05-01T10:00:00", "recorded_from": "a guess"},
        {"path": "normal/3.wav", "name": "three", "recorded": "2024-05-01T10:00:00+02:00", "recorded_from": "name"},
    ]
    (known.folder / "names.jsonl").write_text("".join(json.dumps(each) + "\n" for each in others))
    found = read_names(known.folder)
    assert found.faults == ()
    assert list(found.names.values()) == ["older.wav", "one", "two", "three"]
    assert {path: time.time for path, time in found.recorded.items()} == {"normal/3.wav": datetime(2024, 5, 1, 10)}


def test_a_clip_without_a_note_has_the_time_of_its_name_metadata_or_file(tmp_path):
    folder = tmp_path / "pump" / "normal"
    folder.mkdir(parents=True)
    (folder / f"{MONDAY}.wav").write_bytes(wav(1))
    (folder / "field.wav").write_bytes(bext(wav(2), "2024-05-01", "13:45:10"))
    (folder / "plain.wav").write_bytes(wav(3))
    clips = by_name(index_clips(tmp_path / "pump").clips)
    cheap = {name: time.written for name, clip in clips.items() if (time := known_time(clip, ClipNames()))}
    assert cheap == {f"normal/{MONDAY}.wav": "2026-11-02 10:00:00"}
    sources = {name: time.source for name, clip in clips.items() if (time := recorded_time(clip, ClipNames()))}
    assert sources == {f"normal/{MONDAY}.wav": "name", "normal/field.wav": "metadata", "normal/plain.wav": "file"}
    gone = replace(clips["normal/plain.wav"], path=folder / "gone.wav")
    assert recorded_time(gone, ClipNames()) is None


def test_a_stretch_of_a_long_recording_has_the_time_at_which_it_begins(tmp_path):
    path = tmp_path / f"{MONDAY}.wav"
    path.write_bytes(wav(1))
    clip = Clip(path, f"{MONDAY}.wav#t=90,100", "00", "test", "normal", span=(90.0, 100.0))
    assert [recorded_time(clip, ClipNames()).written, known_time(clip, ClipNames()).written] == 2 * [
        "2026-11-02 10:01:30"
    ]


def test_stretches_of_an_uploaded_recording_bear_its_name_and_their_own_time(home):
    (whole,) = uploaded("pump", [Upload(f"hall/{MONDAY}.wav", wav(1, seconds=3.0))])
    index = index_clips(home / "uploads" / "pump", rules=FolderRules(segment_s=1.0))
    assert [clip.shown for clip in index.clips] == [f"{whole.shown}#t={n},{n + 1}" for n in range(3)]
    names = read_names(index.root)
    times = [f"2026-11-02 10:00:0{n}" for n in range(3)]
    for notes in (names, ClipNames()):
        assert [known_time(clip, notes).written for clip in index.clips] == times
        assert [recorded_time(clip, notes).written for clip in index.clips] == times


# Scores kept with a detector


def scored(path: str, name: str = "", score: float = 1.0) -> ScoredClip:
    return ScoredClip(path, "00", "test", "normal", "", "ab" * 32, score, name)


def test_kept_scores_bear_the_names_and_those_of_files_are_written_as_before():
    plain = [scored("normal/1.wav", score=-0.5)]
    assert format_scores(plain) == (
        b"path,machine_id,split,label,kind,digest,anomaly_score\nnormal/1.wav,00,test,normal,,"
        + b"ab" * 32
        + b",-0.5\n"
    )
    mixed = [*plain, scored("normal/2.wav", "normal/=my, clip\r.wav")]
    assert parse_scores(format_scores(mixed)).clips == tuple(mixed)
    assert parse_scores(format_scores(plain)).clips == tuple(plain)
    assert [clip.shown for clip in mixed] == ["normal/1.wav", "normal/=my, clip\r.wav"]


@pytest.mark.parametrize("header", ["path,name", "path,machine_id,split,label,kind,digest,anomaly_score,title"])
def test_kept_scores_with_other_columns_are_damaged(header):
    with pytest.raises(ArtifactError, match="must have the columns"):
        parse_scores(f"{header}\n".encode())
    short = format_scores([scored("a", "b")]).decode().rpartition(",")[0]
    with pytest.raises(ArtifactError, match="clip 1 must have 8 columns, got 7"):
        parse_scores(short.encode())


def test_imported_scores_are_found_by_the_owners_name_with_its_folder():
    clips = Scores((scored("normal/0f.wav", "normal/a.wav"), scored("worn/1f.wav", "worn/a.wav")))
    by_owner = rescore(clips, {"normal/a.wav": 3.0, "pump/worn/a.wav": 4.0}, machine="pump")
    assert by_owner.anomaly_scores.tolist() == [3.0, 4.0]
    by_path = rescore(clips, {"normal/0f.wav": 5.0, "normal/a.wav": 6.0, "worn/1f.wav": 7.0}, machine="pump")
    assert by_path.anomaly_scores.tolist() == [5.0, 7.0]
    assert rescore(clips, {"a.wav": 3.0}, machine="pump", required=False).clips == ()


def test_warnings_of_a_training_name_the_owners_file(home):
    loud = hum(1, seconds=1.0).samples.copy()
    loud[4000:8000] = 1.0
    clips = uploaded("pump", [Upload("too loud.wav", encode_wav(loud))])
    (warning, *_) = readable(clips, channel=None).warnings
    assert warning.startswith("normal/too loud.wav: ")


# On the pages, and in reports

FAULT = "press hall/Grinding noise.wav"
PAGES = {
    "pages/explore.py": {},
    "pages/check.py": {"source": "Example clip"},
    "pages/threshold.py": {"list": "true alarm"},
    "pages/compare.py": {"view": "scatter"},
    "pages/monitor.py": {"monitor": "replay"},
    "pages/data.py": {"data_view": "sets", "set": "pump/pump"},
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Path]:
    """Uploads of one's own with telling names, and two detectors trained on them."""
    place = tmp_path_factory.mktemp("names")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(place / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(place / "artifacts"))
        patch.syspath_prepend(str(PROJECT))
        normal = [Upload(f"Shift {n}/{MONDAY[:-2]}{n:02d} good.wav", wav(n, seconds=2.0)) for n in range(1, 15)]
        faulty = [Upload(f"{FAULT[:-4]}{n or ''}.wav", wav(50 + n, knocks=5, seconds=2.0)) for n in range(3)]
        store_uploads("pump", normal, used=Quota())
        known = store_uploads("pump", faulty, used=Quota(), kind="grinding").known
        for detector in ("vggish_knn", "vggish_mahalanobis"):
            asked = TrainingRequest(detector, known.folder, name="pump", preset="quick", out=place / "artifacts")
            train(asked)
        yield place


def opened(path: str, **state: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    app.session_state["set"] = "pump/pump"
    for key, value in state.items():
        app.session_state[key] = value
    return app.switch_page(path).run()


def everything_on(app: AppTest) -> str:
    """All that a reader sees: texts, lists, tables, and what charts and players are given."""
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title", "metric")
    texts = [str(each.value) for kind in kinds for each in app.get(kind)]
    texts += [option for box in app.selectbox for option in box.options]
    texts += [str(table.value) for table in app.dataframe]
    with pd.option_context("display.max_colwidth", None, "display.width", None, "display.max_columns", None):
        texts += [table.value.to_string() for table in app.dataframe]
    lists = [json.loads(each.proto.json or "{}").get("rows", []) for each in app.get("bidi_component")]
    texts += [f"{row.get('title')} {row.get('note')} {row.get('truth')}" for rows in lists for row in rows]
    texts += [str(each.proto) for kind in ("vega_lite_chart", "arrow_vega_lite_chart") for each in app.get(kind)]
    return "\n".join(texts).replace("\\", "").replace("\u2060", "")


@pytest.mark.parametrize(
    ("path", "name", "title"),
    [
        ("test/anomaly_id_02_00000001.wav", "", "anomalous (worn) · id 02 · anomaly_id_02_00000001"),
        ("worn/02/0f.wav", "worn/02/day 1/a.wav", "anomalous (worn) · id 02 · day 1/a"),
        ("id_02/abnormal/0f.wav", "", "anomalous (worn) · id 02 · 0f"),
        ("", "", "anomalous (worn) · id 02 · "),
        ("Normal/a.flac", "", "anomalous (worn) · id 02 · a.flac"),
    ],
)
def test_a_title_leaves_out_what_label_kind_and_id_say(path, name, title):
    assert clip_title(ScoredClip(path, "02", "test", "anomalous", "worn", "ab" * 32, 1.0, name)) == title


@pytest.mark.parametrize("path", PAGES)
def test_no_page_calls_an_uploaded_clip_by_its_digest(installation, path):
    app = opened(path, **PAGES[path])
    if path == "pages/monitor.py":
        app.button(key="replay").click().run()
        replay = app.session_state["monitor_replay"]
        replay._revealed, replay.paused = 100.0, True
        app.run()
    if path == "pages/check.py":  # an example keeps its name to itself until it is revealed
        clips = open_artifact(find_artifacts(installation / "artifacts")[0]).scores.of("test").clips
        fault = next(clip for clip in clips if FAULT in clip.name)
        app.selectbox(key="example").set_value(fault.digest[:NAME_LETTERS]).run()
        app.button(key="example_reveal").click().run()
    assert not app.exception
    stored = [path.stem for path in (installation / "data" / "uploads" / "pump").rglob("*.wav")]
    text = everything_on(app)
    assert len(stored) == 17
    assert [name for name in stored if name in text] == []
    assert "Grinding noise" in text or path == "pages/data.py"


def test_kept_scores_and_the_report_bear_the_owners_names(installation, tmp_path):
    folders = find_artifacts(installation / "artifacts")
    names = {clip.name for clip in open_artifact(folders[0]).scores.clips}
    assert f"grinding/{FAULT}" in names
    assert f"normal/Shift 3/{MONDAY[:-2]}03 good.wav" in names
    write_report(folders[:1], installation / "data" / "uploads" / "pump", tmp_path / "report.html")
    assert "grinding/press hall/Grinding noise" in (tmp_path / "report.html").read_text()


def test_explore_finds_clips_by_folder_name_and_time(installation):
    app = opened("pages/explore.py")
    for text, n_clips in (("press hall", 3), ("2026-11-02", 14), ("GRINDING NOISE2", 1), ("shift 1", 6)):
        app.text_input(key="only_name").set_value(text).run()
        assert not app.exception
        assert f"{n_clips} of 17 clips" in everything_on(app)
        assert len(app.dataframe[0].value) == n_clips
    assert list(app.dataframe[0].value["Clip"])[:2] == [
        f"normal/Shift {n}/{MONDAY[:-2]}{n:02d} good.wav" for n in (1, 10)
    ]


def test_explore_says_when_a_clip_was_recorded_and_how_that_is_known(installation):
    app = opened("pages/explore.py")
    texts = [each.value.replace("\\", "").replace("\u2060", "") for each in app.caption]
    (facts,) = [text for text in texts if "grinding/press hall/Grinding noise" in text]
    assert re.search(r"Grinding noise[^·]*· recorded at an unknown time, uploaded 20", facts)
    assert re.search(r"recorded 2026-11-02 10:00:\d\d[^·]* as its name says", facts)
    assert any(cell.endswith(" (uploaded)") for cell in app.dataframe[0].value["Recorded"])


def test_the_data_page_says_when_the_clips_were_recorded(installation):
    text = everything_on(opened("pages/data.py", data_view="sets", set="pump/pump"))
    assert (
        "Recorded between 2026-11-02 10:00:01 and 2026-11-02 10:00:14 (known of 14 of 17 clips: 14 from the name)"
        in text
    )
