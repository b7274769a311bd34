"""Committers as actors on a cluster, spread over the machines that can do it: those that see the run's
folder, or, of a dataset on a store, those that reach it. Which these are is asked of each (`NodeSight`).

The driver's environment is not sent along, since Ray would write it down: a machine that reaches a store does
so with credentials of its own. Where none does, threads of the driver's process upload.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import ShardInfo
from pairbridge.pipelines.shelves.committer import Committer, ReadyShard
from pairbridge.pipelines.shelves.lock import Lease
from pairbridge.pipelines.shelves.staging import sees_staging
from pairbridge.pipelines.shelves.store_committer import StoreCommitter
from pairbridge.pipelines.shelves.store_staging import StoreStaging, reaches_store
from pairbridge.pipelines.workers.committers import (
    THREADS,
    CommitterLost,
    Committers,
    OwnCommitters,
    num_committers,
)
from pairbridge.pipelines.workers.node_sight import NodeSight
from pairbridge.pipelines.workers.worker import WorkOrder

# One assembles a shard, and takes parts from workers.
_CONCURRENT_CALLS = 4
CLEAR_WAIT_S = 5.0
# One that dies is started anew; on the driver's machine what it had in hand is done again. As often as this
# it is no accident: that machine gets no more, or the run stops.
MOST_DEATHS = 5
LOOK_S = 5.0  # until a machine that has joined is noticed
_TURN_S = 0.1  # threads, actors and the answers of machines cannot be waited for at once

_log = logging.getLogger(__name__)
_Shard = tuple[ShardSpec, ShardInfo]


@dataclass(slots=True, eq=False)
class _Seat:
    """One actor. `node`: the machine that it is on; None: the driver's, where the last word is spoken."""

    actor: Any
    node: str | None


class RayCommitters:
    """Actors, each of which assembles one shard at a time: on machines of the cluster that see the run's
    folder, evenly; on the driver's machine while there is none.

    One on the driver's machine stays, whose word counts: a shard that failed elsewhere, whatever the reason,
    is made ready there.
    """

    def __init__(self, order: WorkOrder, count: int) -> None:
        self._order, self._count = order, count
        self._sight = self._asked()
        self._seats: list[_Seat] = []
        self._idle: list[_Seat] = []
        self._waiting: deque[_Shard] = deque()
        self._back: deque[_Shard] = deque()  # for the driver's machine alone
        self._calls: dict[Any, tuple[_Seat, _Shard]] = {}
        self._clearing: list[Any] = []
        self._failures: Counter[str] = Counter()
        self._hired = self._turns = 0
        self._next_look_s = 0.0
        self.actors: tuple[tuple[Any, ...], ...] = ()
        self._look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._clearing:
            ray.wait(self._clearing, num_returns=len(self._clearing), timeout=CLEAR_WAIT_S)
        for seat in self._seats:
            ray.kill(seat.actor)

    @property
    def num_pending(self) -> int:
        return len(self._waiting) + len(self._back) + len(self._calls)

    def is_behind(self, num_open: int) -> bool:
        return len(self._waiting) + len(self._back) > max(num_open, len(self._seats))

    def submit(self, shard: ShardSpec, info: ShardInfo) -> None:
        self._waiting.append((shard, info))
        self._hand_out()

    def clear(self, folder: Path, shard: ShardSpec) -> None:
        self._clear_by(self._seats, folder, shard)

    def release(self, num_open: int) -> None:
        self._count = max(1, min(self._count, num_open + self.num_pending))

    def wait(self, timeout_s: float) -> None:
        if self._calls:
            ray.wait(list(self._calls), timeout=timeout_s)
        else:  # machines are still to answer
            time.sleep(min(timeout_s, _TURN_S))

    def ended(self) -> Iterator[ReadyShard]:
        calls = list(self._calls)
        done = ray.wait(calls, num_returns=len(calls), timeout=0)[0] if calls else []
        ended = [(call, *self._calls.pop(call)) for call in done]
        self._idle += [seat for _, seat, _ in ended]
        results = [self._result(call, seat, shard) for call, seat, shard in ended]
        self._look()
        self._hand_out()
        yield from (ready for ready in results if ready is not None)

    def _asked(self) -> NodeSight:
        # The driver's machine does.
        here = ray.get_runtime_context().get_node_id()
        return NodeSight(sees_staging, self._order.staging_dir, but=here)

    def _started(self, node: str | None, options: dict[str, Any]) -> Any:
        """An actor with these options of Ray's, on that machine."""
        order = self._order
        return ray.remote(**options)(Committer).remote(order.dataset_dir, order.staging_dir, None)

    def _call(self, seat: _Seat, shard: _Shard) -> Any:
        return seat.actor.make_ready.remote(*shard)

    def _answered(self, shard: _Shard, answer: Any) -> ReadyShard | None:
        """What a call has given; None if there is no ready shard in it yet."""
        return answer

    def _hand_out_at_home(self, shards: deque[_Shard]) -> None:
        for seat in [seat for seat in self._idle if seat.node is None][: len(shards)]:
            self._give(seat, shards.popleft())

    def _clear_by(self, seats: list[_Seat], *arguments: Any) -> None:
        self._turns += 1
        self._clearing.append(seats[self._turns % len(seats)].actor.clear.remote(*arguments))
        # The last ones are waited for in the end.
        del self._clearing[: -4 * len(seats)]

    def _look(self) -> None:
        """Have an actor wherever one should be, and none elsewhere."""
        now = time.monotonic()
        if now < self._next_look_s:
            return
        nodes = self._sight.look()
        self._next_look_s = now + (LOOK_S if self._sight.settled else _TURN_S)
        for seat in [seat for seat in self._idle if seat.node and seat.node not in nodes]:
            self._let_go(seat)
        there = Counter(seat.node for seat in self._seats)
        lacking = self._count - (len(self._seats) - there[None])
        if lacking < 0:
            for seat in [seat for seat in self._idle if seat.node][:-lacking]:
                self._let_go(seat)
        for _ in range(lacking if nodes else 0):
            node = min(nodes, key=lambda node: there[node])
            self._hire(node)
            there[node] += 1
        at_home = self._count if not nodes and self._sight.settled else 1
        for _ in range(there[None], at_home):
            self._hire(None)
        if nodes:
            for seat in [seat for seat in self._idle if not seat.node][: max(0, there[None] - at_home)]:
                self._let_go(seat)

    def _hire(self, node: str | None) -> None:
        here = ray.get_runtime_context().get_node_id()
        options = {
            "name": f"pairbridge {self._order.staging_dir.name} committer-{self._hired}",
            "num_cpus": 0,
            "max_concurrency": _CONCURRENT_CALLS,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node or here, soft=False),
        }
        if node is None:
            # All of its calls may be repeated; elsewhere a death is a reason to go home.
            options |= {"max_restarts": -1, "max_task_retries": MOST_DEATHS - 1}
        self._hired += 1
        self._seats.append(_Seat(self._started(node, options), node))
        self._idle.append(self._seats[-1])
        self._list_actors()

    def _let_go(self, seat: _Seat) -> None:
        self._idle.remove(seat)
        self._seats.remove(seat)
        self._list_actors()
        ray.kill(seat.actor)

    def _list_actors(self) -> None:
        elsewhere = tuple(seat.actor for seat in self._seats if seat.node is not None)
        at_home = tuple(seat.actor for seat in self._seats if seat.node is None)
        self.actors = tuple(some for some in (elsewhere, at_home) if some)

    def _hand_out(self) -> None:
        elsewhere = [seat for seat in self._idle if seat.node is not None]
        for seat in elsewhere[: len(self._waiting)]:
            self._give(seat, self._waiting.popleft())
        # While others can, the driver's machine does what they could not.
        is_alone = self._sight.settled and all(seat.node is None for seat in self._seats)
        self._hand_out_at_home(self._waiting if is_alone and not self._back else self._back)

    def _give(self, seat: _Seat, shard: _Shard) -> None:
        self._idle.remove(seat)
        self._calls[self._call(seat, shard)] = seat, shard

    def _result(self, call: Any, seat: _Seat, shard: _Shard) -> ReadyShard | None:
        try:
            answer = ray.get(call)
        except RayError as error:
            if seat.node is None:
                raise self._stopped(error) from error
            _log.warning(
                "committer: machine %s did not make %s ready (%s); the driver's does",
                seat.node[:12],
                shard[0].name,
                str(error).strip().splitlines()[-1],
            )
            self._back.append(shard)
            self._let_go(seat)
            self._failures[seat.node] += 1
            if self._failures[seat.node] == MOST_DEATHS:
                self._sight.refuse(seat.node)
            self._next_look_s = 0.0
            return None
        return self._answered(shard, answer)

    def _stopped(self, error: RayError) -> Exception:
        if isinstance(error, RayTaskError):
            return error.cause if isinstance(error.cause, PairbridgeError) else error
        return CommitterLost(
            f"a process that assembles shards of {self._order.dataset_dir} ended {MOST_DEATHS} times: "
            f"{error}",
            consequence="the run stops; everything committed before is whole, finished groups wait in "
            "staging",
            remedy="see what ended it (the kernel's out-of-memory messages, on the driver's machine), "
            "and run the same command again: it resumes",
        )


class StoreCommitters(RayCommitters):
    """Of a dataset on a store: actors on machines that reach it, the driver's among them if it has its own
    credentials. What they cannot do, and everything while there are none, threads of the driver's process do;
    then an actor beside it takes the parts of workers that do not reach the store.
    """

    def __init__(self, order: WorkOrder, count: int, lease: Lease, own: OwnCommitters) -> None:
        self._lease, self._own = lease, own
        super().__init__(order, count)

    def __exit__(self, *exc_info: object) -> None:
        self._own.__exit__(*exc_info)
        super().__exit__(*exc_info)

    @property
    def num_pending(self) -> int:
        return super().num_pending + self._own.num_pending

    def clear(self, folder: Path, shard: ShardSpec) -> None:
        elsewhere = [seat for seat in self._seats if seat.node is not None]
        # A request for each group: not of the driver's process, if there is another.
        self._own.clear(folder, None if elsewhere else shard)
        if elsewhere:
            self._clear_by(elsewhere, shard)

    def wait(self, timeout_s: float) -> None:
        if self._own.num_pending:
            self._own.wait(min(timeout_s, _TURN_S))
        else:
            super().wait(timeout_s)

    def ended(self) -> Iterator[ReadyShard]:
        yield from self._own.ended()
        yield from super().ended()

    def _asked(self) -> NodeSight:
        return NodeSight(reaches_store, self._lease.store.url, self._order.plan.digest)

    def _started(self, node: str | None, options: dict[str, Any]) -> Any:
        if node is None:
            return super()._started(node, options)
        lease = self._lease
        actor_class = ray.remote(**options)(StoreCommitter)
        return actor_class.remote(lease.store.url, lease.token, lease.generation, self._order.plan.digest)

    def _call(self, seat: _Seat, shard: _Shard) -> Any:
        return seat.actor.commit.remote(*shard)

    def _answered(self, shard: _Shard, answer: Any) -> None:
        if answer is None:
            self._back.append(shard)
        else:
            self._own.note(shard[0], *answer)

    def _hand_out_at_home(self, shards: deque[_Shard]) -> None:
        while shards and self._own.num_pending < THREADS:
            self._own.submit(*shards.popleft())


def committers_of(order: WorkOrder, lease: Lease | None, workers: int, address: str | None) -> Committers:
    """Those of a run, started: of a cluster, as many as `workers` can keep busy."""
    if address is not None and lease is None:
        return RayCommitters(order, num_committers(workers))
    on_store = StoreStaging(lease.store, order.plan.digest) if lease is not None else None
    own = OwnCommitters(Committer(order.dataset_dir, order.staging_dir, lease, on_store))
    if address is None:
        return own
    return StoreCommitters(order, num_committers(workers), lease, own)
