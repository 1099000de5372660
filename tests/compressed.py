"""Small recordings in every format that the child process decodes, encoded by PyAV; their mutants."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np


@dataclass(frozen=True)
class Coding:
    """How PyAV writes a recording: muxer, encoder, rate in Hz, channels, and bit rate where the encoder needs one."""

    muxer: str
    encoder: str
    sr: int
    n_channels: int = 1
    bit_rate: int | None = None


CODINGS = {
    "MP3": Coding("mp3", "libmp3lame", 44_100, bit_rate=128_000),
    "Vorbis": Coding("ogg", "vorbis", 44_100, n_channels=2),
    "Opus": Coding("ogg", "libopus", 48_000, bit_rate=64_000),
    "M4A": Coding("ipod", "aac", 44_100, bit_rate=128_000),
    "MP4": Coding("mp4", "aac", 48_000, n_channels=2),
    "ALAC": Coding("ipod", "alac", 44_100),
    "AAC": Coding("adts", "aac", 44_100, bit_rate=64_000),
    "WebM": Coding("webm", "libopus", 48_000),
    "Matroska": Coding("matroska", "aac", 44_100),
    "AIFF": Coding("aiff", "pcm_s16be", 44_100),
    "AMR": Coding("amr", "libopencore_amrnb", 8_000, bit_rate=12_200),
    "3GP": Coding("3gp", "libopencore_amrnb", 8_000, bit_rate=12_200),
    "MOV": Coding("mov", "pcm_s16le", 44_100),
    "WMA": Coding("asf", "wmav2", 44_100, bit_rate=128_000),
    "FLAC in Ogg": Coding("ogg", "flac", 44_100),
    "IMA ADPCM": Coding("wav", "adpcm_ima_wav", 8_000),
    "Microsoft ADPCM": Coding("wav", "adpcm_ms", 8_000),
    "G.726": Coding("wav", "g726", 8_000, bit_rate=32_000),
    "MP3 in WAV": Coding("wav", "libmp3lame", 44_100, bit_rate=64_000),
}


def noisy_hum(sr: int, *, seconds: float = 1.0, n_channels: int = 1, seed: int = 0) -> np.ndarray:
    """Hum of 200 Hz in white noise, shape (n_channels, n), with noise of its own in each channel."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr
    return (0.2 * np.sin(2 * np.pi * 200 * t) + 0.02 * rng.standard_normal((n_channels, len(t)))).astype(np.float32)


def encoded(samples: np.ndarray, coding: Coding, *, options: dict[str, str] | None = None) -> bytes:
    """Encode samples of shape (n_channels, n)."""
    stream = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    with av.open(stream, "w", format=coding.muxer, container_options=options or {}) as out:
        track = out.add_stream(coding.encoder, rate=coding.sr, layout=layout, options={"strict": "-2"})
        if coding.bit_rate is not None:
            track.bit_rate = coding.bit_rate
        track.codec_context.thread_count = 1
        for at in range(0, samples.shape[1], coding.sr):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, at : at + coding.sr]), "fltp", layout)
            frame.sample_rate, frame.pts = coding.sr, at
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return stream.getvalue()


@functools.cache
def recording(name: str, seconds: float = 1.0) -> bytes:
    """A hum in one of `CODINGS`."""
    coding = CODINGS[name]
    return encoded(noisy_hum(coding.sr, seconds=seconds, n_channels=coding.n_channels), coding)


def mutants(name: str, number: int) -> Iterator[bytes]:
    """Recordings with bytes changed, cut out, put in, or missing at the end; half of the changes are near the start."""
    rng = np.random.default_rng(list(CODINGS).index(name))
    base = recording(name)
    for _ in range(number):
        content = bytearray(base)
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(0, min(200, len(content)) if rng.random() < 0.5 else len(content)))
            _change(content, at, rng)
            if not content:
                break
        yield bytes(content)


def _change(content: bytearray, at: int, rng: np.random.Generator) -> None:
    kind = rng.integers(0, 5)
    if kind == 0:
        content[at] = int(rng.integers(0, 256))
    elif kind == 1:
        content[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 2:
        del content[at : at + int(rng.integers(1, 9))]
    elif kind == 3:
        content[at:at] = rng.bytes(int(rng.integers(1, 9)))
    else:
        del content[int(rng.integers(0, len(content))) + 1 :]
