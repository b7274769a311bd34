"""Commit of a shard on an object store, where a write may arrive minutes late, twice or after its writer's
end.

A lock cannot help there: whoever holds it may be suspended between asking for it and writing. So nothing
that is written here relies on it. Every write is bound to what its writer saw (there was no object, or the
object had this stamp), nothing with a public name is ever deleted, and the order is

1. a proposal, `.pending/<shard>.<plan>.<sha256 of the tar>.json`: the sidecar that this tar is to have;
2. the tar, where there is none, read back;
3. the sidecar, where there is none: the commit. Then the proposal goes.

A whole tar has a proposal, so whoever finds one without a sidecar commits it as it is, instead of replacing
it by a tar of its own (renders are not bitwise equal on a GPU): there is one winner, and a late write of it
or of its sidecar changes nothing. A tar without a proposal for this plan is half a write, or of the dataset
before it grew. To replace it, the place of the sidecar is first taken by a `Claim` with the generation of
the writer's lease. From then on no older write can commit the shard, and no older generation can claim it
back.

The lease is asked after every look at a tar and before the claim: what a holder has seen was then written by
its own generation or an earlier one. Stamps of S3 are digests of the content. That is enough but for one
case: a dataset grows by nothing but holes, so that the tar stays as it is, while a fenced driver's
replacement of that very tar, with other renders of the same groups, is still on its way.

`tests/pipelines/shelves/test_store_commit.py` goes through every order of two drivers' requests.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.shards.object_store import Hashed, Stamped, Stored, StoreFailed
from pairbridge.datagen.shards.records import Claim, ShardInfo, Sidecar, commit_record
from pairbridge.pipelines.shelves.staging import Fenced

SHARDS_NAME = "shards"
PENDING_NAME = ".pending"
# Below every lease's: a claim of any generation stands.
_NO_GENERATION = 0


class Objects(Protocol):
    """What is used of `pairbridge.datagen.shards.object_store.ObjectStore`."""

    url: str

    def list(self, folder: str) -> dict[str, Stored]: ...
    def stamped(self, name: str) -> Stamped | None: ...
    def hashed(self, name: str) -> Hashed | None: ...
    def create(self, name: str, content: bytes | Path) -> bool: ...
    def replace(self, name: str, content: bytes | Path, stamp: str) -> bool: ...
    def remove(self, name: str) -> None: ...
    def turns(self) -> Iterator[bool]: ...
    def gave_up(self, name: str) -> StoreFailed: ...


def commit_on_store(
    store: Objects, mine: Sidecar, tar: bytes | Path, still_ours: Callable[[], int]
) -> Sidecar:
    """Commit `tar`, or what another run has already put in its place; the sidecar of what is committed.

    `still_ours` gives the generation of the lease that is held, or raises Fenced. Raises Fenced also where a
    later generation has claimed the shard or committed a larger one, and StoreFailed.
    """
    proposal = _proposal(mine.shard, mine.sha256)
    _write_record(store, proposal, mine)
    name = _tar(mine.shard)
    for last in store.turns():
        found = store.hashed(name)
        generation = still_ours()
        sidecar = _proposed(store, mine.shard, found.sha256) if found else None
        if sidecar is not None:
            committed = _seal(store, sidecar, generation)
            store.remove(proposal)
            return committed
        if last:
            break
        if found is None:
            store.create(name, tar)
            continue
        committed = _claim(store, mine.shard, generation)
        if committed is not None:
            return committed
        store.replace(name, tar, found.stamp)
    raise store.gave_up(name)


def reopen_on_store(store: Objects, shard: ShardInfo, still_ours: Callable[[], int]) -> None:
    """Take back the commit of `shard`, to be committed again with more groups. Its tar stays until then."""
    for last in store.turns():
        generation = still_ours()
        found, held = _in_place(store, shard, generation)
        if held == Claim(generation=generation):
            return
        if last:
            break
        _occupy(store, shard, found, generation)
    raise store.gave_up(_sidecar(shard))


def finish_on_store(store: Objects) -> None:
    """Commit every whole tar whose writer did not get to its sidecar."""
    committed = store.list(SHARDS_NAME)
    for name in store.list(PENDING_NAME):
        found = store.stamped(name)
        sidecar = commit_record(found.content) if found else None
        if not isinstance(sidecar, Sidecar) or _sidecar(sidecar.shard) in committed:
            continue
        tar = store.hashed(_tar(sidecar.shard))
        if tar is not None and tar.sha256 == sidecar.sha256:
            # Claimed meanwhile: its tar is to be replaced, perhaps at this moment.
            with contextlib.suppress(Fenced):
                _seal(store, sidecar, _NO_GENERATION)


def drop_proposals(store: Objects, committed: Callable[[str], bool]) -> list[str]:
    """Delete the proposals of shards that are `committed`; the names."""
    doomed = [name for name in store.list(PENDING_NAME) if committed(Path(name).name.partition(".")[0])]
    for name in doomed:
        store.remove(name)
    return doomed


def _seal(store: Objects, sidecar: Sidecar, generation: int) -> Sidecar:
    """Write the sidecar of the tar that is there; what is committed, which may be another's with this tar."""
    name = _sidecar(sidecar.shard)
    for last in store.turns():
        found, held = _in_place(store, sidecar.shard, generation)
        if isinstance(held, Sidecar) and held.shard == sidecar.shard:
            return held
        if last:
            break
        if found is None:
            store.create(name, sidecar.to_json())
        else:
            store.replace(name, sidecar.to_json(), found.stamp)
    raise store.gave_up(name)


def _claim(store: Objects, shard: ShardInfo, generation: int) -> Sidecar | None:
    """Hold the place of the sidecar under `generation`; or the sidecar of `shard`, if it is committed."""
    for last in store.turns():
        found, held = _in_place(store, shard, generation)
        if held == Claim(generation=generation):
            return None
        if isinstance(held, Sidecar) and held.shard == shard:
            return held
        if last:
            break
        _occupy(store, shard, found, generation)
    raise store.gave_up(_sidecar(shard))


def _in_place(
    store: Objects, shard: ShardInfo, generation: int
) -> tuple[Stamped | None, Sidecar | Claim | None]:
    """What stands in the place of the sidecar. Raises Fenced if it is not for `generation` to change."""
    found = store.stamped(_sidecar(shard))
    held = commit_record(found.content) if found else None
    later = isinstance(held, Claim) and held.generation > generation
    larger = isinstance(held, Sidecar) and held.shard.num_groups > shard.num_groups
    if later or larger:
        raise Fenced(
            f"another run has taken over {shard.name} on {store.url}",
            consequence="this one commits nothing more; what it committed before is whole",
            remedy=f"none needed while the other run lives; if none does, delete {_sidecar(shard)} there "
            "and run the same command again",
        )
    return found, held


def _occupy(store: Objects, shard: ShardInfo, found: Stamped | None, generation: int) -> None:
    claim = Claim(generation=generation).to_json()
    if found is None:
        store.create(_sidecar(shard), claim)
    else:
        store.replace(_sidecar(shard), claim, found.stamp)


def _write_record(store: Objects, name: str, record: Sidecar) -> None:
    for last in store.turns():
        found = store.stamped(name)
        # A run before us may have made the same tar with other words in its sidecar: the first one counts.
        if found is not None and commit_record(found.content) is not None:
            return
        if last:
            break
        if found is None:
            store.create(name, record.to_json())
        else:
            store.replace(name, record.to_json(), found.stamp)
    raise store.gave_up(name)


def _proposed(store: Objects, shard: ShardInfo, sha256: str) -> Sidecar | None:
    found = store.stamped(_proposal(shard, sha256))
    record = commit_record(found.content) if found else None
    return record if isinstance(record, Sidecar) else None


def _proposal(shard: ShardInfo, sha256: str) -> str:
    return f"{PENDING_NAME}/{shard.name}.{digest(shard.model_dump(mode='json'))[:16]}.{sha256}.json"


def _tar(shard: ShardInfo) -> str:
    return f"{SHARDS_NAME}/{shard.name}.tar"


def _sidecar(shard: ShardInfo) -> str:
    return f"{SHARDS_NAME}/{shard.name}.json"
