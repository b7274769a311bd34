"""Groups that wait on the store, and a committer that has nothing but the store: the bytes are those of one
that works in a folder, and what outlives its run changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.commit import commit_shard
from pairbridge.datagen.shards.object_store import ObjectStore
from pairbridge.pipelines.shelves.committer import Committer
from pairbridge.pipelines.shelves.lock import Lease, store_lease
from pairbridge.pipelines.shelves.shelf import StoreShelf
from pairbridge.pipelines.shelves.staging import Fenced, Staging, stage_group
from pairbridge.pipelines.shelves.store_committer import StoreCommitter
from pairbridge.pipelines.shelves.store_staging import STAGED_NAME, StoreStaging, reaches_store
from tests.pipelines.shelves.staged_plan import packed, small_plan
from tests.pipelines.shelves.test_committer import NAME, info_of


@dataclass(frozen=True)
class Run:
    """One driver's things."""

    plan: DatasetPlan
    lease: Lease
    on_store: StoreStaging
    staging: Staging
    shelf: StoreShelf

    @property
    def elsewhere(self) -> StoreCommitter:
        """On a machine that sees the store alone."""
        lease = self.lease
        return StoreCommitter(lease.store.url, lease.token, lease.generation, self.plan.digest)

    @property
    def here(self) -> Committer:
        return Committer(self.shelf.dataset_dir, self.staging.folder, self.lease, self.on_store)


@pytest.fixture
def url(s3: str, tmp_path: Path) -> str:
    return f"{s3}/{tmp_path.name}"


@pytest.fixture
def run(url: str, tmp_path: Path) -> Iterator[Run]:
    plan, store, work = small_plan(), ObjectStore(url), tmp_path / "work"
    work.mkdir()
    with store_lease(store, work, "run") as lease:
        shelf, on_store = StoreShelf.adopt(work, lease), StoreStaging(store, plan.digest)
        staging = Staging.take_over(work, "run", plan, on_store)
        yield Run(plan, lease, on_store, staging, shelf)


def in_a_folder(plan: DatasetPlan, folder: Path) -> tuple[bytes, bytes]:
    """Tar and sidecar of the shard, of the same groups."""
    (folder / "parts").mkdir(parents=True)
    shard, parts = plan.shard(NAME), []
    for group in shard.groups:
        part, record = packed(shard, group, with_hole=group == 1)
        (folder / f"parts/{group}").write_bytes(part)
        parts.append((record, folder / f"parts/{group}"))
    commit_shard(folder, info_of(plan), parts)
    return (folder / f"{NAME}.tar").read_bytes(), (folder / f"{NAME}.json").read_bytes()


def on_the_store(run: Run) -> tuple[bytes, bytes]:
    return tuple(run.lease.store.read(f"shards/{NAME}.{kind}") for kind in ("tar", "json"))


def test_a_machine_that_sees_the_store_alone_commits_the_same_bytes(run: Run, tmp_path: Path) -> None:
    shard = run.plan.shard(NAME)
    assert run.staging.open_shard(shard) == (0, 1, 2)
    for group in (0, 2):
        run.on_store.stage(NAME, *packed(shard, group))
    # What the driver itself has made waits with the others.
    assert run.elsewhere.commit(shard, info_of(run.plan)) is None
    run.staging.stage(shard, *packed(shard, 1, with_hole=True))
    ready = run.here.note(shard, *run.elsewhere.commit(shard, info_of(run.plan)))
    assert run.shelf.there(NAME) is None
    run.shelf.place(ready)
    assert (ready.num_pairs, ready.num_holes) == (5, 1)
    assert on_the_store(run) == in_a_folder(run.plan, tmp_path / "folder")
    assert run.shelf.there(NAME).count == 5
    run.elsewhere.clear(shard)
    assert not run.lease.store.list(STAGED_NAME)
    assert not list((tmp_path / "work").rglob("*.tar"))


def test_groups_that_wait_in_both_places_are_committed_by_the_driver(run: Run, tmp_path: Path) -> None:
    shard = run.plan.shard(NAME)
    run.staging.open_shard(shard)
    stage_group(run.staging.shard_folder(shard), *packed(shard, 0))
    run.on_store.stage(NAME, *packed(shard, 1, with_hole=True))
    run.on_store.stage(NAME, *packed(shard, 2))
    assert run.elsewhere.commit(shard, info_of(run.plan)) is None
    run.shelf.place(run.here.make_ready(shard, info_of(run.plan)))
    assert on_the_store(run) == in_a_folder(run.plan, tmp_path / "folder")


def test_of_two_attempts_the_first_counts_and_one_that_was_cut_off_does_not(run: Run) -> None:
    shard, store = run.plan.shard(NAME), run.lease.store
    first, second = packed(shard, 0), packed(shard, 0, with_hole=True)
    run.on_store.stage(NAME, *first)
    run.on_store.stage(NAME, *second)
    assert run.on_store.records(shard) == [first[1]]
    # A part without its record, a record without its part, half a record, another group's record.
    names = list(store.list(STAGED_NAME))
    [record] = [name for name in names if name.endswith(".json")]
    store.put(record.replace("00000000.json", "00000001.json"), first[1].to_json())
    store.put(record.replace("00000000.json", "00000002.json"), packed(shard, 2)[1].to_json()[:-9])
    assert run.on_store.records(shard) == [first[1]]
    for name in names:
        if first[1].sha256 in name:
            store.remove(name)
    assert run.on_store.records(shard) == []
    # And it can be made again.
    run.on_store.stage(NAME, *packed(shard, 2))
    assert [each.group for each in run.on_store.records(shard)] == [2]


def test_what_a_dead_run_has_left_is_used_and_that_of_another_plan_goes(url: str, tmp_path: Path) -> None:
    plan, store = small_plan(), ObjectStore(url)
    shard = plan.shard(NAME)
    left, foreign = StoreStaging(store, plan.digest), StoreStaging(store, small_plan(seed=2).digest)
    left.stage(NAME, *packed(shard, 0, with_hole=True))
    left.stage(NAME, *packed(shard, 2))
    foreign.stage(NAME, *packed(shard, 1))
    staging = Staging.take_over(tmp_path, "run", plan, left)
    assert foreign.records(shard) == []
    assert [record.group for record in staging.records(shard)] == [0, 2]
    # A group whose holes are to be made again is no longer there.
    assert staging.drop(shard, lambda record: bool(record.holes)) == 1
    assert staging.open_shard(shard) == (0, 1)
    staging.close()
    assert not store.list()


def test_a_committer_elsewhere_that_outlives_its_run_commits_nothing(run: Run) -> None:
    shard = run.plan.shard(NAME)
    for group in shard.groups:
        run.on_store.stage(NAME, *packed(shard, group))
    late = run.elsewhere
    with (
        store_lease(run.lease.store, run.shelf.dataset_dir, "next"),
        pytest.raises(Fenced, match="taken over"),
    ):
        late.commit(shard, info_of(run.plan))
    assert not run.lease.store.list("shards/" + NAME + ".json")


def test_a_machine_without_credentials_is_told_apart(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reaches_store(url, "0" * 64)
    assert not ObjectStore(url).list()
    assert not reaches_store("s3://no-such-bucket/x", "0" * 64)
    assert not reaches_store("nowhere://pairs", "0" * 64)
