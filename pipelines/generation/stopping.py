"""SIGINT and SIGTERM: a request that the driver's loop looks at, and an end at once outside it."""

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
    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if on_main_thread else None
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped while no group was being made",
            consequence="nothing partial was left; finished lightings and groups are kept",
            remedy="run the same command again: it goes on from here",
        ) from None
    finally:
        if on_main_thread:
            signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
