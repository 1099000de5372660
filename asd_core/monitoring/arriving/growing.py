"""Recordings that grow for hours, heard by segments while they grow.

The header of a WAV that is being written says nothing, or less than is there: only its format and where its sound
begins are believed, and how much there is tells the file's size. Each segment is decoded from its place, so that
hearing the newest one costs the same after a day as after a minute. Other formats are cut once they are whole.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asd_core.audio.opening import MAX_RECORDING_BYTES, FileContent, naming_refusals, opened, regular_size
from asd_core.audio.pcm import wav_blocks
from asd_core.audio.reading import MIN_DURATION_S, Sound, checked_blocks, down_mixed, resampled
from asd_core.audio.refusals import no_such_channel
from asd_core.audio.riff import WavHeader, are_chunks, check_layout, chunks, is_wav, wav_header
from asd_core.audio.segments import Segment, as_segment, segments
from asd_core.audio.stretches import extent
from asd_core.features.cache import split_name
from asd_core.types import SR, Float32Array

HOLE_S = 0.064
"""Exact zeros at the end that last this long: digital silence, or what a copy has reserved and not filled yet."""
HOLE_BYTES = 4096
MARGIN_S = 0.25
"""Sound before and after a stretch that resampling needs to give the samples of the whole recording."""


@dataclass(frozen=True)
class Cut:
    """How recordings are cut into segments: length, and distance of starts, in seconds."""

    segment_s: float
    hop_s: float

    def index_of(self, name: str) -> int | None:
        """Number of the segment that a clip's name names; None for a whole file."""
        span = split_name(name)[1]
        return None if span is None else round(span[0] / self.hop_s)

    def name_of(self, path: str, segment: Segment) -> str:
        """Name of a segment's clip: `run.wav#t=10,20`, as in W3C media fragments."""
        return f"{path}#t={_seconds(segment.start_s)},{_seconds(segment.end_s)}"


def segments_there(
    path: str | os.PathLike[str], cut: Cut, *, first: int, channel: int | None, is_whole: bool
) -> Iterator[Segment]:
    """Cut what is there of a recording into segments; memory holds one.

    Parameters
    ----------
    first
        Number of the first segment that is wanted.
    is_whole
        Whether the file no longer grows: the shorter last segment is then given, too, unless it lasts less than
        `MIN_DURATION_S`, and files of all formats are cut; of growing ones only WAV, RF64 and BW64.

    Raises
    ------
    AudioError
        As `asd_core.audio.segments.segments`.
    """
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        content = FileContent(descriptor, regular_size(descriptor, MAX_RECORDING_BYTES))
        if is_wav(content):
            yield from _of_wav(content, cut, first=first, channel=channel, is_whole=is_whole)
            return
    if is_whole:
        whole = segments(path, segment_s=cut.segment_s, hop_s=cut.hop_s, channel=channel)
        for segment in itertools.islice(whole, first, None):
            if segment.waveform.duration_s >= MIN_DURATION_S:
                yield segment


def silent_tail(samples: Float32Array) -> int:
    """Count the samples at the end that are exactly zero."""
    nonzero = np.flatnonzero(samples)
    return len(samples) - (int(nonzero[-1]) + 1 if len(nonzero) else 0)


def _of_wav(content: FileContent, cut: Cut, *, first: int, channel: int | None, is_whole: bool) -> Iterator[Segment]:
    header = _header_so_far(content)
    check_layout(header.channels, header.sr, channel=channel)
    if channel is not None and not 0 <= channel < header.channels:
        raise no_such_channel(channel, header.channels)
    n_segment, n_hop = round(cut.segment_s * SR), round(cut.hop_s * SR)
    n_there = header.n_frames * SR // header.sr
    n_settled = n_there - (0 if header.sr == SR or is_whole else math.ceil(MARGIN_S * SR))
    for start in itertools.count(first * n_hop, n_hop):
        is_last = start + n_segment > n_settled
        if is_last and not _is_left(start, n_there, n_segment, n_hop, is_whole=is_whole):
            return
        samples = _decoded(content, header, start, n_segment, channel)
        if not is_whole and silent_tail(samples) >= HOLE_S * SR:
            return  # silence, or not written yet
        yield as_segment(start, samples, n_segment, header.warnings if is_last else ())
        if is_last:
            return


def _is_left(start: int, n_there: int, n_segment: int, n_hop: int, *, is_whole: bool) -> bool:
    """Whether a last segment begins here that is long enough, and was not all in the one before."""
    covered = start - n_hop + n_segment if start else 0
    return is_whole and n_there - start >= MIN_DURATION_S * SR and n_there > covered


def _header_so_far(content: FileContent) -> WavHeader:
    """The header, with as many frames as the file has where its own number is that of an earlier moment."""
    sound = next((chunk for identity, chunk in chunks(content) if identity == b"data"), None)
    end = len(content) if sound is None or sound.is_open else min(len(content), sound.start + sound.n_bytes)
    header = wav_header(FileContent(content.descriptor, end))  # what follows is sound, which may look like chunks
    n_bytes = header.n_frames * header.frame_bytes
    end = header.start + n_bytes
    if end + header.frame_bytes <= len(content) and not are_chunks(content, end + n_bytes % 2):
        return replace(header, n_frames=(len(content) - header.start) // header.frame_bytes)
    return header


def _decoded(content: FileContent, header: WavHeader, start: int, n_samples: int, channel: int | None) -> Float32Array:
    """Samples from `start` on at the package's rate, decoded and resampled from their place in the file."""
    common = math.gcd(header.sr, SR)
    n_frames, n_at_rate = header.sr // common, SR // common  # so many frames are so many samples
    margin = 0 if header.sr == SR else math.ceil(MARGIN_S * SR)
    first_unit = max(0, (start - margin) // n_at_rate)
    end_unit = -((start + n_samples + margin) // -n_at_rate)
    first_frame, end_frame = first_unit * n_frames, min(end_unit * n_frames, header.n_frames)
    part = replace(
        header, start=header.start + first_frame * header.frame_bytes, n_frames=max(0, end_frame - first_frame)
    )
    sound = Sound(header.sr, part.n_frames, header.channels, (), wav_blocks(content, part))
    samples = resampled(down_mixed(checked_blocks(sound), part.n_frames, channel), header.sr)
    before = start - first_unit * n_at_rate
    return samples[before : before + n_samples].copy()


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def length_so_far(path: str | os.PathLike[str]) -> float:
    """How many seconds a recording holds by now; errors as `segments_there`."""
    with naming_refusals(os.fspath(path)), opened(path) as descriptor:
        content = FileContent(descriptor, regular_size(descriptor, MAX_RECORDING_BYTES))
        if is_wav(content):
            header = _header_so_far(content)
            return header.n_frames / header.sr
    length = extent(path)
    return length.n_frames / length.sr
