"""Rows of scores as sealed Parquet files: written, checked, read back and joined to a CSV file.

A file's metadata hold a digest of the whole file, which is compared before anything else is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asd_core.errors import UsageError
from asd_core.formats import PLAIN, CsvStyle
from asd_core.system.extras import require
from asd_core.tasks.score import ScoreRow, format_score_csv

if TYPE_CHECKING:
    import pyarrow as pa

_SEAL = b"sha256 of this file with zeros here: "
_NO_DIGEST = b"0" * 64
_MAY_BE_MISSING = ("anomaly_score", "threshold", "simulated")
"""Columns in which null is None; in a column of text it is the empty text."""


def read_rows(folder: Path, files: Iterable[str], *, simulated: Mapping[str, bool] | None = None) -> Iterator[ScoreRow]:
    """Rows of parts in their order, one part in memory at a time.

    Parameters
    ----------
    simulated
        By model, for parts of a release that did not write this column; None leaves it open there.

    Raises
    ------
    UsageError
        A part is missing or damaged.
    """
    require("cluster", "pyarrow", task="reading Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        content = undamaged(folder / file)
        if content is None:
            raise UsageError(f"{folder / file} is missing or damaged: run the same command again to score its clips")
        with pq.ParquetFile(pa.BufferReader(content)) as part:
            records = part.read().to_pylist()
        yield from (_row(record, simulated or {}) for record in records)


def write_csv(
    folder: Path,
    files: Sequence[str],
    path: Path,
    *,
    simulated: Mapping[str, bool] | None = None,
    style: CsvStyle = PLAIN,
) -> None:
    """Join parts into the CSV of the `score` command, part by part, all or nothing; `simulated` as in `read_rows`."""
    with _replacing(path) as stream:
        for number, file in enumerate(files):
            rows = list(read_rows(folder, [file], simulated=simulated))
            text = format_score_csv(rows, header=number == 0, style=style)
            stream.write(text.encode("utf-8", "backslashreplace"))


def parquet_bytes(rows: Sequence[ScoreRow]) -> bytes:
    """Rows as a Parquet file, sealed with its digest; its bytes depend on the rows alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {field.name: [_to_parquet(getattr(row, field.name)) for row in rows] for field in fields(ScoreRow)}
    sink = BytesIO()
    with pq.ParquetWriter(sink, _schema(), version="2.6", compression="zstd", compression_level=3) as writer:
        writer.write_table(pa.table(columns, schema=_schema()))
        writer.add_key_value_metadata({"digest": (_SEAL + _NO_DIGEST).decode()})
    return _sealed(sink.getvalue())


def _sealed(content: bytes) -> bytes:
    """Replace the zeros in the metadata, which follow all clips' names, by the file's digest."""
    before, _, after = content.rpartition(_SEAL + _NO_DIGEST)
    return before + _SEAL + hashlib.sha256(content).hexdigest().encode() + after


def undamaged(path: Path) -> bytes | None:
    """Content of a part's file; None where it is missing, or its bytes are not those that were sealed."""
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

    others = {"anomaly_score": pa.float64(), "threshold": pa.float64(), "simulated": pa.bool_()}
    return pa.schema([(field.name, others.get(field.name, pa.string())) for field in fields(ScoreRow)])


def _to_parquet(value: str | float | None) -> str | float | None:
    """Empty text becomes null; invalid UTF-8 in names is escaped as in the CSV."""
    return (value.encode("utf-8", "backslashreplace").decode() or None) if isinstance(value, str) else value


def _row(record: Mapping[str, Any], simulated: Mapping[str, bool]) -> ScoreRow:
    columns: dict[str, Any] = {
        name: "" if value is None and name not in _MAY_BE_MISSING else value for name, value in record.items()
    }
    return ScoreRow(**{"simulated": simulated.get(columns["model"]), **columns})


def count_rows(folder: Path, files: Sequence[str], on_refused: Callable[[ScoreRow], None] | None) -> dict[str, Any]:
    """Count the rows of each status, and the clips that any model refused."""
    statuses = dict.fromkeys(("ok", "warning", "refused"), 0)
    n_refused, last_refused = 0, None
    for row in read_rows(folder, files):
        statuses[row.status] += 1
        if row.status != "refused":
            continue
        n_refused += row.path != last_refused  # rows of a clip are adjacent
        last_refused = row.path
        if on_refused is not None:
            on_refused(row)
    return {"statuses": statuses, "n_refused": n_refused}


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name once it is complete; a device or link is written to and never replaced."""
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
