"""The driver's own loop in virtual time: thousands of workers and millions of pairs, without any of them.

`pairbridge.pipelines.generation.driver.Driver`, its agendas and its policy run as they are. What stands in
for the rest keeps
nothing: workers that are a heap of moments at which their groups end, staging and shards that remember no
byte. The clock advances to the next of those moments, and by the time that the driver itself takes (measured,
not assumed), so a driver that is too slow lets its workers wait as it would in a run.
"""

import heapq
import os
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, Sidecar
from pairbridge.datagen.shards.tar import TRAILER
from pairbridge.pipelines.attempts.agenda import Attempt
from pairbridge.pipelines.generation.driver import Driver
from pairbridge.pipelines.generation.stopping import DrainRequest
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME, Ledger
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Staging
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

    def commit(self, shard: ShardInfo, parts: Iterable[tuple[GroupRecord, Path]]) -> Sidecar:
        return Sidecar(shard=shard, sha256="0" * 64, bytes=len(TRAILER), count=0, samples=(), holes=())


class VirtualStaging(Staging):
    """Groups that are staged and forgotten."""

    def open_shard(self, shard: ShardSpec) -> tuple[int, ...]:
        return tuple(shard.groups)

    def parts(self, shard: ShardSpec) -> list[tuple[GroupRecord, Path]]:
        return []

    def discard(self, shard: ShardSpec) -> None: ...


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
    ) -> None:
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
        self._driver_since_s = time.process_time()

    @property
    def num_busy(self) -> int:
        return len(self._ends)

    def ready(self, pool: str) -> list[Slot]:
        return list(self._ready)

    def resting_s(self) -> dict[str, float]:
        return {}

    def renew_one(self, pool: str) -> None: ...

    def abandon(self) -> None: ...

    def submit(self, slot: Slot, task: Attempt) -> None:
        self.calls += 1
        took_s = float(self._times_s[self.calls % _DRAWS])
        del self._ready[slot]
        slot.task = task
        self.busy_s += took_s
        heapq.heappush(self._ends, (self.now_s + took_s, self.calls, slot))

    def poll(self) -> Iterator[Finished]:
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
            outcome = GroupOutcome(num_pairs=self._pairs, num_bytes=0, wall_s=0.0, phase_s={}, rss_mib=0)
            self._driver_since_s = time.process_time()
            yield Finished(task, outcome, slot.name, _NOWHERE)
            self._stop_driver_clock()
        self._driver_since_s = time.process_time()

    def _stop_driver_clock(self) -> None:
        taken = time.process_time() - self._driver_since_s
        self.driver_s += taken
        self.now_s += taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a simulated run took. `busy` of the workers' and of the driver's time, from 0 to 1."""

    workers: int
    groups: int
    pairs: int
    virtual_s: float
    groups_per_s: float
    workers_busy: float
    driver_busy: float  # computing or in Ray
    driver_us_per_group: float  # computing alone: measured
    groups_per_poll: float
    peak_mib: float | None  # of what Python allocated, if it was traced


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
    ledger_path = folder / LEDGER_NAME
    if not ledger_path.is_symlink():
        ledger_path.symlink_to(os.devnull)
    pool = Pool(name=ONE_POOL, workers=workers, cpus=1, gpus=0.0, resources={}, spread=False)
    crew = VirtualCrew(
        pool,
        plan.streams[0].pairs_per_group,
        group_s=group_s,
        call_s=call_s,
        wait_s=wait_s_per_call * workers,
        draw=rng(plan.config.seed, "simulation"),
    )
    with Ledger(folder) as ledger:
        driver = Driver(
            plan,
            VirtualShelf(folder),
            VirtualStaging(folder, plan),
            ledger,
            lambda snapshot: None,
            pools=pooled_recipes(plan.config),
        )
        driver.run(crew, DrainRequest())
    in_ray_s = crew.calls * call_s + crew.polls * wait_s_per_call * workers
    return Simulated(
        workers=workers,
        groups=crew.calls,
        pairs=plan.num_pairs,
        virtual_s=crew.now_s,
        groups_per_s=crew.calls / crew.now_s,
        workers_busy=crew.busy_s / (workers * crew.now_s),
        driver_busy=(crew.driver_s + in_ray_s) / crew.now_s,
        driver_us_per_group=crew.driver_s / crew.calls * 1e6,
        groups_per_poll=crew.calls / crew.polls,
        peak_mib=tracemalloc.get_traced_memory()[1] / 2**20 if tracemalloc.is_tracing() else None,
    )
