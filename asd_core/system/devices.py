"""Where torch computes: the processor, or a GPU beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_core.errors import UsageError

CPU = "cpu"
DEVICES = ("auto", CPU, "cuda", "mps")
"""What may be asked for; torch calls AMD's GPUs `cuda`, too."""
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, of AMD and of Windows' Linux put into the file system."""


def has_gpu_driver() -> bool:
    """Whether torch may have a GPU here, told without importing torch; False is certain."""
    return sys.platform in ("darwin", "win32") or any(Path(place).exists() for place in _DRIVERS)


def torch_devices() -> tuple[str, ...]:
    """What torch can compute on here, the processor first."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return (CPU, *(name for name, is_there in there.items() if is_there))


def chosen_device(asked: str) -> str:
    """Name the device to compute on; `auto` is `cuda` where torch has it, else the processor.

    `mps` is taken by name only: with the small products of these networks it need not be faster, and it was not tried.

    Raises
    ------
    UsageError
        Torch has no such device here.
    """
    if asked == CPU:
        return CPU
    there = torch_devices()
    if asked == "auto":
        return "cuda" if "cuda" in there else CPU
    if asked not in there:
        raise UsageError(
            f"PyTorch finds no {asked} device on this machine, it has {', '.join(there)}; take auto or one of these"
        )
    return asked


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Run the block with float32 arithmetic throughout: cuDNN's recurrent layers would round products to 10 bits."""
    if device != "cuda":
        yield
        return
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
