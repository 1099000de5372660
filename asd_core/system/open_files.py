"""Whether a file is open for writing, and whether the system knows of all who may write below a folder.

Linux grants a read lease (fcntl, F_SETLEASE) only on a file that nobody has open for writing. It is asked for and
given back at once: a program that opens the file in these microseconds waits for them and no longer.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_ELSEWHERE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|virtiofs|ceph|afs|coda|ncpfs|glusterfs|lustre|gpfs|ocfs2|gfs2|beegfs|orangefs"
    r"|davfs2?|vboxsf|prl_fs|vmhgfs|drvfs|fuse\..+|fuse"
)
"""File systems that other computers, or programs of which the kernel knows nothing, may write to."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    _FLAGS |= getattr(os, _flag, 0)


def is_open_for_writing(path: str | os.PathLike[str]) -> bool | None:
    """Whether any process of this computer has a file open for writing; None where the system does not tell.

    It does not tell outside Linux, of files of other users (unless as root), and where the file cannot be opened. On
    file systems that others write to, the answer is about this computer alone: see `is_shared`.
    """
    if sys.platform != "linux":
        return None
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        return _refuses_lease(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _refuses_lease(descriptor: int) -> bool | None:
    if sys.platform != "linux":
        return None
    import fcntl

    try:
        # Who opens the file for writing breaks the lease, which is told by a signal; SIGIO, the default, would end us.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) else None
    return False


def is_shared(folder: str | os.PathLike[str], *, mounts: Path = _MOUNTS) -> bool:
    """Whether the folder, or one mounted below it, is on a file system whose changes the kernel may not see.

    Notices of changes, and what is open for writing, are then worth nothing. Where mounts cannot be listed, it is
    taken as shared.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return True
    place = os.path.realpath(folder)
    kinds: dict[str, str] = {}
    for line in lines:
        _, mounted, kind, *_ = line.split(" ")
        kinds[_OCTAL.sub(lambda found: chr(int(found[1], 8)), mounted)] = kind  # the last one hides those before
    own = max((each for each in kinds if _is_below(place, each)), key=len, default="")
    relevant = [own, *(each for each in kinds if _is_below(each, place))]
    return any(_ELSEWHERE.fullmatch(kinds.get(each, "")) for each in relevant)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
