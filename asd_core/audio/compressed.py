"""Decoding compressed recordings through PyAV, whose wheel carries FFmpeg's libraries; in the limited child alone.

FFmpeg is handed one demuxer by name, chosen from the first bytes by `asd_core.audio.kinds`; it never guesses. It may
open no file and no address, run no decoder but those of `DECODERS`, and decode nothing but the first audio stream.
Bytes come from a file object. Nothing but the child, `asd_core.audio.decoding_child`, imports this module.

The samples that an encoder puts before and after the sound (MP3, AAC and Opus have them) are left out as FFmpeg
finds them stated in the file: in LAME's header, an edit list or Opus's pre-skip. Where a file states none, the sound
begins some ten milliseconds late (AAC outside MP4, MP3 in a WAV).
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

from asd_core.audio import refusals
from asd_core.audio.band_edge import band_edge_hz
from asd_core.audio.channels import Channels
from asd_core.audio.faults import sound_warnings
from asd_core.audio.kinds import LOSSY, Kind
from asd_core.audio.reading import (
    MAX_DURATION_S,
    MAX_FRAMES,
    MIN_DURATION_S,
    Sound,
    checked_blocks,
    down_mixed,
    resampled,
)
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
_READ_BYTES = 2**17
_OPTIONS = {
    "protocol_whitelist": "",
    "format_whitelist": DEMUXERS,
    "codec_whitelist": ",".join(DECODERS),  # also for FFmpeg's own look at the streams when it opens a file
    "max_streams": str(MAX_STREAMS),
}
BLOCK_FRAMES = 65_536
LOOK_S = 10.0
"""Of a stream, from the beginning of which bit rate and band edge are taken."""
MAX_PACKET_S = 60.0
MIN_MISSING_S = 0.5
"""Less sound than the header claims by so much is a warning; encoders round to whole frames."""
_STATE_THEIR_LENGTH = ("mov", "aiff", "wav")
_STATE_NO_LENGTH = ("mp3", "aac", "amr")
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
        if first is None and self._was_cut:
            raise _damaged(kind)
        if first is None:
            raise AudioError("empty", f"there is no sound in this {kind.name} file", cure=_AGAIN)
        self.sr, self.n_channels = first.sample_rate, first.layout.nb_channels
        self._first = first
        self.n_frames_stated = self._stated(container)

    def mono_blocks(
        self, channel: int | None, channels: Channels, *, max_duration_s: float, max_frames: int | None = None
    ) -> Iterator[Float32Array]:
        """Yield one channel, or the mean of all, in blocks of shape (n,), n at most `BLOCK_FRAMES`; once only.

        Parameters
        ----------
        channel
            Channel to take, from 0; None takes the mean of all.
        channels
            Listens to all of them.
        max_duration_s, max_frames
            Most that is decoded, whatever the header claims.

        Raises
        ------
        AudioError
            For a channel, rate or number of channels that is not allowed, damage, samples out of range, or more sound
            than allowed.
        """
        check_layout(self.n_channels, self.sr, channel=channel)
        if channel is not None and not 0 <= channel < self.n_channels:
            raise refusals.no_such_channel(channel, self.n_channels)
        blocks = self._blocks(max_duration_s, max_frames)
        sound = Sound(self.sr, self.n_frames_stated or 0, self.n_channels, (), blocks)
        for frames in channels.heard(checked_blocks(sound)):
            yield down_mixed([frames], len(frames), channel)

    def lossy(self, samples: Float32Array) -> tuple[str, ...]:
        """Say what coding left out of the mono samples heard so far; nothing where it is lossless."""
        codec = LOSSY_DECODERS.get(self._stream.codec_context.codec.name)
        if codec is None:
            return ()
        seconds = self._coded_s or len(samples) / self.sr
        text = f"{LOSSY}{codec}, {self._n_bytes * 8 / seconds / 1000:.0f} kbit/s"
        edge_hz = band_edge_hz(samples, sr=self.sr)
        return (text if edge_hz is None else f"{text}: nothing above {edge_hz / 1000:.1f} kHz",)

    def missing(self, n_frames: int) -> tuple[str, ...]:
        """Say that the end is missing, once all blocks are read and had so many frames."""
        heard_s, stated_s = n_frames / self.sr, (self.n_frames_stated or 0) / self.sr
        if self.kind.demuxer in _STATE_THEIR_LENGTH and heard_s < stated_s - MIN_MISSING_S:
            return (f"truncated: the header claims {stated_s:.1f} s of sound, {heard_s:.1f} s are there",)
        return (f"truncated: the recording breaks off, {heard_s:.1f} s are there",) if self._was_cut else ()

    def _stated(self, container: av.container.InputContainer) -> int | None:
        """Frames by the header, which may lie; None where it has no length, and FFmpeg would guess from the size."""
        if self.kind.demuxer in _STATE_NO_LENGTH:
            return None
        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0, round(self._stream.duration * self._stream.time_base * self.sr))
        return None if container.duration is None else max(0, round(container.duration / av.time_base * self.sr))

    def _blocks(self, max_duration_s: float, max_frames: int | None) -> Iterator[Float32Array]:
        """Gather the sound in blocks of shape (n, n_channels)."""
        n_most = min(max_duration_s * self.sr, max_frames or np.inf)
        n_frames, n_waiting = 0, 0
        waiting: list[Float32Array] = []
        for part in self._without_padding():
            n_frames, n_waiting = n_frames + len(part), n_waiting + len(part)
            if n_frames > n_most:
                what = f"recordings must last at most {max_duration_s:g} s, this {self.kind.name} file goes on"
                raise AudioError("too_long", what, cure="cut it into shorter recordings", command=refusals.SEGMENTS)
            waiting.append(part)
            if n_waiting >= BLOCK_FRAMES:
                *whole, rest = _cut(np.concatenate(waiting))
                waiting, n_waiting = [rest], len(rest)
                yield from whole
        if waiting:
            yield from _cut(np.concatenate(waiting))

    def _without_padding(self) -> Iterator[Float32Array]:
        """Leave out the end of the last packet where it lies behind the length that an MP4 states."""
        end = self.n_frames_stated if self.kind.demuxer == "mov" else None
        n_frames, padding = 0, None
        for part in self._parts():
            if padding is not None:  # there is more than stated: it was sound
                yield padding
            n_kept = len(part) if end is None or end <= n_frames else min(len(part), end - n_frames)
            yield part[:n_kept]
            padding = part[n_kept:] if n_kept < len(part) else None
            n_frames += len(part)

    def _parts(self) -> Iterator[Float32Array]:
        layout = (self.sr, self.n_channels)
        for frame in itertools.chain([self._first], self._frames):
            if (frame.sample_rate, frame.layout.nb_channels) != layout:
                raise AudioError("decode", "rate or channels change within the recording", cure=_AGAIN)
            yield _as_float(frame)

    def _decoded(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        """Decode packet by packet; what cannot be decoded may only lie before the sound or behind it."""
        failure: av.FFmpegError | None = None
        has_begun = False
        for packet in self._packets(container):
            try:
                frames = [frame for frame in packet.decode() if frame.samples]
            except av.EOFError:
                break
            except MemoryError:
                raise
            except av.FFmpegError as error:
                failure = error
                continue
            if packet.size and frames and failure is not None and has_begun:
                raise failure
            yield from frames
            has_begun, failure = has_begun or bool(frames), None if packet.size and frames else failure
        self._was_cut |= failure is not None

    def _packets(self, container: av.container.InputContainer) -> Iterator[av.Packet[av.AudioStream]]:
        """Yield the packets up to where the file breaks off."""
        try:
            for packet in container.demux(self._stream):
                self._n_bytes += packet.size
                self._coded_s += _seconds(packet)
                yield packet
        except MemoryError:
            raise
        except av.FFmpegError:
            self._was_cut = True


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
            buffer_size=_READ_BYTES,
            io_open=_refuse_other_files,
        ) as container:
            yield container
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:  # PyAV raises ValueError for sample formats that it does not know
        raise _damaged(kind) from error


def count_frames(file: IO[bytes] | io.RawIOBase, kind: Kind, *, sr: int) -> int:
    """Look for the end of the last packet of a recording whose header states no length; nothing is decoded."""
    with _opened(file, kind) as container:
        ends = (
            float(packet.pts * packet.time_base) + _seconds(packet)
            for packet in container.demux(_audio_stream(container, kind))
            if packet.pts is not None and packet.time_base is not None
        )
        return max(0, round(max(ends, default=0.0) * sr))


def _seconds(packet: av.Packet[av.AudioStream]) -> float:
    """Length of a packet's sound; 0 where it is unknown or absurd, as FFmpeg has it at the end of some Ogg files."""
    seconds = float((packet.duration or 0) * (packet.time_base or 0))
    return seconds if 0 < seconds < MAX_PACKET_S else 0.0


def decode(content: bytes, kind: Kind, *, channel: int | None) -> Waveform:
    """Decode a whole recording; otherwise as `asd_core.audio.reading.decode_waveform`."""
    with opened_sound(io.BytesIO(content), kind) as sound:
        channels = Channels(channel)
        blocks = sound.mono_blocks(channel, channels, max_duration_s=MAX_DURATION_S, max_frames=MAX_FRAMES)
        samples = np.concatenate(list(blocks))
        warnings = sound.lossy(samples) + sound.missing(len(samples))
    check_shortest(samples, sr=sound.sr)
    warnings += sound_warnings(samples, sr=sound.sr) + channels.warnings(sr=sound.sr)
    samples = resampled(samples, sound.sr)
    samples.setflags(write=False)
    return Waveform(samples, digest=hashlib.sha256(content).hexdigest(), warnings=warnings)


def check_shortest(samples: Float32Array, *, sr: int) -> None:
    """Refuse what is too short to be judged, once it is known how long it is."""
    if len(samples) < MIN_DURATION_S * sr:
        raise refusals.too_short(len(samples), sr, MIN_DURATION_S)


def _refuse_other_files(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"a recording may open no other file, this one names {url!a}")


def _damaged(kind: Kind) -> AudioError:
    return AudioError("decode", f"this {kind.name} file is damaged or incomplete", cure=_AGAIN)


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
