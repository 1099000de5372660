"""What DCASE 2020 Task 2 publishes: archives, their sizes and MD5, and the clips of each machine, id and split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asd_core.data.clips import ClipIndex

PARTS = ("dev", "additional", "eval")
MACHINES = ("slider", "fan", "pump", "valve", "ToyCar", "ToyConveyor")
SPLITS = {"dev": ("train", "test"), "additional": ("train",), "eval": ("test",)}
CLIP_NAME = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<id>[0-9]{2})_[0-9]{1,12}\.wav")
_LABEL_WORDS = {"normal": "normal", "anomaly": "anomalous"}


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Parameters
    ----------
    record
        Number of the Zenodo record.
    md5
        As published; None if no source gives it.
    size
        In bytes; None if no source gives it.
    confirmed
        The MD5 comes from two sources, so that a mismatch means a damaged file and not a wrong table.
    """

    name: str
    record: int
    md5: str | None
    size: int | None = None
    confirmed: bool = False


class CountRow(NamedTuple):
    """Clips of one id, split and label: published and found."""

    machine_id: str
    split: str
    label: str
    expected: int
    found: int

    def to_json(self) -> dict[str, str | int]:
        """Write the row as commands do."""
        return dict(zip(("id", "split", "label", "expected", "found"), self, strict=True))


_MD5 = {
    "slider": (
        "da24a757719f0d94d5aa2d646bbfdc86",
        "f84f186f4295fc23754abcdd1b0580a7",
        "0193c769073840332ce3aad84b1ccaa2",
    ),
    "fan": (
        "649bdfc06263ae7a838963f43b6641e6",
        "567798854130c8019df8b664c095ed1e",
        "1eb9356a768cadfd0f2e59a5c57e578b",
    ),
    "pump": (
        "90e7091ef722b7238a7f1009365779cd",
        "4e33ae9c0db5cc88437675f5e317caee",
        "23a8f8f924be218c69df67fe07360348",
    ),
    "valve": (
        "34d2672f55bb041589ef79c10dc89934",
        "057cdd560caffb8305449541afd28c6d",
        "f69c551d2088691050d20cccca9d631c",
    ),
    "ToyCar": (
        "4dec75ca8d9f666aa9e4c1894a740501",
        "a5d4ccd498af70b04dd74b644b820006",
        "bea2bdd612f616be8f2b8eb087b32c7c",
    ),
    "ToyConveyor": (
        "03b6aa1bfd09a39d53af0ba39f71fa91",
        "0e808ac0b761e9fb13d5e0c65caff00d",
        "ccfcc9847c7d3404d7ee9d6d9e0b2ba2",
    ),
}
_CONFIRMED_SIZES = {"slider": 1_002_998_966, "fan": 1_354_774_772, "pump": 1_031_279_015}  # development archives
_RECORDS = {
    "dev": (3678171, "dev_data_{}.zip"),
    "additional": (3727685, "eval_data_train_{}.zip"),
    "eval": (3841772, "eval_data_test_{}.zip"),
}


def _archive(machine: str, part: str) -> RemoteFile:
    record, name = _RECORDS[part]
    size = _CONFIRMED_SIZES.get(machine) if part == "dev" else None
    return RemoteFile(name.format(machine), record, _MD5[machine][PARTS.index(part)], size, confirmed=size is not None)


ARCHIVES = {(machine, part): _archive(machine, part) for machine in MACHINES for part in PARTS}
LABEL_LIST = RemoteFile("eval_data_list.csv", 3951620, None)

_Counts = dict[str, dict[str, tuple[int, int, int]]]

DEV_COUNTS: _Counts = {
    "slider": {"00": (968, 100, 356), "02": (968, 100, 267), "04": (434, 100, 178), "06": (434, 100, 89)},
    "fan": {"00": (911, 100, 407), "02": (916, 100, 359), "04": (933, 100, 348), "06": (915, 100, 361)},
    "pump": {"00": (906, 100, 143), "02": (905, 100, 111), "04": (602, 100, 100), "06": (936, 100, 102)},
    "valve": {"00": (891, 100, 119), "02": (608, 100, 120), "04": (900, 100, 120), "06": (892, 100, 120)},
    "ToyCar": {"01": (1000, 350, 264), "02": (1000, 350, 265), "03": (1000, 350, 265), "04": (1000, 350, 265)},
    "ToyConveyor": {"01": (1000, 800, 400), "02": (1000, 800, 355), "03": (1000, 799, 355)},
}
"""Published clips of the development set by machine and id: training, normal test, anomalous test."""

EVAL_COUNTS: _Counts = {
    "slider": {"01": (968, 100, 178), "03": (968, 100, 178), "05": (434, 100, 178)},
    "fan": {"01": (934, 100, 326), "03": (912, 100, 358), "05": (1000, 109, 349)},
    "pump": {"01": (903, 100, 116), "03": (606, 100, 113), "05": (908, 100, 248)},
    "valve": {"01": (769, 100, 120), "03": (863, 100, 120), "05": (899, 100, 400)},
    "ToyCar": {"05": (1000, 250, 265), "06": (1000, 250, 265), "07": (1000, 250, 265)},
    "ToyConveyor": {"04": (1000, 200, 355), "05": (1000, 200, 355), "06": (1000, 200, 355)},
}
"""The same for the evaluation ids: additional training, normal test, anomalous test."""


def check_counts(folder: Path, machine: str, part: str) -> list[CountRow]:
    """Compare the clips below `<folder>/<machine>` with the published counts, by their names.

    Evaluation clips are counted as unlabelled whatever their names say. Ids that belong to no part of this machine are
    listed with 0 expected.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    for split in SPLITS[part]:
        for machine_id, label in _clip_labels(folder / machine / split):
            found[machine_id, split, label if part != "eval" else "unlabelled"] += 1
    return _count_rows(found, machine, part)


def published_counts(index: ClipIndex) -> list[CountRow]:
    """Compare an indexed machine with the published counts of the parts it has ids of, development first.

    Empty if there is nothing to compare: another layout, a machine that is not in DCASE 2020, ids of no part. A
    simulated machine of the same name is not recognised here; the caller knows. Evaluation clips as in `check_counts`.
    """
    machine = index.machine
    if index.layout != "dcase2020" or machine not in MACHINES:
        return []
    found = Counter((clip.machine_id, clip.split, clip.label) for clip in index.clips)
    rows = _count_rows(found, machine, "dev") if DEV_COUNTS[machine].keys() & set(index.machine_ids) else []
    for part, split in (("additional", "train"), ("eval", "test")):
        own: Counter[tuple[str, str, str]] = Counter()
        for key, n in found.items():
            if key[0] in EVAL_COUNTS[machine] and key[1] == split:
                own[(*key[:2], "unlabelled") if part == "eval" else key] += n
        rows += _count_rows(own, machine, part) if own else []
    return rows


def _count_rows(found: Counter[tuple[str, str, str]], machine: str, part: str) -> list[CountRow]:
    expected = expected_clips(machine, part)
    known = {*DEV_COUNTS[machine], *EVAL_COUNTS[machine]}
    strange = sorted(
        key for key in found if key not in expected and (key[0] not in known or _is_of(machine, part, key))
    )
    return [CountRow(*key, expected.get(key, 0), found[key]) for key in (*expected, *strange)]


def _is_of(machine: str, part: str, key: tuple[str, str, str]) -> bool:
    return key[0] in (DEV_COUNTS if part == "dev" else EVAL_COUNTS)[machine]


def _clip_labels(folder: Path) -> Iterator[tuple[str, str]]:
    """Ids and labels of the clips in one split's folder."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if (match := CLIP_NAME.fullmatch(path.name)) is not None:
            yield match["id"], _LABEL_WORDS.get(match["label"], "unlabelled")


def expected_clips(machine: str, part: str) -> dict[tuple[str, str, str], int]:
    """Published counts by id, split and label."""
    expected = {}
    for machine_id, (n_train, n_normal, n_anomalous) in (DEV_COUNTS if part == "dev" else EVAL_COUNTS)[machine].items():
        if part != "eval":
            expected[machine_id, "train", "normal"] = n_train
        if part == "dev":
            expected[machine_id, "test", "normal"] = n_normal
            expected[machine_id, "test", "anomalous"] = n_anomalous
        if part == "eval":
            expected[machine_id, "test", "unlabelled"] = n_normal + n_anomalous
    return expected


def unpacked_bytes(machine: str, part: str) -> int:
    """Room that the clips need: 16 kHz, 16 bit, 10 s (ToyCar 11 s), header 44 bytes."""
    return sum(expected_clips(machine, part).values()) * (2 * 16_000 * (11 if machine == "ToyCar" else 10) + 44)
