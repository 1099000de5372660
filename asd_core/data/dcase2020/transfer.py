"""Download of one published file to its `.part`: resumed after any cut, of one fixed size, from allowed hosts only."""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from asd_core.data.dcase2020.published import RemoteFile
from asd_core.data.dcase2020.steps import Step, check_room, error_text, stop_if
from asd_core.errors import DownloadError

_MAX_REDIRECTS = 5
_MAX_ATTEMPTS = 500
_MAX_BARREN = 5  # consecutive attempts that bring nothing new
_CONNECT_S, _TIMEOUT_S, _BACKOFF_S, _MAX_PAUSE_S = 10.0, 30.0, 0.5, 30.0
_SLOW_S, _SLOW_BYTES = 60.0, 65_536  # less than this in a minute counts as a cut
_CHUNK = 262_144


class _Cut(Exception):  # noqa: N818 - private: a network fault that another attempt may cure
    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Source:
    """Where files come from, where they go, and who is informed.

    Parameters
    ----------
    folder
        Each file goes to `<name>.part` in it.
    hosts, base_url, on_progress, should_stop
        As for `asd_core.data.dcase2020.download.download`.
    """

    folder: Path
    hosts: frozenset[str]
    base_url: str
    on_progress: Callable[[Step], None]
    should_stop: Callable[[], bool]

    def partial(self, remote: RemoteFile) -> Path:
        """Where the bytes go until they are verified."""
        return self.folder / f"{remote.name}.part"


class Transfer:
    """Download of one file to its `.part`; holds what later attempts need."""

    def __init__(self, source: Source, remote: RemoteFile, *, room: int, cap: int, end: str) -> None:
        self._source, self._remote, self._room, self._cap, self._end = source, remote, room, cap, end
        self._url = f"{source.base_url}/{remote.record}/files/{remote.name}?download=1"
        self._partial = source.partial(remote)
        self._total = remote.size

    def fetch(self) -> None:
        """Try until the file is whole, `_MAX_BARREN` attempts in a row bring nothing, or the server is refused."""
        if os.path.lexists(self._partial) and (self._partial.is_symlink() or not self._partial.is_file()):
            raise DownloadError(f"{self._partial} must be a file of its own, not a link or folder")
        best, barren, last = self._got(), 0, _Cut("no attempt was made")
        for _ in range(_MAX_ATTEMPTS):
            try:
                return self._attempt()
            except _Cut as cut:
                last = cut
            barren = 0 if self._got() > best else barren + 1
            best = max(best, self._got())
            if barren >= _MAX_BARREN:
                break
            self._pause(max(last.wait_s, _BACKOFF_S * 2**barren if barren else 0.0))
        raise DownloadError(self._by_hand(last)) from last

    def _got(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, _MAX_PAUSE_S)
        while (left := until - time.monotonic()) > 0:
            stop_if(self._source.should_stop)
            time.sleep(min(left, 0.2))

    def _by_hand(self, cut: _Cut) -> str:
        page = f"https://zenodo.org/records/{self._remote.record}"
        unzip = f"; or unzip it into {self._source.folder}{self._end}" if self._end else ""
        kept = f" The {self._got()} bytes fetched so far stay and are resumed." if self._got() else ""
        return (
            f"{self._remote.name} could not be fetched: {cut}. By hand: save it from {page} as "
            f"{self._source.folder / self._remote.name} and run the same command again{unzip}.{kept}"
        )

    def _attempt(self) -> None:
        stop_if(self._source.should_stop)
        offset = self._got()
        if self._total is not None and offset > self._total:
            self._partial.unlink()
            offset = 0
        if self._total is not None and offset == self._total:
            return
        with _response(self._url, self._source.hosts, offset) as response:
            start = self._start(response, offset)
            if start is None:
                return
            total = self._total or 0
            check_room(self._source.folder, total - start + self._room)
            self._source.on_progress(Step("download", self._remote.name, start, total))
            self._stream(response, start, total)

    def _start(self, response: http.client.HTTPResponse, offset: int) -> int | None:
        """Offset of the first byte that the server will send; None if the `.part` turns out to be whole."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self._remote.name}: the server re-encodes the file; refused")
        first, total = _announced(response)
        self._agree(total)
        if response.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if offset == self._total:
                return None
            self._partial.unlink(missing_ok=True)
            raise _Cut("the server refused to resume")
        if first not in (0, offset):
            raise DownloadError(
                f"{self._remote.name}: asked for byte {offset} on, the server sends from {first}; refused"
            )
        return first

    def _agree(self, announced: int | None) -> None:
        """Hold the server to one size, the table's where there is one."""
        if self._total is None and announced is None:
            raise DownloadError(f"{self._remote.name}: the server does not say how large it is; refused")
        if announced is not None and self._total not in (None, announced):
            raise DownloadError(
                f"{self._remote.name}: the server announces {announced} bytes instead of {self._total}; refused"
            )
        self._total = self._total if announced is None else announced
        if (self._total or 0) > self._cap:
            raise DownloadError(f"{self._remote.name}: {self._total} bytes exceed the limit of {self._cap}; refused")

    def _stream(self, response: http.client.HTTPResponse, start: int, total: int) -> None:
        done, pace = start, _Pace()
        with _opened_at(self._partial, start) as sink:
            while chunk := _read_some(response):
                done += len(chunk)
                if done > total:
                    sink.truncate(0)
                    raise DownloadError(f"{self._remote.name}: the server sends more than {total} bytes; refused")
                sink.write(chunk)
                self._source.on_progress(Step("download", self._remote.name, done, total))
                stop_if(self._source.should_stop)
                pace.note(len(chunk))
        if done < total:
            raise _Cut(f"the connection ended after {done} of {total} bytes")


class _Pace:
    """Treats a very slow server as a cut, so that a download cannot last for ever."""

    def __init__(self) -> None:
        self._since, self._n_bytes = time.monotonic(), 0

    def note(self, n_bytes: int) -> None:
        """Count a block in."""
        self._n_bytes += n_bytes
        if time.monotonic() - self._since < _SLOW_S:
            return
        if self._n_bytes < _SLOW_BYTES:
            raise _Cut(f"fewer than {_SLOW_BYTES} bytes came in {_SLOW_S:g} s")
        self._since, self._n_bytes = time.monotonic(), 0


def _opened_at(path: Path, start: int) -> io.BufferedWriter:
    """Open a file for writing from `start` on and drop the rest; links are not followed."""
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o644
    )
    sink = os.fdopen(descriptor, "wb")
    sink.truncate(start)
    sink.seek(start)
    return sink


def _read_some(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"the connection broke: {error_text(error)}") from error


def _announced(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte and size of the whole file according to the response headers.

    Raises
    ------
    DownloadError
        Numbers that make no sense.
    """
    if response.status == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length")
        if length is not None and re.fullmatch(r"[0-9]{1,15}", length) is None:
            raise DownloadError(f"the server announces a length of {length[:40]!a}; refused")
        return 0, None if length is None else int(length)
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:([0-9]{1,15})-[0-9]{1,15}|\*)/([0-9]{1,15})", text)
    if match is None:
        raise DownloadError(f"the server answers a resumption with Content-Range {text[:40]!a}; refused")
    return int(match[1] or 0), int(match[2])


@contextlib.contextmanager
def _response(url: str, hosts: Collection[str], offset: int) -> Iterator[http.client.HTTPResponse]:
    """Request a file from a byte on, through at most `_MAX_REDIRECTS` redirects, each of which is checked."""
    with contextlib.ExitStack() as stack:
        for _ in range(_MAX_REDIRECTS + 1):
            response = _ask(stack, url, hosts, offset)
            if response.status not in (301, 302, 303, 307, 308):
                _check_status(response)
                yield response
                return
            url = _redirected(url, response.headers.get("Location", ""))
        raise DownloadError(f"more than {_MAX_REDIRECTS} redirects; refused")


def _redirected(url: str, location: str) -> str:
    if not (location.isascii() and location.isprintable()) or " " in location:
        raise DownloadError(f"redirect to {location[:120]!a}, which is no address; refused")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise DownloadError(f"redirect to {location[:120]!a}, which is no address; refused") from error


def _ask(stack: contextlib.ExitStack, url: str, hosts: Collection[str], offset: int) -> http.client.HTTPResponse:
    connection, path, named = _connection(url, hosts)
    stack.callback(connection.close)
    headers = {"Host": named, "User-Agent": "asd_core", "Accept-Encoding": "identity", "Connection": "close"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise DownloadError(f"{named} has no valid certificate ({error.verify_message}); refused") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"{named} is out of reach: {error_text(error)}") from error
    stack.callback(response.close)
    return response


def _check_status(response: http.client.HTTPResponse) -> None:
    if response.status in (200, 206, 416):
        return
    text = f"the server answers {response.status} {ascii(response.reason[:60])[1:-1]}"
    if response.status in (408, 425, 429) or response.status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _Cut(text, wait_s=float(wait) if re.fullmatch(r"[0-9]{1,6}", wait) else 0.0)
    raise DownloadError(f"{text}: the file is not to be had there")


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to the addresses that were checked, without another DNS look-up."""

    def __init__(self, host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._addresses, self._context = addresses, context

    def connect(self) -> None:
        """Take the first address that answers."""
        fault: OSError = OSError("no address")
        for address in self._addresses[:4]:
            try:
                plain = socket.create_connection((address, self.port), _CONNECT_S)
            except OSError as error:
                fault = error
                continue
            plain.settimeout(_TIMEOUT_S)
            name = self.host
            self.sock = plain if self._context is None else self._context.wrap_socket(plain, server_hostname=name)
            return
        raise fault


def _connection(url: str, hosts: Collection[str]) -> tuple[_PinnedConnection, str, str]:
    """Connection (not open yet), path and host of a URL that has passed all checks."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DownloadError(f"{url[:120]!a} is no address; refused") from error
    named = host if port is None else f"{host}:{port}"
    if parts.username is not None or named not in hosts:
        raise DownloadError(f"host {named[:80]!a} is not among the allowed ({', '.join(sorted(hosts))}); refused")
    plain = parts.scheme == "http" and _is_loopback(host)
    if parts.scheme != "https" and not plain:
        raise DownloadError(f"{url[:120]!a} is not https; refused")
    port = port or (80 if plain else 443)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = _public_addresses(host, port, hosts)
    return _PinnedConnection(host, port, addresses, None if plain else ssl.create_default_context()), path, named


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _public_addresses(host: str, port: int, hosts: Collection[str]) -> list[str]:
    """Look a host up; one address that is neither public nor itself named in `hosts` spoils all."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Cut(f"{host} is not found: {error_text(error)}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    excepted = {name.rsplit(":", 1)[0] for name in hosts}
    for address in addresses:
        if address not in excepted and not _is_public(address):
            raise DownloadError(f"{host} leads to {address}, which is no public address; refused")
    return addresses


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    return ip.is_global and not ip.is_multicast
