"""Pairs for a trainer of one's own: as a map-style dataset and as a webdataset pipeline, also unfinished."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.torch_datasets import open_dataset, webdataset_pipeline
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 5, "test": 1}),
        "removal": TinyRecipe(groups={"train": 3}, kind="photo_removal", size_WH=(40, 32)),
        "rooms": TinyRecipe(groups={"train": 2}, kind="geometry"),
    },
    holes={"relight-train-00000002": "dark"},
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("pairs") / "tiny")


@pytest.mark.parametrize("recipe", ["relight", "removal"])
def test_items_are_the_pairs_that_the_trainer_reads(dataset: Path, recipe: str) -> None:
    pairs, items = PairSource(dataset, recipe, "train"), open_dataset(str(dataset), recipe=recipe)
    assert len(items) == len(pairs)
    for index in range(len(items)):
        pair, item = pairs.pair(index), items[index]
        assert item["key"] == pair.key
        assert json.loads(item["meta"]) == pair.meta
        for name in ("source", "target"):
            levels = np.rint((item[name].numpy() + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
            np.testing.assert_array_equal(levels, getattr(pair, name))
        np.testing.assert_array_equal(np.rint(item["mask"].numpy()[0] * 255), pair.mask)


def test_batches_come_from_torch_s_loader_with_workers(dataset: Path) -> None:
    items = open_dataset(dataset, recipe="relight", size=(16, 16))
    batches = list(DataLoader(items, batch_size=3, num_workers=2))
    assert [batch["source"].shape for batch in batches] == [(3, 3, 16, 16)] * 3
    assert batches[0]["mask"].shape == (3, 1, 16, 16)
    assert [key for batch in batches for key in batch["key"]] == [items[index]["key"] for index in range(9)]


def test_geometry_comes_with_where_it_is_valid(dataset: Path) -> None:
    item = open_dataset(dataset, recipe="rooms", target="normal")[0]
    assert item["target"].shape == (3, 16, 24)
    assert item["valid"].min() == 1
    torch.testing.assert_close(item["target"][2], torch.ones(16, 24))


def test_an_unfinished_dataset_opens_with_its_counts(tmp_path: Path) -> None:
    folder = TINY.write(tmp_path / "tiny")
    whole = open_dataset(folder, recipe="relight")
    assert (len(whole), whole.planned) == (9, 10)
    for path in (folder / "shards").glob("train-relight-000001.*"):
        path.unlink()
    # The trainer refuses it; a reader of what is there does not.
    with pytest.raises(ConfigError, match="2 of 3 shards"):
        PairSource(folder, "relight", "train")
    part = open_dataset(folder, recipe="relight")
    assert (len(part), part.planned) == (5, 10)
    keys = [part[index]["key"] for index in range(len(part))]
    assert keys == [f"relight-train-{number:08d}" for number in (0, 1, 3, 8, 9)]
    assert sorted(item["key"] for item in webdataset_pipeline(folder, recipe="relight")) == keys
    for path in (folder / "shards").glob("train-relight-*"):
        path.unlink()
    empty = open_dataset(folder, recipe="relight")
    assert (len(empty), empty.planned) == (0, 10)
    with pytest.raises(ConfigError, match="no shard"):
        webdataset_pipeline(folder, recipe="relight")


@pytest.mark.parametrize("recipe", ["relight", "removal"])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_pipeline_gives_each_item_once(dataset: Path, recipe: str, workers: int) -> None:
    items = open_dataset(dataset, recipe=recipe, size=(16, 16))
    expected = {item["key"]: item for item in (items[index] for index in range(len(items)))}
    pipeline = webdataset_pipeline(dataset, recipe=recipe, size=(16, 16))
    streamed = list(DataLoader(pipeline.shuffle(10), batch_size=None, num_workers=workers))
    assert sorted(item["key"] for item in streamed) == sorted(expected)
    for item in streamed:
        # webdataset adds its own `__key__`.
        assert item.keys() == expected[item["key"]].keys() | {"__key__"}
        assert item["meta"] == expected[item["key"]]["meta"]
        for name in ("source", "target", "mask"):
            assert torch.equal(item[name], expected[item["key"]][name])


def test_the_pipeline_has_webdataset_s_own_methods(dataset: Path) -> None:
    batches = list(webdataset_pipeline(dataset, recipe="removal").batched(4))
    assert [len(batch["key"]) for batch in batches] == [4, 2]


def test_a_dataset_of_several_recipes_wants_one_named(dataset: Path) -> None:
    with pytest.raises(ConfigError, match="relight, removal, rooms"):
        open_dataset(dataset)
    with pytest.raises(ConfigError, match="no recipe 'relight' with split 'validation'"):
        open_dataset(dataset, "validation", "relight")
    with pytest.raises(ConfigError, match="condition edges"):
        open_dataset(dataset, recipe="relight", conditions=["edges"])


def test_a_damaged_sample_is_named_in_the_stream(tmp_path: Path) -> None:
    folder = TINY.write(tmp_path / "tiny")
    tar = folder / "shards" / "train-relight-000000.tar"
    data = bytearray(tar.read_bytes())
    place = data.index(b"IDAT") + 20
    data[place] ^= 255
    tar.write_bytes(data)
    with pytest.raises(ShardError, match="relight-train-00000000"):
        list(webdataset_pipeline(folder, recipe="relight"))


def test_frames_are_those_of_the_trainer(dataset: Path) -> None:
    pair = PairSource(dataset, "relight", "train").pair(0, Frame((16, 16)))
    mask = open_dataset(dataset, recipe="relight", size=(16, 16))[0]["mask"]
    np.testing.assert_array_equal(np.rint(mask[0].numpy() * 255), pair.mask)
