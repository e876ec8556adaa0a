"""Clusters of processes on this machine."""

from contextlib import contextmanager

import distributed
from dask.config import set as configured
from distributed.utils import get_mp_context

LOADED = ("distributed", "hilbertsd.gram.cluster", "hilbertsd.gram.filling", "hilbertsd.gram.named", "stores")
"""What a worker of these tests imports."""


@contextmanager
def local_client(n_workers):
    """Client of as many workers: forks of one process that has its imports done, which take seconds for each."""
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with configured({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload([*LOADED])
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            yield client
