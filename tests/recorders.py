"""Recorders and copiers as they are found in the field, for tests of a watched folder.

Each is a generator that writes, and yields the seconds that it waits before it goes on: a test may sleep them, or move
a clock of its own.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import soundfile

from asd_core.types import SR

Sounds = tuple[Path, Path]
"""The sound of most clips, and the one of a ring buffer's later rounds."""


def blocks(folder: Path, sounds: Sounds, number: int, pause_s: float = 3.0) -> Iterator[float]:
    """A script of Python: the file grows by a second at a time, its header saying each time what is there."""
    samples, _ = soundfile.read(sounds[0], dtype="int16")
    with wave.open(str(folder / f"blocks_{number}.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SR)
        for start in range(0, len(samples), SR):
            out.writeframes(samples[start : start + SR].tobytes())
            yield pause_s


def flush(folder: Path, sounds: Sounds, number: int, pause_s: float = 3.0) -> Iterator[float]:
    """The same, the header written at the end alone."""
    samples, _ = soundfile.read(sounds[0], dtype="int16")
    with soundfile.SoundFile(folder / f"flush_{number}.wav", "w", SR, 1, "PCM_16") as out:
        for start in range(0, len(samples), SR):
            out.write(samples[start : start + SR])
            out.flush()
            yield pause_s


def appended(folder: Path, sounds: Sounds, number: int, pause_s: float = 3.0) -> Iterator[float]:
    """A script that opens its file anew for each second, and writes a header that holds for what is there."""
    samples, _ = soundfile.read(sounds[0], dtype="int16")
    for end in range(SR, len(samples) + 1, SR):
        soundfile.write(folder / f"appended_{number}.wav", samples[:end], SR, "PCM_16")
        yield pause_s


def empty(folder: Path, sounds: Sounds, number: int, pause_s: float = 4.0) -> Iterator[float]:
    """Opens the file, writes nothing for long, then all at once."""
    with (folder / f"empty_{number}.wav").open("wb", buffering=0) as out:
        yield pause_s
        out.write(sounds[0].read_bytes())
    yield 0.1


def reserve(folder: Path, sounds: Sounds, number: int, pause_s: float = 0.8) -> Iterator[float]:
    """A copy that takes the full size at once and fills it slowly."""
    content = sounds[0].read_bytes()
    with (folder / f"reserve_{number}.wav").open("wb", buffering=0) as out:
        out.truncate(len(content))
        for start in range(0, len(content), 16_384):
            out.write(content[start : start + 16_384])
            yield pause_s


def stall(folder: Path, sounds: Sounds, number: int, pause_s: float = 5.0) -> Iterator[float]:
    """Half of the file, a pause, the rest."""
    content = sounds[0].read_bytes()
    with (folder / f"stall_{number}.wav").open("wb", buffering=0) as out:
        out.write(content[: len(content) // 2])
        yield pause_s
        out.write(content[len(content) // 2 :])
    yield 0.1


def reuse(folder: Path, sounds: Sounds, number: int, pause_s: float = 1.5) -> Iterator[float]:
    """A ring buffer of three files, each written again before long."""
    for place in range(3):
        (folder / f"rec{place}.wav").write_bytes(sounds[min(number, 1)].read_bytes())
        yield pause_s


def rename(folder: Path, sounds: Sounds, number: int, pause_s: float = 3.0) -> Iterator[float]:
    """Writes under a hidden name, then renames: what we advise."""
    hidden = folder / f".rename_{number}.wav"
    content = sounds[0].read_bytes()
    with hidden.open("wb", buffering=0) as out:
        out.write(content[: len(content) // 2])
        yield pause_s
        out.write(content[len(content) // 2 :])
    yield 0.3
    hidden.rename(folder / f"rename_{number}.wav")
    yield pause_s


RECORDERS: dict[str, Callable[..., Iterator[float]]] = {
    each.__name__: each for each in (blocks, flush, appended, empty, reserve, stall, reuse, rename)
}


def play(kind: str, folder: Path, sounds: Sounds, *, rounds: int = 3, pause_s: float | None = None) -> Iterator[float]:
    """Play a recorder some rounds long; `pause_s` replaces its own pauses."""
    for number in range(rounds):
        yield from RECORDERS[kind](folder, sounds, number, **({} if pause_s is None else {"pause_s": pause_s}))


def n_clips(kind: str, rounds: int = 3) -> int:
    """Clips that it records."""
    return 3 * rounds if kind == "reuse" else rounds
