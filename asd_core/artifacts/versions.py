"""Versions of a trained detector: saving another threshold, making an earlier one current again, deleting old ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asd_core.artifacts.manifest import MANIFEST, PAYLOAD_FILES
from asd_core.artifacts.store import (
    CURRENT,
    Artifact,
    find_artifacts,
    list_versions,
    locked,
    open_artifact,
    republish,
)
from asd_core.data.clips import file_digest
from asd_core.data.data_set import OWN_SUFFIX
from asd_core.errors import ArtifactError, UsageError
from asd_core.evaluation.thresholds import Threshold
from asd_core.system.clock import utc_now
from asd_core.system.disk import remove_tree, set_aside
from asd_core.system.files import replace_file

READ_ONLY_MARK = "READ_ONLY"


def is_read_only(detector_folder: Path) -> bool:
    """Whether these versions came with the project."""
    return (detector_folder.parents[1] / READ_ONLY_MARK).exists()


def current_version(detector_folder: Path) -> str | None:
    """Name of the current version; None where `current` is damaged."""
    try:
        return open_artifact(detector_folder).version
    except ArtifactError:
        return None


def trained_at(artifact: Artifact) -> str:
    """Return when a version's arrays were trained, as ISO 8601, UTC.

    A version with another threshold has the arrays of its parent; where that is gone, its own time stands in.
    """
    parent = artifact.manifest.parent
    own, mine = artifact.folder.parent, artifact.folder.parents[2]
    origin = mine.with_name(mine.name.removesuffix(OWN_SUFFIX)) / own.relative_to(mine)
    for folder in (own, origin) if parent else ():
        if (folder / str(parent)).is_dir():
            return trained_at(open_artifact(folder / str(parent)))
    return artifact.manifest.created_at


def make_current(detector_folder: Path, version: str) -> None:
    """Make an earlier version current again: only `current` is replaced, all or nothing, after a check of the version.

    Raises
    ------
    ArtifactError
        The version is damaged.
    UsageError
        No such version, or the folder is read-only.
    BusyError
        Another process trains or saves this detector.
    """
    _check_not_read_only(detector_folder)
    with locked(detector_folder):
        folder = _version_folder(detector_folder, version)
        artifact = open_artifact(folder)
        for name in PAYLOAD_FILES:
            if file_digest(folder / name) != artifact.manifest.files[name].sha256:
                raise ArtifactError(f"{folder}: {name} is damaged: its SHA-256 differs from the manifest's")
        digest = file_digest(folder / MANIFEST)
        replace_file(detector_folder / CURRENT, f"{folder.name} {digest}\n".encode())


def delete_version(detector_folder: Path, version: str, *, out: Path) -> None:
    """Remove a version that is not current.

    Parameters
    ----------
    out
        Folder of all trained detectors; nothing outside it is touched.

    Raises
    ------
    UsageError
        No such version, the current one, or a read-only folder.
    BusyError
        Another process trains or saves this detector.
    """
    if detector_folder not in find_artifacts(out):
        raise UsageError(f"{detector_folder} is no detector in {out}")
    _check_not_read_only(detector_folder)
    with locked(detector_folder):
        folder = _version_folder(detector_folder, version)
        current = current_version(detector_folder)
        if current is None or current == version:
            raise UsageError(
                f"{version} is the current version, or it is unknown which one is; make another one current first"
            )
        doomed = set_aside(folder, out)
    remove_tree(doomed)


def _check_not_read_only(detector_folder: Path) -> None:
    if is_read_only(detector_folder):
        raise UsageError(f"{detector_folder.parents[1].name} comes with the project and is read-only")


def _version_folder(detector_folder: Path, version: str) -> Path:
    """Look a version up, with the lock held: another process may be deleting it."""
    folder = next((path for path in list_versions(detector_folder) if path.name == version), None)
    if folder is None or folder.is_symlink():
        raise UsageError(f"{detector_folder} has no version {version[:60]!a}")
    return folder


def writable_folder(folder: Path) -> Path:
    """Return a detector folder, or its counterpart beside it where its data set's folder is marked read-only."""
    data_set = folder.parents[1]
    if not (data_set / READ_ONLY_MARK).exists():
        return folder
    return data_set.with_name(data_set.name + OWN_SUFFIX) / folder.parent.name / folder.name


def save_threshold(artifact: Artifact, threshold: Threshold, *, folder: Path, reason: str = "") -> Artifact:
    """Publish a new version with the same arrays and scores and another threshold; no encoder is loaded for it.

    Parameters
    ----------
    artifact
        The version whose threshold was chosen; still the current one in its own folder.
    folder
        The detector folder to publish in: usually the version's own.
    reason
        Why, in the user's words; kept in the manifest.

    Raises
    ------
    BusyError
        Another process trains or saves this detector.
    StaleVersionError
        Another version became current after this one was opened.
    ArtifactError
        The version is damaged or gone.
    """
    manifest = replace(artifact.manifest, created_at=utc_now(), threshold=threshold, threshold_reason=reason)
    with locked(folder):
        return republish(folder, artifact, manifest=manifest)
