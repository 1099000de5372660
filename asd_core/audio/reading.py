"""Reading untrusted recordings, and writing clips for playback.

Accepted, by content and never by extension: RIFF/WAVE (PCM 8, 16, 24, 32 bit; float 32, 64 bit) and FLAC,
1 to 8 channels, 8 to 192 kHz, 0.5 to 600 s. Everything else is refused with `AudioError`, whose `code` is one of
`REFUSAL_CODES`. WAV headers are checked here before libsndfile sees them, because its parsers for other formats
and codecs are where its open advisories are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asd_core.audio.channels import Channels
from asd_core.audio.faults import sound_warnings
from asd_core.audio.kinds import other_kind
from asd_core.audio.opening import FileContent, naming_refusals, opened, read_regular, regular_size, too_big
from asd_core.audio.riff import Content, WavHeader, check_layout, wav_header
from asd_core.errors import AudioError, InputError
from asd_core.types import SR, Float32Array, Waveform

if TYPE_CHECKING:
    import numpy.typing as npt

REFUSAL_CODES: tuple[str, ...] = (
    "open",
    "not_file",
    "too_big",
    "empty",
    "magic",
    "fmt",
    "chunks",
    "codec",
    "channels",
    "rate",
    "decode",
    "too_long",
    "too_short",
    "nonfinite",
    "range",
)
"""Every `AudioError.code`; stable, programs may rely on them."""

MAX_FILE_BYTES = 64 * 2**20
MAX_UPLOAD_BYTES = 32 * 2**20
MIN_BYTES = 44
MIN_DURATION_S, MAX_DURATION_S = 0.5, 600
MAX_FRAMES = 30_000_000
MAX_ABS = 16.0
"""Largest magnitude of a sample before resampling: +24 dB above full scale."""

READER_VERSION = 2
"""Raised whenever the same bytes give different samples or warnings."""

_BLOCK_FRAMES = 65_536
_OTHER_KINDS = (
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (4, b"ftyp", "MP4 or M4A"),
    (0, b"FORM", "AIFF"),
    (0, b"RF64", "RF64"),
    (0, b"BW64", "BW64"),
    (0, b"RIFX", "RIFX"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
)
# FLAC counts frames in 36 bits; libsndfile gives more where the header states none.
_UNKNOWN_FRAMES = 2**36
_FLAC_SUBTYPES = ("PCM_S8", "PCM_16", "PCM_24")


@dataclass(frozen=True)
class SoundStream:
    """An open recording, read block by block.

    Parameters
    ----------
    sr
        The file's own sampling rate in Hz.
    n_frames
        Number of frames that `blocks` yields in all; of a compressed recording what its header says, so that it may be
        some frames more or fewer.
    warnings
        `code: text` lines on the file ("truncated").
    blocks
        Mono float32 of shape (n,), n at most 65,536; finite and within `MAX_ABS`. Raises AudioError where the file is
        damaged.
    n_channels
        Channels of the file, of which `blocks` gives one or the mean.
    """

    sr: int
    n_frames: int
    warnings: tuple[str, ...]
    blocks: Iterator[Float32Array]
    n_channels: int


@dataclass(frozen=True)
class Extent:
    """Rate in Hz, frames and channels of a recording, as its header states them."""

    sr: int
    n_frames: int
    n_channels: int


def read_waveform(path: str | os.PathLike[str], *, channel: int | None = None) -> Waveform:
    """Read a recording as mono float32 at `SR`.

    Links, folders, pipes and devices are refused without blocking.

    Parameters
    ----------
    path
        A regular file of at most `MAX_FILE_BYTES`.
    channel
        Channel to take, from 0; None takes the mean of all channels.

    Returns
    -------
    Waveform
        Samples of shape (n_samples,), finite, read-only; `digest` is the SHA-256 of the file's bytes; `warnings`
        holds "truncated: ..." where the header claims more than the file has, "silent: ..." where
        max |x - mean| < 1e-6, and the other faults of `asd_core.audio.faults` and `asd_core.audio.channels`.

    Raises
    ------
    AudioError
        For anything that can be wrong with the file or the channel; `code` is one of `REFUSAL_CODES`.
    """
    with naming_refusals(os.fspath(path)):
        return _decoded(_read_bytes(path), channel)


def decode_waveform(
    content: bytes, *, name: str = "upload", channel: int | None = None, max_bytes: int = MAX_UPLOAD_BYTES
) -> Waveform:
    """Decode the bytes of an uploaded recording; otherwise as `read_waveform`.

    Parameters
    ----------
    content
        The whole file.
    name
        What error messages call it, escaped.
    channel
        Channel to take, from 0; None takes the mean of all channels.
    max_bytes
        Largest accepted size.

    Raises
    ------
    AudioError
        For anything that can be wrong with the bytes or the channel.
    """
    with naming_refusals(name):
        if len(content) > max_bytes:
            raise too_big(len(content), max_bytes)
        return _decoded(content, channel)


def encode_wav(samples: npt.ArrayLike, *, sr: int = SR) -> bytes:
    """Encode a mono signal as 16-bit PCM WAV, for playback.

    Values outside [-1, 1) are clipped, not scaled; samples that came from a 16-bit file survive unchanged.

    Parameters
    ----------
    samples
        Shape (n_samples,), finite, full scale is 1.
    sr
        Sampling rate in Hz.

    Raises
    ------
    InputError
        If the samples are not one-dimensional or not finite.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or not np.isfinite(signal).all():
        raise InputError(f"samples must be finite and of shape (n_samples,), got shape {signal.shape}")
    pcm = np.clip(np.rint(signal * 32768), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sr)
        out.writeframes(pcm.tobytes())
    return buffer.getvalue()


@contextlib.contextmanager
def stream_sound(
    path: str | os.PathLike[str], *, max_bytes: int, max_duration_s: float, channel: int | None = None
) -> Iterator[SoundStream]:
    """Open a recording that need not fit into memory; all rules of `read_waveform` hold but those on size and length.

    Parameters
    ----------
    path
        A regular file; links are not followed.
    max_bytes, max_duration_s
        Largest accepted size and length.
    channel
        Channel to take, from 0; None takes the mean of all channels.

    Raises
    ------
    AudioError
        As `read_waveform`, here and from the stream's blocks.
    """
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        n_bytes = regular_size(descriptor, max_bytes)
        content = FileContent(descriptor, n_bytes)
        if other_kind(content) is not None:
            from asd_core.audio.sandbox import stream_in_child  # which imports this module

            with stream_in_child(content, channel=channel, max_duration_s=max_duration_s) as other_sound:
                yield other_sound
            return
        header = _checked_header(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(descriptor, "rb", closefd=False) as file, _decoder(file, header) as sound:
            _check_duration(sound.frames, sound.samplerate, max_duration_s=max_duration_s, max_frames=None)
            _check_channel(channel, sound.channels)
            warnings = header.warnings if header else ()
            yield SoundStream(sound.samplerate, sound.frames, warnings, _mono_blocks(sound, channel), sound.channels)


def count_channels(path: str | os.PathLike[str]) -> int:
    """Read from a recording's header how many channels it has; raises AudioError as `read_waveform` does."""
    with stream_sound(path, max_bytes=MAX_FILE_BYTES, max_duration_s=MAX_DURATION_S) as sound:
        return sound.n_channels


def probe(
    path: str | os.PathLike[str], *, max_bytes: int = MAX_FILE_BYTES, max_duration_s: float = MAX_DURATION_S
) -> Extent:
    """Read a recording's rate, length and channels; of its sound at most the beginning. Errors as `stream_sound`."""
    with stream_sound(path, max_bytes=max_bytes, max_duration_s=max_duration_s) as sound:
        return Extent(sound.sr, sound.n_frames, sound.n_channels)


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    with opened(path) as descriptor:
        return read_regular(descriptor, MAX_FILE_BYTES)


def _decoded(content: bytes, channel: int | None) -> Waveform:
    if other_kind(content) is not None:
        from asd_core.audio.sandbox import decode_in_child  # which imports this module

        return decode_in_child(content, channel=channel)
    header = _checked_header(content)
    samples, sr, channel_faults = _decode_samples(content, header, channel)
    warnings = (header.warnings if header else ()) + sound_warnings(samples, sr=sr) + channel_faults
    samples = _resampled(samples, sr)
    samples.setflags(write=False)
    return Waveform(samples=samples, digest=hashlib.sha256(content).hexdigest(), warnings=warnings)


def _checked_header(content: Content) -> WavHeader | None:
    """Check everything that libsndfile would act on; None for FLAC."""
    if len(content) < MIN_BYTES:
        raise AudioError(
            "empty", f"must have at least {MIN_BYTES} bytes, got {len(content)}; is it a whole WAV or FLAC?"
        )
    return wav_header(content) if _is_wav(content) else None


def _is_wav(content: Content) -> bool:
    """Tell WAV from FLAC by the first bytes; anything else is refused."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return True
    if content[:4] == b"fLaC":
        return False
    raise AudioError("magic", f"content must be WAV or FLAC, got {_kind_of(content)}; convert the file first")


def _kind_of(content: Content) -> str:
    """Name a kind of recording that is not read; nothing of any other file is shown, since it may not be the user's."""
    return next(
        (kind for start, mark, kind in _OTHER_KINDS if content[start : start + len(mark)] == mark), "something else"
    )


def _decode_samples(
    content: bytes, header: WavHeader | None, channel: int | None
) -> tuple[Float32Array, int, tuple[str, ...]]:
    """Return the down-mixed samples, their rate in Hz and faults of the channels; `header` is None for FLAC."""
    with _decoder(io.BytesIO(content), header) as sound:
        _check_duration(sound.frames, sound.samplerate, max_duration_s=MAX_DURATION_S, max_frames=MAX_FRAMES)
        _check_channel(channel, sound.channels)
        pcm16 = header if header is not None and header.subtype == "PCM_16" else None
        blocks = _checked_blocks(sound) if pcm16 is None else _pcm16_blocks(content, pcm16)
        channels = Channels(channel)
        samples = _mono(channels.heard(blocks), sound.frames, channel)
        return samples, sound.samplerate, channels.warnings(sr=sound.samplerate)


@contextlib.contextmanager
def _decoder(file: Any, header: WavHeader | None) -> Iterator[Any]:
    """Open libsndfile's decoder on a file object; what it cannot read, now or later, is a refusal."""
    import soundfile as sf

    try:
        with sf.SoundFile(file) as sound:
            _check_codec(sound, header)
            check_layout(sound.channels, sound.samplerate)
            yield sound
    except sf.SoundFileError as error:
        reason = getattr(error, "error_string", "")
        raise AudioError("decode", f"damaged or unreadable: {reason or 'no reason given'!a}") from error


def _check_codec(sound: Any, header: WavHeader | None) -> None:
    """Compare what libsndfile understood with the whitelist and with our own walk."""
    if header is None:
        if sound.format != "FLAC" or sound.subtype not in _FLAC_SUBTYPES:
            raise AudioError("codec", f"must be FLAC of 8/16/24 bits, got {sound.format}/{sound.subtype}")
        return
    if sound.format not in ("WAV", "WAVEX"):
        raise AudioError("codec", f"must be WAV, got {sound.format}/{sound.subtype}")
    walked = (header.subtype, header.channels, header.sr, header.n_frames)
    decoded = (sound.subtype, sound.channels, sound.samplerate, sound.frames)
    if walked != decoded:
        raise AudioError("decode", f"header can be read in two ways: {walked} and {decoded}")


def _check_duration(n_frames: int, sr: int, *, max_duration_s: float, max_frames: int | None) -> None:
    if n_frames <= 0:
        raise AudioError("empty", "no samples in the file")
    if n_frames >= _UNKNOWN_FRAMES:
        raise AudioError("empty", "header must state the length, this one was streamed; encode the file again")
    if n_frames > max_duration_s * sr or (max_frames is not None and n_frames > max_frames):
        rule = f"must last at most {max_duration_s} s" + (f" and {max_frames} frames" if max_frames else "")
        raise AudioError("too_long", f"{rule}, got {n_frames} frames at {sr} Hz; cut the file")
    if n_frames < MIN_DURATION_S * sr:
        raise AudioError("too_short", f"must last at least {MIN_DURATION_S} s, got {n_frames} frames at {sr} Hz")


def _check_channel(channel: int | None, n_channels: int) -> None:
    if channel is not None and not 0 <= channel < n_channels:
        raise AudioError("channels", f"channel must be 0..{n_channels - 1}, got {channel}; or take the mean")


def _mono(blocks: Iterable[Float32Array], n_frames: int, channel: int | None) -> Float32Array:
    """Down-mix block by block, so that the channels are never all in memory at once."""
    samples = np.empty(n_frames, dtype=np.float32)
    at = 0
    for frames in blocks:  # (n, n_channels)
        mixed = samples[at : at + len(frames)]
        if channel is None and frames.shape[1] > 1:
            np.mean(frames, axis=1, out=mixed)
        else:
            mixed[:] = frames[:, channel or 0]
        at += len(frames)
    return samples


def _pcm16_blocks(content: bytes, header: WavHeader) -> Iterator[Float32Array]:
    """Decode 16-bit samples by themselves, as libsndfile does: x / 32768, always finite and within full scale."""
    n_values = header.n_frames * header.channels
    values = np.frombuffer(content, "<i2", count=n_values, offset=header.start).reshape(-1, header.channels)
    block = np.empty((min(_BLOCK_FRAMES, len(values)), header.channels), dtype=np.float32)
    for at in range(0, len(values), _BLOCK_FRAMES):
        part = values[at : at + _BLOCK_FRAMES]
        yield np.multiply(part, np.float32(1 / 32768), out=block[: len(part)])


def _checked_blocks(sound: Any) -> Iterator[Float32Array]:
    """Decode by libsndfile, every sample checked; a block, shape (n, n_channels), is valid until the next one."""
    n_frames = sound.frames
    block = np.empty((_BLOCK_FRAMES, sound.channels), dtype=np.float32)
    for at in range(0, n_frames, _BLOCK_FRAMES):
        n_wanted = min(_BLOCK_FRAMES, n_frames - at)
        frames = sound.read(n_wanted, out=block)[:n_wanted]
        if len(frames) < n_wanted:
            got = at + len(frames)
            raise AudioError("decode", f"damaged: header claims {n_frames} frames, {got} can be decoded")
        _check_values(frames)
        yield frames


def _mono_blocks(sound: Any, channel: int | None) -> Iterator[Float32Array]:
    """Decode, check and down-mix a stream block by block."""
    for frames in _checked_blocks(sound):
        yield _mono([frames], len(frames), channel)


def _check_values(frames: Float32Array) -> None:
    lowest, highest = float(frames.min()), float(frames.max())  # both are NaN where any sample is
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise AudioError("nonfinite", "samples must be finite, got NaN or infinity")
    peak = max(-lowest, highest)
    if peak > MAX_ABS:
        raise AudioError("range", f"samples must be within +-{MAX_ABS:g} (full scale is 1), got {peak:.3g}")


def _resampled(samples: Float32Array, sr: int) -> Float32Array:
    if sr == SR:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples, sr, SR), dtype=np.float32)
