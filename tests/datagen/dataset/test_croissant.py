"""croissant.json: accepted by the reference validator, and its records are the dataset's samples."""

import json
from pathlib import Path

import pytest

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from tests.support.tiny_dataset import SPLITS, TinyDataset, TinyRecipe, asset

TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 3, "test": 1}),
        "relight-train": TinyRecipe(groups={"train": 2}, kind="photo_removal", pairs_per_group=1),
        "shapes": TinyRecipe(groups={"train": 1}, kind="geometry"),
    },
    # A whole shard.
    holes={f"relight-train-train-{index:08d}": "too dark" for index in range(1)},
    groups_per_shard=1,
    assets=tuple(asset(split, licence="CC-BY-4.0") for split in SPLITS),
)
COUNTS = {"relight": 8, "relight-train": 1, "shapes": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("croissant") / "tiny")


def test_every_shard_and_field_is_described(dataset: Path) -> None:
    described = json.loads((dataset / "croissant.json").read_bytes())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert described["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    parts = described["distribution"]
    files = {part["contentUrl"]: part for part in parts if part["@type"] == "cr:FileObject"}
    filled = {path.name for path in dataset.glob("shards/*.tar")} - {"train-relight-train-000000.tar"}
    assert files.keys() == {f"shards/{name}" for name in filled}
    for url, part in files.items():
        assert part["sha256"] == file_sha256(dataset / url)
        assert part["contentSize"] == f"{(dataset / url).stat().st_size} B"
    sets = {part["@id"]: part for part in parts if part["@type"] == "cr:FileSet"}
    assert sets.keys() == {
        *(f"relight.{name}" for name in ("mask.png", "meta.json", "source.png", "target.png")),
        *(f"relight-train.{name}" for name in ("mask.png", "meta.json", "target.png")),
        *(f"shapes.{name}" for name in ("depth.npy", "mask.png", "meta.json", "normal.npy", "source.png")),
    }
    assert [entry["@id"] for entry in sets["relight-train.mask.png"]["containedIn"]] == [
        "shards/train-relight-train-000001.tar"
    ]


def test_the_reference_reader_finds_no_fault_and_every_sample(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    from mlcroissant._src.operation_graph.operations import extract

    # It unpacks by the shard's relative path, which all datasets share.
    monkeypatch.setattr(extract, "EXTRACT_PATH", extract.epath.Path(tmp_path))
    opened = mlcroissant.Dataset(jsonld=str(dataset / "croissant.json"))
    assert not opened.metadata.ctx.issues.errors
    names = {record_set.uuid for record_set in opened.metadata.record_sets}
    assert names == {
        *(f"relight.{name}" for name in ("mask", "meta", "source", "target")),
        *(f"relight-train.{name}" for name in ("mask", "meta", "target")),
        *(f"shapes.{name}" for name in ("mask", "meta", "source")),
    }
    for name in sorted(names):
        recipe, _, field = name.rpartition(".")
        suffix = "json" if field == "meta" else "png"
        stored = {
            shard.key(index): (split, shard.read(index)[f"{field}.{suffix}"])
            for split in SPLITS
            for shard in open_shards(dataset, recipe, split)
            for index in range(len(shard))
        }
        records = {record[f"{name}/key"].decode(): record for record in opened.records(name)}
        assert records.keys() == stored.keys()
        assert len(records) == COUNTS[recipe]
        for key, (split, data) in stored.items():
            assert records[key][f"{name}/split"].decode() == split
            content = records[key][f"{name}/content"]
            if suffix == "json":
                assert content == data
            else:
                assert (decode_field(f"{field}.png", data) == content).all()


def test_an_unknown_licence_is_called_unknown(tmp_path: Path) -> None:
    unknown = TinyDataset(
        recipes={"relight": TinyRecipe(groups={"train": 1})},
        assets=(asset("train", licence="ask the museum"),),
    ).write(tmp_path / "d")
    assert json.loads((unknown / "croissant.json").read_bytes())["license"] == "unknown"
    assert "license: unknown" in (unknown / "README.md").read_text()
