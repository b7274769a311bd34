"""Read a dataset folder as others would, through webdataset and Hugging Face `datasets`, and count it against
dataset.json.

Nothing of the project's own reader is used here. Offline: `datasets` gets a local folder and a cache of its
own.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def assert_readable_by_webdataset(dataset_dir: Path) -> int:
    """Decode every sample of every split and recipe with webdataset; returns how many there were."""
    import webdataset as wds

    total = 0
    for recipe, split, entry, holes in _streams(dataset_dir):
        shards = sorted(str(path) for path in (dataset_dir / "shards").glob(f"{split}-{recipe}-??????.tar"))
        assert len(shards) == entry["shards"]
        keys = []
        for sample in wds.WebDataset(shards, shardshuffle=False, empty_check=False).decode("rgb8"):
            fields = {name: value for name, value in sample.items() if not name.startswith("__")}
            assert sorted(fields) == sorted(_fields(dataset_dir, recipe))
            _assert_sample(sample["__key__"], recipe, split, fields["meta.json"], fields)
            keys.append(sample["__key__"])
        _assert_keys(keys, recipe, split, entry, holes)
        total += len(keys)
    return total


def assert_readable_by_huggingface(dataset_dir: Path, cache_dir: Path, *, streaming: bool = False) -> int:
    """Decode every sample with `datasets`, through the configurations of README.md; returns how many there
    were.
    """
    import datasets

    total = 0
    for recipe, split, entry, holes in _streams(dataset_dir):
        if entry["pairs"] == len(holes):
            continue
        rows = datasets.load_dataset(
            str(dataset_dir), recipe, split=split, streaming=streaming, cache_dir=str(cache_dir)
        )
        keys = []
        for row in rows:
            fields = {name: value for name, value in row.items() if not name.startswith("__")}
            assert sorted(fields) == sorted(_fields(dataset_dir, recipe))
            meta = fields["meta.json"]
            decoded = {name: np.asarray(value) for name, value in fields.items() if name != "meta.json"}
            _assert_sample(row["__key__"], recipe, split, meta, decoded)
            assert all(value is not None for value in meta.values()), f"{row['__key__']} lost a meta field"
            keys.append(row["__key__"])
        _assert_keys(keys, recipe, split, entry, holes)
        total += len(keys)
    return total


def _streams(dataset_dir: Path) -> Iterator[tuple[str, str, dict, set[str]]]:
    manifest = json.loads((dataset_dir / "dataset.json").read_text())
    lines = (dataset_dir / "quarantine.jsonl").read_text().splitlines()
    quarantined = {json.loads(line)["key"] for line in lines}
    for recipe, about in manifest["recipes"].items():
        for split, entry in about["splits"].items():
            planned = {f"{recipe}-{split}-{index:08d}" for index in range(entry["pairs"])}
            yield recipe, split, entry, quarantined & planned


def _fields(dataset_dir: Path, recipe: str) -> list[str]:
    return list(json.loads((dataset_dir / "dataset.json").read_text())["recipes"][recipe]["fields"])


def _assert_sample(key: str, recipe: str, split: str, meta: dict, fields: dict) -> None:
    assert (meta["key"], meta["recipe"], meta["split"]) == (key, recipe, split)
    json.loads(meta["params"])
    sizes = {value.shape[:2] for name, value in fields.items() if name.endswith(".png")}
    assert len(sizes) == 1
    assert min(next(iter(sizes))) > 1


def _assert_keys(keys: list[str], recipe: str, split: str, entry: dict, holes: set[str]) -> None:
    planned = [f"{recipe}-{split}-{index:08d}" for index in range(entry["pairs"])]
    assert keys == [key for key in planned if key not in holes]
