"""Number of threads for arithmetic: one, because two are many times slower next to a busy process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class _Limited:
    """The limit shared by all blocks of this process, from the start of the first to the end of the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._limits: Any = None
        self._known: tuple[int, ThreadpoolController] | None = None

    def begin(self) -> None:
        with self._lock:
            if not self._blocks:
                self._limits = self._libraries().limit(limits=1, user_api="blas")
            self._blocks += 1

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._limits is not None:
                self._limits.restore_original_limits()

    def _libraries(self) -> ThreadpoolController:
        """The libraries of this process; searched again (3 ms) only after an import, since each comes with a module."""
        from threadpoolctl import ThreadpoolController

        n_modules = len(sys.modules)
        if self._known is None or self._known[0] != n_modules:
            self._known = n_modules, ThreadpoolController()
        return self._known[1]


_LIMITED = _Limited()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block with NumPy's matrix products on one thread; blocks may overlap in several threads.

    With two threads, log-mel frames differ in their last bits: a cluster's worker and a single command would write
    different scores, and a training would fill the feature cache with frames other than those computed without it.
    Next to a busy process two threads are also slower. Can be used as a decorator.
    """
    _LIMITED.begin()
    try:
        yield
    finally:
        _LIMITED.end()


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Run the block with this many threads of torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
