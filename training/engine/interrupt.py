"""SIGINT and SIGTERM as a request that the loop reads between two steps, to write a checkpoint first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class StopSignal:
    signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


_requests: list[StopSignal] = []


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopSignal]:
    """Collect the first signal; a second one of the same kind acts as it would have without us.

    Python delivers signals to the main thread alone: elsewhere the request comes from `request_stop`.
    """
    request = StopSignal()
    if threading.current_thread() is not threading.main_thread():
        _requests.append(request)
        try:
            yield request
        finally:
            _requests.remove(request)
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame) -> None:
        request.signal_name = signal.Signals(number).name
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def request_stop(signal_name: str) -> None:
    """To the runs of this process that are off its main thread: what that signal would be on it."""
    for request in _requests:
        request.signal_name = signal_name
