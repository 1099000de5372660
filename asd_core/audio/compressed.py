"""Decoding compressed recordings through PyAV, whose wheel carries FFmpeg's libraries; in the limited child alone.

FFmpeg is handed one demuxer by name, chosen from the first bytes by `asd_core.audio.kinds`; it never guesses. It may
open no file and no address, run no decoder but those of `DECODERS`, and decode nothing but the first audio stream.
Bytes come from a file object. Nothing but `asd_core.audio.sandbox`, as the child, imports this module.

The samples that an encoder puts before and after the sound (MP3, AAC and Opus have them) are left out as FFmpeg
finds them stated in the file: in LAME's header, an edit list or Opus's pre-skip. Where a file states none, the sound
begins some ten milliseconds late.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
from collections.abc import Iterator
from typing import IO, NoReturn

import av
import numpy as np

from asd_core.audio import reading
from asd_core.audio.band_edge import band_edge_hz
from asd_core.audio.channels import Channels
from asd_core.audio.faults import sound_warnings
from asd_core.audio.kinds import LOSSY, Kind
from asd_core.audio.riff import check_layout
from asd_core.errors import AudioError
from asd_core.types import Float32Array, Waveform

LOSSY_DECODERS = {
    "mp3float": "MP3",
    "aac": "AAC",
    "vorbis": "Vorbis",
    "opus": "Opus",
    "wmav1": "WMA",
    "wmav2": "WMA",
    "wmapro": "WMA Pro",
    "amrnb": "AMR",
    "amrwb": "AMR-WB",
    "adpcm_ms": "Microsoft ADPCM",
    "adpcm_ima_wav": "IMA ADPCM",
    "adpcm_ima_qt": "IMA ADPCM",
    "gsm_ms": "GSM 6.10",
    "g726": "G.726",
}
_PCM = ("u8", "s8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "f64le", "f64be")
LOSSLESS_DECODERS = ("flac", "alac", "pcm_alaw", "pcm_mulaw", *(f"pcm_{name}" for name in _PCM))
DECODERS = (*LOSSY_DECODERS, *LOSSLESS_DECODERS)
DEMUXERS = "mp3,aac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,amr,asf,wav"
MAX_STREAMS = 32
_OPTIONS = {
    "protocol_whitelist": "",
    "format_whitelist": DEMUXERS,
    "codec_whitelist": ",".join(DECODERS),  # also for FFmpeg's own look at the streams when it opens a file
    "max_streams": str(MAX_STREAMS),
}
BLOCK_FRAMES = 65_536
LOOK_S = 10.0
"""Of a stream, from the beginning of which bit rate and band edge are taken."""
MIN_MISSING_S = 0.5
"""Less sound than the header claims by so much is a warning; encoders round to whole frames."""
_STATE_THEIR_LENGTH = ("mov", "aiff", "wav")
_CONVERT = "convert the file to WAV or FLAC"
_AGAIN = "save the recording again, as WAV or FLAC where you can"


class CompressedSound:
    """The first audio stream of an open recording; its beginning has been decoded.

    Parameters
    ----------
    container
        As PyAV opened it.
    kind
        As `asd_core.audio.kinds.kind_of` told it.
    """

    def __init__(self, container: av.container.InputContainer, kind: Kind) -> None:
        self.kind = kind
        self._stream = _audio_stream(container, kind)
        self._n_bytes, self._coded_s = 0, 0.0
        self._was_cut = False
        self._frames = self._decoded(container)
        first = next(self._frames, None)
        if first is None:
            raise AudioError("empty", f"there is no sound in this {kind.name} file", cure=_AGAIN)
        self.sr, self.n_channels = first.sample_rate, first.layout.nb_channels
        check_layout(self.n_channels, self.sr)
        self._first = first
        self.n_frames_stated = self._stated(container)

    def blocks(self, *, max_duration_s: float, max_frames: int | None) -> Iterator[Float32Array]:
        """Yield the sound, float32 of shape (n, n_channels), n at most `BLOCK_FRAMES`; once only.

        Raises
        ------
        AudioError
            For damage, or more sound than allowed, whatever the header claims.
        """
        n_most = min(max_duration_s * self.sr, max_frames or np.inf)
        n_frames, waiting = 0, []
        for part in self._parts():
            n_frames += len(part)
            if n_frames > n_most:
                rule = f"must last at most {max_duration_s:g} s"
                raise AudioError(
                    "too_long", f"{rule}, this {self.kind.name} file goes on", cure="cut it into shorter ones"
                )
            waiting.append(part)
            if sum(map(len, waiting)) >= BLOCK_FRAMES:
                *whole, rest = _cut(np.concatenate(waiting))
                waiting = [rest]
                yield from whole
        if waiting:
            yield from _cut(np.concatenate(waiting))

    def mono_blocks(self, channel: int | None, *, max_duration_s: float) -> Iterator[Float32Array]:
        """Yield one channel, or the mean of all, in blocks of shape (n,), otherwise as `blocks`."""
        reading._check_channel(channel, self.n_channels)
        for frames in self.blocks(max_duration_s=max_duration_s, max_frames=None):
            yield reading._mono([frames], len(frames), channel)

    def warnings(self, samples: Float32Array, *, is_whole: bool) -> tuple[str, ...]:
        """Say what coding left out of these mono samples, and, once all blocks are read, whether the end is missing."""
        lossy = self._lossy(samples)
        missing = self._missing(len(samples)) if is_whole else None
        return tuple(text for text in (lossy, missing) if text is not None)

    def _lossy(self, samples: Float32Array) -> str | None:
        codec = LOSSY_DECODERS.get(self._stream.codec_context.codec.name)
        if codec is None:
            return None
        seconds = self._coded_s or len(samples) / self.sr
        text = f"{LOSSY}{codec}, {self._n_bytes * 8 / seconds / 1000:.0f} kbit/s"
        edge_hz = band_edge_hz(samples, sr=self.sr)
        return text if edge_hz is None else f"{text}: nothing above {edge_hz / 1000:.1f} kHz"

    def _missing(self, n_frames: int) -> str | None:
        heard_s, stated_s = n_frames / self.sr, (self.n_frames_stated or 0) / self.sr
        if self.kind.demuxer in _STATE_THEIR_LENGTH and heard_s < stated_s - MIN_MISSING_S:
            return f"truncated: the header claims {stated_s:.1f} s of sound, {heard_s:.1f} s are there"
        return f"truncated: the end cannot be decoded, {heard_s:.1f} s are there" if self._was_cut else None

    def _stated(self, container: av.container.InputContainer) -> int | None:
        """Frames by the header, which may lie; None where it has no length."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0, round(self._stream.duration * self._stream.time_base * self.sr))
        return None if container.duration is None else max(0, round(container.duration / av.time_base * self.sr))

    def _parts(self) -> Iterator[Float32Array]:
        layout = (self.sr, self.n_channels)
        for frame in itertools.chain([self._first], self._frames):
            if (frame.sample_rate, frame.layout.nb_channels) != layout:
                raise AudioError("decode", "rate or channels change within the recording", cure=_AGAIN)
            values = _as_float(frame)
            reading._check_values(values)
            yield values

    def _decoded(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        """Decode packet by packet; what cannot be decoded may only lie before the sound or behind it."""
        failure: av.FFmpegError | None = None
        has_begun = False
        for packet in container.demux(self._stream):
            self._n_bytes += packet.size
            self._coded_s += float((packet.duration or 0) * (packet.time_base or 0))
            try:
                frames = [frame for frame in packet.decode() if frame.samples]
            except av.EOFError:
                break
            except av.FFmpegError as error:
                failure = error
                continue
            if frames and failure is not None and has_begun:
                raise failure
            yield from frames
            has_begun, failure = has_begun or bool(frames), None if frames else failure
        self._was_cut = failure is not None


@contextlib.contextmanager
def opened_sound(file: IO[bytes] | io.RawIOBase, kind: Kind) -> Iterator[CompressedSound]:
    """Open a recording and decode the beginning of its first audio stream.

    Parameters
    ----------
    file
        Readable and seekable, at its start.
    kind
        As `asd_core.audio.kinds.kind_of` tells it.

    Raises
    ------
    AudioError
        "codec" for a decoder that is not allowed, "channels", "rate", "empty", or "decode" for damage: here and from
        the blocks.
    """
    with _opened(file, kind) as container:
        yield CompressedSound(container, kind)


@contextlib.contextmanager
def _opened(file: IO[bytes] | io.RawIOBase, kind: Kind) -> Iterator[av.container.InputContainer]:
    try:
        with av.open(
            file,
            mode="r",
            format=kind.demuxer,
            container_options=_OPTIONS,
            metadata_errors="replace",
            io_open=_refuse_other_files,
        ) as container:
            yield container
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:  # PyAV raises ValueError for sample formats that it does not know
        raise AudioError("decode", f"this {kind.name} file is damaged or incomplete", cure=_AGAIN) from error


def count_frames(file: IO[bytes] | io.RawIOBase, kind: Kind, *, sr: int) -> int:
    """Add up the lengths of all packets of a recording whose header states no length; nothing is decoded."""
    with _opened(file, kind) as container:
        ends = (
            (packet.pts + (packet.duration or 0)) * packet.time_base
            for packet in container.demux(_audio_stream(container, kind))
            if packet.pts is not None and packet.time_base is not None
        )
        return round(float(max(ends, default=0)) * sr)


def decode(content: bytes, kind: Kind, *, channel: int | None) -> Waveform:
    """Decode a whole recording; otherwise as `asd_core.audio.reading.decode_waveform`."""
    with opened_sound(io.BytesIO(content), kind) as sound:
        reading._check_channel(channel, sound.n_channels)
        channels = Channels(channel)
        blocks = channels.heard(sound.blocks(max_duration_s=reading.MAX_DURATION_S, max_frames=reading.MAX_FRAMES))
        samples = np.concatenate([reading._mono([frames], len(frames), channel) for frames in blocks])
        warnings = sound.warnings(samples, is_whole=True)
    check_shortest(samples, sr=sound.sr)
    warnings += sound_warnings(samples, sr=sound.sr) + channels.warnings(sr=sound.sr)
    samples = reading._resampled(samples, sound.sr)
    samples.setflags(write=False)
    return Waveform(samples, digest=hashlib.sha256(content).hexdigest(), warnings=warnings)


def check_shortest(samples: Float32Array, *, sr: int) -> None:
    """Refuse what is too short to be judged, once it is known how long it is."""
    if len(samples) < reading.MIN_DURATION_S * sr:
        raise AudioError("too_short", f"must last at least {reading.MIN_DURATION_S} s, got {len(samples) / sr:.2f} s")


def _refuse_other_files(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"a recording may open no other file, this one names {url!a}")


def _audio_stream(container: av.container.InputContainer, kind: Kind) -> av.AudioStream:
    """Return the first audio stream, where its decoder is allowed."""
    if not container.streams.audio:
        raise AudioError("empty", f"there is no sound in this {kind.name} file", cure="name a recording with sound")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or context.codec.name not in DECODERS:
        codec = "in an unknown way" if context is None else f"as {context.codec.long_name}"
        raise AudioError(
            "codec", f"the sound of this {kind.name} file is coded {codec}, which is not read", cure=_CONVERT
        )
    context.thread_count = 1
    return stream


def _as_float(frame: av.AudioFrame) -> Float32Array:
    """Samples of shape (n, n_channels), full scale 1."""
    values = frame.to_ndarray()  # (n_channels, n), or (1, n * n_channels)
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused afterwards
            return values.astype(np.float32)
    scale = np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
    middle = 128 if values.dtype.kind == "u" else 0
    return (values.astype(np.float32) - np.float32(middle)) * scale


def _cut(frames: Float32Array) -> list[Float32Array]:
    return [frames[at : at + BLOCK_FRAMES] for at in range(0, len(frames), BLOCK_FRAMES)]
