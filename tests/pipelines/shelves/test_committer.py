"""A committer makes shards ready and never commits: the driver does, and one that outlives its run cannot."""

from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.commit import commit_shard
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import ShardInfo, Sidecar
from pairbridge.datagen.shards.shard_index import INDEX_NAME, ShardIndex
from pairbridge.pipelines.shelves.committer import Committer, ReadyShard
from pairbridge.pipelines.shelves.shelf import FolderShelf
from pairbridge.pipelines.shelves.staging import Fenced, Staging, stage_group
from tests.pipelines.shelves.staged_plan import packed, small_plan

NAME = "train-swap-000000"


@pytest.fixture
def plan() -> DatasetPlan:
    return small_plan()


def info_of(plan: DatasetPlan, shard: ShardSpec | None = None) -> ShardInfo:
    shard = shard or plan.shard(NAME)
    return ShardInfo(
        name=shard.name,
        first_group=shard.first_group,
        num_groups=shard.num_groups,
        plan_digest=plan.shard_digest(shard),
        config_digest=plan.config.digest,
    )


def staged(out: Path, token: str, plan: DatasetPlan) -> Staging:
    staging = Staging.take_over(out, token, plan)
    shard = plan.shard(NAME)
    for group in staging.open_shard(shard):
        stage_group(staging.shard_folder(shard), *packed(shard, group, with_hole=group == 1))
    return staging


def make_ready(
    out: Path, staging: Staging, plan: DatasetPlan, kind: type[Committer] = Committer
) -> ReadyShard:
    return kind(out, staging.folder, None).make_ready(plan.shard(NAME), info_of(plan))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_a_committer_makes_ready_is_committed_when_the_driver_places_it(tmp_path, plan) -> None:
    shelf = FolderShelf(tmp_path / "out")
    staging = staged(tmp_path / "out", "run", plan)
    ready = make_ready(tmp_path / "out", staging, plan)
    assert files(shelf.folder) == {}
    assert shelf.there(NAME) is None
    assert (ready.num_pairs, ready.num_holes) == (5, 1)

    parts = staging.parts(plan.shard(NAME))
    (tmp_path / "alone").mkdir()
    sidecar = commit_shard(tmp_path / "alone", info_of(plan), parts)
    shelf.place(ready)
    assert files(shelf.folder) == files(tmp_path / "alone")
    assert ready.num_bytes == sidecar.bytes
    assert shelf.committed(info_of(plan)).sha256 == sidecar.sha256
    # What the committer wrote down of the sidecar holds for it under its name, so nobody has to parse it.
    indexed = (tmp_path / "out" / INDEX_NAME).read_bytes()
    assert [shard.name for shard in ShardIndex(shelf.folder)] == [NAME]
    assert (tmp_path / "out" / INDEX_NAME).read_bytes() == indexed
    assert indexed


def test_two_committers_of_one_shard_do_not_meet(tmp_path, plan) -> None:
    """The first is thought dead, and is not."""
    shelf = FolderShelf(tmp_path)
    staging = staged(tmp_path, "run", plan)
    first, second = (make_ready(tmp_path, staging, plan) for _ in range(2))
    assert first.tar != second.tar
    shelf.place(second)
    staging.retire(plan.shard(NAME))
    assert files(shelf.folder).keys() == {f"{NAME}.tar", f"{NAME}.json"}
    assert Sidecar.from_file(shelf.folder / f"{NAME}.json").bytes == second.num_bytes
    assert not first.tar.exists()
    with pytest.raises(Fenced):
        make_ready(tmp_path, staging, plan)


@pytest.mark.parametrize("moment", ["write_tar", "write_sidecar"])
def test_a_committer_that_outlives_its_run_changes_nothing(tmp_path, plan, moment) -> None:
    """It stands still before its tar or between tar and sidecar, while another driver takes over, commits and
    ends."""
    shelf = FolderShelf(tmp_path)
    old = staged(tmp_path, "old", plan)

    class Late(Committer):
        """Is overtaken once."""

    def overtaken(self: Committer, *arguments: object) -> object:
        new = Staging.take_over(tmp_path, "new", plan)
        assert shelf.sweep() == []
        # All groups are adopted, and what the old committer has made so far is not taken for one.
        assert new.open_shard(plan.shard(NAME)) == ()
        shelf.place(make_ready(tmp_path, new, plan))
        new.close()
        return getattr(Committer, moment)(self, *arguments)

    setattr(Late, moment, overtaken)
    with pytest.raises(Fenced):
        make_ready(tmp_path, old, plan, Late)
    assert files(shelf.folder).keys() == {f"{NAME}.tar", f"{NAME}.json"}
    assert not (tmp_path / "staging").exists()
    assert shelf.committed(info_of(plan)).count == 5


def test_a_group_that_is_missing_or_altered_is_named_and_nothing_is_made_ready(tmp_path, plan) -> None:
    staging = staged(tmp_path, "run", plan)
    folder = staging.shard_folder(plan.shard(NAME))
    part = folder / "00000002.tar"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + b"?")
    with pytest.raises(ShardError, match="part of group 2"):
        make_ready(tmp_path, staging, plan)
    part.write_bytes(whole)
    (folder / "00000002.json").unlink()
    with pytest.raises(ShardError, match="wants groups 0 to 2"):
        make_ready(tmp_path, staging, plan)
    assert not list(folder.glob("*.ready.*"))
