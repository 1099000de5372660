"""Unpacks a published archive into its folder, all or nothing; a hostile archive is refused."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from asd_core.data.dcase2020.published import CLIP_NAME, SPLITS, CountRow, check_counts, expected_clips, unpacked_bytes
from asd_core.data.dcase2020.steps import Step, check_room, error_text, ignore_step, never, stop_if
from asd_core.errors import DownloadError
from asd_core.system.files import create_beneath

_MAX_CLIP_BYTES, _MAX_RATIO, _RATIO_SLACK = 4_000_000, 100, 4096
_MAX_SPARE_ENTRIES = 64
_CHUNK_BYTES = 262_144
_MAX_DIRECTORY_READ = 4 << 20
_IGNORED = re.compile(r"(?:readme|licen[cs]e)(?:\.(?:md|txt|pdf))?|\.ds_store|thumbs\.db", re.IGNORECASE)
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


def unpack(
    archive: Path,
    folder: Path,
    *,
    machine: str,
    part: str,
    verified: bool = False,
    on_progress: Callable[[Step], None] = ignore_step,
    should_stop: Callable[[], bool] = never,
) -> list[str]:
    """Unpack an archive's clips into `<folder>/<machine>`, all or nothing; names are refused, never repaired.

    Parameters
    ----------
    verified
        Whether the MD5 is the published one; unexpected counts are then a warning, otherwise a refusal.

    Returns
    -------
    list
        Warnings.

    Raises
    ------
    DownloadError
        Damaged, hostile, not this archive, no room, or a folder that holds something else.
    """
    missing = missing_splits(folder, machine, part)
    if not missing:
        return []
    check_room(folder, unpacked_bytes(machine, part))
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


def missing_splits(folder: Path, machine: str, part: str) -> list[str]:
    """Splits that are not there yet; a split with other clips than the published ones is refused, not touched."""
    rows, missing = check_counts(folder, machine, part), []
    for split in SPLITS[part]:
        place = folder / machine / split
        if not os.path.lexists(place) or (place.is_dir() and not any(place.iterdir())):
            missing.append(split)
        elif wrong := [row for row in rows if row.split == split and row.found != row.expected]:
            raise DownloadError(
                f"{place} is there but does not hold the published clips: {differences(wrong)}; "
                "move it away, or choose another folder (--to)"
            )
    return missing


def differences(rows: Sequence[CountRow]) -> str:
    """Text with the expected and found clips of the first rows."""
    texts = [f"id {row.machine_id} {row.label}: expected {row.expected}, found {row.found}" for row in rows]
    return "; ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


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
        raise DownloadError(f"{name} does not hold the published clips: {differences(wrong)}; refused")
    return [f"{name} has the published MD5 but other counts than published: {differences(wrong)}"]


def _install(staged: Path, target: Path, splits: Sequence[str]) -> None:
    """Rename: the whole machine folder at once where there is none, else split by split."""
    if not os.path.lexists(target):
        _rename_folder(staged, target)
        return
    for split in splits:
        if (target / split).exists():
            (target / split).rmdir()  # empty, or it would not be missing
        _rename_folder(staged / split, target / split)


def _rename_folder(staged: Path, target: Path) -> None:
    """Give a folder its final name; a link that has replaced it in the meantime is removed."""
    staged.rename(target)
    if target.is_symlink():
        target.unlink()
        raise DownloadError(f"{staged} was replaced by a link while it was unpacked; refused")


def _open_file(path: str, flags: int) -> int:
    """Open an archive that is a file of its own: a link put in its place after it was checked is not followed."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


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
    """Write all clips below `staging`; every fault of the archive is a `DownloadError`."""
    try:
        with _CappedReader(archive, opener=_open_file) as stream, zipfile.ZipFile(stream) as opened:
            clips = _checked_entries(opened, machine, part)
            _check_places(opened.infolist(), archive.stat().st_size)
            for split in SPLITS[part]:
                (staging / machine / split).mkdir(parents=True)
            budget = 2 * unpacked_bytes(machine, part)
            for n_done, info in enumerate(clips, 1):
                stop_if(should_stop)
                budget -= _copy_clip(opened, info, staging, budget)
                on_progress(Step("unpack", archive.name, n_done, len(clips)))
    except _ZIP_FAULTS as error:
        raise DownloadError(f"{archive.name} cannot be unpacked: {error_text(error)}") from error


def _checked_entries(opened: zipfile.ZipFile, machine: str, part: str) -> list[zipfile.ZipInfo]:
    """Entries that are clips; one bad entry spoils the archive."""
    infos, limit = opened.infolist(), sum(expected_clips(machine, part).values()) + _MAX_SPARE_ENTRIES
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
    """Whether an entry is skipped: a folder, a licence or read-me file, or a file browser's leftovers."""
    return info.is_dir() or _IGNORED.fullmatch(info.filename.rsplit("/", 1)[-1]) is not None


def _is_clip_name(name: str, machine: str, part: str) -> bool:
    steps = name.split("/")
    return (
        len(steps) == 3
        and steps[0] == machine
        and steps[1] in SPLITS[part]
        and CLIP_NAME.fullmatch(steps[2]) is not None
    )


def _check_places(infos: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse entries that share bytes, by which a small file can unpack to a huge one."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise zipfile.BadZipFile(f"entry {info.orig_filename[:120]!a}: it overlaps another")
        end = info.header_offset + 30 + info.compress_size
    if end > size:
        raise zipfile.BadZipFile("its entries reach beyond its end")


def _copy_clip(opened: zipfile.ZipFile, info: zipfile.ZipInfo, staging: Path, budget: int) -> int:
    """Write one clip below `staging` and return its size; no link is followed on the way there.

    Limits hold for the bytes really read (the CRC is checked at their end).
    """
    limit = min(budget, _MAX_CLIP_BYTES, _MAX_RATIO * info.compress_size + _RATIO_SLACK)
    written = 0
    with opened.open(info) as source, create_beneath(staging, PurePosixPath(info.filename)) as sink:
        while chunk := source.read(_CHUNK_BYTES):
            if written == 0 and (chunk[:4], chunk[8:12]) != (b"RIFF", b"WAVE"):
                raise zipfile.BadZipFile(f"entry {info.filename}: it is not a WAV file")
            written += len(chunk)
            if written > limit:
                raise zipfile.BadZipFile(f"entry {info.filename}: it unpacks to more than {limit} bytes")
            sink.write(chunk)
    if written == 0 or written != info.file_size:
        raise zipfile.BadZipFile(f"entry {info.filename}: {written} bytes instead of {info.file_size}")
    return written
