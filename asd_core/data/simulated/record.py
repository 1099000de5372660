"""What a simulated bench records about itself: its marker, the fault of each anomalous clip, and the masks."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.errors import DataSetError, FileError
from asd_core.system.files import parse_json, read_if_present
from asd_core.system.typed_json import from_json
from asd_core.types import BoolArray

GENERATOR_VERSION = 2
"""Rises when the same seed gives other samples."""
MARKER_NAME = "SIMULATED.json"
MASKS_NAME = "masks.npz"
MASK_SHAPE = (313, 128)
RECORDING_BY = r"day_\d+"
"""Names the recording in the path of a clip of long simulated recordings."""
_MAX_MARKER_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Fault:
    """A bench's record of one anomalous clip.

    Parameters
    ----------
    kind
        One of the bench's kinds of fault.
    severity_db
        Its severity.
    mask
        `file#name` of the mask, see `load_mask`.
    """

    kind: str
    severity_db: float
    mask: str


@dataclass(frozen=True)
class SimulatedRecord:
    """A bench's marker.

    Parameters
    ----------
    recipe
        How the bench was made, as the marker has it: compared and shown as a whole.
    faults
        By the path of each anomalous clip below the bench's root, with forward slashes.
    """

    recipe: Mapping[str, Any]
    faults: Mapping[str, Fault]


def read_simulated(root: Path) -> SimulatedRecord | None:
    """Read a bench's marker; None for a folder without one.

    Raises
    ------
    DataSetError
        A marker that cannot be understood.
    """
    path = Path(root) / MARKER_NAME
    try:
        content = read_if_present(path, at_most=_MAX_MARKER_BYTES)
        if content is None:
            return None
        found = parse_json(content)
    except FileError as error:
        raise DataSetError(str(error)) from error
    except ValueError as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != 1 or found.get("simulated") is not True:
        raise DataSetError(f"{path}: expected a JSON object with schema 1 and simulated true")
    faults = _faults(path, found.pop("anomalous", None))
    return SimulatedRecord(found, faults)


def _faults(path: Path, entries: object) -> dict[str, Fault]:
    if not isinstance(entries, dict):
        raise DataSetError(f"{path}: anomalous must hold an object for each anomalous clip")
    try:
        return {clip: from_json(Fault, entry) for clip, entry in entries.items()}
    except ValueError as error:
        raise DataSetError(f"{path}: anomalous: {error}") from error


def load_mask(root: Path, relative_path: str) -> BoolArray:
    """Load where an anomalous clip differs from its healthy twin, shape (313, 128): frames of 32 ms x mel bands.

    Raises
    ------
    DataSetError
        No mask under this name, or a damaged file.
    """
    path = Path(root) / MASKS_NAME
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            member = archive.read(f"{relative_path}.npy")
        packed = np.lib.format.read_array(io.BytesIO(member), allow_pickle=False)
    except KeyError as error:
        raise DataSetError(f"{path} has no mask of {relative_path!r}; only anomalous clips have one") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error
    n_cells = MASK_SHAPE[0] * MASK_SHAPE[1]
    if packed.dtype != np.uint8 or packed.shape != (n_cells // 8,):
        raise DataSetError(f"{path}: the mask of {relative_path!r} is damaged, got {packed.dtype} {packed.shape}")
    return np.unpackbits(packed).reshape(MASK_SHAPE).astype(np.bool_)
