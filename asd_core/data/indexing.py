"""From a folder to the clip index, whatever the folder's layout.

Layouts, tried in this order; the first match is taken:

1. `dcase2020`, `dcase2021`, `mimii`: published data sets, see `asd_core.data.published_layouts`
2. `table`: `labels.csv`, or a table that the user names, which then comes first; see `asd_core.data.label_tables`
3. `folders` and `names`: own recordings by the names of folders or files, see `asd_core.data.own_folders`
4. `loose`: recordings without any of these: unlabelled, scored, never guessed

Where nothing says which clips to train on, `asd_core.data.splits` draws some.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asd_core.audio.kinds import readable_suffixes
from asd_core.audio.reading import MIN_DURATION_S
from asd_core.audio.segments import check_segments
from asd_core.audio.stretches import extent
from asd_core.data.clips import Clip, ClipIndex, n_channels_of
from asd_core.data.folder_rules import HERE, NO_RULES, FolderRules, label_key, normal_options, quoted, reads_like_normal
from asd_core.data.folders import (
    ARCHIVES,
    MAX_NAMES,
    Listing,
    Skipped,
    check_is_folder,
    list_files,
    skipped_tables,
    where_to_look,
)
from asd_core.data.label_tables import (
    NOT_THERE,
    TABLE_NAME,
    Labelled,
    is_table,
    meanings_of,
    read_table,
    read_track,
    track_meanings,
)
from asd_core.data.names import with_names
from asd_core.data.own_folders import Meaning, OwnMachine, check_label, check_labels, understand
from asd_core.data.published_layouts import PUBLISHED, Published
from asd_core.data.splits import with_recordings, with_splits
from asd_core.errors import AudioError, DataSetError

PARTIAL_ENDS = "ends shorter than a segment"
_PROBED_TABLES = 10
"""At most this many tables are tried as tables of labels."""
_PROBED_CLIPS = 10
"""At most this many headers are read to find the number of channels of a DCASE set."""


@dataclass(frozen=True)
class _Found:
    """A machine before its clips are cut, split and drawn: the place of each file, and what is said of it."""

    root: Path
    machine: str
    layout: str
    meanings: tuple[tuple[str, Meaning], ...]
    """By path below `root`."""
    places: Mapping[str, Path]
    skipped: Skipped
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)


def index_clips(
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    rules: FolderRules | None = None,
    within: Sequence[Path] | None = None,
) -> ClipIndex:
    """List the clips of one machine below a root of machine folders, or of a machine folder.

    Parameters
    ----------
    machine
        Which one, where the root holds several.
    ids
        Keep these machine ids only.
    seed
        Of the training split of own recordings without one.
    rules
        How the names below the root are to be understood.
    within
        Folders inside which links must end; None lets them lead anywhere.

    Raises
    ------
    DataSetError
        No such folder, no recordings, several machines and none named, no normal label, names that contradict each
        other, unknown id or machine, a normal clip whose path names no recording.
    UsageError
        Rules that cannot be followed.
    """
    check_is_folder(data)
    rules = NO_RULES if rules is None else rules
    found = _machine_of(data, machine, rules, within)
    if rules.segment_s is not None:
        found = _in_segments(found, rules.segment_s, rules.segment_s if rules.hop_s is None else rules.hop_s)
    index = with_names(_index(found))
    if rules.recording_by is not None:
        index = replace(index, clips=with_recordings(index, rules.recording_by))
    index = replace(index, clips=with_splits(index, seed=seed))
    if ids is None:
        return index
    if unknown := set(ids) - set(index.machine_ids):
        raise DataSetError(f"{index.machine} has no id {sorted(unknown)[0]}; it has {', '.join(index.machine_ids)}")
    return replace(index, clips=index.select(ids=ids))


def _machine_of(data: Path, machine: str | None, rules: FolderRules, within: Sequence[Path] | None) -> _Found:
    """The machine that is meant, as the first layout that fits has it."""
    listing = list_files(data, within=within)
    if not listing.audio:
        raise _no_recordings(data, listing)
    if rules.labels is None and (by_layout := _published(data, listing)):
        layout, by_root = by_layout
        by_name = {root.resolve().name: root for root in by_root}
        root = by_name[_chosen(list(by_name), data, machine)]
        return _published_machine(layout, root, by_root[root], data, listing)
    own = data if machine is None or machine == data.resolve().name else data / machine
    table = rules.labels or _table_in(own) or _table_in(data)
    if table is not None:
        folder = own if own.is_dir() and table.resolve().parent == own.resolve() else data
        return _by_table(folder, table, rules, within)
    return _by_names(data, listing, machine, rules)


def _no_recordings(data: Path, listing: Listing) -> DataSetError:
    skipped = skipped_tables(listing, data)
    found = skipped.text if skipped else "it is empty"
    suffixes = ", ".join(readable_suffixes())
    if ARCHIVES & set(skipped.kinds):
        return DataSetError(f"{data} holds no recording, but an archive: unpack it first ({found})")
    return DataSetError(
        f"{data} holds no recording: {found}; {where_to_look(skipped)}; they are known by their names' endings: "
        f"{suffixes}"
    )


def _chosen(names: Sequence[str], data: Path, machine: str | None) -> str:
    listed = ", ".join(sorted(names))
    if machine is not None:
        if machine not in names:
            raise DataSetError(f"{data} has no machine {machine!r}; it has {listed}")
        return machine
    if len(names) > 1:
        raise DataSetError(
            f"{data} holds several machines ({listed}): choose one with --machine, for example --machine "
            f"{quoted(sorted(names)[0])}; if they are parts of one machine, add --ids-from folder; "
            "if they are days or sessions, name them by date",
            advice=f"The folder holds several machines: {listed}. Choose one of them",
        )
    return next(iter(names))


# --- published layouts ---


def _published(data: Path, listing: Listing) -> tuple[str, dict[Path, dict[Path, Published]]] | None:
    """The first layout that fits, and by machine folder what each file is."""
    roots = {data, *(path for path in data.iterdir() if path.is_dir())}
    for layout, grammar in PUBLISHED.items():
        by_root: dict[Path, dict[Path, Published]] = defaultdict(dict)
        for path in listing.audio:
            parsed = grammar(path)
            if parsed is not None and parsed.root in roots:
                by_root[parsed.root][path] = parsed
        if by_root and not (layout == "mimii" and _has_other_labels(listing, by_root)):
            return layout, by_root
    return None


def _has_other_labels(listing: Listing, by_root: Mapping[Path, Mapping[Path, Published]]) -> bool:
    """Whether the folders of machine ids hold other labels than MIMII's: own recordings, then."""
    of_ids = {path.parents[1] for files in by_root.values() for path in files}
    fitting = {path for files in by_root.values() for path in files}
    return any(not of_ids.isdisjoint(path.parents[1:]) for path in listing.audio if path not in fitting)


def _published_machine(
    layout: str, root: Path, clips: Mapping[Path, Published], data: Path, listing: Listing
) -> _Found:
    by_relative = {path.relative_to(root).as_posix(): each for path, each in clips.items()}
    meanings = [
        (relative, Meaning(each.label, each.rule, each.split, machine_id=each.machine_id))
        for relative, each in by_relative.items()
    ]
    places = _places(listing, root)
    left_out = tuple(sorted(set(places) - set(by_relative)))
    return _Found(
        root=root,
        machine=root.resolve().name,
        layout=layout,
        meanings=tuple(meanings),
        places=places,
        skipped=skipped_tables(listing, data),
        left_out=left_out,
        published=by_relative,
    )


def _places(listing: Listing, root: Path) -> dict[str, Path]:
    """Where each recording below a folder is, by its path below it."""
    pairs = zip(listing.audio, listing.places, strict=True)
    return {path.relative_to(root).as_posix(): place for path, place in pairs if root in path.parents}


# --- own recordings ---


def _table_in(folder: Path) -> Path | None:
    """The table of labels in a folder, whatever the case of its name."""
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.name.casefold() == TABLE_NAME), None)


def _by_table(root: Path, table: Path, rules: FolderRules, within: Sequence[Path] | None) -> _Found:
    listing = list_files(root, within=within)
    if rules.labels is None and table not in listing.tables:
        raise DataSetError(f"{table} is a link that leads elsewhere; copy the table into the folder")
    places = _places(listing, root)
    labelled = meanings_of(read_table(table), list(places), rules, where=table.name, base=_below(table, root))
    for name, meaning in labelled.meanings:
        check_label(name, meaning, rules, where=table.name)
    missing = [name for kind, name in labelled.skipped if kind == NOT_THERE]
    first = missing[0] if missing else ""
    remark = f"labels: {table.name} names {len(missing)} recordings that are not there, among them {first}"
    return _Found(
        root=root,
        machine=root.resolve().name,
        layout="table",
        meanings=labelled.meanings,
        places=places,
        skipped=skipped_tables(listing, root, [table]) + Skipped.of(labelled.skipped),
        remarks=(*([remark] if missing else ()), *_unused_names([each for _, each in labelled.meanings], rules)),
    )


def _below(table: Path, root: Path) -> str:
    """The folder of a table below the root; empty for the root itself and for a table elsewhere."""
    folder, root = table.resolve().parent, root.resolve()
    return folder.relative_to(root).as_posix().removeprefix(".") if folder.is_relative_to(root) else ""


def _by_names(data: Path, listing: Listing, machine: str | None, rules: FolderRules) -> _Found:
    places = _places(listing, data)
    machines = understand(list(places), rules)
    by_name = {folder or data.resolve().name: folder for folder in machines}
    key = by_name[_chosen(list(by_name), data, machine)]
    chosen = machines[key]
    root, prefix = (data / chosen.folder, f"{chosen.folder}/") if chosen.folder else (data, "")
    tracks = _tracks(data, chosen.meanings, listing)
    labelled = _by_tracks(tracks, chosen.meanings, rules)
    said = [(name, meaning) for name, meaning in chosen.meanings.items() if name not in tracks]
    said += labelled.meanings
    remarks = _checked(chosen, [meaning for _, meaning in said], rules, listing, data)
    known = {name for own in machines.values() for name in own.meanings}
    return _Found(
        root=root,
        machine=key.rpartition("/")[2] or data.resolve().name,
        layout="table" if tracks else chosen.layout,
        meanings=tuple((name.removeprefix(prefix), meaning) for name, meaning in said),
        places=_places(listing, root),
        skipped=skipped_tables(listing, data, tracks.values()) + Skipped.of(labelled.skipped),
        left_out=tuple(sorted(set(places) - known)),
        remarks=remarks,
    )


def _checked(
    machine: OwnMachine, said: Sequence[Meaning], rules: FolderRules, listing: Listing, data: Path
) -> tuple[str, ...]:
    """Check what is said of a machine's clips, and return the remarks on it."""
    if any(meaning.label == "normal" for meaning in said):
        check_labels(said, rules, str(data))
        return (*(() if machine.layout == "loose" else machine.remarks), *_unused_names(said, rules))
    hint = _deeper_hint(said, listing, data) + _table_hint(listing)
    check_labels(said, rules, str(data), hint=hint)
    return tuple(f"{remark}{hint}" for remark in machine.remarks)


def _deeper_hint(said: Sequence[Meaning], listing: Listing, data: Path) -> str:
    """The options for folders that read like normal and lie below what was taken for labels; empty where none do."""
    if any(reads_like_normal(meaning.word) for meaning in said):
        return ""
    below = {part for path in listing.audio for part in path.relative_to(data).parts[1:-1] if reads_like_normal(part)}
    options = normal_options(sorted(below)[:MAX_NAMES])
    return f"; in them are folders whose names say normal: {options}" if below else ""


def _table_hint(listing: Listing) -> str:
    """How to use a table that lies in the folder and has the columns of labels; empty where there is none."""
    table = next((path for path in listing.tables[:_PROBED_TABLES] if is_table(path)), None)
    if table is None:
        return ""
    return f"; {table.name} looks like a table of labels: name it as that (--labels {quoted(str(table))})"


def _unused_names(meanings: Sequence[Meaning], rules: FolderRules) -> list[str]:
    """Warn of names of the normal label that no clip's label has."""
    met = {label_key(meaning.word) if meaning.word else HERE for meaning in meanings if meaning.label == "normal"}
    unused = [name for name in rules.normal if label_key(name) not in met]
    return [f"labels: no clip's label is called {name} (--normal): is it misspelt?" for name in unused]


def _tracks(data: Path, names: Iterable[str], listing: Listing) -> dict[str, Path]:
    """Label tracks: by recording, the text of the same name beside it that reads as one."""
    texts = {path.relative_to(data).with_suffix("").as_posix(): path for path in listing.tables if _is_text(path)}
    beside = {name: texts.get(name.rpartition(".")[0]) for name in names} if texts else {}
    return {name: path for name, path in beside.items() if path is not None and read_track(path) is not None}


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _by_tracks(tracks: Mapping[str, Path], given: Mapping[str, Meaning], rules: FolderRules) -> Labelled:
    meanings: list[tuple[str, Meaning]] = []
    skipped: list[tuple[str, str]] = []
    for name, path in tracks.items():
        found = track_meanings(read_track(path) or (), name, given[name], rules, where=path.name)
        meanings += found.meanings
        skipped += found.skipped
    return Labelled(tuple(meanings), tuple(skipped))


# --- clips ---


def _in_segments(found: _Found, segment_s: float, hop_s: float) -> _Found:
    """Each file, or each stretch that a table names, as clips of one length; what is left at its end is counted."""
    check_segments(segment_s, hop_s)
    meanings: list[tuple[str, Meaning]] = []
    ends: list[tuple[str, str]] = []
    for name, meaning in found.meanings:
        try:
            start, end = _stretch(found.places[name], meaning.span)
        except AudioError:  # listed as it is, so that its refusal shows
            meanings.append((name, replace(meaning, recording=_recording_of_cut(name, meaning, found))))
            continue
        starts = _starts(start, end, segment_s=segment_s, hop_s=hop_s)
        meanings += [(name, replace(meaning, span=(at, at + segment_s))) for at in starts]
        rest = starts[-1] + max(segment_s, hop_s) if starts else start
        if not starts or end - rest >= MIN_DURATION_S:
            ends.append((PARTIAL_ENDS, f"{name} from {rest:g} s"))
    if not meanings:
        raise _all_too_short(found, segment_s)
    return replace(found, meanings=tuple(meanings), skipped=found.skipped + Skipped.of(ends))


def _starts(start: float, end: float, *, segment_s: float, hop_s: float) -> list[float]:
    """Where whole segments of a stretch begin, in seconds; a nanosecond less than whole will do."""
    if end - start < segment_s - 1e-9:
        return []
    n_clips = int((end - start - segment_s) / hop_s + 1e-9) + 1
    return [start + hop_s * number for number in range(n_clips)]


def _all_too_short(found: _Found, segment_s: float) -> DataSetError:
    text = f"the {len(found.places)} recordings of {found.machine} are all shorter than the segments of {segment_s:g} s"
    cure = "name shorter segments (--segment)"
    return DataSetError(f"{text} into which they are to be cut; {cure}", advice=f"Enter a shorter length: {text}")


def _stretch(path: Path, span: tuple[float, float] | None) -> tuple[float, float]:
    """Start and end of a recording, or of what is there of a stretch of it, in seconds."""
    found = extent(path)
    length_s = found.n_frames / found.sr
    return (0.0, length_s) if span is None else (span[0], min(span[1], length_s))


def _index(found: _Found) -> ClipIndex:
    clips = [_clip(name, meaning, found) for name, meaning in found.meanings]
    clips.sort(key=lambda clip: (clip.relative.partition("#t=")[0], clip.span or (0.0, 0.0)))
    near_and_far = found.layout == "dcase2021" and _first_n_channels(clips) == 2
    return ClipIndex(
        root=found.root,
        machine=found.machine,
        layout=found.layout,
        clips=tuple(clips),
        left_out=found.left_out,
        skipped=found.skipped,
        remarks=found.remarks,
        is_near_and_far=near_and_far,
    )


def _clip(name: str, meaning: Meaning, found: _Found) -> Clip:
    published = found.published.get(name)
    span = (
        None if meaning.span is None else (round(meaning.span[0], 3), round(meaning.span[1], 3))
    )  # as the name has it
    recording = meaning.recording if span is None else _recording_of_cut(name, meaning, found)
    return Clip(
        path=found.places[name],
        relative=name if span is None else f"{name}#t={_seconds(span[0])},{_seconds(span[1])}",
        machine_id=meaning.machine_id,
        split=meaning.split or "",
        label=meaning.label,
        kind=meaning.kind,
        domain=published.domain if published else None,
        attributes=published.attributes if published else None,
        recording=recording,
        span=span,
        rule=meaning.rule,
    )


def _recording_of_cut(name: str, meaning: Meaning, found: _Found) -> str:
    """The recording of a clip that is a stretch: its file, unless a table says another."""
    return (meaning.recording if found.layout == "table" else None) or name


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _first_n_channels(clips: Sequence[Clip]) -> int:
    """Channels of the first clip that can be read; 0 where none of the first few can."""
    return next(filter(None, (n_channels_of(clip.path) for clip in clips[:_PROBED_CLIPS])), 0)
