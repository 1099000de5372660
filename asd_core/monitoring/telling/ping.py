"""A dead man's switch: while a watch lives, somebody outside is told so every minute, and notices when it stops.

The address is of a service such as healthchecks.io, or of the operator's own, which raises an alarm when it has not
been asked for some minutes: the process, the computer or its network is then dead, and nobody else could tell.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
import urllib.request
from types import TracebackType
from typing import Final, Self

from asd_core.errors import UsageError
from asd_core.system.logs import event

PING_S: Final = 60.0
TIMEOUT_S: Final = 10.0
HANGS_AFTER_S: Final = 300.0
"""A watch that has not gone round for so long no longer lives; a long recording takes less."""


class Ping:
    """Asks for an address at once and every minute, by a thread of its own, as long as `alive` is called.

    Parameters
    ----------
    url
        Address by http or https; it may be a secret and is never shown.
    every_s, hangs_after_s
        Seconds between two requests, and after the last call of `alive` until there are no more of them.
    """

    def __init__(self, url: str, *, every_s: float = PING_S, hangs_after_s: float = HANGS_AFTER_S) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"a heartbeat needs an address by http or https, got one by {parts.scheme[:20]!a}")
        self._url, self._every_s, self._hangs_after_s = url, every_s, hangs_after_s
        self._alive_at, self._stop = time.monotonic(), threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._ping_on, name="ping", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more; a request that is on its way is not waited for."""
        self._stop.set()

    def alive(self) -> None:
        """Say that the watch goes round."""
        self._alive_at = time.monotonic()

    def _ping_on(self) -> None:
        while True:
            if time.monotonic() - self._alive_at <= self._hangs_after_s:
                self._ask()
            if self._stop.wait(self._every_s):
                return

    def _ask(self) -> None:
        try:
            with urllib.request.urlopen(self._url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme is checked
                answer.read(1024)
        except (OSError, http.client.HTTPException, ValueError) as error:  # the service, not the watch, is out of order
            if not self._is_failing:
                event("heartbeat_unheard", reason=type(error).__name__)
            self._is_failing = True
        else:
            self._is_failing = False
