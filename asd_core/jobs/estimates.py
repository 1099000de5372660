"""How long a training will take, said before it starts: from the last ones of its kind here, or from one elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from asd_core.artifacts.store import open_artifact
from asd_core.detectors import detector_class
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import ArtifactError
from asd_core.jobs.listing import list_jobs
from asd_core.jobs.table import Job
from asd_core.tasks.train import TrainingRequest

LOOK_BACK, MOST_RUNS = 100, 5
"""Jobs that are searched, and of those found how many are taken."""
MOST_TIMES = 4
"""How many times more or fewer clips a training of seconds may have had for its time to be carried over."""
SPREAD, SPREAD_ELSEWHERE = (0.85, 1.25), (0.5, 2.0)
"""How far a training may lie from those that are known; another machine may be twice as fast or half."""
ELSEWHERE: Mapping[str, tuple[float, int]] = MappingProxyType(
    {
        "vggish_ocsvm": (12.9, 180),
        "lstm_predictor": (159.3, 144),
        "gru_autoencoder": (205.6, 144),
        "dcase_autoencoder": (39.0, 144),
        "vggish_mahalanobis": (1.7, 180),
        "vggish_knn": (1.7, 180),
    }
)
"""Detector name -> seconds and fitted clips of 10 s of the training that made the project's own, preset quick."""


@dataclass(frozen=True)
class Estimate:
    """How long a training will take, in seconds.

    Parameters
    ----------
    n_runs
        Trainings on this machine that it rests on; 0 where it rests on one elsewhere.
    """

    low_s: float
    high_s: float
    n_runs: int


def estimate(detector: str, preset: str, *, n_clips: int) -> Estimate | None:
    """Estimate the time of a training with a preset's own settings; None where nothing like it has been measured.

    Parameters
    ----------
    n_clips
        Normal training clips; the time of detectors that hear each of them equally often grows with their number.
    """
    scales = _grows_with_clips(detector, preset)
    is_short, alike = detector_class(detector).fits_in_seconds, _alike(detector, preset)
    runs = list(islice((run for run in alike if not is_short or _is_near(run[1], n_clips)), MOST_RUNS))
    if runs:
        times = [seconds * (n_clips / fitted if scales else 1.0) for seconds, fitted in runs]
        return Estimate(SPREAD[0] * min(times), SPREAD[1] * max(times), len(runs))
    if preset != "quick" or detector not in ELSEWHERE:
        return None
    seconds, fitted = ELSEWHERE[detector]
    seconds *= n_clips / fitted if scales else 1.0
    return Estimate(SPREAD_ELSEWHERE[0] * seconds, SPREAD_ELSEWHERE[1] * seconds, 0)


def _is_near(fitted: int, n_clips: int) -> bool:
    """Whether a short training tells of another: that on a few clips is mostly its start, which does not grow."""
    return fitted <= MOST_TIMES * n_clips and n_clips <= MOST_TIMES * fitted


def took_s(job: Job) -> float | None:
    """Seconds from a job's beginning to its end; None before the end."""
    began, ended = job.status.began_at, job.status.ended_at
    if began is None or ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _grows_with_clips(detector: str, preset: str) -> bool:
    made = detector_class(detector).from_preset(preset)
    return not isinstance(made, NetworkDetector) or made.windows_per_epoch == 0


def _alike(detector: str, preset: str) -> Iterator[tuple[float, int]]:
    """Seconds and fitted clips of the finished trainings of a kind whose version is still there, newest first."""
    for job in list_jobs()[:LOOK_BACK]:
        seconds = took_s(job)
        if job.state != "done" or not seconds or not _is_alike(job.request, detector, preset):
            continue
        if n_fitted := _n_fitted(job):
            yield seconds, n_fitted


def _is_alike(request: TrainingRequest | None, detector: str, preset: str) -> bool:
    if request is None or request.settings or request.folds is not None or request.resume:
        return False
    return (request.detector, request.preset) == (detector, preset)


def _n_fitted(job: Job) -> int:
    """Clips that a job's version was fitted on; 0 where it has been deleted or is damaged."""
    try:
        made = open_artifact(Path(job.status.model or "") / (job.status.version or ""))
    except ArtifactError:
        return 0
    return len(made.manifest.data.fitted_digests)
