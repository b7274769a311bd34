"""What a failure of a group means, and when to stop trying: arithmetic on counts, no Ray and no clock.

Three kinds of failure are kept apart. A *crash* (SIGSEGV and its kin, or a time-out) is evidence
against the group's own content. A *loss* (a kill, no memory, a machine that was pre-empted or lost, a worker
that nobody can reach) came from outside and says nothing about the group: it may cost time, never a sample;
which of them it was is told for a person, who mends each in another way. So does an *unreadable* input, a
file that could not be read or was touched while it was.
"""

import enum
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from typing import Generic, TypeVar

Held = TypeVar("Held")

# Signals that a program raises by its own doing. Any other that ends a process was sent from outside.
CRASH_SIGNALS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"})

MAX_CRASHES = 3  # the third is in a fresh worker that does nothing else, so no earlier group can be the cause
MAX_LOSSES = 10  # machines are pre-empted in bursts; ten in a row for one group is no burst
# From here on nothing else is in flight, so that a neighbour's memory cannot be the cause.
ALONE_AFTER_LOSSES = 8
# Each after a pause that doubles, so the last comes after a minute and a half: a mount is back by then, or
# stays away.
MAX_UNREADABLE = 9
MOST_PAUSE_S = 30.0
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
    unreadable_pause_s: float = (
        0.5  # before what could not be read is tried again, the first time; it doubles
    )
    tick_s: float = 0.5  # how often the driver looks at clocks and signals while nothing happens


class Fault(enum.StrEnum):
    """How an attempt at a group ended without a result."""

    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    UNREADABLE = "unreadable"
    KILLED = "killed"  # by a signal from outside: a person, a batch system, the kernel
    OUT_OF_MEMORY = "out of memory"
    PREEMPTED = "pre-empted"  # its machine was told to end: a spot machine taken back, a drained node
    MACHINE_LOST = "machine lost"
    LOST = "lost"  # gone, and nothing is known of how


LOSSES = frozenset({Fault.KILLED, Fault.OUT_OF_MEMORY, Fault.PREEMPTED, Fault.MACHINE_LOST, Fault.LOST})


class Verdict(enum.StrEnum):
    """What to do with a group after a fault."""

    RETRY = "retry"
    RETRY_OWN_WORKER = "retry in a fresh worker that does nothing else"
    RETRY_ALONE = "retry at the end with nothing else in flight"
    QUARANTINE = "quarantine"
    STOP = "stop the run"


def fault_of_signal(signal_name: str) -> Fault:
    """CRASHED for what a program does to itself ("SIGSEGV", "exit 1"), KILLED for a signal from outside."""
    by_itself = not signal_name.startswith("SIG") or signal_name in CRASH_SIGNALS
    return Fault.CRASHED if by_itself else Fault.KILLED


class GivenUp(Generic[Held]):
    """Groups given up after crashes or time-outs, or for a broken asset, held back until it is known whether
    the fault is theirs.

    One bad asset costs its groups. Failure after failure with nothing finished between them speaks of a
    broken driver, library, disk or machine, and must not put group after group in quarantine: at `limit` in a
    row the run stops, and those groups are tried again by the next one. Groups that fall for one and the same
    broken asset count once, since there may be thousands of them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[Held] = []
        self._counted = 0
        self._culprits: set[str] = set()

    def add(self, group: Held, culprits: Set[str] = frozenset()) -> Verdict:
        """Hold a group; STOP if it is the `limit`-th that counts. `culprits`: the broken assets, if known."""
        self._held.append(group)
        self._counted += not culprits or not culprits <= self._culprits
        self._culprits |= culprits
        return Verdict.STOP if self._counted >= self._limit else Verdict.QUARANTINE

    def release(self) -> list[Held]:
        """Every group held, to be quarantined: something was finished since, or no more evidence can come."""
        released, self._held = self._held, []
        self._counted, self._culprits = 0, set()
        return released


class RetryLedger:
    """Counts faults per group and gives the verdict. Memory grows with the groups that have failed so far."""

    def __init__(self) -> None:
        self._crashes: Counter[tuple[str, int]] = Counter()
        self._losses: Counter[tuple[str, int]] = Counter()
        self._unreadable: Counter[tuple[str, int]] = Counter()

    def record(self, group: tuple[str, int], fault: Fault) -> Verdict:
        """Count `fault` against `group` (stream name, group number) and say what follows."""
        if fault is Fault.UNREADABLE:
            self._unreadable[group] += 1
            return Verdict.STOP if self._unreadable[group] >= MAX_UNREADABLE else Verdict.RETRY
        if fault in LOSSES:
            self._losses[group] += 1
        else:
            self._crashes[group] += 1
        crashes, losses = self._crashes[group], self._losses[group]
        if fault not in LOSSES and crashes >= MAX_CRASHES:
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
        self._unreadable.pop(group, None)

    def pause_s(self, group: tuple[str, int], first_s: float) -> float:
        """How long nothing shall be tried after the group's inputs could not be read."""
        return min(first_s * 2 ** (self._unreadable[group] - 1), MOST_PAUSE_S)
