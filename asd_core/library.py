"""The data sets that this installation knows, and what may be stored and deleted beside them.

::

    <data folder>/
        library.json                                     the table of data sets
        simulated-small/                                 the bench that the embedded detectors know; made when needed
        benches/<name>/                                  simulated benches of another size or seed
        uploads/<name>/<normal or kind>/[<id>/]<digest>.wav     clips that came through the dashboard
        uploads/<name>/names.json                        what their owners call them; shown, never used as a path
        dcase2020/<part>/<machine>/                      downloads
        surveys/<digest>.json                            lengths, levels, duplicates of a data set's clips

Folders of recordings may be named only below the allowed roots: the data folder, and those that `ASD_DATA_ROOTS` names.
Deleting forgets such a folder; only what was made here is removed from the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from asd_core import feature_cache
from asd_core.artifacts import (
    CURRENT,
    MANIFEST,
    PAYLOAD_FILES,
    find_artifacts,
    list_versions,
    locked,
    open_artifact,
    replace_file,
)
from asd_core.audio import MAX_UPLOAD_BYTES, read_waveform
from asd_core.clips import NORMAL_NAMES, file_digest, index_clips
from asd_core.datasets.bench import read_simulated
from asd_core.decoding import decode_upload
from asd_core.errors import ArtifactError, AudioError, BusyError, DataSetError, UsageError
from asd_core.logs import event
from asd_core.pipeline import OWN_SUFFIX, READ_ONLY_MARK, DataSet, open_data_set, slug
from asd_core.places import TFHUB_CACHE_NAME, data_dir
from asd_core.types import Waveform

KINDS = ("simulated", "recordings", "downloaded")
EMBEDDED_NAME = "simulated-small"
ROOTS_VARIABLE = "ASD_DATA_ROOTS"
MAX_NAME = 60
MAX_SETS = 500
MAX_TABLE_BYTES = 1024 * 1024
MAX_UPLOADS, MAX_UPLOADED_BYTES = 50, 200 * 2**20
"""Of one session; a single file may have `asd_core.audio.MAX_UPLOAD_BYTES`."""
MIN_FREE_BYTES = 2**30
"""Stays free on the disk, whatever is uploaded."""
MAX_SHOWN_NAME = 200
MAX_LISTED = 500
LOCK_S = 2.0
SILENCE_DBFS = -120.0

_TABLE, _NAMES, _TOKEN = "library.json", "names.json", ".tmp-deleted-"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HEADER: Mapping[str, Any] = {"schema": 1, "command": "library", "warnings": []}
_SET_TYPES: Mapping[str, tuple[type, ...]] = {
    "folder": (str,),
    "kind": (str,),
    "added": (str,),
    "machines": (dict,),
    "normal": (str, type(None)),
    "aliases": (list,),
}


@dataclass(frozen=True)
class KnownSet:
    """A data set in the table.

    Parameters
    ----------
    name
        As its detectors are filed under: lower-case letters, digits, `_` and `-`.
    folder
        Absolute; a root of machine folders, a machine folder, or own recordings.
    kind
        One of `KINDS`.
    added
        ISO 8601, UTC; empty for the embedded bench.
    machines
        Machine name to its folder's name below `folder`; empty text for `folder` itself.
    normal
        Folder of the normal clips of own recordings, where it has another name than usual.
    aliases
        Other names that detectors trained on it are filed under.
    """

    name: str
    folder: Path
    kind: str
    added: str = ""
    machines: Mapping[str, str] = field(default_factory=dict)
    normal: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def made_here(self) -> bool:
        """Whether its clips were generated, uploaded or downloaded by this program, which may delete them."""
        parents = [_benches(), _uploads(), data_dir() / "dcase2020"]
        return self.folder == _embedded().folder or self.folder.parent in [path.resolve() for path in parents]

    @property
    def uploaded(self) -> bool:
        """Whether clips may be added to it through the dashboard."""
        return self.folder == _uploads().resolve() / self.name

    def to_json(self) -> dict[str, Any]:
        """Value in the table."""
        values = {name: getattr(self, name) for name in ("kind", "added", "normal")}
        return values | {"folder": str(self.folder), "machines": dict(self.machines), "aliases": list(self.aliases)}

    @classmethod
    def from_json(cls, name: str, content: object) -> KnownSet:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        if _NAME.fullmatch(name) is None or len(name) > MAX_NAME or name == EMBEDDED_NAME:
            raise ValueError(f"{name[:MAX_NAME]!a} is no name of a data set")
        if not isinstance(content, dict) or set(content) != set(_SET_TYPES):
            raise ValueError(f"{name} must hold exactly {', '.join(_SET_TYPES)}")
        for key, allowed in _SET_TYPES.items():
            if type(content[key]) not in allowed:
                raise ValueError(f"{name}: {key} must be {' or '.join(kind.__name__ for kind in allowed)}")
        _check_values(name, content)
        values = {**content, "folder": Path(content["folder"]), "aliases": tuple(content["aliases"])}
        return cls(name=name, **values)


def _check_values(name: str, content: Mapping[str, Any]) -> None:
    if content["kind"] not in KINDS:
        raise ValueError(f"{name}: kind must be one of {', '.join(KINDS)}")
    if "\0" in content["folder"] or not Path(content["folder"]).is_absolute():
        raise ValueError(f"{name}: folder must be an absolute path")
    parts = list(content["machines"].values())
    if not all(isinstance(part, str) and _is_folder_name(part) for part in parts):
        raise ValueError(f"{name}: machines must name folders directly below it")
    if not all(isinstance(alias, str) and _NAME.fullmatch(alias) for alias in content["aliases"]):
        raise ValueError(f"{name}: aliases must be names")


def _is_folder_name(part: str) -> bool:
    """Whether this names the folder itself (empty) or one directly below; a backslash parts names on Windows only."""
    return "\0" not in part and part != ".." and Path(part).name == part


@dataclass(frozen=True)
class Library:
    """The table as it was read: the embedded bench first, then by name; `fault` says why it could not be read."""

    sets: tuple[KnownSet, ...]
    fault: str | None = None

    def find(self, name: str) -> KnownSet | None:
        """Look a data set up by the name its detectors are filed under."""
        wanted = {name, name.removesuffix(OWN_SUFFIX)}
        exact = [known for known in self.sets if known.name == name]
        also = [known for known in self.sets if known.name in wanted or wanted & set(known.aliases)]
        return next(iter([*exact, *also]), None)


def read_library() -> Library:
    """Read the table; a damaged one counts as empty, with the reason."""
    path = data_dir() / _TABLE
    if not os.path.lexists(path):
        return Library((_embedded(),))
    try:
        sets = _parse_table(path)
    except (OSError, ValueError, RecursionError) as error:
        return Library((_embedded(),), f"{_TABLE} is damaged ({error})")
    return Library((_embedded(), *sorted(sets, key=lambda known: known.name)))


def restart_library() -> Path:
    """Put a damaged table aside, so that a new one can begin; returns where the old one is now."""
    path = data_dir() / _TABLE
    with _table():
        if read_library().fault is None:
            raise UsageError(f"{path} is not damaged")
        return path.replace(path.with_name(f"{_TABLE}.damaged-{secrets.token_hex(4)}"))


def allowed_roots() -> tuple[Path, ...]:
    """Folders below which recordings may be named: the data folder, and those of `ASD_DATA_ROOTS`; links resolved."""
    named = [part for part in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if Path(part).is_absolute()]
    return tuple(dict.fromkeys(path.resolve() for path in (data_dir(), *map(Path, named))))


def checked_folder(folder: Path | str) -> Path:
    """Resolve links, then check that the folder lies below an allowed root and is there.

    Raises
    ------
    DataSetError
        Elsewhere (whether or not it exists), not absolute, or no folder.
    """
    roots = allowed_roots()
    try:
        path = Path(folder).expanduser()
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataSetError(f"{str(folder)[:MAX_SHOWN_NAME]!a} is no path") from error
    own = data_dir().resolve()
    if not path.is_absolute() or resolved == own or not any(resolved.is_relative_to(root) for root in roots):
        raise DataSetError(
            f"a folder of recordings must be named in full and lie below {' or '.join(map(str, roots))}; "
            f"whoever runs this program allows others with {ROOTS_VARIABLE}"
        )
    if not resolved.is_dir():
        raise DataSetError(f"{resolved} is not a folder")
    return resolved


def add_folder(name: str, folder: Path | str, *, kind: str = "recordings", normal: str | None = None) -> KnownSet:
    """Put a folder of clips in the table, or list its machines anew where it stands there already.

    Raises
    ------
    DataSetError
        See `checked_folder`; no clips, no normal label, or a name that another folder has.
    """
    place = checked_folder(folder)
    kind = "simulated" if read_simulated(place) is not None else kind
    known = KnownSet(checked_name(name), place, kind, _now(), _machines(place, normal), normal)
    with _table():
        library = _writable_library()
        taken = library.find(known.name)
        if taken is not None and taken.folder != place:
            raise DataSetError(f"{known.name!r} is the name of another data set: {taken.folder}")
        if other := [each.name for each in library.sets if each.folder == place and each.name != known.name]:
            raise DataSetError(f"this folder is in the table already, as {other[0]!r}")
        if taken is not None:
            known = replace(known, added=taken.added, aliases=taken.aliases)
        _write_table([known, *(other for other in library.sets if other.name != known.name)])
    return known


def add_alias(alias: str, name: str) -> None:
    """Remember that detectors under another name were trained on this data set.

    Raises
    ------
    DataSetError
        The name belongs to another data set.
    """
    alias = checked_name(alias, reserved=())
    if alias == name:
        return
    with _table():
        library = _writable_library()
        known, other = library.find(name), library.find(alias)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        if other is not None and other.name != known.name:
            raise DataSetError(f"{alias!r} is the name of another data set; choose another one")
        if known.name == EMBEDDED_NAME:
            raise DataSetError(f"detectors trained on the embedded bench are filed under {EMBEDDED_NAME}{OWN_SUFFIX}")
        if other is None:
            longer = replace(known, aliases=(*known.aliases, alias))
            _write_table([longer, *(each for each in library.sets if each.name != known.name)])


def checked_name(name: str, *, reserved: Sequence[str] = (EMBEDDED_NAME,)) -> str:
    """Make a name fit for a folder.

    Raises
    ------
    DataSetError
        Too long, nothing left of it, or reserved.
    """
    made = slug(name).lstrip("_-")
    if not re.search(r"[a-zA-Z0-9]", name) or not made or len(made) > MAX_NAME:
        raise DataSetError(f"a name must have 1 to {MAX_NAME} letters and digits, got {name[:MAX_SHOWN_NAME]!a}")
    if made in reserved or made.endswith(OWN_SUFFIX):
        raise DataSetError(f"{made!r} is reserved; choose another name")
    return made


def open_known(known: KnownSet, machine: str, *, ids: Sequence[str] | None = None, seed: int = 0) -> DataSet:
    """Index one machine of a data set. Raises as `asd_core.pipeline.open_data_set` and `checked_folder`."""
    folder = checked_folder(known.folder)
    several = machine if len(known.machines) > 1 else None
    return open_data_set(folder, machine=several, ids=ids, normal=known.normal, name=known.name, seed=seed)


def clips_folder(data_set: str, machine: str) -> Path | None:
    """Machine folder of the clips that detectors filed under this name were trained on; None where unknown or gone."""
    known = read_library().find(data_set)
    if known is None:
        return None
    for name, part in known.machines.items():
        folder = known.folder / part
        if slug(name) == machine and folder.is_dir():
            return folder
    return None


def new_bench_folder(name: str) -> Path:
    """Where a simulated bench of this name goes.

    Raises
    ------
    DataSetError
        No fit name, or one that is taken.
    """
    made = checked_name(name)
    if read_library().find(made) is not None:
        raise DataSetError(f"{made!r} is the name of another data set; choose another one")
    return _benches() / made


# --- uploads ---


@dataclass(frozen=True)
class Quota:
    """What a session has uploaded so far."""

    files: int = 0
    bytes: int = 0

    def with_files(self, sizes: Sequence[int]) -> Quota:
        """Add files by their sizes, before any of them is read; raises UsageError where they are too many or large."""
        files, total = self.files + len(sizes), self.bytes + sum(sizes)
        if max(sizes, default=0) > MAX_UPLOAD_BYTES:
            raise UsageError(f"a file may have at most {MAX_UPLOAD_BYTES >> 20} MB, got {max(sizes) / 2**20:.1f} MB")
        if files > MAX_UPLOADS or total > MAX_UPLOADED_BYTES:
            raise UsageError(
                f"a session may upload {MAX_UPLOADS} files and {MAX_UPLOADED_BYTES >> 20} MB; with these it would be "
                f"{files} files and {total / 2**20:.0f} MB. Name a folder instead, or reload the page for a new session"
            )
        return Quota(files, total)


@dataclass(frozen=True)
class Upload:
    """One file as it came: the name is text, never a path."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Stored:
    """What became of uploads.

    Parameters
    ----------
    known
        The data set they went to; None where all were refused and it did not exist before.
    stored, repeated
        New clips, and clips that were there already.
    refused
        `{"name": ..., "reason": ...}` of each.
    used
        The session's quota from now on.
    """

    known: KnownSet | None
    stored: int
    repeated: int
    refused: tuple[dict[str, str], ...]
    used: Quota


def check_quota(sizes: Sequence[int], used: Quota) -> Quota:
    """Check sizes before anything is read or decoded; returns the quota with them.

    Raises
    ------
    UsageError
        Nothing, too many, too large, or too little room on the disk.
    """
    if not sizes:
        raise UsageError("choose at least one WAV or FLAC file")
    longer = used.with_files(sizes)
    check_free_disk(sum(sizes))
    return longer


def check_free_disk(n_bytes: int) -> None:
    """Refuse what would leave less than `MIN_FREE_BYTES` in the data folder; raises UsageError."""
    free = free_bytes()
    if free < n_bytes + MIN_FREE_BYTES:
        raise UsageError(
            f"{n_bytes / 1e6:.0f} MB do not fit: {free / 1e6:.0f} MB are free, of which "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB stay free"
        )


def free_bytes() -> int:
    """Room left on the data folder's disk."""
    place = data_dir().resolve()
    existing = next(path for path in (place, *place.parents) if path.exists())
    return shutil.disk_usage(existing).free


def store_uploads(
    name: str,
    uploads: Sequence[Upload],
    *,
    used: Quota,
    kind: str | None = None,
    machine_id: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> Stored:
    """Decode uploaded clips and keep those that pass, under names made from their content.

    Parameters
    ----------
    name
        Data set of uploads; a new one is begun.
    kind
        None for normal clips, else the kind of anomaly ("bearing"); empty counts as `anomalous`.
    machine_id
        Which of several machines of one type; empty counts as one.

    Raises
    ------
    UsageError
        See `check_quota`; a name, kind or id that is not fit, or a name that is taken by another data set.
    """
    used = check_quota([len(upload.content) for upload in uploads], used)
    root = _upload_root(name)
    folder = root / _label_folder(kind) / _id_folder(machine_id)
    refused, names, repeated = [], {}, 0
    for n_done, upload in enumerate(uploads, start=1):
        try:
            decode_upload(upload.content, name=upload.name)
        except AudioError as error:
            refused.append({"name": display_name(upload.name), "reason": f"{error.code}: {error}"})
        else:
            path = folder / _storage_name(upload.content)
            repeated += path.exists()
            _write_clip(path, upload.content)
            names[path.relative_to(root).as_posix()] = display_name(upload.name)
        if on_progress is not None:
            on_progress(n_done, len(uploads))
    known = _note_uploads(root, names) if names else read_library().find(root.name)
    event("uploads", data_set=root.name, n_taken=len(names), n_refused=len(refused))
    return Stored(known, len(names) - repeated, repeated, tuple(refused), used)


def display_name(name: str) -> str:
    """Make a user's file name printable and short."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return printable if len(printable) <= MAX_SHOWN_NAME else printable[: MAX_SHOWN_NAME - 1] + "…"


def upload_names(known: KnownSet) -> dict[str, str]:
    """Relative path of each uploaded clip to what its owner calls it; empty where that is not known."""
    try:
        found = json.loads(_read_small(known.folder / _NAMES))
    except (OSError, ValueError, RecursionError):
        return {}
    names = found.get("names") if isinstance(found, dict) else None
    return {str(path): display_name(str(name)) for path, name in names.items()} if isinstance(names, dict) else {}


def _upload_root(name: str) -> Path:
    made = checked_name(name)
    root = _uploads().resolve() / made
    known = read_library().find(made)
    if known is not None and known.folder != root:
        raise DataSetError(f"{made!r} is the name of another data set; choose another one")
    return root


def _label_folder(kind: str | None) -> str:
    if kind is None:
        return "normal"
    made = checked_name(kind or "anomalous", reserved=NORMAL_NAMES)
    if re.fullmatch(r"id_\d\d", made):
        raise DataSetError(f"{made!r} is no kind of anomaly: it looks like a machine id")
    return made


def _id_folder(machine_id: str) -> str:
    return checked_name(machine_id, reserved=(*NORMAL_NAMES, "abnormal")) if machine_id.strip() else ""


def _storage_name(content: bytes) -> str:
    suffix = ".flac" if content[:4] == b"fLaC" else ".wav"
    return hashlib.sha256(content).hexdigest()[:32] + suffix


def _write_clip(path: Path, content: bytes) -> None:
    if path.parent.resolve() != path.parent:
        raise DataSetError(f"{path.parent} leads elsewhere; nothing was written")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


def _note_uploads(root: Path, names: dict[str, str]) -> KnownSet:
    """List the data set, then keep its clips' names; the table's lock guards both."""
    known = KnownSet(root.name, root, "recordings", _now(), {root.name: ""}, "normal")
    with _table():
        library = _writable_library()
        found = library.find(root.name)
        if found is None:
            _write_table([known, *library.sets])
        kept = upload_names(known) | names
        replace_file(root / _NAMES, _json_bytes({**_HEADER, "command": "upload", "names": kept}))
    return found or known


# --- what the clips are like ---


def survey(data_set: DataSet, *, on_progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Read every clip once and sum up lengths, levels, duplicates and refusals; kept on disk until a file changes.

    `groups` has a row for each id, split and label: `n`, and `[least, median, most]` of `length_s` and of the RMS level
    `level_dbfs` (0 dBFS is full scale).
    """
    cached = data_dir() / "surveys" / f"{survey_key(data_set)}.json"
    found = _read_survey(cached)
    if found is None:
        found = _survey(data_set, on_progress or _no_progress)
        cached.parent.mkdir(parents=True, exist_ok=True)
        replace_file(cached, _json_bytes(found))
    return found


def has_survey(data_set: DataSet) -> bool:
    """Whether `survey` has read these clips before."""
    return _read_survey(data_dir() / "surveys" / f"{survey_key(data_set)}.json") is not None


def survey_key(data_set: DataSet) -> str:
    """Digest over what the clips are called, labelled, and their sizes and times of change."""
    digest = hashlib.sha256(str(data_set.index.root).encode("utf-8", "surrogateescape"))
    for clip in data_set.index.clips:
        with contextlib.suppress(OSError):
            status = clip.path.lstat()
            line = f"{clip.relative}\n{clip.split} {clip.label} {status.st_size} {status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _no_progress(_n_done: int, _n_clips: int) -> None:
    pass


def _read_survey(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and found.get("schema") == 1 and found.get("command") == "survey":
            return found
    return None


def _survey(data_set: DataSet, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    clips = data_set.index.clips
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    digests: dict[str, list[str]] = {}
    refused, warnings = [], []
    for n_done, clip in enumerate(clips, start=1):
        try:
            waveform = read_waveform(clip.path)
        except AudioError as error:
            refused.append({"path": clip.relative, "reason": f"{error.code}: {error}"})
        else:
            key = (clip.machine_id, clip.split, clip.label)
            groups.setdefault(key, []).append((waveform.duration_s, level_dbfs(waveform)))
            digests.setdefault(waveform.digest, []).append(clip.relative)
            warnings += [f"{clip.relative}: {text}" for text in waveform.warnings]
        on_progress(n_done, len(clips))
    duplicates = [paths for paths in digests.values() if len(paths) > 1]
    return {
        **_HEADER,
        "command": "survey",
        "n_clips": len(clips),
        "groups": [_group_json(*key, rows) for key, rows in sorted(groups.items())],
        "n_duplicates": len(duplicates),
        "duplicates": duplicates[:MAX_LISTED],
        "n_refused": len(refused),
        "refused": refused[:MAX_LISTED],
        "warnings": warnings[:MAX_LISTED],
    }


def _group_json(machine_id: str, split: str, label: str, rows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    lengths, levels = np.array(rows).T
    spread = {
        name: [float(value) for value in (values.min(), np.median(values), values.max())]
        for name, values in (("length_s", lengths), ("level_dbfs", levels))
    }
    return {"machine_id": machine_id, "split": split, "label": label, "n": len(rows), **spread}


def level_dbfs(waveform: Waveform) -> float:
    """RMS level, dB relative to full scale; silence counts as -120."""
    power = float(np.square(waveform.samples, dtype=np.float64).mean())
    return max(SILENCE_DBFS, 10.0 * float(np.log10(max(power, 1e-30))))


# --- deleting, and older versions ---


def delete_data_set(name: str) -> None:
    """Take a data set out of the table; clips that were made here are removed, others stay where they are.

    Raises
    ------
    UsageError
        No such data set, or a folder that leads out of the data folder.
    """
    with _table():
        library = _writable_library()
        known = next((each for each in library.sets if each.name == name), None)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        doomed = _set_aside(known.folder, data_dir()) if known.made_here and os.path.lexists(known.folder) else None
        if known.name != EMBEDDED_NAME:
            _write_table([other for other in library.sets if other.name != name])
    if doomed is not None:
        shutil.rmtree(doomed)


def folder_bytes(folder: Path) -> int:
    """Size of the files below a folder, or of a file; links count as themselves."""
    if not folder.is_dir() or folder.is_symlink():
        return folder.lstat().st_size if os.path.lexists(folder) else 0
    total = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - thousands of files
    return total


def is_read_only(detector_folder: Path) -> bool:
    """Whether these versions came with the project."""
    return (detector_folder.parents[1] / READ_ONLY_MARK).exists()


def current_version(detector_folder: Path) -> str | None:
    """Name of the version that counts; None where `current` is damaged."""
    try:
        return open_artifact(detector_folder).version
    except ArtifactError:
        return None


def make_current(detector_folder: Path, version: str) -> None:
    """Let an earlier version count again: only `current` is replaced, all or nothing, after the version was checked.

    Raises
    ------
    ArtifactError
        The version is damaged.
    UsageError
        No such version, or the folder is read-only.
    BusyError
        Another process trains or saves this detector.
    """
    folder = _version_folder(detector_folder, version)
    with locked(detector_folder):
        artifact = open_artifact(folder)
        for name in PAYLOAD_FILES:
            if file_digest(folder / name) != artifact.manifest["files"][name]["sha256"]:
                raise ArtifactError(f"{folder}: {name} is damaged: its SHA-256 differs from the manifest's")
        digest = file_digest(folder / MANIFEST)
        replace_file(detector_folder / CURRENT, f"{folder.name} {digest}\n".encode())


def delete_version(detector_folder: Path, version: str, *, out: Path) -> None:
    """Remove a version that does not count.

    Parameters
    ----------
    out
        Folder of all trained detectors; nothing outside it is touched.

    Raises
    ------
    UsageError
        No such version, the current one, or a read-only folder.
    BusyError
        Another process trains or saves this detector.
    """
    if detector_folder not in find_artifacts(out):
        raise UsageError(f"{detector_folder} is no detector in {out}")
    folder = _version_folder(detector_folder, version)
    with locked(detector_folder):
        current = current_version(detector_folder)
        if current is None or current == version:
            raise UsageError(
                f"{version} is the version that counts, or that is unknown; make another one current first"
            )
        doomed = _set_aside(folder, out)
    shutil.rmtree(doomed)


def _version_folder(detector_folder: Path, version: str) -> Path:
    if is_read_only(detector_folder):
        raise UsageError(f"{detector_folder.parents[1].name} comes with the project and is read-only")
    folder = next((path for path in list_versions(detector_folder) if path.name == version), None)
    if folder is None or folder.is_symlink():
        raise UsageError(f"{detector_folder} has no version {version[:MAX_NAME]!a}")
    return folder


@dataclass(frozen=True)
class Cache:
    """Something on disk that can be had again."""

    name: str
    title: str
    paths: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return sum(folder_bytes(path) for path in self.paths)


def caches(out: Path) -> tuple[Cache, ...]:
    """What may be emptied: surveys, features of clips, downloaded encoder weights, remains of what was stopped."""
    own = data_dir()
    left = [*own.glob(".*.partial-*"), *_benches().glob(".*.partial-*"), *own.glob(f"*/{_TOKEN}*")]
    left += [*own.glob(f"{_TOKEN}*"), *out.glob("*/*/*/.checkpoint-*"), *out.glob(f"*/*/*/{_TOKEN}*")]
    return (
        Cache(
            "surveys", "Reports on data sets and sweeps (made again when asked for)", (own / "surveys", own / "sweeps")
        ),
        Cache("features", "Features of clips (computed again when needed)", (feature_cache.cache_folder(),)),
        Cache("vggish", "Downloaded VGGish weights (fetched again when needed)", (own / TFHUB_CACHE_NAME,)),
        Cache("unfinished", "Unfinished pieces: checkpoints of stopped trainings, half-made benches", tuple(left)),
    )


def empty_cache(name: str, *, out: Path) -> None:
    """Delete one of `caches`; call it while nothing trains and nothing is being made.

    Raises
    ------
    UsageError
        No such cache.
    """
    found = next((cache for cache in caches(out) if cache.name == name), None)
    if found is None:
        raise UsageError(f"no cache is called {name[:MAX_NAME]!a}")
    for path in found.paths:
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
        elif path.is_dir():
            root = data_dir() if path.resolve().is_relative_to(data_dir().resolve()) else out
            shutil.rmtree(_set_aside(path, root))


def _set_aside(folder: Path, root: Path) -> Path:
    """Rename a folder that is to be removed, so that nobody sees half of it; refuse what leads out of `root`."""
    place = folder.parent.resolve() / folder.name
    if folder.is_symlink() or place == root.resolve() or not place.is_relative_to(root.resolve()):
        raise UsageError(f"{folder} leads out of {root}: it is not deleted")
    return place.rename(place.with_name(f"{_TOKEN}{secrets.token_hex(6)}"))


# --- the table ---


def _embedded() -> KnownSet:
    folder = data_dir().resolve() / EMBEDDED_NAME
    return KnownSet(EMBEDDED_NAME, folder, "simulated", machines={"slider": "slider"})


def _benches() -> Path:
    return data_dir() / "benches"


def _uploads() -> Path:
    return data_dir() / "uploads"


def _machines(folder: Path, normal: str | None) -> dict[str, str]:
    """Machine names below a folder, with their folders' names."""
    try:
        found = [index_clips(folder, normal=normal)]
    except DataSetError:
        found = []
        for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
            with contextlib.suppress(DataSetError):
                found.append(index_clips(folder, machine=child.name))
        if not found:
            raise
    return {index.machine: "" if index.root.resolve() == folder else index.root.name for index in found}


def _parse_table(path: Path) -> list[KnownSet]:
    content = json.loads(_read_small(path))
    if not isinstance(content, dict) or content.get("schema") != 1 or not isinstance(content.get("sets"), dict):
        raise ValueError("it must hold schema 1 and sets")
    if len(content["sets"]) > MAX_SETS:
        raise ValueError(f"it must hold at most {MAX_SETS} data sets")
    return [KnownSet.from_json(name, value) for name, value in content["sets"].items()]


def _read_small(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as stream:
        content = stream.read(MAX_TABLE_BYTES + 1)
    if len(content) > MAX_TABLE_BYTES:
        raise ValueError(f"it must have at most {MAX_TABLE_BYTES} bytes")
    return content


def _writable_library() -> Library:
    library = read_library()
    if library.fault is not None:
        raise DataSetError(f"{library.fault}; put it aside first")
    return library


def _write_table(sets: Sequence[KnownSet]) -> None:
    own = {known.name: known.to_json() for known in sets if known.name != EMBEDDED_NAME}
    if len(own) > MAX_SETS:
        raise DataSetError(f"at most {MAX_SETS} data sets can be listed; delete one first")
    replace_file(data_dir() / _TABLE, _json_bytes({**_HEADER, "sets": dict(sorted(own.items()))}))


@contextlib.contextmanager
def _table() -> Iterator[None]:
    """Hold the table's lock; wait a moment for another process."""
    deadline = time.monotonic() + LOCK_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(data_dir()))
                break
            except BusyError as error:
                if time.monotonic() > deadline:
                    raise BusyError("the table of data sets is busy: another process changes it; try again") from error
                time.sleep(0.02)
        yield


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, allow_nan=False, indent=1).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
