"""Which group is tried next, and when a shard is complete: a pure state machine, no Ray, no files, no clock.

Shards are opened in plan order, one at a time, so memory does not grow with the plan: a shard is held from
the first of its groups being handed out until its last one is settled (staged, or quarantined).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.pipelines.attempts.policy import Fault, RetryLedger, Verdict


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one group."""

    shard: ShardSpec
    group: int
    own_worker: bool = False  # in a worker that has done nothing before and does nothing after
    alone: bool = False  # and with nothing else in flight anywhere

    @property
    def name(self) -> tuple[str, int]:
        return self.shard.name, self.group


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that is not committed, and those of its groups that no staged record settles."""

    spec: ShardSpec
    missing: tuple[int, ...]


class Agenda:
    """Hands out tasks and takes back results.

    `shards` yields the uncommitted shards in plan order; it is read lazily. Every task handed out must come
    back through `settled` or `failed` exactly once; one that `failed` calls QUARANTINE is the caller's to
    settle, whenever its holes are staged.
    """

    def __init__(self, shards: Iterable[OpenShard]) -> None:
        self._shards: Iterator[OpenShard] = iter(shards)
        self._untried: deque[Attempt] = deque()
        self._retries: deque[Attempt] = deque()
        self._own_worker: deque[Attempt] = deque()
        self._alone: deque[Attempt] = deque()
        self._in_flight: dict[tuple[str, int], Attempt] = {}
        self._unsettled: dict[str, set[int]] = {}
        self._complete: deque[ShardSpec] = deque()
        self._exhausted = False
        self._faults = RetryLedger()

    def next(self, *, worker_is_unused: bool, others_idle: bool = True) -> Attempt | None:
        """The next task that a worker may start now, or None: what is left, if anything, must wait.

        Tasks that want a worker of their own are given to unused workers only; see `wants_unused_worker`.
        `others_idle`: no other agenda has anything in flight, so that a task may run with nothing beside it.
        """
        if self.runs_alone:
            return None
        if worker_is_unused and self._own_worker:
            return self._start(self._own_worker.popleft())
        if self._retries:
            return self._start(self._retries.popleft())
        self._open_shards()
        if self._untried:
            return self._start(self._untried.popleft())
        if worker_is_unused and others_idle and self._alone_may_start:
            return self._start(self._alone.popleft())
        return None

    @property
    def runs_alone(self) -> bool:
        """A task is in flight that nothing else may run beside."""
        # It was started with nothing else in flight, and nothing was since.
        return len(self._in_flight) == 1 and any(task.alone for task in self._in_flight.values())

    @property
    def wants_unused_worker(self) -> bool:
        """A task could start at once if some worker had done nothing before."""
        return bool(self._own_worker) or self._alone_may_start

    @property
    def waits_for_workers(self) -> bool:
        """A task could be handed out, now or once the right worker or moment is there."""
        self._open_shards()
        return bool(self._untried or self._retries or self._own_worker or self._alone)

    @property
    def finished(self) -> bool:
        """Nothing is left to hand out, in flight or to commit."""
        self._open_shards()
        return self._exhausted and not (self._unsettled or self._complete)

    def pop_complete(self) -> ShardSpec | None:
        """A shard whose groups are all settled, to be committed now; each is returned once."""
        return self._complete.popleft() if self._complete else None

    @property
    def num_open(self) -> int:
        """Shards with groups that are not settled yet, of those that were begun."""
        return len(self._unsettled)

    @property
    def idle(self) -> bool:
        """Nothing is left to try and nothing in flight: only the caller can settle what is left, if any."""
        return not (self.waits_for_workers or self._in_flight)

    def settled(self, task: Attempt) -> None:
        """The group's record is in staging, with pairs, holes or both."""
        self._in_flight.pop(task.name, None)  # one that was given up has left before
        self._faults.forget(task.name)
        unsettled = self._unsettled[task.shard.name]
        unsettled.remove(task.group)
        if not unsettled:
            del self._unsettled[task.shard.name]
            self._complete.append(task.shard)

    def withhold(self, task: Attempt) -> None:
        """The attempt has ended; the caller calls `settled` once it knows whether its holes shall be
        staged."""
        del self._in_flight[task.name]

    def failed(self, task: Attempt, fault: Fault) -> Verdict:
        """Count the fault, queue the retry. On QUARANTINE the caller stages the holes and calls `settled`."""
        verdict = self._faults.record(task.name, fault)
        del self._in_flight[task.name]
        if verdict is Verdict.RETRY:
            self._retries.append(Attempt(task.shard, task.group))
        elif verdict is Verdict.RETRY_OWN_WORKER:
            self._own_worker.append(Attempt(task.shard, task.group, own_worker=True))
        elif verdict is Verdict.RETRY_ALONE:
            self._alone.append(Attempt(task.shard, task.group, own_worker=True, alone=True))
        return verdict

    def pause_s(self, task: Attempt, first_s: float) -> float:
        """As `RetryLedger.pause_s`."""
        return self._faults.pause_s(task.name, first_s)

    @property
    def _alone_may_start(self) -> bool:
        waiting = self._in_flight or self._own_worker or self._retries or self._untried
        return bool(self._alone) and self._exhausted and not waiting

    def _start(self, task: Attempt) -> Attempt:
        self._in_flight[task.name] = task
        return task

    def _open_shards(self) -> None:
        """Read shards until one has groups to do, or none is left; those that lack nothing are complete."""
        while not (self._untried or self._exhausted):
            shard = next(self._shards, None)
            if shard is None:
                self._exhausted = True
            elif shard.missing:
                self._unsettled[shard.spec.name] = set(shard.missing)
                self._untried.extend(Attempt(shard.spec, group) for group in shard.missing)
            else:
                self._complete.append(shard.spec)
