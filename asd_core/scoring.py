"""Scoring files and folders with one or more detectors: a row a clip and detector, whatever the clip is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from asd_core.artifacts import Artifact, csv_text, open_artifact
from asd_core.clips import find_audio
from asd_core.detector import Detector
from asd_core.errors import AudioError, InputError, UsageError
from asd_core.evaluation import thresholds
from asd_core.feature_cache import read_clip
from asd_core.formats import spreadsheet_cell
from asd_core.recording import Segment, check_segments, segments
from asd_core.types import Waveform


@dataclass(frozen=True)
class ScoreRow:
    """One clip under one detector; the columns of the `score` command."""

    path: str
    model: str
    encoder: str
    status: str
    reason: str
    anomaly_score: float | None
    threshold: float | None
    verdict: str

    @classmethod
    def refused(cls, path: str, model: str, encoder: str, reason: str) -> ScoreRow:
        """Build the row of a clip that could not be scored."""
        return cls(path, model, encoder, "refused", reason, None, None, "")


@dataclass(frozen=True)
class SegmentRow(ScoreRow):
    """One segment of a recording under one detector; `end_s` is None where the recording could not be read on."""

    start_s: float
    end_s: float | None


def score_clips(
    paths: Sequence[Path], models: Sequence[Path], *, on_progress: Callable[[int, int], None] | None = None
) -> list[ScoreRow]:
    """Score files and all audio files below folders with each model; rows sorted by path, then model.

    Raises
    ------
    UsageError
        No such file or folder, or no audio in any of them.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    """
    files = expand(paths)
    opened = [(model, open_artifact(model)) for model in models]
    scorers = [(model, artifact, artifact.detector()) for model, artifact in opened]
    rows: list[ScoreRow] = []
    for done, path in enumerate(files, start=1):
        rows += list(_score_file(path, scorers))
        if on_progress is not None:
            on_progress(done, len(files))
    return sorted(rows, key=lambda row: (row.path, row.model))


def score_segments(
    paths: Sequence[Path],
    models: Sequence[Path],
    *,
    segment_s: float,
    hop_s: float,
    on_progress: Callable[[str, float], None] | None = None,
) -> list[SegmentRow]:
    """Score long recordings segment by segment, in bounded memory; rows sorted by path, model and start.

    A last segment that is shorter than a detector's least is left out, unless it is the only one. Where a recording is
    damaged in the middle, the rows before it stay and a refused one follows.

    Parameters
    ----------
    on_progress
        Called with a path and the seconds of it that are scored.

    Raises
    ------
    UsageError
        As `score_clips`, or lengths out of range.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    """
    check_segments(segment_s, hop_s)
    files = expand(paths)
    opened = [(model, open_artifact(model)) for model in models]
    scorers = [(model, artifact, artifact.detector()) for model, artifact in opened]
    rows: list[SegmentRow] = []
    for path in files:
        for channel in dict.fromkeys(artifact.channel for _, artifact, _ in scorers):
            own = [scorer for scorer in scorers if scorer[1].channel == channel]
            for row in _score_recording(path, segments(path, segment_s=segment_s, hop_s=hop_s, channel=channel), own):
                rows.append(row)
                if on_progress is not None:
                    on_progress(row.path, row.start_s)
    return sorted(rows, key=lambda row: (row.path, row.model, row.start_s))


def _score_recording(
    path: Path, found: Iterator[Segment], scorers: Sequence[tuple[Path, Artifact, Detector]]
) -> Iterator[SegmentRow]:
    read_to = 0.0
    try:
        for segment in found:
            read_to = segment.end_s
            for model, artifact, detector in scorers:
                if segment.start_s > 0 and len(segment.waveform.samples) < detector.min_samples:
                    continue
                row = score_waveform(segment.waveform, artifact, detector, path=os.fspath(path), model=str(model))
                yield SegmentRow(**vars(row), start_s=segment.start_s, end_s=segment.end_s)
    except AudioError as error:
        for model, artifact, detector in scorers:
            row = score_waveform(error, artifact, detector, path=os.fspath(path), model=str(model))
            yield SegmentRow(**vars(row), start_s=read_to, end_s=None)


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files named, and .wav and .flac files below folders named; sorted, each once.

    Raises
    ------
    UsageError
        A path that does not exist, or no file at all.
    """
    found: set[Path] = set()
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{str(path)!r} does not exist")
        found.update(find_audio(path) if path.is_dir() and not path.is_symlink() else [path])
    if not found:
        raise UsageError("no .wav or .flac file in the folders named")
    return sorted(found, key=os.fspath)


def _score_file(path: Path, scorers: Sequence[tuple[Path, Artifact, Detector]]) -> Iterator[ScoreRow]:
    waveforms: dict[int | None, Waveform | AudioError] = {}
    for model, artifact, detector in scorers:
        channel = artifact.channel
        if channel not in waveforms:
            waveforms[channel] = _read_or_refuse(path, channel)
        yield score_waveform(waveforms[channel], artifact, detector, path=os.fspath(path), model=str(model))


def _read_or_refuse(path: Path, channel: int | None) -> Waveform | AudioError:
    try:
        return read_clip(path, channel=channel)
    except AudioError as error:
        return error


def score_waveform(
    waveform: Waveform | AudioError, artifact: Artifact, detector: Detector, *, path: str, model: str
) -> ScoreRow:
    """Score one read clip, or write down why it was refused."""
    encoder = artifact.encoder_id or ""
    if isinstance(waveform, AudioError):
        return ScoreRow.refused(path, model, encoder, f"{waveform.code}: {waveform}")
    try:
        anomaly_score = detector.anomaly_score(waveform)
    except InputError as error:
        return ScoreRow.refused(path, model, encoder, f"input: {error}")
    warnings = waveform.warnings + detector.input_warnings(waveform) + artifact.unfamiliar(waveform)
    value = artifact.threshold.value
    verdict = "" if value is None else _verdict(anomaly_score, value)
    status = "warning" if warnings else "ok"
    return ScoreRow(path, model, encoder, status, "; ".join(warnings), anomaly_score, value, verdict)


def _verdict(anomaly_score: float, threshold: float) -> str:
    return "anomalous" if bool(thresholds.is_anomalous(anomaly_score, threshold)) else "normal"


def format_score_csv(rows: Sequence[ScoreRow], *, row_type: type[ScoreRow] = ScoreRow) -> str:
    """Write rows of one type as CSV; text cells that a spreadsheet would run as a formula get a leading `'`."""
    columns = [field.name for field in fields(row_type)]
    return csv_text([columns, *([spreadsheet_cell(getattr(row, column)) for column in columns] for row in rows)])
