"""The five stages on a real, small run: what a second call skips, and what a change makes anew."""

import dataclasses
import json
import re
import shutil

import pytest

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.pipelines.runs.run import execute
from pairbridge.pipelines.runs.run_config import Run, load_run
from pairbridge.pipelines.runs.stages import StageRecords


@pytest.fixture
def run(finished_run, tmp_path) -> Run:
    """A copy of the finished run, to be changed."""
    shutil.copytree(finished_run.folder, tmp_path / "small")
    return dataclasses.replace(finished_run, folder=tmp_path / "small")


def states(run: Run, ray_address: str, forced_from: str | None = None) -> dict[str, bool]:
    """Stage -> whether it ran."""
    said: list[str] = []
    execute(run, workers=1, address=ray_address, forced_from=forced_from, say=said.append)
    acts = (line.partition(":")[0].split() for line in said if not line.startswith("finished"))
    return {name: act == "running" for act, _, name in acts}


def changed(run: Run, **parts) -> Run:
    return dataclasses.replace(run, **parts)


def test_a_second_call_skips_every_stage_wherever_the_run_lies(run, ray_address) -> None:
    assert not any(states(run, ray_address).values())


def test_another_evaluation_is_judged_again_without_training_again(run, ray_address) -> None:
    other = changed(run, evaluation=run.evaluation.model_copy(update={"sample_images": 1}))
    assert states(other, ray_address) == {
        "generate": False,
        "verify": False,
        "train": False,
        "evaluate": True,
        "report": True,
    }


def test_what_only_changes_speed_changes_no_stage(run, ray_address) -> None:
    faster = changed(run, training=run.training.model_copy(update={"log_every": 1, "loader_workers": 1}))
    assert not any(states(faster, ray_address).values())


def test_a_longer_training_starts_afresh_where_it_is_told_and_reuses_the_data(
    run, finished_run, ray_address, pairbridge
) -> None:
    shards = {path.name: file_sha256(path) for path in (run.dataset_dir / "shards").iterdir()}
    config = finished_run.folder.parents[1] / "configs" / "run.yaml"
    command = ("run", config, "--out", run.folder.parent, "--workers", 1, "--address", ray_address)
    status, _, err = pairbridge(*command, "--set", "training.steps=9")
    assert status == 1
    assert "--from train" in err
    assert "steps" in err
    status, out, err = pairbridge(*command, "--set", "training.steps=9", "--from", "train")
    # Pairs of this run are in quarantine.
    assert status == 2, err
    ran = {name: act for act, name in re.findall(r"^(running|skipping) stage (\w+)", out, re.MULTILINE)}
    assert ran == {
        "generate": "skipping",
        "verify": "skipping",
        "train": "running",
        "evaluate": "running",
        "report": "running",
    }
    assert (run.folder / "train.replaced-1" / "checkpoints" / "step-000006").is_dir()
    assert (run.training_dir / "checkpoints" / "step-000009").is_dir()
    assert {path.name: file_sha256(path) for path in (run.dataset_dir / "shards").iterdir()} == shards


def test_another_dataset_is_refused_until_a_fresh_start_is_asked_for(run, ray_address) -> None:
    other = changed(run, dataset=run.dataset.model_copy(update={"seed": 6}))
    with pytest.raises(ConfigError, match="--from generate"):
        states(other, ray_address)


def test_a_lost_shard_is_made_again_and_nothing_after_it(run, ray_address) -> None:
    shard = sorted((run.dataset_dir / "shards").glob("*.tar"))[0]
    before = shard.read_bytes()
    shard.unlink()
    shard.with_suffix(".json").unlink()
    ran = states(run, ray_address)
    assert shard.read_bytes() == before
    assert ran == {"generate": True, "verify": False, "train": False, "evaluate": False, "report": False}


def test_damage_stops_the_run_before_it_trains(run, ray_address) -> None:
    shard = sorted((run.dataset_dir / "shards").glob("*.tar"))[0]
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    StageRecords(run.folder / "stages").remove("verify")
    with pytest.raises(ShardError, match=shard.stem):
        states(run, ray_address)
    assert not (run.folder / "stages" / "verify.json").exists()


def test_records_hold_what_each_stage_depended_on(finished_run) -> None:
    record = json.loads((finished_run.folder / "stages" / "train.json").read_bytes())
    assert record["inputs"]["training"]["steps"] == 6
    assert record["inputs"]["mix"]["sources"][0]["weight"] == 0.7
    assert (
        load_run("demo", finished_run.folder).training.meaning().keys() <= record["inputs"]["training"].keys()
    )
