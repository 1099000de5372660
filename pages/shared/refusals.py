"""What was refused or passed over: one line for each kind, what to do first, with the files folded below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from asd_core.data.clips import ClipIndex
from asd_core.data.folders import Skipped
from asd_core.formats import display_name
from pages.shared.plain_text import plain, warning_text, without_options

MAX_LISTED = 200
"""Names in one fold at most."""
NO_PLACE = "recordings that do not fit the layout"


@dataclass(frozen=True)
class RefusedKind:
    """Files that are refused for the same reason, and for which the same helps.

    Parameters
    ----------
    cure
        What to do, or, where nothing is known to help, what is wrong.
    files
        Name of each file, and what is wrong with it; empty where `cure` says it all.
    """

    cure: str
    files: tuple[tuple[str, str], ...]

    @property
    def is_one_reason(self) -> bool:
        """Whether the same can be said of all files."""
        return len({reason for _, reason in self.files}) == 1


def refusal_kinds(refused: Sequence[Mapping[str, str]]) -> list[RefusedKind]:
    """Bring refused files together by what helps, the largest kind first.

    Parameters
    ----------
    refused
        Entries as `AudioError.entry` gives them; those of earlier versions have a `reason` alone.
    """
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for entry in refused:
        advice = without_options(entry.get("advice") or warning_text(entry.get("reason", "")))
        cure, _, reason = advice.partition(": ")
        kinds.setdefault((entry.get("code", ""), cure), []).append((entry["path"], reason))
    found = [RefusedKind(cure, tuple(files)) for (_, cure), files in kinds.items()]
    return sorted(found, key=lambda kind: -len(kind.files))


def refused_files(refused: Sequence[Mapping[str, str]], *, n: int | None = None) -> None:
    """Say how many files were refused and, kind by kind, what to do; the names are folded in.

    Parameters
    ----------
    n
        How many there are in all, where `refused` are the first of them.
    """
    n = len(refused) if n is None else n
    if not n:
        return
    st.warning(f"{n:,} {'file was' if n == 1 else 'files were'} refused.", icon=":material/warning:")
    for kind in refusal_kinds(refused):
        _kind(kind)
    if n > len(refused):
        st.caption(f"These are the first {len(refused)}.")


def _kind(kind: RefusedKind) -> None:
    n, (name, reason) = len(kind.files), kind.files[0]
    count = display_name(name) if n == 1 else f"{n:,} files"
    why = f": {reason}" if reason and kind.is_one_reason else ""
    st.markdown(f"**{plain(count)}** · {plain(kind.cure + why)}")
    if n > 1:
        lines = [(display_name(name), "" if kind.is_one_reason else f": {reason}") for name, reason in kind.files]
        with st.expander("Which ones"):
            _names([name + reason for name, reason in lines])


def passed_over(index: ClipIndex) -> Skipped:
    """What lies below a data set's folder and is not among its clips, by kind."""
    return index.skipped + Skipped.of((NO_PLACE, name) for name in index.left_out)


def all_passed_over(indexes: Sequence[ClipIndex]) -> Skipped:
    """What lies below the folder of several machines and is not among their clips, each file once."""
    found = [(kind, name) for index in indexes for kind, names in passed_over(index).kinds.items() for name in names]
    return Skipped.of(dict.fromkeys(found))


def skipped_text(skipped: Skipped) -> str:
    """How many were passed over, of which kinds: `12 passed over: 9 .txt, 3 hidden`."""
    return f"{skipped.n:,} passed over: {', '.join(f'{len(names):,} {kind}' for kind, names in skipped.kinds.items())}"


def skipped_files(skipped: Skipped) -> None:
    """Fold in the names of what was passed over, kind by kind."""
    if not skipped:
        return
    with st.expander("Which ones"):
        for kind, names in skipped.kinds.items():
            st.markdown(f"**{len(names):,} {plain(kind)}**")
            _names([display_name(name) for name in names])


def _names(lines: Sequence[str]) -> None:
    """List texts that are not ours; they are wrapped, never cut."""
    st.markdown("\n".join(f"- {plain(line)}" for line in lines[:MAX_LISTED]))
    if len(lines) > MAX_LISTED:
        st.caption(f"and {len(lines) - MAX_LISTED:,} more")
