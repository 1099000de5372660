"""Downloads against a local server that cuts, lies and redirects, and archives that mean harm. Loopback only."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import io
import os
import random
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile

import pytest
from sounds import PROJECT

from asd_core.data.dcase2020 import download as module
from asd_core.data.dcase2020 import published, transfer
from asd_core.data.dcase2020.download import download
from asd_core.data.dcase2020.published import check_counts
from asd_core.data.dcase2020.unpacking import unpack
from asd_core.data.indexing import index_clips
from asd_core.errors import BusyError, DownloadError, DownloadStopped, UsageError

DEV = {"00": (3, 1, 2), "02": (2, 1, 1)}
EVAL = {"01": (2, 1, 2)}
NAME = "dev_data_slider.zip"
WHERE = f"/records/3678171/files/{NAME}"


def clip(seed, n_bytes=24_000):
    return b"RIFF\0\0\0\0WAVE" + random.Random(seed).randbytes(n_bytes)


def clip_names(part="dev"):
    names = []
    for machine_id, (n_train, n_normal, n_anomalous) in (DEV if part == "dev" else EVAL).items():
        if part != "eval":
            names += [f"slider/train/normal_id_{machine_id}_{n:08d}.wav" for n in range(n_train)]
        if part == "dev":
            names += [f"slider/test/normal_id_{machine_id}_{n:08d}.wav" for n in range(n_normal)]
            names += [f"slider/test/anomaly_id_{machine_id}_{n:08d}.wav" for n in range(n_anomalous)]
        if part == "eval":
            names += [f"slider/test/id_{machine_id}_{n:08d}.wav" for n in range(n_normal + n_anomalous)]
    return names


def zipped(entries, *, compression=zipfile.ZIP_STORED):
    """Zip bytes of (name or ZipInfo, content) pairs."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # duplicates are meant
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def good_entries(part="dev"):
    return [("slider/", b""), ("slider/README.md", b"hello"), *((name, clip(name)) for name in clip_names(part))]


GOOD = zipped(good_entries())


class Site:
    """What the server does; `cuts` are numbers of body bytes after which one answer each breaks off."""

    def __init__(self):
        self.files = {WHERE: GOOD}
        self.requests, self.ranges, self.cuts = [], [], []
        self.take_ranges = True
        self.answer = None  # a function of the handler that replaces the usual answer
        self.pause_s = 0.0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.server.site
        self.close_connection = True
        site.requests.append(self.path)
        site.ranges.append(self.headers.get("Range"))
        with contextlib.suppress(OSError):  # the client may have gone
            (site.answer or usual)(self)

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()


def usual(handler):
    site = handler.server.site
    body = site.files.get(handler.path.partition("?")[0])
    if body is None:
        return handler.head(404, Content_Length=0)
    start = 0
    if site.take_ranges and (asked := handler.headers.get("Range")):
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(body):
        return handler.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
    status, extra = 200, {}
    if start:
        status, extra = 206, {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    rest = body[start:]
    handler.head(status, Content_Length=len(rest), **extra)
    end = min(site.cuts.pop(0), len(rest)) if site.cuts else len(rest)
    for at in range(0, end, 8192):
        handler.wfile.write(rest[at : min(at + 8192, end)])
        time.sleep(site.pause_s)
    return None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def site():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site()
        server.site.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server.site
        server.shutdown()
        thread.join(5)


def remote(body=GOOD, *, confirmed=True, known=True, part="dev", md5=None):
    plain = published.ARCHIVES["slider", part]
    md5 = md5 or hashlib.md5(body, usedforsecurity=False).hexdigest()
    return dataclasses.replace(plain, md5=md5, size=len(body) if known else None, confirmed=confirmed)


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    """A slider of a few clips, short pauses, and no way out of this machine."""
    monkeypatch.setitem(published.DEV_COUNTS, "slider", DEV)
    for machine in list(published.EVAL_COUNTS):
        if machine != "slider":
            monkeypatch.delitem(published.EVAL_COUNTS, machine)
    monkeypatch.setitem(published.EVAL_COUNTS, "slider", EVAL)
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote())
    monkeypatch.setattr(transfer, "_BACKOFF_S", 0.005)
    monkeypatch.setattr(transfer, "_TIMEOUT_S", 0.4)
    look_up = socket.getaddrinfo

    def loopback_only(host, *rest, **options):
        assert host in ("127.0.0.1", "localhost"), f"a test asked for {host}"
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", loopback_only)


def fetch(site, to, **options):
    options = {"hosts": (site.host,), "base_url": f"http://{site.host}/records", "to": to, **options}
    return download(["slider"], **options)


def tree(folder):
    """Every file below a folder with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def assert_whole(to, *, part="dev", besides=()):
    expected = {name: clip(name) for name in clip_names(part)}
    found = tree(to)
    assert found.pop(".download.lock") == b""
    for name in besides:
        found.pop(name)
    assert found == expected
    assert not [path for path in to.iterdir() if path.name.startswith(".staging")]


def assert_nothing(to, *, besides=()):
    assert set(tree(to)) <= {".download.lock", *besides}
    assert not [path for path in to.iterdir() if path.is_dir()]


def test_a_download_is_fetched_verified_unpacked_and_then_there(site, tmp_path):
    steps = []
    report = fetch(site, tmp_path, on_progress=steps.append)
    assert_whole(tmp_path)
    assert [(file.name, file.bytes, file.md5, file.status) for file in report.files] == [
        (NAME, len(GOOD), remote().md5, "downloaded")
    ]
    assert report.warnings == ()
    assert (steps[0].stage, steps[0].done, steps[0].total) == ("download", 0, len(GOOD))
    assert (steps[-1].stage, steps[-1].done, steps[-1].total) == ("unpack", 10, 10)
    assert site.requests == [f"{WHERE}?download=1"]
    assert index_clips(tmp_path).machine_ids == ("00", "02")


def test_what_is_there_is_neither_asked_for_nor_touched(site, tmp_path):
    fetch(site, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    report = fetch(site, tmp_path)
    assert [file.status for file in report.files] == ["present"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")} == before
    assert len(site.requests) == 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_download_cut_at_20_random_places_resumes_to_the_right_checksum(site, tmp_path, monkeypatch, seed, known):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(known=known))
    offsets = sorted(random.Random(seed).sample(range(1, len(GOOD)), 20))
    site.cuts = [b - a for a, b in zip([0, *offsets], offsets, strict=False)]
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert site.ranges == [None, *(f"bytes={offset}-" for offset in offsets)]


def test_cuts_are_survived_across_runs_too(site, tmp_path):
    for run in range(4):
        got = []

        def stop(got=got):
            return len(got) > 2

        with pytest.raises(DownloadStopped, match="goes on from"):
            fetch(site, tmp_path, on_progress=got.append, should_stop=stop)
        assert (tmp_path / f"{NAME}.part").stat().st_size > run
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    sizes = [int((asked or "bytes=0-")[6:-1]) for asked in site.ranges]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0


_CHILD = """
import sys
from pathlib import Path
from asd_core.data.dcase2020 import download as m, published
published.DEV_COUNTS["slider"] = {dev!r}
published.ARCHIVES["slider", "dev"] = published.RemoteFile({name!r}, 3678171, {md5!r}, {size}, True)
m.download(["slider"], to=Path({to!r}), hosts=[{host!r}], base_url="http://{host}/records",
           on_progress=lambda step: print(step.done, flush=True))
"""


def test_a_killed_download_is_resumed(site, tmp_path):
    site.pause_s = 0.02
    archive = remote()
    text = _CHILD.format(dev=DEV, name=NAME, md5=archive.md5, size=archive.size, to=os.fspath(tmp_path), host=site.host)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, cwd=PROJECT, text=True) as child:
        for line in child.stdout:
            if int(line) > 50_000:
                break
        with pytest.raises(BusyError, match="another download"):
            fetch(site, tmp_path)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert_nothing(tmp_path, besides=[f"{NAME}.part"])
    site.pause_s = 0.0
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert int(site.ranges[-1][6:-1]) > 50_000


def test_a_server_that_ignores_ranges_makes_it_start_over(site, tmp_path):
    site.take_ranges = False
    site.cuts = [100_000, 200_000, 150_000]
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert len(site.requests) == 4


def test_starting_over_forgets_what_stood_in_the_partial_file(site, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(b"stale" * 40_000)
    site.cuts = [50_000]

    def ignore_the_first_range(handler):
        site.take_ranges = len(site.requests) > 1
        usual(handler)

    site.answer = ignore_the_first_range
    fetch(site, tmp_path)
    assert site.ranges == ["bytes=200000-", "bytes=50000-"]
    assert_whole(tmp_path)


def test_a_partial_file_that_is_whole_or_too_long_costs_no_surprise(site, tmp_path):
    partial = tmp_path / f"{NAME}.part"
    partial.write_bytes(GOOD)
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert site.requests == []
    shutil.rmtree(tmp_path / "slider")
    partial.write_bytes(GOOD + b"more")
    fetch(site, tmp_path)
    assert site.ranges == [None]
    assert_whole(tmp_path)


@pytest.mark.parametrize(("content", "n_requests"), [(GOOD, 1), (GOOD + b"more", 2)])
def test_without_a_known_size_the_server_tells_that_the_partial_file_is_whole(
    site, tmp_path, monkeypatch, content, n_requests
):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(known=False))
    (tmp_path / f"{NAME}.part").write_bytes(content)
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert len(site.requests) == n_requests


def test_a_server_that_stalls_is_asked_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_TIMEOUT_S", 0.7)

    def stall_twice(handler):
        if len(site.requests) > 2:
            return usual(handler)
        start = 50_000 * (len(site.requests) - 1)
        extra = {"Content_Range": f"bytes {start}-{len(GOOD) - 1}/{len(GOOD)}"} if start else {}
        handler.head(206 if start else 200, Content_Length=len(GOOD) - start, **extra)
        handler.wfile.write(GOOD[start : start + 50_000])
        time.sleep(1.2)
        return None

    site.answer = stall_twice
    fetch(site, tmp_path)
    assert_whole(tmp_path)
    assert site.ranges == [None, "bytes=50000-", "bytes=100000-"]


def test_a_server_that_only_drips_is_given_up(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_SLOW_S", 0.02)
    monkeypatch.setattr(transfer, "_MAX_ATTEMPTS", 4)

    def drip(handler):
        handler.head(200, Content_Length=len(GOOD))
        for at in range(200):
            handler.wfile.write(GOOD[at : at + 1])
            time.sleep(0.005)

    site.answer = drip
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"fewer than 65536 bytes came in"):
        fetch(site, tmp_path)
    assert time.monotonic() - began < 3
    assert len(site.requests) <= 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_a_bounded_number_of_times(site, tmp_path, status):
    site.answer = lambda handler: handler.head(status, Content_Length=0)
    with pytest.raises(DownloadError, match=f"the server answers {status}"):
        fetch(site, tmp_path)
    assert len(site.requests) == transfer._MAX_BARREN


def lie(status=200, body=GOOD, **headers):
    def answer(handler):
        handler.head(status, **headers)
        handler.wfile.write(body)

    return answer


def chunked(body):
    def answer(handler):
        handler.head(200, Transfer_Encoding="chunked")
        for at in range(0, len(body), 50_000):
            block = body[at : at + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        handler.wfile.write(b"0\r\n\r\n")

    return answer


SIZE = len(GOOD)
LIES = {
    "too short a length": (lie(Content_Length=SIZE - 1), "announces .* instead of"),
    "too long a length": (lie(Content_Length=SIZE + 1), "announces .* instead of"),
    "length 8 GB": (lie(Content_Length=9_000_000_000), "announces .* instead of"),
    "length is no number": (lie(Content_Length="many"), "a length of"),
    "negative length": (lie(Content_Length=-5), "a length of"),
    "more than announced": (chunked(GOOD + b"x"), "sends more than"),
    "endless": (chunked(GOOD * 3), "sends more than"),
    "re-encoded": (lie(Content_Length=SIZE, Content_Encoding="gzip"), "re-encodes"),
    "range from elsewhere": (
        lie(206, Content_Range=f"bytes 7-{SIZE - 1}/{SIZE}", Content_Length=SIZE - 7),
        "sends from 7",
    ),
    "range of another file": (
        lie(206, Content_Range=f"bytes 1000-{SIZE}/{SIZE + 1}", Content_Length=SIZE),
        "announces .* instead of",
    ),
    "range without a size": (lie(206, Content_Range="bytes 1000-1999/*", Content_Length=1000), "with Content-Range"),
    "part without a range": (lie(206, Content_Length=SIZE), "with Content-Range"),
    "range sends more": (
        lie(206, GOOD, Content_Range=f"bytes 1000-{SIZE - 1}/{SIZE}", Content_Length=SIZE),
        "sends more than",
    ),
    "gone": (lie(404, b"", Content_Length=0), "the server answers 404"),
    "forbidden": (lie(403, b"", Content_Length=0), "the server answers 403"),
    "an error page": (lie(body=b"<html>", Content_Length=6), "announces .* instead of"),
    "flipped byte": (lie(body=GOOD[:500] + b"?" + GOOD[501:], Content_Length=SIZE), "MD5 .* instead of"),
    "other file": (lie(body=bytes(SIZE), Content_Length=SIZE), "MD5 .* instead of"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_server_that_lies_is_refused(site, tmp_path, name):
    site.answer, text = LIES[name]
    if "range" in name:
        (tmp_path / f"{NAME}.part").write_bytes(GOOD[:1000])
    with pytest.raises(DownloadError, match=text):
        fetch(site, tmp_path)
    assert_nothing(tmp_path, besides=[f"{NAME}.part"])
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (chunked(GOOD), "does not say how large"),
        (lie(Content_Length=8_000_000_001), "exceed the limit"),
    ],
)
def test_without_a_known_size_the_server_must_name_a_bearable_one(site, tmp_path, monkeypatch, answer, text):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(known=False))
    site.answer = answer
    with pytest.raises(DownloadError, match=text):
        fetch(site, tmp_path)
    assert_nothing(tmp_path)


def test_without_a_known_size_the_first_word_of_the_server_counts(site, tmp_path, monkeypatch):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(known=False))

    def grow(handler):
        if len(site.requests) == 1:
            site.cuts = [1000]
        else:
            site.files[WHERE] = GOOD + b"x"
        usual(handler)

    site.answer = grow
    with pytest.raises(DownloadError, match=f"announces {SIZE + 1} bytes instead of {SIZE}"):
        fetch(site, tmp_path)


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("https://evil.example/x.zip", "not among the allowed"),
        ("https://zenodo.org.evil.example/x.zip", "not among the allowed"),
        ("http://zenodo.org/x.zip", "not among the allowed"),
        ("http://127.0.0.1:1/x.zip", "not among the allowed"),
        ("http://127.0.0.1/x.zip", "not among the allowed"),
        ("http://[::1]/x.zip", "not among the allowed"),
        ("http://169.254.169.254/latest/meta-data", "not among the allowed"),
        ("file:///etc/passwd", "not among the allowed"),
        ("ftp://HOST/x.zip", "is not https"),
        ("http://user@HOST/x.zip", "not among the allowed"),
        ("//evil.example/x.zip", "not among the allowed"),
        ("http://[bad/x.zip", "no address"),
        ("http://HOST:99999/x.zip", "no address"),
        ("/a b", "no address"),
        (WHERE, "more than 5 redirects"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(site, tmp_path, location, text):
    location = location.replace("HOST:99999", "127.0.0.1:99999").replace("HOST", site.host)
    site.answer = lambda handler: handler.head(302, Location=location, Content_Length=0)
    with pytest.raises(DownloadError, match=text):
        fetch(site, tmp_path)
    assert_nothing(tmp_path)


def test_a_redirect_to_an_allowed_place_is_followed(site, tmp_path):
    site.files["/api/elsewhere"] = GOOD

    def answer(handler):
        if handler.path.startswith("/records"):
            return handler.head(301, Location="/api/elsewhere", Content_Length=0)
        return usual(handler)

    site.answer = answer
    fetch(site, tmp_path)
    assert_whole(tmp_path)


def test_a_name_that_leads_to_a_private_address_is_refused(site, tmp_path):
    port = site.host.split(":")[1]
    with pytest.raises(DownloadError, match="no public address"):
        fetch(site, tmp_path, hosts=(f"localhost:{port}",), base_url=f"https://localhost:{port}")
    with pytest.raises(DownloadError, match="is not https"):
        fetch(site, tmp_path, hosts=(f"localhost:{port}",), base_url=f"http://localhost:{port}")
    with pytest.raises(DownloadError, match="is not https"):
        fetch(site, tmp_path, hosts=module.ALLOWED_HOSTS, base_url="http://zenodo.org/records")
    with pytest.raises(DownloadError, match="not among the allowed"):
        fetch(site, tmp_path, hosts=module.ALLOWED_HOSTS)
    assert site.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not transfer._is_public(address)
    assert transfer._is_public("188.185.48.194")
    assert transfer._is_public("2001:1458:d00::1")


def test_a_plain_server_on_the_https_port_is_no_way_in(site, tmp_path):
    with pytest.raises(DownloadError, match="out of reach"):
        fetch(site, tmp_path, base_url=f"https://{site.host}/records")
    assert_nothing(tmp_path)


def test_offline_the_message_names_the_way_by_hand(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DownloadError, match="out of reach") as caught:
            download(["slider"], to=tmp_path, hosts=[host], base_url=f"http://{host}/records")
    text = str(caught.value)
    for part in ("https://zenodo.org/records/3678171", str(tmp_path / NAME), f"unzip it into {tmp_path}", "slider"):
        assert part in text


def test_no_answer_from_dns_is_offline_too(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError, match=r"zenodo\.org is not found: .*Temporary failure.*By hand: save it"):
        download(["slider"], to=tmp_path)


def test_a_confirmed_checksum_condemns_the_file(site, tmp_path, monkeypatch):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(md5="0" * 32))
    with pytest.raises(DownloadError, match=r"instead of 0{32}; it was removed"):
        fetch(site, tmp_path)
    assert_nothing(tmp_path)


def test_a_checksum_from_one_source_keeps_the_partial_file_for_the_user_to_judge(site, tmp_path, monkeypatch):
    monkeypatch.setitem(published.ARCHIVES, ("slider", "dev"), remote(md5="0" * 32, confirmed=False, known=False))
    report = fetch(site, tmp_path)
    assert [file.status for file in report.files] == ["kept"]
    assert "stays, not unpacked" in report.warnings[0]
    assert_nothing(tmp_path, besides=[f"{NAME}.part"])
    assert (tmp_path / f"{NAME}.part").read_bytes() == GOOD
    (tmp_path / f"{NAME}.part").rename(tmp_path / NAME)
    report = fetch(site, tmp_path)
    assert [file.status for file in report.files] == ["unpacked"]
    assert "only because names and counts agree" in report.warnings[0]
    assert_whole(tmp_path, besides=[NAME])
    assert len(site.requests) == 1


def test_a_zip_put_there_by_hand_is_taken_and_left(site, tmp_path):
    (tmp_path / NAME).write_bytes(GOOD)
    report = fetch(site, tmp_path)
    assert [file.status for file in report.files] == ["unpacked"]
    assert site.requests == []
    assert_whole(tmp_path, besides=[NAME])


def test_a_folder_unzipped_by_hand_counts_as_there(site, tmp_path):
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        archive.extractall(tmp_path)
    report = fetch(site, tmp_path)
    assert [file.status for file in report.files] == ["present"]
    assert site.requests == []
    assert all(row.expected == row.found for row in report.counts["slider"])


def test_a_wrong_zip_put_there_by_hand_is_refused_and_left(site, tmp_path, monkeypatch):
    (tmp_path / NAME).write_bytes(GOOD[:-1])
    with pytest.raises(DownloadError, match=f"has {SIZE - 1} bytes instead of {SIZE}"):
        fetch(site, tmp_path)
    (tmp_path / NAME).write_bytes(bytes(SIZE))
    with pytest.raises(DownloadError, match="is damaged: MD5"):
        fetch(site, tmp_path)
    monkeypatch.setitem(module._MIMII_DUE_BYTES, NAME, SIZE)
    with pytest.raises(DownloadError, match="MIMII DUE"):
        fetch(site, tmp_path)
    assert_nothing(tmp_path, besides=[NAME])
    assert site.requests == []


@pytest.mark.parametrize(
    ("name", "fault", "text"),
    [
        (NAME, DownloadError, "must be a file of its own"),
        (f"{NAME}.part", DownloadError, "must be a file of its own"),
        (".download.lock", OSError, "symbolic link"),
    ],
)
def test_links_in_the_place_of_own_files_are_not_followed(site, tmp_path, name, fault, text):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / name).symlink_to(outside)
    with pytest.raises(fault, match=text):
        fetch(site, tmp_path / "to")
    assert outside.read_bytes() == b"precious"


def test_a_folder_that_holds_something_else_is_refused_and_untouched(site, tmp_path):
    path = tmp_path / "slider" / "train" / "normal_id_00_00000000.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError, match="id 00 normal: expected 3, found 1"):
        fetch(site, tmp_path)
    assert path.read_bytes() == b"mine"
    assert site.requests == []


def test_an_installation_broken_off_between_two_splits_is_completed(site, tmp_path):
    fetch(site, tmp_path)
    shutil.rmtree(tmp_path / "slider" / "test")
    (tmp_path / ".staging-dev_data_slider" / "slider").mkdir(parents=True)
    (tmp_path / "slider" / "test").mkdir()
    fetch(site, tmp_path)
    assert_whole(tmp_path)


def test_room_is_checked_before_the_first_byte(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=60_000_000))
    with pytest.raises(DownloadError, match=r"not enough room .* 60 MB are free"):
        fetch(site, tmp_path)
    assert_nothing(tmp_path)
    (tmp_path / NAME).write_bytes(GOOD)
    with pytest.raises(DownloadError, match=r"not enough room"):
        fetch(site, tmp_path)


def test_a_pipe_in_the_label_lists_place_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "eval_data_list.csv")
    assert "is not a regular file" in str(module._label_fault(tmp_path / "eval_data_list.csv"))


def test_two_downloads_do_not_meet_in_one_folder(site, tmp_path):
    with module._locked(tmp_path), pytest.raises(BusyError, match="another download"):
        fetch(site, tmp_path)
    fetch(site, tmp_path)
    assert_whole(tmp_path)


def labels(counts=EVAL):
    lines = ["slider"]
    for machine_id, (_, n_normal, n_anomalous) in counts.items():
        for n in range(n_normal + n_anomalous):
            label = "normal" if n < n_normal else "anomaly"
            lines.append(f"id_{machine_id}_{n:08d}.wav,{label}_id_{machine_id}_{n:08d}.wav,{int(n >= n_normal)}")
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture
def eval_site(site, monkeypatch):
    for part, record, name in (("additional", 3727685, "eval_data_train"), ("eval", 3841772, "eval_data_test")):
        body = zipped(good_entries(part))
        site.files[f"/records/{record}/files/{name}_slider.zip"] = body
        monkeypatch.setitem(published.ARCHIVES, ("slider", part), remote(body, part=part, known=False, confirmed=False))
    site.files["/records/3951620/files/eval_data_list.csv"] = labels()
    return site


def test_additional_and_evaluation_parts_share_a_folder(eval_site, tmp_path):
    assert [file.status for file in fetch(eval_site, tmp_path, part="additional").files] == ["downloaded"]
    report = fetch(eval_site, tmp_path, part="eval")
    assert [(file.name, file.status) for file in report.files] == [
        ("eval_data_test_slider.zip", "downloaded"),
        ("eval_data_list.csv", "downloaded"),
    ]
    assert report.counts["slider"] == [("01", "test", "unlabelled", 3, 3)]
    assert {path.name for path in (tmp_path / "slider").iterdir()} == {"train", "test"}
    assert (tmp_path / "eval_data_list.csv").read_bytes() == labels()
    assert [file.status for file in fetch(eval_site, tmp_path, part="eval").files] == ["present", "present"]
    assert len(eval_site.requests) == 3


@pytest.mark.parametrize("content", [labels({"01": (2, 2, 1)}), b"<html>", b"slider\nx,y,0\n", b"\xff\xfe\0"])
def test_another_label_list_than_the_published_is_refused(eval_site, tmp_path, content):
    eval_site.files["/records/3951620/files/eval_data_list.csv"] = content
    with pytest.raises(DownloadError, match="not the published label list"):
        fetch(eval_site, tmp_path, part="eval")
    assert not (tmp_path / "eval_data_list.csv").exists()
    (tmp_path / "eval_data_list.csv").write_bytes(content)
    report = fetch(eval_site, tmp_path, part="eval")
    assert "left as it is" in report.warnings[0]
    assert (tmp_path / "eval_data_list.csv").read_bytes() == content


def test_counts_name_what_is_missing_and_what_does_not_belong(tmp_path):
    for name in clip_names()[1:]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for name in ("normal_id_09_00000000.wav", "anomaly_id_00_00000000.wav", "normal_id_01_00000000.wav", "notes.txt"):
        (tmp_path / "slider" / "train" / name).write_bytes(b"")
    rows = check_counts(tmp_path, "slider", "dev")
    assert [row for row in rows if row.expected != row.found] == [
        ("00", "train", "normal", 3, 2),
        ("00", "train", "anomalous", 0, 1),
        ("09", "train", "normal", 0, 1),
    ]
    assert len(rows) == 8


def test_evaluation_clips_may_carry_their_label(tmp_path):
    for name in ("normal_id_01_00000000.wav", "anomaly_id_01_00000000.wav", "id_01_00000002.wav"):
        (tmp_path / "slider" / "test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "slider" / "test" / name).write_bytes(b"")
    assert check_counts(tmp_path, "slider", "eval") == [("01", "test", "unlabelled", 3, 3)]


def test_the_table_is_the_published_one(monkeypatch):
    monkeypatch.undo()
    assert len(published.ARCHIVES) == 18
    assert len({archive.md5 for archive in published.ARCHIVES.values()}) == 18
    assert len({archive.name for archive in published.ARCHIVES.values()}) == 18
    assert all(len(bytes.fromhex(archive.md5)) == 16 for archive in published.ARCHIVES.values())
    slider = published.ARCHIVES["slider", "dev"]
    assert slider == (published.RemoteFile(NAME, 3678171, "da24a757719f0d94d5aa2d646bbfdc86", 1_002_998_966, True))
    assert {key for key, archive in published.ARCHIVES.items() if archive.confirmed} == {
        ("slider", "dev"),
        ("fan", "dev"),
        ("pump", "dev"),
    }
    totals = {
        part: sum(sum(published.expected_clips(machine, part).values()) for machine in published.MACHINES)
        for part in published.PARTS
    }
    assert totals == {"dev": 30_987, "additional": 16_164, "eval": 7_103}
    assert sum(published.expected_clips("slider", "dev").values()) == 4_094


@pytest.mark.parametrize(("machine", "part"), [("gearbox", "dev"), ("https://x/y.zip", "dev"), ("slider", "test")])
def test_only_the_table_can_be_asked_for(tmp_path, machine, part):
    with pytest.raises(UsageError, match=r"no (machine|part)"):
        download([machine], part=part, to=tmp_path)


def test_the_default_place_is_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    assert module.default_folder("dev") == tmp_path / "dcase2020" / "dev_data"
    assert module.default_folder("eval") == module.default_folder("additional") == tmp_path / "dcase2020" / "eval_data"


# Archives that mean harm: each is the good one with one thing wrong, so that nothing else can be what refuses it.


def named(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr = mode << 16
    return info


def with_entry(name, content=None, **options):
    return zipped([*good_entries(), (named(name, **options), clip(1) if content is None else content)])


def patched(offset, form, value, *, body=GOOD, name=b"slider/train/normal_id_00_00000001.wav"):
    """Overwrite a field of an entry in the archive's directory."""
    content = bytearray(body)
    struct.pack_into(form, content, content.rindex(b"PK\1\2", 0, content.rindex(name)) + offset, value)
    return bytes(content)


def flipped(at):
    return GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]


def bomb():
    entries = good_entries()
    entries[-1] = (entries[-1][0], b"RIFF\0\0\0\0WAVE" + bytes(3_900_000))
    return zipped(entries, compression=zipfile.ZIP_DEFLATED)


def replaced_last(content, **options):
    entries = good_entries()
    entries[-1] = (entries[-1][0], content)
    return zipped(entries, **options)


FIRST = "slider/train/normal_id_00_00000000.wav"
EVIL = {
    "slip": (lambda: with_entry("../up.wav"), "leaves its folder"),
    "slip from below": (lambda: with_entry("slider/train/../../../up.wav"), "leaves its folder"),
    "dot": (lambda: with_entry("slider/./train/normal_id_00_00000009.wav"), "leaves its folder"),
    "empty step": (lambda: with_entry("slider//train/normal_id_00_00000009.wav"), "leaves its folder"),
    "absolute": (lambda: with_entry("/tmp/up.wav"), "absolute"),
    "drive": (lambda: with_entry("C:/up.wav"), "absolute"),
    "alternate stream": (lambda: with_entry(FIRST + ":x.wav"), "absolute"),
    "backslash": (lambda: with_entry("slider\\train\\normal_id_00_00000009.wav"), "backslash"),
    "NUL": (lambda: with_entry(FIRST.replace("0.wav", "9.wav") + "\0.txt"), "control character"),
    "symlink": (
        lambda: with_entry("slider/train/normal_id_00_00000009.wav", b"/etc/passwd", mode=stat.S_IFLNK | 0o777),
        "link or device",
    ),
    "symlinked folder": (lambda: with_entry("slider/test/", b"/etc", mode=stat.S_IFLNK | 0o777), "link or device"),
    "fifo": (
        lambda: with_entry("slider/train/normal_id_00_00000009.wav", mode=stat.S_IFIFO | 0o644),
        "link or device",
    ),
    "duplicate": (lambda: with_entry(FIRST), "twice"),
    "case clash": (lambda: with_entry(FIRST.replace("normal", "NORMAL")), "twice"),
    "file and folder": (lambda: zipped([("slider/train/", b""), ("slider/train", b"x"), *good_entries()]), "twice"),
    "nested archive": (lambda: with_entry("slider/train/more.zip", GOOD), "belongs there"),
    "nested archive named wav": (lambda: replaced_last(GOOD), "not a WAV file"),
    "program": (lambda: with_entry("slider/train/run.exe"), "belongs there"),
    "suffix in other case": (lambda: with_entry("slider/train/normal_id_00_00000009.WAV"), "belongs there"),
    "other digits": (lambda: with_entry("slider/train/normal_id_00_0000000٣.wav"), "belongs there"),
    "other machine": (lambda: with_entry("fan/train/normal_id_00_00000009.wav"), "belongs there"),
    "other split": (lambda: with_entry("slider/other/normal_id_00_00000009.wav"), "belongs there"),
    "bomb": (bomb, "unpacks to more than"),
    "large clip": (lambda: replaced_last(clip(1, 4_000_001)), "unpacks to more than"),
    "size says less": (lambda: patched(24, "<L", 100), "Bad CRC-32"),
    "size says more": (lambda: patched(24, "<L", 1 << 30), "cannot be unpacked"),
    "reaches beyond its end": (lambda: patched(20, "<L", 1 << 30, name=clip_names()[-1].encode()), "beyond its end"),
    "overlap": (lambda: patched(42, "<L", 0), "overlaps another"),
    "encrypted": (lambda: patched(8, "<H", 1), "it is encrypted"),
    "rare compression": (lambda: replaced_last(clip(1), compression=zipfile.ZIP_LZMA), "neither stored nor deflated"),
    "flipped byte": (lambda: flipped(GOOD.index(b"RIFF") + 5000), "Bad CRC-32"),
    "empty clip": (lambda: replaced_last(b""), "0 bytes instead of"),
    "too many entries": (
        lambda: zipped([*good_entries(), *((f"slider/{n}/README", b"") for n in range(80))]),
        "are possible",
    ),
    "huge directory": (
        lambda: zipped([*good_entries(), *((f"slider/{n}/{'x' * 60_000}", b"") for n in range(80))]),
        "directory is too large",
    ),
    "a clip is missing": (lambda: zipped(good_entries()[:-1]), "expected 1, found 0"),
    "cut short": (lambda: GOOD[:-30], "cannot be unpacked"),
    "no zip": (lambda: b"no zip at all" * 100, "cannot be unpacked"),
    "empty": (lambda: b"", "cannot be unpacked"),
    "no entries": (lambda: zipped([]), "expected 3, found 0"),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_archive_is_refused_and_leaves_nothing(tmp_path, name):
    make, text = EVIL[name]
    to = tmp_path / "deep" / "er" / "to"
    to.mkdir(parents=True)
    (to / NAME).write_bytes(make())
    with pytest.raises(DownloadError, match=text):
        unpack(to / NAME, to, machine="slider", part="dev")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "deep",
        "deep/er",
        "deep/er/to",
        f"deep/er/to/{NAME}",
    ]


def test_the_archive_that_the_evil_ones_are_made_of_is_good(tmp_path):
    (tmp_path / NAME).write_bytes(zipped(good_entries(), compression=zipfile.ZIP_DEFLATED))
    assert unpack(tmp_path / NAME, tmp_path, machine="slider", part="dev") == []
    assert tree(tmp_path / "slider").keys() == {name.removeprefix("slider/") for name in clip_names()}


def test_a_verified_archive_with_other_counts_is_taken_with_a_warning(tmp_path):
    (tmp_path / NAME).write_bytes(zipped(good_entries()[:-1]))
    lines = unpack(tmp_path / NAME, tmp_path, machine="slider", part="dev", verified=True)
    assert "other counts than published: id 02 anomalous: expected 1, found 0" in lines[0]


def test_1000_made_up_names_write_nothing_outside(tmp_path):
    rng = random.Random(28)
    pieces = [
        "..",
        ".",
        "",
        "slider",
        "train",
        "normal_id_00_00000000.wav",
        "C:",
        "\\",
        "~",
        "%2e%2e",
        "\u202e",
        "a.wav",
    ]
    pieces += ["\0", "con", "id_00_1.wav", "/", "\n", " ", "SLIDER", "ﬀ", "test"]
    to = tmp_path / "to"
    to.mkdir()
    for _ in range(1000):
        name = rng.choice(["", "/", "//"]) + rng.choice(["/", "/", "\\"]).join(rng.choices(pieces, k=rng.randint(1, 5)))
        (to / NAME).write_bytes(zipped([(named(name), clip(1, 50))]))
        with pytest.raises(DownloadError):
            unpack(to / NAME, to, machine="slider", part="dev")
        assert list(tmp_path.rglob("*")) == [to, to / NAME]


def test_unpacking_stops_when_asked_and_leaves_nothing(tmp_path):
    (tmp_path / NAME).write_bytes(GOOD)
    seen = []
    with pytest.raises(DownloadStopped):
        unpack(
            tmp_path / NAME,
            tmp_path,
            machine="slider",
            part="dev",
            on_progress=seen.append,
            should_stop=lambda: len(seen) > 3,
        )
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
