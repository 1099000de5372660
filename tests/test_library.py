"""The table of data sets, uploads, surveys, versions and deletion: nothing is read or written outside its root."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sounds import PROJECT, hum

from asd_core.artifacts import versions
from asd_core.artifacts.store import list_versions, open_artifact, publish
from asd_core.audio.reading import encode_wav
from asd_core.data import library, survey, table, uploads
from asd_core.data.library import add_folder
from asd_core.data.marked import mark, marked_dir
from asd_core.data.quotas import CHECKING, Quota, Upload
from asd_core.data.simulated import bench, long_recordings
from asd_core.data.simulated.long_recordings import RecordingCounts
from asd_core.data.table import read_library
from asd_core.data.uploads import store_uploads
from asd_core.errors import ArtifactError, BusyError, DataSetError, UsageError
from asd_core.features.cache import FeatureCache, cache_folder
from asd_core.system import disk, locks
from asd_core.tasks import storage

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
HOSTILE = [
    "../x",
    "..",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "\0",
    "",
    " ",
    "-",
    "simulated-small",
    "simulated-recordings",
    "x-own",
    "x" * 200,
    "é",
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ASD_DATA_DIR", str(folder))
    monkeypatch.delenv(library.ROOTS_VARIABLE, raising=False)
    return folder


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=0.6).samples)


def recordings(folder: Path, *, normal: str = "normal") -> Path:
    for label, count in ((normal, 4), ("bearing", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            (folder / label / f"{number}.wav").write_bytes(wav(len(label) * 100 + number))
    return folder


def clips_sent(count: int, first: int = 0) -> list[Upload]:
    return [Upload(f"clip {number}.wav", wav(first + number)) for number in range(count)]


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# --- the table ---


def test_an_empty_table_knows_the_embedded_sets_alone(home):
    found = read_library()
    assert [known.name for known in found.sets] == ["simulated-small", "simulated-recordings"]
    assert [known.embedded for known in found.sets] == [True, True]
    assert [known.rules.recording_by for known in found.sets] == [None, r"day_\d+"]
    assert found.fault is None


def test_embedded_recordings_are_generated_when_needed_and_again_after_deletion(home, monkeypatch):
    tiny = RecordingCounts(n_normal=3, n_faulty=1, normal_s=10.0, faulty_s=10.0)
    monkeypatch.setattr(long_recordings, "RecordingCounts", lambda: tiny)
    monkeypatch.setattr(bench, "write_bench", lambda *_, **__: pytest.fail("made a bench of it"))
    known = next(each for each in read_library().sets if each.name == "simulated-recordings")
    for _ in range(2):
        assert not known.folder.exists()
        assert library.make_embedded(known) == known.folder
        opened = library.open_known(known, "slider")
        assert opened.simulated is not None
        assert {clip.recording for clip in opened.index.clips} == {"day_01", "day_02", "day_03", "day_04"}
        library.delete_data_set(known.name)
    assert known in read_library().sets


def test_clips_of_an_earlier_generator_are_replaced_and_no_others(home):
    known = next(each for each in read_library().sets if each.name == "simulated-small")
    assert not library.is_outdated(known)
    tiny = bench.BenchSize("small", {"00": bench.IdCounts(1, 1, 1)})
    bench.write_bench(known.folder, size=tiny)
    assert not library.is_outdated(known)
    marker = known.folder / "SIMULATED.json"
    marker.write_text(marker.read_text().replace('"generator_version": 2', '"generator_version": 1'))
    (known.folder / "old.txt").write_text("of the earlier generator")
    assert library.is_outdated(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "SIZES", {"small": tiny})
        library.make_embedded(known)
    assert not library.is_outdated(known)
    assert not (known.folder / "old.txt").exists()


def test_a_set_of_ones_own_that_has_the_name_of_the_embedded_recordings_stays_what_it_is(home):
    add_folder("mine", recordings(home / "a"))
    path = home / "library.json"
    path.write_text(path.read_text().replace('"mine"', '"simulated-recordings"'))
    found = read_library()
    assert [(known.name, known.folder) for known in found.sets] == [
        ("simulated-small", home.resolve() / "simulated-small"),
        ("simulated-recordings", home / "a"),
    ]
    assert not found.sets[1].embedded
    add_folder("other", recordings(home / "b"))
    assert [known.name for known in read_library().sets] == ["simulated-small", "other", "simulated-recordings"]


@pytest.mark.parametrize(
    ("name", "filed"), [("simulated-small", "simulated-small-own"), ("simulated-recordings", "simulated-recordings")]
)
def test_detectors_of_an_embedded_set_have_a_place_of_their_own(home, name, filed):
    with pytest.raises(DataSetError, match=f"are filed under {filed}$"):
        library.add_alias("winter", name)


def test_an_added_folder_is_found_again_by_name_alias_and_clips_folder(home):
    root = recordings(home / "Pump 1")
    known = add_folder("My Pump", root)
    assert known.name == "my-pump"
    library.add_alias("Winter", "my-pump")
    found = read_library().find("winter")
    assert found is not None
    assert (found.name, found.aliases, found.machines) == ("my-pump", ("winter",), {"Pump 1": ""})
    assert library.clips_folder("winter", "pump-1") == root
    assert library.clips_folder("my-pump", "other") is None


def test_a_root_of_several_machines_lists_each(home):
    for machine in ("fan", "pump"):
        for split, name in (("train", "normal_id_00_00000000"), ("test", "anomaly_id_00_00000000")):
            (home / "set" / machine / split).mkdir(parents=True)
            (home / "set" / machine / split / f"{name}.wav").write_bytes(wav(1))
    known = add_folder("set", home / "set")
    assert known.machines == {"fan": "fan", "pump": "pump"}
    assert library.open_known(known, "pump").index.machine == "pump"
    assert library.clips_folder("set", "fan") == home / "set" / "fan"


def test_another_folder_may_not_take_a_name_and_a_folder_has_one_name(home):
    add_folder("one", recordings(home / "a"))
    with pytest.raises(DataSetError, match="name of another data set"):
        add_folder("one", recordings(home / "b"))
    with pytest.raises(DataSetError, match="in the table already"):
        add_folder("two", home / "a")
    assert add_folder("one", home / "a").name == "one"


def test_an_alias_of_another_data_set_is_refused(home):
    add_folder("one", recordings(home / "a"))
    add_folder("two", recordings(home / "b"))
    with pytest.raises(DataSetError, match="another data set"):
        library.add_alias("two", "one")
    with pytest.raises(DataSetError, match="another data set"):
        library.add_alias("simulated-small", "one")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_not_fit_are_refused(home, name):
    if name in ("../x", "/etc/passwd", "a/b", "a\\b"):
        assert "/" not in library.checked_name(name)
        return
    with pytest.raises(DataSetError, match=r"name|reserved"):
        library.checked_name(name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": 2, "sets": {}}',
        b'{"schema": 1, "sets": []}',
        b'{"schema": 1, "sets": {"../x": {}}}',
        b'{"schema": 1, "sets": {"x": {"folder": "/tmp"}}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b" " * (table.MAX_TABLE_BYTES + 1),
    ],
)
def test_a_damaged_table_counts_as_empty_with_a_reason_and_is_never_overwritten(home, content):
    (home / "library.json").write_bytes(content)
    found = read_library()
    assert [known.name for known in found.sets] == ["simulated-small", "simulated-recordings"]
    assert "damaged" in (found.fault or "")
    with pytest.raises(DataSetError, match="damaged"):
        add_folder("one", recordings(home / "a"))
    assert (home / "library.json").read_bytes() == content
    aside = table.restart_library()
    assert aside.read_bytes() == content
    assert read_library().fault is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("folder", "relative"),
        ("folder", "/a\0b"),
        ("kind", "other"),
        ("machines", {"x": "../.."}),
        ("machines", {"x": "a/b"}),
        ("machines", {"x": 1}),
        ("aliases", ["../x"]),
        ("normal", 3),
        ("added", None),
    ],
)
def test_values_that_lead_elsewhere_damage_the_table(home, key, value):
    add_folder("one", recordings(home / "a"))
    table = json.loads((home / "library.json").read_text())
    table["sets"]["one"][key] = value
    (home / "library.json").write_text(json.dumps(table))
    assert "damaged" in (read_library().fault or "")


def test_a_table_that_would_be_too_long_to_read_back_is_not_written(home, monkeypatch):
    add_folder("one", recordings(home / "a"))
    before = (home / "library.json").read_bytes()
    monkeypatch.setattr(table, "MAX_TABLE_BYTES", len(before) + 10)
    with pytest.raises(DataSetError, match="delete a data set first"):
        add_folder("two", recordings(home / "b"))
    assert (home / "library.json").read_bytes() == before
    assert read_library().fault is None


def test_a_busy_table_says_so(home, monkeypatch):
    from asd_core.artifacts.store import locked

    monkeypatch.setattr(table, "LOCK_S", 0.1)
    root = recordings(home / "a")
    with locked(home), pytest.raises(BusyError, match="table of data sets is busy"):
        add_folder("one", root)


# --- allowed roots ---


def test_a_folder_outside_the_allowed_roots_is_refused_whether_or_not_it_exists(home, tmp_path):
    recordings(tmp_path / "outside")
    for place in (tmp_path / "outside", tmp_path / "nowhere", Path("/etc"), Path("relative"), home, home.parent):
        with pytest.raises(DataSetError, match=library.ROOTS_VARIABLE):
            library.checked_folder(place)


def test_a_named_root_opens_what_lies_below_it(home, tmp_path, monkeypatch):
    root = recordings(tmp_path / "outside" / "pump")
    monkeypatch.setenv(library.ROOTS_VARIABLE, os.pathsep.join(["", "relative", str(tmp_path / "outside")]))
    assert add_folder("pump", root).folder == root
    with pytest.raises(DataSetError, match="must be named in full"):
        library.checked_folder(tmp_path / "outsider")


def test_links_are_resolved_before_the_check(home, tmp_path):
    recordings(tmp_path / "outside")
    (home / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(DataSetError, match="allows others"):
        add_folder("link", home / "link")
    with pytest.raises(DataSetError, match="allows others"):
        add_folder("link", home / "link" / ".." / "outside")


def test_a_root_that_is_allowed_no_longer_cannot_be_opened(home, tmp_path, monkeypatch):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "outside"))
    known = add_folder("pump", recordings(tmp_path / "outside" / "pump"))
    monkeypatch.delenv(library.ROOTS_VARIABLE)
    with pytest.raises(DataSetError, match="allows others"):
        library.open_known(known, "pump")


STEPS = st.sampled_from(
    ["..", ".", "", "/", "inside", "deeper", "out", "up", "~", "normal", "\\", "..\\..", "etc", "tmp"]
)
"""Pieces of paths; `out` and `up` are links that lead out where they stand."""
PATHS = st.text(max_size=60) | st.lists(STEPS | st.text(max_size=5), max_size=8).map("/".join)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=PATHS)
def test_no_path_leads_out_of_the_allowed_roots(home, text):
    if not (home / "inside").exists():
        for folder in (home / "inside", home / "inside" / "deeper"):
            folder.mkdir()
            (folder / "out").symlink_to("/etc")
            (folder / "up").symlink_to("../..")
    for path in (text, f"{home}/{text}", f"{home}/inside/{text}", f"{home}/../{text}"):
        try:
            found = library.checked_folder(path)
        except DataSetError:
            continue
        assert Path(os.path.realpath(found)).is_relative_to(home)
        assert found != home


# --- uploads ---


def test_uploaded_clips_make_a_data_set_that_can_be_opened(home):
    stored = store_uploads("My pump", clips_sent(5), used=Quota())
    assert (stored.stored, stored.repeated, stored.refused) == (5, 0, ())
    store_uploads("my-pump", clips_sent(2, first=10), used=stored.used, kind="Bearing", machine_id="")
    known = read_library().find("my-pump")
    assert known is not None
    assert known.uploaded
    index = library.open_known(known, "my-pump").index
    assert (len(index.select(label="normal")), len(index.select(label="anomalous"))) == (5, 2)
    assert index.kinds() == ("bearing",)
    assert len(index.select(split="train", label="normal")) == 3
    assert sorted(uploads.upload_names(known).names.values())[0] == "clip 0.wav"


def test_the_same_clip_is_stored_once(home):
    store_uploads("pump", clips_sent(2), used=Quota())
    again = store_uploads("pump", clips_sent(3), used=Quota())
    assert (again.stored, again.repeated) == (1, 2)


def test_equal_files_of_one_upload_are_stored_once_and_counted_as_repeated(home):
    one, two = clips_sent(2)
    stored = store_uploads("pump", [one, Upload("copy.wav", one.content), two], used=Quota())
    assert (stored.stored, stored.repeated) == (2, 1)
    assert len(list((home / "uploads" / "pump" / "normal").iterdir())) == 2
    again = store_uploads("pump", [one, one], used=Quota())
    assert (again.stored, again.repeated) == (0, 2)


class Cut(BaseException):
    """Ends a page where it stands, as a click elsewhere or a lost connection does."""


def test_an_upload_that_is_cut_while_it_is_decoded_leaves_nothing(home):
    def cut(n_done: int, _n_files: int) -> None:
        if n_done == 2:
            raise Cut

    with pytest.raises(Cut):
        store_uploads("pump", clips_sent(3), used=Quota(), on_progress=cut)
    assert everything(home) == set()


def test_an_upload_that_is_cut_while_it_is_written_is_listed_named_and_can_be_deleted(home, monkeypatch):
    real, written = uploads._write_below_uploads, []

    def cut(path: Path, content: bytes) -> None:
        if path.suffix == ".wav" and len(written) == 2:
            raise Cut
        real(path, content)
        written.extend([path] if path.suffix == ".wav" else [])

    monkeypatch.setattr(uploads, "_write_below_uploads", cut)
    with pytest.raises(Cut):
        store_uploads("pump", clips_sent(3), used=Quota())
    known = read_library().find("pump")
    assert known is not None
    assert len(library.open_known(known, "pump").index.clips) == 2
    assert {path.relative_to(known.folder).as_posix() for path in written} <= set(uploads.upload_names(known).names)
    library.delete_data_set("pump")
    assert not known.folder.exists()


def test_clips_that_are_being_stored_are_not_deleted_meanwhile(home, monkeypatch):
    real, deleting = uploads._write_below_uploads, threading.Thread(target=lambda: library.delete_data_set("pump"))
    seen: list[bool] = []

    def slow(path: Path, content: bytes) -> None:
        if path.suffix == ".wav" and not seen:
            deleting.start()
            deleting.join(0.3)
            seen.append(deleting.is_alive())
        real(path, content)

    monkeypatch.setattr(uploads, "_write_below_uploads", slow)
    store_uploads("pump", clips_sent(3), used=Quota())
    deleting.join(20)
    assert seen == [True]
    assert not (home / "uploads" / "pump").exists()
    assert read_library().find("pump") is None


def test_a_data_set_that_stays_busy_says_so(home, monkeypatch):
    store_uploads("pump", clips_sent(1), used=Quota())
    monkeypatch.setattr(locks, "DATA_SET_WAIT_S", 0.05)
    with locks.data_set_lock("pump"):
        with pytest.raises(BusyError, match="data set pump is busy"):
            library.delete_data_set("pump")
        with pytest.raises(BusyError, match="data set pump is busy"):
            store_uploads("pump", clips_sent(2), used=Quota())
    assert store_uploads("pump", clips_sent(2), used=Quota()).stored == 1


@pytest.mark.parametrize("name", ["names.json", "names.jsonl"])
def test_no_name_of_a_clip_is_lost_in_a_long_file_of_names(home, name):
    known = store_uploads("pump", clips_sent(1), used=Quota()).known
    long = {f"normal/{number}.wav": f"a recording {number} {'x' * 80}" for number in range(12_000)}
    whole = json.dumps({"schema": 1, "names": long})
    lines = "".join(json.dumps({"path": path, "name": text}) + "\n" for path, text in long.items())
    with (known.folder / name).open("a") as file:
        file.write(whole if name == "names.json" else lines)
    assert (known.folder / name).stat().st_size > 2**20
    store_uploads("pump", clips_sent(2)[1:], used=Quota())
    found = uploads.upload_names(known)
    assert found.faults == ()
    assert len(found.names) == 12_002
    assert long.items() <= found.names.items()
    assert {"clip 0.wav", "clip 1.wav"} <= set(found.names.values())


def test_a_clip_sent_again_under_another_name_gets_that_name(home):
    (clip,) = clips_sent(1)
    known = store_uploads("pump", [clip], used=Quota()).known
    store_uploads("pump", [Upload("better.wav", clip.content)], used=Quota())
    assert list(uploads.upload_names(known).names.values()) == ["better.wav"]


@pytest.mark.parametrize("damage", [b"{", b"[" * 100_000, b"\xff\0", b'{"names": []}', b"[]"])
def test_a_damaged_old_file_of_names_is_named_and_kept(home, damage):
    known = store_uploads("pump", clips_sent(1), used=Quota()).known
    (known.folder / "names.json").write_bytes(damage)
    store_uploads("pump", clips_sent(2)[1:], used=Quota())
    found = uploads.upload_names(known)
    assert sorted(found.names.values()) == ["clip 0.wav", "clip 1.wav"]
    assert "names.json is damaged" in found.faults[0]
    assert (known.folder / "names.json").read_bytes() == damage


@pytest.mark.parametrize("damage", [b"{\n", b"[" * 100_000 + b"\n", b"\xff\0\n", b'{"path": 1, "name": ""}\n', b'{"pa'])
def test_a_damaged_line_costs_one_name_and_is_named_and_kept(home, damage):
    known = store_uploads("pump", clips_sent(1), used=Quota()).known
    with (known.folder / "names.jsonl").open("ab") as file:
        file.write(damage)
    store_uploads("pump", clips_sent(2)[1:], used=Quota())
    found = uploads.upload_names(known)
    assert sorted(found.names.values()) == ["clip 0.wav", "clip 1.wav"]
    assert found.faults == (
        "names.jsonl is damaged (1 lines, the first is line 2): it is kept as it is, and clips without a name show "
        "their stored one",
    )
    assert damage in (known.folder / "names.jsonl").read_bytes()


def test_a_file_of_names_that_leads_elsewhere_is_neither_read_nor_replaced(home, tmp_path):
    known = store_uploads("pump", clips_sent(1), used=Quota()).known
    (tmp_path / "secret").write_text('{"path": "normal/a.wav", "name": "secret"}\n')
    (known.folder / "names.jsonl").unlink()
    (known.folder / "names.jsonl").symlink_to(tmp_path / "secret")
    assert "not a regular file" in uploads.upload_names(known).faults[0]
    with pytest.raises(DataSetError, match="not a regular file"):
        store_uploads("pump", clips_sent(2)[1:], used=Quota())
    assert (known.folder / "names.jsonl").is_symlink()
    assert len(library.open_known(known, "pump").index.clips) == 1


def test_bad_files_are_refused_with_a_reason_and_the_others_stay(home):
    mixed = [*clips_sent(1), Upload("evil.exe", b"MZ" * 100), Upload("short.wav", encode_wav(hum(1).samples[:800]))]
    stored = store_uploads("pump", mixed, used=Quota())
    assert stored.stored == 1
    assert [each["path"] for each in stored.refused] == ["evil.exe", "short.wav"]
    assert stored.refused[0]["reason"].startswith("magic: ")


def test_nothing_but_refused_files_begins_no_data_set(home):
    stored = store_uploads("pump", [Upload("a.wav", b"x" * 100)], used=Quota())
    assert stored.known is None
    assert read_library().find("pump") is None


@pytest.mark.parametrize(
    ("sizes", "used", "reason"),
    [
        ([], Quota(), "at least one"),
        ([33 * 2**20], Quota(), "at most 32 MB"),
        ([1] * 501, Quota(), "500 files and 1 GB, 500 files and 1 GB are left, and this would take 501 files"),
        ([1] * 2, Quota(499, 0), "1 file and 1 GB are left, and this would take 2 files"),
        ([30 * 2**20] * 35, Quota(), "take 35 files and 1.03 GB"),
        ([2**20], Quota(1, 2**30), "499 files and 0 MB are left"),
        ([1] * 51, Quota(limits=CHECKING), "may check 50 files and 200 MB"),
        ([30 * 2**20] * 7, Quota(limits=CHECKING), "take 7 files and 210 MB"),
    ],
)
def test_caps_hold_before_anything_is_decoded(home, monkeypatch, sizes, used, reason):
    monkeypatch.setattr(uploads, "decode_upload", lambda *_, **__: pytest.fail("decoded all the same"))
    clips = sized(sizes)
    with pytest.raises(UsageError, match=reason):
        store_uploads("pump", clips, used=used)
    assert everything(home) == set()


@pytest.mark.parametrize(
    ("sizes", "used"),
    [
        ([32 * 2**20], Quota()),
        ([1] * 500, Quota()),
        ([1], Quota(499, 2**30 - 1)),
        ([1] * 50, Quota(limits=CHECKING)),
        ([25 * 2**20] * 8, Quota(limits=CHECKING)),
    ],
)
def test_up_to_the_caps_files_are_taken(home, sizes, used):
    after = uploads.check_quota(sized(sizes), used)
    assert (after.files, after.bytes) == (used.files + len(sizes), used.bytes + sum(sizes))


def sized(sizes: list[int]) -> list[Upload]:
    return [Upload(f"{number}.wav", Sized(size, b"%d" % number)) for number, size in enumerate(sizes)]


class Sized(bytes):
    """Claims a size without having it."""

    def __new__(cls, size: int, content: bytes) -> Sized:
        made = super().__new__(cls, content)
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


def test_refused_files_count_towards_the_session(home):
    stored = store_uploads("pump", [Upload("a.wav", b"x" * 100)], used=Quota())
    assert (stored.used.files, stored.used.bytes) == (1, 100)


def test_a_full_disk_refuses_uploads_before_they_are_written(home, monkeypatch):
    clips = clips_sent(2)
    size = sum(len(clip.content) for clip in clips)
    asked, real, free = [], shutil.disk_usage, [disk.MIN_FREE_BYTES + size - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or real(place)._replace(free=free[0]))
    with pytest.raises(UsageError, match=r"0 MB do not fit .* Disk space.*ASD_DATA_DIR"):
        store_uploads("pump", clips, used=Quota())
    assert not (home / "uploads").exists()
    assert asked == [home]
    free[0] += 1
    assert store_uploads("pump", clips, used=Quota()).stored == 2


def test_room_is_measured_where_the_data_folder_will_be(home, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(home / "not" / "yet"))
    asked, real = [], shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or real(place))
    assert disk.free_bytes() == real(home).free
    assert asked == [home]


NAMES = st.text(max_size=30) | st.lists(STEPS, min_size=1, max_size=5).map("/".join)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.just("pump") | NAMES, kind=st.none() | NAMES, machine_id=st.just("") | NAMES, file_name=NAMES)
def test_no_name_writes_outside_the_uploads(home, name, kind, machine_id, file_name):
    clip = Upload(file_name, wav(1))
    try:
        stored = store_uploads(name, [clip], used=Quota(), kind=kind, machine_id=machine_id)
    except UsageError:
        stored = None
    outside = {path for path in everything(home.parent) if not path.startswith("data/uploads")}
    locks = {path for path in outside if path.startswith("data/locks")}
    assert outside - locks <= {"data", "data/library.json", "data/.lock"}
    assert all(path == "data/locks" or path.count("/") == 2 for path in locks)
    for path in (home / "uploads").rglob("*.wav"):
        assert 2 <= len(path.relative_to(home / "uploads").parts) - 1 <= 3, path  # data set, label, and perhaps an id
    if stored is None:
        return
    assert stored.known is not None
    assert all(display.isprintable() for display in uploads.upload_names(stored.known).names.values())
    read_library()
    assert not any(path.is_symlink() for path in home.rglob("*"))


def test_a_link_among_the_uploads_is_not_followed(home, tmp_path):
    (tmp_path / "outside").mkdir()
    (home / "uploads" / "pump").mkdir(parents=True)
    (home / "uploads" / "pump" / "normal").symlink_to(tmp_path / "outside")
    with pytest.raises(DataSetError, match="leads elsewhere"):
        store_uploads("pump", clips_sent(1), used=Quota())
    assert not any((tmp_path / "outside").iterdir())


def test_uploads_may_not_take_the_name_of_another_data_set(home):
    add_folder("pump", recordings(home / "a"))
    with pytest.raises(DataSetError, match="another data set"):
        store_uploads("pump", clips_sent(1), used=Quota())


@pytest.mark.parametrize("kind", ["normal", "OK", "id_00", "normal night", "2024-05-01", "Train"])
def test_kinds_that_would_be_read_as_something_else_are_refused(home, kind):
    with pytest.raises(DataSetError, match=r"reserved|reads like an id"):
        store_uploads("pump", clips_sent(1), used=Quota(), kind=kind)


# --- surveys ---


def test_a_survey_sums_up_lengths_levels_duplicates_and_refusals_and_is_kept(home):
    root = recordings(home / "pump")
    shutil.copy(root / "normal" / "0.wav", root / "normal" / "again.wav")
    (root / "normal" / "bad.wav").write_bytes(b"nothing")
    data_set = library.open_known(add_folder("pump", root), "pump")
    calls: list[tuple[int, int]] = []
    found = survey.survey(data_set, on_progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (8, 8)
    assert (found.n_duplicates, found.n_refused) == (1, 1)
    assert sorted(found.duplicates[0]) == ["normal/0.wav", "normal/again.wav"]
    group = next(group for group in found.groups if group.label == "anomalous")
    assert group.length_s == (0.6, 0.6, 0.6)
    assert -30 < group.level_dbfs[1] < -15
    assert survey.has_survey(data_set)
    assert survey.survey(data_set, on_progress=lambda *_: pytest.fail("read again")) == found
    (root / "bearing" / "0.wav").write_bytes(wav(999) + b"more")
    assert not survey.has_survey(data_set)
    survey.survey(data_set)
    (root / "normal" / "bad.wav").unlink()
    assert not survey.has_survey(library.open_known(add_folder("pump", root), "pump"))


def test_a_damaged_survey_is_made_again(home):
    data_set = library.open_known(add_folder("pump", recordings(home / "pump")), "pump")
    found = survey.survey(data_set)
    kept = home / "surveys" / f"pump.{survey.survey_key(data_set)}.json"
    odd = kept.read_bytes().replace(b"0.6", b'"0.6"')
    for damaged in (b"{", b"[]", b'{"schema": 1, "command": "survey", "groups": []}', odd):
        kept.write_bytes(damaged)
        assert not survey.has_survey(data_set)
        assert survey.survey(data_set) == found


# --- deleting and versions ---


def test_deleting_a_named_folder_leaves_it_on_the_disk(home):
    root = recordings(home / "pump")
    add_folder("pump", root)
    before = everything(root)
    library.delete_data_set("pump")
    assert read_library().find("pump") is None
    assert everything(root) == before


def test_deleting_uploads_removes_their_clips_alone(home):
    store_uploads("one", clips_sent(2), used=Quota())
    store_uploads("two", clips_sent(2), used=Quota())
    library.delete_data_set("one")
    assert not (home / "uploads" / "one").exists()
    assert (home / "uploads" / "two" / "normal").is_dir()
    with pytest.raises(DataSetError, match="no data set"):
        library.delete_data_set("one")


def test_deletion_never_follows_a_link_out_of_the_data_folder(home, tmp_path):
    store_uploads("pump", clips_sent(1), used=Quota())
    outside = recordings(tmp_path / "outside")
    (home / "uploads" / "pump" / "link").symlink_to(outside)
    before = everything(outside)
    library.delete_data_set("pump")
    assert everything(outside) == before
    store_uploads("pump", clips_sent(1), used=Quota())
    shutil.rmtree(home / "uploads" / "pump")
    (home / "uploads" / "pump").symlink_to(outside)
    with pytest.raises(UsageError, match="leads out"):
        library.delete_data_set("pump")
    assert everything(outside) == before


def test_a_table_that_points_elsewhere_deletes_nothing_there(home, tmp_path):
    outside = recordings(tmp_path / "outside")
    add_folder("pump", recordings(home / "pump"))
    table = json.loads((home / "library.json").read_text())
    table["sets"]["pump"]["folder"] = str(outside)
    (home / "library.json").write_text(json.dumps(table))
    before = everything(outside)
    library.delete_data_set("pump")
    assert everything(outside) == before


def test_folders_that_no_data_set_names_are_listed_and_can_be_deleted(home):
    store_uploads("pump", clips_sent(1), used=Quota())
    places = [home / "benches" / "cut", home / "dcase2020" / "dev_data", home / "uploads" / "cut"]
    for place in places:
        recordings(place)
    (home / "uploads" / ".tmp-deleted-00").mkdir()
    (home / "uploads" / "link").symlink_to(home / "benches")
    assert sorted(library.unlisted_folders()) == places
    for place in places:
        library.delete_unlisted(place)
        assert not place.exists()
    assert library.unlisted_folders() == ()
    for place in (home / "uploads" / "pump", home / "uploads", home, home / "uploads" / "link"):
        with pytest.raises(DataSetError, match="leaves out"):
            library.delete_unlisted(place)
    assert len(library.open_known(read_library().find("pump"), "pump").index.clips) == 1


def test_a_folder_with_a_listed_data_set_inside_is_not_called_unlisted(home):
    add_folder("fan", recordings(home / "dcase2020" / "dev_data" / "fan"))
    assert library.unlisted_folders() == ()


def test_nothing_is_called_unlisted_while_the_table_is_damaged(home):
    store_uploads("pump", clips_sent(1), used=Quota())
    (home / "library.json").write_bytes(b"{")
    assert library.unlisted_folders() == ()
    with pytest.raises(DataSetError, match="leaves out"):
        library.delete_unlisted(home / "uploads" / "pump")
    table.restart_library()
    assert library.unlisted_folders() == (home / "uploads" / "pump",)


def test_marked_clips_are_listed_and_deleted_like_uploads(home):
    path = mark(hum(1), "normal")
    assert library.unlisted_folders() == (marked_dir().resolve(),)
    known = add_folder("marked", marked_dir())
    assert library.unlisted_folders() == ()
    assert known.made_here
    library.delete_data_set("marked")
    assert not path.exists()


@pytest.fixture
def trained(tmp_path):
    """A detector folder with two versions, in a folder of artifacts of its own."""
    folder = tmp_path / "out" / "pump" / "slider" / "lstm_predictor"
    shutil.copytree(EMBEDDED / "slider" / "lstm_predictor", folder)
    artifact = open_artifact(folder)
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    return folder


def test_an_earlier_version_counts_again_and_its_arrays_are_unchanged(trained):
    first, second = list_versions(trained)
    assert versions.current_version(trained) == second.name
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    versions.make_current(trained, first.name)
    assert open_artifact(trained).folder == first
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before


def test_a_damaged_version_never_counts(trained):
    first, second = list_versions(trained)
    content = bytearray((first / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (first / "state.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged"):
        versions.make_current(trained, first.name)
    assert versions.current_version(trained) == second.name


@pytest.mark.parametrize("version", ["v0001-00000000", "../x", "current", ""])
def test_a_version_that_is_not_there_is_refused(trained, version):
    with pytest.raises(UsageError, match="no version"):
        versions.make_current(trained, version)
    with pytest.raises(UsageError, match="no version"):
        versions.delete_version(trained, version, out=trained.parents[2])


def test_versions_of_the_project_stay_as_they_are(tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "simulated-small")
    folder = tmp_path / "simulated-small" / "slider" / "lstm_predictor"
    version = list_versions(folder)[0].name
    with pytest.raises(UsageError, match="read-only"):
        versions.make_current(folder, version)
    with pytest.raises(UsageError, match="read-only"):
        versions.delete_version(folder, version, out=tmp_path)


def test_only_a_version_that_does_not_count_can_be_deleted(trained, tmp_path):
    first, second = list_versions(trained)
    with pytest.raises(UsageError, match="current version"):
        versions.delete_version(trained, second.name, out=tmp_path / "out")
    with pytest.raises(UsageError, match="no detector"):
        versions.delete_version(trained, first.name, out=tmp_path / "other")
    versions.delete_version(trained, first.name, out=tmp_path / "out")
    assert [path.name for path in list_versions(trained)] == [second.name]
    assert open_artifact(trained).folder == second


def test_a_busy_detector_is_left_alone(trained):
    from asd_core.artifacts.store import locked

    first = list_versions(trained)[0]
    with locked(trained), pytest.raises(BusyError, match="busy"):
        versions.make_current(trained, first.name)


def test_caches_are_listed_with_their_size_and_emptied(home, trained):
    out = trained.parents[2]
    data_set = library.open_known(add_folder("pump", recordings(home / "pump")), "pump")
    survey.survey(data_set)
    (trained / ".checkpoint-0123").write_bytes(b"x" * 1000)
    (home / ".bench.partial-01").mkdir()
    FeatureCache(cache_folder(), 2**20).write("a clip's features", b"x" * 1000)
    sizes = {cache.name: cache.n_bytes for cache in storage.caches(out)}
    assert sizes["surveys"] > 0
    assert sizes["unfinished"] >= 1000
    assert sizes["features"] >= 1000
    for name in sizes:
        storage.empty_cache(name, out=out)
    assert {cache.n_bytes for cache in storage.caches(out)} == {0}
    assert open_artifact(trained)
    with pytest.raises(UsageError, match="no cache"):
        storage.empty_cache("../x", out=out)
