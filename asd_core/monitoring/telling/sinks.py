"""Where messages go: webhooks, MQTT brokers, mail and chat services, each by one Apprise URL.

A URL holds secrets: it is given by the operator alone, never shown or logged, and known by its digest. Each message
goes over a connection of its own, so that none is held that has died in the meantime.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from asd_core.errors import FileError, UsageError
from asd_core.monitoring.rows import one_line
from asd_core.monitoring.telling.messages import Attachment, Message
from asd_core.system.extras import require
from asd_core.system.files import read_small_text

if TYPE_CHECKING:
    from apprise import NotifyBase

VARIABLE = "ASD_NOTIFY"
"""Environment variable with URLs, separated by blanks or line breaks."""
MAX_URL_FILE_BYTES = 64 * 1024
MAX_ERROR = 200
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_REFUSED = "not accepted, and no reason was given"


class Sink(Protocol):
    """Somebody who is told."""

    @property
    def title(self) -> str:
        """What it is, without secrets."""

    @property
    def digest(self) -> str:
        """Short name of its URL."""

    def send(self, message: Message, attachment: Attachment | None = None) -> str:
        """Send a message; returns why it was not accepted, and nothing where it was."""


class AppriseSink:
    """A sink of Apprise's.

    Parameters
    ----------
    url
        In Apprise's form.

    Raises
    ------
    UsageError
        Apprise does not know it; the text names its scheme alone.
    MissingExtraError
        Apprise, or what MQTT needs, is not installed.
    """

    def __init__(self, url: str) -> None:
        scheme = _scheme(url)
        modules = ["apprise"] + (["paho"] if scheme in ("mqtt", "mqtts") else [])
        require("watch", *modules, task=f"telling somebody by {scheme}://" if scheme else "telling somebody")
        self._url, self._secrets = url, _secrets(url)
        plugin = self._plugin()
        if plugin is None:
            named = f"{scheme}://..." if scheme else "that has no scheme"
            raise UsageError(f"Apprise knows no address {named}: https://appriseit.com/services/ lists its services")
        self._title, self._digest = _title(plugin, scheme), _digest(url)

    @property
    def title(self) -> str:
        """Scheme and host, or where the host's place is taken by a secret, the service."""
        return self._title

    @property
    def digest(self) -> str:
        """Short name of its URL."""
        return self._digest

    def send(self, message: Message, attachment: Attachment | None = None) -> str:
        """Send a message; returns why it was not accepted, and nothing where it was."""
        import apprise

        plugin = self._plugin()
        if plugin is None:
            return "Apprise knows it no longer"
        _add_events(plugin, message)
        sender = apprise.Apprise(asset=plugin.asset)
        sender.add(plugin)
        result = sender.notify(
            body=message.body,
            title=message.title,
            notify_type=apprise.NotifyType.FAILURE if message.is_urgent else apprise.NotifyType.INFO,
            body_format=apprise.NotifyFormat.TEXT,
            attach=_attached(attachment) if attachment is not None and plugin.attachment_support else None,
        )
        if result:
            return ""
        reasons = [str(entry.message) for entry in result.logs()]
        return _masked(reasons[-1], self._secrets) if reasons else _REFUSED

    def _plugin(self) -> NotifyBase | None:
        """Make Apprise's object anew; it sends in the thread that asks it to."""
        import apprise

        # Apprise would wait for its service in threads that all services share, and that outlive the watch.
        asset = apprise.AppriseAsset(app_id="Hark", app_desc="anomalous sound", async_mode=False, service_timeout=0)
        plugin = apprise.Apprise.instantiate(self._url, asset=asset)
        if plugin is None:
            return None
        asked = urlsplit(self._url).query.lower()
        if "overflow=" not in asked:
            plugin.overflow_mode = apprise.OverflowMode.SPLIT
        if getattr(plugin, "qos", None) == 0 and "qos=" not in asked:
            vars(plugin)["qos"] = 1  # 0 is at most once: a broker that is just away would lose the message
        return plugin


def open_sinks(urls: Iterable[str], open_sink: Callable[[str], Sink] = AppriseSink) -> list[Sink]:
    """Open a sink per URL, each once; raises what `AppriseSink` does."""
    return [open_sink(url) for url in dict.fromkeys(urls)]


def titles(sinks: Iterable[Sink]) -> list[str]:
    """Titles of sinks, the second of the same title numbered: `mqtt://broker (2)`."""
    seen: dict[str, int] = {}
    named = []
    for sink in sinks:
        seen[sink.title] = n = seen.get(sink.title, 0) + 1
        named.append(sink.title if n == 1 else f"{sink.title} ({n})")
    return named


def notify_urls(arguments: Iterable[str], file: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Collect URLs from the command line, a file with one per line (# begins a comment), and the environment.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    lines = [] if file is None else read_small_text(file, at_most=MAX_URL_FILE_BYTES).splitlines()
    in_file = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(dict.fromkeys([*arguments, *in_file, *environ.get(VARIABLE, "").split()]))


def warning_about(file: Path | None) -> str:
    """Warn of a file of URLs that other users can read; empty where they cannot, or the system cannot tell."""
    try:
        mode = 0 if file is None else file.stat().st_mode
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}") from error
    if not mode & (stat.S_IRGRP | stat.S_IROTH) or not hasattr(stat, "S_IRGRP"):
        return ""
    return f"other users can read the secrets in {file}: chmod 600 it"


def _scheme(url: str) -> str:
    found = _SCHEME.match(url.strip())
    return found[1].lower() if found else ""


def _digest(url: str) -> str:
    """Name a URL by a digest that is slow to make, so that no password can be guessed by it."""
    return hashlib.scrypt(url.encode("utf-8", "surrogateescape"), salt=b"sink", n=2**14, r=8, p=1, dklen=8).hex()


def _secrets(url: str) -> list[str]:
    """What no text may show of a URL: all but its scheme and its host, the longest first."""
    rest = url.partition("://")[2]
    parts = {part for text in (rest, unquote(rest)) for part in re.split(r"[/:@?&=+,\s]+", text) if len(part) > 3}
    return sorted(parts | {rest}, key=len, reverse=True)


def _title(plugin: NotifyBase, scheme: str) -> str:
    """Name a sink by its host only where the service never has a token in the host's place."""
    templates: Iterable[str] = plugin.templates
    places = [template.split("://", 1)[-1].rsplit("@", 1)[-1] for template in templates]
    if plugin.host and all(place.startswith("{host}") for place in places):
        return one_line(f"{scheme}://{plugin.host}" + (f":{plugin.port}" if plugin.port else ""))
    return one_line(f"{plugin.service_name} ({scheme}://)")


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    text = one_line(text)
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 1]}…"


def _add_events(plugin: NotifyBase, message: Message) -> None:
    """Give a JSON webhook the events as they are in the log, beside the words."""
    extras: dict[str, Any] | None = getattr(plugin, "payload_extras", None)
    if extras is not None and "json" in str(plugin.protocol):
        own = {"events": [event.to_json() for event in message.events], "repeated": message.is_repeated}
        vars(plugin)["payload_extras"] = {**own, **extras}


def _attached(attachment: Attachment) -> Any:
    from apprise.attachment.memory import AttachMemory

    mimetype, _ = mimetypes.guess_type(attachment.name)
    memory: Any = AttachMemory
    return memory(content=attachment.content, name=attachment.name, mimetype=mimetype)
