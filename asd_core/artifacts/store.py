"""One trained detector on disk: versions that are written once, and a file `current` that names one of them.

::

    <out>/<data set>/<machine>/<detector>/
        current                 "v0001-1a2b3c4d <SHA-256 of its manifest>"
        v0001-1a2b3c4d/
            manifest.json       what it is, how it was made, its threshold, digests of the files below
            manifest.sha256     digest of the manifest, for a version named directly
            state.safetensors   what the detector learned
            scores.csv          scores of held-out and test clips, with their labels

Nothing here can run code: arrays are safetensors, the rest is JSON and CSV, and a manifest never chooses files or
classes outside fixed names. SHA-256 detects damage, not malice: anyone who can write here can also rewrite the digests.

Opening and publishing share this file, long as it is: each checks what the other promises.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from asd_core.artifacts.arrays import STATE, parse_safetensors
from asd_core.artifacts.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_PAYLOAD_BYTES,
    PAYLOAD_FILES,
    Manifest,
    build_detector,
    file_record,
    format_manifest,
    parse_manifest,
)
from asd_core.audio.kinds import LOSSY, is_lossy
from asd_core.detectors import DETECTOR_NAMES
from asd_core.detectors.contract import Detector, State, required_names
from asd_core.errors import ArtifactError, FileError, InputError, StaleVersionError
from asd_core.evaluation.scores import SCORES, ScoredClip, Scores, format_scores, parse_scores
from asd_core.evaluation.thresholds import Threshold
from asd_core.features.encoders.weights import difference_of
from asd_core.features.familiarity import Familiarity, traits
from asd_core.system.files import read_regular, read_small_text, replace_file, sync_folder, write_synced
from asd_core.system.locks import hold
from asd_core.types import Waveform

MANIFEST_DIGEST, CURRENT = "manifest.sha256", "current"
VERSION_FILES = {MANIFEST, MANIFEST_DIGEST, *PAYLOAD_FILES}
DIGEST_PREFIX = 16
"""Hex digits of a clip's SHA-256 that a manifest keeps: 64 bits tell 10,000 clips apart."""
MAX_TRAINING_CLIPS = 10_000
_MAX_DIGEST_FILE_BYTES = 200
STALE_S = 3600.0
_CURRENT = re.compile(r"(v\d{4,9}-[0-9a-f]{8}) ([0-9a-f]{64})\n")
_DIGEST = re.compile(r"([0-9a-f]{64})\n")
_VERSION = re.compile(r"v(\d{4,9})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Artifact:
    """A version on disk whose manifest has been read and checked; arrays and scores are read on first use."""

    folder: Path
    manifest: Manifest
    digest: str
    """SHA-256 of the manifest, which holds those of the arrays."""

    @property
    def version(self) -> str:
        """Name of the version's folder."""
        return self.folder.name

    @property
    def detector_name(self) -> str:
        """Registry key."""
        return self.manifest.detector

    @property
    def title(self) -> str:
        """Name for people, with the encoder that ran."""
        return self.manifest.title

    @property
    def encoder_id(self) -> str | None:
        """Id of the encoder that ran, or None."""
        encoder = self.manifest.encoder
        return None if encoder is None else encoder.id

    @property
    def encoder_title(self) -> str | None:
        """Honest name of the encoder that ran, or None."""
        encoder = self.manifest.encoder
        return None if encoder is None else encoder.title

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated sound."""
        return self.manifest.data.simulated

    @property
    def channel(self) -> int | None:
        """Channel to read from recordings with several; None is their mean."""
        return self.manifest.channel

    @property
    def threshold(self) -> Threshold:
        """The threshold saved with this version."""
        return self.manifest.threshold

    @property
    def familiarity(self) -> Familiarity | None:
        """What the training clips were like as recordings; None for versions that do not say."""
        return self.manifest.familiarity

    def unfamiliar(self, waveform: Waveform) -> tuple[str, ...]:
        """`unfamiliar: text` lines on how a recording is unlike the training clips, whatever the machine does."""
        if self.familiarity is None:
            return ()
        return tuple(f"unfamiliar: {remark}" for remark in self.familiarity.check(traits(waveform)))

    def reading_warnings(self, waveform: Waveform) -> tuple[str, ...]:
        """A recording's own warnings, as far as they matter to this detector.

        Coding that the training clips had too is no news; `coding: text` says that theirs left out what this one has.
        """
        data = self.manifest.data
        heard = waveform.warnings
        if data.n_lossy:
            heard = tuple(text for text in heard if not text.startswith(LOSSY))
        if data.n_lossy == len(data.fitted_digests) + len(data.heldout_digests) and not is_lossy(waveform.warnings):
            heard += (f"coding: this recording is lossless, the detector was trained on lossy ones ({data.lossy})",)
        return heard

    @cached_property
    def training_digests(self) -> frozenset[str]:
        """Digest prefixes of fitted and held-out clips: they are no test clips."""
        data = self.manifest.data
        return frozenset(data.fitted_digests) | frozenset(data.heldout_digests)

    def was_trained_on(self, digest: str) -> bool:
        """Whether a clip with this digest was fitted or held out."""
        return digest[:DIGEST_PREFIX] in self.training_digests

    @cached_property
    def scores(self) -> Scores:
        """Scores of held-out and test clips; held-out ones are by models that have not heard them."""
        found = parse_scores(self.payload(SCORES))
        return replace(found, keeps_promises=self.manifest.calibration.keeps_promises is not False)

    def detector(self) -> Detector:
        """Build the trained detector.

        Raises
        ------
        ArtifactError
            Arrays are damaged, or the encoder at hand differs from the one used in training.
        EncoderUnavailableError
            Its encoder is out of reach.
        """
        detector = build_detector(self.manifest)
        self._check_encoder(detector)
        spec = detector.state_spec()
        names = set(spec)
        try:
            return detector.restore(
                parse_safetensors(self.payload(STATE), spec_names=names, optional=names - required_names(spec))
            )
        except InputError as error:
            raise ArtifactError(f"{self.folder}: {STATE}: {error}") from error

    def _check_encoder(self, detector: Detector) -> None:
        identity = detector.encoder_identity
        recorded = self.manifest.encoder
        got = None if identity is None else (identity.id, identity.dimension, identity.digest)
        want = None if recorded is None else (recorded.id, recorded.dimension, recorded.digest)
        if got != want:
            known = () if recorded is None else recorded.files
            difference = difference_of(known, identity.files) if known and identity is not None else ""
            raise ArtifactError(
                f"{self.folder}: trained with the encoder {want}, but {got} is at hand: scores would mean nothing"
                f"{f' ({difference})' if difference else ''}"
            )

    def payload(self, name: str) -> bytes:
        """Content of one of the version's `PAYLOAD_FILES`, checked against the manifest.

        Raises
        ------
        ArtifactError
            It is damaged or gone.
        """
        recorded = self.manifest.files[name]
        content = _read_file(self.folder / name, at_most=MAX_PAYLOAD_BYTES)
        if file_record(content) != recorded:
            raise ArtifactError(f"{self.folder}: {name} is damaged: size or SHA-256 differ from the manifest's")
        return content


def open_artifact(model: Path) -> Artifact:
    """Open the current version of a detector folder, or one version in it.

    Raises
    ------
    ArtifactError
        Missing, damaged, of an unknown schema, or with other files than it should have.
    """
    if _VERSION.fullmatch(model.name):
        return _open_version(model, _recorded_digest(model))
    return open_current(model, read_current(model))


def read_current(detector_folder: Path) -> str:
    """Read a detector's file `current`, which names its current version and that version's digest.

    Raises
    ------
    ArtifactError
        There is no such file, or it cannot be read or is damaged.
    """
    try:
        text = _read_digest_file(detector_folder / CURRENT)
    except ArtifactError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise ArtifactError(_no_detector(detector_folder)) from error
        raise
    if _CURRENT.fullmatch(text) is None:
        raise ArtifactError(f"{detector_folder / CURRENT} is damaged: it must hold a version and a SHA-256")
    return text


def open_current(detector_folder: Path, current: str) -> Artifact:
    """Open the version that the text of a detector's `current` names.

    Raises
    ------
    ArtifactError
        As `open_artifact`.
    """
    version, digest = current.split()
    return _open_version(detector_folder / version, digest)


def _no_detector(folder: Path) -> str:
    near = sorted(str(path.parent) for level in ("*", "*/*", "*/*/*") for path in folder.glob(f"{level}/{CURRENT}"))
    if near:
        return f"{folder} is no detector's folder, but has some below it: {', '.join(near[:6])}"
    what = "has no file current" if folder.is_dir() else "is no folder" if folder.exists() else "does not exist"
    return f"{folder} {what}: name a detector's folder, OUT/<data set>/<machine>/<detector>, or a version in it"


def list_versions(detector_folder: Path) -> list[Path]:
    """Version folders, oldest first."""
    if not detector_folder.is_dir():
        return []
    found = [path for path in detector_folder.iterdir() if path.is_dir() and _VERSION.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_sequence(path), path.name))


def find_artifacts(out: Path) -> list[Path]:
    """Detector folders `<data set>/<machine>/<detector>` below `out` that have a current version, sorted."""
    found = (folder for folder in out.glob("*/*/*") if folder.name in DETECTOR_NAMES)
    return sorted(folder for folder in found if os.path.lexists(folder / CURRENT))  # a dangling link is a damaged one


def locked(detector_folder: Path) -> AbstractContextManager[None]:
    """Hold the folder's lock: one process at a time trains or publishes here.

    Raises
    ------
    BusyError
        Another process holds it.
    """
    return hold(
        detector_folder / ".lock", busy=f"{detector_folder} is busy: another process trains or saves this detector"
    )


def publish(detector_folder: Path, *, manifest: Manifest, state: State, scores: Sequence[ScoredClip]) -> Artifact:
    """Write a new version and make it current; the caller holds the lock.

    Every file is synced before the folder gets its name, and `current` is replaced last: whatever happens on the way,
    readers see the old version or the new one.

    Raises
    ------
    InputError
        The manifest is too large or holds a number that is not finite.
    OSError
        The disk is full or not writable; the old version stays.
    """
    from safetensors.numpy import save

    return _publish(detector_folder, manifest, {STATE: save(state), SCORES: format_scores(scores)})


def republish(
    detector_folder: Path, artifact: Artifact, *, manifest: Manifest, scores: Sequence[ScoredClip] | None = None
) -> Artifact:
    """Write a version with the same arrays and scores, byte by byte, and make it current; the caller holds the lock.

    Nothing is built for it: the detector's encoder need not be at hand.

    Parameters
    ----------
    manifest
        The artifact's, with what is new; its `parent` becomes the artifact's version.
    scores
        Instead of the artifact's.

    Raises
    ------
    StaleVersionError
        Another version became current after this one was opened; or, in a folder other than the version's own, the
        current version has other arrays.
    ArtifactError
        The version's arrays or scores are damaged or gone.
    InputError, OSError
        As `publish`.
    """
    _check_still_current(detector_folder, artifact)
    payloads = {name: artifact.payload(name) for name in PAYLOAD_FILES}
    if scores is not None:
        payloads[SCORES] = format_scores(scores)
    return _publish(detector_folder, replace(manifest, parent=artifact.version), payloads)


def _check_still_current(detector_folder: Path, artifact: Artifact) -> None:
    is_own = detector_folder.resolve() == artifact.folder.parent.resolve()
    if not is_own and not (detector_folder / CURRENT).exists():
        return
    current = open_artifact(detector_folder)
    if is_own and current.version != artifact.version:
        raise StaleVersionError(
            f"{artifact.version} is no longer the current version of {detector_folder}: {current.version} has replaced "
            "it, and saving would bring the replaced one back. Open the detector again (reload the page), or make "
            f"{artifact.version} current first"
        )
    if not is_own and current.manifest.files[STATE] != artifact.manifest.files[STATE]:
        raise StaleVersionError(
            f"{detector_folder} already holds another detector than {artifact.version}, as its current version "
            f"{current.version}, and saving would replace it. Save the threshold with that detector, or delete it first"
        )


def _publish(detector_folder: Path, manifest: Manifest, payloads: Mapping[str, bytes]) -> Artifact:
    _clear_litter(detector_folder)
    files = {name: file_record(content) for name, content in payloads.items()}
    text = format_manifest(replace(manifest, files=files))
    digest = hashlib.sha256(text).hexdigest()
    versions = list_versions(detector_folder)
    name = f"v{(_sequence(versions[-1]) if versions else 0) + 1:04d}-{secrets.token_hex(4)}"
    staged = detector_folder / f".tmp-{name}"
    staged.mkdir()
    for file_name, content in {**payloads, MANIFEST: text, MANIFEST_DIGEST: digest.encode() + b"\n"}.items():
        write_synced(staged / file_name, content)
    sync_folder(staged)
    staged.rename(detector_folder / name)
    sync_folder(detector_folder)
    replace_file(detector_folder / CURRENT, f"{name} {digest}\n".encode())
    return open_artifact(detector_folder)


def _recorded_digest(folder: Path) -> str:
    match = _DIGEST.fullmatch(_read_digest_file(folder / MANIFEST_DIGEST))
    if match is None:
        raise ArtifactError(f"{folder}: {MANIFEST_DIGEST} is damaged: it must hold a SHA-256")
    return match[1]


def _open_version(folder: Path, digest: str) -> Artifact:
    if folder.is_symlink():
        raise ArtifactError(f"{folder} is a link; a version is a folder of its own")
    text = _read_file(folder / MANIFEST, at_most=MAX_MANIFEST_BYTES)
    if hashlib.sha256(text).hexdigest() != digest:
        raise ArtifactError(f"{folder}: {MANIFEST} is damaged: its SHA-256 is not the recorded one")
    manifest = parse_manifest(text, folder)
    try:
        sizes = {path.name: path.lstat().st_size for path in folder.iterdir()}
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be listed: {error.strerror}") from error
    if set(sizes) != VERSION_FILES:
        raise ArtifactError(f"{folder} must hold exactly {sorted(VERSION_FILES)}, got {sorted(sizes)[:20]}")
    for name in PAYLOAD_FILES:
        wanted = manifest.files[name].bytes
        if sizes[name] != wanted:
            raise ArtifactError(f"{folder}: {name} is damaged: {sizes[name]} bytes, not {wanted}")
    if _recorded_digest(folder) != digest:
        raise ArtifactError(f"{folder}: {MANIFEST_DIGEST} is damaged: it differs from {CURRENT}")
    return Artifact(folder, manifest, digest)


def _read_file(path: Path, *, at_most: int) -> bytes:
    with _file_errors():
        return read_regular(path, at_most=at_most)


def _read_digest_file(path: Path) -> str:
    with _file_errors():
        return read_small_text(path, at_most=_MAX_DIGEST_FILE_BYTES)


@contextlib.contextmanager
def _file_errors() -> Iterator[None]:
    """Turn a file's error into the artifact's; its cause is the system's error, where there was one."""
    try:
        yield
    except FileError as error:
        raise ArtifactError(str(error)) from error.__cause__ or error


def _clear_litter(detector_folder: Path) -> None:
    """Remove what killed writers left behind more than an hour ago, or before the clock was set back."""
    for path in detector_folder.glob(".tmp-*"):
        with contextlib.suppress(FileNotFoundError):  # a version that another process deletes, too
            if abs(time.time() - path.lstat().st_mtime) > STALE_S:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    for child in path.iterdir():
        child.unlink(missing_ok=True)
    path.rmdir()


def _sequence(version: Path) -> int:
    match = _VERSION.fullmatch(version.name)
    return int(match[1]) if match else 0
