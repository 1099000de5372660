"""Scoring files and folders with one or more detectors: one row per clip and detector, even for refused clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.audio.segments import Segment, check_segments, segments
from asd_core.data.clip_lists import expand, place_of, read_remote, refusal_of
from asd_core.data.folders import Skipped
from asd_core.detectors.contract import Detector
from asd_core.errors import AudioError, InputError, UsageError
from asd_core.evaluation.operating import verdict
from asd_core.features.cache import read_clip
from asd_core.formats import PLAIN, CsvStyle
from asd_core.system.files import csv_text
from asd_core.system.threads import one_blas_thread
from asd_core.types import DerivedArray, Waveform

Channel: TypeAlias = int | Literal["mean"] | None
"""A channel from 0, the mean of all, or None for the one that a detector was trained on."""


@dataclass(frozen=True, eq=False)
class _Shared(Waveform):
    """A clip in memory whose features are computed once for all detectors that score it."""

    features: dict[str, Any] = field(default_factory=dict, repr=False)

    def _derived(self, name: str, compute: Callable[[], DerivedArray]) -> DerivedArray:
        if name not in self.features:
            self.features[name] = compute()
        return cast(DerivedArray, self.features[name])


@dataclass(frozen=True)
class ScoreRow:
    """One clip under one detector; the columns of the `score` command.

    `simulated` says whether the detector was trained on simulated sound; None where an older file does not tell.
    """

    path: str
    model: str
    encoder: str
    status: str
    reason: str
    anomaly_score: float | None
    threshold: float | None
    verdict: str
    simulated: bool | None

    @classmethod
    def refused(cls, path: str, model: str, encoder: str, reason: str, simulated: bool) -> ScoreRow:
        """Build the row of a clip that could not be scored."""
        return cls(path, model, encoder, "refused", reason, None, None, "", simulated)


@dataclass(frozen=True)
class SegmentRow(ScoreRow):
    """One segment of a recording under one detector; `end_s` is None where the recording could not be read on."""

    start_s: float
    end_s: float | None


@dataclass(frozen=True)
class Scorer:
    """A trained detector, the name that its rows give it, and the channel that it hears.

    Parameters
    ----------
    channel
        From 0; None is the mean of all.
    notes
        Warnings of each of its rows.
    """

    model: str
    artifact: Artifact
    detector: Detector
    channel: int | None
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, model: str, artifact: Artifact, *, channel: Channel = None) -> Scorer:
        """Build the detector of an artifact."""
        heard = _heard_channel(artifact, channel)
        return cls(model, artifact, artifact.detector(), heard, _channel_notes(artifact, channel))

    def score(self, waveform: Waveform | AudioError, *, path: str) -> ScoreRow:
        """Score one read clip, or record why it was refused."""
        return score_waveform(waveform, self.artifact, self.detector, path=path, model=self.model, notes=self.notes)


def _heard_channel(artifact: Artifact, channel: Channel) -> int | None:
    """The channel to read, from 0, where `channel` overrides that of the detector; None is the mean."""
    if channel is None:
        return artifact.channel
    return None if channel == "mean" else channel


def _channel_notes(artifact: Artifact, channel: Channel) -> tuple[str, ...]:
    """A warning where another channel is heard than in the training."""
    heard = _heard_channel(artifact, channel)
    if heard == artifact.channel:
        return ()
    return (f"channel: {_channel_name(heard)} instead of the detector's {_channel_name(artifact.channel)}",)


def channel_warnings(models: Sequence[Path], channel: Channel) -> list[str]:
    """Say of which models another channel is heard than in their training."""
    if channel is None:
        return []
    return [f"{note} ({model})" for model in models for note in _channel_notes(open_artifact(model), channel)]


def _channel_name(channel: int | None) -> str:
    return "mean" if channel is None else str(channel)


def score_clips(
    paths: Sequence[Path],
    models: Sequence[Path],
    *,
    channel: Channel = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_skipped: Callable[[Skipped], None] | None = None,
) -> list[ScoreRow]:
    """Score files, recordings below folders and clips of clip lists with each model; rows by path, then model.

    Parameters
    ----------
    channel
        What to hear instead of each detector's own channel; its rows then say so.
    on_progress
        Called with (clips done, clips in all).
    on_skipped
        Called before the first clip with the files that are no recordings.

    Raises
    ------
    UsageError
        No such file or folder, or no recording in any of them.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    """
    names = _names(paths, on_skipped)
    opened = [(model, open_artifact(model)) for model in models]
    scorers = [Scorer.load(str(model), artifact, channel=channel) for model, artifact in opened]
    rows: list[ScoreRow] = []
    with one_blas_thread():
        for done, name in enumerate(names, start=1):
            rows += score_clip(name, scorers)
            if on_progress is not None:
                on_progress(done, len(names))
    return sorted(rows, key=lambda row: (row.path, row.model))


def _names(paths: Sequence[Path], on_skipped: Callable[[Skipped], None] | None) -> tuple[str, ...]:
    clips = expand(paths)
    if on_skipped is not None:
        on_skipped(clips.skipped)
    return clips.names


def score_segments(
    paths: Sequence[Path],
    models: Sequence[Path],
    *,
    segment_s: float,
    hop_s: float,
    channel: Channel = None,
    on_progress: Callable[[str, float], None] | None = None,
    on_skipped: Callable[[Skipped], None] | None = None,
) -> list[SegmentRow]:
    """Score long recordings segment by segment, in bounded memory; rows sorted by path, model and start.

    A last segment that is shorter than a detector's minimum is left out, unless it is the only one. Where a recording
    is damaged in the middle, the rows up to there are kept and a refused one follows.

    Parameters
    ----------
    channel, on_skipped
        As in `score_clips`.
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
    places = _local_places(_names(paths, on_skipped))
    scorers = [Scorer.load(str(model), open_artifact(model), channel=channel) for model in models]
    rows: list[SegmentRow] = []
    for name, place in places.items():
        for heard in dict.fromkeys(scorer.channel for scorer in scorers):
            own = [scorer for scorer in scorers if scorer.channel == heard]
            found = segments(place, segment_s=segment_s, hop_s=hop_s, channel=heard)
            for row in _score_recording(name, found, own):
                rows.append(row)
                if on_progress is not None:
                    on_progress(row.path, row.start_s)
    return sorted(rows, key=lambda row: (row.path, row.model, row.start_s))


def _local_places(names: Sequence[str]) -> dict[str, Path]:
    """Where each recording is: all are checked before the first, which may take hours, is read."""
    places = {name: place_of(name, "") for name in names}
    if remote := [name for name, place in places.items() if place is None]:
        more = f" and {len(remote) - 3} more" if len(remote) > 3 else ""
        raise UsageError(
            "a recording to be cut into segments must be a local file, not a URL: fetch "
            f"{', '.join(map(ascii, remote[:3]))}{more} first"
        )
    return {name: Path(place) for name, place in places.items() if place is not None}


def _score_recording(name: str, found: Iterator[Segment], scorers: Sequence[Scorer]) -> Iterator[SegmentRow]:
    read_to = 0.0
    try:
        with one_blas_thread():
            for segment in found:
                read_to, waveform = segment.end_s, _for_all(segment.waveform)
                for scorer in scorers:
                    if segment.start_s > 0 and len(waveform.samples) < scorer.detector.min_samples:
                        continue
                    row = scorer.score(waveform, path=name)
                    yield SegmentRow(**vars(row), start_s=segment.start_s, end_s=segment.end_s)
    except AudioError as error:
        for scorer in scorers:
            row = scorer.score(refusal_of(error, name, ""), path=name)
            yield SegmentRow(**vars(row), start_s=read_to, end_s=None)


def score_clip(name: str, scorers: Sequence[Scorer], *, base: str = "") -> list[ScoreRow]:
    """Score a clip with each detector; it is read once for all that take the same channel.

    Parameters
    ----------
    name
        Path or URL, as the rows give it.
    base
        Folder that relative paths start from; default the current one.
    """
    waveforms: dict[int | None, Waveform | AudioError] = {}
    for channel in {scorer.channel for scorer in scorers}:
        waveforms[channel] = _read_or_refuse(name, base, channel)
    return [scorer.score(waveforms[scorer.channel], path=name) for scorer in scorers]


def _for_all(waveform: Waveform) -> Waveform:
    """The same clip for several detectors: features are computed once. Clips from the cache do so already."""
    if type(waveform) is not Waveform:
        return waveform
    return _Shared(waveform.samples, waveform.sr, waveform.digest, waveform.warnings)


def _read_or_refuse(name: str, base: str, channel: int | None) -> Waveform | AudioError:
    path = place_of(name, base)
    try:
        return _for_all(read_remote(name, channel=channel) if path is None else read_clip(path, channel=channel))
    except AudioError as error:
        return refusal_of(error, name, base)


def score_waveform(
    waveform: Waveform | AudioError,
    artifact: Artifact,
    detector: Detector,
    *,
    path: str,
    model: str,
    notes: tuple[str, ...] = (),
) -> ScoreRow:
    """Score one read clip, or record why it was refused; `notes` are warnings besides those about the clip."""
    encoder, simulated = artifact.encoder_id or "", artifact.simulated
    if isinstance(waveform, AudioError):
        return ScoreRow.refused(path, model, encoder, f"{waveform.code}: {waveform}", simulated)
    try:
        anomaly_score = detector.anomaly_score(waveform)
    except InputError as error:
        return ScoreRow.refused(path, model, encoder, f"input: {error}", simulated)
    warnings = notes + artifact.reading_warnings(waveform) + detector.input_warnings(waveform)
    warnings += artifact.unfamiliar(waveform)
    value = artifact.threshold.value
    status, judged = "warning" if warnings else "ok", verdict(anomaly_score, value)
    return ScoreRow(
        path=path,
        model=model,
        encoder=encoder,
        status=status,
        reason="; ".join(warnings),
        anomaly_score=anomaly_score,
        threshold=value,
        verdict=judged,
        simulated=simulated,
    )


def format_score_csv(
    rows: Sequence[ScoreRow],
    *,
    row_type: type[ScoreRow] = ScoreRow,
    header: bool = True,
    style: CsvStyle = PLAIN,
) -> str:
    """Write rows of one type as CSV, `simulated` last; text that a spreadsheet would run gets a leading `'`.

    Without `header` it continues a text, and has no byte-order mark either.
    """
    columns = sorted((field.name for field in fields(row_type)), key="simulated".__eq__)
    cells = ([getattr(row, column) for column in columns] for row in rows)
    if not header:
        return csv_text(cells, style=style)
    return style.mark + csv_text([columns, *cells], style=style)
