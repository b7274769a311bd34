"""Where a pair belongs: streams of groups, cut into shards. Arithmetic on numbers and names alone.

A stream is one recipe in one split. Its groups are numbered from 0, its shards are fixed ranges of groups.
"""

from dataclasses import dataclass
from typing import Any

from pairbridge.datagen.core.splits import Split


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
