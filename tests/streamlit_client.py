"""A browser's half of Streamlit's protocol without a browser: sessions by the dozen that upload files."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

XSRF = "_streamlit_xsrf"
TIMEOUT_S = 120.0
FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


@dataclass
class Run:
    """What one run of a page sent.

    Parameters
    ----------
    raw
        All messages, as they came.
    elements
        What the page drew, in order.
    """

    raw: bytes = b""
    elements: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """All Markdown, captions and plain text."""
        kinds = {"markdown": "body", "text": "body", "alert": "body", "heading": "body"}
        bodies = [(element.WhichOneof("type"), element) for element in self.elements]
        return "\n".join(getattr(getattr(each, kind), kinds[kind]) for kind, each in bodies if kind in kinds)

    @property
    def faults(self) -> list[str]:
        """Exceptions and red boxes."""
        found = [str(each.exception) for each in self.elements if each.WhichOneof("type") == "exception"]
        alerts = [each.alert for each in self.elements if each.WhichOneof("type") == "alert"]
        return found + [alert.body for alert in alerts if alert.format == alert.ERROR]

    def widget(self, kind: str):
        """The only widget of a kind, such as `file_uploader`."""
        (found,) = [each for each in self.elements if each.WhichOneof("type") == kind]
        return getattr(found, kind)


class Session:
    """One visitor of a page, as its browser would talk to the server."""

    def __init__(self, url: str, page: str, query: str, socket: ClientConnection, xsrf: str) -> None:
        self.url, self.page, self.query, self.socket, self.xsrf = url, page, query, socket, xsrf
        self.session_id, self.widgets = "", {}

    def run(self) -> Run:
        """Run the page with the widgets as they are, and wait until it is drawn."""
        asked = BackMsg()
        asked.rerun_script.query_string, asked.rerun_script.page_name = self.query, self.page
        asked.rerun_script.widget_states.widgets.extend(self.widgets.values())
        began = time.monotonic()
        self.socket.send(asked.SerializeToString())
        run = Run()
        while True:
            raw, message = self._receive()
            run.raw += raw
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session_id = message.new_session.initialize.session_id
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                run.elements.append(message.delta.new_element)
            elif kind == "script_finished" and message.script_finished in FINISHED:
                run.seconds = time.monotonic() - began
                return run

    def upload(self, uploader_id: str, name: str, content: bytes) -> None:
        """Send a file and put it into an uploader, in place of what it held."""
        asked = BackMsg()
        asked.file_urls_request.session_id = self.session_id
        asked.file_urls_request.file_names.append(name)
        asked.file_urls_request.request_id = name
        self.socket.send(asked.SerializeToString())
        while (message := self._receive()[1]).WhichOneof("type") != "file_urls_response":
            pass
        urls = message.file_urls_response.file_urls[0]
        self._put(urls.upload_url, name, content)
        info = UploadedFileInfo(name=name, size=len(content), file_id=urls.file_id, file_urls=urls)
        states = BackMsg().rerun_script.widget_states.widgets
        state = states.add(id=uploader_id)
        state.file_uploader_state_value.uploaded_file_info.append(info)
        self.widgets[uploader_id] = state

    def _put(self, path: str, name: str, content: bytes) -> None:
        head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        body = head.encode() + b"Content-Type: audio/wav\r\n\r\n" + content + b"\r\n--edge--\r\n"
        headers = {
            "Content-Type": "multipart/form-data; boundary=edge",
            "Cookie": f"{XSRF}={self.xsrf}",
            "X-Xsrftoken": self.xsrf,
        }
        request = urllib.request.Request(self.url + path, body, headers, method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            assert answer.status == 204

    def _receive(self) -> tuple[bytes, ForwardMsg]:
        raw = self.socket.recv(timeout=TIMEOUT_S)
        message = ForwardMsg()
        message.ParseFromString(raw)
        return raw, message


@contextmanager
def open_session(url: str, page: str, query: str = "") -> Iterator[Session]:
    """Connect as a browser does: with the server's token against forged requests."""
    with urllib.request.urlopen(f"{url}/_stcore/health") as answer:  # noqa: S310 - our own server
        xsrf = SimpleCookie(answer.headers["Set-Cookie"])[XSRF].value
    stream = url.replace("http", "ws", 1) + "/_stcore/stream"
    headers = {"Cookie": f"{XSRF}={xsrf}"}
    with connect(
        stream, subprotocols=["streamlit", xsrf], additional_headers=headers, max_size=None, open_timeout=TIMEOUT_S
    ) as socket:
        yield Session(url, page, query, socket, xsrf)
