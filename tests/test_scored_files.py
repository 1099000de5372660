"""People's own files before the `score` command: what is found and skipped, heard and refused, and opened by Excel."""

from __future__ import annotations

import csv
import io
import json
import locale
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, SHARED, hum

from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.cli.outcome import Refusals, refusals
from asd_core.data.clip_lists import expand
from asd_core.errors import AudioError, UsageError
from asd_core.evaluation.imported import read_scores
from asd_core.formats import EXCEL_COMMA, EXCEL_SEMICOLON, spreadsheet_cell
from asd_core.system.files import csv_text
from asd_core.tasks.score import ScoreRow, format_score_csv, score_clips

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
OTHER = MODEL.with_name("vggish_knn")
WAV = encode_wav(hum(1, seconds=1.0).samples)


@pytest.fixture
def run(capsys):
    """Run `score` in this process; gives the exit code, standard output and standard error."""

    def command(*arguments):
        code = main(["score", *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


def write(path: Path, content: bytes = WAV) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def stereo(path: Path, *channels: np.ndarray) -> Path:
    with path.open("wb") as stream:
        sf.write(stream, np.stack(channels, axis=1), 16_000, subtype="PCM_16", format="WAV")
    return path


def rows_of(text: str, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))


# What is found


@pytest.fixture
def mixed(tmp_path):
    """A folder as people have them: recordings of several kinds, notes, pictures and litter."""
    for name in ("a.WAV", "sub/b.wave", "deep/er/c.bwf"):
        write(tmp_path / "in" / name)
    for name in ("n1.txt", "n2.txt", "sub/n3.TXT", "photo.jpg", "README", "labels.csv"):
        write(tmp_path / "in" / name, b"text")
    for name in (".hidden.wav", "@eaDir/x.wav", "sub/._a.WAV"):
        write(tmp_path / "in" / name, b"litter")
    return tmp_path / "in"


def test_a_folder_is_searched_for_every_kind_of_recording_and_the_rest_is_counted(mixed):
    found = expand([mixed])
    assert [os.path.relpath(name, mixed) for name in found.names] == ["a.WAV", "deep/er/c.bwf", "sub/b.wave"]
    assert found.skipped.to_json() == {
        ".txt": 3,
        "of the operating system": 2,
        ".csv": 1,
        ".jpg": 1,
        "hidden": 1,
        "without suffix": 1,
    }
    assert found.skipped.kinds[".jpg"] == (str(mixed / "photo.jpg"),)


def test_a_folder_named_twice_is_counted_once(mixed):
    once, twice = expand([mixed]), expand([mixed, mixed])
    assert (twice.names, twice.skipped) == (once.names, once.skipped)


def test_what_a_score_passed_over_is_said_with_the_first_names_and_is_in_the_json(run, mixed, tmp_path):
    code, out, err = run(mixed, "--model", MODEL, "--json", tmp_path / "r.json")
    assert (code, len(rows_of(out))) == (0, 3)
    assert err.startswith(f"9 skipped: 3 .txt ({mixed / 'n1.txt'}, ")
    assert json.loads((tmp_path / "r.json").read_text())["skipped"][".txt"] == 3
    code, _, err = run(mixed / "deep", "--model", MODEL)
    assert (code, err) == (0, "")


def test_a_folder_without_recordings_is_refused_and_what_is_there_is_said(run, mixed, tmp_path):
    for path in mixed.rglob("*"):
        if path.suffix.lower() in (".wav", ".wave", ".bwf") and path.parent.name != "@eaDir":
            path.unlink()
    code, _, err = run(mixed, "--model", MODEL)
    assert code == 2
    assert f"{mixed} holds no recording: 7 skipped: 3 .txt (" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run(tmp_path / "empty", "--model", MODEL)
    empty = f"asd_core: {tmp_path / 'empty'} holds no recording: nothing is there"
    assert (code, err) == (2, f"{empty}; name the folder that your recordings lie in\n")


def test_links_are_followed_below_what_was_named_and_a_circle_ends(run, tmp_path):
    real = write(tmp_path / "disk" / "a.wav")
    named = tmp_path / "in"
    (named / "sub").mkdir(parents=True)
    (named / "link.wav").symlink_to(real)
    (named / "folder").symlink_to(tmp_path / "disk")
    (named / "sub" / "circle").symlink_to(named)
    (named / "nowhere.wav").symlink_to(tmp_path / "gone.wav")
    (tmp_path / "to-folder").symlink_to(named)
    code, out, err = run(tmp_path / "to-folder", named / "link.wav", "--model", MODEL)
    rows = rows_of(out)
    shown = [os.path.relpath(row["path"], tmp_path) for row in rows]
    assert shown == ["in/link.wav", "to-folder/folder/a.wav", "to-folder/link.wav"]
    assert len({row["anomaly_score"] for row in rows}) == 1
    assert (code, "1 links that lead nowhere" in err) == (0, True)


@pytest.mark.parametrize("target", ["b.wav", "gone.wav"])
@pytest.mark.parametrize("segments", [(), ("--segment", "1")])
def test_a_named_link_to_itself_or_to_nothing_is_refused_under_its_own_name(run, tmp_path, target, segments):
    (tmp_path / "a.wav").symlink_to(target)
    (tmp_path / "b.wav").symlink_to("a.wav")
    code, out, _ = run(tmp_path / "a.wav", "--model", MODEL, *segments)
    words = (
        f"'{tmp_path / 'a.wav'}': name the recording itself, or copy it here: this is a link, and what it leads to is"
    )
    assert (code, rows_of(out)[0]["reason"].partition(": ")[2].startswith(words)) == (3, True)


def test_links_are_followed_alike_in_parts_and_segments(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "disk" / "a.wav")
    (tmp_path / "link.wav").symlink_to("disk/a.wav")
    _, out, _ = run("link.wav", "--model", MODEL)
    assert run("link.wav", "--model", MODEL, "--to", "parts", "--workers", "1", "--csv", "parts.csv")[0] == 0
    assert Path("parts.csv").read_text() == out
    code, segments, _ = run("link.wav", "--model", MODEL, "--segment", "1")
    assert (code, rows_of(segments)[0]["anomaly_score"]) == (0, rows_of(out)[0]["anomaly_score"])


@pytest.mark.skipif(not (SHARED / "cases" / "formats").is_dir(), reason="../shared/cases is not there")
def test_recordings_of_phones_in_a_folder_are_scored_with_a_word_on_their_coding(run):
    folder = SHARED / "cases" / "formats"
    code, out, err = run(folder, "--model", MODEL)
    rows = rows_of(out)
    assert (code, err) == (0, "")
    assert len(rows) == len(list(folder.iterdir())) > 4
    assert all("lossy: " in row["reason"] and row["verdict"] for row in rows)


# Which channel


def test_another_channel_is_heard_on_demand_and_each_row_says_so(run, tmp_path):
    quiet, loud = hum(1, seconds=1.0).samples, hum(2, seconds=1.0, knocks=3).samples
    both = stereo(tmp_path / "both.wav", quiet, loud)
    alone = {path: stereo(tmp_path / path, samples) for path, samples in (("0.wav", quiet), ("1.wav", loud))}
    scores = {}
    for channel in ("0", "1"):
        code, out, err = run(both, "--model", MODEL, "--channel", channel, "--json", tmp_path / "r.json")
        row = rows_of(out)[0]
        note = f"channel: {channel} instead of the detector's mean"
        assert (code, row["status"], row["reason"].partition("; ")[0]) == (0, "warning", note)
        assert f"warning: {note} ({MODEL})\n" in err
        assert json.loads((tmp_path / "r.json").read_text())["warnings"] == [f"{note} ({MODEL})"]
        scores[channel] = row["anomaly_score"]
        assert scores[channel] == rows_of(run(alone[f"{channel}.wav"], "--model", MODEL)[1])[0]["anomaly_score"]
    assert scores["0"] != scores["1"]


def test_the_detectors_own_channel_is_no_warning(run, tmp_path):
    write(tmp_path / "a.wav")
    asked = run(tmp_path / "a.wav", "--model", MODEL, "--channel", "mean")
    assert asked == run(tmp_path / "a.wav", "--model", MODEL)
    assert "channel: " not in asked[1] + asked[2]


def test_a_channel_that_a_recording_lacks_is_refused(run, tmp_path):
    write(tmp_path / "a.wav")
    code, out, _ = run(tmp_path / "a.wav", "--model", MODEL, "--channel", "3")
    assert (code, rows_of(out)[0]["reason"].startswith("channels: ")) == (3, True)


def test_parts_and_segments_hear_the_same_channel_and_another_one_is_another_run(run, tmp_path):
    stereo(tmp_path / "a.wav", hum(1, seconds=1.0).samples, hum(2, seconds=1.0, knocks=3).samples)
    asked = (tmp_path / "a.wav", "--model", MODEL, "--channel", "1")
    in_parts = (*asked, "--to", tmp_path / "parts", "--workers", "1", "--csv", tmp_path / "parts.csv")
    plain = run(*asked)[1]
    assert run(*in_parts)[0] == 0
    assert (tmp_path / "parts.csv").read_text() == plain
    report = json.loads((tmp_path / "parts" / "run.json").read_text())
    assert (report["channel"], report["warnings"]) == (1, [f"channel: 1 instead of the detector's mean ({MODEL})"])
    code, _, err = run(*(word if word != "1" else "0" for word in in_parts[:5]), "--to", tmp_path / "parts")
    assert (code, "another run: other clips, models, channel" in err) == (2, True)
    first = rows_of(run(*asked, "--segment", "1")[1])[0]
    assert first["anomaly_score"] == rows_of(plain)[0]["anomaly_score"]
    assert "channel: 1 instead" in first["reason"]


# For Excel


ROW = ScoreRow("ü;=1.wav", "m", "", "ok", "", 0.5, -1.25e-7, "normal", False)


def test_a_csv_for_excel_has_its_mark_separator_and_decimal_sign_and_no_formula():
    comma = format_score_csv([ROW], style=EXCEL_COMMA)
    semicolon = format_score_csv([ROW], style=EXCEL_SEMICOLON)
    assert comma == "\ufeff" + format_score_csv([ROW])
    assert semicolon.splitlines() == [
        "\ufeffpath;model;encoder;status;reason;anomaly_score;threshold;verdict;simulated",
        '"ü;\'=1.wav";m;;ok;;0,5;-1,25e-07;normal;false',
    ]
    assert format_score_csv([ROW], header=False, style=EXCEL_SEMICOLON) == semicolon.splitlines()[1] + "\n"


def test_only_numbers_get_the_decimal_sign():
    assert spreadsheet_cell(-0.5, decimal=",") == "-0,5"
    assert spreadsheet_cell("v1.5", decimal=",") == "v1.5"
    assert csv_text([["a.wav", 1.5, 3, True]], style=EXCEL_SEMICOLON) == "a.wav;1,5;3;true\n"


@pytest.mark.parametrize(
    ("decimal", "words", "separator"),
    [(",", (), ";"), (".", (), ","), (".", ("semicolon",), ";"), (",", ("comma",), ",")],
)
def test_excel_takes_the_separator_of_the_locale_unless_one_is_named(
    run, tmp_path, monkeypatch, decimal, words, separator
):
    set_to = []
    monkeypatch.setattr(locale, "setlocale", lambda _, value=None: set_to.append(value) or "C")
    monkeypatch.setattr(locale, "localeconv", lambda: {"decimal_point": decimal})
    write(tmp_path / "a.wav")
    code, _, _ = run(tmp_path / "a.wav", "--model", MODEL, "--csv", tmp_path / "s.csv", "--excel", *words)
    content = (tmp_path / "s.csv").read_bytes()
    assert (code, content[:3]) == (0, b"\xef\xbb\xbf")
    row = rows_of(content.decode("utf-8-sig"), separator)[0]
    assert float(row["anomaly_score"].replace(",", ".")) == score_clips([tmp_path / "a.wav"], [MODEL])[0].anomaly_score
    assert set_to == ([] if words else [None, "", "C"])


def test_a_locale_that_is_not_installed_separates_by_commas(run, tmp_path, monkeypatch):
    def refuse(_, value=None):
        if value == "":
            raise locale.Error
        return "C"

    monkeypatch.setattr(locale, "setlocale", refuse)
    write(tmp_path / "a.wav")
    code, out, said = run(tmp_path / "a.wav", "--model", MODEL, "--excel")
    assert (code, out.startswith("\ufeffpath,model,")) == (0, True)
    assert "language is not installed: separated by commas, or add --excel semicolon" in said


def test_parts_and_segments_are_written_for_excel_too(run, tmp_path):
    write(tmp_path / "a.wav")
    asked = (tmp_path / "a.wav", "--model", MODEL, "--excel", "semicolon")
    plain = run(*asked)[1]
    assert run(*asked, "--to", tmp_path / "parts", "--workers", "1", "--csv", tmp_path / "parts.csv")[0] == 0
    assert (tmp_path / "parts.csv").read_text(encoding="utf-8") == plain
    segments = run(*asked, "--segment", "1")[1]
    assert segments.splitlines()[0] == plain.splitlines()[0].removesuffix(";simulated") + ";start_s;end_s;simulated"
    code, _, err = run(*asked, "--to", tmp_path / "parts")
    assert (code, "--csv FILE" in err) == (2, True)


def test_excel_before_a_file_says_where_to_put_it(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--excel", tmp_path / "a.wav", "--model", MODEL)
    assert stopped.value.code == 2
    assert "takes comma or semicolon" in capsys.readouterr().err


@pytest.mark.parametrize("style", [EXCEL_COMMA, EXCEL_SEMICOLON])
def test_what_was_written_for_excel_reads_back_as_scores_and_as_a_clip_list(tmp_path, style):
    rows = [ScoreRow(name, "m", "", "ok", "", score, 1.0, "normal", False) for name, score in SCORED.items()]
    path = write(tmp_path / "s.csv", format_score_csv(rows, style=style).encode())
    assert read_scores(path) == SCORED
    assert set(expand([path]).names) == set(SCORED)


SCORED = {"ü, b.wav": 0.25, "x;y.wav": -1.5e-7, "=c.wav": 1234.5}


def test_a_table_separated_by_tabs_reads_back_and_a_comma_in_a_comma_table_is_no_decimal_sign(tmp_path):
    tabs = write(tmp_path / "t.csv", b"path\tscore\na.wav\t0,5\nb.wav\t0.25\n")
    assert read_scores(tabs) == {"a.wav": 0.5, "b.wav": 0.25}
    with pytest.raises(UsageError, match="a row needs a path and a finite score"):
        read_scores(write(tmp_path / "c.csv", b'path,score\na.wav,"0,5"\n'))


def test_pages_offer_their_tables_in_both_ways_of_excel(monkeypatch):
    from pages.parts.compare.figures import table_csv
    from pages.shared import downloads

    offered = {}
    monkeypatch.setattr(
        downloads.st, "download_button", lambda label, make, **options: offered.update({label: (make(), options)})
    )
    downloads.csv_download(lambda style: table_csv([{"plain": {"auc": 0.5, "n": 2}}], style), file_name="t.csv")
    assert [text for text, _ in offered.values()] == ["\ufeffauc,n\n0.5,2\n", "\ufeffauc;n\n0,5;2\n"]
    assert all(options["file_name"] == "t.csv" for _, options in offered.values())


# What was refused


def too_long(path: str, seconds: int = 900) -> dict[str, str]:
    what = f"recordings must last at most 600 s, this one lasts {seconds} s"
    command = "python -m asd_core score {file} --segment 10 --model MODEL"
    return AudioError("too_long", what, cure="cut it into shorter ones", command=command, name=path).entry(path)


def test_one_refused_file_is_told_with_its_own_command_and_without_the_code(capsys):
    assert refusals([too_long("a b.wav")]) == 3
    command = f"python -m asd_core score {shlex.quote('a b.wav')} --segment 10 --model MODEL"
    what = "recordings must last at most 600 s, this one lasts 900 s"
    assert capsys.readouterr().err == f"refused a b.wav: cut it into shorter ones ({command}): {what}\n"


def test_files_refused_for_one_reason_are_one_line_with_their_names_behind(capsys):
    refusals([too_long("a b.wav"), too_long("5"), too_long("it's.wav")])
    assert capsys.readouterr().err == (
        "refused 3 files: cut it into shorter ones (python -m asd_core score FILE --segment 10 --model MODEL): "
        "recordings must last at most 600 s, this one lasts 900 s: a b.wav, 5, it's.wav\n"
    )


def test_the_figures_of_the_first_file_are_told_as_its_own(capsys):
    refusals([too_long("a.wav"), too_long("b.wav", 901), too_long("c.wav", 1000)])
    assert capsys.readouterr().err.endswith("this one lasts 900 s (a.wav); also b.wav, c.wav\n")


def test_kinds_are_lines_of_their_own_in_the_order_of_their_first_files(capsys):
    damaged = AudioError("decode", "the file is damaged (at byte 12)", cure="copy it again", name="b.wav")
    again = AudioError("decode", "the file is damaged (at byte 14)", cure="copy it again", name="d.wav")
    refusals([too_long("a.wav"), damaged.entry("b.wav"), too_long("c.wav"), again.entry("d.wav")])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(": a.wav, c.wav")
    assert lines[1] == "refused 2 files: copy it again: the file is damaged (at byte 12) (b.wav); also d.wav"


def test_many_refused_files_are_counted_behind_the_first_names(capsys):
    refusals([too_long(f"{number:02d}.wav") for number in range(25)])
    line = capsys.readouterr().err
    assert line.startswith("refused 25 files: ")
    assert line.endswith(", 08.wav, 09.wav and 15 more, see the rows\n")


def test_a_file_under_several_models_is_refused_once(capsys):
    folded = Refusals()
    for name in ("a.wav", "a.wav", "b.wav", "b.wav"):
        folded.add(name, too_long(name)["reason"])
    assert folded.show() == 3
    assert capsys.readouterr().err.startswith("refused 2 files: ")


def test_names_that_would_break_the_line_are_shown_without_breaking_it(capsys):
    refusals([too_long("a\nb\x1b[31m.wav")])
    assert capsys.readouterr().err.count("\n") == 1


def test_a_refusal_of_a_detector_is_told_as_it_is(capsys):
    refusals([{"path": "a.wav", "reason": "input: samples must be at least 15600"}])
    assert capsys.readouterr().err == "refused a.wav: samples must be at least 15600\n"


def test_the_command_for_a_long_recording_names_the_models_that_were_named(run, tmp_path, monkeypatch):
    path = write(tmp_path / "long.wav")

    def refuse(name, **_):
        raise AudioError("too_long", "too long", cure="cut it", command=too_long_command(), name=os.fspath(name))

    monkeypatch.setattr("asd_core.tasks.score.read_clip", refuse)
    code, out, err = run(path, "--model", MODEL, "--model", OTHER)
    assert code == 3
    assert f"score {path} --segment 10 --model {MODEL} --model {OTHER})" in err
    assert err.count("refused") == 1
    assert all(row["reason"].startswith("too_long: ") for row in rows_of(out))


def too_long_command() -> str:
    return "python -m asd_core score {file} --segment 10 --model MODEL"
