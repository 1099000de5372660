"""Arrays on disk: safetensors whose header is checked before they are read, and the checkpoint of a training."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from asd_core.detectors.contract import State
from asd_core.errors import ArtifactError, FileError
from asd_core.system.files import parse_json, read_regular, replace_file

STATE = "state.safetensors"

MAX_HEADER_BYTES = 64 * 1024
MAX_CHECKPOINT_BYTES = 2**32
_DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64"}


@dataclass(frozen=True)
class CheckpointFile:
    """A training's finished epochs in one file: SHA-256, then safetensors; a damaged one counts as none."""

    path: Path

    def read(self) -> State | None:
        """Return the arrays last written, or None."""
        try:
            content = read_regular(self.path, at_most=MAX_CHECKPOINT_BYTES)
        except FileError:
            return None
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        try:
            return parse_safetensors(content[32:], spec_names=None)
        except ArtifactError:
            return None

    def write(self, state: State) -> None:
        """Replace them, all or nothing."""
        from safetensors.numpy import save

        content = save(state)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.path, hashlib.sha256(content).digest() + content)

    def remove(self) -> None:
        """Forget the training."""
        self.path.unlink(missing_ok=True)


def parse_safetensors(content: bytes, *, spec_names: set[str] | None, optional: Set[str] = frozenset()) -> State:
    """Check the header before safetensors sees the bytes, then read the arrays.

    Parameters
    ----------
    spec_names
        Names that there must be; None takes all.
    optional
        Those among them that may be missing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else MAX_HEADER_BYTES + 1
    if length > min(MAX_HEADER_BYTES, len(content) - 8):
        raise ArtifactError(f"{STATE}: the header must be at most {MAX_HEADER_BYTES} bytes, it claims {length}")
    try:
        header = parse_json(content[8 : 8 + length])
        names = set(header) - {"__metadata__"}
        if spec_names is not None and not spec_names - optional <= names <= spec_names:
            raise ArtifactError(f"{STATE}: must hold exactly {sorted(spec_names)}, got {sorted(names)[:20]}")
        if unknown := {header[name]["dtype"] for name in names} - set(_DTYPES):
            raise ArtifactError(f"{STATE}: unknown types {sorted(unknown)}")
        return dict(load(content))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise ArtifactError(f"{STATE} is damaged: {error}") from error
