"""What changed between two runs on one folder is refused with the difference named; nothing is touched."""

import json
import shutil
from pathlib import Path

import pytest
from launching import promised

from pairbridge.datagen.core.errors import CatalogueError, ConfigError, ShardError
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from tests.support.tiny_removal import add_photos, removal_config


def make(config, out: Path):
    return generate(config, out, workers=1, on_progress=LogLines())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ray_address) -> Path:
    """Photographs, and a dataset of two shards made of them; tests change copies of both."""
    root = tmp_path_factory.mktemp("finished")
    make(removal_config(root / "photos", groups=3), root / "out")
    return root


@pytest.fixture
def photos(finished, tmp_path) -> Path:
    return shutil.copytree(finished / "photos", tmp_path / "photos")


@pytest.fixture
def out(finished, tmp_path) -> Path:
    return shutil.copytree(finished / "out", tmp_path / "out")


def test_a_folder_of_another_config_is_refused_with_what_changed(out, photos):
    before = promised(out)
    with pytest.raises(ConfigError, match=r"holes\.groups\.train: 3 there, 2 now \(may only grow\)"):
        make(removal_config(photos, groups=2), out)
    with pytest.raises(ConfigError, match=r"recipes\.holes\.pairs_per_group: 2 there, 3 now"):
        make(removal_config(photos, groups=4, pairs_per_group=3), out)
    with pytest.raises(ConfigError, match=r"groups_per_shard: 2 there, 3 now"):
        make(removal_config(photos, groups=3, groups_per_shard=3), out)
    assert promised(out) == before


def test_an_asset_that_changed_between_runs_is_refused_by_name(out, photos):
    before = promised(out)
    (photos / "wave-b.png").write_bytes((photos / "wave-a.png").read_bytes())
    with pytest.raises(CatalogueError, match=r"wave-b: sha256: \w+\.\.\. there, \w+\.\.\. now"):
        make(removal_config(photos, groups=3), out)
    assert promised(out) == before


def test_an_asset_that_went_between_runs_is_refused_by_name(out, photos):
    before = promised(out)
    (photos / "wave-b.png").unlink()
    catalogue = photos / "catalogue.yaml"
    catalogue.write_text("".join(line for line in catalogue.open() if "wave-b" not in line))
    with pytest.raises(CatalogueError, match="wave-b is gone"):
        make(removal_config(photos, groups=4), out)
    assert promised(out) == before


def test_another_licence_of_an_asset_is_refused_by_name(out, photos):
    catalogue = photos / "catalogue.yaml"
    catalogue.write_text(
        catalogue.read_text().replace(
            "wave-c: {split: train, licence: CC0-1.0}", "wave-c: {split: train, licence: MIT}"
        )
    )
    with pytest.raises(CatalogueError, match=r"wave-c: licence: CC0-1\.0 there, MIT now"):
        make(removal_config(photos, groups=3), out)


def damage_sidecar(out: Path) -> str:
    path = out / "shards" / "train-holes-000001.json"
    path.write_bytes(path.read_bytes()[:-7])
    return "is not a usable record"


def contradict_sidecar(out: Path) -> str:
    path = out / "shards" / "train-holes-000001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"count": 9}))
    return "count is 9"


def cut_tar(out: Path) -> str:
    path = out / "shards" / "train-holes-000001.tar"
    path.write_bytes(path.read_bytes()[:-512])
    return r"bytes instead of"


def lose_tar(out: Path) -> str:
    (out / "shards" / "train-holes-000001.tar").unlink()
    return "is missing, although its sidecar says"


@pytest.mark.parametrize("damage", [damage_sidecar, contradict_sidecar, cut_tar, lose_tar])
def test_a_damaged_shard_stops_the_run_by_name(out, photos, damage):
    said = damage(out)
    with pytest.raises(ShardError, match=f"train-holes-000001.*{said}"):
        make(removal_config(photos, groups=3), out)
    assert "train-holes-000001" in {finding.where for finding in verify_dataset(out).findings}


def test_a_flipped_bit_is_found_by_verify_and_the_shard_rebuilt_as_it_was(out, photos):
    before = promised(out)
    tar = out / "shards" / "train-holes-000000.tar"
    for position in (100, 700, len(tar.read_bytes()) - 5):
        data = bytearray(before["shards/train-holes-000000.tar"])
        data[position] ^= 4
        tar.write_bytes(data)
        assert {finding.where for finding in verify_dataset(out).findings} == {"train-holes-000000"}
    tar.unlink()
    tar.with_suffix(".json").unlink()
    make(removal_config(photos, groups=3), out)
    assert promised(out) == before


def test_a_new_file_in_the_asset_folders_changes_nothing(out, photos):
    before = promised(out)
    add_photos(photos, "wave-z")
    assert make(removal_config(photos, groups=3), out).unused_assets == ("wave-z",)
    assert promised(out) == before
