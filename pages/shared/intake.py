"""Recordings that come in: taken from uploads and archives, stored, and what became of them said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from asd_core.data.quotas import STORING
from asd_core.data.uploads import NORMAL, Stored, destination, store_uploads
from asd_core.data.zips import taken
from asd_core.formats import display_name
from pages.shared.plain_text import plain
from pages.shared.quota import count_stored, formats_text, limits_text, used_to_store
from pages.shared.refusals import refused_files

_OUTCOME = "intake_outcome"
MAX_NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """What became of files that were sent: nothing of their content.

    Parameters
    ----------
    stored
        What was stored; None where nothing was left to store.
    skipped
        Number of entries of archives that were passed over, by kind.
    refused
        `AudioError.entry` of each file or entry that was refused.
    remarks
        What was not understood, for people.
    """

    stored: Stored | None
    skipped: Mapping[str, int]
    refused: tuple[dict[str, str], ...]
    remarks: tuple[str, ...] = ()

    @property
    def n_new(self) -> int:
        """Number of clips that are new."""
        return 0 if self.stored is None else self.stored.stored


def intake_text() -> str:
    """Say which files are taken, and what is left of the session's quota."""
    used = used_to_store()
    return (
        f"{formats_text()}, or a ZIP of them; 0.5 s to 10 min, {limits_text(STORING)} (left: {used.left}; what is "
        "stored already costs nothing). More, longer or larger: use a server folder."
    )


def store(
    name: str,
    files: Sequence[UploadedFile],
    *,
    kind: str | None = None,
    machine_id: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Store the files of an uploader, and those inside archives, in a data set of uploads.

    Parameters
    ----------
    name, kind, machine_id
        See `asd_core.data.uploads.store_uploads`; `kind` is for files whose folders in an archive say no label.
    on_progress
        Called with (files decoded, files in all); None draws a bar.

    Raises
    ------
    UsageError
        See `asd_core.data.uploads.check_quota` and `asd_core.data.uploads.destination`.
    """
    destination(name, kind=kind, machine_id=machine_id)
    found = taken((file.name, file.getvalue()) for file in files)
    if not found.uploads and (found.refused or found.skipped):
        return Outcome(None, found.skipped, found.refused, found.remarks)
    used = count_stored(name, found.uploads)
    bar = st.empty()

    def show(n_done: int, n_files: int) -> None:
        bar.progress(n_done / n_files, f"Checked {n_done} of {n_files} clips")

    stored = store_uploads(
        name, found.uploads, used=used, kind=kind, machine_id=machine_id, on_progress=on_progress or show
    )
    bar.empty()
    return Outcome(stored, found.skipped, found.refused + stored.refused, found.remarks)


def keep_outcome(outcome: Outcome) -> None:
    """Keep what became of an upload for the run that follows a change of context."""
    st.session_state[_OUTCOME] = outcome


def kept_outcome() -> Outcome | None:
    """What was kept last, once."""
    outcome: Outcome | None = st.session_state.pop(_OUTCOME, None)
    return outcome


def say(outcome: Outcome) -> None:
    """Say what was stored under which label, what was there already, what was passed over and what was refused."""
    if outcome.n_new:
        st.success(f"{_counted(outcome.n_new)} stored: {plain(_labels_text(outcome))}.", icon=":material/check:")
    for text in _remarks(outcome):
        st.info(plain(text), icon=":material/info:")
    for remark in outcome.remarks:
        st.warning(plain(remark), icon=":material/warning:")
    refused_files(outcome.refused)


def _labels_text(outcome: Outcome) -> str:
    labels = {} if outcome.stored is None else outcome.stored.labels
    return ", ".join(f"{n:,} {_label_text(label)}" for label, n in labels.items())


def _label_text(label: str) -> str:
    return label if label in (NORMAL, "anomalous") else f"anomalous ({label})"


def _remarks(outcome: Outcome) -> Iterable[str]:
    stored = outcome.stored
    if stored is not None and stored.repeated:
        yield f"{_counted(stored.repeated)} already stored, or sent twice: nothing was counted for them."
    if stored is not None and stored.elsewhere:
        names = ", ".join(map(display_name, stored.elsewhere[:MAX_NAMED]))
        more = f" and {len(stored.elsewhere) - MAX_NAMED} more" if len(stored.elsewhere) > MAX_NAMED else ""
        yield (
            f"Already stored under another label, and left there: {names}{more}. Their label can be changed under "
            "'Review data set'."
        )
    if outcome.skipped:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in outcome.skipped.items())
        yield f"{sum(outcome.skipped.values()):,} passed over in the archive: {kinds}."


def _counted(n: int) -> str:
    return f"{n:,} clip{'' if n == 1 else 's'}"
