"""Fetch, verify and unpack the DCASE 2020 Task 2 archives, from a fixed table of addresses.

An archive is streamed to `<name>.part`, resumed after any cut, checked against size and MD5, renamed, unpacked into a
staging folder next to the target and renamed again. A zip that was put into the folder by hand is used instead of the
network, and clips that were unzipped by hand are recognised.

Layout below the folder: `<machine>/{train,test}/*.wav`, as the archives have it. The development part has both splits,
the additional part is the evaluation ids' `train`, the evaluation part their `test` (and `eval_data_list.csv`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_core.data.dcase2020.published import (
    ARCHIVES,
    CLIP_NAME,
    EVAL_COUNTS,
    LABEL_LIST,
    MACHINES,
    PARTS,
    CountRow,
    RemoteFile,
    check_counts,
    unpacked_bytes,
)
from asd_core.data.dcase2020.steps import Step, ignore_step, never
from asd_core.data.dcase2020.transfer import Source, Transfer
from asd_core.data.dcase2020.unpacking import missing_splits, unpack
from asd_core.errors import DownloadError, FileError, UsageError
from asd_core.system.files import read_regular
from asd_core.system.locks import hold
from asd_core.system.places import data_dir

ALLOWED_HOSTS = ("zenodo.org",)
BASE_URL = "https://zenodo.org/records"
MAX_ARCHIVE_BYTES = 8_000_000_000
_MAX_LABEL_BYTES = 4_000_000
_MIMII_DUE_BYTES = {"dev_data_slider.zip": 1_086_886_830}


@dataclass(frozen=True)
class FetchedFile:
    """Result for one published file.

    Parameters
    ----------
    bytes, md5
        Size and MD5 of the archive that was read; None if the clips were there already.
    status
        `downloaded`; `unpacked` (the zip lay there); `present` (nothing to do); `kept` (the MD5 is not the table's:
        the partial file stays and is not unpacked).
    """

    name: str
    bytes: int | None
    md5: str | None
    status: str


@dataclass(frozen=True)
class DownloadReport:
    """What `download` did; `counts` are rows by machine."""

    folder: Path
    files: tuple[FetchedFile, ...]
    counts: dict[str, list[CountRow]]
    warnings: tuple[str, ...]


def default_folder(part: str) -> Path:
    """Default folder of a part: `dcase2020/dev_data` or `dcase2020/eval_data` in the data folder."""
    return data_dir() / "dcase2020" / ("dev_data" if part == "dev" else "eval_data")


def download(
    machines: Sequence[str],
    *,
    part: str = "dev",
    to: Path | None = None,
    on_progress: Callable[[Step], None] = ignore_step,
    hosts: Collection[str] = ALLOWED_HOSTS,
    base_url: str = BASE_URL,
    should_stop: Callable[[], bool] = never,
) -> DownloadReport:
    """Download a part of the DCASE 2020 Task 2 data of some machines; existing files are not touched.

    Parameters
    ----------
    machines
        Names from `MACHINES`.
    part
        `dev`, `additional` or `eval`; the last also brings the label list.
    to
        Folder of the machine folders; None takes `default_folder`.
    on_progress
        Called with a file's size before its first byte, then repeatedly.
    hosts
        Hosts that may be contacted, `name` or `name:port`. An address that is not public is refused unless it is itself
        listed here; plain http is allowed only for a loopback address that is.
    base_url
        Address before `/<record>/files/<name>`.
    should_stop
        Called between blocks; True ends the download.

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
    run = _Run(Source(folder, frozenset(hosts), base_url.rstrip("/"), on_progress, should_stop), part)
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


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    return hold(folder / ".download.lock", busy=f"{folder} is busy: another download works there")


@dataclass(frozen=True)
class _Run:
    """What all files of one call share."""

    source: Source
    part: str

    def provide(self, machine: str) -> tuple[FetchedFile, list[str]]:
        """Make sure that a machine's clips are there."""
        remote, folder = ARCHIVES[machine, self.part], self.source.folder
        if not missing_splits(folder, machine, self.part):
            return FetchedFile(remote.name, None, None, "present"), []
        archive, partial = folder / remote.name, self.source.partial(remote)
        if lies_there := os.path.lexists(archive):
            md5, warnings = _check_found(archive, remote)
        else:
            room, by_hand = unpacked_bytes(machine, self.part), f", so that the clips stand in {folder / machine}"
            Transfer(self.source, remote, room=room, cap=MAX_ARCHIVE_BYTES, end=by_hand).fetch()
            md5 = _md5(partial)
            if md5 != remote.md5:
                return _keep_or_refuse(partial, remote, md5)
            partial.replace(archive)
            warnings = []
        n_bytes = archive.stat().st_size
        warnings += unpack(
            archive,
            folder,
            machine=machine,
            part=self.part,
            verified=md5 == remote.md5,
            on_progress=self.source.on_progress,
            should_stop=self.source.should_stop,
        )
        if not lies_there:  # a zip that somebody put there is theirs
            archive.unlink()
        partial.unlink(missing_ok=True)
        return FetchedFile(remote.name, n_bytes, md5, "unpacked" if lies_there else "downloaded"), warnings

    def provide_labels(self) -> tuple[FetchedFile, list[str]]:
        """Make sure that the evaluation labels are there; no source gives an MD5, so the content is checked."""
        target, partial = self.source.folder / LABEL_LIST.name, self.source.partial(LABEL_LIST)
        if os.path.lexists(target):
            fault = _label_fault(target)
            lines = (
                [] if fault is None else [f"{target} is not the published label list: {fault}; it was left as it is"]
            )
            return FetchedFile(LABEL_LIST.name, None, None, "present"), lines
        Transfer(self.source, LABEL_LIST, room=0, cap=_MAX_LABEL_BYTES, end="").fetch()
        if (fault := _label_fault(partial)) is not None:
            partial.unlink()
            raise DownloadError(f"{LABEL_LIST.name} as served is not the published label list: {fault}; it was removed")
        n_bytes, md5 = partial.stat().st_size, _md5(partial)
        partial.replace(target)
        return FetchedFile(LABEL_LIST.name, n_bytes, md5, "downloaded"), []


def _check_found(archive: Path, remote: RemoteFile) -> tuple[str, list[str]]:
    """MD5 of, and warnings about, a zip that is in the folder; it is never removed."""
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
    """Refuse a file whose MD5 differs from a confirmed one; keep it if the MD5 comes from a single source."""
    text = f"{remote.name} was received with MD5 {md5} instead of {remote.md5}"
    if remote.confirmed:
        partial.unlink()
        raise DownloadError(f"{text}; it was removed: run the command again")
    advice = (
        f"the table's value comes from one source, so {partial} stays, not unpacked; remove it to fetch it again, or, "
        f"if the record's page shows this MD5, rename it to {remote.name} and run the command again"
    )
    return FetchedFile(remote.name, partial.stat().st_size, md5, "kept"), [f"{text}; {advice}"]


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _label_fault(path: Path) -> str | None:
    """Why a file is not the published label list; None if its counts per machine and id are the published ones."""
    try:
        content = read_regular(path, at_most=_MAX_LABEL_BYTES)
    except FileError as error:
        return str(error)
    found, machine = Counter[tuple[str, str, str]](), ""
    for line in content.decode("utf-8", "replace").splitlines():
        fields = line.split(",")
        if len(fields) == 1:
            machine = line.strip()
            continue
        match = CLIP_NAME.fullmatch(fields[0])
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
