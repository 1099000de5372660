"""The layouts of published data sets: what their file names and folders say of a clip.

- `dcase2020`: `<machine>/{train,test}/{normal,anomaly}_id_NN_00000000.wav`, evaluation clips `id_NN_00000000.wav`
- `dcase2021`: `<machine>/<any>/section_SS_{source,target}_{train,test}_{normal,anomaly}_NNNN[_attributes].wav`,
  evaluation clips without label, and from 2022 on without domain and split: `section_SS_NNNN.wav`. Those of 2026 have
  the same names and two channels: a microphone near the machine, and one far from it (arXiv 2606.01578)
- `mimii`: `<machine>/id_NN/{normal,abnormal}/00000000.wav`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_DCASE2020 = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<id>\d{2})_\d+$")
_DCASE2021 = re.compile(
    r"section_(?P<id>\d{2})(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?(?:_(?P<label>normal|anomaly))?"
    r"_\d+(?:_(?P<attributes>.*))?$"
)
_MIMII_ID = re.compile(r"id_(?P<id>\d{2})$")
_LABEL_WORDS = {"normal": "normal", "anomaly": "anomalous", "abnormal": "anomalous", None: "unlabelled"}


@dataclass(frozen=True)
class Published:
    """What a published data set's names say of a clip; `split` is None where they do not say it."""

    root: Path
    machine_id: str
    label: str
    rule: str
    split: str | None
    domain: str | None = None
    attributes: str | None = None


def _dcase2020(path: Path) -> Published | None:
    match = _DCASE2020.fullmatch(path.stem)
    if match is None or path.parent.name not in ("train", "test"):
        return None
    rule = f"{path.parent.name}, file names {match['label'] or 'id'}"
    return Published(path.parent.parent, match["id"], _LABEL_WORDS[match["label"]], rule, path.parent.name)


def _dcase2021(path: Path) -> Published | None:
    match = _DCASE2021.fullmatch(path.stem)
    if match is None:
        return None
    split, attributes = match["split"] or "test", match["attributes"] or None
    rule = f"{split}, file names {match['label'] or 'section'}"
    return Published(
        path.parent.parent, match["id"], _LABEL_WORDS[match["label"]], rule, split, match["domain"], attributes
    )


def _mimii(path: Path) -> Published | None:
    match = _MIMII_ID.fullmatch(path.parent.parent.name)
    if match is None or path.parent.name not in ("normal", "abnormal"):
        return None
    return Published(path.parents[2], match["id"], _LABEL_WORDS[path.parent.name], f"folder {path.parent.name}", None)


PUBLISHED: Mapping[str, Callable[[Path], Published | None]] = {
    "dcase2020": _dcase2020,
    "dcase2021": _dcase2021,
    "mimii": _mimii,
}
"""By the layout's key, in the order in which they are tried."""
