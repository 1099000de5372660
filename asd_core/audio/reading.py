"""Reading untrusted recordings, and writing clips for playback.

Accepted, by content and never by extension: WAV, RF64 and BW64 (PCM 8, 16, 24, 32 bit; float 32, 64 bit; G.711) and
FLAC, 1 to 8 channels (up to 64 where one is named), 8 to 192 kHz, 0.5 to 600 s. Everything else is refused with
`AudioError`, whose `code` is one of `REFUSAL_CODES`. WAVs are decoded by `audio.riff` and `audio.pcm`; libsndfile
sees FLAC alone, because its parsers for other formats and codecs are where its open advisories are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from asd_core.audio import refusals
from asd_core.audio.channels import Channels
from asd_core.audio.faults import sound_warnings
from asd_core.audio.kinds import other_kind
from asd_core.audio.opening import FileContent, naming_refusals, opened, read_regular, regular_size, too_big
from asd_core.audio.pcm import BLOCK_FRAMES, wav_blocks
from asd_core.audio.riff import Content, check_layout, is_wav, wav_header
from asd_core.errors import InputError
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
MAX_RECORDING_S = 24 * 3600
"""Of a long recording that is read in segments."""
MAX_FRAMES = 30_000_000
MAX_ABS = 16.0
"""Largest magnitude of a sample before resampling: +24 dB above full scale."""

READER_VERSION = 3
"""Raised whenever the same bytes give different samples or warnings."""

_OTHER_KINDS = (
    (0, b"RIFX", "RIFX"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"PK\x03\x04", refusals.ARCHIVE),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
)
# FLAC counts frames in 36 bits; libsndfile gives more where the header states none.
_UNKNOWN_FRAMES = 2**36
_FLAC_SUBTYPES = ("PCM_S8", "PCM_16", "PCM_24")


@dataclass(frozen=True)
class Sound:
    """An open recording as it was stored, its samples unchecked.

    Parameters
    ----------
    sr
        The file's own sampling rate in Hz.
    n_frames
        Number of frames that `blocks` yields in all.
    n_channels
        Channels of the file.
    warnings
        `code: text` lines on the file ("truncated", "unfinished").
    blocks
        float32 of shape (n, n_channels), n at most 65,536, each valid until the next one. Raises AudioError where the
        file is damaged.
    """

    sr: int
    n_frames: int
    n_channels: int
    warnings: tuple[str, ...]
    blocks: Iterator[Float32Array]


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
        `code: text` lines on the file ("truncated", "unfinished").
    blocks
        Mono float32 of shape (n,), n at most 65,536; finite and within `MAX_ABS`. Raises AudioError where the file is
        damaged.
    n_channels
        Channels of the file, of which `blocks` gives one or the mean.
    late_warnings
        Filled once all blocks are read: that a compressed recording breaks off is known only then.
    """

    sr: int
    n_frames: int
    warnings: tuple[str, ...]
    blocks: Iterator[Float32Array]
    n_channels: int
    late_warnings: list[str] = field(default_factory=list)


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
        Channel to take, from 0; None takes the mean of all channels, of which there are at most 8.

    Returns
    -------
    Waveform
        Samples of shape (n_samples,), finite, read-only; `digest` is the SHA-256 of the file's bytes; `warnings`
        holds "truncated: ..." where the header claims more than the file has, "unfinished: ..." where a recorder was
        stopped before it wrote the length, "silent: ..." where max |x - mean| < 1e-6, and the other faults of
        `asd_core.audio.faults` and `asd_core.audio.channels`.

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
        Channel to take, from 0; None takes the mean of all channels, of which there are at most 8.
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
    pcm = _pcm16(samples)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sr)
        out.writeframes(pcm.tobytes())
    return buffer.getvalue()


def encode_flac(samples: npt.ArrayLike, *, sr: int = SR) -> bytes:
    """Encode a mono signal as 16-bit FLAC: the samples of `encode_wav`, in about half the bytes.

    Raises
    ------
    InputError
        If the samples are not one-dimensional or not finite.
    """
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, _pcm16(samples), sr, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _pcm16(samples: npt.ArrayLike) -> npt.NDArray[np.int16]:
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or not np.isfinite(signal).all():
        raise InputError(f"samples must be finite and of shape (n_samples,), got shape {signal.shape}")
    return np.clip(np.rint(signal * 32768), -32768, 32767).astype("<i2")


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
        Channel to take, from 0; None takes the mean of all channels, of which there are at most 8.

    Raises
    ------
    AudioError
        As `read_waveform`, here and from the stream's blocks.
    """
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        content = FileContent(descriptor, regular_size(descriptor, max_bytes))
        if other_kind(content) is not None:
            from asd_core.audio.sandbox import stream_in_child  # which imports this module

            with stream_in_child(content, channel=channel, max_duration_s=max_duration_s) as other_sound:
                yield other_sound
            return
        with _sound(content) as sound:
            n_frames = _checked_length(sound, channel, max_duration_s=max_duration_s, max_frames=None)
            yield SoundStream(sound.sr, n_frames, sound.warnings, _mono_blocks(sound, channel), sound.n_channels)


@contextlib.contextmanager
def unchecked_sound(path: str | os.PathLike[str], *, max_bytes: int) -> Iterator[Sound]:
    """Open a recording whose rate, length, channels and samples may be anything; its container is checked.

    Raises
    ------
    AudioError
        As `read_waveform`, here and from the blocks; for what is wrong with the container alone.
    """
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        content = FileContent(descriptor, regular_size(descriptor, max_bytes))
        with _sound(content) as sound:
            yield sound


def probe(
    path: str | os.PathLike[str], *, max_bytes: int = MAX_FILE_BYTES, max_duration_s: float = MAX_DURATION_S
) -> Extent:
    """Read a recording's rate, length and channels; of its sound at most the beginning. Errors as `stream_sound`."""
    with stream_sound(path, max_bytes=max_bytes, max_duration_s=max_duration_s, channel=0) as sound:
        return Extent(sound.sr, sound.n_frames, sound.n_channels)


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    with opened(path) as descriptor:
        return read_regular(descriptor, MAX_FILE_BYTES)


def _decoded(content: bytes, channel: int | None) -> Waveform:
    if other_kind(content) is not None:
        from asd_core.audio.sandbox import decode_in_child  # which imports this module

        return decode_in_child(content, channel=channel)
    with _sound(content) as sound:
        n_frames = _checked_length(sound, channel, max_duration_s=MAX_DURATION_S, max_frames=MAX_FRAMES)
        channels = Channels(channel)
        samples = down_mixed(channels.heard(checked_blocks(sound)), n_frames, channel)
    warnings = sound.warnings + sound_warnings(samples, sr=sound.sr) + channels.warnings(sr=sound.sr)
    samples = resampled(samples, sound.sr)
    samples.setflags(write=False)
    return Waveform(samples=samples, digest=hashlib.sha256(content).hexdigest(), warnings=warnings)


@contextlib.contextmanager
def _sound(content: bytes | FileContent) -> Iterator[Sound]:
    """Open a WAV or FLAC; anything else is refused."""
    if len(content) < MIN_BYTES:
        raise refusals.too_small(len(content), MIN_BYTES)
    if is_wav(content):
        header = wav_header(content)
        blocks = wav_blocks(content, header)
        yield Sound(header.sr, header.n_frames, header.channels, header.warnings, blocks)
    elif content[:4] == b"fLaC":
        with _flac(content) as sound:
            if sound.frames >= _UNKNOWN_FRAMES:
                raise refusals.unknown_length()
            yield Sound(sound.samplerate, sound.frames, sound.channels, (), _flac_blocks(sound))
    else:
        raise refusals.no_recording(_kind_of(content))


def _kind_of(content: Content) -> str:
    """Name a kind of recording that is not read; nothing of any other file is shown, since it may not be the user's."""
    return next(
        (kind for start, mark, kind in _OTHER_KINDS if content[start : start + len(mark)] == mark), "something else"
    )


@contextlib.contextmanager
def _flac(content: bytes | FileContent) -> Iterator[Any]:
    """Open libsndfile's decoder; what it cannot read is a refusal."""
    import soundfile as sf

    with contextlib.ExitStack() as stack:
        with _damage_refused():
            sound = stack.enter_context(sf.SoundFile(stack.enter_context(_file_of(content))))
        if sound.format != "FLAC" or sound.subtype not in _FLAC_SUBTYPES:
            raise refusals.unknown_flac(f"{sound.format}/{sound.subtype}")
        yield sound


@contextlib.contextmanager
def _damage_refused() -> Iterator[None]:
    import soundfile as sf

    try:
        yield
    except sf.SoundFileError as error:
        reason = getattr(error, "error_string", "")
        raise refusals.damaged(ascii(reason or "no reason given")) from error


def _file_of(content: bytes | FileContent) -> contextlib.AbstractContextManager[IO[bytes]]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.file()


def _flac_blocks(sound: Any) -> Iterator[Float32Array]:
    """Decode by libsndfile; a block, shape (n, n_channels), is valid until the next one."""
    n_frames = sound.frames
    block = np.empty((BLOCK_FRAMES, sound.channels), dtype=np.float32)
    for at in range(0, n_frames, BLOCK_FRAMES):
        n_wanted = min(BLOCK_FRAMES, n_frames - at)
        with _damage_refused():
            frames = sound.read(n_wanted, out=block)[:n_wanted]
        if len(frames) < n_wanted:
            raise refusals.damaged(f"header claims {n_frames} frames, {at + len(frames)} can be decoded")
        yield frames


def _checked_length(sound: Sound, channel: int | None, *, max_duration_s: float, max_frames: int | None) -> int:
    """Return the number of frames; refuse a layout or length that is not allowed, or an absent channel."""
    check_layout(sound.n_channels, sound.sr, channel=channel)
    n_frames, sr = sound.n_frames, sound.sr
    if n_frames <= 0:
        raise refusals.no_sound()
    if n_frames > max_duration_s * sr:
        raise refusals.too_long(n_frames, sr, rule=f"{max_duration_s} s", max_recording_s=MAX_RECORDING_S)
    if max_frames is not None and n_frames > max_frames:
        rule = f"{max_frames / sr:g} s at {sr} Hz"
        raise refusals.too_long(n_frames, sr, rule=rule, max_recording_s=MAX_RECORDING_S)
    if n_frames < MIN_DURATION_S * sr:
        raise refusals.too_short(n_frames, sr, MIN_DURATION_S)
    if channel is not None and not 0 <= channel < sound.n_channels:
        raise refusals.no_such_channel(channel, sound.n_channels)
    return n_frames


def down_mixed(blocks: Iterable[Float32Array], n_frames: int, channel: int | None) -> Float32Array:
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


def checked_blocks(sound: Sound) -> Iterator[Float32Array]:
    """Pass on blocks of finite samples within `MAX_ABS`."""
    for frames in sound.blocks:
        peak = _peak(frames)
        if peak > MAX_ABS:
            are_integers = bool((frames == np.rint(frames)).all())
            largest = max([peak, *map(_peak, sound.blocks)])  # of all that follow, too: it tells the scale
            raise refusals.out_of_range(largest, MAX_ABS, are_integers=are_integers)
        yield frames


def _mono_blocks(sound: Sound, channel: int | None) -> Iterator[Float32Array]:
    """Decode, check and down-mix a stream block by block."""
    for frames in checked_blocks(sound):
        yield down_mixed([frames], len(frames), channel)


def _peak(frames: Float32Array) -> float:
    lowest, highest = float(frames.min()), float(frames.max())  # both are NaN where any sample is
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise refusals.not_finite()
    return max(-lowest, highest)


def resampled(samples: Float32Array, sr: int) -> Float32Array:
    """Bring samples from a rate in Hz to `SR`, all at once."""
    if sr == SR:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples, sr, SR), dtype=np.float32)
