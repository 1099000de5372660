"""Telling a supervisor such as systemd that this program is ready, lives, or ends (sd_notify(3)), without a package."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

READY: Final = "READY=1"
ALIVE: Final = "WATCHDOG=1"
STOPPING: Final = "STOPPING=1"
VARIABLE: Final = "NOTIFY_SOCKET"


def notify_supervisor(text: str) -> bool:
    """Send lines such as `READY=1` to the supervisor that started this process; False where there is none.

    A supervisor that does not listen is no reason to stop working: it will find out by itself.
    """
    place = os.environ.get(VARIABLE, "")
    if not place.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    address = f"\0{place[1:]}" if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(text.encode(), address)
        return True
    return False
