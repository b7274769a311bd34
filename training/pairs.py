"""Pairs of one recipe and split, by position: decoded, framed to one size, holes of removal pairs filled."""

import bisect
import json
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from datagen.canonical import digest
from datagen.errors import ConfigError, PairbridgeError, ShardError
from datagen.fill import fill_noise
from datagen.import_manifest import ImportManifest, is_import
from datagen.imported import ImportedPairs
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


class PairStore(Protocol):
    """Where pairs come from, by position. Holds no open file; pickles and forks."""

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Equal digests are equal pairs in equal order."""
        ...

    @property
    def is_removal(self) -> bool:
        """Whether the hole of the mask is to be filled with noise."""
        ...

    def key(self, index: int) -> str: ...

    def describe(self, index: int) -> str:
        """File and key of a pair, for messages."""
        ...

    def read(self, index: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(meta, {"target": (H, W, 3), "mask": (H, W), and "source" where it is stored}), all uint8."""
        ...


class PairSource:
    """Map-style access to every pair of one recipe and split: of a generated dataset, or of an import."""

    def __init__(self, dataset_dir: Path, recipe: str, split: str) -> None:
        """Raises ConfigError if the dataset lacks the recipe or split or is not finished, ShardError if
        damaged.
        """
        self.dataset_dir = dataset_dir
        store = ImportedPairs if is_import(dataset_dir) else ShardedPairs
        self._store: PairStore = store(dataset_dir, recipe, split)

    def __len__(self) -> int:
        return len(self._store)

    @property
    def digest(self) -> str:
        """Hex digest of what the pairs are read from: equal digests are equal pairs in equal order."""
        return self._store.digest

    @property
    def is_removal(self) -> bool:
        """Whether sources have noise in the hole of the mask."""
        return self._store.is_removal

    def key(self, index: int) -> str:
        return self._store.key(self._checked(index))

    def pair(self, index: int, frame: Frame | None = None, *, noise_draw: int | None = None) -> Pair:
        """Pair `index` in [0, len), in the dataset's order; `frame` None leaves it at its own size.

        A removal pair's source (its target, where no source is stored) gets uniform noise in the hole. This
        is done after resizing, which would turn the noise grey. The noise is the sample's own; with
        `noise_draw` it is another one for every draw. Raises ShardError, naming file and key, for anything
        that cannot be read or decoded.
        """
        meta, images = self._store.read(self._checked(index))
        try:
            mask, target = images["mask"], images["target"]
            source = images.get("source", target)
            _check_shapes(source, target, mask)
            if frame is not None:
                source, target, mask = (crop_and_resize(image, frame) for image in (source, target, mask))
            if self._store.is_removal:
                source = fill_noise(source, mask, _noise_seed(meta, noise_draw))
            return Pair(key=meta["key"], source=source, target=target, mask=mask, meta=meta)
        except (KeyError, ValueError, TypeError) as error:
            raise _unusable(self._store.describe(index), error) from error

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        return index


class ShardedPairs:
    """The committed pairs of a generated dataset, in planned order."""

    def __init__(self, dataset_dir: Path, recipe: str, split: str) -> None:
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
        return digest([[shard.name, shard.sha256] for shard in self._shards])

    @property
    def is_removal(self) -> bool:
        return self._is_removal

    def key(self, index: int) -> str:
        shard, place = self._locate(index)
        return shard.key(place)

    def describe(self, index: int) -> str:
        shard, place = self._locate(index)
        return f"{shard.path}, sample {shard.key(place)}"

    def read(self, index: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        shard, place = self._locate(index)
        data = shard.read(place)
        try:
            # The key is the shard's own, whatever meta.json may say.
            meta = {**decode_field("meta.json", data["meta.json"]), "key": shard.key(place)}
            images = {
                field.removesuffix(".png"): decode_field(field, data[field])
                for field in _IMAGES
                if field in data
            }
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(self.describe(index), error) from error
        return meta, images

    def _locate(self, index: int) -> tuple[Shard, int]:
        number = bisect.bisect_right(self._ends, index)
        return self._shards[number], index - (self._ends[number - 1] if number else 0)


def splits_of(dataset_dir: Path, recipe: str) -> set[str]:
    """The splits that a dataset or import has of a recipe; empty if it does not have the recipe."""
    if is_import(dataset_dir):
        manifest = ImportManifest.from_folder(dataset_dir)
        return set(manifest.splits) if manifest.name == recipe else set()
    recipes = DatasetManifest.from_folder(dataset_dir).recipes
    return set(recipes[recipe].splits) if recipe in recipes else set()


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


def _unusable(where: str, error: Exception) -> ShardError:
    why = error.cause if isinstance(error, PairbridgeError) else f"{type(error).__name__}: {error}"
    return ShardError(
        f"{where}: {why}",
        consequence="the sample is not used",
        remedy="run `pairbridge verify --decode` on the dataset; it lists all damage and what to rebuild",
    )
