"""Pairs of one recipe and split, by position: decoded, framed to one size, holes of removal pairs filled."""

import bisect
import json
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from datagen.canonical import digest
from datagen.errors import ConfigError, PairbridgeError, ShardError
from datagen.fill import fill_noise
from datagen.manifest import DatasetManifest
from datagen.sample import decode_field
from datagen.seeds import seed31
from datagen.shards import Shard, open_shards
from training.framing import Frame, crop_and_resize

_IMAGES = ("source.png", "target.png", "mask.png")


@dataclass(frozen=True, slots=True)
class Pair:
    """source and target: uint8 (H, W, 3) sRGB; mask: uint8 (H, W), 255 = foreground, or to remove."""

    key: str
    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    meta: dict[str, Any]


class PairSource:
    """Map-style access to every committed pair of one recipe and split. Holds no open file; pickles and
    forks.
    """

    def __init__(self, dataset_dir: Path, recipe: str, split: str) -> None:
        """Raises ConfigError if the dataset lacks the recipe or split or is not finished, ShardError if
        damaged.
        """
        self.dataset_dir = dataset_dir
        manifest = DatasetManifest.from_folder(dataset_dir)
        planned = _planned_shards(manifest, dataset_dir, recipe, split)
        self._shards: list[Shard] = list(open_shards(dataset_dir, recipe, split))
        if len(self._shards) != planned:
            raise ConfigError(
                f"{dataset_dir} has {len(self._shards)} of {planned} shards of {recipe}/{split}",
                consequence="the order of the data would change once the rest is made",
                remedy="finish the dataset with `pairbridge generate`; the same command resumes it",
            )
        self._ends = list(accumulate(len(shard) for shard in self._shards))
        if not len(self):
            raise ConfigError(
                f"{dataset_dir} holds no pair of {recipe}/{split}: all of them are in quarantine",
                consequence="there is nothing to train on or to evaluate",
                remedy="read quarantine.jsonl in the dataset's folder; it names the reasons",
            )
        self._is_removal = manifest.recipes[recipe].kind.endswith("_removal")

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def digest(self) -> str:
        """Hex digest of every shard's name and sha256: equal digests are equal pairs in equal order."""
        return digest([[shard.name, shard.sha256] for shard in self._shards])

    def key(self, index: int) -> str:
        shard, place = self._locate(index)
        return shard.key(place)

    def pair(self, index: int, frame: Frame | None = None, *, noise_draw: int | None = None) -> Pair:
        """Pair `index` in [0, len), in planned order; `frame` None leaves it at its own size.

        A removal pair's source (its target, where no source is stored) gets uniform noise in the hole. This
        is done after resizing, which would turn the noise grey. The noise is the sample's own; with
        `noise_draw` it is another one for every draw. Raises ShardError, naming shard and key, for anything
        that cannot be read or decoded.
        """
        shard, place = self._locate(index)
        key = shard.key(place)
        data = shard.read(place)
        try:
            meta = decode_field("meta.json", data["meta.json"])
            images = {field: decode_field(field, data[field]) for field in _IMAGES if field in data}
            mask, target = images["mask.png"], images["target.png"]
            source = images.get("source.png", target)
            _check_shapes(source, target, mask)
            if frame is not None:
                source, target, mask = (crop_and_resize(image, frame) for image in (source, target, mask))
            if self._is_removal:
                source = fill_noise(source, mask, _noise_seed(meta, noise_draw))
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(shard, key, error) from error
        return Pair(key=key, source=source, target=target, mask=mask, meta=meta)

    def _locate(self, index: int) -> tuple[Shard, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        number = bisect.bisect_right(self._ends, index)
        return self._shards[number], index - (self._ends[number - 1] if number else 0)


def _planned_shards(manifest: DatasetManifest, dataset_dir: Path, recipe: str, split: str) -> int:
    there = {name: sorted(entry.splits) for name, entry in manifest.recipes.items()}
    if recipe not in there or split not in there[recipe]:
        raise ConfigError(
            f"{dataset_dir} has no recipe {recipe!r} with split {split!r}; it has {there}",
            consequence="the source would be empty",
            remedy="name one of these, or add it to the dataset's config and generate that into a new folder",
        )
    return manifest.recipes[recipe].splits[split].shards


def _noise_seed(meta: dict[str, Any], draw: int | None) -> int:
    own = json.loads(meta["params"])["fill_seed"]
    return own if draw is None else seed31(own, "draw", draw)


def _check_shapes(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> None:
    if source.ndim != 3 or source.shape != target.shape or mask.shape != source.shape[:2]:
        raise ValueError(f"shapes differ: source {source.shape}, target {target.shape}, mask {mask.shape}")


def _unusable(shard: Shard, key: str, error: Exception) -> ShardError:
    why = error.cause if isinstance(error, PairbridgeError) else f"{type(error).__name__}: {error}"
    return ShardError(
        f"{shard.path}, sample {key}: {why}",
        consequence="the sample is not used",
        remedy="run `pairbridge verify --decode` on the dataset; it lists all damage and what to rebuild",
    )
