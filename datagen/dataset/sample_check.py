"""What one sample must satisfy beyond its bytes: provenance that matches the dataset, no leakage, decodable
fields."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.dataset.manifest import AssetEntry, DatasetManifest
from pairbridge.datagen.dataset.variety import Variety, VarietyCount
from pairbridge.datagen.shards.layout import Stream
from pairbridge.datagen.shards.sample import decode_field


class SampleCheck:
    """Checks samples of one dataset. `meta.json` is always read; images and arrays are decoded if
    `decode`."""

    def __init__(self, manifest: DatasetManifest, *, decode: bool) -> None:
        # One entry an id, but in a merged dataset: each part bakes lightings of its own under the same names.
        self._assets: defaultdict[str, list[AssetEntry]] = defaultdict(list)
        for asset in manifest.assets:
            self._assets[asset.id].append(asset)
        self._decode = decode
        self._fields = {recipe_id: entry.fields for recipe_id, entry in manifest.recipes.items()}
        # Readers take the columns of `meta.json` from the first samples and lose what only later ones have.
        self._meta_keys: dict[str, list[str]] = {}
        self._varieties: defaultdict[tuple[str, str], VarietyCount] = defaultdict(VarietyCount)

    def variety(self, stream: Stream) -> Variety:
        """Of the stream's samples that were checked so far and could be read."""
        return self._varieties[stream.recipe_id, stream.split].result()

    def problems(self, stream: Stream, key: str, sample: dict[str, bytes], *, draw: int) -> Iterator[str]:
        """What is wrong with one sample, each starting with its key; `draw` is the one it came from."""
        shapes = {}
        for field, data in sample.items():
            if not (self._decode or field == "meta.json"):
                continue
            try:
                value = decode_field(field, data)
            except ShardError as error:
                yield f"{key}: {error.cause}"
                continue
            if field == "meta.json":
                problems = list(self._meta(stream, key, value, draw))
                yield from (f"{key}: meta.json {problem}" for problem in problems)
                if not problems:
                    try:
                        self._varieties[stream.recipe_id, stream.split].add(sample, value)
                    except ShardError as error:
                        yield f"{key}: {error.cause}"
                continue
            # Samples with other fields than planned are named with their shard.
            spec = self._fields[stream.recipe_id].get(field)
            if spec is None:
                continue
            if problem := spec.problem(value):
                yield f"{key}: field {field}: {problem}"
            elif spec.kind.has_pixels_of_the_view:
                shapes[field] = value.shape[:2]
        if len(set(shapes.values())) > 1:
            yield f"{key}: its images differ in size: {shapes}"

    def _meta(self, stream: Stream, key: str, meta: Any, draw: int) -> Iterator[str]:
        if not isinstance(meta, dict) or not isinstance(meta.get("assets"), list):
            yield "is not an object with a list of assets"
            return
        expected = {"key": key, "recipe": stream.recipe_id, "split": stream.split, "draw": draw}
        for name, value in expected.items():
            if meta.get(name) != value:
                yield f"says {name} {meta.get(name)!r} instead of {value!r}"
        if sorted(meta) != self._meta_keys.setdefault(stream.recipe_id, sorted(meta)):
            yield "has other top-level keys than the recipe's first sample"
        for used in meta["assets"]:
            asset_id = used.get("id") if isinstance(used, dict) else None
            # A procedural object is written family:seed.
            listed = self._assets.get(str(asset_id).partition(":")[0])
            if listed is None:
                yield f"names the asset {asset_id!r}, which dataset.json does not list"
                continue
            stated = (used.get("sha256"), used.get("licence"))
            if stated not in [(asset.sha256, asset.licence) for asset in listed]:
                yield f"gives asset {asset_id} another sha256 or licence than dataset.json"
            for split in sorted({asset.split for asset in listed} - {stream.split}):
                yield f"uses asset {asset_id} of split {split}: it leaks into {stream.split}"
