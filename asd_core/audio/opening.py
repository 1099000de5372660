"""Opening untrusted files: regular files only, without following links and without blocking."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from asd_core.audio import refusals
from asd_core.errors import AudioError

MAX_RECORDING_BYTES = 8 * 2**30
"""Of a long recording that is read in segments."""

# Windows has no O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC, but needs O_BINARY.
_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _OPEN_FLAGS |= getattr(os, _flag, 0)


@dataclass(frozen=True)
class FileContent:
    """A regular file whose bytes are read on demand: the walk over the headers of a long recording reads little."""

    descriptor: int
    n_bytes: int

    def __len__(self) -> int:
        return self.n_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self.n_bytes)
        os.lseek(self.descriptor, start, os.SEEK_SET)
        return os.read(self.descriptor, max(0, stop - start))

    @contextlib.contextmanager
    def file(self) -> Iterator[IO[bytes]]:
        """The whole file from its start, as a file object that leaves the descriptor open."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        with os.fdopen(self.descriptor, "rb", closefd=False) as file:
            yield file


@contextlib.contextmanager
def naming_refusals(name: str) -> Iterator[None]:
    """Put the file's name before a refusal's text, in ASCII: names may hold line breaks or invalid UTF-8."""
    try:
        yield
    except AudioError as refusal:
        raise refusal.named(name) from refusal


def too_big(n_bytes: int, max_bytes: int) -> AudioError:
    """Return the refusal of a file that is larger than allowed."""
    return refusals.too_big(n_bytes, max_bytes, max_recording_bytes=MAX_RECORDING_BYTES)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """Open a file without following links or waiting for a writer; an error while it is open is a refusal too."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        raise refusals.cannot_open(error) from error
    try:
        yield descriptor
    except OSError as error:
        raise refusals.cannot_open(error) from error
    finally:
        os.close(descriptor)


def regular_size(descriptor: int, max_bytes: int) -> int:
    """Return the size in bytes of an open regular file; anything else, or a larger file, is refused."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise refusals.no_regular_file("a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device")
    if status.st_size > max_bytes:
        raise too_big(status.st_size, max_bytes)
    return status.st_size


def read_regular(descriptor: int, max_bytes: int) -> bytes:
    """Read a whole regular file, even one that is still growing, up to `max_bytes`."""
    n_bytes = regular_size(descriptor, max_bytes)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(n_bytes + 1)
        if len(content) > n_bytes:  # requesting the maximum at once would reserve it for every small file
            content += file.read(max_bytes + 1 - len(content))
    if len(content) > max_bytes:  # it grew while it was read
        raise too_big(len(content), max_bytes)
    return content
