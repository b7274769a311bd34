"""A fixed number of Ray workers: started, watched, given one group each, replaced when they die.

The only module that knows Ray's actors and exceptions. Each slot holds at most one actor and at most one call
in flight, so the culprit of a death is always known; Ray itself retries nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.pipelines.attempts.agenda import Attempt
from pairbridge.pipelines.attempts.policy import MAX_FAILED_STARTS, Fault, Limits, fault_of_signal
from pairbridge.pipelines.workers import worker_logs
from pairbridge.pipelines.workers.node_files import start_file_server
from pairbridge.pipelines.workers.pools import Pool
from pairbridge.pipelines.workers.worker import GroupOutcome, GroupWorker, WorkerInfo, WorkOrder

# Ray has no common base for "the process that ran it is gone"; RayTaskError is an exception of our own code.
PROCESS_DEATHS = (RayActorError, NodeDiedError, WorkerCrashedError, OutOfMemoryError)

KILL_WAIT_S = 10.0  # Ray needs 5 s to end a stopped process, milliseconds for any other (measured)
CLOSE_WAIT_S = 5.0  # a worker's orderly end: Blender's exit and its scratch folder


class WorkersDoNotStart(PairbridgeError):
    """No worker gets as far as making anything."""


class WorkerBug(PairbridgeError):
    """A worker raised what is neither a group's fault nor the disk's: a bug, or a broken installation."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one attempt. Nothing was staged if `outcome.fault` is set.

    `wait_s`: how long the worker did nothing before it, the way to it and back included; `start_s`: how long
    it took to be ready, for a worker's first.
    """

    task: Attempt
    outcome: GroupOutcome
    worker: str
    where: WorkerInfo
    wait_s: float = 0.0
    start_s: float = 0.0


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one worker after another: `info` is set once it is ready, `task` while it makes a group."""

    name: str
    pool: Pool
    actor: Any = None
    call: Any = None  # the one call in flight: `open`, or `run` of `task`
    began_s: float = 0.0
    info: WorkerInfo | None = None
    task: Attempt | None = None
    groups_done: int = 0
    free_s: float = 0.0  # since when it has had nothing to do
    start_s: float = 0.0  # what its start took, until a group's record tells

    @property
    def is_ready(self) -> bool:
        return self.info is not None and self.task is None


class Crew:
    """The workers of all pools. A context manager; leaving it ends every worker.

    `order.name` and `order.threads` are replaced by each slot's own.
    """

    def __init__(
        self, worker_class: type[GroupWorker], order: WorkOrder, pools: Sequence[Pool], limits: Limits
    ) -> None:
        self._actor_classes = {
            pool.name: ray.remote(
                max_concurrency=1,
                max_restarts=0,
                max_task_retries=0,
                num_cpus=pool.cpus,
                num_gpus=pool.gpus,
                resources=pool.resources,
                scheduling_strategy="SPREAD" if pool.spread else "DEFAULT",
            )(worker_class)
            for pool in pools
        }
        self._order = order
        self._limits = limits
        places = [pool for pool in pools for _ in range(pool.workers)]
        self._slots = [Slot(f"worker-{index:02d}", pool) for index, pool in enumerate(places)]
        # What each step of the driver asks for is kept, so that a step costs the same for any number of
        # workers: those that wait for a group, by pool, and the calls in flight.
        self._ready: dict[str, dict[Slot, None]] = {pool.name: {} for pool in pools}
        self._calls: dict[Any, Slot] = {}
        self._busy: set[Slot] = set()
        self._next_look_s = 0.0
        self._failed_starts = 0

    def __enter__(self) -> Self:
        for slot in self._slots:
            self._start(slot)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end(self._slots)

    def ready(self, pool: str) -> list[Slot]:
        """The workers of one pool that could start a group now."""
        return list(self._ready[pool])

    @property
    def num_busy(self) -> int:
        return len(self._busy)

    def resting_s(self) -> dict[str, float]:
        """How long each worker without a group has had none, by its name."""
        now = time.monotonic()
        return {slot.name: round(now - slot.free_s, 4) for slot in self._slots if slot.is_ready}

    def renew_one(self, pool: str) -> None:
        """See to it that a worker of the pool comes up that has done nothing yet, unless one is coming."""
        if all(slot.info for slot in self._slots if slot.pool.name == pool):
            self._restart(self.ready(pool)[0])

    def submit(self, slot: Slot, task: Attempt) -> None:
        """Give a ready worker a group, which it plans itself."""
        del self._ready[slot.pool.name][slot]
        self._busy.add(slot)
        slot.task = task
        self._call(slot, slot.actor.run, task.shard, task.group)

    def poll(self) -> Iterator[Finished]:
        """Wait at most one tick, then yield the attempts that ended, one way or the other.

        Raises what a worker raised for the run as a whole (DiskFull, Fenced), WorkerBug for anything
        unforeseen, and WorkersDoNotStart.
        """
        calls = list(self._calls)
        if not calls:
            time.sleep(self._limits.tick_s)
            return
        done, _ = ray.wait(calls, num_returns=1, timeout=self._limits.tick_s)
        if done:
            # All that have ended by now: looking over a thousand calls takes milliseconds, once for all.
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in done:
            yield from self._collect(self._calls[call])
        now = time.monotonic()
        if now < self._next_look_s:
            return
        self._next_look_s = now + self._limits.tick_s
        for slot in self._slots:
            if slot.task is not None and now - slot.began_s > self._limits.group_timeout_s:
                reason = f"no result in {self._limits.group_timeout_s:g} s, last in phase"
                yield self._without_result(slot, Fault.TIMED_OUT, reason)
            elif slot.info is None and now - slot.began_s > self._limits.start_timeout_s:
                self._start_is_overdue(slot)

    def abandon(self) -> None:
        """Kill every worker at once; what is in flight is lost."""
        for slot in self._slots:
            self._kill(slot)

    def _collect(self, slot: Slot) -> Iterator[Finished]:
        try:
            result = ray.get(slot.call)
        except PROCESS_DEATHS as error:
            yield from self._died(slot, error)
            return
        except RayTaskError as error:
            raise self._run_error(slot, error) from error
        del self._calls[slot.call]
        slot.call = None
        self._failed_starts = 0
        self._ready[slot.pool.name][slot] = None
        now = time.monotonic()
        if slot.task is None:
            slot.info, slot.free_s, slot.start_s = result, now, now - slot.began_s
            return
        task, slot.task = slot.task, None
        self._busy.discard(slot)
        slot.groups_done += 1
        yield _finished(slot, task, result, now)
        slot.free_s = now
        worn = slot.groups_done >= self._limits.groups_per_worker
        if task.own_worker or worn or result.rss_mib > self._limits.worker_rss_mib:
            self._restart(slot)

    def _died(self, slot: Slot, error: Exception) -> Iterator[Finished]:
        if slot.task is None:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise self._no_start(f"{self._failed_starts} workers in a row died while starting: {error}")
            self._restart(slot)
            return
        signal_name = worker_logs.crash_signal(self._order.dataset_dir, slot.name)
        fault = fault_of_signal(signal_name) if signal_name else Fault.LOST
        how = f"the worker ended with {signal_name}" if signal_name else type(error).__name__
        yield self._without_result(slot, fault, f"{how} in phase")

    def _without_result(self, slot: Slot, fault: Fault, reason: str) -> Finished:
        """The end of an attempt that gave nothing, in the phase that `reason` ends with; a new worker comes
        up.
        """
        place, now = (self._order.dataset_dir, slot.name), time.monotonic()
        outcome = GroupOutcome(
            fault=fault,
            reason=f"{reason} {worker_logs.last_phase(*place)}",
            detail=worker_logs.tail(*place),
            wall_s=round(now - slot.began_s, 4),
            phase_s={},
            rss_mib=0,
        )
        finished = _finished(slot, slot.task, outcome, now)
        self._restart(slot)
        return finished

    def _start_is_overdue(self, slot: Slot) -> None:
        if any(other.info for other in self._slots):
            # The cluster has shrunk; the others go on, and this one waits for room.
            slot.began_s = time.monotonic()
            return
        raise self._no_start(
            f"no worker was ready within {self._limits.start_timeout_s:g} s; "
            f"the cluster offers {_shown(ray.cluster_resources())}, free {_shown(ray.available_resources())}"
        )

    def _start(self, slot: Slot) -> None:
        # Of the worker before, which may have run elsewhere: its last words are not this one's.
        worker_logs.crash_path(self._order.dataset_dir, slot.name).unlink(missing_ok=True)
        slot.actor = self._hire(slot)
        slot.info, slot.task, slot.groups_done = None, None, 0
        self._call(slot, slot.actor.open)

    def _hire(self, slot: Slot) -> Any:
        order = replace(self._order, name=slot.name, threads=slot.pool.cpus)
        return self._actor_classes[slot.pool.name].remote(order)

    def _call(self, slot: Slot, method: Any, *arguments: Any) -> None:
        slot.call = method.remote(*arguments)
        slot.began_s = time.monotonic()
        self._calls[slot.call] = slot

    def _restart(self, slot: Slot) -> None:
        self._end([slot])
        self._start(slot)

    def _end(self, slots: list[Slot]) -> None:
        """An orderly end for those that are idle, then death for all."""
        closing = [slot.actor.close.remote() for slot in slots if slot.is_ready]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_WAIT_S)
        for slot in slots:
            self._kill(slot)

    def _kill(self, slot: Slot) -> None:
        if slot.actor is None:
            return
        ray.kill(slot.actor)
        if slot.call is not None:
            # Its call fails once it is dead; until then it could still stage what is about to be given up.
            ray.wait([slot.call], timeout=KILL_WAIT_S)
            del self._calls[slot.call]
        self._ready[slot.pool.name].pop(slot, None)
        self._busy.discard(slot)
        slot.actor = slot.call = slot.info = slot.task = None

    def _run_error(self, slot: Slot, error: RayTaskError) -> PairbridgeError:
        if isinstance(error.cause, PairbridgeError):
            return error.cause
        log = worker_logs.log_path(self._order.dataset_dir, slot.name)
        doing = f"making {slot.task.shard.name} group {slot.task.group}" if slot.task else "starting"
        return WorkerBug(
            f"{slot.name} failed while {doing}: {error.cause!r}",
            consequence="the run stops: the same error would wait in every group like it",
            remedy=f"read the traceback at the end of {log}, repair its cause, run the same command again",
        )

    def _no_start(self, cause: str) -> WorkersDoNotStart:
        return WorkersDoNotStart(
            cause,
            consequence="nothing can be made; what was committed before is whole",
            remedy=f"read {self._order.dataset_dir / worker_logs.LOGS_NAME}, run `pairbridge doctor` on the "
            "workers' machines, or ask for fewer workers",
        )


def crew_of(
    order: WorkOrder,
    pools: tuple[Pool, ...],
    address: str | None,
    weights: Path | None,
    worker_class: type[GroupWorker] = GroupWorker,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Crew:
    """The workers of a run, not yet started; those of a cluster get models from the folder `weights`."""
    # A cluster may have, or get, machines that see none of this one's folders.
    files = start_file_server(order.plan, weights) if address is not None else None
    return Crew(worker_class, replace(order, files=files), pools, limits)


def _finished(slot: Slot, task: Attempt, outcome: GroupOutcome, now: float) -> Finished:
    wait_s = max(0.0, now - slot.free_s - outcome.wall_s)
    start_s, slot.start_s = slot.start_s, 0.0
    return Finished(task, outcome, slot.name, slot.info, round(wait_s, 4), round(start_s, 4))


def _shown(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
