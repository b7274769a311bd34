"""Where a pair belongs: streams of groups, cut into shards. Arithmetic on numbers and names alone.

A stream is one recipe in one split. Its groups are numbered from 0, its shards are fixed ranges of groups.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.splits import Split


def tar_path(shards_dir: Path, name: str) -> Path:
    return shards_dir / f"{name}.tar"


def sidecar_path(shards_dir: Path, name: str) -> Path:
    return shards_dir / f"{name}.json"


@dataclass(frozen=True)
class Stream:
    """One recipe in one split: what fills one series of shards."""

    recipe_id: str
    kind: str
    split: Split
    num_groups: int
    pairs_per_group: int
    groups_per_shard: int
    fields: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.recipe_id}"

    @property
    def num_shards(self) -> int:
        return -(-self.num_groups // self.groups_per_shard)

    @property
    def num_pairs(self) -> int:
        return self.num_groups * self.pairs_per_group

    def shard(self, index: int) -> "ShardSpec":
        first = index * self.groups_per_shard
        return ShardSpec(
            name=f"{self.name}-{index:06d}",
            stream=self,
            index=index,
            first_group=first,
            num_groups=min(self.groups_per_shard, self.num_groups - first),
        )

    def number_of(self, shard_name: str) -> int | None:
        """The number of the planned shard of this name; None if there is none."""
        index = shard_name.removeprefix(f"{self.name}-")
        if not index.isdecimal() or not index.isascii() or int(index) >= self.num_shards:
            return None
        return int(index) if self.shard(int(index)).name == shard_name else None

    def holds(self, shard: "ShardSpec", key: str) -> bool:
        """Whether `key` is planned in one of its shards, without a list of all keys."""
        number = key.rpartition("-")[2]
        # Python refuses to read numbers of thousands of digits; no plan has one of twenty.
        if not number.isdecimal() or not number.isascii() or len(number) > 20:
            return False
        group, pair = divmod(int(number), self.pairs_per_group)
        return group in shard.groups and self.key(group, pair) == key

    def key(self, group: int, pair: int) -> str:
        """The sample key of one pair: its place in the stream, whatever happens to its neighbours."""
        return f"{self.recipe_id}-{self.split}-{group * self.pairs_per_group + pair:08d}"

    def keys(self, group: int) -> tuple[str, ...]:
        return tuple(self.key(group, pair) for pair in range(self.pairs_per_group))


@dataclass(frozen=True)
class ShardSpec:
    """A fixed range of a stream's groups: the unit of commit."""

    name: str
    stream: Stream
    index: int
    first_group: int
    num_groups: int

    @property
    def groups(self) -> range:
        return range(self.first_group, self.first_group + self.num_groups)


@dataclass(frozen=True)
class GroupSpec:
    """Everything one group is made from: the unit of work. `params` is JSON-able."""

    stream: Stream
    group: int
    params: dict[str, Any]
    keys: tuple[str, ...]  # one per planned pair
    draw: int = 0  # how often it was drawn before, because a gate refused a pair of it
