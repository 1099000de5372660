"""Scoring more clips than suit one process: parts of a clip list, scored by Dask's workers into Parquet files.

::

    <folder>/
        plan.json                        which clips and models this folder is for; another run is refused
        part-00000-<digest>.parquet      scores of the first clips: the columns of the `score` command, unescaped
        part-00001-<digest>.parquet
        run.json                         what came out, written at the end

A part's file is written once, by the worker that scored it, and named for its clips and models; it holds no times, so
that scoring a part twice gives the same bytes. Its metadata hold a digest of the whole file, which is compared before
anything else is read: a damaged part is scored again. A run that was killed continues with the missing parts.
Every worker must see folder, models and clips (unless they are URLs) under the same paths.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.artifacts.store import open_artifact
from asd_core.data.clip_lists import expand, locate
from asd_core.data.folders import Skipped
from asd_core.errors import ArtifactError, UsageError
from asd_core.system.extras import require
from asd_core.system.files import replace_file
from asd_core.system.locks import hold
from asd_core.system.packages import installed_versions
from asd_core.system.threads import one_blas_thread
from asd_core.tasks.cluster import dask_client
from asd_core.tasks.score import Channel, Scorer, ScoreRow, channel_warnings, score_clip
from asd_core.tasks.score_parts import count_rows, parquet_bytes, undamaged

if TYPE_CHECKING:
    from distributed import Client, Future

PART_SIZE = 50
MAX_QUEUED = 256
"""Parts queued at once: memory, the scheduler's and ours, does not grow with the number of clips."""
PLAN, RUN = "plan.json", "run.json"
ADDRESSES = ("tcp://", "tls://")
_PACKAGES = ("numpy", "scipy", "onnxruntime", "tensorflow", "soundfile", "soxr", "dask", "distributed", "pyarrow")


@dataclass(frozen=True)
class Model:
    """A version of a detector, pinned: `current` may change during a run."""

    name: str
    folder: str
    version: str
    digest: str
    simulated: bool
    """Whether it was trained on simulated sound."""


@dataclass(frozen=True)
class Run:
    """What every part needs to know."""

    folder: str
    base: str
    models: tuple[Model, ...]
    plan_digest: str
    channel: Channel = None
    """Heard instead of each detector's own."""


@dataclass(frozen=True)
class Part:
    """Some clips and the file for their scores."""

    file: str
    clips: tuple[str, ...]


def score_to(
    paths: Sequence[Path],
    models: Sequence[Path],
    folder: Path,
    *,
    cluster: str | None = None,
    workers: int | None = None,
    part_size: int = PART_SIZE,
    channel: Channel = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_skipped: Callable[[Skipped], None] | None = None,
    on_refused: Callable[[ScoreRow], None] | None = None,
) -> dict[str, Any]:
    """Score clips with each model into a folder of Parquet files; parts that are there and undamaged are reused.

    Parameters
    ----------
    folder
        New, empty, or of the same run: the same clips, models, channel and part size.
    cluster
        Address of a Dask scheduler; default: processes of this machine, which end with the call.
    workers
        Number of processes; default one per core.
    part_size
        Clips in a part: what a worker does at once, and what is lost when it dies.
    channel
        What to hear instead of each detector's own channel; its rows then say so.
    on_progress
        Called with (clips done, clips in all).
    on_skipped
        Called before the first clip with the files that are no recordings.
    on_refused
        Called at the end with the row of each refused clip and model, in order.

    Returns
    -------
    dict
        Keys of `run.json`.

    Raises
    ------
    UsageError
        No clips; a folder of another run; no scheduler or worker in reach, or one that sees other folders.
    MissingExtraError
        Dask, fsspec or PyArrow is not installed.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    BusyError
        Another process writes to the folder.
    """
    require("cluster", task="scoring in parts")
    _check_options(cluster, workers, part_size)
    named = expand(paths)
    clips = named.names
    if on_skipped is not None:
        on_skipped(named.skipped)
    folder.mkdir(parents=True, exist_ok=True)
    run, plan = _plan(clips, sorted(models, key=str), folder, part_size, channel)
    parts = _parts(clips, run, part_size)
    with hold(folder / ".lock", busy=f"{folder} is busy: another process scores into it"):
        _start_or_continue(folder, plan)
        found = _score_missing(run, parts, cluster, workers or os.cpu_count() or 1, on_progress)
        files = [part.file for part in parts]
        report = {
            **plan,
            "warnings": sorted(found) + channel_warnings(sorted(models, key=str), channel),
            "skipped": named.skipped.to_json(),
            "models": [{**_named(model), "simulated": model.simulated} for model in run.models],
            "parts": files,
            **count_rows(folder, files, on_refused),
        }
        replace_file(folder / RUN, _json(report))
    return report


def score_part(run: Run, part: Part) -> dict[str, str]:
    """Score one part unless its file is there and undamaged, and say which packages did it; runs on a worker.

    Raises
    ------
    UsageError
        This worker does not see the run's folder.
    """
    folder = Path(run.folder)
    _check_folder(folder, run.plan_digest)
    target = folder / part.file
    if undamaged(target) is None:
        scorers = [_loaded(model, run.channel) for model in run.models]
        with one_blas_thread():
            rows = [row for name in part.clips for row in score_clip(name, scorers, base=run.base)]
        replace_file(target, parquet_bytes(rows))
    return package_versions()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that scores, or the way to them, depend on."""
    return installed_versions(_PACKAGES)


def version_warnings(here: Mapping[str, str], there: Mapping[str, str]) -> set[str]:
    """Return `versions: text` lines on what differs on a worker."""
    return {
        f"versions: a worker has {name} {there.get(name, 'not at all')}, this machine {here.get(name, 'not at all')}: "
        "scores may differ from those of other workers"
        for name in here.keys() | there.keys()
        if here.get(name) != there.get(name)
    }


def _check_options(cluster: str | None, workers: int | None, part_size: int) -> None:
    if cluster is not None and not cluster.startswith(ADDRESSES):
        raise UsageError(f"a scheduler's address must start with {' or '.join(ADDRESSES)}, got {cluster!r}")
    if cluster is not None and workers is not None:
        raise UsageError("the number of workers is that of the cluster: leave it out, or the cluster's address")
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be 1 or more, got {workers}")
    if part_size < 1:
        raise UsageError(f"a part must have 1 clip or more, got {part_size}")


def _plan(
    clips: Sequence[str], models: Sequence[Path], folder: Path, part_size: int, channel: Channel
) -> tuple[Run, dict[str, Any]]:
    pinned = tuple(_pin(model) for model in models)
    base = str(Path.cwd())
    plan = {
        "schema": 1,
        "command": "score",
        "warnings": [],
        "models": [_named(model) for model in pinned],
        "n_clips": len(clips),
        "part_size": part_size,
        "clips_digest": _digest([[name, locate(name, base)] for name in clips]),
        **_named_channel(channel),
    }
    digest = hashlib.sha256(_json(plan)).hexdigest()
    place = os.path.abspath(folder)  # noqa: PTH100 - links stay: workers may follow them elsewhere
    return Run(place, base, pinned, digest, channel), plan


def _named_channel(channel: Channel) -> dict[str, int | str]:
    """Return the entry of a plan for a chosen channel; a plan without one has the bytes of earlier releases."""
    return {} if channel is None else {"channel": channel}


def _named(model: Model) -> dict[str, str]:
    """Return what identifies a model in the plan, whose bytes must not change from release to release."""
    return {"model": model.name, "version": model.version, "digest": model.digest}


def _pin(model: Path) -> Model:
    artifact = open_artifact(model)
    folder = os.path.abspath(artifact.folder)  # noqa: PTH100
    return Model(str(model), folder, artifact.version, artifact.digest, artifact.simulated)


def _parts(clips: Sequence[str], run: Run, part_size: int) -> list[Part]:
    models: list[Any] = [[model.name, model.version, model.digest] for model in run.models]
    models += _named_channel(run.channel).items()
    parts = []
    for number, start in enumerate(range(0, len(clips), part_size)):
        some = tuple(clips[start : start + part_size])
        digest = _digest([models, [[name, locate(name, run.base)] for name in some]])
        parts.append(Part(f"part-{number:05d}-{digest[:16]}.parquet", some))
    return parts


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _json(report: Mapping[str, Any]) -> bytes:
    return (json.dumps(report, allow_nan=False, indent=1) + "\n").encode()


def _start_or_continue(folder: Path, plan: Mapping[str, Any]) -> None:
    """Claim an empty folder for this run, or find it claimed."""
    if (folder / PLAN).is_file():
        if (folder / PLAN).read_bytes() != _json(plan):
            raise UsageError(
                f"{folder} holds another run: other clips, models, channel or part size; name another folder for it"
            )
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError(f"{folder} holds other files; name a new or empty folder")
    replace_file(folder / PLAN, _json(plan))


def _check_folder(folder: Path, plan_digest: str) -> None:
    plan = folder / PLAN
    if not plan.is_file() or hashlib.sha256(plan.read_bytes()).hexdigest() != plan_digest:
        raise UsageError(f"a worker does not see this run's {plan}: folders must be shared, under the same path")


@lru_cache(maxsize=16)
def _loaded(model: Model, channel: Channel = None) -> Scorer:
    artifact = open_artifact(Path(model.folder))
    if artifact.digest != model.digest:
        raise ArtifactError(f"{model.folder} is another version on a worker than where the run was started")
    return Scorer.load(model.name, artifact, channel=channel)


def _score_missing(
    run: Run, parts: Sequence[Part], cluster: str | None, workers: int, on_progress: Callable[[int, int], None] | None
) -> set[str]:
    """Score the parts whose file is missing or damaged; return warnings about the workers."""
    missing = [part for part in parts if undamaged(Path(run.folder) / part.file) is None]
    if not missing:
        return set()
    n_clips = sum(len(part.clips) for part in parts)
    done = n_clips - sum(len(part.clips) for part in missing)
    here, found = package_versions(), set[str]()
    with dask_client(cluster, min(workers, len(missing))) as client:
        for part, there in _scored(client, run, missing):
            found |= version_warnings(here, there)
            done += len(part.clips)
            if on_progress is not None:
                on_progress(done, n_clips)
    return found


def _scored(client: Client, run: Run, parts: Sequence[Part]) -> Iterator[tuple[Part, dict[str, str]]]:
    """Have parts scored, a limited number queued at a time; yield each with its worker's versions."""
    from distributed import as_completed

    waiting = iter(parts)
    queued = {_submit(client, run, part): part for part in islice(waiting, MAX_QUEUED)}
    finished = as_completed(list(queued))
    for future in finished:
        part = queued.pop(future)
        yield part, _result(future, part)
        for following in islice(waiting, 1):
            submitted = _submit(client, run, following)
            queued[submitted] = following
            finished.add(submitted)


def _submit(client: Client, run: Run, part: Part) -> Future:
    return client.submit(score_part, run, part, pure=False)


def _result(future: Future, part: Part) -> dict[str, str]:
    """Return what a worker returned.

    Raises
    ------
    UsageError
        The scheduler or too many workers died, or a worker lacks a package.
    """
    from distributed import KilledWorker

    goes_on = "the same command goes on where this one ended"
    if future.status in ("cancelled", "lost"):
        raise UsageError(f"the scheduler is gone; {goes_on}")
    try:
        said: dict[str, str] = future.result()
    except KilledWorker as error:
        raise UsageError(f"workers died again and again over {part.file}; {goes_on}") from error
    except ImportError as error:
        raise UsageError(f"a worker lacks a package: {error}; install asd_core and what it needs there") from error
    return said
