"""Pairs for a trainer of one's own: a map-style torch dataset, and a webdataset pipeline over the shards.

`PairDataset.pair` gives NumPy arrays and needs neither. Both others give a sample as a dict that torch's
default collation takes: `source`, `target` and the conditions float32 (3, H, W) in [-1, 1], `mask` float32
(1, H, W) in [0, 1] (1 = foreground, or to remove), for targets of depth and normals also `valid`, then `key`,
and `meta`, the text of meta.json. Where the roles say that the hole is filled with noise, it is the sample's
own.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.reader import Shard
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.pairs import Pair, PairSource, ShardedPairs, open_unfinished
from pairbridge.training.data.role_choice import RoleChoice

if TYPE_CHECKING:
    import webdataset

Item = dict[str, Any]


class PairDataset:
    """The pairs of one recipe and split that are there, in planned order; see the module for an item.

    Torch's DataLoader takes it as it is; `pair` needs no torch.

    `planned` is how many there would be if all were made and none quarantined. An unfinished dataset stays
    at what was committed when it was opened. Pickles and forks, and holds no open file.
    """

    def __init__(self, pairs: PairSource, planned: int, size: tuple[int, int] | None) -> None:
        self.pairs = pairs
        self.planned = planned
        self.frame = None if size is None else Frame(size)

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, index: int) -> Pair:
        """A pair as NumPy arrays: source, target and conditions uint8 (H, W, 3), its mask uint8 (H, W), and
        meta, what meta.json says. Raises ShardError where it is damaged.
        """
        return self.pairs.pair(index, self.frame)

    def __getitem__(self, index: int) -> Item:
        return item_of(self.pair(index))


def open_dataset(
    dataset: str | Path,
    split: str = "train",
    recipe: str | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    conditions: Sequence[str] = (),
    size: tuple[int, int] | None = None,
) -> PairDataset:
    """The pairs of a dataset's folder, URL or import; `recipe` may be left out where there is one.

    `source` and `target` are fields that the recipe stores, such as depth; left out, those that the dataset
    states. `conditions` are further ones, such as light. Every pair is cropped and resized to `size`, (width,
    height), or left at its own. Raises ConfigError if the dataset lacks any of it, ShardError if it is
    damaged.
    """
    folder = local_folder(dataset)
    recipe = recipe or _only_recipe(folder)
    store = open_unfinished(folder, recipe, split)
    pairs = PairSource(
        folder,
        recipe,
        split,
        roles=RoleChoice(source=source, target=target),
        conditions=[ConditionConfig(field=field) for field in conditions],
        store=store,
    )
    return PairDataset(pairs, store.planned, size)


def webdataset_pipeline(
    dataset: str | Path,
    split: str = "train",
    recipe: str | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    conditions: Sequence[str] = (),
    size: tuple[int, int] | None = None,
) -> "webdataset.WebDataset":
    """A `webdataset.WebDataset` over the committed shards, decoded to the items of `open_dataset`.

    Shards are shared out among nodes and loader workers; shuffle, batch and repeat with its own methods.
    Shards of a dataset on an object store are fetched by the worker that reads them. Raises as
    `open_dataset`, and ConfigError for an import or where no shard is committed yet.
    """
    require("train", by="webdataset_pipeline")
    # Of an extra.
    import webdataset

    opened = open_dataset(
        dataset, split, recipe, source=source, target=target, conditions=conditions, size=size
    )
    store = opened.pairs.store
    if not isinstance(store, ShardedPairs) or not store.shards:
        raise ConfigError(
            f"{dataset} has no shard of split {split!r} here",
            consequence="there is no tar to stream from",
            remedy="use open_dataset, which reads imports too, or wait until a shard is committed",
        )
    shards = {str(shard.path): shard for shard in store.shards}
    pipeline = webdataset.WebDataset(
        list(shards),
        shardshuffle=False,
        nodesplitter=webdataset.split_by_node,
        workersplitter=partial(_own_shards, shards=shards),
        # There may be more workers than shards.
        empty_check=False,
    )
    return pipeline.map(partial(_item, pairs=opened.pairs, frame=opened.frame))


def item_of(pair: Pair) -> Item:
    """The item of a pair, as the module says."""
    require("models", by="a pair as tensors", otherwise="take `pair(index)`, which has NumPy arrays")
    # Here: torch.
    from pairbridge.training.data.tensors import network_images, pixels_of

    images = {name: batch[0].contiguous() for name, batch in network_images(pixels_of([pair])).items()}
    return {**images, "key": pair.key, "meta": canonical_json(pair.meta).decode()}


def _own_shards(urls: Iterable[Item], shards: dict[str, Shard]) -> Iterator[Item]:
    # Of an extra.
    import webdataset

    for url in webdataset.split_by_worker(urls):
        shards[url["url"]].fetch()
        yield url


def _item(sample: Item, pairs: PairSource, frame: Frame | None) -> Item:
    return item_of(pairs.decoded(sample["__key__"], sample, frame))


def _only_recipe(folder: Path) -> str:
    if is_import(folder):
        return ImportManifest.from_folder(folder).name
    recipes = sorted(DatasetManifest.from_folder(folder).recipes)
    if len(recipes) > 1:
        raise ConfigError(
            f"{folder} has the recipes {', '.join(recipes)}, and none was named",
            consequence="pairs of different tasks would be mixed",
            remedy=f"name one, e.g. recipe={recipes[0]!r}",
        )
    return recipes[0]
