"""What a failure of a group means, and when to stop trying: arithmetic on counts, no Ray and no clock.

Two kinds of process failure are kept apart. A *crash* (SIGSEGV and its kin, or a time-out) is evidence
against the group's own content. A *loss* (SIGKILL, a lost node, out of memory, a vanished actor) came from
outside and says nothing about the group: it may cost time, never a sample.
"""

import enum
from collections import Counter
from dataclasses import dataclass
from typing import Any

# Signals that a program raises by its own doing. Any other that ends a process was sent from outside.
CRASH_SIGNALS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"})

MAX_CRASHES = 3  # the third is in a fresh worker that does nothing else, so no earlier group can be the cause
MAX_LOSSES = 10  # machines are pre-empted in bursts; ten in a row for one group is no burst
# From here on nothing else is in flight, so that a neighbour's memory cannot be the cause.
ALONE_AFTER_LOSSES = 8
# Workers that die before they are ready, in a row: the environment is broken, not a group.
MAX_FAILED_STARTS = 5
assert 1 < MAX_CRASHES <= ALONE_AFTER_LOSSES < MAX_LOSSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Clocks and sizes of a run; they decide when a worker is given up, never what it makes."""

    group_timeout_s: float = 900.0  # six renders of 1024x1024 at 64 samples take about 150 s on two cores
    start_timeout_s: float = 180.0  # imports over a slow network filesystem; 2 s from a local disk
    groups_per_worker: int = 500  # codecs and bpy leak slowly; a restart costs about a second
    worker_rss_mib: int = 4096  # the worker itself; its Blender child recycles itself
    tick_s: float = 0.5  # how often the driver looks at clocks and signals while nothing happens


class Fault(enum.StrEnum):
    """How an attempt at a group ended without a result."""

    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    LOST = "lost"


class Verdict(enum.StrEnum):
    """What to do with a group after a fault."""

    RETRY = "retry"
    RETRY_OWN_WORKER = "retry in a fresh worker that does nothing else"
    RETRY_ALONE = "retry at the end with nothing else in flight"
    QUARANTINE = "quarantine"
    STOP = "stop the run"


def fault_of_signal(signal_name: str) -> Fault:
    """CRASHED for what a program does to itself ("SIGSEGV", "exit 1"), LOST for a signal from outside."""
    by_itself = not signal_name.startswith("SIG") or signal_name in CRASH_SIGNALS
    return Fault.CRASHED if by_itself else Fault.LOST


class GivenUp:
    """Groups given up after crashes or time-outs, held back until it is known whether the fault is theirs.

    One bad asset costs its groups. Crash after crash with nothing finished between them speaks of a broken
    driver, library or machine, and must not put group after group in quarantine: at `limit` in a row the
    run stops, and those groups are tried again by the next one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[tuple[Any, str]] = []

    def add(self, task: Any, reason: str) -> Verdict:
        """Hold a group; STOP if it is the `limit`-th in a row."""
        self._held.append((task, reason))
        return Verdict.STOP if len(self._held) >= self._limit else Verdict.QUARANTINE

    def release(self) -> list[tuple[Any, str]]:
        """(task, reason) of every group held, to be quarantined: something was finished since, or no more
        evidence can come.
        """
        released, self._held = self._held, []
        return released


class RetryLedger:
    """Counts faults per group and gives the verdict. Memory grows with the groups that have failed so far."""

    def __init__(self) -> None:
        self._crashes: Counter[tuple[str, int]] = Counter()
        self._losses: Counter[tuple[str, int]] = Counter()

    def record(self, group: tuple[str, int], fault: Fault) -> Verdict:
        """Count `fault` against `group` (stream name, group number) and say what follows."""
        if fault is Fault.LOST:
            self._losses[group] += 1
        else:
            self._crashes[group] += 1
        crashes, losses = self._crashes[group], self._losses[group]
        if fault is not Fault.LOST and crashes >= MAX_CRASHES:
            return Verdict.QUARANTINE
        if losses >= MAX_LOSSES:
            return Verdict.STOP
        if losses >= ALONE_AFTER_LOSSES:
            return Verdict.RETRY_ALONE
        if crashes == MAX_CRASHES - 1:
            return Verdict.RETRY_OWN_WORKER
        return Verdict.RETRY

    def forget(self, group: tuple[str, int]) -> None:
        self._crashes.pop(group, None)
        self._losses.pop(group, None)
