"""The `download` command: exit codes, lines and JSON. Nothing here touches a network."""

from __future__ import annotations

import io
import json
import random
import socket
import zipfile

import pytest

from asd_core import cli
from asd_core.data.dcase2020 import download as module
from asd_core.data.dcase2020 import published, transfer

NAMES = {
    "slider/train/normal_id_00_00000000.wav": ("00", "train", "normal"),
    "slider/test/normal_id_00_00000000.wav": ("00", "test", "normal"),
    "slider/test/anomaly_id_00_00000000.wav": ("00", "test", "anomalous"),
}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """A slider of three clips; every look-up of a host fails."""

    def fail(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(transfer, "_BACKOFF_S", 0.001)
    monkeypatch.setitem(published.DEV_COUNTS, "slider", {"00": (1, 1, 1)})


def put_zip(folder, monkeypatch, *, confirmed=True):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for seed, name in enumerate(NAMES):
            archive.writestr(name, b"RIFF\0\0\0\0WAVE" + random.Random(seed).randbytes(500))
    folder.mkdir()
    path = folder / "dev_data_slider.zip"
    path.write_bytes(stream.getvalue())
    md5 = module._md5(path) if confirmed else "0" * 32
    table = published.RemoteFile(path.name, 3678171, md5, len(stream.getvalue()), confirmed)
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), table)
    return path


def test_the_result_is_lines_and_json(tmp_path, monkeypatch, capsys):
    path = put_zip(tmp_path / "to", monkeypatch)
    report_file = tmp_path / "report.json"
    assert cli.main(["download", "--to", str(path.parent), "--json", str(report_file)]) == 0
    report = json.loads(report_file.read_text())
    assert report == {
        "schema": 1,
        "command": "download",
        "warnings": [],
        "folder": str(path.parent),
        "files": [
            {"name": path.name, "bytes": path.stat().st_size, "md5": module._md5(path), "status": "unpacked"},
        ],
        "counts": {
            "slider": [
                {"id": machine_id, "split": split, "label": label, "expected": 1, "found": 1}
                for machine_id, split, label in NAMES.values()
            ]
        },
    }
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "dev_data_slider.zip: unpacked"
    assert lines[1] == "  slider id 00 train normal: 1 of 1"
    assert lines[-1] == str(path.parent)
    assert err.splitlines() == ["unpack dev_data_slider.zip: 3 clips"]
    assert cli.main(["download", "slider", "--to", str(path.parent), "--json", str(report_file)]) == 0
    assert json.loads(report_file.read_text())["files"][0] == {
        "name": path.name,
        "bytes": None,
        "md5": None,
        "status": "present",
    }


def test_the_default_place_is_the_data_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    (tmp_path / "dcase2020").mkdir()
    path = put_zip(tmp_path / "dcase2020" / "dev_data", monkeypatch)
    assert cli.main(["download"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(path.parent)


def test_offline_is_exit_2_with_the_way_by_hand_and_no_traceback(tmp_path, capsys):
    assert cli.main(["download", "slider", "--to", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "https://zenodo.org/records/3678171" in err
    assert f"{tmp_path / 'dev_data_slider.zip'}" in err
    assert "Traceback" not in err


def test_an_unknown_machine_is_exit_2_and_names_the_known(tmp_path, capsys):
    assert cli.main(["download", "gearbox", "--to", str(tmp_path)]) == 2
    assert "it has slider, fan, pump, valve, ToyCar, ToyConveyor" in capsys.readouterr().err


def test_a_file_that_could_not_be_verified_is_exit_2(tmp_path, monkeypatch, capsys):
    path = put_zip(tmp_path / "to", monkeypatch, confirmed=False)
    path.rename(path.with_name(path.name + ".part"))
    assert cli.main(["download", "--to", str(path.parent)]) == 2
    out, err = capsys.readouterr()
    assert "dev_data_slider.zip: kept" in out
    assert "  slider id 00 train normal: 0 of 1 (differs)" in out
    assert "warning: dev_data_slider.zip was received with MD5" in err


def test_another_download_in_the_folder_is_exit_4(tmp_path, capsys):
    with module._locked(tmp_path):
        assert cli.main(["download", "--to", str(tmp_path)]) == 4
    assert "another download works there" in capsys.readouterr().err


def test_an_interruption_is_exit_130_and_says_that_it_goes_on(tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(socket, "getaddrinfo", interrupt)
    assert cli.main(["download", "--to", str(tmp_path)]) == 130
    assert "goes on from what has been fetched" in capsys.readouterr().err
