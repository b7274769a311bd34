"""Exports: opened by the peer's own reader, with the bytes of the shards, and never half there."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.exports.export import export_dataset
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.shards.tar import Member, walk_tar
from tests.support.tiny_dataset import TinyDataset, TinyRecipe, asset

TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 5, "validation": 1, "test": 2}),
        "relight-two": TinyRecipe(groups={"train": 3}, pairs_per_group=1, size_WH=(16, 40)),
        "removal": TinyRecipe(groups={"train": 3, "test": 1}, kind="photo_removal"),
        "shapes": TinyRecipe(groups={"train": 1}, kind="geometry"),
    },
    holes={
        "relight-train-00000003": "nothing in the frame",
        # A whole shard, and a whole split.
        **{f"removal-train-{index:08d}": "too dark" for index in range(4)},
        **{f"removal-test-{index:08d}": "too dark" for index in range(2)},
    },
)
PAIRS = {
    ("relight", "train"): 9,
    ("relight", "validation"): 2,
    ("relight", "test"): 4,
    ("relight-two", "train"): 3,
    ("removal", "train"): 2,
    ("shapes", "train"): 2,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("exports") / "tiny")


def stored(dataset: Path, recipe: str, split: str) -> dict[str, dict[str, bytes]]:
    return {
        shard.key(index): shard.read(index)
        for shard in open_shards(dataset, recipe, split)
        for index in range(len(shard))
    }


def expected_source(sample: dict[str, bytes]) -> np.ndarray:
    if "source.png" in sample:
        return decode_field("source.png", sample["source.png"])
    target, mask, meta = (
        decode_field(name, sample[name]) for name in ("target.png", "mask.png", "meta.json")
    )
    return fill_noise(target, mask, json.loads(meta["params"])["fill_seed"])


def test_folders_hold_the_bytes_of_the_shards(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export_dataset(dataset, "folders", out) == sum(PAIRS.values())
    assert {
        (recipe.name, split.name) for recipe in out.iterdir() if recipe.is_dir() for split in recipe.iterdir()
    } == PAIRS.keys()
    for (recipe, split), count in PAIRS.items():
        folder = out / recipe / split
        samples = stored(dataset, recipe, split)
        assert len(samples) == count
        for name in [path.name for path in folder.iterdir()]:
            assert sorted(path.stem for path in (folder / name).iterdir()) == sorted(samples)
        for key, sample in samples.items():
            for field, data in sample.items():
                name, _, suffix = field.rpartition(".")
                assert (folder / name / f"{key}.{suffix}").read_bytes() == data
            # As a trainer opens it.
            with Image.open(folder / "source" / f"{key}.png") as image:
                np.testing.assert_array_equal(np.asarray(image), expected_source(sample))
    text = (out / "README.md").read_text()
    assert "license: cc0-1.0" in text
    assert "| removal | photo_removal | train | 2 |" in text
    assert json.loads((out / "provenance.json").read_bytes())["name"] == "tiny"


@pytest.mark.parametrize("streaming", [True, False])
def test_huggingface_opens_every_recipe_and_split(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    export_dataset(dataset, "hf", out)
    assert sorted(datasets.get_dataset_config_names(str(out))) == sorted({recipe for recipe, _ in PAIRS})
    for (recipe, split), count in PAIRS.items():
        rows = datasets.load_dataset(
            str(out), recipe, split=split, streaming=streaming, cache_dir=str(tmp_path / "cache")
        )
        assert isinstance(rows.features["source"], datasets.Image)
        assert rows.info.splits[split].num_examples == count
        samples = stored(dataset, recipe, split)
        seen = []
        for row in rows:
            sample = samples[row["key"]]
            np.testing.assert_array_equal(np.asarray(row["source"]), expected_source(sample))
            np.testing.assert_array_equal(
                np.asarray(row["mask"]), decode_field("mask.png", sample["mask.png"])
            )
            assert row["meta"].encode() == sample["meta.json"]
            if recipe == "shapes":
                assert row["depth"] == sample["depth.npy"]
            seen.append(row["key"])
        assert seen == list(samples)


def test_huggingface_images_keep_their_bytes_and_a_file_alone_has_its_features(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    export_dataset(dataset, "hf", out)
    rows = datasets.load_dataset(
        "parquet",
        data_files=str(out / "data/relight/test-*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert isinstance(rows.features["target"], datasets.Image)
    samples = stored(dataset, "relight", "test")
    for row in rows.cast_column("target", datasets.Image(decode=False)):
        assert row["target"]["bytes"] == samples[row["key"]]["target.png"]


def test_energon_finds_every_sample_where_its_index_says(dataset: Path, tmp_path: Path) -> None:
    """Against the layout that `energon prepare` of megatron-energon 7.4 writes."""
    out = tmp_path / "out"
    export_dataset(dataset, "energon", out)
    for recipe in sorted({recipe for recipe, _ in PAIRS}):
        folder = out / recipe
        info = json.loads((folder / ".nv-meta" / ".info.json").read_bytes())
        splits = YAML(typ="safe").load(folder / ".nv-meta" / "split.yaml")["split_parts"]
        assert list(info["shard_counts"]) == [name for names in splits.values() for name in names]
        found = set()
        with closing(sqlite3.connect(folder / ".nv-meta" / "index.sqlite")) as index:
            parts = "SELECT tar_file_id, sample_key, part_name, content_byte_offset, content_byte_size FROM "
            parts += "samples JOIN sample_parts USING (tar_file_id, sample_index)"
            names = list(info["shard_counts"])
            for number, key, field, offset, size in index.execute(parts):
                found.add(Member(key, field, offset, size)._replace(key=f"{names[number]}/{key}"))
            spans = index.execute("SELECT tar_file_id, byte_offset, byte_size FROM samples ORDER BY 1, 2")
            spans = spans.fetchall()
        walked = {
            member._replace(key=f"{name}/{member.key}")
            for name in names
            for member in walk_tar(folder / name)
        }
        assert found == walked
        assert len(spans) == sum(count for (of, _), count in PAIRS.items() if of == recipe)
        for number, name in enumerate(names):
            data = (folder / name).with_suffix(".tar.idx").read_bytes()
            starts = struct.unpack(f"<{len(data) // 8}Q", data)
            assert [(start, end - start) for start, end in pairwise(starts)] == [
                (start, size) for of, start, size in spans if of == number
            ]
            assert starts[-1] == (folder / name).stat().st_size - 1024
            assert (folder / name).samefile(dataset / name)


def test_energon_itself_reads_every_split_and_would_have_prepared_the_same(
    dataset: Path, tmp_path: Path
) -> None:
    energon = pytest.importorskip("megatron.energon")
    from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator

    @energon.edataclass
    class RawPair(energon.Sample):
        fields: dict

    def cook(sample: dict) -> RawPair:
        fields = {name: value for name, value in sample.items() if not name.startswith("__")}
        return RawPair(**energon.basic_sample_keys(sample), fields=fields)

    class Raw(energon.DefaultTaskEncoder):
        decoder = None
        cookers = (energon.Cooker(energon.stateless(cook)),)

        def batch(self, samples: list) -> list:
            return samples

        def encode_batch(self, batch: list) -> list:
            return batch

    out = tmp_path / "out"
    export_dataset(dataset, "energon", out)
    workers = energon.WorkerConfig(rank=0, world_size=1, num_workers=0)
    for (recipe, split), count in PAIRS.items():
        part = "val" if split == "validation" else split
        pairs = energon.get_val_dataset(
            out / recipe, split_part=part, worker_config=workers, batch_size=1, task_encoder=Raw()
        )
        found = [sample for batch in energon.get_loader(pairs) for sample in batch]
        assert len(found) == count
        samples = stored(dataset, recipe, split)
        assert {sample.__key__: sample.fields for sample in found} == samples
    folder = out / "relight"
    ours = {path.name: path.read_bytes() for path in folder.glob("shards/*.idx")}
    content = index_content(folder)
    names = list(json.loads((folder / ".nv-meta" / ".info.json").read_bytes())["shard_counts"])
    WebdatasetPreparator.prepare_dataset(folder, names, split_parts_ratio=[("train", 1.0)], workers=1)
    assert {path.name: path.read_bytes() for path in folder.glob("shards/*.idx")} == ours
    assert index_content(folder) == content


def index_content(folder: Path) -> dict:
    with closing(sqlite3.connect(folder / ".nv-meta" / "index.sqlite")) as index:
        listed = index.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()
        rows = {
            table: sorted(index.execute(f"SELECT * FROM {table}").fetchall())
            for table in ("samples", "sample_parts")
        }
    return {"schema": listed, **rows}


@pytest.mark.parametrize("layout", ["folders", "hf", "energon"])
def test_an_export_is_a_function_of_the_dataset(dataset: Path, tmp_path: Path, layout: str) -> None:
    for name in ("a", "b"):
        export_dataset(dataset, layout, tmp_path / name / "out")
    files = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    }
    assert files["a"] == files["b"]
    # Made under another name, it says nothing of that.
    assert not any(b".tmp-" in content for content in files["a"].values())


def test_a_killed_export_is_not_there_and_the_same_call_makes_it_whole(dataset: Path, tmp_path: Path) -> None:
    """Killed by a real signal, after the first shard was written."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pairbridge.datagen.exports import finished, export\n"
        "before = finished.FinishedDataset.shards\n"
        "def shards(self, stream):\n"
        "    for number, shard in enumerate(before(self, stream)):\n"
        "        if number: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield shard\n"
        "finished.FinishedDataset.shards = shards\n"
        "export.export_dataset(Path(sys.argv[1]), 'folders', Path(sys.argv[2]))"
    )
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", code, str(dataset), str(out)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = [path for path in tmp_path.iterdir()]
    assert [path.name for path in left] == [".out.tmp-folder"]
    assert any(left[0].rglob("*.png"))
    (left[0] / "stale.png").write_bytes(b"of another export")
    export_dataset(dataset, "folders", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (out / "stale.png").exists()
    assert len(list(out.glob("relight/train/source/*.png"))) == PAIRS["relight", "train"]


def test_what_cannot_be_exported_is_refused_by_name(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="there exists"):
        export_dataset(dataset, "folders", tmp_path / "there")
    broken = TINY.write(tmp_path / "broken")
    tar = broken / "shards" / "train-relight-000001.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ShardError, match="train-relight-000001"):
        export_dataset(broken, "hf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.tmp-folder").exists()
    tar.unlink()
    tar.with_suffix(".json").unlink()
    with pytest.raises(ConfigError, match="train-relight are not made yet"):
        export_dataset(broken, "folders", tmp_path / "out")


@pytest.mark.parametrize("licence", ["unspecified", "ask the museum"])
def test_unknown_licences_are_refused_when_asked(tmp_path: Path, licence: str) -> None:
    assets = (asset("train"), asset("test", "cup", licence=licence))
    made = TinyDataset(recipes={"relight": TinyRecipe(groups={"train": 1})}, assets=assets)
    folder = made.write(tmp_path / "d")
    export_dataset(folder, "folders", tmp_path / "unasked")
    assert verify_dataset(folder).ok
    with pytest.raises(ConfigError, match=rf"cup-test \({licence}\)"):
        export_dataset(folder, "folders", tmp_path / "asked", require_known_licences=True)
    assert not (tmp_path / "asked").exists()
    (finding,) = verify_dataset(folder, require_known_licences=True).findings
    assert f"cup-test is not known: {licence}" in finding.problem


def test_two_exports_into_one_folder_do_not_meet(dataset: Path, tmp_path: Path) -> None:
    import fcntl

    temp = tmp_path / ".out.tmp-folder"
    temp.mkdir()
    fd = os.open(temp, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(ConfigError, match="another process"):
        export_dataset(dataset, "folders", tmp_path / "out")
    assert temp.is_dir()
    os.close(fd)
