"""A fixed number of Ray workers: started, watched, given one group each, replaced when they die.

Each slot holds at most one actor and at most one call
in flight, so the culprit of a death is always known; Ray itself retries nothing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.pipelines.attempts.agenda import Attempt
from pairbridge.pipelines.attempts.policy import MAX_FAILED_STARTS, Fault, Limits
from pairbridge.pipelines.workers import worker_logs
from pairbridge.pipelines.workers.committers import Committers
from pairbridge.pipelines.workers.deaths import PROCESS_DEATHS, fault_of_death, message_of
from pairbridge.pipelines.workers.node_words import NodeWords
from pairbridge.pipelines.workers.pools import Pool
from pairbridge.pipelines.workers.ray_files import start_file_server
from pairbridge.pipelines.workers.worker import GroupOutcome, GroupWorker, WorkerInfo, WorkOrder

KILL_WAIT_S = 10.0  # Ray needs 5 s to end a stopped process, milliseconds for any other (measured)
CLOSE_WAIT_S = 5.0  # a worker's orderly end: Blender's exit and its scratch folder
# Ray misses a machine that died without a word after 15 to 20 s; until then it cannot be reached.
INQUEST_S = 40.0


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


@dataclass(frozen=True, slots=True)
class _Inquest:
    """Of a worker that is gone (`error`) or gives no result (`overdue`), until it is known what happened."""

    error: Exception | None
    overdue: str
    words: Any  # a call that gives its last words, or those
    deadline_s: float


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
    inquest: _Inquest | None = None
    hired: int = 0  # how many workers it has had
    groups_done: int = 0
    free_s: float = 0.0  # since when it has had nothing to do
    start_s: float = 0.0  # what its start took, until a group's record tells
    sends_to: Any = None  # the committers that its worker knows of

    @property
    def is_ready(self) -> bool:
        return self.info is not None and self.task is None


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A worker that is closing, while its slot has the next one."""

    actor: Any
    closed: Any  # the call of `close`
    deadline_s: float


class Crew:
    """The workers of all pools. A context manager; leaving it ends every worker."""

    def __init__(
        self,
        worker_class: type[GroupWorker],
        order: WorkOrder,
        pools: Sequence[Pool],
        limits: Limits,
        committers: Committers,
        join_timeout_s: float = 0.0,
    ) -> None:
        """`committers` take what workers make that cannot put it in place themselves. `join_timeout_s`: how
        much longer than `limits.start_timeout_s` a pool's first worker may take, where its machine has yet
        to join.
        """
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
        self._order_ref: Any = None  # in Ray's store: a plan has megabytes of assets
        self._node_words = NodeWords(order.staging_dir.name)
        self._limits = limits
        self._committers = committers
        self._join_timeout_s = join_timeout_s
        places = [pool for pool in pools for _ in range(pool.workers)]
        self._slots = [Slot(f"worker-{index:02d}", pool) for index, pool in enumerate(places)]
        # What each step of the driver asks for is kept, so that a step costs the same for any number of
        # workers: those that wait for a group, by pool, and the calls in flight.
        self._ready: dict[str, dict[Slot, None]] = {pool.name: {} for pool in pools}
        self._calls: dict[Any, Slot] = {}
        self._busy: set[Slot] = set()
        self._leaving: list[_Leaving] = []
        self._released: dict[str, float] = {}  # since when they had nothing to do
        self._next_look_s = 0.0
        self._failed_starts = 0

    def __enter__(self) -> Self:
        self._order_ref = ray.put(self._order)
        for slot in self._slots:
            self._start(slot)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for slot in self._slots:
            self._let_go(slot)
        ending = [each.closed for each in self._leaving]
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=CLOSE_WAIT_S)
        for each in self._leaving:
            ray.kill(each.actor)
        self._node_words.end()

    def ready(self, pool: str) -> list[Slot]:
        """The workers of one pool that could start a group now."""
        return list(self._ready[pool])

    @property
    def num_busy(self) -> int:
        return len(self._busy)

    @property
    def num_waiting(self) -> int:
        """Workers that are starting, or wait for a machine with room for them."""
        return len(self._slots) - len(self._busy) - sum(len(ready) for ready in self._ready.values())

    def resting_s(self) -> dict[str, float]:
        """How long each worker without a group has had none, by its name."""
        now = time.monotonic()
        since = self._released | {slot.name: slot.free_s for slot in self._slots if slot.is_ready}
        return {name: round(now - free_s, 4) for name, free_s in since.items()}

    def release(self, pool: str) -> None:
        """Let go of the pool's workers that have no group, for good: nothing is left to hand out, and their
        machines can go. One that fails at its group is replaced as ever, and can try it again.
        """
        for slot in [slot for slot in self._slots if slot.pool.name == pool and slot.task is None]:
            if slot.is_ready:
                self._released[slot.name] = slot.free_s
            self._let_go(slot)
            self._slots.remove(slot)

    def renew_one(self, pool: str) -> None:
        """See to it that a worker of the pool comes up that has done nothing yet, unless one is coming."""
        if all(slot.info for slot in self._slots if slot.pool.name == pool):
            self._restart(self.ready(pool)[0])

    def submit(self, slot: Slot, task: Attempt) -> None:
        """Give a ready worker a group, which it plans itself."""
        del self._ready[slot.pool.name][slot]
        self._busy.add(slot)
        slot.task = task
        if slot.info.sends and slot.sends_to is not self._committers.actors:
            slot.sends_to = self._committers.actors
            slot.actor.send_to.remote(slot.sends_to)
        self._call(slot, slot.actor.run, task.shard, task.group)

    def poll(self, timeout_s: float | None = None) -> Iterator[Finished]:
        """Wait at most one tick, or so many seconds, then yield the attempts that ended, one way or the
        other.

        Raises what a worker raised for the run as a whole (DiskFull, Fenced), WorkerBug for anything
        unforeseen, and WorkersDoNotStart.
        """
        wait_s = self._limits.tick_s if timeout_s is None else timeout_s
        calls, done = list(self._calls), []
        if calls:
            done, _ = ray.wait(calls, num_returns=1, timeout=wait_s)
        else:
            time.sleep(wait_s)
        if done:
            # All that have ended by now: looking over a thousand calls takes milliseconds, once for all.
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in done:
            yield from self._collect(self._calls[call])
        now = time.monotonic()
        if now < self._next_look_s:
            return
        self._next_look_s = now + self._limits.tick_s
        self._see_off(now)
        for slot in self._slots:
            if slot.inquest is not None:
                yield from self._inquire(slot)
            elif slot.task is not None and now - slot.began_s > self._limits.group_timeout_s:
                overdue = f"no result in {self._limits.group_timeout_s:g} s, last"
                yield from self._open_inquest(slot, None, overdue)
            elif slot.info is None and now - slot.began_s > self._limits.start_timeout_s:
                self._start_is_overdue(slot, now - slot.began_s)

    def abandon(self) -> None:
        """Kill every worker at once; what is in flight is lost."""
        for slot in self._slots:
            self._kill(slot)
        for each in self._leaving:
            ray.kill(each.actor)

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
            self._node_words.attend(result)
            return
        task, slot.task = slot.task, None
        slot.inquest = None  # it was late, and is here after all
        self._busy.discard(slot)
        slot.groups_done += 1
        if result.log:
            worker_logs.append(self._order.dataset_dir, slot.name, result.log)
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
        del self._calls[slot.call]
        yield from self._open_inquest(slot, error)

    def _open_inquest(self, slot: Slot, error: Exception | None, overdue: str = "") -> Iterator[Finished]:
        if slot.info.home is None:
            words = worker_logs.last_words(self._order.dataset_dir, slot.name)
        else:
            words = self._node_words.ask(slot.info, slot.name)
        slot.inquest = _Inquest(error, overdue, words, time.monotonic() + INQUEST_S)
        yield from self._inquire(slot)

    def _inquire(self, slot: Slot) -> Iterator[Finished]:
        """The end of an attempt that gave nothing, once it is known why; then a new worker comes up."""
        inquest, now = slot.inquest, time.monotonic()
        is_last = now > inquest.deadline_s
        words = inquest.words
        if not isinstance(words, worker_logs.LastWords):
            if not (is_last or ray.wait([words], timeout=0)[0]):
                return
            words = _answered(words)
        node = None
        if inquest.error is None:
            fault, how = Fault.TIMED_OUT, inquest.overdue
        else:
            node = next((node for node in ray.nodes() if node["NodeID"] == slot.info.node), None)
            known = fault_of_death(inquest.error, node, words)
            if known is None and not is_last:
                return
            fault, how = known or (Fault.LOST, "the worker could not be reached any more")
        outcome = GroupOutcome(
            fault=fault,
            reason=f"{how} in phase {words.phase}" if words else how.rstrip(","),
            detail=words.tail if words else "",
            message=message_of(inquest.error, node) if inquest.error else "",
            wall_s=round(now - slot.began_s, 4),
            phase_s={},
            rss_mib=0,
        )
        finished = _finished(slot, slot.task, outcome, now)
        self._restart(slot)
        yield finished

    def _start_is_overdue(self, slot: Slot, waited_s: float) -> None:
        pool = slot.pool
        if any(other.info for other in self._slots if other.pool is pool):
            # The cluster has shrunk, or not grown yet; the others go on, and this one waits for room.
            slot.began_s = time.monotonic()
        elif waited_s > self._limits.start_timeout_s + self._join_timeout_s:
            fits = any(
                all(node["Resources"].get(name, 0) >= amount for name, amount in pool.each.items())
                for node in ray.nodes()
                if node["Alive"]
            )
            raise self._no_start(
                f"no worker of pool {pool.name} was ready within {waited_s:.0f} s; each takes "
                f"{_shown(pool.each)}, and {'a machine' if fits else 'no machine'} of the cluster has that; "
                f"all together offer {_shown(ray.cluster_resources())}, "
                f"free {_shown(ray.available_resources())}"
            )

    def _start(self, slot: Slot) -> None:
        # Of the worker before, which may have run elsewhere: its last words are not this one's.
        worker_logs.crash_path(self._order.dataset_dir, slot.name).unlink(missing_ok=True)
        slot.actor = self._hire(slot)
        slot.info = slot.task = slot.inquest = slot.sends_to = None
        slot.groups_done = 0
        self._call(slot, slot.actor.open)

    def _hire(self, slot: Slot) -> Any:
        slot.hired += 1
        # What Ray says of it, in its messages and on its dashboard, names it.
        name = f"pairbridge {self._order.staging_dir.name} {slot.name}.{slot.hired}"
        actor_class = self._actor_classes[slot.pool.name].options(name=name)
        return actor_class.remote(self._order_ref, slot.name, slot.pool.cpus)

    def _call(self, slot: Slot, method: Any, *arguments: Any) -> None:
        slot.call = method.remote(*arguments)
        slot.began_s = time.monotonic()
        self._calls[slot.call] = slot

    def _restart(self, slot: Slot) -> None:
        self._let_go(slot)
        self._start(slot)

    def _let_go(self, slot: Slot) -> None:
        """An orderly end for a worker that is idle, which nobody waits for; death for any other."""
        if not slot.is_ready:
            self._kill(slot)
            return
        deadline_s = time.monotonic() + CLOSE_WAIT_S
        self._leaving.append(_Leaving(slot.actor, slot.actor.close.remote(), deadline_s))
        del self._ready[slot.pool.name][slot]
        slot.actor = slot.info = None

    def _see_off(self, now: float) -> None:
        """End the processes of those that have closed, or take too long: until then they hold their room."""
        if not self._leaving:
            return
        ending = [each.closed for each in self._leaving]
        closed = set(ray.wait(ending, num_returns=len(ending), timeout=0)[0])
        staying = []
        for each in self._leaving:
            if each.closed in closed or now > each.deadline_s:
                ray.kill(each.actor)
            else:
                staying.append(each)
        self._leaving = staying

    def _kill(self, slot: Slot) -> None:
        if slot.actor is None:
            return
        ray.kill(slot.actor)
        if slot.call in self._calls and slot.task is not None:
            # Its call fails once it is dead; until then it could still stage what is about to be given up.
            ray.wait([slot.call], timeout=KILL_WAIT_S)
        self._calls.pop(slot.call, None)
        self._ready[slot.pool.name].pop(slot, None)
        self._busy.discard(slot)
        slot.actor = slot.call = slot.info = slot.task = None

    def _run_error(self, slot: Slot, error: RayTaskError) -> PairbridgeError:
        if isinstance(error.cause, PairbridgeError):
            return error.cause
        log = worker_logs.log_path(self._order.dataset_dir, slot.name)
        if slot.info is not None and slot.info.home is not None:
            worker_logs.append(self._order.dataset_dir, slot.name, f"{error.traceback_str}\n")
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
    committers: Committers,
    worker_class: type[GroupWorker] = GroupWorker,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Crew:
    """The workers of a run, not yet started; those of a cluster get models from the folder `weights`, and
    hand what they made to `committers` where they cannot put it in place themselves.
    """
    # A cluster may have, or get, machines that see none of this one's folders.
    if address is None:
        return Crew(worker_class, order, pools, limits, committers)
    order = replace(order, files=start_file_server(order.plan, weights))
    join_timeout_s = order.plan.config.execution.join_timeout_s
    return Crew(worker_class, order, pools, limits, committers, join_timeout_s)


def _answered(call: Any) -> worker_logs.LastWords | None:
    """None where the worker's machine does not answer."""
    try:
        return ray.get(call, timeout=0)
    except (RayError, TimeoutError):
        return None


def _finished(slot: Slot, task: Attempt, outcome: GroupOutcome, now: float) -> Finished:
    wait_s = max(0.0, now - slot.free_s - outcome.wall_s)
    start_s, slot.start_s = slot.start_s, 0.0
    return Finished(task, outcome, slot.name, slot.info, round(wait_s, 4), round(start_s, 4))


def _shown(resources: Mapping[str, float]) -> str:
    # Ray lists memory, and an entry for every machine, beside what can be asked for.
    named = {name: amount for name, amount in resources.items() if "memory" not in name and ":" not in name}
    return ", ".join(f"{amount:g} {name}" for name, amount in sorted(named.items())) or "nothing"
