"""Dask's workers: those of a cluster, or processes of this machine that end with their use.

Anyone who reaches a Dask scheduler can run code on its workers. The one started here listens on the loopback
address alone, without a dashboard.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asd_core.errors import UsageError
from asd_core.system.extras import require

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Dask's default also trims freed memory at 64 kB: each array then needs fresh pages, and a clip took 1.5 times as
long."""


@contextlib.contextmanager
def dask_client(cluster: str | None, workers: int) -> Iterator[Client]:
    """Connect to Dask's workers.

    Parameters
    ----------
    cluster
        Address of a running scheduler; None starts one here, with processes that end with the block.
    workers
        How many processes to start here, of one thread each.

    Raises
    ------
    UsageError
        Dask is not installed; no scheduler, or none with a worker, answers within `CONNECT_S` seconds.
    """
    require("cluster", "dask", "distributed", task="scoring in parts")
    if cluster is not None:
        with _connected(cluster) as client:
            yield client
        return
    import dask.config
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # None alone would open port 8787 for its pages
            silence_logs=logging.ERROR,
        ) as local,
        Client(local) as client,
    ):
        yield client


@contextlib.contextmanager
def _connected(cluster: str) -> Iterator[Client]:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():  # versions are compared part by part, our own packages' too
        warnings.simplefilter("ignore", VersionMismatchWarning)
        try:
            client = Client(cluster, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {cluster} within {CONNECT_S} s; start one with `dask scheduler`"
            ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise UsageError(f"the scheduler at {cluster} has no worker; start some with `dask worker`") from error
        yield client
