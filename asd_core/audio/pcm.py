"""The samples of a WAV as floats.

They are decoded here, so that nobody else reads a WAV's header, and none can understand it in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from asd_core.audio.g711 import a_law_levels, mu_law_levels
from asd_core.audio.refusals import changed_while_read
from asd_core.audio.riff import Content, WavHeader
from asd_core.types import Float32Array

BLOCK_FRAMES = 65_536


def wav_blocks(content: Content, header: WavHeader) -> Iterator[Float32Array]:
    """Decode a WAV block by block, each valid until the next one.

    Yields
    ------
    float32 of shape (n, n_channels), n at most 65,536; full scale is 1. Only floating-point samples can lie beyond it.

    Raises
    ------
    AudioError
        With code "decode", where the file has become shorter.
    """
    decode = _decoders()[header.subtype]
    room = np.empty((min(BLOCK_FRAMES, header.n_frames), header.channels), dtype=np.float32)
    for at in range(0, header.n_frames, BLOCK_FRAMES):
        block = room[: header.n_frames - at]
        start = header.start + at * header.frame_bytes
        raw = content[start : start + len(block) * header.frame_bytes]
        if len(raw) < len(block) * header.frame_bytes:
            raise changed_while_read()
        decode(raw, block.reshape(-1))
        yield block


def _scaled(kind: str, full_scale: float) -> Callable[[bytes, Float32Array], None]:
    def decode(raw: bytes, out: Float32Array) -> None:
        np.multiply(np.frombuffer(raw, kind), np.float32(1 / full_scale), out=out, casting="same_kind")

    return decode


def _decode_u8(raw: bytes, out: Float32Array) -> None:
    np.subtract(np.frombuffer(raw, "u1"), np.float32(128), out=out)
    out *= np.float32(1 / 128)


def _decode_24(raw: bytes, out: Float32Array) -> None:
    wide = np.zeros((len(out), 4), dtype=np.uint8)
    wide[:, 1:] = np.frombuffer(raw, "u1").reshape(-1, 3)
    np.multiply(wide.view("<i4")[:, 0], np.float32(2**-31), out=out, casting="same_kind")


def _decode_float(kind: str) -> Callable[[bytes, Float32Array], None]:
    def decode(raw: bytes, out: Float32Array) -> None:
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a double too large for a float is infinite, and refused as that
            out[:] = np.frombuffer(raw, kind)

    return decode


def _looked_up(levels: Float32Array) -> Callable[[bytes, Float32Array], None]:
    def decode(raw: bytes, out: Float32Array) -> None:
        np.take(levels, np.frombuffer(raw, "u1"), out=out, mode="clip")  # a byte is always in range

    return decode


@functools.cache
def _decoders() -> Mapping[str, Callable[[bytes, Float32Array], None]]:
    return {
        "PCM_U8": _decode_u8,
        "PCM_16": _scaled("<i2", 2**15),
        "PCM_24": _decode_24,
        "PCM_32": _scaled("<i4", 2**31),
        "FLOAT": _decode_float("<f4"),
        "DOUBLE": _decode_float("<f8"),
        "ALAW": _looked_up(a_law_levels()),
        "ULAW": _looked_up(mu_law_levels()),
    }
