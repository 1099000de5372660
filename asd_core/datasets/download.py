"""Fetch, verify and unpack the DCASE 2020 Task 2 archives: a fixed table, never a free address.

An archive is streamed to `<name>.part`, resumed after any cut, checked against size and MD5, renamed, unpacked into a
staging folder beside the target and renamed again. A zip that was put into the folder by hand is taken instead of the
network; clips that were unzipped by hand count as there.

Layout below the folder: `<machine>/{train,test}/*.wav`, as the archives have it. The development part has both splits,
the additional part is the evaluation ids' `train`, the evaluation part their `test` (and `eval_data_list.csv`).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import ipaddress
import os
import re
import shutil
import socket
import ssl
import stat
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from asd_core.clips import ClipIndex
from asd_core.errors import AsdError, UsageError
from asd_core.locks import hold
from asd_core.places import data_dir

ALLOWED_HOSTS = ("zenodo.org",)
BASE_URL = "https://zenodo.org/records"
PARTS = ("dev", "additional", "eval")
MACHINES = ("slider", "fan", "pump", "valve", "ToyCar", "ToyConveyor")
MAX_ARCHIVE_BYTES = 8_000_000_000
SPLITS = {"dev": ("train", "test"), "additional": ("train",), "eval": ("test",)}

_MAX_LABEL_BYTES = 4_000_000
_MAX_REDIRECTS = 5
_MAX_ATTEMPTS = 500
_MAX_BARREN = 5  # attempts in a row that bring nothing new
_CONNECT_S, _TIMEOUT_S, _BACKOFF_S, _MAX_PAUSE_S = 10.0, 30.0, 0.5, 30.0
_SLOW_S, _SLOW_BYTES = 60.0, 65_536  # less than this in a minute counts as a cut
_CHUNK = 262_144
_RESERVE_BYTES = 64_000_000
_MAX_CLIP_BYTES, _MAX_RATIO, _RATIO_SLACK = 4_000_000, 100, 4096
_MAX_SPARE_ENTRIES = 64
_MAX_DIRECTORY_READ = 4 << 20
_MIMII_DUE_BYTES = {"dev_data_slider.zip": 1_086_886_830}
_IGNORED = re.compile(r"(?:readme|licen[cs]e)(?:\.(?:md|txt|pdf))?|\.ds_store|thumbs\.db", re.IGNORECASE)
_CLIP_NAME = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<id>[0-9]{2})_[0-9]{1,12}\.wav")
_LABEL_WORDS = {"normal": "normal", "anomaly": "anomalous"}
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class DownloadError(AsdError):
    """A download, its check or its unpacking was given up; the text says why and what to do."""


class DownloadStopped(DownloadError):  # noqa: N818 - not a fault, a wish
    """`should_stop` said so; what has been fetched is resumed next time."""


class _Cut(Exception):  # noqa: N818 - private: a network fault that another attempt may cure
    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Parameters
    ----------
    record
        Number of the Zenodo record.
    md5
        As published; None where no source gives it.
    size
        In bytes; None where no source gives it.
    confirmed
        The MD5 comes from two sources, so that a mismatch condemns the file and not the table.
    """

    name: str
    record: int
    md5: str | None
    size: int | None = None
    confirmed: bool = False


@dataclass(frozen=True)
class Step:
    """How far something is: `stage` is download (bytes) or unpack (clips)."""

    stage: str
    name: str
    done: int
    total: int


@dataclass(frozen=True)
class FetchedFile:
    """What became of one published file.

    Parameters
    ----------
    bytes, md5
        Of the archive as it was read; None where the clips were there already.
    status
        `downloaded`; `unpacked` (the zip lay there); `present` (nothing to do); `kept` (the MD5 is not the table's:
        the partial file stays and is not unpacked).
    """

    name: str
    bytes: int | None
    md5: str | None
    status: str


class CountRow(NamedTuple):
    """Clips of one id, split and label: published and found."""

    machine_id: str
    split: str
    label: str
    expected: int
    found: int


@dataclass(frozen=True)
class DownloadReport:
    """What `download` did; `counts` are rows by machine."""

    folder: Path
    files: tuple[FetchedFile, ...]
    counts: dict[str, list[CountRow]]
    warnings: tuple[str, ...]


_MD5 = {
    "slider": (
        "da24a757719f0d94d5aa2d646bbfdc86",
        "f84f186f4295fc23754abcdd1b0580a7",
        "0193c769073840332ce3aad84b1ccaa2",
    ),
    "fan": (
        "649bdfc06263ae7a838963f43b6641e6",
        "567798854130c8019df8b664c095ed1e",
        "1eb9356a768cadfd0f2e59a5c57e578b",
    ),
    "pump": (
        "90e7091ef722b7238a7f1009365779cd",
        "4e33ae9c0db5cc88437675f5e317caee",
        "23a8f8f924be218c69df67fe07360348",
    ),
    "valve": (
        "34d2672f55bb041589ef79c10dc89934",
        "057cdd560caffb8305449541afd28c6d",
        "f69c551d2088691050d20cccca9d631c",
    ),
    "ToyCar": (
        "4dec75ca8d9f666aa9e4c1894a740501",
        "a5d4ccd498af70b04dd74b644b820006",
        "bea2bdd612f616be8f2b8eb087b32c7c",
    ),
    "ToyConveyor": (
        "03b6aa1bfd09a39d53af0ba39f71fa91",
        "0e808ac0b761e9fb13d5e0c65caff00d",
        "ccfcc9847c7d3404d7ee9d6d9e0b2ba2",
    ),
}
_CONFIRMED_SIZES = {"slider": 1_002_998_966, "fan": 1_354_774_772, "pump": 1_031_279_015}  # development archives
_RECORDS = {
    "dev": (3678171, "dev_data_{}.zip"),
    "additional": (3727685, "eval_data_train_{}.zip"),
    "eval": (3841772, "eval_data_test_{}.zip"),
}


def _archive(machine: str, part: str) -> RemoteFile:
    record, name = _RECORDS[part]
    size = _CONFIRMED_SIZES.get(machine) if part == "dev" else None
    return RemoteFile(name.format(machine), record, _MD5[machine][PARTS.index(part)], size, confirmed=size is not None)


ARCHIVES = {(machine, part): _archive(machine, part) for machine in MACHINES for part in PARTS}
LABEL_LIST = RemoteFile("eval_data_list.csv", 3951620, None)

_Counts = dict[str, dict[str, tuple[int, int, int]]]

DEV_COUNTS: _Counts = {
    "slider": {"00": (968, 100, 356), "02": (968, 100, 267), "04": (434, 100, 178), "06": (434, 100, 89)},
    "fan": {"00": (911, 100, 407), "02": (916, 100, 359), "04": (933, 100, 348), "06": (915, 100, 361)},
    "pump": {"00": (906, 100, 143), "02": (905, 100, 111), "04": (602, 100, 100), "06": (936, 100, 102)},
    "valve": {"00": (891, 100, 119), "02": (608, 100, 120), "04": (900, 100, 120), "06": (892, 100, 120)},
    "ToyCar": {"01": (1000, 350, 264), "02": (1000, 350, 265), "03": (1000, 350, 265), "04": (1000, 350, 265)},
    "ToyConveyor": {"01": (1000, 800, 400), "02": (1000, 800, 355), "03": (1000, 799, 355)},
}
"""Published clips of the development set by machine and id: training, normal test, anomalous test."""

EVAL_COUNTS: _Counts = {
    "slider": {"01": (968, 100, 178), "03": (968, 100, 178), "05": (434, 100, 178)},
    "fan": {"01": (934, 100, 326), "03": (912, 100, 358), "05": (1000, 109, 349)},
    "pump": {"01": (903, 100, 116), "03": (606, 100, 113), "05": (908, 100, 248)},
    "valve": {"01": (769, 100, 120), "03": (863, 100, 120), "05": (899, 100, 400)},
    "ToyCar": {"05": (1000, 250, 265), "06": (1000, 250, 265), "07": (1000, 250, 265)},
    "ToyConveyor": {"04": (1000, 200, 355), "05": (1000, 200, 355), "06": (1000, 200, 355)},
}
"""The same of the evaluation ids: additional training, normal test, anomalous test."""


def _ignore_step(step: Step) -> None:
    del step


def _never() -> bool:
    return False


def default_folder(part: str) -> Path:
    """Where a part goes unless told: `dcase2020/dev_data` or `dcase2020/eval_data` in the data folder."""
    return data_dir() / "dcase2020" / ("dev_data" if part == "dev" else "eval_data")


def download(
    machines: Sequence[str],
    *,
    part: str = "dev",
    to: Path | None = None,
    on_progress: Callable[[Step], None] = _ignore_step,
    hosts: Collection[str] = ALLOWED_HOSTS,
    base_url: str = BASE_URL,
    should_stop: Callable[[], bool] = _never,
) -> DownloadReport:
    """Bring a part of the DCASE 2020 Task 2 data of some machines into a folder; what is there stays untouched.

    Parameters
    ----------
    machines
        Names out of `MACHINES`.
    part
        `dev`, `additional` or `eval`; the last also brings the label list.
    to
        Folder of the machine folders; None takes `default_folder`.
    on_progress
        Called with a file's size before its first byte, then again and again.
    hosts
        Hosts that may be asked, `name` or `name:port`. An address that is not public is refused unless it is itself
        named here; plain http is allowed for such a loopback address only.
    base_url
        Address before `/<record>/files/<name>`.
    should_stop
        Asked between blocks.

    Raises
    ------
    UsageError
        Unknown machine or part.
    BusyError
        Another download works in the folder.
    DownloadStopped
        `should_stop` said so.
    DownloadError
        Out of reach, refused, damaged, no room, or a folder that holds something else.
    """
    if unknown := [machine for machine in machines if machine not in MACHINES]:
        raise UsageError(f"no machine {unknown[0]!r} in DCASE 2020 Task 2; it has {', '.join(MACHINES)}")
    if part not in PARTS:
        raise UsageError(f"no part {part!r}; choose {', '.join(PARTS)}")
    folder = default_folder(part) if to is None else to
    run = _Run(folder, part, frozenset(hosts), base_url.rstrip("/"), on_progress, should_stop)
    wanted = list(dict.fromkeys(machines))
    with _locked(folder):
        outcomes = [run.provide(machine) for machine in wanted]
        if part == "eval":
            outcomes.append(run.provide_labels())
    return DownloadReport(
        folder,
        tuple(file for file, _ in outcomes),
        {machine: check_counts(folder, machine, part) for machine in wanted},
        tuple(line for _, lines in outcomes for line in lines),
    )


def check_counts(folder: Path, machine: str, part: str) -> list[CountRow]:
    """Compare the clips below `<folder>/<machine>` with the published counts, by their names.

    Evaluation clips count as unlabelled whatever their names say. Ids that belong to no part of this machine are
    listed with 0 expected.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    for split in SPLITS[part]:
        for machine_id, label in _clip_labels(folder / machine / split):
            found[machine_id, split, label if part != "eval" else "unlabelled"] += 1
    return _count_rows(found, machine, part)


def published_counts(index: ClipIndex) -> list[CountRow]:
    """Compare an indexed machine with the published counts of the parts it has ids of, development first.

    Empty where there is nothing to compare: another layout, a machine that DCASE 2020 has not, ids of no part. Nothing
    tells a simulated machine of the same name: the caller knows. Evaluation clips count as in `check_counts`.
    """
    machine = index.machine
    if index.layout != "dcase2020" or machine not in MACHINES:
        return []
    found = Counter((clip.machine_id, clip.split, clip.label) for clip in index.clips)
    rows = _count_rows(found, machine, "dev") if DEV_COUNTS[machine].keys() & set(index.machine_ids) else []
    for part, split in (("additional", "train"), ("eval", "test")):
        own: Counter[tuple[str, str, str]] = Counter()
        for key, n in found.items():
            if key[0] in EVAL_COUNTS[machine] and key[1] == split:
                own[(*key[:2], "unlabelled") if part == "eval" else key] += n
        rows += _count_rows(own, machine, part) if own else []
    return rows


def _count_rows(found: Counter[tuple[str, str, str]], machine: str, part: str) -> list[CountRow]:
    expected = _expected(machine, part)
    known = {*DEV_COUNTS[machine], *EVAL_COUNTS[machine]}
    strange = sorted(
        key for key in found if key not in expected and (key[0] not in known or _is_of(machine, part, key))
    )
    return [CountRow(*key, expected.get(key, 0), found[key]) for key in (*expected, *strange)]


def _is_of(machine: str, part: str, key: tuple[str, str, str]) -> bool:
    return key[0] in (DEV_COUNTS if part == "dev" else EVAL_COUNTS)[machine]


def _clip_labels(folder: Path) -> Iterator[tuple[str, str]]:
    """Ids and labels of the clips in one split's folder."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if (match := _CLIP_NAME.fullmatch(path.name)) is not None:
            yield match["id"], _LABEL_WORDS.get(match["label"], "unlabelled")


def _expected(machine: str, part: str) -> dict[tuple[str, str, str], int]:
    """Published counts by id, split and label."""
    expected = {}
    for machine_id, (n_train, n_normal, n_anomalous) in (DEV_COUNTS if part == "dev" else EVAL_COUNTS)[machine].items():
        if part != "eval":
            expected[machine_id, "train", "normal"] = n_train
        if part == "dev":
            expected[machine_id, "test", "normal"] = n_normal
            expected[machine_id, "test", "anomalous"] = n_anomalous
        if part == "eval":
            expected[machine_id, "test", "unlabelled"] = n_normal + n_anomalous
    return expected


def _unpacked_bytes(machine: str, part: str) -> int:
    """Room that the clips need: 16 kHz, 16 bit, 10 s (ToyCar 11 s), header 44 bytes."""
    return sum(_expected(machine, part).values()) * (2 * 16_000 * (11 if machine == "ToyCar" else 10) + 44)


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    return hold(folder / ".download.lock", busy=f"{folder} is busy: another download works there")


@dataclass(frozen=True)
class _Run:
    """What all files of one call share."""

    folder: Path
    part: str
    hosts: frozenset[str]
    base_url: str
    on_progress: Callable[[Step], None]
    should_stop: Callable[[], bool]

    def provide(self, machine: str) -> tuple[FetchedFile, list[str]]:
        """See to it that a machine's clips are there."""
        remote = ARCHIVES[machine, self.part]
        if not _missing_splits(self.folder, machine, self.part):
            return FetchedFile(remote.name, None, None, "present"), []
        archive, partial = self.folder / remote.name, self.partial(remote)
        if lies_there := os.path.lexists(archive):
            md5, warnings = _check_found(archive, remote)
        else:
            room = _unpacked_bytes(machine, self.part)
            _Transfer(self, remote, room=room, cap=MAX_ARCHIVE_BYTES, end=_end_state(self.folder, machine)).fetch()
            md5 = _md5(partial)
            if md5 != remote.md5:
                return _keep_or_refuse(partial, remote, md5)
            partial.replace(archive)
            warnings = []
        n_bytes = archive.stat().st_size
        warnings += unpack(
            archive,
            self.folder,
            machine=machine,
            part=self.part,
            verified=md5 == remote.md5,
            on_progress=self.on_progress,
            should_stop=self.should_stop,
        )
        if not lies_there:  # a zip that somebody put there is theirs
            archive.unlink()
        partial.unlink(missing_ok=True)
        return FetchedFile(remote.name, n_bytes, md5, "unpacked" if lies_there else "downloaded"), warnings

    def provide_labels(self) -> tuple[FetchedFile, list[str]]:
        """See to it that the evaluation labels are there; no source gives an MD5, so the content is checked."""
        target, partial = self.folder / LABEL_LIST.name, self.partial(LABEL_LIST)
        if os.path.lexists(target):
            fault = _label_fault(target)
            lines = (
                [] if fault is None else [f"{target} is not the published label list: {fault}; it was left as it is"]
            )
            return FetchedFile(LABEL_LIST.name, None, None, "present"), lines
        _Transfer(self, LABEL_LIST, room=0, cap=_MAX_LABEL_BYTES, end="").fetch()
        if (fault := _label_fault(partial)) is not None:
            partial.unlink()
            raise DownloadError(f"{LABEL_LIST.name} as served is not the published label list: {fault}; it was removed")
        n_bytes, md5 = partial.stat().st_size, _md5(partial)
        partial.replace(target)
        return FetchedFile(LABEL_LIST.name, n_bytes, md5, "downloaded"), []

    def partial(self, remote: RemoteFile) -> Path:
        """Where the bytes go until they are verified."""
        return self.folder / f"{remote.name}.part"

    def stop_if_asked(self) -> None:
        """Raise where the caller wants an end."""
        _stop_if(self.should_stop)


def _stop_if(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise DownloadStopped("stopped as asked; the same command goes on from what has been fetched")


def _missing_splits(folder: Path, machine: str, part: str) -> list[str]:
    """Splits that are not there yet; a split with other clips than the published ones is refused, not touched."""
    rows, missing = check_counts(folder, machine, part), []
    for split in SPLITS[part]:
        place = folder / machine / split
        if not os.path.lexists(place) or (place.is_dir() and not any(place.iterdir())):
            missing.append(split)
        elif wrong := [row for row in rows if row.split == split and row.found != row.expected]:
            raise DownloadError(
                f"{place} is there but does not hold the published clips: {_differences(wrong)}; "
                "move it away, or choose another folder with --to"
            )
    return missing


def _differences(rows: Sequence[CountRow]) -> str:
    texts = [f"id {row.machine_id} {row.label}: expected {row.expected}, found {row.found}" for row in rows]
    return "; ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _end_state(folder: Path, machine: str) -> str:
    return f", so that the clips stand in {folder / machine}"


def _check_found(archive: Path, remote: RemoteFile) -> tuple[str, list[str]]:
    """MD5 of and warnings on a zip that lies in the folder; it is never removed."""
    if archive.is_symlink() or not archive.is_file():
        raise DownloadError(f"{archive} must be a file of its own, not a link or folder")
    size = archive.stat().st_size
    if size == _MIMII_DUE_BYTES.get(remote.name):
        raise DownloadError(f"{archive} is the archive of that name from MIMII DUE, not from DCASE 2020 Task 2")
    if size > MAX_ARCHIVE_BYTES or (remote.size is not None and size != remote.size):
        wanted = f"at most {MAX_ARCHIVE_BYTES}" if remote.size is None else str(remote.size)
        raise DownloadError(f"{archive} has {size} bytes instead of {wanted}: fetch it again")
    md5 = _md5(archive)
    if md5 == remote.md5:
        return md5, []
    if remote.confirmed:
        raise DownloadError(f"{archive} is damaged: MD5 {md5} instead of {remote.md5}; fetch it again")
    return md5, [f"{remote.name}: MD5 {md5} instead of {remote.md5}; unpacked only because names and counts agree"]


def _keep_or_refuse(partial: Path, remote: RemoteFile, md5: str) -> tuple[FetchedFile, list[str]]:
    """A confirmed MD5 condemns the file, one from a single table only casts doubt on it."""
    text = f"{remote.name} was received with MD5 {md5} instead of {remote.md5}"
    if remote.confirmed:
        partial.unlink()
        raise DownloadError(f"{text}; it was removed: run the command again")
    advice = (
        f"the table's value comes from one source, so {partial} stays, not unpacked; remove it to fetch it anew, or, "
        f"if the record's page shows this MD5, rename it to {remote.name} and run the command again"
    )
    return FetchedFile(remote.name, partial.stat().st_size, md5, "kept"), [f"{text}; {advice}"]


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _label_fault(path: Path) -> str | None:
    """Why a file is not the published label list; None if its counts per machine and id are the published ones."""
    if path.stat().st_size > _MAX_LABEL_BYTES:
        return f"more than {_MAX_LABEL_BYTES} bytes"
    found, machine = Counter[tuple[str, str, str]](), ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(",")
        if len(fields) == 1:
            machine = line.strip()
            continue
        match = _CLIP_NAME.fullmatch(fields[0])
        if match is None or len(fields) != 3:
            return f"odd line {line[:60]!a}"
        found[machine, match["id"], fields[2].strip()] += 1
    for name, ids in EVAL_COUNTS.items():
        for machine_id, counts in ids.items():
            got = found[name, machine_id, "0"], found[name, machine_id, "1"]
            if got != counts[1:]:
                return (
                    f"{name} id {machine_id} has {got[0]} normal and {got[1]} anomalous clips instead of {counts[1:]}"
                )
    return None


class _Transfer:
    """One file on its way into its `.part`; holds what later attempts must not forget."""

    def __init__(self, run: _Run, remote: RemoteFile, *, room: int, cap: int, end: str) -> None:
        self._run, self._remote, self._room, self._cap, self._end = run, remote, room, cap, end
        self._url = f"{run.base_url}/{remote.record}/files/{remote.name}?download=1"
        self._partial = run.partial(remote)
        self._total = remote.size

    def fetch(self) -> None:
        """Attempt until the file is whole, `_MAX_BARREN` attempts in a row bring nothing or the server is refused."""
        if os.path.lexists(self._partial) and (self._partial.is_symlink() or not self._partial.is_file()):
            raise DownloadError(f"{self._partial} must be a file of its own, not a link or folder")
        best, barren, last = self._got(), 0, _Cut("no attempt was made")
        for _ in range(_MAX_ATTEMPTS):
            try:
                return self._attempt()
            except _Cut as cut:
                last = cut
            barren = 0 if self._got() > best else barren + 1
            best = max(best, self._got())
            if barren >= _MAX_BARREN:
                break
            self._pause(max(last.wait_s, _BACKOFF_S * 2**barren if barren else 0.0))
        raise DownloadError(self._by_hand(last)) from last

    def _got(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, _MAX_PAUSE_S)
        while (left := until - time.monotonic()) > 0:
            self._run.stop_if_asked()
            time.sleep(min(left, 0.2))

    def _by_hand(self, cut: _Cut) -> str:
        page = f"https://zenodo.org/records/{self._remote.record}"
        unzip = f"; or unzip it into {self._run.folder}{self._end}" if self._end else ""
        kept = f" The {self._got()} bytes fetched so far stay and are resumed." if self._got() else ""
        return (
            f"{self._remote.name} could not be fetched: {cut}. By hand: save it from {page} as "
            f"{self._run.folder / self._remote.name} and run the same command again{unzip}.{kept}"
        )

    def _attempt(self) -> None:
        self._run.stop_if_asked()
        offset = self._got()
        if self._total is not None and offset > self._total:
            self._partial.unlink()
            offset = 0
        if self._total is not None and offset == self._total:
            return
        with _response(self._url, self._run.hosts, offset) as response:
            start = self._start(response, offset)
            if start is None:
                return
            total = self._total or 0
            _check_room(self._run.folder, total - start + self._room)
            self._run.on_progress(Step("download", self._remote.name, start, total))
            self._stream(response, start, total)

    def _start(self, response: http.client.HTTPResponse, offset: int) -> int | None:
        """Offset of the first byte that the server will send; None where the `.part` turns out to be whole."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self._remote.name}: the server re-encodes the file; refused")
        first, total = _announced(response)
        self._agree(total)
        if response.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if offset == self._total:
                return None
            self._partial.unlink(missing_ok=True)
            raise _Cut("the server refused to resume")
        if first not in (0, offset):
            raise DownloadError(
                f"{self._remote.name}: asked for byte {offset} on, the server sends from {first}; refused"
            )
        return first

    def _agree(self, announced: int | None) -> None:
        """Hold the server to one size, the table's where there is one."""
        if self._total is None and announced is None:
            raise DownloadError(f"{self._remote.name}: the server does not say how large it is; refused")
        if announced is not None and self._total not in (None, announced):
            raise DownloadError(
                f"{self._remote.name}: the server announces {announced} bytes instead of {self._total}; refused"
            )
        self._total = self._total if announced is None else announced
        if (self._total or 0) > self._cap:
            raise DownloadError(f"{self._remote.name}: {self._total} bytes exceed the limit of {self._cap}; refused")

    def _stream(self, response: http.client.HTTPResponse, start: int, total: int) -> None:
        done, pace = start, _Pace()
        with _opened_at(self._partial, start) as sink:
            while chunk := _read_some(response):
                done += len(chunk)
                if done > total:
                    sink.truncate(0)
                    raise DownloadError(f"{self._remote.name}: the server sends more than {total} bytes; refused")
                sink.write(chunk)
                self._run.on_progress(Step("download", self._remote.name, done, total))
                self._run.stop_if_asked()
                pace.note(len(chunk))
        if done < total:
            raise _Cut(f"the connection ended after {done} of {total} bytes")


class _Pace:
    """Calls a server that only drips a cut, so that a download cannot last for ever."""

    def __init__(self) -> None:
        self._since, self._n_bytes = time.monotonic(), 0

    def note(self, n_bytes: int) -> None:
        """Count a block in."""
        self._n_bytes += n_bytes
        if time.monotonic() - self._since < _SLOW_S:
            return
        if self._n_bytes < _SLOW_BYTES:
            raise _Cut(f"fewer than {_SLOW_BYTES} bytes came in {_SLOW_S:g} s")
        self._since, self._n_bytes = time.monotonic(), 0


def _opened_at(path: Path, start: int) -> io.BufferedWriter:
    """Open a file for writing from `start` on, without what stood behind it; links are not followed."""
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o644
    )
    sink = os.fdopen(descriptor, "wb")
    sink.truncate(start)
    sink.seek(start)
    return sink


def _read_some(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"the connection broke: {_named(error)}") from error


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


def _announced(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte and size of the whole file as the head of the answer has them.

    Raises
    ------
    DownloadError
        Numbers that make no sense.
    """
    if response.status == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length")
        if length is not None and re.fullmatch(r"[0-9]{1,15}", length) is None:
            raise DownloadError(f"the server announces a length of {length[:40]!a}; refused")
        return 0, None if length is None else int(length)
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:([0-9]{1,15})-[0-9]{1,15}|\*)/([0-9]{1,15})", text)
    if match is None:
        raise DownloadError(f"the server answers a resumption with Content-Range {text[:40]!a}; refused")
    return int(match[1] or 0), int(match[2])


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE_BYTES:
        raise DownloadError(
            f"not enough room in {folder}: {(needed + _RESERVE_BYTES) / 1e6:.0f} MB are needed for archive and clips, "
            f"{free / 1e6:.0f} MB are free; make room, or choose another folder with --to"
        )


@contextlib.contextmanager
def _response(url: str, hosts: Collection[str], offset: int) -> Iterator[http.client.HTTPResponse]:
    """Ask for a file from a byte on, through at most `_MAX_REDIRECTS` redirects, each of them checked anew."""
    with contextlib.ExitStack() as stack:
        for _ in range(_MAX_REDIRECTS + 1):
            response = _ask(stack, url, hosts, offset)
            if response.status not in (301, 302, 303, 307, 308):
                _check_status(response)
                yield response
                return
            url = _redirected(url, response.headers.get("Location", ""))
        raise DownloadError(f"more than {_MAX_REDIRECTS} redirects; refused")


def _redirected(url: str, location: str) -> str:
    if not (location.isascii() and location.isprintable()) or " " in location:
        raise DownloadError(f"redirect to {location[:120]!a}, which is no address; refused")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise DownloadError(f"redirect to {location[:120]!a}, which is no address; refused") from error


def _ask(stack: contextlib.ExitStack, url: str, hosts: Collection[str], offset: int) -> http.client.HTTPResponse:
    connection, path, named = _connection(url, hosts)
    stack.callback(connection.close)
    headers = {"Host": named, "User-Agent": "asd_core", "Accept-Encoding": "identity", "Connection": "close"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise DownloadError(f"{named} has no valid certificate ({error.verify_message}); refused") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"{named} is out of reach: {_named(error)}") from error
    stack.callback(response.close)
    return response


def _check_status(response: http.client.HTTPResponse) -> None:
    if response.status in (200, 206, 416):
        return
    text = f"the server answers {response.status} {ascii(response.reason[:60])[1:-1]}"
    if response.status in (408, 425, 429) or response.status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _Cut(text, wait_s=float(wait) if re.fullmatch(r"[0-9]{1,6}", wait) else 0.0)
    raise DownloadError(f"{text}: the file is not to be had there")


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to addresses that were checked, whatever DNS says a moment later."""

    def __init__(self, host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._addresses, self._context = addresses, context

    def connect(self) -> None:
        """Take the first address that answers."""
        fault: OSError = OSError("no address")
        for address in self._addresses[:4]:
            try:
                plain = socket.create_connection((address, self.port), _CONNECT_S)
            except OSError as error:
                fault = error
                continue
            plain.settimeout(_TIMEOUT_S)
            name = self.host
            self.sock = plain if self._context is None else self._context.wrap_socket(plain, server_hostname=name)
            return
        raise fault


def _connection(url: str, hosts: Collection[str]) -> tuple[_PinnedConnection, str, str]:
    """Connection (not open yet), path and host of a URL that has passed all checks."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DownloadError(f"{url[:120]!a} is no address; refused") from error
    named = host if port is None else f"{host}:{port}"
    if parts.username is not None or named not in hosts:
        raise DownloadError(f"host {named[:80]!a} is not among the allowed ({', '.join(sorted(hosts))}); refused")
    plain = parts.scheme == "http" and _is_loopback(host)
    if parts.scheme != "https" and not plain:
        raise DownloadError(f"{url[:120]!a} is not https; refused")
    port = port or (80 if plain else 443)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = _public_addresses(host, port, hosts)
    return _PinnedConnection(host, port, addresses, None if plain else ssl.create_default_context()), path, named


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _public_addresses(host: str, port: int, hosts: Collection[str]) -> list[str]:
    """Look a host up; one address that is neither public nor itself named in `hosts` spoils all."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Cut(f"{host} is not found: {_named(error)}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    excepted = {name.rsplit(":", 1)[0] for name in hosts}
    for address in addresses:
        if address not in excepted and not _is_public(address):
            raise DownloadError(f"{host} leads to {address}, which is no public address; refused")
    return addresses


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    return ip.is_global and not ip.is_multicast


def unpack(
    archive: Path,
    folder: Path,
    *,
    machine: str,
    part: str,
    verified: bool = False,
    on_progress: Callable[[Step], None] = _ignore_step,
    should_stop: Callable[[], bool] = _never,
) -> list[str]:
    """Unpack an archive's clips into `<folder>/<machine>`, all or nothing; names are refused, never repaired.

    Parameters
    ----------
    verified
        The MD5 is the published one; then other counts than the published ones are a warning, else a refusal.

    Returns
    -------
    list
        Warnings.

    Raises
    ------
    DownloadError
        Damaged, hostile, not this archive, no room, or a folder that holds something else.
    """
    missing = _missing_splits(folder, machine, part)
    if not missing:
        return []
    _check_room(folder, _unpacked_bytes(machine, part))
    staging = folder / f".staging-{archive.stem}"
    _remove_tree(staging)
    staging.mkdir()
    try:
        _extract(archive, staging, machine, part, on_progress, should_stop)
        warnings = _judge_counts(archive.name, check_counts(staging, machine, part), verified=verified)
        _install(staging / machine, folder / machine, missing)
    finally:
        _remove_tree(staging)
    return warnings


def _remove_tree(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _judge_counts(name: str, rows: Sequence[CountRow], *, verified: bool) -> list[str]:
    wrong = [row for row in rows if row.found != row.expected]
    if not wrong:
        return []
    if not verified:
        raise DownloadError(f"{name} does not hold the published clips: {_differences(wrong)}; refused")
    return [f"{name} has the published MD5 but other counts than published: {_differences(wrong)}"]


def _install(staged: Path, target: Path, splits: Sequence[str]) -> None:
    """Rename: the whole machine folder at once where there is none, else split by split."""
    if not os.path.lexists(target):
        staged.rename(target)
        return
    for split in splits:
        if (target / split).exists():
            (target / split).rmdir()  # empty, or it would not be missing
        (staged / split).rename(target / split)


class _CappedReader(io.FileIO):
    """Refuses the one large read of `zipfile`, the directory, before memory is spent on it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `_MAX_DIRECTORY_READ` bytes."""
        one_more = _MAX_DIRECTORY_READ + 1
        content = super().read(one_more if size is None or size < 0 else min(size, one_more)) or b""
        if len(content) == one_more:
            raise zipfile.BadZipFile("its directory is too large")
        return content


def _extract(
    archive: Path,
    staging: Path,
    machine: str,
    part: str,
    on_progress: Callable[[Step], None],
    should_stop: Callable[[], bool],
) -> None:
    """Write all clips below `staging`; whatever the archive breaks ends in one kind of error."""
    try:
        with _CappedReader(archive) as stream, zipfile.ZipFile(stream) as opened:
            clips = _checked_entries(opened, machine, part)
            _check_places(opened.infolist(), archive.stat().st_size)
            for split in SPLITS[part]:
                (staging / machine / split).mkdir(parents=True)
            budget = 2 * _unpacked_bytes(machine, part)
            for n_done, info in enumerate(clips, 1):
                _stop_if(should_stop)
                budget -= _copy_clip(opened, info, staging / info.filename, budget)
                on_progress(Step("unpack", archive.name, n_done, len(clips)))
    except _ZIP_FAULTS as error:
        raise DownloadError(f"{archive.name} cannot be unpacked: {_named(error)}") from error


def _checked_entries(opened: zipfile.ZipFile, machine: str, part: str) -> list[zipfile.ZipInfo]:
    """Entries that are clips; one bad entry spoils the archive."""
    infos, limit = opened.infolist(), sum(_expected(machine, part).values()) + _MAX_SPARE_ENTRIES
    if len(infos) > limit:
        raise zipfile.BadZipFile(f"{len(infos)} entries, at most {limit} are possible")
    seen: set[str] = set()
    clips = []
    for info in infos:
        name, key = info.orig_filename, info.orig_filename.rstrip("/").casefold()
        fault = "it is there twice" if key in seen else _name_fault(name) or _kind_fault(info)
        seen.add(key)
        is_clip = fault is None and not _is_ignorable(info)
        if is_clip and not _is_clip_name(name, machine, part):
            fault = f"only {machine}/{{{','.join(SPLITS[part])}}}/[normal_|anomaly_]id_NN_N.wav belongs there"
        if fault is not None:
            raise zipfile.BadZipFile(f"entry {name[:120]!a}: {fault}")
        if is_clip:
            clips.append(info)
    return clips


def _name_fault(name: str) -> str | None:
    if "\\" in name or not name.isprintable():
        return "its name has a backslash or a control character"
    if name.startswith("/") or ":" in name:
        return "its name is absolute"
    if any(step in ("", ".", "..") for step in name.removesuffix("/").split("/")):
        return "its name leaves its folder"
    return None


def _kind_fault(info: zipfile.ZipInfo) -> str | None:
    """Links, devices, encryption and rare compressions are refused, and so is a name that `zipfile` had to change."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "it is a link or device, not a file"
    if info.flag_bits & 0x1:
        return "it is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "its compression is neither stored nor deflated"
    return None if info.filename == info.orig_filename else "its name has two readings"


def _is_ignorable(info: zipfile.ZipInfo) -> bool:
    """Whether an entry is never written: a folder, a licence or read-me file, or what a file browser leaves behind."""
    return info.is_dir() or _IGNORED.fullmatch(info.filename.rsplit("/", 1)[-1]) is not None


def _is_clip_name(name: str, machine: str, part: str) -> bool:
    steps = name.split("/")
    return (
        len(steps) == 3
        and steps[0] == machine
        and steps[1] in SPLITS[part]
        and _CLIP_NAME.fullmatch(steps[2]) is not None
    )


def _check_places(infos: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse entries that share bytes: the way to a huge archive out of a small file."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise zipfile.BadZipFile(f"entry {info.orig_filename[:120]!a}: it overlaps another")
        end = info.header_offset + 30 + info.compress_size
    if end > size:
        raise zipfile.BadZipFile("its entries reach beyond its end")


def _copy_clip(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, budget: int) -> int:
    """Write one clip and return its size; limits hold for the bytes really read (the CRC is checked at their end)."""
    limit = min(budget, _MAX_CLIP_BYTES, _MAX_RATIO * info.compress_size + _RATIO_SLACK)
    written = 0
    with opened.open(info) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            if written == 0 and (chunk[:4], chunk[8:12]) != (b"RIFF", b"WAVE"):
                raise zipfile.BadZipFile(f"entry {info.filename}: it is not a WAV file")
            written += len(chunk)
            if written > limit:
                raise zipfile.BadZipFile(f"entry {info.filename}: it unpacks to more than {limit} bytes")
            sink.write(chunk)
    if written == 0 or written != info.file_size:
        raise zipfile.BadZipFile(f"entry {info.filename}: {written} bytes instead of {info.file_size}")
    return written
