"""The loop that turns a plan into committed shards: assign, wait, settle, commit, until nothing is left.

Who does what: `agenda` decides what is tried next, `crew` runs it, `staging` keeps what is finished,
`pairbridge.datagen.shards.commit` makes a shard of it. Everything the loop knows is on disk or can be made
again, so it may be killed at any line.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path

from pairbridge.datagen.core.atomic_files import DiskFull
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import ShardInfo, Sidecar, pack_group
from pairbridge.datagen.shards.tar import TRAILER
from pairbridge.pipelines.attempts.agenda import Agenda, Attempt, OpenShard
from pairbridge.pipelines.attempts.holes import asset_ids, given_up
from pairbridge.pipelines.attempts.policy import MAX_CRASHES, MAX_LOSSES, Fault, GivenUp, Verdict
from pairbridge.pipelines.generation.progress import OnProgress, Snapshot
from pairbridge.pipelines.generation.stopping import DrainRequest, Interrupted
from pairbridge.pipelines.shelves.ledger import Ledger
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Staging, stage_group
from pairbridge.pipelines.workers.crew import Crew, Finished
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME

# Beside the shard itself: its sidecar, the ledger, and what others write meanwhile.
COMMIT_RESERVE_BYTES = 4 << 20


class KilledRepeatedly(PairbridgeError):
    """One group's worker is killed from outside again and again, even with nothing else running."""


class CrashesEverywhere(PairbridgeError):
    """Group after group crashes or hangs, and nothing gets finished: a broken machine, not an asset."""


class Driver:
    """One run over one dataset folder, whose lock the caller holds."""

    def __init__(
        self,
        plan: DatasetPlan,
        shelf: FolderShelf,
        staging: Staging,
        ledger: Ledger,
        on_progress: OnProgress,
        *,
        pools: Mapping[str, Set[str]],
    ) -> None:
        """`pools`: the recipes that each pool of the crew makes, every recipe in one of them."""
        self._plan = plan
        self._dataset_dir = shelf.dataset_dir
        self._shelf = shelf
        self._staging = staging
        self._ledger = ledger
        self._on_progress = on_progress
        for name in shelf.sweep():
            ledger.write("swept", file=name)
        self._agendas = {pool: Agenda(self._open_shards(recipes)) for pool, recipes in pools.items()}
        self._pool_of = {recipe_id: pool for pool, recipes in pools.items() for recipe_id in recipes}
        self._given_up = GivenUp(plan.config.execution.stop_after_given_up)
        self._shards_total = sum(stream.num_shards for stream in plan.streams)
        self._shards_done = self._pairs_done = self._quarantined = self._retries = 0
        self._made_here = 0
        self._began_s = time.monotonic()

    @property
    def finished(self) -> bool:
        """Every shard is committed. Raises ShardError for damage, ConfigError for shards of another plan."""
        # A list: each of them opens its next shards, and says what is damaged.
        return all([agenda.finished for agenda in self._agendas.values()])

    def run(self, crew: Crew, stop: DrainRequest) -> None:
        """Commit every shard that is not committed yet.

        Raises Interrupted, KilledRepeatedly, CrashesEverywhere, DiskFull, ShardError for damage found on
        disk, and what `Crew.poll` raises. Whatever is raised, no partial file has a final name and a new run
        resumes.
        """
        self._began_s = time.monotonic()
        while True:
            self._commit_complete()
            self._shelf.check()
            if self.finished:
                self._ledger.write("rest", wait_s=crew.resting_s())
                self._shelf.settle()
                return
            self._check_stop(crew, stop)
            if not stop.count:
                self._assign(crew)
            for finished in crew.poll():
                self._settle(finished)
            if all(agenda.idle for agenda in self._agendas.values()):
                self._quarantine_given_up()
            self.report(crew.num_busy)

    def _open_shards(self, recipes: Set[str]) -> Iterator[OpenShard]:
        for shard in self._plan.shards():
            if shard.stream.recipe_id not in recipes:
                continue
            sidecar = self._committed(shard)
            if sidecar is not None:
                self._shards_done += 1
                self._pairs_done += sidecar.count
                self._quarantined += len(sidecar.holes)
                continue
            missing = self._staging.open_shard(shard)
            for record, _ in self._staging.parts(shard):
                self._pairs_done += len(record.samples)
                self._quarantined += len(record.holes)
            yield OpenShard(shard, missing)

    def _committed(self, shard: ShardSpec) -> Sidecar | None:
        """The sidecar of a committed shard. One that was full in a smaller dataset is taken apart again: its
        groups wait in staging for those that join them.
        """
        there = self._shelf.there(shard.name)
        if there is not None:
            smaller = replace(shard, num_groups=min(there.shard.num_groups, shard.num_groups))
            if smaller != shard and there.shard == self._info(smaller):
                self._reopen(smaller, there)
        return self._shelf.committed(self._info(shard))

    def _reopen(self, shard: ShardSpec, sidecar: Sidecar) -> None:
        folder = self._staging.shard_folder(shard)
        folder.mkdir(exist_ok=True)
        keys_of_groups = ((group, shard.stream.keys(group)) for group in shard.groups)
        for part, record in self._shelf.split(sidecar, keys_of_groups):
            stage_group(folder, part, record)
        self._shelf.uncommit(shard.name)
        self._ledger.write("reopened", shard=shard.name, groups=shard.num_groups)

    def _assign(self, crew: Crew) -> None:
        for pool, agenda in self._agendas.items():
            others = [other for other in self._agendas.values() if other is not agenda]
            if not agenda.waits_for_workers or any(other.runs_alone for other in others):
                continue
            ready = crew.ready(pool)
            if agenda.wants_unused_worker and ready and all(slot.groups_done for slot in ready):
                crew.renew_one(pool)
            for slot in crew.ready(pool):
                others_idle = all(other.idle for other in others)
                task = agenda.next(worker_is_unused=slot.groups_done == 0, others_idle=others_idle)
                if task is not None:
                    crew.submit(slot, task)

    def _agenda_of(self, task: Attempt) -> Agenda:
        return self._agendas[self._pool_of[task.shard.stream.recipe_id]]

    def _settle(self, finished: Finished) -> None:
        task, outcome = finished.task, finished.outcome
        facts = {
            "shard": task.shard.name,
            "group": task.group,
            "worker": finished.worker,
            "host": finished.where.host,
            "pid": finished.where.pid,
            "wall_s": outcome.wall_s,
            "wait_s": finished.wait_s,
            "start_s": finished.start_s,
        }
        if outcome.fault is None:
            if outcome.parcel is not None:
                stage_group(self._staging.shard_folder(task.shard), *outcome.parcel)
            self._ledger.write(
                "group",
                **facts,
                pairs=outcome.num_pairs,
                holes=outcome.num_holes,
                bytes=outcome.num_bytes,
                phase_s=outcome.phase_s,
                assets=outcome.assets,
                refused=outcome.refused,
                rss_mib=outcome.rss_mib,
            )
            self._count(outcome.num_pairs, outcome.num_holes)
            self._agenda_of(task).settled(task)
            self._quarantine_given_up()
            return
        verdict = self._agenda_of(task).failed(task, outcome.fault)
        self._ledger.write(
            "fault",
            **facts,
            fault=outcome.fault,
            reason=outcome.reason,
            verdict=verdict,
            detail=outcome.detail,
        )
        if verdict is Verdict.QUARANTINE:
            if self._given_up.add((task, outcome.draw, outcome.fault), outcome.reason) is Verdict.STOP:
                raise _crashes_everywhere(self._given_up.release(), self._dataset_dir)
        elif verdict is Verdict.STOP:
            raise _killed_repeatedly(task, outcome.fault, outcome.reason, self._dataset_dir)
        else:
            self._retries += 1

    def _quarantine_given_up(self) -> None:
        for (task, draw, fault), reason in self._given_up.release():
            self._give_up(task, draw, fault, reason)

    def _give_up(self, task: Attempt, draw: int, fault: Fault, reason: str) -> None:
        spec = self._plan.group(task.shard.stream, task.group, draw)
        part, record = pack_group(task.group, given_up(spec, fault, reason, self._plan.catalogue))
        stage_group(self._staging.shard_folder(task.shard), part, record)
        self._ledger.write(
            "given up",
            shard=task.shard.name,
            group=task.group,
            holes=len(record.holes),
            fault=fault,
            reason=reason,
            assets=asset_ids(spec, self._plan.catalogue),
        )
        self._count(0, len(record.holes))
        self._agenda_of(task).settled(task)

    def _count(self, pairs: int, holes: int) -> None:
        self._pairs_done += pairs
        self._quarantined += holes
        self._made_here += pairs + holes

    def _commit_complete(self) -> None:
        for shard in self._complete():
            began = time.monotonic()
            parts = self._staging.parts(shard)
            self._check_room(shard, sum(record.bytes for record, _ in parts) + len(TRAILER))
            sidecar = self._shelf.commit(self._info(shard), parts)
            self._staging.discard(shard)
            self._shards_done += 1
            self._ledger.write(
                "shard",
                shard=shard.name,
                pairs=sidecar.count,
                holes=len(sidecar.holes),
                bytes=sidecar.bytes,
                wall_s=round(time.monotonic() - began, 4),
            )

    def _complete(self) -> Iterator[ShardSpec]:
        for agenda in self._agendas.values():
            while (shard := agenda.pop_complete()) is not None:
                yield shard

    def _check_room(self, shard: ShardSpec, num_bytes: int) -> None:
        needed = num_bytes + COMMIT_RESERVE_BYTES
        free = shutil.disk_usage(self._dataset_dir).free
        if free < needed:
            raise DiskFull(
                f"committing {shard.name} needs {needed} bytes; {free} are free under {self._dataset_dir}",
                consequence="its groups wait in staging; everything committed before is whole",
                remedy="free at least the difference and run the same command again: it resumes here",
            )

    def _check_stop(self, crew: Crew, stop: DrainRequest) -> None:
        if not stop.count or (stop.count == 1 and crew.num_busy):
            return
        crew.abandon()
        raise Interrupted(
            f"stopped with {self._shards_done} of {self._shards_total} shards committed",
            consequence="nothing partial was left; finished groups wait in staging",
            remedy="run the same command again: it goes on from here",
        )

    def report(self, busy_workers: int = 0, *, last: bool = False) -> None:
        """Hand out a snapshot."""
        seconds = time.monotonic() - self._began_s
        rate = self._made_here / seconds if seconds else 0.0
        left = self._plan.num_pairs - self._pairs_done - self._quarantined
        self._on_progress(
            Snapshot(
                shards_done=self._shards_done,
                shards_total=self._shards_total,
                pairs_done=self._pairs_done,
                pairs_total=self._plan.num_pairs,
                quarantined=self._quarantined,
                retries=self._retries,
                busy_workers=busy_workers,
                pairs_per_s=rate,
                left_s=left / rate if rate else None,
                last=last,
            )
        )

    def _info(self, shard: ShardSpec) -> ShardInfo:
        return ShardInfo(
            name=shard.name,
            first_group=shard.first_group,
            num_groups=shard.num_groups,
            plan_digest=self._plan.shard_digest(shard),
            config_digest=self._plan.config.digest,
        )


def _killed_repeatedly(task: Attempt, fault: Fault, reason: str, dataset_dir: Path) -> KilledRepeatedly:
    return KilledRepeatedly(
        f"{task.shard.name} group {task.group} was {fault} {MAX_LOSSES} times, at last with nothing else "
        f"running ({reason})",
        consequence="the run stops: a kill from outside must not cost a sample; all else it made is kept",
        remedy=f"look for the kernel's out-of-memory messages and into {dataset_dir / LOGS_NAME}; give the "
        "workers more memory or ask for fewer of them, and run the same command again",
    )


def _crashes_everywhere(
    given_up: list[tuple[tuple[Attempt, int, Fault], str]], dataset_dir: Path
) -> CrashesEverywhere:
    (last, _, _), reason = given_up[-1]
    return CrashesEverywhere(
        f"{len(given_up)} groups in a row fell to crashes or time-outs, {MAX_CRASHES} attempts each, and "
        f"nothing was finished between them; the last is {last.shard.name} group {last.group} ({reason})",
        consequence="the run stops, for a broken machine must not put group after group in quarantine; none "
        "of these is, and they are tried again",
        remedy=f"read the logs under {dataset_dir / LOGS_NAME}, run `pairbridge doctor` on the workers' "
        "machines (drivers, Blender, memory), and run the same command again; if the assets really are that "
        "bad, raise `execution.stop_after_given_up`",
    )
