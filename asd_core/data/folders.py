"""The files below a folder: which are recordings, and which are passed over, counted by kind."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asd_core.audio.kinds import readable_suffixes
from asd_core.errors import DataSetError

HIDDEN, LITTER, LINKS = "hidden", "of the operating system", "links that lead nowhere or elsewhere"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
OWN_FILES = ("SIMULATED.json", "masks.npz", "names.jsonl", "names.json")
"""What this program writes directly below a data set's folder; no file of its owner."""
ARCHIVES = frozenset((".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz"))
"""Suffixes of files that recordings may be packed in."""
MAX_KINDS, MAX_NAMES = 8, 3
"""Kinds that a text names, and first names of each."""
_LITTER = re.compile(
    r"\._.*|__macosx|\.ds_store|\.appledouble|\.spotlight-v100|\.trashes|\.fseventsd|\.temporaryitems"
    r"|@eadir|@tmp|@recycle|@recently-snapshot|#recycle|#snapshot|\.snapshot|\.@__thumb"
    r"|\$recycle\.bin|recycler|system volume information|thumbs\.db|desktop\.ini|lost\+found|\.trash-\d+|\.nfs\w+",
    re.IGNORECASE,
)
"""Files and folders that operating systems and NAS boxes write beside those of their users."""


@dataclass(frozen=True)
class Skipped:
    """Files that were passed over, and why.

    Parameters
    ----------
    kinds
        Kind (`.txt`, `hidden`) to the names of the files, each kind sorted.
    """

    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str]]) -> Skipped:
        """Collect pairs of kind and name; the largest kind comes first."""
        kinds: dict[str, list[str]] = {}
        for kind, name in entries:
            kinds.setdefault(kind, []).append(name)
        ordered = sorted(kinds.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        return cls({kind: tuple(sorted(names)) for kind, names in ordered})

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.kinds)

    def __add__(self, other: Skipped) -> Skipped:
        """Both."""
        return Skipped.of(
            (kind, name) for each in (self, other) for kind, names in each.kinds.items() for name in names
        )

    @property
    def n(self) -> int:
        """How many there are."""
        return sum(map(len, self.kinds.values()))

    @property
    def text(self) -> str:
        """How many of each kind, with the first names: `12 skipped: 9 .txt (a.txt, b.txt, c.txt, ...), 3 hidden`."""
        parts = [f"{len(names)} {kind} ({_first(names)})" for kind, names in self.kinds.items()]
        if (n_more := len(parts) - MAX_KINDS) > 0:
            n_files = sum(len(names) for names in list(self.kinds.values())[MAX_KINDS:])
            parts[MAX_KINDS:] = [f"{n_files} of {n_more} further kinds"]
        return f"{self.n} skipped: {', '.join(parts)}" if parts else "none skipped"

    def to_json(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: len(names) for kind, names in self.kinds.items()}


def _first(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > MAX_NAMES else ""
    return ", ".join(map(_shown, names[:MAX_NAMES])) + more


def _shown(name: str) -> str:
    return ascii(name)[1:-1] if not name.isprintable() else name


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Parameters
    ----------
    audio
        Paths as they are named below the folder, sorted by them.
    places
        Where each of them is, links resolved; in the same order.
    skipped
        Files that are no recordings, by kind; tables and label tracks are not among them where `tables` has them.
    tables
        Files that may hold labels (.csv, .tsv, .txt), sorted.
    """

    audio: tuple[Path, ...]
    places: tuple[Path, ...]
    skipped: Skipped
    tables: tuple[Path, ...] = ()


def check_is_folder(path: Path) -> None:
    """Check that a path is a folder.

    Raises
    ------
    DataSetError
        It is none; the text says what it is, and which folder to name.
    """
    if os.path.isdir(path):  # noqa: PTH112 - a name that no file can have is no folder either
        return
    what = "nothing of that name is there; check the name and the folder above it"
    if os.path.isfile(path):  # noqa: PTH113
        what = "but a file: name the folder that it lies in"
        if path.suffix.lower() in ARCHIVES:
            what = "but an archive: unpack it, then name the folder with its recordings"
    raise DataSetError(f"{path} is not a folder{', ' if what.startswith('but') else ': '}{what}")


def where_to_look(skipped: Skipped) -> str:
    """What to do where no recording was found, and this was skipped."""
    if ARCHIVES & set(skipped.kinds):
        return "unpack the archive first"
    return "name the folder that your recordings lie in"


def list_files(folder: Path, *, within: Sequence[Path] | None = None) -> Listing:
    """List the recordings below a folder by suffix, in any case, and count what else is there.

    Links are followed; each folder is entered once, so that a circle ends, and by its own name rather than by a link
    to it. Files and folders of operating systems and hidden ones are left out.

    Parameters
    ----------
    within
        Folders, resolved, inside which links must end; None lets them lead anywhere.
    """
    audio: list[tuple[Path, Path]] = []
    tables: list[Path] = []
    skipped: list[tuple[str, str]] = []
    suffixes = readable_suffixes()
    for path, place, kind in _files(folder, within):
        suffix = path.suffix.lower()
        if path.parent == folder and path.name in OWN_FILES:
            continue
        if kind is not None:
            skipped.append((kind, path.relative_to(folder).as_posix()))
        elif suffix in suffixes:
            audio.append((path, place))
        elif suffix in TABLE_SUFFIXES:
            tables.append(path)
        else:
            skipped.append((suffix or "without suffix", path.relative_to(folder).as_posix()))
    audio.sort(key=lambda entry: os.fspath(entry[0]))
    return Listing(
        tuple(path for path, _ in audio), tuple(place for _, place in audio), Skipped.of(skipped), tuple(sorted(tables))
    )


def skipped_tables(listing: Listing, folder: Path, used: Iterable[Path] = ()) -> Skipped:
    """What was passed over, with the tables that were not used for labels."""
    unused = set(listing.tables) - set(used)
    return listing.skipped + Skipped.of((path.suffix.lower(), path.relative_to(folder).as_posix()) for path in unused)


def litter_kind(name: str) -> str | None:
    """Kind under which a file or folder of this name is passed over; None where it is not."""
    if _LITTER.fullmatch(name):
        return LITTER
    return HIDDEN if name.startswith(".") else None


def _files(folder: Path, within: Sequence[Path] | None) -> Iterator[tuple[Path, Path, str | None]]:
    """Yield path, resolved path and the kind of litter of each file; folders that are litter count as one file."""
    entered: set[tuple[int, int]] = set()
    waiting, linked = deque([(folder, folder)]), deque[tuple[Path, Path]]()
    while waiting or linked:
        path, place = (waiting or linked).popleft()
        try:
            status = place.stat()
            is_new, entries = (status.st_dev, status.st_ino) not in entered, _entries(path, place, within)
        except OSError:
            yield path, place, "cannot be opened"
            continue
        entered.add((status.st_dev, status.st_ino))
        for inner, where, kind in entries if is_new else ():
            if kind is not None or not _is_folder(where):
                yield inner, where, kind
            else:
                (linked if inner.is_symlink() else waiting).append((inner, where))


def _entries(folder: Path, place: Path, within: Sequence[Path] | None) -> list[tuple[Path, Path, str | None]]:
    """Path, resolved path and the kind of litter of what lies in a folder, by name; raises OSError."""
    found: list[tuple[Path, Path, str | None]] = []
    with os.scandir(place) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path, kind = folder / entry.name, litter_kind(entry.name)
            where = _place(place / entry.name, within) if kind is None and entry.is_symlink() else place / entry.name
            found.append((path, path, LINKS) if where is None else (path, where, kind))
    return found


def _is_folder(path: Path) -> bool:
    """Whether it is a folder, as far as we may know."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _place(link: Path, within: Sequence[Path] | None) -> Path | None:
    """Where a link ends; None where that is nothing, or not inside an allowed folder."""
    try:
        place = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if within is not None and not any(place.is_relative_to(root) for root in within):
        return None
    return place
