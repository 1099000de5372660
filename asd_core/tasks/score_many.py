"""Scoring more clips than one process should: parts of a clip list, scored by Dask's workers into Parquet files.

::

    <folder>/
        plan.json                        which clips and models this folder is for; another run is refused
        part-00000-<digest>.parquet      scores of the first clips: the columns of the `score` command, text as it is
        part-00001-<digest>.parquet
        run.json                         what came out, written at the end

A part's file is written once, by the worker that scored it, and named for its clips and models; it holds no times, so
that a part done twice gives the same bytes. Its metadata hold a digest of the whole file, which is compared before
anything else is read: a damaged part is scored again. A run that was killed anywhere goes on with the missing parts.
Folder, models and clips (unless they are URLs) must be seen under the same paths by every worker.

Whoever reaches a Dask scheduler can run code on its workers. The one that is started here listens on the loopback
address alone, without a dashboard.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asd_core.artifacts.store import open_artifact
from asd_core.data.clip_lists import expand, locate
from asd_core.errors import ArtifactError, UsageError
from asd_core.system.files import replace_file
from asd_core.system.locks import hold
from asd_core.system.packages import installed_versions
from asd_core.system.threads import one_blas_thread
from asd_core.tasks.score import Scorer, ScoreRow, format_score_csv, score_clip

if TYPE_CHECKING:
    import pyarrow as pa
    from distributed import Client, Future

PART_SIZE = 50
MAX_QUEUED = 256
"""Parts that the scheduler knows of at once: its memory and ours stay flat however many clips there are."""
CONNECT_S = 10
PLAN, RUN = "plan.json", "run.json"
ADDRESSES = ("tcp://", "tls://")
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Dask's own also trims freed memory at 64 kB: each array is then fresh pages; a clip took 1.5 times as long."""
_SEAL = b"sha256 of this file with zeros here: "
_NO_DIGEST = b"0" * 64
_PACKAGES = ("numpy", "scipy", "numba", "tensorflow", "soundfile", "soxr", "dask", "distributed", "pyarrow")


@dataclass(frozen=True)
class Model:
    """A version of a detector, pinned: `current` may change during a run."""

    name: str
    folder: str
    version: str
    digest: str


@dataclass(frozen=True)
class Run:
    """What every part needs to know."""

    folder: str
    base: str
    models: tuple[Model, ...]
    plan_digest: str


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
    on_progress: Callable[[int, int], None] | None = None,
    on_refused: Callable[[ScoreRow], None] | None = None,
) -> dict[str, Any]:
    """Score clips with each model into a folder of Parquet files; parts that are there and undamaged are reused.

    Parameters
    ----------
    folder
        New, empty, or of the same run: the same clips, models and part size.
    cluster
        Address of a Dask scheduler; default: processes of this machine, which end with the call.
    workers
        How many processes; default one for each core.
    part_size
        Clips in a part: what a worker does at once, and what is lost when it dies.
    on_progress
        Gets the clips done and their number.
    on_refused
        Gets the row of each refused clip and model, in order, at the end.

    Returns
    -------
    dict
        Keys of `run.json`.

    Raises
    ------
    UsageError
        No clips; a folder of another run; no scheduler or worker to be reached, or one that sees other folders.
    ArtifactError, EncoderUnavailableError
        A model that cannot be loaded.
    BusyError
        Another process writes to the folder.
    """
    _check_options(cluster, workers, part_size)
    clips = expand(paths)
    folder.mkdir(parents=True, exist_ok=True)
    run, plan = _plan(clips, sorted(models, key=str), folder, part_size)
    parts = _parts(clips, run, part_size)
    with hold(folder / ".lock", busy=f"{folder} is busy: another process scores into it"):
        _start_or_continue(folder, plan)
        found = _score_missing(run, parts, cluster, workers or os.cpu_count() or 1, on_progress)
        files = [part.file for part in parts]
        report = {**plan, "warnings": sorted(found), "parts": files, **_count(folder, files, on_refused)}
        replace_file(folder / RUN, _json(report))
    return report


def read_rows(folder: Path, files: Iterable[str]) -> Iterator[ScoreRow]:
    """Rows of parts in their order, one part in memory at a time.

    Raises
    ------
    UsageError
        A part is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        content = _undamaged(folder / file)
        if content is None:
            raise UsageError(
                f"{folder / file} is missing or damaged: run the same command again to score its clips anew"
            )
        with pq.ParquetFile(pa.BufferReader(content)) as part:
            records = part.read().to_pylist()
        yield from map(_row, records)


def write_csv(folder: Path, files: Sequence[str], path: Path) -> None:
    """Join parts into the CSV of the `score` command, part by part, all or nothing."""
    with _replacing(path) as stream:
        for number, file in enumerate(files):
            text = format_score_csv(list(read_rows(folder, [file])), header=number == 0)
            stream.write(text.encode("utf-8", "backslashreplace"))


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
    if _undamaged(target) is None:
        scorers = [_loaded(model) for model in run.models]
        with one_blas_thread():
            rows = [row for name in part.clips for row in score_clip(name, scorers, base=run.base)]
        replace_file(target, _parquet(rows))
    return package_versions()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that scores, or the way to them, depend on."""
    return installed_versions(_PACKAGES)


def version_warnings(here: Mapping[str, str], there: Mapping[str, str]) -> set[str]:
    """`versions: text` lines on what a worker has otherwise."""
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


def _plan(clips: Sequence[str], models: Sequence[Path], folder: Path, part_size: int) -> tuple[Run, dict[str, Any]]:
    pinned = tuple(_pin(model) for model in models)
    base = str(Path.cwd())
    plan = {
        "schema": 1,
        "command": "score",
        "warnings": [],
        "models": [{"model": model.name, "version": model.version, "digest": model.digest} for model in pinned],
        "n_clips": len(clips),
        "part_size": part_size,
        "clips_digest": _digest([[name, locate(name, base)] for name in clips]),
    }
    digest = hashlib.sha256(_json(plan)).hexdigest()
    return Run(os.path.abspath(folder), base, pinned, digest), plan  # noqa: PTH100 - links stay: workers may follow them elsewhere


def _pin(model: Path) -> Model:
    artifact = open_artifact(model)
    return Model(str(model), os.path.abspath(artifact.folder), artifact.version, artifact.digest)  # noqa: PTH100


def _parts(clips: Sequence[str], run: Run, part_size: int) -> list[Part]:
    models = [[model.name, model.version, model.digest] for model in run.models]
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
                f"{folder} holds another run: other clips, models or part size; name another folder for this one"
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
def _loaded(model: Model) -> Scorer:
    artifact = open_artifact(Path(model.folder))
    if artifact.digest != model.digest:
        raise ArtifactError(f"{model.folder} is another version on a worker than where the run was started")
    return Scorer.load(model.name, artifact)


def _score_missing(
    run: Run, parts: Sequence[Part], cluster: str | None, workers: int, on_progress: Callable[[int, int], None] | None
) -> set[str]:
    """Score the parts whose file is missing or damaged; return what is to be said of the workers."""
    missing = [part for part in parts if _undamaged(Path(run.folder) / part.file) is None]
    if not missing:
        return set()
    n_clips = sum(len(part.clips) for part in parts)
    done = n_clips - sum(len(part.clips) for part in missing)
    here, found = package_versions(), set[str]()
    with _client(cluster, min(workers, len(missing))) as client:
        for part, there in _scored(client, run, missing):
            found |= version_warnings(here, there)
            done += len(part.clips)
            if on_progress is not None:
                on_progress(done, n_clips)
    return found


def _scored(client: Client, run: Run, parts: Sequence[Part]) -> Iterator[tuple[Part, dict[str, str]]]:
    """Have parts scored, a limited number queued at a time; yield each with what its worker said."""
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
    """What a worker returned.

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


@contextlib.contextmanager
def _client(cluster: str | None, workers: int) -> Iterator[Client]:
    if cluster is not None:
        with _connected(cluster) as client:
            yield client
        return
    import dask.config
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # None alone would take port 8787 for its pages
            silence_logs=logging.ERROR,
        ) as local,
        Client(local) as client,
    ):
        yield client


@contextlib.contextmanager
def _connected(cluster: str) -> Iterator[Client]:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():  # versions are compared part by part, with our own packages
        warnings.simplefilter("ignore", VersionMismatchWarning)
        try:
            client = Client(cluster, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {cluster} within {CONNECT_S} s; start one with `dask scheduler`"
            ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise UsageError(f"the scheduler at {cluster} has no worker; start some with `dask worker`") from error
        yield client


def _parquet(rows: Sequence[ScoreRow]) -> bytes:
    """Rows as a Parquet file, sealed with its digest, whose bytes follow from the rows alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {field.name: [_to_parquet(getattr(row, field.name)) for row in rows] for field in fields(ScoreRow)}
    sink = BytesIO()
    with pq.ParquetWriter(sink, _schema(), version="2.6", compression="zstd", compression_level=3) as writer:
        writer.write_table(pa.table(columns, schema=_schema()))
        writer.add_key_value_metadata({"digest": (_SEAL + _NO_DIGEST).decode()})
    return _sealed(sink.getvalue())


def _sealed(content: bytes) -> bytes:
    """Put the file's digest where zeros hold its place in the metadata, which follow all clips' names."""
    before, _, after = content.rpartition(_SEAL + _NO_DIGEST)
    return before + _SEAL + hashlib.sha256(content).hexdigest().encode() + after


def _undamaged(path: Path) -> bytes | None:
    """Content of a part's file; None where there is none, or its bytes are not those that were sealed."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    start = content.rfind(_SEAL) + len(_SEAL)
    digest, rest = content[start : start + len(_NO_DIGEST)], content[start + len(_NO_DIGEST) :]
    whole = hashlib.sha256(content[:start] + _NO_DIGEST + rest).hexdigest().encode()
    return content if digest == whole else None


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [(field.name, pa.float64() if _is_number(field.name) else pa.string()) for field in fields(ScoreRow)]
    )


def _is_number(column: str) -> bool:
    return column in ("anomaly_score", "threshold")


def _to_parquet(value: str | float | None) -> str | float | None:
    """Empty text becomes null; names that are no UTF-8 are escaped as in the CSV."""
    return (value.encode("utf-8", "backslashreplace").decode() or None) if isinstance(value, str) else value


def _row(record: Mapping[str, Any]) -> ScoreRow:
    columns: dict[str, Any] = {
        name: "" if value is None and not _is_number(name) else value for name, value in record.items()
    }
    return ScoreRow(**columns)


def _count(folder: Path, files: Sequence[str], on_refused: Callable[[ScoreRow], None] | None) -> dict[str, Any]:
    """Count the rows of each status, and the clips that any model refused."""
    statuses = dict.fromkeys(("ok", "warning", "refused"), 0)
    n_refused, last_refused = 0, None
    for row in read_rows(folder, files):
        statuses[row.status] += 1
        if row.status != "refused":
            continue
        n_refused += row.path != last_refused  # rows of a clip stand together
        last_refused = row.path
        if on_refused is not None:
            on_refused(row)
    return {"statuses": statuses, "n_refused": n_refused}


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when it is whole; a device or link is written to and never replaced."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        with path.open("wb") as stream:
            yield stream
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    try:
        with staged.open("wb") as stream:
            yield stream
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
