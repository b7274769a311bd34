"""Readers that know nothing of fields open every kind of them, as plain files and in the exports."""

import io
from pathlib import Path

import numpy as np
import pytest
import webdataset
from datasets import load_dataset
from PIL import Image

from pairbridge.datagen.exports.export import export_dataset
from tests.support.toy_relighting import write_toy_dataset

ARRAYS = ("depth.npy", "light_target.npy", "normal.npy")


def fields(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "source.png": draw.integers(0, 256, (8, 12, 3), dtype=np.uint8),
        "target.png": draw.integers(0, 256, (8, 12, 3), dtype=np.uint8),
        "mask.png": draw.integers(0, 256, (8, 12), dtype=np.uint8),
        "roughness.png": draw.integers(0, 65536, (8, 12), dtype=np.uint16),
        "depth.npy": draw.uniform(1, 9, (8, 12)).astype(np.float32),
        "normal.npy": draw.normal(size=(8, 12, 3)).astype(np.float16),
        "light_target.npy": draw.gamma(0.2, 90, (32, 64, 3)).astype(np.float16),
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "d"
    return write_toy_dataset(folder, "all", {"train": 3}, make_pair=fields)


def assert_same(found: dict[str, bytes], seed: int) -> None:
    for name, value in fields(seed).items():
        data = io.BytesIO(found[name])
        opened = np.load(data) if name in ARRAYS else np.asarray(Image.open(data))
        assert np.array_equal(opened, value), name


def test_webdataset_opens_every_field(dataset: Path) -> None:
    (tar,) = (dataset / "shards").glob("*.tar")
    samples = list(webdataset.WebDataset(str(tar), shardshuffle=False))
    assert len(samples) == 3
    for seed, sample in enumerate(samples):
        assert_same(sample, seed)


def test_hugging_face_datasets_opens_every_field(dataset: Path, tmp_path: Path) -> None:
    shards = str(dataset / "shards" / "*.tar")
    rows = load_dataset("webdataset", data_files=shards, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 3
    for seed, row in enumerate(rows):
        for name, value in fields(seed).items():
            assert np.array_equal(np.asarray(row[name]).astype(value.dtype), value), name
    export_dataset(dataset, "hf", tmp_path / "out")
    rows = load_dataset(str(tmp_path / "out"), "all", split="train", cache_dir=str(tmp_path / "cache"))
    for seed, row in enumerate(rows):
        light = np.load(io.BytesIO(row["light_target"]))
        assert np.array_equal(light, fields(seed)["light_target.npy"])
        assert np.array_equal(np.asarray(row["roughness"]), fields(seed)["roughness.png"])


def test_energon_opens_every_field(dataset: Path, tmp_path: Path) -> None:
    energon = pytest.importorskip("megatron.energon")

    class Raw(energon.DefaultTaskEncoder):
        decoder = None
        cookers = (energon.Cooker(energon.stateless(lambda sample: sample)),)

        def batch(self, samples: list) -> list:
            return samples

        def encode_batch(self, batch: list) -> list:
            return batch

    export_dataset(dataset, "energon", tmp_path / "out")
    workers = energon.WorkerConfig(rank=0, world_size=1, num_workers=0)
    pairs = energon.get_train_dataset(
        tmp_path / "out" / "all",
        worker_config=workers,
        batch_size=1,
        shuffle_buffer_size=None,
        max_samples_per_sequence=None,
        task_encoder=Raw(),
        repeat=False,
    )
    found = {sample["__key__"]: sample for batch in energon.get_loader(pairs) for sample in batch}
    assert len(found) == 3
    for key, sample in found.items():
        assert_same(sample, int(key.rpartition("-")[2]))
