"""Pairs by position: what was stored, framed alike, holes filled from the sample's own seed, damage named."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import manifest_streams
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.shards.proven_files import DataReplaced
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.training.data.framing import Frame, crop_and_resize, random_frame
from pairbridge.training.data.pairs import PairSource
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 5, "test": 1}),
        "removal": TinyRecipe(groups={"train": 3}, kind="photo_removal", size_WH=(40, 32)),
        "gone": TinyRecipe(groups={"train": 1}, pairs_per_group=1),
    },
    holes={"relight-train-00000002": "dark", "gone-train-00000000": "dark"},
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("pairs") / "tiny")


def _given(dataset: Path, recipe: str, group: int, pair: int):
    streams = manifest_streams(DatasetManifest.from_folder(dataset))
    return TINY.pair(next(s for s in streams if (s.recipe_id, s.split) == (recipe, "train")), group, pair)


def test_pairs_come_in_planned_order_across_shards_and_holes(dataset: Path) -> None:
    pairs = PairSource(dataset, "relight", "train")
    keys = [pairs.pair(index).key for index in range(len(pairs))]
    assert keys == [pairs.key(index) for index in range(len(pairs))]
    assert keys == [f"relight-train-{i:08d}" for i in range(10) if i != 2]
    given, read = _given(dataset, "relight", 4, 1), pairs.pair(8)
    np.testing.assert_array_equal(read.source, given["source.png"])
    np.testing.assert_array_equal(read.target, given["target.png"])
    np.testing.assert_array_equal(read.mask, given["mask.png"])
    assert read.meta == given["meta.json"]
    for outside in (-1, 9):
        with pytest.raises(IndexError):
            pairs.pair(outside)


def test_removal_fills_the_hole_from_the_samples_own_seed(dataset: Path) -> None:
    pairs = PairSource(dataset, "removal", "train")
    pair, given = pairs.pair(5), _given(dataset, "removal", 2, 1)
    np.testing.assert_array_equal(pair.source, fill_noise(given["target.png"], given["mask.png"], 1002))
    np.testing.assert_array_equal(pair.target, given["target.png"])
    outside = given["mask.png"] == 0
    np.testing.assert_array_equal(pair.source[outside], pair.target[outside])


def test_noise_differs_between_draws_and_is_not_blurred_by_resizing(dataset: Path) -> None:
    pairs = PairSource(dataset, "removal", "train")
    frame = Frame((20, 16))
    own, first, again, second = (pairs.pair(0, frame, noise_draw=n).source for n in (None, 7, 7, 8))
    np.testing.assert_array_equal(first, again)
    hole = pairs.pair(0, frame).mask > 0
    assert np.mean(first[hole] != second[hole]) > 0.9
    assert np.mean(own[hole] != first[hole]) > 0.9
    np.testing.assert_array_equal(first[~hole], second[~hole])
    # Uniform noise has a deviation of 74; averaging four pixels would halve it.
    assert first[hole].astype(float).std() > 60


def test_relighting_sources_are_left_alone(dataset: Path) -> None:
    pairs = PairSource(dataset, "relight", "train")
    np.testing.assert_array_equal(pairs.pair(0, noise_draw=3).source, pairs.pair(0).source)


def test_pickled_sources_read_the_same(dataset: Path) -> None:
    pairs = PairSource(dataset, "removal", "train")
    copy = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(copy.pair(3).source, pairs.pair(3).source)
    assert copy.digest == pairs.digest


def test_digest_follows_the_bytes(dataset: Path, tmp_path: Path) -> None:
    digest = PairSource(dataset, "relight", "train").digest
    assert PairSource(TINY.write(tmp_path / "same"), "relight", "train").digest == digest
    other = TinyDataset(recipes=TINY.recipes)
    assert PairSource(other.write(tmp_path / "other"), "relight", "train").digest != digest


@pytest.mark.parametrize(
    ("recipe", "split", "says"),
    [
        ("nope", "train", "has no recipe"),
        ("removal", "test", "has no recipe"),
        ("gone", "train", "in quarantine"),
    ],
)
def test_a_source_that_is_not_there_is_refused(dataset: Path, recipe: str, split: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        PairSource(dataset, recipe, split)


def test_an_unfinished_dataset_is_refused(tmp_path: Path) -> None:
    folder = TINY.write(tmp_path / "tiny")
    (folder / "shards" / "train-relight-000001.json").unlink()
    with pytest.raises(ConfigError, match="2 of 3 shards"):
        PairSource(folder, "relight", "train")


def test_damage_names_the_shard(tmp_path: Path) -> None:
    folder = TINY.write(tmp_path / "tiny")
    tar = folder / "shards" / "train-relight-000000.tar"
    pairs = PairSource(folder, "relight", "train")
    assert pairs.pair(0).key == "relight-train-00000000"
    member = next(m for m in walk_tar(tar) if m.key == "relight-train-00000001" and m.field == "meta.json")
    whole = bytearray(tar.read_bytes())
    whole[member.offset] ^= 0xFF
    tar.write_bytes(whole)
    # Also of a source that was open before, and for a sample that is as it was.
    for index in (0, 1):
        with pytest.raises(DataReplaced, match=r"train-relight-000000\.tar"):
            pairs.pair(index)
    tar.unlink()
    with pytest.raises(ShardError, match=r"train-relight-000000\.tar.*No such file"):
        pairs.pair(0)


def test_framing_moves_every_image_of_a_pair_alike() -> None:
    height, width = 30, 50
    y, x = np.mgrid[0:height, 0:width]
    mask = ((x - 20) ** 2 + (y - 15) ** 2 < 81).astype(np.uint8) * 255
    image = np.repeat(mask[..., None], 3, axis=2)
    for draw in range(20):
        frame = random_frame((24, 24), 0.4, np.random.default_rng(draw))
        framed, framed_mask = crop_and_resize(image, frame), crop_and_resize(mask, frame)
        assert framed.shape == (24, 24, 3)
        np.testing.assert_array_equal(framed[..., 0], framed_mask)


def test_centre_crop_and_area_average_are_exact() -> None:
    image = np.arange(6 * 10, dtype=np.uint8).reshape(6, 10)
    # The largest 1:1 crop of 10x6 is its middle 6x6; halving averages 2x2 blocks.
    wanted = image[:, 2:8].reshape(3, 2, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(crop_and_resize(image, Frame((3, 3))), wanted, atol=0.51)
    np.testing.assert_array_equal(crop_and_resize(image, Frame((10, 6))), image)
    assert crop_and_resize(image, Frame((40, 24))).shape == (24, 40)
    assert crop_and_resize(np.zeros((1, 1), np.uint8), Frame((8, 8))).shape == (8, 8)
