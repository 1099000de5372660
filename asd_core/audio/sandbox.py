"""Decoding uploads and compressed recordings outside this process, in a child with little memory and time and no files.

Decoders have faults that nobody knows yet, and some files are bombs. A clip that crashes the decoder, or keeps it busy
too long, is one refusal here (`AudioError`, code `decode`); the next clip gets a new child. A child serves many clips,
so that each costs only a few milliseconds more than `asd_core.audio.reading.decode_waveform`; the result is the same,
bit for bit.

`asd_core.audio.decoding_child` is the child. It ends with its parent, since its input ends then. (A parent-death signal
would end it with the thread that started it.) Of a long recording it asks for bytes as it needs them, and gives the
sound block by block, so that neither side holds more than a few of them.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from asd_core.audio.kinds import only_lossless
from asd_core.audio.messages import MAX_WANTED_BYTES, REFUSAL_PARTS, read_answer, read_exactly, write_message
from asd_core.audio.opening import FileContent
from asd_core.audio.reading import (
    MAX_DURATION_S,
    MAX_UPLOAD_BYTES,
    REFUSAL_CODES,
    SoundStream,
    decode_waveform,
)
from asd_core.audio.riff import MAX_RATE_HZ, MIN_RATE_HZ
from asd_core.errors import AudioError
from asd_core.types import SR, Float32Array, Waveform

N_CHILDREN = 2
CLIPS_PER_CHILD = 500
"""Then a fresh child takes over, so that nothing accumulates."""
MEMORY_BYTES = 512 * 2**20
"""Beyond what the child has at its start; the largest legal clip (600 s, 8 channels, 48 kHz) needs about 270 MB."""
SECONDS = 30.0
"""For one clip, or one block of a stream, in wall-clock time and in processor time; the largest legal clip needs 3 s of
both."""
MAX_SAMPLES = MAX_DURATION_S * SR + 1
MAX_BLOCK_SAMPLES = 65_536

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
    UsageError
        Where `ASD_FORMATS` has an unknown value.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        return decode_waveform(content, name=name, channel=channel)  # refuses it unread
    return decode_in_child(content, name=name, channel=channel)


def decode_in_child(content: bytes, *, name: str = "upload", channel: int | None = None) -> Waveform:
    """Decode a whole file of any size in a child process, otherwise as `decode_upload`."""
    only_lossless()  # a variable set wrongly is no fault of the file
    with _borrowed() as decoder:
        return decoder.decode(content, name=name, channel=channel)


@contextlib.contextmanager
def stream_in_child(content: FileContent, *, channel: int | None, max_duration_s: float) -> Iterator[SoundStream]:
    """Open a compressed recording block by block; `asd_core.audio.reading.stream_sound` calls this.

    Each open stream has a child to itself, so that any number may be open at once.

    Raises
    ------
    AudioError
        As `asd_core.audio.reading.stream_sound`, here and from the stream's blocks.
    """
    spare = _spare(os.getpid())
    try:
        decoder = spare.get_nowait()
    except queue.Empty:
        decoder = Decoder()
    try:
        yield decoder.stream(content, channel=channel, max_duration_s=max_duration_s)
    finally:
        decoder.end_stream()
        try:
            spare.put_nowait(decoder)
        except queue.Full:
            decoder.close()


@contextlib.contextmanager
def _borrowed() -> Iterator[Decoder]:
    """Wait for a free decoder; the one used last comes first, so that the second starts only when needed."""
    pool = _pool()
    decoder = pool.get()
    try:
        yield decoder
    finally:
        pool.put(decoder)


def _pool() -> queue.LifoQueue[Decoder]:
    return _pool_of(os.getpid())


@functools.cache
def _pool_of(pid: int) -> queue.LifoQueue[Decoder]:  # noqa: ARG001 - a forked process has children of its own
    pool: queue.LifoQueue[Decoder] = queue.LifoQueue()
    for _ in range(N_CHILDREN):
        decoder = Decoder()
        atexit.register(decoder.close)
        pool.put(decoder)
    return pool


@functools.cache
def _spare(pid: int) -> queue.LifoQueue[Decoder]:  # noqa: ARG001 - as above
    """Decoders of streams that have ended, so that the next stream need not wait for a child to start."""
    spare: queue.LifoQueue[Decoder] = queue.LifoQueue(N_CHILDREN)
    atexit.register(_close_all, spare)
    return spare


def _close_all(decoders: queue.LifoQueue[Decoder]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            decoders.get_nowait().close()


class Decoder:
    """One child process, started when first needed and again after each death; for one thread at a time.

    Parameters
    ----------
    memory_bytes
        What a clip may take beyond the child's own.
    seconds
        For one clip or one block of a stream, the start of a child included.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS) -> None:
        self.memory_bytes, self.seconds = memory_bytes, seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.n_clips = 0
        self._turn = 0

    def decode(self, content: bytes, *, name: str = "upload", channel: int | None = None) -> Waveform:
        """Decode one clip, otherwise as `decode_upload`."""
        question = {"ask": "clip", "name": name, "channel": channel, "n_bytes": len(content)}
        with self._asking(self._started(), name) as process:
            header = _asked(process, question, content)
            samples = _samples(process, header, at_most=MAX_SAMPLES)
            if not len(samples):
                raise ValueError("a clip must have samples")
        self.n_clips += 1
        digest = hashlib.sha256(content).hexdigest()
        return Waveform(samples, digest=digest, warnings=tuple(map(str, header["warnings"])))

    def stream(self, content: FileContent, *, channel: int | None, max_duration_s: float) -> SoundStream:
        """Open a recording, otherwise as `stream_in_child`; until its blocks are read, nothing else can be asked."""
        question = {
            "ask": "open",
            "name": "",
            "channel": channel,
            "n_bytes": len(content),
            "max_duration_s": max_duration_s,
        }
        with self._asking(self._started()) as process:
            opening = _opening(_asked(process, question, source=content))
        self.n_clips += 1
        self._turn += 1
        sr, n_frames, n_channels, warnings = opening
        late: list[str] = []
        blocks = self._blocks(process, content, self._turn, late)
        return SoundStream(sr, n_frames, warnings, blocks, n_channels, late)

    def end_stream(self) -> None:
        """Let nobody read on in a stream whose file is closed."""
        self._turn += 1

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

    def _blocks(
        self, process: subprocess.Popen[bytes], content: FileContent, turn: int, late_warnings: list[str]
    ) -> Iterator[Float32Array]:
        while True:
            if turn != self._turn:
                raise AudioError("decode", "the recording has been closed")
            with self._asking(process):
                header = _asked(process, {"ask": "next"}, source=content)
                block = _samples(process, header, at_most=MAX_BLOCK_SAMPLES)
            if not len(block):
                late_warnings.extend(map(str, header["warnings"]))
                return
            yield block

    @contextlib.contextmanager
    def _asking(self, process: subprocess.Popen[bytes], name: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Limit the time of a question; a child that fails is ended, and that is a refusal."""
        overdue = threading.Event()
        clock = threading.Timer(self.seconds, _end, (process, overdue))
        clock.daemon = True
        clock.start()
        is_answered = False
        try:
            yield process
            is_answered = True
        except (OSError, ValueError, EOFError) as fault:
            why = f"it took more than {self.seconds:g} s" if overdue.is_set() else "it broke down on this file"
            raise AudioError("decode", f"the decoder was stopped: {why}", name=name) from fault
        except AudioError:  # a refusal is an answer
            is_answered = True
            raise
        finally:
            clock.cancel()
            if not is_answered:  # nor where it was interrupted: half an answer would be taken for the next one's
                self.close()

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
        [sys.executable, "-m", "asd_core.audio.decoding_child", str(memory_bytes), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=_PIPE_BYTES,  # fewer changes between the two
        start_new_session=True,  # Ctrl-C is the server's affair
        env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _end(process: subprocess.Popen[bytes], overdue: threading.Event) -> None:
    overdue.set()
    process.kill()


def _asked(
    process: subprocess.Popen[bytes],
    question: Mapping[str, Any],
    body: bytes = b"",
    *,
    source: FileContent | None = None,
) -> dict[str, Any]:
    """Put a question, hand over what is asked for of the source, and return the answer's header, or raise its refusal.

    OSError or EOFError where the child is gone, ValueError for nonsense.
    """
    asked = _pipe(process.stdin)
    write_message(asked, question, body)
    while "at" in (header := read_answer(_pipe(process.stdout))):
        asked.write(_wanted(source, **header))
        asked.flush()
    if "code" in header:
        raise _refusal(header)
    if not isinstance(header["warnings"], list):
        raise ValueError("an answer must have a list of warnings")
    return header


def _wanted(source: FileContent | None, at: Any, n_bytes: Any) -> bytes:
    if source is None or not isinstance(at, int) or not isinstance(n_bytes, int):
        raise ValueError("bytes can be asked for by whole numbers, while a stream is open")
    if at < 0 or not 0 < n_bytes <= MAX_WANTED_BYTES or at + n_bytes > len(source):
        raise ValueError("only bytes of the file can be asked for")
    found = source[at : at + n_bytes]
    if len(found) < n_bytes:
        raise EOFError("the file has become shorter")
    return found


def _samples(process: subprocess.Popen[bytes], header: Mapping[str, Any], *, at_most: int) -> Float32Array:
    """Read the samples that an answer announces; read-only, as its bytes are."""
    n_samples = header.get("n_samples")
    if not isinstance(n_samples, int) or not 0 <= n_samples <= at_most:
        raise ValueError("an answer must have a sensible number of samples")
    samples = np.frombuffer(read_exactly(_pipe(process.stdout), 4 * n_samples), dtype="<f4")
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite")
    return samples


def _opening(header: Mapping[str, Any]) -> tuple[int, int, int, tuple[str, ...]]:
    """Rate, frames, channels and warnings of a stream."""
    sr, n_frames, n_channels = (header.get(part) for part in ("sr", "n_frames", "n_channels"))
    if not (isinstance(sr, int) and isinstance(n_frames, int) and isinstance(n_channels, int)):
        raise ValueError("a stream must have a rate, a length and channels")
    if not (MIN_RATE_HZ <= sr <= MAX_RATE_HZ and n_frames >= 0 and n_channels >= 1):
        raise ValueError("a stream must have a sensible rate, length and number of channels")
    return sr, n_frames, n_channels, tuple(map(str, header["warnings"]))


def _refusal(header: Mapping[str, Any]) -> AudioError:
    if header["code"] not in REFUSAL_CODES:
        raise ValueError("an answer must have a known code")
    code, what, cure, command, name = (str(header[part]) for part in REFUSAL_PARTS)
    return AudioError(code, what, cure=cure, command=command, name=name)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the child was started without its pipes")
    return pipe
