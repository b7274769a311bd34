"""Connecting to Ray: the caller's instance, an existing cluster, or one of our own for one run."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray

# Pixels travel through files; the store holds the plan and each group's parameters.
OBJECT_STORE_BYTES = 128 << 20


@contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Use Ray for the body: the instance this process already has, the cluster at `address`, or a local one.

    Ray's usage reports are switched off unless the user chose otherwise: nothing here reaches out by itself.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray puts a handler of its own in place, which would end this process in the middle of a line.
    on_sigterm = signal.getsignal(signal.SIGTERM)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = os.cpu_count() or 1
        # "local": without it Ray joins whatever cluster last left its address on this machine, dead or alive.
        ray.init(
            address="local",
            num_cpus=max(cores, workers),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    else:
        ray.init(address=address, **quiet)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()
