"""The child process that decodes what may be hostile: little memory, little time, no files.

`python -m asd_core.audio.decoding_child MEMORY_BYTES SECONDS` is started by `asd_core.audio.sandbox` alone. It answers
question after question until its input ends: "clip" (the whole file follows; answered by its sound), "open" (a stream,
whose bytes the child asks for as it needs them; answered by its rate and length) and "next" (the stream's next block).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeAlias

import numpy as np

from asd_core.audio import reading
from asd_core.audio.channels import Channels
from asd_core.audio.kinds import only_lossless, other_kind
from asd_core.audio.messages import MAX_WANTED_BYTES, REFUSAL_PARTS, read_exactly, read_question, write_message
from asd_core.audio.opening import naming_refusals
from asd_core.errors import AudioError, UsageError
from asd_core.system.extras import install_command
from asd_core.types import Waveform

MAX_OPEN_FILES = 16
NICENESS = 5

Answer: TypeAlias = tuple[Mapping[str, Any], bytes]


def main() -> int:
    """Answer question after question until the input ends."""
    import soundfile  # noqa: F401 - before the limits: an import opens files
    import soxr  # noqa: F401

    with contextlib.suppress(AudioError, UsageError):  # WAV and FLAC are read all the same
        if not only_lossless():
            _compressed()
    memory_bytes, seconds = int(sys.argv[1]), float(sys.argv[2])
    _limit_self(memory_bytes)
    child = _Child(sys.stdin.buffer, sys.stdout.buffer)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _limit_time(seconds)
            child.serve()
    return 0


class _Child:
    """Answers questions; between two of them it holds an open stream at most."""

    def __init__(self, asked: IO[bytes], answers: IO[bytes]) -> None:
        self.asked, self.answers = asked, answers
        self.name = ""
        self.stream: Iterator[Answer] = iter(())

    def serve(self) -> None:
        """Answer one question; whatever is wrong with a recording is an answer."""
        question = read_question(self.asked)
        try:
            with naming_refusals(question.get("name", self.name)):
                header, body = self._answer(question)
        except AudioError as refusal:
            header, body = {part: getattr(refusal, part) for part in REFUSAL_PARTS}, b""
        except MemoryError:
            what = f"decoding it would need more than {sys.argv[1]} bytes of memory"
            header, body = {"code": "decode", "what": what, "cure": "", "command": "", "name": self.name}, b""
        write_message(self.answers, header, body)

    def _answer(self, question: Mapping[str, Any]) -> Answer:
        if question["ask"] == "next":
            return next(self.stream)
        self.name, self.stream = question["name"], iter(())
        if question["ask"] == "clip":
            return _clip(read_exactly(self.asked, question["n_bytes"]), question["channel"])
        file = _AskedFile(self.asked, self.answers, question["n_bytes"])
        self.stream = _stream(file, question["channel"], question["max_duration_s"])
        return next(self.stream)


def _clip(content: bytes, channel: int | None) -> Answer:
    waveform = _decoded(content, channel)
    header = {"n_samples": len(waveform.samples), "warnings": list(waveform.warnings)}
    return header, waveform.samples.astype("<f4", copy=False).tobytes()


def _decoded(content: bytes, channel: int | None) -> Waveform:
    kind = other_kind(content)
    if kind is None:
        return reading.decode_waveform(content, channel=channel, max_bytes=reading.MAX_FILE_BYTES)
    waveform: Waveform = _compressed().decode(content, kind, channel=channel)
    return waveform


def _compressed() -> ModuleType:
    """Import what decodes through PyAV; WAV and FLAC are read without it."""
    try:
        from asd_core.audio import compressed
    except ImportError as error:
        what = "the package av, which decodes this kind of file, cannot be loaded"
        raise AudioError("decode", what, cure="install it", command=install_command("formats")) from error
    return compressed


def _stream(file: _AskedFile, channel: int | None, max_duration_s: float) -> Iterator[Answer]:
    """Yield the answer to "open", then those to "next", of which the last is an empty block."""
    compressed = _compressed()
    kind = other_kind(file)
    if kind is None:
        raise AudioError("magic", "this file has changed while it was read", cure="try again")
    with compressed.opened_sound(file, kind) as sound:
        blocks = sound.mono_blocks(channel, Channels(channel), max_duration_s=max_duration_s)
        ahead = list(itertools.islice(blocks, 1 + round(compressed.LOOK_S * sound.sr) // compressed.BLOCK_FRAMES))
        heard = np.concatenate(ahead)
        compressed.check_shortest(heard, sr=sound.sr)
        warnings = sound.lossy(heard)
        n_frames = sound.n_frames_stated or compressed.count_frames(file.anew(), kind, sr=sound.sr)
        yield {"sr": sound.sr, "n_frames": n_frames, "n_channels": sound.n_channels, "warnings": list(warnings)}, b""
        n_heard = 0
        for block in itertools.chain(ahead, blocks):
            n_heard += len(block)
            yield {"n_samples": len(block), "warnings": []}, block.astype("<f4", copy=False).tobytes()
        yield {"n_samples": 0, "warnings": list(sound.missing(n_heard))}, b""


class _AskedFile(io.RawIOBase):
    """A file that the server holds open: bytes are asked for as they are needed."""

    def __init__(self, asked: IO[bytes], answers: IO[bytes], n_bytes: int) -> None:
        self.asked, self.answers, self.n_bytes, self.at = asked, answers, n_bytes, 0

    def anew(self) -> _AskedFile:
        """The same file at its start, to be read beside this one."""
        return _AskedFile(self.asked, self.answers, self.n_bytes)

    def __len__(self) -> int:
        return self.n_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self.n_bytes)
        return self._bytes(start, max(0, stop - start))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self.at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.n_bytes}[whence])
        return self.at

    def read(self, n_bytes: int = -1, /) -> bytes:
        n_left = max(0, self.n_bytes - self.at)
        found = self._bytes(self.at, n_left if n_bytes < 0 else min(n_bytes, n_left))
        self.at += len(found)
        return found

    def _bytes(self, at: int, n_bytes: int) -> bytes:
        parts = []
        while n_bytes > 0:
            n_wanted = min(n_bytes, MAX_WANTED_BYTES)
            write_message(self.answers, {"at": at, "n_bytes": n_wanted})
            parts.append(read_exactly(self.asked, n_wanted))
            at, n_bytes = at + n_wanted, n_bytes - n_wanted
        return b"".join(parts)


def _limit_self(memory_bytes: int) -> None:
    """Little memory, no files, no core dumps, and behind the server in the queue for the processor."""
    if os.name == "nt":
        return
    import resource

    os.nice(NICENESS)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    statm = Path("/proc/self/statm")
    if statm.exists():  # macOS has neither this nor a limit that works
        _limit(resource.RLIMIT_AS, int(statm.read_text().split()[0]) * resource.getpagesize() + memory_bytes)


def _limit_time(seconds: float) -> None:
    """Allow this much processor time from now on: it ends a child that spins even when its parent is gone."""
    if os.name == "nt":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    if hard == resource.RLIM_INFINITY or soft <= hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _limit(kind: int, limit: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    low = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (low, low))


if __name__ == "__main__":
    sys.exit(main())
