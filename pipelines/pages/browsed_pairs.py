"""Which pairs of a dataset or an import a page shows, and where they are read: a bounded, seeded choice."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import, read_rejected
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.shards.fields import FieldSpec, Roles, stem_of
from pairbridge.datagen.shards.layout import tar_path
from pairbridge.datagen.shards.reader import open_shard
from pairbridge.datagen.shards.sample import Pair, decode_sample
from pairbridge.datagen.shards.shard_index import ShardIndex

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
    decoded, whose files hold what `fields` says; `keys(name)` are those of a part; `planned`: how many there
    are to be, None where nothing says.
    """

    recipe: str
    split: str
    read: Callable[[str, int], Pair]
    keys: Callable[[str], list[str]]
    planned: int | None
    fields: Mapping[str, FieldSpec]
    roles: Roles
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def num_pairs(self) -> int:
        return sum(self.parts.values())

    def choose(self, count: int, seed: int, keys: Collection[str] | None = None) -> list[tuple[str, int]]:
        """(part, index) of at most `count` pairs, in order, of at most SHARDS_PER_STREAM parts; a function
        of what is there, `seed`, and the `keys` that alone are wanted (None: all).
        """
        places = self._places(seed, keys)
        draw = rng(seed, "page", self.recipe, self.split, "pairs")
        chosen = draw.choice(len(places), min(count, len(places)), replace=False)
        return [places[number] for number in sorted(chosen)]

    def capacity(self, seed: int, keys: Collection[str] | None = None) -> int:
        """How many pairs `choose` can give."""
        return len(self._places(seed, keys))

    def _places(self, seed: int, keys: Collection[str] | None) -> list[tuple[str, int]]:
        wanted = {
            name: range(count)
            if keys is None
            else [index for index, key in enumerate(self.keys(name)) if key in keys]
            for name, count in self.parts.items()
        }
        names = [name for name, indices in wanted.items() if indices]
        draw = rng(seed, "page", self.recipe, self.split, "shards")
        kept = sorted(draw.choice(len(names), min(SHARDS_PER_STREAM, len(names)), replace=False))
        return [(names[number], index) for number in kept for index in wanted[names[number]]]


@dataclass(frozen=True, slots=True)
class Browsed:
    """What there is to browse: its name, its pairs and what is missing, with reasons."""

    name: str
    streams: tuple[PairStream, ...]
    quarantined: tuple[Quarantined, ...]

    @property
    def num_pairs(self) -> int:
        return sum(stream.num_pairs for stream in self.streams)

    def pairs(
        self, limit: int, seed: int, keys: Collection[str] | None = None
    ) -> Iterator[tuple[PairStream, Pair]]:
        """At most `limit` pairs, of every recipe and split as many as of any other while they last; of those
        called by `keys` alone (None: of all).
        """
        shares = even_shares([stream.capacity(seed, keys) for stream in self.streams], limit)
        for stream, share in zip(self.streams, shares, strict=True):
            for part, index in stream.choose(share, seed, keys):
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
        shard = open_shard(tar_path(shards_dir, name))
        return decode_sample(shard.key(index), shard.read(index))

    def keys(name: str) -> list[str]:
        return open_shard(tar_path(shards_dir, name)).keys

    for recipe, entry in manifest.recipes.items():
        for split, planned in entry.splits.items():
            streams[recipe, split] = PairStream(
                recipe=recipe,
                split=split,
                read=read,
                keys=keys,
                planned=planned.pairs,
                fields=entry.fields,
                roles=entry.roles,
            )
    for shard in ShardIndex(shards_dir):
        recipe, split = shard.shard.recipe, shard.shard.split
        if shard.count:
            streams[recipe, split].parts[shard.name] = shard.count
        missing += [Quarantined(recipe=recipe, split=split, **hole.model_dump()) for hole in shard.holes]
    return Browsed(manifest.name, tuple(streams.values()), tuple(missing))


def _browse_import(folder: Path) -> Browsed:
    manifest = ImportManifest.from_folder(folder)
    splits = {split: ImportedPairs(folder, manifest.name, split) for split in manifest.splits}

    def read(split: str, index: int) -> Pair:
        return imported_pair(splits[split], index)

    def keys(split: str) -> list[str]:
        return [splits[split].key(index) for index in range(len(splits[split]))]

    streams = [
        PairStream(
            recipe=manifest.name,
            split=split,
            read=read,
            keys=keys,
            planned=None,
            fields=files_of(pairs),
            roles=pairs.roles,
            parts={split: len(pairs)},
        )
        for split, pairs in splits.items()
    ]
    missing = [
        Quarantined(key=entry.id, recipe=manifest.name, split="", reason=entry.reason)
        for entry in read_rejected(folder)
    ]
    return Browsed(manifest.name, tuple(streams), tuple(missing))


def files_of(pairs: ImportedPairs) -> dict[str, FieldSpec]:
    """An import's fields by the names that files of them would have in a shard."""
    arrays = {"float16", "float32"}
    return {f"{name}.{'npy' if spec.dtype in arrays else 'png'}": spec for name, spec in pairs.fields.items()}


def imported_pair(pairs: ImportedPairs, index: int) -> Pair:
    """Pair `index` of an import as a shard would hold it."""
    names = files_of(pairs)
    meta, found = pairs.read(index, tuple(pairs.fields))
    return {"meta.json": meta, **{name: found[stem_of(name)] for name in names}}


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
