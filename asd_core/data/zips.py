"""The recordings in a ZIP archive that came through the dashboard; a hostile or damaged archive is refused.

Nothing is written and no name is a path: an entry's name is text, which says what its owner calls it and, by the rules
for own folders (`asd_core.data.own_folders`), perhaps its label. What is in the archive is bounded before it is read,
and read in pieces, whatever its headers claim; only one entry at a time is in memory.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import PurePosixPath

from asd_core.audio.kinds import readable_suffixes
from asd_core.audio.reading import MAX_UPLOAD_BYTES
from asd_core.data.folder_rules import NO_RULES, split_of
from asd_core.data.folders import ARCHIVES, litter_kind
from asd_core.data.library import fits_a_folder
from asd_core.data.own_folders import Meaning, is_kind, understand
from asd_core.data.quotas import NOT_SAID, Upload
from asd_core.data.uploads import NORMAL
from asd_core.errors import AudioError, DataSetError
from asd_core.formats import display_name

MAX_ENTRIES = 2_000
MAX_UNPACKED_BYTES = 512 * 2**20
"""Of one archive."""
MAX_RATIO, RATIO_SLACK_BYTES = 100, 64 * 2**10
"""Recordings shrink to a half at best, and digital silence to a thousandth: a short one fits into the slack."""
MAX_RATIO_IN_ALL, SLACK_IN_ALL_BYTES = 30, 2**20
NESTED, TWICE, FOLDERS_ONLY = "archives inside the archive", "of a name that came before", "folders"
_CHUNK_BYTES = 2**16
_MAX_DIRECTORY_BYTES = 2**20
_UTF8_NAME, _ENCRYPTED = 0x800, 0x1
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_ZIP_AGAIN = "make the ZIP again from the folder of recordings, or choose the recordings themselves"


@dataclass(frozen=True)
class Unpacked:
    """What was found in the files that came.

    Parameters
    ----------
    uploads
        Recordings by their suffix, in order; those of archives are read when they are needed.
    skipped
        Number of entries that were passed over, by kind (`.txt`, `hidden`), the largest first.
    refused
        `AudioError.entry` of each file or entry that is refused unread.
    remarks
        What was not understood of the names inside, for people.
    """

    uploads: tuple[Upload, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[dict[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def __add__(self, other: Unpacked) -> Unpacked:
        """Both."""
        skipped = Counter(self.skipped) + Counter(other.skipped)
        return Unpacked(
            self.uploads + other.uploads,
            dict(skipped.most_common()),
            self.refused + other.refused,
            self.remarks + other.remarks,
        )

    @property
    def labels(self) -> dict[str, int]:
        """Number of recordings by what their folders say: `normal`, a kind of anomaly, or `NOT_SAID`."""
        return dict(Counter(upload.label for upload in self.uploads).most_common())


def is_zip(content: bytes) -> bool:
    """Whether the first bytes are those of a ZIP archive."""
    return content[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def taken(files: Iterable[tuple[str, bytes]]) -> Unpacked:
    """Take files as they came, by name and content: archives are opened, and a refused one is listed, not raised."""
    found = Unpacked()
    for name, content in files:
        found += _one(name, content)
    return found


def _one(name: str, content: bytes) -> Unpacked:
    if not is_zip(content):
        return Unpacked((Upload(name, content),))
    try:
        return unpacked(content, name=name)
    except AudioError as error:
        return Unpacked(refused=(error.entry(display_name(name)),))


def unpacked(content: bytes, *, name: str) -> Unpacked:
    """Find the recordings in an archive, and count what is passed over.

    Every entry is read once in pieces, to know its true size and digest; none is kept in memory.

    Parameters
    ----------
    name
        What the archive is called, for messages.

    Raises
    ------
    AudioError
        It is larger than an upload may be, damaged, holds more than `MAX_ENTRIES` entries, or unpacks to more than
        recordings do.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        raise _too_much(name, f"an archive may have at most {MAX_UPLOAD_BYTES >> 20} MB")
    try:
        with zipfile.ZipFile(_CappedContent(content)) as opened:
            infos = opened.infolist()
            _check_directory(infos, name, len(content))
            return _sorted_out(opened, infos, content, name)
    except _FAULTS as error:
        what = f"the archive is damaged or no ordinary ZIP ({_fault_text(error)})"
        raise AudioError("decode", what, cure=_ZIP_AGAIN, name=name) from error


def _fault_text(error: Exception) -> str:
    return display_name(str(error)) or "it breaks off"


class _CappedContent(io.BytesIO):
    """Refuse the one large read of `zipfile`, the directory, before memory is spent on its entries."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `_MAX_DIRECTORY_BYTES` bytes."""
        one_more = _MAX_DIRECTORY_BYTES + 1
        found = super().read(one_more if size is None or size < 0 else min(size, one_more))
        if len(found) == one_more:
            raise zipfile.BadZipFile("its list of entries is too long")
        return found


def _check_directory(infos: Sequence[zipfile.ZipInfo], name: str, n_bytes: int) -> None:
    """Refuse too many entries, and entries that share bytes, by which a small file can unpack to a huge one."""
    if len(infos) > MAX_ENTRIES:
        raise _too_much(name, f"an archive may have at most {MAX_ENTRIES:,} entries, this one has {len(infos):,}")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise zipfile.BadZipFile("its entries overlap")
        end = info.header_offset + 30 + info.compress_size
    if end > n_bytes:
        raise zipfile.BadZipFile("its entries reach beyond its end")


def _sorted_out(opened: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], content: bytes, archive: str) -> Unpacked:
    """Tell recordings from what is passed over and what is refused."""
    skipped: Counter[str] = Counter()
    refused: list[dict[str, str]] = []
    packed: dict[str, PackedRecording] = {}
    budget = _Budget(archive, min(MAX_UNPACKED_BYTES, MAX_RATIO_IN_ALL * len(content) + SLACK_IN_ALL_BYTES))
    for place, info in enumerate(infos):
        path = _path(info)
        if info.is_dir():
            continue
        if (kind := _passed_over(path, packed)) is not None:
            skipped[kind] += 1
        elif (fault := _fault(info)) is not None:
            refused.append(fault.entry(display_name(path)))
        else:
            n_bytes, digest = _measured(opened, info, budget)
            packed[path] = PackedRecording(content, place, n_bytes, digest)
    labels, remarks = _labels(list(packed))
    names = _own_names(list(packed), labels)
    uploads = tuple(Upload(names[path], each, labels[path]) for path, each in packed.items())
    return Unpacked(uploads, dict(skipped.most_common()), tuple(refused), remarks)


@dataclass(frozen=True)
class PackedRecording:
    """A recording in an archive, which is unpacked when it is read.

    Parameters
    ----------
    archive
        The whole archive, which all of its recordings share.
    place
        Which entry it is, from 0.
    digest
        SHA-256 of the content.
    """

    archive: bytes = field(repr=False)
    place: int
    n_bytes: int
    digest: str

    def read(self) -> bytes:
        """Unpack it; `unpacked` has read it once, so that its size is known to be true."""
        with zipfile.ZipFile(_CappedContent(self.archive)) as opened:
            return b"".join(_pieces(opened, opened.infolist()[self.place], self.n_bytes))


@dataclass
class _Budget:
    """How many bytes the rest of an archive may still unpack to."""

    archive: str
    n_bytes: int

    def spend(self, n_bytes: int) -> None:
        """Count what was really read."""
        self.n_bytes -= n_bytes
        if self.n_bytes < 0:
            raise _too_much(
                self.archive,
                f"an archive may unpack to {MAX_UNPACKED_BYTES >> 20} MB and to {MAX_RATIO_IN_ALL} times its size, "
                "this one unpacks to more",
            )


def _measured(opened: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget) -> tuple[int, str]:
    """Read an entry in pieces; return its true size and its SHA-256."""
    digest, n_bytes = hashlib.sha256(), 0
    for piece in _pieces(opened, info, MAX_RATIO * info.compress_size + RATIO_SLACK_BYTES):
        budget.spend(len(piece))
        digest.update(piece)
        n_bytes += len(piece)
    if n_bytes != info.file_size:
        raise zipfile.BadZipFile("an entry has another size than its header says")
    return n_bytes, digest.hexdigest()


def _pieces(opened: zipfile.ZipFile, info: zipfile.ZipInfo, at_most: int) -> Iterator[bytes]:
    """Read an entry in pieces; the checksum is checked at its end.

    Raises
    ------
    zipfile.BadZipFile
        It is damaged, or has more than `at_most` bytes.
    """
    n_bytes = 0
    with opened.open(info) as stream:
        while piece := stream.read(_CHUNK_BYTES):
            n_bytes += len(piece)
            if n_bytes > at_most:
                raise zipfile.BadZipFile("an entry unpacks to more than a recording does")
            yield piece


def _path(info: zipfile.ZipInfo) -> str:
    """The name of an entry as its owner wrote it: macOS writes UTF-8 without saying so."""
    name = info.orig_filename.split("\0")[0]
    if info.flag_bits & _UTF8_NAME:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _passed_over(path: str, before: Mapping[str, object]) -> str | None:
    """Kind under which an entry is passed over; None for a recording, judged by its name alone."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if (kind := next(filter(None, map(litter_kind, (part for part in parts if part != ".."))), None)) is not None:
        return kind
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a text, no path
    if suffix in ARCHIVES:
        return NESTED
    if suffix not in readable_suffixes():
        return suffix or "without suffix"
    return TWICE if path in before else None


def _fault(info: zipfile.ZipInfo) -> AudioError | None:
    """Why an entry is refused unread: its name leads elsewhere, it is no plain file, or is not to be unpacked here."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return AudioError("not_file", "it is a link or a device, not a file", cure="put the recording itself in")
    if info.flag_bits & _ENCRYPTED:
        return AudioError("open", "it is encrypted", cure="make the ZIP again without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = "its compression is rare and not read here"
        return AudioError("codec", what, cure="make the ZIP again with the usual compression (deflate)")
    if info.file_size > MAX_UPLOAD_BYTES:
        what = f"a recording may have at most {MAX_UPLOAD_BYTES >> 20} MB, this one has {info.file_size / 2**20:.1f} MB"
        return AudioError("too_big", what, cure="cut it into shorter recordings")
    return _name_fault(info)


def _name_fault(info: zipfile.ZipInfo) -> AudioError | None:
    name = info.orig_filename
    steps = name.replace("\\", "/").split("/")
    if "\0" in name or name.startswith(("/", "\\")) or ".." in steps or ":" in steps[0]:
        what = "its name leads out of the archive's folder"
        return AudioError("open", what, cure="make the ZIP again from the folder of recordings")
    return None


def _labels(paths: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the folders and names in an archive say of each recording; where they contradict, they say nothing."""
    try:
        machines = understand(paths, NO_RULES).values()
    except DataSetError as error:
        remark = f"what the folders mean was not understood, and all count as chosen in the form: {error.advice}"
        return dict.fromkeys(paths, NOT_SAID), (remark,)
    meanings = {path: found for machine in machines for path, found in machine.meanings.items()}
    has_normal = any(found.label == NORMAL for found in meanings.values())
    return {path: _label(meanings[path], has_normal=has_normal) for path in paths}, ()


def _label(found: Meaning, *, has_normal: bool) -> str:
    """What a recording's names say; beside no normal ones, a folder's name alone makes no kind of anomaly."""
    if found.label == NORMAL:
        return NORMAL
    kind = found.kind or "anomalous"
    is_said = has_normal or NO_RULES.label_of(found.word) is not None
    if found.label != "anomalous" or not (is_said and is_kind(kind)):
        return NOT_SAID
    return kind if fits_a_folder(kind) else "anomalous"


def _own_names(paths: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """Names without the folders that all share, and without those that say the label or the split."""
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    levels = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    n_shared = len(list(levels))
    return {path: _own_name(path, n_shared, labels[path]) for path in paths}


def _own_name(path: str, n_shared: int, label: str) -> str:
    *folders, name = PurePosixPath(path).parts
    further = [part for part in folders[n_shared:] if not _says_label(part, label)]
    return "/".join([*further, name])


def _says_label(part: str, label: str) -> bool:
    return split_of(part) is not None or NO_RULES.label_of(part) is not None or part == label


def _too_much(name: str, what: str) -> AudioError:
    return AudioError("too_big", what, cure="send fewer recordings at a time", name=name)
