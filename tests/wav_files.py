"""WAV and FLAC files put together byte by byte, right ones and wrong ones."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile as sf

from asd_core.types import SR

GUID = struct.pack("<HHIH", 22, 16, 0, 1) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
"""What follows the fmt chunk of the extensible form: PCM of 16 bits; the byte at 8 is the format tag."""


def tone(n=SR, *, freq=440.0, amp=0.5, sr=SR):
    return amp * np.sin(2 * np.pi * freq * np.arange(n) / sr)


def pcm16(x):
    return np.rint(np.asarray(x) * 32767).astype("<i2").tobytes()


def chunk(identity, body, n_bytes=None):
    n_bytes = len(body) if n_bytes is None else n_bytes
    return identity + struct.pack("<I", n_bytes) + body + b"\0" * (len(body) & 1)


def fmt(*, tag=1, channels=1, sr=SR, bits=16, align=None, extra=b""):
    align = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, sr, sr * align, align, bits) + extra)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(sound=None, n_bytes=None, **fields):
    sound = pcm16(tone()) if sound is None else sound
    return riff(fmt(**fields), chunk(b"data", sound, n_bytes))


def rf64(sound=None, *, magic=b"RF64", ds64=None, n_bytes=0xFFFFFFFF, before=(), between=(), after=()):
    sound = pcm16(tone()) if sound is None else sound
    ds64 = struct.pack("<QQQI", 0, len(sound), 0, 0) if ds64 is None else ds64
    body = b"".join((*before, chunk(b"ds64", ds64), *between, fmt(), chunk(b"data", sound, n_bytes), *after))
    return magic + b"\xff\xff\xff\xffWAVE" + body


def float_wav(x):
    return wav(np.asarray(x, "<f4").tobytes(), tag=3, bits=32)


def encoded(container, subtype, x=None, sr=SR):
    buffer = io.BytesIO()
    sf.write(buffer, tone() if x is None else x, sr, format=container, subtype=subtype)
    return buffer.getvalue()


def flac_claiming(n_frames, content):
    """Change the number of frames in STREAMINFO."""
    start = int.from_bytes(content[18:26], "big") >> 36 << 36
    return content[:18] + (start | n_frames).to_bytes(8, "big") + content[26:]
