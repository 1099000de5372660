"""Decoding uploads outside the server, in a child process with little memory, little time and no files.

Decoders have faults that nobody knows yet, and some files are bombs. A clip that crashes the decoder, or keeps it busy
too long, is one refusal here (`AudioError`, code `decode`); the next clip gets a new child. A child serves many clips,
so that each costs only a few milliseconds more than `asd_core.audio.reading.decode_waveform`; the result is the same,
bit for bit.

`python -m asd_core.audio.sandbox` is the child. Questions and answers are a JSON header after its length, then bytes;
it ends with its parent, since its input ends then. (A parent-death signal would end it with the thread that
started it.)
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from asd_core.audio.kinds import only_lossless, other_kind
from asd_core.audio.opening import naming_refusals
from asd_core.audio.reading import (
    MAX_DURATION_S,
    MAX_FILE_BYTES,
    MAX_UPLOAD_BYTES,
    REFUSAL_CODES,
    decode_waveform,
)
from asd_core.errors import AudioError
from asd_core.system.files import parse_json
from asd_core.types import SR, Waveform

N_CHILDREN = 2
CLIPS_PER_CHILD = 500
"""Then a fresh child takes over, so that nothing accumulates."""
MEMORY_BYTES = 512 * 2**20
"""Beyond what the child has at its start; the largest legal clip (600 s, 8 channels, 48 kHz) needs about 270 MB."""
SECONDS = 30.0
"""For one clip, in wall-clock time and in processor time; the largest legal one needs 3 s of both."""
MAX_OPEN_FILES = 16
NICENESS = 5
MAX_HEADER_BYTES = 64 * 1024
MAX_SAMPLES = MAX_DURATION_S * SR + 1

_LENGTH = struct.Struct("<I")
_REFUSAL_PARTS = ("code", "what", "cure", "command", "name")
_PIPE_BYTES = 2**20
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def decode_upload(content: bytes, *, name: str = "upload", channel: int | None = None) -> Waveform:
    """Decode the bytes of an uploaded recording in a child process; several threads may call it at the same time.

    Parameters
    ----------
    content
        The whole file, at most `asd_core.audio.reading.MAX_UPLOAD_BYTES`.
    name
        What error messages call it, escaped.
    channel
        Channel to take, from 0; None takes the mean of all channels.

    Raises
    ------
    AudioError
        As `asd_core.audio.reading.decode_waveform`; also, with code `decode`, where the child had to be stopped.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        return decode_waveform(content, name=name, channel=channel)  # refuses it unread
    return decode_in_child(content, name=name, channel=channel)


def decode_in_child(content: bytes, *, name: str = "upload", channel: int | None = None) -> Waveform:
    """Decode a whole recording of any size in a child process; otherwise as `decode_upload`."""
    with _borrowed() as decoder:
        return decoder.decode(content, name=name, channel=channel)


@contextlib.contextmanager
def _borrowed() -> Iterator[Decoder]:
    """Wait for a free decoder; the one used last comes first, so that the second starts only when needed."""
    pool = _pool()
    decoder = pool.get()
    try:
        yield decoder
    finally:
        pool.put(decoder)


@functools.cache
def _pool() -> queue.LifoQueue[Decoder]:
    pool: queue.LifoQueue[Decoder] = queue.LifoQueue()
    for _ in range(N_CHILDREN):
        decoder = Decoder()
        atexit.register(decoder.close)
        pool.put(decoder)
    return pool


class Decoder:
    """One child process, started when first needed and again after each death; for one thread at a time.

    Parameters
    ----------
    memory_bytes
        What a clip may take beyond the child's own.
    seconds
        For one clip, the start of a child included.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS) -> None:
        self.memory_bytes, self.seconds = memory_bytes, seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.n_clips = 0

    def decode(self, content: bytes, *, name: str = "upload", channel: int | None = None) -> Waveform:
        """Decode one clip, otherwise as `decode_upload`."""
        process = self._started()
        overdue = threading.Event()
        clock = threading.Timer(self.seconds, _end, (process, overdue))
        clock.daemon = True
        clock.start()
        try:
            waveform = _asked(process, content, name, channel)
        except (OSError, ValueError, EOFError) as fault:
            self.close()
            why = f"it took more than {self.seconds:g} s" if overdue.is_set() else "it broke down on this file"
            raise AudioError("decode", f"the decoder was stopped: {why}", name=name) from fault
        finally:
            clock.cancel()
        self.n_clips += 1
        return waveform

    def close(self) -> None:
        """End the child; the next clip starts another."""
        process, self.process, self.n_clips = self.process, None, 0
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what could no longer be written
                _pipe(pipe).close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is not None and (self.n_clips >= CLIPS_PER_CHILD or self.process.poll() is not None):
            self.close()
        if self.process is None:
            try:
                self.process = _start(self.memory_bytes, self.seconds)
            except OSError as error:
                raise AudioError("decode", f"the decoder could not be started: {error.strerror}") from error
        return self.process


def _start(memory_bytes: int, seconds: float) -> subprocess.Popen[bytes]:
    paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "asd_core.audio.sandbox", str(memory_bytes), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=_PIPE_BYTES,  # fewer changes between the two
        start_new_session=True,  # Ctrl-C is the server's affair
        env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _end(process: subprocess.Popen[bytes], overdue: threading.Event) -> None:
    overdue.set()
    process.kill()


def _asked(process: subprocess.Popen[bytes], content: bytes, name: str, channel: int | None) -> Waveform:
    """Put the question and read the answer; OSError or EOFError where the child is gone, ValueError for nonsense."""
    _write(_pipe(process.stdin), {"name": name, "channel": channel, "n_bytes": len(content)}, content)
    answer = _pipe(process.stdout)
    header = _read_header(answer)
    if "code" in header:
        raise _refusal(header)
    n_samples, warnings = header["n_samples"], header["warnings"]
    if not isinstance(n_samples, int) or not 0 < n_samples <= MAX_SAMPLES or not isinstance(warnings, list):
        raise ValueError("an answer must have a sensible number of samples and a list of warnings")
    samples = np.frombuffer(_read(answer, 4 * n_samples), dtype="<f4")  # read-only, as its bytes are
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite")
    return Waveform(samples, digest=hashlib.sha256(content).hexdigest(), warnings=tuple(map(str, warnings)))


def _refusal(header: Mapping[str, Any]) -> AudioError:
    if header["code"] not in REFUSAL_CODES:
        raise ValueError("an answer must have a known code")
    code, what, cure, command, name = (str(header[part]) for part in _REFUSAL_PARTS)
    return AudioError(code, what, cure=cure, command=command, name=name)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the child was started without its pipes")
    return pipe


def _write(pipe: IO[bytes], header: Mapping[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode("ascii")  # invalid UTF-8 in names is escaped
    pipe.write(_LENGTH.pack(len(text)) + text)
    pipe.write(body)
    pipe.flush()


def _read_header(pipe: IO[bytes]) -> dict[str, Any]:
    (n_bytes,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    if n_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"a header must have at most {MAX_HEADER_BYTES} bytes, got {n_bytes}")
    header = parse_json(_read(pipe, n_bytes))
    if not isinstance(header, dict) or set(header) not in (set(_REFUSAL_PARTS), {"n_samples", "warnings"}):
        raise ValueError("a header must be a refusal or the sizes of a clip")
    return header


def _read(pipe: IO[bytes], n_bytes: int) -> bytes:
    found = pipe.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError("the other side has ended")
    return found


# --- the child ---


def main() -> int:
    """Decode clip after clip until the input ends."""
    import soundfile  # noqa: F401 - before the limits: an import opens files
    import soxr  # noqa: F401

    if not only_lossless():
        from asd_core.audio import compressed  # noqa: F401

    memory_bytes, seconds = int(sys.argv[1]), float(sys.argv[2])
    _limit_self(memory_bytes)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _limit_time(seconds)
            _serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


def _serve(asked: IO[bytes], answer: IO[bytes]) -> None:
    (n_bytes,) = _LENGTH.unpack(_read(asked, _LENGTH.size))
    question = parse_json(_read(asked, n_bytes))
    content = _read(asked, question["n_bytes"])
    try:
        waveform = _decoded(content, question["name"], question["channel"])
    except AudioError as error:
        _write(answer, {part: getattr(error, part) for part in _REFUSAL_PARTS})
    except MemoryError:
        what = f"decoding it would need more than {sys.argv[1]} bytes of memory"
        _write(answer, {"code": "decode", "what": what, "cure": "", "command": "", "name": question["name"]})
    else:
        header = {"n_samples": len(waveform.samples), "warnings": list(waveform.warnings)}
        _write(answer, header, waveform.samples.astype("<f4", copy=False).tobytes())


def _decoded(content: bytes, name: str, channel: int | None) -> Waveform:
    with naming_refusals(name):
        kind = other_kind(content)
        if kind is None:
            return decode_waveform(content, channel=channel, max_bytes=MAX_FILE_BYTES)
        from asd_core.audio import compressed

        return compressed.decode(content, kind, channel=channel)


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
