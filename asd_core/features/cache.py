"""Features of recordings on disk, so that a second training or evaluation reads no audio.

Each entry is one file, named by a tag of what it is about and by the SHA-256 of its key. There are four kinds:

- what the reader found in a file: its path and status (size, times, inode) and the channel lead to the content's
  digest, the length and the warnings. A changed status is another key, so the file is read again;
- the samples of a stretch of a long recording, by their digest: reading one far into a file costs reading all before;
- an array computed from a recording: the content's digest, the channel and the name of the features lead to the array;
- the graph that a network scores with: the digest of its weights leads to the bytes of an ONNX model.

The tag comes from the recording's path, from the clip's digest, or is that of all graphs: by it, what is kept of a
recording is found again when its owner deletes it.

The reader's version and those of the packages that figures depend on are part of every key. Entries are written to a
temporary file and renamed, so several processes may write at once; each ends with a SHA-256 of its key and body, and
one that does not match, or whose body cannot be understood, counts as missing. Refusals are never kept. Failing to
write is no error: the next run computes the features again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from asd_core.audio.kinds import only_lossless
from asd_core.audio.reading import READER_VERSION, read_waveform
from asd_core.audio.stretches import read_stretch
from asd_core.errors import AudioError, FileError, UsageError
from asd_core.system.files import parse_json, read_regular
from asd_core.system.packages import installed
from asd_core.system.places import data_dir
from asd_core.types import SR, DerivedArray, Float32Array, Waveform

FOLDER_NAME = "features"
FORMAT = 2
"""Raised with any change of what an entry holds."""
DEFAULT_MB = 4096
KEPT_SHARE = 0.9
"""What is left of the cap after the least recently used entries have gone."""
_SCAN_SHARE = 20
_BLOCK_BYTES = 4096
_SEAL_BYTES = hashlib.sha256().digest_size
_SETTLED_S = 2.0
"""A file younger than this may change again without a change of its times: its status is not trusted yet."""
_STALE_S = 3600.0
_PACKAGES = ("numpy", "scipy", "soundfile", "soxr", "av", "tensorflow", "onnx")
_PARTIAL = ".partial-"
_TAG_LENGTH = 16
_TAG = re.compile(rf"[a-z]+\n([0-9a-f]{{{_TAG_LENGTH}}})\n")
"""Second line of a key: what its entry is about. The entry's name begins with it, so that it can be found."""
_DIGEST_PREFIX = 16
_STRETCH = re.compile(r"#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$")

Parsed = TypeVar("Parsed")


Span = tuple[float, float]
"""Start and end of a stretch of a recording, in seconds."""


def read_clip(path: str | os.PathLike[str], *, channel: int | None = None, span: Span | None = None) -> Waveform:
    """Read a recording as `asd_core.audio.reading.read_waveform` does, or take what the cache knows of it.

    A known clip's samples are read when they are first needed, and its `derived` features come from the cache.

    Parameters
    ----------
    channel
        Channel to take, from 0; None takes the mean of all channels.
    span
        A stretch of it, see `asd_core.audio.stretches`; None takes the whole file.

    Raises
    ------
    AudioError
        As `read_waveform`. For a known clip, `samples` may raise it too, with code `open`, where the content has
        changed since.
    """
    store = opened()
    status = None if store is None else _status(path)
    if store is None or status is None:
        return _read(path, channel, span)
    key = _file_key(path, status, channel, span)
    outcome = store.read_as(key, _parse_outcome)
    if outcome is not None:
        return KnownClip(path, channel, outcome, store, key, span=span)
    waveform = _read(path, channel, span)
    outcome = _Outcome(waveform.digest, waveform.n_samples, waveform.warnings)
    if _is_settled(status) and (after := _status(path)) is not None and _file_key(path, after, channel, span) == key:
        store.write(key, outcome.to_bytes())
        if span is not None:
            store.write(_samples_key(waveform.digest), waveform.samples.tobytes())
    return KnownClip(path, channel, outcome, store, key, span=span, samples=waveform.samples)


def read_named(
    root: str | os.PathLike[str], name: str, *, channel: int | None = None, within: Sequence[Path] | None = None
) -> Waveform:
    """Read a clip below a folder by its name in the index and in stored scores; `run.wav#t=10,20` is a stretch.

    Parameters
    ----------
    within
        Folders, resolved, inside which links must end, besides `root` itself; None lets them lead anywhere.

    Raises
    ------
    AudioError
        As `read_clip`; with code `not_file` for a link that leads elsewhere.
    """
    file, span = split_name(name)
    path = os.path.realpath(os.path.join(root, file))  # noqa: PTH118 - a name stays as it was written
    allowed = None if within is None else (Path(root).resolve(), *within)
    if allowed is not None and not any(Path(path).is_relative_to(folder) for folder in allowed):
        what = "must not be a link out of the folders of recordings"
        raise AudioError("not_file", what, cure="copy the recording into its folder", name=name)
    return read_clip(path, channel=channel, span=span)


def split_name(name: str) -> tuple[str, Span | None]:
    """Split a clip's name in the file's and the stretch of it that it names; None for the whole file."""
    match = _STRETCH.search(name)
    return (name[: match.start()], (float(match[1]), float(match[2]))) if match else (name, None)


def graph_key(subject: str) -> str:
    """Key of a graph that a network scores with; `subject` is all that it depends on."""
    return f"graph\n{_digest_tag('graphs')}\n{subject}"


def graph_entries() -> list[Path]:
    """Graphs of all detectors, which hold what these have learned."""
    return _whatever_the_cap().tagged(_digest_tag("graphs"))


def clip_entries(files: Iterable[Path], digests: Iterable[str] = ()) -> tuple[list[Path], frozenset[str]]:
    """All that the cache keeps of these recordings.

    Parameters
    ----------
    files
        Recordings, by absolute paths; they need not exist any more.
    digests
        Further clips by their digests; the first 16 hex digits are enough.

    Returns
    -------
    entries
        Files of the cache.
    digests
        First 16 hex digits of the clips' digests: those given, and those that the cache knew the recordings by.
    """
    store = _whatever_the_cap()
    outcomes = [path for file in files for path in store.tagged(_tag_of_file(os.fspath(file)))]
    known = frozenset({*(digest[:_DIGEST_PREFIX] for digest in digests), *_outcome_digests(outcomes)})
    return [*outcomes, *(path for digest in known for path in store.tagged(_tag(digest)))], known


def _outcome_digests(entries: Sequence[Path]) -> Iterator[str]:
    for path in entries:
        with contextlib.suppress(OSError):
            outcome = _parse_outcome(path.read_bytes()[:-_SEAL_BYTES])
            if outcome is not None:
                yield outcome.digest[:_DIGEST_PREFIX]


def _whatever_the_cap() -> FeatureCache:
    """The cache in the data folder, even where nothing is to be kept in it any more."""
    return FeatureCache(cache_folder(), DEFAULT_MB * 2**20)


def _tag(digest: str) -> str:
    """Tag of what belongs to a clip of this digest."""
    return _digest_tag(digest[:_DIGEST_PREFIX])


def _tag_of_file(path: str) -> str:
    return _digest_tag(f"file {path}")


def _digest_tag(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_TAG_LENGTH]


def _samples_key(digest: str) -> str:
    """Of a stretch's samples, which lie far into a recording and would cost reading all before them again."""
    return f"samples\n{_tag(digest)}\n{digest}"


def _kept_samples(store: FeatureCache, digest: str) -> Float32Array | None:
    """Samples of a stretch whose digest is theirs; None where they are not kept."""
    body = store.read(_samples_key(digest))
    if body is None or hashlib.sha256(body).hexdigest() != digest:
        return None
    return np.frombuffer(body, dtype=np.float32)


def _read(path: str | os.PathLike[str], channel: int | None, span: Span | None) -> Waveform:
    return read_waveform(path, channel=channel) if span is None else read_stretch(path, span, channel=channel)


def opened() -> FeatureCache | None:
    """Return the cache in the data folder, capped at `ASD_CACHE_MB` (default 4096); None where that is 0.

    Raises
    ------
    UsageError
        `ASD_CACHE_MB` is not a whole number from 0.
    """
    megabytes = os.environ.get("ASD_CACHE_MB", "").strip() or str(DEFAULT_MB)
    if not (megabytes.isascii() and megabytes.isdigit()):
        raise UsageError(f"ASD_CACHE_MB must be a whole number of megabytes, 0 for no cache; got {megabytes!r}")
    if int(megabytes) == 0:
        return None
    return _opened_at(os.fspath(cache_folder()), int(megabytes) * 2**20)


def cache_folder() -> Path:
    """Where the entries are kept."""
    return data_dir() / FOLDER_NAME


@cache
def _opened_at(folder: str, max_bytes: int) -> FeatureCache:
    return FeatureCache(Path(folder), max_bytes)


@dataclass(frozen=True)
class _Entry:
    """A file in the cache."""

    path: Path
    n_bytes: int
    used_ns: int


class FeatureCache:
    """Bytes by key in a folder of bounded size; the least recently used go first.

    One writing process keeps the cap exactly; several at once may each exceed it by a twentieth until their next
    scan.

    Parameters
    ----------
    folder
        Made when first written to.
    max_bytes
        Largest size on disk, counted in blocks of 4096 bytes.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._until_scan = 0

    def read(self, key: str) -> bytes | None:
        """Return an entry's body, or None where there is none; a damaged one is removed."""
        path = self._place(key)
        try:
            content = read_regular(path, at_most=self.max_bytes)
        except FileError:
            return None
        body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
        if _seal(key, body) != seal:
            self.forget(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return body

    def read_as(self, key: str, parse: Callable[[bytes], Parsed | None]) -> Parsed | None:
        """Return what `parse` makes of an entry's body; one that it cannot understand (None) is removed."""
        body = self.read(key)
        parsed = None if body is None else parse(body)
        if body is not None and parsed is None:
            self.forget(key)
        return parsed

    def write(self, key: str, body: bytes) -> None:
        """Keep an entry, all or nothing; what cannot be written is not kept."""
        n_bytes = _on_disk(len(body) + _SEAL_BYTES)
        if n_bytes > self.max_bytes:
            return
        self._make_room(n_bytes)
        path = self._place(key)
        staged = path.with_name(f"{_PARTIAL}{os.getpid()}-{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(body + _seal(key, body))
            staged.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                staged.unlink()

    def forget(self, key: str) -> None:
        """Remove an entry where there is one."""
        _remove(self._place(key))

    def n_bytes(self) -> int:
        """Size on disk."""
        return sum(entry.n_bytes for entry in self._entries())

    def _place(self, key: str) -> Path:
        digest, tag = _key_digest(key).hex(), _TAG.match(key)
        name = tag[1] + digest[_TAG_LENGTH:] if tag else digest
        return self.folder / name[:2] / name[2:]

    def tagged(self, tag: str) -> list[Path]:
        """Entries whose keys have this tag."""
        return list((self.folder / tag[:2]).glob(f"{tag[2:]}*"))

    def _make_room(self, n_bytes: int) -> None:
        """Scan the folder after each twentieth of the cap, and where the cap would be exceeded."""
        self._until_scan -= n_bytes
        if self._until_scan >= 0:
            return
        entries = sorted(self._entries(), key=lambda entry: entry.used_ns)
        total = n_bytes + sum(entry.n_bytes for entry in entries)
        if total > self.max_bytes:
            for entry in entries:
                if total <= max(n_bytes, KEPT_SHARE * self.max_bytes):
                    break
                _remove(entry.path)
                total -= entry.n_bytes
        self._until_scan = min(self.max_bytes // _SCAN_SHARE, self.max_bytes - total)

    def _entries(self) -> Iterator[_Entry]:
        """List what is kept; pieces that a killed process left are removed after an hour."""
        for path in self.folder.glob("*/*"):
            try:
                status = path.lstat()
            except OSError:  # another process removed it
                continue
            if path.name.startswith(_PARTIAL):
                if abs(time.time() - status.st_mtime) > _STALE_S:
                    _remove(path)
                continue
            yield _Entry(path, _on_disk(status.st_size), _used_ns(status))


@dataclass(frozen=True)
class _Outcome:
    """What the reader found in a file that it accepted."""

    digest: str
    n_samples: int
    warnings: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Encode as JSON; `_parse_outcome` reads it."""
        table = {"digest": self.digest, "n_samples": self.n_samples, "warnings": self.warnings}
        return json.dumps(table).encode("ascii")


def _parse_outcome(body: bytes) -> _Outcome | None:
    try:
        table = parse_json(body)
    except ValueError:
        return None
    if not isinstance(table, dict) or set(table) != {"digest", "n_samples", "warnings"}:
        return None
    digest, n_samples, warnings = table["digest"], table["n_samples"], table["warnings"]
    if not isinstance(digest, str) or type(n_samples) is not int or n_samples < 0:
        return None
    if not isinstance(warnings, list) or not all(isinstance(text, str) for text in warnings):
        return None
    return _Outcome(digest, n_samples, tuple(warnings))


def _parse_array(body: bytes) -> npt.NDArray[np.floating] | None:
    """Read a C-contiguous array of floats as `numpy.save` writes it; None for any other bytes."""
    stream = io.BytesIO(body)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        flat = np.frombuffer(body, dtype, offset=stream.tell())
    except ValueError:
        return None
    if is_fortran or dtype.kind != "f" or min(shape, default=0) < 0 or math.prod(shape) != flat.size:
        return None
    return flat.reshape(shape).copy()


class KnownClip(Waveform):
    """A recording whose digest and length are known; its samples are read when first needed."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        channel: int | None,
        outcome: _Outcome,
        store: FeatureCache,
        key: str,
        *,
        span: Span | None = None,
        samples: Float32Array | None = None,
    ) -> None:
        # Around the frozen dataclass, whose own constructor requires the samples.
        vars(self).update(sr=SR, digest=outcome.digest, warnings=outcome.warnings)
        vars(self).update(
            _path=path, _channel=channel, _n_samples=outcome.n_samples, _store=store, _key=key, _span=span
        )
        if samples is not None:
            vars(self).update(samples=samples)

    def __repr__(self) -> str:
        """Name the file; the samples are not read for it."""
        return f"KnownClip({os.fspath(self._path)!r}, digest={self.digest!r})"

    _path: str | os.PathLike[str]
    _channel: int | None
    _n_samples: int
    _store: FeatureCache
    _key: str
    _span: Span | None

    @cached_property
    def samples(self) -> Float32Array:
        """As `Waveform.samples`.

        Raises
        ------
        AudioError
            The file is gone, or its content is not the one that was known.
        """
        if self._span is not None and (kept := _kept_samples(self._store, self.digest)) is not None:
            return kept
        waveform = _read(self._path, self._channel, self._span)
        if waveform.digest != self.digest:
            self._store.forget(self._key)
            what = "the file changed while it was in use"
            raise AudioError("open", what, cure="start again", name=os.fspath(self._path))
        return waveform.samples

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self._n_samples

    def _derived(self, name: str, compute: Callable[[], DerivedArray]) -> DerivedArray:
        """Take features from the cache, or compute and keep them; C-contiguous in both cases."""
        key = "\n".join(("array", _tag(self.digest), _runtime(), self.digest, str(self._channel), name))
        known = self._store.read_as(key, _parse_array)
        if known is not None:
            return cast(DerivedArray, known)
        array = np.ascontiguousarray(compute())
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        self._store.write(key, buffer.getvalue())
        return cast(DerivedArray, array)


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the status of a regular file; None leaves everything else to the reader."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _file_key(path: str | os.PathLike[str], status: os.stat_result, channel: int | None, span: Span | None) -> str:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    facts = (status.st_dev, status.st_ino, status.st_size, *times, channel, *(span or ()))
    place = os.fspath(Path(path).absolute())
    return "\n".join(("file", _tag_of_file(place), _runtime(), place, *map(str, facts)))


def _is_settled(status: os.stat_result) -> bool:
    return time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S


@cache
def _runtime() -> str:
    """Name what else the figures depend on: the reader, the packages and the kind of processor."""
    formats = "strict" if only_lossless() else "all formats"  # what strict refuses is not answered for, either
    found = [f"cache {FORMAT}, reader {READER_VERSION}", formats, platform.machine()]
    return ", ".join([*found, *(f"{package} {version}" for package, version in installed(_PACKAGES).items())])


def _key_digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _seal(key: str, body: bytes) -> bytes:
    """Vouch for a body under its own key: an entry in another's place is invalid."""
    return hashlib.sha256(_key_digest(key) + body).digest()


def _used_ns(status: os.stat_result) -> int:
    """When an entry was last used; 0 where the clock was set back since, or it would outlive all entries in use."""
    return 0 if status.st_mtime > time.time() + _STALE_S else status.st_mtime_ns


def _on_disk(n_bytes: int) -> int:
    return -(-n_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
