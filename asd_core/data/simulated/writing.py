"""Writing a simulated data set: complete or absent, with its marker, never over something else."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile as sf

from asd_core.data.simulated.record import MARKER_NAME, MASKS_NAME, Fault, read_simulated
from asd_core.errors import DataSetError
from asd_core.system.disk import check_free_disk
from asd_core.system.typed_json import to_json
from asd_core.types import SR, BoolArray, Float32Array

MASK_STEP_DB = 3.0
_HEADER_BYTES = 44


@dataclass(frozen=True)
class Recipe:
    """What a simulated data set consists of.

    Parameters
    ----------
    header
        What the marker says; two sets with the same header are the same.
    paths
        Every clip below the root, with forward slashes.
    n_bytes
        Size of the clips on disk.
    """

    header: Mapping[str, Any]
    paths: tuple[str, ...]
    n_bytes: int


class ClipWriter:
    """Writes clips below a folder, and remembers the fault and the mask of each anomalous one."""

    def __init__(self, folder: Path, on_clip: Callable[[], None]) -> None:
        self._folder, self._on_clip = folder, on_clip
        self.faults: dict[str, Fault] = {}
        self.masks: dict[str, npt.NDArray[np.uint8]] = {}

    def write(self, path: str, pcm: npt.NDArray[np.int16]) -> None:
        """Write a clip of 16-bit samples at `SR`; its folder is made where it is missing."""
        place = self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        sf.write(place, pcm, SR, subtype="PCM_16", format="WAV")
        self._on_clip()

    def note(self, path: str, *, kind: str, severity_db: float, mask: BoolArray) -> None:
        """Remember the fault of a clip, and where it is audible, shape (313, 128)."""
        self.masks[path] = np.packbits(mask)
        self.faults[path] = Fault(kind, round(severity_db, 3), f"{MASKS_NAME}#{path}")


def write_simulated(
    root: Path,
    recipe: Recipe,
    render: Callable[[ClipWriter], None],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a simulated data set, or find it already there.

    Parameters
    ----------
    root
        Appears complete at the end; until then the clips are in a staging folder next to it.
    render
        Writes every clip of the recipe.
    on_progress
        Called with (clips done, clips in all).

    Raises
    ------
    DataSetError
        A folder that holds something else, or that cannot be written.
    UsageError
        Too little room on the disk; nothing has been rendered.
    """
    root = Path(root).resolve()
    if _is_complete(root, recipe):
        return root
    check_free_disk(recipe.n_bytes, root)
    staging = root.with_name(f".{root.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        staging.mkdir(parents=True)
        _write_clips(staging, recipe, render, on_progress)
        _publish(staging, root)
    except (OSError, sf.SoundFileError) as error:
        if _is_complete(root, recipe):  # another process was faster
            return root
        raise DataSetError(f"cannot write the simulated bench to {root}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return root


def _is_complete(root: Path, recipe: Recipe) -> bool:
    """Whether the set is there (no or an empty folder: it is not); anything else is refused."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    found = read_simulated(root) if root.is_dir() else None
    if found is None:
        raise DataSetError(f"{root} holds something else than a simulated bench; name a new or empty folder")
    differing = [name for name, value in recipe.header.items() if found.recipe.get(name) != value]
    if differing:
        raise DataSetError(
            f"{root} holds another simulated bench (it differs in {', '.join(differing)}); name a new or empty folder"
        )
    missing = [path for path in recipe.paths if not (root / path).is_file()]
    if missing or not (root / MASKS_NAME).is_file():
        raise DataSetError(f"{root} is a simulated bench with files missing; delete it and simulate again")
    return True


def _write_clips(
    folder: Path,
    recipe: Recipe,
    render: Callable[[ClipWriter], None],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Write the clips, then the masks, and the marker last."""
    n_done = 0

    def count() -> None:
        nonlocal n_done
        n_done += 1
        if on_progress is not None:
            on_progress(n_done, len(recipe.paths))

    writer = ClipWriter(folder, count)
    render(writer)
    np.savez_compressed(folder / MASKS_NAME, allow_pickle=False, **writer.masks)
    anomalous = {path: to_json(fault) for path, fault in writer.faults.items()}
    marker = json.dumps({**recipe.header, "anomalous": anomalous}, indent=1, allow_nan=False)
    (folder / MARKER_NAME).write_text(marker + "\n", encoding="utf-8")


def _publish(staging: Path, root: Path) -> None:
    if root.exists():
        root.rmdir()  # empty, or it fails
    staging.rename(root)


def wav_bytes(n_samples: int) -> int:
    """Size of a mono WAV file of 16 bit with its header."""
    return _HEADER_BYTES + 2 * n_samples


def to_pcm16(samples: Float32Array) -> npt.NDArray[np.int16]:
    """Round to 16-bit steps; what exceeds full scale is clipped."""
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)


def anomaly_mask(samples: Float32Array, twin: Float32Array) -> BoolArray:
    """Mark where a fault changes the log-mel spectrogram by 3 dB or more, shape (n_frames, n_mels)."""
    from asd_core.features.log_mel import log_mel

    return np.asarray(np.abs(log_mel(samples) - log_mel(twin)) >= MASK_STEP_DB, np.bool_)
