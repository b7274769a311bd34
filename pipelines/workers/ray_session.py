"""Connecting to Ray: the caller's instance, an existing cluster, or one of our own for one run."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

from pairbridge.datagen.core.errors import PairbridgeError

# Pixels travel through files; the store holds the plan and each group's parameters.
OBJECT_STORE_BYTES = 128 << 20
# A cluster's head answers within milliseconds, across continents within a second.
ANSWER_S = 5.0
# Ray itself asks for minutes. A busy head takes a few seconds to take a driver in.
JOIN_S = 60.0
# What an interrupted start of our own is waited for, so that what it has started can be ended: it takes 5 to
# 10 s on two cores.
START_S = 60.0


class ClusterUnreachable(PairbridgeError):
    """Nothing, or no Ray, answers at the address of the cluster."""


@contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[None]:
    """Use Ray for the body: the instance this process already has, the cluster at `address`, or a local one.

    Signals are answered as before while it starts: Ray's own handlers, which would end this process in the
    middle of a line, are not put in place. Raises ClusterUnreachable within about a minute. Ray's usage
    reports are switched off unless the user chose otherwise: nothing here reaches out by itself.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    over = threading.Event()
    try:
        if address is None:
            _start_local(workers, over)
        else:
            _join(address)
        yield
    finally:
        ray.shutdown()
        over.set()


def _start_local(workers: int, over: threading.Event) -> None:
    # "local": without it Ray joins whatever cluster last left its address on this machine, dead or alive.
    start = Aside(
        _init,
        # Ray has the kernel kill its processes when the thread that started them ends.
        until=over,
        address="local",
        num_cpus=max(os.cpu_count() or 1, workers),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    try:
        start.wait()
    except KeyboardInterrupt:
        # Processes that are just being started are not yet known to who would end them.
        with suppress(Exception):
            start.wait(START_S)
        raise


def _join(address: str) -> None:
    try:
        Aside(_check_answers, address=address).wait(2 * ANSWER_S)
        Aside(_init, address=address).wait(JOIN_S)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise ClusterUnreachable(
            f"no Ray cluster can be joined at {address}: {error or type(error).__name__}",
            consequence="nothing was made; what was finished before is kept",
            remedy="check it with `ray status --address ADDRESS` (a head listens on port 6379 unless told "
            "otherwise), or leave --address out for a Ray of this run's own",
        ) from error


def _init(**options: Any) -> None:
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)


def _check_answers(address: str) -> None:
    """Raise OSError where `address` is host:port and nobody listens there."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():  # not "auto", or a name that Ray knows
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


class Aside:
    """A call on a thread of its own, so that the main thread, waiting in Python, is free to act on a signal,
    which it is not inside of C++; and Ray puts its own handlers in place on the main thread alone. The thread
    lives on `until` an event, if one is given.
    """

    def __init__(
        self, call: Callable[..., None], *, until: threading.Event | None = None, **options: Any
    ) -> None:
        self._call, self._options, self._until = call, options, until
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=call.__name__, daemon=True)
        self._thread.start()

    def is_done(self, within_s: float) -> bool:
        """Whether the call has returned or raised, now or within that time."""
        return self._done.wait(within_s)

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when the call has. Raises what it raised, and TimeoutError."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._done.wait(0.1):
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"no answer in {timeout_s:.0f} s")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._call(**self._options)
        except BaseException as error:
            self._error = error
        self._done.set()
        if self._until is not None:
            self._until.wait()
