"""The loop that turns a plan into committed shards: assign, wait, settle, commit, until nothing is left.

Who does what: `agenda` decides what is tried next, `crew` runs it, `staging` keeps what is finished,
`committers` make a shard of it, to which the loop gives its names. No byte of a sample passes here.
Everything the loop knows is on disk or can be made again, so it may be killed at any line.
"""

import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord, ShardInfo, pack_group
from pairbridge.pipelines.attempts.agenda import Agenda, Attempt, OpenShard
from pairbridge.pipelines.attempts.holes import asset_ids, given_up, is_called
from pairbridge.pipelines.attempts.policy import (
    MAX_CRASHES,
    MAX_LOSSES,
    MAX_UNREADABLE,
    Fault,
    GivenUp,
    Limits,
    Verdict,
)
from pairbridge.pipelines.generation.progress import OnProgress, Snapshot
from pairbridge.pipelines.generation.stopping import DrainRequest, Interrupted
from pairbridge.pipelines.shelves.ledger import Ledger
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Fenced, Staging, stage_group
from pairbridge.pipelines.workers.committers import Committers
from pairbridge.pipelines.workers.crew import Crew, Finished
from pairbridge.pipelines.workers.worker_logs import LOGS_NAME


class KilledRepeatedly(PairbridgeError):
    """One group's worker is killed from outside again and again, even with nothing else running."""


class CrashesEverywhere(PairbridgeError):
    """Group after group crashes or hangs, and nothing gets finished: a broken machine, not an asset."""


class AssetsFailEverywhere(PairbridgeError):
    """Asset after asset is found broken, and nothing gets finished: a disk or a library that fails."""


class InputUnreadable(PairbridgeError):
    """A group's files cannot be read, or change, however often it is tried."""


class _Fallen(NamedTuple):
    """A group that gave nothing, and what the ledger has to say of its last attempt."""

    finished: Finished
    facts: dict[str, Any]


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
        limits: Limits = Limits(),  # noqa: B008 (frozen)
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
        self._limits = limits
        self._paused_until_s = 0.0
        self._retried_reason = staging.retried_reason
        self.num_retried = 0  # groups that were finished, and are made again for that reason
        self._given_up: GivenUp[_Fallen] = GivenUp(plan.config.execution.stop_after_given_up)
        self._shards_total = sum(stream.num_shards for stream in plan.streams)
        self._shards_done = self._pairs_done = self._quarantined = self._retries = 0
        self._made_here = 0
        self._most_open = 0  # shards at once, which are complete in a wave when nothing more is handed out
        self._began_s = time.monotonic()

    @property
    def finished(self) -> bool:
        """Every shard is committed. Raises ShardError for damage, ConfigError for shards of another plan."""
        # A list: each of them opens its next shards, and says what is damaged.
        return all([agenda.finished for agenda in self._agendas.values()])

    def run(self, crew: Crew, committers: Committers, stop: DrainRequest) -> None:
        """Commit every shard that is not committed yet.

        Raises Interrupted, KilledRepeatedly, CrashesEverywhere, AssetsFailEverywhere, InputUnreadable,
        ShardError for damage found on disk, and what `Crew.poll` and `Committers.ended` raise. Whatever is
        raised, no partial file has a final name and a new run resumes.
        """
        self._began_s = time.monotonic()
        while True:
            self._hand_over(committers)
            self._shelf.check()
            if self.finished and not committers.num_pending:
                self._ledger.write("rest", wait_s=crew.resting_s())
                return
            self._check_stop(crew, committers, stop)
            num_open = sum(agenda.num_open for agenda in self._agendas.values())
            self._most_open = max(self._most_open, num_open)
            if not (stop.count or committers.is_behind(self._most_open)):
                self._assign(crew)
                if not any(agenda.waits_for_workers for agenda in self._agendas.values()):
                    committers.release(num_open)
            # Before results are collected: then those that ended are counted as idle until the next round.
            self.report(crew.num_busy, crew.num_waiting)
            wait_s = None
            if committers.num_pending and not crew.num_busy:
                committers.wait(self._limits.tick_s)
                wait_s = 0.0
            try:
                self._place_ready(committers)
                for finished in crew.poll(wait_s):
                    self._settle(finished)
            except Fenced:
                self._shelf.check()  # a folder that was renamed is gone for its workers first
                raise
            if all(agenda.idle for agenda in self._agendas.values()):
                self._quarantine_given_up()

    def _open_shards(self, recipes: Set[str]) -> Iterator[OpenShard]:
        for shard in self._plan.shards():
            if shard.stream.recipe_id not in recipes:
                continue
            committed = self._committed(shard)
            if committed is not None and self._is_retried(committed):
                self._reopen(shard)
                committed = None
            if committed is not None:
                self._shards_done += 1
                self._pairs_done += committed.count
                self._quarantined += committed.num_holes
                continue
            self.num_retried += self._staging.drop(shard, self._is_retried)
            missing = self._staging.open_shard(shard)
            for record in self._staging.records(shard):
                self._pairs_done += len(record.samples)
                self._quarantined += len(record.holes)
            yield OpenShard(shard, missing)

    def _is_retried(self, record: IndexedShard | GroupRecord) -> bool:
        """Whether a hole of it is to be made again, and with it its group."""
        if self._retried_reason is None:
            return False
        return any(is_called(hole, self._retried_reason) for hole in record.holes)

    def _committed(self, shard: ShardSpec) -> IndexedShard | None:
        """A committed shard. One that was full in a smaller dataset is taken apart again: its
        groups wait in staging for those that join them.
        """
        there = self._shelf.there(shard.name)
        if there is not None:
            smaller = replace(shard, num_groups=min(there.shard.num_groups, shard.num_groups))
            if smaller != shard and there.shard == self._info(smaller):
                self._reopen(smaller)
        return self._shelf.committed(self._info(shard))

    def _reopen(self, shard: ShardSpec) -> None:
        folder = self._staging.shard_folder(shard)
        folder.mkdir(exist_ok=True)
        keys_of_groups = ((group, shard.stream.keys(group)) for group in shard.groups)
        for part, record in self._shelf.split(shard.name, keys_of_groups):
            stage_group(folder, part, record)
        self._shelf.uncommit(shard.name)
        self._ledger.write("reopened", shard=shard.name, groups=shard.num_groups)

    def _assign(self, crew: Crew) -> None:
        if time.monotonic() < self._paused_until_s:
            return
        for pool, agenda in self._agendas.items():
            others = [other for other in self._agendas.values() if other is not agenda]
            if not agenda.waits_for_workers:
                crew.release(pool)
                continue
            if any(other.runs_alone for other in others):
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
        if outcome.broken:
            self._agenda_of(task).withhold(task)
            if self._given_up.add(_Fallen(finished, facts), outcome.broken) is Verdict.STOP:
                raise _assets_everywhere(self._given_up.release(), self._dataset_dir)
            return
        if outcome.fault is None:
            self._keep(finished, facts)
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
            **({"message": outcome.message} if outcome.message else {}),
        )
        if verdict is Verdict.QUARANTINE:
            if self._given_up.add(_Fallen(finished, facts)) is Verdict.STOP:
                raise _crashes_everywhere(self._given_up.release(), self._dataset_dir)
        elif verdict is Verdict.STOP:
            stop = _unreadable if outcome.fault is Fault.UNREADABLE else _killed_repeatedly
            raise stop(task, outcome.reason, self._dataset_dir)
        else:
            self._retries += 1
            if outcome.fault is Fault.UNREADABLE:
                pause_s = self._agenda_of(task).pause_s(task, self._limits.unreadable_pause_s)
                self._paused_until_s = max(self._paused_until_s, time.monotonic() + pause_s)

    def _keep(self, finished: Finished, facts: dict[str, Any]) -> None:
        """The group is finished, with pairs, holes or both: see to it that it is staged, and settle it."""
        task, outcome = finished.task, finished.outcome
        if outcome.holes is not None:
            self._staging.stage(task.shard, b"", outcome.holes)
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

    def _quarantine_given_up(self) -> None:
        for fallen in self._given_up.release():
            outcome = fallen.finished.outcome
            if outcome.fault is None:
                self._keep(fallen.finished, fallen.facts)
            else:
                self._give_up(fallen.finished.task, outcome.draw, outcome.fault, outcome.reason)

    def _give_up(self, task: Attempt, draw: int, fault: Fault, reason: str) -> None:
        spec = self._plan.group(task.shard.stream, task.group, draw)
        part, record = pack_group(task.group, given_up(spec, fault, reason, self._plan.catalogue))
        self._staging.stage(task.shard, part, record)
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

    def _hand_over(self, committers: Committers) -> None:
        for shard in self._complete():
            committers.submit(shard, self._info(shard))

    def _place_ready(self, committers: Committers) -> None:
        for ready in committers.ended():
            self._shelf.place(ready)
            committers.clear(self._staging.retire(ready.spec), ready.spec)
            self._shards_done += 1
            self._ledger.write(
                "shard",
                shard=ready.spec.name,
                pairs=ready.num_pairs,
                holes=ready.num_holes,
                bytes=ready.num_bytes,
                **ready.work._asdict(),
            )

    def _complete(self) -> Iterator[ShardSpec]:
        for agenda in self._agendas.values():
            while (shard := agenda.pop_complete()) is not None:
                yield shard

    def _check_stop(self, crew: Crew, committers: Committers, stop: DrainRequest) -> None:
        if not stop.count or (stop.count == 1 and (crew.num_busy or committers.num_pending)):
            return
        crew.abandon()
        raise Interrupted(
            f"stopped with {self._shards_done} of {self._shards_total} shards committed",
            consequence="nothing partial was left; finished groups wait in staging",
            remedy="run the same command again: it goes on from here",
        )

    def report(self, busy_workers: int = 0, waiting_workers: int = 0, *, last: bool = False) -> None:
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
                waiting_workers=waiting_workers,
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


def _killed_repeatedly(task: Attempt, reason: str, dataset_dir: Path) -> KilledRepeatedly:
    return KilledRepeatedly(
        f"{task.shard.name} group {task.group} was lost {MAX_LOSSES} times, at last with nothing else "
        f"running ({reason})",
        consequence="the run stops: a kill from outside must not cost a sample; all else it made is kept",
        remedy=f"see `pairbridge status {dataset_dir} --faults` and the kernel's out-of-memory messages; "
        "give the workers more memory or ask for fewer of them, and run the same command again",
    )


def _unreadable(task: Attempt, reason: str, dataset_dir: Path) -> InputUnreadable:
    return InputUnreadable(
        f"the inputs of {task.shard.name} group {task.group} were unreadable {MAX_UNREADABLE} times in a row "
        f"({reason})",
        consequence="the run stops: a file that cannot be read must not cost a sample; all else is kept",
        remedy="bring the files back as they were (mounts, permissions, limits of open files), and run the "
        "same command again",
    )


def _crashes_everywhere(fallen: list[_Fallen], dataset_dir: Path) -> CrashesEverywhere:
    last = fallen[-1].finished
    return CrashesEverywhere(
        f"{len(fallen)} groups in a row fell to crashes, time-outs or broken assets, and nothing was "
        f"finished between them; the last is {last.task.shard.name} group {last.task.group}, after "
        f"{MAX_CRASHES} attempts ({last.outcome.reason})",
        consequence="the run stops, for a broken machine must not put group after group in quarantine; none "
        "of these is, and they are tried again",
        remedy=f"read the logs under {dataset_dir / LOGS_NAME}, run `pairbridge doctor` on the workers' "
        "machines (drivers, Blender, memory), and run the same command again; if the assets really are that "
        "bad, raise `execution.stop_after_given_up`",
    )


def _assets_everywhere(fallen: list[_Fallen], dataset_dir: Path) -> AssetsFailEverywhere:
    last = fallen[-1].finished
    [hole, *_] = last.outcome.holes.holes
    return AssetsFailEverywhere(
        f"{len(fallen)} groups in a row fell to broken assets or crashes, and nothing was finished between "
        f"them; the last is {last.task.shard.name} group {last.task.group} ({hole.reason})",
        consequence="the run stops, for a disk or library that fails must not put asset after asset in "
        "quarantine; none of these groups is, and they are tried again",
        remedy="run `pairbridge assets check` on the folders; if they are sound, read the logs under "
        f"{dataset_dir / LOGS_NAME} and run the same command again; if the assets really are that bad, leave "
        "them out, or raise `execution.stop_after_given_up`",
    )
