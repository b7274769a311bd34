"""SIGINT and SIGTERM: a request that the driver's loop looks at, and an end at once outside it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pairbridge.datagen.core.errors import PairbridgeError


class Interrupted(PairbridgeError):
    """Someone asked the run to stop. Nothing partial is left, and the same command goes on from here."""


class DrainRequest:
    """Set by SIGINT and SIGTERM: once means finish what is in flight, twice means stop now."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: Any) -> None:
        self.count += 1


@contextmanager
def drain_on_signals() -> Iterator[DrainRequest]:
    """Catch SIGINT and SIGTERM for the body; none off the main thread, where Python allows no handlers."""
    request = DrainRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM outside the driver's loop, with nothing in flight: while lightings are baked, Ray
    starts, or the last files are written.
    """
    with sigterm_interrupts():
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped while no group was being made",
                consequence="nothing partial was left; finished lightings and groups are kept",
                remedy="run the same command again: it goes on from here",
            ) from None


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM in the body is what Ctrl-C is: a KeyboardInterrupt of the main thread of this very process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def interrupt(number: int, _frame: object) -> None:
        if os.getpid() != process:  # a fork of ours, which its parent wants gone
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
