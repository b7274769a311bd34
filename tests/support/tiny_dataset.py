"""A whole dataset folder of small images without a renderer: written through the public functions, read by
the tests.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.json_digest import canonical_json, digest, file_sha256
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.manifest import (
    AssetEntry,
    DatasetManifest,
    RecipeEntry,
    SplitEntry,
    write_manifest,
)
from pairbridge.datagen.dataset.verify import manifest_streams
from pairbridge.datagen.shards.commit import commit_shard, write_quarantine
from pairbridge.datagen.shards.fields import FIELDS, HoleContent, Roles
from pairbridge.datagen.shards.layout import ShardSpec, Stream
from pairbridge.datagen.shards.records import Hole, ShardInfo, pack_group
from pairbridge.datagen.shards.sample import Pair, encode_field

CONFIG_DIGEST = digest("config")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class TinyRecipe:
    """groups per split, for one recipe of small random images; a removal recipe stores no source."""

    groups: Mapping[str, int]
    pairs_per_group: int = 2
    kind: str = "relighting_swap"
    size_WH: tuple[int, int] = (24, 16)

    @property
    def fields(self) -> tuple[str, ...]:
        if self.kind == "geometry":
            return ("depth.npy", "mask.png", "meta.json", "normal.npy", "source.png")
        source = () if self.is_removal else ("source.png",)
        return tuple(sorted(("mask.png", "meta.json", "target.png", *source)))

    @property
    def is_removal(self) -> bool:
        return self.kind in ("object_removal", "photo_removal")

    @property
    def roles(self) -> Roles:
        if self.kind == "geometry":
            return Roles(target="depth")
        return Roles(source="target", hole=HoleContent.NOISE) if self.is_removal else Roles()


@dataclass(frozen=True, kw_only=True)
class TinyDataset:
    recipes: Mapping[str, TinyRecipe]
    groups_per_shard: int = 2
    name: str = "tiny"
    holes: Mapping[str, str] = field(default_factory=dict)  # key -> reason
    plan: str = "plan"
    # Each sample is made of the first one of its split.
    assets: tuple[AssetEntry, ...] = field(default_factory=lambda: tuple(asset(split) for split in SPLITS))
    edit: Callable[[Pair], None] = lambda pair: None  # what a broken recipe would do to every pair

    def manifest(self) -> DatasetManifest:
        recipes = {
            recipe_id: RecipeEntry(
                kind=recipe.kind,
                pairs_per_group=recipe.pairs_per_group,
                fields={name: FIELDS[name] for name in recipe.fields},
                roles=recipe.roles,
                splits={
                    split: SplitEntry(
                        groups=count,
                        pairs=count * recipe.pairs_per_group,
                        shards=-(-count // self.groups_per_shard),
                    )
                    for split, count in recipe.groups.items()
                },
            )
            for recipe_id, recipe in self.recipes.items()
        }
        return DatasetManifest(
            name=self.name,
            seed=7,
            config={"name": self.name, "recipes": {}},
            config_digest=CONFIG_DIGEST,
            plan_digest=digest(self.plan),
            view={"exposure": 1.0},
            groups_per_shard=self.groups_per_shard,
            recipes=recipes,
            assets=self.assets,
            versions={"pairbridge": "0.1.0"},
        )

    def write(self, folder: Path) -> Path:
        """The finished dataset; returns `folder`."""
        (folder / "shards").mkdir(parents=True)
        manifest = self.manifest()
        write_manifest(folder, manifest)
        for stream in manifest_streams(manifest):
            for index in range(stream.num_shards):
                self.write_shard(folder, stream.shard(index))
        write_quarantine(folder)
        write_card(folder)
        return folder

    def write_shard(self, folder: Path, shard: ShardSpec) -> None:
        parts = []
        staging = folder.with_name(f"{folder.name}-staging")
        staging.mkdir(exist_ok=True)
        for group in shard.groups:
            part, record = pack_group(
                group,
                [self._outcome(shard.stream, group, pair) for pair in range(shard.stream.pairs_per_group)],
            )
            path = staging / f"{shard.name}-{group}.tar"
            path.write_bytes(part)
            parts.append((record, path))
        commit_shard(folder / "shards", self.shard_info(shard), parts)

    def pair(self, stream: Stream, group: int, pair: int) -> Pair:
        """The images and meta of one sample: random, keyed by its key."""
        key = stream.key(group, pair)
        recipe = self.recipes[stream.recipe_id]
        used = next(entry for entry in self.assets if entry.split == stream.split)
        width, height = recipe.size_WH
        draw = rng(7, key)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 255
        meta = {
            "key": key,
            "dataset": self.name,
            "recipe": stream.recipe_id,
            "kind": recipe.kind,
            "split": stream.split,
            "group": group,
            "pair": pair,
            "draw": 0,
            "seed": 7,
            "assets": [
                {
                    "role": "object",
                    "id": f"{used.id}:{group}",
                    "sha256": used.sha256,
                    "licence": used.licence,
                    "author": used.author,
                }
            ],
            "mask_source": "render",
            "relighter": "none",
            "versions": {"pairbridge": "0.1.0"},
            "params": json.dumps({"fill_seed": 1000 + group}),
        }
        made = {"mask.png": mask, "meta.json": meta}
        for name in ("source.png", "target.png"):
            if name in recipe.fields:
                made[name] = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if recipe.kind == "geometry":
            made["depth.npy"] = draw.uniform(1, 3, (height, width)).astype(np.float32)
            made["normal.npy"] = np.full((height, width, 3), (0, 0, 1), np.float16)
        self.edit(made)
        return made

    def shard_info(self, shard: ShardSpec) -> ShardInfo:
        return ShardInfo(
            name=shard.name,
            first_group=shard.first_group,
            num_groups=shard.num_groups,
            plan_digest=digest(self.plan),
            config_digest=CONFIG_DIGEST,
        )

    def _outcome(self, stream: Stream, group: int, pair: int):
        key = stream.key(group, pair)
        if key in self.holes:
            return Hole(key=key, reason=self.holes[key])
        made = self.pair(stream, group, pair)
        return key, {name: encode_field(name, value) for name, value in made.items()}


def asset(split: str, name: str = "chair", **other: str) -> AssetEntry:
    made = {
        "id": f"{name}-{split}",
        "kind": "family",
        "split": split,
        "licence": "CC0-1.0",
        "author": "nobody",
        "source": "made for a test",
        "sha256": digest(split if name == "chair" else [name, split]),
        "family": f"{name}-{split}",
        "lighting": None,
    }
    return AssetEntry(**made | other)


def commit_as_it_is(tar: Path) -> None:
    """Have a shard's sidecar state the bytes that its tar has now, say of samples that nobody can decode."""
    sidecar = tar.with_suffix(".json")
    record = json.loads(sidecar.read_bytes())
    sidecar.write_bytes(canonical_json({**record, "sha256": file_sha256(tar)}))
