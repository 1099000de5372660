"""What turns a patch of sound into a vector: the contract of an encoder, one file for each, and here their registry.

Encoders are taken as they are and never trained. A new one is one file in this folder and one entry in `ENCODER_IDS`
and `load_encoder`.
"""

from __future__ import annotations

from functools import cache

from asd_core.errors import UsageError
from asd_core.features.encoders.contract import Encoder
from asd_core.system.places import vggish_dir

ENCODER_IDS = ("logmel_stats", "vggish")


def load_encoder(encoder_id: str) -> Encoder:
    """Return the encoder of that id; weights are read when first needed.

    Raises
    ------
    UsageError
        Unknown id.
    """
    if encoder_id == "logmel_stats":
        return _logmel_stats()
    if encoder_id == "vggish":
        folder = vggish_dir()
        return _vggish(None if folder is None else str(folder))
    raise UsageError(f"encoder must be one of {', '.join(ENCODER_IDS)}; got {encoder_id!r}")


@cache
def _logmel_stats() -> Encoder:
    from asd_core.features.encoders.logmel_stats import LogmelStats

    return LogmelStats()


@cache
def _vggish(folder: str | None) -> Encoder:
    from asd_core.features.encoders.vggish import Vggish

    return Vggish(folder)
