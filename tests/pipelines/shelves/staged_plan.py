"""A small plan, and groups of it packed by hand: for tests of what happens to bytes once they exist."""

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.shards.layout import ShardSpec
from pairbridge.datagen.shards.records import GroupRecord, Hole, pack_group

ASSETS = tuple(
    Asset(id=name, kind=kind, split="train", licence="MIT", author="x", source="x", sha256="0" * 64, **more)
    for name, kind, more in (("chair", "family", {"family": "chair"}), ("sun", "hdri", {"lighting": "hdri"}))
)


def small_plan(seed: int = 1) -> DatasetPlan:
    """Two shards of three groups and one of one, two pairs a group."""
    config = DatasetConfig.model_validate(
        {
            "name": "staged",
            "seed": seed,
            "groups_per_shard": 3,
            "recipes": {"swap": {"kind": "relighting_swap", "groups": {"train": 7}, "pairs_per_group": 2}},
        }
    )
    return make_plan(config, Catalogue(ASSETS))


def packed(shard: ShardSpec, group: int, *, with_hole: bool = False) -> tuple[bytes, GroupRecord]:
    first, second = shard.stream.keys(group)
    made = (first, {"meta.json": b'{"group":%d}' % group})
    other = Hole(key=second, reason="refused") if with_hole else (second, {"meta.json": b"{}"})
    return pack_group(group, [made, other])
