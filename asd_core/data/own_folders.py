"""What the folders and file names of own recordings mean: split, label, machine, recording. Pure functions on names.

Below the named root, at any depth and in any case:

- `train`, `val`, `test` and their variants are splits and never labels;
- the first folder whose name is a word for normal or for faults is the label; where none is, the first that is no
  split, id or date is a kind of anomaly, provided that there are normal clips;
- folders above the label are machines, unless they are splits, ids or dates;
- `id_*` is a machine id; other sub-folders are recordings.

Where no folder is a label, the beginnings of file names are labels if every file has one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from asd_core.data.folder_rules import (
    ANOMALOUS_WORDS,
    HERE,
    NO_RULES,
    NORMAL_WORDS,
    FolderRules,
    check_kinds,
    is_no_label,
    label_key,
    normal_options,
    reads_like_fault,
    reads_like_normal,
    split_of,
)
from asd_core.errors import DataSetError
from asd_core.formats import display_name

NO_ID = "00"
_ID = re.compile(r"id_\w+", re.IGNORECASE)
_SESSION = re.compile(
    r"[\d\W_]*|\d[\dTZhms\W_]*|(?:19|20)\d\d([-_.]?)[01]\d\1[0-3]\d(?!\d).*"
    r"|(?:day|week|month|year|session|run|rec|recording|take|batch|shift|night|date|part|chunk|segment|fold)s?[\W_]*\d*",
    re.IGNORECASE,
)
"""Folders named by a date and what is added to it, a number or an occasion."""
_SHORT_NUMBER = re.compile(r"\d{1,3}")
_MOST_NUMBERS = 10
"""More of them are no labels."""
_TWO_WORDS = re.compile(r"([^\W_]+)[_ -]([^\W_]+)")
_BEGINNING = re.compile(r"[^\W\d_]+")
_RECORDER_WORDS = frozenset(
    (
        *("rec", "recording", "recorder", "record", "clip", "file", "audio", "sound", "track", "voice", "memo", "new"),
        *("zoom", "take", "ch", "channel", "mic", "img", "vid", "untitled", "wav", "tascam", "dr", "stereo", "mono"),
        *("sample", "part", "segment", "chunk", "data", "a", "b", "l", "r"),
    )
)
"""What recorders and programs begin names with."""


@dataclass(frozen=True)
class Meaning:
    """What names say of a clip.

    Parameters
    ----------
    label
        `normal`, `anomalous` or `unlabelled`.
    rule
        What said so, for people: `folder test/squeal`.
    split
        `train`, `val` or `test`; None where nothing says it.
    word
        The name that the label was read from; empty where there is none.
    kind
        Kind of anomaly.
    machine_id, recording
        The machine; the recording, None where nothing says it.
    span
        Start and end in seconds, where it is a stretch of its file.
    """

    label: str
    rule: str
    split: str | None = None
    word: str = ""
    kind: str | None = None
    machine_id: str = NO_ID
    recording: str | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class OwnMachine:
    """A machine below the root.

    Parameters
    ----------
    folder
        Its folder below the root, empty for the root itself, also where splits lie above the machine.
    layout
        `folders`, `names` or `loose`.
    meanings
        Of each file of it, by its path below the root.
    remarks
        Warnings on what was not understood.
    """

    folder: str
    layout: str
    meanings: Mapping[str, Meaning]
    remarks: tuple[str, ...] = ()


def understand(names: Sequence[str], rules: FolderRules) -> dict[str, OwnMachine]:
    """Find the machines below a root and what each file's names mean; `check_labels` says whether that will do.

    Parameters
    ----------
    names
        Paths of the files below the root, `/` between their parts.

    Returns
    -------
    dict
        By the machine's path below the root, empty for the root itself.

    Raises
    ------
    DataSetError
        Names that contradict each other.
    """
    rules.check()
    if not names:
        return {"": OwnMachine("", "loose", {})}
    folders = {name: _parts(name, rules) for name in names}
    heads = {name: _head(parts, rules) for name, parts in folders.items()}
    machines = sorted({head for head in heads.values() if head is not None})
    if not machines:
        return {"": _without_label_folders(folders, rules)}
    if rules.ids_from is not None:
        return {"": _machine((), folders, rules, ids_above=any(machines))}
    if () in machines:
        machines = [()]
    return {"/".join(head): _machine(head, folders, rules) for head in machines}


def _parts(name: str, rules: FolderRules) -> tuple[str, ...]:
    """The folders of a file; one that is called by a split and a label, as `train_normal`, counts as both."""
    parts: list[str] = []
    for part in PurePosixPath(name).parts[:-1]:
        match = _TWO_WORDS.fullmatch(part)
        one, other = (match[1], match[2]) if match and rules.label_of(part) is None else (part, "")
        is_both = _is_split_and_label(one, other, rules) or _is_split_and_label(other, one, rules)
        parts += (one, other) if is_both else (part,)
    return tuple(parts)


def _is_split_and_label(one: str, other: str, rules: FolderRules) -> bool:
    return split_of(one) is not None and rules.label_of(other) is not None


def _head(parts: Sequence[str], rules: FolderRules) -> tuple[str, ...] | None:
    """Folders above the label that name a machine; None where no folder is a label's."""
    place = _label_place(parts, rules)
    return None if place is None else tuple(part for part in parts[:place] if _is_name(part, rules))


def _label_place(parts: Sequence[str], rules: FolderRules) -> int | None:
    return next((place for place, part in enumerate(parts) if _label(part, rules) is not None), None)


def _label(part: str, rules: FolderRules) -> str | None:
    return None if split_of(part) is not None else rules.label_of(part)


def _is_name(part: str, rules: FolderRules) -> bool:
    """Whether a folder's name is neither split, id, date nor number."""
    if _SHORT_NUMBER.fullmatch(part) and any(_SHORT_NUMBER.fullmatch(name) for name in rules.normal):
        return True
    return split_of(part) is None and not _ID.fullmatch(part) and not _SESSION.fullmatch(part)


def _machine(
    head: tuple[str, ...], folders: Mapping[str, tuple[str, ...]], rules: FolderRules, *, ids_above: bool = False
) -> OwnMachine:
    own = {name: _below(head, parts) for name, parts in folders.items()}
    meanings = {
        name: _meaning(name, parts, rules, ids_above=ids_above) for name, parts in own.items() if parts is not None
    }
    _check_file_names(meanings, rules)
    prefix = "/".join(head)
    is_folder = all(name.startswith(f"{prefix}/") for name in meanings) if prefix else False
    remarks = _unlabelled_training(meanings.values(), rules)
    return OwnMachine(prefix if is_folder else "", "folders", _with_plain_recordings(meanings), remarks)


def _unlabelled_training(meanings: Collection[Meaning], rules: FolderRules) -> tuple[str, ...]:
    """Warn of clips in a folder for training that lie in no label's folder, as where all training clips are normal."""
    n_clips = sum(found.split == "train" and not found.word and found.label == "unlabelled" for found in meanings)
    words = {found.word for found in meanings if _is_normal(found)} | set(rules.normal)
    if not n_clips:
        return ()
    return (
        f"unlabelled: {n_clips} clips for training lie in no label's folder and are not trained on: if they are "
        f"normal, say that everything else is normal ({normal_options([HERE, *sorted(words)])}), or move them into a "
        "folder named normal there",
    )


def _below(head: Sequence[str], parts: Sequence[str]) -> tuple[str, ...] | None:
    """The folders of a file without those that name its machine; None for a file of no or another machine."""
    rest, wanted = [], list(head)
    for part in parts:
        if wanted and part == wanted[0]:
            wanted.pop(0)
        else:
            rest.append(part)
    return None if wanted else tuple(rest)


def _meaning(name: str, parts: tuple[str, ...], rules: FolderRules, *, ids_above: bool = False) -> Meaning:
    place, label = _found_label(name, parts, rules, ids_above=ids_above)
    others = [part for at, part in enumerate(parts) if at != place and split_of(part) is None]
    machine_id = _machine_id(others, rules)
    sessions = [part for part in others if part != machine_id]
    split = next(filter(None, map(split_of, parts)), None)
    words = [part for at, part in enumerate(parts) if at == place or split_of(part) is not None]
    return Meaning(
        label=label,
        rule=f"folder {'/'.join(words)}" if place is not None else _loose_rule(words, label),
        split=split,
        word="" if place is None else parts[place],
        kind=parts[place] if place is not None and label == "anomalous" else None,
        machine_id=machine_id or NO_ID,
        recording=name.rpartition("/")[0] if sessions else None,
    )


def _loose_rule(words: Sequence[str], label: str) -> str:
    text = "in no label's folder" if label == "unlabelled" else f"--normal {HERE}"
    return f"folder {'/'.join(words)}, {text}" if words else text


def _found_label(name: str, parts: tuple[str, ...], rules: FolderRules, *, ids_above: bool) -> tuple[int | None, str]:
    """Place of the folder that is the label, and the label; `ids_above` says that machine ids lie above labels."""
    known = [(place, label) for place, part in enumerate(parts) if (label := _label(part, rules)) is not None]
    if known:
        contrary = [place for place, label in known if label != known[0][1]]
        if known[0][1] == "normal":
            contrary += [at for at, part in enumerate(parts) if at > known[0][0] and reads_like_fault(part)]
        if contrary:
            raise contradiction(name, f"folder {parts[known[0][0]]}", f"folder {parts[contrary[0]]}")
        return known[0]
    named = [at for at, part in enumerate(parts) if _is_name(part, rules)]
    place = next(iter(named[1:] if ids_above else named), None)
    if place is not None:
        return place, "unlabelled" if is_no_label(parts[place]) else "anomalous"
    return None, "normal" if HERE in rules.normal else "unlabelled"


def check_label(name: str, meaning: Meaning, rules: FolderRules, *, where: str) -> None:
    """Refuse a label that contradicts the folder of a whole file; raises DataSetError, which names both."""
    for part in PurePosixPath(name).parts[:-1]:
        label = _label(part, rules)
        if meaning.span is None and meaning.label != "unlabelled" and label not in (None, meaning.label):
            raise contradiction(name, f"folder {part}", f"label {meaning.word} in {where}")


def is_kind(name: str) -> bool:
    """Whether a folder of this name is understood as a kind of anomaly, or as a word for faults."""
    return _is_name(name, NO_RULES) and not reads_like_normal(name) and label_key(name) not in NORMAL_WORDS


def contradiction(
    name: str, one: str, other: str, *, cure: str = "rename one of them, or move the clip"
) -> DataSetError:
    """Return the error of a clip of which two names say different things."""
    text = f"the {one} and the {other} say different things of it"
    return DataSetError(f"{display_name(name)}: {text}; {cure}", advice=f"{name}: {text}. {cure[:1].upper()}{cure[1:]}")


def _machine_id(parts: Sequence[str], rules: FolderRules) -> str | None:
    """The folder that is a machine id, among those that are no label and no split."""
    if rules.ids_from == "folder":
        others = [part for part in parts if rules.label_of(part) is None]
        return next(iter([part for part in others if not _SESSION.fullmatch(part)] or others), None)
    return next((part for part in parts if _ID.fullmatch(part)), None)


def check_labels(
    meanings: Sequence[Meaning],
    rules: FolderRules,
    where: str,
    *,
    what: str = "folder of normal clips",
    hint: str = "",
) -> None:
    """Refuse labels none of which is normal, or of which one counts as anomalous although its name says normal.

    Parameters
    ----------
    where
        The folder or table, as errors call it.
    what
        What is missing where no label is normal.
    hint
        What else would help then, for the command line.

    Raises
    ------
    DataSetError
        Such labels; the text gives the way out.
    """
    words = sorted({found.word for found in meanings if found.label == "anomalous"})
    normal = [found for found in meanings if _is_normal(found)]
    if not normal and words:
        raise _no_normal_label(words, rules, where, what, hint)
    if not normal and rules.normal:
        raise _nothing_called(rules.normal, where, what)
    unknown = [word for word in words if rules.label_of(word) is None]
    check_kinds(unknown, rules, where, others=sorted({found.word for found in normal if found.word}))


def _is_normal(found: Meaning) -> bool:
    return found.label == "normal"


def _no_normal_label(names: Sequence[str], rules: FolderRules, where: str, what: str, hint: str) -> DataSetError:
    """The error of a data set none of whose labels is a normal one; it proposes only names that say so."""
    usual = f"{', '.join(NORMAL_WORDS[:-1])} or {NORMAL_WORDS[-1]}"
    listed = ", ".join(map(display_name, names))
    if all(_is_fault(name) for name in names):
        return _only_faults(listed, where, what)
    if rules.normal:
        listed += f", and nothing called {' or '.join(rules.normal)}"
    likely = [name for name in names if reads_like_normal(name)]
    way = f"Enter {', '.join(likely)} as the normal label" if likely else "Enter the name of the normal label"
    options = normal_options(likely or ["NAME"])
    return DataSetError(
        f"no {what} in {where}: it has {listed}; name the normal one with {options}, or call it {usual}" + hint,
        advice=f"{way}, or call it {usual}: no {what} was found, only {listed}",
    )


def _is_fault(name: str) -> bool:
    return label_key(name) in ANOMALOUS_WORDS or reads_like_fault(name)


def _only_faults(listed: str, where: str, what: str) -> DataSetError:
    """The error of a data set all of whose labels are words for faults: none can be meant as the normal one."""
    way = "record the machine while it runs well, and call those recordings normal"
    return DataSetError(
        f"no {what} in {where}: it has {listed} alone, and a detector learns from normal sound; {way}",
        advice=f"{way[:1].upper()}{way[1:]}: only {listed} was found, and a detector learns from normal sound",
    )


def _nothing_called(names: Sequence[str], where: str, what: str) -> DataSetError:
    """The error of a normal label that is named where there are no labels at all."""
    missing = " or ".join(names)
    return DataSetError(
        f"no {what} in {where}: there is nothing called {missing}, and no other label; put the normal clips into a "
        f"folder of that name, or say that all clips without a label are normal: --normal {HERE}",
        advice=f"Put the normal clips into a folder called {missing}, or say that everything else is normal: there is "
        "nothing of that name, and no other label",
    )


def _with_plain_recordings(meanings: Mapping[str, Meaning]) -> dict[str, Meaning]:
    """Sub-folders are recordings where every normal clip lies in one and there are several."""
    given = {found.recording for found in meanings.values() if _is_normal(found)}
    if None not in given and len(given) > 1:
        return dict(meanings)
    return {name: replace(found, recording=None) for name, found in meanings.items()}


def _without_label_folders(folders: Mapping[str, tuple[str, ...]], rules: FolderRules) -> OwnMachine:
    """Labels from the beginnings of file names; none where not every file has one, or none is normal."""
    beginnings = {name: _beginning(name, rules) for name in folders}
    named = {name: beginning for name, beginning in beginnings.items() if beginning is not None}
    n_normal = sum(rules.label_of(beginning) == "normal" for beginning in named.values())
    if n_normal and len(named) == len(folders):
        return _by_beginning(folders, named, rules)
    meanings = {name: _meaning(name, parts, rules) for name, parts in folders.items()}
    remarks: tuple[str, ...] = ()
    if HERE not in rules.normal:
        remarks = (
            "unlabelled: nothing says which recordings are normal, so none can be trained on: "
            f"{_numbers(folders)}if all are, say that everything else is "
            "normal (--normal . with a dot), else put the normal ones into a folder named "
            "normal, or write labels.csv",
        )
    if n_normal:
        remarks = (
            f"unlabelled: {n_normal} of {len(folders)} file names begin with a word for normal, but "
            f"{len(folders) - len(named)} begin with no label, so none was guessed; name every file by its label, put "
            "the files into folders, or write labels.csv",
        )
    return OwnMachine("", "folders" if HERE in rules.normal else "loose", meanings, remarks)


def _numbers(folders: Mapping[str, Sequence[str]]) -> str:
    """How to name the normal label where folders are short numbers; empty where there are not several."""
    found = sorted({part for parts in folders.values() for part in parts if _SHORT_NUMBER.fullmatch(part)}, key=int)
    if not 1 < len(found) <= _MOST_NUMBERS:
        return ""
    listed = f"{', '.join(found[:-1])} and {found[-1]}"
    return f"if the folders {listed} are labels, name the normal one, for example {normal_options(found[:1])}; "


def _by_beginning(
    folders: Mapping[str, tuple[str, ...]], beginnings: Mapping[str, str], rules: FolderRules
) -> OwnMachine:
    meanings = {name: _named_meaning(name, parts, beginnings[name], rules) for name, parts in folders.items()}
    return OwnMachine("", "names", _with_plain_recordings(meanings))


def _named_meaning(name: str, parts: tuple[str, ...], beginning: str, rules: FolderRules) -> Meaning:
    label = rules.label_of(beginning) or ("unlabelled" if is_no_label(beginning) else "anomalous")
    others = [part for part in parts if split_of(part) is None]
    machine_id = _machine_id(others, rules)
    split = next(filter(None, map(split_of, parts)), None)
    return Meaning(
        label=label,
        rule=" ".join([*(part for part in parts if split_of(part)), f"file names {beginning}"]),
        split=split,
        word=beginning,
        kind=beginning if label == "anomalous" else None,
        machine_id=machine_id or NO_ID,
        recording=name.rpartition("/")[0] if [part for part in others if part != machine_id] else None,
    )


def _beginning(name: str, rules: FolderRules) -> str | None:
    """The label that a file's name begins with; None where that is a number or a recorder's word."""
    stem = PurePosixPath(name).stem
    for given in rules.normal:
        if label_key(stem).startswith(label_key(given)) and not stem[len(given) : len(given) + 1].isalpha():
            return given
    match = _BEGINNING.match(stem)
    return None if match is None or match[0].casefold() in _RECORDER_WORDS else match[0]


def _check_file_names(meanings: Mapping[str, Meaning], rules: FolderRules) -> None:
    """Refuse a file whose name says the opposite of its folder, where names alone would be labels."""
    beginnings = {name: _beginning(name, rules) for name in meanings}
    labels = {name: rules.label_of(beginning or "") for name, beginning in beginnings.items()}
    if None in beginnings.values() or "normal" not in labels.values():
        return
    for name, found in meanings.items():
        if labels[name] not in (None, found.label) and found.label != "unlabelled":
            raise contradiction(name, f"folder {found.word}", "file's name")
