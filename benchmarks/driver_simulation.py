"""The driver's own loop in virtual time: thousands of workers and millions of pairs, without any of them.

`pairbridge.pipelines.generation.driver.Driver`, its agendas and its policy run as they are. Workers are a
heap of moments at which their groups end. The clock advances to the next of those moments, and by the
processor time that the driver itself takes (measured, not assumed), so a driver that is too slow lets its
workers wait as it would in a run, and whatever else this machine does meanwhile changes nothing.

With `simulate_bytes` each of those workers stages real bytes, and real committers make real shards of them:
each is busy, in virtual time, for the processor time that the shard took. With `simulate` staging and shards
remember no byte.
"""

import heapq
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, pack_group
from pairbridge.pipelines.attempts.agenda import Attempt
from pairbridge.pipelines.generation.driver import Driver
from pairbridge.pipelines.generation.stopping import DrainRequest
from pairbridge.pipelines.shelves.committer import Committer, ReadyShard, Work
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME, Ledger
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Staging, stage_group
from pairbridge.pipelines.workers.committers import Committers
from pairbridge.pipelines.workers.crew import Finished, Slot
from pairbridge.pipelines.workers.pools import ONE_POOL, Pool, pooled_recipes
from pairbridge.pipelines.workers.worker import GroupOutcome, WorkerInfo

_NOWHERE = WorkerInfo(host="virtual", pid=0)
_DRAWS = 4096


class VirtualShelf(FolderShelf):
    """Shards that are committed and forgotten."""

    def sweep(self) -> list[str]:
        return []

    def there(self, name: str) -> None:
        return None

    def committed(self, shard: ShardInfo) -> None:
        return None

    def place(self, ready: ReadyShard) -> None: ...


class NoCommitters:
    """Shards are ready at once, and nobody has made them."""

    actors, num_pending = (), 0

    def __init__(self) -> None:
        self._ready: list[ReadyShard] = []

    def is_behind(self, num_open: int) -> bool:
        return False

    def submit(self, shard: ShardSpec, info: ShardInfo) -> None:
        self._ready.append(
            ReadyShard(
                spec=shard,
                tar=None,
                sidecar=Path(),
                record=b"",
                num_pairs=0,
                num_holes=0,
                num_bytes=0,
                work=Work(0.0, "virtual", 0),
            )
        )

    def clear(self, folder: Path, shard: ShardSpec) -> None: ...

    def release(self, num_open: int) -> None: ...

    def ended(self) -> list[ReadyShard]:
        ended, self._ready = self._ready, []
        return ended


class VirtualStaging(Staging):
    """Groups that are staged and forgotten."""

    def open_shard(self, shard: ShardSpec) -> tuple[int, ...]:
        return tuple(shard.groups)

    def records(self, shard: ShardSpec) -> list[GroupRecord]:
        return []

    def retire(self, shard: ShardSpec) -> Path:
        return Path()


class VirtualCrew:
    """Workers of one pool whose groups take log-normal times around `group_s`, as real ones do.

    `call_s` is what handing out one group and fetching its result costs the driver in Ray, `wait_s` one
    `ray.wait`: measured beside this (`benchmarks/driver.py`), since no Ray takes part.
    """

    def __init__(
        self,
        pool: Pool,
        pairs_per_group: int,
        *,
        group_s: float,
        spread: float = 0.5,
        call_s: float = 0.0,
        wait_s: float = 0.0,
        draw: np.random.Generator,
        marks: tuple[int, int],
        stage: Callable[[Attempt], int] | None = None,
    ) -> None:
        """`marks`: after how many groups the time is taken. `stage` does what a worker does with what it has
        made, and says how many bytes that is."""
        self._ready = {slot: None for slot in (Slot(f"worker-{i:05d}", pool) for i in range(pool.workers))}
        for slot in self._ready:
            slot.info = _NOWHERE
        self._pool = pool.name
        self._pairs = pairs_per_group
        self._times_s = group_s * draw.lognormal(-spread * spread / 2, spread, _DRAWS)
        self._call_s, self._wait_s = call_s, wait_s
        self._ends: list[tuple[float, int, Slot]] = []
        self.calls = self.polls = 0
        self.now_s = 0.0
        self.busy_s = 0.0  # of all workers together
        self.driver_s = 0.0  # its own processor time
        self.num_ended = 0
        self.ended_s = dict.fromkeys(marks, 0.0)
        self.num_bytes = 0
        self._stage = stage
        self._driver_since_s = time.process_time()

    @property
    def num_waiting(self) -> int:
        return 0

    @property
    def num_busy(self) -> int:
        return len(self._ends)

    def ready(self, pool: str) -> list[Slot]:
        return list(self._ready)

    def resting_s(self) -> dict[str, float]:
        return {}

    def renew_one(self, pool: str) -> None: ...

    def release(self, pool: str) -> None: ...

    def abandon(self) -> None: ...

    def submit(self, slot: Slot, task: Attempt) -> None:
        self.calls += 1
        took_s = float(self._times_s[self.calls % _DRAWS])
        del self._ready[slot]
        slot.task = task
        if self._stage is not None:
            with self.elsewhere():
                self.num_bytes += self._stage(task)
        self.busy_s += took_s
        heapq.heappush(self._ends, (self.now_s + took_s, self.calls, slot))

    def poll(self, timeout_s: float | None = None) -> Iterator[Finished]:
        self._stop_driver_clock()
        self.polls += 1
        self.now_s += self._wait_s
        if self._ends:
            self.now_s = max(self.now_s, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self.now_s:
            _, _, slot = heapq.heappop(self._ends)
            task, slot.task = slot.task, None
            slot.groups_done += 1
            self._ready[slot] = None
            self.now_s += self._call_s
            self.num_ended += 1
            if self.num_ended in self.ended_s:
                self.ended_s[self.num_ended] = self.now_s
            outcome = GroupOutcome(num_pairs=self._pairs, num_bytes=0, wall_s=0.0, phase_s={}, rss_mib=0)
            self._driver_since_s = time.process_time()
            yield Finished(task, outcome, slot.name, _NOWHERE)
            self._stop_driver_clock()
        self._driver_since_s = time.process_time()

    @contextmanager
    def elsewhere(self) -> Iterator[Callable[[], float]]:
        """What the body does is not the driver's; gives the processor seconds that it has taken so far."""
        self._stop_driver_clock()
        began_s = time.process_time()
        yield lambda: time.process_time() - began_s
        self._driver_since_s = time.process_time()

    def _stop_driver_clock(self) -> None:
        taken = time.process_time() - self._driver_since_s
        self.driver_s += taken
        self.now_s += taken


class VirtualCommitters:
    """Committers that do their work here, and are busy with it in virtual time, each beside the driver."""

    def __init__(self, committer: Committer, count: int, crew: VirtualCrew, call_s: float) -> None:
        """`call_s`: what Ray takes of the driver for a shard, as for a group."""
        self._committer, self._crew, self._call_s = committer, crew, call_s
        self._free_s = [0.0] * count
        self._pending: list[tuple[float, float, int, ReadyShard]] = []  # end, beginning, number
        self.num_shards = 0
        self.busy_s = 0.0

    @property
    def num_pending(self) -> int:
        return len(self._pending)

    def is_behind(self, num_open: int) -> bool:
        waiting = sum(began_s > self._crew.now_s for _, began_s, *_ in self._pending)
        return waiting > max(num_open, len(self._free_s))

    def submit(self, shard: ShardSpec, info: ShardInfo) -> None:
        with self._crew.elsewhere() as took:
            ready = self._committer.make_ready(shard, info)
            took_s = took()
        self._crew.now_s += self._call_s
        began_s = max(self._crew.now_s, heapq.heappop(self._free_s))
        heapq.heappush(self._free_s, began_s + took_s)
        self.num_shards += 1
        self.busy_s += took_s
        heapq.heappush(self._pending, (began_s + took_s, began_s, self.num_shards, ready))

    def clear(self, folder: Path, shard: ShardSpec) -> None:
        with self._crew.elsewhere() as took:
            self._committer.clear(folder, shard)
            took_s = took()
        self.busy_s += took_s
        heapq.heappush(self._free_s, max(self._crew.now_s, heapq.heappop(self._free_s)) + took_s)

    def release(self, num_open: int) -> None: ...

    def wait(self, timeout_s: float) -> None:
        with self._crew.elsewhere():
            self._crew.now_s = min(self._crew.now_s + timeout_s, max(self._crew.now_s, self._pending[0][0]))

    def ended(self) -> Iterator[ReadyShard]:
        while self._pending and self._pending[0][0] <= self._crew.now_s:
            yield heapq.heappop(self._pending)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a simulated run took. `busy` of the workers' and of the driver's time, from 0 to 1."""

    workers: int
    groups: int
    pairs: int
    virtual_s: float
    groups_per_s: float
    steady_groups_per_s: float  # of the middle three fifths of the groups: without beginning and end
    workers_busy: float
    driver_busy: float  # computing or in Ray
    driver_us_per_group: float  # computing alone: measured
    groups_per_poll: float
    peak_mib: float | None  # of what Python allocated, if it was traced
    committers: int = 0
    committers_busy: float = 0.0
    committer_ms_per_shard: float = 0.0
    num_bytes: int = 0


def simulate(
    plan: DatasetPlan,
    folder: Path,
    *,
    workers: int,
    group_s: float,
    call_s: float = 0.0,
    wait_s_per_call: float = 0.0,
) -> Simulated:
    """Run the driver over the whole plan in virtual time; `folder` takes nothing but a link to /dev/null.

    `group_s` is the mean time of a group. `call_s` and `wait_s_per_call` are what Ray takes from the driver:
    for each group, and in each `ray.wait` for each call in flight.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crew = _crew(plan, workers, group_s, call_s, wait_s_per_call)
    _drive(plan, VirtualShelf(folder), VirtualStaging(folder, plan), crew, NoCommitters())
    return _simulated(plan, crew, workers, call_s, wait_s_per_call)


def simulate_bytes(
    plan: DatasetPlan,
    folder: Path,
    *,
    workers: int,
    group_s: float,
    committers: int,
    pair_bytes: int,
    call_s: float = 0.0,
    wait_s_per_call: float = 0.0,
) -> Simulated:
    """As `simulate`, with pairs of `pair_bytes` that are staged below `folder` and committed there."""
    shelf = FolderShelf(folder)
    staging = Staging.take_over(folder, "run", plan)
    picture = os.urandom(pair_bytes)

    def stage(task: Attempt) -> int:
        made = [(key, {"pixels.npy": picture}) for key in task.shard.stream.keys(task.group)]
        part, record = pack_group(task.group, made)
        stage_group(staging.shard_folder(task.shard), part, record)
        return len(part)

    crew = _crew(plan, workers, group_s, call_s, wait_s_per_call, stage)
    team = VirtualCommitters(Committer(folder, staging.folder, None), committers, crew, call_s)
    _drive(plan, shelf, staging, crew, team)
    staging.close()
    return replace(
        _simulated(plan, crew, workers, call_s, wait_s_per_call),
        committers=committers,
        committers_busy=team.busy_s / (committers * crew.now_s),
        committer_ms_per_shard=team.busy_s / team.num_shards * 1e3,
        num_bytes=crew.num_bytes,
    )


def _crew(
    plan: DatasetPlan,
    workers: int,
    group_s: float,
    call_s: float,
    wait_s_per_call: float,
    stage: Callable[[Attempt], int] | None = None,
) -> VirtualCrew:
    return VirtualCrew(
        Pool(name=ONE_POOL, workers=workers, cpus=1, gpus=0.0, resources={}, spread=False),
        plan.streams[0].pairs_per_group,
        group_s=group_s,
        call_s=call_s,
        wait_s=wait_s_per_call * workers,
        draw=rng(plan.config.seed, "simulation"),
        marks=(plan.num_groups // 5, plan.num_groups * 4 // 5),
        stage=stage,
    )


def _drive(
    plan: DatasetPlan, shelf: FolderShelf, staging: Staging, crew: VirtualCrew, committers: Committers
) -> None:
    ledger_path = shelf.dataset_dir / LEDGER_NAME
    if not ledger_path.is_symlink():
        ledger_path.symlink_to(os.devnull)
    pools = pooled_recipes(plan.config)
    with Ledger(shelf.dataset_dir) as ledger:
        driver = Driver(plan, shelf, staging, ledger, lambda snapshot: None, pools=pools)
        driver.run(crew, committers, DrainRequest())


def _simulated(
    plan: DatasetPlan, crew: VirtualCrew, workers: int, call_s: float, wait_s_per_call: float
) -> Simulated:
    in_ray_s = crew.calls * call_s + crew.polls * wait_s_per_call * workers
    (first, first_s), (last, last_s) = crew.ended_s.items()
    return Simulated(
        workers=workers,
        groups=crew.calls,
        pairs=plan.num_pairs,
        virtual_s=crew.now_s,
        groups_per_s=crew.calls / crew.now_s,
        steady_groups_per_s=(last - first) / (last_s - first_s),
        workers_busy=crew.busy_s / (workers * crew.now_s),
        driver_busy=(crew.driver_s + in_ray_s) / crew.now_s,
        driver_us_per_group=crew.driver_s / crew.calls * 1e6,
        groups_per_poll=crew.calls / crew.polls,
        peak_mib=tracemalloc.get_traced_memory()[1] / 2**20 if tracemalloc.is_tracing() else None,
    )
