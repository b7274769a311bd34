"""Small real datasets on disk, made with datagen's own shard code: a shaded ball that a background relights.

The target's foreground is the source's times a gain that follows the background's brightness, so that a model
has something to learn which one colour shift does not catch.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.json_digest import canonical_json, digest
from pairbridge.datagen.dataset.manifest import DatasetManifest, RecipeEntry, SplitEntry, write_manifest
from pairbridge.datagen.shards.commit import commit_shard
from pairbridge.datagen.shards.fields import FIELDS, KINDS, FieldKind, FieldSpec, Roles
from pairbridge.datagen.shards.records import ShardInfo, pack_group
from pairbridge.datagen.shards.sample import Pair, encode_field

SIZE = 32
PLAN = digest("toy")


def ball_pair(seed: int) -> Pair:
    draw = np.random.default_rng(seed)
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) / (SIZE * draw.uniform(0.25, 0.42))
    height = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    inside = (height > 0)[..., None]
    towards = draw.normal(size=3)
    shade = np.clip(0.5 + 0.5 * (x * towards[0] + y * towards[1] + height * abs(towards[2])), 0, 1)
    ball = shade[..., None] * draw.uniform(60, 160, 3)
    back = draw.uniform(30, 220, 3) + draw.normal(0, 6, (SIZE, SIZE, 3))
    gain = 0.6 + back.mean() / 160
    source = np.where(inside, ball, back)
    target = np.where(inside, ball * gain, back)
    return {
        "source.png": np.clip(source, 0, 255).astype(np.uint8),
        "target.png": np.clip(target, 0, 255).astype(np.uint8),
        "mask.png": np.where(inside[..., 0], 255, 0).astype(np.uint8),
    }


def write_toy_dataset(
    folder: Path,
    recipe: str,
    splits: dict[str, int],
    *,
    seed: int = 0,
    per_object: int = 2,
    make_pair: Callable[[int], Pair] = ball_pair,
    family: Callable[[int], str] = lambda seed: "ball",
) -> Path:
    """A finished dataset: `splits` pairs per split in one shard each, `per_object` pairs of each object.

    `make_pair` and `family` (of its object) are functions of a pair's seed.
    """
    first = make_pair(0)
    fields = tuple(sorted([*first, "meta.json"]))
    manifest = DatasetManifest(
        name="toy",
        seed=seed,
        config={"recipes": {}},
        config_digest=PLAN,
        plan_digest=PLAN,
        view={"exposure": 1.0, "shoulder": 0.8},
        groups_per_shard=max(splits.values()),
        recipes={
            recipe: RecipeEntry(
                kind="relighting_swap",
                pairs_per_group=1,
                fields={name: declared(name, first.get(name)) for name in fields},
                roles=Roles(
                    source="source" if "source.png" in fields else "target",
                    target="target" if "target.png" in fields else "depth",
                    conditions=("light",) if "light.png" in fields else (),
                ),
                splits={name: SplitEntry(groups=n, pairs=n, shards=1) for name, n in splits.items()},
            )
        },
        assets=(),
        versions={},
    )
    shards = folder / "shards"
    shards.mkdir(parents=True)
    write_manifest(folder, manifest)
    for place, (split, count) in enumerate(sorted(splits.items())):
        parts = []
        for group in range(count):
            key = f"{recipe}-{split}-{group:08d}"
            pair_seed = 1_000_000 * place + 1000 * seed + group
            meta = {
                "key": key,
                "assets": [{"role": "object", "id": f"{family(pair_seed)}:{group // per_object}"}],
                "params": canonical_json({}).decode(),
            }
            pair = {**make_pair(pair_seed), "meta.json": meta}
            data = {field: encode_field(field, pair[field]) for field in fields}
            part, record = pack_group(group, [(key, data)])
            path = folder / f"{split}-{group}.part"
            path.write_bytes(part)
            parts.append((record, path))
        info = ShardInfo(
            name=f"{split}-{recipe}-000000",
            first_group=0,
            num_groups=count,
            plan_digest=PLAN,
            config_digest=PLAN,
        )
        commit_shard(shards, info, parts)
        for _, path in parts:
            path.unlink()
    return folder


def declared(name: str, value: np.ndarray | None) -> FieldSpec:
    """What a toy's field holds: the vocabulary's kind, with the type and channels of `value`."""
    if value is None:
        return FIELDS[name]
    stem, _, suffix = name.rpartition(".")
    kind = KINDS.get(stem, FieldKind.IMAGE)
    encodings = {FieldKind.MASK: "share", FieldKind.DEPTH: "planar", FieldKind.LABEL: "index"}
    if kind is FieldKind.NORMAL:
        encodings[kind] = "vector" if suffix == "npy" else "vector_unsigned"
    if kind is FieldKind.LIGHT and suffix == "npy":
        encodings[kind] = "radiance"
    return FieldSpec(
        kind=kind,
        encoding=encodings.get(kind, "srgb"),
        channels=1 if value.ndim == 2 else value.shape[2],
        dtype=str(value.dtype),
        unit="metre" if kind is FieldKind.DEPTH else "",
        shows="toy",
    )
