"""Finished groups on their way into a shard: `<dataset>/staging/<token>/<shard>/<group>.tar` and `.json`.

Each driver has a token of its own and renames the folder of the one before to it. That one rename both adopts
what was finished and fences off every worker of the older run: it knows its folder by the old name only,
creates no folders, and fails with ENOENT from then on.

Parts are written like everything else (temp, fsync, rename), the part before its record; a record whose part
is whole is a finished group, whichever run made it.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pairbridge.datagen.core.atomic_files import sync_folder, write_atomically
from pairbridge.datagen.core.errors import PairbridgeError, ShardError
from pairbridge.datagen.shards.commit import check_part
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord

if TYPE_CHECKING:
    # Every recipe with it, which `status` has no use for.
    from pairbridge.datagen.dataset.plan import DatasetPlan

STAGING_NAME = "staging"
_PLAN_FILE = "plan_digest"
_RETRY_FILE = "retry_quarantined"


def sees_staging(folder: Path) -> bool:
    """Whether this process sees a run's staging folder: its name holds the run's own token."""
    return (folder / _PLAN_FILE).is_file()


class Fenced(PairbridgeError):
    """This worker's run is over: another driver has taken its staging folder."""


def new_token() -> str:
    """A name no other run has; it appears in no file of the dataset."""
    return uuid.uuid4().hex[:12]


def part_path(folder: Path, group: int) -> Path:
    return folder / f"{group:08d}.tar"


def record_path(folder: Path, group: int) -> Path:
    return folder / f"{group:08d}.json"


def stage_part(folder: Path, part: bytes, record: GroupRecord) -> None:
    """First half: the group's tar bytes under their final name. Raises Fenced, or DiskFull."""
    with fenced(folder):
        write_atomically(part_path(folder, record.group), [part])


def stage_record(folder: Path, record: GroupRecord) -> None:
    """Second half: from here on the group is finished. Raises Fenced, or DiskFull."""
    with fenced(folder):
        write_atomically(record_path(folder, record.group), [record.to_json()])


def stage_group(folder: Path, part: bytes, record: GroupRecord) -> None:
    """Both halves: the group is finished when the second is there."""
    stage_part(folder, part, record)
    stage_record(folder, record)


def staged_parts(folder: Path, shard: ShardSpec) -> list[tuple[GroupRecord, Path]]:
    """(record, part) of every finished group in a shard's folder, in group order, for the commit, which
    checks the bytes. Raises FileNotFoundError if there is no such folder."""
    # Of a shard that is being opened there is nothing yet, which is known at one look.
    there = set(os.listdir(folder))
    staged = []
    for group in shard.groups if there else ():
        path = record_path(folder, group)
        record = _read_record(path) if path.name in there else None
        if record is not None and is_group_of(shard, group, record):
            staged.append((record, part_path(folder, group)))
    return staged


def is_group_of(shard: ShardSpec, group: int, record: GroupRecord) -> bool:
    """Whether a record is of this group, as it is planned."""
    keys = {entry.key for entry in (*record.samples, *record.holes)}
    return record.group == group and keys == set(shard.stream.keys(group))


@contextlib.contextmanager
def fenced(folder: Path) -> Iterator[None]:
    """For what is done in a run's staging folder: raises Fenced when that is gone."""
    try:
        yield
    except FileNotFoundError as error:
        raise Fenced(
            f"the staging folder {folder} is gone",
            consequence="this worker belongs to a run that has ended; what it made was not used",
            remedy="none needed; if a current run says this, its staging folder was deleted: start it again",
        ) from error


class GroupsElsewhere(Protocol):
    """What is used of `pairbridge.pipelines.shelves.store_staging.StoreStaging`."""

    def adopt(self) -> Collection[str]: ...
    def stage(self, shard: str, part: bytes, record: GroupRecord) -> None: ...
    def records(self, shard: ShardSpec) -> list[GroupRecord]: ...
    def forget(self, shard: ShardSpec, groups: Collection[int]) -> None: ...
    def close(self) -> None: ...


class Staging:
    """The driver's side. Open it with `take_over`, holding the dataset's lock."""

    def __init__(self, folder: Path, plan: "DatasetPlan", on_store: GroupsElsewhere | None = None) -> None:
        self.folder = folder
        self._plan = plan
        self._on_store = on_store
        self._left: Collection[str] = on_store.adopt() if on_store is not None else ()

    @classmethod
    def take_over(
        cls, dataset_dir: Path, token: str, plan: "DatasetPlan", on_store: GroupsElsewhere | None = None
    ) -> "Staging":
        """Adopt an earlier run's folder by renaming it, or begin an empty one; and its groups on the store of
        the dataset, if that is on one.
        """
        root = dataset_dir / STAGING_NAME
        root.mkdir(exist_ok=True)
        folder = root / token
        adopted = False
        for old in sorted(root.iterdir()):
            if not adopted and _has_plan(old, plan.digest):
                old.rename(folder)
                adopted = True
            else:
                # Of another plan, or cut off before it had one: its bytes belong to no shard of this dataset.
                _remove_tree(old)
        if not adopted:
            folder.mkdir()
            write_atomically(folder / _PLAN_FILE, [plan.digest.encode()])
        sync_folder(root)
        return cls(folder, plan, on_store)

    def begin_retry(self, reason: str) -> None:
        """Note that holes of this `reason` are to be made again, for this run and, if it is killed, for the
        next one, whatever that is asked for."""
        write_atomically(self.folder / _RETRY_FILE, [reason.encode()])

    @property
    def retried_reason(self) -> str | None:
        """What `begin_retry` noted; None where it was not called since the dataset was last finished."""
        path = self.folder / _RETRY_FILE
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def stage(self, shard: ShardSpec, part: bytes, record: GroupRecord) -> None:
        """Keep a group that the driver itself has made: holes."""
        if self._on_store is None:
            stage_group(self.shard_folder(shard), part, record)
        else:
            # Where the others are: one that lacks it could not be assembled there.
            self._on_store.stage(shard.name, part, record)

    def drop(self, shard: ShardSpec, is_unwanted: Callable[[GroupRecord], bool]) -> int:
        """Forget finished groups: they are missing from now on. Returns how many those are. Call it before
        `open_shard`.
        """
        here = [record.group for record, _ in self.parts(shard) if is_unwanted(record)]
        for group in here:
            record_path(self.shard_folder(shard), group).unlink()
        there = {record.group for record in self._elsewhere(shard) if is_unwanted(record)}
        if there:
            self._on_store.forget(shard, there)
        return len({*here, *there})

    def open_shard(self, shard: ShardSpec) -> tuple[int, ...]:
        """Make the shard's folder, sweep what is unfinished in it, and return the groups still missing."""
        folder = self.shard_folder(shard)
        folder.mkdir(exist_ok=True)
        settled = {record.group for record, part in self.parts(shard) if check_part(record, part)}
        keep = {
            path.name for group in settled for path in (part_path(folder, group), record_path(folder, group))
        }
        for path in sorted(folder.iterdir()):
            if path.name not in keep:
                path.unlink()
        settled |= {record.group for record in self._elsewhere(shard)}
        return tuple(group for group in shard.groups if group not in settled)

    def parts(self, shard: ShardSpec) -> list[tuple[GroupRecord, Path]]:
        """As `staged_parts`; nothing of a shard that was not opened."""
        folder = self.shard_folder(shard)
        return staged_parts(folder, shard) if folder.is_dir() else []

    def records(self, shard: ShardSpec) -> list[GroupRecord]:
        """Of every finished group of a shard, wherever it waits."""
        there = {record.group: record for record in self._elsewhere(shard)}
        return list((there | {record.group: record for record, _ in self.parts(shard)}).values())

    def _elsewhere(self, shard: ShardSpec) -> list[GroupRecord]:
        """What earlier runs have left of it."""
        return self._on_store.records(shard) if shard.name in self._left else []

    def retire(self, shard: ShardSpec) -> Path:
        """Put away the folder of a committed shard, in one step for any number of groups; whoever has time
        deletes what it returns, `close` at the latest."""
        return _put_away(self.shard_folder(shard))

    def shard_folder(self, shard: ShardSpec) -> Path:
        return self.folder / shard.name

    def close(self) -> None:
        """Delete the run's folder once every shard is committed."""
        if self._on_store is not None:
            self._on_store.close()
        _remove_tree(self.folder)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def _read_record(path: Path) -> GroupRecord | None:
    try:
        return GroupRecord.from_json(path.read_bytes())
    except (FileNotFoundError, ShardError):
        return None


def _has_plan(folder: Path, digest: str) -> bool:
    path = folder / _PLAN_FILE
    return path.is_file() and path.read_text() == digest


def _remove_tree(folder: Path) -> None:
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    doomed = _put_away(folder)
    # A committer that is still dying may be emptying folders in it.
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.exists():
        shutil.rmtree(doomed)


def _put_away(folder: Path) -> Path:
    """Renamed, so that a worker that is still dying cannot add a file while the folder is being emptied."""
    doomed = folder.with_name(f".{folder.name}.doomed")
    shutil.rmtree(doomed, ignore_errors=True)  # from a driver that was killed with it half deleted
    return folder.rename(doomed)
