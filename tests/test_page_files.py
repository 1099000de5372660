"""People's own files on the pages: folders understood, files refused or passed over, long recordings, many channels."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from printed import drawn, text_of
from sounds import PROJECT, SHARED, hum
from streamlit.testing.v1 import AppTest

from asd_core.audio import kinds
from asd_core.audio.reading import encode_wav
from asd_core.data import library, uploads
from asd_core.data.clips import n_channels_of
from asd_core.data.data_set import LabelRow, open_data_set
from asd_core.data.folder_rules import FolderRules
from asd_core.data.folders import Skipped
from asd_core.data.indexing import index_clips
from asd_core.data.label_differences import measure
from asd_core.data.quotas import Quota, Upload
from asd_core.data.survey import Survey
from asd_core.data.table import read_library
from asd_core.data.uploads import store_uploads
from asd_core.errors import AudioError, DataSetError, UsageError
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.chores import Simulate
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import Waveform
from pages.parts.check import uploads as check_uploads
from pages.parts.check import verdicts
from pages.parts.data import report, server_folder, understood
from pages.parts.explore import clips as explore_clips
from pages.parts.train import form as train_form
from pages.shared.keys import ClipFile
from pages.shared.plain_text import error_text, warning_text, without_options
from pages.shared.quota import formats_text, upload_types
from pages.shared.refusals import refusal_kinds, refused_files, skipped_text

OPTION = re.compile(r"(?<![\w-])--[a-z]")
ADD = "Add this folder"


def wav(seed: int, *, seconds: float = 0.6, knocks: int = 0) -> bytes:
    return encode_wav(hum(seed, seconds=seconds, knocks=knocks).samples)


def laid(root: Path, names: str, *, seconds: float = 0.6) -> Path:
    """A folder of recordings with these names, each of another sound."""
    for seed, name in enumerate(names.split()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(wav(seed, seconds=seconds))
    return root


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own that may read below `rec`."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path / "rec"))
    monkeypatch.delenv(kinds.FORMATS_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(PROJECT))
    (tmp_path / "rec").mkdir()
    return tmp_path


@pytest.fixture
def opened(home):
    """Return a function that opens a page."""

    def open_(path: str, **state: object) -> AppTest:
        app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        for key, value in state.items():
            app.session_state[key] = value
        return app.switch_page(path).run()

    return open_


def said(app: AppTest) -> str:
    """All sentences of a page, and the titles of its folds."""
    assert not app.exception
    words = [text_of(app), *(each.value for each in app.success), *(each.label for each in app.expander)]
    return "\n".join(words).replace("\u2060", "").replace("\\", "")


def added(opened, folder: Path, *, ticks: tuple[str, ...] = (), **fields: object) -> AppTest:
    """Fill the form for a folder on the server, and send it."""
    app = opened("pages/data.py", data_view="folder")
    app.text_input(key="folder_path").set_value(str(folder))
    for name, value in fields.items():
        kind = app.number_input if name in ("segment", "hop") else app.text_input
        kind(key=f"folder_{name}").set_value(value)
    for name in ticks:
        app.checkbox(key=f"folder_{name}").set_value(True)
    return next(each for each in app.button if each.label == ADD).click().run()


# Texts for people


def test_what_only_a_command_line_can_use_is_left_out_of_a_page():
    text = "take channel 1 alone (--channel 1), or swap the wires (of the other)"
    assert without_options(text) == "take channel 1 alone, or swap the wires (of the other)"
    assert without_options("a well-known name (a--b) stays") == "a well-known name (a--b) stays"


@pytest.mark.parametrize(
    ("warning", "shown"),
    [
        ("dead_channel: channel 1 is silent (--channel 0)", "Channel 1 is silent"),
        ("lossy: MP3: nothing above 15.8 kHz", "MP3: nothing above 15.8 kHz"),
        ("labels: labels.csv names 2 files", "labels.csv names 2 files"),
    ],
)
def test_a_warning_is_shown_without_its_code(warning, shown):
    assert warning_text(warning) == shown


def test_a_refusal_names_the_file_then_what_to_do_then_why():
    error = AudioError(
        "rate", "its rate is 4 Hz", cure="convert it", command="convert {file} --rate", name="/srv/a.wav"
    )
    assert error_text(error) == "a.wav: Convert it: its rate is 4 Hz"
    assert error_text(DataSetError("add --normal X", advice="Enter X")) == "Enter X"
    assert error_text(UsageError("choose another folder (--to)")) == "choose another folder"


ASSEMBLED = {
    "folder_rules.py: --normal x",  # of messages that have another text for pages, or in parentheses
    "own_folders.py: --normal x",  # a rule, see `rule_text`
    "refusals.py: python -m asd_core convert {file} --to converted",
    "refusals.py: python -m asd_core score {file} --segment 10 --model MODEL",
    "export_onnx.py: x is generated sound; x holds its score and x its map, as asd_core computed them. "
    "`python -m asd_core export --verify DIR` compares the folder with the detector it was made from.",  # in a file
    "run.py: --slot must be an open descriptor of x",  # between this program's own processes
    *(f"{name}: --{option}=x" for name, option in (("fleet.py", "model"), ("fleet.py", "machine"), ("fleet.py", "x"))),
    "fleet.py: --x",
    *(f"starting.py: --{option}" for option in ("model=x", "alarm=x", "csv=x", "record", "x=x")),  # of commands
}


def test_every_option_that_the_package_names_outside_its_commands_is_left_out_on_pages():
    """In a text for both, an option stands in parentheses; a text for the command line alone has another for pages."""
    left = {
        f"{path.name}: {text}"
        for path in sorted((PROJECT / "asd_core").rglob("*.py"))
        if "cli" not in path.parts and path.name not in ("queue.py", "reproduce.py", "environments.py")
        for text in shown_strings(ast.parse(path.read_text()))
        if OPTION.search(without_options(text))
    }
    assert left <= ASSEMBLED


def shown_strings(tree: ast.AST) -> list[str]:
    """Strings of a module that are neither docstrings nor what an error with an `advice` tells a command line."""
    nodes = list(ast.walk(tree))
    inside = [each for node in nodes for part in not_shown(node) for each in ast.walk(part)]
    inside += [part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values]
    skipped = set(map(id, inside))
    return [text for node in nodes if id(node) not in skipped and (text := string_of(node)) is not None]


def not_shown(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node.value]
    if isinstance(node, ast.keyword) and node.arg == "command":
        return [node.value]
    if isinstance(node, ast.Call) and any(keyword.arg == "advice" for keyword in node.keywords):
        return list(node.args)
    return []


def string_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "x" for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


# Refusals


def refusals() -> list[dict[str, str]]:
    long = [AudioError("too_long", f"it lasts {n} s", cure="cut it") for n in (700, 800)]
    empty = AudioError("empty", "the file is empty", cure="record it again")
    return [
        empty.entry("x.wav"),
        *(each.entry(f"{number}.wav") for number, each in enumerate(long)),
        *(AudioError("magic", "this is a program", cure="save it as WAV").entry(f"<b>{n}.wav") for n in range(3)),
    ]


def test_files_that_the_same_helps_are_one_kind_and_the_largest_comes_first():
    found = refusal_kinds(refusals())
    assert [(kind.cure, len(kind.files), kind.is_one_reason) for kind in found] == [
        ("Save it as WAV", 3, True),
        ("Cut it", 2, False),
        ("Record it again", 1, True),
    ]


def test_an_entry_of_an_earlier_version_is_shown_by_its_reason_alone():
    (kind,) = refusal_kinds([{"path": "a.wav", "reason": "too_short: a clip must last longer"}])
    assert (kind.cure, kind.files) == ("A clip must last longer", (("a.wav", ""),))


def test_each_kind_of_refusal_is_one_line_with_what_to_do_first_and_its_files_folded_in():
    app = drawn(lambda: refused_files(refusals(), n=9))
    lines = [each.value.replace("\u2060", "") for each in app.markdown if each.value.startswith("**")]
    assert lines == [
        "**3 files** · Save it as WAV: this is a program",
        "**2 files** · Cut it",
        "**x.wav** · Record it again: the file is empty",
    ]
    assert "9 files were refused." in [each.value for each in app.warning]
    assert "These are the first 6." in [each.value for each in app.caption]
    folds = [each.markdown[0].value.replace("\u2060", "") for each in app.expander]
    assert folds[0].splitlines() == [f"- \\<b\\>{n}.wav" for n in range(3)]
    assert folds[1].splitlines() == ["- 0.wav: it lasts 700 s", "- 1.wav: it lasts 800 s"]


def test_what_was_passed_over_is_counted_by_kind():
    skipped = Skipped.of([*((".txt", f"{n}.txt") for n in range(9)), *(("hidden", f".{n}") for n in range(3))])
    assert skipped_text(skipped) == "12 passed over: 9 .txt, 3 hidden"
    assert understood.taken_text(40, skipped) == "40 clips; 12 passed over: 9 .txt, 3 hidden"
    assert understood.taken_text(1, Skipped()) == "1 clip"


def test_a_job_that_fails_says_what_a_page_can_do(home):
    def fail():
        raise DataSetError("add --normal X", advice="Enter X as the normal label")

    job_table.runs_dir().mkdir(parents=True)
    folder = job_table.make_run(Simulate("tiny", size="small", seed=3))
    status, _ = job_run._in_words(job_table.read_job(folder), fail)
    assert (status.state, status.error) == ("failed", "Enter X as the normal label")


# Folders on the server


def test_a_folder_is_added_with_a_tick_only_where_nothing_was_passed_over(opened, home):
    folder = laid(home / "rec" / "fan", "train/good/1.wav train/good/2.wav test/good/3.wav test/squeal/4.wav")
    app = added(opened, folder)
    assert [each.value.replace("\u2060", "") for each in app.success] == ["Added: 4 clips."]
    for name in ("notes.txt", "._1.wav", "Thumbs.db"):
        (folder / "train" / name).write_bytes(b"x")
    app = added(opened, folder)
    assert not app.success
    assert "Added: 4 clips; 3 passed over: 2 of the operating system, 1 .txt." in said(app)
    assert "train/notes.txt" in said(app)


def test_two_normal_labels_are_refused_with_the_names_to_enter_and_taken_when_entered(opened, home):
    names = "normal_day/1.wav normal_day/2.wav normal_night/3.wav leak/4.wav"
    app = added(opened, laid(home / "rec" / "pump", names))
    assert "Enter normal_day, normal_night as the normal label" in said(app)
    app = added(opened, home / "rec" / "pump", normal="normal_day, normal_night,")
    assert "Added: 4 clips." in said(app)
    assert read_library().find("pump").rules == FolderRules(normal=("normal_day", "normal_night"))


def test_everything_else_is_normal_where_that_is_ticked(opened, home):
    app = added(opened, laid(home / "rec" / "saw", "1.wav 2.wav leak/3.wav normal/4.wav"), ticks=("rest",))
    assert "Added: 4 clips." in said(app)
    index = library.open_known(read_library().find("saw"), "saw").index
    assert [clip.label for clip in index.clips] == ["normal", "normal", "anomalous", "normal"]


def test_loose_recordings_are_warned_of_without_a_tick(opened, home):
    app = added(opened, laid(home / "rec" / "loose", "a1.wav b2.wav"))
    assert not app.success
    assert "say that everything else is normal, else put the normal ones into a folder named normal" in said(app)


def test_a_label_table_of_any_name_is_taken_by_its_path_below_the_folder(opened, home):
    folder = laid(home / "rec" / "mill", "1.wav 2.wav 3.wav")
    (folder / "tables").mkdir()
    (folder / "tables" / "mine.csv").write_text("file;label\n1.wav;normal\n2.wav;normal\n3.wav;worn\n4.wav;worn\n")
    app = added(opened, folder, labels="tables/mine.csv")
    assert "Added: 3 clips; 1 passed over: 1 named but not there." in said(app)
    app = opened("pages/data.py", data_view="sets", set="mill/mill")
    table = next(each.value for each in app.dataframe if "What says so" in each.value)
    assert table.to_numpy().tolist() == [
        ["mine.csv: normal", "normal", "train", 1, "not known"],
        ["mine.csv: normal", "normal", "test", 1, "not known"],
        ["mine.csv: worn", "anomalous", "test", 1, "not known"],
    ]
    assert "4.wav" in said(app)
    assert ":material/check:" not in said(app)


def test_long_recordings_are_cut_into_clips_that_know_their_recording(opened, home):
    folder = laid(home / "rec" / "lathe", "normal/a.wav normal/b.wav chatter/c.wav", seconds=5.0)
    app = added(opened, folder, segment=2.0, hop=1.0)
    assert "Added: 12 clips." in said(app)
    rules = read_library().find("lathe").rules
    assert (rules.segment_s, rules.hop_s) == (2.0, 1.0)
    app = opened("pages/data.py", data_view="sets", set="lathe/lathe")
    table = next(each.value for each in app.dataframe if "What says so" in each.value)
    assert table["Recordings"].tolist() == ["1", "1", "1"]
    assert table["Clips"].tolist() == [4, 4, 4]
    assert "There is no test split of its own" in said(app)


def test_sub_folders_are_machines_and_lossy_recordings_are_learned_where_that_is_ticked(opened, home):
    folder = laid(home / "rec" / "fans", "normal/left/1.wav normal/right/2.wav")
    added(opened, folder, ticks=("ids", "lossy"))
    known = read_library().find("fans")
    assert known.rules == FolderRules(ids_from="folder", lossy=True)
    assert library.open_known(known, "fans").index.machine_ids == ("left", "right")


def test_several_machines_are_added_together_and_named(opened, home):
    folder = laid(home / "rec" / "plant", "pump-1/normal/1.wav pump-2/normal/2.wav")
    (folder / "readme.md").write_text("x")
    assert "Added: 2 clips; 1 passed over: 1 .md (2 machines: pump-1, pump-2)." in said(added(opened, folder))


def test_a_distance_of_clips_without_their_length_is_refused():
    with pytest.raises(UsageError, match="say how long the clips are"):
        server_folder._hop(None, 5.0)
    assert server_folder._hop(10.0, None) is None


def test_the_commonest_mistakes_with_folders_name_no_option(opened, home):
    rec = home / "rec"
    laid(rec / "none", "gut/1.wav leak/2.wav")
    laid(rec / "two", "normal_day/1.wav normal_night/2.wav normal/3.wav")
    laid(rec / "both", "normal/faulty/1.wav normal/2.wav")
    laid(rec / "fine", "normal/1.wav normal/2.wav")
    (rec / "empty").mkdir()
    mistakes = [
        added(opened, home),
        added(opened, rec / "empty"),
        added(opened, rec / "none"),
        added(opened, rec / "two"),
        added(opened, rec / "both"),
        added(opened, rec / "fine", normal="train"),
        added(opened, rec / "fine", normal="faulty"),
        added(opened, rec / "fine", labels="no.csv"),
    ]
    for app in mistakes:
        assert "This could not be done:" in said(app)
        assert not OPTION.search(said(app)), said(app)


def test_the_rule_of_clips_outside_all_labels_is_said_in_words():
    row = LabelRow("folder old, --normal .", "normal", "train", 3, None)
    assert understood.rule_text(row) == "folder old, everything else is normal"


def test_files_of_this_program_beside_the_clips_are_not_called_passed_over(home):
    store_uploads("pump", [Upload(f"{n}.wav", wav(n)) for n in range(2)], used=Quota())
    assert not index_clips(home / "data" / "uploads" / "pump").skipped


# Formats, channels, long recordings


def test_uploaders_take_what_is_read_here(monkeypatch):
    monkeypatch.delenv(kinds.FORMATS_VARIABLE, raising=False)
    assert {"wav", "flac", "mp3", "m4a", "opus"} <= set(upload_types())
    assert "MP3" in formats_text()
    monkeypatch.setenv(kinds.FORMATS_VARIABLE, "strict")
    assert {"wav", "flac"} <= set(upload_types())
    assert "mp3" not in upload_types()
    assert formats_text() == "WAV or FLAC"


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the shared cases are not here")
def test_phone_recordings_are_stored_under_fitting_names_listed_and_noted_without_alarm(opened, home):
    folder = SHARED / "cases" / "formats"
    sent = [Upload("misnamed.wav", (folder / "bad.mp3").read_bytes())]
    sent += [Upload(name, (folder / name).read_bytes()) for name in ("voice_memo.m4a", "bad.ogg", "bad.webm")]
    assert store_uploads("phone", sent, used=Quota()).refused == ()
    clips = library.open_known(read_library().find("phone"), "phone").index.clips
    assert sorted(clip.path.suffix for clip in clips) == [".m4a", ".mp3", ".ogg", ".webm"]
    app = opened("pages/data.py", data_view="sets", set="phone/phone")
    assert "4 of 4 clips were coded lossily" in said(app)
    assert not any("lossily" in each.value or "kHz" in each.value for each in app.warning)


def surveyed(n_clips: int, *lossy: str) -> Survey:
    warnings = tuple(f"{name}: lossy: MP3: nothing above 15.8 kHz" for name in lossy)
    return Survey(n_clips, (), 0, (), 0, (), warnings, ())


@pytest.mark.parametrize(
    ("n_clips", "rules", "is_left_out"),
    [(3, FolderRules(), True), (3, FolderRules(lossy=True), False), (2, FolderRules(), False)],
)
def test_lossy_clips_beside_lossless_ones_are_said_not_to_be_trained_on(n_clips, rules, is_left_out):
    found = []
    app = drawn(lambda: found.append(report._coding(surveyed(n_clips, "a.mp3", "b.mp3"), rules)))
    (text,) = [each.value.replace("\u2060", "") for each in app.caption]
    assert f"2 of {n_clips} clips were coded lossily: MP3: nothing above 15.8 kHz" in text
    assert (("not trained on" in text), found) == (is_left_out, [is_left_out])


def test_what_coding_left_out_is_a_word_and_a_fault_of_the_sound_an_alarm():
    sound = Waveform(
        np.zeros(16_000, dtype=np.float32), warnings=("lossy: MP3: nothing above 16 kHz", "silent: no sound")
    )
    app = drawn(lambda: verdicts.sound_notes({}, sound))
    assert app.caption[0].value.replace("\u2060", "").endswith("MP3: nothing above 16 kHz")
    assert [each.value for each in app.warning] == ["No sound"]


@pytest.fixture
def many_channels(monkeypatch):
    """Uploads called many.wav have 12 channels, others one; returns what was read."""
    heard: list[tuple[str, int | None]] = []

    def decode(content, *, name, channel):
        heard.append((name, channel))
        if name == "many.wav" and channel is None:
            raise AudioError("channels", "it has 12 channels", cure="choose one channel", name=name)
        return Waveform(np.zeros(16_000, dtype=np.float32), digest=f"{name} {channel}")

    monkeypatch.setattr(check_uploads, "decode_upload", decode)
    return heard


def files(*names: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=name, file_id=f"id {name}", size=10, getvalue=lambda: b"") for name in names]


def test_one_channel_is_chosen_of_recordings_that_have_too_many(many_channels):
    app = drawn(
        lambda: [upload.sound for upload in check_uploads.admitted(files("many.wav", "mono.wav"), channel=None)]
    )
    assert "Needed for many.wav, whose channels" in said(app)
    app.number_input(key="upload_channel").set_value(5).run()
    assert many_channels[-1] == ("many.wav", 5)
    assert {channel for name, channel in many_channels if name == "mono.wav"} == {None}


def test_no_channel_is_asked_for_where_all_recordings_can_be_heard(many_channels):
    app = drawn(lambda: [upload.sound for upload in check_uploads.admitted(files("mono.wav"), channel=None)])
    assert not app.number_input


def test_a_file_too_large_to_upload_is_told_of_the_folder_on_the_server():
    with pytest.raises(UsageError, match=r"put it into a folder on the server, then choose 'Use a server folder'"):
        Quota().with_uploads([uploads.Upload("a.wav", bytes(33 * 2**20))])


def stereo(folder: Path, n: int) -> Path:
    folder.mkdir(parents=True)
    for seed in range(n):
        both = np.stack([hum(seed, seconds=0.6).samples, 0.3 * hum(50 + seed, seconds=0.6).samples], axis=1)
        sf.write(folder / f"{seed}.wav", both, 16_000, subtype="PCM_16")
    return folder


def test_two_channels_that_nothing_explains_lead_to_the_choice_when_training(opened, home, monkeypatch):
    stereo(home / "rec" / "belt" / "normal", 3)
    library.add_folder("belt", home / "rec" / "belt")
    app = opened("pages/data.py", data_view="sets", set="belt/belt")
    assert "choose its channel when training, or keep only that channel" in said(app)
    assert not OPTION.search(said(app))
    asked: list[TrainingRequest] = []
    monkeypatch.setattr(train_form.jobs, "submit", lambda request: asked.append(request) or SimpleNamespace(name="x"))
    app = opened("pages/train.py", set="belt/belt")
    box = next(each for each in app.selectbox if each.label == "Channel to learn")
    assert box.options == ["the mean of all", "channel 0", "channel 1"]
    box.set_value(1)
    next(each for each in app.button if each.label == "Start training").click().run()
    assert [request.channel for request in asked] == [1]


def test_channels_and_rate_of_a_recording_longer_than_a_clip_are_known(tmp_path):
    path = tmp_path / "long.wav"
    sf.write(path, np.zeros((601 * 8000, 2), dtype=np.float32), 8000, subtype="PCM_U8")
    assert n_channels_of(path) == 2
    assert measure(hum(1), path).rate_hz == 8000


def test_a_stretch_of_a_linked_recording_is_found_only_inside_the_allowed_folders(home):
    inside, outside = laid(home / "rec" / "store", "a.wav"), laid(home / "elsewhere", "b.wav")
    (home / "rec" / "set").mkdir()
    (home / "rec" / "set" / "in.wav").symlink_to(inside / "a.wav")
    (home / "rec" / "set" / "out.wav").symlink_to(outside / "b.wav")
    found = [ClipFile.named(home / "rec" / "set", f"{name}.wav#t=1,2.5", "x", None) for name in ("in", "out")]
    assert [each.path for each in found] == [str(inside / "a.wav"), str(home / "rec" / "set" / "out.wav")]
    assert {each.span for each in found} == {(1.0, 2.5)}
    assert ClipFile.named(home / "rec", "set/x.wav", "x", 0).span is None


@pytest.fixture
def long_set(home):
    """Two recordings of 60 s cut into clips of 10 s, a faulty one, and a detector trained on the first two."""
    folder = laid(home / "rec" / "press", "normal/one.wav normal/two.wav", seconds=60)
    (folder / "knock").mkdir()
    (folder / "knock" / "bad.wav").write_bytes(wav(9, seconds=20, knocks=40))
    rules = FolderRules(segment_s=10)
    library.add_folder("press", folder, rules=rules)
    train(TrainingRequest(detector="vggish_knn", data=folder, name="press", out=home / "artifacts", rules=rules))
    return open_data_set(folder, rules=rules)


def test_clips_of_long_recordings_are_heard_on_every_page(opened, long_set):
    assert len(long_set.index.clips) == 14
    for page, view, words in (
        ("explore", "clips", "14 of 14 clips"),
        ("explore", "spectra", "from the 10th to the 90th percentile of single clips"),
        ("explore", "contents", "Every clip lasts **10.00 s**"),
        ("threshold", "", "score of 6 normal clips"),
        ("check", "", "1 detector: "),
        ("compare", "map", "one vector of 128 numbers"),
        ("monitor", "", "8 test clips in a fixed order"),
    ):
        app = opened(f"pages/{page}.py", set="press/press", **({"view": view} if view else {}))
        assert words in said(app), said(app)
        assert "could not be done" not in said(app)


def test_each_clip_of_a_long_recording_is_its_own_sound(home):
    folder = laid(home / "rec" / "saw", "normal/a.wav", seconds=3.0)
    clips = index_clips(folder, rules=FolderRules(segment_s=1.0)).clips
    heard = [explore_clips.load(clip, None) for clip in clips]
    whole = hum(0, seconds=3.0).samples
    for number, sound in enumerate(heard):
        np.testing.assert_allclose(sound.samples, whole[number * 16_000 :][:16_000], atol=1e-4)
    spectra = [explore_clips.clip_spectrum(clip, None) for clip in clips]
    assert not np.array_equal(spectra[0], spectra[1])


@pytest.mark.parametrize(
    ("start", "suffix"),
    [
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
        (b"\x00\x00\x00\x20ftypM4A ", ".m4a"),
        (b"\xff\xfb\x90\x00", ".mp3"),
        (b"#!AMR\n", ".amr"),
        (b"RIFF\x00\x00\x00\x00WAVE", ".wav"),
    ],
)
def test_a_stored_upload_is_named_by_what_it_is(start, suffix):
    assert uploads._storage_name(uploads.Upload("a", start + bytes(100))).endswith(suffix)
