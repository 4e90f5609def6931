"""Fixtures of the tests of distributed work: executors of real processes, and a real cluster."""

import contextlib

import pytest

from flashwasm.distributed import LocalWorkers


@pytest.fixture(scope="session")
def local_workers():
    """Return two worker processes."""
    with LocalWorkers(2) as workers:
        yield workers


@pytest.fixture(scope="session")
def dask_client():
    """Return the client of a cluster of two processes, each with a bounded memory."""
    distributed = pytest.importorskip("dask.distributed")
    import dask  # noqa: PLC0415 - it is an extra.

    with contextlib.ExitStack() as stack:
        # A worker that wants a chunk of a killed worker tries to reach it for so long, before the
        # chunk is computed again. The default is 30 seconds. The workers get a copy of the setting.
        with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
            cluster = distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                memory_limit="700MB",
                # Any free port. None means the default port, which another cluster may have.
                dashboard_address=":0",
            )
        stack.enter_context(cluster)
        yield stack.enter_context(distributed.Client(cluster))
