"""Pools: who makes what is the config's to say, and changes no byte."""

import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.tiny_removal import removal_config


def pooled(folder, **pools: dict) -> DatasetConfig:
    """Two recipes of photographs; `pools` as in the YAML."""
    content = removal_config(folder / "photos", groups=4).model_dump(mode="json")
    content["recipes"]["others"] = {**content["recipes"]["holes"], "groups": {"train": 4}}
    return DatasetConfig.model_validate({**content, "execution": {"pools": pools}})


def shards(out) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "shards").iterdir())}


def test_each_pool_makes_its_own_recipes_and_the_bytes_are_those_of_one_pool(tmp_path, ray_address) -> None:
    config = pooled(
        tmp_path,
        first={"recipes": ["holes"], "workers": 1},
        second={"recipes": ["others"], "workers": 1, "placement": "spread"},
    )
    result = generate(config, tmp_path / "two", workers=7, on_progress=lambda _: None)
    assert (result.num_pairs, result.num_quarantined) == (16, 0)
    made = [event for event in read_ledger(tmp_path / "two") if event["event"] == "group"]
    # Slots are numbered pool by pool; `workers` of the call plays no part where pools are described.
    assert {(event["worker"], event["shard"].split("-")[1]) for event in made} == {
        ("worker-00", "holes"),
        ("worker-01", "others"),
    }
    assert len(made) == 8
    alone = generate(pooled(tmp_path), tmp_path / "one", workers=1, on_progress=lambda _: None)
    assert shards(tmp_path / "two") == shards(alone.dataset_dir)


def test_pools_that_ask_for_more_than_there_is_are_refused(tmp_path, ray_address) -> None:
    config = pooled(
        tmp_path,
        first={"recipes": ["holes"], "workers": 2, "resources": {"spot": 1}},
        second={"recipes": ["others"], "workers": 1},
    )
    with pytest.raises(ConfigError, match=r"3 workers want 3 CPU \(Ray offers 2\), 2 spot \(Ray offers 0\)"):
        generate(config, tmp_path / "out", workers=1, on_progress=lambda _: None)
