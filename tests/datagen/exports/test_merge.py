"""Merged datasets: the parts' bytes under one manifest that verify proves, and what is refused by name."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.dataset.manifest import AssetEntry, DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.exports.merge import merge_datasets
from pairbridge.datagen.sourcing.sources import embedded_assets
from pairbridge.training.data.pairs import PairSource
from tests.support.foreign_readers import assert_readable_by_webdataset
from tests.support.tiny_dataset import SPLITS, TinyDataset, TinyRecipe, asset

CHAIRS = TinyDataset(
    name="chairs",
    recipes={"relight": TinyRecipe(groups={"train": 5, "test": 2})},
    holes={"relight-train-00000003": "nothing in the frame"},
)
# Another plan, other shard sizes, and a lighting that has the name of one there and its own content.
CUPS = TinyDataset(
    name="cups",
    plan="another",
    groups_per_shard=3,
    recipes={"removal": TinyRecipe(groups={"train": 4, "validation": 1}, kind="photo_removal")},
    assets=(
        *(asset(split, "cup", licence="CC-BY-4.0", author="Jo") for split in SPLITS),
        asset("train", "chair", sha256=digest("baked again")),
    ),
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("parts")
    return [CHAIRS.write(folder / "chairs"), CUPS.write(folder / "cups")]


def test_a_merged_dataset_is_proved_from_the_disk_and_keeps_every_byte(
    parts: list[Path], tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    merge_datasets(parts, merged)
    report = verify_dataset(merged, decode=True)
    assert report.ok, report.findings
    counts = {(status.recipe, status.split): (status.pairs_made, status.holes) for status in report.streams}
    assert counts == {
        ("relight", "train"): (9, 1),
        ("relight", "test"): (4, 0),
        ("removal", "train"): (8, 0),
        ("removal", "validation"): (2, 0),
    }
    there = {path.name: path for part in parts for path in (part / "shards").iterdir()}
    assert {path.name for path in (merged / "shards").iterdir()} == there.keys()
    for name, path in there.items():
        assert (merged / "shards" / name).samefile(path)
    assert assert_readable_by_webdataset(merged) == 23
    lines = [path.read_text() for part in parts for path in [part / "quarantine.jsonl"]]
    assert (merged / "quarantine.jsonl").read_text() == "".join(lines)
    card = (merged / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert "| CC-BY-4.0 | Jo | 3 |" in card
    assert "| cups | 7 | removal |" in card


def test_a_training_reads_the_same_pairs_from_it(parts: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merge_datasets(parts, merged)
    for part, recipe in zip(parts, ("relight", "removal"), strict=True):
        before, after = PairSource(part, recipe, "train"), PairSource(merged, recipe, "train")
        # A training on the part resumes on the whole.
        assert after.digest == before.digest
        for index in range(len(before)):
            assert after.key(index) == before.key(index)
            np.testing.assert_array_equal(after.pair(index).source, before.pair(index).source)


def test_provenance_of_each_part_is_kept_and_merging_in_two_steps_is_merging_in_one(
    parts: list[Path], tmp_path: Path
) -> None:
    third = TinyDataset(name="shoes", plan="third", recipes={"shoes": TinyRecipe(groups={"train": 1})})
    parts = [*parts, third.write(tmp_path / "shoes")]
    merge_datasets(parts[:2], tmp_path / "two")
    merge_datasets([tmp_path / "two", parts[2]], tmp_path / "steps" / "all")
    merge_datasets(parts, tmp_path / "at-once" / "all")
    merged = [DatasetManifest.from_folder(tmp_path / name / "all") for name in ("steps", "at-once")]
    assert merged[0].to_json() == merged[1].to_json()
    for entry, part in zip(merged[0].parts, parts, strict=True):
        alone = DatasetManifest.from_folder(part)
        shared = entry.model_dump(exclude={"recipes"})
        assert shared == {name: alone.model_dump()[name] for name in shared}
    assert verify_dataset(tmp_path / "steps" / "all").ok


def test_a_copy_is_as_good_as_a_link(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "another filesystem")

    monkeypatch.setattr(os, "link", no_links)
    merge_datasets(parts, tmp_path / "merged")
    path = "shards/train-relight-000000.tar"
    assert not (tmp_path / "merged" / path).samefile(parts[0] / path)
    assert verify_dataset(tmp_path / "merged").ok


def test_damage_after_a_merge_is_found(parts: list[Path], tmp_path: Path) -> None:
    """A shard under the plan of another part is not taken for one of its own."""
    merged = tmp_path / "merged"
    manifest = merge_datasets(parts, merged)
    first, second = manifest.parts
    swapped = manifest.model_copy(
        update={
            "parts": (
                first.model_copy(update={"plan_digest": second.plan_digest}),
                second,
            )
        }
    )
    (merged / "dataset.json").write_bytes(swapped.to_json())
    found = verify_dataset(merged).findings
    assert {finding.where for finding in found} == {
        *(f"train-relight-{index:06d}" for index in range(3)),
        "test-relight-000000",
    }


def test_datasets_of_embedded_assets_are_merged(tmp_path: Path) -> None:
    """Families share their code, and one of them is no copy of another: they stay in their splits."""
    embedded = [
        AssetEntry.model_validate(one.record()) for one in embedded_assets(None) if one.kind == "family"
    ]
    assert len({one.sha256 for one in embedded}) == len(embedded) > 10
    assert {one.split for one in embedded} == set(SPLITS)
    used = tuple(asset(split, "chair") for split in SPLITS)
    for name in "ab":
        recipes = {name: TinyRecipe(groups={"train": 1, "test": 1})}
        TinyDataset(name=name, recipes=recipes, assets=(*used, *embedded)).write(tmp_path / name)
    merge_datasets([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert verify_dataset(tmp_path / "all").ok


def test_what_cannot_be_merged_is_refused_by_name(parts: list[Path], tmp_path: Path) -> None:
    def refused(other: TinyDataset, match: str) -> None:
        folder = other.write(tmp_path / other.name)
        with pytest.raises(ConfigError, match=match):
            merge_datasets([parts[0], folder], tmp_path / "merged")

    recipes = {"other": TinyRecipe(groups={"train": 1, "test": 1})}
    refused(replace(CHAIRS, name="again"), r"relight \(.*chairs, .*again\)")
    by_id = (asset("train", "cup"), asset("test", "cup", id="chair-train"))
    refused(
        TinyDataset(name="by-id", recipes=recipes, assets=by_id),
        "chair-train is in train of .*chairs, chair-train in test of .*by-id",
    )
    same = {"name": "cup", "sha256": "5a" * 32, "kind": "object"}
    there = replace(CHAIRS, name="there", assets=(asset("train", id="mug", **same), asset("test"))).write(
        tmp_path / "there"
    )
    by_content = (asset("train"), asset("test", **same))
    here = TinyDataset(name="by-content", recipes=recipes, assets=by_content).write(tmp_path / "by-content")
    with pytest.raises(ConfigError, match=r"mug is in train of .*there, cup-test in test of .*by-content"):
        merge_datasets([there, here], tmp_path / "merged")
    (tmp_path / "merged").mkdir()
    with pytest.raises(ConfigError, match="merged exists"):
        merge_datasets(parts, tmp_path / "merged")
    damaged = replace(CUPS, name="damaged").write(tmp_path / "damaged")
    tar = damaged / "shards" / "train-removal-000000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ShardError, match="train-removal-000000"):
        merge_datasets([parts[0], damaged], tmp_path / "out")
    assert not (tmp_path / "out").exists()
