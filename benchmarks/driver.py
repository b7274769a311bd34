"""How much one driver and its committers can do: through Ray for real, and beyond that in virtual time.

ray         the driver's own loop, agenda, policy, ledger and crew (`ray.wait` over all calls in flight)
            against workers that make nothing. A thousand processes do not fit a small machine, so the
            thousand workers are a thousand concurrent calls of a few actors, each of which sleeps for
            `--sleep` seconds; staging and shards keep no bytes
commits     committers alone: real shards of staged parts, by threads, by one process and by several
bytes       the driver's loop through Ray with real bytes: workers stage parts, committers make shards
knee        the same in virtual time (`benchmarks.driver_simulation`) with real shards, for growing numbers of
            workers, beside what a model says (`benchmarks.driver_model`), and the model beyond
memory      the loop with a growing number of pairs: peak of what Python holds, and of the process
starting    what it takes the driver to ask for ten thousand workers of a plan with 100,000 assets

Processor time, where it says so: this may run beside other things. Files lie in `--folder`, a tmpfs.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray

from benchmarks.driver_model import Costs, fitted_costs, predict
from benchmarks.driver_simulation import NoCommitters, VirtualShelf, VirtualStaging, simulate, simulate_bytes
from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig, Catalogue
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, pack_group
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import Driver
from pairbridge.pipelines.generation.stopping import DrainRequest
from pairbridge.pipelines.shelves.committer import Committer
from pairbridge.pipelines.shelves.ledger import Ledger
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Staging, stage_group
from pairbridge.pipelines.workers import committers, ray_committers
from pairbridge.pipelines.workers.committers import Committers, OwnCommitters
from pairbridge.pipelines.workers.crew import Crew, Finished, Slot
from pairbridge.pipelines.workers.pools import ONE_POOL, Pool, pooled_recipes
from pairbridge.pipelines.workers.ray_committers import RayCommitters
from pairbridge.pipelines.workers.ray_session import ray_session
from pairbridge.pipelines.workers.worker import GroupOutcome, GroupWorker, WorkerInfo, WorkOrder
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

LEAST_PER_S = 1000
PAIRS_PER_GROUP = 4
GROUPS_PER_SHARD = 20
# Part bytes: few groups, for each is staged, read and written here.
BYTES_WORKERS, BYTES_GROUPS = 20, 15
# Part knee: groups so short and small that driver and committers are busy with what two cores can make; the
# numbers of workers and committers, the first of which the model is fitted to.
KNEE_GROUP_S, KNEE_PAIR_BYTES, KNEE_GROUPS, KNEE_FITTED = 0.25, 64 << 10, 16, 3
KNEE_ROWS = ((50, 2), (100, 2), (400, 4), (400, 1), (800, 8), (800, 1))
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


class StagingActor(NoOpActor):
    """Many workers in one process: every call of `run` sleeps and stages a group of real bytes."""

    def __init__(self, sleep_s: float, folder: Path, pair_bytes: int) -> None:
        super().__init__(sleep_s)
        self._folder = folder
        self._picture = os.urandom(pair_bytes)

    async def run(self, shard: ShardSpec, group: int) -> GroupOutcome:
        await asyncio.sleep(self._sleep_s)
        part, record = packed(shard, group, self._picture)
        stage_group(self._folder / shard.name, part, record)
        return GroupOutcome(
            num_pairs=PAIRS_PER_GROUP, num_bytes=len(part), wall_s=1.4, phase_s=PHASES, rss_mib=500
        )


class SharedCrew(Crew):
    """A crew whose slots share a few actors; all else is the crew's own."""

    def __init__(
        self, order: WorkOrder, pool: Pool, team: Committers, actors: int, kind: type, *made_of: Any
    ) -> None:
        # No worker is ever replaced: its actor is others' too.
        super().__init__(kind, order, (pool,), Limits(groups_per_worker=10**9), team)
        remote = ray.remote(max_concurrency=2 * pool.workers, num_cpus=0)(kind)
        self._shared = [remote.remote(*made_of) for _ in range(actors)]
        self._hired = 0
        self.in_flight: list[int] = []

    def poll(self, timeout_s: float | None = None) -> Iterator[Finished]:
        self.in_flight.append(len(self._calls))
        return super().poll(timeout_s)

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
            "groups_per_shard": GROUPS_PER_SHARD,
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
    order = WorkOrder(plan, folder, folder)
    rates, cpu_us, crew = [], [], None
    with ray_session(None, 1), Ledger(folder) as ledger:
        for _ in range(arguments.repeats):
            team = NoCommitters()
            with SharedCrew(order, pool, team, arguments.actors, NoOpActor, arguments.sleep) as crew:
                shelf, staging = VirtualShelf(folder), VirtualStaging(folder, plan)
                while len(crew.ready(ONE_POOL)) < arguments.workers:
                    list(crew.poll())
                crew.in_flight.clear()
                driver = Driver(
                    plan, shelf, staging, ledger, lambda _: None, pools=pooled_recipes(plan.config)
                )
                began, cpu_began = time.monotonic(), time.process_time()
                driver.run(crew, NoCommitters(), DrainRequest())
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
        # Of all threads: Ray's own work for the calls is done beside ours.
        began = time.process_time()
        calls = [actors[i % len(actors)].run.remote(shard, i) for i in range(arguments.workers)]
        time.sleep(3.0)
        submit_s = time.process_time() - began
        began, rounds = time.process_time(), 20
        for _ in range(rounds):
            ray.wait(calls, num_returns=len(calls), timeout=0)
        wait_s = (time.process_time() - began) / rounds
        began = time.process_time()
        ray.wait(calls, num_returns=len(calls))
        for call in calls:
            ray.get(call)
        get_s = time.process_time() - began
    return {
        "workers": arguments.workers,
        "call_us": round((submit_s + get_s) / len(calls) * 1e6, 1),
        # A poll waits twice: for the first that ends, and for all that have.
        "wait_us_per_call": round(2 * wait_s / len(calls) * 1e6, 3),
    }


class TimedCommitter(Committer):
    """Tells what it has taken."""

    def cpu_s(self) -> float:
        return time.process_time()


def packed(shard: ShardSpec, group: int, picture: bytes) -> tuple[bytes, GroupRecord]:
    """A group as a worker stages it."""
    return pack_group(group, [(key, {"pixels.npy": picture}) for key in shard.stream.keys(group)])


def commits(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Committers alone, for two sizes of pairs."""
    rows = []
    ray_committers.Committer = TimedCommitter
    with ray_session(None, 1):
        for kilobytes in arguments.pair_kilobytes:
            for count in (0, 1, 2):
                rows.append(
                    _commit_all(folder / f"{kilobytes}-{count}", kilobytes << 10, count, arguments.shards)
                )
                print(json.dumps(rows[-1]), flush=True)
    small, large = (row for row in rows if row["processes"] == 1)
    per_byte_s = (
        (large["committer_ms_per_group"] - small["committer_ms_per_group"])
        / 1e3
        / (large["group_bytes"] - small["group_bytes"])
    )
    return {
        "rows": rows,
        "us_per_group": round(
            small["committer_ms_per_group"] * 1e3 - per_byte_s * 1e6 * small["group_bytes"]
        ),
        "mb_per_processor_second": round(1 / per_byte_s / 1e6),
    }


def _commit_all(folder: Path, pair_bytes: int, count: int, num_shards: int) -> dict[str, Any]:
    """By `count` processes, or by threads of this one."""
    plan = plan_of(num_shards * GROUPS_PER_SHARD * PAIRS_PER_GROUP)
    shelf, staging = FolderShelf(folder), Staging.take_over(folder, "run", plan)
    picture, shards = os.urandom(pair_bytes), list(plan.shards())
    for shard in shards:
        staging.open_shard(shard)
        for group in shard.groups:
            part, record = packed(shard, group, picture)
            stage_group(staging.shard_folder(shard), part, record)
    order = WorkOrder(plan, folder, staging.folder)
    if count:
        team = RayCommitters(order, count)
        before = ray.get([actor.cpu_s.remote() for actor in team.actors[0]])
    else:
        team = OwnCommitters(Committer(folder, staging.folder, None))
    with team:
        began, cpu_began, num_bytes = time.monotonic(), time.process_time(), 0
        for shard in shards:
            info = ShardInfo(
                name=shard.name,
                first_group=shard.first_group,
                num_groups=shard.num_groups,
                plan_digest=plan.shard_digest(shard),
                config_digest=plan.config.digest,
            )
            team.submit(shard, info)
        while team.num_pending:
            team.wait(1.0)
            for ready in team.ended():
                shelf.place(ready)
                team.clear(staging.retire(ready.spec), ready.spec)
                num_bytes += ready.num_bytes
        wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
        if count:
            after = ray.get([actor.cpu_s.remote() for actor in team.actors[0]])
            committer_s = sum(after) - sum(before)
        else:
            committer_s = cpu_s
    staging.close()
    shutil.rmtree(folder)
    return {
        "processes": count,
        "group_bytes": len(part),
        "shards": num_shards,
        "mb_per_s": round(num_bytes / wall_s / 1e6),
        "committer_ms_per_group": round(committer_s / plan.num_groups * 1e3, 3),
        "driver_us_per_group": round(cpu_s / plan.num_groups * 1e6) if count else None,
    }


def with_bytes(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The driver's loop through Ray; workers stage parts, committers make shards of them."""
    rows = []
    ray_committers.Committer = TimedCommitter
    pool = Pool(name=ONE_POOL, workers=BYTES_WORKERS, cpus=1, gpus=0.0, resources={}, spread=False)
    plan = plan_of(BYTES_WORKERS * BYTES_GROUPS * PAIRS_PER_GROUP)
    with ray_session(None, 1):
        for kilobytes in arguments.pair_kilobytes:
            for count in (1, 2):
                out = folder / f"{kilobytes}-{count}"
                shelf, staging = FolderShelf(out), Staging.take_over(out, "run", plan)
                (out / LOGS_NAME).mkdir()
                order = WorkOrder(plan, out, staging.folder)
                made_of = (arguments.sleep, staging.folder, kilobytes << 10)
                with (
                    Ledger(out) as ledger,
                    RayCommitters(order, count) as team,
                    SharedCrew(order, pool, team, arguments.actors, StagingActor, *made_of) as crew,
                ):
                    before = ray.get([actor.cpu_s.remote() for actor in team.actors[0]])
                    while len(crew.ready(ONE_POOL)) < pool.workers:
                        list(crew.poll())
                    driver = Driver(
                        plan, shelf, staging, ledger, lambda _: None, pools=pooled_recipes(plan.config)
                    )
                    began, cpu_began = time.monotonic(), time.process_time()
                    driver.run(crew, team, DrainRequest())
                    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
                    after = ray.get([actor.cpu_s.remote() for actor in team.actors[0]])
                committer_s = sum(after) - sum(before)
                num_bytes = sum(tar.stat().st_size for tar in shelf.folder.glob("*.tar"))
                shutil.rmtree(out)
                rows.append(
                    {
                        "committers": count,
                        "pair_kilobytes": kilobytes,
                        "groups": plan.num_groups,
                        "groups_per_s": round(plan.num_groups / wall_s),
                        "mb_per_s": round(num_bytes / wall_s / 1e6),
                        "driver_us_per_group": round(cpu_s / plan.num_groups * 1e6),
                        "committer_ms_per_group": round(committer_s / plan.num_groups * 1e3, 3),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return {"workers": pool.workers, "sleep_s": arguments.sleep, "rows": rows}


def knee(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Real shards in virtual time beside the model; then the model alone."""
    measured = costs(arguments, folder)
    call_s, wait_s = measured["call_us"] / 1e6, measured["wait_us_per_call"] / 1e6
    rows = []
    for workers, count in KNEE_ROWS:
        out = folder / f"{workers}-{count}"
        done = simulate_bytes(
            plan_of(workers * KNEE_GROUPS * PAIRS_PER_GROUP),
            out,
            workers=workers,
            group_s=KNEE_GROUP_S,
            committers=count,
            pair_bytes=KNEE_PAIR_BYTES,
            call_s=call_s,
            wait_s_per_call=wait_s,
        )
        shutil.rmtree(out)
        rows.append(done)
        print(json.dumps(_shown(done)), flush=True)
    # Fitted to these, and held against the others.
    few = rows[:KNEE_FITTED]
    found = fitted_costs(
        [(row.groups_per_poll, row.driver_us_per_group / 1e6) for row in few],
        call_s,
        wait_s,
        few[-1].committer_ms_per_shard / 1e3 / GROUPS_PER_SHARD,
    )
    compared = []
    for row in rows:
        told = predict(found, row.workers, KNEE_GROUP_S, row.committers)
        compared.append(
            {
                "workers": row.workers,
                "committers": row.committers,
                "fitted": row in few,
                "measured_per_s": round(row.steady_groups_per_s),
                "predicted_per_s": round(told.groups_per_s),
                "error": round(told.groups_per_s / row.steady_groups_per_s - 1, 3),
                "limit": told.limit,
            }
        )
    return {
        "group_s": KNEE_GROUP_S,
        "pair_bytes": KNEE_PAIR_BYTES,
        "ray": measured,
        "costs_us": {name: round(value * 1e6, 2) for name, value in dataclasses.asdict(found).items()},
        "compared": compared,
        "rows": [_shown(row) for row in rows],
        "beyond": _beyond(found, arguments),
    }


def _beyond(found: Costs, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Usual groups: 10 s, four pairs of a megabyte, as many committers as a run gets."""
    rates = json.loads(arguments.json.read_text()).get("commits") if arguments.json else None
    if rates is None:
        return []
    bytes_per_group = PAIRS_PER_GROUP * 1_000_000
    committer_s = rates["us_per_group"] / 1e6 + bytes_per_group / rates["mb_per_processor_second"] / 1e6
    usual = dataclasses.replace(found, committer_s=committer_s)
    rows = []
    for workers in arguments.simulated_workers:
        count = committers.num_committers(workers)
        told = predict(usual, workers, arguments.group_s, count)
        rows.append(
            {
                "workers": workers,
                "committers": count,
                "groups_per_s": round(told.groups_per_s, 1),
                "driver_busy": round(told.driver_busy, 3),
                "committers_busy": round(told.groups_per_s * committer_s / count, 3),
                "mb_per_s": round(told.groups_per_s * bytes_per_group / 1e6),
                "limit": told.limit,
            }
        )
    return rows


def starting(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The driver's processor time until all workers of a large plan are asked for. None finds room."""
    asset = {"kind": "hdri", "split": "train", "licence": "CC0-1.0", "author": "x", "source": "x"}
    asset["lighting"] = "hdri"
    small = plan_of(PAIRS_PER_GROUP * GROUPS_PER_SHARD)
    assets = [
        Asset(
            id=f"sky-{i:06d}",
            path=folder / f"sky-{i:06d}.exr",
            sha256=f"{i:064x}",
            **asset,
        )
        for i in range(arguments.assets)
    ]
    plan = make_plan(small.config, Catalogue((*small.catalogue.assets, *assets)))
    (folder / LOGS_NAME).mkdir()
    pool = Pool(
        name=ONE_POOL, workers=arguments.hired, cpus=1, gpus=0.0, resources={"nowhere": 1.0}, spread=False
    )
    with ray_session(None, 1):
        crew = Crew(GroupWorker, WorkOrder(plan, folder, folder), (pool,), Limits(), NoCommitters())
        began = time.process_time()
        crew.__enter__()
        cpu_s = time.process_time() - began
    return {
        "workers": arguments.hired,
        "assets": len(plan.catalogue.assets),
        "driver_s": round(cpu_s, 1),
        "target": "< 60 s for 10,000 workers and 100,000 assets",
        "met": cpu_s < 60,
    }


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
    "commits": commits,
    "bytes": with_bytes,
    "knee": knee,
    "memory": memory,
    "starting": starting,
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
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where files are made")
    parser.add_argument(
        "--pair-kilobytes", type=int, nargs=2, default=[64, 1024], help="parts commits, bytes"
    )
    parser.add_argument("--shards", type=int, default=6, help="part commits")
    parser.add_argument(
        "--group-s", type=float, default=GROUP_S, help="mean seconds of a group, beyond the knee"
    )
    parser.add_argument(
        "--simulated-workers", type=int, nargs="+", default=[100, 1000, 3000, 10_000, 20_000, 40_000]
    )
    parser.add_argument("--hired", type=int, default=10_000, help="part starting")
    parser.add_argument("--assets", type=int, default=100_000, help="part starting")
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000, 10_000_000], help="part memory")
    parser.add_argument("--one-memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_memory:
        with tempfile.TemporaryDirectory(prefix="pairbridge-driver-") as folder:
            print(json.dumps(one_memory(arguments.one_memory, arguments.workers, Path(folder))))
        return
    for name in arguments.parts:
        with tempfile.TemporaryDirectory(prefix="pairbridge-driver-", dir=arguments.folder) as folder:
            load = round(os.getloadavg()[0], 1)
            verdict = {**PARTS[name](arguments, Path(folder)), "load_average_before": load}
        print(f"{name}: {json.dumps(verdict, indent=1)}", flush=True)
        if arguments.json:
            there = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
            arguments.json.write_text(json.dumps({**there, name: verdict}, indent=1) + "\n")


if __name__ == "__main__":
    main()
