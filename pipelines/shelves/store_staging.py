"""Finished groups on their way into a shard of a dataset on a store, put there by who has made them:
`.staging/<plan>/<shard>/<group>.json`, and the part that it describes, `<group>.<sha256>.tar`, beside it.

Nobody holds a lease for that, and nothing is replaced. A part is named by its bytes and is there before its
record; a record is written where there is none, so of two attempts at a group the first counts. What is
there is of this plan by its name: it makes no difference whether this run, a dead one or a worker that
outlives its own has put it there. It goes when its shard is committed, and what came later when the dataset
is finished.
"""

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.object_store import ObjectStore
from pairbridge.datagen.shards.records import GroupRecord
from pairbridge.pipelines.shelves.staging import (
    is_group_of,
    part_path,
    record_path,
    stage_part,
    stage_record,
)

STAGED_NAME = ".staging"
# Requests wait for the store, not for this machine.
_AT_ONCE = 8
# Of a machine without credentials nothing comes of asking for long.
_ASKING_WAITS_S = (0.5, 2.0)

Result = TypeVar("Result")


def reaches_store(url: str, plan_digest: str) -> bool:
    """Whether this process can put an object there, get it back and delete it."""
    name, said = f"{STAGED_NAME}/{plan_digest[:16]}/.asked-{uuid.uuid4().hex}", uuid.uuid4().hex.encode()
    try:
        store = ObjectStore(url, retry_waits_s=_ASKING_WAITS_S)
        is_kept = store.create(name, said) and store.read(name) == said
        store.remove(name)
    except Exception:  # clients of stores raise what they like where there are no credentials
        return False
    return is_kept


class StoreStaging:
    """The groups of one plan on one store. For any number of threads and processes."""

    def __init__(self, store: ObjectStore, plan_digest: str) -> None:
        self._store = store
        self._top = f"{STAGED_NAME}/{plan_digest[:16]}"

    def stage(self, shard: str, part: bytes, record: GroupRecord) -> None:
        """Part, then record: the group is finished when the second is there. Raises StoreFailed."""
        if record.bytes:
            self._store.put(self._part(shard, record), part)
        name = self._record(shard, record.group)
        for last in self._store.turns():
            found = self._store.stamped(name)
            if found is not None and _parsed(found.content) is not None:
                return
            if last:
                break
            if found is None:
                self._store.create(name, record.to_json())
            else:
                self._store.replace(name, record.to_json(), found.stamp)
        raise self._store.gave_up(name)

    def records(self, shard: ShardSpec) -> list[GroupRecord]:
        """Of the finished groups of a shard, by group."""
        listed = self._store.list(f"{self._top}/{shard.name}")

        def found(group: int) -> GroupRecord | None:
            stamped = self._store.stamped(self._record(shard.name, group))
            record = _parsed(stamped.content) if stamped else None
            if record is None or not is_group_of(shard, group, record):
                return None
            part = listed.get(self._part(shard.name, record))
            return record if not record.bytes or (part and part.size == record.bytes) else None

        there = [group for group in shard.groups if self._record(shard.name, group) in listed]
        return [record for record in self._each(found, there) if record is not None]

    def fetch(self, shard: ShardSpec, records: Iterable[GroupRecord], folder: Path) -> None:
        """Stage in `folder` those of these groups that it lacks; their bytes are checked."""

        def fetched(record: GroupRecord) -> None:
            if record.bytes:
                path = part_path(folder, record.group)
                self._store.fetch(self._part(shard.name, record), path, sha256=record.sha256)
            else:
                stage_part(folder, b"", record)
            stage_record(folder, record)

        there = {path.name for path in folder.iterdir()}
        self._each(fetched, [each for each in records if record_path(folder, each.group).name not in there])

    def forget(self, shard: ShardSpec, groups: Collection[int]) -> None:
        """They are not finished any more."""
        for group in groups:
            self._store.remove(self._record(shard.name, group))

    def clear(self, shard: str) -> None:
        """Delete what is there of a committed shard."""
        self._remove(list(self._store.list(f"{self._top}/{shard}")))

    def adopt(self) -> set[str]:
        """Delete the groups of other plans; names of shards of which groups are there."""
        listed = list(self._store.list(STAGED_NAME))
        ours = [name for name in listed if name.startswith(f"{self._top}/")]
        self._remove(sorted(set(listed) - set(ours)))
        return {name.removeprefix(f"{self._top}/").partition("/")[0] for name in ours}

    def close(self) -> None:
        """Delete all groups, once every shard is committed."""
        self._remove(list(self._store.list(STAGED_NAME)))

    def _remove(self, names: list[str]) -> None:
        # Records first: one whose part is gone would be no finished group.
        for is_record in (True, False):
            self._each(self._store.remove, [name for name in names if name.endswith(".json") is is_record])

    def _each(self, call: Callable[[Any], Result], arguments: list[Any]) -> list[Result]:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as threads:
            return list(threads.map(call, arguments))

    def _record(self, shard: str, group: int) -> str:
        return f"{self._top}/{shard}/{group:08d}.json"

    def _part(self, shard: str, record: GroupRecord) -> str:
        return f"{self._top}/{shard}/{record.group:08d}.{record.sha256}.tar"


def _parsed(content: bytes) -> GroupRecord | None:
    with contextlib.suppress(ShardError):
        return GroupRecord.from_json(content)
    return None
