"""Verdicts that a listener marked wrong: the clip and its true label, kept as a data set to train on.

The folder `<data folder>/marked/<normal | anomalous>/` has the layout of own recordings; a clip is named by its digest,
and `marked.jsonl` records when and with which label it was marked. Marking again replaces the label.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath

from asd_core.audio.reading import encode_wav
from asd_core.errors import UsageError
from asd_core.system.clock import utc_now
from asd_core.system.disk import check_free_disk
from asd_core.system.files import parse_json, read_if_present, replace_beneath
from asd_core.system.locks import data_set_lock
from asd_core.system.places import data_dir
from asd_core.types import Waveform

DATA_SET_NAME = "marked"
"""Name of the data set of marked clips."""
LABELS = ("normal", "anomalous")
NAME_LENGTH = 16
MARKS = "marked.jsonl"
MAX_MARKS_BYTES = 64 * 2**20


def marked_dir() -> Path:
    """Folder of the marked clips."""
    return data_dir() / "marked"


def mark(waveform: Waveform, label: str, *, shown_name: str = "") -> Path:
    """Keep a clip with its true label; returns its path.

    The clip is written under its label before it is removed from the other: a crash or a full disk loses no mark.

    Raises
    ------
    UsageError
        Another label than normal or anomalous, a clip without a digest, or too little room on the disk.
    BusyError
        Another process marks a clip and does not end, or the marked clips are being deleted.
    """
    if label not in LABELS:
        raise UsageError(f"a clip is marked {' or '.join(LABELS)}, not {label!r}")
    if not waveform.digest:
        raise UsageError("only clips that were read from a file can be marked")
    content = encode_wav(waveform.samples)
    check_free_disk(len(content))
    marked_dir().mkdir(parents=True, exist_ok=True)
    root, name = marked_dir().resolve(), f"{waveform.digest[:NAME_LENGTH]}.wav"
    with data_set_lock(DATA_SET_NAME):
        replace_beneath(root, PurePath(label, name), content)
        for other in LABELS:
            (root / other).mkdir(exist_ok=True)
            if other != label:
                (root / other / name).unlink(missing_ok=True)
        _note(waveform, label, shown_name)
    return marked_dir() / label / name


def _note(waveform: Waveform, label: str, shown_name: str) -> None:
    """Record in `marked.jsonl` when and with which label a clip was marked."""
    entry = {
        "digest": waveform.digest,
        "label": label,
        "shown_name": shown_name[:200],
        "marked_at": utc_now(),
    }
    with (marked_dir() / MARKS).open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(json.dumps(entry) + "\n")


def marks_of(digests: Iterable[str]) -> list[Path]:
    """Marked clips whose sound has one of these digests; the first `NAME_LENGTH` hex digits are enough."""
    names = sorted({f"{digest[:NAME_LENGTH]}.wav" for digest in digests})
    places = (marked_dir().resolve() / label / name for name in names for label in LABELS)
    return [path for path in places if path.is_file()]


def forget_marks(digests: Iterable[str]) -> None:
    """Remove marked clips whose sound has one of these digests, and the lines on them; damaged lines stay.

    Raises
    ------
    BusyError
        As `mark`.
    """
    gone = frozenset(digest[:NAME_LENGTH] for digest in digests)
    if not gone or not (marked_dir() / MARKS).exists():
        return
    with data_set_lock(DATA_SET_NAME):
        for path in marks_of(gone):
            path.unlink(missing_ok=True)
        root = marked_dir().resolve()
        lines = (read_if_present(root / MARKS, at_most=MAX_MARKS_BYTES) or b"").splitlines(keepends=True)
        kept = [line for line in lines if _digest(line) not in gone]
        if len(kept) < len(lines):
            replace_beneath(root, PurePath(MARKS), b"".join(kept))


def _digest(line: bytes) -> str:
    try:
        entry = parse_json(line)
    except ValueError:
        return ""
    return str(entry.get("digest"))[:NAME_LENGTH] if isinstance(entry, dict) else ""


def marked_label(digest: str) -> str | None:
    """Label that a clip was marked with, or None."""
    name = f"{digest[:NAME_LENGTH]}.wav"
    return next((label for label in LABELS if digest and (marked_dir() / label / name).is_file()), None)
