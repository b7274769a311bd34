"""Latents of a dataset, made once by `pairbridge encode` and read by the trainer in place of pixels.

    <dataset>/latents/<encoding>/latents.json            what they depend on, beside the pairs
    <dataset>/latents/<encoding>/shards/<split>-<recipe>-000003.tar, .json

They lie beside the images in shards of their own, committed like those: PAIRS_PER_SHARD pairs each, in the
dataset's order, a sidecar last. A sample holds, as float32 arrays (C, h, w) of the whole framed image:

    mean_source.npy, mean_target.npy    latents in the scale that training uses, a KL autoencoder's mean
    seen_<field>.npy                    each condition as the network sees it
    valid.png                           where the target is valid, for targets that may have gaps

The folder's name is a digest of all they depend on: autoencoder, size, conditions, roles. The
sidecars name the pairs they were made of. Latents of anything else are refused, never used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.bounded_json import read_json_object
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.shards.commit import committed_shard
from pairbridge.datagen.shards.reader import Shard
from pairbridge.datagen.shards.records import ShardInfo
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import SOURCE, ConditionConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource

FOLDER = "latents"
PAIRS_PER_SHARD = 200


@dataclass(frozen=True, slots=True)
class Encoding:
    """What latents depend on beside the pairs: the autoencoder (by name, for messages, and digest), the size
    of the framed images, the network's conditions and the fields.
    """

    autoencoder: str
    autoencoder_digest: str
    size_WH: tuple[int, int]
    conditions: tuple[ConditionConfig, ...]
    # Which fields they are of, see `PairSource.facts`.
    roles: dict[str, Any]
    has_gaps: bool

    @classmethod
    def of(
        cls,
        pairs: PairSource,
        autoencoder: str,
        autoencoder_digest: str,
        size_WH: tuple[int, int],
        conditions: tuple[ConditionConfig, ...],
    ) -> Self:
        """Of the fields that `pairs` are read from."""
        return cls(
            autoencoder, autoencoder_digest, size_WH, conditions, pairs.facts, pairs.kinds.target.has_gaps
        )

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "autoencoder": self.autoencoder_digest,
            "size_WH": list(self.size_WH),
            "conditions": [
                {
                    "field": one.field,
                    "encoding": "irradiance" if one.as_irradiance else one.through_autoencoder,
                    "channels": one.colours,
                    "whole": one.is_whole,
                    **({"classes": list(one.classes), "read": one.read} if one.classes else {}),
                    **({"labels": one.labels, "code_base": one.code_base} if one.labels else {}),
                }
                for one in self.conditions
            ],
            "roles": self.roles,
        }

    @property
    def digest(self) -> str:
        return digest(self.facts)

    def folder(self, dataset_dir: Path) -> Path:
        return dataset_dir / FOLDER / self.digest[:16]

    def shard(self, pairs: PairSource, recipe: str, split: str, number: int) -> ShardInfo:
        """The record of latents shard `number`: a shard's one group is its range of pairs."""
        return ShardInfo(
            name=f"{split}-{recipe}-{number:06d}",
            first_group=number,
            num_groups=1,
            plan_digest=pairs.digest,
            config_digest=self.digest,
        )


class CachedLatents:
    """The latents of one source at one size, by the position of the pair. Holds no open file."""

    def __init__(self, pairs: PairSource, encoding: Encoding) -> None:
        """Raises ConfigError where they were not made, or of other pairs or by another autoencoder."""
        folder = encoding.folder(pairs.dataset_dir)
        if not (folder / "latents.json").is_file():
            raise _not_made(pairs, encoding)
        self._shards: list[Shard] = []
        index = ShardIndex(folder / "shards")
        for number in range(-(-len(pairs) // PAIRS_PER_SHARD)):
            info = encoding.shard(pairs, pairs.recipe, pairs.split, number)
            shard = committed_shard(index, info)
            if shard is None:
                raise _not_made(pairs, encoding, f"; shard {info.name} is missing")
            self._shards.append(Shard(folder / "shards", shard, None))
        # Holes are pairs that could not be read; only then positions have to be looked up by key.
        self._places = [
            None if not shard.holes else {key: place for place, key in enumerate(shard.keys)}
            for shard in self._shards
        ]
        self._pairs = pairs
        seen = [f"seen_{one.field}.npy" for one in encoding.conditions if one.field != SOURCE]
        # Where a target need not hold everywhere, the loss asks where it does.
        valid = ["valid.png"] if encoding.has_gaps else []
        self._fields = ("mean_source.npy", "mean_target.npy", *seen, *valid)

    def read(self, index: int) -> tuple[str, dict[str, np.ndarray]]:
        """(key, {"source", "target", condition fields}): float32 (C, h, w); `valid` uint8 (H, W) on top.

        Raises ShardError, naming file and key, for latents of a pair that had no image, and DataReplaced for
        other bytes than those that were encoded.
        """
        number, place = divmod(index, PAIRS_PER_SHARD)
        shard, places = self._shards[number], self._places[number]
        key = shard.key(place) if places is None else self._pairs.key(index)
        if places is not None:
            if key not in places:
                raise ShardError(
                    f"{shard.path}: {key} is a hole, its images could not be read",
                    consequence="the sample is not used",
                    remedy="run `pairbridge verify --decode` on the dataset",
                )
            place = places[key]
        shard.prove()
        data = shard.read(place, self._fields)
        found = {_name(field): decode_field(field, data[field]) for field in self._fields}
        sizes = {array.shape[1:] for name, array in found.items() if name != "valid" and array.ndim == 3}
        if len(sizes) != 1 or any(array.ndim != 3 for name, array in found.items() if name != "valid"):
            raise ShardError(
                f"{shard.path}: {key} has latents of {sorted(str(array.shape) for array in found.values())}",
                consequence="the sample is not used",
                remedy="delete the folder of these latents and run `pairbridge encode` again",
            )
        return key, found


def write_facts(folder: Path, encoding: Encoding) -> None:
    """latents.json, for people and for messages: what the folder's digest is of."""
    text = json.dumps({"name": encoding.autoencoder, **encoding.facts}, indent=1, sort_keys=True)
    write_atomically(folder / "latents.json", [text.encode(), b"\n"])


def _name(field: str) -> str:
    return field.rpartition(".")[0].removeprefix("mean_").removeprefix("seen_")


def _there(dataset_dir: Path) -> list[str]:
    """What other latents a dataset has, for a message."""
    found = []
    for path in sorted((dataset_dir / FOLDER).glob("*/latents.json")):
        try:
            facts = read_json_object(path, MAX_SIDE_JSON_BYTES)
            found.append(
                f"{facts['name']} ({str(facts['autoencoder'])[:12]}) at {facts['size_WH']}"
                f" of {facts['roles']['source']} and {facts['roles']['target']}"
            )
        except (OSError, ValueError, KeyError) as error:
            found.append(f"{path.parent.name}, which cannot be read: {error!r}")
    return found


def _not_made(pairs: PairSource, encoding: Encoding, more: str = "") -> ConfigError:
    width, height = encoding.size_WH
    return ConfigError(
        f"{pairs.dataset_dir} has no latents of {pairs.recipe}/{pairs.split} by {encoding.autoencoder} "
        f"({encoding.autoencoder_digest[:12]}) at {width}x{height} for these fields and conditions{more};"
        f" it has {_there(pairs.dataset_dir) or 'none'}",
        consequence="latents of another autoencoder, size or condition would train another model",
        remedy=f"run `pairbridge encode {pairs.dataset_dir} --training ...` with this training config,"
        " or set latents to encode",
    )


@dataclass(frozen=True, slots=True)
class CachedWith:
    """The autoencoder whose latents a training reads, and whether its loss wants the target's pixels too."""

    autoencoder: str
    autoencoder_digest: str
    with_pixels: bool


# The latents of one source, by size of the images.
LatentsBySize = dict[tuple[int, int], CachedLatents]


def open_latents(
    mix: MixConfig,
    pairs: Sequence[PairSource],
    buckets: BucketSequence,
    conditions: Sequence[ConditionConfig],
    cached: CachedWith,
) -> list[LatentsBySize]:
    """The latents of every source of a mix at every size of its batches.

    Raises ConfigError where they are not there, or where whole, unchanging images are not what the mix asks.
    """
    reasons = ["random_crop takes another part of an image in every epoch"] if mix.random_crop else []
    reasons += [
        f"source {source.name} has noise in its hole (`roles.hole`), another in every epoch"
        for source, own in zip(mix.sources, pairs, strict=True)
        if own.has_noise
    ]
    reasons += [
        f"source {source.name} has varied masks (`roles.masks`), others in every epoch"
        for source, own in zip(mix.sources, pairs, strict=True)
        if own.has_varied_masks
    ]
    if reasons:
        raise ConfigError(
            f"latents: cached cannot be used: {'; '.join(reasons)}",
            consequence="the network would not see what the mix describes",
            remedy="change the mix, or set latents to encode",
        )
    sizes = sorted({bucket.size_WH for bucket in buckets.buckets})

    def at(own: PairSource, size_WH: tuple[int, int]) -> CachedLatents:
        encoding = Encoding.of(own, cached.autoencoder, cached.autoencoder_digest, size_WH, tuple(conditions))
        return CachedLatents(own, encoding)

    return [{size: at(own, size) for size in sizes} for own in pairs]
