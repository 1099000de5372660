"""The command line: exit codes, files and lines that people and programs rely on."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, SHARED, hum
from wav_files import asked_later

from asd_core.artifacts.store import locked, open_artifact
from asd_core.audio.reading import REFUSAL_CODES, read_waveform
from asd_core.cli import main
from asd_core.errors import AudioError
from asd_core.tasks.score import ScoreRow, format_score_csv
from asd_core.types import SR

COLUMNS = ["path", "model", "encoder", "status", "reason", "anomaly_score", "threshold", "verdict", "simulated"]
COMMANDS = ("simulate", "index", "train", "evaluate", "score", "watch", "evaluate-dcase", "verify-vggish", "doctor")


def write(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        sf.write(stream, waveform.samples, SR, subtype="PCM_16", format="WAV")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Own recordings of a pump: 80 normal ones, 6 leaks."""
    root = tmp_path_factory.mktemp("cli") / "pump"
    for i in range(80):
        write(root / "normal" / f"{i:02d}.wav", hum(i, seconds=1.0))
    for i in range(6):
        write(root / "leak" / f"{i}.wav", hum(i, seconds=1.0, knocks=3))
    return root


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert main(["train", "vggish_ocsvm", "--data", str(data), "--out", str(out)]) == 0
    return out / "pump" / "pump" / "vggish_ocsvm"


@pytest.fixture
def run(capsys):
    """Run a command in this process; gives the exit code, standard output and standard error."""

    def command(*arguments):
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return command


def run_apart(*arguments, options=(), **environment):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, *options, "-m", "asd_core", *map(os.fspath, arguments)],
        capture_output=True,
        cwd=PROJECT,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


def read_json(path, command):
    """Read a report as strict JSON and check what all have in common."""

    def no_constant(word):
        raise AssertionError(f"{word} in JSON")

    report = json.loads(path.read_text("ascii"), parse_constant=no_constant)
    assert (report["schema"], report["command"]) == (1, command)
    assert isinstance(report["warnings"], list)
    return report


def read_rows(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]


# Help and start


def test_help_lists_all_commands(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {command}" in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_and_takes_json(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


def test_help_imports_no_large_package():
    done = run_apart("--help", options=("-X", "importtime"))
    imported = {line.rpartition(b"|")[2].strip().split(b".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert b"asd_core" in imported
    assert not imported & {b"torch", b"tensorflow", b"librosa", b"numpy", b"sklearn", b"scipy", b"soundfile", b"shtab"}


@pytest.mark.parametrize("arguments", [[], ["fly"], ["score"], ["train"], ["score", "x", "--modell", "y"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


# Each command


def test_simulate_prints_the_folder_and_refuses_another_one(run, tmp_path, monkeypatch):
    from asd_core.data.simulated import bench

    tiny = bench.BenchSize("small", {"00": bench.IdCounts(1, 1, 1)})
    monkeypatch.setitem(bench.SIZES, "small", tiny)
    code, out, _ = run("simulate", tmp_path / "bench", "--json", tmp_path / "r.json")
    assert (code, out) == (0, f"{tmp_path / 'bench'}\n")
    assert read_json(tmp_path / "r.json", "simulate")["simulated"] is True
    code, _, err = run("simulate", tmp_path / "bench", "--seed", "1")
    assert code == 2
    assert "another simulated bench" in err
    code, _, err = run("simulate", tmp_path / "negative", "--seed", "-1")
    assert code == 2


def test_index_counts_and_lists_what_is_refused(run, data, tmp_path):
    shutil.copytree(data, tmp_path / "pump")
    shutil.copy(data / "normal" / "00.wav", tmp_path / "pump" / "leak" / "copy.wav")
    code, out, err = run("index", tmp_path / "pump", "--json", tmp_path / "r.json")
    report = read_json(tmp_path / "r.json", "index")
    assert (code, err) == (0, "")
    assert out.startswith("pump: 87 clips, layout folders\n")
    assert report["counts"]["00"]["train"]["normal"] == 48
    assert report["duplicates"] == [["leak/copy.wav", "normal/00.wav"]]
    assert report["expected"] is None
    assert (report["machine"], report["kinds"], report["n_clips"]) == ("pump", ["leak"], 87)
    (tmp_path / "pump" / "leak" / "broken.wav").write_bytes(b"RIFF")
    code, _, err = run("index", tmp_path / "pump")
    assert code == 3
    assert err.startswith("refused leak/broken.wav: ")


def test_index_warns_of_recordings_that_fit_no_layout_and_counts_domains(run, tmp_path):
    write(tmp_path / "fan" / "train" / "section_00_source_train_normal_0000_n_A.wav", hum(1))
    write(tmp_path / "fan" / "train" / "odd.wav", hum(2))
    code, out, err = run("index", tmp_path, "--json", tmp_path / "r.json")
    report = read_json(tmp_path / "r.json", "index")
    assert (code, report["layout"], report["n_clips"], report["domains"]) == (0, "dcase2021", 1, {"source": 1})
    assert "  domains: 1 source\n" in out
    assert report["warnings"][0].startswith("left_out: 1 audio files do not fit")
    assert err == f"warning: {report['warnings'][0]}\n"


def test_index_shows_expected_and_found_clips_of_a_published_machine(run, tmp_path):
    write(tmp_path / "slider" / "train" / "normal_id_00_00000000.wav", hum(1, seconds=1.0))
    code, out, _ = run("index", tmp_path, "--json", tmp_path / "r.json")
    assert code == 0
    assert "expected / found, as DCASE 2020 Task 2 publishes slider: 4094 / 1\n" in out
    assert "    id 00 train normal: 968 / 1 (differs)\n" in out
    rows = read_json(tmp_path / "r.json", "index")["expected"]
    assert rows[0] == {"id": "00", "split": "train", "label": "normal", "expected": 968, "found": 1}
    (tmp_path / "SIMULATED.json").write_text(json.dumps({"schema": 1, "simulated": True, "anomalous": {}}))
    run("index", tmp_path, "--json", tmp_path / "r.json")
    assert read_json(tmp_path / "r.json", "index")["expected"] is None


def test_index_names_several_machines_and_folders_without_a_normal_one(run, tmp_path):
    for machine in ("fan", "valve"):
        write(tmp_path / "root" / machine / "train" / "normal_id_00_00000000.wav", hum(0))
    code, _, err = run("index", tmp_path / "root")
    assert (code, "fan, valve" in err) == (2, True)
    write(tmp_path / "own" / "gut" / "a.wav", hum(0))
    code, _, err = run("index", tmp_path / "own")
    assert (code, "gut" in err, err.count("\n")) == (2, True, 1)


def test_train_prints_the_model_last_and_its_progress_elsewhere(run, data, tmp_path):
    arguments = ("train", "lstm_predictor", "--data", data, "--out", tmp_path, "--name", "My Set")
    settings = ("hidden=8", "layers=1", "epochs=2", "windows_per_epoch=64", "learning_rate=1e-3")
    code, out, err = run(*arguments, *(f"--set={text}" for text in settings), "--json", tmp_path / "r.json")
    assert (code, out) == (0, f"{tmp_path / 'my-set' / 'pump' / 'lstm_predictor'}\n")
    assert "epoch 1/2, loss" in err
    assert "epoch 2/2, loss" in err
    report = read_json(tmp_path / "r.json", "train")
    assert (report["n_train"], report["n_heldout"], report["encoder"]) == (38, 10, None)
    assert report["heldout_loss"] > report["mean_spectrum_loss"] > 0  # after so few updates
    assert report["model"] == out.strip()
    assert report["threshold"]["value"] is not None
    (warning,) = report["warnings"]
    assert warning.startswith("no_better_than_mean: ")
    assert warning in err
    manifest = open_artifact(tmp_path / "my-set" / "pump" / "lstm_predictor").manifest
    assert (manifest.training.mean_spectrum_loss, manifest.warnings) == (report["mean_spectrum_loss"], (warning,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("transformer",), "detector must be one of"),
        (("vggish_ocsvm", "--preset", "slow"), "preset must be one of paper, quick"),
        (("vggish_ocsvm", "--set", "nu"), "--set takes name=value"),
        (("vggish_ocsvm", "--set", "nu=2"), "nu must be in"),
        (("vggish_ocsvm", "--set", "nu=x"), "nu must be a number"),
        (("vggish_ocsvm", "--set", "size=2"), "no setting 'size'"),
        (("vggish_ocsvm", "--seed", "-1"), "seed"),
        (("vggish_ocsvm", "--threads", "0"), "threads"),
        (("lstm_predictor", "--set", "threads=0"), "threads must be 1"),
        (("lstm_predictor", "--set", "windows_per_epoch=-5"), "windows_per_epoch"),
        (("vggish_ocsvm", "--machine", "fan"), "no machine 'fan'"),
        (("vggish_ocsvm", "--ids", "07"), "no id 07"),
        (("vggish_ocsvm", "--normal", "fine"), "it has leak, normal"),
        (("vggish_ocsvm", "--channel", "3"), "48 refused"),
    ],
)
def test_a_training_that_cannot_be_done_exits_with_2_and_one_line(run, data, tmp_path, arguments, message):
    code, out, err = run("train", *arguments, "--data", data, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("asd_core: ")
    assert err.count("\n") == 1


def test_a_missing_data_set_exits_with_2(run, tmp_path):
    code, _, err = run("train", "vggish_ocsvm", "--data", tmp_path / "nowhere")
    assert (code, "is not a folder" in err) == (2, True)


def test_a_training_with_refused_clips_exits_with_3(run, data, tmp_path):
    shutil.copytree(data, tmp_path / "pump")
    (tmp_path / "pump" / "leak" / "broken.wav").write_bytes(b"RIFF")
    code, out, err = run("train", "vggish_ocsvm", "--data", tmp_path / "pump", "--out", tmp_path / "out")
    assert code == 3
    assert "refused leak/broken.wav: " in err
    assert Path(out.strip(), "current").is_file()


def test_a_busy_detector_exits_with_4(run, data, model):
    with locked(model):
        code, _, err = run("train", "vggish_ocsvm", "--data", data, "--out", model.parents[2])
    assert (code, "busy" in err) == (4, True)


def test_an_interrupt_exits_with_130(run, data, model, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("asd_core.tasks.score.score_clips", interrupt)
    code, _, err = run("score", data, "--model", model)
    assert (code, "--resume" in err) == (130, True)


def test_evaluate_prints_and_writes_the_same_figures(run, data, model, tmp_path):
    code, out, _ = run("evaluate", model, "--data", data, "--json", tmp_path / "r.json")
    report = read_json(tmp_path / "r.json", "evaluate")
    assert code == 0
    assert (report["n_normal"], report["n_anomalous"], report["n_excluded"]) == (32, 6, 0)
    shown = " [" if report["auc_pooled_ci"] else ", interval not defined (no spread among 32 + 6 clips)"
    assert f"AUC, all ids pooled: {report['auc_pooled']:.3f}{shown}" in out
    assert (report["simulated"], report["data_simulated"]) == (False, False)
    assert "32 normal and 6 anomalous test clips, 0 left out" in out
    assert out.startswith("Log-mel statistics + one-class SVM\n")


def test_evaluate_takes_a_rule_and_refuses_an_unknown_one(run, data, model):
    code, out, _ = run("evaluate", model, "--data", data, "--rule", "youden")
    assert (code, "chosen on test labels" in out) == (0, True)
    for rule in (("guess",), ("conformal", "--rule-value", "7")):
        code, _, err = run("evaluate", model, "--data", data, "--rule", *rule)
        assert (code, err.count("\n")) == (2, 1)


OUT_OF_RANGE = [
    (("--seed", "-1"), "seed must be 0 or more, got -1"),
    (("--rule-value", "3"), "goes with a rule"),
    (("--rule", "guess"), "rule must be one of conformal"),
    (("--rule", "manual"), "needs a finite value (the threshold itself), got none"),
    (("--rule", "target_tpr", "--rule-value", "1.5"), "needs a rate from 0 to 1, got 1.5"),
]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        *(("evaluate", *case) for case in OUT_OF_RANGE),
        ("evaluate", ("--pooling", "median"), "pooling must be one of"),
        *(("report", *case) for case in OUT_OF_RANGE),
    ],
)
def test_options_out_of_range_are_refused_before_any_clip_is_scored(
    run, data, model, tmp_path, monkeypatch, command, arguments, message
):
    def never(*_, **__):
        raise AssertionError("clips were scored")

    monkeypatch.setattr(f"asd_core.{'tasks.evaluate' if command == 'evaluate' else 'reports.html'}.assess", never)
    out = ("--out", tmp_path / "r.html") if command == "report" else ()
    code, _, err = run(command, model, "--data", data, *arguments, *out)
    assert (code, message in err, err.count("\n")) == (2, True, 1)


def test_a_detector_named_twice_is_refused(run, data, model, tmp_path):
    code, _, err = run("evaluate", model, "--data", data, "--with", open_artifact(model).folder)
    assert (code, "is named twice" in err) == (2, True)
    code, _, err = run("report", model, model, "--data", data, "--out", tmp_path / "r.html")
    assert (code, "is named twice" in err) == (2, True)


def test_a_file_that_could_not_be_written_is_refused_before_the_work(run, data, model, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr("asd_core.tasks.train.train", never)
    monkeypatch.setattr("asd_core.tasks.score.score_clips", never)
    monkeypatch.setattr("asd_core.reports.html.write_report", never)
    (tmp_path / "file").touch()
    train = ("train", "vggish_ocsvm", "--data", data, "--out", tmp_path / "out")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "file" / "a" / "r.json", "file is not a folder")):
        for command in (
            (*train, "--json", place),
            ("score", data, "--model", model, "--csv", place),
            ("report", model, "--data", data, "--out", place),
        ):
            code, out, err = run(*command)
            assert (code, out, message in err, err.count("\n")) == (2, "", True, 1), err


@pytest.mark.parametrize("arguments", [("--ids", ""), ("--ids", ","), ("--channel", "left"), ("--channel", "-1")])
def test_an_option_that_says_nothing_is_a_usage_error_that_names_it(data, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "vggish_ocsvm", "--data", str(data), "--out", str(tmp_path), *arguments])
    shown = capsys.readouterr().err
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}: " in shown
    assert "invalid" not in shown


def test_channel_mean_is_told_from_none(run, data, tmp_path):
    for name, channel in (("mean", None), ("0", 0)):
        _, out, _ = run("train", "vggish_knn", "--data", data, "--channel", name, "--out", tmp_path / name)
        assert open_artifact(Path(out.strip())).manifest.channel == channel


def test_evaluate_of_no_or_a_damaged_model_exits_with_2(run, data, model, tmp_path):
    assert run("evaluate", tmp_path, "--data", data)[0] == 2
    damaged = Path(shutil.copytree(model, tmp_path / "damaged"))
    path = open_artifact(damaged).folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    code, _, err = run("score", data, "--model", damaged)
    assert (code, "damaged" in err) == (2, True)


def test_evaluate_dcase_prints_a_line_per_machine_and_id(run, tmp_path):
    truth = tmp_path / "eval_data_list.csv"
    truth.write_text(
        "slider\nid_01_00000000.wav,normal_id_01_00000000.wav,0\nid_01_00000001.wav,anomaly_id_01_00000000.wav,1\n"
    )
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "anomaly_score_slider_id_01.csv").write_text(
        "id_01_00000000.wav,0.1\nid_01_00000001.wav,0.9\n"
    )
    code, out, err = run("evaluate-dcase", tmp_path / "scores", "--truth", truth, "--json", tmp_path / "r.json")
    assert (code, err) == (0, "")
    assert "slider id 01: AUC 1.0000, pAUC 1.0000\n" in out
    assert read_json(tmp_path / "r.json", "evaluate-dcase")["machines"]["slider"]["auc_mean"] == 1.0
    assert run("evaluate-dcase", tmp_path / "nowhere", "--truth", truth)[0] == 2
    assert run("evaluate-dcase", tmp_path / "scores", "--truth", tmp_path / "nowhere")[0] == 2


def test_doctor_lists_its_checks(run, tmp_path):
    code, out, _ = run("doctor", "--json", tmp_path / "r.json")
    checks = read_json(tmp_path / "r.json", "doctor")["checks"]
    assert all(set(check) == {"name", "ok", "required", "detail"} for check in checks)
    assert code == int(any(check["required"] and not check["ok"] for check in checks))
    assert {"python", "torch", "VGGish", "file locks"} <= {check["name"] for check in checks}
    assert len(out.splitlines()) == len(checks)


def test_doctor_exits_with_1_when_a_required_package_is_missing(run, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def version(name):
        if name == "safetensors":
            raise PackageNotFoundError(name)
        return "99.0"

    monkeypatch.setattr("asd_core.cli.doctor.version", version)
    code, out, _ = run("doctor")
    assert (code, "FAIL safetensors: not installed" in out) == (1, True)


# Scoring


def test_score_writes_a_row_a_clip_and_model_in_order(run, data, model, tmp_path):
    version = open_artifact(model).folder
    code, out, _ = run("score", data / "leak", data / "normal" / "00.wav", "--model", version, "--model", model)
    rows = read_rows(out)
    assert code == 0
    assert [(row["path"], row["model"]) for row in rows] == sorted(
        (str(path), str(each))
        for path in [*(data / "leak").iterdir(), data / "normal" / "00.wav"]
        for each in (model, version)
    )
    assert {row["encoder"] for row in rows} == {"logmel_stats"}
    assert {row["status"] for row in rows} == {"warning"}
    assert all(row["reason"].startswith("short: 1.00 s repeated") for row in rows)
    assert all(repr(float(row["anomaly_score"])) == row["anomaly_score"] for row in rows)
    assert {row["threshold"] for row in rows} == {repr(open_artifact(model).threshold.value)}
    assert {row["verdict"] for row in rows if "leak" in row["path"]} == {"anomalous"}


def test_a_model_named_twice_scores_once(run, data, model):
    code, out, _ = run("score", data / "normal" / "00.wav", "--model", model, "--model", model)
    assert (code, len(read_rows(out))) == (0, 1)


def test_score_writes_csv_and_json_and_a_rerun_is_identical(run, data, model, tmp_path):
    for name in ("first", "second"):
        paths = ("--csv", tmp_path / name / "rows.csv", "--json", tmp_path / name / "rows.json")
        assert run("score", data, "--model", model, *paths)[:2] == (0, "")
    for file in ("rows.csv", "rows.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    report = read_json(tmp_path / "first" / "rows.json", "score")
    rows = read_rows((tmp_path / "first" / "rows.csv").read_text())
    assert len(rows) == len(report["rows"]) == 86
    assert [float(row["anomaly_score"]) for row in rows] == [row["anomaly_score"] for row in report["rows"]]
    assert list(report["rows"][0]) == COLUMNS


def test_a_refused_clip_has_a_reason_and_no_figures(run, data, model, tmp_path):
    shutil.copy(data / "leak" / "0.wav", tmp_path / "good.wav")
    (tmp_path / "bad.WAV").write_bytes(b"no sound" * 20)
    code, out, err = run("score", tmp_path, "--model", model, "--json", tmp_path / "r.json")
    bad, good = read_rows(out)
    assert code == 3
    assert bad["reason"].startswith("magic: ")
    assert (bad["status"], bad["anomaly_score"], bad["threshold"], bad["verdict"]) == ("refused", "", "", "")
    assert good["status"] == "warning"
    assert (bad["simulated"], good["simulated"]) == ("false", "false")
    assert err.startswith(f"refused {tmp_path / 'bad.WAV'}: ")
    assert read_json(tmp_path / "r.json", "score")["rows"][0]["anomaly_score"] is None


def test_a_file_that_is_named_is_tried_whatever_its_name(run, data, model, tmp_path):
    shutil.copy(data / "leak" / "0.wav", tmp_path / "recording.dat")
    assert run("score", tmp_path / "recording.dat", "--model", model)[0] == 0
    code, _, err = run("score", tmp_path, "--model", model)
    assert (code, "holds no recording: 1 skipped: 1 .dat" in err) == (2, True)
    code, _, err = run("score", tmp_path / "nowhere.wav", "--model", model)
    assert (code, "does not exist" in err) == (2, True)


HOSTILE_NAMES = (
    b"=cmd|calc.wav",
    b"+1.wav",
    b"-1.wav",
    b"@sum.wav",
    b"\tx.wav",
    b"\rx.wav",
    b"line\nbreak.wav",
    b"carriage\rreturn.wav",
    b"\xff\xfe.wav",
    'quote",comma é.wav'.encode(),
)


def test_names_that_a_spreadsheet_would_run_are_quoted(run, data, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in HOSTILE_NAMES:
        Path(os.fsdecode(name)).write_bytes((data / "leak" / "0.wav").read_bytes())
    names = ["./" + os.fsdecode(name) if name.startswith(b"-") else os.fsdecode(name) for name in HOSTILE_NAMES]
    code, _, _ = run("score", *names, "--model", model, "--csv", "rows.csv", "--json", "rows.json")
    assert code == 0
    with Path("rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = read_rows(stream.read())
    paths = {row["path"] for row in rows}
    assert len(rows) == len(HOSTILE_NAMES)
    assert paths >= {"'=cmd|calc.wav", "'+1.wav", "'-1.wav", "'@sum.wav", "'\tx.wav", "'\rx.wav"}
    assert paths >= {"line\nbreak.wav", "carriage\rreturn.wav", "\\udcff\\udcfe.wav", 'quote",comma é.wav'}
    assert "=cmd|calc.wav" in {row["path"] for row in json.loads(Path("rows.json").read_text())["rows"]}
    assert run("score", *names, "--model", model)[0] == 0


def test_a_negative_score_stays_a_number():
    row = ScoreRow("a.wav", "m", "", "ok", "", -0.5, -1e-7, "anomalous", False)
    assert format_score_csv([row]).splitlines()[1] == "a.wav,m,,ok,,-0.5,-1e-07,anomalous,false"


def test_a_device_named_for_the_output_is_written_to_and_never_replaced(run, data, model, tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    assert run("score", data / "leak", "--model", model, "--csv", tmp_path / "null")[0] == 0
    assert (tmp_path / "null").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run("score", data / "leak" / "0.wav", "--model", model, "--csv", tmp_path / "pipe")[0] == 0
    assert os.read(reader, 10_000).startswith(b"path,model,")
    os.close(reader)


def test_a_folder_that_cannot_be_written_exits_with_2(run, data, model, tmp_path):
    (tmp_path / "file").write_text("x")
    code, _, err = run("score", data / "leak", "--model", model, "--csv", tmp_path / "file" / "rows.csv")
    assert (code, err.count("\n")) == (2, 1)


def test_scoring_with_log_mel_statistics_imports_neither_tensorflow_nor_torch_nor_librosa(data, model):
    done = run_apart("score", data / "leak", "--model", model, options=("-X", "importtime"))
    imported = {line.rpartition(b"|")[2].strip().split(b".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert b"numpy" in imported
    assert not imported & {b"tensorflow", b"tensorflow_hub", b"torch", b"librosa"}


@pytest.mark.parametrize("name", ["lstm_predictor", "gru_autoencoder", "dcase_autoencoder"])
def test_scoring_with_a_network_imports_no_torch(name, data):
    trained = PROJECT / "artifacts" / "simulated-small" / "slider" / name
    done = run_apart("score", data / "leak", "--model", trained, options=("-X", "importtime"))
    imported = {line.rpartition(b"|")[2].strip().split(b".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert b"numpy" in imported
    assert not imported & {b"tensorflow", b"torch", b"librosa"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Bad and odd audio files: name to expected outcome."""
    script = SHARED / "tools" / "bad_audio.py"
    if not script.is_file():
        pytest.skip("the generator of bad audio files is not here (../shared/tools)")
    inside = tmp_path_factory.mktemp("corpus")
    done = subprocess.run(
        [sys.executable, script, "corpus", "--mutants", "60"], cwd=inside, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with (inside / "corpus" / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        expected = {os.fsdecode(unquote_to_bytes(row["name"])): row["expected"] for row in csv.DictReader(stream)}
    expected = {name: asked_later(name) or outcome for name, outcome in expected.items()}
    return inside / "corpus", expected


def test_bad_files_are_refused_one_by_one_and_good_ones_scored(corpus, model, tmp_path):
    root, expected = corpus
    files = [name for name in expected if not (root / name).is_dir() or (root / name).is_symlink()]
    assert len(files) > 400
    outputs = []
    for name in ("first", "second"):
        json_path = tmp_path / f"{name}.json"
        done = run_apart(
            "score",
            root,
            *(root / file for file in files),
            "--model",
            model,
            "--json",
            json_path,
            "--csv",
            tmp_path / name,
        )
        assert done.returncode == 3
        assert b"Traceback" not in done.stderr
        assert b"Warning" not in done.stderr
        outputs.append(((tmp_path / name).read_bytes(), json_path.read_bytes()))
    assert outputs[0] == outputs[1]
    rows = {Path(row["path"]).relative_to(root).as_posix(): row for row in json.loads(outputs[0][1])["rows"]}
    assert rows.keys() == set(files)
    for name, row in rows.items():
        refused = row["status"] == "refused"
        if refused:
            assert row["reason"].partition(": ")[0] in REFUSAL_CODES, name
            assert len(row["reason"].partition(": ")[2]) > 10, name
        else:
            assert np.isfinite(row["anomaly_score"]), name
            assert row["verdict"], name
        assert refused == is_refused_by_the_reader(root / name), name
        assert not (refused and expected[name].startswith("accept")), name


def is_refused_by_the_reader(path):
    """Where the links of a path lead; `tests/test_audio.py` says of which files of the corpus it must be so."""
    try:
        read_waveform(os.path.realpath(path))
    except AudioError:
        return True
    return False
