"""What a data set holds: counts, lengths, levels, duplicates, refused clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.audio.kinds import LOSSY
from asd_core.data.clips import ClipIndex
from asd_core.data.data_set import DataSet, Dependence, coding_remark, expected_counts, find_dependence
from asd_core.data.folder_rules import FolderRules
from asd_core.data.library import find_machine
from asd_core.data.names import known_time, read_names
from asd_core.data.survey import Group, Survey, has_survey, survey, survey_key
from asd_core.data.table import KnownSet
from asd_core.formats import counted, display_name
from pages.parts.data.outdated import outdated_note
from pages.parts.data.storage import delete_set
from pages.parts.data.understood import label_table, left_out
from pages.shared.choices import go
from pages.shared.context import Chosen
from pages.shared.data_sets import indexed, tree_stamp
from pages.shared.keys import HASHES, StampedSet, held, once
from pages.shared.plain_text import plain, warning_text
from pages.shared.refusals import passed_over, refused_files

READ_AT_ONCE = 800
"""Up to this many clips are read unasked; more take longer than a reader waits."""
RECHECK_S = 30
"""Seconds until a clip of a larger set that was overwritten in place is noticed, at most."""
LAYOUTS = {
    "dcase2020": "DCASE 2020: train and test folders, labels in the file names",
    "dcase2021": "DCASE 2021 or later: sections in the file names",
    "mimii": "MIMII: id folders with normal and abnormal clips",
    "folders": "a folder for each label",
    "names": "labels at the beginning of file names",
    "table": "a table of labels, or label tracks beside the recordings",
    "loose": "loose files without labels: they can be scored, not trained on",
}
MAX_NAMED = 5
RECORDINGS_HELP = (
    "Clips are often cut from few long recordings. Those of one recording sound alike: they count as one when a "
    "threshold's promise is asked what it rests on, and stay on one side of every split."
)


def review(chosen: Chosen) -> None:
    """Show what the data set of the context holds, what to do with it, and how to delete it."""
    if not chosen.data_set:
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.subheader(f"Review data set: {plain(chosen.title)}", anchor=False)
    found = find_machine(chosen.data_set, chosen.machine)
    if found is None:
        st.info(
            "Only detectors are here: the recordings they learned from are not known. Add their folder under 'Use a "
            "server folder', under this name.",
            icon=":material/info:",
        )
        return
    with right:
        delete_set(found[0])
    set_report(*found, chosen)


def set_report(known: KnownSet, machine: str, chosen: Chosen) -> None:
    """Show counts at once, and the rest once the clips have been read."""
    if not known.embedded and not known.folder.is_dir():
        st.warning("The folder of this data set is gone: delete it here, or bring the folder back.")
        return
    if known.uploaded:
        outdated_note(chosen, known)
    data_set = indexed(known, machine)
    index = data_set.index
    if data_set.simulated is not None:
        st.caption(":material/science: Simulated data: generated sound, not recordings.")
    normal = index.select(split="train", label="normal")
    for column, (label, n, text) in zip(
        st.columns(3),
        (
            ("Normal training clips", len(normal), "What detectors learn from, and what calibrates their thresholds."),
            ("Normal test clips", len(index.select(split="test", label="normal")), "For false alarms; never learned."),
            ("Anomalous test clips", len(index.select(label="anomalous")), "For detection; never learned from."),
        ),
        strict=True,
    ):
        column.metric(label, f"{n:,}", help=text, border=True)
    _what_next(known, n_normal=len(normal))
    understood = _layout(index)
    _published(data_set)
    _names_and_times(data_set, uploaded=known.uploaded)
    dependence = _clip_report(data_set, rules=known.rules)
    if dependence is not None and dependence.labels:
        label_table(index, dependence.labels, place=understood)


def _what_next(known: KnownSet, *, n_normal: int) -> None:
    """Offer what is usually done with a data set."""
    if not n_normal:
        st.info("No normal training clips: nothing can be trained on it yet.", icon=":material/info:")
    with st.container(horizontal=True):
        if n_normal:
            go("pages/train.py", "Train", icon=":material/model_training:", train_view="new")
        if known.uploaded:
            go("pages/data.py", "Add recordings", icon=":material/upload:", data_view="upload")
            go("pages/data.py", "Tidy", icon=":material/cleaning_services:", data_view="tidy")
        go("pages/explore.py", "Explore", icon=":material/library_music:")


def _names_and_times(data_set: DataSet, *, uploaded: bool) -> None:
    if times := _times_text(StampedSet(data_set, tree_stamp(data_set.index.root))):
        st.caption(times)
    for fault in read_names(data_set.index.root).faults if uploaded else ():
        st.warning(plain(fault), icon=":material/warning:")


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=HASHES)
def _times_text(stamped: StampedSet) -> str:
    """Say when the clips were recorded, as far as names and notes tell; empty where they do not."""
    index = stamped.data_set.index
    names = read_names(index.root)
    known = [time for clip in index.clips if (time := known_time(clip, names)) and time.source != "upload"]
    if not known:
        return ""
    first, last = (pick(known, key=lambda each: each.time).written for pick in (min, max))
    counts = ", ".join(f"{n:,} from the {source}" for source, n in Counter(each.source for each in known).most_common())
    return f"Recorded between {first} and {last} (known of {len(known):,} of {len(index.clips):,} clips: {counts})"


def _layout(index: ClipIndex) -> DeltaGenerator:
    """Say how the folder was understood; returns the place of the table of labels."""
    st.caption(f"{len(index.clips):,} clips; layout found: {LAYOUTS[index.layout]}")
    if index.channel is not None:
        st.caption(f"Of several channels, number {index.channel} (from 0) is heard, as in DCASE.")
    if _is_drawn(index):
        st.caption(
            "There is no test split of its own: of an id with anomalous clips to test, whole recordings with about 60 "
            "% of its normal clips are drawn for training; of any other id all are."
        )
    understood = st.empty()
    label_table(index, {}, place=understood)
    left_out(index)
    return understood


def _is_drawn(index: ClipIndex) -> bool:
    """Whether the training clips were drawn: the same folder or name then has some in both splits."""
    train, test = ({clip.rule for clip in index.select(split=split, label="normal")} for split in ("train", "test"))
    return bool(train & test)


def _published(data_set: DataSet) -> None:
    """Compare the counts with those that DCASE 2020 publishes for this machine; having only some of them is fine."""
    rows = expected_counts(data_set)
    if not rows:
        return
    n_expected, n_found = sum(row.expected for row in rows), sum(row.found for row in rows)
    if all(row.found == row.expected for row in rows):
        st.caption(f":material/check: All {n_expected:,} clips that DCASE 2020 Task 2 publishes are here.")
    else:
        st.info(
            f"Expected {n_expected:,} clips as DCASE 2020 Task 2 publishes, found {n_found:,}. Everything works with a "
            "part of them; figures are then not those of the published set.",
            icon=":material/info:",
        )
    table = pd.DataFrame(
        {
            "Id": [row.machine_id for row in rows],
            "Split": [row.split for row in rows],
            "Label": [row.label for row in rows],
            "Expected": [row.expected for row in rows],
            "Found": [row.found for row in rows],
        }
    )
    with st.expander("Expected and found clips"):
        st.dataframe(table, hide_index=True, width="stretch", key="expected", alt="Published and found clips by id")


def _clip_report(data_set: DataSet, *, rules: FolderRules) -> Dependence | None:
    names = {clip.relative: clip.shown for clip in data_set.index.clips}
    small = len(data_set.index.clips) <= READ_AT_ONCE
    key = survey_key(data_set) if small else _survey_key(StampedSet(data_set, tree_stamp(data_set.index.root)))
    found = held().find(("survey", key)) or _read_clips(data_set, key, small=small)
    if found is None:
        return None
    for text in (*found.channels, *found.labels_differ):
        st.warning(plain(warning_text(text)), icon=":material/warning:")
    _groups(found.groups)
    dependence = _grouped(data_set, key, rules)
    has_doubles = _dependence(dependence, found, names)
    refused_files(
        [{**each, "path": names.get(each["path"], each["path"])} for each in found.refused], n=found.n_refused
    )
    is_whole = not (_coding(found, rules) or has_doubles or found.n_refused or passed_over(data_set.index))
    _faults(found, names, is_whole=is_whole)
    return dependence


@st.cache_data(max_entries=16, ttl=RECHECK_S, show_spinner=False, hash_funcs=HASHES)
def _survey_key(stamped: StampedSet) -> str:
    return survey_key(stamped.data_set)


def _read_clips(data_set: DataSet, key: str, *, small: bool) -> Survey | None:
    """Read the clips, or the survey of them on disk; None until the reader has asked for it."""
    asked = f"read:{key}"
    if not (small or has_survey(data_set) or st.session_state.get(asked)):
        st.caption(f"Lengths, levels and duplicates need all {len(data_set.index.clips):,} clips to be read.")
        if not st.button("Read the clips", key="read_clips"):
            return None
        st.session_state[asked] = True
    bar = st.empty()

    def on_progress(n_done: int, n_clips: int) -> None:
        bar.progress(n_done / n_clips, f"Read {n_done} of {n_clips} clips")

    found = once(("survey", key), lambda: survey(data_set, on_progress=on_progress))
    bar.empty()
    return found


def _grouped(data_set: DataSet, key: str, rules: FolderRules) -> Dependence:
    """Find the recordings of clips that have been read before."""

    def find() -> Dependence:
        with st.spinner("Looking for recordings and doubles …"):
            return find_dependence(data_set.index.clips, channel=data_set.index.channel)

    return once(("dependence", key, rules.recording_by), find)


def _dependence(found: Dependence, surveyed: Survey, names: Mapping[str, str]) -> bool:
    """Say how many recordings the clips were cut from, and which clips sound nearly the same; return if any do."""
    st.markdown(f"Recordings: **{found.recordings.text}**", help=RECORDINGS_HELP)
    same = {frozenset(paths) for paths in surveyed.duplicates}
    near = [paths for paths in found.doubles if frozenset(paths) not in same]
    for paths in near[:MAX_NAMED]:
        shown = ", ".join(display_name(names.get(path, path)) for path in paths[:MAX_NAMED])
        more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
        st.text(f"{len(paths)} clips are (nearly) the same sound: {shown}{more}")
    if len(near) > MAX_NAMED:
        st.caption(f"and {len(near) - MAX_NAMED} more such groups")
    if near:
        st.caption("Such clips stay on one side of every split: what was learned is never judged on its double.")
    return bool(near)


def _groups(groups: Sequence[Group]) -> None:
    if not groups:  # all clips were refused
        return
    table = pd.DataFrame(
        {
            "Id": [display_name(group.machine_id) for group in groups],
            "Split": [group.split for group in groups],
            "Label": [group.label for group in groups],
            "Clips": [group.n for group in groups],
            "Length (s)": [_spread(group.length_s, 2) for group in groups],
            "Level (dBFS)": [_spread(group.level_dbfs, 1) for group in groups],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", key="groups", alt="Clips by machine id, split and label")
    st.caption(
        "Length and RMS level as median (least to most); 0 dBFS is full scale. Where anomalous clips are much louder "
        "or longer than normal ones, a detector may hear the recording and not the fault."
    )


def _coding(found: Survey, rules: FolderRules) -> bool:
    """Say, as a word and not as an alarm, how many clips were coded with loss; return whether training omits them."""
    lossy = [each.partition(f": {LOSSY}")[2] for each in found.warnings if f": {LOSSY}" in each]
    n_whole = max(0, found.n_clips - found.n_refused - len(lossy))
    remark = coding_remark([*lossy, *[""] * n_whole])
    if remark is None:
        return False
    ending, is_left_out = "", n_whole > 0 and not rules.lossy
    if is_left_out:
        ending = (
            ". They are not trained on, since others are lossless; a server folder can be added again with 'Also train "
            "on MP3 and other lossy recordings'"
        )
    st.caption(f":material/graphic_eq: {plain(remark + ending)}.")
    return is_left_out


def _faults(found: Survey, names: Mapping[str, str], *, is_whole: bool = True) -> None:
    """List clips of the same sound and faults of recordings; a tick where there are none and nothing is left out."""
    warnings = [text for text in found.warnings if f": {LOSSY}" not in text]
    if not (found.n_duplicates or warnings):
        if is_whole:
            st.caption(":material/check: No duplicates, no refused clips, nothing passed over.")
        return
    rows = [
        *(
            {"What": "same sound", "Clip": paths[0], "Why": "also " + ", ".join(names.get(p, p) for p in paths[1:4])}
            for paths in found.duplicates
        ),
        *(
            {"What": "warning", "Clip": path, "Why": warning_text(text)}
            for path, _, text in (each.partition(": ") for each in warnings)
        ),
    ]
    st.warning(
        f"{_found_text(found.n_duplicates, len(warnings))}.",
        icon=":material/warning:",
    )
    table = pd.DataFrame(
        {
            "What": [row["What"] for row in rows],
            "Clip": [display_name(names.get(row["Clip"], row["Clip"])) for row in rows],
            "Why": [display_name(row["Why"]) for row in rows],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch", key="faults", alt="Clips that are doubled or odd")


def _found_text(n_duplicates: int, n_warnings: int) -> str:
    """Count what was found, and only that."""
    groups = f"{counted(n_duplicates, 'group')} of clips with the same sound" if n_duplicates else ""
    return ", ".join(filter(None, [groups, counted(n_warnings, "warning") if n_warnings else ""]))


def _spread(values: Sequence[float], digits: int) -> str:
    least, median, most = (f"{value:.{digits}f}" for value in values)
    return median if least == most else f"{median} ({least} to {most})"
