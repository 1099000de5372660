"""What a data set's owner says of a folder beyond its names, and the words that names are understood by."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from asd_core.errors import DataSetError, UsageError
from asd_core.system import typed_json

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Folder names, in any case, that are splits and never labels; also with a word of `_OF_A_SPLIT` behind them."""
_OF_A_SPLIT = "set|data|dataset|split|cut|clips|files|samples|recordings|audio|sounds?|wavs?"
NORMAL_WORDS = ("normal", "healthy", "good", "ok", "io", "intact")
ANOMALOUS_WORDS = (
    "abnormal",
    "anomaly",
    "anomalous",
    "faulty",
    "fault",
    "defect",
    "defective",
    "bad",
    "ng",
    "nok",
    "broken",
    "damaged",
)
HERE = "."
"""As the name of the normal label: clips in no label's folder are normal."""
_NEGATIONS = frozenset(("not", "no", "non", "un", "nicht", "kein", "free", "without", "ohne"))
_VAGUE = frozenset(("bad", "ng"))
"""Words for faults that mean other things beside others: `bad weather`."""
_NO_LABEL = frozenset(
    (
        *("", "unlabelled", "unlabeled", "unknown", "unsorted", "?", "nan", "none", "null", "-", "n/a", "na"),
        *("unclassified", "unverified", "unchecked", "undefined", "unsure", "to check", "to do", "todo"),
        *("background", "background noise", "misc", "backup"),
    )
)
_WORD = re.compile(r"[^\W\d_]+")
_SPLIT = re.compile(rf"({'|'.join(SPLITS)})(?:[\W_]?(?:{_OF_A_SPLIT}))?")
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")

IdsFrom = Literal["folder"]


@dataclass(frozen=True)
class FolderRules:
    """How the names below a folder are to be understood, where they do not say it themselves.

    Parameters
    ----------
    normal
        Names of the normal label, instead of `NORMAL_WORDS`; `.` stands for clips in no label's folder.
    labels
        A table of labels, see `asd_core.data.label_tables`; None takes `labels.csv` where it is there.
    ids_from
        `folder`: sub-folders are machine ids; None: only those called `id_*`, and others are recordings.
    recording_by
        How paths name the recording that a clip was cut from: `folder` (which then is no machine id), `none` (each clip
        is a recording of its own), or a regular expression, found anywhere in the path below the machine's folder: its
        first group, or all of it. Every normal clip that may be trained on needs one. None: sub-folders, else
        recordings are found in the sound.
    segment_s, hop_s
        Each file is a long recording, cut into clips of this length that start this far apart, in seconds; None for the
        hop takes the length.
    lossy
        Whether clips of lossy formats are trained on beside lossless ones.
    """

    normal: tuple[str, ...] = ()
    labels: Path | None = None
    ids_from: IdsFrom | None = None
    recording_by: str | None = None
    segment_s: float | None = None
    hop_s: float | None = None
    lossy: bool = False

    def completed_by(self, other: FolderRules) -> FolderRules:
        """The same rules; where these leave something open, as others have it: not the hop of other segments."""
        if self.segment_s is not None:
            other = replace(other, hop_s=None)
        named = [each.name for each in fields(self) if getattr(self, each.name) == getattr(NO_RULES, each.name)]
        return replace(self, **{name: getattr(other, name) for name in named})

    @cached_property
    def normal_keys(self) -> frozenset[str]:
        """The normal label's names as `label_key` gives them."""
        return frozenset(map(label_key, self.normal or NORMAL_WORDS))

    def label_of(self, name: str) -> str | None:
        """`normal` or `anomalous` where the name is a word for it; None for any other name."""
        key = label_key(name)
        if key in self.normal_keys:
            return "normal"
        return "anomalous" if key in ANOMALOUS_WORDS else None

    def check(self) -> None:
        """Check the names of the normal label.

        Raises
        ------
        UsageError
            A name that is a split or a word for a fault.
        """
        for name in self.normal:
            alone = PurePosixPath(name.strip().replace("\\", "/")).name or name
            if name.strip() != HERE and label_key(name) != label_key(alone):
                raise UsageError(
                    f"the normal label is called by its folder's name alone: {alone} instead of {name} (--normal "
                    f"{quoted(alone)})"
                )
            if not label_key(name):
                raise UsageError("the normal label (--normal) needs the name of a folder, got an empty one")
            if split_of(name) is not None:
                raise UsageError(
                    f"{name} cannot be the normal label (--normal): it is the name of a split; name the folder of "
                    "normal clips inside it, for example good"
                )
            if words_of(name) & set(ANOMALOUS_WORDS) and not words_of(name) & _NEGATIONS:
                raise UsageError(
                    f"{name} cannot be the normal label (--normal): it is a word for faults, so that its clips would "
                    "count as normal by mistake; rename the folder, or give each clip its label in labels.csv"
                )

    def to_json(self) -> dict[str, Any]:
        """The rules that differ from the defaults."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        given = {name: value for name, value in values.items() if value != getattr(NO_RULES, name)}
        return {
            name: list(value) if name == "normal" else str(value) if name == "labels" else value
            for name, value in given.items()
        }

    @classmethod
    def from_json(cls, content: object) -> FolderRules:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        return typed_json.from_json(cls, content)


NO_RULES = FolderRules()
"""Names are understood as they are."""


@lru_cache(maxsize=4096)  # a data set has many clips and few labels
def label_key(name: str) -> str:
    """A label in the form in which labels are compared: case, dots, blanks and slashes around it do not matter.

    Neither does the way in which a system writes accents: macOS names folders with a letter and its accent apart.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    return text if text == HERE else text.rstrip("/\\").strip().casefold().replace(".", "")


def split_of(name: str) -> str | None:
    """`train`, `val` or `test` where a folder's name is a split; None for any other name."""
    match = _SPLIT.fullmatch(name.strip().casefold())
    return None if match is None else SPLITS[match[1]]


def words_of(name: str) -> set[str]:
    """The words of a name in lower case: `NormalDay_2` has normal and day."""
    return set(_words(name))


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", name))]


def is_no_label(text: str) -> bool:
    """Whether the text of a label says that there is none."""
    return re.sub(r"(?<=\w)[-_](?=\w)", " ", text.strip().casefold()) in _NO_LABEL


def reads_like_normal(name: str) -> bool:
    """Whether a name holds a word for normal, as `normal_night` does, and none that turns it; or denies a fault."""
    words = words_of(name) | {label_key(name)}
    return _denies_a_fault(name) or (
        bool(words & set(NORMAL_WORDS)) and not words & (_NEGATIONS | set(ANOMALOUS_WORDS))
    )


def _denies_a_fault(name: str) -> bool:
    """Whether a name is like `no fault`, `defect-free` or `not_broken`."""
    words = _words(name)
    return any(
        (one in _NEGATIONS - {"free"} and other in ANOMALOUS_WORDS and other not in _VAGUE)
        or (one in ANOMALOUS_WORDS and other == "free")
        for one, other in pairwise(words)
    )


def reads_like_fault(name: str) -> bool:
    """Whether a name holds a word that means a fault wherever it stands, as `AnomalousSound` does."""
    return bool(words_of(name) & (set(ANOMALOUS_WORDS) - _VAGUE)) and not _denies_a_fault(name)


def check_kinds(kinds: Sequence[str], rules: FolderRules, where: str, *, others: Sequence[str] = ()) -> None:
    """Refuse kinds of anomaly whose names say normal.

    Parameters
    ----------
    kinds
        Names that would count as anomalous.
    where
        What they are names in: a folder, a table.
    others
        Names that count as normal already, and must be named too where one is.

    Raises
    ------
    DataSetError
        One of them reads like normal; the text gives the options that make it so.
    """
    wrong = sorted({name for name in kinds if reads_like_normal(name)})
    if not wrong:
        return
    all_normal = sorted({*others, *rules.normal, *wrong})
    names = ", ".join(wrong)
    raise DataSetError(
        f"{names} in {where} would count as anomalous, but the name says normal: if those clips are normal, add "
        f"{normal_options(all_normal)}; if not, rename",
        advice=f"{names} would count as anomalous, but the name says normal. If those clips are normal, enter "
        f"{', '.join(all_normal)} as the normal label; if not, rename the folder",
    )


def normal_options(names: Sequence[str]) -> str:
    """The options that name these as normal labels, as a shell takes them."""
    return " ".join(f"--normal {quoted(name)}" for name in names)


def quoted(name: str) -> str:
    """A name as shells take it, those of Windows too where that is possible."""
    if not re.search(r"[^\w./-]", name):
        return name
    return shlex.quote(name) if re.search(r"[\"$`\\!]", name) else f'"{name}"'
