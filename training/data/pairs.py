"""Pairs of one recipe and split, by position: decoded, framed to one size, holes of removal pairs filled."""

import bisect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError, ShardError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.dataset.manifest import DatasetManifest, SplitEntry
from pairbridge.datagen.imaging.fill import fill_noise, fill_seed
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.shards.reader import Shard, open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.training.data.condition_specs import LIGHT, ConditionConfig, image_conditions
from pairbridge.training.data.framing import Frame, crop_and_resize
from pairbridge.training.data.targets import FIELDS, TargetKind, depth_target, framed_depth, normal_target


@dataclass(frozen=True, slots=True)
class Pair:
    """source: uint8 (H, W, 3) sRGB; mask: uint8 (H, W), 255 = foreground, or to remove.

    target: an image like the source; of other kinds float32 (H, W, 3) in [-1, 1], see
    pairbridge.training.data.targets, with
    `valid` uint8 (H, W), 255 where it holds (None: everywhere). conditions: uint8 images, by field.
    """

    key: str
    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    meta: dict[str, Any]
    valid: np.ndarray | None = None
    # Of depth targets that were stored as arrays: float32 (H, W) in the unit of their data, for metrics.
    depth: np.ndarray | None = None
    conditions: dict[str, np.ndarray] = field(default_factory=dict)


class PairStore(Protocol):
    """Where pairs come from, by position. Holds no open file; pickles and forks."""

    def __len__(self) -> int: ...

    # How many pairs there would be if all were made and none quarantined.
    planned: int
    # Equal digests are equal pairs in equal order.
    digest: str
    # What `read` can give, without suffixes.
    fields: set[str]
    # Whether the hole of the mask is to be filled with noise.
    is_removal: bool

    def key(self, index: int) -> str: ...

    def describe(self, index: int) -> str:
        """File and key of a pair, for messages."""

    def read(self, index: int, fields: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(meta, arrays by field without suffix): those of `fields` ("target.png", ...) that there are.

        An image is uint8, `mask` (H, W), the others (H, W, 3) or (H, W).
        """


def open_store(dataset_dir: Path, recipe: str, split: str) -> PairStore:
    """The pairs of one recipe and split, whatever they lead to: how many, which, from what.

    Raises ConfigError if the dataset lacks the recipe or split or is not finished, ShardError if damaged.
    """
    store = open_unfinished(dataset_dir, recipe, split)
    if isinstance(store, ShardedPairs):
        store.check_finished()
    return store


def open_unfinished(dataset_dir: Path, recipe: str, split: str) -> "ImportedPairs | ShardedPairs":
    """As `open_store`; of a dataset that is still being made the pairs that are committed now."""
    store = ImportedPairs if is_import(dataset_dir) else ShardedPairs
    return store(dataset_dir, recipe, split)


class PairSource:
    """Map-style access to every pair of one recipe and split: of a generated dataset, or of an import."""

    def __init__(
        self,
        dataset_dir: Path,
        recipe: str,
        split: str,
        *,
        target: TargetKind = TargetKind.IMAGE,
        conditions: Sequence[ConditionConfig] = (),
        store: PairStore | None = None,
    ) -> None:
        """target: what pairs lead to; conditions: those of the network, whose image fields are read too;
        store: the pairs, if they are open already.

        Raises ConfigError if the dataset lacks the recipe or split or is not finished, ShardError if damaged.
        """
        self.dataset_dir, self.recipe, self.split = dataset_dir, recipe, split
        self.target = target
        self._conditions = image_conditions(conditions)
        extra = [f"{condition.field}.png" for condition in self._conditions if not condition.classes]
        self._fields = tuple(dict.fromkeys(("source.png", "mask.png", *FIELDS[target], *extra)))
        self.store = open_store(dataset_dir, recipe, split) if store is None else store
        self._check_fields(recipe)

    def __len__(self) -> int:
        return len(self.store)

    @property
    def digest(self) -> str:
        """Hex digest of what the pairs are read from: equal digests are equal pairs in equal order."""
        return self.store.digest

    @property
    def is_removal(self) -> bool:
        """Whether sources have noise in the hole of the mask."""
        return self.store.is_removal

    def spread(self, count: int) -> list[int]:
        """Positions of `count` pairs, or of all, spread evenly from the first to the last."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int).tolist()

    def key(self, index: int) -> str:
        return self.store.key(self._checked(index))

    def target_image(self, index: int, frame: Frame) -> np.ndarray:
        """The target of pair `index` alone, as in `pair`; the other images are not decoded."""
        # An import's mask says where its depth holds.
        _, images = self.store.read(self._checked(index), (*FIELDS[self.target], "mask.png"))
        try:
            return self._target(images, frame, self._depth(images, frame))[0]
        except (KeyError, ValueError, TypeError) as error:
            raise _unusable(self.store.describe(index), error) from error

    def pair(self, index: int, frame: Frame | None = None, *, noise_draw: int | None = None) -> Pair:
        """Pair `index` in [0, len), in the dataset's order; `frame` None leaves it at its own size.

        A removal pair's source (its target, where no source is stored) gets uniform noise in the hole. This
        is done after resizing, which would turn the noise grey. The noise is the sample's own; with
        `noise_draw` it is another one for every draw. Raises ShardError, naming file and key, for anything
        that cannot be read or decoded.
        """
        meta, images = self.store.read(self._checked(index), self._fields)
        try:
            return self._assembled(meta, images, frame, noise_draw)
        except (KeyError, ValueError, TypeError) as error:
            raise _unusable(self.store.describe(index), error) from error

    def decoded(self, key: str, data: Mapping[str, bytes], frame: Frame | None = None) -> Pair:
        """The pair of a sample's files as they are in a shard, from whatever reads tars. As `pair`."""
        try:
            return self._assembled(*_decode_sample(key, data, self._fields), frame, None)
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(f"{self.dataset_dir}, sample {key}", error) from error

    def _assembled(
        self,
        meta: dict[str, Any],
        images: dict[str, np.ndarray],
        frame: Frame | None,
        noise_draw: int | None,
    ) -> Pair:
        depth = self._depth(images, frame)
        target, valid = self._target(images, frame, depth)
        source = (
            images["source"]
            if self.target is not TargetKind.IMAGE
            else images.get("source", images["target"])
        )
        # Geometry of a whole view has no foreground.
        mask = images.get("mask", np.full(source.shape[:2], 255, np.uint8))
        _check_shapes(images, source.shape, {one.field for one in self._conditions if one.is_whole})
        if frame is not None:
            source, mask = (crop_and_resize(image, frame) for image in (source, mask))
        if self.store.is_removal:
            source = fill_noise(source, mask, _noise_seed(meta, noise_draw))
        conditions = {one.field: _condition(one, images, meta, frame) for one in self._conditions}
        return Pair(meta["key"], source, target, mask, meta, valid, depth, conditions)

    def _check_fields(self, recipe: str) -> None:
        there = self.store.fields
        wanted = {name.rpartition(".")[0] for name in FIELDS[self.target]}
        # What an import leads to is in its `target`, whatever it shows.
        has_target = bool(wanted & there) or isinstance(self.store, ImportedPairs)
        missing = [] if has_target else [f"target {self.target}"]
        # A light map can be drawn from what meta.json says of the lights.
        images = [one.field for one in self._conditions if not one.classes]
        missing += [f"condition {field}" for field in images if field not in there | {LIGHT}]
        if missing:
            raise ConfigError(
                f"recipe {recipe!r} of {self.dataset_dir} has no {', '.join(missing)};"
                f" it has {sorted(there)}",
                consequence="no sample of it could be used",
                remedy="name a target and conditions that the recipe stores, or take another recipe",
            )

    def _depth(self, images: dict[str, np.ndarray], frame: Frame | None) -> np.ndarray | None:
        is_depth = self.target is TargetKind.DEPTH and "depth" in images
        return framed_depth(images["depth"], frame) if is_depth else None

    def _target(
        self, images: dict[str, np.ndarray], frame: Frame | None, depth: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if depth is not None:
            return depth_target(depth)
        if self.target is TargetKind.NORMAL and "normal" in images:
            return normal_target(images["normal"], frame)
        target = images["target"]
        framed = target if frame is None else crop_and_resize(target, frame)
        if self.target is TargetKind.IMAGE:
            return framed, None
        # An import hands depth over as a picture on the same scale, its valid pixels as the mask.
        valid = images["mask"] if frame is None else crop_and_resize(images["mask"], frame)
        return framed.astype(np.float32) / 127.5 - 1, np.where(valid == 255, 255, 0).astype(np.uint8)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        return index


class ShardedPairs:
    """The committed pairs of a generated dataset, in planned order."""

    def __init__(self, dataset_dir: Path, recipe: str, split: str) -> None:
        manifest = DatasetManifest.from_folder(dataset_dir)
        self._name = f"{recipe}/{split} of {dataset_dir}"
        planned = _planned(manifest, dataset_dir, recipe, split)
        self.planned, self._planned_shards = planned.pairs, planned.shards
        self.shards: list[Shard] = list(open_shards(dataset_dir, recipe, split))
        self.digest = digest([[shard.name, shard.sha256] for shard in self.shards])
        self._ends = list(accumulate(len(shard) for shard in self.shards))
        self.is_removal = manifest.recipes[recipe].kind.endswith("_removal")
        self.fields = {name.rpartition(".")[0] for name in manifest.recipes[recipe].fields}

    def check_finished(self) -> None:
        """Raise ConfigError unless every planned shard is there, with a pair in one of them."""
        if len(self.shards) != self._planned_shards:
            raise ConfigError(
                f"{self._name} has {len(self.shards)} of {self._planned_shards} shards",
                consequence="the order of the data would change once the rest is made",
                remedy="finish the dataset with `pairbridge generate`; the same command resumes it",
            )
        if not len(self):
            raise ConfigError(
                f"{self._name} holds no pair: all of them are in quarantine",
                consequence="there is nothing to train on or to evaluate",
                remedy="read quarantine.jsonl in the dataset's folder; it names the reasons",
            )

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def key(self, index: int) -> str:
        shard, place = self._locate(index)
        return shard.key(place)

    def describe(self, index: int) -> str:
        shard, place = self._locate(index)
        return f"{shard.path}, sample {shard.key(place)}"

    def read(self, index: int, fields: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        shard, place = self._locate(index)
        data = shard.read(place)
        try:
            return _decode_sample(shard.key(place), data, fields)
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(self.describe(index), error) from error

    def _locate(self, index: int) -> tuple[Shard, int]:
        number = bisect.bisect_right(self._ends, index)
        return self.shards[number], index - (self._ends[number - 1] if number else 0)


def splits_of(dataset_dir: Path, recipe: str) -> set[str]:
    """The splits that a dataset or import has of a recipe; empty if it does not have the recipe."""
    if is_import(dataset_dir):
        manifest = ImportManifest.from_folder(dataset_dir)
        return set(manifest.splits) if manifest.name == recipe else set()
    recipes = DatasetManifest.from_folder(dataset_dir).recipes
    return set(recipes[recipe].splits) if recipe in recipes else set()


def _decode_sample(
    key: str, data: Mapping[str, bytes], fields: Sequence[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    # The key is the shard's own, whatever meta.json may say.
    meta = {**decode_field("meta.json", data["meta.json"]), "key": key}
    return meta, {name.rpartition(".")[0]: decode_field(name, data[name]) for name in fields if name in data}


def _planned(manifest: DatasetManifest, dataset_dir: Path, recipe: str, split: str) -> SplitEntry:
    there = {name: sorted(entry.splits) for name, entry in manifest.recipes.items()}
    if recipe not in there or split not in there[recipe]:
        raise ConfigError(
            f"{dataset_dir} has no recipe {recipe!r} with split {split!r}; it has {there}",
            consequence="the source would be empty",
            remedy="name one of its recipes"
            if recipe not in there
            else f"add {split!r} to `recipes.{recipe}.groups` of its config and generate into a new folder",
        )
    return manifest.recipes[recipe].splits[split]


def _noise_seed(meta: dict[str, Any], draw: int | None) -> int:
    own = fill_seed(meta)
    return own if draw is None else seed31(own, "draw", draw)


def _check_shapes(images: dict[str, np.ndarray], source: tuple[int, ...], whole: set[str]) -> None:
    """All images of a pair have the source's sides, but those of `whole`; source and target have colours."""
    shapes = {name: image.shape for name, image in images.items() if name not in whole}
    colours = {len(shapes[name]) for name in ("source", "target", "normal") if name in shapes} | {len(source)}
    if colours != {3} or any(shape[:2] != source[:2] for shape in shapes.values()):
        raise ValueError(f"shapes differ: {shapes}")


def _condition(
    config: ConditionConfig, images: dict[str, np.ndarray], meta: dict[str, Any], frame: Frame | None
) -> np.ndarray:
    if config.classes:
        return config.class_image(config.class_in(meta))
    if config.field == LIGHT and config.field not in images:
        lights = [MapLight.from_params(light) for light in json.loads(meta["params"])["lights"]]
        height, width = images["source"].shape[:2]
        return encode_light_map(lights, frame.size_WH if frame else (width, height), grey=False)
    image = images[config.field]
    if frame is None:
        return image
    if config.is_whole:
        return cv2.resize(image, frame.size_WH, interpolation=cv2.INTER_AREA)
    return crop_and_resize(image, frame)


def _unusable(where: str, error: Exception) -> ShardError:
    why = error.cause if isinstance(error, PairbridgeError) else f"{type(error).__name__}: {error}"
    return ShardError(
        f"{where}: {why}",
        consequence="the sample is not used",
        remedy="run `pairbridge verify --decode` on the dataset; it lists all damage and what to rebuild",
    )
