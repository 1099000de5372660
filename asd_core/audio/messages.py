"""What a server and its decoding child say to each other: a JSON header after its length, then bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

from asd_core.system.files import parse_json

MAX_HEADER_BYTES = 64 * 1024
MAX_WANTED_BYTES = 2**20
"""That the child may ask for at once."""
REFUSAL_PARTS = ("code", "what", "cure", "command", "name")
"""Of an `AudioError`, as an answer carries them."""
CLIP_PARTS = ("n_samples", "warnings")
OPENING_PARTS = ("sr", "n_frames", "n_channels", "warnings")
WANTED_PARTS = ("at", "n_bytes")
"""Of the child's request for bytes of the open file."""

_LENGTH = struct.Struct("<I")
_ANSWERS = tuple(map(set, (REFUSAL_PARTS, CLIP_PARTS, OPENING_PARTS, WANTED_PARTS)))


def write_message(pipe: IO[bytes], header: Mapping[str, Any], body: bytes = b"") -> None:
    """Write a header and what follows it."""
    text = json.dumps(header).encode("ascii")  # invalid UTF-8 in names is escaped
    pipe.write(_LENGTH.pack(len(text)) + text)
    pipe.write(body)
    pipe.flush()


def read_answer(pipe: IO[bytes]) -> dict[str, Any]:
    """Read the header of an answer; EOFError or ValueError where the child, which may say anything, makes no sense."""
    (n_bytes,) = _LENGTH.unpack(read_exactly(pipe, _LENGTH.size))
    if n_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"a header must have at most {MAX_HEADER_BYTES} bytes, got {n_bytes}")
    header = parse_json(read_exactly(pipe, n_bytes))
    if not isinstance(header, dict) or set(header) not in _ANSWERS:
        raise ValueError("a header must be a refusal, the sizes of a clip or a stream, or a request for bytes")
    return header


def read_question(pipe: IO[bytes]) -> dict[str, Any]:
    """Read the header of a question from the server."""
    (n_bytes,) = _LENGTH.unpack(read_exactly(pipe, _LENGTH.size))
    question: dict[str, Any] = parse_json(read_exactly(pipe, n_bytes))
    return question


def read_exactly(pipe: IO[bytes], n_bytes: int) -> bytes:
    """Read so many bytes; EOFError where the other side has ended."""
    found = pipe.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError("the other side has ended")
    return found
