"""Folders as people bring them: small trees of sounds, and what each must be understood as, or why it is refused."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf

SR = 16_000
AUDIO = (".wav", ".flac")


class Read(NamedTuple):
    """What is understood of a clip.

    `split` is None where the seed draws it. `recording` is a name of ours: clips of one label with the same one belong
    together, those with another do not; None where nothing says what they were cut from.
    """

    label: str
    split: str | None = None
    machine_id: str = "00"
    recording: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Layout:
    """A folder as somebody named it.

    Parameters
    ----------
    name
        In a few words.
    files
        Path to how many there are, where it holds `{}` for their number; each has a sound of its own.
    written
        Path to content: tables, and what systems leave behind.
    links
        Path to where it leads, seen from the link's folder.
    options
        Arguments of `FolderRules`; the value of `labels` is a path below the folder.
    machine
        The machine that is asked for.
    seconds
        Length of each sound.
    """

    name: str
    files: Mapping[str, int]
    written: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    machine: str | None = None
    seconds: float = 0.6


@dataclass(frozen=True)
class Understood(Layout):
    """A layout with a meaning.

    Parameters
    ----------
    reads
        Pattern of paths below the folder (as in `fnmatch`) to what their clips are; each clip fits exactly one pattern.
    called
        The machine's name; None: the folder's.
    skipped
        Kind to number of files that are passed over.
    """

    reads: Mapping[str, Read] = field(default_factory=dict)
    called: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused(Layout):
    """A layout that means nothing certain.

    Parameters
    ----------
    says
        Pieces of the refusal, in any order.
    """

    says: tuple[str, ...] = ()


def paths_of(files: Mapping[str, int]) -> Iterator[str]:
    """Every path that the patterns stand for."""
    for pattern, n in files.items():
        yield from (pattern.format(number) for number in range(n)) if "{}" in pattern else (pattern,)


def lay(layout: Layout, folder: Path) -> Path:
    """Make a layout's tree as `folder`."""
    for relative in paths_of(layout.files):
        write_sound(folder / relative, seconds=layout.seconds)
    for relative, content in layout.written.items():
        place = folder / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for relative, target in layout.links.items():
        link = folder / relative
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return folder


def write_sound(path: Path, *, seconds: float = 0.6) -> None:
    """Write noise that only this path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.as_posix().encode()))
    kind = "FLAC" if path.suffix.lower() == ".flac" else "WAV"
    sf.write(path, 0.1 * rng.standard_normal(int(seconds * SR)), SR, format=kind, subtype="PCM_16")


NORMAL, FAULTY = Read("normal"), Read("anomalous", "test", kind="faulty")
UNLABELLED = Read("unlabelled", "test")
TRAIN, TEST, VAL = Read("normal", "train"), Read("normal", "test"), Read("normal", "val")


def kind(name: str, split: str | None = "test", machine_id: str = "00", recording: str | None = None) -> Read:
    """An anomalous clip of this kind."""
    return Read("anomalous", split, machine_id, recording, name)


FOLDERS = (
    Understood(
        "a folder for each label",
        {"normal/{}.wav": 5, "faulty/{}.wav": 2},
        reads={"normal/*": NORMAL, "faulty/*": FAULTY},
    ),
    Understood(
        "splits with labels in them, as MVTec has them",
        {"train/good/{}.wav": 4, "test/good/{}.wav": 2, "test/squeal/{}.wav": 2, "test/bent pin/{}.wav": 1},
        {"ground_truth/squeal/0.png": b"no sound", "license.txt": b"free"},
        reads={
            "train/good/*": TRAIN,
            "test/good/*": TEST,
            "test/squeal/*": kind("squeal"),
            "test/bent pin/*": kind("bent pin"),
        },
        skipped={".png": 1, ".txt": 1},
    ),
    Understood(
        "a validation split, whose normal clips calibrate, and an anomalous kind in it",
        {"train/ok/{}.wav": 3, "Validation/ok/{}.wav": 2, "Validation/leak/{}.wav": 1, "evaluation/leak/{}.wav": 2},
        reads={
            "train/*": TRAIN,
            "Validation/ok/*": VAL,
            "Validation/leak/*": kind("leak", "val"),
            "evaluation/leak/*": kind("leak"),
        },
    ),
    Understood(
        "a valid split beside training and eval",
        {"training/intact/{}.wav": 3, "valid/intact/{}.wav": 2, "eval/intact/{}.wav": 1, "eval/defect/{}.wav": 1},
        reads={"training/*": TRAIN, "valid/*": VAL, "eval/intact/*": TEST, "eval/defect/*": kind("defect")},
    ),
    Understood(
        "splits below the labels",
        {"normal/train/{}.wav": 3, "normal/test/{}.wav": 2, "noisy bearing/test/{}.wav": 2},
        reads={"normal/train/*": TRAIN, "normal/test/*": TEST, "noisy bearing/*": kind("noisy bearing")},
    ),
    Understood(
        "everything in capitals",
        {"TRAIN/GOOD/{}.WAV": 3, "TEST/GOOD/{}.WAV": 2, "TEST/NG/{}.WAV": 2},
        reads={"TRAIN/*": TRAIN, "TEST/GOOD/*": TEST, "TEST/NG/*": kind("NG")},
    ),
    Understood(
        "German marks with dots",
        {"i.O./{}.wav": 5, "n.i.O./{}.wav": 2},
        reads={"i.O./*": NORMAL, "n.i.O./*": kind("n.i.O.")},
    ),
    Understood(
        "two normal folders, both named",
        {"normal_day/{}.wav": 3, "normal_night/{}.wav": 3, "leak/{}.wav": 2},
        options={"normal": ("normal_day", "normal_night")},
        reads={"normal_*": NORMAL, "leak/*": kind("leak")},
    ),
    Understood(
        "labels in German",
        {"Gut/{}.wav": 5, "Lagerschaden/{}.wav": 2},
        options={"normal": ("gut",)},
        reads={"Gut/*": NORMAL, "Lagerschaden/*": kind("Lagerschaden")},
    ),
    Understood(
        "labels in Japanese",
        {"正常/{}.wav": 5, "異常/{}.wav": 2},
        options={"normal": ("正常",)},
        reads={"正常/*": NORMAL, "異常/*": kind("異常")},
    ),
    Understood(
        "loose files that are said to be normal",
        {"{}.wav": 5, "leak/{}.wav": 2},
        options={"normal": (".",)},
        reads={"leak/*": kind("leak"), "[0-9].wav": NORMAL},
    ),
    Understood(
        "loose files beside labels: nobody has said what they are",
        {"{}.wav": 2, "normal/{}.wav": 5, "leak/{}.wav": 2},
        reads={"[0-9].wav": UNLABELLED, "normal/*": NORMAL, "leak/*": kind("leak")},
    ),
    Understood("loose files alone", {"{}.wav": 3}, reads={"*": UNLABELLED}),
    Understood(
        "dates above the labels",
        {"2024-05-01/normal/{}.wav": 3, "20240502/normal/{}.wav": 3, "2024-05-03/leak/{}.wav": 2},
        reads={
            "2024-05-01/*": Read("normal", recording="first"),
            "20240502/*": Read("normal", recording="second"),
            "2024-05-03/*": kind("leak", recording="third"),
        },
    ),
    Understood(
        "dates below the labels",
        {"normal/2024-05-01/{}.wav": 3, "normal/2024-05-02/{}.wav": 3, "leak/2024-05-03/{}.wav": 2},
        reads={
            "normal/2024-05-01/*": Read("normal", recording="first"),
            "normal/2024-05-02/*": Read("normal", recording="second"),
            "leak/*": kind("leak", recording="third"),
        },
    ),
    Understood(
        "one machine, and folders many levels deep",
        {
            "north/2024/05/normal/shift 1/mic/{}.wav": 3,
            "north/2024/06/normal/shift 1/mic/{}.wav": 3,
            "north/2024/06/leak/shift 2/mic/{}.wav": 2,
        },
        called="north",
        reads={
            "north/2024/05/*": Read("normal", recording="may"),
            "north/2024/06/normal/*": Read("normal", recording="june"),
            "north/2024/06/leak/*": kind("leak", recording="june"),
        },
    ),
    Understood(
        "labels at several depths",
        {"normal/{}.wav": 3, "normal/a/{}.wav": 3, "faulty/b/c/{}.wav": 2},
        reads={
            "normal/[0-9].wav": NORMAL,
            "normal/a/*": NORMAL,
            "faulty/*": FAULTY,
        },
    ),
    Understood(
        "one machine of a plant",
        {
            "pump-1/normal/{}.wav": 4,
            "pump-1/faulty/{}.wav": 2,
            "pump-2/normal/{}.wav": 4,
            "pump-2/faulty/{}.wav": 2,
        },
        machine="pump-1",
        called="pump-1",
        reads={"pump-1/normal/*": NORMAL, "pump-1/faulty/*": FAULTY},
    ),
    Understood(
        "machine ids below the labels",
        {"normal/id_00/{}.wav": 3, "normal/id_02/{}.wav": 3, "leak/id_02/{}.wav": 2},
        reads={
            "normal/id_00/*": Read("normal", "train", "id_00"),
            "normal/id_02/*": Read("normal", None, "id_02"),
            "leak/*": kind("leak", machine_id="id_02"),
        },
    ),
    Understood(
        "machine ids above the labels, with a kind that raw MIMII has not",
        {"id_00/normal/{}.wav": 4, "id_00/squeal/{}.wav": 2, "id_02/normal/{}.wav": 3},
        reads={
            "id_00/normal/*": Read("normal", None, "id_00"),
            "id_00/squeal/*": kind("squeal", machine_id="id_00"),
            "id_02/*": Read("normal", "train", "id_02"),
        },
    ),
    Understood(
        "dates with a word above the labels",
        {"2024-05-01 morning/ok/{}.wav": 3, "20240502_night shift/ok/{}.wav": 3, "2024-05-03-evening/ng/{}.wav": 2},
        reads={
            "2024-05-01 morning/*": Read("normal", recording="first"),
            "20240502_night shift/*": Read("normal", recording="second"),
            "2024-05-03-evening/*": kind("ng", recording="third"),
        },
    ),
    Understood(
        "a name that the shell completed, and letters with their accents apart, as a Mac lists them",
        {"gu\u0308nstig/{}.wav": 5, "kaputt/{}.wav": 2},
        options={"normal": ("g\u00fcnstig/",)},
        reads={"gu\u0308nstig/*": NORMAL, "kaputt/*": kind("kaputt")},
    ),
    Understood(
        "one machine of a plant in which another has faults only",
        {"belt/ng/{}.wav": 3, "pump/ok/{}.wav": 5, "pump/ng/{}.wav": 2},
        machine="pump",
        called="pump",
        reads={"pump/ok/*": NORMAL, "pump/ng/*": kind("ng")},
    ),
    Understood(
        "sub-folders that are machines, since that is said",
        {"normal/north/{}.wav": 3, "normal/south/{}.wav": 3, "leak/south/{}.wav": 2},
        options={"ids_from": "folder"},
        reads={
            "normal/north/*": Read("normal", "train", "north"),
            "normal/south/*": Read("normal", None, "south"),
            "leak/*": kind("leak", machine_id="south"),
        },
    ),
    Understood(
        "normal clips alone",
        {"healthy/day 1/{}.wav": 3, "healthy/day 2/{}.wav": 3},
        reads={
            "healthy/day 1/*": Read("normal", "train", recording="first"),
            "healthy/day 2/*": Read("normal", "train", recording="second"),
        },
    ),
    Understood(
        "test clips that nobody has judged",
        {"train/normal/{}.wav": 3, "test/{}.wav": 2},
        reads={"train/*": TRAIN, "test/*": UNLABELLED},
    ),
    Understood(
        "training clips in no label's folder, which are said to be normal",
        {"train/{}.wav": 3, "test/good/{}.wav": 2, "test/squeak/{}.wav": 2},
        options={"normal": (".", "good")},
        reads={"train/*": TRAIN, "test/good/*": TEST, "test/squeak/*": kind("squeak")},
    ),
    Understood(
        "splits above the machines, one of which is chosen",
        {
            "train/pump-1/good/{}.wav": 3,
            "train/pump-2/good/{}.wav": 3,
            "test/pump-1/good/{}.wav": 2,
            "test/pump-1/leak/{}.wav": 2,
            "test/pump-2/leak/{}.wav": 2,
        },
        machine="pump-1",
        called="pump-1",
        reads={
            "train/pump-1/*": TRAIN,
            "test/pump-1/good/*": TEST,
            "test/pump-1/leak/*": kind("leak"),
        },
    ),
    Understood(
        "labels that are numbers",
        {"0/{}.wav": 5, "1/{}.wav": 2},
        options={"normal": ("0",)},
        reads={"0/*": NORMAL, "1/*": kind("1")},
    ),
    Understood(
        "kinds that hold a word for normal, and another that turns it",
        {"ok/{}.wav": 5, "not ok/{}.wav": 2, "no-good/{}.wav": 1},
        reads={"ok/*": NORMAL, "not ok/*": kind("not ok"), "no-good/*": kind("no-good")},
    ),
    Understood(
        "a folder of clips that nobody has judged beside labels",
        {"ok/{}.wav": 5, "leak/{}.wav": 2, "Unlabelled/{}.wav": 2},
        reads={"ok/*": NORMAL, "leak/*": kind("leak"), "Unlabelled/*": UNLABELLED},
    ),
    Understood(
        "sub-folders that are recordings, since nothing else is said",
        {"normal/north/{}.wav": 3, "normal/south/{}.wav": 3, "leak/south/{}.wav": 2},
        reads={
            "normal/north/*": Read("normal", recording="north"),
            "normal/south/*": Read("normal", recording="south"),
            "leak/*": kind("leak", recording="south"),
        },
    ),
)

PREFIXES = (
    Understood(
        "labels before the dot, in splits, as Edge Impulse writes them",
        {
            "training/normal.{}ab2.wav": 4,
            "testing/normal.{}cd4.wav": 2,
            "testing/anomaly.{}ef6.wav": 2,
        },
        {"info.labels": b'{"version": 1, "files": []}'},
        reads={"training/*": TRAIN, "testing/normal.*": TEST, "testing/anomaly.*": kind("anomaly")},
        skipped={".labels": 1},
    ),
    Understood(
        "labels before a line, a blank or a number",
        {"Normal_{}.wav": 2, "normal {}.wav": 2, "normal{}.wav": 2, "leak-{}.wav": 2},
        reads={"[Nn]ormal*": NORMAL, "leak-*": kind("leak")},
    ),
    Understood(
        "one name without a label: no name is read for one",
        {"normal_{}.wav": 4, "leak_{}.wav": 2, "20240501.wav": 1},
        reads={"*": UNLABELLED},
    ),
    Understood(
        "names that a recorder gave",
        {"REC_{}.wav": 3, "rec_1{}.wav": 2, "Zoom{}.wav": 1},
        reads={"*": UNLABELLED},
    ),
    Understood(
        "a name like a fault in a normal folder, where names are no labels",
        {"normal/{}.wav": 4, "normal/bad.wav": 1, "leak/{}.wav": 2},
        reads={"normal/*": NORMAL, "leak/*": kind("leak")},
    ),
    Understood(
        "names in folders of labels are no kinds of anomaly",
        {"good/squeak_{}.wav": 5, "leak/hiss_{}.wav": 2},
        reads={"good/*": NORMAL, "leak/*": kind("leak")},
    ),
)

LEFT_BEHIND = {
    "._normal.wav": b"resource fork",
    ".DS_Store": b"Finder",
    "normal/._0.wav": b"resource fork",
    "normal/.DS_Store": b"Finder",
    "normal/Thumbs.db": b"Explorer",
    "__MACOSX/normal/._0.wav": b"resource fork",
    "@eaDir/0.wav/SYNOINDEX_MEDIA_INFO": b"NAS",
    "normal/@eaDir/0.wav": b"NAS",
    "$RECYCLE.BIN/S-1-5/old.wav": b"deleted",
    ".hidden/secret.wav": b"hidden",
    "leak/.secret.wav": b"hidden",
}
LITTER = (
    Understood(
        "what systems and NAS boxes leave behind",
        {"normal/{}.wav": 5, "leak/{}.wav": 2},
        LEFT_BEHIND,
        reads={"normal/*": NORMAL, "leak/*": kind("leak")},
        skipped={"of the operating system": 9, "hidden": 2},
    ),
    Understood(
        "DCASE 2020 with litter",
        {
            "slider/train/normal_id_00_0000000{}.wav": 3,
            "slider/test/normal_id_00_0000000{}.wav": 1,
            "slider/test/anomaly_id_00_0000000{}.wav": 1,
        },
        {"__MACOSX/slider/train/._normal_id_00_00000000.wav": b"x", "slider/train/._normal_id_00_00000001.wav": b"x"},
        called="slider",
        reads={
            "slider/train/*": TRAIN,
            "slider/test/normal_*": TEST,
            "slider/test/anomaly_*": Read("anomalous", "test"),
        },
        skipped={"of the operating system": 2},
    ),
    Understood(
        "raw MIMII with litter",
        {"fan/id_00/normal/0000000{}.wav": 4, "fan/id_00/abnormal/0000000{}.wav": 2},
        {"fan/@eaDir/0.wav": b"x", "fan/id_00/normal/._00000000.wav": b"x"},
        called="fan",
        reads={"fan/id_00/normal/*": NORMAL, "fan/id_00/abnormal/*": Read("anomalous", "test")},
        skipped={"of the operating system": 2},
    ),
)

LINKS = (
    Understood(
        "a set made of links, one of them a circle and one to nothing",
        {"store/a/{}.wav": 5, "store/b/{}.wav": 2, "set/notes.wav": 1},
        links={
            "set/normal": "../store/a",
            "set/leak": "../store/b",
            "set/again": ".",
            "set/gone.wav": "../nowhere.wav",
            "set/leak.wav": "../store/b/0.wav",
        },
        reads={
            "normal/*": NORMAL,
            "leak/*": kind("leak"),
            "notes.wav": UNLABELLED,
            "leak.wav": UNLABELLED,
        },
        skipped={"links that lead nowhere or elsewhere": 1},
    ),
)

MEANT = (*FOLDERS, *PREFIXES, *LITTER)

UNCLEAR = (
    Refused(
        "two normal folders, one of them unknown",
        {"normal/{}.wav": 3, "normal_night/{}.wav": 3, "leak/{}.wav": 2},
        says=("normal_night", "--normal normal --normal normal_night"),
    ),
    Refused(
        "two normal folders, both unknown",
        {"normal_day/{}.wav": 3, "NormalNight/{}.wav": 3, "leak/{}.wav": 2},
        says=("normal_day", "NormalNight", "--normal NormalNight --normal normal_day"),
    ),
    Refused(
        "a normal folder among anomalous ones, since another is named",
        {"Gut/{}.wav": 3, "ok-2/{}.wav": 3, "leak/{}.wav": 2},
        options={"normal": ("Gut",)},
        says=("ok-2", "--normal Gut --normal ok-2"),
    ),
    Refused("no normal folder", {"Gut/{}.wav": 3, "kaputt/{}.wav": 2}, says=("Gut", "kaputt", "--normal")),
    Refused(
        "a normal folder that is not there",
        {"Gut/{}.wav": 3, "kaputt/{}.wav": 2},
        options={"normal": ("healthy",)},
        says=("healthy", "Gut", "kaputt", "--normal"),
    ),
    Refused(
        "an empty name",
        {"Gut/{}.wav": 3, "kaputt/{}.wav": 2},
        options={"normal": ("",)},
        says=("--normal", "empty"),
    ),
    Refused(
        "a path for a name",
        {"train/Gut/{}.wav": 3, "test/kaputt/{}.wav": 2},
        options={"normal": ("train/Gut",)},
        says=("Gut instead of train/Gut", "--normal Gut"),
    ),
    Refused(
        "folders of clips that nobody has judged, with a normal label that is not there",
        {"{}.wav": 3, "2024/{}.wav": 2},
        options={"normal": ("Gut",)},
        says=("called Gut", "--normal ."),
    ),
    Refused(
        "no normal folder, but a table under another name",
        {"sounds/{}.wav": 3},
        {"our labels.tsv": b"file\tlabel\n0.wav\tnormal\n"},
        says=("sounds", '--labels "', 'our labels.tsv"'),
    ),
    Refused(
        "no normal folder and names like faults: none of them is proposed",
        {"a bad bearing/{}.wav": 3, "zero/{}.wav": 2},
        says=("a bad bearing, zero", "--normal NAME"),
    ),
    Refused(
        "a plant in which one machine has faults only",
        {"belt/ng/{}.wav": 3, "pump/ok/{}.wav": 3},
        says=("belt", "pump", "--machine belt"),
    ),
    Refused(
        "a split called normal",
        {"train/good/{}.wav": 3, "test/good/{}.wav": 2, "test/leak/{}.wav": 2},
        options={"normal": ("train",)},
        says=("train", "split"),
    ),
    Refused(
        "an anomaly called normal",
        {"good/{}.wav": 3, "faulty/{}.wav": 2},
        options={"normal": ("faulty",)},
        says=("faulty",),
    ),
    Refused(
        "a fault in a normal folder",
        {"normal/{}.wav": 3, "normal/faulty/{}.wav": 2},
        says=("normal", "faulty"),
    ),
    Refused(
        "a normal folder in one of faults",
        {"normal/{}.wav": 3, "broken/good/{}.wav": 2},
        says=("broken", "good"),
    ),
    Refused(
        "a name that says another thing than its folder",
        {"normal/normal_{}.wav": 3, "normal/anomaly_{}.wav": 1, "leak/leak_{}.wav": 2},
        says=("normal/anomaly_0.wav", "anomaly", "normal"),
    ),
    Refused(
        "a plant",
        {
            "pump-1/normal/{}.wav": 3,
            "pump-1/faulty/{}.wav": 2,
            "pump-2/normal/{}.wav": 3,
            "pump-2/faulty/{}.wav": 2,
        },
        says=("pump-1", "pump-2", "--machine pump-1"),
    ),
    Refused(
        "a machine that the plant has not",
        {"pump-1/normal/{}.wav": 3, "pump-2/normal/{}.wav": 3},
        machine="pump-3",
        says=("pump-3", "pump-1", "pump-2"),
    ),
    Refused("no sound", {}, {"readme.txt": b"moved"}, says=("holds no", "1 .txt (readme.txt)", ".wav, ", ".flac")),
)
