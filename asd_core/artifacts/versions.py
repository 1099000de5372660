"""Versions of a trained detector: letting an earlier one count again, and deleting those that do not count."""

from __future__ import annotations

from pathlib import Path

from asd_core.artifacts.manifest import MANIFEST, PAYLOAD_FILES
from asd_core.artifacts.store import CURRENT, find_artifacts, list_versions, locked, open_artifact
from asd_core.data.clips import file_digest
from asd_core.errors import ArtifactError, UsageError
from asd_core.system.files import replace_file
from asd_core.tasks.storage import remove_tree, set_aside
from asd_core.tasks.train import READ_ONLY_MARK


def is_read_only(detector_folder: Path) -> bool:
    """Whether these versions came with the project."""
    return (detector_folder.parents[1] / READ_ONLY_MARK).exists()


def current_version(detector_folder: Path) -> str | None:
    """Name of the version that counts; None where `current` is damaged."""
    try:
        return open_artifact(detector_folder).version
    except ArtifactError:
        return None


def make_current(detector_folder: Path, version: str) -> None:
    """Let an earlier version count again: only `current` is replaced, all or nothing, after the version was checked.

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
            if file_digest(folder / name) != artifact.manifest["files"][name]["sha256"]:
                raise ArtifactError(f"{folder}: {name} is damaged: its SHA-256 differs from the manifest's")
        digest = file_digest(folder / MANIFEST)
        replace_file(detector_folder / CURRENT, f"{folder.name} {digest}\n".encode())


def delete_version(detector_folder: Path, version: str, *, out: Path) -> None:
    """Remove a version that does not count.

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
                f"{version} is the version that counts, or that is unknown; make another one current first"
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
