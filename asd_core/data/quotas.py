"""Files as a browser sends them, and how many of them a session may send for a purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from asd_core.audio.reading import MAX_UPLOAD_BYTES
from asd_core.errors import UsageError
from asd_core.formats import counted, display_name

NOT_SAID = ""
"""Label of an upload whose own names say none."""
DIGEST_PREFIX = 32
"""Hex digits of a content's SHA-256 that its stored name and the quotas keep."""


class Packed(Protocol):
    """Content that is read when it is needed, such as a recording in an archive."""

    @property
    def n_bytes(self) -> int:
        """Its size."""

    @property
    def digest(self) -> str:
        """SHA-256 of it, in hexadecimal."""

    def read(self) -> bytes:
        """All of it."""


@dataclass(frozen=True)
class Upload:
    """One file as it came: the name is text, never a path.

    Parameters
    ----------
    label
        What its own names say of it: `normal`, a kind of anomaly, or `NOT_SAID`.
    """

    name: str
    content: bytes | Packed
    label: str = NOT_SAID

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.n_bytes

    @cached_property
    def digest(self) -> str:
        """First hex digits of the SHA-256 of the content."""
        whole = hashlib.sha256(self.content).hexdigest() if isinstance(self.content, bytes) else self.content.digest
        return whole[:DIGEST_PREFIX]

    def read(self) -> bytes:
        """Return the whole content."""
        return self.content if isinstance(self.content, bytes) else self.content.read()


@dataclass(frozen=True)
class Limits:
    """What one session may upload for a purpose; a single file may have `MAX_UPLOAD_BYTES`.

    Parameters
    ----------
    verb
        What is done with the files: `store`, `check`.
    """

    verb: str
    files: int
    bytes: int


STORING = Limits("store", 500, 2**30)
"""An hour and a half of clips of 10 s: more than detectors gain from. The disk is checked besides."""
CHECKING = Limits("check", 50, 200 * 2**20)
"""What is checked stays in the server's memory while its page is open."""


@dataclass(frozen=True)
class Quota:
    """What a session has uploaded so far for one purpose.

    Parameters
    ----------
    seen
        `Upload.digest` of each file that has been counted: it is not counted again.
    """

    files: int = 0
    bytes: int = 0
    limits: Limits = STORING
    seen: frozenset[str] = frozenset()

    @property
    def left(self) -> str:
        """What is left of it, in words."""
        n_files, n_bytes = max(0, self.limits.files - self.files), max(0, self.limits.bytes - self.bytes)
        return f"{counted(n_files, 'file')} and {_mb(n_bytes)}"

    def with_uploads(self, uploads: Sequence[Upload], stored: Collection[str] = ()) -> Quota:
        """Add files before any of them is decoded; those that came before, or are stored already, cost nothing.

        Parameters
        ----------
        stored
            `Upload.digest` of what is stored where they go.

        Raises
        ------
        UsageError
            One is too large, or they are too many or too large together.
        """
        largest = max(uploads, key=lambda upload: upload.n_bytes, default=None)
        if largest is not None and largest.n_bytes > MAX_UPLOAD_BYTES:
            raise UsageError(
                f"{display_name(largest.name)}: cut the file into shorter recordings, or let whoever runs this program "
                "put it into a folder on the server, then choose 'Use a server folder' on the Data page: an uploaded "
                f"file may have at most {MAX_UPLOAD_BYTES >> 20} MB, this one has {largest.n_bytes / 2**20:.1f} MB"
            )
        new = {upload.digest: upload.n_bytes for upload in uploads}
        new = {digest: size for digest, size in new.items() if digest not in self.seen and digest not in stored}
        longer = replace(
            self, files=self.files + len(new), bytes=self.bytes + sum(new.values()), seen=self.seen | new.keys()
        )
        if longer.files > self.limits.files or longer.bytes > self.limits.bytes:
            raise UsageError(self._refusal(len(new), sum(new.values())))
        return longer

    def _refusal(self, n_files: int, n_bytes: int) -> str:
        return (
            "send fewer files, reload the page for a new session, choose 'Use a server folder' on the Data page, or "
            "work from the shell (python -m asd_core train, score): a session may "
            f"{self.limits.verb} {self.limits.files} files and {_mb(self.limits.bytes)}, {self.left} are left, and "
            f"this would take {counted(n_files, 'file')} and {_mb(n_bytes)}"
        )


def _mb(n_bytes: int) -> str:
    if 0 < n_bytes < 2**20:
        return "less than 1 MB"
    return f"{n_bytes / 2**20:.0f} MB" if n_bytes < 2**30 else f"{n_bytes / 2**30:.3g} GB"
