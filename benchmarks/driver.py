"""How much the driver can hand out: through Ray for real, and in virtual time far beyond what fits here.

ray         the driver's own loop, agenda, policy, ledger and crew (`ray.wait` over all calls in flight)
            against workers that make nothing. A thousand processes do not fit a small machine, so the
            thousand workers are a thousand concurrent calls of a few actors, each of which sleeps for
            `--sleep` seconds; staging and shards keep no bytes
costs       what one hand-out and one `ray.wait` cost the driver in Ray, for the simulation
simulation  the same loop in virtual time (`benchmarks.driver_simulation`) for growing numbers of workers,
with those costs: where the driver no longer keeps up
memory      the same with a growing number of pairs: peak of what Python holds, and of the process
"""

import argparse
import asyncio
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from benchmarks.driver_simulation import VirtualShelf, VirtualStaging, simulate
from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import Driver
from pairbridge.pipelines.generation.stopping import DrainRequest
from pairbridge.pipelines.shelves.ledger import Ledger
from pairbridge.pipelines.workers.crew import Crew, Slot
from pairbridge.pipelines.workers.pools import ONE_POOL, Pool, pooled_recipes
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import GroupOutcome, WorkerInfo, WorkOrder
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

LEAST_PER_S = 1000
PAIRS_PER_GROUP = 4
# Seconds of a group of the shipped relighting dataset on one core of a usual machine are some minutes; the
# smallest groups of the demo take one.
GROUP_S = 10.0
PHASES = {"plan": 0.001, "load": 0.2, "render": 1.1, "compose": 0.02, "encode": 0.05, "stage": 0.01}


class NoOpActor:
    """Many workers in one process: every call of `run` sleeps and makes nothing."""

    def __init__(self, sleep_s: float) -> None:
        self._sleep_s = sleep_s

    async def open(self) -> WorkerInfo:
        return WorkerInfo(host="here", pid=os.getpid())

    async def run(self, shard: ShardSpec, group: int) -> GroupOutcome:
        await asyncio.sleep(self._sleep_s)
        return GroupOutcome(
            num_pairs=PAIRS_PER_GROUP, num_bytes=100_000, wall_s=1.4, phase_s=PHASES, rss_mib=500
        )

    async def close(self) -> None: ...


class SharedCrew(Crew):
    """A crew whose slots share a few actors; all else is the crew's own."""

    def __init__(self, order: WorkOrder, pool: Pool, actors: int, sleep_s: float) -> None:
        # No worker is ever replaced: its actor is others' too.
        super().__init__(NoOpActor, order, (pool,), Limits(groups_per_worker=10**9))
        remote = ray.remote(max_concurrency=2 * pool.workers, num_cpus=0)(NoOpActor)
        self._shared = [remote.remote(sleep_s) for _ in range(actors)]
        self._hired = 0
        self.in_flight: list[int] = []

    def poll(self):
        self.in_flight.append(len(self._calls))
        return super().poll()

    def __exit__(self, *exc_info: object) -> None:
        for actor in self._shared:
            ray.kill(actor)

    def _hire(self, slot: Slot) -> Any:
        self._hired += 1
        return self._shared[self._hired % len(self._shared)]


def plan_of(pairs: int) -> DatasetPlan:
    """A relighting dataset of embedded assets."""
    config = DatasetConfig.model_validate(
        {
            "name": "driver",
            "seed": 1,
            "groups_per_shard": 20,
            "recipes": {
                "relighting": {
                    "kind": "relighting_swap",
                    "groups": {"train": pairs // PAIRS_PER_GROUP},
                    "pairs_per_group": PAIRS_PER_GROUP,
                    "lightings_per_group": 4,
                }
            },
        }
    )
    return make_plan(config, build_catalogue(AssetsConfig(), None))


def through_ray(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Assignments per second with every worker's call in flight."""
    plan = plan_of(arguments.assignments * PAIRS_PER_GROUP)
    (folder / LOGS_NAME).mkdir()
    pool = Pool(name=ONE_POOL, workers=arguments.workers, cpus=1, gpus=0.0, resources={}, spread=False)
    order = WorkOrder(plan, folder, folder, name="", threads=1)
    rates, cpu_us, crew = [], [], None
    with ray_session(None, 1), Ledger(folder) as ledger:
        for _ in range(arguments.repeats):
            with SharedCrew(order, pool, arguments.actors, arguments.sleep) as crew:
                shelf, staging = VirtualShelf(folder), VirtualStaging(folder, plan)
                while len(crew.ready(ONE_POOL)) < arguments.workers:
                    list(crew.poll())
                crew.in_flight.clear()
                driver = Driver(
                    plan, shelf, staging, ledger, lambda _: None, pools=pooled_recipes(plan.config)
                )
                began, cpu_began = time.monotonic(), time.process_time()
                driver.run(crew, DrainRequest())
                rates.append(plan.num_groups / (time.monotonic() - began))
                cpu_us.append((time.process_time() - cpu_began) / plan.num_groups * 1e6)
    return {
        "workers": arguments.workers,
        "actors": arguments.actors,
        "sleep_s": arguments.sleep,
        "assignments": plan.num_groups,
        "assignments_per_s": [round(rate) for rate in rates],
        "median_per_s": round(statistics.median(rates)),
        "median_in_flight": statistics.median(crew.in_flight),
        "driver_cpu_us_per_assignment": round(statistics.median(cpu_us)),
        "target": f">= {LEAST_PER_S} a second",
        "met": statistics.median(rates) >= LEAST_PER_S,
    }


def costs(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds of the driver in Ray: for a hand-out with its result, and in a poll per call in flight."""
    plan = plan_of(1000)
    shard = next(plan.shards())
    with ray_session(None, 1):
        remote = ray.remote(max_concurrency=4 * arguments.workers, num_cpus=0)(NoOpActor)
        actors = [remote.remote(6.0) for _ in range(arguments.actors)]
        ray.get([actor.open.remote() for actor in actors])
        began = time.monotonic()
        calls = [actors[i % len(actors)].run.remote(shard, i) for i in range(arguments.workers)]
        submit_s = time.monotonic() - began
        began, rounds = time.monotonic(), 20
        for _ in range(rounds):
            ray.wait(calls, num_returns=len(calls), timeout=0)
        wait_s = (time.monotonic() - began) / rounds
        ray.wait(calls, num_returns=len(calls))
        began = time.monotonic()
        for call in calls:
            ray.get(call)
        get_s = time.monotonic() - began
    return {
        "workers": arguments.workers,
        "call_us": round((submit_s + get_s) / len(calls) * 1e6, 1),
        # A poll waits twice: for the first that ends, and for all that have.
        "wait_us_per_call": round(2 * wait_s / len(calls) * 1e6, 3),
    }


def simulation(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Growing numbers of workers, each with the same amount of work."""
    measured = costs(arguments, folder)
    rows = []
    for workers in arguments.simulated_workers:
        plan = plan_of(workers * arguments.groups_per_worker * PAIRS_PER_GROUP)
        row = simulate(
            plan,
            folder,
            workers=workers,
            group_s=arguments.group_s,
            call_s=measured["call_us"] / 1e6,
            wait_s_per_call=measured["wait_us_per_call"] / 1e6,
        )
        rows.append(_shown(row))
        print(json.dumps(rows[-1]), flush=True)
    return {"group_s": arguments.group_s, "ray": measured, "rows": rows}


def memory(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each number of pairs in a process of its own, so that peaks do not hide each other."""
    rows = []
    for pairs in arguments.pairs:
        done = subprocess.run(
            [sys.executable, __file__, "--one-memory", str(pairs), "--workers", str(arguments.workers)],
            capture_output=True,
            text=True,
            check=True,
        )
        rows.append(json.loads(done.stdout))
        print(json.dumps(rows[-1]), flush=True)
    growth = rows[-1]["peak_rss_mib"] / rows[0]["peak_rss_mib"] - 1
    return {"rows": rows, "growth": round(growth, 3), "target": "< 0.05", "met": growth < 0.05}


def one_memory(pairs: int, workers: int, folder: Path) -> dict[str, Any]:
    """One simulated run, and the most that this process ever held."""
    row = simulate(plan_of(pairs), folder, workers=workers, group_s=GROUP_S)
    return {**_shown(row), "peak_rss_mib": round(_peak_rss_mib(), 1)}


def _peak_rss_mib() -> float:
    """Of this program alone: `ru_maxrss` would hold what the parent had when it forked."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) / 1024


def _shown(row: Any) -> dict[str, Any]:
    figures = dataclasses.asdict(row)
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "ray": through_ray,
    "simulation": simulation,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, help="the file whose entries are replaced")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--sleep", type=float, default=0.2, help="seconds of a call that makes nothing")
    parser.add_argument("--assignments", type=int, default=20_000, help="part ray")
    parser.add_argument("--repeats", type=int, default=3, help="part ray")
    parser.add_argument("--group-s", type=float, default=GROUP_S, help="mean seconds of a simulated group")
    parser.add_argument("--groups-per-worker", type=int, default=20, help="part simulation")
    parser.add_argument("--simulated-workers", type=int, nargs="+", default=[100, 1000, 3000, 10_000, 20_000])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000, 10_000_000], help="part memory")
    parser.add_argument("--one-memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_memory:
        with tempfile.TemporaryDirectory(prefix="pairbridge-driver-") as folder:
            print(json.dumps(one_memory(arguments.one_memory, arguments.workers, Path(folder))))
        return
    for name in arguments.parts:
        with tempfile.TemporaryDirectory(prefix="pairbridge-driver-") as folder:
            load = round(os.getloadavg()[0], 1)
            verdict = {**PARTS[name](arguments, Path(folder)), "load_average_before": load}
        print(f"{name}: {json.dumps(verdict, indent=1)}", flush=True)
        if arguments.json:
            there = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
            arguments.json.write_text(json.dumps({**there, name: verdict}, indent=1) + "\n")


if __name__ == "__main__":
    main()
