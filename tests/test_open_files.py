"""Which files are open for writing, and on which file systems that can be known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from asd_core.system import open_files
from asd_core.system.open_files import is_open_for_writing, is_shared

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


@linux_only
def test_a_file_is_open_for_writing_until_its_last_writer_closes_it(tmp_path):
    path = tmp_path / "a.wav"
    with path.open("wb") as first:
        with path.open("r+b"):
            assert is_open_for_writing(path) is True
        first.write(b"x")
        assert is_open_for_writing(path) is True
    assert is_open_for_writing(path) is False


@linux_only
def test_readers_do_not_count_and_writers_of_other_processes_do(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")
    with path.open("rb"):
        assert is_open_for_writing(path) is False
    code = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "open\n"
        assert is_open_for_writing(path) is True
        writer.communicate()
    assert is_open_for_writing(path) is False


@linux_only
def test_a_writer_waits_for_nothing_and_no_signal_ends_the_watch(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")
    before = signal.getsignal(signal.SIGIO)
    done = threading.Event()

    def write():
        for _ in range(2000):
            os.close(os.open(path, os.O_WRONLY))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    answers = set()
    while not done.is_set():
        answers.add(is_open_for_writing(path))
    writer.join()
    assert answers <= {True, False}
    assert signal.getsignal(signal.SIGIO) == before


def test_what_is_no_file_of_ours_is_not_known(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "pipe.wav")
    for name in ("pipe.wav", "link.wav", "missing.wav", "\0.wav"):
        assert is_open_for_writing(os.path.join(tmp_path, name)) is None  # noqa: PTH118 - no path may hold a NUL
    (tmp_path / "a.wav").write_bytes(b"x")
    monkeypatch.setattr(open_files.sys, "platform", "win32")
    assert is_open_for_writing(tmp_path / "a.wav") is None


@pytest.mark.parametrize("number", ["EACCES", "EINVAL", "ENOLCK"])
def test_a_file_system_without_leases_does_not_know(tmp_path, monkeypatch, number):
    import errno
    import fcntl

    def refuse(*_):
        raise OSError(getattr(errno, number), "no lease")

    (tmp_path / "a.wav").write_bytes(b"x")
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert is_open_for_writing(tmp_path / "a.wav") is None


MOUNTS = r"""/dev/sda1 / ext4 rw 0 0
server:/clips /mnt/nas nfs4 rw 0 0
//nas/clips /mnt/with\040space cifs rw 0 0
tmpfs /mnt/nas/fast tmpfs rw 0 0
user@host: /home/me/host fuse.sshfs rw 0 0
/dev/sdb1 /mnt/stick fuseblk rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "shared"),
    [
        ("/srv/clips", False),
        ("/mnt/nas/pump", True),
        ("/mnt/nas/fast/pump", False),
        ("/mnt/nasty", False),
        ("/mnt/with space/pump", True),
        ("/home/me/host", True),
        ("/home/me", True),
        ("/mnt/stick", False),
    ],
)
def test_shared_file_systems_are_known_by_their_mounts(tmp_path, folder, shared):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert is_shared(folder, mounts=tmp_path / "mounts") is shared


def test_where_mounts_cannot_be_listed_the_folder_is_taken_as_shared(tmp_path):
    assert is_shared(tmp_path, mounts=tmp_path / "nothing")
