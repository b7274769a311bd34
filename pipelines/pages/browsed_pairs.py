"""Which pairs of a dataset or an import a page shows, and where they are read: a bounded, seeded choice."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest
from pairbridge.datagen.imports.import_manifest import REJECTED_NAME, ImportManifest, is_import
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.shards.commit import read_sidecars, tar_path
from pairbridge.datagen.shards.reader import open_shard
from pairbridge.datagen.shards.sample import Pair, decode_field

# A shard of a dataset on an object store comes here whole, for one of its pairs as for all of them.
SHARDS_PER_STREAM = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A planned pair that is not there. An import's has neither split nor gate, and its id for a key."""

    key: str
    recipe: str
    split: str
    reason: str
    asset: str | None = None
    gate: str | None = None
    fault: str | None = None


@dataclass(slots=True, kw_only=True)
class PairStream:
    """The pairs of one recipe in one split. `parts`: name -> number of pairs; `read(name, index)` gives one,
    decoded.
    """

    recipe: str
    split: str
    read: Callable[[str, int], Pair]
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def num_pairs(self) -> int:
        return sum(self.parts.values())

    def choose(self, count: int, seed: int) -> list[tuple[str, int]]:
        """(part, index) of at most `count` pairs, in order, of at most SHARDS_PER_STREAM parts; a function
        of what is there and `seed`.
        """
        places = self._places(seed)
        draw = rng(seed, "page", self.recipe, self.split, "pairs")
        chosen = draw.choice(len(places), min(count, len(places)), replace=False)
        return [places[number] for number in sorted(chosen)]

    def capacity(self, seed: int) -> int:
        """How many pairs `choose` can give."""
        return len(self._places(seed))

    def _places(self, seed: int) -> list[tuple[str, int]]:
        names = list(self.parts)
        draw = rng(seed, "page", self.recipe, self.split, "shards")
        kept = sorted(draw.choice(len(names), min(SHARDS_PER_STREAM, len(names)), replace=False))
        return [(names[number], index) for number in kept for index in range(self.parts[names[number]])]


@dataclass(frozen=True, slots=True)
class Browsed:
    """What there is to browse: its name, its pairs and what is missing, with reasons."""

    name: str
    streams: tuple[PairStream, ...]
    quarantined: tuple[Quarantined, ...]

    @property
    def num_pairs(self) -> int:
        return sum(stream.num_pairs for stream in self.streams)

    def pairs(self, limit: int, seed: int) -> Iterator[tuple[PairStream, Pair]]:
        """At most `limit` pairs, of every recipe and split as many as of any other while they last."""
        shares = even_shares([stream.capacity(seed) for stream in self.streams], limit)
        for stream, share in zip(self.streams, shares, strict=True):
            for part, index in stream.choose(share, seed):
                yield stream, stream.read(part, index)

    def holes(self, limit: int, seed: int) -> list[Quarantined]:
        """At most `limit` of what is missing, by key."""
        count = min(limit, len(self.quarantined))
        chosen = rng(seed, "page", "holes").choice(len(self.quarantined), count, replace=False)
        return sorted((self.quarantined[number] for number in chosen), key=lambda hole: hole.key)


def browse(folder: Path) -> Browsed:
    """The committed pairs of a dataset's folder, also one that is still being made, or those of an import.

    Raises ConfigError if it is neither, ShardError for damage.
    """
    if is_import(folder):
        return _browse_import(folder)
    if not (folder / MANIFEST_NAME).is_file():
        raise ConfigError(
            f"{folder} is neither the folder of a dataset nor that of an import",
            consequence="there is nothing to show",
            remedy="name a folder that `pairbridge generate` or `import` made",
        )
    manifest = DatasetManifest.from_folder(folder)
    shards_dir = folder / "shards"
    streams: dict[tuple[str, str], PairStream] = {}
    missing = []

    def read(name: str, index: int) -> Pair:
        files = open_shard(tar_path(shards_dir, name)).read(index)
        return {field: decode_field(field, data) for field, data in files.items()}

    for recipe, entry in manifest.recipes.items():
        for split in entry.splits:
            streams[recipe, split] = PairStream(recipe=recipe, split=split, read=read)
    for sidecar in read_sidecars(shards_dir):
        recipe, split = sidecar.shard.recipe, sidecar.shard.split
        if sidecar.count:
            streams[recipe, split].parts[sidecar.shard.name] = sidecar.count
        missing += [Quarantined(recipe=recipe, split=split, **hole.model_dump()) for hole in sidecar.holes]
    return Browsed(manifest.name, tuple(streams.values()), tuple(missing))


def _browse_import(folder: Path) -> Browsed:
    manifest = ImportManifest.from_folder(folder)
    splits = {split: ImportedPairs(folder, manifest.name, split) for split in manifest.splits}

    def read(split: str, index: int) -> Pair:
        meta, images = splits[split].read(index)
        return {"meta.json": meta, **{f"{name}.png": image for name, image in images.items()}}

    streams = [
        PairStream(recipe=manifest.name, split=split, read=read, parts={split: len(pairs)})
        for split, pairs in splits.items()
    ]
    missing = [
        Quarantined(key=entry["id"], recipe=manifest.name, split="", reason=entry["reason"])
        for entry in _lines(folder / REJECTED_NAME)
    ]
    return Browsed(manifest.name, tuple(streams), tuple(missing))


def even_shares(capacities: list[int], limit: int) -> list[int]:
    """`limit` dealt out one by one in turn, nobody getting more than its capacity."""
    shares = [0] * len(capacities)
    open_ones = [number for number, capacity in enumerate(capacities) if capacity]
    left = limit
    while left and open_ones:
        each = max(1, left // len(open_ones))
        for number in open_ones:
            given = min(each, capacities[number] - shares[number], left)
            shares[number] += given
            left -= given
        open_ones = [number for number in open_ones if shares[number] < capacities[number]]
    return shares


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
